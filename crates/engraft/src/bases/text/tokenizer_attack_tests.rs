//! Damaged and hostile tokenizers: whatever a `tokenizer.json` says, there is an answer or an error, soon, and no panic.

use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};

use super::*;
use crate::rng::rng;

/// Mutations of each file.
const CASES: u64 = 1_000;

/// The longest that one may take. (An ordinary one takes a thousandth of it; machines may be busy.)
const LIMIT: Duration = Duration::from_secs(10);

/// Names of steps, some of which do not exist.
const KINDS: [&str; 26] = [
    "Sequence",
    "BertNormalizer",
    "Replace",
    "Precompiled",
    "Strip",
    "Prepend",
    "NFC",
    "Lowercase",
    "ByteLevel",
    "BertPreTokenizer",
    "Metaspace",
    "Split",
    "Digits",
    "Punctuation",
    "UnicodeScripts",
    "WordPiece",
    "WordLevel",
    "BPE",
    "Unigram",
    "TemplateProcessing",
    "RobertaProcessing",
    "BPEDecoder",
    "CTC",
    "Fuse",
    "ByteFallback",
    "Odd",
];

const LISTS: [&str; 4] = ["normalizers", "pretokenizers", "decoders", "processors"];

const REGEXES: [&str; 8] =
    ["(", "a{1000}{1000}", "(x+x+)+y", "\\p{Nope}", "(?<=a|bc)", "", "\\b", "((((((((((a))))))))))*"];

fn files() -> Vec<Value> {
    let words = json!({ "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 3, "cat": 4, "##s": 5, "t": 6, "h": 7, "th": 8, "\u{120}a": 9 });
    let file = |model: Value, normalizer: Value, splitter: Value, processor: Value, decoder: Value| {
        json!({
            "version": "1.0",
            "truncation": { "direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0 },
            "padding": { "strategy": { "Fixed": 128 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[UNK]" },
            "added_tokens": [
                { "id": 1, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true },
                { "id": 2, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false },
            ],
            "normalizer": normalizer,
            "pre_tokenizer": splitter,
            "post_processor": processor,
            "decoder": decoder,
            "model": model,
        })
    };
    vec![
        file(
            json!({ "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": words }),
            json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true }),
            json!({ "type": "BertPreTokenizer" }),
            json!({
                "type": "TemplateProcessing",
                "single": [{ "SpecialToken": { "id": "[CLS]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
                "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
                "special_tokens": { "[CLS]": { "id": "[CLS]", "ids": [1], "tokens": ["[CLS]"] } },
            }),
            json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        ),
        file(
            json!({ "type": "BPE", "dropout": null, "unk_token": "[UNK]", "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": words, "merges": ["t h"] }),
            json!({ "type": "Sequence", "normalizers": [
                { "type": "Replace", "pattern": { "Regex": "(a+)+$" }, "content": "x" }, { "type": "Strip", "strip_left": true, "strip_right": true }, { "type": "NFKC" },
            ] }),
            json!({ "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": "\\p{L}+|\\s+" }, "behavior": "Isolated", "invert": false },
                { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            ] }),
            json!({ "type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1], "trim_offsets": true, "add_prefix_space": false }),
            json!({ "type": "Sequence", "decoders": [{ "type": "ByteFallback" }, { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 }] }),
        ),
        file(
            json!({ "type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["[UNK]", 0.0], ["\u{2581}the", -1.0], ["\u{2581}", -2.0], ["c", -3.0], ["at", -3.5]] }),
            json!({ "type": "Sequence", "normalizers": [{ "type": "NFKC" }, { "type": "Prepend", "prepend": "\u{2581}" }] }),
            json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true }),
            Value::Null,
            json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true }),
        ),
    ]
}

/// Places of all values inside, as pointers.
fn places(value: &Value, at: String, all: &mut Vec<String>) {
    all.push(at.clone());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| places(item, format!("{at}/{i}"), all)),
        Value::Object(fields) => {
            for (name, item) in fields {
                places(item, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        _ => {}
    }
}

fn nested(kind: &str, list: &str, depth: usize) -> Value {
    (0..depth).fold(json!({ "type": "Lowercase" }), |inner, _| json!({ "type": kind, list: [inner] }))
}

fn mutated(file: &Value, case: u64) -> Vec<u8> {
    let mut rng = rng(case, "tokenizer attack", 0);
    let mut file = file.clone();
    for _ in 0..rng.random_range(1..4) {
        let mut all = Vec::new();
        places(&file, String::new(), &mut all);
        // Not the whole file, most of the time; a large vocabulary is a single place as often as its parts.
        let place = all[rng.random_range(usize::from(all.len() > 1)..all.len())].clone();
        let donor = all[rng.random_range(0..all.len())].clone();
        let donated = file.pointer(&donor).cloned().unwrap_or_default();
        let Some(value) = file.pointer_mut(&place) else { continue };
        *value = match rng.random_range(0..14) {
            0 => Value::Null,
            1 => json!(-1),
            2 => json!(u64::MAX),
            3 => json!(1e300),
            4 => json!(""),
            5 => json!("[UNK] \u{0}\u{202e}\u{e9}".repeat(rng.random_range(1..300))),
            6 => json!({ "type": KINDS[rng.random_range(0..KINDS.len())] }),
            7 => json!({ "Regex": REGEXES[rng.random_range(0..REGEXES.len())] }),
            8 => nested("Sequence", LISTS[rng.random_range(0..LISTS.len())], rng.random_range(1..12)),
            9 => json!(KINDS[rng.random_range(0..KINDS.len())]),
            10 => json!([donated.clone(), donated]),
            11 => json!(rng.random_range(0..u32::MAX)),
            12 => json!(true),
            _ => donated,
        };
    }
    let mut bytes = serde_json::to_vec(&file).unwrap();
    if rng.random_range(0..3) == 0 {
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..4) {
                0 => bytes[at] = rng.random(),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                _ => bytes.insert(at, b"{}[]\",:0"[rng.random_range(0..8)]),
            }
        }
    }
    bytes
}

/// Everything that is done with a tokenizer; whether it could be opened.
fn used(json: &[u8]) -> bool {
    let Ok(tokenizer) = Tokenizer::from_bytes(json) else { return false };
    let long =
        "the cats  sat\u{301} \u{1f600} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! \u{2581}the [SEP] ".repeat(20);
    for words in ["", "the cat", &long] {
        let _ = tokenizer.encode(&Text { first: words.into(), second: None }, 64);
        let _ = tokenizer.encode(&Text { first: words.into(), second: Some("xx".into()) }, 16);
        let _ = tokenizer.encode_words(&words.split(' ').collect::<Vec<_>>(), 64);
        let _ = tokenizer.windows("who?", words, 32, 8);
    }
    let _ = tokenizer.to_bytes();
    let _ = tokenizer.lower_cased().encode(&Text { first: "The".into(), second: None }, 8);
    true
}

fn attacked(name: &str, file: &Value, cases: u64) {
    let (mut opened, mut slowest) = (0, (Duration::ZERO, 0));
    for case in 0..cases {
        let json = mutated(file, case);
        let start = Instant::now();
        opened += u64::from(used(&json));
        slowest = slowest.max((start.elapsed(), case));
        let shown = String::from_utf8_lossy(&json[..json.len().min(4_000)]);
        assert!(start.elapsed() < LIMIT, "{name}, case {case}: {:?}: {shown}", start.elapsed());
    }
    #[expect(clippy::print_stdout, reason = "how it went")]
    {
        println!("{name}: {cases} mutations, {opened} opened, slowest {:?} (case {})", slowest.0, slowest.1);
    }
    assert!(opened > 0 && opened < cases, "{name}: {opened} of {cases} opened");
}

#[test]
fn mutations_of_tokenizers_never_panic() {
    for (name, file) in ["WordPiece", "BPE", "Unigram"].into_iter().zip(&files()) {
        assert!(used(&serde_json::to_vec(file).unwrap()), "{name}");
        attacked(name, file, CASES);
    }
}

/// A real one: `ENGRAFT_TOKENIZER=tokenizer.json cargo test -p engraft --lib -- --ignored mutations_of_a_given`.
#[test]
#[ignore = "takes a file"]
fn mutations_of_a_given_tokenizer_never_panic() {
    let place = std::env::var_os("ENGRAFT_TOKENIZER").expect("ENGRAFT_TOKENIZER names a tokenizer.json");
    let file: Value = serde_json::from_slice(&std::fs::read(place).unwrap()).unwrap();
    let cases = std::env::var("ENGRAFT_CASES").map_or(2_500, |cases| cases.parse().unwrap());
    attacked("given", &file, cases);
}

#[test]
fn a_syntax_error_in_the_decoder_is_an_error() {
    let whole = serde_json::to_string(&files()[0]).unwrap();
    for broken in [
        whole.replace(r#""cleanup":true"#, r#""cleanup":"#),
        whole.replace("\"prefix\":\"##\"", "\"prefix\":##"),
        whole.replace(r#"{"cleanup":true,"#, r#"{"cleanup":true,,"#),
    ] {
        assert_ne!(broken, whole);
        let error = Tokenizer::from_bytes(broken.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}

#[test]
fn what_lies_too_deep_is_refused_and_what_lies_deep_is_soon_read() {
    for (place, list) in [("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("decoder", "decoders")] {
        let mut file = files().remove(0);
        file[place] = nested("Sequence", list, 11);
        let start = Instant::now();
        used(&serde_json::to_vec(&file).unwrap());
        assert!(start.elapsed() < LIMIT, "{place}: {:?}", start.elapsed());
        file[place] = nested("Sequence", list, 100);
        let error = Tokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap_err().to_string();
        assert!(error.contains("deep"), "{error}");
    }
    let endless = [b"{\"normalizer\":".as_slice(), &b"[".repeat(1_000_000)].concat();
    assert!(Tokenizer::from_bytes(&endless).is_err());
}
