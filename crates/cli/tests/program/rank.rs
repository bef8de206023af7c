//! `engraft rank`: bases in an order, ties, what one gets without any, and refusals.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// The base that the program carries, as a file, and a network of the same kind that saw nothing: its weights are noise.
fn bases(sandbox: &Sandbox) {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engraft/assets");
    for name in ["glyphs.safetensors", "glyphs.toml"] {
        let to = name.replace("glyphs", "noise");
        fs::copy(assets.join(name), sandbox.path(&to)).unwrap();
    }
    let mut bytes = fs::read(sandbox.path("noise.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    // The numbers of every convolution change places: the same numbers, without what was learnt.
    let told: Value = serde_json::from_slice(&bytes[8..header]).unwrap();
    for tensor in told.as_object().unwrap().values().filter(|it| it["shape"].as_array().is_some_and(|it| it.len() == 4))
    {
        let place = |at: usize| header + tensor["data_offsets"][at].as_u64().unwrap() as usize;
        let (start, count) = (place(0), (place(1) - place(0)) / 4);
        for at in 0..count {
            let other = (at * 7919 + 104_729) % count;
            (0..4).for_each(|byte| bytes.swap(start + 4 * at + byte, start + 4 * other + byte));
        }
    }
    fs::write(sandbox.path("noise.safetensors"), bytes).unwrap();
    let card = fs::read_to_string(sandbox.path("noise.toml")).unwrap();
    let card: Vec<&str> = card.lines().filter(|line| !line.starts_with("sha256")).collect();
    fs::write(sandbox.path("noise.toml"), card.join("\n")).unwrap();
}

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let ran = sandbox.run([&["--json", "rank", "digits"], args].concat()).expect(0, &[]);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_base_that_learnt_is_ranked_before_one_that_did_not() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 4, 20);
    bases(&sandbox);
    let ranking = json(&sandbox, &["--bases", "noise.safetensors", "glyphs"]);
    let ranked = ranking["bases"].as_array().unwrap();
    assert_eq!((ranked.len(), ranked[0]["base"].as_str()), (2, Some("glyphs")), "{ranking}");
    assert_eq!(ranking["recommended"], "glyphs");
    assert!(ranked[0]["evidence"].as_f64() > ranked[1]["evidence"].as_f64(), "{ranking}");
    let mean = |at: usize| ranked[at]["probe"]["mean"].as_f64().unwrap();
    assert!(mean(0) > mean(1) && ranked[0]["probe"].get("against_best").is_none(), "{ranking}");
    // The probe's number is that of a fit.
    sandbox
        .run(["fit", "digits", "--base", "glyphs", "--depth", "head", "--control-budget", "0", "--out", "run"])
        .expect(0, &[]);
    let report: Value = serde_json::from_slice(&fs::read(sandbox.path("run/report.json")).unwrap()).unwrap();
    assert_eq!(report["accuracy"]["mean"].as_f64().unwrap(), mean(0));
    let names: Vec<&str> =
        ranking["without_base"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"pixels") && names.len() == 2, "{ranking}");
    assert!(ranking["verdict"].as_str().unwrap().contains("transfer"), "{ranking}");

    // The only base that is here is taken, and said.
    let args = ["fit", "digits", "--base", "auto", "--depth", "head", "--control-budget", "0", "--out", "auto-run"];
    sandbox.run(args).expect(0, &["base: glyphs, the only one"]);
    let model = |run: &str| fs::read(sandbox.path(run).join("model.safetensors")).unwrap();
    assert!(model("auto-run") == model("run"));

    let shown = sandbox.run(["rank", "digits", "--bases", "glyphs"]).expect(0, &[]).stdout;
    assert!(shown.contains("take            glyphs") && shown.contains("pixels"), "{shown}");
    for by in ["logme", "h-score", "parc", "nce", "leep"] {
        let ranking = json(&sandbox, &["--bases", "noise.safetensors", "glyphs", "--by", by]);
        assert_eq!(ranking["recommended"], "glyphs", "{ranking}");
        assert!(ranking["bases"][0].get("probe").is_none() && ranking.get("verdict").is_none(), "{ranking}");
    }
}

#[test]
fn a_budget_of_nothing_probes_the_most_promising_base_alone() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 3, 15);
    bases(&sandbox);
    let ranking = json(&sandbox, &["--bases", "noise.safetensors", "glyphs", "--budget", "0"]);
    assert_eq!(ranking["bases"][0]["base"], "glyphs");
    assert!(ranking["bases"][1].get("probe").is_none());
    assert!(ranking["left_out"][0].as_str().unwrap().starts_with("noise.safetensors was not probed"), "{ranking}");
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 6);
    let table: String = (0..60).map(|row| format!("{row},{},{}\n", row * 7 % 13, ["a", "b"][row % 2])).collect();
    fs::write(sandbox.path("rows.csv"), format!("x,y,label\n{table}")).unwrap();
    for (args, code, parts) in [
        (&["rank", "digits", "--by", "best"][..], 2, &["probe"][..]),
        (&["rank", "digits", "--budget", "soon", "--bases", "glyphs"], 2, &["not a time"]),
        (&["rank", "digits", "--bases", "glyphs", "glyphs"], 2, &["named twice"]),
        (&["rank", "digits", "--bases", "nowhere.safetensors"], 4, &["nowhere"]),
        (&["rank", "rows.csv"], 2, &["nothing to rank"]),
        (&["rank", "nowhere"], 3, &["nowhere"]),
    ] {
        sandbox.run(args.iter().copied()).expect(code, parts);
    }
}

#[test]
fn numbers_are_compared_by_their_errors() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 4, 15);
    let mut table = String::from("path,value\n");
    for class in 0..4 {
        let mut files: Vec<_> = fs::read_dir(sandbox.path(format!("digits/{class}"))).unwrap().collect();
        files.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
        for (at, file) in files.into_iter().enumerate() {
            let name = file.unwrap().file_name().into_string().unwrap();
            table.push_str(&format!("digits/{class}/{name},{:.2}\n", 10.0 * f64::from(class) + at as f64 / 100.0));
        }
    }
    fs::write(sandbox.path("table.csv"), table).unwrap();
    let args = ["--json", "rank", "table.csv", "--label-column", "value", "--task", "regression", "--bases", "glyphs"];
    let ranking: Value = serde_json::from_str(&sandbox.run(args).expect(0, &[]).stdout).unwrap();
    let own = ranking["bases"][0]["probe"]["mean"].as_f64().unwrap();
    let median = &ranking["without_base"][0];
    let of_median = median["mean"].as_f64().unwrap();
    assert_eq!((ranking["measure"].as_str(), median["name"].as_str()), (Some("mean error"), Some("median")));
    // The median of 0, 10, 20 and 30, equally often, is off by 10.
    assert!((of_median - 10.0).abs() < 0.5 && own < 8.0, "{ranking}");
    assert!((median["gain"]["mean"].as_f64().unwrap() - (of_median - own)).abs() < 1e-9, "{ranking}");
    assert!(!ranking["verdict"].as_str().unwrap().contains("points"), "{ranking}");
}
