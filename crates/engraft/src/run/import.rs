//! A base of any file as safetensors with canonical names, and its card.

use std::io::Read;
use std::path::Path;

use engraft_weights::{Precision, Weights};

use crate::bases::{Base, Card};
use crate::error::{Error, Problem, Result};
use crate::files;

/// The largest card, and the longest header of a weights file, that are read to know them again.
const CARD_LIMIT: u64 = 16 << 20;
const HEAD: u64 = 64 << 20;

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

/// Checks that an import may write its weights and card: nothing is there, or with `force` what an import wrote. None of
/// `inputs` is ever replaced.
///
/// # Errors
/// As [`files::claim_file`].
pub fn claim_import(weights: &Path, card: &Path, force: bool, inputs: &[(&str, &Path)]) -> Result<()> {
    if weights == card {
        let problem =
            Problem::new("the weights and their card would be one file").expected("a name that ends in .safetensors");
        return Err(Error::Usage(problem.at(weights)));
    }
    let belongs = |path: &Path| {
        let text = files::read_limited(path, CARD_LIMIT).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let card = text.and_then(|text| toml::from_str::<Card>(&text).ok());
        let digest = card.and_then(|card| card.sha256);
        digest.is_some_and(|digest| files::sha256_of_file(weights, |_| Ok(())).is_ok_and(|found| found == digest))
    };
    files::claim_file(weights, force, inputs, is_import)?;
    files::claim_file(card, force, inputs, belongs)
}

/// Whether a weights file says of itself that this program wrote it.
fn is_import(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = files::open_regular(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let Some((length, rest)) = head.split_first_chunk::<8>().filter(|_| read.is_ok()) else { return false };
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.get(..length));
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Value>(header).ok());
    let maker = header.as_ref().and_then(|header| header["__metadata__"]["made_by"].as_str());
    maker.is_some_and(|maker| maker.starts_with("engraft "))
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
