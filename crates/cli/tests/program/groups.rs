//! Groups: by a column, by a regular expression in paths, suggested, refused; kept in a run and repeated by `verify`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

fn report(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

/// The fold of every training example, by its name.
fn folds(sandbox: &Sandbox, run: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(sandbox.path(run).join("predictions.csv")).unwrap();
    let fields = text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    fields.filter(|fields| fields[1] == "train").map(|fields| (fields[0].clone(), fields[2].clone())).collect()
}

#[test]
fn a_column_of_groups_goes_into_the_run_and_no_group_crosses_folds() {
    let sandbox = Sandbox::new();
    let mut table = "power,age,patient,worth\n".to_owned();
    for row in 0..96 {
        let (power, age) = (60 + row * 7919 % 141, row * 31 % 23);
        let patient = if row % 12 == 11 { String::new() } else { format!("P{}", row * 5 % 16) };
        writeln!(table, "{power},{age},{patient},{}", if power + 3 * age > 150 { "dear" } else { "cheap" }).unwrap();
    }
    fs::write(sandbox.path("cars.csv"), table).unwrap();
    let args = ["fit", "cars.csv", "--label-column", "worth", "--group-column", "patient", "--out", "run"];
    let ran =
        sandbox.run(args).expect(0, &["16 groups by column `patient`; 8 examples without one; no group crosses folds"]);
    assert!(ran.stdout.contains("groups            16 groups by column `patient`"), "{}", ran.stdout);
    let report = report(&sandbox, "run");
    assert_eq!(report["data"]["audit"]["grouped"]["groups"], 16);
    assert_eq!(report["config"]["group-column"], "patient");
    let columns = report["table"]["columns"].to_string();
    assert!(columns.contains("power") && !columns.contains("patient"), "{columns}");
    let page = fs::read_to_string(sandbox.path("run/report.html")).unwrap();
    assert!(page.contains("16 groups by column `patient`") && page.contains("--group-column patient"));
    let folds = folds(&sandbox, "run");
    let mut of_group = BTreeMap::new();
    for row in (0..96).filter(|row| row % 12 != 11) {
        let fold = &folds[&format!("row {}", row + 1)];
        assert_eq!(of_group.entry(row * 5 % 16).or_insert(fold), &fold);
    }
    assert_eq!(of_group.len(), 16);
    assert!(fs::read_to_string(sandbox.path("run/run.toml")).unwrap().contains("group-column = \"patient\""));
    sandbox.run(["verify", "run"]).expect(0, &[]);
    // Rows to be predicted need no such column.
    let told = fs::read_to_string(sandbox.path("cars.csv")).unwrap();
    let without = told.lines().map(|line| {
        let f: Vec<&str> = line.split(',').collect();
        format!("{},{}\n", f[0], f[1])
    });
    fs::write(sandbox.path("new.csv"), without.collect::<String>()).unwrap();
    assert_eq!(sandbox.run(["predict", "run", "new.csv"]).expect(0, &[]).stdout.lines().count(), 97);
}

#[test]
fn groups_in_names_are_suggested_found_and_refused() {
    let sandbox = Sandbox::new();
    let root = sandbox.flat_digits("digits", 2, 20);
    for class in 0..2 {
        let folder = root.join(class.to_string());
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (at, file) in files.iter().enumerate() {
            fs::rename(file, folder.join(format!("patient{}_{class}{at:02}.png", at / 4))).unwrap();
        }
    }
    let hint = r"add --group-by 'patient\d+'";
    let audited = sandbox.run(["audit", "digits"]).expect(0, &[]).stdout;
    assert!(audited.contains(hint) && audited.contains("40 of 40 images look like 5 groups"), "{audited}");
    let by = ["audit", "digits", "--group-by", r"patient\d+"];
    let audited = sandbox.run(by).expect(0, &[]).stdout;
    assert!(audited.contains(r"5 groups by `patient\d+` in paths") && !audited.contains(hint), "{audited}");
    let fit = |by: &str| {
        let head = ["fit", "digits", "--base", "glyphs", "--depth", "head", "--control-budget", "0", "--out", "run"];
        sandbox.run(head.into_iter().chain(["--group-by", by]))
    };
    fit("patient(").expect(2, &["invalid regular expression: unclosed group", "--group-by"]);
    fit("person").expect(2, &["matches no path", "0/patient0_000.png"]);
    fit("patient").expect(3, &["are of one group", "40 of group `patient`"]);
    assert!(!sandbox.path("run").exists());
    fit(r"(?P<group>patient\d+)_").expect(0, &["5 groups by", "no group crosses folds"]);
    let mut of_group = BTreeMap::new();
    for (name, fold) in folds(&sandbox, "run") {
        let group = name.split(['/', '_']).nth(1).unwrap().to_owned();
        assert_eq!(*of_group.entry(group).or_insert(fold.clone()), fold, "{name}");
    }
    assert_eq!(of_group.len(), 5);
    sandbox.run(["verify", "run"]).expect(0, &[]);
    let both = ["audit", "digits", "--group-by", "p", "--group-column", "c"];
    sandbox.run(both).expect(2, &["cannot be used with"]);
    sandbox.run(["audit", "digits", "--group-column", "c"]).expect(2, &["a folder has no columns"]);
}

#[test]
fn pretraining_holds_out_whole_groups() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 12);
    let args = ["pretrain", "digits", "--out", "base", "--epochs", "1", "--size", "32", "--arch", "small_resnet"];
    let all = |by: &str| sandbox.run(args.iter().copied().chain(["--group-by", by]));
    all("^").expect(2, &["matches no path"]);
    all(r"\.png").expect(3, &["are of one group"]);
    let text = ["pretrain", "digits", "--method", "language-model", "--out", "lm", "--group-by", "x"];
    sandbox.run(text).expect(2, &["--group-by"]);
}
