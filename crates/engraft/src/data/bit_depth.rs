//! Images of 16 bits a channel that use fewer: 12 bits of a camera in a file of 16 are nearly black. Whether they do is
//! found out over a whole data set, since one dark image says nothing.

use rayon::prelude::*;

use super::dataset::Dataset;
use super::finding::{Finding, FindingKind, Severity};
use super::image::{Limits, decode_and_tell, format};
use super::image_source::ImageSource;
use super::inspect::{Inspection, inspect_again};
use super::pixels::DEPTHS;
use crate::error::{Result, first_of};
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
        (BitDepth::Auto, None, None) => return Ok((None, of_two_kinds(dataset, inspections, &deep))),
        _ => return Ok((taken, None)),
    };
    Ok((taken, Some(Finding::new(FindingKind::BitDepth, Severity::Warning, message, names()))))
}

/// Some of the images use 12 bits or fewer, others all 16: the former are nearly black beside the latter, unless what they
/// show is dark.
fn of_two_kinds(dataset: &Dataset, inspections: &[Inspection], deep: &[usize]) -> Option<Finding> {
    let is_low = |&index: &usize| inspections[index].peak().is_some_and(is_low);
    let names: Vec<String> =
        deep.iter().copied().filter(is_low).map(|index| dataset.examples[index].name.clone()).collect();
    let message = two_kinds(&names, deep.len())?;
    Some(Finding::new(FindingKind::BitDepth, Severity::Warning, message, names))
}

fn is_low(peak: u16) -> bool {
    u32::from(peak) < 1 << LOW
}

/// What is said of images of few bits among `all`, where they are more than a few.
fn two_kinds(low: &[String], all: usize) -> Option<String> {
    let are_kind = low.len() >= LEAST_LOW && low.len() as f64 >= LOW_SHARE * all as f64;
    are_kind.then(|| {
        format!(
            "images of 16 bits a channel of which {} use {LOW} bits or fewer ({}) and {} use more, all read as 16 bits: if the \
             former are of another camera, they are nearly black; spread their values first, since --bit-depth holds for all",
            low.len(),
            first_of(low, SHOWN),
            all - low.len()
        )
    })
}

/// Bits of most cameras.
const LOW: u8 = 12;
/// So many images of fewer bits among others, and so large a share, are more than a few that are dark.
const LEAST_LOW: usize = 2;
const LOW_SHARE: f64 = 0.2;

/// As asked, else the fewest bits that hold all values of the images, and what is to be said of it: for images that are not
/// inspected before. Where a model has learnt from images of `trained` bits, those are taken as long as they hold all values.
///
/// # Errors
/// Interruption: every image of 16 bits a channel is decoded.
pub fn used_bit_depth(
    images: &[ImageSource],
    asked: BitDepth,
    trained: Option<u8>,
    observer: &dyn Observer,
) -> Result<(Option<u8>, Option<String>)> {
    if let Some(taken) = asked.bits() {
        return Ok((taken, None));
    }
    let peaks = peaks(images, observer)?;
    let Some(largest) = peaks.iter().map(|(peak, _)| *peak).max() else { return Ok((trained, None)) };
    let used = used_bits(std::iter::once(largest));
    let told =
        format!("images of 16 bits a channel whose values use {} bits (the largest is {largest}),", used.unwrap_or(16));
    Ok(match (trained, used) {
        (Some(trained), _) if u32::from(largest) < 1 << trained => (Some(trained), None),
        (Some(trained), used) => {
            let read = used.unwrap_or(16);
            (used, Some(format!("{told} read as {read} bits, though the run has learnt from images of {trained} bits")))
        }
        (None, None) => {
            let low = peaks.iter().filter(|(peak, _)| is_low(*peak));
            let low: Vec<String> = low.map(|(_, name)| name.clone()).collect();
            (None, two_kinds(&low, peaks.len()))
        }
        (None, Some(bits)) => {
            (used, Some(format!("{told} read as {bits} bits; --bit-depth 16 reads them as they are")))
        }
    })
}

/// The largest value of each image of 16 bits a channel, and its name.
fn peaks(images: &[ImageSource], observer: &dyn Observer) -> Result<Vec<(u16, String)>> {
    let deep: Vec<&ImageSource> = images.par_iter().filter(|image| may_be_deep(image)).collect();
    if deep.is_empty() {
        return Ok(Vec::new());
    }
    let limits = Limits::default();
    let peak = |image: &&ImageSource| {
        observer.check()?;
        let decoded = image.read(limits.bytes).ok().and_then(|bytes| decode_and_tell(&bytes, &limits, None).ok());
        observer.advance(1);
        Ok(decoded.and_then(|decoded| decoded.peak).map(|peak| (peak, image.name())))
    };
    observer.begin("looking for the bits that images use", deep.len() as u64, "images");
    let peaks: Result<Vec<Option<(u16, String)>>> = deep.par_iter().map(peak).collect();
    observer.end();
    Ok(peaks?.into_iter().flatten().collect())
}

/// Whether an image may have 16 bits a channel, by its first bytes: others are not decoded twice.
fn may_be_deep(image: &ImageSource) -> bool {
    let Ok(head) = image.head(HEAD) else { return false };
    match format(&head) {
        Some("png") => head.get(24) == Some(&16),
        format => matches!(format, Some("tiff" | "pnm")),
    }
}

/// Bytes from the beginning of a file by which that is told.
const HEAD: u64 = 256;

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
