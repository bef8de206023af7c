use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::rng::rng;

/// A curve from functions of the epoch, with relative noise on the losses.
struct Made {
    epochs: u64,
    noise: f64,
    train: fn(f64) -> f64,
    validation: Option<fn(f64) -> f64>,
    accuracy: (f64, f64),
}

impl Made {
    fn records(&self, seed: u64) -> Vec<EpochRecord> {
        let mut stream = rng(seed, "test/curves", 0);
        let mut wobble = || {
            let normal: f64 = StandardNormal.sample(&mut stream);
            1.0 + self.noise * normal
        };
        (1..=self.epochs)
            .map(|epoch| {
                let e = epoch as f64;
                let train = Score { loss: (self.train)(e) * wobble(), accuracy: self.accuracy.0 };
                let validation = self.validation.map(|of| Score { loss: of(e) * wobble(), accuracy: self.accuracy.1 });
                EpochRecord { epoch, train, validation, lr: 0.01, seconds: 1.0 }
            })
            .collect()
    }

    fn findings(&self, seed: u64) -> Vec<Finding> {
        diagnose(&self.records(seed))
    }

    /// How many of 200 noisy curves have a finding.
    fn share(&self, of: fn(&Finding) -> bool) -> f64 {
        (0..200).filter(|&seed| self.findings(seed).iter().any(of)).count() as f64 / 200.0
    }
}

fn good(epochs: u64, noise: f64) -> Made {
    Made {
        epochs,
        noise,
        train: |e| 2.0 * (-e / 4.0).exp() + 0.15,
        validation: Some(|e| 1.9 * (-e / 4.0).exp() + 0.25),
        accuracy: (0.96, 0.93),
    }
}

fn over(epochs: u64, noise: f64) -> Made {
    Made {
        train: |e| 2.0 * (-e / 5.0).exp() + 0.01,
        validation: Some(|e| 1.7 * (-e / 2.5).exp() + 0.3 + 0.025 * e),
        accuracy: (1.0, 0.9),
        ..good(epochs, noise)
    }
}

#[test]
fn a_good_curve_raises_no_alarm() {
    for epochs in [8, 12, 20, 40, 100, 300] {
        let findings = good(epochs, 0.0).findings(0);
        assert!(!findings.iter().any(Finding::is_problem), "{epochs}: {findings:?}");
        for noise in [0.02, 0.05, 0.1] {
            let alarms = good(epochs, noise).share(Finding::is_problem);
            assert!(alarms <= 0.01, "{epochs} epochs, noise {noise}: {alarms}");
        }
    }
    let fine = |finding: &Finding| matches!(finding, Finding::Fine { .. });
    assert!(good(30, 0.0).findings(0).iter().any(fine));
    assert!(good(30, 0.05).share(fine) > 0.95);
}

#[test]
fn over_fitting_is_seen_and_dated() {
    let findings = over(20, 0.0).findings(0);
    let [Finding::OverFitting { since, lowest, last, accuracy_fell }] = findings[..] else { panic!("{findings:?}") };
    assert!((7..=9).contains(&since) && lowest < 0.65 && last > 0.75 && !accuracy_fell, "{findings:?}");
    for (epochs, noise) in [(20, 0.02), (40, 0.05), (100, 0.1)] {
        let seen = over(epochs, noise).share(|finding| matches!(finding, Finding::OverFitting { .. }));
        assert!(seen > 0.95, "{epochs} epochs, noise {noise}: {seen}");
    }
}

#[test]
fn over_fitting_that_costs_right_answers_is_told_apart() {
    let mut records = over(20, 0.0).records(0);
    for record in &mut records {
        let held_out = record.validation.as_mut().unwrap();
        held_out.accuracy = 0.9 - 0.01 * (record.epoch as f64 - 10.0).max(0.0);
    }
    let findings = diagnose(&records);
    assert!(matches!(findings[..], [Finding::OverFitting { accuracy_fell: true, .. }]), "{findings:?}");
}

#[test]
fn one_wild_epoch_is_no_over_fitting() {
    for wild in [3, 10, 19] {
        let mut records = good(20, 0.02).records(1);
        records[wild].validation.as_mut().unwrap().loss *= 3.0;
        let findings = diagnose(&records);
        assert!(!findings.iter().any(Finding::is_problem), "epoch {wild}: {findings:?}");
    }
}

#[test]
fn under_fitting_is_a_loss_that_hardly_falls_or_stays_high() {
    let slow = |noise| Made {
        train: |e| 2.3 - 0.01 * e,
        validation: Some(|e| 2.31 - 0.01 * e),
        accuracy: (0.15, 0.14),
        ..good(15, noise)
    };
    let high = |noise| Made {
        train: |e| 1.2 * (-e / 3.0).exp() + 1.1,
        validation: Some(|e| 1.2 * (-e / 3.0).exp() + 1.12),
        accuracy: (0.55, 0.54),
        ..good(30, noise)
    };
    let under = |finding: &Finding| matches!(finding, Finding::UnderFitting { .. });
    for noise in [0.0, 0.01, 0.03] {
        assert!(slow(noise).share(under) > 0.95, "{noise}");
        assert!(high(noise).share(under) > 0.95, "{noise}");
    }
}

#[test]
fn a_head_that_was_solved_before_has_little_to_learn() {
    let tuned = Made { train: |_| 0.45, validation: Some(|_| 0.5), accuracy: (0.85, 0.84), ..good(20, 0.03) };
    let alarms = tuned.share(Finding::is_problem);
    assert!(alarms <= 0.01, "{alarms}");
}

#[test]
fn a_rate_too_high_makes_the_loss_jump() {
    let bouncing = |noise| Made {
        train: |e| 1.6 + 0.6 * (e * 2.4).sin(),
        validation: Some(|e| 1.7 + 0.6 * (e * 2.4).sin()),
        accuracy: (0.5, 0.5),
        ..good(20, noise)
    };
    for noise in [0.0, 0.05] {
        let seen = bouncing(noise).share(|finding| matches!(finding, Finding::RateTooHigh { .. }));
        assert!(seen > 0.95, "{seen}");
    }
    // A pretrained network that begins low and wobbles there has no such problem.
    let low = Made { train: |_| 0.2, validation: Some(|_| 0.25), ..good(20, 0.15) };
    assert!(low.share(|finding| matches!(finding, Finding::RateTooHigh { .. })) < 0.01);
}

#[test]
fn divergence_is_all_that_is_told() {
    let rising = |noise| Made {
        train: |e| if e < 5.0 { 2.3 - 0.2 * e } else { 1.5 + 0.6 * (e - 5.0) },
        validation: Some(|e| if e < 5.0 { 2.3 - 0.2 * e } else { 1.6 + 0.6 * (e - 5.0) }),
        accuracy: (0.3, 0.3),
        ..good(12, noise)
    };
    let findings = rising(0.0).findings(0);
    assert!(matches!(findings[..], [Finding::Diverged { since: 4 | 5, .. }]), "{findings:?}");
    assert!(rising(0.03).share(|finding| matches!(finding, Finding::Diverged { .. })) > 0.95);
    let mut records = good(2, 0.0).records(0);
    records[1].train.loss = f64::NAN;
    let findings = diagnose(&records);
    assert!(findings[0].to_string().starts_with("training broke down in epoch 2: the loss is not a number"));
    let mut records = good(20, 0.0).records(0);
    records[19].train.loss = 50.0;
    assert!(matches!(diagnose(&records)[..], [Finding::Diverged { .. }]));
}

#[test]
fn a_loss_that_still_falls_wants_more_epochs() {
    let falling = |epochs, noise| Made {
        train: |e| 2.0 * (-e / 20.0).exp() + 0.1,
        validation: Some(|e| 2.0 * (-e / 20.0).exp() + 0.2),
        accuracy: (0.8, 0.8),
        ..good(epochs, noise)
    };
    let still = |finding: &Finding| matches!(finding, Finding::StillImproving { .. });
    for (epochs, noise) in [(6, 0.0), (20, 0.0), (20, 0.01), (40, 0.02)] {
        assert!(falling(epochs, noise).share(still) > 0.9, "{epochs} epochs, noise {noise}");
    }
    for noise in [0.0, 0.02, 0.1] {
        assert!(good(40, noise).share(still) < 0.02, "{noise}");
    }
}

#[test]
fn a_plateau_is_half_the_epochs_without_change() {
    let findings = good(60, 0.0).findings(0);
    let [Finding::Fine { .. }, Finding::Plateau { since, .. }] = findings[..] else { panic!("{findings:?}") };
    assert!((18..=24).contains(&since), "{findings:?}");
    assert!(good(60, 0.05).share(|finding| matches!(finding, Finding::Plateau { .. })) > 0.9);
    assert!(!good(12, 0.0).findings(0).iter().any(|finding| matches!(finding, Finding::Plateau { .. })));
}

#[test]
fn learning_by_heart_is_a_gap() {
    let gap = Made {
        train: |e| 2.0 * (-e / 4.0).exp() + 0.02,
        validation: Some(|e| (-e / 4.0).exp() + 1.3),
        accuracy: (0.99, 0.71),
        ..good(30, 0.03)
    };
    assert!(gap.share(|finding| matches!(finding, Finding::Gap { .. })) > 0.95);
}

#[test]
fn short_and_unwatched_curves_say_little() {
    assert_eq!(diagnose(&[]), []);
    for epochs in 1..4 {
        assert_eq!(over(epochs, 0.1).findings(0), [Finding::TooShort { epochs: epochs as usize }]);
    }
    let unwatched = Made { validation: None, ..good(30, 0.05) };
    for seed in 0..50 {
        let findings = unwatched.findings(seed);
        assert!(findings.contains(&Finding::Unwatched) && !findings.iter().any(Finding::is_problem), "{findings:?}");
    }
}

#[test]
fn folds_are_joined_as_far_as_all_got() {
    let folds = [good(20, 0.1).records(1), good(14, 0.1).records(2), good(17, 0.1).records(3)];
    let mean = mean_of_folds(&folds);
    assert_eq!(mean.iter().map(|record| record.epoch).collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>());
    let expected = folds.iter().map(|fold| fold[4].validation.unwrap().loss).sum::<f64>() / 3.0;
    assert!((mean[4].validation.unwrap().loss - expected).abs() < 1e-12);
    let mut one_unwatched = folds.to_vec();
    one_unwatched[1][0].validation = None;
    assert_eq!(mean_of_folds(&one_unwatched)[0].validation, None);
    assert!(mean_of_folds(&one_unwatched)[1].validation.is_some());
    assert_eq!(mean_of_folds(&[]), []);
    assert_eq!(mean_of_folds(&[folds[0].clone(), Vec::new()]), []);
    assert_eq!(mean_of_folds(&folds[..1]), folds[0]);
}

#[test]
fn findings_are_sentences() {
    let over = Finding::OverFitting { since: 7, lowest: 0.312, last: 0.518, accuracy_fell: true };
    assert_eq!(
        over.to_string(),
        "over-fitting since epoch 7: the training loss still falls, the validation loss has risen from 0.31 to 0.52; \
         stopping earlier, more labels or fewer trained stages may help"
    );
    assert_eq!(Finding::TooShort { epochs: 1 }.to_string(), "1 epoch is too few to say more");
    assert_eq!(
        Finding::Gap { train: 0.99, validation: 0.713 }.to_string(),
        "partly learned by heart: 99 % right in training, 71 % on what was held out; more labels or stronger \
         augmentation may help"
    );
}

proptest! {
    #[test]
    fn any_curve_is_taken(
        values in proptest::collection::vec((any::<f64>(), any::<f64>(), any::<bool>(), any::<u64>()), 0..30),
    ) {
        let records: Vec<EpochRecord> = values
            .iter()
            .map(|&(train, held_out, watched, epoch)| EpochRecord {
                epoch,
                train: Score { loss: train, accuracy: held_out },
                validation: watched.then_some(Score { loss: held_out, accuracy: train }),
                lr: train,
                seconds: 0.0,
            })
            .collect();
        let findings = diagnose(&records);
        prop_assert_eq!(findings.is_empty(), records.is_empty());
        prop_assert!(findings.iter().all(|finding| !finding.to_string().is_empty()));
        prop_assert!(mean_of_folds(&[records.clone(), records]).len() <= values.len());
    }
}
