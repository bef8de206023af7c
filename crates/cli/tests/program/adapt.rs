//! `engraft adapt`: a target whose labels nobody sees, refusals, checks by a few labels, and the same bytes whatever the target's labels
//! and order say.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, without_timings};

/// A number in [-1, 1) that depends on its arguments alone.
fn noise(row: usize, column: usize) -> f64 {
    let mixed = (row * 7919 + column * 104_729 + 13) * (row + 31 * column + 7) % 10_007;
    mixed as f64 / 5003.5 - 1.0
}

/// Rows of two classes, moved by `shift`; every `positive`-th of ten is positive.
fn rows(count: usize, from: usize, shift: f64, positives: usize) -> Vec<(String, &'static str)> {
    let row = |row: usize| {
        let positive = row * 7 % 10 < positives;
        let cell = |column: usize| {
            let moved = if column < 3 { shift } else { 0.0 };
            let class = if column < 2 && positive { 1.5 } else { 0.0 };
            format!("{:.4}", 1.2 * noise(row, column) + 1.2 * noise(row, column + 50) + class + moved)
        };
        let cells: Vec<String> = (0..6).map(cell).collect();
        (cells.join(","), if positive { "yes" } else { "no" })
    };
    (from..from + count).map(row).collect()
}

const HEADER: &str = "a,b,c,d,e,f";

fn labelled(rows: &[(String, &str)]) -> String {
    let mut table = format!("{HEADER},ill\n");
    rows.iter().for_each(|(cells, label)| writeln!(table, "{cells},{label}").unwrap());
    table
}

/// A source, and a target that is moved: labelled, without labels, with its labels swapped, and in another order.
fn domains(sandbox: &Sandbox) {
    let (source, target) = (rows(200, 0, 0.0, 5), rows(160, 1000, 1.1, 5));
    fs::write(sandbox.path("source.csv"), labelled(&source)).unwrap();
    fs::write(sandbox.path("target.csv"), labelled(&target)).unwrap();
    let plain: String = target.iter().map(|(cells, _)| format!("{cells}\n")).collect();
    fs::write(sandbox.path("plain.csv"), format!("{HEADER}\n{plain}")).unwrap();
    let swapped: Vec<(String, &str)> =
        target.iter().rev().map(|(cells, label)| (cells.clone(), if *label == "yes" { "no" } else { "yes" })).collect();
    fs::write(sandbox.path("swapped.csv"), labelled(&swapped)).unwrap();
}

fn report(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

fn adapt<'a>(target: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["adapt", "source.csv", "--label-column", "ill", "--to", target, "--out", out], more].concat()
}

#[test]
fn a_target_that_moved_is_adapted_to_and_its_labels_change_nothing() {
    let sandbox = Sandbox::new();
    domains(&sandbox);
    let ran = sandbox.run(adapt("target.csv", "run", &["--shares", "same"])).expect(0, &[]);
    assert!(ran.stdout.contains("\nadapted           ") && ran.stdout.contains("source-only"), "{}", ran.stdout);
    let first = report(&sandbox, "run");
    let adaptation = &first["adaptation"];
    let accuracy = |name: &str| adaptation["measured"][name]["mean"].as_f64().unwrap();
    assert_eq!((first["command"].as_str(), adaptation["adapted"].as_bool()), (Some("adapt"), Some(true)));
    assert!(accuracy("adapted") > accuracy("source_only") + 0.1, "{adaptation}");
    assert!(accuracy("oracle") > 0.75, "{adaptation}");
    assert!(
        adaptation["distance"]["p"].as_f64().unwrap() < 0.01
            && adaptation["distance"]["mmd_p"].as_f64().unwrap() < 0.02
    );

    // No label, other labels, another order: the same model to the bit, and the same choices.
    let model = |run: &str| fs::read(sandbox.path(run).join("model.safetensors")).unwrap();
    let choices = |run: &str| {
        let mut report = without_timings(report(&sandbox, run));
        report["adaptation"].as_object_mut().unwrap().remove("measured");
        report["adaptation"].as_object_mut().unwrap().remove("to");
        report["config"].as_object_mut().unwrap().remove("adapt");
        report
    };
    for target in ["plain.csv", "swapped.csv"] {
        let out = target.trim_end_matches(".csv");
        sandbox.run(adapt(target, out, &["--shares", "same"])).expect(0, &[]);
        assert!(model(out) == model("run"), "the labels of the target changed the model: {target}");
        assert_eq!(choices(out), choices("run"), "{target}");
    }
    assert!(report(&sandbox, "plain")["adaptation"].get("measured").is_none());
    let told = sandbox.run(["report", "plain"]).expect(0, &[]).stdout;
    assert!(told.contains("accuracy unknown without labels"), "{told}");
    let negative = &report(&sandbox, "swapped")["adaptation"]["measured"]["paired"];
    assert!(negative["verdict"] == "negative transfer", "{negative}");
    sandbox.run(["verify", "run"]).expect(0, &[]);

    // The model answers the target, as any other.
    let answers = sandbox.run(["predict", "run", "plain.csv"]).expect(0, &[]).stdout;
    let right = answers
        .lines()
        .skip(1)
        .zip(rows(160, 1000, 1.1, 5))
        .filter(|(line, (_, label))| line.split(',').nth(2) == Some(*label));
    assert_eq!(right.count() as f64 / 160.0, accuracy("adapted"), "{}", answers.lines().nth(1).unwrap());
    let page = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    assert!(
        page.contains("id=\"adaptation\"")
            && page.contains("engraft adapt source.csv")
            && page.contains("--shares same")
    );
    let settings = fs::read_to_string(sandbox.path("run/run.toml")).unwrap();
    assert!(settings.contains("[adapt]") && settings.contains("to = \"target.csv\""), "{settings}");
    sandbox.run(["adapt", "--config", "run/run.toml", "--out", "again"]).expect(0, &[]);
    assert!(model("again") == model("run"));
    sandbox.run(["fit", "--config", "run/run.toml", "--out", "no"]).expect(2, &["the settings of `engraft adapt`"]);
}

#[test]
fn a_few_labels_decide() {
    let sandbox = Sandbox::new();
    domains(&sandbox);
    sandbox.run(adapt("plain.csv", "run", &["--method", "source-only", "--shares", "same"])).expect(0, &[]);
    assert_eq!(report(&sandbox, "run")["adaptation"]["adapted"], false);
    let check = ["adapt", "--resume", "run", "--check", "12", "--out", "check.csv"];
    sandbox.run(check).expect(0, &["12 examples to be labelled"]);
    let asked = fs::read_to_string(sandbox.path("check.csv")).unwrap();
    assert_eq!((asked.lines().count(), asked.lines().next()), (13, Some("id,label,example,content")));
    sandbox.run(check).expect(5, &["check.csv"]);
    let truth: std::collections::BTreeMap<usize, &str> =
        rows(160, 1000, 1.1, 5).into_iter().enumerate().map(|(at, (_, label))| (at + 1, label)).collect();
    let answered = |right: bool| {
        let line = |line: &str| {
            let fields: Vec<&str> = line.splitn(4, ',').collect();
            let Some(row) = fields[2].strip_prefix("row ").and_then(|row| row.parse::<usize>().ok()) else {
                return line.to_owned();
            };
            let label = if right == (truth[&row] == "yes") { "yes" } else { "no" };
            format!("{},{label},{},{}", fields[0], fields[2], fields[3])
        };
        asked.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    fs::write(sandbox.path("right.csv"), answered(true)).unwrap();
    fs::write(sandbox.path("wrong.csv"), answered(false)).unwrap();
    let before = fs::read(sandbox.path("run/model.safetensors")).unwrap();
    for (file, adapted) in [("wrong.csv", false), ("right.csv", true)] {
        sandbox.run(["adapt", "--resume", "run", "--checked", file]).expect(0, &[]);
        let report = report(&sandbox, "run");
        assert_eq!(report["adaptation"]["adapted"], adapted, "{}", report["adaptation"]);
        assert!(report["adaptation"]["reason"].as_str().unwrap().contains("labels of a check decide"));
        assert_eq!(fs::read(sandbox.path("run/model.safetensors")).unwrap() != before, adapted);
    }
    sandbox.run(["adapt", "--resume", "run"]).expect(2, &["the run is finished", "--checked"]);
    fs::write(sandbox.path("bad.csv"), asked.replacen(",,", ",perhaps,", 1)).unwrap();
    sandbox
        .run(["adapt", "--resume", "run", "--checked", "bad.csv"])
        .expect(3, &["line 2: the label is not a class", "perhaps"]);
    sandbox.run(["adapt", "--resume", "run", "--checked", "check.csv"]).expect(3, &["no example has a label"]);
    sandbox.run(["adapt", "--resume", "run", "--checked", "target.csv"]).expect(3, &["no file of checked examples"]);
}

#[test]
fn what_cannot_be_adapted_is_refused_before_any_work() {
    let sandbox = Sandbox::new();
    domains(&sandbox);
    let write = |name: &str, text: String| fs::write(sandbox.path(name), text).unwrap();
    let one: String = fs::read_to_string(sandbox.path("plain.csv"))
        .unwrap()
        .lines()
        .take(2)
        .map(|line| format!("{line}\n"))
        .collect();
    write("one.csv", one.clone());
    write("many.csv", format!("{HEADER}\n{}", format!("{}\n", one.lines().nth(1).unwrap()).repeat(40)));
    write("empty.csv", format!("{HEADER}\n"));
    write("narrow.csv", format!("a,b,c\n{}", (0..30).map(|row| format!("{row},2.5,3\n")).collect::<String>()));
    write("other.csv", labelled(&rows(60, 5000, 0.0, 5)).replace("yes", "sick").replace(",no\n", ",well\n"));
    for (target, code, parts) in [
        ("one.csv", 3, &["too few examples", "at least 20"] as &[&str]),
        ("many.csv", 3, &["all examples of the target are the same"]),
        ("empty.csv", 3, &["no rows"]),
        ("source.csv", 3, &["the target is the source"]),
        ("narrow.csv", 3, &["columns that the model was trained with are missing"]),
        ("other.csv", 3, &["no class in common", "`sick`"]),
        ("nowhere.csv", 3, &["nothing at this path"]),
    ] {
        sandbox.run(adapt(target, "run", &[])).expect(code, parts);
        assert!(!sandbox.path("run").exists(), "{target}");
    }
    for (flags, parts) in [
        (["--method", "coarl"], &["there is no such method", "coarl"] as &[&str]),
        (["--shares", "some"], &["invalid shares", "`same`"]),
        (["--shares", "yes=.9,no=.9"], &["do not sum to 1"]),
        (["--shares", "maybe=.5"], &["a class that the source does not have"]),
    ] {
        sandbox.run(adapt("plain.csv", "run", &flags)).expect(2, parts);
    }
    let texts: String =
        (0..60).map(|row| format!("a text of {row} words in all,{}\n", ["yes", "no"][row % 2])).collect();
    write("texts.csv", format!("text,ill\n{texts}"));
    let args = ["adapt", "texts.csv", "--base", "tfidf", "--to", "plain.csv", "--out", "run"];
    sandbox.run(args).expect(3, &["no column looks like a text", "--to-text"]);
    // Numbers are no classes, and one class is nothing to tell apart.
    let prices: String = (0..60).map(|row| format!("{},{}\n", noise(row, 1), row as f64 * 1.37 + 0.11)).collect();
    write("prices.csv", format!("a,price\n{prices}"));
    write("later.csv", format!("a\n{}", (0..60).map(|row| format!("{}\n", noise(row, 9))).collect::<String>()));
    let args = ["adapt", "prices.csv", "--label-column", "price", "--to", "later.csv", "--out", "run"];
    sandbox.run(args).expect(2, &["one class"]);
    write("one_class.csv", labelled(&rows(60, 0, 0.0, 10)));
    let args = ["adapt", "one_class.csv", "--label-column", "ill", "--to", "plain.csv", "--out", "run"];
    sandbox.run(args).expect(3, &[]);
    sandbox.run(["adapt", "source.csv", "--label-column", "ill", "--out", "run"]).expect(2, &["--to"]);
}

#[test]
fn folders_of_the_target_are_no_classes_until_the_end() {
    let sandbox = Sandbox::new();
    sandbox.digits("source", 3, 20, 0);
    sandbox.digits("other", 3, 0, 30);
    // The same images in folders that are no classes, and in those of other classes.
    for class in 0..3usize {
        let mut files: Vec<_> = fs::read_dir(sandbox.path(format!("other/test/{class}"))).unwrap().collect();
        files.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
        for (at, file) in files.into_iter().enumerate() {
            let other = (at + class) % 3;
            for folder in [format!("plain/part{}", at % 4), format!("moved/{other}")] {
                fs::create_dir_all(sandbox.path(&folder)).unwrap();
                fs::copy(file.as_ref().unwrap().path(), sandbox.path(&folder).join(format!("{class}{at}.png")))
                    .unwrap();
            }
        }
    }
    let run = |target: &str, out: &str| {
        let args = ["adapt", "source", "--base", "glyphs", "--to", target, "--out", out, "--control-budget", "0"];
        sandbox.run(args).expect(0, &[]);
        (fs::read(sandbox.path(out).join("model.safetensors")).unwrap(), report(&sandbox, out))
    };
    let (model, first) = run("other/test", "run");
    assert!(first["adaptation"]["measured"]["source_only"]["mean"].as_f64().unwrap() > 0.8, "{first}");
    for (target, out, measured) in [("plain", "without", false), ("moved", "wrong", true)] {
        let (again, report) = run(target, out);
        assert!(again == model, "{target}");
        assert_eq!(report["adaptation"].get("measured").is_some(), measured, "{target}");
        assert_eq!(report["adaptation"]["reason"], first["adaptation"]["reason"]);
    }
}

#[test]
fn a_run_is_adapted_without_its_data() {
    let sandbox = Sandbox::new();
    domains(&sandbox);
    sandbox.run(["fit", "source.csv", "--label-column", "ill", "--out", "plain"]).expect(0, &[]);
    sandbox.run(adapt("target.csv", "with", &["--shares", "same"])).expect(0, &[]);
    // The source is gone, and with it everything but what the run keeps.
    fs::remove_file(sandbox.path("source.csv")).unwrap();
    let args = ["adapt", "plain", "--to", "target.csv", "--shares", "same", "--out", "free"];
    sandbox.run(args).expect(0, &["keeps 200 of its training rows"]);
    let (with, free) = (report(&sandbox, "with"), report(&sandbox, "free"));
    assert_eq!(free["adaptation"]["measured"], with["adaptation"]["measured"]);
    assert_eq!(free["adaptation"]["adapted"], true);
    let answers = |run: &str| sandbox.run(["predict", run, "target.csv"]).expect(0, &[]).stdout;
    assert_eq!(answers("free"), answers("with"));
    assert_ne!(answers("free"), answers("plain"));
    sandbox.run(["verify", "free"]).expect(0, &[]);
    assert!(sandbox.run(["report", "free"]).expect(0, &[]).stdout.contains("adapted           "));
    sandbox.run(["adapt", "plain", "--to", "target.csv", "--out", "free"]).expect(5, &["free"]);
    sandbox.run(["adapt", "plain", "--to", "target.csv", "--out", "no", "--depth", "last"]).expect(2, &["--depth"]);
    sandbox
        .run(["adapt", "plain", "--to", "plain.csv", "--shares", "same", "--check", "5", "--out", "check.csv"])
        .expect(0, &["5 examples"]);
}

/// A copy of a folder of images whose contrast is a fifth.
fn faint(sandbox: &Sandbox, from: &str, to: &str) {
    for entry in walkdir::WalkDir::new(sandbox.path(from)) {
        let entry = entry.unwrap();
        let place = sandbox.path(to).join(entry.path().strip_prefix(sandbox.path(from)).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(place).unwrap();
            continue;
        }
        let mut image = image::open(entry.path()).unwrap().to_luma8();
        image.pixels_mut().for_each(|pixel| pixel.0[0] = 100 + pixel.0[0] / 5);
        image.save(place).unwrap();
    }
}

#[test]
fn batch_norms_of_a_base_are_adapted_to_images_of_another_kind() {
    let sandbox = Sandbox::new();
    sandbox.digits("source", 4, 20, 0);
    sandbox.digits("other", 4, 0, 30);
    faint(&sandbox, "other/test", "faint");
    let base = ["--base", "glyphs", "--control-budget", "0"];
    let run = |source: &str, method: &str, out: &str, more: &[&str]| {
        let args = [&["adapt", source, "--to", "faint", "--method", method, "--out", out], more].concat();
        sandbox.run(args).expect(0, &[]);
        report(&sandbox, out)["adaptation"].clone()
    };
    sandbox.run([&["fit", "source", "--depth", "head", "--out", "plain"], &base[..]].concat()).expect(0, &[]);
    for method in ["adabn", "tent"] {
        let told = run("source", method, method, &base);
        let accuracy = |name: &str| told["measured"][name]["mean"].as_f64().unwrap();
        assert_eq!((told["adapted"].as_bool(), told["method"].as_str()), (Some(true), Some(method)));
        assert!(accuracy("adapted") > accuracy("source_only") + 0.2, "{told}");

        // What was measured is what the run answers.
        let answers = |run: &str| sandbox.run(["predict", run, "faint"]).expect(0, &[]).stdout;
        let told_of = answers(method);
        let right = told_of.lines().skip(1).filter(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            std::path::Path::new(fields[0]).parent().is_some_and(|class| class.ends_with(fields[2]))
        });
        assert_eq!(right.count() as f64 / 120.0, accuracy("adapted"), "{told_of}");
        sandbox.run(["verify", method]).expect(0, &[]);

        // A run is adapted in the same way without its data.
        let free = format!("{method}-free");
        assert_eq!(run("plain", method, &free, &[])["measured"]["adapted"], told["measured"]["adapted"]);
        assert_eq!(answers(&free), answers(method));
    }
    // Where there is nothing to adapt, it is refused with the reason.
    domains(&sandbox);
    sandbox
        .run(adapt("target.csv", "run", &["--method", "adabn"]))
        .expect(3, &["does not apply", "only a network of images has batch norms"]);
}
