//! What is said of commands and flags: the reference in `docs/`, man pages, completions, help.

use std::fs;
use std::path::Path;

use crate::sandbox::Sandbox;

#[test]
fn the_reference_is_what_the_program_declares() {
    let declared = Sandbox::new().run(["reference"]).expect(0, &[]).stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("ENGRAFT_REWRITE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&path, &declared).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == declared, "ENGRAFT_REWRITE_DOCS=1 writes docs/cli.md anew");
}

#[test]
fn completions_and_man_pages_know_the_flags() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let text = sandbox.run(["completions", shell]).expect(0, &[]).stdout;
        assert!(text.contains("label-smoothing") && text.contains("pretrain"), "{shell}");
    }
    let page = sandbox.run(["man", "fit"]).expect(0, &[]).stdout;
    assert!(page.contains(".TH engraft-fit") && page.contains("label\\-smoothing"), "{page}");
    assert!(sandbox.run(["man", "bases", "pull"]).expect(0, &[]).stdout.contains("Hugging Face"));
    sandbox.run(["man", "fits"]).expect(2, &["no such command", "fit"]);
    sandbox.run(["completions", "tcsh"]).expect(2, &["bash"]);
}

#[test]
fn help_begins_with_the_flags_that_people_need_first() {
    let help = Sandbox::new().run(["fit", "--help"]).expect(0, &[]).stdout;
    let at = |part: &str| help.find(part).unwrap_or_else(|| panic!("no {part:?} in {help}"));
    let flag = |name: &str| help.lines().position(|line| line.split_whitespace().any(|word| word == name)).unwrap();
    let line = |part: &str| help[..at(part)].lines().count();
    let first = ["--task", "--text", "--label-column", "--base", "--out", "--depth", "--budget", "--seed", "--force"];
    for group in ["\nData:", "\nBase:", "\nMethod:", "\nEvaluation:", "\nOutput:", "\nFine-tuning:"] {
        first.iter().for_each(|name| assert!(flag(name) < line(group), "{name} stands before {group}"));
    }
}
