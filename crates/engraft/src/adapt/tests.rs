use super::*;
use crate::heads::ClassWeights;
use crate::methods::domain::{Applied, Domains, Outcome};
use crate::progress::Silent;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

/// Two classes `apart` deviations from each other, `positives` of them of the second class, all moved by `shift`.
fn blobs(rows: usize, positives: f64, apart: f64, shift: f64, seed: u64) -> (Features, Vec<usize>) {
    let mut stream = crate::rng::rng(seed, "test", 0);
    let labels: Vec<usize> = (0..rows).map(|_| usize::from(stream.random::<f64>() < positives)).collect();
    let columns = 8;
    let mut values = Vec::with_capacity(rows * columns);
    for &label in &labels {
        for column in 0..columns {
            let normal: f64 = StandardNormal.sample(&mut stream);
            let class = if column < 2 && label == 1 { apart } else { 0.0 };
            let moved = if column % 3 == 0 { shift } else { 0.0 };
            values.push((normal + class + moved) as f32);
        }
    }
    (Features::new(rows, columns, values).unwrap(), labels)
}

fn with_domains<T>(
    (source, labels): &(Features, Vec<usize>),
    target: &Features,
    shares: Option<&[f64]>,
    then: impl FnOnce(&Domains<'_>) -> T,
) -> T {
    let folds: Vec<usize> = (0..labels.len()).map(|at| at % 5).collect();
    let weights = ClassWeights::None;
    let head = crate::heads::fit(source, labels, 2, 0.1, &weights, &Silent).unwrap();
    let of = (source, &labels[..], 2);
    let out_of_fold = crate::methods::domain::out_of_fold(of, &folds, (0.1, 1.0), &weights, &Silent).unwrap();
    then(&Domains {
        out_of_fold: &out_of_fold,
        source,
        labels,
        classes: 2,
        folds: &folds,
        target,
        head: &head,
        temperature: 1.0,
        strength: 0.1,
        weights: &weights,
        shares,
        images: None,
        seed: 0,
        observer: &Silent,
    })
}

#[test]
fn an_estimate_of_shares_holds_on_a_target_that_only_differs_in_them() {
    let source = blobs(2000, 0.5, 2.0, 0.0, 1);
    let names = ["no", "yes"].map(str::to_owned);
    for positives in [0.2, 0.5, 0.8] {
        let (target, truth) = blobs(1500, positives, 2.0, 0.0, 2);
        let actual = truth.iter().sum::<usize>() as f64 / truth.len() as f64;
        with_domains(&source, &target, None, |domains| {
            let own = Outcome::Applied(Applied::of_head(domains.head.clone(), Vec::new()));
            let own = Candidate::of(domains, SOURCE_ONLY, own);
            let method = METHODS.iter().find(|method| method.name() == guard::SELF_TRAINING).unwrap();
            let trained = Candidate::of(domains, method.name(), method.adapt(domains).unwrap());
            let shares = shares::estimate(domains, &own, &trained, &names, true);
            assert!(shares[1].low <= actual && actual <= shares[1].high, "{shares:?} {actual}");
            assert_eq!(shares::differ(&shares), positives != 0.5, "{shares:?}");
            // A model that explains nothing knows nothing of shares.
            let unknown = shares::estimate(domains, &own, &trained, &names, false);
            assert!(!shares::differ(&unknown) && unknown[0].low == 0.0 && unknown[0].high == 1.0);
            // Expectation and maximisation finds shares alone exactly, where nothing else moved.
            let answers = domains.answers(domains.head);
            let found = crate::methods::domain::prior::prior_shift(&answers, &domains.source_shares()).unwrap();
            assert!((found.shares[1] - actual).abs() < 0.03, "{:?} of {actual}", found.shares);
        });
    }
}

#[test]
fn at_equal_shares_centring_is_plain_to_the_bit() {
    let (source, target) = (blobs(400, 0.5, 2.5, 0.0, 3), blobs(400, 0.5, 2.5, 2.0, 4));
    with_domains(&source, &target.0, None, |domains| {
        let shares = domains.source_shares();
        let same = Domains { shares: Some(&shares), ..*domains };
        let centring = METHODS.iter().find(|method| method.name() == "centring").unwrap();
        let Outcome::Applied(applied) = centring.adapt(&same).unwrap() else { panic!("it applies") };
        let [from, to] = [domains.source, domains.target].map(crate::similarity::moments::mean);
        let shift: Vec<f64> = to.iter().zip(&from).map(|(to, from)| to - from).collect();
        assert_eq!(applied.head, crate::methods::domain::before_shift(domains.head.clone(), &shift));
    });
}

#[test]
fn no_method_does_harm_where_a_target_is_only_moved() {
    let (source, target) = (blobs(400, 0.5, 2.5, 0.0, 3), blobs(400, 0.5, 2.5, 2.0, 4));
    with_domains(&source, &target.0, None, |domains| {
        let right = |head: &Linear| {
            let answers = domains.classes_of(&domains.answers(head));
            answers.iter().zip(&target.1).filter(|(a, b)| a == b).count() as f64 / 400.0
        };
        let before = right(domains.head);
        let shares = domains.source_shares();
        let known = Domains { shares: Some(&shares), ..*domains };
        for method in METHODS.iter().filter(|method| !method.is_trained()) {
            let Outcome::Applied(applied) = method.adapt(&known).unwrap() else { continue };
            // What corrects shares alone takes the move for other shares.
            let least = if ["bbse", "rlls"].contains(&method.name()) { 0.6 } else { before - 0.02 };
            assert!(right(&applied.head) > least, "{}: {} of {before}", method.name(), right(&applied.head));
        }
    });
}
