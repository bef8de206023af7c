//! Memory of ours behind a tensor of Burn's.
//!
//! This is the one place of the crate with `unsafe`: Burn's [`Bytes`] lets its memory be somebody else's through a trait
//! of unsafe functions.

#![expect(unsafe_code, reason = "Burn's interface for memory of one's own is unsafe; each block says why it is sound")]

use std::mem::MaybeUninit;

use burn::tensor::Bytes;
use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty};

use crate::recycle::Block;

/// A tensor's numbers, whose memory comes back when the last tensor with them is dropped.
pub(super) fn bytes(values: Block) -> Bytes {
    let len = size_of_val::<[f32]>(&values);
    // SAFETY: the controller's memory is exactly the block's elements, `len` bytes, all of them initialised.
    unsafe { Bytes::from_controller(Box::new(Lent(values)), len) }
}

/// A tensor's memory.
#[derive(Debug)]
struct Lent(Block);

impl AllocationController for Lent {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(&mut self, _: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.0);
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, the slice is borrowed for as long as the result, and whoever
        // calls this promises to write initialised bytes only, any of which make an f32.
        Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(&self.0);
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and the slice is borrowed for as long as the result.
        Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensors_numbers_are_those_of_its_vector() {
        let values: Vec<f32> = (0..100_003).map(|i| i as f32 / 7.0).collect();
        let mut ours = bytes(Block::of(values.clone()));
        let mut safe = Bytes::from_elems(values);
        assert_eq!(ours[..], safe[..]);
        for bytes in [&mut ours, &mut safe] {
            bytemuck::cast_slice_mut::<u8, f32>(bytes)[77] = -1.0;
        }
        assert_eq!(ours[..], safe[..], "after a change");
        assert_eq!(ours.clone()[..], safe[..], "a copy");
        assert_eq!(ours.try_into_vec::<f32>().map_err(|bytes| bytes.to_vec()).unwrap_err(), safe.to_vec());
    }
}
