//! The bases that are known by name. Only what was found in a real source is stated; what is not known stays out.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::bases::style::PaddingDialect;
use crate::data::preprocess::Preprocessing;

/// A known base.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name to give to `--base`.
    pub id: String,
    /// `owner/name` on the hub.
    #[serde(default)]
    pub repo: Option<String>,
    /// The commit that is meant; without one, the branch `main`, and the SHA-256 decides.
    #[serde(default)]
    pub revision: Option<String>,
    /// The weights file.
    pub file: String,
    /// Where the file is, if not on the hub.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// SHA-256 of the file.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The first digits of the SHA-256, where no more is known.
    #[serde(default)]
    pub sha256_prefix: Option<String>,
    /// Bytes of the file.
    #[serde(default)]
    pub size: Option<u64>,
    /// Mebibytes of the file, where its bytes are not known.
    #[serde(default)]
    pub mebibytes: Option<f64>,
    /// Parameters, in millions.
    #[serde(default)]
    pub(crate) parameters: Option<f64>,
    /// The licence of the weights.
    pub licence: String,
    /// Top-1 accuracy on ImageNet-1k's validation images with this preprocessing, in per cent.
    #[serde(default)]
    pub accuracy: Option<f64>,
    /// The network, spelt as the card spells it.
    pub architecture: String,
    /// How its maker pads; without it, the same on both sides.
    #[serde(default)]
    pub(crate) padding: Option<PaddingDialect>,
    /// What it is good for.
    pub good_for: String,
    /// Who trained it on what, and how.
    pub(crate) source: String,
    /// How an image becomes the network's input.
    pub(crate) preprocessing: Preprocessing,
    /// A larger input that its maker recommends for use.
    #[serde(default)]
    pub(crate) test: Option<TestSize>,
}

/// A larger input, which costs more and is a little more accurate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestSize {
    /// Height and width.
    pub(crate) side: usize,
    /// The shorter side after resizing.
    pub(crate) shortest_side: usize,
    /// Top-1 accuracy with it, in per cent.
    #[serde(default)]
    pub(crate) accuracy: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    base: Vec<Entry>,
}

/// The known bases, by family and size.
pub fn registry() -> &'static [Entry] {
    static REGISTRY: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        toml::from_str::<Registry>(include_str!("../../../assets/registry.toml"))
            .expect("the registry is valid; a test reads it")
            .base
    });
    &REGISTRY
}

#[cfg(test)]
mod tests {
    use super::super::reference::{is_commit, is_lower_hex, is_relative_path, is_repository, is_sha256};
    use super::*;

    /// Those whose checkpoints can be had with names that the program reads.
    const ARCHITECTURES: [&str; 10] = [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "inception_v3",
        "nasnet_large",
        "mobilenet_v2",
        "squeezenet1_0",
        "squeezenet1_1",
    ];

    #[test]
    fn every_entry_is_sound() {
        let mut seen = std::collections::HashSet::new();
        assert!(registry().len() > 20);
        for entry in registry() {
            let id = &entry.id;
            assert!(seen.insert(id), "{id} stands twice");
            assert!(is_repository(id), "{id}: an id looks like owner/name");
            assert!(entry.repo.is_some() != entry.url.is_some(), "{id}: on the hub or elsewhere");
            assert!(entry.repo.as_deref().is_none_or(is_repository), "{id}");
            assert!(entry.url.as_deref().is_none_or(|url| url.starts_with("https://") && url.ends_with(&entry.file)));
            assert!(is_relative_path(&entry.file) && (entry.url.is_none() || !entry.file.contains('/')), "{id}");
            assert!(entry.revision.as_deref().is_none_or(is_commit), "{id}");
            assert!(entry.sha256.as_deref().is_none_or(is_sha256), "{id}");
            let prefix = entry.sha256_prefix.as_deref();
            assert!(prefix.is_none_or(|digits| digits.len() >= 8 && is_lower_hex(digits)), "{id}");
            assert!(entry.url.is_none() || entry.sha256.is_some() || prefix.is_some(), "{id}: an address needs a pin");
            assert!(entry.accuracy.is_none_or(|accuracy| (50.0..90.0).contains(&accuracy)), "{id}");
            assert!(!entry.licence.is_empty() && !entry.good_for.is_empty() && !entry.source.is_empty(), "{id}");
            assert!(ARCHITECTURES.contains(&entry.architecture.as_str()), "{id}: {}", entry.architecture);
            entry.preprocessing.validate().unwrap_or_else(|error| panic!("{id}: {error}"));
            if let Some(test) = &entry.test {
                assert!(test.side > entry.preprocessing.height && test.shortest_side >= test.side, "{id}");
            }
        }
    }
}
