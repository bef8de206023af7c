use burn::module::Module;
use burn::tensor::Device;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::bottleneck::Frame;
use super::shot::TargetTask;
use super::*;
use crate::bases::{DropPathSchedule, Pass};
use crate::progress::Silent;
use crate::rng::rng;
use crate::similarity::moments::tests::normal;
use crate::train::Task;

/// Two classes, 2.5 deviations apart along each of the first two columns; then every column is stretched and moved.
fn blobs(rows: usize, (stretch, shift): ([f64; 8], [f64; 8]), seed: u64) -> (Features, Vec<usize>) {
    let mut stream = rng(seed, "test", 0);
    let labels: Vec<usize> = (0..rows).map(|_| usize::from(stream.random::<bool>())).collect();
    let mut values = Vec::with_capacity(rows * 8);
    for &label in &labels {
        for column in 0..8 {
            let normal: f64 = StandardNormal.sample(&mut stream);
            let class = if column < 2 && label == 1 { 2.5 } else { 0.0 };
            values.push((stretch[column] * (normal + class) + shift[column]) as f32);
        }
    }
    (Features::new(rows, 8, values).unwrap(), labels)
}

const AS_IS: ([f64; 8], [f64; 8]) = ([1.0; 8], [0.0; 8]);

pub(super) fn with_domains<T>(
    (source, labels): &(Features, Vec<usize>),
    target: &Features,
    classes: usize,
    then: impl FnOnce(&Domains<'_>) -> T,
) -> T {
    let folds: Vec<usize> = (0..labels.len()).map(|at| at % 5).collect();
    let weights = ClassWeights::None;
    let head = fit(source, labels, classes, 0.1, &weights, &Silent).unwrap();
    then(&Domains {
        out_of_fold: &[],
        source,
        labels,
        classes,
        folds: &folds,
        target,
        head: &head,
        temperature: 1.25,
        strength: 0.1,
        weights: &weights,
        shares: None,
        images: None,
        seed: 0,
        observer: &Silent,
    })
}

fn accuracy(domains: &Domains<'_>, head: &Linear, truth: &[usize]) -> f64 {
    let answers = domains.classes_of(&domains.answers(head));
    answers.iter().zip(truth).filter(|(a, b)| a == b).count() as f64 / truth.len() as f64
}

fn applied(method: &dyn Alignment, domains: &Domains<'_>) -> Applied {
    match method.adapt(domains).unwrap() {
        Outcome::Applied(applied) => applied,
        Outcome::Refused(why) => panic!("{}: {why}", method.name()),
    }
}

#[test]
fn the_start_is_the_head_of_the_source() {
    let device = Device::flex().autodiff();
    // Fewer columns than the bottleneck is wide, more of them, and fewer examples than it is wide.
    for (rows, columns, classes) in [(60, 8, 3), (500, 300, 4), (40, 300, 2)] {
        let source = normal(1, rows, columns, 0.5);
        let labels: Vec<usize> = (0..rows).map(|row| row % classes).collect();
        let target = normal(2, rows + 7, columns, 2.0);
        with_domains(&(source, labels), &target, classes, |domains| {
            let frame = Frame::of(domains).unwrap();
            assert_eq!(frame.width(), columns.min(256));
            let adapter = frame.adapter(domains.head, 1, &device);
            let head = frame.head(&adapter).unwrap();
            let row = domains.target.row(3);
            let (ours, theirs) = (head.values(row), domains.head.values(row));
            let unit = theirs.iter().fold(1.0f64, |most, z| most.max(z.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() < 1e-4 * unit, "{rows}x{columns}: {ours:?} {theirs:?}");
            }
            // The bottleneck's columns are orthonormal.
            let (weight, bias) = adapter.bottleneck.numbers();
            let width = bias.len();
            for (a, b) in [(0, 0), (0, 1), (1, width - 1), (width - 1, width - 1)] {
                let product: f64 = weight.chunks_exact(width).map(|row| row[a] * row[b]).sum();
                assert!((product - f64::from(u8::from(a == b))).abs() < 1e-5, "{a} {b}: {product}");
            }
        });
    }
}

#[test]
fn methods_help_where_a_domain_has_moved() {
    let mut moved = AS_IS;
    (0..4).for_each(|column| moved.1[column] = -1.2);
    let (source, target) = (blobs(400, AS_IS, 3), blobs(400, moved, 4));
    with_domains(&source, &target.0, 2, |domains| {
        let before = accuracy(domains, domains.head, &target.1);
        // SHOT needs the shares: an estimate of them takes what has moved for other shares.
        let domains = &Domains { shares: Some(&[0.5, 0.5]), ..*domains };
        for method in [&Dann as &dyn Alignment, &Cdan, &Mcc, &Shot] {
            let Applied { head, notes, .. } = applied(method, domains);
            let after = accuracy(domains, &head, &target.1);
            assert!(after > before + 0.05, "{}: {after} of {before}", method.name());
            assert_eq!(notes.len(), 1, "{notes:?}");
            if ["dann", "cdan"].contains(&method.name()) {
                assert!(notes[0].starts_with("domain loss: 0.693 at first"), "{notes:?}");
                assert!(!notes[0].ends_with("0.693 at last"), "the discriminator learns nothing: {notes:?}");
            }
        }
    });
}

#[test]
fn deep_coral_helps_where_a_column_has_become_noise() {
    let mut noisy = AS_IS;
    noisy.0[1] = 5.0;
    noisy.1[1] = -5.0;
    let (source, target) = (blobs(400, AS_IS, 5), blobs(400, noisy, 6));
    with_domains(&source, &target.0, 2, |domains| {
        let before = accuracy(domains, domains.head, &target.1);
        let Applied { head, notes, .. } = applied(&DeepCoral, domains);
        let after = accuracy(domains, &head, &target.1);
        assert!(after > before, "{after} of {before}, {notes:?}");
    });
}

#[test]
fn known_shares_keep_aligners_from_ruin() {
    // A target that differs in its shares alone: nine of ten are of the second class.
    let (source, (all, truth)) = (blobs(400, AS_IS, 3), blobs(900, AS_IS, 4));
    let kept: Vec<usize> = (0..900).filter(|&at| truth[at] == 1 || at % 9 == 0).collect();
    let (target, truth): (_, Vec<usize>) = (all.select(&kept), kept.iter().map(|&at| truth[at]).collect());
    with_domains(&source, &target, 2, |domains| {
        let before = accuracy(domains, domains.head, &truth);
        let known = &Domains { shares: Some(&[0.1, 0.9]), ..*domains };
        for method in [&DeepCoral as &dyn Alignment, &Dann, &Cdan, &Mcc, &Shot] {
            let after = accuracy(domains, &applied(method, known).head, &truth);
            assert!(after > before - 0.01, "{}: {after} of {before}", method.name());
        }
    });
}

#[test]
fn trained_heads_do_not_depend_on_threads() {
    let (source, target) = (blobs(90, AS_IS, 7), blobs(70, ([1.0; 8], [1.0; 8]), 8));
    with_domains(&source, &target.0, 2, |domains| {
        for method in [&DeepCoral as &dyn Alignment, &Dann, &Cdan, &Mcc, &Shot] {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| applied(method, domains).head)
            };
            assert_eq!(run(1), run(3), "{}", method.name());
        }
    });
}

#[test]
fn a_target_smaller_than_a_batch_is_adapted_to() {
    let (source, target) = (blobs(67, AS_IS, 7), blobs(20, AS_IS, 8));
    with_domains(&source, &target.0, 2, |domains| {
        for method in [&DeepCoral as &dyn Alignment, &Dann, &Cdan, &Mcc, &Shot] {
            // Of 20 examples.
            let after = accuracy(domains, &applied(method, domains).head, &target.1);
            assert!(after >= 0.75, "{}: {after}", method.name());
        }
    });
}

/// The length of the gradient of the bottleneck for a head of `scale` times the source's, at some shares.
fn gradient_of_shot(domains: &Domains<'_>, scale: f64, shares: &[f64]) -> f64 {
    let mut head = domains.head.clone();
    head.weights.iter_mut().chain(&mut head.intercepts).for_each(|w| *w *= scale);
    let device = Device::flex().autodiff();
    let frame = Frame::of(domains).unwrap();
    let adapter = frame.adapter(&head, 0, &device);
    let mut task = TargetTask::new(&frame.target, shares, &device);
    task.refresh(&adapter).unwrap();
    let all: Vec<usize> = (0..frame.target.rows).collect();
    let pass = Pass::dropping(DropPathSchedule { seed: 0, step: 0, first: 0, progress: 0.0 });
    let loss = task.loss(&adapter, &all, 0, &pass).unwrap().loss;
    let gradients = burn::optim::GradientsParams::from_grads(loss.backward(), &adapter.bottleneck);
    crate::train::Gradients::of(&adapter.bottleneck, gradients).norm()
}

#[test]
fn shot_stays_where_a_target_is_solved() {
    // 60 examples of each class, far apart, and a head that is sure of all.
    let labels: Vec<usize> = (0..120).map(|row| row % 2).collect();
    let mut target = normal(9, 120, 8, 0.0);
    target.values.chunks_exact_mut(8).zip(&labels).for_each(|(row, &label)| row[0] += 40.0 * label as f32);
    let source = (target.clone(), labels);
    with_domains(&source, &target, 2, |domains| {
        assert_eq!(accuracy(domains, domains.head, domains.labels), 1.0);
        let solved = gradient_of_shot(domains, 100.0, &[0.5, 0.5]);
        assert!(solved < 1e-6, "{solved}");
        // Not where the head is unsure.
        let unsure = gradient_of_shot(domains, 0.2, &[0.5, 0.5]);
        assert!(unsure > 1e-2, "{unsure}");
    });
}

#[test]
fn the_classifier_of_shot_is_frozen() {
    let target = blobs(50, AS_IS, 2);
    with_domains(&target, &target.0, 2, |domains| {
        let frame = Frame::of(domains).unwrap();
        let device = Device::flex().autodiff();
        let adapter = frame.adapter(domains.head, 0, &device);
        let task = TargetTask::new(&frame.target, &[0.5, 0.5], &device);
        let learning: Vec<u64> = task.rules(&adapter, 0, 0.0).0.into_keys().collect();
        let bottleneck: Vec<u64> = crate::train::axes_of(&adapter.bottleneck).into_keys().collect();
        assert_eq!((learning, bottleneck.len()), (bottleneck, 2));
        assert!(adapter.valid().discriminator.is_none());
    });
}
