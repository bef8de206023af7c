//! `engraft pretrain --method language-model` on a small corpus.

use std::fs;

use crate::sandbox::Sandbox;

const FILES: [&str; 3] = ["model.safetensors", "vocab.txt", "config.json"];

/// Sentences in which every noun has its verb.
fn corpus(sandbox: &Sandbox) {
    let sentence =
        |i: usize| format!("The noun{0} verb{0} the house.\n\n", (i as u32).wrapping_mul(2_654_435_761) >> 13 & 7);
    let text: String = (0..300).map(|i| sentence(i * 31 + i / 7)).collect();
    fs::create_dir(sandbox.path("books")).unwrap();
    fs::write(sandbox.path("books/one.txt"), text).unwrap();
}

const TRAIN: [&str; 19] = [
    "pretrain",
    "--method",
    "language-model",
    "books",
    "--arch",
    "lstm",
    "--width",
    "16",
    "--layers",
    "2",
    "--bptt",
    "16",
    "--epochs",
    "2",
    "--batch-size",
    "8",
    "--holdout",
    "0.1",
    "--json",
];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TRAIN[..], more].concat()
}

#[test]
fn a_corpus_becomes_a_base() {
    let sandbox = Sandbox::new();
    corpus(&sandbox);
    let found = sandbox.run(train(&["--lr", "0.02", "--dropout", "0.1", "--vocabulary", "50", "--out", "mine"]));
    let found = found.expect(0, &["epoch   2: perplexity", "held out: perplexity"]).json();
    let perplexity = found["perplexity"].as_f64().unwrap();
    assert!(perplexity > 1.0 && perplexity < 15.0, "{found}");
    assert!(found["words"].as_u64().unwrap() < 60 && found["tokens_per_second"].as_f64().unwrap() > 0.0);
    for name in FILES.iter().chain(&["curves.csv", "report.json", "run.toml", "log.jsonl"]) {
        assert!(sandbox.path("mine").join(name).is_file(), "{name}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.path("mine/report.json")).unwrap()).unwrap();
    assert_eq!(report["perplexity"], found["perplexity"]);
    assert!(!sandbox.path("mine.unfinished").exists());
    sandbox.run(train(&["--out", "mine"])).expect(5, &["mine"]);
    // Its own settings give it again.
    let again = ["pretrain", "--config", "mine/run.toml", "--out", "again"];
    sandbox.run(again).expect(0, &[]);
    assert_eq!(read(&sandbox, "again"), read(&sandbox, "mine"));
}

fn read(sandbox: &Sandbox, folder: &str) -> Vec<Vec<u8>> {
    FILES[..2].iter().map(|name| fs::read(sandbox.path(folder).join(name)).unwrap()).collect()
}

#[test]
fn word_vectors_are_where_embeddings_begin() {
    let sandbox = Sandbox::new();
    corpus(&sandbox);
    let row = |word: &str| format!("{word} {}\n", (0..16).map(|i| format!("0.{i}")).collect::<Vec<_>>().join(" "));
    fs::write(sandbox.path("words.vec"), ["the", "house", "other"].map(row).concat()).unwrap();
    sandbox.run(train(&["--vectors", "words.vec", "--out", "with"])).expect(0, &[]);
    sandbox.run(train(&["--out", "without"])).expect(0, &[]);
    assert_ne!(read(&sandbox, "with"), read(&sandbox, "without"));
    fs::write(sandbox.path("narrow.vec"), "the 1 2\nhouse 3 4\n").unwrap();
    sandbox.run(train(&["--vectors", "narrow.vec", "--out", "narrow"])).expect(2, &["16 columns"]);
    fs::write(sandbox.path("words.vec"), "the 1 2\nhouse 1\n").unwrap();
    sandbox.run(train(&["--vectors", "words.vec", "--out", "ragged"])).expect(4, &["line 2"]);
}

#[test]
fn a_corpus_may_be_a_table() {
    let sandbox = Sandbox::new();
    let row = |i: usize| {
        format!(
            "{i},The noun{0} verb{0} the house.,nothing of that\n",
            (i as u32).wrapping_mul(2_654_435_761) >> 13 & 7
        )
    };
    let table: String = std::iter::once("id,said,other\n".to_owned()).chain((0..300).map(row)).collect();
    fs::write(sandbox.path("table.csv"), table).unwrap();
    let args =
        ["pretrain", "--method", "language-model", "table.csv", "--text", "said", "--width", "8", "--bptt", "16"];
    sandbox.run([&args[..], &["--out", "mine"]].concat()).expect(0, &[]);
    let words = fs::read_to_string(sandbox.path("mine/vocab.txt")).unwrap();
    assert!(words.contains("noun1\n") && !words.contains("nothing"), "{words}");
    let settings = fs::read_to_string(sandbox.path("mine/run.toml")).unwrap();
    assert!(settings.contains("text = [\"said\"]"), "{settings}");
}

#[test]
fn a_killed_training_goes_on_to_the_same_bytes() {
    let sandbox = Sandbox::new();
    corpus(&sandbox);
    sandbox.run(train(&["--out", "whole"])).expect(0, &[]);
    let mut killed = sandbox.command(train(&["--checkpoint-every", "0", "--out", "mine"]));
    let killed = killed.env("ENGRAFT_FAULT", "checkpoint-before-retention:9").output().unwrap();
    assert!(!killed.status.success());
    assert!(sandbox.path("mine.unfinished").is_dir() && !sandbox.path("mine").exists());
    sandbox.run(train(&["--out", "mine"])).expect(5, &["--resume mine"]);
    sandbox.run(["pretrain", "--resume", "mine"]).expect(0, &["going on from"]);
    assert_eq!(read(&sandbox, "mine"), read(&sandbox, "whole"));
    assert!(!sandbox.path("mine.unfinished").exists());
    sandbox.run(["pretrain", "--resume", "none"]).expect(2, &["nothing to resume"]);
}

#[test]
fn flags_that_mean_nothing_are_refused() {
    let sandbox = Sandbox::new();
    corpus(&sandbox);
    sandbox.run(train(&["--flip", "--out", "mine"])).expect(2, &["--flip"]);
    sandbox.run(train(&["--label-smoothing", "0.1", "--out", "mine"])).expect(2, &["--label-smoothing"]);
    sandbox.run(["pretrain", "books", "--bptt", "9", "--out", "mine"]).expect(2, &["--bptt", "language-model"]);
    sandbox
        .run(["pretrain", "--method", "language-model", "books", "--arch", "gru", "--out", "mine"])
        .expect(2, &["lstm"]);
    sandbox.run(["pretrain", "--method", "language-model", "--out", "mine"]).expect(2, &["no text to learn from"]);
    sandbox.run(["pretrain", "--method", "language-model", "none", "--out", "mine"]).expect(3, &["none"]);
    assert!(!sandbox.path("mine").exists());
}
