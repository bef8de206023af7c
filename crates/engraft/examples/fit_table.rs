//! Prices of made-up cars from a table: `cargo run --release -p engraft --example fit_table`.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use engraft::run::HeldBlock;
use engraft::{Fit, error::Result};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cars.csv");

pub fn main() -> Result<()> {
    let run = Fit::new(DATA).label_column("price").run()?;
    let report = run.report();
    for held in &report.held_out {
        if let HeldBlock::Numbers(numbers) = &held.measures {
            println!("{}: off by {:.2} on average", held.split, numbers.evaluation.mae.mean);
        }
    }
    for column in report.table.iter().flat_map(|table| &table.columns) {
        println!("{}: moves the price by {:.2}", column.name, column.effect);
    }
    Ok(())
}
