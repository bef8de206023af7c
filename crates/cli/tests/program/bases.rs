//! `engraft bases`, `engraft embed`, and a base's own classes.

use std::fs;

use crate::sandbox::{Sandbox, shared_data};

/// The numbers of a .npy file of f32 and its shape.
fn npy(bytes: &[u8]) -> (Vec<usize>, Vec<f32>) {
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let length = match bytes[6] {
        1 => 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]])),
        _ => 12 + u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize,
    };
    let header = String::from_utf8_lossy(&bytes[8..length]).into_owned();
    assert!(header.contains("'<f4'") && header.contains("False"), "{header}");
    let shape = header.split_once('(').unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let values = bytes[length..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (shape, values)
}

#[test]
fn embedded_rows_are_in_the_order_of_the_sorted_paths_or_of_the_list() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 3, 4);
    let ran = sandbox.run(["embed", "digits", "-o", "x.npy", "--json"]).expect(0, &[]);
    assert_eq!((ran.json()["rows"].clone(), ran.json()["columns"].clone()), (12.into(), 88.into()));
    let (shape, values) = npy(&fs::read(sandbox.path("x.npy")).unwrap());
    assert_eq!((shape.as_slice(), values.len()), (&[12, 88][..], 12 * 88));
    let index = fs::read_to_string(sandbox.path("x.npy.index.csv")).unwrap();
    let names: Vec<&str> = index.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert!(names.is_sorted() && names.len() == 12 && names[0].starts_with("0/"), "{names:?}");

    // The other formats hold the same; a list keeps its order.
    fs::write(sandbox.path("list.txt"), names.iter().rev().map(|n| format!("digits/{n}\n")).collect::<String>())
        .unwrap();
    sandbox.run(["embed", "list.txt", "-o", "y.jsonl"]).expect(0, &[]);
    let lines = fs::read_to_string(sandbox.path("y.jsonl")).unwrap();
    for (row, line) in lines.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let row = names.len() - 1 - row;
        assert_eq!(line["path"], format!("digits/{}", names[row]).as_str());
        let features: Vec<f32> =
            line["features"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        assert_eq!(features, values[row * 88..(row + 1) * 88]);
    }
    sandbox.run(["embed", "digits", "-o", "z.parquet"]).expect(0, &[]);
    let parquet = fs::read(sandbox.path("z.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    // Nothing is replaced without being told; no other format is guessed.
    sandbox.run(["embed", "digits", "-o", "x.npy"]).expect(5, &["exists already", "--force"]);
    sandbox.run(["embed", "digits", "-o", "x.xlsx"]).expect(2, &[".npy, .parquet or .jsonl"]);
    sandbox.run(["embed", "nowhere", "-o", "n.npy"]).expect(3, &["nowhere"]);
    assert!(!sandbox.path("n.npy").exists());
}

#[test]
fn embeddings_of_images_go_on_after_a_stop() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 10, 10);
    fs::write(sandbox.path("digits/0/broken.png"), b"no image").unwrap();
    let args = |out: &'static str| ["embed", "digits", "-o", out];
    let read = |name: &str| fs::read(sandbox.path(name)).unwrap();
    let without = |out: &'static str| args(out).into_iter().chain(["--no-cache"]);
    sandbox.run(without("whole.npy")).expect(3, &["broken.png"]);
    assert!(!sandbox.path("whole.npy.unfinished").exists());
    // From the cache: filled, and full.
    for out in ["filled.npy", "full.npy"] {
        sandbox.run(args(out)).expect(3, &["broken.png"]);
        assert_eq!(read("whole.npy"), read(out));
        assert_eq!(read("whole.npy.index.csv"), read(&format!("{out}.index.csv")));
    }
    if cfg!(debug_assertions) {
        let killed = sandbox.command(without("parts.npy")).env("ENGRAFT_FAULT", "part-embedded:3").output().unwrap();
        assert!(!killed.status.success());
        assert!(!sandbox.path("parts.npy").exists() && sandbox.path("parts.npy.unfinished").exists());
        // The first part has a broken image, and is computed again.
        sandbox.run(without("parts.npy")).expect(3, &["64 rows were computed before the command was stopped"]);
        assert_eq!(read("whole.npy"), read("parts.npy"));
        assert!(!sandbox.path("parts.npy.unfinished").exists());
    }
    sandbox.run(without("strict.npy").chain(["--strict"])).expect(3, &["--strict"]);
    assert!(!sandbox.path("strict.npy").exists() && !sandbox.path("strict.npy.unfinished").exists());
}

#[test]
fn a_cut_gives_the_map_there() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 2);
    sandbox.run(["embed", "digits", "--cut", "layer2", "-o", "x.npy"]).expect(0, &[]);
    let (shape, values) = npy(&fs::read(sandbox.path("x.npy")).unwrap());
    assert_eq!(shape, [4, 8 * 8 * 48]);
    assert!(values.iter().all(|v| *v >= 0.0), "after a ReLU");
    sandbox.run(["embed", "digits", "--cut", "layer9", "-o", "y.npy"]).expect(2, &["stem, layer1"]);
}

#[test]
fn images_that_cannot_be_used_are_told_and_left_out() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 3);
    fs::write(sandbox.path("digits/0/broken.png"), b"no image").unwrap();
    let ran = sandbox.run(["embed", "digits", "-o", "x.npy", "--json"]).expect(3, &["broken.png"]);
    assert_eq!(ran.json()["rows"], 6);
    assert_eq!(ran.json()["left_out"].as_array().unwrap().len(), 1);
    sandbox.run(["embed", "digits", "-o", "y.npy", "--strict"]).expect(3, &["--strict"]);
    assert!(!sandbox.path("y.npy").exists());
}

#[test]
fn a_base_answers_in_its_own_classes() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 3, 3);
    let ran = sandbox.run(["predict", "--base", "glyphs", "digits", "--top", "2"]).expect(0, &[]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 10);
    // glyphs was trained on rendered characters: most of the scanned ones are told all the same.
    let right = lines[1..].iter().filter(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let class = fields[0].split('/').nth(1).unwrap();
        fields[2] == format!("digit_{class}") || (class == "0" && fields[2] == "both_o")
    });
    assert!(right.count() >= 5, "{lines:?}");
    sandbox.run(["predict", "digits"]).expect(2, &["RUN and images"]);
}

#[test]
fn an_imported_base_gives_the_same_features() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 3);
    let glyphs = concat!(env!("CARGO_MANIFEST_DIR"), "/../engraft/assets/glyphs.safetensors");
    fs::copy(glyphs, sandbox.path("file.safetensors")).unwrap();
    sandbox
        .run([
            "bases",
            "import",
            "file.safetensors",
            "--mean",
            "0.4",
            "--std",
            "0.3",
            "--id",
            "mine",
            "-o",
            "mine.safetensors",
        ])
        .expect(0, &[]);
    let card = fs::read_to_string(sandbox.path("mine.toml")).unwrap();
    assert!(card.contains("id = \"mine\"") && card.contains("mean = [0.4]") && card.contains("sha256"), "{card}");
    let embed = |base: &str, out: &str, more: &[&str]| {
        let args = ["embed", "digits", "--base", base, "-o", out];
        sandbox.run(args.iter().chain(more)).expect(0, &[]);
        fs::read(sandbox.path(out)).unwrap()
    };
    let given = embed("file.safetensors", "a.npy", &["--mean", "0.4", "--std", "0.3"]);
    assert_eq!(given, embed("mine.safetensors", "b.npy", &[]));
    // A card is not overruled, and an architecture not guessed over.
    sandbox
        .run(["embed", "digits", "--base", "mine.safetensors", "--mean", "0.5", "-o", "c.npy"])
        .expect(2, &["the base has a card"]);
    sandbox
        .run(["bases", "import", "file.safetensors", "--arch", "resnet18", "-o", "d.safetensors"])
        .expect(4, &["do not fit the architecture resnet18", "they fit small_resnet better"]);
    sandbox.run(["bases", "import", "file.safetensors", "--arch", "vgg", "-o", "d.safetensors"]).expect(2, &["vgg"]);
    assert!(!sandbox.path("d.safetensors").exists());
}

#[test]
fn a_base_is_opened_for_other_images() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 2);
    let rows = |flags: &[&str], out: &str| {
        sandbox.run(["embed", "digits", "-o", out].iter().chain(flags)).expect(0, &[]);
        npy(&fs::read(sandbox.path(out)).unwrap())
    };
    let own = rows(&[], "own.npy");
    // Grey as three equal channels is what it was: but for the cache, nothing would tell the two apart.
    let three = rows(&["--channels", "3"], "three.npy");
    assert_eq!(own.0, three.0);
    let unit = own.1.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(own.1.iter().zip(&three.1).all(|(a, b)| (a - b).abs() <= 1e-4 * unit));
    assert_ne!(rows(&["--channels", "4"], "four.npy").1, own.1);
    let larger = rows(&["--image-size", "40"], "larger.npy");
    assert_eq!(larger.0, own.0);
    assert_ne!(larger.1, own.1);

    let shown = sandbox.run(["bases", "show", "glyphs", "--channels", "3", "--image-size", "40"]).expect(0, &[]).stdout;
    for part in ["40 x 40 x 3", "repeated, scaled by 1/3", "images of 40 x 40 pixels, where the card says"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    sandbox.run(["bases", "show", "glyphs", "--image-size", "7"]).expect(2, &["8 to 4096 pixels for small_resnet"]);
    sandbox.run(["bases", "show", "glyphs", "--channels", "2"]).expect(2, &["1, 3, 4"]);
    let fit = ["fit", "digits", "--depth", "head", "--control-budget", "0", "--out", "run", "--channels", "3"];
    sandbox.run(fit).expect(0, &["repeated"]);
    let card = fs::read_to_string(sandbox.path("run/model.json")).unwrap();
    assert!(card.contains("\"channels\": 3"), "{card}");
    sandbox.run(["predict", "run", "digits"]).expect(0, &[]);
    sandbox.run(["predict", "run", "digits", "--image-size", "64"]).expect(2, &["--image-size has no effect on a run"]);
    // An ONNX model takes what it takes.
    if !cfg!(feature = "onnx") {
        return;
    }
    let fixed = onnx("plain");
    sandbox.run(["bases", "show", &fixed, "--channels", "4"]).expect(2, &["cannot be opened for other channels"]);
    sandbox.run(["bases", "show", &fixed, "--image-size", "47"]).expect(4, &["exported for another size of image"]);
    let open = onnx("symbolic");
    let shown = sandbox.run(["bases", "show", &open, "--image-size", "48"]).expect(0, &[]).stdout;
    assert!(shown.contains("48 x 48 x"), "{shown}");
}

#[test]
fn show_and_list_tell_what_there_is() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run(["bases", "show", "glyphs"]).expect(0, &[]).stdout;
    for part in ["layer3", "4 x 4 x 88", "MACs", "100.0 %", "tensors"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let listed = sandbox.run(["bases", "list"]).expect(0, &[]).stdout;
    assert!(listed.contains("glyphs") && listed.contains("squeezenet1_0"), "{listed}");
    let architectures = sandbox.run(["bases", "list", "--architectures", "--json"]).expect(0, &[]).json();
    assert!(architectures.as_array().unwrap().len() > 25);
}

#[test]
fn real_files_of_every_format_are_imported() {
    let Some(data) = shared_data() else { return };
    let sandbox = Sandbox::new();
    for (file, architecture) in [
        ("squeezenet1_0_torchvision.pth", "squeezenet1_0"),
        ("resnet20-12fca82f.th", "cifar_resnet20"),
        ("vww_96.h5", "mobilenet_v1_025_tiny"),
        ("pretrainedResnet.h5", "resnet8"),
        ("squeezenet_weights_th_dim_ordering_th_kernels_notop.h5", "squeezenet1_1"),
    ] {
        let path = data.join("weights").join(file);
        let path = path.to_str().unwrap();
        sandbox
            .run(["bases", "import", path, "--arch", architecture, "-o", "base.safetensors", "--force"])
            .expect(0, &[]);
        let photo = data.join("images/coral_cat.png");
        let embed = |base: &str, out: &str| {
            sandbox.run(["embed", photo.to_str().unwrap(), "--base", base, "-o", out, "--force"]).expect(0, &[]);
            fs::read(sandbox.path(out)).unwrap()
        };
        assert_eq!(embed(path, "a.npy"), embed("base.safetensors", "b.npy"), "{file}");
    }
    let cat = data.join("images/coral_cat.png");
    let weights = data.join("weights/resnet20-12fca82f.th");
    let ran = sandbox.run(["predict", "--base", weights.to_str().unwrap(), cat.to_str().unwrap()]).expect(0, &[]);
    assert!(ran.stdout.lines().nth(1).unwrap().contains(",cat,cat,"), "{}", ran.stdout);
}

/// One of the small ONNX models that the library's tests carry.
pub(crate) fn onnx(name: &str) -> String {
    format!("{}/../engraft/tests/fixtures/onnx/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

#[cfg(not(feature = "onnx"))]
#[test]
fn an_onnx_model_names_the_feature_that_reads_it() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 4, 0);
    let fit = ["fit", "digits", "--base", &onnx("plain"), "--out", "run"];
    sandbox.run(fit).expect(4, &["built without ONNX", "--features onnx"]);
}

#[cfg(feature = "onnx")]
#[test]
fn an_onnx_model_is_a_frozen_base() {
    let sandbox = Sandbox::new();
    sandbox.digits("digits", 2, 8, 4);
    let model = onnx("plain");
    let shown = sandbox.run(["bases", "show", &model]).expect(0, &[]).stdout;
    for part in ["architecture  onnx", "could be features", "no card"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let said = ["--mean", "0.5", "--std", "0.5", "--resize", "0", "--control-budget", "0.0005"];
    let fit = ["fit", "--depth", "head", "digits", "--base", &model, "--out", "run"];
    sandbox.run(fit.iter().chain(&said)).expect(0, &["features are"]);
    let evaluated = fs::read_to_string(sandbox.path("run/predictions.csv")).unwrap();
    // The run carries its base: the model may go.
    let ran = sandbox.run(["predict", "run", "digits/test", "--top", "1"]).expect(0, &[]);
    for line in ran.stdout.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let name = fields[0].strip_prefix("digits/").unwrap();
        let row: Vec<&str> = evaluated.lines().find(|row| row.starts_with(name)).unwrap().split(',').collect();
        assert_eq!(row[5], fields[3], "{name}");
    }
    sandbox.run(["verify", "run"]).expect(0, &[]);
    let mut damaged = fs::read(sandbox.path("run/base.onnx")).unwrap();
    damaged[100] ^= 1;
    fs::write(sandbox.path("run/base.onnx"), damaged).unwrap();
    sandbox.run(["predict", "run", "digits/test"]).expect(4, &["base.onnx"]);
}

#[cfg(feature = "onnx")]
#[test]
fn what_an_onnx_model_cannot_do_is_said() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 2);
    let model = onnx("plain");
    let embed = ["embed", "digits", "--base", &model, "-o", "x.npy"];
    sandbox.run(embed.iter().chain(&["--cut", "layer1"])).expect(2, &["no such stage"]);
    sandbox.run(embed.iter().chain(&["--onnx-output", "nothing_like_it"])).expect(4, &["nothing_like_it"]);
    sandbox.run(["bases", "import", &model, "-o", "y.safetensors"]).expect(4, &["frozen as a whole"]);
    sandbox
        .run(["embed", "digits", "--base", "glyphs", "--onnx-output", "x", "-o", "x.npy"])
        .expect(2, &["--onnx-output"]);
    fs::write(sandbox.path("list.txt"), "digits/0\n").unwrap();
    assert!(!sandbox.path("x.npy").exists());
}

#[test]
fn a_base_that_was_not_pulled_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 2);
    let run = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("HF_HOME", sandbox.path("hub")).env("HF_HUB_OFFLINE", "1").env_remove("HF_HUB_CACHE");
        crate::sandbox::Ran::from(command.output().unwrap())
    };
    let embed = ["embed", "digits", "-o", "x.npy", "--base"];
    run(&[&embed[..], &["timm/resnet18.a1_in1k"]].concat()).expect(4, &["not on this machine", "bases pull"]);
    run(&[&embed[..], &["hf://../../etc/passwd"]].concat()).expect(2, &["invalid"]);
    run(&["bases", "pull", "timm/resnet18.a1_in1k"]).expect(4, &["HF_HUB_OFFLINE"]);
    let listed = run(&["bases", "list", "--json"]).expect(0, &[]).json();
    let bases = listed.as_array().unwrap();
    let known = bases.iter().find(|base| base["id"] == "timm/resnet18.a1_in1k").unwrap();
    assert_eq!(known["place"], "pull");
    assert!(bases.len() > 30 && bases.iter().any(|base| base["place"] == "in the program"));
}

#[test]
fn a_network_is_not_asked_for_what_it_cannot_take() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 4);
    let pretrain =
        |arch: &str, size: &str| sandbox.run(["pretrain", "digits", "--arch", arch, "--size", size, "--out", "mine"]);
    pretrain("cifar_resnet20", "48").expect(0, &[]);
    fs::remove_dir_all(sandbox.path("mine")).unwrap();
    pretrain("inception_v3", "32").expect(4, &["at least 75 pixels"]);
    pretrain("onnx", "32").expect(2, &["no such architecture"]);
    pretrain("vgg", "32").expect(2, &["no such architecture"]);
    assert!(!sandbox.path("mine").exists());
}

#[test]
fn exact_rows_are_close_to_the_fast_ones_and_filed_apart() {
    let sandbox = Sandbox::new();
    sandbox.flat_digits("digits", 2, 3);
    let embed = |out: &str, flags: &[&str]| {
        sandbox.run(["embed", "digits", "-o", out].iter().chain(flags)).expect(0, &[]);
        npy(&fs::read(sandbox.path(out)).unwrap()).1
    };
    let (fast, exact) = (embed("a.npy", &[]), embed("b.npy", &["--exact"]));
    assert_ne!(fast, exact, "Winograd's filtering rounds in its own way");
    let largest = exact.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for (fast, exact) in fast.iter().zip(&exact) {
        assert!((fast - exact).abs() < 1e-4 * largest, "{fast} against {exact}, largest {largest}");
    }
    // From the cache, each gets its own again.
    assert_eq!(embed("c.npy", &[]), fast);
    assert_eq!(embed("d.npy", &["--exact"]), exact);
    assert_eq!(embed("e.npy", &["--exact", "--no-cache"]), exact);
}
