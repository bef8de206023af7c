//! Bases as people have them: encoders' folders shown, checkpoints called `.bin`, bases of the other kind, TF-IDF, prompts.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::spans::encoder;
use crate::texts::reviews;

const REVIEWS: [&str; 6] = ["fit", "reviews.csv", "--text", "review", "--label", "stars"];

fn report(sandbox: &Sandbox, run: &str) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path(run).join("report.json")).unwrap()).unwrap()
}

#[test]
fn an_encoder_s_folder_is_shown() {
    let sandbox = Sandbox::new();
    encoder(&sandbox);
    let told = sandbox.run(["bases", "show", "tiny"]).expect(0, &[]);
    for part in ["architecture", "texts, up to", "mean of the tokens' states", "sha256", "no modules.json"] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let json = sandbox.run(["bases", "show", "tiny", "--json"]).expect(0, &[]).json();
    assert!(json["columns"].as_u64().unwrap() > 0 && json["prompt"] == "", "{json}");
    sandbox.run(["bases", "show", "tiny", "--mean", "0.5"]).expect(2, &["a base of texts"]);
    let told = sandbox.run(["bases", "show", "tfidf"]).expect(0, &[]);
    assert!(told.stdout.contains("TF-IDF"), "{}", told.stdout);
}

#[test]
fn a_network_in_a_file_called_bin_is_embedded_with_as_it_is_fitted() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 6);
    let glyphs = concat!(env!("CARGO_MANIFEST_DIR"), "/../engraft/assets/glyphs.safetensors");
    fs::copy(glyphs, sandbox.path("network.bin")).unwrap();
    let given = ["--mean", "0.4", "--std", "0.3"];
    sandbox.run(["embed", "digits", "--base", "network.bin", "-o", "x.npy"].into_iter().chain(given)).expect(0, &[]);
    let fit = ["fit", "digits", "--base", "network.bin", "-o", "run", "--depth", "head", "--control-budget", "0"];
    sandbox.run(fit.into_iter().chain(given)).expect(0, &[]);
}

#[test]
fn a_base_of_another_kind_is_refused_before_any_work_with_both_kinds() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 40);
    encoder(&sandbox);
    sandbox.flat_digits("digits", 2, 6);
    let told = sandbox.run(REVIEWS.into_iter().chain(["--base", "glyphs", "-o", "run"]));
    told.expect(2, &["different kinds", "the data is read as texts", "glyphs, a base for images", "--path-column"]);
    let told = sandbox.run(["fit", "digits", "--base", "tiny", "-o", "run"]);
    told.expect(2, &["different kinds", "the data is read as images", "tiny, a base for texts", "--text"]);
    assert!(!sandbox.path("run").exists());
}

#[test]
fn what_was_not_fetched_is_named() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 6);
    fs::write(sandbox.path("resnet.pth"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        .unwrap();
    let told = sandbox.run(["fit", "digits", "--base", "resnet.pth", "-o", "run"]);
    told.expect(4, &["a Git LFS pointer", "git lfs pull"]);
}

#[test]
fn tf_idf_is_a_base_like_any_other() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 160);
    let fit = |out: &'static str, more: &[&'static str]| {
        sandbox.run(REVIEWS.into_iter().chain(["--base", "tfidf", "-o", out]).chain(more.iter().copied()))
    };
    fit("run", &[]).expect(0, &["linear probe"]);
    let told = report(&sandbox, "run");
    assert_eq!(told["base"]["id"], "tfidf");
    // Out of fold: the test split has words that no training text has.
    let accuracy = told["controls"]["probe"]["accuracy"]["mean"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    // It is not compared with itself, nor with a network that it is not.
    let names: Vec<&str> =
        told["controls"]["baselines"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"TF-IDF"), "{names:?}");
    assert!(told["controls"]["scratch"].is_null(), "{}", told["controls"]);
    assert!(told["verdict"].as_str().unwrap().contains("nothing was transferred"), "{}", told["verdict"]);

    // The run holds all that it needs, and answers as it was measured.
    assert!(fs::read_to_string(sandbox.path("run/vocab.txt")).unwrap().lines().any(|term| term == "delicious"));
    fs::write(sandbox.path("lines.txt"), "the soup was delicious\nthe waiter was cold and the fish stale\n").unwrap();
    let answers = sandbox.run(["predict", "run", "lines.txt"]).expect(0, &[]).stdout;
    let lines: Vec<&str> = answers.lines().skip(1).collect();
    assert!(lines[0].contains("good") && lines[1].contains("bad"), "{answers}");
    sandbox.run(["predict", "run", "lines.txt", "--explain"]).expect(0, &[]);
    sandbox.run(["verify", "run"]).expect(0, &[]);
    sandbox.run(["embed", "reviews.csv", "--text", "review", "--base", "tfidf", "-o", "x.npy"]).expect(0, &[]);

    // What it has not is refused with the reason.
    for depth in ["all", "last", "contrastive"] {
        fit("other", &["--depth", depth]).expect(2, &["no network that could be retrained", "head or auto"]);
    }
    fit("other", &["--prompt", "query: "]).expect(2, &["only encoders take a prompt"]);
    sandbox.flat_digits("digits", 2, 6);
    sandbox.run(["fit", "digits", "--base", "tfidf", "-o", "other"]).expect(2, &["different kinds"]);
    assert!(!sandbox.path("other").exists());
    // A damaged vocabulary is not believed.
    fs::write(sandbox.path("run/vocab.txt"), "delicious\n").unwrap();
    sandbox.run(["predict", "run", "lines.txt"]).expect(4, &["vocab.txt"]);
}

#[test]
fn a_prompt_is_kept_in_the_run_and_stands_in_front_of_every_text() {
    let sandbox = Sandbox::new();
    reviews(&sandbox, 60);
    encoder(&sandbox);
    let embed = |prompt: &'static [&'static str], data: &'static str, out: &'static str| {
        let args = ["embed", data, "--base", "tiny", "-o", out];
        sandbox.run(args.into_iter().chain(prompt.iter().copied())).expect(0, &[]);
        fs::read(sandbox.path(out)).unwrap()
    };
    fs::write(sandbox.path("plain.txt"), "has here\n").unwrap();
    fs::write(sandbox.path("with.txt"), "how many has here\n").unwrap();
    let prompted = embed(&["--prompt", "how many "], "plain.txt", "a.npy");
    assert_eq!(prompted, embed(&[], "with.txt", "b.npy"));
    let config = r#"{"prompts": {"q": "how many "}, "default_prompt_name": "q"}"#;
    fs::write(sandbox.path("tiny/config_sentence_transformers.json"), config).unwrap();
    assert_eq!(prompted, embed(&[], "plain.txt", "c.npy"));
    assert_ne!(prompted, embed(&["--prompt", ""], "plain.txt", "d.npy"));

    let more = ["--base", "tiny", "--depth", "head", "--control-budget", "0", "--prompt", "query: ", "-o", "run"];
    sandbox.run(REVIEWS.into_iter().chain(more)).expect(0, &[]);
    let model = fs::read_to_string(sandbox.path("run/model.json")).unwrap();
    assert!(model.contains("\"query: \""), "{model}");
    sandbox.run(["verify", "run"]).expect(0, &[]);
    let words = ["--base", "words.txt", "--prompt", "query: ", "-o", "other"];
    sandbox.run(REVIEWS.into_iter().chain(words)).expect(2, &["only encoders take a prompt"]);
    sandbox.flat_digits("digits", 2, 6);
    sandbox.run(["embed", "digits", "--prompt", "x", "-o", "e.npy"]).expect(2, &["only encoders"]);
    sandbox.run(["fit", "digits", "--prompt", "x", "-o", "other"]).expect(2, &["--prompt"]);
}

#[test]
fn embedding_tells_a_base_of_another_kind_and_what_stands_in_place_of_weights() {
    let sandbox = Sandbox::new();
    encoder(&sandbox);
    let digits = sandbox.flat_digits("digits", 1, 6).join("0");
    let image = fs::read_dir(digits).unwrap().next().unwrap().unwrap().path();
    let args = ["embed", image.to_str().unwrap(), "--base", "tiny", "-o", "e.npy"];
    sandbox.run(args).expect(2, &["different kinds", "a base for texts"]);
    fs::write(sandbox.path("lfs.bin"), "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n").unwrap();
    let args = ["embed", image.to_str().unwrap(), "--base", "lfs.bin", "--no-cache", "-o", "e.npy"];
    sandbox.run(args).expect(4, &["a Git LFS pointer", "git lfs pull"]);
    assert!(!sandbox.path("e.npy").exists());
}
