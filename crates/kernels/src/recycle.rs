//! Memory that is done with, kept for what comes.
//!
//! Training makes and drops maps of the same sizes at every step. The system hands out a large block as pages that it
//! first has to find and clear, which costs as much as filling them; a block that has been used before costs nothing.
//! So a kernel's results and packed operands come from here and go back here, even when they are behind a tensor of
//! Burn's (see `extension/lent.rs`).
//!
//! With what is in use, no more is held than was ever in use at once; the oldest goes first.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Blocks of fewer numbers than this are left to the system, which is quick with them.
const LEAST: usize = 1 << 15;

/// A block may be this many times as large as what it is taken for, in eighths.
const SLACK_EIGHTHS: usize = 10;

#[derive(Debug)]
struct Kept {
    /// The newest comes last. Every number of a block is initialised, whatever it is.
    blocks: VecDeque<Vec<f32>>,
    /// Numbers of all blocks that are kept.
    kept: usize,
    /// Numbers of all blocks that are in use, and the most there have been.
    used: usize,
    most: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { blocks: VecDeque::new(), kept: 0, used: 0, most: 0 });

fn kept() -> MutexGuard<'static, Kept> {
    // Nothing in here can panic half-way.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers whose memory comes back when they are dropped.
#[derive(Debug, Default)]
pub(crate) struct Block(Vec<f32>);

/// `len` numbers, which hold whatever was left there: to be written before they are read.
pub(crate) fn take(len: usize) -> Block {
    let mut block = if len < LEAST { None } else { kept().take(len) }.unwrap_or_else(|| vec![0.0; len]);
    block.truncate(len);
    if cfg!(test) {
        // A number that nobody writes shows.
        block.fill(f32::NAN);
    }
    Block::of(block)
}

/// `len` zeros.
pub(crate) fn zeros(len: usize) -> Block {
    match if len < LEAST { None } else { kept().take(len) } {
        Some(mut block) => {
            block.truncate(len);
            block.fill(0.0);
            Block::of(block)
        }
        None => Block::of(vec![0.0; len]),
    }
}

impl Block {
    /// These numbers, whose memory comes back from now on.
    pub(crate) fn of(values: Vec<f32>) -> Self {
        if values.len() >= LEAST {
            kept().lend(values.len());
        }
        Self(values)
    }
}

impl From<Vec<f32>> for Block {
    fn from(values: Vec<f32>) -> Self {
        Self::of(values)
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        Self::of(self.0.clone())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        if values.len() >= LEAST {
            kept().give(values);
        }
    }
}

impl Deref for Block {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Kept {
    /// The smallest block that is large enough, and not much too large.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let fits = |block: &Vec<f32>| block.len() >= len && block.len() <= len * SLACK_EIGHTHS / 8;
        let candidates = self.blocks.iter().enumerate().filter(|(_, block)| fits(block));
        let (at, _) = candidates.min_by_key(|(_, block)| block.len())?;
        let block = self.blocks.remove(at)?;
        self.kept -= block.len();
        Some(block)
    }

    /// So many numbers more are in use.
    fn lend(&mut self, len: usize) {
        self.used += len;
        self.most = self.most.max(self.used);
        self.forget();
    }

    /// A block is no longer in use.
    fn give(&mut self, block: Vec<f32>) {
        self.used -= block.len();
        self.kept += block.len();
        self.blocks.push_back(block);
        self.forget();
    }

    /// Lets the oldest go until no more is held than was ever in use at once.
    fn forget(&mut self) {
        while self.used + self.kept > self.most {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.kept -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_kept_until_there_is_more_than_was_ever_in_use() {
        let mut pool = Kept { blocks: VecDeque::new(), kept: 0, used: 0, most: 0 };
        let lens = [100, 120, 110];
        lens.iter().for_each(|len| pool.lend(*len));
        lens.iter().for_each(|len| pool.give(vec![0.0; *len]));
        assert_eq!((pool.kept, pool.used), (330, 0));
        pool.lend(50);
        assert_eq!((pool.kept, pool.blocks.len()), (230, 2), "the oldest went");
        assert_eq!(pool.take(105).unwrap().len(), 110, "the smallest that fits");
        assert!(pool.take(60).is_none(), "120 is too large for 60");
        assert_eq!(pool.take(120).unwrap().len(), 120);
        assert_eq!((pool.kept, pool.blocks.len()), (0, 0));
    }

    #[test]
    fn zeros_are_zeros_and_memory_to_be_written_is_told_by_nan() {
        drop(Block::of(vec![5.0; 2 * LEAST]));
        assert!(zeros(2 * LEAST).iter().all(|value| *value == 0.0));
        assert!(take(2 * LEAST).iter().all(|value| value.is_nan()));
    }
}
