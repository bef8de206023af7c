//! How deep the metadata of a Parquet file goes, found out before its library reads it: that reads groups inside groups by
//! calling itself, and a stack that overflows ends the process.
//!
//! The metadata is a structure in Thrift's compact protocol, whose second field is the schema: a list of elements, each of
//! which may say how many of those after it are its children.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Structures inside structures, and groups inside groups. Ordinary files have ten.
const DEEPEST: usize = 64;

/// The longest metadata that is read, in bytes. That of a file of 100,000 column chunks has some 20 MB.
const LONGEST: u64 = 256 << 20;

/// Refuses metadata that is too long, goes too deep, or cannot be followed.
///
/// # Errors
/// Why, in words.
pub(super) fn check(file: &File) -> Result<(), String> {
    let length = file.metadata().map_err(|source| source.to_string())?.len();
    let mut tail = [0; 8];
    let Some(end) = length.checked_sub(8) else { return Err("a file that is too short".into()) };
    file.read_exact_at(&mut tail, end).map_err(|source| source.to_string())?;
    // Whatever ends otherwise is not read by the library either, which says why.
    let Some(size) = tail.strip_suffix(b"PAR1").and_then(|size| size.first_chunk()) else { return Ok(()) };
    let size = u64::from(u32::from_le_bytes(*size));
    let Some(start) = end.checked_sub(size) else { return Err("metadata that is longer than the file".into()) };
    if size > LONGEST {
        return Err(format!("metadata of {size} bytes, over the limit of {LONGEST}"));
    }
    let mut metadata = Vec::new();
    metadata.try_reserve_exact(size as usize).map_err(|_| format!("not enough memory: {size} bytes were asked for"))?;
    metadata.resize(size as usize, 0);
    file.read_exact_at(&mut metadata, start).map_err(|source| source.to_string())?;
    let mut thrift = Thrift { rest: &metadata };
    thrift.metadata().unwrap_or_else(|| Err("metadata that is broken, or goes too deep".into()))
}

struct Thrift<'a> {
    rest: &'a [u8],
}

impl Thrift<'_> {
    /// Nothing where the bytes do not make a structure.
    fn metadata(&mut self) -> Option<Result<(), String>> {
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (2, 9) => {
                    if let Err(reason) = self.schema()? {
                        return Some(Err(reason));
                    }
                }
                _ => self.skip(kind, 0)?,
            }
        }
        Some(Ok(()))
    }

    /// The elements of the schema, of which none may stand too deep.
    fn schema(&mut self) -> Option<Result<(), String>> {
        let (count, kind) = self.list()?;
        if kind != 12 {
            return None;
        }
        // Children of each group around the next element that are still to come.
        let mut open: Vec<u64> = Vec::new();
        for _ in 0..count {
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            let children = self.element()?;
            if children > 0 {
                open.push(children);
            }
            if open.len() > DEEPEST {
                return Some(Err(format!("groups more than {DEEPEST} deep in each other")));
            }
        }
        Some(Ok(()))
    }

    /// How many children an element of the schema has.
    fn element(&mut self) -> Option<u64> {
        let (mut field, mut children) = (0, 0);
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                // Zigzag: even numbers are not negative.
                (5, 5) => children = Some(self.number()?).filter(|number| number % 2 == 0)? / 2,
                _ => self.skip(kind, 1)?,
            }
        }
        Some(children)
    }

    /// The kind of the next field, whose number is `field` then; none at the end of the structure.
    fn field(&mut self, field: &mut u64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *field = match head >> 4 {
            0 => self.number()? / 2,
            step => *field + u64::from(step),
        };
        Some(Some(head & 0x0F))
    }

    /// Length and kind of a list.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.number()?,
            count => u64::from(count),
        };
        // Each entry takes a byte at least.
        (count <= self.rest.len() as u64).then_some((count, head & 0x0F))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            1 | 2 => {}
            3 => drop(self.take(1)?),
            4..=6 => drop(self.number()?),
            7 => drop(self.take(8)?),
            8 => {
                let length = self.number()?;
                self.take(length)?;
            }
            9 | 10 => {
                let (count, kind) = self.list()?;
                for _ in 0..count {
                    self.entry(kind, depth)?;
                }
            }
            11 => {
                let count = self.number()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                if count > self.rest.len() as u64 {
                    return None;
                }
                for _ in 0..count {
                    self.entry(kinds >> 4, depth)?;
                    self.entry(kinds & 0x0F, depth)?;
                }
            }
            12 => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// An entry of a list or a map: truth values, whose kind of a field says all, take a byte here.
    fn entry(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1 | 2 => self.take(1).map(drop),
            kind => self.skip(kind, depth + 1),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn take(&mut self, length: u64) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn number(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    /// A file whose schema has `depth` groups in each other, and `more` after its metadata's known fields.
    fn file(depth: usize, more: &[u8]) -> File {
        let group = [&[0x35, 2, 0x18, 1, b'g', 0x15][..], &number(2), &[0]].concat();
        let leaf = [0x15, 12, 0x25, 2, 0x18, 1, b'x', 0];
        let head = [&[0x15, 2, 0x19, 0xFC][..], &number(depth as u64 + 1)].concat();
        let metadata = [&head[..], &group.repeat(depth), &leaf, &[0x16, 0, 0x19, 0x0C], more, &[0]].concat();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1").unwrap();
        file.write_all(&metadata).unwrap();
        file.write_all(&(metadata.len() as u32).to_le_bytes()).unwrap();
        file.write_all(b"PAR1").unwrap();
        file
    }

    #[test]
    fn groups_and_structures_may_not_go_too_deep() {
        assert_eq!(check(&file(10, &[])), Ok(()));
        assert!(check(&file(100_000, &[])).unwrap_err().contains("deep"));
        // An unknown field of structures in structures.
        assert_eq!(check(&file(1, &[&[0x3C][..], &[0x1C].repeat(20), &[0; 21]].concat())), Ok(()));
        assert!(check(&file(1, &[&[0x3C][..], &[0x1C].repeat(100_000), &[0; 100_001]].concat())).is_err());
        assert!(check(&file(1, &[0x38, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])).is_err());
    }

    #[test]
    fn what_ends_otherwise_is_left_to_the_library() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1 and no metadata").unwrap();
        assert_eq!(check(&file), Ok(()));
        assert!(check(&tempfile::tempfile().unwrap()).is_err());
    }
}
