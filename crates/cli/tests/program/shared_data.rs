//! Real photos and real weights, where the folder of test data is there.

use std::process::Command;

use crate::sandbox::{Sandbox, shared_data};

#[test]
fn ants_and_bees_by_mobilenet() {
    let Some(data) = shared_data() else { return };
    let sandbox = Sandbox::new();
    let tar = data.join("images/hymenoptera.tar");
    assert!(Command::new("tar").arg("xf").arg(tar).current_dir(sandbox.path("")).status().unwrap().success());
    let weights = data.join("weights/mobilenet_v2_1.0_224_quant.torchvision.safetensors");
    let args = [
        "fit",
        "--depth",
        "head",
        "hymenoptera/hymenoptera_data",
        "--control-budget",
        "0",
        "--out",
        "run",
        "--json",
        "--base",
    ];
    let ran = sandbox.run(args.iter().map(std::ffi::OsStr::new).chain([weights.as_os_str()])).expect(0, &[]);
    let report = ran.json();
    let val = &report["held_out"][0]["accuracy"];
    assert_eq!(val["n"], 153);
    // Logistic regression on these features is known to reach .948.
    assert!((0.935..=0.975).contains(&val["mean"].as_f64().unwrap()), "{val}");
    assert!(report["peak_memory_mb"].as_f64().unwrap() < 600.0, "{}", report["peak_memory_mb"]);
}
