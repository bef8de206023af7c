//! Where a file's bytes come from: memory, or an open file of which pieces are read where they lie.
//!
//! Files are not mapped into memory: a file that another program cuts short would end the process with a signal.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::Error;

/// Bytes that are read at once where numbers are decoded or checked piece by piece.
pub(crate) const PIECE: usize = 1 << 20;

/// Bytes at the start of a file by which its format is told.
const HEAD: u64 = 64 << 10;

/// The bytes of a weight file, or a part of them.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    place: Place<'a>,
    start: u64,
    length: u64,
}

#[derive(Debug, Clone)]
enum Place<'a> {
    Memory(&'a [u8]),
    Shared(Arc<[u8]>),
    File(Arc<File>),
}

impl<'a> From<&'a Vec<u8>> for Source<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Vec<u8>> for Source<'static> {
    fn from(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        Self { place: Place::Shared(bytes.into()), start: 0, length }
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { place: Place::Memory(bytes), start: 0, length: bytes.len() as u64 }
    }
}

impl Source<'static> {
    /// An open file, as long as it is now. Its position is neither used nor moved.
    ///
    /// # Errors
    /// What the system says where the file's length is not to be had.
    pub fn of_file(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { place: Place::File(Arc::new(file)), start: 0, length })
    }
}

impl<'a> Source<'a> {
    /// The bytes where they are in memory.
    fn memory(&self) -> Result<&[u8], &File> {
        let all: &[u8] = match &self.place {
            Place::Memory(bytes) => bytes,
            Place::Shared(bytes) => bytes,
            Place::File(file) => return Err(file),
        };
        Ok(&all[self.start as usize..(self.start + self.length) as usize])
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Calls `each` with the bytes from the first to the last, in pieces.
    ///
    /// # Errors
    /// What reading gives, and what `each` gives.
    pub fn for_each_piece<E: From<Error>>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.pieces(1, |piece| each(piece))
    }

    /// The same in pieces of whole numbers of `size` bytes; what is left over at the end is not told.
    pub(crate) fn pieces<E: From<Error>>(
        &self,
        size: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let whole = self.length / size as u64 * size as u64;
        let step = (PIECE / size * size) as u64;
        if let Ok(bytes) = self.memory() {
            return bytes[..whole as usize].chunks(step as usize).try_for_each(each);
        }
        let mut buffer = reserved(whole.min(step))?;
        let mut at = 0;
        while at < whole {
            let length = step.min(whole - at);
            buffer.resize(length as usize, 0);
            self.fill(at, &mut buffer)?;
            each(&buffer)?;
            at += length;
        }
        Ok(())
    }

    /// `length` bytes from `start`, if they are there.
    pub(crate) fn part(&self, start: u64, length: u64) -> Option<Self> {
        start.checked_add(length).filter(|&end| end <= self.length)?;
        Some(Self { place: self.place.clone(), start: self.start + start, length })
    }

    /// The bytes of a range: a copy where they lie in a file.
    pub(crate) fn bytes(&self, start: u64, length: u64) -> Result<Cow<'_, [u8]>, Error> {
        let end = start.checked_add(length).filter(|&end| end <= self.length);
        let end = end.ok_or(Error::Truncated { expected: start.saturating_add(length), found: self.length })?;
        if let Ok(bytes) = self.memory() {
            return Ok(Cow::Borrowed(&bytes[start as usize..end as usize]));
        }
        let mut bytes = reserved(length)?;
        bytes.resize(length as usize, 0);
        self.fill(start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// All bytes: a copy where they lie in a file.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is no room for them, [`Error::Read`] and [`Error::Truncated`] where they cannot be
    /// read.
    pub fn all(&self) -> Result<Cow<'_, [u8]>, Error> {
        self.bytes(0, self.length)
    }

    /// The first bytes, as many as formats are told by.
    pub(crate) fn head(&self) -> Result<Cow<'_, [u8]>, Error> {
        self.bytes(0, self.length.min(HEAD))
    }

    /// Fills a buffer from `at`.
    pub(crate) fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<(), Error> {
        match self.memory() {
            Ok(_) => buffer.copy_from_slice(&self.bytes(at, buffer.len() as u64)?),
            Err(file) => file.read_exact_at(buffer, self.start + at).map_err(|source| match source.kind() {
                // Another program cut it short meanwhile.
                io::ErrorKind::UnexpectedEof => {
                    let found = file.metadata().map_or(0, |metadata| metadata.len());
                    Error::Truncated { expected: self.start + at + buffer.len() as u64, found }
                }
                _ => Error::Read { reason: source.to_string() },
            })?,
        }
        Ok(())
    }

    /// The same bytes without a lifetime: a copy where they are lent from memory.
    pub(crate) fn into_static(self) -> Source<'static> {
        let Self { start, length, .. } = self;
        match self.place {
            Place::Memory(bytes) => Source { place: Place::Shared(bytes.into()), start, length },
            Place::Shared(bytes) => Source { place: Place::Shared(bytes), start, length },
            Place::File(file) => Source { place: Place::File(file), start, length },
        }
    }

    /// For libraries that read and seek.
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader { source: self, at: 0 }
    }
}

/// Room for `count` values, or an error that says how many bytes were asked for.
pub(crate) fn reserved<T>(count: u64) -> Result<Vec<T>, Error> {
    let bytes = count.saturating_mul(size_of::<T>() as u64);
    let mut room = Vec::new();
    let reserved = usize::try_from(count).ok().map(|count| room.try_reserve_exact(count));
    match reserved {
        Some(Ok(())) => Ok(room),
        _ => Err(Error::Memory { bytes }),
    }
}

/// A position in a [`Source`].
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    source: Source<'a>,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.length.saturating_sub(self.at);
        let count = left.min(buffer.len() as u64) as usize;
        self.source.fill(self.at, &mut buffer[..count]).map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
