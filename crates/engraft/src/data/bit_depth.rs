//! Images of 16 bits a channel that use fewer: 12 bits of a camera in a file of 16 are nearly black. Whether they do is
//! found out over a whole data set, since one dark image says nothing.

use rayon::prelude::*;

use super::dataset::Dataset;
use super::finding::{Finding, FindingKind, Severity};
use super::image::{Limits, decode_and_tell, format};
use super::image_source::ImageSource;
use super::inspect::{Inspection, inspect_again};
use super::pixels::DEPTHS;
use crate::error::Result;
use crate::progress::Observer;
use crate::settings::BitDepth;

/// Files that a message names.
const SHOWN: usize = 3;

/// The bits that images of 16 bits a channel use, of which these are the largest values; nothing where they use all.
pub(crate) fn used_bits(peaks: impl Iterator<Item = u16>) -> Option<u8> {
    let peak = peaks.max()?;
    DEPTHS.into_iter().find(|depth| u32::from(peak) < 1 << depth)
}

/// The bits that images of 16 bits a channel are read by: as asked, else the fewest that hold all values of the data set.
/// What was seen of those images is seen anew by it.
///
/// # Errors
/// Interruption.
pub(super) fn settle(
    dataset: &Dataset,
    inspections: &mut [Inspection],
    asked: BitDepth,
    limits: &Limits,
    observer: &dyn Observer,
) -> Result<(Option<u8>, Option<Finding>)> {
    let deep: Vec<usize> = (0..inspections.len()).filter(|&index| inspections[index].peak().is_some()).collect();
    let used = used_bits(deep.iter().filter_map(|&index| inspections[index].peak()));
    let taken = asked.bits().unwrap_or(used).filter(|_| !deep.is_empty());
    if let Some(depth) = taken {
        inspect_again(dataset, inspections, limits, depth, observer)?;
    }
    let names = || deep.iter().map(|&index| dataset.examples[index].name.clone()).collect::<Vec<String>>();
    let first = || names().into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    let peak = deep.iter().filter_map(|&index| inspections[index].peak()).max().unwrap_or_default();
    let message = match (asked, used, taken) {
        (BitDepth::Auto, Some(used), _) => format!(
            "images of 16 bits a channel whose values use {used} bits (the largest is {peak}), read as {used} bits: {} ({}); \
             --bit-depth 16 reads them as they are",
            deep.len(),
            first()
        ),
        (_, Some(used), taken) if taken != Some(used) => format!(
            "images of 16 bits a channel whose values use {used} bits (the largest is {peak}), read as {} bits, as asked: {} ({})",
            taken.unwrap_or(16),
            deep.len(),
            first()
        ),
        (_, _, Some(depth)) if u32::from(peak) >= 1 << depth => format!(
            "images of 16 bits a channel read as {depth} bits, as asked, with larger values (up to {peak}), which become white: {} ({})",
            deep.len(),
            first()
        ),
        _ => return Ok((taken, None)),
    };
    Ok((taken, Some(Finding::new(FindingKind::BitDepth, Severity::Warning, message, names()))))
}

/// Images that a sample has.
const SAMPLE: usize = 32;

/// As asked, else the fewest bits that hold all values of a sample of images, and what is to be said of it: for images that
/// are not all looked at before.
pub fn sampled_bit_depth(images: &[ImageSource], asked: BitDepth) -> (Option<u8>, Option<String>) {
    if let Some(taken) = asked.bits() {
        return (taken, None);
    }
    let few = images.len().min(SAMPLE);
    let limits = Limits::default();
    let peak = |at: usize| {
        let bytes = images[at * images.len() / few].read(limits.bytes).ok()?;
        // Only such files may have 16 bits, and they are few: others are not decoded twice.
        let may_be = matches!(format(&bytes), Some("png" | "tiff" | "pnm"));
        may_be.then(|| decode_and_tell(&bytes, &limits, None).ok()).flatten()?.peak
    };
    let used = used_bits((0..few).into_par_iter().filter_map(peak).collect::<Vec<u16>>().into_iter());
    let said = used.map(|used| {
        format!(
            "images of 16 bits a channel whose values use {used} bits, by a sample, read as {used} bits; --bit-depth 16 reads \
             them as they are"
        )
    });
    (used, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_follow_from_the_largest_value_of_all() {
        let used = |peaks: &[u16]| used_bits(peaks.iter().copied());
        assert_eq!(used(&[]), None);
        assert_eq!((used(&[255]), used(&[256, 3]), used(&[4095])), (Some(8), Some(10), Some(12)));
        assert_eq!((used(&[4096]), used(&[16_384, 5])), (Some(14), None));
    }
}
