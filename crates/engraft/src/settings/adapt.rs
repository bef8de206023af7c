//! The settings of an adaptation to a target domain.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What `engraft adapt` has beside the settings of a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Adapt {
    /// The target: examples of the same kind as the source's. Labels that it may have are sealed until every choice is made.
    pub to: PathBuf,
    /// The run that is adapted without its data, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<PathBuf>,
    /// The column of the target's table that holds texts, or two with a comma between them; the source's, or found by what
    /// stands in it, where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_text: Option<String>,
    /// The column of the target's table that holds labels, which are sealed; one called as the source's where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_label: Option<String>,
    /// What is known of the shares of the classes in the target: `ask` (nothing), `same` (as in the source), `estimate` (the
    /// estimate is to be trusted), or the shares themselves, as `pos=0.3,neg=0.7`.
    pub shares: String,
    /// How to adapt: `auto` (only where independent methods agree), `all` (the same, and methods that are trained by steps are told
    /// too), or the name of a method, which is then applied whatever the others say.
    pub method: String,
    /// The examples of a check with the labels that somebody gave them: an exact sign test on them decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<PathBuf>,
}

impl Default for Adapt {
    fn default() -> Self {
        Self {
            to: PathBuf::new(),
            run: None,
            to_text: None,
            to_label: None,
            shares: "ask".into(),
            method: "auto".into(),
            checked: None,
        }
    }
}
