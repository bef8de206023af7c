//! Finding a base: embedded in the program, or a file with its card.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use engraft_weights::Weights;
use serde::Serialize;

use crate::backbone::card::Card;
use crate::backbone::layers::Linear;
use crate::backbone::network::{Architecture, Network, NetworkWeights};
use crate::backbone::parameters::Manifest;
use crate::error::{Error, Problem, Result, printable};
use crate::files;

/// A pretrained network, its card, and the identity of its weights.
#[derive(Debug)]
pub struct Base {
    /// How to feed it.
    pub card: Card,
    /// The stages.
    pub network: Network,
    /// The classifier of its own classes, where the weights have one.
    pub classifier: Option<Linear>,
    /// Names of its parameters.
    pub manifest: Manifest,
    /// SHA-256 of the weights file.
    pub sha256: String,
    /// What the user should know about how the card was found.
    pub remarks: Vec<String>,
}

/// One line of `engraft bases list`.
#[derive(Debug, Clone, Serialize)]
pub struct BaseSummary {
    /// The name to give to `--base`.
    pub id: String,
    /// The network.
    pub architecture: &'static str,
    /// Whether the weights are in the program.
    pub embedded: bool,
    /// What it is good for.
    pub description: String,
    /// The licence of the weights.
    pub licence: String,
}

struct Embedded {
    card: &'static str,
    weights: &'static [u8],
}

const EMBEDDED: [Embedded; 1] = [Embedded {
    card: include_str!("../../assets/glyphs.toml"),
    weights: include_bytes!("../../assets/glyphs.safetensors"),
}];

/// The bases that the program knows: those it carries, and those whose files it recognises.
pub fn embedded() -> Result<Vec<BaseSummary>> {
    let carried = EMBEDDED.iter().map(|base| Card::parse(base.card, Path::new("embedded")).map(|card| (card, true)));
    let known = Card::all_known().into_iter().map(|card| Ok((card, false)));
    carried
        .chain(known)
        .map(|entry| {
            entry.map(|(card, embedded)| BaseSummary {
                id: card.id,
                architecture: card.architecture.name(),
                embedded,
                description: card.description,
                licence: card.licence,
            })
        })
        .collect()
}

/// Opens a base: the name of an embedded one, or a weights file.
///
/// The card of a file is, in this order: `card` where given, `FILE.toml` or `FILE.json` beside it (with or without
/// the weights' own ending), a known one by SHA-256, the usual one of the architecture (and a remark says so).
pub fn open(spec: &str, card: Option<&Path>, device: &Device) -> Result<Base> {
    for base in &EMBEDDED {
        let embedded = Card::parse(base.card, Path::new("embedded"))?;
        if embedded.id == spec && card.is_none() {
            return Base::from_bytes(base.weights, Some(embedded), Path::new(spec), device);
        }
    }
    let path = Path::new(spec);
    let bytes = files::read_limited(path, engraft_weights::FILE_LIMIT).map_err(|source| {
        let names: Vec<String> =
            embedded().unwrap_or_default().into_iter().filter(|b| b.embedded).map(|b| b.id).collect();
        Error::Weights(
            Problem::new("the base cannot be opened")
                .expected(format_args!("an embedded base ({}) or a weights file", names.join(", ")))
                .found(source)
                .at(path)
                .hint("`engraft bases list` shows the bases that the program knows"),
        )
    })?;
    let card = match card.map(Path::to_owned).or_else(|| beside(path)) {
        Some(place) => Some(Card::parse(&read_card(&place)?, &place)?),
        None => None,
    };
    Base::from_bytes(&bytes, card, path, device)
}

fn read_card(place: &Path) -> Result<String> {
    let bytes = files::read_limited(place, 16 << 20)
        .map_err(|source| Error::Weights(Problem::new("the card cannot be read").found(source).at(place)))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::Weights(Problem::new("the card is no text").expected("UTF-8").at(place)))
}

/// The card's file beside a weights file.
fn beside(weights: &Path) -> Option<PathBuf> {
    ["toml", "json"].into_iter().find_map(|ending| {
        let mut long = weights.as_os_str().to_owned();
        long.push(format!(".{ending}"));
        [PathBuf::from(long), weights.with_extension(ending)].into_iter().find(|path| path.is_file())
    })
}

impl Base {
    /// Builds a base from the bytes of a weights file.
    pub fn from_bytes(bytes: &[u8], card: Option<Card>, place: &Path, device: &Device) -> Result<Self> {
        let sha256 = files::sha256_hex(bytes);
        let weights = engraft_weights::read(bytes).map_err(|source| {
            Error::Weights(
                Problem::new("the weights cannot be read")
                    .expected("a whole safetensors file")
                    .found(source)
                    .at(place)
                    .hint("fetch the file again, or convert it to safetensors"),
            )
        })?;
        let mut remarks = Vec::new();
        let card = match card.or_else(|| Card::known(&sha256)) {
            Some(card) => card,
            None => {
                let architecture =
                    Architecture::detect(&weights.tensors).ok_or_else(|| unknown_architecture(&weights, place))?;
                let name = place.file_stem().map_or_else(|| "base".into(), |stem| printable(Path::new(stem)));
                remarks.push(format!(
                    "{} has no card and is not known by its SHA-256: taking the usual preprocessing of {} (give --card if it was trained otherwise)",
                    place.display(),
                    architecture.name()
                ));
                Card::usual(architecture, name)
            }
        };
        if let Some(expected) = &card.sha256
            && *expected != sha256
        {
            return Err(Error::Weights(
                Problem::new("the weights are not those of the card")
                    .expected(format_args!("SHA-256 {expected}"))
                    .found(&sha256)
                    .at(place)
                    .hint("fetch the file again, or correct the card"),
            ));
        }
        Self::from_weights(card, &weights, sha256, device).map(|base| Self { remarks, ..base })
    }

    /// Builds a base from tensors that were read already.
    pub fn from_weights(card: Card, weights: &Weights, sha256: String, device: &Device) -> Result<Self> {
        let NetworkWeights { network, classifier, manifest } = Network::from_weights(&card, weights, device)?;
        Ok(Self { card, network, classifier, manifest, sha256, remarks: Vec::new() })
    }

    /// Rows and columns of its input.
    pub fn input(&self) -> [usize; 2] {
        [self.card.preprocessing.height, self.card.preprocessing.width]
    }
}

fn unknown_architecture(weights: &Weights, place: &Path) -> Error {
    let names: Vec<&str> = weights.tensors.keys().take(3).map(String::as_str).collect();
    let known: Vec<&str> = Architecture::ALL.iter().map(|a| a.name()).collect();
    Error::Weights(
        Problem::new("the architecture of the weights is not known")
            .expected(format_args!("the tensor names of {}", known.join(" or ")))
            .found(if names.is_empty() { "no tensors at all".into() } else { format!("{}, ...", names.join(", ")) })
            .at(place)
            .hint("give a card that names the architecture with --card, to see which tensors do not fit"),
    )
}
