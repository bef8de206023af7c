use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::bases::Device;
use crate::bases::text::TextBody;
use crate::bases::text::config::Family;
use crate::bases::text::{EncoderConfig, SentenceEncoder, TextBase, TextEncoder, WordVectors};
use crate::data::inspect::NoStore;
use crate::data::intake::InputKind;
use crate::methods::FineTuned;
use crate::methods::Journal;
use crate::progress::Silent;
use crate::settings::Tune;

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

fn base(body: TextBody) -> AnyBase {
    AnyBase::Texts(Arc::new(TextBase {
        id: "tiny".into(),
        architecture: "test".into(),
        licence: String::new(),
        source: String::new(),
        sha256: String::new(),
        remarks: Vec::new(),
        body,
    }))
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

fn config(folder: &tempfile::TempDir, name: &str, bytes: &[u8], task: &str) -> Fit {
    let data = folder.path().join(name);
    std::fs::write(&data, bytes).unwrap();
    let usual = Tune::for_tokens();
    let tune = Tune { epochs: 12, lr: 3e-3, dropout: 0.0, rate_factor: 1.0, head_rate: 1.0, ..usual };
    Fit {
        data,
        task: Some(task.into()),
        folds: 2,
        max_tokens: Some(48),
        stride: (task == "qa").then_some(8),
        control_budget: 0.001,
        tune,
        ..Fit::for_tokens()
    }
}

fn fitted(config: &Fit, body: TextBody) -> Result<Fitted> {
    let intake = Intake::open(config, InputKind::of(config), &NoStore, &Silent)?;
    let means = Context { cache: None, journal: &Journal::none(), observer: &Silent };
    fit(config, base(body), intake, means, 0.0, &mut |_| {})
}

fn tiny() -> TextBody {
    TextBody::Encoder(Box::new(encoder()))
}

/// What is answered to a question about a paragraph.
fn ask(fitted: &Fitted, question: &str, context: &str) -> String {
    let (AnyBase::Texts(base), Some(tokens)) = (&fitted.base, &fitted.tokens) else { panic!("a base of texts") };
    let reader = TokenReader::new(base, tokens.cutting);
    let example = crate::methods::tokens::TokenExample::Question { question, context };
    let outputs = reader.outputs(&fitted.predictor.head, &[example]).unwrap().remove(0);
    let row = vec![0.0; fitted.predictor.novelty.references.columns];
    match fitted.predictor.answer_of(outputs.into_iter().map(f64::from).collect(), &row) {
        TargetAnswer::Question(answer) => answer.given.text(context).to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_encoder_learns_to_answer_and_says_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "q.jsonl", &questions(72, false), "qa");
    let one = fitted(&config, tiny()).unwrap();
    let Measures::Answers(evaluation) = &one.measures else { panic!("answers") };
    assert!(evaluation.f1.mean > 0.9, "{evaluation:?}");
    assert_eq!(one.taken().rows, (0..72).collect::<Vec<_>>());
    assert_eq!(one.chosen.tried.iter().map(|tried| tried.depth.as_str()).collect::<Vec<_>>(), ["head", "all"]);
    assert_eq!(one.probe.tried.len(), 3, "rates of the head");
    let names: Vec<&str> = one.baselines.iter().map(|baseline| baseline.name).collect();
    assert_eq!(names, ["no answer", "word overlap"]);
    assert!(one.scratch.is_some());
    // No paragraph is on both sides.
    for (a, left) in one.train.iter().zip(&one.folds.0) {
        for (b, right) in one.train.iter().zip(&one.folds.0) {
            let groups = &one.intake.audit.groups;
            assert!(groups[*a] != groups[*b] || left == right);
        }
    }
    let again = fitted(&config, tiny()).unwrap();
    assert_eq!(again.measures, one.measures);
    assert_eq!(again.predictor, one.predictor);
    // So small a reader may end late; where the answer begins it has learnt.
    let said = ask(&one, "how many cats has eve ?", "eve is here . eve has six cats and is here .");
    assert!(said.starts_with("six"), "{said}");
}

#[test]
fn questions_without_an_answer_get_a_threshold_from_the_other_folds() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(108, true), "qa");
    config.control_budget = 0.0;
    let fitted = fitted(&config, tiny()).unwrap();
    let crate::targets::Calibration::Answers { threshold, .. } = &fitted.predictor.calibration else {
        panic!("answers")
    };
    assert!(threshold.is_some());
    let Measures::Answers(evaluation) = &fitted.measures else { panic!("answers") };
    let (has, none) = (evaluation.has_answer.unwrap(), evaluation.no_answer.unwrap());
    assert_eq!((has.n, none.n), (72, 36));
    assert!(has.f1 > 0.7 && none.f1 > 0.8, "{evaluation:?}");
}

#[test]
fn word_vectors_are_read_by_lstms() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(72, false), "qa");
    (config.hidden, config.layers, config.tune.batch_size) = (Some(16), Some(2), 8);
    (config.tune.dropout, config.tune.lr, config.max_answer) = (0.2, 5e-3, Some(5));
    (config.depth, config.max_tokens, config.stride) = ("head".into(), None, None);
    let words: Vec<String> = vocabulary().into_iter().map(str::to_owned).collect();
    let columns = words.len();
    let mut values = vec![0.0; columns * columns];
    (0..columns).for_each(|at| values[at * columns + at] = 1.0);
    let vectors = WordVectors::new(words, columns, values).unwrap();
    let body = || TextBody::Words(Box::new(vectors.clone()));
    let one = fitted(&config, body()).unwrap();
    let Measures::Answers(evaluation) = &one.measures else { panic!("answers") };
    assert!(evaluation.f1.mean > 0.9, "{evaluation:?}");
    assert_eq!(fitted(&config, body()).unwrap().measures, one.measures);
    config.depth = "last".into();
    assert!(fitted(&config, body()).unwrap_err().to_string().contains("no stages"));
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
    for (depth, least) in [("all", 0.9), ("head", 0.3), ("auto", 0.9)] {
        config.depth = depth.into();
        let fitted = fitted(&config, tiny()).unwrap();
        let Measures::Tags(evaluation) = &fitted.measures else { panic!("tags") };
        assert!(evaluation.span_f1.mean > least, "{depth}: {evaluation:?}");
        let (AnyBase::Texts(base), Some(tokens)) = (&fitted.base, &fitted.tokens) else { panic!("a base of texts") };
        let words = ["Eve", "has", "two", "dogs"].map(str::to_owned);
        let example = crate::methods::tokens::TokenExample::Words(&words);
        let outputs = TokenReader::new(base, tokens.cutting).outputs(&fitted.predictor.head, &[example]).unwrap();
        let row = vec![0.0; fitted.predictor.novelty.references.columns];
        let wide = outputs[0].iter().map(|z| f64::from(*z)).collect();
        let TargetAnswer::Tags(answer) = fitted.predictor.answer_of(wide, &row) else { panic!("tags") };
        let spans: Vec<_> = answer.spans.iter().map(|s| (s.kind, s.start, s.end)).collect();
        assert!(depth == "head" || spans == [(1, 0, 1), (0, 2, 4)], "{depth}: {spans:?}");
    }
}

/// What a depth makes of the tiny encoder.
fn trained(config: &Fit, depth: &str) -> (TextEncoder, Head, Curve) {
    let intake = Intake::open(config, InputKind::of(config), &NoStore, &Silent).unwrap();
    let means = Context { cache: None, journal: &Journal::none(), observer: &Silent };
    let basis = Basis::new(config, base(tiny()), &intake, means, true).unwrap();
    let examples = Examples::of(&basis, &intake, &Silent).unwrap();
    let ground = basis.ground(config, &examples, 0.0, means, "");
    let depth = match depth {
        "head" => ground.token_head().unwrap().0,
        name => ground.depth(name, false).unwrap(),
    };
    let all: Vec<usize> = (0..basis.target.len()).collect();
    let at = ground.at(&depth).unwrap();
    let whole = Fold { training: &all, held: &[], seed: 0, identity: "", curve: "" };
    let adapted = ground.train(&depth, at.as_ref(), whole, false).unwrap();
    let FineTuned::Text(base) = adapted.grown else { panic!("a base of texts") };
    let TextBody::Encoder(encoder) = &base.body else { panic!("an encoder") };
    (encoder.encoder.clone(), adapted.head, adapted.curve)
}

#[test]
fn what_is_frozen_stays_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(24, false), "qa");
    config.tune.epochs = 4;
    let before = encoder().encoder.tensors();
    for (unfreeze, depth) in [("together", "block1"), ("gradual", "block0"), ("together", "head")] {
        config.tune.unfreeze = unfreeze.parse().unwrap();
        let (encoder, _, curve) = trained(&config, depth);
        let after = encoder.tensors();
        for (name, (_, values)) in &before {
            let learns =
                name.contains("layer.1.") && depth == "block1" || name.contains("encoder.layer.") && depth == "block0";
            assert_eq!(after[name].1 != *values, learns, "{name} at {depth}");
        }
        let losses: Vec<f64> = curve.epochs.iter().map(|epoch| epoch.train.loss).collect();
        assert!(losses.last() < losses.first(), "the head learns ({depth}): {losses:?}");
    }
}

#[test]
fn only_the_factors_learn_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "q.jsonl", &questions(36, false), "qa");
    (config.tune.lora, config.tune.epochs) = (2, 3);
    let before = encoder().encoder.tensors();
    let (after, ..) = trained(&config, "all");
    let after = after.tensors();
    let changed: Vec<&String> = before.keys().filter(|name| before[*name].1 != after[*name].1).collect();
    assert!(!changed.is_empty());
    assert!(changed.iter().all(|name| name.ends_with(".weight") && !name.contains("LayerNorm")), "{changed:?}");
}

#[test]
fn one_fold_alone_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder, "t.conll", &tagged(60), "tags");
    (config.folds, config.control_budget) = (1, 0.0);
    for depth in ["last", "auto"] {
        config.depth = depth.into();
        let fitted = fitted(&config, tiny()).unwrap();
        assert_eq!(fitted.folds.1, 5);
        let first: Vec<usize> = (0..fitted.train.len()).filter(|&at| fitted.folds.0[at] == 0).collect();
        assert!(fitted.chosen.tried.iter().all(|tried| tried.rows == first), "{depth}");
    }
    config.folds = 0;
    assert!(fitted(&config, tiny()).unwrap_err().to_string().contains("--folds"));
}

#[test]
fn what_cannot_be_learnt_from_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |config: &Fit, body: TextBody, part: &str| {
        let error = fitted(config, body).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    told(&config(&folder, "few.jsonl", &questions(1, false), "qa"), tiny(), "too little to hold anything out");
    let mut deep = config(&folder, "q.jsonl", &questions(24, false), "qa");
    deep.depth = "nowhere".into();
    told(&deep, tiny(), "no such depth or stage");
    deep.depth = "all".into();
    deep.strict = true;
    told(&deep, tiny(), "--strict");
    let mut tags = config(&folder, "o.conll", b"a O\nb O\n\nc O\n", "tags");
    told(&tags, tiny(), "no span to learn from");
    tags.tune.mixup = 0.2;
    told(&tags, tiny(), "--mixup");
    tags = config(&folder, "t.conll", &tagged(30), "tags");
    let words = WordVectors::new(vec!["ada".into()], 2, vec![0.5, 1.0]).unwrap();
    tags.max_tokens = None;
    told(&tags, TextBody::Words(Box::new(words)), "cannot be learnt on this base");
    tags.max_answer = Some(8);
    told(&tags, tiny(), "--max-answer");
}
