//! Answers of a base by its own classifier, in its own classes: before any transfer.

use burn::tensor::Device;

use crate::bases::{BaseSpec, Runner, open};
use crate::data::ImageSource;
use crate::data::image::Limits;
use crate::error::{Error, Problem, Result};
use crate::features::ImageReader;
use crate::heads::softmax;
use crate::targets::Answer;
use crate::train::argmax;

/// A base that answers in its own classes.
pub struct OwnClasses {
    runner: Runner,
    remarks: Vec<String>,
    classes: Vec<String>,
    reader: ImageReader,
}

impl OwnClasses {
    /// Opens a base with a classifier.
    ///
    /// # Errors
    /// [`Error::Weights`] for a base without one, or whose classes are not as many as the card's names.
    pub fn open(spec: &BaseSpec, device: &Device) -> Result<Self> {
        let base = open(spec, device)?;
        let reader = ImageReader::new(&base, Limits::default());
        let runner = base.classifier().ok_or_else(|| {
            let problem = Problem::new("the base has no classifier of its own").at(&spec.base);
            Error::Weights(problem.hint("`engraft fit` makes one from labelled images"))
        })?;
        let blank = vec![0.0; base.card.preprocessing.shape().iter().product()];
        let outputs = logits(&runner, blank)?;
        let mut classes = base.card.class_names();
        if classes.is_empty() {
            classes = (0..outputs.len()).map(|class| format!("class {class}")).collect();
        }
        if classes.len() != outputs.len() {
            return Err(Error::Weights(
                Problem::new("the card names other classes than the classifier has")
                    .expected(format_args!("{} names", outputs.len()))
                    .found(format_args!("{} names", classes.len()))
                    .at(&spec.base),
            ));
        }
        Ok(Self { runner, remarks: base.remarks, classes, reader })
    }

    /// Bits that images of 16 bits a channel are read by, where those are fewer.
    pub fn bit_depth(&self) -> Option<u8> {
        self.reader.bit_depth()
    }

    /// Reads images of 16 bits a channel by so many of them from now on.
    pub fn set_bit_depth(&mut self, depth: Option<u8>) {
        self.reader.set_bit_depth(depth);
    }

    /// What the user should know about how the base was found.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Names of the classes, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The answer to an image.
    pub fn answer(&self, image: &ImageSource) -> Result<Answer> {
        let values = self.reader.prepared(&self.reader.read(image)?)?;
        let logits: Vec<f64> = logits(&self.runner, values)?.into_iter().map(f64::from).collect();
        let probabilities: Vec<f32> = softmax(&logits, 1.0).into_iter().map(|p| p as f32).collect();
        let class = argmax(&probabilities);
        Ok(Answer { class, unsure: false, unlike: false, distance: None, probabilities })
    }
}

fn logits(runner: &Runner, image: Vec<f32>) -> Result<Vec<f32>> {
    Ok(runner.rows(&[image])?.into_iter().next().unwrap_or_default())
}
