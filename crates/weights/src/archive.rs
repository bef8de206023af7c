//! Zip archives in memory: entries are looked up by exact name and never become paths.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::Error;

/// One entry, checked against the file.
#[derive(Debug)]
struct Entry<'a> {
    stored: &'a [u8],
    deflated: bool,
    /// Bytes when unpacked.
    size: usize,
    /// 0 where the writer made none, as `torch.save` does on request.
    crc: u32,
}

/// An archive whose entries lie inside the file, apart from each other, under harmless names.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    entries: BTreeMap<String, Entry<'a>>,
    /// Bytes of the whole archive.
    pub(crate) length: usize,
}

fn damaged(reason: impl Into<String>) -> Error {
    Error::Archive { reason: reason.into() }
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive and checks every entry of it; unpacks nothing.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
        let listed = directory_length(bytes, zip.central_directory_start());
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
            let end = start.checked_add(file.compressed_size()).filter(|&end| end <= bytes.len() as u64);
            let Some(end) = end else {
                return Err(wrong(&format!("leaves the file: it claims {} bytes", file.compressed_size())));
            };
            if !deflated && file.size() != file.compressed_size() {
                let (size, found) = (file.size(), file.compressed_size());
                return Err(wrong(&format!("is stored as it is: expected {size} bytes, found {found}")));
            }
            if deflated {
                inflated = inflated.saturating_add(file.size());
            }
            extents.push((file.header_start(), end));
            let stored = &bytes[start as usize..end as usize];
            let size = usize::try_from(file.size()).map_err(|_| wrong("is longer than memory"))?;
            entries.insert(name, Entry { stored, deflated, size, crc: file.crc32() });
        }
        let limit = (bytes.len() as u64).saturating_mul(2).saturating_add(32 << 20);
        if inflated > limit {
            return Err(Error::TooLarge { what: "bytes of compressed entries".into(), limit, found: inflated });
        }
        extents.push((zip.central_directory_start(), bytes.len() as u64));
        extents.sort_unstable();
        if let Some(pair) = extents.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            return Err(damaged(format!(
                "expected entries apart from each other, found two that share byte {}",
                pair[1].0
            )));
        }
        Ok(Self { entries, length: bytes.len() })
    }

    /// Whether there is an entry of exactly this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The folder of PyTorch's `data.pkl`, with a slash at its end, or empty at the top.
    pub(crate) fn pickle(&self) -> Option<&str> {
        let folder = |name: &'_ str| name.strip_suffix("data.pkl").map(str::len);
        self.entries.keys().find_map(|name| match folder(name)? {
            0 => Some(""),
            end => name[..end].ends_with('/').then_some(&name[..end]),
        })
    }

    /// The unpacked bytes of an entry, without a copy where it is stored as it is.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Cow<'a, [u8]>>, Error> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let bytes = if entry.deflated {
            let mut bytes = Vec::new();
            // A stream that claims little and holds much is cut off one byte after what it claims.
            let read = DeflateDecoder::new(entry.stored).take(entry.size as u64 + 1).read_to_end(&mut bytes);
            read.map_err(|error| damaged(format!("entry `{name}`: {error}")))?;
            Cow::Owned(bytes)
        } else {
            Cow::Borrowed(entry.stored)
        };
        if bytes.len() != entry.size {
            let (expected, found) = (entry.size, bytes.len());
            return Err(damaged(format!("entry `{name}`: expected {expected} bytes, found at least {found}")));
        }
        let mut crc = Crc::new();
        if entry.crc != 0 {
            crc.update(&bytes);
        }
        if crc.sum() != entry.crc {
            return Err(damaged(format!("entry `{name}`: its bytes do not fit their checksum")));
        }
        Ok(Some(bytes))
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
fn directory_length(bytes: &[u8], start: u64) -> Option<usize> {
    let mut rest = bytes.get(usize::try_from(start).ok()?..)?;
    let mut count = 0;
    while rest.starts_with(b"PK\x01\x02") {
        let length = |at: usize| rest.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
        rest = rest.get(46 + length(28)? + length(30)? + length(32)?..)?;
        count += 1;
    }
    Some(count)
}
