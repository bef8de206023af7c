//! Data files as people have them: what they hold is read right, or refused with its reason, and every guess is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::sandbox::{Ran, Sandbox};

fn fit(sandbox: &Sandbox, data: &str, more: &[&str]) -> Ran {
    let args = ["fit", data, "--depth", "head", "--control-budget", "0", "--out", "run", "--force", "--json"];
    sandbox.run(args.iter().chain(more))
}

fn fitted(sandbox: &Sandbox, data: &str, more: &[&str], told: &[&str]) -> Value {
    fit(sandbox, data, more).expect(0, told).json()
}

/// The files of a folder of digits and its classes, `0/x.png`, sorted.
fn files(root: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for class in fs::read_dir(root).unwrap().flatten() {
        let name = class.file_name().into_string().unwrap();
        files.extend(fs::read_dir(class.path()).unwrap().flatten().map(|file| (file.path(), name.clone())));
    }
    files.sort();
    files
}

#[test]
fn splits_by_other_names_are_splits() {
    for (train, test) in [
        ("Training", "Testing"),
        ("train_set", "dev"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train", "evaluation"),
    ] {
        let sandbox = Sandbox::new();
        let data = sandbox.digits("digits", 3, 12, 6);
        for (from, to) in [("train", train), ("test", test)] {
            let to = sandbox.path("data").join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(data.join(from), to).unwrap();
        }
        let report = fitted(&sandbox, "data", &[], &["folders read as splits"]);
        assert_eq!(report["data"]["classes"], json!(["0", "1", "2"]), "{train}");
        assert_eq!(report["data"]["train"], 36);
        assert_eq!(report["held_out"][0]["accuracy"]["n"], 18, "{test}");
    }
}

#[test]
fn classes_named_nearly_like_splits_stay_classes() {
    let sandbox = Sandbox::new();
    let data = sandbox.flat_digits("data", 3, 6);
    for (from, to) in [("0", "trainers"), ("1", "test_tube"), ("2", "valve")] {
        fs::rename(data.join(from), data.join(to)).unwrap();
    }
    let report = fitted(&sandbox, "data", &[], &[]);
    assert_eq!(report["data"]["classes"], json!(["test_tube", "trainers", "valve"]));
}

#[test]
fn tables_of_images_are_read_as_images_and_predicted() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("images", 2, 8);
    let mut rows = String::from("file_name,zero,one\n");
    for (file, class) in files(&sandbox.path("images")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        rows.push_str(&format!("{class}/{name},{}\n", if class == "0" { "1,0" } else { "0,1" }));
    }
    fs::write(sandbox.path("table.csv"), rows).unwrap();
    let told = ["the images are read from the column `file_name`", "zeros and ones", "in the folder `images`: 16"];
    let report = fitted(&sandbox, "table.csv", &[], &told);
    assert_eq!(report["data"]["classes"], json!(["one", "zero"]));
    assert!(report["accuracy"]["mean"].as_f64().unwrap() > 0.9, "{}", report["accuracy"]);
    let ran = sandbox.run(["predict", "run", "table.csv"]).expect(0, &["`file_name`"]);
    assert_eq!(ran.stdout.lines().count(), 17, "{}", ran.stdout);
    sandbox.run(["embed", "table.csv", "--out", "f.npy"]).expect(0, &["`file_name`"]);
    let index = fs::read_to_string(sandbox.path("f.npy.index.csv")).unwrap();
    assert_eq!(index.lines().count(), 17, "{index}");
}

/// A Parquet file as the `datasets` library writes images with their classes.
fn parquet(rows: &[(PathBuf, String)]) -> Vec<u8> {
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); } required int64 label; }";
    let features = json!({"info": {"features": {"label": {"names": ["zero", "one"], "_type": "ClassLabel"}}}});
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_owned(), features.to_string())]))
        .build();
    let mut out = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    let bytes: Vec<ByteArray> = rows.iter().map(|(file, _)| fs::read(file).unwrap().into()).collect();
    let paths: Vec<ByteArray> = rows.iter().map(|(file, _)| file.to_str().unwrap().into()).collect();
    let labels: Vec<i64> = rows.iter().map(|(_, class)| class.parse().unwrap()).collect();
    for values in [bytes, paths] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&vec![2; rows.len()]), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    out
}

#[test]
fn images_in_a_parquet_file_are_fitted_like_files_and_predicted() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("images", 2, 8);
    let rows = files(&sandbox.path("images"));
    fs::write(sandbox.path("digits.parquet"), parquet(&rows)).unwrap();
    let ours = fitted(&sandbox, "digits.parquet", &[], &["the column `image.bytes`, whose cells are images"]);
    let answers = sandbox.run(["predict", "run", "digits.parquet"]).expect(0, &[]).stdout;
    assert_eq!(answers.lines().count(), 17);
    assert!(answers.contains("digits.parquet row 16"), "{answers}");
    let theirs = fitted(&sandbox, "images", &[], &[]);
    assert_eq!(ours["data"]["classes"], json!(["one", "zero"]));
    assert_eq!(ours["data"]["train"], theirs["data"]["train"]);
    let deepest = sandbox.run([
        "fit",
        "digits.parquet",
        "--depth",
        "last",
        "--epochs",
        "1",
        "--control-budget",
        "0.002",
        "--out",
        "deep",
    ]);
    deepest.expect(0, &[]);
    sandbox.run(["audit", "digits.parquet"]).expect(0, &[]);
}

/// The column `status` of answers.
fn statuses(answers: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(answers.as_bytes());
    let place = reader.headers().unwrap().iter().position(|name| name == "status").unwrap();
    reader.records().map(|record| record.unwrap()[place].to_owned()).collect()
}

#[test]
fn content_decides_and_what_is_not_read_is_named_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("data", 2, 8);
    fitted(&sandbox, "data", &[], &[]);
    let some = files(&sandbox.path("data"));
    let new = sandbox.path("new");
    fs::create_dir(&new).unwrap();
    for (at, name) in ["a.png", "b.jpg_large", "c", "d.mpo"].iter().enumerate() {
        fs::copy(&some[at].0, new.join(name)).unwrap();
    }
    for (name, bytes) in [
        ("e.heic", b"\0\0\0\x20ftypheic".as_slice()),
        ("f.avif", b"\0\0\0\x20ftypavif"),
        ("g.jp2", b"\0\0\0\x0cjP  \r\n"),
        ("h.png", b"text"),
        ("i.txt", b"text"),
    ] {
        fs::write(new.join(name), bytes).unwrap();
    }
    let told =
        ["passed over: not an image: 1 (i.txt)", "HEIC; convert it", "AVIF; convert it", "JPEG 2000; convert it"];
    let ran = sandbox.run(["predict", "run", "new"]).expect(3, &told);
    assert_eq!(ran.stdout.lines().count(), 1 + 8, "{}", ran.stdout);
    assert_eq!(statuses(&ran.stdout).iter().filter(|status| *status != "error").count(), 4, "{}", ran.stdout);
    let ran =
        sandbox.run(["embed", "new", "--out", "f.npy"]).expect(3, &["passed over: not an image: 1", "left out: 4; "]);
    assert!(ran.stdout.contains("4 rows"), "{}", ran.stdout);
    fs::rename(&new, sandbox.path("data/2")).unwrap();
    let ran = sandbox.run(["audit", "data"]).expect(0, &[]);
    for part in [
        "HEIC; convert it to JPEG or PNG (heif-convert IN OUT.jpg): 1 (2/e.heic)",
        "not an image: 2 (2/h.png, 2/i.txt)",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    fit(&sandbox, "data", &[]).expect(0, &["AVIF; convert it", "(2/f.avif)"]);
}

#[test]
fn files_that_are_not_there_are_counted_with_their_reason() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("images", 2, 8);
    let mut rows = String::from("path,label\n");
    for (file, class) in files(&sandbox.path("images")) {
        rows.push_str(&format!("images/{class}/{},{class}\n", file.file_name().unwrap().to_str().unwrap()));
    }
    (0..20).for_each(|at| rows.push_str(&format!("gone/{at:02}.png,{}\n", at % 2)));
    fs::write(sandbox.path("t.csv"), rows).unwrap();
    let told = "files that cannot be read, left out: 20; No such file or directory (os error 2): 20 (gone/00.png, gone/01.png, gone/02.png, ...)";
    fit(&sandbox, "t.csv", &[]).expect(0, &[told]);
    let ran = sandbox.run(["audit", "t.csv"]).expect(0, &[]);
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
}

#[test]
fn twelve_bits_in_sixteen_are_learnt_and_predicted_alike() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 3, 10);
    in_twelve_bits(&sandbox, "digits", "data");
    let plain = fitted(&sandbox, "digits", &[], &[])["accuracy"]["mean"].as_f64().unwrap();
    let report = fitted(&sandbox, "data", &[], &["use 12 bits", "--bit-depth 16"]);
    let spread = report["accuracy"]["mean"].as_f64().unwrap();
    assert!(spread >= plain - 0.07, "{spread} against {plain}");
    let ran = sandbox.run(["predict", "run", "data"]).expect(0, &[]);
    assert!(right(&ran.stdout) >= 27, "{}", ran.stdout);
    fit(&sandbox, "data", &["--bit-depth", "16"]).expect(0, &["read as 16 bits, as asked"]);
    sandbox.run(["embed", "data", "--out", "f.npy"]).expect(0, &["use 12 bits", "read as 12 bits"]);
}

#[test]
fn an_answer_says_whether_it_is_one_whatever_the_classes_are_called() {
    let sandbox = Sandbox::new();
    let data = sandbox.flat_digits("data", 2, 10);
    fs::rename(data.join("0"), data.join("error")).unwrap();
    fs::rename(data.join("1"), data.join("unsure")).unwrap();
    fitted(&sandbox, "data", &[], &[]);
    fs::write(sandbox.path("bad.png"), b"text").unwrap();
    let ran = sandbox.run(["predict", "run", "data/error", "bad.png"]).expect(3, &[]);
    let said = statuses(&ran.stdout);
    assert!(said[..10].iter().all(|said| said == "answered" || said == "unsure"), "{}", ran.stdout);
    assert_eq!(said[10], "error");
    let ran = sandbox.run(["predict", "run", "data/error", "bad.png", "--format", "jsonl"]).expect(3, &[]);
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["status"], &last["answer"]), (&json!("error"), &json!("error")));
    let first: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert!(first["status"] == "answered" || first["status"] == "unsure", "{first}");
}

#[test]
fn class_folders_in_two_unicode_forms_are_one_class() {
    let sandbox = Sandbox::new();
    let data = sandbox.digits("data", 2, 8, 4);
    fs::rename(data.join("train/0"), data.join("train/caf\u{e9}")).unwrap();
    fs::rename(data.join("test/0"), data.join("test/cafe\u{301}")).unwrap();
    let report = fitted(&sandbox, "data", &[], &["merged"]);
    assert_eq!(report["data"]["classes"], json!(["1", "caf\u{e9}"]));
    assert_eq!(report["held_out"][0]["accuracy"]["n"], 8);
}

#[test]
fn texts_in_an_old_encoding_are_read_and_told() {
    let sandbox = Sandbox::new();
    // windows-1251, written out: "хорошо" and "плохо" in sentences.
    let good: &[u8] = b"\xee\xf7\xe5\xed\xfc \xf5\xee\xf0\xee\xf8\xe8\xe9 \xf4\xe8\xeb\xfc\xec";
    let bad: &[u8] = b"\xf1\xea\xf3\xf7\xed\xee \xe8 \xf1\xeb\xe8\xf8\xea\xee\xec \xe4\xee\xeb\xe3\xee";
    let mut table = b"text,label\n".to_vec();
    for row in 0..12 {
        table.extend([if row % 2 == 0 { good } else { bad }, format!(" {row},{}\n", row % 2).as_bytes()].concat());
    }
    fs::write(sandbox.path("t.csv"), &table).unwrap();
    let ran = sandbox.run(["audit", "t.csv"]).expect(0, &["windows-1251"]);
    assert!(ran.stdout.contains("windows-1251") && ran.stdout.contains("--encoding NAME"), "{}", ran.stdout);
    sandbox.run(["audit", "t.csv", "--encoding", "koi8-r"]).expect(0, &["read as KOI8-R, as it was asked for"]);
    sandbox.run(["audit", "t.csv", "--encoding", "koi9"]).expect(2, &["no such encoding", "--encoding"]);
}

/// The digits of a folder as 12 bits in PNGs of 16, in another.
fn in_twelve_bits(sandbox: &Sandbox, from: &str, to: &str) {
    for (file, class) in files(&sandbox.path(from)) {
        let grey = image::open(&file).unwrap().into_luma16();
        let to = sandbox.path(to).join(&class);
        fs::create_dir_all(&to).unwrap();
        let dark = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(grey.width(), grey.height(), |x, y| {
            image::Luma([grey.get_pixel(x, y)[0] >> 4])
        });
        dark.save(to.join(file.file_name().unwrap())).unwrap();
    }
}

/// How many answers are the folder that the image lies in.
fn right(answers: &str) -> usize {
    let is_right = |line: &&str| {
        let fields: Vec<&str> = line.split(',').collect();
        fields[0].contains(&format!("/{}/", fields[2]))
    };
    answers.lines().skip(1).filter(is_right).count()
}

#[test]
fn a_run_of_eight_bits_answers_images_of_twelve() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 3, 10);
    in_twelve_bits(&sandbox, "digits", "deep");
    fitted(&sandbox, "digits", &[], &[]);
    let plain = sandbox.run(["predict", "run", "digits"]).expect(0, &[]);
    assert!(!plain.stderr.contains("16 bits"), "{}", plain.stderr);
    let told = ["images of 16 bits a channel whose values use 12 bits", "read as 12 bits; --bit-depth 16"];
    let deep = sandbox.run(["predict", "run", "deep"]).expect(0, &told);
    let (plain, deep) = (right(&plain.stdout), right(&deep.stdout));
    assert!(plain >= 27 && deep >= plain - 1, "{deep} of 30 against {plain}");
    let asked = sandbox.run(["predict", "run", "deep", "--bit-depth", "12"]).expect(0, &[]);
    assert!(!asked.stderr.contains("16 bits a channel"), "{}", asked.stderr);
    assert_eq!(right(&asked.stdout), deep);
    let dark = sandbox.run(["predict", "run", "deep", "--bit-depth", "16"]).expect(0, &[]);
    assert!(right(&dark.stdout) < deep, "{}", dark.stdout);
    // One image alone does not tell.
    let (file, _) = files(&sandbox.path("deep")).remove(0);
    let mut dialogue = sandbox.dialogue(["predict", "run", "-"]);
    dialogue.hear();
    dialogue.ask(file.to_str().unwrap());
    dialogue.end().expect(0, &["on stdin whose values use 12 bits are read as 16 bits", "--bit-depth 12 reads all"]);
    sandbox.run(["predict", "run", "deep", "--bit-depth", "11"]).expect(2, &["--bit-depth"]);
}

#[test]
fn split_columns_and_unclosed_quotes_are_told_in_every_kind_of_table() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("images", 2, 9);
    let split = |at: usize| if at % 3 == 2 { "evaluation" } else { "development" };
    let mut rows = String::from("file,label,partition\n");
    for (at, (file, class)) in files(&sandbox.path("images")).iter().enumerate() {
        rows.push_str(&format!(
            "images/{class}/{},{class},{}\n",
            file.file_name().unwrap().to_str().unwrap(),
            split(at)
        ));
    }
    fs::write(sandbox.path("t.csv"), rows).unwrap();
    let told = "the column `partition` says the splits: `development` is train, `evaluation` is test";
    let report = fitted(&sandbox, "t.csv", &[], &[told]);
    assert_eq!((&report["data"]["train"], &report["held_out"][0]["accuracy"]["n"]), (&json!(12), &json!(6)));
    let row = |at: usize| {
        let text = format!("the {} soup of number {at}", ["good", "bad"][at % 2]);
        let quote = if at == 17 { "" } else { "\"" };
        format!("\"{text}{quote},{},{}\n", ["pos", "neg"][at % 2], split(at))
    };
    let rows: String = (0..60).map(row).collect();
    fs::write(sandbox.path("texts.csv"), format!("text,label,partition\n{rows}")).unwrap();
    let ran = sandbox.run(["audit", "texts.csv"]).expect(0, &[]);
    for part in [told, "looks like whole rows, as after a quote that is not closed: 1 (row 18, line 19)"] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_reason_and_not_with_a_base() {
    let sandbox = Sandbox::new();
    let lists: String = (0..20).map(|at| format!("{{\"text\": [\"a\", \"b\"], \"label\": {}}}\n", at % 2)).collect();
    fs::write(sandbox.path("lists.jsonl"), lists).unwrap();
    fs::write(sandbox.path("cut.json"), "[{\"text\": \"a\", \"label\": \"x\"},\n").unwrap();
    for (data, reason) in [("lists.jsonl", "no column looks like a text"), ("cut.json", "the list does not end")] {
        for base in [None, Some("glyphs")] {
            let mut args = vec!["fit", data, "--out", "run"];
            args.extend(base.iter().flat_map(|base| ["--base", base]));
            let ran = sandbox.run(&args).expect(3, &[reason]);
            assert!(!ran.stderr.contains("bases pull"), "{}", ran.stderr);
        }
    }
    fs::write(sandbox.path("texts.jsonl"), "{\"text\": \"a b\", \"label\": \"x\"}\n").unwrap();
    let embed = ["embed", "texts.jsonl", "--base", "glyphs", "--out", "f.npy"];
    let ran = sandbox.run(embed).expect(2, &["different kinds", "a base for images"]);
    assert!(!ran.stderr.contains("bases pull"), "{}", ran.stderr);
    fs::write(sandbox.path("urls.csv"), "image,label\nhttps://example.org/1.png,a\nhttps://example.org/2.png,b\n")
        .unwrap();
    sandbox.run(["embed", "urls.csv", "--out", "f.npy"]).expect(3, &["named by URL", "download them"]);
}

#[test]
fn a_run_of_texts_says_what_it_guessed_and_what_is_really_wrong() {
    let sandbox = Sandbox::new();
    let rows: String = (0..40)
        .map(|at| {
            format!("{} суп номер {at},{}\n", ["хороший вкусный", "плохой холодный"][at % 2], ["да", "нет"][at % 2])
        })
        .collect();
    fs::write(sandbox.path("t.csv"), format!("text,label\n{rows}")).unwrap();
    fitted(&sandbox, "t.csv", &["--base", "tfidf"], &[]);
    // In windows-1251: letters from 0xC0 on in the order of the alphabet.
    let old = |text: &str| -> Vec<u8> {
        let byte = |c: char| if c.is_ascii() { c as u8 } else { (c as u32 - 0x410 + 0xC0) as u8 };
        text.chars().map(byte).collect()
    };
    fs::write(sandbox.path("old.csv"), old(&format!("text,label\n{rows}"))).unwrap();
    let told = "not UTF-8, and read as windows-1251 by what its bytes look like; --encoding NAME says otherwise";
    let ran = sandbox.run(["predict", "run", "old.csv"]).expect(0, &[told]);
    assert_eq!(ran.stdout.lines().count(), 41, "{}", ran.stdout);
    fs::write(sandbox.path("other.csv"), "id,note\n1,вкусный суп\n").unwrap();
    let ran = sandbox.run(["predict", "run", "other.csv"]).expect(3, &[]);
    assert!(ran.stdout.contains("--text names the column of this table"), "{}", ran.stdout);
    fs::write(sandbox.path("page.csv"), "<!doctype html><html>").unwrap();
    fs::create_dir(sandbox.path("empty")).unwrap();
    for (input, reason) in
        [("nowhere.csv", "nothing at this path"), ("page.csv", "an HTML page"), ("empty", "no texts")]
    {
        let ran = sandbox.run(["predict", "run", input]).expect(3, &[]);
        assert!(ran.stdout.contains(reason) && !ran.stdout.contains("--text names"), "{input}: {}", ran.stdout);
    }
}
