//! What a newcomer types first: no base, names from other programs, a letter that is wrong; and what is said then.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Ran, Sandbox};

/// Photos of two kinds, in colour and larger than characters.
fn photos(sandbox: &Sandbox) {
    for (class, hue) in [("ants", 200u8), ("bees", 40)] {
        fs::create_dir_all(sandbox.path("photos").join(class)).unwrap();
        for number in 0..6u8 {
            let photo = image::RgbImage::from_fn(96, 80, |x, y| {
                let shade = (x * u32::from(number + 3) + y * 5) as u8;
                image::Rgb([hue.wrapping_add(shade / 8), shade, 255 - hue])
            });
            photo.save(sandbox.path("photos").join(class).join(format!("{number}.png"))).unwrap();
        }
    }
}

/// With a hub's cache of its own, which has these bases; their weights are not worth opening.
fn with_hub(sandbox: &Sandbox, bases: &[&str], args: &[&str]) -> Ran {
    for base in bases {
        // The commit that the registry names; any other is never looked at.
        let registry = include_str!("../../../engraft/assets/registry.toml");
        let entry = registry.split(&format!("id = \"{base}\"")).nth(1).unwrap();
        let commit = entry.split("revision = \"").nth(1).unwrap().split('"').next().unwrap();
        let repository = sandbox.path("hub/hub").join(format!("models--{}", base.replace('/', "--")));
        let snapshot = repository.join("snapshots").join(commit);
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join("model.safetensors"), b"not what it should be").unwrap();
    }
    let mut command = sandbox.command(args);
    for variable in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    let hub = sandbox.path("hub");
    command.env("HF_HOME", &hub).env("TORCH_HOME", &hub).output().unwrap().into()
}

#[test]
fn photos_without_any_base_name_the_command_that_fetches_one() {
    let sandbox = Sandbox::new();
    photos(&sandbox);
    let pull = "`engraft bases pull timm/resnet18.a1_in1k` fetches one";
    for args in
        [&["fit", "photos", "--out", "run"][..], &["embed", "photos", "-o", "x.npy"], &["fit", "photos", "--find-lr"]]
    {
        let ran = with_hub(&sandbox, &[], args).expect(4, &["no base for photos", pull]);
        assert!(!ran.stderr.contains("glyphs"), "{}", ran.stderr);
    }
    assert_eq!(sandbox.names(), ["photos"], "nothing is made");
}

#[test]
fn the_best_base_for_photos_that_is_here_is_taken_and_said() {
    let sandbox = Sandbox::new();
    photos(&sandbox);
    let fit = ["fit", "photos", "--depth", "head", "--out", "run"];
    let only = "base: timm/resnet18.a1_in1k, the base for photos that is on this machine (71.5 % on ImageNet)";
    with_hub(&sandbox, &["timm/resnet18.a1_in1k"], &fit).expect(4, &[only, "damaged"]);
    let best = "base: timm/resnet50.a1_in1k, the most accurate";
    with_hub(&sandbox, &["timm/resnet50.a1_in1k"], &fit).expect(4, &[best, "of 2 bases for photos"]);
    with_hub(&sandbox, &[], &["embed", "photos", "-o", "x.npy"]).expect(4, &[best]);
    // What is named is taken, and nothing is said of it.
    let named = ["fit", "photos", "--base", "timm/resnet18.a1_in1k", "--out", "run"];
    assert!(!with_hub(&sandbox, &[], &named).expect(4, &["damaged"]).stderr.contains("base: timm"));
}

#[test]
fn glyphs_is_for_small_grey_images() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 6);
    photos(&sandbox);
    let fast = ["--depth", "head", "--control-budget", "0"];
    let fit = |data: &'static str, out: &'static str, more: &[&'static str]| {
        let args: Vec<&str> = ["fit", data, "--out", out].into_iter().chain(fast).chain(more.iter().copied()).collect();
        with_hub(&sandbox, &[], &args)
    };
    fit("digits", "a", &[]).expect(0, &["base: glyphs, taken for small grey images"]);
    assert!(
        fs::read_to_string(sandbox.path("a/run.toml")).unwrap().contains("base = \"glyphs\""),
        "what was taken is kept"
    );
    let report = sandbox.run(["report", "a", "--json"]).expect(0, &[]).json();
    assert_eq!((&report["base"]["id"], &report["config"]["base"]), (&"glyphs".into(), &"glyphs".into()));
    assert!(!fit("digits", "b", &["--base", "glyphs"]).expect(0, &[]).stderr.contains("warning: `glyphs`"));
    fit("photos", "c", &["--base", "glyphs"]).expect(0, &["warning: `glyphs` was trained on small grey characters"]);
    with_hub(&sandbox, &[], &["embed", "photos", "--base", "glyphs", "-o", "x.npy"]).expect(0, &["warning: `glyphs`"]);
}

#[test]
fn texts_without_any_base_name_the_command_that_fetches_one() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("reviews.csv"), "text,label\nthe soup was very good,1\nthe bread was very cold,0\n")
        .unwrap();
    fs::write(sandbox.path("tags.conll"), "Ann B-PER\nran O\n\nBob B-PER\nsat O\n").unwrap();
    let pull = "`engraft bases pull sentence-transformers/all-MiniLM-L6-v2` fetches one";
    for args in [
        &["fit", "reviews.csv", "--text", "text", "--out", "run"][..],
        &["embed", "reviews.csv", "--text", "text", "-o", "x.npy"],
        &["fit", "tags.conll", "--task", "tags", "--out", "run"],
    ] {
        with_hub(&sandbox, &[], args).expect(4, &["no base for texts", pull]);
    }
    assert_eq!(sandbox.names(), ["reviews.csv", "tags.conll"], "nothing is made");
}

#[test]
fn what_is_misspelt_is_answered_by_what_was_meant() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 6);
    fs::write(sandbox.path("table.csv"), "path,lable\ndigits/0/a.png,x\n").unwrap();
    fs::write(sandbox.path("settings.toml"), "budgett = \"5m\"\n").unwrap();
    let digits = ["fit", "digits", "--base", "glyphs", "--out", "run"];
    for (more, code, told) in [
        (&["--depth", "hafl"][..], 2, "did you mean `half`?"),
        (&["--depth", "autp"], 2, "did you mean `auto`?"),
        (&["--depth", "layer"], 2, "did you mean `layer1`, `layer2` or `layer3`?"),
        (&["--only", "layr1"], 2, "did you mean `layer1`?"),
        (&["--optimiser", "adam"], 2, "did you mean `adamw`?"),
        (&["--schedule", "cosin"], 2, "did you mean `cosine`?"),
        (&["--augment", "lihgt"], 2, "did you mean `light`?"),
        (&["--task", "multilabel"], 2, "did you mean `multi-label`?"),
        (&["--budget", "5"], 2, "5s for seconds, 5m for minutes, 5h for hours"),
        (&["--budget", "five"], 2, "a time with its unit"),
        (&["--config", "settings.toml"], 2, "did you mean `budget`?"),
        (&["--learnin-rate", "1"], 2, "similar argument exists: '--lr'"),
    ] {
        let ran = sandbox.run(digits.iter().chain(more)).expect(code, &[told]);
        assert!(!ran.stderr.contains("linear probe"), "{more:?} is refused before any work: {}", ran.stderr);
    }
    for (args, code, told) in [
        (&["fit", "digits", "--base", "resnet18", "--out", "run"][..], 4, "did you mean `timm/resnet18.a1_in1k`"),
        (&["bases", "pull", "resnet50"], 2, "did you mean `timm/resnet50.a1_in1k`"),
        (&["bases", "show", "glyph"], 4, "did you mean `glyphs`?"),
        (&["bases", "import", "x.pth", "--arch", "resnet_18", "-o", "y.safetensors"], 2, "did you mean `resnet18`?"),
        (&["fit", "digit", "--base", "glyphs", "--out", "run"], 3, "did you mean `digits`?"),
        (&["fit", "table.csv", "--base", "glyphs", "--label", "label", "--out", "run"], 3, "did you mean `lable`?"),
        (&["embed", "digits", "--base", "glyphs", "--cut", "layr2", "-o", "x.npy"], 2, "did you mean `layer2`?"),
        (&["predict", "run", "digits", "--output", "x.csv"], 2, "answers go to stdout"),
        (&["pretrain", "digits", "--arch", "small_resent", "--out", "base"], 2, "did you mean `small_resnet`?"),
    ] {
        sandbox.run(args).expect(code, &[told]);
    }
    assert_eq!(sandbox.names(), ["digits", "settings.toml", "table.csv"], "nothing is made");
}

#[test]
fn names_of_other_programs_are_understood() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 6);
    let line = "fit digits --model glyphs --learning-rate 0.002 --batch_size 4 --num-epochs 1 --budget 0 --control-budget 0 \
                --optimizer sgd --workers 1 --random-state 3 --output run";
    sandbox.run(line.split_whitespace()).expect(0, &[]);
    let settings = fs::read_to_string(sandbox.path("run/run.toml")).unwrap();
    for part in ["base = \"glyphs\"", "lr = 0.002", "batch-size = 4", "epochs = 1", "optimiser = \"sgd\"", "seed = 3"] {
        assert!(settings.contains(part), "no {part} in {settings}");
    }
    sandbox.run(["report", "run", "--output", "copy.html"]).expect(0, &[]);
    assert!(Path::new(&sandbox.path("copy.html")).is_file());
}

#[test]
fn a_fit_that_is_interrupted_says_only_what_is_true() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 5, 20, 0);
    let args = ["fit", "digits", "--depth", "all", "--epochs", "400", "--control-budget", "0", "--out", "run"];
    let child = sandbox.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now();
    while !sandbox.path("run.unfinished/run.toml").exists() {
        assert!(patience.elapsed() < Duration::from_secs(60), "it begins");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Until a checkpoint is there, it has nothing to go on with.
    std::thread::sleep(Duration::from_secs(4));
    Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(130, &["error: interrupted"]);
    assert!(!ran.stderr.contains("no file was written"), "{}", ran.stderr);
    let unfinished = sandbox.path("run.unfinished").exists();
    assert_eq!(ran.stderr.contains("`engraft fit --resume run` goes on from here"), unfinished, "{}", ran.stderr);
}
