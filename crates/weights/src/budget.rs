//! How much memory a file's own size justifies.

use crate::Error;

/// What is counted of tensors.
pub(crate) const NUMBERS: &str = "bytes of numbers";

/// What may still be allocated for the numbers of one file.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    /// Numbers may take twice the file and 64 MiB: enough for half precision read as f32, and for a few tensors that
    /// share one storage.
    pub(crate) fn of_file(length: u64) -> Self {
        let limit = length.saturating_mul(2).saturating_add(64 << 20);
        Self { limit, left: limit }
    }

    /// Takes the room of a tensor of this shape, before it is allocated, and returns its number of elements.
    pub(crate) fn take(&mut self, name: &str, shape: &[u64]) -> Result<usize, Error> {
        // Of an empty tensor, too, the axes must multiply to something.
        let count = shape.iter().try_fold(4u64, |product, &axis| product.checked_mul(axis.max(1)));
        let bytes = count.map(|count| if shape.contains(&0) { 0 } else { count }).ok_or_else(|| Error::Tensor {
            name: name.into(),
            reason: format!("expected a shape whose size fits 64 bits, found {shape:?}"),
        })?;
        self.left = self.left.checked_sub(bytes).ok_or_else(|| Error::TooLarge {
            what: format!("{NUMBERS} (tensor `{name}`)"),
            limit: self.limit,
            found: (self.limit - self.left).saturating_add(bytes),
        })?;
        self.count(bytes)
    }

    /// Takes bytes that are read beside the numbers themselves.
    pub(crate) fn take_bytes(&mut self, what: &str, bytes: u64) -> Result<(), Error> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| Error::TooLarge {
            what: what.into(),
            limit: self.limit,
            found: (self.limit - self.left).saturating_add(bytes),
        })?;
        Ok(())
    }

    fn count(&self, bytes: u64) -> Result<usize, Error> {
        usize::try_from(bytes / 4).map_err(|_| Error::TooLarge {
            what: "numbers".into(),
            limit: usize::MAX as u64,
            found: bytes / 4,
        })
    }
}
