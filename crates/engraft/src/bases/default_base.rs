//! Which base is taken where none is named: the best one that is on this machine and fits the data.

use std::path::Path;

use engraft_weights::Format;

use crate::bases::hub::{Entry, Hub, Reference, registry};
use crate::bases::opening::GLYPHS;
use crate::bases::text::{USUAL_ENCODER, is_text_base, is_text_base_here};
use crate::data::ImageSource;
use crate::data::image::{Limits, decode};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;
use crate::weight_files;
use crate::weight_set;

/// The base for photos that a machine without any is told to fetch: small, quick, and free to use.
const USUAL_FOR_PHOTOS: &str = "timm/resnet18.a1_in1k";
/// Images that are looked at, evenly spaced.
const LOOKED_AT: usize = 64;
/// The longer side of a small image, in pixels: twice the input of `glyphs`.
const SMALL: usize = 64;

/// What a base is to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// Images of which every one that was looked at is grey and small, as scanned characters are.
    SmallGrey,
    /// Any other images.
    Photos,
    /// Files of which none that was looked at is an image; whoever reads them tells what is wrong.
    Unreadable,
    /// Texts.
    Texts,
}

impl DataKind {
    /// Looks at a few of the images, at the fewest that decide. The answer depends on the files and their order alone.
    pub fn of_images(images: &[ImageSource]) -> Self {
        let limits = Limits::default();
        let few = images.len().min(LOOKED_AT);
        let mut kind = Self::Unreadable;
        for source in (0..few).map(|at| &images[at * images.len() / few]) {
            let Some(image) = source.read(limits.bytes).ok().and_then(|bytes| decode(&bytes, &limits).ok()) else {
                continue;
            };
            let grey =
                image.data.chunks_exact(image.channels).all(|pixel| pixel.iter().all(|value| *value == pixel[0]));
            if !grey || image.width.max(image.height) > SMALL {
                return Self::Photos;
            }
            kind = Self::SmallGrey;
        }
        kind
    }
}

/// A base that was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultBase {
    /// Its name, as for `--base`.
    pub(crate) base: String,
    /// What to tell the user.
    pub(crate) reason: String,
}

/// The base that is named, or the one that fits the data's kind, which is then said; so is a base that does not fit.
///
/// # Errors
/// As [`default_base`], and those of finding out the kind.
pub fn base_for(
    named: Option<&str>,
    kind: impl FnOnce() -> Result<DataKind>,
    observer: &dyn Observer,
) -> Result<String> {
    match named.filter(|base| !base.is_empty()) {
        Some(base) => {
            misfit(base, kind)?.iter().for_each(|warning| observer.say(warning));
            Ok(base.to_owned())
        }
        None => {
            let DefaultBase { base, reason } = default_base(kind()?)?;
            observer.say(&format!("base: {base}, {reason}"));
            Ok(base)
        }
    }
}

/// The base for data of this kind where none is named.
///
/// For photos it is the base of the registry with the best published accuracy among those that are here, but for those
/// whose licence excludes commercial use: they have to be asked for.
///
/// # Errors
/// [`Error::Weights`] where none that fits is here: the hint is the command that fetches one. [`Error::Usage`] for an
/// environment of the hub that cannot be read.
pub fn default_base(kind: DataKind) -> Result<DefaultBase> {
    match kind {
        DataKind::SmallGrey | DataKind::Unreadable => {
            Ok(DefaultBase { base: GLYPHS.into(), reason: "taken for small grey images; --base names another".into() })
        }
        DataKind::Texts if is_text_base_here(USUAL_ENCODER)? => Ok(DefaultBase {
            base: USUAL_ENCODER.into(),
            reason: "the usual encoder of texts; --base names another".into(),
        }),
        DataKind::Texts => Err(none_here("texts", &format!("sentence-transformers/{USUAL_ENCODER}"), "90 MB")),
        DataKind::Photos => best_for_photos(),
    }
}

/// The bases of the registry that are on this machine, but for those whose licence excludes commercial use: they have to be
/// asked for.
///
/// # Errors
/// [`Error::Usage`] for an environment of the hub that cannot be read.
pub(crate) fn free_bases_here() -> Result<Vec<&'static Entry>> {
    let hub = Hub::from_environment()?;
    let free = registry().iter().filter(|entry| !entry.licence.contains("NC"));
    Ok(free.filter(|entry| hub.has(&Reference::Known(entry))).collect())
}

fn best_for_photos() -> Result<DefaultBase> {
    let here = free_bases_here()?;
    // Of equally accurate ones the first of the registry.
    let best = here.iter().rev().max_by(|a, b| a.accuracy.unwrap_or(0.0).total_cmp(&b.accuracy.unwrap_or(0.0)));
    let Some(best) = best else { return Err(none_here("photos", USUAL_FOR_PHOTOS, "47 MB")) };
    let accuracy = best.accuracy.map_or_else(String::new, |share| format!(" ({share:.1} % on ImageNet)"));
    let reason = match here.len() {
        1 => format!("the base for photos that is on this machine{accuracy}; --base names another"),
        many => format!("the most accurate{accuracy} of {many} bases for photos on this machine; --base names another"),
    };
    Ok(DefaultBase { base: best.id.clone(), reason })
}

fn none_here(what: &str, base: &str, size: &str) -> Error {
    let problem = Problem::new(format_args!("no base for {what} is on this machine, and --base names none"));
    let problem = problem.expected("a base that was pulled, or --base with a name or a weights file");
    Error::Weights(problem.hint(format_args!("`engraft bases pull {base}` fetches one ({size})")))
}

/// Refuses a base of another kind than the data, before any of them is read.
///
/// # Errors
/// [`Error::Usage`] that names both kinds.
pub fn refuse_other_kind(base: &str, texts: bool, unit: &str) -> Result<()> {
    let Some(of_texts) = is_of_texts(base).filter(|of_texts| *of_texts != texts) else { return Ok(()) };
    let kind = |texts| if texts { "texts" } else { "images" };
    let problem = Problem::new("the base and the data are of different kinds")
        .expected(format_args!("a base for {}: the data is read as {unit}", kind(texts)))
        .found(format_args!("{base}, a base for {}", kind(of_texts)))
        .at("--base");
    Err(Error::Usage(problem.hint(if texts {
        "name a base for texts; or, if a column of the table names image files, that column with --path-column"
    } else {
        "name a base for images; or, if the data is a table of texts, their column with --text"
    })))
}

/// Whether a base is one for texts; nothing where its name and its first bytes do not tell.
fn is_of_texts(base: &str) -> Option<bool> {
    if base.is_empty() {
        return None;
    }
    let path = Path::new(base);
    if is_text_base(base) {
        // By its name alone a file of anything may be one of word vectors: what it is is told when it is opened.
        return weight_files::stand_in_at(path).is_none().then_some(true);
    }
    if !path.exists() {
        let known = base == GLYPHS || registry().iter().any(|entry| entry.id == base);
        return known.then_some(false);
    }
    let file = if path.is_dir() { weight_set::in_folder(path).ok()? } else { path.to_owned() };
    let source = weight_files::source(&file).ok()?;
    let is_index = file.to_str().is_some_and(|name| name.ends_with(".index.json"));
    match weight_files::format(&source) {
        // What an ONNX model takes is told when it is opened.
        Some(Format::Onnx) => None,
        format => (is_index || format.is_some()).then_some(false),
    }
}

/// What is to be said of a base that was named and does not fit the data; none where nothing is. The data is looked at only
/// where it matters.
///
/// # Errors
/// Those of `kind`.
pub(crate) fn misfit(base: &str, kind: impl FnOnce() -> Result<DataKind>) -> Result<Option<String>> {
    if base != GLYPHS || kind()? != DataKind::Photos {
        return Ok(None);
    }
    Ok(Some(format!(
        "warning: `{GLYPHS}` was trained on small grey characters, and these images are larger or in colour: expect much less \
         than from a base for photos (`engraft bases pull {USUAL_FOR_PHOTOS}` fetches one)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(images: &[(&str, image::DynamicImage)]) -> DataKind {
        let temp = tempfile::tempdir().unwrap();
        let paths: Vec<std::path::PathBuf> = images.iter().map(|(name, _)| temp.path().join(name)).collect();
        for ((_, image), path) in images.iter().zip(&paths) {
            image.save(path).unwrap();
        }
        let broken = temp.path().join("broken.png");
        std::fs::write(&broken, b"no image").unwrap();
        DataKind::of_images(&paths.into_iter().chain([broken]).map(ImageSource::File).collect::<Vec<_>>())
    }

    #[test]
    fn a_base_of_another_kind_is_refused_with_both_kinds() {
        let temp = tempfile::tempdir().unwrap();
        let weights = temp.path().join("resnet18.safetensors");
        std::fs::write(&weights, engraft_weights::write(&engraft_weights::Weights::default())).unwrap();
        let encoder = temp.path().join("encoder");
        std::fs::create_dir(&encoder).unwrap();
        std::fs::write(encoder.join("config.json"), r#"{"model_type": "bert"}"#).unwrap();
        for image in ["glyphs", weights.to_str().unwrap(), "timm/resnet18.a1_in1k"] {
            let error = refuse_other_kind(image, true, "texts").unwrap_err().to_string();
            assert!(error.contains("a base for images") && error.contains("the data is read as texts"), "{error}");
            assert!(error.contains("--path-column"), "{error}");
            refuse_other_kind(image, false, "images").unwrap();
        }
        let text = encoder.to_str().unwrap();
        let error = refuse_other_kind(text, false, "images").unwrap_err().to_string();
        assert!(error.contains("a base for texts") && error.contains("the data is read as images"), "{error}");
        refuse_other_kind(text, true, "texts").unwrap();
        refuse_other_kind("", true, "texts").unwrap();
    }

    #[test]
    fn kinds_are_told_by_size_and_colour() {
        let grey = |side| image::DynamicImage::ImageLuma8(image::GrayImage::from_pixel(side, 20, image::Luma([9])));
        let colour = |rgb| image::DynamicImage::ImageRgb8(image::RgbImage::from_pixel(20, 20, image::Rgb(rgb)));
        assert_eq!(kind_of(&[]), DataKind::Unreadable);
        assert_eq!(kind_of(&[("a.png", grey(64)), ("b.png", colour([7; 3]))]), DataKind::SmallGrey);
        assert_eq!(kind_of(&[("a.png", grey(20)), ("b.png", grey(65))]), DataKind::Photos);
        assert_eq!(kind_of(&[("a.png", grey(20)), ("b.png", colour([7, 7, 8]))]), DataKind::Photos);
        assert_eq!(default_base(DataKind::SmallGrey).unwrap().base, "glyphs");
        assert!(misfit("glyphs", || Ok(DataKind::Photos)).unwrap().is_some());
        assert!(misfit("glyphs", || Ok(DataKind::SmallGrey)).unwrap().is_none());
        assert!(misfit("x.pth", || panic!("the data is not looked at")).unwrap().is_none());
    }
}
