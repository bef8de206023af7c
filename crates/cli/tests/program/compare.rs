//! `engraft compare`: two data sets beside each other, what differs and what does not, and refusals.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, examples};

/// A number in [-1, 1) that depends on its arguments alone.
fn noise(row: usize, column: usize) -> f64 {
    let mixed = (row * 7919 + column * 104_729 + 13) * (row + 31 * column + 7) % 10_007;
    mixed as f64 / 5003.5 - 1.0
}

/// A table of rows, of which the column `b` and the class `yes`, in `positives` of ten rows, may differ.
fn table(from: usize, count: usize, shift: f64, positives: usize, labelled: bool) -> String {
    let mut table = String::from(if labelled { "a,b,c,town,ill\n" } else { "a,b,c,town\n" });
    for row in from..from + count {
        let ill = row * 7 % 10 < positives;
        let cell = |column: usize| noise(row, column) + noise(row, column + 50) + if ill { 1.0 } else { 0.0 };
        let town = ["Bonn", "Cologne", "Aachen"][row * 13 % 3];
        write!(table, "{:.4},{:.4},{:.4},{town}", cell(0), cell(1) + shift, cell(2)).unwrap();
        table.push_str(if !labelled {
            "\n"
        } else if ill {
            ",yes\n"
        } else {
            ",no\n"
        });
    }
    table
}

fn compared(sandbox: &Sandbox, args: &[&str]) -> Value {
    let ran = sandbox.run([&["--json", "compare"], args].concat()).expect(0, &[]);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn shares_are_told_apart_from_content() {
    let sandbox = Sandbox::new();
    for (name, from, shift, positives) in
        [("a", 0, 0.0, 5), ("same", 1000, 0.0, 5), ("shares", 2000, 0.0, 9), ("moved", 3000, 1.5, 5)]
    {
        fs::write(sandbox.path(format!("{name}.csv")), table(from, 200, shift, positives, true)).unwrap();
    }
    let of = |other: &str| compared(&sandbox, &["a.csv", other, "--label-column", "ill"]);
    let same = of("same.csv");
    assert_eq!(same["differs"], "alike", "{same}");
    assert_eq!(same["distance"]["importance_weighting"], false);
    let shares = of("shares.csv");
    assert_eq!(shares["differs"], "shares", "{shares}");
    assert!(shares["shares"]["distance"].as_f64().unwrap() > 0.3, "{shares}");
    let moved = of("moved.csv");
    assert_eq!(moved["differs"], "content", "{moved}");
    let first = &moved["properties"][0];
    assert!(first["name"] == "b" && first["corrected_p"].as_f64().unwrap() <= 0.01, "{moved}");
    let distance = &moved["distance"];
    assert!(distance["accuracy"].as_f64() > distance["accuracy_floor"].as_f64(), "{moved}");
    assert!(distance["frechet"].as_f64() > distance["frechet_floors"][0].as_f64(), "{moved}");
    assert_eq!(moved["classes"].as_array().unwrap().len(), 2, "{moved}");

    // Of one class alone: that is a matter of shares too, whichever comes first.
    let one: String = table(4000, 300, 0.0, 5, true)
        .lines()
        .filter(|row| !row.ends_with("no"))
        .map(|row| format!("{row}\n"))
        .collect();
    fs::write(sandbox.path("one.csv"), one).unwrap();
    for [a, b] in [["a.csv", "one.csv"], ["one.csv", "a.csv"]] {
        let found = compared(&sandbox, &[a, b, "--label-column", "ill"]);
        assert_eq!(found["differs"], "shares", "{found}");
    }
    // A column that is the same in all rows of one, and columns that only one has.
    let constant: String =
        table(5000, 200, 0.0, 5, true).replace("Bonn", "Trier").replace("Cologne", "Trier").replace("Aachen", "Trier");
    fs::write(sandbox.path("constant.csv"), constant.replace("a,b,c", "a,b,d")).unwrap();
    for [a, b] in [["a.csv", "constant.csv"], ["constant.csv", "a.csv"]] {
        let found = compared(&sandbox, &[a, b, "--label-column", "ill"]);
        assert_eq!(
            (&found["differs"], &found["properties"][0]["name"]),
            (&Value::from("content"), &Value::from("town")),
            "{found}"
        );
        let notes = found["notes"].to_string();
        assert!(notes.contains("only A has") && notes.contains("only B has"), "{notes}");
    }

    // Without labels nothing is said of shares; the same twice gives the same.
    fs::write(sandbox.path("plain.csv"), table(3000, 200, 1.5, 5, false)).unwrap();
    let plain = compared(&sandbox, &["a.csv", "plain.csv", "--label-column", "ill"]);
    assert_eq!((&plain["differs"], plain.get("shares")), (&Value::from("apart"), None), "{plain}");
    let both = compared(&sandbox, &["plain.csv", "plain.csv", "--ignore-column", "c"]);
    assert_eq!((&both["differs"], &both["duplicates"]["equal"]), (&Value::from("alike"), &Value::from(200)), "{both}");
    assert!(both["distance"]["p"].as_f64().unwrap() > 0.05, "{both}");
}

#[test]
fn images_that_do_not_belong_there_are_found() {
    let sandbox = Sandbox::new();
    sandbox.digits("a", 10, 10, 1);
    sandbox.digits("b", 10, 20, 1);
    // Of b a few are of another kind: chequered.
    for at in 0..6 {
        let tile = |x: u32, y: u32| if (x / (2 + at % 3) + y / (1 + at / 2)) % 2 == 1 { 255 } else { 0 };
        let image = image::GrayImage::from_fn(28, 28, |x, y| image::Luma([tile(x, y)]));
        image.save(sandbox.path(format!("b/train/0/foreign{at}.png"))).unwrap();
    }
    let ran = sandbox.run(["--json", "compare", "a", "b", "--base", "glyphs", "--out", "page"]).expect(0, &[]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let farthest: Vec<&str> =
        found["farthest_b"].as_array().unwrap().iter().take(6).map(|it| it["example"].as_str().unwrap()).collect();
    assert!(farthest.iter().filter(|name| name.contains("foreign")).count() >= 4, "{farthest:?}");
    let written: Value = serde_json::from_slice(&fs::read(sandbox.path("page/compare.json")).unwrap()).unwrap();
    assert_eq!(written["farthest_b"], found["farthest_b"]);
    let page = fs::read_to_string(sandbox.path("page/compare.html")).unwrap();
    assert!(page.contains("foreign0.png") && page.contains("data:image/png;base64") && !page.contains("<script"));
    assert!(page.contains("engraft compare a b --base glyphs"), "{page}");

    // It stands in nobody's way, and nobody in its.
    sandbox.run(["compare", "a", "b", "--base", "glyphs", "--out", "page"]).expect(5, &["exists already", "--force"]);
    sandbox.run(["compare", "a", "b", "--base", "glyphs", "--out", "page", "--force"]).expect(0, &[]);
    fs::write(sandbox.path("page/mine.txt"), "mine").unwrap();
    sandbox.run(["compare", "a", "b", "--base", "glyphs", "--out", "page", "--force"]).expect(5, &["mine.txt"]);
    sandbox.run(["compare", "a", "b", "--base", "glyphs", "--out", "a", "--force"]).expect(5, &[]);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("images", 2, 10);
    fs::create_dir(sandbox.path("empty")).unwrap();
    fs::write(sandbox.path("a.csv"), table(0, 40, 0.0, 5, true)).unwrap();
    fs::write(sandbox.path("few.csv"), table(0, 5, 0.0, 5, true)).unwrap();
    fs::write(sandbox.path("narrow.csv"), "a,b,ill\n1,2,yes\n2,1,no\n").unwrap();
    let refused = |args: &[&str], code: i32, parts: &[&str]| {
        let ran = sandbox.run([&["compare"], args].concat()).expect(code, parts);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    };
    refused(&["images", "empty", "--base", "glyphs"], 3, &["empty"]);
    refused(&["empty", "images", "--base", "glyphs"], 3, &["empty"]);
    refused(&["images", "gone", "--base", "glyphs"], 3, &["gone"]);
    refused(&["a.csv", "few.csv", "--label-column", "ill"], 3, &["too few examples"]);
    refused(&["a.csv", "narrow.csv", "--label-column", "ill"], 3, &["too few examples"]);
    refused(&["a.csv", "a.csv", "--to-label", "gone"], 2, &["gone"]);
    refused(&["a.csv", "a.csv", "--label-column", "ill", "--prompt", "x"], 2, &["--prompt"]);
    refused(&["images", "images", "--base", "glyphs", "--ignore-column", "a"], 2, &["--ignore-column"]);
    for (name, columns) in [("wide.npy", 4), ("slim.npy", 3)] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (20, {columns}), }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend((0..20 * columns).flat_map(|at| (noise(at, 3) as f32).to_le_bytes()));
        fs::write(sandbox.path(name), bytes).unwrap();
    }
    sandbox.run(["compare", "wide.npy", "wide.npy"]).expect(0, &[]);
    refused(&["wide.npy", "slim.npy"], 3, &["different widths", "4 columns", "3 columns"]);
    refused(&["images", "a.csv", "--base", "glyphs"], 3, &[]);
    refused(&["a.csv", "images"], 3, &[]);
    refused(&["images", "images", "--base", "glyfs"], 4, &["glyphs"]);
    let reviews = examples().join("reviews.csv");
    if reviews.is_file() {
        refused(&[reviews.to_str().unwrap(), "a.csv", "--base", "tfidf"], 2, &["counted words"]);
    }
}
