use super::*;
use crate::progress::Silent;

/// Rows of three features of which the first two say, together, which of two classes it is; the third is noise.
fn checkerboard(rows: usize) -> (Features, Vec<usize>) {
    let mut draw = rng(3, "checkerboard", 0);
    let values: Vec<f32> = (0..3 * rows).map(|_| draw.random_range(-1.0f32..1.0)).collect();
    let labels = values.chunks(3).map(|row| usize::from((row[0] > 0.0) == (row[1] > 0.0))).collect();
    (Features::new(rows, 3, values).unwrap(), labels)
}

fn accuracy(scores: &[f32], classes: usize, labels: &[usize], rows: &[usize]) -> f64 {
    let best = |row: &[f32]| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let right = scores.chunks(classes).zip(rows).filter(|(scores, row)| best(scores) == labels[**row]).count();
    right as f64 / rows.len() as f64
}

fn split(rows: usize) -> (Vec<usize>, Vec<usize>) {
    (0..rows).partition(|row| row % 3 != 0)
}

#[test]
fn a_checkerboard_that_no_line_divides_is_learnt() {
    let (x, labels) = checkerboard(900);
    let (train, test) = split(900);
    let scores = boosted_classes(&x, &labels, 2, &train, &test, 1, &Silent).unwrap();
    assert!(accuracy(&scores, 2, &labels, &test) > 0.95);
    assert!(scores.chunks(2).all(|row| (row[0] + row[1] - 1.0).abs() < 1e-6));
    let sets: Vec<Vec<bool>> = labels.iter().map(|&label| vec![label == 1, true, false]).collect();
    let chances = boosted_labels(&x, &sets, 3, &train, &test, 1, &Silent).unwrap();
    assert_eq!((chances.len(), &chances[1..3]), (3 * test.len(), [1.0, 0.0].as_slice()));
    // The trees draw no columns of so few, so that the model of a label is that of the class.
    assert!(scores.chunks(2).zip(chances.chunks(3)).all(|(class, label)| class[1] == label[0]));
}

#[test]
fn probabilities_of_many_classes_sum_to_one_and_an_absent_class_has_none() {
    let (x, _) = checkerboard(600);
    let labels: Vec<usize> =
        (0..600).map(|row| if x.row(row)[0] < -0.3 { 0 } else { 1 + usize::from(x.row(row)[1] > 0.0) }).collect();
    let (train, test) = split(600);
    let scores = boosted_classes(&x, &labels, 4, &train, &test, 1, &Silent).unwrap();
    assert!(scores.chunks(4).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row[3] == 0.0));
    assert!(accuracy(&scores, 4, &labels, &test) > 0.95);
}

#[test]
fn numbers_are_learnt_whatever_their_size() {
    let (x, _) = checkerboard(900);
    let (train, test) = split(900);
    let function = |row: usize| 5e9 + 1e9 * f64::from(x.row(row)[0] * x.row(row)[1]);
    let values: Vec<f64> = (0..900).map(function).collect();
    let guesses = boosted_numbers(&x, &values, &train, &test, 1, &Silent).unwrap();
    let error = |guess: &dyn Fn(usize) -> f64| {
        test.iter().enumerate().map(|(i, &row)| (values[row] - guess(i)).powi(2)).sum::<f64>()
    };
    let mean = train.iter().map(|&row| values[row]).sum::<f64>() / train.len() as f64;
    let left = error(&|i| guesses[i]) / error(&|_| mean);
    assert!(left < 0.05, "{left}");
    assert_eq!(boosted_numbers(&x, &[7.0; 900], &train, &test[..2], 1, &Silent).unwrap(), [7.0, 7.0]);
}

#[test]
fn the_numbers_do_not_depend_on_the_threads() {
    let mut draw = rng(4, "wide", 0);
    // More columns than a tree looks at, so that some are drawn; more rows than one piece of parallel work.
    let (rows, columns) = (200, 700);
    let x =
        Features::new(rows, columns, (0..rows * columns).map(|_| draw.random_range(-1.0f32..1.0)).collect()).unwrap();
    let labels: Vec<usize> =
        (0..rows).map(|row| usize::from(x.row(row)[5] > 0.0) + usize::from(x.row(row)[6] > 0.5)).collect();
    let values: Vec<f64> = (0..rows).map(|row| f64::from(x.row(row)[5])).collect();
    let (long, long_labels) = checkerboard(40_000);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (train, test) = split(rows);
            let all: Vec<usize> = (0..40_000).collect();
            (
                boosted_classes(&x, &labels, 3, &train, &test, 1, &Silent).unwrap(),
                boosted_numbers(&x, &values, &train, &test, 1, &Silent).unwrap(),
                boosted_classes(&long, &long_labels, 2, &all, &all[..50], 1, &Silent).unwrap(),
            )
        })
    };
    let once = run(1);
    assert_eq!(once, run(3));
    let (train, test) = split(rows);
    assert_ne!(once.1, boosted_numbers(&x, &values, &train, &test, 2, &Silent).unwrap(), "another seed, other columns");
}

#[test]
fn missing_features_have_a_direction_and_infinite_ones_are_refused() {
    let (mut x, _) = checkerboard(600);
    let labels: Vec<usize> = (0..600).map(|row| usize::from(row % 5 == 0)).collect();
    // That a feature is missing tells the class.
    for row in (0..600).filter(|row| row % 5 == 0) {
        x.values[3 * row] = f32::NAN;
    }
    let (train, test) = split(600);
    let scores = boosted_classes(&x, &labels, 2, &train, &test, 1, &Silent).unwrap();
    assert_eq!(accuracy(&scores, 2, &labels, &test), 1.0);
    x.values[4] = f32::INFINITY;
    let refused = boosted_classes(&x, &labels, 2, &train, &test, 1, &Silent).unwrap_err().to_string();
    assert!(refused.contains("infinite") && refused.contains("row 1, column 1"), "{refused}");
}

#[test]
fn what_teaches_nothing_gives_the_rates_and_what_cannot_be_learnt_is_refused() {
    let x = Features::new(4, 1, vec![1.0; 4]).unwrap();
    let scores = boosted_classes(&x, &[0, 0, 0, 1], 2, &[0, 1, 2, 3], &[0], 1, &Silent).unwrap();
    assert!((scores[1] - 0.25).abs() < 1e-6, "{scores:?}");
    let refused = |result: Result<Vec<f64>>| result.unwrap_err().to_string();
    assert!(refused(boosted_numbers(&x, &[0.0; 4], &[], &[0], 1, &Silent)).contains("no rows to train on"));
    assert!(refused(boosted_numbers(&x, &[0.0, f64::NAN, 0.0, 0.0], &[0, 1], &[0], 1, &Silent)).contains("row 1"));
    assert_eq!(boosted_numbers(&x, &[2.0, 4.0, 0.0, 0.0], &[0, 1], &[], 1, &Silent).unwrap(), [0.0; 0]);
}

/// An observer that was asked to stop.
struct Stopped;

impl Observer for Stopped {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        true
    }
}

#[test]
fn growing_trees_can_be_interrupted() {
    let (x, labels) = checkerboard(60);
    let stopped = boosted_classes(&x, &labels, 2, &[0, 1, 2, 3], &[0], 1, &Stopped);
    assert!(matches!(stopped, Err(Error::Interrupted)));
}
