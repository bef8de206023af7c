//! One look at every file: its bytes' digest, whether it is an image, and what the image looks like in small.
//!
//! At most one file's bytes and pixels are in memory per thread. The result does not depend on the number of threads.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::image::{DecodeError, Decoded, Limits, Pixels, decode_and_tell, format};
use super::image_source::ImageSource;
use crate::error::Result;
use crate::files::sha256_hex;
use crate::progress::Observer;

/// Changes whenever the same bytes would be inspected to something else; part of a store's key.
pub(crate) const VERSION: u32 = 5;

/// The thumbnail's height and width.
pub(crate) const THUMBNAIL: usize = 32;

/// What one look at a file tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspection {
    /// SHA-256 of the file's bytes, lower-case hexadecimal; empty when the file cannot be read.
    pub(crate) sha256: String,
    /// The file's size.
    pub(crate) bytes: u64,
    /// What the bytes hold.
    pub(crate) outcome: Outcome,
}

/// What a file's bytes hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// An image.
    Image {
        /// Columns, after orientation.
        width: usize,
        /// Rows, after orientation.
        height: usize,
        /// `jpeg`, `png`, `webp`, `bmp`, `tiff`, `gif` or `pnm`.
        format: String,
        /// Grey values of shape `[32, 32]`, whatever its proportions; in JSON as Base64.
        #[serde(with = "base64_bytes")]
        thumbnail: Vec<u8>,
        /// Why its colour profile was ignored, where it has one that cannot be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// Of 16 bits a channel the largest value that is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peak: Option<u16>,
        /// Whether its end marker is missing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unended: bool,
    },
    /// No image that can be used.
    Bad {
        /// Which kind of bad.
        kind: BadKind,
        /// Why, in words.
        reason: String,
    },
}

/// Why a file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadKind {
    /// It cannot be read at all.
    Unreadable,
    /// It is not an image.
    NotAnImage,
    /// It is cut off or broken.
    Damaged,
    /// It is over a limit.
    TooLarge,
    /// It is an image of a kind that is not read.
    Unsupported,
}

/// Remembers inspections by the files' digests, so that bytes once inspected need not be decoded again.
pub trait InspectionStore: Sync {
    /// The inspection of the bytes with this digest, if it is remembered.
    fn get(&self, sha256: &str) -> Option<Inspection>;
    /// Remembers an inspection. Failure to remember is of no consequence.
    fn put(&self, inspection: &Inspection);
}

/// Remembers nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoStore;

impl InspectionStore for NoStore {
    fn get(&self, _: &str) -> Option<Inspection> {
        None
    }
    fn put(&self, _: &Inspection) {}
}

/// Inspects a file's bytes.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Inspection {
    look(sha256_hex(bytes), bytes, limits, None)
}

/// Inspects the file of every example, in the order of the examples. A file that cannot be read is an outcome, not an
/// error.
///
/// # Errors
/// [`crate::error::Error::Interrupted`] once the observer says so.
pub(crate) fn inspect_all(
    dataset: &Dataset,
    limits: &Limits,
    store: &dyn InspectionStore,
    observer: &dyn Observer,
) -> Result<Vec<Inspection>> {
    observer.begin("inspecting", dataset.examples.len() as u64, "images");
    let inspections = dataset
        .examples
        .par_iter()
        .map(|example| {
            observer.check()?;
            let inspection = inspect_source(&example.source, limits, store);
            observer.advance(1);
            Ok(inspection)
        })
        .collect();
    observer.end();
    inspections
}

/// Looks anew at images of 16 bits a channel that use `depth` of them.
///
/// # Errors
/// [`crate::error::Error::Interrupted`] once the observer says so.
pub(crate) fn inspect_again(
    dataset: &Dataset,
    inspections: &mut [Inspection],
    limits: &Limits,
    depth: u8,
    observer: &dyn Observer,
) -> Result<()> {
    let deep = inspections.par_iter_mut().zip(&dataset.examples).filter(|(inspection, _)| inspection.peak().is_some());
    deep.try_for_each(|(inspection, example)| {
        observer.check()?;
        if let Ok(bytes) = example.source.read(limits.bytes) {
            *inspection = look(sha256_hex(&bytes), &bytes, limits, Some(depth));
        }
        Ok(())
    })
}

impl Inspection {
    /// Of an image of 16 bits a channel the largest value.
    pub(crate) fn peak(&self) -> Option<u16> {
        if let Outcome::Image { peak, .. } = self.outcome { peak } else { None }
    }
}

fn inspect_source(source: &ImageSource, limits: &Limits, store: &dyn InspectionStore) -> Inspection {
    let bytes = match source.read(limits.bytes) {
        Ok(bytes) => bytes,
        Err(problem) => {
            let kind = match problem.kind() {
                std::io::ErrorKind::FileTooLarge => BadKind::TooLarge,
                _ => BadKind::Unreadable,
            };
            return Inspection {
                sha256: String::new(),
                bytes: source.size(),
                outcome: Outcome::Bad { kind, reason: problem.to_string() },
            };
        }
    };
    let sha256 = sha256_hex(&bytes);
    if let Some(known) = store.get(&sha256).filter(|known| is_sound(known, &sha256, limits)) {
        return known;
    }
    let inspection = look(sha256, &bytes, limits, None);
    // Whether an image is too large depends on the limits, which are not part of the key.
    if !matches!(inspection.outcome, Outcome::Bad { kind: BadKind::TooLarge, .. }) {
        store.put(&inspection);
    }
    inspection
}

/// A store may hand out anything; what does not fit is inspected again.
fn is_sound(known: &Inspection, sha256: &str, limits: &Limits) -> bool {
    known.sha256 == sha256
        && match &known.outcome {
            Outcome::Image { width, height, thumbnail, .. } => {
                let pixels = (*width as u64).saturating_mul(*height as u64);
                pixels <= limits.pixels
                    && pixels.saturating_mul(6) <= limits.allocation
                    && thumbnail.len() == THUMBNAIL * THUMBNAIL
            }
            Outcome::Bad { kind, .. } => *kind != BadKind::TooLarge,
        }
}

fn look(sha256: String, bytes: &[u8], limits: &Limits, depth: Option<u8>) -> Inspection {
    let outcome = match decode_and_tell(bytes, limits, depth) {
        Ok(Decoded { pixels, profile, peak, unended }) => Outcome::Image {
            width: pixels.width,
            height: pixels.height,
            format: format(bytes).unwrap_or_default().to_owned(),
            thumbnail: shrink(&pixels),
            profile,
            peak,
            unended,
        },
        Err(problem) => Outcome::Bad {
            kind: match problem {
                DecodeError::NotAnImage | DecodeError::StandIn(_) => BadKind::NotAnImage,
                DecodeError::Truncated(_) | DecodeError::Damaged(_) => BadKind::Damaged,
                DecodeError::TooLarge { .. } | DecodeError::FileTooLarge { .. } => BadKind::TooLarge,
                DecodeError::Unsupported(_) => BadKind::Unsupported,
            },
            reason: problem.to_string(),
        },
    };
    Inspection { sha256, bytes: bytes.len() as u64, outcome }
}

/// The image in grey, whatever its proportions.
fn shrink(pixels: &Pixels) -> Vec<u8> {
    let grey = pixels.grey();
    let mut out = Image::new(THUMBNAIL as u32, THUMBNAIL as u32, PixelType::U8);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    // Decoded pixels always fit their own width and height; were it otherwise, the image would look black.
    let resized = ImageRef::new(pixels.width as u32, pixels.height as u32, &grey, PixelType::U8)
        .is_ok_and(|image| Resizer::new().resize(&image, &mut out, &options).is_ok());
    if resized { out.into_vec() } else { vec![0; THUMBNAIL * THUMBNAIL] }
}

/// Bytes as Base64.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD as CODE;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&CODE.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        CODE.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::{Row, Split};
    use crate::progress::Silent;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// A patchwork of random greys, blurred by enlarging: something at every scale, as in a photo.
    fn image(width: u32, height: u32, seed: u64) -> image::RgbImage {
        use rand::RngExt;
        let mut rng = crate::rng::rng(seed, "picture", 0);
        let patches = image::RgbImage::from_fn(12, 12, |_, _| image::Rgb(rng.random()));
        image::imageops::resize(&patches, width, height, image::imageops::FilterType::Triangle)
    }

    fn encoded(image: &image::RgbImage, format: image::ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[derive(Default)]
    struct Memory(Mutex<BTreeMap<String, Inspection>>);
    impl InspectionStore for Memory {
        fn get(&self, sha256: &str) -> Option<Inspection> {
            self.0.lock().unwrap().get(sha256).cloned()
        }
        fn put(&self, inspection: &Inspection) {
            self.0.lock().unwrap().insert(inspection.sha256.clone(), inspection.clone());
        }
    }

    fn dataset(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Dataset) {
        let temp = tempfile::tempdir().unwrap();
        let rows = files
            .iter()
            .map(|(name, bytes)| {
                std::fs::write(temp.path().join(name), bytes).unwrap();
                let source = temp.path().join(name).into();
                Row { source, name: (*name).into(), class: "x".into(), split: Split::Train, group: None }
            })
            .collect();
        let dataset = Dataset::assemble(temp.path().to_owned(), rows);
        (temp, dataset)
    }

    #[test]
    fn every_file_has_an_outcome_and_what_is_stored_is_not_decoded_again() {
        let whole = encoded(&image(40, 30, 1), image::ImageFormat::Png);
        let (temp, mut dataset) = dataset(&[
            ("a.png", whole.clone()),
            ("b.png", whole[..whole.len() / 2].to_vec()),
            ("c.txt", b"hello".to_vec()),
            ("d.png", Vec::new()),
        ]);
        dataset.examples.push(dataset.examples[0].clone());
        dataset.examples[4].source = temp.path().join("missing").into();
        let limits = Limits { bytes: whole.len() as u64, ..Limits::default() };
        std::fs::write(temp.path().join("d.png"), vec![0; limits.bytes as usize + 1]).unwrap();
        let store = Memory::default();
        let first = inspect_all(&dataset, &limits, &store, &Silent).unwrap();
        let kinds: Vec<_> = first
            .iter()
            .map(|inspection| match &inspection.outcome {
                Outcome::Image { width, height, format, .. } => format!("{width} {height} {format}"),
                Outcome::Bad { kind, .. } => format!("{kind:?}"),
            })
            .collect();
        assert_eq!(kinds, ["40 30 png", "Damaged", "NotAnImage", "TooLarge", "Unreadable"]);
        assert_eq!(first[4].sha256, "");
        assert_eq!(store.0.lock().unwrap().len(), 3);

        // A marked memory shows that it is used, and an unsound one that it is not.
        for stored in store.0.lock().unwrap().values_mut() {
            match &mut stored.outcome {
                Outcome::Image { width, .. } => *width = 42,
                Outcome::Bad { kind, .. } => *kind = BadKind::TooLarge,
            }
        }
        let second = inspect_all(&dataset, &limits, &store, &Silent).unwrap();
        assert!(matches!(second[0].outcome, Outcome::Image { width: 42, .. }));
        assert_eq!(second[1..], first[1..]);
    }

    #[test]
    fn an_inspection_survives_json() {
        let inspection = inspect(&encoded(&image(20, 20, 1), image::ImageFormat::Bmp), &Limits::default());
        let text = serde_json::to_string(&inspection).unwrap();
        assert_eq!(serde_json::from_str::<Inspection>(&text).unwrap(), inspection);
    }

    #[test]
    fn an_interruption_is_heard() {
        struct Stop;
        impl Observer for Stop {
            fn begin(&self, _: &str, _: u64, _: &str) {}
            fn advance(&self, _: u64) {}
            fn end(&self) {}
            fn say(&self, _: &str) {}
            fn interrupted(&self) -> bool {
                true
            }
        }
        let (_temp, dataset) = dataset(&[("a", vec![1])]);
        let outcome = inspect_all(&dataset, &Limits::default(), &NoStore, &Stop);
        assert!(matches!(outcome, Err(crate::error::Error::Interrupted)));
    }
}
