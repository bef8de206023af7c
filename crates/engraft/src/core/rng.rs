//! All randomness of the project: a stream for a seed, a purpose and a step.
//!
//! Two streams never share state, so that adding a draw in one place leaves every other place as it was,
//! and so that the order in which threads run cannot change a result.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// A generator for (seed, purpose, step): ChaCha8 keyed by SHA-256 of the three.
///
/// `purpose` names what is drawn (`"shuffle"`, `"init/features.0.0.weight"`), `step` counts repetitions
/// (the epoch, the example).
///
/// ```
/// use rand::RngExt;
/// let a: u64 = engraft::rng::rng(7, "shuffle", 0).random();
/// let b: u64 = engraft::rng::rng(7, "shuffle", 0).random();
/// let c: u64 = engraft::rng::rng(7, "shuffle", 1).random();
/// assert_eq!(a, b);
/// assert_ne!(a, c);
/// ```
pub fn rng(seed: u64, purpose: &str, step: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(step.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A permutation of `0..n`, Fisher and Yates, from one stream.
pub(crate) fn permutation(n: usize, seed: u64, purpose: &str, step: u64) -> Vec<usize> {
    use rand::seq::SliceRandom;
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng(seed, purpose, step));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn the_stream_is_pinned() {
        // These numbers are a promise: a change here changes every result of every user.
        let draws: Vec<u32> = (0..3).map(|step| rng(1, "test", step).random()).collect();
        assert_eq!(draws, PINNED);
    }
    const PINNED: [u32; 3] = [3_189_529_606, 1_392_863_265, 2_503_547_734];

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = permutation(1000, 3, "test", 0);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
