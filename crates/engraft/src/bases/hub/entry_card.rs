//! An entry of the registry as a card.

use std::path::Path;

use super::registry::Entry;
use crate::bases::card::Card;
use crate::bases::style::PaddingDialect;
use crate::bases::vision::architecture::Architecture;
use crate::error::{Error, Problem, Result};

impl Entry {
    /// The card of the base. `sha256` is that of its weights, where it is known; the registry's own otherwise.
    ///
    /// # Errors
    /// [`Error::Weights`] if the registry names an architecture that is not there; a test rules it out.
    pub(crate) fn card(&self, sha256: Option<&str>) -> Result<Card> {
        let architecture = Architecture::named(&self.architecture).ok_or_else(|| {
            Error::Weights(
                Problem::new("the registry names an unknown architecture").found(&self.architecture).at(&self.id),
            )
        })?;
        let card = Card {
            id: self.id.clone(),
            description: self.good_for.clone(),
            architecture,
            padding: self.padding.unwrap_or(PaddingDialect::Symmetric),
            batch_norm_epsilon: None,
            licence: self.licence.clone(),
            source: self.source.clone(),
            sha256: sha256.or(self.sha256.as_deref()).map(str::to_owned),
            classes: Vec::new(),
            class_list: Some("imagenet-1k".into()),
            output: None,
            preprocessing: self.preprocessing.clone(),
        };
        card.checked(Path::new(&self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::registry;
    use super::*;

    #[test]
    fn every_entry_has_a_card() {
        for entry in registry() {
            let card = entry.card(None).unwrap_or_else(|error| panic!("{}: {error}", entry.id));
            assert_eq!(card.architecture.name(), entry.architecture);
            assert_eq!(card.sha256, entry.sha256);
            assert_eq!(card.padding == PaddingDialect::Timm, entry.architecture == "nasnet_large", "{}", entry.id);
            assert_eq!(entry.card(Some("00")).unwrap().sha256.as_deref(), Some("00"));
        }
    }
}
