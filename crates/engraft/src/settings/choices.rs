//! Settings that are one of a few names: the same on the command line, in files of settings and in reports.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Problem};

/// An enum of names: parsed with a suggestion where a name is not known, shown and serialised as its name.
macro_rules! choice {
    ($(#[$docs:meta])* $type:ident, $what:literal: $($(#[$variant_docs:meta])* $variant:ident = $name:literal,)+) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_docs])* $variant,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in settings and flags.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let names = || Self::ALL.iter().map(|known| known.name());
                Self::ALL.iter().copied().find(|known| known.name() == text).ok_or_else(|| {
                    let expected = names().collect::<Vec<_>>().join(", ");
                    let problem = Problem::new(concat!("unknown ", $what)).expected(expected).found(text);
                    Error::Usage(problem.suggest(text, names()))
                })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use choice;

choice! {
    /// What moves the parameters.
    Optimiser, "optimiser":
    /// Stochastic gradient descent with momentum 0.9: `m = 0.9 m + g; w = w - lr m`. Decay is part of the gradient.
    Sgd = "sgd",
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2): beta 0.9 and 0.999, epsilon 1e-8.
    AdamW = "adamw",
}

choice! {
    /// What bases are ranked by.
    By, "score of bases":
    /// A cross-validated linear probe.
    Probe = "probe",
    /// The evidence of a linear model with its weights integrated out.
    LogMe = "logme",
    /// How far the class means are apart, in the features' shrunk covariance.
    HScore = "h-score",
    /// The correlation of distances of features with those of labels.
    Parc = "parc",
    /// The entropy of the labels given the base's own class.
    Nce = "nce",
    /// The expected log-probability of the labels by the base's own classes.
    Leep = "leep",
}

choice! {
    /// How the learning rate goes over a training.
    Schedule, "schedule":
    /// The peak rate after the warm-up.
    Constant = "constant",
    /// Half a cosine down to zero (Loshchilov and Hutter 2017, equation 5, one cycle).
    Cosine = "cosine",
    /// A line up and a longer line down to 1/32 (Howard and Ruder 2018, equation 3). The warm-up is the way up.
    SlantedTriangular = "slanted-triangular",
    /// A cosine up from 1/25, and a cosine down to 1/250,000 (Smith and Topin 2019, as PyTorch does it). The warm-up is
    /// the way up.
    OneCycle = "one-cycle",
    /// A tenth after half, a hundredth after three quarters (as He et al. 2016 train on CIFAR-10).
    Step = "step",
}

choice! {
    /// Where the head begins.
    Start, "start of the head":
    /// At the solved linear probe: LP-FT (Kumar et al. 2022).
    Probe = "probe",
    /// At small random numbers.
    Random = "random",
}

choice! {
    /// When stages begin to learn.
    Unfreezing, "order of unfreezing":
    /// All at once.
    Together = "together",
    /// From the last stage to the first (Howard and Ruder 2018, section 3.3).
    Gradual = "gradual",
}

choice! {
    /// What batch norms of stages that learn do.
    BatchNorms, "way of batch norms":
    /// They keep the base's statistics.
    Frozen = "frozen",
    /// They take the target's statistics before training, and keep them.
    Adapt = "adapt",
    /// They take each batch's statistics.
    Train = "train",
}

choice! {
    /// Bits that images of 16 bits a channel use.
    BitDepth, "bit depth":
    /// The fewest that hold the largest value of the data set.
    Auto = "auto",
    /// 8 bits: up to 255.
    Eight = "8",
    /// 10 bits: up to 1023.
    Ten = "10",
    /// 12 bits: up to 4095.
    Twelve = "12",
    /// 14 bits: up to 16383.
    Fourteen = "14",
    /// All.
    Sixteen = "16",
}

impl BitDepth {
    /// The bits, where they are told, and nothing within for all of them.
    pub(crate) fn bits(self) -> Option<Option<u8>> {
        match self {
            Self::Auto => None,
            Self::Eight => Some(Some(8)),
            Self::Ten => Some(Some(10)),
            Self::Twelve => Some(Some(12)),
            Self::Fourteen => Some(Some(14)),
            Self::Sixteen => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_a_wrong_one_is_answered() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), *schedule);
        }
        assert_eq!(serde_json::to_string(&Optimiser::AdamW).unwrap(), "\"adamw\"");
        assert_eq!(serde_json::from_str::<BatchNorms>("\"adapt\"").unwrap(), BatchNorms::Adapt);
        let told = "cosin".parse::<Schedule>().unwrap_err().to_string();
        assert!(told.contains("unknown schedule") && told.contains("did you mean `cosine`?"), "{told}");
        assert!(serde_json::from_str::<Start>("\"zero\"").unwrap_err().to_string().contains("probe, random"));
    }
}
