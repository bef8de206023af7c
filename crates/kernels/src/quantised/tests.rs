use proptest::prelude::*;

use super::*;
use crate::reference::{ACTIVATIONS, assert_same_on_any_threads, bits, cases, normal, on_threads, values};

/// Integers and a scale by the definition, with the largest integer `most`.
fn quantised(numbers: &[f32], most: i32) -> (Vec<i64>, f32) {
    let largest = numbers.iter().fold(0.0, |largest: f32, number| largest.max(number.abs()));
    if largest < SMALLEST {
        return (vec![0; numbers.len()], 0.0);
    }
    let inverse = most as f32 / largest;
    (numbers.iter().map(|number| (number * inverse).round_ties_even() as i64).collect(), largest / most as f32)
}

/// The product by the definition, with sums of 64 bits; and the largest integer of an input.
fn product(
    x: &[f32],
    w: &[f32],
    [rows, depth, columns]: [usize; 3],
    bias: Option<&[f32]>,
    activation: Activation,
) -> (Vec<f32>, i32) {
    let column = |c: usize| -> Vec<f32> { (0..depth).map(|k| w[k * columns + c]).collect() };
    let weights: Vec<(Vec<i64>, f32)> = (0..columns).map(|c| quantised(&column(c), 127)).collect();
    let longest = weights.iter().map(|(q, _)| q.iter().map(|q| q.abs()).sum::<i64>()).max().unwrap_or(0);
    let most = i64::from(i32::MAX).checked_div(longest).unwrap_or(32_767).min(32_767) as i32;
    let mut y = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        let (a, scale) = quantised(&x[row * depth..][..depth], most);
        for (c, (q, own)) in weights.iter().enumerate() {
            let sum: i64 = a.iter().zip(q).map(|(a, q)| a * q).sum();
            let any: i64 = a.iter().zip(q).map(|(a, q)| (a * q).abs()).sum();
            assert!(any <= i64::from(i32::MAX), "a sum of {any}");
            let value = sum as f32 * (scale * own) + bias.map_or(0.0, |bias| bias[c]);
            y.push(activation.of(value));
        }
    }
    (y, most)
}

fn packed(set: Set, w: &[f32], depth: usize, columns: usize) -> QuantisedWeights {
    QuantisedWeights::pack(set, depth, columns, |k, c| w[k * columns + c])
}

/// Numbers of several kinds: even, normal, with outliers, all as large as can be, with zeros in between.
fn drawn(kind: u8, count: usize, seed: u64) -> Vec<f32> {
    let even = values(count, seed);
    match kind {
        0 => even,
        1 => normal(count, seed),
        2 => normal(count, seed).iter().map(|number| number * number * number * 1e3).collect(),
        3 => even.iter().map(|number| 3e4f32.copysign(*number)).collect(),
        4 => vec![1.0; count],
        5 => even.iter().map(|number| if *number < 0.5 { 0.0 } else { *number }).collect(),
        _ => vec![0.0; count],
    }
}

/// Rows, depth and columns: around what blocks, pairs and panels hold.
fn sizes() -> impl Strategy<Value = [usize; 3]> {
    let rows = prop_oneof![0usize..14, 23usize..27];
    let depth = prop_oneof![0usize..12, 50usize..70, 300usize..310];
    (rows, depth, prop_oneof![0usize..36, 60usize..70]).prop_map(|(rows, depth, columns)| [rows, depth, columns])
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_definition(
        sizes in sizes(),
        kinds in (0u8..7, 0u8..7),
        with_bias in any::<bool>(),
        activation in proptest::sample::select(ACTIVATIONS.to_vec()),
        seed in 0u64..1000,
    ) {
        let [rows, depth, columns] = sizes;
        let (x, w) = (drawn(kinds.0, rows * depth, seed), drawn(kinds.1, depth * columns, seed + 1));
        let bias = with_bias.then(|| values(columns, seed + 2));
        let (expected, most) = product(&x, &w, sizes, bias.as_deref(), activation);
        for set in Set::all() {
            let weights = packed(set, &w, depth, columns);
            prop_assert_eq!(weights.input_steps(), most);
            let mut y = vec![f32::NAN; rows * columns];
            weights.multiply(&x, bias.as_deref(), activation, &mut y);
            prop_assert_eq!(bits(&y), bits(&expected), "{:?} for {:?}, {:?}", weights, sizes, kinds);
        }
    }

    #[test]
    fn the_transpose_is_the_same_matrix([rows, depth, columns] in sizes(), seed in 0u64..1000) {
        let (x, w) = (normal(rows * depth, seed), normal(depth * columns, seed + 1));
        let turned: Vec<f32> = (0..depth * columns).map(|at| w[at % depth * columns + at / depth]).collect();
        let results = [
            QuantisedWeights::of(&w, depth, columns),
            QuantisedWeights::of_transposed(&turned, depth, columns),
        ].map(|weights| {
            let mut y = vec![f32::NAN; rows * columns];
            weights.multiply(&x, None, Activation::None, &mut y);
            bits(&y)
        });
        prop_assert_eq!(&results[0], &results[1]);
    }
}

#[test]
fn neither_threads_nor_neighbours_change_a_result() {
    const SIZES: [usize; 3] = [61, 200, 333];
    let [rows, depth, columns] = SIZES;
    let (x, w, bias) = (normal(rows * depth, 1), normal(depth * columns, 2), normal(columns, 3));
    let (expected, most) = product(&x, &w, SIZES, Some(&bias), Activation::Gelu);
    for set in Set::all() {
        let weights = packed(set, &w, depth, columns);
        let multiply = |x: &[f32]| {
            let mut y = vec![f32::NAN; x.len() / depth * columns];
            weights.multiply(x, Some(&bias), Activation::Gelu, &mut y);
            y
        };
        let tasks = on_threads(3, || {
            let mut y = vec![0.0; rows * columns];
            let mut memory = vec![0; rows * depth / 2];
            with_set!(set, i => Inputs::new(i, &x, rows, (depth, most), &mut memory).tasks(&mut y, columns, width_of(i)).len())
        });
        assert!(tasks > 3, "{tasks} tasks");
        assert_same_on_any_threads("a quantised product", || multiply(&x));
        assert_eq!(bits(&multiply(&x)), bits(&expected));
        for split in [1, 5, 12, 13, 40] {
            let parts: Vec<f32> = x.chunks(split * depth).flat_map(multiply).collect();
            assert_eq!(bits(&parts), bits(&expected), "{split} rows at a time");
        }
    }
}

/// A product in several groups of rows, each in several parts of columns.
#[test]
fn tasks_cover_a_product_once() {
    for (rows, depth, columns) in [(1, 1, 1), (1, 64, 999), (100, 3000, 70), (500, 2000, 100), (2000, 400, 33)] {
        let x = vec![1.0; rows * depth];
        for threads in [1, 2, 5] {
            let mut y = vec![0.0; rows * columns];
            on_threads(threads, || {
                let mut memory = vec![0; rows * depth.div_ceil(2)];
                let inputs = Inputs::new(instructions::Plain, &x, rows, (depth, 127), &mut memory);
                for task in inputs.tasks(&mut y, columns, 16) {
                    let rows = inputs.blocks.rows(task.blocks.start).start..inputs.blocks.rows(task.blocks.end).start;
                    assert_eq!(task.rows.len(), rows.len());
                    assert_eq!(task.columns.start % 16, 0);
                    for row in task.rows {
                        assert_eq!(row.len(), task.columns.len());
                        row.iter_mut().for_each(|number| *number += 1.0);
                    }
                }
            });
            assert!(y.iter().all(|&number| number == 1.0), "{rows} x {depth} x {columns} on {threads} threads");
        }
    }
}

#[test]
fn the_deepest_product_of_the_largest_numbers_does_not_overflow() {
    const DEPTH: usize = MAX_QUANTISED_DEPTH;
    let x: Vec<f32> = [vec![1.0; DEPTH], vec![-1.0; DEPTH]].concat();
    let w = vec![1.0; DEPTH];
    let (expected, most) = product(&x, &w, [2, DEPTH, 1], None, Activation::None);
    assert_eq!(most, 127);
    assert_eq!(expected, [DEPTH as f32, -(DEPTH as f32)]);
    for set in Set::all() {
        let mut y = [0.0; 2];
        packed(set, &w, DEPTH, 1).multiply(&x, None, Activation::None, &mut y);
        assert_eq!(y, *expected, "{}", set.name());
    }
}

#[test]
#[should_panic(expected = "133145 inputs, at most 133144")]
fn a_deeper_product_is_refused() {
    let _ = QuantisedWeights::of(&[], MAX_QUANTISED_DEPTH + 1, 0);
}

#[test]
#[should_panic(expected = "weight inf of input 1 to output 2")]
fn weights_that_are_not_finite_are_refused() {
    let _ = QuantisedWeights::of(&[0.0, 0.0, 0.0, 0.0, 0.0, f32::INFINITY], 2, 3);
}

/// By hand: scales of 1 and 2, integers that are the numbers themselves or halves of them; .5 and 2.5 go to the even side.
#[test]
fn a_product_worked_out_by_hand() {
    let w = [127.0, -254.0, 0.5, 5.0, 1.5, 3.0, 2.5, -0.9];
    for set in Set::all() {
        let weights = packed(set, &w, 4, 2);
        // 127 + 0 + 2 + 2 = 131 and 127 + 2 + 2 + 0 = 131: fewer than 65,536, so all 16 bits are used.
        assert_eq!(weights.input_steps(), 32_767);
        let mut y = [0.0; 4];
        weights.multiply(&[32_767.0, 3.0, -2.0, 0.5, 0.0, 0.0, 0.0, 0.0], Some(&[10.0, 0.0]), Activation::None, &mut y);
        let (first, second) = (32_767 * 127 - 2 * 2, -32_767 * 127 + 3 * 2 - 2 * 2);
        assert_eq!(y, [first as f32 + 10.0, second as f32 * 2.0, 10.0, 0.0], "{}", set.name());
    }
}

#[test]
fn rows_that_are_zero_tiny_or_not_finite() {
    let w = [1.0, 0.0, 2.0, 0.0, 3.0, 0.0];
    let x = [
        [0.0, -0.0, 0.0],
        [1e-38, 1e-40, -1e-34],
        [1e-30, 0.0, 0.0],
        [1.0, f32::NAN, 1.0],
        [f32::NEG_INFINITY, 1.0, 1.0],
        [f32::MAX, 0.0, 0.0],
    ];
    for set in Set::all() {
        let mut y = [1.0; 12];
        packed(set, &w, 3, 2).multiply(x.as_flattened(), None, Activation::None, &mut y);
        let [y, zeros]: [Vec<f32>; 2] = [0, 1].map(|c| y.iter().skip(c).step_by(2).copied().collect());
        assert_eq!(y[..2], [0.0, 0.0]);
        assert!((y[2] / 1e-30 - 1.0).abs() < 1e-2);
        assert!(y[3].is_nan() && y[4].is_nan());
        assert!((y[5] / f32::MAX - 1.0).abs() < 1e-2);
        assert_eq!((zeros[0], zeros[2], zeros[5]), (0.0, 0.0, 0.0));
        assert!(zeros[3].is_nan() && zeros[4].is_nan());
    }
}

/// The root mean square of a product's error over that of the product.
fn error(y: &[f32], x: &[f32], w: &[f32], [rows, depth, columns]: [usize; 3]) -> f64 {
    let (mut off, mut all) = (0.0, 0.0);
    for (at, &y) in y.iter().enumerate().take(rows * columns) {
        let (row, column) = (at / columns, at % columns);
        let exact: f64 = (0..depth).map(|k| f64::from(x[row * depth + k]) * f64::from(w[k * columns + column])).sum();
        off += (f64::from(y) - exact).powi(2);
        all += exact.powi(2);
    }
    (off / all).sqrt()
}

/// Inputs of 16 bits add nothing to the error of the weights, of 8 bits they would: as much again for normal inputs, more than
/// twice as much for inputs with outliers.
#[test]
fn inputs_cost_no_accuracy() {
    const SIZES: [usize; 3] = [20, 512, 40];
    let [rows, depth, columns] = SIZES;
    let w = normal(depth * columns, 2);
    let weights = QuantisedWeights::of(&w, depth, columns);
    let rounded: Vec<f32> = {
        let columns: Vec<(Vec<i64>, f32)> = (0..columns)
            .map(|c| quantised(&w.iter().skip(c).step_by(columns).copied().collect::<Vec<_>>(), 127))
            .collect();
        (0..depth).flat_map(|k| columns.iter().map(move |(q, scale)| q[k] as f32 * scale)).collect()
    };
    for (kind, least_of_8_bits) in [(1, 6e-3), (2, 1.5e-2)] {
        let x = drawn(kind, rows * depth, 1);
        let mut y = vec![0.0; rows * columns];
        weights.multiply(&x, None, Activation::None, &mut y);
        let (all, own) = (error(&y, &x, &w, SIZES), error(&y, &x, &rounded, SIZES));
        assert!(all < 1e-2 && own < 3e-4, "{all}, of which {own} because of the inputs");
        let coarse: Vec<f32> = x
            .chunks(depth)
            .flat_map(|row| {
                let (q, scale) = quantised(row, 127);
                q.into_iter().map(move |q| q as f32 * scale)
            })
            .collect();
        let exact = |x: &[f32]| -> Vec<f32> {
            let at =
                |at: usize| (0..depth).map(|k| x[at / columns * depth + k] * rounded[k * columns + at % columns]).sum();
            (0..rows * columns).map(at).collect()
        };
        let coarse = error(&exact(&coarse), &x, &rounded, SIZES);
        assert!(coarse > least_of_8_bits, "{coarse} with inputs of 8 bits");
    }
}

#[test]
fn a_weight_takes_a_byte() {
    let weights = QuantisedWeights::of(&normal(512 * 1000, 1), 512, 1000);
    assert_eq!((weights.inputs(), weights.outputs()), (512, 1000));
    assert!((512 * 1000..520 * 1024).contains(&weights.bytes()), "{}", weights.bytes());
}

#[test]
fn the_environment_chooses_the_instructions_of_integers_too() {
    let chosen = Set::chosen().name();
    match std::env::var("ENGRAFT_SIMD").as_deref() {
        Ok("scalar") => assert_eq!(chosen, "plain code"),
        Ok("avx2") if cfg!(target_arch = "x86_64") => assert!(["AVX2", "plain code"].contains(&chosen), "{chosen}"),
        Ok(_) => assert_ne!(chosen, "AVX-512 VNNI"),
        Err(_) => assert_eq!(chosen, Set::all().last().map_or("", Set::name)),
    }
}
