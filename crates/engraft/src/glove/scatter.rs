//! Records in groups, each in an order that is drawn: what shuffling a file and cutting it into blocks have in common.
//!
//! A record goes to its group in the order of the file; a group that is handed out was shuffled: records go to buckets that fit a
//! processor's cache, and each bucket is shuffled (Sanders 1998, "Random permutations on distributed, external and hierarchical
//! memory"). What is drawn depends on the seed, the number of a piece of the file and the number of the group alone.

use rand::RngExt;
use rayon::prelude::*;

use super::records::{RECORD, Record, Records};
use super::spill::{Spill, gigabytes};
use crate::error::{Error, Problem, Result};
use crate::files::{Scratch, free_bytes};
use crate::progress::Observer;
use crate::rng::rng;

/// Records that are read at once.
const CHUNK: u64 = 64 << 10;
/// Records of a bucket, about.
const BUCKET: usize = 8 << 10;
/// Bytes of a group that are written to disk at once, at most.
const PAGE: usize = 64 << 10;

/// Records by group, in memory or on disk.
pub(super) struct Groups {
    store: Store,
    counts: Vec<u64>,
}

enum Store {
    Memory(Vec<Vec<u128>>),
    Disk { spill: Spill, pages: Vec<Vec<u64>>, page: usize, rest: Vec<Vec<u8>>, _scratch: Scratch },
}

/// Reads records and sends each to the group that `group` says: it is told the number of the piece of the file once, and then each
/// record of it. They are kept in memory where that takes at most half of `memory` bytes, else beside `out`. `words` is how many the
/// vocabulary has.
///
/// # Errors
/// [`Error::Data`] for a record that is not possible, [`Error::Output`], [`Error::Interrupted`].
pub(super) fn scatter<G: FnMut(Record) -> u32>(
    records: &Records,
    words: u32,
    groups: usize,
    memory: u64,
    out: &std::path::Path,
    observer: &dyn Observer,
    group: impl Fn(u64) -> G + Sync,
) -> Result<Groups> {
    let bytes = records.count() * RECORD as u64;
    let threads = rayon::current_num_threads() as u64;
    let mut counts = vec![0_u64; groups];
    let mut store = if bytes <= memory / 2 {
        Store::Memory(vec![Vec::new(); groups])
    } else {
        // The groups, and what the caller makes of them while they are there.
        let needed = 2 * bytes;
        observer.say(&format!(
            "disk: {} for the co-occurrences in another order, as much again while they are put in it",
            gigabytes(bytes as f64)
        ));
        if let Some(free) = free_bytes(out).filter(|&free| free < needed) {
            let problem = Problem::new("the disk is too small to put the co-occurrences in another order");
            let problem = problem.expected(gigabytes(needed as f64));
            let problem = problem.found(format_args!("{} are free", gigabytes(free as f64)));
            return Err(Error::Output(
                problem.at(out).hint("free some space, write to another disk, or raise --min-count"),
            ));
        }
        let scratch = Scratch::beside(out)?;
        let page = (memory as usize / 4 / groups / RECORD * RECORD).clamp(256 * RECORD, PAGE);
        let rest = vec![Vec::new(); groups];
        Store::Disk {
            spill: Spill::new(&scratch, "groups")?,
            pages: vec![Vec::new(); groups],
            page,
            rest,
            _scratch: scratch,
        }
    };
    let chunks = records.count().div_ceil(CHUNK);
    observer.begin("reading co-occurrences", records.count(), "records");
    for from in (0..chunks).step_by(threads as usize) {
        observer.check()?;
        let read: Vec<Result<Vec<Vec<u128>>>> = (from..(from + threads).min(chunks))
            .into_par_iter()
            .map(|chunk| {
                let first = chunk * CHUNK;
                let count = CHUNK.min(records.count() - first) as usize;
                let mut bytes = vec![0; count * RECORD];
                records.read_bytes(first, &mut bytes)?;
                let mut of_chunk = group(chunk);
                let mut parts: Vec<Vec<u128>> =
                    (0..groups).map(|_| Vec::with_capacity(count / groups * 5 / 4 + 8)).collect();
                for (at, bytes) in bytes.as_chunks::<RECORD>().0.iter().enumerate() {
                    let record = records.checked(bytes, first + at as u64, words)?;
                    parts[of_chunk(record) as usize].push(u128::from_le_bytes(*bytes));
                }
                Ok(parts)
            })
            .collect();
        for parts in read {
            for (group, part) in parts?.into_iter().enumerate() {
                counts[group] += part.len() as u64;
                observer.advance(part.len() as u64);
                match &mut store {
                    Store::Memory(all) => all[group].extend_from_slice(&part),
                    Store::Disk { spill, pages, page, rest, .. } => {
                        let rest = &mut rest[group];
                        for record in part {
                            rest.extend_from_slice(&record.to_le_bytes());
                            if rest.len() >= *page {
                                pages[group].push(spill.append(rest)?);
                                rest.clear();
                            }
                        }
                    }
                }
            }
        }
    }
    observer.end();
    Ok(Groups { store, counts })
}

impl Groups {
    /// Records of the largest group.
    pub(super) fn largest(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0)
    }

    fn take(&mut self, groups: std::ops::Range<usize>) -> Result<Vec<Vec<u128>>> {
        match &mut self.store {
            Store::Memory(all) => Ok(all[groups].iter_mut().map(std::mem::take).collect()),
            Store::Disk { spill, pages, page, rest, .. } => groups
                .map(|group| {
                    let mut records = Vec::with_capacity(self.counts[group] as usize);
                    let mut bytes = vec![0; *page];
                    let mut add = |bytes: &[u8]| {
                        records.extend(bytes.as_chunks::<RECORD>().0.iter().map(|bytes| u128::from_le_bytes(*bytes)));
                    };
                    for &at in &pages[group] {
                        spill.read(at, &mut bytes)?;
                        add(&bytes);
                    }
                    add(&std::mem::take(&mut rest[group]));
                    Ok(records)
                })
                .collect(),
        }
    }

    /// Hands over the groups, each in an order that is drawn for `purpose`, after `prepare` changed it on one of all threads. A group has to
    /// fit in `memory` bytes twice.
    ///
    /// # Errors
    /// [`Error::Usage`] where one does not, and what `each` returns.
    pub(super) fn shuffled(
        mut self,
        seed: u64,
        purpose: &str,
        memory: u64,
        observer: &dyn Observer,
        prepare: impl Fn(&mut [u128]) + Sync,
        mut each: impl FnMut(usize, &[u128]) -> Result<()>,
    ) -> Result<()> {
        let bytes = |records: u64| 2 * records * RECORD as u64;
        if bytes(self.largest()) > memory {
            let problem = Problem::new("a part of the co-occurrences does not fit in the memory")
                .expected(format_args!("parts of at most {} MB", memory >> 20))
                .found(format_args!("{} MB", bytes(self.largest()) >> 20));
            return Err(Error::Usage(problem.hint("raise --memory, or --blocks where it is a training")));
        }
        let threads = rayon::current_num_threads();
        let groups = self.counts.len();
        observer.begin("shuffling co-occurrences", self.counts.iter().sum(), "records");
        let mut from = 0;
        while from < groups {
            observer.check()?;
            let mut to = from + 1;
            let mut taken = bytes(self.counts[from]);
            while to < groups && to - from < threads && taken + bytes(self.counts[to]) <= memory {
                taken += bytes(self.counts[to]);
                to += 1;
            }
            let mut parts = self.take(from..to)?;
            parts.par_iter_mut().enumerate().for_each(|(at, records)| {
                shuffle(records, seed, purpose, (from + at) as u64);
                prepare(records);
            });
            for (at, records) in parts.iter().enumerate() {
                each(from + at, records)?;
                observer.advance(records.len() as u64);
            }
            from = to;
        }
        observer.end();
        Ok(())
    }
}

/// Shuffles records: all orders are equally likely.
fn shuffle(records: &mut [u128], seed: u64, purpose: &str, group: u64) {
    let mut random = rng(seed, purpose, group);
    let count = records.len();
    let buckets = count.div_ceil(BUCKET).next_power_of_two();
    let mut starts = vec![0_u32; buckets + 1];
    if buckets > 1 {
        let shift = 64 - buckets.trailing_zeros();
        let drawn: Vec<u32> = (0..count).map(|_| (random.random::<u64>() >> shift) as u32).collect();
        for &bucket in &drawn {
            starts[bucket as usize + 1] += 1;
        }
        for at in 0..buckets {
            starts[at + 1] += starts[at];
        }
        let mut places = starts.clone();
        let old = records.to_vec();
        for (&bucket, record) in drawn.iter().zip(old) {
            let place = &mut places[bucket as usize];
            records[*place as usize] = record;
            *place += 1;
        }
    } else {
        starts[1] = count as u32;
    }
    for range in starts.windows(2) {
        let bucket = &mut records[range[0] as usize..range[1] as usize];
        for last in (1..bucket.len() as u32).rev() {
            // Lemire's way to a number below a bound, every one of them equally likely.
            let bound = last + 1;
            let mut product = u64::from(random.random::<u32>()) * u64::from(bound);
            if (product as u32) < bound {
                let least = bound.wrapping_neg() % bound;
                while (product as u32) < least {
                    product = u64::from(random.random::<u32>()) * u64::from(bound);
                }
            }
            bucket.swap(last as usize, (product >> 32) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_as_likely() {
        let mut seen = std::collections::HashMap::new();
        for seed in 0..24_000 {
            let mut records = [0, 1, 2, 3];
            shuffle(&mut records, seed, "test", 0);
            *seen.entry(records).or_insert(0_u32) += 1;
        }
        assert_eq!(seen.len(), 24);
        // 1,000 each, five standard deviations are 155.
        assert!(seen.values().all(|&count| count.abs_diff(1000) < 155), "{seen:?}");
        let mut many: Vec<u128> = (0..100_000).collect();
        shuffle(&mut many, 1, "test", 3);
        // In every tenth there are as many of every tenth.
        for place in many.chunks(10_000) {
            for tenth in 0..10 {
                let count = place.iter().filter(|&&record| record / 10_000 == tenth).count();
                assert!(count.abs_diff(1000) < 155, "{count}");
            }
        }
        many.sort_unstable();
        assert!(many.iter().enumerate().all(|(at, &record)| record == at as u128));
    }
}
