//! Answers of a saved run: `cargo run --release -p engraft --example predict -- RUN TABLE`, or without either on made-up cars.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use std::path::PathBuf;

use engraft::{Fit, Model, error::Result, progress::Silent};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cars.csv");

pub fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let given: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).filter(|path| path.exists()).collect();
    let [run, table] = given.try_into().unwrap_or_else(|_| [folder.path().join("run"), PathBuf::from(DATA)]);
    if !run.exists() {
        Fit::new(DATA).label_column("price").run()?.save(&run)?;
    }
    let model = Model::open(&run)?;
    let rows = model.open_rows(&table, &Silent)?;
    let all: Vec<usize> = (0..rows.rows()).collect();
    let answers = model.predict_rows(&rows, &all)?;
    rows.names.iter().zip(answers).take(3).for_each(|(name, answer)| println!("{name}: {answer:?}"));
    Ok(())
}
