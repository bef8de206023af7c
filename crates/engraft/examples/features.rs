//! Features of images by a frozen base: `cargo run --release -p engraft --example features`.

#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use engraft::bases::{BaseSpec, Device, open};
use engraft::error::{Result, shown};
use engraft::features::{Extractor, Format, embed};
use engraft::progress::Silent;

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits/train/7");

pub fn main() -> Result<()> {
    let device = Device::flex();
    let base = open(&BaseSpec::named("glyphs"), &device)?;
    let images = engraft::data::images(IMAGES.as_ref(), &Silent)?;
    let out = std::env::temp_dir().join(format!("engraft-features-{}.npy", std::process::id()));
    let embedding = embed(&Extractor::to_features(&base, &device)?, &images, &out, None, &Silent)?;
    println!("{} images, {} features each: {}", embedding.sources.len(), embedding.columns, shown(&out));
    let names: Vec<String> = embedding.sources.iter().map(|image| image.name()).collect();
    embedding.write(&out, Format::Npy, &names, true)
}
