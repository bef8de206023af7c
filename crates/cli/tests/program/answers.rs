//! `engraft predict`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::sandbox::Sandbox;

fn fitted() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 3, 10, 6);
    sandbox.run(["fit", "--depth", "head", "digits", "--control-budget", "0", "--out", "run"]).expect(0, &[]);
    sandbox
}

#[test]
fn the_same_probabilities_as_in_evaluation_to_the_bit() {
    let sandbox = fitted();
    let evaluated = fs::read_to_string(sandbox.path("run/predictions.csv")).unwrap();
    let ran = sandbox.run(["predict", "run", "digits/test", "--top", "1"]).expect(0, &[]);
    let mut compared = 0;
    for line in ran.stdout.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let name = fields[0].strip_prefix("digits/").unwrap();
        let row = evaluated.lines().find(|row| row.starts_with(name)).unwrap();
        let row: Vec<&str> = row.split(',').collect();
        // path, split, fold, label, answer, probability, unsure, distance, unlike
        assert_eq!((row[4], row[5], row[7], row[8]), (fields[2], fields[3], fields[5], fields[4]), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 18);
}

#[test]
fn one_bad_file_is_a_row_and_not_a_stop() {
    let sandbox = fitted();
    fs::write(sandbox.path("bad.png"), b"not an image").unwrap();
    let ran =
        sandbox.run(["predict", "run", "bad.png", "nowhere.png", "digits/test/0"]).expect(3, &["2 of the inputs"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 1 + 2 + 6);
    assert!(lines[1].starts_with("bad.png,error,") && lines[2].starts_with("nowhere.png,error,"), "{lines:?}");
    assert!(lines[3..].iter().all(|line| line.starts_with("digits/test/0/")));
}

#[test]
fn a_list_on_stdin_and_json_lines() {
    let sandbox = fitted();
    let list: Vec<String> = fs::read_dir(sandbox.path("digits/test/1"))
        .unwrap()
        .map(|entry| format!("digits/test/1/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    let mut child = sandbox
        .command(["predict", "run", "-", "--format", "jsonl", "--top", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(list.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 6);
    for (answer, path) in answers.iter().zip(&list) {
        assert_eq!(answer["path"], **path);
        assert_eq!(answer["top"].as_array().unwrap().len(), 2);
        assert!(answer["top"][0]["probability"].as_f64() >= answer["top"][1]["probability"].as_f64());
    }
}

#[test]
fn one_line_is_answered_while_the_input_stays_open() {
    let sandbox = fitted();
    let mut dialogue = sandbox.dialogue(["predict", "run", "-"]);
    assert!(dialogue.hear().starts_with("path,"), "the header comes before any question");
    for name in ["nowhere.png", "bad.png", "nowhere.png"] {
        assert!(dialogue.ask(name).starts_with(&format!("{name},error,")));
    }
    // Half a line is not a question, and what comes at once is answered at once.
    dialogue.say("bad.p");
    std::thread::sleep(std::time::Duration::from_millis(200));
    dialogue.say("ng\nother.png\n\nthird.png\n");
    for name in ["bad.png", "other.png", "third.png"] {
        assert!(dialogue.hear().starts_with(name));
    }
    assert!(dialogue.ask("digits/test/1").starts_with("digits/test/1/"));
    let ran = dialogue.end().expect(3, &["6 of the inputs"]);
    assert_eq!(ran.stdout.lines().count(), 5, "the others of the folder: {}", ran.stdout);
}

#[test]
fn a_image_like_nothing_seen_is_told() {
    let sandbox = fitted();
    let noise = image::RgbImage::from_fn(64, 64, |x, y| {
        let mixed = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 24;
        image::Rgb([mixed as u8, (mixed / 2) as u8, 255 - mixed as u8])
    });
    noise.save(sandbox.path("noise.png")).unwrap();
    let ran = sandbox.run(["predict", "run", "noise.png", "--format", "jsonl"]).expect(0, &[]);
    assert_eq!(ran.json()["unlike"], true, "{}", ran.stdout);
}

#[test]
fn a_damaged_run_is_refused() {
    let sandbox = fitted();
    let path = sandbox.path("run/model.safetensors");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 1;
    for bytes in [&flipped[..], &whole[..middle], b""] {
        fs::write(&path, bytes).unwrap();
        sandbox.run(["predict", "run", "digits/test/0"]).expect(4, &["the run is damaged", "SHA-256"]);
    }
    fs::write(&path, &whole).unwrap();
    fs::write(sandbox.path("run/model.json"), b"{}").unwrap();
    sandbox.run(["predict", "run", "digits/test/0"]).expect(4, &["the run is damaged"]);
    sandbox.run(["predict", "digits", "digits/test/0"]).expect(4, &["not a run's folder"]);
}
