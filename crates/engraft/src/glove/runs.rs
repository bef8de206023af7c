//! Sorted runs of sums, in memory and on disk, and how they are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::spill::Spill;
use crate::error::Result;

/// Bytes of an entry on disk.
pub(super) const ENTRY: usize = 16;
/// Entries that a merge reads of a run on disk at once, at least.
const FEWEST: usize = 256;

/// The sum of the weights of a pair, both directions together where they are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// `high << 32 | low`.
    pub(super) key: u64,
    pub(super) sum: u64,
}

/// A sorted part of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Which file.
    pub(super) spill: usize,
    pub(super) offset: u64,
    pub(super) entries: u64,
}

/// A run that is read from its start to its end.
enum Reader<'a> {
    Memory(std::slice::Iter<'a, Entry>),
    Disk { spill: &'a Spill, offset: u64, left: u64, buffer: Vec<u8>, at: usize },
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Entry>> {
        match self {
            Self::Memory(entries) => Ok(entries.next().copied()),
            Self::Disk { spill, offset, left, buffer, at } => {
                if *at == buffer.len() {
                    if *left == 0 {
                        return Ok(None);
                    }
                    let count = (buffer.capacity() / ENTRY).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    buffer.resize(count * ENTRY, 0);
                    spill.read(*offset, buffer)?;
                    (*offset, *left, *at) = (*offset + buffer.len() as u64, *left - count as u64, 0);
                }
                let number = |from: usize| u64::from_le_bytes(buffer[from..from + 8].try_into().unwrap_or_default());
                let entry = Entry { key: number(*at), sum: number(*at + 8) };
                *at += ENTRY;
                Ok(Some(entry))
            }
        }
    }
}

/// Hands over the sums of all runs in the order of their keys. `memory` is what the buffers of runs on disk take.
///
/// # Errors
/// What reading a run or `each` returns.
pub(super) fn merge(
    runs: &[Vec<Entry>],
    segments: &[Segment],
    spills: &[Spill],
    memory: usize,
    mut each: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    if let ([run], []) = (runs, segments) {
        return run.iter().try_for_each(|&entry| each(entry));
    }
    let entries = (memory / ENTRY / segments.len().max(1)).clamp(FEWEST, 1 << 16);
    let mut readers: Vec<Reader<'_>> = runs.iter().map(|run| Reader::Memory(run.iter())).collect();
    readers.extend(segments.iter().map(|segment| Reader::Disk {
        spill: &spills[segment.spill],
        offset: segment.offset,
        left: segment.entries,
        buffer: Vec::with_capacity(entries * ENTRY),
        at: 0,
    }));
    let mut heap = BinaryHeap::with_capacity(readers.len());
    for (reader, run) in readers.iter_mut().enumerate() {
        if let Some(entry) = run.next()? {
            heap.push(Reverse((entry.key, reader, entry.sum)));
        }
    }
    let mut current: Option<Entry> = None;
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((key, reader, sum)) = *top;
        match &mut current {
            Some(known) if known.key == key => known.sum += sum,
            _ => {
                if let Some(done) = current.replace(Entry { key, sum }) {
                    each(done)?;
                }
            }
        }
        match readers[reader].next()? {
            Some(entry) => *top = Reverse((entry.key, reader, entry.sum)),
            None => {
                std::collections::binary_heap::PeekMut::pop(top);
            }
        }
    }
    current.map_or(Ok(()), each)
}

/// Sorts numbers by `bits` of them above `shift`, by their digits from the lowest on; `other` is room for the work.
pub(super) fn radix_sort(numbers: &mut Vec<u64>, other: &mut Vec<u64>, shift: u32, bits: u32) {
    if numbers.len() < 256 {
        numbers.sort_unstable_by_key(|number| number >> shift);
        return;
    }
    let passes = bits.div_ceil(if numbers.len() < 1 << 14 { 8 } else { 11 }).max(1);
    let digit = bits.div_ceil(passes).max(1);
    let mask = (1_usize << digit) - 1;
    other.clear();
    other.resize(numbers.len(), 0);
    let mut places = vec![0_usize; mask + 1];
    for pass in 0..passes {
        let from = shift + pass * digit;
        places.fill(0);
        for number in numbers.iter() {
            places[(number >> from) as usize & mask] += 1;
        }
        let mut sum = 0;
        for place in &mut places {
            sum += std::mem::replace(place, sum);
        }
        for &number in numbers.iter() {
            let place = &mut places[(number >> from) as usize & mask];
            other[*place] = number;
            *place += 1;
        }
        std::mem::swap(numbers, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_by_digits_is_sorting() {
        let mut state = 1_u64;
        for (count, bits) in [(0, 20), (10, 20), (300, 7), (5000, 23), (40_000, 33)] {
            let mut numbers: Vec<u64> = (0..count)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state >> (64 - bits - 4)
                })
                .collect();
            let mut expected = numbers.clone();
            expected.sort_by_key(|number| number >> 4);
            radix_sort(&mut numbers, &mut Vec::new(), 4, bits);
            let keys = |numbers: &[u64]| numbers.iter().map(|number| number >> 4).collect::<Vec<_>>();
            assert_eq!(keys(&numbers), keys(&expected));
        }
    }
}
