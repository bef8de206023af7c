//! Weight files for every room: opened within limits, hashed piece by piece, read tensor by tensor, with the panics of
//! other people's readers caught.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use engraft_weights::{Error, FILE_LIMIT, Format, Source, Tensor, Tensors, WeightFile, Weights};
use sha2::{Digest, Sha256};

use crate::error::{self, Problem};
use crate::files;
use crate::guard::guarded;

/// Room for readers that call themselves for what lies in what they read: HDF5's types may, 8,000 deep.
const STACK: usize = 64 << 20;

/// Bytes by which it is told what stands in place of a file.
const HEAD: u64 = 4096;

/// An open weight file (see [`WeightFile`]), or the shards of one.
#[derive(Debug)]
pub struct Opened<'a>(Files<'a>);

#[derive(Debug)]
enum Files<'a> {
    One(WeightFile<'a>),
    Shards {
        headers: Weights,
        files: Vec<WeightFile<'a>>,
        /// Which file holds a tensor, and what it calls it.
        places: BTreeMap<String, (usize, String)>,
    },
}

impl<'a> Opened<'a> {
    /// Shards, whose headers together are `headers`.
    pub(crate) fn of_shards(
        headers: Weights,
        files: Vec<WeightFile<'a>>,
        places: BTreeMap<String, (usize, String)>,
    ) -> Self {
        Self(Files::Shards { headers, files, places })
    }
}

/// Opens the bytes of a file on disk, of which nothing is read yet.
///
/// # Errors
/// What the system says; also for what is not a regular file, or larger than [`FILE_LIMIT`].
pub(crate) fn source(path: &Path) -> io::Result<Source<'static>> {
    let source = Source::of_file(files::open_regular(path)?)?;
    if source.length() > FILE_LIMIT {
        let found = format!("{} bytes, over the limit of {FILE_LIMIT}", source.length());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, found));
    }
    Ok(source)
}

/// Lower-case hexadecimal SHA-256 of a file's bytes.
///
/// # Errors
/// [`Error`] where they cannot be read.
pub(crate) fn sha256(source: &Source<'_>) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    source.for_each_piece(|piece| {
        hasher.update(piece);
        Ok::<_, Error>(())
    })?;
    Ok(files::hex(&hasher.finalize()))
}

/// The format of a file, if it is one that is known.
pub(crate) fn format(source: &Source<'_>) -> Option<Format> {
    #[expect(clippy::disallowed_methods, reason = "everybody else is to use this function")]
    caught(|| Ok(engraft_weights::format(source.clone()))).unwrap_or_default()
}

/// Opens a file: everything but the numbers is read.
///
/// # Errors
/// As [`WeightFile::open`].
pub fn open<'a>(source: impl Into<Source<'a>>) -> Result<Opened<'a>, Error> {
    open_file(source).map(|file| Opened(Files::One(file)))
}

/// The same, as the crate of formats has it.
pub(crate) fn open_file<'a>(source: impl Into<Source<'a>>) -> Result<WeightFile<'a>, Error> {
    let source = source.into();
    #[expect(clippy::disallowed_methods, reason = "everybody else is to use this function")]
    let work = || caught(|| WeightFile::open(source));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|_| Error::Memory { bytes: STACK as u64 })?;
        thread.join().unwrap_or_else(|_| Err(Error::Reader { reason: "its thread ended".into() }))
    })
}

/// What stands in place of a file of weights, if that is what begins there: a Git LFS pointer, a web page.
pub(crate) fn stand_in(file: impl Read) -> Option<Error> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).ok()?;
    engraft_weights::stand_in(&head)
}

/// The same of a file that is not open.
pub(crate) fn stand_in_at(path: &Path) -> Option<Error> {
    files::open_regular(path).ok().and_then(stand_in)
}

/// The error for a weights file that cannot be read, with what can be done about it.
pub(crate) fn unreadable(source: &Error, place: &Path) -> error::Error {
    let problem = Problem::new("the weights cannot be read").found(source).at(place);
    let problem = match source {
        // Its message says what was expected.
        Error::WholeModel { .. } | Error::Contents { .. } | Error::Code { .. } => problem,
        _ => problem.expected("a whole safetensors, PyTorch, Keras or ONNX file"),
    };
    let problem = match source.remedy() {
        Some(remedy) => problem.hint(remedy),
        None => problem,
    };
    match source {
        // The file may be sound.
        Error::Memory { .. } => error::Error::Io(problem),
        _ => error::Error::Weights(problem),
    }
}

/// Reads a file whole.
///
/// # Errors
/// As [`engraft_weights::read`].
pub fn read<'a>(source: impl Into<Source<'a>>) -> Result<Weights, Error> {
    let opened = open_file(source)?;
    caught(|| opened.into_weights())
}

impl Tensors for Opened<'_> {
    fn headers(&self) -> &Weights {
        match &self.0 {
            Files::One(file) => file.headers(),
            Files::Shards { headers, .. } => headers,
        }
    }

    fn tensor(&self, name: &str) -> Result<Option<Cow<'_, Tensor>>, Error> {
        caught(|| match &self.0 {
            Files::One(file) => file.tensor(name),
            Files::Shards { files, places, .. } => match places.get(name) {
                Some((at, name)) => files[*at].tensor(name),
                None => Ok(None),
            },
        })
    }
}

fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    guarded("the reader of weights", work).unwrap_or_else(|panic| Err(Error::Reader { reason: panic.text }))
}
