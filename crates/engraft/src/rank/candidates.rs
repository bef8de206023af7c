//! The bases that are ranked where none are named: those on this machine that fit the data.

use crate::bases::{DataKind, GLYPHS, default_base, free_bases_here};
use crate::data::intake::InputKind;
use crate::error::{Error, Problem, Result};
use crate::methods::kind_of_images;
use crate::settings::Fit;

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
    let here = free_bases_here()?;
    if here.is_empty() {
        // Says what can be fetched, unless what is carried fits.
        return Ok(vec![default_base(kind_of_images(config)?)?.base]);
    }
    Ok(here.into_iter().map(|entry| entry.id.as_str()).chain([GLYPHS]).map(str::to_owned).collect())
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
