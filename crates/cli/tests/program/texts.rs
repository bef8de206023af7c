//! Texts: fit, predict, report, verify, embed and audit on tables and lines; what is refused; stops.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Ran, Sandbox, without_timings};

/// What may stand in a review, and whether it praises.
const WORDS: [(&str, bool); 12] = [
    ("delicious", true),
    ("lovely", true),
    ("perfect", true),
    ("tender", true),
    ("friendly", true),
    ("crisp", true),
    ("cold", false),
    ("rude", false),
    ("stale", false),
    ("bland", false),
    ("dirty", false),
    ("burnt", false),
];
const THINGS: [&str; 8] = ["soup", "bread", "waiter", "table", "pasta", "coffee", "fish", "dessert"];

/// A review by its number: every sentence differs from every other.
pub(crate) fn review(number: usize) -> (String, &'static str) {
    let (word, praises) = WORDS[number % WORDS.len()];
    let thing = THINGS[(number / WORDS.len()) % THINGS.len()];
    let other = THINGS[(number / 7 + 3) % THINGS.len()];
    let text =
        format!("the {thing} was {word}, and the {other} number {number} came after {} minutes", 3 + number % 17);
    (text, if praises { "good" } else { "bad" })
}

/// Reviews as a table, some of them a test split, and word vectors in which praise points one way.
pub(crate) fn reviews(sandbox: &Sandbox, count: usize) {
    let mut table = "id,review,stars,split\n".to_owned();
    for number in 0..count {
        let (text, stars) = review(number);
        let split = if number % 4 == 3 { "test" } else { "train" };
        table += &format!("{number},\"{text}\",{stars},{split}\n");
    }
    fs::write(sandbox.path("reviews.csv"), table).unwrap();
    let mut vectors = String::new();
    let others = THINGS.into_iter().chain(["the", "was", "and", "came", "after", "minutes", "number"]);
    for (at, word) in WORDS.iter().map(|(word, _)| *word).chain(others).enumerate() {
        let praise =
            WORDS.iter().find(|(known, _)| *known == word).map_or(0.0, |(_, good)| if *good { 1.0 } else { -1.0 });
        let rest: Vec<String> =
            (0..5).map(|axis| format!("{:.4}", ((at * 7 + axis * 13) as f64 * 0.7).sin())).collect();
        vectors += &format!("{word} {praise:.4} {}\n", rest.join(" "));
    }
    fs::write(sandbox.path("words.txt"), vectors).unwrap();
}

fn fit(sandbox: &Sandbox, out: &str, more: &[&str]) -> Ran {
    let args = ["fit", "reviews.csv", "--text", "review", "--label", "stars", "--base", "words.txt", "--out", out];
    sandbox.run(args.into_iter().chain(more.iter().copied()))
}

fn report(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

/// What the binary gives for some input.
fn with_input(sandbox: &Sandbox, args: &[&str], input: &[u8]) -> Ran {
    let mut child =
        sandbox.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn word_vectors_answer_lines_and_tables_and_the_run_is_done_again() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 160);
    let told = fit(&sandbox, "run", &[]).expect(0, &["linear probe", "TF-IDF", "word vectors pooled by"]);
    for part in ["accuracy on test", "majority class", "TF-IDF", "the model: ", "verdict"] {
        assert!(told.stdout.contains(part), "{}", told.stdout);
    }
    let first = report(&sandbox, "run");
    assert_eq!(
        (first["task"].as_str(), first["choice"]["depth"].as_str()),
        (Some("text-classification"), Some("head"))
    );
    assert!(first["held_out"][0]["accuracy"]["mean"].as_f64().unwrap() > 0.9, "{first}");
    assert!(first["controls"]["baselines"][1]["measures"]["accuracy"]["mean"].as_f64().unwrap() > 0.8);
    assert!(first["text"]["coverage"]["tokens"].as_u64().unwrap() > 1000);
    let unknown: Vec<&str> =
        first["text"]["unknown_words"].as_array().unwrap().iter().filter_map(|pair| pair[0].as_str()).collect();
    assert!(unknown.iter().all(|word| !THINGS.contains(word)), "{unknown:?}");
    let html = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    assert!(html.contains("On texts like these") && html.contains("Words it does not know"));

    let lines = b"the soup was delicious\n\nthe bread was stale and cold\n\xff\xfe broken\n";
    let answered = with_input(&sandbox, &["predict", "run", "-"], lines).expect(3, &["could not be answered"]);
    let rows: Vec<&str> = answered.stdout.lines().collect();
    assert_eq!(rows.len(), 5, "a row for each line: {}", answered.stdout);
    assert!(rows[1].starts_with("line 1,the soup was delicious,") && rows[1].contains(",good,"), "{}", rows[1]);
    assert!(rows[2].starts_with("line 2,") && rows[2].contains("the text is empty"), "{}", rows[2]);
    assert!(rows[3].contains(",bad,") && rows[4].contains("UTF-8"), "{}", answered.stdout);

    let mut dialogue = sandbox.dialogue(["predict", "run", "-"]);
    assert!(dialogue.hear().starts_with("name,"), "the header");
    for (text, answer) in [("the soup was delicious", ",good,"), ("the bread was stale and cold", ",bad,")] {
        let answered = dialogue.ask(text);
        assert!(answered.contains(text) && answered.contains(answer), "{answered}");
    }
    assert!(dialogue.ask("").contains("the text is empty"), "a blank line is answered too");
    assert!(dialogue.ask("the soup was delicious").contains(",good,"));
    dialogue.end().expect(3, &["1 of the texts"]);

    // A table is answered by the column that was learnt from; answers are those of the evaluation.
    let table = sandbox.run(["predict", "run", "reviews.csv", "--format", "jsonl", "--explain"]).expect(0, &[]);
    let predictions = fs::read_to_string(sandbox.path("run/predictions.csv")).unwrap();
    for line in table.stdout.lines().filter(|line| !line.is_empty()) {
        let answer: Value = serde_json::from_str(line).unwrap();
        let name = answer["name"].as_str().unwrap();
        let held = predictions.lines().find(|row| row.starts_with(&format!("{name},test,")));
        if let Some(held) = held {
            let fields: Vec<&str> = held.split(',').collect();
            // Both are f32, one written with as many digits as it takes, the other widened first.
            assert_eq!(fields[5].parse::<f32>().unwrap(), answer["probability"].as_f64().unwrap() as f32, "{name}");
        }
        assert!(answer["words"].as_array().is_some_and(|words| !words.is_empty()));
    }
    // Lines of a file are read in the encoding that they are written in.
    let wide: Vec<u8> = "\u{feff}the soup was delicious\nthe bread was stale and cold\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    fs::write(sandbox.path("wide.txt"), wide).unwrap();
    let ran = sandbox.run(["predict", "run", "wide.txt", "--json"]).expect(0, &["UTF-16"]);
    let labels: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["label"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(labels, ["good", "bad"]);
    fs::write(sandbox.path("other.csv"), "title,comment\nno,the soup was delicious\n").unwrap();
    let ran = sandbox.run(["predict", "run", "other.csv"]).expect(3, &[]);
    assert!(ran.stdout.contains("--text names the column"), "{}", ran.stdout);
    sandbox.run(["predict", "run", "other.csv", "--text", "comment"]).expect(0, &[]);
    sandbox.run(["predict", "run", "other.csv", "--exact"]).expect(2, &["--exact has no effect"]);
    sandbox.run(["verify", "run"]).expect(0, &[]);
    sandbox.run(["report", "run"]).expect(0, &[]);
    fit(&sandbox, "again", &["--threads", "1", "--no-cache"]).expect(0, &[]);
    assert_eq!(without_timings(first), without_timings(report(&sandbox, "again")));
    for file in ["model.safetensors", "predictions.csv", "vocab.txt"] {
        assert_eq!(
            fs::read(sandbox.path("run").join(file)).unwrap(),
            fs::read(sandbox.path("again").join(file)).unwrap()
        );
    }
}

#[test]
fn damage_to_a_run_is_seen() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 80);
    fit(&sandbox, "run", &["--pooling", "mean", "--lora", "4"]).expect(2, &["no blocks to train", "--lora 4"]);
    fit(&sandbox, "run", &["--pooling", "mean"]).expect(0, &[]);
    let path = sandbox.path("run/vocab.txt");
    let mut words = fs::read(&path).unwrap();
    words[3] ^= 1;
    fs::write(&path, words).unwrap();
    with_input(&sandbox, &["predict", "run", "-"], b"soup\n").expect(4, &["vocab.txt", "damaged"]);
}

#[test]
fn what_makes_no_sense_for_texts_is_refused() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 60);
    fit(&sandbox, "run", &["--mixup", "0.2", "--image-size", "64"])
        .expect(2, &["--mixup", "--image-size", "do not apply to texts"]);
    fit(&sandbox, "run", &["--depth", "last"]).expect(2, &["word vectors have no stages"]);
    fit(&sandbox, "run", &["--task", "regression"]).expect(3, &["a label is not a number"]);
    fit(&sandbox, "run", &["--pooling", "max"]).expect(2, &["mean, idf or sif"]);
    fit(&sandbox, "run", &["--find-lr"]).expect(2, &["no rate to find"]);
    let args =
        ["fit", "reviews.csv", "--text", "review", "--label", "stars", "--out", "run", "--base", "nowhere/at-all"];
    sandbox.run(args).expect(4, &["nowhere/at-all", "bases pull"]);
    let args = ["fit", "reviews.csv", "--text", "stars", "--label", "review", "--base", "words.txt", "--out", "run"];
    sandbox.run(args).expect(3, &["free text"]);
    let args = ["fit", "reviews.csv", "--text", "opinion", "--label", "stars", "--base", "words.txt", "--out", "run"];
    sandbox.run(args).expect(3, &["opinion"]);
    fs::write(sandbox.path("ragged.csv"), "text,label\na good one,x\na bad one\n").unwrap();
    sandbox.run(["fit", "ragged.csv", "--base", "words.txt", "--out", "run"]).expect(3, &["ragged.csv"]);
    assert!(!sandbox.path("run").exists());
}

/// Texts are told numbers and sets of labels as images are, by the same fit.
#[test]
fn texts_have_numbers_and_sets_of_labels() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 80);
    let table = fs::read_to_string(sandbox.path("reviews.csv")).unwrap();
    // Rows are `number,"text",stars,split`.
    let of = |label: &dyn Fn(usize, bool) -> String| -> String {
        let rows = table.lines().skip(1).enumerate().map(|(at, line)| {
            let parts: Vec<&str> = line.split('"').collect();
            format!("\"{}\",{}\n", parts[1], label(at, parts[2].contains("good")))
        });
        "review,target\n".to_owned() + &rows.collect::<String>()
    };
    let number = |at: usize, good: bool| format!("{:.2}", if good { 3.0 } else { 0.0 } + (at % 7) as f64 * 0.13);
    fs::write(sandbox.path("numbers.csv"), of(&number)).unwrap();
    let set = |at: usize, good: bool| format!("{}{}", if good { "kind" } else { "harsh" }, ["|even", "|odd"][at % 2]);
    fs::write(sandbox.path("sets.csv"), of(&set)).unwrap();
    for (table, task) in [("numbers.csv", "regression"), ("sets.csv", "multi-label")] {
        let run = format!("run-{task}");
        let fit = ["fit", table, "--text", "review", "--label-column", "target", "--base", "words.txt", "--out", &run];
        sandbox.run(fit).expect(0, &[&format!("task: {task}"), "word vectors pooled by"]);
        let report: Value =
            serde_json::from_slice(&fs::read(sandbox.path(format!("{run}/report.json"))).unwrap()).unwrap();
        assert_eq!(report["task"], task);
        assert!(report["text"]["coverage"]["texts"].as_u64().unwrap() > 0, "{report}");
        let answers =
            with_input(&sandbox, &["predict", &run, "-"], b"a good soup\na poor soup\n").expect(0, &[]).stdout;
        assert_eq!(answers.lines().count(), 3, "{answers}");
        with_input(&sandbox, &["predict", &run, "-", "--explain"], b"soup\n").expect(2, &["--explain", task]);
        sandbox.run(["verify", &run]).expect(0, &[]);
    }
}

#[test]
fn embeddings_of_a_table_go_on_after_a_stop() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 60);
    let mut lines = String::new();
    for number in 0..9000 {
        lines += &format!("{{\"body\": \"{} {}\"}}\n", review(number).0, number / 3);
    }
    lines += "{\"body\": \"\"}\n";
    fs::write(sandbox.path("corpus.jsonl"), lines).unwrap();
    let args = |out: &'static str| ["embed", "corpus.jsonl", "--text", "body", "--base", "words.txt", "-o", out];
    sandbox.run(args("whole.npy")).expect(3, &["it is empty"]);
    if cfg!(debug_assertions) {
        let killed = sandbox.command(args("parts.npy")).env("ENGRAFT_FAULT", "part-embedded:2").output().unwrap();
        assert!(!killed.status.success());
        assert!(!sandbox.path("parts.npy").exists() && sandbox.path("parts.npy.unfinished").exists());
        sandbox.run(args("parts.npy")).expect(3, &["before the command was stopped"]);
        assert_eq!(fs::read(sandbox.path("whole.npy")).unwrap(), fs::read(sandbox.path("parts.npy")).unwrap());
        assert!(!sandbox.path("parts.npy.unfinished").exists());
    }
    sandbox.run(args("cached.npy").into_iter().chain(["--no-cache"])).expect(2, &["are not cached"]);
    sandbox.run(args("rows.parquet")).expect(3, &[]);
    sandbox.run(args("rows.jsonl")).expect(3, &[]);
    let index = fs::read_to_string(sandbox.path("whole.npy.index.csv")).unwrap();
    assert_eq!(index.lines().count(), 9001);
    let strict = args("strict.npy").into_iter().chain(["--strict"]);
    sandbox.run(strict).expect(3, &["empty"]);
    assert!(!sandbox.path("strict.npy").exists());
}

#[test]
fn an_audit_of_texts_names_what_is_wrong() {
    let sandbox = Sandbox::new();
    let mut table = "text,label\n".to_owned();
    for number in 0..40 {
        let (text, label) = review(number);
        table += &format!("\"{text}\",{label}\n");
    }
    table += "\"the soup was cold and the cafÃ© was far\",bad\n\"!!! ☺☺☺\",good\n,good\n";
    table += &format!("\"{}\",bad\n", review(0).0);
    fs::write(sandbox.path("texts.csv"), table).unwrap();
    let audit = sandbox.run(["audit", "texts.csv", "--json"]).expect(0, &[]).json();
    let kinds: Vec<&str> =
        audit["findings"].as_array().unwrap().iter().filter_map(|finding| finding["kind"].as_str()).collect();
    for kind in ["label-conflict", "mojibake"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}
