//! The examples run.

#![allow(missing_docs, reason = "examples are programs")]

#[path = "../examples/features.rs"]
mod features;
#[path = "../examples/fit_images.rs"]
mod fit_images;
#[path = "../examples/fit_table.rs"]
mod fit_table;
#[path = "../examples/fit_texts.rs"]
mod fit_texts;
#[path = "../examples/predict.rs"]
mod predict;

#[test]
fn examples_run() {
    for example in [fit_images::main, fit_texts::main, fit_table::main, predict::main, features::main] {
        example().unwrap();
    }
}
