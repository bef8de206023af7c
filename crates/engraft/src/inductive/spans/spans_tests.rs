use super::*;
use crate::backbone::Device;
use crate::backbone::text::{EncoderConfig, Family, SentenceEncoder, TextEncoder, WordVectors};
use crate::config::Tune;
use crate::inductive::spans::drive::{Learner, Variant};
use crate::inductive::spans::headed::{TokenData, keep_states, train_headed};
use crate::inductive::spans::questions::QuestionTargets;
use crate::progress::Silent;
use serde_json::{Value, json};

const NAMES: [&str; 6] = ["ada", "bob", "eve", "kim", "lea", "max"];
const THINGS: [&str; 6] = ["apples", "boats", "cats", "dogs", "eggs", "figs"];
const NUMBERS: [&str; 6] = ["two", "three", "four", "five", "six", "seven"];

fn vocabulary() -> Vec<&'static str> {
    let rest =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "has", "how", "many", "and", "is", "here", ".", "?", "no"];
    rest.into_iter().chain(NAMES).chain(THINGS).chain(NUMBERS).collect()
}

fn tokenizer() -> Vec<u8> {
    let vocabulary: serde_json::Map<String, Value> =
        vocabulary().into_iter().enumerate().map(|(id, word)| (word.to_owned(), json!(id))).collect();
    json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary },
    })
    .to_string()
    .into_bytes()
}

fn encoder() -> SentenceEncoder {
    let config: EncoderConfig = serde_json::from_value(json!({
        "family": "bert", "vocabulary": vocabulary().len(), "width": 32, "layers": 2, "heads": 4, "between": 64,
        "positions": 64, "segments": 2, "activation": "gelu", "epsilon": 1e-12, "dropout": 0.0, "pad": 0, "distances": 0,
    }))
    .unwrap();
    assert_eq!(config.family, Family::Bert);
    let layout = serde_json::from_value(json!({ "pooling": "mean", "normalise": false, "limit": 64 })).unwrap();
    let random = TextEncoder::random(&config, 3, &Device::flex());
    let tensors = random.tensors().into_iter().map(|(name, (shape, values))| {
        (name, engraft_weights::Tensor { shape, values, precision: engraft_weights::Precision::F32 })
    });
    let weights = engraft_weights::Weights { tensors: tensors.collect(), ..engraft_weights::Weights::default() };
    SentenceEncoder::from_parts(config, layout, &tokenizer(), weights, &Device::flex()).unwrap()
}

fn base(body: TextBody) -> TextBase {
    TextBase {
        id: "tiny".into(),
        architecture: "test".into(),
        licence: String::new(),
        source: String::new(),
        sha256: String::new(),
        remarks: Vec::new(),
        body,
    }
}

/// Who has how many of what: the answer is the only number.
fn questions(count: usize, refused: bool) -> Vec<u8> {
    let rows = (0..count).map(|at| {
        let (name, thing) = (NAMES[at % 6], THINGS[at / 6 % 6]);
        let number = NUMBERS[(at * 5 + at / 7) % 6];
        let has = !refused || at % 3 > 0;
        let said = if has { number } else { "no" };
        let context = format!("{name} is here . {name} has {said} {thing} and is here .");
        let answers = if has { json!([{ "text": number, "answer_start": context.find(number).unwrap() }]) } else { json!([]) };
        let row = json!({ "id": at.to_string(), "question": format!("how many {thing} has {name} ?"), "context": context, "answers": answers, "is_impossible": !has });
        format!("{row}\n")
    });
    rows.collect::<String>().into_bytes()
}

fn config(folder: &tempfile::TempDir, name: &str, bytes: &[u8], task: &str) -> SpanFit {
    let data = folder.path().join(name);
    std::fs::write(&data, bytes).unwrap();
    let tune = Tune { epochs: 12, lr: 3e-3, dropout: 0.0, rate_factor: 1.0, head_rate: 1.0, ..SpanFit::default().tune };
    SpanFit {
        data,
        task: task.into(),
        folds: 2,
        max_tokens: 48,
        stride: 8,
        control_budget: 0.001,
        tune,
        ..SpanFit::default()
    }
}

#[test]
fn an_encoder_learns_to_answer_and_says_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "q.jsonl", &questions(72, false), "qa");
    let fit = || {
        let base = base(TextBody::Encoder(Box::new(encoder())));
        fit_questions(&config, SpanIntake::questions(&config).unwrap(), base, &Silent, &mut |_, _| {}).unwrap()
    };
    let fitted = fit();
    let out_of_fold = fitted.driven.out_of_fold.as_ref().unwrap();
    assert!(out_of_fold.evaluation.f1.mean > 0.9, "{:?}", out_of_fold.evaluation);
    assert_eq!(out_of_fold.questions, (0..72).collect::<Vec<_>>());
    let names: Vec<&str> = fitted.driven.controls.iter().map(|control| control.name).collect();
    assert_eq!(names, ["scratch", "probe", "baseline"]);
    // No paragraph is on both sides.
    for (a, left) in fitted.train.iter().zip(&fitted.driven.folds) {
        for (b, right) in fitted.train.iter().zip(&fitted.driven.folds) {
            let groups = &fitted.intake.audit.groups;
            assert!(groups[*a] != groups[*b] || left == right);
        }
    }
    let again = fit();
    assert_eq!(again.driven.out_of_fold, fitted.driven.out_of_fold);
    let answer = |fitted: &FittedQuestions| {
        fitted.driven.reader.reader.answer("how many cats has eve ?", "eve has six cats and is here .").unwrap()
    };
    assert_eq!(answer(&again), answer(&fitted));
    // So small a reader may end late; where the answer begins it has learnt.
    assert!(answer(&fitted).text("eve has six cats and is here .", None).starts_with("six"));
}

#[test]
fn questions_without_an_answer_get_a_threshold_from_the_training_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(108, true), "qa");
    config.control_budget = 0.0;
    let base = base(TextBody::Encoder(Box::new(encoder())));
    let fitted =
        fit_questions(&config, SpanIntake::questions(&config).unwrap(), base, &Silent, &mut |_, _| {}).unwrap();
    assert!(fitted.driven.reader.threshold.is_some());
    let evaluation = &fitted.driven.out_of_fold.as_ref().unwrap().evaluation;
    let (has, none) = (evaluation.has_answer.unwrap(), evaluation.no_answer.unwrap());
    assert_eq!((has.n, none.n), (72, 36));
    assert!(has.f1 > 0.7 && none.f1 > 0.8, "{evaluation:?}");
}

#[test]
fn word_vectors_are_read_by_lstms() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(72, false), "qa");
    (config.hidden, config.layers, config.tune.batch_size) = (16, 2, 8);
    (config.tune.dropout, config.tune.lr, config.max_answer) = (0.2, 5e-3, 5);
    let words: Vec<String> = vocabulary().into_iter().map(str::to_owned).collect();
    let columns = words.len();
    let mut values = vec![0.0; columns * columns];
    (0..columns).for_each(|at| values[at * columns + at] = 1.0);
    let vectors = WordVectors::new(words, columns, values).unwrap();
    let fit = || {
        let base = base(TextBody::Words(Box::new(vectors.clone())));
        fit_questions(&config, SpanIntake::questions(&config).unwrap(), base, &Silent, &mut |_, _| {}).unwrap()
    };
    let fitted = fit();
    let out_of_fold = fitted.driven.out_of_fold.as_ref().unwrap();
    assert!(out_of_fold.evaluation.f1.mean > 0.9, "{:?}", out_of_fold.evaluation);
    assert_eq!(fit().driven.out_of_fold.as_ref(), Some(out_of_fold));
}

fn tagged(count: usize) -> Vec<u8> {
    let sentence = |at: usize| {
        let (name, number, thing) = (NAMES[at % 6], NUMBERS[at * 7 % 5], THINGS[at / 5 % 6]);
        format!("{name} B-PER\nhas O\n{number} B-NUM\n{thing} I-NUM\nand O\n{} B-PER\n. O\n\n", NAMES[at / 3 % 6])
    };
    (0..count).map(sentence).collect::<String>().into_bytes()
}

#[test]
fn an_encoder_learns_to_tag() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "t.conll", &tagged(60), "tags");
    // Random blocks that do not learn tell less.
    for (depth, least) in [("all", 0.9), ("last", 0.5)] {
        config.depth = depth.into();
        let base = base(TextBody::Encoder(Box::new(encoder())));
        let intake = SpanIntake::tagged(&config).unwrap();
        let fitted = fit_tags(&config, intake, base, &Silent, &mut |_, _| {}).unwrap();
        let out_of_fold = fitted.driven.out_of_fold.as_ref().unwrap();
        assert!(out_of_fold.evaluation.span_f1.mean > least, "{depth}: {:?}", out_of_fold.evaluation);
        let words = ["Eve", "has", "two", "dogs"].map(str::to_owned);
        let spans: Vec<_> =
            fitted.driven.reader.spans(&words).unwrap().iter().map(|s| (s.kind, s.start, s.end)).collect();
        assert!(depth == "last" || spans == [(1, 0, 1), (0, 2, 4)], "{spans:?}");
    }
}

#[test]
fn long_sentences_are_tagged_in_parts() {
    let encoder = encoder();
    let words: Vec<String> = (0..100).map(|at| NAMES[at % 6].to_owned()).collect();
    let (pieces, texts) = tagging::pieces_of(&encoder.tokenizer, &[&words], 20).unwrap();
    assert!(texts.iter().all(|text| text.ids.len() <= 20 && text.cut == 0));
    let mut next = 0;
    for piece in &pieces {
        assert_eq!(piece.first, next);
        assert!(piece.tokens.iter().all(Option::is_some));
        next += piece.tokens.len();
    }
    assert_eq!(next, words.len());
}

#[test]
fn what_is_frozen_stays_to_the_bit_and_is_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "q.jsonl", &questions(24, false), "qa");
    let intake = SpanIntake::questions(&config).unwrap();
    let base = encoder();
    let cutting = Cutting { limit: 48, stride: 8, longest: 5 };
    let train: Vec<usize> = (0..24).collect();
    let (targets, windows) = QuestionTargets::of(&intake.set, &train, &base.tokenizer, &cutting).unwrap();
    for (unfreeze, depth) in [("together", "block1"), ("gradual", "block0"), ("together", "head")] {
        let mut config = config.clone();
        config.tune.unfreeze = unfreeze.into();
        config.tune.epochs = 4;
        let settings = SpanSettings::of(&config, false).unwrap();
        let plan = stages::SpanPlan::of(&base.encoder, depth, &settings.spread, 20).unwrap();
        let kept = keep_states(&base.encoder, &windows, plan.plan.cut(), &Silent).unwrap();
        let trained = |kept: Option<&[Vec<f32>]>| {
            let data = TokenData {
                base: &base.encoder,
                texts: &windows,
                targets: &targets,
                plan: &plan.plan,
                padding: 0,
                dropout: 0.0,
                low_rank: None,
                kept,
            };
            train_headed(data, 2, &settings.train, &train, &[], &Silent, "test").unwrap()
        };
        let (encoder, head, curve) = trained(kept.as_deref());
        let (before, after) = (base.encoder.tensors(), encoder.tensors());
        for (name, (_, values)) in &before {
            let learns =
                name.contains("layer.1.") && depth == "block1" || name.contains("encoder.layer.") && depth == "block0";
            assert_eq!(after[name].1 != *values, learns, "{name} at {depth}");
        }
        let (_, other_head, other_curve) = trained(None);
        assert_eq!(other_head, head, "states that are kept are those that are computed ({depth}, {unfreeze})");
        let losses = |curve: &crate::train::Curve| curve.steps.iter().map(|step| step.train.loss).collect::<Vec<_>>();
        assert_eq!(losses(&other_curve), losses(&curve));
    }
}

#[test]
fn only_the_factors_learn_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(36, false), "qa");
    (config.tune.lora, config.control_budget, config.folds) = (2, 0.0, 2);
    let encoder = encoder();
    let intake = SpanIntake::questions(&config).unwrap();
    let train: Vec<usize> = (0..36).collect();
    let learner = QuestionLearner::by_encoder(&intake.set, &train, &config, &encoder, &Silent).unwrap();
    let (reader, _) = learner.train(Variant::Transfer, &train, &[], "test", &Silent).unwrap();
    let AnyReader::Encoder(reader) = reader.reader else { panic!("an encoder was asked for") };
    let (before, after) = (encoder.encoder.tensors(), reader.reader.encoder.tensors());
    let changed: Vec<&String> = before.keys().filter(|name| before[*name].1 != after[*name].1).collect();
    assert!(!changed.is_empty());
    assert!(changed.iter().all(|name| name.ends_with(".weight") && !name.contains("LayerNorm")), "{changed:?}");
}

#[test]
fn what_cannot_be_learnt_from_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |config: &SpanFit, body: TextBody, part: &str| {
        let error = fit_questions(config, SpanIntake::questions(config).unwrap(), base(body), &Silent, &mut |_, _| {})
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    let encoder = || TextBody::Encoder(Box::new(encoder()));
    let mut few = config(&folder, "few.jsonl", &questions(1, false), "qa");
    told(&few, encoder(), "too little to hold anything out");
    few.folds = 0;
    told(&few, encoder(), "nothing to measure on");
    let mut deep = config(&folder, "q.jsonl", &questions(24, false), "qa");
    deep.depth = "nowhere".into();
    told(&deep, encoder(), "no such depth or stage");
    deep.depth = "auto".into();
    told(&deep, encoder(), "not chosen by itself");
    deep.depth = "all".into();
    deep.strict = true;
    told(&deep, encoder(), "--strict");
    let tags = config(&folder, "o.conll", b"a O\nb O\n\nc O\n", "tags");
    let intake = SpanIntake::tagged(&tags).unwrap();
    let error = fit_tags(&tags, intake, base(encoder()), &Silent, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("no span to learn from"), "{error}");
}
