//! The bases that are ranked where none are named: those on this machine that fit the data.

use crate::bases::hub::{Hub, Reference, registry};
use crate::bases::{DataKind, default_base};
use crate::data::intake::InputKind;
use crate::data::{ImageSource, Reading, open_as};
use crate::error::{Error, Problem, Result};
use crate::settings::Fit;

/// The small base that the program carries.
const CARRIED: &str = "glyphs";

/// The bases that fit data of a kind: those that are asked for, or all of the registry that are here, but for those whose licence excludes
/// commercial use, which have to be asked for.
///
/// # Errors
/// [`Error::Usage`] for data that no base reads, and a base that is named twice; [`Error::Weights`] where none is here.
pub fn candidates(asked: &[String], config: &Fit, kind: InputKind) -> Result<Vec<String>> {
    if kind == InputKind::Vectors {
        let problem = Problem::new("rows of numbers have no pretrained base: there is nothing to rank");
        return Err(Error::Usage(problem.hint("--text names a column of texts, --path-column one of images")));
    }
    if let Some(twice) = asked.iter().enumerate().find(|(at, base)| asked[..*at].contains(base)) {
        return Err(Error::Usage(Problem::new("a base is named twice").found(twice.1).at("--bases")));
    }
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    if kind != InputKind::Images {
        return Ok(vec![default_base(DataKind::Texts)?.base]);
    }
    let hub = Hub::from_environment()?;
    let free = registry().iter().filter(|entry| !entry.licence.contains("NC"));
    let here = free.filter(|entry| hub.has(&Reference::Known(entry))).map(|entry| entry.id.clone());
    let found: Vec<String> = here.collect();
    if found.is_empty() {
        // Says what can be fetched, unless what is carried fits.
        return Ok(vec![default_base(of_images(config)?)?.base]);
    }
    Ok(found.into_iter().chain([CARRIED.to_owned()]).collect())
}

/// What the images of the data are.
fn of_images(config: &Fit) -> Result<DataKind> {
    let opened = open_as(&config.data, &Reading::of(config)?)?;
    let images: Vec<ImageSource> = opened.dataset.examples.into_iter().map(|example| example.source).collect();
    Ok(DataKind::of_images(&images))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        let named = ["a", "b", "a"].map(str::to_owned);
        let config = Fit::default();
        assert!(candidates(&named, &config, InputKind::Images).unwrap_err().to_string().contains("named twice"));
        assert!(candidates(&[], &config, InputKind::Vectors).unwrap_err().to_string().contains("nothing to rank"));
        assert_eq!(candidates(&named[..2], &config, InputKind::Images).unwrap(), named[..2]);
    }
}
