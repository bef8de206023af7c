//! Golden runs: every kind of fit but answers on word vectors, on small made-up data gives the very tensors,
//! predictions and numbers that are committed in `golden_runs.json`, so that work on the inside which is to change
//! nothing is seen to change nothing.
//!
//! Where a change of results is meant, `ENGRAFT_REWRITE_GOLDEN=1` writes the file anew instead of comparing with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use engraft::files::sha256_hex;
use serde_json::{Map, Value, json};

use crate::sandbox::{Ran, Sandbox, without_timings};
use crate::{bases, rows, spans, tasks, texts};

/// What of a report is measured out of fold, or the controls and the choice of the depth beside it.
const EVALUATIONS: [&str; 16] = [
    "accuracy",
    "answers",
    "brier",
    "calibration",
    "choice",
    "confusion",
    "controls",
    "ece",
    "imbalance",
    "log_loss",
    "macro_f1",
    "multi_label",
    "per_class",
    "per_type",
    "regression",
    "tags",
];
/// What is left out of these: other splits, and lists that say again what the predictions say.
const LEFT_OUT: [&str; 4] = ["held_out", "points", "strengths", "worst"];

/// A kind of fit.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Makes the data and the base.
    pub(crate) make: fn(&Sandbox),
    /// What `engraft fit` is told, but the output.
    pub(crate) fit: &'static [&'static [&'static str]],
}

const IMAGES: &[&str] = &["digits", "--folds", "2", "--seeds", "1"];
const REVIEWS: &[&str] = &["reviews.csv", "--text", "review", "--label", "stars", "--folds", "2"];
pub(crate) const COUNTS: &[&str] =
    &["counts.csv", "--text", "said", "--label", "amount", "--base", "tiny", "--folds", "2"];
pub(crate) const TAGS: &[&str] = &["words.conll", "--task", "tags", "--base", "tiny", "--folds", "2"];
const QUESTIONS: &[&str] =
    &["q.json", "--task", "qa", "--base", "tiny", "--folds", "2", "--max-tokens", "48", "--stride", "8"];
const READER: &[&str] = &[
    "q.json",
    "--task",
    "qa",
    "--base",
    "words.txt",
    "--folds",
    "2",
    "--hidden",
    "8",
    "--layers",
    "1",
    "--epochs",
    "4",
];
const LEARNS: &[&str] = &["--epochs", "6", "--lr", "0.003", "--rate-factor", "1", "--head-rate", "1", "--dropout", "0"];
const PLAIN: &[&str] = &["--depth", "head", "--base", "plain.onnx", "--mean", "0.5", "--std", "0.5", "--resize", "0"];
pub(crate) const SMALL_BATCHES: &[&str] = &["--batch-size", "4", "--views", "2"];
pub(crate) const NO_CONTROL: &[&str] = &["--control-budget", "0"];

pub(crate) const CASES: &[Case] = &[
    Case { name: "images, head", make: images, fit: &[IMAGES, &["--depth", "head"], NO_CONTROL] },
    Case {
        name: "images, from scratch beside",
        make: images,
        fit: &[IMAGES, &["--depth", "head", "--control-budget", "0.0005"]],
    },
    Case {
        name: "images, half",
        make: images,
        fit: &[IMAGES, &["--depth", "half", "--epochs", "2"], SMALL_BATCHES, NO_CONTROL],
    },
    Case {
        name: "images, all by low-rank factors",
        make: images,
        fit: &[IMAGES, &["--depth", "all", "--epochs", "1", "--lora", "2"], SMALL_BATCHES, NO_CONTROL],
    },
    Case {
        name: "images, auto",
        make: images,
        fit: &[
            IMAGES,
            &["--depth", "auto", "--budget", "1m", "--speed", "0.05", "--epochs", "1"],
            SMALL_BATCHES,
            NO_CONTROL,
        ],
    },
    Case { name: "images, label sets", make: tasks::labels, fit: &[&["labels.csv", "--depth", "head"], NO_CONTROL] },
    Case { name: "images, numbers", make: tasks::numbers, fit: &[&["numbers.csv", "--depth", "head"], NO_CONTROL] },
    #[cfg(feature = "onnx")]
    Case { name: "images, ONNX base", make: images_and_onnx, fit: &[IMAGES, PLAIN, NO_CONTROL] },
    Case { name: "texts, encoder, head", make: counts, fit: &[COUNTS, &["--depth", "head"], NO_CONTROL] },
    Case {
        name: "texts, encoder, from scratch beside",
        make: counts,
        fit: &[COUNTS, &["--depth", "head", "--control-budget", "0.001"]],
    },
    Case {
        name: "texts, encoder, contrastive",
        make: counts,
        fit: &[COUNTS, &["--depth", "contrastive", "--pairs", "64", "--epochs", "1"], NO_CONTROL],
    },
    Case {
        name: "texts, encoder, last",
        make: counts,
        fit: &[COUNTS, &["--depth", "last", "--epochs", "2"], NO_CONTROL],
    },
    Case { name: "texts, word vectors", make: reviews, fit: &[REVIEWS, &["--base", "words.txt"], NO_CONTROL] },
    Case {
        name: "texts, language model, all",
        make: language_model,
        fit: &[REVIEWS, &["--base", "mine", "--depth", "all", "--epochs", "1"], NO_CONTROL],
    },
    Case {
        name: "rows, classes",
        make: cars,
        fit: &[&["cars.csv", "--label", "worth"], &["--ignore-column", "price,traits"]],
    },
    Case {
        name: "rows, label sets",
        make: cars,
        fit: &[&["cars.csv", "--label", "traits"], &["--ignore-column", "price,worth"]],
    },
    Case {
        name: "rows, numbers",
        make: cars,
        fit: &[&["cars.csv", "--label", "price"], &["--ignore-column", "worth,traits"]],
    },
    Case { name: "tags, head", make: tags, fit: &[TAGS, &["--depth", "head"], NO_CONTROL] },
    Case { name: "tags, last", make: tags, fit: &[TAGS, &["--depth", "last"], LEARNS, NO_CONTROL] },
    Case { name: "answers", make: questions, fit: &[QUESTIONS, LEARNS, NO_CONTROL] },
    Case {
        name: "answers, word vectors, from scratch beside",
        make: questions_and_vectors,
        fit: &[READER, &["--control-budget", "0.0005"]],
    },
];

fn images(sandbox: &Sandbox) {
    sandbox.digits("digits", 10, 6, 2);
}

/// Beside the images, for reports name a base by its path.
#[cfg(feature = "onnx")]
fn images_and_onnx(sandbox: &Sandbox) {
    images(sandbox);
    fs::copy(bases::onnx("plain"), sandbox.path("plain.onnx")).unwrap();
}

fn cars(sandbox: &Sandbox) {
    rows::cars(sandbox, 100);
}

fn reviews(sandbox: &Sandbox) {
    texts::reviews(sandbox, 60);
}

/// Who has how much of what, in words that the tiny encoder knows, and whether that is much.
pub(crate) fn counts(sandbox: &Sandbox) {
    spans::encoder(sandbox);
    let mut table = "said,amount,split\n".to_owned();
    for at in 0..60 {
        let number = at * 7 % 6;
        let (name, thing) = (spans::NAMES[at % 6], spans::THINGS[at / 6 % 6]);
        let (amount, split) = (if number < 3 { "few" } else { "many" }, if at % 5 == 4 { "test" } else { "train" });
        let also = spans::NAMES[(at / 6 + at) % 6];
        writeln!(table, "{name} has {} {thing} and {also} is here .,{amount},{split}", spans::NUMBERS[number]).unwrap();
    }
    fs::write(sandbox.path("counts.csv"), table).unwrap();
}

/// Reviews, and a language model that has read others of their kind.
fn language_model(sandbox: &Sandbox) {
    reviews(sandbox);
    let corpus: String = (100..300).map(|number| texts::review(number).0 + " .\n\n").collect();
    fs::create_dir(sandbox.path("books")).unwrap();
    fs::write(sandbox.path("books/one.txt"), corpus).unwrap();
    let args = ["pretrain", "--method", "language-model", "books", "--arch", "lstm", "--width", "16", "--layers", "2"];
    let more = ["--bptt", "16", "--epochs", "1", "--batch-size", "8", "--out", "mine"];
    scalar(sandbox, args.into_iter().chain(more)).expect(0, &[]);
}

pub(crate) fn tags(sandbox: &Sandbox) {
    spans::encoder(sandbox);
    fs::write(sandbox.path("words.conll"), spans::tagged(30)).unwrap();
}

fn questions(sandbox: &Sandbox) {
    spans::encoder(sandbox);
    fs::write(sandbox.path("q.json"), spans::squad(0, 24)).unwrap();
}

/// Beside the questions, vectors of their words.
fn questions_and_vectors(sandbox: &Sandbox) {
    questions(sandbox);
    let words = spans::NAMES.into_iter().chain(spans::THINGS).chain(spans::NUMBERS).chain(["has", "is", "here", "how"]);
    let row = |(at, word): (usize, &str)| {
        let values: Vec<String> = (0..6).map(|column| format!("{:.3}", ((at * 7 + column * 5) as f64).sin())).collect();
        format!("{word} {}\n", values.join(" "))
    };
    fs::write(sandbox.path("words.txt"), words.enumerate().map(row).collect::<String>()).unwrap();
}

/// Runs the binary on plain code, which is the same on every processor.
fn scalar<'a>(sandbox: &Sandbox, args: impl IntoIterator<Item = &'a str>) -> Ran {
    sandbox.command(args).env("ENGRAFT_SIMD", "scalar").output().unwrap().into()
}

/// What is kept of a run.
fn run(case: &Case) -> Value {
    let sandbox = Sandbox::new();
    (case.make)(&sandbox);
    let told = case.fit.iter().flat_map(|part| part.iter().copied());
    let ran = scalar(&sandbox, ["fit"].into_iter().chain(told).chain(["--out", "run"]));
    assert_eq!(ran.code, Some(0), "{}: {}", case.name, ran.stderr);
    let folder = sandbox.path("run");
    let report: Value = serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    json!({
        "model": sha256_of_tensors(&folder.join("model.safetensors")),
        "numbers": numbers(report),
        "predictions": sha256_hex(&fs::read(folder.join("predictions.csv")).unwrap()),
    })
}

/// Of the names, shapes, types and bytes of a safetensors file by their names; what else its header says does not count.
fn sha256_of_tensors(path: &Path) -> String {
    let file = fs::read(path).unwrap();
    let (length, rest) = file.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let mut all = Vec::new();
    for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let [begin, end] = [0, 1].map(|at| entry["data_offsets"][at].as_u64().unwrap() as usize);
        all.extend(format!("{name} {} {} {}\n", entry["dtype"], entry["shape"], end - begin).into_bytes());
        all.extend(&data[begin..end]);
    }
    sha256_hex(&all)
}

/// Every number of a report's evaluations as it is written there, by the names that lead to it.
fn numbers(report: Value) -> Map<String, Value> {
    fn flatten(at: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Number(number) => {
                into.insert(at.to_owned(), number.to_string().into());
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| flatten(&format!("{at}.{index}"), item, into));
            }
            Value::Object(fields) => {
                let kept = fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
                kept.for_each(|(name, field)| flatten(&format!("{at}.{name}"), field, into));
            }
            _ => {}
        }
    }
    let (report, mut found) = (without_timings(report), BTreeMap::new());
    EVALUATIONS.iter().for_each(|name| flatten(name, &report[*name], &mut found));
    found.into_iter().collect()
}

/// The processor: matrix products outside of the project's own kernels choose their instructions by it, so that the last
/// bits are the same on the same kind alone.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default().to_owned();
    sha256_hex(flags.as_bytes())
}

/// Whether two numbers are the same but for what another processor may make of them.
fn alike(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    match (number(one), number(other)) {
        (Some(one), Some(other)) => (one - other).abs() <= 0.05 * one.abs().max(other.abs()).max(1.0),
        _ => false,
    }
}

/// What differs between two runs of a case, a line each; `exactly`, or as far as processors agree.
fn differences(case: &str, golden: &Value, found: &Value, exactly: bool) -> Vec<String> {
    let mut told = Vec::new();
    for (what, file) in [("model", "model.safetensors"), ("predictions", "predictions.csv")] {
        if exactly && golden[what] != found[what] {
            told.push(format!("{case}: the {what} ({file}): {} was {}", found[what], golden[what]));
        }
    }
    let fields = |value: &Value| value["numbers"].as_object().cloned().unwrap_or_default();
    let (golden, found) = (fields(golden), fields(found));
    for name in golden.keys().chain(found.keys().filter(|name| !golden.contains_key(*name))) {
        match (golden.get(name), found.get(name)) {
            (Some(golden), Some(found)) if golden == found || !exactly && alike(golden, found) => {}
            (Some(golden), Some(found)) => told.push(format!("{case}: the number {name}: {found} was {golden}")),
            (Some(golden), None) => told.push(format!("{case}: the number {name} is gone, which was {golden}")),
            (None, found) => told.push(format!("{case}: the number {name} is new: {}", found.unwrap_or(&Value::Null))),
        }
    }
    told
}

/// Where the golden file says on which kind of processor it was written.
const PROCESSOR: &str = "processor";

#[test]
fn golden_runs_are_what_they_were() {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/golden_runs.json");
    let mut found: BTreeMap<String, Value> = CASES.iter().map(|case| (case.name.to_owned(), run(case))).collect();
    assert_eq!(found.len(), CASES.len(), "names differ");
    for (name, case) in &found {
        assert!(!case["numbers"].as_object().unwrap().is_empty(), "{name}: the report has no numbers");
    }
    if std::env::var_os("ENGRAFT_REWRITE_GOLDEN").is_some_and(|value| value == "1") {
        found.insert(PROCESSOR.into(), processor().into());
        fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        return;
    }
    let mut golden: BTreeMap<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let exactly = golden.remove(PROCESSOR).is_some_and(|then| then == processor().as_str());
    if !cfg!(feature = "onnx") {
        golden.retain(|name, _| !name.contains("ONNX"));
    }
    let mut told: Vec<String> =
        golden.keys().filter(|name| !found.contains_key(*name)).map(|name| format!("{name}: no such case")).collect();
    for (name, found) in &found {
        match golden.get(name) {
            Some(golden) => told.extend(differences(name, golden, found, exactly)),
            None => told.push(format!("{name}: not in golden_runs.json")),
        }
    }
    assert!(told.is_empty(), "ENGRAFT_REWRITE_GOLDEN=1 writes them anew where this is meant:\n{}", told.join("\n"));
}
