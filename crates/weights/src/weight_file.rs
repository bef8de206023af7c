//! A weight file whose numbers are read tensor by tensor.

use std::borrow::Cow;

use crate::element::Order;
use crate::source::Source;
use crate::{Error, Format, Tensor, Weights, archive, keras, not_weights, pytorch, safetensors_file, sniff};

/// Named tensors whose numbers are asked for one by one.
pub trait Tensors {
    /// Every tensor's name, shape and precision, and the metadata. The numbers may be left out ([`Tensor::values`] is
    /// empty).
    fn headers(&self) -> &Weights;

    /// A tensor with its numbers, if there is one of this name.
    ///
    /// # Errors
    /// [`Error`] where the numbers cannot be read.
    fn tensor(&self, name: &str) -> Result<Option<Cow<'_, Tensor>>, Error>;

    /// The same for somebody who asks for every tensor once and keeps it.
    ///
    /// # Errors
    /// As [`Tensors::tensor`].
    fn take(&mut self, name: &str) -> Result<Option<Tensor>, Error> {
        Ok(self.tensor(name)?.map(Cow::into_owned))
    }
}

impl Tensors for Weights {
    fn headers(&self) -> &Weights {
        self
    }

    fn tensor(&self, name: &str) -> Result<Option<Cow<'_, Tensor>>, Error> {
        Ok(self.tensors.get(name).map(Cow::Borrowed))
    }

    fn take(&mut self, name: &str) -> Result<Option<Tensor>, Error> {
        Ok(self.tensors.remove(name))
    }
}

/// An open weight file: everything but the numbers, which are read when they are asked for.
#[derive(Debug)]
pub struct WeightFile<'a> {
    headers: Weights,
    numbers: Numbers<'a>,
}

#[derive(Debug)]
enum Numbers<'a> {
    Safetensors(safetensors_file::Places<'a>),
    PyTorch(pytorch::Views<'a>),
    /// They are in the headers.
    Read,
}

impl<'a> WeightFile<'a> {
    /// Reads everything but the numbers of a file, whatever [`Format`] it is of, and checks that every tensor's numbers
    /// are in the file and within its budget.
    ///
    /// # Errors
    /// As [`crate::read`].
    pub fn open(source: impl Into<Source<'a>>) -> Result<Self, Error> {
        let source = source.into();
        // Copied, so that the source can go where the numbers are read from.
        let head = source.head()?.into_owned();
        if sniff::is_zip(&head) {
            let archive = archive::Archive::open(source)?;
            return match sniff::archive_format(&archive) {
                Some(Format::KerasZip) => keras::read_archive(&archive).map(Self::read),
                Some(_) => pytorch::open_archive(&archive).map(Self::pytorch),
                None => Err(not_weights::zip(&archive)),
            };
        }
        match sniff::of_head(&head) {
            Some(Format::PyTorchLegacy) => pytorch::open_legacy(source).map(Self::pytorch),
            Some(Format::KerasH5) => keras::read(source).map(Self::read),
            Some(Format::Onnx) => {
                let found = "an ONNX model, which is used whole, as a frozen base".into();
                Err(Error::Format { found, remedy: "" })
            }
            Some(Format::TfLite) => Err(Error::Format {
                found: "a TensorFlow Lite model".into(),
                remedy: "take the weights that it was made of, or export the model to ONNX",
            }),
            format => match not_weights::named(&head, source.length()).filter(|_| format.is_none()) {
                Some(error) => Err(error),
                // What begins as a header, whole or damaged, is told as one.
                None if format.is_none() && head.get(8).is_some_and(|&byte| byte != b'{') => {
                    Err(not_weights::unknown(&head))
                }
                None => {
                    let (headers, places) = safetensors_file::open(source)?;
                    Ok(Self { headers, numbers: Numbers::Safetensors(places) })
                }
            },
        }
    }

    fn read(weights: Weights) -> Self {
        Self { headers: weights, numbers: Numbers::Read }
    }

    fn pytorch((headers, views): (Weights, pytorch::Views<'a>)) -> Self {
        Self { headers, numbers: Numbers::PyTorch(views) }
    }

    /// Reads all numbers.
    ///
    /// # Errors
    /// [`Error`] where they cannot be read.
    pub fn into_weights(mut self) -> Result<Weights, Error> {
        let mut weights = std::mem::take(&mut self.headers);
        for (name, tensor) in &mut weights.tensors {
            if let Some(values) = self.values(name)? {
                tensor.values = values;
            }
        }
        Ok(weights)
    }

    /// The numbers of a tensor that are not in the headers.
    fn values(&self, name: &str) -> Result<Option<Vec<f32>>, Error> {
        match &self.numbers {
            Numbers::Safetensors(places) => match places.get(name) {
                Some((place, element)) => {
                    element.check(name)?;
                    element.read(place, Order::Little).map(Some)
                }
                None => Ok(None),
            },
            Numbers::PyTorch(views) => views.values(name),
            Numbers::Read => Ok(None),
        }
    }
}

impl Tensors for WeightFile<'_> {
    fn headers(&self) -> &Weights {
        &self.headers
    }

    fn tensor(&self, name: &str) -> Result<Option<Cow<'_, Tensor>>, Error> {
        let Some(header) = self.headers.tensors.get(name) else { return Ok(None) };
        Ok(Some(match self.values(name)? {
            Some(values) => Cow::Owned(Tensor { values, ..header.clone() }),
            None => Cow::Borrowed(header),
        }))
    }
}
