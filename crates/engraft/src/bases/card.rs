//! A base's card: everything that must be known to feed it, and where it comes from.

use serde::{Deserialize, Serialize};

use crate::bases::style::{PaddingDialect, Style};
use crate::bases::vision::architecture::Architecture;
use crate::bases::vision::dialect::Dialect;
use crate::data::preprocess::Preprocessing;
use crate::error::{Error, Problem, Result};

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
    /// What its batch norms add to the variance; without it, what the architecture's canonical dialect adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) batch_norm_epsilon: Option<f64>,
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
    /// The names of its classes as a list that the program knows: `imagenet-1k`, `imagenet-1k-darknet`, `cifar-10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_list: Option<String>,
    /// Of an ONNX model: the value that serves as features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<String>,
    /// How an image becomes the network's input.
    pub preprocessing: Preprocessing,
}

impl Card {
    /// Reads a card from TOML, or from JSON if the text starts with a brace.
    pub fn parse(text: &str, place: &std::path::Path) -> Result<Self> {
        let fail = |reason: String| {
            Error::Weights(Problem::new("the card cannot be read").found_lines(reason).at(place).hint(
                "a card has id, architecture, padding and [preprocessing]; see `engraft bases show glyphs --json` for one",
            ))
        };
        let card: Card = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|source| fail(source.to_string()))?
        } else {
            toml::from_str(text).map_err(|source| fail(source.to_string()))?
        };
        card.checked(place)
    }

    /// Refuses a card whose numbers are inconsistent.
    pub(crate) fn checked(self, place: &std::path::Path) -> Result<Self> {
        self.preprocessing.validate()?;
        match self.check() {
            Ok(()) => Ok(self),
            Err(found) => Err(Error::Weights(Problem::new("invalid card").found(found).at(place))),
        }
    }

    /// Whether the network can take the input, and its batch norms make sense.
    fn check(&self) -> std::result::Result<(), String> {
        let name = self.architecture.name();
        let p = &self.preprocessing;
        let smallest = self.architecture.smallest_input();
        if p.height.min(p.width) < smallest {
            return Err(format!("{name} takes images of at least {smallest} pixels, not {} x {}", p.height, p.width));
        }
        if let Some(name) = &self.class_list
            && class_list(name).is_none()
        {
            let known: Vec<&str> = CLASS_LISTS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no list of classes `{name}`; there are {}", known.join(", ")));
        }
        match self.batch_norm_epsilon {
            Some(epsilon) if !(epsilon > 0.0 && epsilon < 1.0) => {
                Err(format!("a batch_norm_epsilon of {epsilon}, not between 0 and 1"))
            }
            _ => Ok(()),
        }
    }

    /// The names of its classes, in order; empty where they are not known.
    pub(crate) fn class_names(&self) -> Vec<String> {
        match self.class_list.as_deref().and_then(class_list) {
            Some(list) if self.classes.is_empty() => list.lines().map(str::to_owned).collect(),
            _ => self.classes.clone(),
        }
    }

    /// How the network's program pads and normalises.
    pub fn style(&self) -> Style {
        let canonical = self.architecture.dialects()[0].epsilon;
        Style { padding: self.padding, epsilon: self.batch_norm_epsilon.unwrap_or(canonical) }
    }

    /// The card that an architecture's checkpoints usually have in its canonical dialect.
    pub fn usual(architecture: Architecture, id: String) -> Self {
        let dialect = &architecture.dialects()[0];
        let channels = if architecture == Architecture::SMALL_RESNET { 1 } else { 3 };
        Self::of_dialect(architecture, dialect, channels, id)
    }

    /// The card that an architecture's checkpoints usually have in a dialect.
    pub fn of_dialect(architecture: Architecture, dialect: &Dialect, channels: usize, id: String) -> Self {
        Self {
            id,
            description: String::new(),
            architecture,
            padding: dialect.padding,
            batch_norm_epsilon: Some(dialect.epsilon),
            licence: String::new(),
            source: String::new(),
            sha256: None,
            classes: Vec::new(),
            class_list: None,
            output: None,
            preprocessing: dialect.input.preprocessing(channels),
        }
    }

    /// The card of a file that is known by its SHA-256.
    pub(crate) fn known(sha256: &str) -> Option<Self> {
        KNOWN
            .iter()
            .map(|text| Self::parse(text, std::path::Path::new("known cards")).expect("known cards are valid"))
            .find(|card| card.sha256.as_deref() == Some(sha256))
    }

    /// Every card that is known without its weights.
    pub(crate) fn all_known() -> Vec<Self> {
        KNOWN
            .iter()
            .map(|text| Self::parse(text, std::path::Path::new("known cards")).expect("known cards are valid"))
            .collect()
    }
}

const KNOWN: [&str; 10] = [
    include_str!("../../assets/cards/mobilenet_v2_1.0_224_quant.toml"),
    include_str!("../../assets/cards/squeezenet1_0.toml"),
    include_str!("../../assets/cards/squeezenet1_0_pth.toml"),
    include_str!("../../assets/cards/squeezenet1_1_keras.toml"),
    include_str!("../../assets/cards/squeezenet1_1_keras_th.toml"),
    include_str!("../../assets/cards/tiny_darknet.toml"),
    include_str!("../../assets/cards/vww_96.toml"),
    include_str!("../../assets/cards/resnet8.toml"),
    include_str!("../../assets/cards/cifar_resnet20.toml"),
    include_str!("../../assets/cards/cifar_resnet32.toml"),
];

/// Lists of class names that cards refer to.
const CLASS_LISTS: [(&str, &str); 3] = [
    ("imagenet-1k", include_str!("../../assets/classes/imagenet-1k.txt")),
    ("imagenet-1k-darknet", include_str!("../../assets/classes/imagenet-1k-darknet.txt")),
    ("cifar-10", include_str!("../../assets/classes/cifar-10.txt")),
];

fn class_list(name: &str) -> Option<&'static str> {
    CLASS_LISTS.iter().find(|(known, _)| *known == name).map(|(_, list)| *list)
}

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
        let card = toml::to_string(&Card::usual(Architecture::MOBILENET_V2, "x".into())).unwrap();
        assert!(Card::parse(&card, Path::new("card")).is_ok());
        let error = Card::parse(&card.replace("padding", "pading"), Path::new("card")).unwrap_err().to_string();
        assert!(error.contains("pading"), "{error}");
    }
}
