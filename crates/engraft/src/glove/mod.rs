//! GloVe: from a corpus to word vectors.

mod blocks;
mod checkpoint;
mod cooccurrence;
mod corpus;
mod kernel;
mod parameters;
mod records;
mod runs;
mod scatter;
mod shuffle;
mod spill;
mod tokens;
mod train;
mod vectors;
mod vocabulary;
mod word_table;

pub use cooccurrence::{Counted as CountedPairs, count as count_pairs};
pub use corpus::Corpus;
pub use records::{Record, Records};
pub use shuffle::shuffle;
pub use vocabulary::{Counted, Vocabulary};
pub fn try_train(records: &std::path::Path, vocab: &std::path::Path, out: &std::path::Path, s: &crate::settings::Glove, o: &dyn crate::progress::Observer) -> crate::error::Result<()> {
    let v = Vocabulary::read(vocab)?;
    let r = Records::open(records)?;
    let t = train::train(out, &r, &v, "", None, s, o)?;
    o.say(&format!("{:?} {:?}", t.costs, t.seconds));
    let mut text = Vec::new();
    vectors::write_text(&t.parameters, &v, s, &mut text).unwrap();
    crate::files::write_output(&out.join("vectors.txt"), &text, true)
}
