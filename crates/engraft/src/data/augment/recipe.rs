//! Recipes of augmentation for fine-tuning on photos.

use std::fmt::{self, Display};
use std::str::FromStr;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::crop::{Crop, same_shape};
use super::geometry::Shape;
use super::rand_augment::{LEVELS, RandAugment};
use super::{colour, geometry};
use crate::data::image::Pixels;
use crate::data::preprocess::Preprocessing;
use crate::error::{Error, Problem, Result};
use crate::files::sha256_hex;

/// Changes whenever the same draws would change an image otherwise; part of [`Recipe::fingerprint`].
const VERSION: u32 = 1;

/// Share of an image's area that a crop keeps, least and most.
const AREA: (f64, f64) = (0.6, 1.0);

/// Brightness, contrast and saturation are multiplied by 1 less to 1 plus this. Hue is left alone: it is often what
/// tells classes apart.
const JITTER: f32 = 0.2;

/// The most operations of RandAugment one after the other.
const MOST_OPERATIONS: u8 = 16;

/// How a photo is changed for training. As text `none`, `light`, `rand-augment` or `rand-augment:N:M`; with
/// `:no-mirror` behind it where left and right mean something.
///
/// ```
/// use engraft::data::augment::{Changes, Recipe};
/// let recipe: Recipe = "rand-augment:2:9:no-mirror".parse()?;
/// assert!(!recipe.mirror);
/// assert!(matches!(recipe.changes, Changes::RandAugment(_)));
/// assert_eq!(recipe.to_string(), "rand-augment:2:9:no-mirror");
/// # Ok::<(), engraft::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipe {
    /// What is changed.
    pub changes: Changes,
    /// Whether half of the images are mirrored left to right, where anything is changed at all.
    pub mirror: bool,
}

/// What a recipe changes, besides mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Changes {
    /// Nothing: the image as it is prepared for an answer.
    #[default]
    None,
    /// A random resized crop of 0.6 to 1 of the area, and up to a fifth of brightness, contrast and saturation either
    /// way, in random order.
    Light,
    /// The same crop, then RandAugment.
    RandAugment(RandAugment),
}

impl Default for Recipe {
    fn default() -> Self {
        Self::NONE
    }
}

impl Recipe {
    /// Changes nothing.
    pub const NONE: Self = Self { changes: Changes::None, mirror: true };
    /// Crops, mirrors and changes colours a little.
    pub(crate) const LIGHT: Self = Self { changes: Changes::Light, mirror: true };

    /// Whether nothing is changed.
    pub(crate) fn is_none(&self) -> bool {
        self.changes == Changes::None
    }

    /// A changed image, prepared for a network: bytes `[height, width, channels]` of the preprocessing.
    ///
    /// The crop is cut out of the whole image and resized by the preprocessing's filter, in place of the
    /// preprocessing's own resize and centre. Every recipe draws as many numbers for every image.
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels or with the wrong number of bytes.
    pub(crate) fn apply(&self, pixels: &Pixels, preprocessing: &Preprocessing, rng: &mut impl Rng) -> Result<Vec<u8>> {
        if self.is_none() {
            return Ok(preprocessing.prepare(pixels)?.data);
        }
        let crop = Crop::random((pixels.height, pixels.width), AREA, rng);
        let prepared = crop.prepared(pixels, preprocessing)?;
        let [height, width, channels] = preprocessing.shape();
        Ok(self.after_crop(prepared, (height, width, channels), rng))
    }

    /// The same from an image that is prepared already, where nothing else is at hand: the crop is from its bytes,
    /// resized bilinear to the shape that it has.
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels or with the wrong number of bytes.
    pub(crate) fn apply_prepared(&self, prepared: &[u8], shape: Shape, rng: &mut impl Rng) -> Result<Vec<u8>> {
        if self.is_none() {
            return Ok(prepared.to_vec());
        }
        let (height, width, channels) = shape;
        let pixels = Pixels { width, height, channels, data: prepared.to_vec() };
        let cropped = Crop::random((height, width), AREA, rng).prepared(&pixels, &same_shape(shape))?;
        Ok(self.after_crop(cropped, shape, rng))
    }

    fn after_crop(&self, mut image: Vec<u8>, shape: Shape, rng: &mut impl Rng) -> Vec<u8> {
        // Drawn in any case, so that forbidding it leaves the other draws alone.
        if rng.random::<f64>() < 0.5 && self.mirror {
            geometry::mirror(&mut image, shape);
        }
        match self.changes {
            Changes::None => {}
            Changes::Light => jitter(&mut image, shape.2, rng),
            Changes::RandAugment(operations) => image = operations.apply(image, shape, rng),
        }
        image
    }

    /// SHA-256 of what the recipe does, for cache keys.
    pub(crate) fn fingerprint(&self) -> String {
        sha256_hex(format!("augmentation {VERSION}: {self}").as_bytes())
    }
}

/// Brightness, contrast and saturation in random order, each by a random factor (torchvision's `ColorJitter`).
fn jitter(image: &mut [u8], channels: usize, rng: &mut impl Rng) {
    let mut changes: [fn(&mut [u8], usize, f32); 3] = [colour::brightness, colour::contrast, colour::saturation];
    changes.shuffle(rng);
    for change in changes {
        change(image, channels, 1.0 + JITTER * (2.0 * rng.random::<f32>() - 1.0));
    }
}

impl Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changes {
            Changes::None => f.write_str("none")?,
            Changes::Light => f.write_str("light")?,
            Changes::RandAugment(RandAugment { operations, magnitude }) => {
                write!(f, "rand-augment:{operations}:{magnitude}")?;
            }
        }
        f.write_str(if self.mirror || self.is_none() { "" } else { ":no-mirror" })
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let expected = format!(
                "none, light, rand-augment or rand-augment:N:M (N operations up to {MOST_OPERATIONS}, magnitude M up to {LEVELS}), and :no-mirror behind it where images must not be mirrored"
            );
            let problem = Problem::new("there is no such augmentation").expected(expected).found(text);
            let known = ["auto", "none", "small", "light", "rand-augment", "rand-augment:no-mirror"];
            Error::Usage(problem.at("--augment").suggest(text, known))
        };
        let (name, mirror) = match text.strip_suffix(":no-mirror") {
            Some(name) => (name, false),
            None => (text, true),
        };
        let parts: Vec<&str> = name.split(':').collect();
        let number = |text: &str, most: u8| text.parse::<u8>().ok().filter(|number| *number <= most).ok_or_else(refuse);
        let changes = match parts.as_slice() {
            // Nothing changed is nothing mirrored either: one recipe, one text.
            ["none"] => return Ok(Self::NONE),
            ["light"] => Changes::Light,
            ["rand-augment"] => Changes::RandAugment(RandAugment::default()),
            ["rand-augment", operations, magnitude] => Changes::RandAugment(RandAugment {
                operations: number(operations, MOST_OPERATIONS)?,
                magnitude: number(magnitude, LEVELS)?,
            }),
            _ => return Err(refuse()),
        };
        Ok(Self { changes, mirror })
    }
}

impl TryFrom<String> for Recipe {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Recipe> for String {
    fn from(recipe: Recipe) -> Self {
        recipe.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::preprocess::{Interpolation, Resize};
    use crate::rng::rng;

    fn recipes() -> Vec<Recipe> {
        ["none", "light", "light:no-mirror", "rand-augment:2:9", "rand-augment:3:30:no-mirror"]
            .map(|text| text.parse().unwrap())
            .to_vec()
    }

    fn photo(width: usize, height: usize, channels: usize) -> Pixels {
        let data = (0..width * height * channels).map(|i| (i * 7 + i / 50 * 13) as u8).collect();
        Pixels { width, height, channels, data }
    }

    #[test]
    fn a_recipe_survives_its_text_and_its_json() {
        let mut fingerprints = std::collections::BTreeSet::new();
        for recipe in recipes() {
            assert_eq!(recipe.to_string().parse::<Recipe>().unwrap(), recipe);
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(json, format!("\"{recipe}\""));
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
            fingerprints.insert(recipe.fingerprint());
        }
        assert_eq!(fingerprints.len(), recipes().len());
        assert_eq!("rand-augment".parse::<Recipe>().unwrap(), "rand-augment:2:9".parse().unwrap());
        assert_eq!("none:no-mirror".parse::<Recipe>().unwrap(), Recipe::default());
        for wrong in ["", "heavy", "rand-augment:2", "rand-augment:2:31", "rand-augment:17:9", "light:9", "none:"] {
            let error = wrong.parse::<Recipe>().unwrap_err().to_string();
            assert!(error.contains("rand-augment:N:M"), "{error}");
        }
    }

    #[test]
    fn every_recipe_gives_the_input_of_the_network() {
        for channels in [1, 3, 4] {
            let preprocessing =
                Preprocessing { interpolation: Interpolation::Bicubic, ..same_shape((20, 28, channels)) };
            for pixels in [photo(90, 40, channels), photo(5, 7, channels), photo(1, 1, channels)] {
                for recipe in recipes() {
                    let out = |step| recipe.apply(&pixels, &preprocessing, &mut rng(1, "augment", step)).unwrap();
                    assert_eq!(out(0).len(), 20 * 28 * channels);
                    assert_eq!(out(0), out(0));
                    if pixels.width == 90 {
                        assert_eq!(out(0) == out(1), recipe.is_none(), "{recipe}");
                    }
                    let prepared = preprocessing.prepare(&pixels).unwrap().data;
                    let again =
                        recipe.apply_prepared(&prepared, (20, 28, channels), &mut rng(1, "augment", 0)).unwrap();
                    assert_eq!(again.len(), prepared.len());
                    assert!(!recipe.is_none() || again == prepared);
                }
            }
        }
    }

    #[test]
    fn the_crop_is_out_of_the_whole_image() {
        // The border of an image is white. Without augmentation the centre alone is seen.
        let mut pixels = Pixels { width: 64, height: 64, channels: 1, data: vec![255; 64 * 64] };
        for row in pixels.data.chunks_mut(64).skip(16).take(32) {
            row[16..48].fill(0);
        }
        let preprocessing = Preprocessing { resize: Resize::ShortestSide(40), ..same_shape((16, 16, 1)) };
        assert_eq!(preprocessing.prepare(&pixels).unwrap().data, vec![0; 256]);
        for step in 0..20 {
            let out = Recipe::LIGHT.apply(&pixels, &preprocessing, &mut rng(1, "augment", step)).unwrap();
            assert!(out.iter().any(|value| *value > 150), "{step}");
        }
    }

    #[test]
    fn grey_images_draw_the_same_numbers_and_forbidding_mirrors_changes_nothing_else() {
        for text in ["light", "rand-augment:2:9"] {
            let recipe: Recipe = text.parse().unwrap();
            let next = |recipe: Recipe, channels| {
                let mut stream = rng(5, "augment", 1);
                recipe.apply(&photo(40, 30, channels), &same_shape((16, 16, channels)), &mut stream).unwrap();
                stream.random::<u64>()
            };
            let unmirrored = Recipe { mirror: false, ..recipe };
            assert_eq!(next(recipe, 1), next(recipe, 3));
            assert_eq!(next(recipe, 3), next(unmirrored, 3));
        }
    }

    #[test]
    fn half_of_the_images_are_mirrored_where_that_is_allowed() {
        // Dark to the left, bright to the right: a mirrored image is the other way round, whatever else is done.
        let data = (0..60 * 60).map(|i| (i % 60 * 4) as u8).collect();
        let pixels = Pixels { width: 60, height: 60, channels: 1, data };
        let mirrored = |recipe: Recipe| {
            let falls = |step| {
                let out = recipe.apply(&pixels, &same_shape((8, 8, 1)), &mut rng(9, "augment", step)).unwrap();
                out[0] > out[7]
            };
            (0..400).filter(|&step| falls(step)).count()
        };
        assert!((160..240).contains(&mirrored(Recipe::LIGHT)));
        assert_eq!(mirrored(Recipe { mirror: false, ..Recipe::LIGHT }), 0);
    }
}
