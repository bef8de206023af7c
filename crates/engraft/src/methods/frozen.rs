//! Frozen stages between two cuts, as rows to rows.

use std::ops::Range;

use engraft_kernels::Compiled;

use crate::bases::Network;
use crate::features::Features;

/// Images that run together.
const BATCH: usize = 32;

/// Stages of a range, compiled: rows of activations at its start to rows at its end.
#[derive(Debug)]
pub struct FrozenPart {
    program: Compiled,
    /// Numbers of each map of one image at the start.
    inputs: Vec<usize>,
}

impl FrozenPart {
    /// Compiles stages of a network for images of `[rows, columns]`.
    pub fn new(network: &Network, range: Range<usize>, input: [usize; 2]) -> Self {
        let shapes_at = |cut: usize| network.shapes_at(cut, input);
        let inputs = shapes_at(range.start).iter().map(|shape| shape.iter().product()).collect();
        Self { program: network.compile(range, input, None), inputs }
    }

    /// Length of a row at the end.
    pub fn columns(&self) -> usize {
        self.program.output_sizes().iter().sum()
    }

    /// Rows `[n, columns at the start]` to rows `[n, columns at the end]`. No row depends on the others.
    pub fn run(&self, rows: &[f32]) -> Vec<f32> {
        let from: usize = self.inputs.iter().sum();
        let mut out = Vec::with_capacity(rows.len() / from * self.columns());
        for batch in rows.chunks(BATCH * from) {
            out.extend(self.run_batch(batch, batch.len() / from));
        }
        out
    }

    fn run_batch(&self, rows: &[f32], n: usize) -> Vec<f32> {
        let parted = part(rows, n, &self.inputs);
        let inputs: Vec<&[f32]> = parted.iter().map(Vec::as_slice).collect();
        let sizes = self.program.output_sizes();
        join(&self.program.run(&inputs, n), n, &sizes)
    }

    /// The same of a table.
    pub(crate) fn run_table(&self, table: &Features) -> Features {
        Features { rows: table.rows, columns: self.columns(), values: self.run(&table.values) }
    }
}

/// Rows that hold several maps one after the other, to all rows of each map.
fn part(rows: &[f32], n: usize, sizes: &[usize]) -> Vec<Vec<f32>> {
    let (columns, mut begin) = (sizes.iter().sum::<usize>(), 0);
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        parts.push((0..n).flat_map(|row| &rows[row * columns + begin..][..*size]).copied().collect());
        begin += size;
    }
    parts
}

/// The way back.
fn join(maps: &[Vec<f32>], n: usize, sizes: &[usize]) -> Vec<f32> {
    let row = |row: usize| maps.iter().zip(sizes).flat_map(move |(map, &size)| &map[row * size..][..size]);
    (0..n).flat_map(row).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::{Architecture, Card, Device};

    #[test]
    fn maps_are_parted_and_joined() {
        let rows: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let parts = part(&rows, 2, &[2, 3]);
        assert_eq!(parts, [vec![0., 1., 5., 6.], vec![2., 3., 4., 7., 8., 9.]]);
        assert_eq!(join(&parts, 2, &[2, 3]), rows);
    }

    /// The tail after a cut, from the rows at the cut, gives the bits of the whole: also where a cut carries two maps.
    #[test]
    fn a_part_after_a_part_is_the_whole() {
        for (architecture, side) in [(Architecture::SMALL_RESNET, 32), (Architecture::NASNET_MOBILE, 64)] {
            let mut card = Card::usual(architecture, "test".into());
            card.preprocessing.scale_to([side; 2]);
            let network = Network::random(&card, 2, 0, &Device::flex()).network;
            let size = side * side * card.preprocessing.channels;
            let x: Vec<f32> = (0..3 * size).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let stages = network.stages().len();
            let whole = FrozenPart::new(&network, 0..stages, [side; 2]).run(&x);
            for cut in [1, stages / 2, stages - 1] {
                let before = FrozenPart::new(&network, 0..cut, [side; 2]);
                let after = FrozenPart::new(&network, cut..stages, [side; 2]);
                assert_eq!(after.run(&before.run(&x)), whole, "{} cut {cut}", architecture.name());
            }
        }
    }
}
