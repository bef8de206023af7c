//! The settings of a ranking of bases.

use serde::{Deserialize, Serialize};

use super::choices::By;

/// What `engraft rank` has beside the settings that say how data is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rank {
    /// What the bases are ranked by.
    pub by: By,
    /// What probing may cost: `90s`, `5m`, `1h`. The most promising base is probed whatever it costs.
    pub budget: String,
}

impl Default for Rank {
    fn default() -> Self {
        Self { by: By::Probe, budget: "1m".into() }
    }
}
