use proptest::prelude::*;

use super::*;
use crate::reference::{
    ACTIVATIONS, Sum, assert_same_on_any_threads, bits, cases, distance, normal, on_threads, values,
};

/// Of a result's terms: some roundings of a long sum.
const CLOSE: f64 = 1e-6;

/// `x w` at an index into it.
fn product(x: &[f32], w: &[f32], depth: usize, columns: usize, at: usize) -> Sum {
    let (row, column) = (at / columns, at % columns);
    (0..depth).fold(Sum::default(), |sum, k| sum.and_product(x[row * depth + k], w[k * columns + column]))
}

/// `a^T b` at an index into it.
fn transposed(a: &[f32], b: &[f32], [rows, m, n]: [usize; 3], at: usize) -> Sum {
    (0..rows).fold(Sum::default(), |sum, p| sum.and_product(a[p * m + at / n], b[p * n + at % n]))
}

/// Rows, depth and columns: around what a block, a step and a panel hold.
fn sizes() -> impl Strategy<Value = [usize; 3]> {
    let columns = prop_oneof![1usize..36, 60usize..70, Just(96)];
    (prop_oneof![Just(1usize), 1usize..20, 90usize..110], prop_oneof![0usize..12, 50usize..70], columns)
        .prop_map(|(rows, depth, columns)| [rows, depth, columns])
}

fn check_product(
    [rows, depth, columns]: [usize; 3],
    panels: &Panels,
    w: &[f32],
    (bias, residual, activation): (bool, bool, Activation),
) {
    assert_eq!((panels.depth, panels.columns), (depth, columns));
    let x = values(rows * depth, 1);
    let (bias, residual) = (bias.then(|| values(columns, 3)), residual.then(|| values(rows * columns, 4)));
    let epilogue = Epilogue { bias: bias.as_deref(), residual: residual.as_deref(), activation };
    let mut y = vec![f32::NAN; rows * columns];
    matrix_product(&x, panels, &mut y, &epilogue);
    let found = distance(&y, |at| {
        let mut sum = product(&x, w, depth, columns, at);
        if let Some(bias) = &bias {
            sum = sum.and(f64::from(bias[at % columns]));
        }
        if let Some(residual) = &residual {
            sum = sum.and(f64::from(residual[at]));
        }
        sum.activated(activation)
    });
    assert!(found.of_terms < CLOSE, "{rows} x {depth} x {columns}, {activation:?}: {found:?}");
}

#[test]
fn the_columns_of_one_row_are_shared_and_no_bit_depends_on_it() {
    let [depth, columns] = [310, 1003];
    let (x, w, bias, residual) = (values(depth, 1), values(depth * columns, 2), values(columns, 3), values(columns, 4));
    let panels = Panels::of(&w, depth, columns);
    check_product([1, depth, columns], &panels, &w, (true, true, Activation::Relu));
    let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), activation: Activation::None };
    let run = |rows: usize| {
        let mut y = vec![0.0; rows * columns];
        matrix_product(
            &x.repeat(rows),
            &panels,
            &mut y,
            &Epilogue { residual: Some(&residual.repeat(rows)), ..epilogue },
        );
        bits(&y[..columns])
    };
    let among_others = run(5);
    for threads in [1, 2, 3, 16] {
        assert!(on_threads(threads, || run(1)) == among_others, "{threads} threads");
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_product_agrees_with_the_definition(
        sizes in sizes(),
        bias in any::<bool>(),
        residual in any::<bool>(),
        activation in proptest::sample::select(ACTIVATIONS.to_vec()),
    ) {
        let [_, depth, columns] = sizes;
        let w = values(depth * columns, 2);
        check_product(sizes, &Panels::of(&w, depth, columns), &w, (bias, residual, activation));
        let turned: Vec<f32> = (0..depth * columns).map(|at| w[at % depth * columns + at / depth]).collect();
        check_product(sizes, &Panels::of_transposed(&turned, depth, columns), &w, (bias, residual, activation));
    }

    #[test]
    fn pieces_are_read_where_they_lie(
        [count, length, columns] in [0usize..20, 1usize..20, 1usize..40],
        pieces in 1usize..5,
        seed in 0u64..1000,
    ) {
        let depth = pieces * length;
        let (memory, w) = (values(500, seed), values(depth * columns, seed + 1));
        // Anywhere in the memory, overlapping, and a quarter of them padding.
        let draw = |index: usize| (values(index + 1, seed + 2)[index].abs() * 1000.0) as usize;
        let offsets: Vec<usize> = (0..count * pieces)
            .map(|index| if draw(index) % 4 == 0 { PADDING } else { draw(index) % (memory.len() - length) })
            .collect();
        // Rows of the result from last to first, with room between them.
        let outputs: Vec<usize> = (0..count).rev().map(|row| row * (columns + 3) + 2).collect();
        let zeros = vec![0.0; length];
        let rows = Rows { values: &memory, offsets: &offsets, pieces, zeros: &zeros, outputs: &outputs };
        let mut y = vec![7.0; count * (columns + 3) + 2];
        multiply(&rows, &Panels::of(&w, depth, columns), &mut y, &Epilogue::NONE);

        let mut together = Vec::new();
        for &offset in &offsets {
            together.extend(if offset == PADDING { &zeros[..] } else { &memory[offset..offset + length] });
        }
        let results: Vec<f32> = outputs.iter().flat_map(|&from| y[from..from + columns].to_vec()).collect();
        let found = distance(&results, |at| product(&together, &w, depth, columns, at));
        prop_assert!(found.of_terms < CLOSE, "{found:?}");
        for from in outputs {
            y[from..from + columns].fill(7.0);
        }
        prop_assert!(y.iter().all(|&value| value == 7.0), "wrote beside its rows");
    }

    #[test]
    fn a_transposed_product_agrees_with_the_definition(
        rows in prop_oneof![0usize..8, 230usize..250, Just(2000)],
        m in 1usize..40,
        n in prop_oneof![1usize..40, 60usize..70],
    ) {
        let (a, b) = (values(rows * m, 5), values(rows * n, 6));
        let y = transposed_product(&a, &b, m, n);
        prop_assert_eq!(y.len(), m * n);
        let found = distance(&y, |at| transposed(&a, &b, [rows, m, n], at));
        prop_assert!(found.of_terms < CLOSE, "{rows}, {m} x {n}: {found:?}");
    }

    #[test]
    fn what_was_packed_before_does_not_matter(
        [first_rows, first_m, first_n] in [1usize..40, 1usize..20, 1usize..40],
        [rows, m, n] in [1usize..40, 1usize..20, 1usize..40],
        skip in 2usize..5,
    ) {
        let (mut left, mut right) = (Columns::default(), Panels::default());
        let nan = [f32::NAN; 40];
        left.pack(first_rows, first_m, |_| Some(&nan));
        right.pack(first_rows, first_n, |_| &nan);
        let (mut a, b) = (values(rows * m, 7), values(rows * n, 8));
        // Some rows are padding.
        left.pack(rows, m, |p| (p % skip > 0).then(|| &a[p * m..(p + 1) * m]));
        right.pack(rows, n, |p| &b[p * n..(p + 1) * n]);
        let before = values(m * n, 9);
        let mut sums = before.clone();
        add_transposed_product(&left, &right, &mut sums);
        for p in (0..rows).step_by(skip) {
            a[p * m..(p + 1) * m].fill(0.0);
        }
        let found = distance(&sums, |at| transposed(&a, &b, [rows, m, n], at).and(f64::from(before[at])));
        prop_assert!(found.of_terms < CLOSE, "{found:?}");
    }
}

#[test]
fn nothing_to_sum_leaves_the_epilogue() {
    let (bias, residual) = (values(37, 1), values(5 * 37, 2));
    let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), activation: Activation::Relu };
    let mut y = vec![f32::NAN; 5 * 37];
    matrix_product(&[], &Panels::of(&[], 0, 37), &mut y, &epilogue);
    let expected: Vec<f32> = residual.iter().enumerate().map(|(at, r)| (r + bias[at % 37]).max(0.0)).collect();
    assert_eq!(y, expected);
    // And neither rows nor columns are nothing at all.
    matrix_product(&[], &Panels::of(&values(12, 3), 4, 3), &mut [], &Epilogue::NONE);
    matrix_product(&[], &Panels::of(&[], 4, 0), &mut [], &Epilogue::NONE);
    assert_eq!(transposed_product(&[], &[], 3, 2), [0.0; 6]);
    assert!(transposed_product(&[], &values(4, 4), 0, 2).is_empty());
    assert!(transposed_product(&values(4, 5), &[], 2, 0).is_empty());
}

#[test]
fn threads_do_not_change_the_bits() {
    let (x, w, b) = (normal(700 * 90, 1), normal(90 * 130, 2), normal(700 * 130, 3));
    assert_same_on_any_threads("a product", || {
        let mut y = vec![f32::NAN; 700 * 130];
        matrix_product(&x, &Panels::of(&w, 90, 130), &mut y, &Epilogue::NONE);
        y
    });
    assert_same_on_any_threads("a transposed product", || transposed_product(&x, &b, 90, 130));
    let (a, b) = (normal(9000 * 7, 4), normal(9000 * 5, 5));
    assert_same_on_any_threads("a transposed product of many rows", || transposed_product(&a, &b, 7, 5));
}

#[test]
fn the_rows_beside_it_do_not_change_the_bits() {
    let (x, w) = (normal(25 * 61, 1), normal(61 * 45, 2));
    let panels = Panels::of(&w, 61, 45);
    let run = |x: &[f32]| {
        let mut y = vec![f32::NAN; x.len() / 61 * 45];
        on_threads(2, || matrix_product(x, &panels, &mut y, &Epilogue::NONE));
        bits(&y)
    };
    let together = run(&x);
    for rows in [1, 2, 7] {
        let apart: Vec<u32> = x.chunks(rows * 61).flat_map(run).collect();
        assert!(apart == together, "{rows} rows at a time");
    }
}

#[test]
fn a_task_has_whole_blocks_of_rows_and_enough_to_do() {
    for (rows, work) in [(1, 1), (1000, 1), (1000, 1 << 20), (50_000, 300), (7, 0)] {
        let of_task = on_threads(2, || rows_per_task(rows, work));
        assert!(of_task > 0 && of_task % ROWS == 0, "{of_task} of {rows} rows of {work}");
        assert!(of_task >= rows || of_task * work >= TASK_WORK || of_task >= TASK_ROWS || of_task * 2 >= rows);
    }
}

#[test]
#[should_panic(expected = "one bias for each column")]
fn a_bias_of_another_length_is_refused() {
    let epilogue = Epilogue { bias: Some(&[0.0; 2]), ..Epilogue::NONE };
    matrix_product(&[0.0; 4], &Panels::of(&[0.0; 12], 4, 3), &mut [0.0; 3], &epilogue);
}

#[test]
#[should_panic(expected = "as many rows in as out")]
fn an_output_of_other_rows_is_refused() {
    matrix_product(&[0.0; 8], &Panels::of(&[0.0; 12], 4, 3), &mut [0.0; 3], &Epilogue::NONE);
}

#[test]
fn tiles_of_a_transposed_product_change_no_bit() {
    let (rows, m, n) = (250, 300, 1100);
    let (a, b) = (normal(rows * m, 1), normal(rows * n, 2));
    let whole = transposed_product(&a, &b, m, n);
    let columns = |x: &[f32], width: usize, of: Range<usize>| -> Vec<f32> {
        x.chunks_exact(width).flat_map(|row| &row[of.clone()]).copied().collect()
    };
    // Across the edges of the tiles.
    for (of_a, of_b) in [(250..270, 500..530), (0..7, 1020..1030), (295..300, 0..40)] {
        let part =
            transposed_product(&columns(&a, m, of_a.clone()), &columns(&b, n, of_b.clone()), of_a.len(), of_b.len());
        let expected = columns(&whole[of_a.start * n..of_a.end * n], n, of_b);
        assert!(part == expected, "columns {of_a:?}");
    }
}
