use std::sync::OnceLock;

use super::*;
use crate::data::text::Document;
use crate::methods::language_model::Documents;
use crate::methods::pretrain_language_model;
use crate::progress::Silent;
use crate::settings::LanguageModelPretrain;

/// Short reviews, of which one word in each tells the class.
fn reviews(count: usize) -> (Vec<Text>, Vec<usize>) {
    let tells = [["awful", "dull", "boring"], ["lovely", "bright", "moving"]];
    let things = ["film", "plot", "cast", "music", "ending"];
    let text = |i: usize| {
        let (class, thing, other) = (i % 2, things[i * 7 % 5], things[i * 3 % 5]);
        // A word that the language model does not know.
        let thing = if i % 8 < 2 && count < 100 { "score" } else { thing };
        let second = if i.is_multiple_of(3) { format!(" and the {other} was there") } else { String::new() };
        Text { first: format!("The {thing} was {}{second}.", tells[class][i / 2 % 3]), second: None }
    };
    ((0..count).map(text).collect(), (0..count).map(|i| i % 2).collect())
}

/// A language model of other reviews.
fn base() -> LanguageModel {
    static BASE: OnceLock<LanguageModel> = OnceLock::new();
    let train = || {
        let config = LanguageModelPretrain {
            width: 16,
            hidden: 24,
            bptt: 16,
            epochs: 3,
            batch_size: 8,
            lr: 2e-2,
            dropout: 0.1,
            ..LanguageModelPretrain::default()
        };
        let document = |text: Text| Ok(Document { name: String::new(), text: text.first });
        let corpus = || -> Result<Documents> { Ok(Box::new(reviews(400).0.into_iter().map(document))) };
        pretrain_language_model(&config, &corpus, None, &Silent, |_| ()).unwrap().model
    };
    BASE.get_or_init(train).clone()
}

fn settings() -> UlmfitSettings {
    UlmfitSettings {
        language_epochs: 2,
        bptt: 12,
        epochs: 12,
        batch_size: 16,
        lr: 2e-2,
        language_lr: 2e-2,
        dropout: 0.2,
        ..UlmfitSettings::default()
    }
}

fn tuned(settings: &UlmfitSettings) -> (TunedLstm, Vec<Text>, Vec<usize>) {
    let (texts, labels) = reviews(90);
    let train: Vec<usize> = (0..60).collect();
    let all: Vec<&Text> = texts.iter().collect();
    let tuned = tune_lstm(&base(), &all, &labels, 2, &train, settings, &Silent).unwrap();
    (tuned, texts, labels)
}

#[test]
fn reviews_are_told_apart() {
    // So narrow a network learns nothing in so few steps where units are dropped.
    let (tuned, texts, labels) = tuned(&UlmfitSettings { dropout: 0.0, ..settings() });
    let held_out: Vec<&Text> = texts[60..].iter().collect();
    let logits = tuned.logits(&held_out);
    let right = logits.chunks(2).zip(&labels[60..]).filter(|(row, label)| argmax(row) == **label).count();
    assert!(right >= 27, "{right} of 30");
    assert_eq!(tuned.curves.each_ref().map(|curve| curve.epochs.len()), [2, 12]);
    assert!(tuned.model.vocabulary.number("score").is_some());
    // Alone, a text gets the bits that it gets among others.
    assert_eq!(tuned.logits(&held_out[3..4]), logits[6..8]);
}

#[test]
fn without_epochs_of_its_own_the_language_model_stays() {
    let (tuned, ..) = tuned(&UlmfitSettings { epochs: 1, language_epochs: 0, ..settings() });
    assert!(tuned.logits(&[]).is_empty());
    assert_eq!(tuned.model.to_parts().weights, base().to_parts().weights);
}

#[test]
fn the_same_command_gives_the_same_bytes_on_any_threads() {
    let settings = UlmfitSettings { epochs: 2, language_epochs: 1, ..settings() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let tuned = pool.install(|| tuned(&settings).0);
        (tuned.model.to_parts(), tuned.head.tensors())
    };
    assert!(run(1) == run(2));
}

#[test]
fn kept_states_change_nothing_but_the_time() {
    let (texts, labels) = reviews(20);
    let (settings, model) = (settings(), base());
    let texts: Vec<&Text> = texts.iter().collect();
    let (encoded, _) = model.encode(&texts, 100);
    let encoded: Vec<&[u32]> = encoded.iter().map(Vec::as_slice).collect();
    let device = Device::flex().autodiff();
    let mut task = Classify {
        encoded: &encoded,
        labels,
        settings: &settings,
        dropouts: Dropouts::NONE,
        dropout: 0.0,
        stages: 3,
        base: model.network.clone(),
        kept: None,
        device: device.clone(),
    };
    let head = LstmHead::random(&model.embed(&texts, 100), 2, 1, &device);
    let classifier = LstmClassifier { network: model.onto(&device).network, head };
    for epoch in 0..4 {
        let pass = Pass::default();
        let value = |task: &Classify<'_>| {
            task.loss(&classifier, &[3, 1, 8, 0], epoch, &pass).unwrap().loss.into_scalar::<f32>()
        };
        task.kept = None;
        let without = value(&task);
        task.begin(epoch).unwrap();
        assert_eq!(task.kept.is_some(), epoch < 3);
        assert_eq!(value(&task), without, "epoch {epoch}");
    }
}

#[test]
fn stages_thaw_from_the_last_to_the_first() {
    let row = |epochs: u64| (0..epochs).map(|epoch| first_learning(4, epoch, epochs)).collect::<Vec<_>>();
    assert_eq!(row(6), [4, 3, 2, 1, 0, 0]);
    assert_eq!(row(5), [4, 3, 2, 1, 0]);
    assert_eq!(row(3), [4, 2, 0]);
    assert_eq!(row(2), [4, 0]);
}

#[test]
fn one_epoch_trains_the_head_alone() {
    assert_eq!(first_learning(4, 0, 1), 4);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let (texts, labels) = reviews(4);
    let texts: Vec<&Text> = texts.iter().collect();
    let refused = |settings: UlmfitSettings, train: &[usize]| {
        matches!(tune_lstm(&base(), &texts, &labels, 2, train, &settings, &Silent), Err(Error::Usage(_)))
    };
    assert!(refused(UlmfitSettings { limit: 0, ..settings() }, &[0, 1]));
    assert!(refused(UlmfitSettings { batch_size: 0, ..settings() }, &[0, 1]));
    assert!(refused(UlmfitSettings { bptt: 0, ..settings() }, &[0, 1]));
    assert!(refused(UlmfitSettings { epochs: 0, language_epochs: 0, ..settings() }, &[0, 1]));
    assert!(refused(settings(), &[]));
}

#[test]
fn a_narrow_network_loses_fewer_units() {
    let of = |hidden| settings().dropout_of(LstmConfig { vocabulary: 9, width: 16, hidden, layers: 3 });
    assert!((of(1150) - 0.2).abs() < 1e-12 && (of(5000) - 0.2).abs() < 1e-12);
    assert!((of(46) - 0.04).abs() < 1e-12);
}
