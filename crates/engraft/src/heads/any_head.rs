//! A head of any kind.

use super::linear::Linear;
use super::word_reader::WordReader;
use crate::error::Result;

/// What stands on a base.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Head {
    /// A linear function of features, or of the states of tokens.
    Linear(Linear),
    /// A reader on word vectors, which gives two numbers for each word.
    Reader(Box<WordReader>),
}

impl Head {
    /// Numbers that it takes of an example, a token or a word.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Linear(head) => head.columns,
            Self::Reader(reader) => reader.sizes.columns,
        }
    }

    /// Numbers that it gives.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::Linear(head) => head.outputs,
            Self::Reader(_) => 2,
        }
    }

    /// The linear function.
    ///
    /// # Panics
    /// If it is a reader, which features are not given to.
    pub(crate) fn linear(&self) -> &Linear {
        match self {
            Self::Linear(head) => head,
            Self::Reader(_) => unreachable!("a reader takes words, not features"),
        }
    }

    /// The same as it is stored (see [`Linear::rounded`]).
    ///
    /// # Errors
    /// As [`Linear::rounded`].
    pub(crate) fn rounded(self) -> Result<Self> {
        match self {
            Self::Linear(head) => head.rounded().map(Self::Linear),
            reader @ Self::Reader(_) => Ok(reader),
        }
    }
}

impl From<Linear> for Head {
    fn from(head: Linear) -> Self {
        Self::Linear(head)
    }
}
