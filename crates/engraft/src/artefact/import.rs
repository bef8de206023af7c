//! A base of any file as safetensors with canonical names, and its card.

use engraft_weights::{Precision, Weights};

use crate::backbone::{Base, Card};
use crate::error::{Error, Problem, Result};
use crate::files;

/// A base ready to be written.
#[derive(Debug)]
pub struct Imported {
    /// The weights as a safetensors file.
    pub weights: Vec<u8>,
    /// The card, with the weights' SHA-256.
    pub card: Card,
    /// The card as TOML.
    pub card_toml: String,
}

/// Turns a base into a safetensors file with canonical names, in PyTorch's layout, and a card.
///
/// Everything that the network is goes with it, its own classifier included: the file gives the same features.
pub fn import(base: &Base, half: bool) -> Result<Imported> {
    let built = base.staged()?;
    let precision = if half { Precision::F16 } else { Precision::F32 };
    let mut tensors = built.manifest.export(&built.network, precision);
    if let Some(classifier) = &built.classifier {
        tensors.extend(built.manifest.export(classifier, precision));
    }
    let mut weights = Weights { tensors, ..Weights::default() };
    weights.metadata.insert("made_by".into(), format!("engraft {}", env!("CARGO_PKG_VERSION")));
    weights.metadata.insert("made_from".into(), base.sha256.clone());
    let weights = engraft_weights::write(&weights);
    let mut card = base.card.clone();
    card.sha256 = Some(files::sha256_hex(&weights));
    card.batch_norm_epsilon = Some(card.style().epsilon);
    let card_toml = toml::to_string(&card)
        .map_err(|source| Error::Usage(Problem::new("the card cannot be written as TOML").found(source)))?;
    Ok(Imported { weights, card, card_toml })
}
