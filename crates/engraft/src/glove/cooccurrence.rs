//! How often words come together: counting pairs within a window, exactly and within a memory limit.
//!
//! A pair at distance d weighs 1/d. All sums are of integers, `lcm(1..window)/d`, so that they are the same whatever the order,
//! the number of threads and the memory. A sum may be as large as 2^64: for 15 words (360,360) that is never reached; from 20
//! words (232,792,560) on it limits the corpus, and a corpus that could reach it is refused beforehand.
//!
//! Pairs are collected as 8-byte events in partitions by the rarer of the two words. Where a partition's words are frequent it has a
//! sum for each pair (a triangle); elsewhere its events are sorted and added up when the room for events is full. Sums that do not
//! fit in memory go to disk as sorted runs, which are merged in the end.
//!
//! The records are in the order of the rarer word, then of the other one; the two directions of a pair stand together. With left contexts
//! only they are in the order of rows, then of columns.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::corpus::{Begins, Corpus, PassedOver, Piece};
use super::records::{RECORD, Record};
use super::runs::{ENTRY, Entry, Segment, merge, radix_sort};
use super::spill::{Spill, gigabytes};
use super::tokens::Token;
use super::vocabulary::Vocabulary;
use super::word_table::{Key, WordTable};
use crate::error::{Error, Problem, Result};
use crate::files::{Aside, Scratch, free_bytes};
use crate::progress::Observer;
use crate::settings::Glove;

/// The most words of a vocabulary.
pub(super) const MOST_WORDS: usize = 1 << 28;
/// Most events that are collected before they are added up.
const MOST_EVENTS: u64 = 12 << 20;
/// Events that a partition has, about, when the room is full: few enough for a processor's cache.
const PARTITION: u64 = 64 << 10;
/// Events of a partition that a thread holds back, to write many of them at once.
const HELD: usize = 64;
/// The most frequent words whose pairs have a sum each.
const MOST_DENSE: u64 = 4096;
/// Runs on disk that are merged at once.
const MOST_SPILLS: usize = 200;
/// A line end among the words of a piece.
const LINE_END: u32 = u32::MAX;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Records of the file.
    pub records: u64,
    /// Words of the corpus.
    pub tokens: u64,
    /// Words of the corpus that are in the vocabulary.
    pub known: u64,
}

/// How pairs are encoded, and where they go.
struct Plan {
    window: usize,
    symmetric: bool,
    /// The weight of each distance; `[0]` is of none.
    weights: Vec<u64>,
    /// What 1 is among them.
    scale: f64,
    /// The first word of each partition, and the number of words in the end.
    starts: Vec<u32>,
    /// For each word, its partition, and its place in that, already shifted.
    places: Vec<(u32, u64)>,
    distance_bits: u32,
    low_bits: u32,
    /// Partitions that have a sum for each pair.
    dense: usize,
    /// Events that are collected before they are added up.
    room: u64,
    /// Bytes of sums that stay in memory.
    kept: u64,
    /// Bytes for merging.
    merging: u64,
    /// Runs on disk that are merged at once.
    most_spills: usize,
}

/// Entries of a triangle before the row of a word.
fn before(row: u32) -> usize {
    let row = row as usize;
    row * (row + 1) / 2
}

impl Plan {
    fn new(vocabulary: &Vocabulary, settings: &Glove) -> Result<Self> {
        let window = settings.window_size;
        settings.check_counting()?;
        let words = vocabulary.len();
        if words > MOST_WORDS {
            let problem =
                Problem::new("the vocabulary is too large").expected(format_args!("at most {MOST_WORDS} words"));
            return Err(Error::Usage(problem.found(words).hint("raise --min-count, or set --max-vocab")));
        }
        let (weights, unit) = weights(window, settings.distance_weighting);
        let most =
            u128::from(vocabulary.counts()[0]) * 2 * weights.iter().map(|&weight| u128::from(weight)).sum::<u128>();
        if most > u128::from(u64::MAX) {
            let problem = Problem::new("the sums of this window could be larger than 2^64")
                .expected("a corpus whose most frequent word comes less often, or a smaller window")
                .found(format_args!(
                    "a window of {window} words, and a word that comes {} times",
                    vocabulary.counts()[0]
                ));
            return Err(Error::Usage(
                problem.hint("windows of up to 20 words suit any corpus; or switch --distance-weighting off"),
            ));
        }
        let memory = settings.memory_bytes();
        let room = (memory / 4 / 8).min(MOST_EVENTS);
        let partitions = (room / PARTITION).clamp(16, 1024);
        // A pair is in the partition of its rarer word: the share of pairs below a word is the square of the share of words.
        let total: f64 = vocabulary.counts().iter().map(|&count| count as f64).sum();
        let mut starts = vec![0];
        let mut sum = 0.0;
        for (row, &count) in vocabulary.counts().iter().enumerate() {
            sum += count as f64 / total;
            let share = if settings.symmetric { sum * sum } else { sum };
            if share * partitions as f64 >= starts.len() as f64 && row + 1 < words {
                starts.push(row as u32 + 1);
            }
        }
        starts.push(words as u32);
        let bits = |numbers: usize| usize::BITS - numbers.saturating_sub(1).leading_zeros();
        let (distance_bits, low_bits) = (bits(window + 1), bits(words));
        let mut places = Vec::with_capacity(words);
        for (partition, range) in starts.windows(2).enumerate() {
            places.extend(
                (0..range[1] - range[0]).map(|at| (partition as u32, u64::from(at) << (distance_bits + low_bits))),
            );
        }
        let dense_words = ((memory / 8 / 4) as f64).sqrt().min(MOST_DENSE as f64) as u32;
        let dense = match settings.symmetric {
            true => starts[1..].iter().take_while(|&&end| end <= dense_words).count(),
            false => 0,
        };
        let scale = unit as f64;
        let (kept, merging, symmetric) = (memory / 4, memory / 8, settings.symmetric);
        Ok(Self {
            window,
            symmetric,
            weights,
            scale,
            starts,
            places,
            distance_bits,
            low_bits,
            dense,
            room,
            kept,
            merging,
            most_spills: MOST_SPILLS,
        })
    }

    fn partitions(&self) -> usize {
        self.starts.len() - 1
    }
}

/// The weight of each distance as an integer, and what 1 is among them.
fn weights(window: usize, by_distance: bool) -> (Vec<u64>, u64) {
    let gcd = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let unit = if by_distance { (1..=window as u64).fold(1, |lcm, d| lcm / gcd(lcm, d) * d) } else { 1 };
    let weight = |d: u64| if by_distance { unit / d } else { 1 };
    (std::iter::once(0).chain((1..=window as u64).map(weight)).collect(), unit)
}

/// Different pairs among `pairs` of words that are drawn by their counts, without regard to each other: real words keep together, and
/// have fewer.
fn expected_pairs(vocabulary: &Vocabulary, pairs: f64) -> f64 {
    let counts = vocabulary.counts();
    let total: f64 = counts.iter().map(|&count| count as f64).sum();
    // Words of about one frequency together: their number, and the frequency.
    let mut groups: Vec<(f64, f64)> = Vec::new();
    let mut from = 0;
    while from < counts.len() {
        let to = (from + 1 + from / 20).min(counts.len());
        let sum: f64 = counts[from..to].iter().map(|&count| count as f64).sum();
        groups.push(((to - from) as f64, sum / (to - from) as f64 / total));
        from = to;
    }
    let distinct = |(m, p): &(f64, f64), (n, q): &(f64, f64)| m * n * -(-pairs * p * q).exp_m1();
    groups.iter().flat_map(|a| groups.iter().map(move |b| distinct(a, b))).sum::<f64>()
}

/// What the counting will need on the disk, in bytes, about: the records, and the runs that do not fit in memory.
fn disk(vocabulary: &Vocabulary, plan: &Plan) -> (f64, f64) {
    let known: f64 = vocabulary.counts().iter().map(|&count| count as f64).sum();
    let events = known * plan.window as f64;
    let both = if plan.symmetric { 2.0 } else { 1.0 };
    let records = expected_pairs(vocabulary, events * both);
    let entries = records / both;
    // A run on disk is made whenever the runs of so many rooms fill the memory for sums.
    let of_room = expected_pairs(vocabulary, plan.room as f64 * both) / both;
    let rooms = (events / plan.room as f64).ceil();
    let run = plan.kept as f64 / ENTRY as f64;
    let spilled = if rooms * of_room > run { rooms * of_room } else { 0.0 };
    (records.max(entries) * RECORD as f64, spilled.min(events) * ENTRY as f64)
}

/// Events of one thread, by partitions.
struct Events {
    parts: Vec<Vec<u64>>,
    held: Vec<u64>,
    fill: Vec<u8>,
}

impl Events {
    fn new(partitions: usize) -> Self {
        Self { parts: vec![Vec::new(); partitions], held: vec![0; partitions * HELD], fill: vec![0; partitions] }
    }

    #[inline(always)]
    fn push(&mut self, partition: usize, event: u64) {
        let fill = &mut self.fill[partition];
        self.held[partition * HELD + *fill as usize] = event;
        *fill += 1;
        if *fill as usize == HELD {
            *fill = 0;
            self.flush(partition, HELD);
        }
    }

    #[inline(never)]
    fn flush(&mut self, partition: usize, count: usize) {
        let part = &mut self.parts[partition];
        if part.capacity() < part.len() + count {
            part.reserve_exact((part.len() / 4).max(2048));
        }
        part.extend_from_slice(&self.held[partition * HELD..][..count]);
    }

    fn flush_all(&mut self) {
        for partition in 0..self.parts.len() {
            let count = std::mem::take(&mut self.fill[partition]);
            self.flush(partition, count as usize);
        }
    }
}

/// The sums of a partition.
enum Sums<'a> {
    Dense(&'a mut [u64]),
    Runs(Vec<Vec<Entry>>),
}

/// Counts how often words of the vocabulary come together in the corpus, and writes the records to `out`.
///
/// Words that are not in the vocabulary take no distance; a line end parts contexts. With `replace` a file that is there gives way.
///
/// # Errors
/// [`Error::Data`] for a text that is not usable or has no pair; [`Error::Usage`] for settings that do not fit; [`Error::Output`]
/// where the disk is full, now or foreseeably; [`Error::Interrupted`]. Nothing is left behind but what was there.
pub fn count(
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    out: &Path,
    replace: bool,
    settings: &Glove,
    observer: &dyn Observer,
) -> Result<Counted> {
    count_by(&Plan::new(vocabulary, settings)?, corpus, vocabulary, out, replace, observer)
}

fn count_by(
    plan: &Plan,
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    out: &Path,
    replace: bool,
    observer: &dyn Observer,
) -> Result<Counted> {
    let (records, runs) = disk(vocabulary, plan);
    let free = free_bytes(out).map(|free| free as f64);
    let needed = format!(
        "disk: up to {} for the co-occurrences and {} while they are counted; {} are free",
        gigabytes(records),
        gigabytes(runs),
        free.map_or("nobody knows how many".into(), gigabytes)
    );
    observer.say(&needed);
    // An estimate from above, by words that come together as chance has it: real texts need three quarters of it, or so.
    if free.is_some_and(|free| (records + runs) / 1.5 > free) {
        let problem = Problem::new("the disk is too small for the co-occurrences").found(needed).at(out);
        return Err(Error::Output(problem.hint("free some space, write to another disk, or raise --min-count")));
    }
    let mut output = Aside::create(out, replace)?;
    let mut counting = Counting::new(plan, vocabulary, out);
    let mut triangle = vec![0_u64; before(plan.starts[plan.dense])];
    counting.sums = sums(plan, &mut triangle);
    corpus.read("counting co-occurrences", observer, |pieces| counting.add(corpus, pieces))?;
    counting.add_up()?;
    counting.passed_over.tell(observer);
    let records =
        counting.write(observer, |bytes| output.write_all(bytes).map_err(|source| Error::write(out, &source)))?;
    let counted = Counted { records, tokens: counting.tokens, known: counting.known };
    if records == 0 {
        let problem = Problem::new("no two words of the vocabulary stand together in the corpus");
        let found = format!("{} words on lines of one, of {} in all", counted.known, counted.tokens);
        return Err(Error::Data(problem.found(found).hint("is it the corpus of this vocabulary? lines are contexts")));
    }
    output.commit()?;
    observer.say(&format!("co-occurrences: {records}, of {} words of the vocabulary", counted.known));
    Ok(counted)
}

fn sums<'a>(plan: &Plan, mut triangle: &'a mut [u64]) -> Vec<Sums<'a>> {
    let mut sums = Vec::new();
    for partition in 0..plan.partitions() {
        if partition < plan.dense {
            let size = before(plan.starts[partition + 1]) - before(plan.starts[partition]);
            let (part, rest) = std::mem::take(&mut triangle).split_at_mut(size);
            triangle = rest;
            sums.push(Sums::Dense(part));
        } else {
            sums.push(Sums::Runs(Vec::new()));
        }
    }
    sums
}

struct Counting<'a> {
    plan: &'a Plan,
    out: &'a Path,
    table: WordTable,
    /// One for each thread.
    events: Vec<Events>,
    collected: u64,
    sums: Vec<Sums<'a>>,
    /// Where runs on disk are, made when it is needed.
    scratch: Option<Scratch>,
    spills: Vec<Spill>,
    /// For each run on disk, the part of each partition.
    segments: Vec<Vec<Segment>>,
    /// Files that were begun on disk, by which they are named.
    begun: usize,
    /// The last words of the line that the next piece goes on with.
    history: Vec<u32>,
    passed_over: PassedOver,
    tokens: u64,
    known: u64,
}

impl<'a> Counting<'a> {
    fn new(plan: &'a Plan, vocabulary: &Vocabulary, out: &'a Path) -> Self {
        let threads = rayon::current_num_threads();
        Self {
            plan,
            out,
            table: vocabulary.table(),
            events: (0..threads).map(|_| Events::new(plan.partitions())).collect(),
            collected: 0,
            sums: Vec::new(),
            scratch: None,
            spills: Vec::new(),
            segments: Vec::new(),
            begun: 0,
            history: Vec::new(),
            passed_over: PassedOver::default(),
            tokens: 0,
            known: 0,
        }
    }

    /// Collects the pairs of pieces that follow each other.
    fn add(&mut self, corpus: &Corpus, pieces: &[Piece]) -> Result<()> {
        struct Read {
            /// Rows, and [`LINE_END`].
            rows: Vec<u32>,
            /// The words before it that belong to its first line.
            history: Vec<u32>,
            passed_over: PassedOver,
            tokens: u64,
        }
        let table = &self.table;
        let read: Vec<Result<Read>> = pieces
            .par_iter()
            .map(|piece| {
                let mut rows = Vec::with_capacity(128 << 10);
                let mut passed_over = PassedOver::default();
                let mut tokens = 0;
                corpus.words(piece, &mut passed_over, false, |bytes, token| match token {
                    Token::LineEnd => rows.push(LINE_END),
                    Token::Word(start, end) => {
                        tokens += 1;
                        if let Some(row) = table.get(Key::new(bytes, start, end)) {
                            rows.push(row as u32 - 1);
                        }
                    }
                })?;
                Ok(Read { rows, history: Vec::new(), passed_over, tokens })
            })
            .collect();
        let mut read: Vec<Read> = read.into_iter().collect::<Result<_>>()?;
        for (read, piece) in read.iter_mut().zip(pieces) {
            if piece.begins == Begins::Line {
                self.history.clear();
            }
            read.history.clone_from(&self.history);
            match read.rows.iter().rposition(|&row| row == LINE_END) {
                Some(end) => {
                    self.history.clear();
                    self.history.extend_from_slice(&read.rows[end + 1..]);
                }
                None => self.history.extend_from_slice(&read.rows),
            }
            let old = self.history.len().saturating_sub(self.plan.window);
            self.history.drain(..old);
            self.passed_over.merge(std::mem::take(&mut read.passed_over));
            self.tokens += read.tokens;
            self.known += read.rows.iter().filter(|&&row| row != LINE_END).count() as u64;
        }
        let most = |read: &Read| (read.rows.len() * self.plan.window) as u64;
        let mut from = 0;
        while from < read.len() {
            let mut to = from;
            let mut events = 0;
            while to < read.len() && (to == from || self.collected + events + most(&read[to]) <= self.plan.room) {
                events += most(&read[to]);
                to += 1;
            }
            if to == from + 1 && self.collected > 0 && self.collected + events > self.plan.room {
                self.add_up()?;
            }
            let next = AtomicUsize::new(from);
            let (read, plan) = (&read, self.plan);
            self.collected += self
                .events
                .par_iter_mut()
                .map(|events| {
                    let mut collected = 0;
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= to {
                            return collected;
                        }
                        collected += collect(plan, &read[at].history, &read[at].rows, events);
                    }
                })
                .sum::<u64>();
            from = to;
        }
        Ok(())
    }

    /// Adds what was collected to the sums.
    fn add_up(&mut self) -> Result<()> {
        self.events.par_iter_mut().for_each(Events::flush_all);
        let (plan, events) = (self.plan, &self.events);
        self.sums.par_iter_mut().enumerate().for_each_init(
            || (Vec::new(), Vec::new()),
            |(gathered, other), (partition, sums)| {
                let parts = events.iter().map(|events| events.parts[partition].as_slice());
                match sums {
                    Sums::Dense(sums) => parts.for_each(|part| add_dense(plan, partition, part, sums)),
                    Sums::Runs(runs) => {
                        gathered.clear();
                        parts.for_each(|part| gathered.extend_from_slice(part));
                        if !gathered.is_empty() {
                            runs.push(add_sorted(plan, partition, gathered, other));
                        }
                    }
                }
            },
        );
        for events in &mut self.events {
            events.parts.iter_mut().for_each(Vec::clear);
        }
        self.collected = 0;
        let runs = |sums: &Sums<'_>| match sums {
            Sums::Dense(_) => 0,
            Sums::Runs(runs) => runs.iter().map(Vec::len).sum::<usize>(),
        };
        let kept: usize = self.sums.iter().map(runs).sum();
        if (kept * ENTRY) as u64 > self.plan.kept {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes the sums that are not dense to disk, as one more run.
    fn spill(&mut self) -> Result<()> {
        if self.spills.len() == self.plan.most_spills {
            self.join_spills()?;
        }
        let mut spill = self.begin_spill()?;
        let which = self.spills.len();
        let mut segments = Vec::new();
        let mut bytes = Vec::new();
        for sums in &mut self.sums {
            let offset = spill.length();
            if let Sums::Runs(runs) = sums {
                let runs = std::mem::take(runs);
                merge(&runs, &[], &[], 0, |entry| append(&mut spill, &mut bytes, entry))?;
                spill.append(&bytes)?;
                bytes.clear();
            }
            segments.push(Segment { spill: which, offset, entries: (spill.length() - offset) / ENTRY as u64 });
        }
        self.spills.push(spill);
        self.segments.push(segments);
        Ok(())
    }

    /// An empty file on disk, of a name that no other has.
    fn begin_spill(&mut self) -> Result<Spill> {
        let scratch = match self.scratch.take() {
            Some(scratch) => self.scratch.insert(scratch),
            None => self.scratch.insert(Scratch::beside(self.out)?),
        };
        self.begun += 1;
        Spill::new(scratch, &format!("run-{}", self.begun))
    }

    /// Makes one run of all that are on disk.
    fn join_spills(&mut self) -> Result<()> {
        let mut joined = self.begin_spill()?;
        let mut segments = Vec::new();
        let mut bytes = Vec::new();
        for partition in 0..self.plan.partitions() {
            let parts: Vec<Segment> = self.segments.iter().map(|segments| segments[partition]).collect();
            let offset = joined.length();
            let memory = self.plan.merging as usize;
            merge(&[], &parts, &self.spills, memory, |entry| append(&mut joined, &mut bytes, entry))?;
            joined.append(&bytes)?;
            bytes.clear();
            segments.push(Segment { spill: 0, offset, entries: (joined.length() - offset) / ENTRY as u64 });
        }
        for spill in self.spills.drain(..) {
            spill.discard()?;
        }
        self.spills.push(joined);
        self.segments = vec![segments];
        Ok(())
    }

    /// Hands over all records, and says how many there are.
    fn write(&mut self, observer: &dyn Observer, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
        let plan = self.plan;
        observer.begin("writing co-occurrences", plan.partitions() as u64, "parts");
        let entries = |partition: usize| -> u64 {
            let on_disk: u64 = self.segments.iter().map(|segments| segments[partition].entries).sum();
            on_disk
                + match &self.sums[partition] {
                    Sums::Dense(sums) => sums.len() as u64,
                    Sums::Runs(runs) => runs.iter().map(Vec::len).sum::<usize>() as u64,
                }
        };
        let threads = rayon::current_num_threads();
        let mut records = 0;
        let mut from = 0;
        while from < plan.partitions() {
            observer.check()?;
            let most = plan.merging / (2 * RECORD as u64) / 2;
            let mut to = from;
            let mut sum = 0;
            while to < plan.partitions() && to - from < threads * 4 && (to == from || sum + entries(to) <= most) {
                sum += entries(to);
                to += 1;
            }
            let memory = (plan.merging as usize / 4 / (to - from)).max(1 << 16);
            if sum > most {
                // One partition, which does not fit in memory.
                let mut bytes = Vec::new();
                self.partition(from, memory, &mut bytes, &mut write, &mut records)?;
                write(&bytes)?;
            } else {
                let parts: Vec<Result<(Vec<u8>, u64)>> = (from..to)
                    .into_par_iter()
                    .map(|partition| {
                        let mut bytes = Vec::with_capacity(64 << 10);
                        let mut records = 0;
                        let mut kept = Vec::new();
                        let mut keep = |more: &[u8]| {
                            kept.extend_from_slice(more);
                            Ok(())
                        };
                        self.partition(partition, memory, &mut bytes, &mut keep, &mut records)?;
                        kept.extend_from_slice(&bytes);
                        Ok((kept, records))
                    })
                    .collect();
                for part in parts {
                    let (bytes, more) = part?;
                    write(&bytes)?;
                    records += more;
                }
            }
            observer.advance((to - from) as u64);
            from = to;
        }
        observer.end();
        Ok(records)
    }

    /// The records of a partition; `bytes` holds what was not written yet.
    fn partition(
        &self,
        partition: usize,
        memory: usize,
        bytes: &mut Vec<u8>,
        write: &mut impl FnMut(&[u8]) -> Result<()>,
        records: &mut u64,
    ) -> Result<()> {
        let (scale, symmetric) = (self.plan.scale, self.plan.symmetric);
        let mut emit = |high: u32, low: u32, sum: u64| -> Result<()> {
            // A word beside itself is met once in each direction.
            let sum = if symmetric && high == low { 2 * sum } else { sum };
            let value = sum as f64 / scale;
            bytes.extend_from_slice(&Record { row: high, column: low, value }.to_bytes());
            *records += 1;
            if symmetric && high != low {
                bytes.extend_from_slice(&Record { row: low, column: high, value }.to_bytes());
                *records += 1;
            }
            if bytes.len() >= 60 << 10 {
                write(bytes)?;
                bytes.clear();
            }
            Ok(())
        };
        match &self.sums[partition] {
            Sums::Dense(sums) => {
                let mut rest: &[u64] = sums;
                for high in self.plan.starts[partition]..self.plan.starts[partition + 1] {
                    let (row, below) = rest.split_at(high as usize + 1);
                    rest = below;
                    for (low, &sum) in row.iter().enumerate().filter(|(_, sum)| **sum > 0) {
                        emit(high, low as u32, sum)?;
                    }
                }
                Ok(())
            }
            Sums::Runs(runs) => {
                let segments: Vec<Segment> = self.segments.iter().map(|segments| segments[partition]).collect();
                merge(runs, &segments, &self.spills, memory, |entry| {
                    emit((entry.key >> 32) as u32, entry.key as u32, entry.sum)
                })
            }
        }
    }
}

/// Writes an entry at the end of a spill, many at once.
fn append(spill: &mut Spill, bytes: &mut Vec<u8>, entry: Entry) -> Result<()> {
    bytes.extend_from_slice(&entry.key.to_le_bytes());
    bytes.extend_from_slice(&entry.sum.to_le_bytes());
    if bytes.len() >= 1 << 18 {
        spill.append(bytes)?;
        bytes.clear();
    }
    Ok(())
}

/// Collects the pairs of a piece, and says how many there are.
fn collect(plan: &Plan, history: &[u32], rows: &[u32], events: &mut Events) -> u64 {
    let mut all = Vec::with_capacity(history.len() + rows.len());
    all.extend_from_slice(history);
    all.extend_from_slice(rows);
    let (window, distance_bits, symmetric) = (plan.window, plan.distance_bits, plan.symmetric);
    let mut line = 0;
    let mut collected = 0;
    for at in 0..all.len() {
        let word = all[at];
        if word == LINE_END {
            line = at + 1;
            continue;
        }
        if at < history.len() {
            continue;
        }
        let from = line.max(at.saturating_sub(window));
        collected += (at - from) as u64;
        for (distance, &context) in (1..).zip(all[from..at].iter().rev()) {
            let (high, low) = match symmetric {
                true => (word.max(context), word.min(context)),
                false => (context, word),
            };
            let (partition, place) = plan.places[high as usize];
            events.push(partition as usize, place | u64::from(low) << distance_bits | distance);
        }
    }
    collected
}

/// Adds events to the sums of a partition that has one for each pair.
fn add_dense(plan: &Plan, partition: usize, events: &[u64], sums: &mut [u64]) {
    let start = plan.starts[partition];
    let rows: Vec<usize> = (start..plan.starts[partition + 1]).map(|row| before(row) - before(start)).collect();
    let shift = plan.distance_bits + plan.low_bits;
    let (distances, lows) = ((1 << plan.distance_bits) - 1, (1_u64 << plan.low_bits) - 1);
    let mut weights = [0; 64];
    weights[..plan.weights.len()].copy_from_slice(&plan.weights);
    for &event in events {
        let low = (event >> plan.distance_bits & lows) as usize;
        sums[rows[(event >> shift) as usize] + low] += weights[(event & distances) as usize & 63];
    }
}

/// The sums of the events of a partition, in the order of the pairs.
fn add_sorted(plan: &Plan, partition: usize, events: &mut Vec<u64>, other: &mut Vec<u64>) -> Vec<Entry> {
    let start = u64::from(plan.starts[partition]);
    let rows = u64::from(plan.starts[partition + 1]) - start;
    let row_bits = u64::BITS - (rows - 1).leading_zeros();
    radix_sort(events, other, plan.distance_bits, plan.low_bits + row_bits);
    let (distances, lows) = ((1 << plan.distance_bits) - 1, (1_u64 << plan.low_bits) - 1);
    let pair = |event: u64| event >> plan.distance_bits;
    let weight = |event: u64| plan.weights[(event & distances) as usize];
    let different = 1 + events.windows(2).filter(|two| pair(two[0]) != pair(two[1])).count();
    let mut entries = Vec::with_capacity(different);
    let mut current = (pair(events[0]), 0);
    let entry = |(pair, sum): (u64, u64)| Entry { key: ((pair >> plan.low_bits) + start) << 32 | pair & lows, sum };
    for &event in events.iter() {
        if pair(event) != current.0 {
            entries.push(entry(current));
            current = (pair(event), 0);
        }
        current.1 += weight(event);
    }
    entries.push(entry(current));
    entries
}

#[cfg(test)]
#[path = "cooccurrence_tests.rs"]
mod tests;
