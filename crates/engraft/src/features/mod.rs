//! Features of pictures: extraction by a frozen base, and the cache that makes the second time free.
//!
//! Never here: a feature that depends on which pictures ran beside it, a cached value that is believed without its
//! checksum.

mod cache;
mod embed;
mod export;
mod extract;
mod inspections;
mod matrix;

pub use cache::{Cache, CacheSummary, SpaceSummary};
pub use embed::{Embedding, embed};
pub use export::{Format, write_features};
pub use extract::{Extractor, PictureReader, extract, extract_keyed};
pub use inspections::Inspections;
pub use matrix::Features;
