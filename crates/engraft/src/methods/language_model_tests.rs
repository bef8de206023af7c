use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::progress::Silent;

/// Sentences in which every noun has its verb: 8 equally frequent nouns, and nothing else to guess.
fn documents() -> Result<Documents<'static>> {
    let sentence =
        |i: usize| format!("the noun{0} verb{0} the house .", (i as u32).wrapping_mul(2_654_435_761) >> 13 & 7);
    let document = move |i: usize| Document { name: format!("row {i}"), text: sentence(i * 31 + i / 7) };
    Ok(Box::new((0..600).map(move |i| Ok(document(i)))))
}

fn config() -> LanguageModelPretrain {
    LanguageModelPretrain {
        vocabulary: 100,
        width: 16,
        hidden: 24,
        bptt: 16,
        epochs: 12,
        batch_size: 8,
        lr: 2e-2,
        holdout: 0.1,
        dropout: 0.1,
        ..LanguageModelPretrain::default()
    }
}

fn trained(
    config: &LanguageModelPretrain,
    checkpoints: Option<&mut Checkpoints>,
    observer: &dyn Observer,
) -> Result<PretrainedLanguageModel> {
    pretrain_language_model(config, &documents, checkpoints, observer, |_| ())
}

#[test]
fn a_corpus_is_learnt() {
    let found = trained(&config(), None, &Silent).unwrap();
    let words = found.model.vocabulary.len() as f64;
    assert!(words >= 20.0 && found.unknown == 0.0);
    // Seven tokens a sentence, of which one is to be guessed among a few: 8^(1/7) = 1.35 is as good as can be.
    let perplexity = found.perplexity().unwrap();
    assert!((1.3..1.7).contains(&perplexity), "{perplexity} among {words} words");
    assert!(found.held_out.unwrap().accuracy > 0.7);
    let curve = &found.curve.epochs;
    assert_eq!(curve.len(), 12);
    assert!(curve[11].train.loss < curve[0].train.loss);
    assert_eq!(found.model.card.perplexity, Some(perplexity));
}

#[test]
fn threads_do_not_change_a_bit() {
    let config = LanguageModelPretrain { epochs: 1, ..config() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| trained(&config, None, &Silent).unwrap().model.to_parts())
    };
    assert!(run(1) == run(3));
}

/// Interrupts after some questions.
struct Impatient(AtomicU64);

impl Observer for Impatient {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 0
    }
}

#[test]
fn a_stopped_training_goes_on_to_the_same_bits() {
    let config = LanguageModelPretrain { epochs: 2, ..config() };
    let whole = trained(&config, None, &Silent).unwrap().model.to_parts();
    let temp = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(temp.path().join("kept"), "test".into(), Duration::from_secs(3600));
    let stopped = trained(&config, Some(&mut checkpoints), &Impatient(AtomicU64::new(40)));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(std::fs::read_dir(temp.path().join("kept")).unwrap().count(), 1);
    assert!(trained(&config, Some(&mut checkpoints), &Silent).unwrap().model.to_parts() == whole);
}

#[test]
fn measuring_tells_every_next_word_once_whatever_the_windows() {
    let sizes = LstmConfig { vocabulary: 0, width: 6, hidden: 6, layers: 1 };
    let vocabulary = Vocabulary::new((0..10).map(|i| format!("w{i}")));
    let model = LanguageModel::random(sizes, vocabulary, None, 1, &Device::flex()).unwrap();
    let ids: Vec<u32> = (0..60).map(|i| i * 7 % 16).collect();
    // One stream: its state is carried over every border between windows.
    let [whole, parts] = [60, 7].map(|steps| measure_language_model(&model.network, &ids, steps, &Silent).unwrap());
    assert!((whole.loss - parts.loss).abs() < 1e-6 && whole.accuracy == parts.accuracy, "{whole:?} {parts:?}");
}

#[test]
fn wrong_settings_and_short_texts_are_refused() {
    let refused = |config: LanguageModelPretrain| trained(&config, None, &Silent).expect_err("it is refused");
    for wrong in [
        LanguageModelPretrain { arch: "resnet50".into(), ..config() },
        LanguageModelPretrain { holdout: 1.0, ..config() },
        LanguageModelPretrain { dropout: -1.0, ..config() },
        LanguageModelPretrain { vocabulary: 0, ..config() },
        LanguageModelPretrain { bptt: 0, ..config() },
        LanguageModelPretrain { batch_size: 0, ..config() },
        LanguageModelPretrain { width: 0, ..config() },
        LanguageModelPretrain { layers: 100, ..config() },
        LanguageModelPretrain { lr: f64::NAN, ..config() },
        LanguageModelPretrain { epochs: 0, ..config() },
    ] {
        let found = refused(wrong.clone());
        assert!(matches!(found, Error::Usage(_)), "{wrong:?}: {found}");
    }
    assert!(matches!(refused(LanguageModelPretrain { bptt: 10_000, ..config() }), Error::Data(_)));
    let vectors = Some(PathBuf::from("none.vec"));
    assert!(matches!(refused(LanguageModelPretrain { vectors, ..config() }), Error::Weights(_)));
}
