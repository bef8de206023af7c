//! A base's card: everything that must be known to feed it, and where it comes from.

use engraft_kernels::Padding;
use serde::{Deserialize, Serialize};

use crate::backbone::network::Architecture;
use crate::data::preprocess::{Interpolation, Preprocessing, Resize};
use crate::error::{Error, Problem, Result};

/// How a checkpoint's maker pads before convolving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingDialect {
    /// The same on both sides, as PyTorch.
    Symmetric,
    /// TensorFlow's SAME: an odd total puts the extra at the end.
    Same,
}

impl PaddingDialect {
    /// The padding that keeps the size at stride 1 for an odd kernel.
    pub fn of_kernel(self, kernel: usize) -> Padding {
        match self {
            PaddingDialect::Symmetric => Padding::Symmetric([kernel / 2; 2]),
            PaddingDialect::Same => Padding::Same,
        }
    }
}

/// What must be known of a base. TOML or JSON beside the weights, or embedded in a run's `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// A short name.
    pub id: String,
    /// What it was trained on and is good for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The network.
    pub architecture: Architecture,
    /// How its maker pads.
    pub padding: PaddingDialect,
    /// The licence of the weights.
    #[serde(default)]
    pub licence: String,
    /// Where the weights come from.
    #[serde(default)]
    pub source: String,
    /// SHA-256 of the weights file. Checked where given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Names of the classes of its classifier, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// How a picture becomes the network's input.
    pub preprocessing: Preprocessing,
}

impl Card {
    /// Reads a card from TOML, or from JSON if the text starts with a brace.
    pub fn parse(text: &str, place: &std::path::Path) -> Result<Self> {
        let fail = |reason: String| {
            Error::Weights(Problem::new("the card cannot be read").found(reason.trim()).at(place).hint(
                "a card has id, architecture, padding and [preprocessing]; see `engraft bases show glyphs --json` for one",
            ))
        };
        let card: Card = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|source| fail(source.to_string()))?
        } else {
            toml::from_str(text).map_err(|source| fail(source.to_string()))?
        };
        card.preprocessing.validate()?;
        if card.architecture == Architecture::MobilenetV2 && card.preprocessing.channels != 3 {
            return Err(fail(format!("mobilenet_v2 takes 3 channels, not {}", card.preprocessing.channels)));
        }
        Ok(card)
    }

    /// The card that an architecture's checkpoints usually have: torchvision's preprocessing.
    pub fn usual(architecture: Architecture, id: String) -> Self {
        let (size, resize, channels, mean, std) = match architecture {
            Architecture::MobilenetV2 => {
                (224, Resize::ShortestSide(256), 3, vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225])
            }
            Architecture::SmallResnet => (32, Resize::Stretch, 1, vec![0.5], vec![0.5]),
        };
        Self {
            id,
            description: String::new(),
            architecture,
            padding: PaddingDialect::Symmetric,
            licence: String::new(),
            source: String::new(),
            sha256: None,
            classes: Vec::new(),
            preprocessing: Preprocessing {
                height: size,
                width: size,
                channels,
                resize,
                interpolation: Interpolation::Bilinear,
                mean,
                std,
            },
        }
    }

    /// The card of a file that is known by its SHA-256.
    pub fn known(sha256: &str) -> Option<Self> {
        KNOWN
            .iter()
            .map(|text| Self::parse(text, std::path::Path::new("known cards")).expect("known cards are valid"))
            .find(|card| card.sha256.as_deref() == Some(sha256))
    }

    /// Every card that is known without its weights.
    pub fn all_known() -> Vec<Self> {
        KNOWN
            .iter()
            .map(|text| Self::parse(text, std::path::Path::new("known cards")).expect("known cards are valid"))
            .collect()
    }
}

const KNOWN: [&str; 1] = [include_str!("../../assets/cards/mobilenet_v2_1.0_224_quant.toml")];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_known_card_is_valid_and_has_a_hash() {
        for card in Card::all_known() {
            assert_eq!(card.sha256.as_ref().map(String::len), Some(64), "{}", card.id);
            assert_eq!(Card::known(card.sha256.as_ref().unwrap()), Some(card));
        }
    }

    #[test]
    fn a_misspelt_field_is_an_error_not_a_default() {
        let card = toml::to_string(&Card::usual(Architecture::MobilenetV2, "x".into())).unwrap();
        assert!(Card::parse(&card, Path::new("card")).is_ok());
        let error = Card::parse(&card.replace("padding", "pading"), Path::new("card")).unwrap_err().to_string();
        assert!(error.contains("pading"), "{error}");
    }
}
