//! Features of images: extraction by a frozen base, and the cache that makes the second time free.
//!
//! Never here: a feature that depends on which images ran beside it, a cached value that is believed without its
//! checksum.

mod cache;
mod embed;
mod embed_texts;
mod export;
mod extract;
mod inspections;
mod matrix;
mod store;
mod texts;

pub use cache::{Cache, CacheSummary, SpaceSummary};
pub use embed::{Embedding, embed};
pub use embed_texts::{EmbeddedTexts, embed_texts};
pub use export::{Format, INDEX_HEADER, Part, claim_features, write_features, write_parts};
pub use extract::{Extractor, ImageReader, extract, extract_keyed};
pub use inspections::{Inspections, open_intake};
pub use matrix::Features;
pub use store::Store;
pub use texts::{Coverage, TextExtractor};
