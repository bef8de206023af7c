//! Reading regular files, and nothing else, within limits.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Opens without waiting for whoever is at the other end of a pipe, and takes no terminal.
pub(super) const NO_WAIT: i32 = rustix::fs::OFlags::NONBLOCK.union(rustix::fs::OFlags::NOCTTY).bits() as i32;

/// What lies somewhere, in words: "a file", "a folder", "a named pipe", "a socket" or "a device".
pub(crate) fn kind_of(metadata: &fs::Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => "a file",
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

/// Opens a regular file to be read, and nothing else: opening a named pipe would wait until somebody writes to it, and a
/// device may never end.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] that says what lies there, where that is not a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let is_regular = |metadata: &fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but {}", kind_of(metadata))))
        }
    };
    is_regular(&fs::metadata(path)?)?;
    // Something else may lie there by now: it is opened without waiting, and looked at again.
    let file = File::options().read(true).custom_flags(NO_WAIT).open(path)?;
    is_regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a whole file, refusing one of more than `limit` bytes before it is read.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} bytes, over the limit of {limit}", metadata.len()),
        ));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(metadata.len() as usize).map_err(|_| {
        let asked = format!("not enough memory: {} bytes were asked for", metadata.len());
        io::Error::new(io::ErrorKind::OutOfMemory, asked)
    })?;
    // The file may grow between the two looks: the limit holds for what is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over the limit of {limit} bytes")));
    }
    Ok(bytes)
}

/// Whether a regular file begins with these bytes.
pub fn begins_with(path: &Path, expected: &[u8]) -> bool {
    let mut found = vec![0; expected.len()];
    open_regular(path).is_ok_and(|mut file| file.read_exact(&mut found).is_ok()) && found == expected
}

/// Hands over what is left of a file, in pieces.
pub(super) fn read_pieces(file: &mut File, path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => each(&piece[..length])?,
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::read(path, &source)),
        }
    }
}
