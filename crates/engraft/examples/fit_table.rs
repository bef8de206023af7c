//! Prices of made-up cars from a table: `cargo run --release -p engraft --example fit_table`.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use engraft::artefact::RunReport;
use engraft::{Fit, error::Result};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cars.csv");

pub fn main() -> Result<()> {
    let run = Fit::new(DATA).label_column("price").run()?;
    if let RunReport::Targets(report) = run.report() {
        let test = report.regression.iter().flat_map(|numbers| &numbers.held_out);
        test.for_each(|held| println!("{}: off by {:.2} on average", held.split, held.evaluation.mae.mean));
        for column in report.table.iter().flat_map(|table| &table.columns) {
            println!("{}: moves the price by {:.2}", column.name, column.effect);
        }
    }
    Ok(())
}
