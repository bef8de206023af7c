//! Where an image's bytes are: in a file of their own, or in a table.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::printable;
use crate::files::{open_regular, read_limited};

/// Where an image's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// A file.
    File(PathBuf),
    /// A cell of a table, which was read with it.
    Cell {
        /// Table and row, in words.
        name: String,
        /// What stands there.
        bytes: Arc<[u8]>,
    },
}

impl ImageSource {
    /// Its bytes.
    ///
    /// # Errors
    /// Where the file cannot be read, or there are more bytes than `limit`.
    pub(crate) fn read(&self, limit: u64) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::File(path) => read_limited(path, limit).map(Cow::Owned),
            Self::Cell { bytes, .. } if bytes.len() as u64 > limit => {
                let found = format!("{} bytes, over the limit of {limit}", bytes.len());
                Err(io::Error::new(io::ErrorKind::FileTooLarge, found))
            }
            Self::Cell { bytes, .. } => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// Its first bytes, at most so many.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn head(&self, most: u64) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::File(path) => {
                let mut head = Vec::new();
                open_regular(path)?.take(most).read_to_end(&mut head)?;
                Ok(Cow::Owned(head))
            }
            Self::Cell { bytes, .. } => Ok(Cow::Borrowed(&bytes[..bytes.len().min(most as usize)])),
        }
    }

    /// What it is called, for a message or a row of output: the file's printable path, or table and row.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => printable(path),
            Self::Cell { name, .. } => name.clone(),
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Cell { .. } => None,
        }
    }

    /// Its size in bytes; 0 where that cannot be found out.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Self::Cell { bytes, .. } => bytes.len() as u64,
        }
    }
}

impl Default for ImageSource {
    /// No file: for examples that are no images.
    fn default() -> Self {
        Self::File(PathBuf::new())
    }
}

impl From<PathBuf> for ImageSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for ImageSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}
