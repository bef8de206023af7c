//! Rows of tables and arrays: fit, predict, report, verify, and what is refused.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, without_timings};

/// What a number of the row decides, with a part that no column tells.
fn mixed(row: usize) -> usize {
    (row * 7919 + 13) * (row + 31) % 1009
}

/// Cars of a made-up market: numbers with missing ones, categories, a name of each, a price and what is said of it.
pub(crate) fn cars(sandbox: &Sandbox, count: usize) {
    let mut table = "id,power,age,fuel,town,price,worth,traits,split\n".to_owned();
    for row in 0..count {
        let (power, age) = (60 + mixed(row) % 140, mixed(row + 77) % 20);
        let fuel = ["petrol", "diesel", "electric"][mixed(row + 5) % 3];
        let town = ["Ulm", "Bonn", "Kiel"][mixed(row + 9) % 3];
        let price = 5.0 + 0.2 * power as f64 - 0.9 * age as f64 + if fuel == "electric" { 8.0 } else { 0.0 };
        let price = price + (mixed(row + 3) % 100) as f64 / 40.0;
        let known = if row % 9 == 4 { String::new() } else { age.to_string() };
        let traits = [("strong", power > 130), ("old", age > 9), ("quiet", fuel == "electric")];
        let traits: Vec<&str> = traits.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        let worth = if price > 24.0 { "dear" } else { "cheap" };
        let split = if row % 5 == 0 { "test" } else { "" };
        writeln!(table, "C{row:03},{power},{known},{fuel},{town},{price:.2},{worth},{},{split}", traits.join("|"))
            .unwrap();
    }
    fs::write(sandbox.path("cars.csv"), table).unwrap();
}

/// An array `.npy` of version 1.0.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00v\x00", format!("{header:<117}\n").as_bytes(), bytes].concat()
}

/// Features of two classes as an array, and their labels as another.
fn arrays(sandbox: &Sandbox) {
    let rows = 60;
    let value = |row: usize, column: usize| {
        (mixed(row + 50 * column) % 100) as f32 + if row % 2 == column { 60.0 } else { 0.0 }
    };
    let x: Vec<u8> =
        (0..rows).flat_map(|row| (0..3).flat_map(move |column| value(row, column).to_le_bytes())).collect();
    let y: Vec<u8> = (0..rows).flat_map(|row| ((row % 2) as i64).to_le_bytes()).collect();
    fs::write(sandbox.path("x.npy"), npy("<f4", "(60, 3)", &x)).unwrap();
    fs::write(sandbox.path("x_labels.npy"), npy("<i8", "(60,)", &y)).unwrap();
}

fn read(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(name)).unwrap()).unwrap()
}

/// The cells of a column of a CSV without quotes.
fn column(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
    lines.map(|line| line.split(',').nth(at).unwrap().to_owned()).collect()
}

#[test]
fn rows_have_classes_label_sets_and_numbers() {
    let sandbox = Sandbox::new();
    cars(&sandbox, 160);
    for (label, others, task, answer) in [
        ("worth", "price,traits", "tabular-classification", "label"),
        ("traits", "price,worth", "multi-label", "labels"),
        ("price", "worth,traits", "regression", "value"),
    ] {
        let out = format!("run-{label}");
        let args = ["fit", "cars.csv", "--label-column", label, "--ignore-column", others, "--out", &out];
        let ran = sandbox.run(args).expect(0, &["read as rows", "columns that only number or name the rows"]);
        for part in ["test", "boosted trees", "goes by", "of 4 columns", "nothing was transferred"] {
            assert!(ran.stdout.contains(part), "{label}: no {part:?} in {}", ran.stdout);
        }
        let report = read(&sandbox, &format!("{out}/report.json"));
        assert_eq!((report["task"].as_str(), report["base"]["id"].as_str()), (Some(task), Some("none")));
        assert_eq!(report["data"]["unit"], "rows");
        let baselines = report["controls"]["baselines"].as_array().unwrap();
        assert_eq!(baselines.len(), 2);
        assert!(
            baselines[0]["paired"]["low"].as_f64().unwrap() > 0.0,
            "{label}: better than a constant: {baselines:?}"
        );
        assert_eq!(baselines[1]["held_out"][0][0], "test");
        let page = fs::read_to_string(sandbox.path(&out).join("report.html")).unwrap();
        assert!(page.contains("What it goes by") && page.contains("boosted trees") && !page.contains("no thumbnail"));

        // A prediction of the table that was fitted is what the evaluation saw, to the bit.
        let told =
            sandbox.run(["predict", &out, "cars.csv"]).expect(0, &["columns that the model does not use"]).stdout;
        let predictions = fs::read_to_string(sandbox.path(&out).join("predictions.csv")).unwrap();
        let truth = column(&predictions, "split");
        let named = |text: &str, name: &str, what: &str| {
            let names = column(text, name);
            names.into_iter().zip(column(text, what)).collect::<std::collections::BTreeMap<_, _>>()
        };
        let evaluated = named(
            &predictions,
            "path",
            match label {
                "price" => "prediction",
                _ => "answer",
            },
        );
        let asked = named(&told, "name", answer);
        let splits = named(&predictions, "path", "split");
        let tests: Vec<&String> = splits.iter().filter(|(_, split)| *split == "test").map(|(name, _)| name).collect();
        assert!(tests.len() == 32 && truth.len() == 160);
        tests.iter().for_each(|name| assert_eq!(asked[*name], evaluated[*name], "{label}, {name}"));
        let lines = sandbox.run(["predict", &out, "cars.csv", "--format", "jsonl"]).expect(0, &[]).stdout;
        assert_eq!(serde_json::from_str::<Value>(lines.lines().next().unwrap()).unwrap()["name"], "row 1");

        assert!(sandbox.run(["verify", &out]).expect(0, &[]).stdout.contains("reproduced"));
        sandbox.run(["report", &out]).expect(0, &[]);
        // What the settings say gives the same run again.
        let config = format!("{out}/run.toml");
        sandbox.run(["fit", "--config", &config, "--out", "again"]).expect(0, &[]);
        assert_eq!(
            without_timings(read(&sandbox, "again/report.json")),
            without_timings(report),
            "{label}: from its settings"
        );
        fs::remove_dir_all(sandbox.path("again")).unwrap();
    }
}

#[test]
fn arrays_are_rows_too() {
    let sandbox = Sandbox::new();
    arrays(&sandbox);
    let ran = sandbox.run(["fit", "x.npy", "--out", "run", "--json"]).expect(0, &["x_labels.npy"]);
    assert_eq!(ran.json()["data"]["train"], 60);
    let told = sandbox.run(["predict", "run", "x.npy"]).expect(0, &[]).stdout;
    assert_eq!(told.lines().count(), 61);
    assert!(sandbox.run(["verify", "run"]).expect(0, &[]).stdout.contains("reproduced"));
    // The labels may lie elsewhere.
    fs::rename(sandbox.path("x_labels.npy"), sandbox.path("truth.npy")).unwrap();
    sandbox.run(["fit", "x.npy", "--out", "no"]).expect(3, &["x_labels.npy"]);
    sandbox.run(["fit", "x.npy", "--labels", "truth.npy", "--out", "other"]).expect(0, &[]);
    let whole = fs::read(sandbox.path("x.npy")).unwrap();
    fs::write(sandbox.path("x.npy"), &whole[..whole.len() - 4]).unwrap();
    sandbox.run(["predict", "run", "x.npy"]).expect(3, &["the array"]);
}

#[test]
fn what_rows_do_not_have_is_refused() {
    let sandbox = Sandbox::new();
    cars(&sandbox, 80);
    let fit = |more: &[&str]| {
        let args = ["fit", "cars.csv", "--label-column", "worth", "--ignore-column", "price,traits", "--out", "run"];
        sandbox.run(args.iter().chain(more))
    };
    for (more, parts) in [
        (&["--depth", "last"][..], &["no base that could be retrained", "--depth"][..]),
        (&["--base", "glyphs"], &["no pretrained base", "--base"]),
        (&["--epochs", "3"], &["do not apply to rows"]),
        (&["--mixup", "0.2"], &["do not apply to rows", "--mixup"]),
        (&["--budget", "1m"], &["do not apply to rows", "--budget"]),
        (&["--pooling", "mean"], &["do not apply to rows", "--pooling"]),
        (&["--find-lr"], &["no rate to find"]),
        (&["--ignore-column", "colour"], &["no column `colour`"]),
    ] {
        fit(more).expect(if more[1..] == ["colour"] { 3 } else { 2 }, parts);
        assert!(!sandbox.path("run").exists());
    }
    sandbox.run(["fit", "digits", "--ignore-column", "a", "--out", "run"]).expect(3, &[]);
    fit(&[]).expect(0, &[]);
    sandbox.run(["predict", "run", "-"]).expect(2, &["stdin"]);
    sandbox.run(["predict", "run", "cars.csv", "--explain"]).expect(2, &["--explain"]);

    let predict = |text: &str| {
        fs::write(sandbox.path("new.csv"), text).unwrap();
        sandbox.run(["predict", "run", "new.csv"])
    };
    predict("power,fuel\n100,petrol\n")
        .expect(3, &["columns that the model was trained with are missing", "`age`, `town`"]);
    predict("power,age,fuel,town\n100,3,petrol,Ulm\nmany,3,petrol,Ulm\n")
        .expect(3, &["row 2", "column `power`", "`many`"]);
    let told = predict("town,fuel,age,power\nParis,petrol,,100\n").expect(0, &["never seen in training (`Paris`)"]);
    assert_eq!(told.stdout.lines().count(), 2);
    // A row that is nothing like the others is told as such.
    let told = predict("power,age,fuel,town\n90000,3,petrol,Ulm\n100,3,petrol,Ulm\n").expect(0, &[]).stdout;
    assert_eq!(column(&told, "unlike"), ["true", "false"]);
}

#[test]
fn a_column_that_tells_the_label_is_named() {
    let sandbox = Sandbox::new();
    let mut table = "a,code,label\n".to_owned();
    for row in 0..60 {
        writeln!(table, "{},{},{}", mixed(row), row % 2 + 7, ["no", "yes"][row % 2]).unwrap();
    }
    fs::write(sandbox.path("leak.csv"), table).unwrap();
    let told = sandbox.run(["audit", "leak.csv"]).expect(0, &[]).stdout;
    assert!(told.contains("serious") && told.contains("`code`"), "{told}");
    sandbox.run(["fit", "leak.csv", "--strict", "--out", "run"]).expect(3, &["`code`"]);
    sandbox.run(["audit", "leak.csv", "--ignore-column", "code", "--strict"]).expect(0, &[]);
}

#[test]
fn what_people_meet_with_tables_is_told() {
    let sandbox = Sandbox::new();
    let write = |name: &str, text: &str| fs::write(sandbox.path(name), text).unwrap();
    let rows = |cell: &dyn Fn(usize) -> String, label: &dyn Fn(usize) -> &'static str| {
        let mut text = "a,b,label\n".to_owned();
        (0..40).for_each(|row| writeln!(text, "{},{}.5,{}", cell(row), mixed(row), label(row)).unwrap());
        text
    };
    let yes = |row: usize| ["no", "yes"][mixed(row) % 2];
    // One wrong cell does not make texts of a table: it is named.
    write("one.csv", &rows(&|row| if row == 7 { "12 kg".into() } else { format!("{row}.25") }, &yes));
    sandbox.run(["fit", "one.csv", "--out", "run"]).expect(3, &["row 8", "column `a`", "`12 kg`"]);
    write("money.csv", &rows(&|row| format!("${}.50", mixed(row)), &yes));
    let told = sandbox.run(["audit", "money.csv", "--base", "none"]).expect(0, &[]).stdout;
    assert!(told.contains("40 of 40 cells are numbers written for people"), "{told}");
    write("na.csv", &rows(&|row| row.to_string(), &|row| if row % 4 == 0 { "NA" } else { yes(row) }));
    sandbox
        .run(["fit", "na.csv", "--out", "na"])
        .expect(0, &["look like a missing value and are learnt as classes: `NA` (10)"]);
    sandbox.run(["fit", "na.csv", "--labels", "one.csv", "--out", "no"]).expect(2, &["--labels", "--label-column"]);

    fs::create_dir(sandbox.path("parts")).unwrap();
    write("parts/train.csv", &rows(&|row| mixed(row).to_string(), &yes));
    write("parts/test.csv", "a,b,label\n,1.5,yes\n,2.5,no\n,7.5,yes\n");
    sandbox.run(["fit", "parts", "--out", "run"]).expect(0, &["test: the column `a` lacks 3 values"]);
    write("parts/test.csv", "a,b,label\n1,1.5,yes\n2,2.5,no\n");
    let changed = sandbox.run(["verify", "run"]);
    assert!(changed.stdout.lines().nth(1).unwrap().contains("is not what it was"), "{}", changed.stdout);
    write("parts/test.csv", "a,b,label\n");
    sandbox.run(["fit", "parts", "--out", "other"]).expect(3, &["there are no rows", "test.csv"]);
}
