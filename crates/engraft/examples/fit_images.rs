//! A classifier of handwritten digits from five images of each: `cargo run --release -p engraft --example fit_images`.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use engraft::{Fit, Model, error::Result};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/few_digits.csv");
const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits/test/7/7_0007.png");

pub fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let run = Fit::new(DATA).base("glyphs").depth("head").settings(|all| all.control_budget = 0.02).run()?;
    println!("{} against the same network trained from scratch", run.verdict());
    run.save(&out)?;
    let model = Model::open(&out)?;
    let answer = model.predict(IMAGE)?;
    println!("{answer:?}");
    Ok(())
}
