//! Opinions in short reviews, on word vectors: `cargo run --release -p engraft --example fit_texts`.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use engraft::data::text::Text;
use engraft::{Fit, Model, error::Result};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/reviews.csv");
const WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/words.txt");

pub fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    Fit::new(DATA).text_column("review").label_column("opinion").base(WORDS).run()?.save(&out)?;
    let model = Model::open(&out)?;
    let text = Text::single("what a beautiful garden");
    for answer in model.predict_texts(&[&text])? {
        println!("{:?}", answer?);
    }
    Ok(())
}
