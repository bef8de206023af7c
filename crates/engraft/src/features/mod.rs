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
mod parts;
mod store;
mod texts;

pub use cache::{Cache, CacheSummary, SpaceSummary};
pub use embed::{Embedding, embed};
pub use embed_texts::{EmbeddedTexts, embed_texts};
pub use export::{Format, INDEX_HEADER, claim_features, write_features};
pub use extract::{Extractor, ImageReader};
pub(crate) use extract::{extract, extract_keyed, prepared_unchanged};
pub use inspections::{Remembered, open_inspections, open_intake};
pub use matrix::Features;
pub(crate) use store::Store;
pub use texts::{Coverage, TextExtractor};
