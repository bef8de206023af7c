//! Features of images by a frozen base: `cargo run --release -p engraft --example features`.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use engraft::bases::{BaseSpec, Device, open};
use engraft::features::{Extractor, embed};
use engraft::{error::Result, progress::Silent};

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits/train/7");

pub fn main() -> Result<()> {
    let device = Device::flex();
    let base = open(&BaseSpec::named("glyphs"), &device)?;
    let images = engraft::data::images(IMAGES.as_ref(), &Silent)?;
    let features = embed(&Extractor::to_features(&base, &device)?, &images, None, &Silent)?.features;
    println!("{} images, {} features each", features.rows, features.columns);
    Ok(())
}
