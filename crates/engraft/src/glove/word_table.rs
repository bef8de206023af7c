//! A hash table from words to numbers, made for words that are mostly short.
//!
//! A word of at most 16 bytes is its own key: two integers that are compared at once. Longer ones are in a map of the
//! standard library. Keys are multiplied by numbers drawn for each table, so that no text can be written to collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Bytes of the longest word that is a key of its own.
const SHORT: usize = 16;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    low: u64,
    high: u64,
    value: u64,
}

/// Words with a number each.
#[derive(Debug)]
pub(super) struct WordTable {
    /// A power of two; a slot without a key is empty.
    slots: Vec<Slot>,
    used: usize,
    long: HashMap<Box<[u8]>, u64>,
    long_bytes: usize,
    factors: [u64; 2],
}

/// A word as the table looks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    low: u64,
    high: u64,
    word: &'a [u8],
}

impl<'a> Key<'a> {
    /// The word `bytes[start..end]`, of which 16 bytes from `start` on can be read.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        let length = end - start;
        let whole = u128::from_le_bytes(bytes[start..start + SHORT].try_into().unwrap_or_default());
        let kept = if length >= SHORT { whole } else { whole & ((1 << (8 * length)) - 1) };
        Self { low: kept as u64, high: (kept >> 64) as u64, word: &bytes[start..end] }
    }
}

impl WordTable {
    /// An empty table.
    pub(super) fn new() -> Self {
        let state = RandomState::new();
        let factors = [1_u8, 2].map(|which| state.hash_one(which) | 1);
        Self { slots: vec![Slot::default(); 1 << 12], used: 0, long: HashMap::new(), long_bytes: 0, factors }
    }

    #[inline(always)]
    fn place(&self, low: u64, high: u64) -> usize {
        let mixed = (low ^ high.wrapping_mul(self.factors[1]).rotate_left(32)).wrapping_mul(self.factors[0]);
        (mixed >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// The number of a word, if it is there.
    #[inline(always)]
    pub(super) fn get(&self, key: Key<'_>) -> Option<u64> {
        if key.word.len() > SHORT {
            return self.long.get(key.word).copied();
        }
        let mut at = self.place(key.low, key.high);
        loop {
            let slot = &self.slots[at & (self.slots.len() - 1)];
            if slot.low == key.low && slot.high == key.high {
                return Some(slot.value);
            }
            if slot.low == 0 {
                return None;
            }
            at += 1;
        }
    }

    /// Adds to the number of a word, which is 0 before.
    #[inline(always)]
    pub(super) fn add(&mut self, key: Key<'_>, value: u64) {
        if key.word.len() > SHORT {
            return self.add_long(key.word, value);
        }
        let mut at = self.place(key.low, key.high);
        let mask = self.slots.len() - 1;
        loop {
            let slot = &mut self.slots[at & mask];
            if slot.low == key.low && slot.high == key.high {
                slot.value += value;
                return;
            }
            if slot.low == 0 {
                *slot = Slot { low: key.low, high: key.high, value };
                self.used += 1;
                if self.used * 2 > self.slots.len() {
                    self.grow();
                }
                return;
            }
            at += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn add_long(&mut self, word: &[u8], value: u64) {
        if let Some(known) = self.long.get_mut(word) {
            *known += value;
        } else {
            self.long_bytes += word.len() + 64;
            self.long.insert(word.into(), value);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let grown = vec![Slot::default(); self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, grown);
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.low != 0) {
            let mut at = self.place(slot.low, slot.high);
            while self.slots[at & mask].low != 0 {
                at += 1;
            }
            self.slots[at & mask] = slot;
        }
    }

    /// Words in it.
    pub(super) fn len(&self) -> usize {
        self.used + self.long.len()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>() + self.long_bytes
    }

    /// Every word with its number, in no order.
    pub(super) fn each(&self, mut each: impl FnMut(&[u8], u64)) {
        for slot in self.slots.iter().filter(|slot| slot.low != 0) {
            let bytes = (u128::from(slot.high) << 64 | u128::from(slot.low)).to_le_bytes();
            let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(SHORT);
            each(&bytes[..length], slot.value);
        }
        for (word, value) in &self.long {
            each(word, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_length_are_told_apart() {
        let mut table = WordTable::new();
        let words: Vec<String> = (0..20_000_u32)
            .map(|n| format!("{}{}", "w".repeat((n % 37) as usize), n * 7))
            .chain(["é", "éé", "a", "aa", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa"].map(String::from))
            .collect();
        let key = |word: &str| {
            let mut bytes = word.as_bytes().to_vec();
            bytes.extend([b'\n'; SHORT]);
            bytes
        };
        for round in 1..=3 {
            for word in &words {
                table.add(Key::new(&key(word), 0, word.len()), round);
            }
        }
        assert_eq!(table.len(), words.iter().collect::<std::collections::HashSet<_>>().len());
        assert_eq!(table.get(Key::new(&key("absent"), 0, 6)), None);
        let mut found = HashMap::new();
        table.each(|word, value| assert!(found.insert(word.to_vec(), value).is_none()));
        for word in &words {
            assert_eq!(found[word.as_bytes()], 6, "{word}");
            assert_eq!(table.get(Key::new(&key(word), 0, word.len())), Some(6));
        }
    }
}
