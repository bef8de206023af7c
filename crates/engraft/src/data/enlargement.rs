//! How much images are enlarged on their way to a base's input.
//!
//! An image smaller than the input is enlarged by the card's own rule and filter: it keeps its place in the frame, and
//! the network sees objects at the size that it knows. But nothing is added by that: a network trained on sharp images
//! sees blurred ones, at the price of large ones. So a data set of small images is told.

use serde::{Deserialize, Serialize};

use super::inspect::{Inspection, Outcome};
use super::preprocess::Preprocessing;

/// More than so many times, and an image counts as much enlarged.
pub(crate) const MUCH: f64 = 2.0;

/// How much the images of a data set are enlarged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enlargement {
    /// Images whose size is known.
    pub(crate) images: usize,
    /// Images that are enlarged more than [`MUCH`] times.
    pub(crate) much: usize,
    /// How many times an image grows, in the middle of the data set; below 1 it shrinks. 0 without images.
    pub(crate) median: f64,
}

impl Enlargement {
    /// Of the images that were inspected; what is not an image does not count.
    pub(crate) fn of<'a>(inspections: impl IntoIterator<Item = &'a Inspection>, preprocessing: &Preprocessing) -> Self {
        let size = |inspection: &Inspection| match inspection.outcome {
            Outcome::Image { width, height, .. } => Some(preprocessing.enlargement(width, height)),
            Outcome::Bad { .. } => None,
        };
        let mut times: Vec<f64> = inspections.into_iter().filter_map(size).collect();
        times.sort_by(f64::total_cmp);
        Self {
            images: times.len(),
            much: times.iter().filter(|times| **times > MUCH).count(),
            median: times.get(times.len() / 2).copied().unwrap_or(0.0),
        }
    }

    /// The share of images that are enlarged more than [`MUCH`] times; 0 without images.
    #[cfg(test)]
    pub(crate) fn share(&self) -> f64 {
        self.much as f64 / self.images.max(1) as f64
    }

    /// What a user should know, where more than one in ten is much enlarged.
    pub(crate) fn remark(&self) -> Option<String> {
        (10 * self.much > self.images).then(|| {
            format!(
                "{} of {} images are enlarged more than {MUCH} times to fit the base's input (in the middle {:.1} times): a smaller --image-size, or a base for small images, costs less and may do better",
                self.much, self.images, self.median
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::inspect::BadKind;
    use crate::data::preprocess::{ChannelOrder, Interpolation, Resize};

    fn preprocessing(resize: Resize) -> Preprocessing {
        Preprocessing {
            height: 224,
            width: 160,
            channels: 1,
            channel_order: ChannelOrder::Rgb,
            resize,
            interpolation: Interpolation::Bilinear,
            mean: vec![0.0],
            std: vec![1.0],
            bit_depth: None,
        }
    }

    fn image(width: usize, height: usize) -> Inspection {
        let outcome = Outcome::Image {
            width,
            height,
            format: "png".into(),
            thumbnail: vec![0; 1024],
            profile: None,
            peak: None,
            unended: false,
        };
        Inspection { sha256: String::new(), bytes: 0, outcome }
    }

    #[test]
    fn a_image_grows_as_its_rule_says() {
        let stretched = preprocessing(Resize::Stretch);
        assert_eq!(stretched.enlargement(160, 56), 4.0);
        assert_eq!(stretched.enlargement(40, 224), 4.0);
        assert_eq!(stretched.enlargement(320, 448), 0.5);
        assert_eq!(preprocessing(Resize::ShortestSide(256)).enlargement(128, 1000), 2.0);
    }

    #[test]
    fn the_share_is_of_images_and_exactly_twice_is_not_much() {
        let bad = Outcome::Bad { kind: BadKind::Damaged, reason: String::new() };
        let broken = Inspection { outcome: bad, ..image(1, 1) };
        let all = [image(128, 128), image(127, 300), image(1000, 512), broken];
        let found = Enlargement::of(&all, &preprocessing(Resize::ShortestSide(256)));
        assert_eq!((found.images, found.much, found.median), (3, 1, 2.0));
        assert!((found.share() - 1.0 / 3.0).abs() < 1e-12);
        let remark = found.remark().unwrap();
        assert!(remark.contains("1 of 3") && remark.contains("2.0 times"), "{remark}");
        let large = Enlargement::of(&[image(800, 600)], &preprocessing(Resize::Stretch));
        assert_eq!(large.remark(), None);
        assert_eq!(Enlargement::of([], &preprocessing(Resize::Stretch)).share(), 0.0);
    }
}
