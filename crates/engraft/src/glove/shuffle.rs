//! The records of a file in an order that is drawn.

use std::io::Write;
use std::path::Path;

use rand::RngExt;

use super::records::Records;
use super::scatter::scatter;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Result};
use crate::files::Aside;
use crate::progress::Observer;
use crate::rng::rng;
use crate::settings::Glove;

/// Records of a group, about: what is shuffled at once.
const GROUP: u64 = 2 << 20;
/// Most groups.
const MOST_GROUPS: u64 = 1 << 14;

/// Writes the records of `input` to `out` in an order drawn by `seed`: any is as likely as another. The bytes do not depend on the
/// number of threads or the memory. With a vocabulary, rows and columns have to be in it. Returns how many records there are.
///
/// # Errors
/// [`Error::Data`] for a file that is cut off or has an impossible record; [`Error::Usage`] where the memory is too small;
/// [`Error::Output`]; [`Error::Interrupted`]. What is at `out` stays until the new file is complete.
pub fn shuffle(
    input: &Path,
    vocabulary: Option<&Vocabulary>,
    out: &Path,
    replace: bool,
    settings: &Glove,
    observer: &dyn Observer,
) -> Result<u64> {
    let records = Records::open(input)?;
    let groups = records.count().div_ceil(GROUP).clamp(1, MOST_GROUPS) as usize;
    let words = vocabulary.map_or(i32::MAX as u32, |vocabulary| vocabulary.len() as u32);
    let mut output = Aside::create(out, replace)?;
    let draw = |chunk: u64| {
        let mut random = rng(settings.seed, "glove/shuffle", chunk);
        // The bias of a product is below a part in 2^49.
        move |_| ((u128::from(random.random::<u64>()) * groups as u128) >> 64) as u32
    };
    let memory = settings.memory_bytes();
    let scattered = scatter(&records, words, groups, memory, out, observer, draw)?;
    let mut bytes = Vec::new();
    scattered.shuffled(
        settings.seed,
        "glove/shuffle-group",
        memory / 2,
        observer,
        |_| {},
        |_, records| {
            for part in records.chunks(64 << 10) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|record| record.to_le_bytes()));
                output.write_all(&bytes).map_err(|source| Error::write(out, &source))?;
            }
            Ok(())
        },
    )?;
    output.commit()?;
    Ok(records.count())
}
