//! Answers to questions and tagged words: fitted, reported, asked, done again; and what is refused.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use engraft::bases::Device;
use engraft::bases::text::{EncoderConfig, TextEncoder};
use serde_json::{Value, json};

use crate::sandbox::{Ran, Sandbox, without_timings};

pub(crate) const NAMES: [&str; 6] = ["ada", "bob", "eve", "kim", "lea", "max"];
pub(crate) const THINGS: [&str; 6] = ["apples", "boats", "cats", "dogs", "eggs", "figs"];
pub(crate) const NUMBERS: [&str; 6] = ["two", "three", "four", "five", "six", "seven"];
/// A training of seconds for a network of nothing.
const QUICK: [&str; 16] = [
    "--folds",
    "2",
    "--epochs",
    "12",
    "--lr",
    "0.003",
    "--rate-factor",
    "1",
    "--head-rate",
    "1",
    "--dropout",
    "0",
    "--max-tokens",
    "48",
    "--control-budget",
    "0.001",
];

/// A folder with a tiny encoder of random numbers that knows the words of these tests.
pub(crate) fn encoder(sandbox: &Sandbox) {
    let folder = sandbox.path("tiny");
    fs::create_dir_all(&folder).unwrap();
    let rest = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "has", "how", "many", "and", "is", "here", ".", "?"];
    let words: Vec<&str> = rest.into_iter().chain(NAMES).chain(THINGS).chain(NUMBERS).collect();
    fs::write(folder.join("vocab.txt"), words.join("\n")).unwrap();
    let said = json!({
        "model_type": "bert", "vocab_size": words.len(), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 2,
    });
    fs::write(folder.join("config.json"), said.to_string()).unwrap();
    let config = EncoderConfig::parse(said.to_string().as_bytes(), &folder).unwrap();
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, (shape, values)) in TextEncoder::random(&config, 3, &Device::flex()).tensors() {
        let start = bytes.len();
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, bytes.len()] }));
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

/// Who has how many of what, as SQuAD has it: a paragraph for each question, the answer its only number.
pub(crate) fn squad(from: usize, count: usize) -> String {
    let paragraph = |at: usize| {
        let (name, thing, number) = (NAMES[at % 6], THINGS[at / 6 % 6], NUMBERS[(at * 5 + at / 7) % 6]);
        let context = format!("{name} is here . {name} has {number} {thing} and is here .");
        let answer = json!({ "text": number, "answer_start": context.find(number).unwrap() });
        let qas = json!([{ "id": format!("q{at}"), "question": format!("how many {thing} has {name} ?"), "answers": [answer] }]);
        json!({ "context": context, "qas": qas })
    };
    let paragraphs: Vec<Value> = (from..from + count).map(paragraph).collect();
    json!({ "version": "1.1", "data": [{ "title": "t", "paragraphs": paragraphs }] }).to_string()
}

pub(crate) fn tagged(count: usize) -> String {
    let sentence = |at: usize| {
        let (name, number, thing) = (NAMES[at % 6], NUMBERS[at * 7 % 5], THINGS[at / 5 % 6]);
        format!("{name} NN B-PER\nhas VB O\n{number} CD B-NUM\n{thing} NN I-NUM\n. . O\n\n")
    };
    (0..count).map(sentence).collect()
}

fn fit(sandbox: &Sandbox, data: &str, task: &str, out: &str, more: &[&str]) -> Ran {
    let fixed = ["fit", data, "--task", task, "--base", "tiny", "--out", out];
    let stride: &[&str] = if task == "qa" { &["--stride", "8"] } else { &[] };
    sandbox.run(fixed.iter().chain(&QUICK).chain(stride).chain(more))
}

fn report(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn with_stdin(sandbox: &Sandbox, args: &[&str], text: impl AsRef<[u8]>) -> Ran {
    let mut child =
        sandbox.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_ref()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn questions_are_answered_as_they_were_measured() {
    let sandbox = Sandbox::new();
    encoder(&sandbox);
    fs::create_dir(sandbox.path("data")).unwrap();
    fs::write(sandbox.path("data/train.json"), squad(0, 60)).unwrap();
    fs::write(sandbox.path("data/test.json"), squad(61, 11)).unwrap();
    let ran = fit(&sandbox, "data", "qa", "run", &[])
        .expect(0, &["linear probe, out-of-fold F1", "word overlap, out-of-fold F1", "depth: "]);
    for part in
        ["on test", "out-of-fold", "exact match", "from scratch", "no answer", "word overlap", "verdict", "report.html"]
    {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    let mut names: Vec<String> = fs::read_dir(sandbox.path("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected = [
        "curves.csv",
        "log.jsonl",
        "model.json",
        "model.safetensors",
        "predictions.csv",
        "predictions.json",
        "report.html",
        "report.json",
        "run.toml",
        "tokenizer.json",
    ];
    assert_eq!(names, expected);

    let report = report(&sandbox, "run");
    assert_eq!((&report["schema"], &report["task"]), (&2.into(), &"qa".into()));
    let answers = &report["answers"];
    for measured in [answers, &report["held_out"][0]] {
        for measure in ["em", "f1"] {
            let [low, mean, high] = ["low", "mean", "high"].map(|end| measured[measure][end].as_f64().unwrap());
            assert!(low <= mean && mean <= high && mean > 0.8, "{measure}: {}", measured[measure]);
        }
    }
    // Questions 27 and 34 are asked again as 63 and 70, which are measured on: they are not learnt from.
    assert_eq!((&answers["f1"]["n"], &report["held_out"][0]["f1"]["n"]), (&58.into(), &11.into()));
    let names: Vec<&str> =
        report["controls"]["baselines"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["no answer", "word overlap"]);
    assert!(report["controls"]["baselines"][1]["paired"]["difference"].is_number());
    assert!(report["controls"]["scratch"]["f1"]["mean"].is_number());
    assert_eq!(report["choice"]["tried"].as_array().unwrap().len(), 2);
    let html = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    assert!(
        html.contains("Beside baselines")
            && html.contains("its answers have an F1 of")
            && html.contains("How it learned")
    );

    // What was evaluated is what is answered, to the bit.
    let evaluated = fs::read_to_string(sandbox.path("run/predictions.csv")).unwrap();
    let evaluated: Vec<Vec<String>> = rows(&evaluated).into_iter().filter(|row| row[1] == "test").collect();
    let asked = sandbox.run(["predict", "run", "data/test.json"]).expect(0, &[]);
    let answered = rows(&asked.stdout);
    let header = ["id", "question", "answer", "probability", "no_answer", "start", "end", "unsure", "unlike", "error"];
    assert_eq!(answered[0], header);
    assert_eq!(evaluated.len(), 11);
    for (evaluated, answered) in evaluated.iter().zip(&answered[1..]) {
        assert_eq!(
            (&evaluated[0], &evaluated[5], &evaluated[8], &evaluated[9], &evaluated[10], &evaluated[12]),
            (&answered[0], &answered[2], &answered[3], &answered[4], &answered[7], &answered[8])
        );
    }
    let by_id: Value = serde_json::from_slice(&fs::read(sandbox.path("run/predictions.json")).unwrap()).unwrap();
    assert_eq!(by_id.as_object().unwrap().len(), 58 + 11);
    assert_eq!(by_id[&evaluated[0][0]], Value::String(evaluated[0][5].clone()));

    fs::write(sandbox.path("page.txt"), "Eve is here . Eve has six cats and is here .\n").unwrap();
    let ran = sandbox.run(["predict", "run", "--context", "page.txt", "How many cats has Eve ?", "--format", "jsonl"]);
    let answer = ran.expect(0, &[]).json();
    assert_eq!((&answer["answer"], &answer["start"], &answer["end"]), (&"six".into(), &22.into(), &25.into()));
    assert_eq!(answer["top"].as_array().unwrap().len(), 3);
    let broken = b"how many cats has eve ?\n\xff\nhow many cats has eve ?\n";
    let ran = with_stdin(&sandbox, &["predict", "run", "--context", "page.txt", "-"], broken).expect(3, &["1 of the"]);
    assert_eq!(rows(&ran.stdout).len(), 4, "{}", ran.stdout);
    fs::write(sandbox.path("empty.txt"), " \n").unwrap();
    sandbox.run(["predict", "run", "--context", "empty.txt", "Who?"]).expect(3, &["--context is empty"]);
    sandbox.run(["predict", "run", "--context", "no.txt", "Who?"]).expect(3, &["no.txt"]);
    sandbox.run(["predict", "run", "--context", "page.txt", "Who?", "--mean", "0.5"]).expect(2, &["no effect"]);
    let again = with_stdin(&sandbox, &["predict", "run", "--context", "page.txt", "-"], "How many cats has Eve ?\n");
    assert!(again.expect(0, &[]).stdout.contains(",six,"));
    let mut dialogue = sandbox.dialogue(["predict", "run", "--context", "page.txt", "-", "--format", "jsonl"]);
    for _ in 0..2 {
        assert!(dialogue.ask("How many cats has Eve ?").contains("six"));
    }
    dialogue.end().expect(0, &[]);
    // Questions with their paragraphs, a line each; one that is none is an error of its own.
    let mut dialogue = sandbox.dialogue(["predict", "run", "-", "--format", "jsonl"]);
    let question =
        json!({ "question": "how many cats has eve ?", "context": "eve is here . eve has six cats and is here ." });
    let answered: Value = serde_json::from_str(&dialogue.ask(&question.to_string())).unwrap();
    assert_eq!((&answered["id"], &answered["answer"]), (&"line 1".into(), &"six".into()));
    assert!(dialogue.ask("{ no question").contains("one JSON object a line"));
    assert!(dialogue.ask(&question.to_string()).contains("line 3"));
    dialogue.end().expect(3, &["1 of the inputs"]);

    let ran = sandbox.run(["report", "run", "-o", "copy.html"]).expect(0, &[]);
    assert!(ran.stdout.contains("exact match") && ran.stdout.contains("copy.html"), "{}", ran.stdout);
    assert_eq!(sandbox.run(["report", "run", "--json"]).expect(0, &[]).json(), report);
    assert!(sandbox.run(["verify", "run"]).expect(0, &[]).stdout.contains("reproduced"));

    // A damaged model is not asked.
    let path = sandbox.path("run/tokenizer.json");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b" "].concat()).unwrap();
    sandbox.run(["predict", "run", "data/test.json"]).expect(4, &["damaged", "tokenizer.json"]);
}

#[test]
fn words_are_tagged_as_they_were_measured() {
    let sandbox = Sandbox::new();
    encoder(&sandbox);
    fs::write(sandbox.path("words.conll"), tagged(60)).unwrap();
    let ran = fit(&sandbox, "words.conll", "tags", "run", &["--depth", "last", "--threads", "1"]);
    let ran = ran.expect(0, &["out-of-fold span F1", "the tags are written in BIO"]);
    assert!(ran.stdout.contains("most frequent tag") && ran.stdout.contains("span F1"), "{}", ran.stdout);
    let found = report(&sandbox, "run");
    assert_eq!((&found["task"], &found["data"]["classes"]), (&"tags".into(), &json!(["NUM", "PER"])));
    let tags = &found["tags"];
    assert!(tags["span_f1"]["mean"].as_f64().unwrap() > 0.8, "{}", tags["span_f1"]);
    assert_eq!(tags["per_type"].as_array().unwrap().len(), 2);
    // Threads change nothing.
    fit(&sandbox, "words.conll", "tags", "other", &["--depth", "last", "--threads", "2"]).expect(0, &[]);
    assert_eq!(without_timings(report(&sandbox, "other")), without_timings(found));
    for name in ["model.safetensors", "predictions.csv", "curves.csv"] {
        assert_eq!(
            fs::read(sandbox.path("run").join(name)).unwrap(),
            fs::read(sandbox.path("other").join(name)).unwrap(),
            "{name}"
        );
    }

    let asked = sandbox.run(["predict", "run", "words.conll"]).expect(0, &[]);
    let answered = rows(&asked.stdout);
    let header = ["input", "line", "start", "end", "type", "text", "probability", "unsure", "unlike", "error"];
    assert_eq!(answered[0], header);
    let of_first: Vec<[&str; 4]> = answered[1..]
        .iter()
        .filter(|row| row[1] == "1")
        .map(|row| [row[2].as_str(), row[3].as_str(), row[4].as_str(), row[5].as_str()])
        .collect();
    assert_eq!(of_first, [["0", "1", "PER", "ada"], ["2", "4", "NUM", "two apples"]]);
    let text = "Kim has four dogs.\n\nno one\n";
    let ran = with_stdin(&sandbox, &["predict", "run", "-", "--format", "jsonl"], text).expect(0, &[]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let spans: Vec<&Value> = lines[0]["spans"].as_array().unwrap().iter().map(|span| &span["text"]).collect();
    assert_eq!(spans, ["Kim", "four dogs"]);
    assert_eq!((lines.len(), &lines[1]["line"]), (2, &3.into()));
    let mut dialogue = sandbox.dialogue(["predict", "run", "-", "--format", "jsonl"]);
    for text in ["kim has four dogs .", "no one"] {
        assert!(dialogue.ask(text).contains(text));
    }
    dialogue.end().expect(0, &[]);
    sandbox.run(["predict", "run", "--context", "words.conll", "Who?"]).expect(2, &["tags words"]);
    sandbox.run(["predict", "run", "missing.txt"]).expect(3, &["could not be answered"]);
    // A broken line is an error of its own.
    let ran = with_stdin(&sandbox, &["predict", "run", "-"], b"kim has\n\xff bad\nbob has\n").expect(3, &["1 of the"]);
    let found: Vec<String> = rows(&ran.stdout)[1..].iter().map(|row| row[5].clone()).collect();
    assert_eq!((found[0].as_str(), found.last().map(String::as_str)), ("kim", Some("bob")));
    assert!(ran.stdout.contains("line 2") && ran.stdout.contains("UTF-8"), "{}", ran.stdout);
    // Of a table the texts are read, and not its lines.
    fs::write(sandbox.path("notes.csv"), "id,note\n7,kim has four dogs .\n8,bob is here .\n").unwrap();
    let ran = sandbox.run(["predict", "run", "notes.csv", "--text", "note"]).expect(0, &[]);
    let found: Vec<[String; 2]> = rows(&ran.stdout)[1..].iter().map(|row| [row[1].clone(), row[5].clone()]).collect();
    assert_eq!(found[0], ["1", "kim"].map(str::to_owned));
    assert!(found.contains(&["2", "bob"].map(str::to_owned)), "{found:?}");
}

/// `auto` measures deeper depths after the head; a fit that was stopped goes on to the same bytes.
#[test]
fn depths_are_chosen_and_stops_are_survived() {
    let sandbox = Sandbox::new();
    encoder(&sandbox);
    fs::write(sandbox.path("words.conll"), tagged(60)).unwrap();
    let more = ["--depth", "auto", "--budget", "1h", "--seeds", "2"];
    let ran = fit(&sandbox, "words.conll", "tags", "run", &more).expect(0, &["depths to try after the linear probe"]);
    assert!(ran.stderr.contains("all: mean F1"), "{}", ran.stderr);
    let found = report(&sandbox, "run");
    let tried = found["choice"]["tried"].as_array().unwrap();
    assert!(tried.len() > 1 && tried[1]["against_probe"]["mean"].is_number(), "{tried:?}");
    assert!(!found["choice"]["reason"].as_str().unwrap().is_empty());

    let fixed = ["fit", "words.conll", "--task", "tags", "--base", "tiny", "--out", "again"];
    let mut child = sandbox
        .command(fixed.iter().chain(&QUICK).chain(&more).chain(&["--checkpoint-every", "0"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let unfinished = sandbox.path("again.unfinished/finished");
    while !unfinished.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!sandbox.path("again").exists());
    sandbox.run(["fit", "--resume", "again"]).expect(0, &[]);
    for name in ["model.safetensors", "predictions.csv", "curves.csv"] {
        assert_eq!(
            fs::read(sandbox.path("run").join(name)).unwrap(),
            fs::read(sandbox.path("again").join(name)).unwrap(),
            "{name}"
        );
    }
    assert!(sandbox.run(["verify", "again"]).expect(0, &[]).stdout.contains("reproduced"));
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    encoder(&sandbox);
    fs::write(sandbox.path("q.json"), squad(0, 24)).unwrap();
    fs::write(sandbox.path("broken.json"), "{\"data\": [{\"paragraphs\": [{\"qas\": []}]}]}").unwrap();
    fs::write(sandbox.path("cut.json"), &squad(0, 3)[..200]).unwrap();
    fs::write(sandbox.path("untagged.conll"), "ada\nhas\n").unwrap();
    fs::write(sandbox.path("words.conll"), tagged(30)).unwrap();
    for (data, task, more, code, part) in [
        ("broken.json", "qa", &[][..], 3, "data[0].paragraphs[0] has no `context`"),
        ("cut.json", "qa", &[], 3, "EOF"),
        ("missing.json", "qa", &[], 3, "nothing to read"),
        ("untagged.conll", "tags", &[], 3, "line 1"),
        ("q.json", "qa", &["--balanced"], 2, "--balanced"),
        ("q.json", "qa", &["--mixup", "0.2"], 2, "--mixup"),
        ("q.json", "qa", &["--depth", "nowhere"], 2, "no such depth or stage"),
        ("q.json", "qa", &["--image-size", "64"], 2, "do not apply to questions on an encoder"),
        ("q.json", "qa", &["--only", "block1"], 2, "--only"),
        ("q.json", "qa", &["--hidden", "8"], 2, "--hidden"),
        ("q.json", "qa", &["--pairs", "8"], 2, "--pairs"),
        ("q.json", "qa", &["--max-error", "2"], 2, "--max-error"),
        ("q.json", "qa", &["--interval-level", "0.5"], 2, "--interval-level"),
        ("words.conll", "tags", &["--max-answer", "8"], 2, "--max-answer"),
    ] {
        fit(&sandbox, data, task, "run", more).expect(code, &[part]);
    }
    let no_split = ["fit", "q.json", "--task", "qa", "--base", "tiny", "--out", "run", "--folds", "0"];
    sandbox.run(no_split).expect(2, &["cross-validation needs folds", "one of five"]);
    sandbox.run(["fit", "q.json", "--task", "qa", "--base", "nowhere", "--out", "run"]).expect(4, &["nowhere"]);
    let audit = sandbox.run(["audit", "q.json", "--task", "qa"]).expect(0, &[]);
    assert!(audit.stdout.contains("24"), "{}", audit.stdout);
    let audit = sandbox.run(["audit", "words.conll", "--task", "tags"]).expect(0, &[]);
    assert!(audit.stdout.contains("PER"), "{}", audit.stdout);
    let untold = |data: &str| sandbox.run(["fit", data, "--base", "tiny", "--out", "run"]);
    untold("q.json").expect(3, &["--task qa"]);
    untold("words.conll").expect(3, &["--task tags"]);
    sandbox.run(["audit", "words.conll", "--task", "colours"]).expect(2, &["qa or tags"]);
    fs::write(sandbox.path("texts.csv"), "text,label\na b,x\nc d,y\ne f,x\ng h,y\n").unwrap();
    let texts = ["fit", "texts.csv", "--base", "tiny", "--out", "run", "--stride", "3"];
    sandbox.run(texts).expect(2, &["--stride", "do not apply to texts"]);
    let mut names = sandbox.names();
    names.retain(|name| name.contains("run"));
    assert!(names.is_empty(), "{names:?}");
}
