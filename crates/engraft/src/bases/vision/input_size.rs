//! Opening a base for images of another size than its card's.

use crate::bases::card::Card;
use crate::bases::vision::architecture::Architecture;
use crate::data::preprocess::{LARGEST, Preprocessing};
use crate::error::{Error, Problem, Result};

impl Card {
    /// The card for an input whose shorter side is `pixels`: the other side, and the shorter side before the cut, in
    /// the card's proportions. Every architecture pools over the whole of its last map, so that the features keep their
    /// length; how good they are at another scale is for the evaluation to say.
    ///
    /// # Errors
    /// [`Error::Usage`] where the architecture needs larger images.
    pub(crate) fn for_image_size(mut self, pixels: usize) -> Result<Self> {
        let Preprocessing { height, width, .. } = self.preprocessing;
        // Beyond the largest it is refused, whatever the proportions.
        let [rows, columns] = in_proportion([height, width], pixels.min(LARGEST + 1));
        let smallest = self.architecture.smallest_input();
        if pixels < smallest || rows.max(columns) > LARGEST {
            let name = if self.architecture == Architecture::ONNX { "the model" } else { self.architecture.name() };
            let problem = Problem::new("the image size does not suit the base");
            let problem = problem.expected(format_args!("{smallest} to {LARGEST} pixels for {name}"));
            return Err(Error::Usage(problem.found(format_args!("{pixels} pixels")).at("--image-size")));
        }
        self.preprocessing.scale_to([rows, columns]);
        Ok(self)
    }
}

/// Rows and columns whose shorter side is `pixels`.
fn in_proportion([height, width]: [usize; 2], pixels: usize) -> [usize; 2] {
    let shorter = height.min(width).max(1);
    [height, width].map(|side| (side * pixels + shorter / 2) / shorter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::Network;
    use crate::data::preprocess::Resize;
    use burn::tensor::Device;

    #[test]
    fn proportions_and_the_centre_are_kept() {
        let card = Card::usual(Architecture::MOBILENET_V2, "x".into()).for_image_size(112).unwrap();
        assert_eq!(card.preprocessing.shape(), [112, 112, 3]);
        assert_eq!(card.preprocessing.resize, Resize::ShortestSide(128));
        assert_eq!(in_proportion([90, 120], 60), [60, 80]);
        assert_eq!(in_proportion([120, 90], 60), [80, 60]);
    }

    #[test]
    fn what_is_too_small_or_too_large_is_refused() {
        for (architecture, pixels, least) in [
            (Architecture::INCEPTION_V3, 74, "75 to 4096 pixels for inception_v3"),
            (Architecture::MOBILENET_V2, 0, "32 to 4096"),
            (Architecture::MOBILENET_V2, 4097, "32 to 4096"),
            (Architecture::MOBILENET_V2, usize::MAX, "32 to 4096"),
        ] {
            let error = Card::usual(architecture, "x".into()).for_image_size(pixels).unwrap_err();
            assert!(matches!(error, Error::Usage(_)));
            assert!(error.to_string().contains(least), "{error}");
        }
    }

    /// At every size from the smallest on the features have one length: every network pools over its last map.
    #[test]
    fn every_architecture_takes_every_size() {
        for architecture in Architecture::ALL {
            // The largest differ from the smaller of their family in repeats alone.
            if architecture.name().contains("152") || architecture.name().contains("101") {
                continue;
            }
            let smallest = architecture.smallest_input();
            let network = Network::random(&Card::usual(architecture, "x".into()), 2, 0, &Device::flex()).network;
            for side in [smallest, smallest + 1, smallest + 17, 160] {
                let last = network.costs([side, side + 5]).pop().unwrap();
                assert_eq!(last.columns(), network.features_len(), "{} at {side}", architecture.name());
            }
        }
    }
}
