use proptest::prelude::*;
use rand_distr::{Binomial, Distribution};

use super::*;

const LAW: PowerLaw = PowerLaw { floor: 0.04, scale: 1.4, exponent: 0.55 };

fn exact(law: PowerLaw, sizes: &[usize], repetitions: usize) -> Vec<Measurement> {
    let of = |&labels: &usize| Measurement { labels, error: law.error(labels as f64), weight: 100.0 };
    sizes.iter().flat_map(|labels| std::iter::repeat_n(of(labels), repetitions)).collect()
}

/// Errors counted on `answers` examples each.
fn drawn(law: PowerLaw, sizes: &[usize], repetitions: usize, answers: u64, seed: u64) -> Vec<Measurement> {
    let mut stream = rng(seed, "test/forecast", 0);
    let mut points = exact(law, sizes, repetitions);
    for point in &mut points {
        let wrong = Binomial::new(answers, point.error).unwrap().sample(&mut stream);
        (point.error, point.weight) = (wrong as f64 / answers as f64, answers as f64);
    }
    points
}

#[test]
fn a_known_law_is_found() {
    for law in [
        LAW,
        PowerLaw { floor: 0.0, scale: 0.9, exponent: 0.3 },
        PowerLaw { floor: 0.2, scale: 5.0, exponent: 1.0 },
        PowerLaw { floor: 0.0, scale: 0.5, exponent: 0.013 },
    ] {
        let found = PowerLaw::fit(&exact(law, &[20, 50, 100, 200, 400, 1000], 2)).unwrap();
        assert!((found.exponent - law.exponent).abs() < 1e-3, "{law:?} {found:?}");
        for labels in [10.0, 500.0, 4000.0] {
            assert!((found.error(labels) - law.error(labels)).abs() < 1e-5, "{law:?} {found:?}");
        }
    }
}

/// The fixture comes from `tests/fixtures/forecast.py`.
#[test]
fn the_fit_agrees_with_scipy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        points: Vec<Measurement>,
        law: PowerLaw,
        squares: f64,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/forecast.json")).unwrap();
    assert!(cases.len() >= 6);
    for Case { name, points, law, squares } in cases {
        let found = PowerLaw::fit(&points).unwrap();
        let left: f64 = points.iter().map(|p| p.weight * (found.error(p.labels as f64) - p.error).powi(2)).sum();
        assert!(left <= squares * (1.0 + 1e-6) + 1e-12, "{name}: {left} against {squares}");
        // Where the least squares are equally small, so are the laws equally good.
        let range = || points.iter().map(|p| p.labels as f64);
        for labels in range().chain([2.0 * range().fold(0.0, f64::max)]) {
            let (ours, theirs) = (found.error(labels), law.error(labels));
            assert!((ours - theirs).abs() < 2e-4, "{name}: {found:?} against {law:?} at {labels}");
        }
    }
}

#[test]
fn the_interval_holds_the_truth_about_19_times_in_20() {
    let few_answers: (&[usize], usize, u64) = (&[50, 100, 200, 400], 10, 100);
    let few_repetitions: (&[usize], usize, u64) = (&[60, 120, 240, 480, 960], 3, 300);
    for (law, (sizes, repetitions, answers)) in [
        (LAW, few_answers),
        (LAW, few_repetitions),
        (PowerLaw { floor: 0.0, scale: 0.9, exponent: 0.3 }, few_answers),
        (PowerLaw { floor: 0.15, scale: 2.5, exponent: 0.8 }, few_repetitions),
    ] {
        let now = *sizes.last().unwrap();
        let truth = law.error(now as f64) - law.error(1.5 * now as f64);
        let (mut held, mut asked) = (0, 0);
        for seed in 0..120 {
            let points = drawn(law, sizes, repetitions, answers, seed);
            asked += 1;
            match forecast(&points, &[], now, now / 2, seed).unwrap().outcome {
                Outcome::Gain { low, high, .. } => held += usize::from(low <= truth && truth <= high),
                Outcome::NoneSeen { high } => held += usize::from(truth <= high),
                outcome => panic!("{outcome:?}"),
            }
        }
        let share = held as f64 / asked as f64;
        assert!((0.88..=0.99).contains(&share), "{law:?}, {sizes:?}: {share}");
    }
}

#[test]
fn a_forecast_is_a_sentence() {
    let points = drawn(LAW, &[50, 100, 200, 400], 10, 100, 1);
    let told = forecast(&points, &[], 400, 200, 1).unwrap();
    let Outcome::Gain { gain, low, high } = told.outcome else { panic!("{told:?}") };
    assert!(0.0 <= low && low < gain && gain < high, "{told:?}");
    let expected = Forecast { outcome: Outcome::Gain { gain: 0.02, low: 0.01, high: 0.0312 }, ..told };
    assert_eq!(expected.told("accuracy"), "200 more labels: accuracy about +2.0 points (1.0 to 3.1)");
    let far = forecast(&points, &[], 400, 4000, 1).unwrap().told("accuracy");
    assert!(far.ends_with("; far beyond the 400 labels that were measured, so take it with care"), "{far}");
}

#[test]
fn what_the_data_cannot_tell_is_said() {
    let points = drawn(LAW, &[50, 100], 10, 100, 1);
    let told = forecast(&points, &[], 100, 1, 1).unwrap();
    assert_eq!(
        told.told("accuracy"),
        "1 more label: the data cannot tell: measured at 2 training-set sizes, and a forecast needs 3"
    );
    assert!(PowerLaw::fit(&points).is_err());
    let told = forecast(&exact(LAW, &[50, 100, 200], 1), &[], 200, 100, 1).unwrap();
    assert_eq!(told.outcome, Outcome::Unrepeated);
    let flat = PowerLaw { floor: 0.1, scale: 0.0, exponent: 0.5 };
    let none = (0..200).filter(|&seed| {
        let told = forecast(&drawn(flat, &[50, 100, 200, 400], 10, 100, seed), &[], 400, 200, seed).unwrap();
        matches!(told.outcome, Outcome::NoneSeen { .. })
    });
    let share = none.count() as f64 / 200.0;
    assert!(share > 0.9, "{share}");
    let told = forecast(&exact(flat, &[50, 100, 200], 3), &[], 400, 200, 1).unwrap().told("accuracy");
    assert_eq!(told, "200 more labels: no gain in accuracy to be seen in what was measured (0.0 to 0.0 points)");
}

#[test]
fn rising_errors_promise_nothing() {
    let points: Vec<Measurement> = [(50, 0.1), (100, 0.15), (200, 0.2), (50, 0.11), (100, 0.14), (200, 0.21)]
        .map(|(labels, error)| Measurement { labels, error, weight: 1.0 })
        .into();
    let told = forecast(&points, &[], 200, 100, 3).unwrap();
    assert_eq!(told.law.unwrap().scale, 0.0);
    assert_eq!(told.outcome, Outcome::NoneSeen { high: 0.0 });
}

#[test]
fn nonsense_is_refused() {
    let point = Measurement { labels: 10, error: 0.5, weight: 1.0 };
    let mut bad = vec![Measurement { labels: 0, ..point }];
    bad.extend([f64::NAN, -0.1, f64::INFINITY].map(|error| Measurement { error, ..point }));
    bad.extend([f64::NAN, 0.0, -1.0, f64::INFINITY].map(|weight| Measurement { weight, ..point }));
    for bad in bad {
        assert!(forecast(&[point, bad], &[], 10, 10, 0).is_err(), "{bad:?}");
    }
    assert!(forecast(&[], &[], 10, 10, 0).is_err());
    assert!(forecast(&[point], &[], 0, 10, 0).is_err());
}

#[test]
fn a_forecast_does_not_depend_on_threads() {
    let points = drawn(LAW, &[50, 100, 200], 4, 100, 7);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| forecast(&points, &[], 200, 100, 3).unwrap())
    };
    assert_eq!(run(1), run(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_measurement_gives_numbers_and_more_labels_never_less(
        points in proptest::collection::vec((1usize..=usize::MAX, 0.0f64..=1.0, 1e-300f64..1e300), 1..12),
        now in 1usize..=usize::MAX,
        more in 0usize..=usize::MAX,
    ) {
        let points: Vec<Measurement> =
            points.into_iter().map(|(labels, error, weight)| Measurement { labels, error, weight }).collect();
        // Each twice, so that there are repetitions.
        let points = [points.clone(), points].concat();
        let less = forecast(&points, &[], now, more / 2, 5).unwrap();
        let told = forecast(&points, &[], now, more, 5).unwrap();
        match (less.outcome, told.outcome) {
            (Outcome::Gain { gain: g, low: l, high: h }, Outcome::Gain { gain, low, high }) => {
                prop_assert!(g <= gain && l <= low && h <= high, "{less:?} {told:?}");
                prop_assert!(0.0 <= low && low <= gain && gain <= high && high <= 1.0, "{told:?}");
            }
            (a, b) => prop_assert_eq!(std::mem::discriminant(&a), std::mem::discriminant(&b)),
        }
        prop_assert!(!told.told("accuracy").contains("NaN"));
    }
}
