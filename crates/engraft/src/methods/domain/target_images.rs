//! A target's images and the base that made features of them, for the methods that change the base.

use burn::tensor::Device;

use super::batch_norms::Images;
use crate::bases::{Base, Network};
use crate::data::image::Limits;
use crate::data::{Contents, ImageSource};
use crate::error::Result;
use crate::features::{Extractor, Features, ImageReader, extract, prepared_unchanged};
use crate::progress::Observer;

/// Images of a target, and a base.
pub(crate) struct TargetImages<'a> {
    base: &'a Base,
    reader: ImageReader,
    /// Each with the SHA-256 of its bytes.
    images: Vec<(ImageSource, String)>,
}

/// A base with other weights.
#[derive(Debug)]
pub(crate) struct ChangedBase {
    pub(crate) network: Network,
    /// What it makes of the target's images.
    pub(crate) features: Features,
}

impl<'a> TargetImages<'a> {
    /// Of what is in a target, where that is images.
    pub(crate) fn of(base: &'a Base, contents: Contents<'_>) -> Option<Self> {
        let Contents::Images(images) = contents else { return None };
        Some(Self { base, reader: ImageReader::new(base, Limits::default()), images })
    }

    /// The base's network; none where it is frozen as a whole.
    pub(super) fn network(&self) -> Option<&Network> {
        self.base.staged().ok().map(|built| &built.network)
    }

    /// The images as the base's input.
    pub(super) fn prepared(&self) -> Images<'_> {
        let p = &self.base.card.preprocessing;
        let image = |at: usize| {
            let (image, sha256): &(ImageSource, String) = &self.images[at];
            prepared_unchanged(&self.reader, image, sha256)
        };
        Images { count: self.images.len(), shape: [p.height, p.width, p.channels], image: Box::new(image) }
    }

    /// The base with a changed network.
    ///
    /// # Errors
    /// Features that are not finite; images that changed; interruption.
    pub(super) fn changed(&self, network: Network, observer: &dyn Observer) -> Result<ChangedBase> {
        let base = self.base.with_network(network.clone())?;
        let extractor = Extractor::to_features(&base, &Device::flex())?;
        // It is made once, and a cache is for what is made again.
        let features = extract(&extractor, &self.images, None, observer)?;
        Ok(ChangedBase { network, features })
    }
}
