//! Zip archives: entries are looked up by exact name, read where they lie, and never become paths.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use crate::Error;
use crate::source::Source;

/// Bytes that are read ahead in a directory or a packed entry.
const AHEAD: usize = 32 << 10;

/// One entry, checked against the file.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    name: String,
    stored: Source<'a>,
    deflated: bool,
    /// Bytes when unpacked.
    pub(crate) size: u64,
    /// 0 where the writer made none, as `torch.save` does on request.
    crc: u32,
}

/// An archive whose entries lie inside the file, apart from each other, under harmless names.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    entries: BTreeMap<String, Entry<'a>>,
    /// Bytes of the whole archive.
    pub(crate) length: u64,
}

fn damaged(reason: impl Into<String>) -> Error {
    Error::Archive { reason: reason.into() }
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive and checks every entry of it; unpacks nothing.
    pub(crate) fn open(source: Source<'a>) -> Result<Self, Error> {
        let reader = BufReader::with_capacity(AHEAD, source.clone().reader());
        // The archive begins where the file does. Left to guess, the library takes it for one behind other bytes where an
        // entry of the directory is as long as the records that follow it, as `data.pkl` is under a name of 21 letters.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, reader).map_err(|error| damaged(error.to_string()))?;
        let listed = directory_length(&source, zip.central_directory_start());
        if zip.offset() != 0 || listed != Some(zip.len()) {
            return Err(damaged(format!(
                "expected a directory of {} entries with names of their own at the end of the file, found {}",
                zip.len(),
                listed.map_or("something else".into(), |count| count.to_string())
            )));
        }
        let mut entries = BTreeMap::new();
        let mut extents = Vec::with_capacity(zip.len() + 1);
        let mut inflated = 0u64;
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(|error| damaged(error.to_string()))?;
            let name = file.name().map_err(|error| damaged(error.to_string()))?.into_owned();
            let wrong = |reason: &str| damaged(format!("entry `{}` {reason}", name.escape_default()));
            check_name(&name).map_err(wrong)?;
            if file.encrypted() || file.is_symlink() {
                return Err(wrong("is encrypted or a symbolic link: expected a plain file"));
            }
            let deflated = match file.compression() {
                CompressionMethod::Stored => false,
                CompressionMethod::Deflated => true,
                other => return Err(wrong(&format!("is packed by {other}: expected stored or deflated"))),
            };
            let start = file.data_start().ok_or_else(|| wrong("has no data"))?;
            let Some(stored) = source.part(start, file.compressed_size()) else {
                return Err(wrong(&format!("leaves the file: it claims {} bytes", file.compressed_size())));
            };
            if !deflated && file.size() != file.compressed_size() {
                let (size, found) = (file.size(), file.compressed_size());
                return Err(wrong(&format!("is stored as it is: expected {size} bytes, found {found}")));
            }
            if deflated {
                inflated = inflated.saturating_add(file.size());
            }
            extents.push((file.header_start(), start + file.compressed_size()));
            let entry = Entry { name: name.clone(), stored, deflated, size: file.size(), crc: file.crc32() };
            entries.insert(name, entry);
        }
        let limit = source.length().saturating_mul(2).saturating_add(32 << 20);
        if inflated > limit {
            return Err(Error::TooLarge { what: "bytes of compressed entries".into(), limit, found: inflated });
        }
        extents.push((zip.central_directory_start(), source.length()));
        extents.sort_unstable();
        if let Some(pair) = extents.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            return Err(damaged(format!(
                "expected entries apart from each other, found two that share byte {}",
                pair[1].0
            )));
        }
        Ok(Self { entries, length: source.length() })
    }

    /// Whether there is an entry of exactly this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Whether there is an entry for whose name this holds.
    pub(crate) fn any(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.entries.keys().any(|name| holds(name))
    }

    /// The folder of PyTorch's `data.pkl`, with a slash at its end, or empty at the top.
    pub(crate) fn pickle(&self) -> Option<&str> {
        let folder = |name: &'_ str| name.strip_suffix("data.pkl").map(str::len);
        self.entries.keys().find_map(|name| match folder(name)? {
            0 => Some(""),
            end => name[..end].ends_with('/').then_some(&name[..end]),
        })
    }

    /// An entry of exactly this name.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry<'a>> {
        self.entries.get(name)
    }

    /// The unpacked bytes of an entry, of which at most `limit` are read.
    pub(crate) fn get(&self, name: &str, limit: u64) -> Result<Option<Cow<'_, [u8]>>, Error> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        if entry.size > limit {
            return Err(Error::TooLarge { what: format!("bytes of the entry `{name}`"), limit, found: entry.size });
        }
        entry.unpacked().map(Some)
    }
}

impl<'a> Entry<'a> {
    /// All bytes, compared with their checksum: where they lie, or unpacked in memory.
    pub(crate) fn content(&self) -> Result<Source<'a>, Error> {
        if self.deflated {
            return Ok(self.unpacked()?.into_owned().into());
        }
        if self.crc != 0 {
            let mut crc = Crc::new();
            self.stored.for_each_piece(|piece| {
                crc.update(piece);
                Ok::<_, Error>(())
            })?;
            self.check(&crc)?;
        }
        Ok(self.stored.clone())
    }

    /// The same in memory; without a copy where they are there as they are.
    fn unpacked(&self) -> Result<Cow<'_, [u8]>, Error> {
        let name = &self.name;
        let bytes = if self.deflated {
            let mut bytes = Vec::new();
            let packed = BufReader::with_capacity(AHEAD, self.stored.clone().reader());
            // A stream that claims little and holds much is cut off one byte after what it claims.
            let read = DeflateDecoder::new(packed).take(self.size + 1).read_to_end(&mut bytes);
            read.map_err(|error| match error.kind() {
                std::io::ErrorKind::OutOfMemory => Error::Memory { bytes: self.size },
                _ => damaged(format!("entry `{name}`: {error}")),
            })?;
            Cow::Owned(bytes)
        } else {
            self.stored.all()?
        };
        if bytes.len() as u64 != self.size {
            let (expected, found) = (self.size, bytes.len());
            return Err(damaged(format!("entry `{name}`: expected {expected} bytes, found at least {found}")));
        }
        if self.crc != 0 {
            let mut crc = Crc::new();
            crc.update(&bytes);
            self.check(&crc)?;
        }
        Ok(bytes)
    }

    fn check(&self, crc: &Crc) -> Result<(), Error> {
        if crc.sum() == self.crc {
            return Ok(());
        }
        Err(damaged(format!("entry `{}`: its bytes do not fit their checksum", self.name)))
    }
}

/// Names are only compared; one that would be dangerous as a path was made by nobody who means well.
fn check_name(name: &str) -> Result<(), &'static str> {
    let odd = name.contains(['\\', '\0']) || name.starts_with('/') || name.as_bytes().get(1) == Some(&b':');
    if odd || name.split('/').any(|part| part == "..") {
        return Err("has a name that leaves the archive");
    }
    Ok(())
}

/// How many headers the central directory has. The library keeps one of two entries of the same name.
fn directory_length(source: &Source<'_>, start: u64) -> Option<usize> {
    let mut reader = BufReader::with_capacity(AHEAD, source.clone().reader());
    reader.seek(SeekFrom::Start(start)).ok()?;
    let mut count = 0;
    loop {
        let mut header = [0; 46];
        let mut signature = [0; 4];
        if reader.read_exact(&mut signature).is_err() || signature != *b"PK\x01\x02" {
            return Some(count);
        }
        reader.read_exact(&mut header[4..]).ok()?;
        let length = |at: usize| i64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let rest = length(28) + length(30) + length(32);
        let end = reader.stream_position().ok()?.checked_add_signed(rest)?;
        if end > source.length() {
            return None;
        }
        reader.seek_relative(rest).ok()?;
        count += 1;
    }
}
