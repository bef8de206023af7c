//! What a base is trained on: the images or texts of a training set, and where training starts from.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use engraft_weights::{Precision, Weights};

use crate::bases::text::{SentenceEncoder, TextBase, TextBody, TextEncoder};
use crate::bases::{Base, Mode, Network, StageCost};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::features::{Cache, Features, TextExtractor};
use crate::heads::ReaderSizes;
use crate::methods::activations::{Activations, KeyedImages, Views};
use crate::methods::body::Body;
use crate::methods::text_states::TextStates;
use crate::methods::tokens::TokenSet;
use crate::progress::{Observer, Silent};

/// The examples of a training set, and the base that reads them.
#[derive(Clone, Copy)]
pub enum Material<'a> {
    /// Images.
    Images {
        /// The base.
        base: &'a Base,
        /// The images.
        shown: KeyedImages<'a>,
        /// Views of each.
        views: &'a Views,
        /// Where activations are kept.
        cache: Option<&'a Cache>,
    },
    /// Texts.
    Texts {
        /// The base.
        base: &'a Arc<TextBase>,
        /// The texts.
        texts: &'a [&'a Text],
        /// Their mean number of tokens.
        tokens: usize,
        /// Pairs of a contrastive training; 0 for the usual number.
        pairs: usize,
    },
    /// Tokens of sentences, or of questions and paragraphs.
    Tokens {
        /// The base.
        base: &'a Arc<TextBase>,
        /// The examples as the base reads them.
        set: &'a TokenSet<'a>,
        /// Sizes of a reader, where the base is word vectors.
        reader: Option<ReaderSizes>,
        /// What the examples are called.
        unit: &'static str,
    },
}

impl<'a> Material<'a> {
    /// What the examples are called, on a progress bar.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Material::Images { .. } => "images",
            Material::Texts { .. } => "texts",
            Material::Tokens { unit, .. } => unit,
        }
    }

    /// Rows and columns of an image; nothing of texts.
    pub(crate) fn input(&self) -> [usize; 2] {
        match self {
            Material::Images { base, .. } => base.input(),
            Material::Texts { .. } | Material::Tokens { .. } => [0; 2],
        }
    }

    /// Numbers that a head takes, where the base gives so many features.
    pub(crate) fn columns(&self, features: usize) -> usize {
        match self {
            Material::Tokens { base, .. } => {
                sentence_of(base).map_or_else(|_| base.columns(), |sentence| sentence.encoder.width())
            }
            _ => features,
        }
    }

    /// The base's stages, as they are before any training.
    ///
    /// # Errors
    /// [`Error`] where the base has no stages that could be trained.
    pub(crate) fn body(&self) -> Result<Body> {
        match self {
            Material::Images { base, .. } => Ok(Body::Network(base.staged()?.network.clone())),
            Material::Texts { base, .. } | Material::Tokens { base, .. } => {
                Ok(Body::Encoder(sentence_of(base)?.encoder.clone()))
            }
        }
    }

    /// The same on another device: with gradients to train, without to answer.
    pub(crate) fn on(&self, body: &Body, device: &Device) -> Result<Body> {
        match (self, body) {
            (Material::Images { base, .. }, Body::Network(network)) => {
                network_on(base, network, device).map(Body::Network)
            }
            (Material::Texts { base, .. } | Material::Tokens { base, .. }, Body::Encoder(encoder)) => {
                let config = &sentence_of(base)?.config;
                Ok(Body::Encoder(TextEncoder::of_tensors(config, encoder.tensors(), device)))
            }
            _ => unreachable!("a base's stages are of its own kind"),
        }
    }

    /// Cost of each stage for one example.
    pub(crate) fn costs(&self) -> Vec<StageCost> {
        match self {
            Material::Images { base, .. } => base.costs(),
            Material::Texts { base, tokens, .. } => match &base.body {
                TextBody::Encoder(sentence) => sentence.encoder.costs((*tokens).max(2)),
                _ => Vec::new(),
            },
            Material::Tokens { base, set, .. } => {
                let Ok(sentence) = sentence_of(base) else { return Vec::new() };
                let mut costs = sentence.encoder.costs(set.tokens());
                let units = set.units_of_each();
                costs.iter_mut().for_each(|cost| cost.multiply_adds = (cost.multiply_adds as f64 * units) as u64);
                costs
            }
        }
    }

    /// How often each example runs through the frozen stages.
    pub(crate) fn views(&self) -> usize {
        match self {
            Material::Images { views, .. } => views.count,
            Material::Texts { .. } | Material::Tokens { .. } => 1,
        }
    }

    /// The examples at a cut.
    ///
    /// # Errors
    /// Examples that cannot be read any more, interruption.
    pub fn at(&self, cut: usize, observer: &dyn Observer) -> Result<AtCut<'a>> {
        match *self {
            Material::Images { base, shown, views, cache } => {
                Activations::new(base, cut, shown, views.clone(), cache, observer).map(|at| AtCut::Images(Box::new(at)))
            }
            Material::Texts { base, texts, .. } => {
                let sentence = sentence_of(base)?;
                let states = Box::new(TextStates::new(sentence, texts, cut, observer)?);
                Ok(AtCut::Texts { states, sentence, texts })
            }
            Material::Tokens { base, set, .. } => {
                let Ok(sentence) = sentence_of(base) else { return Ok(AtCut::Tokens { states: None, set }) };
                // Tokens go through all stages but the pooling.
                let cut = cut.min(sentence.encoder.stages().len() - 1);
                let states = TextStates::of(sentence, set.encoded.clone(), cut, observer)?;
                Ok(AtCut::Tokens { states: Some(Box::new(states)), set })
            }
        }
    }
}

/// The encoder of a base of texts.
///
/// # Errors
/// [`Error::Usage`] where it is none.
pub(crate) fn sentence_of(base: &TextBase) -> Result<&SentenceEncoder> {
    match &base.body {
        TextBody::Encoder(sentence) => Ok(sentence),
        _ => {
            let problem = Problem::new("this base has no blocks to cut between").found(&base.architecture);
            Err(Error::Usage(problem.expected("an encoder").hint("choose --depth head, all or auto")))
        }
    }
}

/// A network of a base on another device, by its weights.
fn network_on(base: &Base, network: &Network, device: &Device) -> Result<Network> {
    let tensors = base.staged()?.manifest.export(network, Precision::F32);
    let weights = Weights { tensors, ..Weights::default() };
    Ok(Network::from_weights(&base.card, &weights, device)?.network.exact(base.exact))
}

/// Examples at a cut of their base.
pub enum AtCut<'a> {
    /// Images.
    Images(Box<Activations<'a>>),
    /// Texts.
    Texts {
        /// At the cut.
        states: Box<TextStates>,
        /// What reads them.
        sentence: &'a SentenceEncoder,
        /// The texts themselves.
        texts: &'a [&'a Text],
    },
    /// Tokens.
    Tokens {
        /// At the cut; nothing where a reader reads word vectors.
        states: Option<Box<TextStates>>,
        /// The examples and their units.
        set: &'a TokenSet<'a>,
    },
}

/// Examples that run together where a curve is measured.
const BATCH: usize = 32;

impl AtCut<'_> {
    /// Features `[examples, columns]` by the stages after the cut, as the loop measures them.
    ///
    /// # Errors
    /// Interruption; examples that cannot be read any more.
    pub(crate) fn features(
        &self,
        body: &Body,
        examples: &[usize],
        input: [usize; 2],
        observer: &dyn Observer,
    ) -> Result<Features> {
        match (self, body) {
            (AtCut::Images(activations), Body::Network(network)) => {
                observer.check()?;
                activations.features(network, examples, input)
            }
            (AtCut::Texts { states, sentence, .. }, Body::Encoder(encoder)) => {
                let mut values = Vec::new();
                for batch in examples.chunks(BATCH) {
                    observer.check()?;
                    let some: Tensor<2> = states.features(encoder, sentence, batch, |_| Mode::Frozen, &Device::flex());
                    values.extend(some.into_data().try_to_vec::<f32>().expect("features are f32"));
                }
                Features::new(examples.len(), values.len() / examples.len().max(1), values)
            }
            _ => unreachable!("stages read examples of their own kind"),
        }
    }

    /// What a training on some examples goes through: themselves, or the units of their tokens.
    pub(crate) fn units(&self, examples: &[usize]) -> Vec<usize> {
        match self {
            AtCut::Tokens { set, .. } => set.units(examples),
            _ => examples.to_vec(),
        }
    }

    /// An example, or a unit of tokens, in words.
    pub(crate) fn describe(&self, example: usize) -> String {
        match self {
            AtCut::Images(activations) => activations.describe(example),
            AtCut::Texts { texts, .. } => {
                format!("“{}”", texts[example].first.chars().take(60).collect::<String>())
            }
            AtCut::Tokens { set, .. } => set.describe(example),
        }
    }
}

/// A base with other weights.
#[derive(Debug, Clone)]
pub enum FineTuned {
    /// The stages of a base of images, for evaluation.
    Network(Box<Network>),
    /// A base of texts.
    Text(Arc<TextBase>),
}

impl FineTuned {
    /// A base whose stages are these.
    pub(crate) fn of(material: &Material<'_>, body: Body) -> Self {
        match (material, body) {
            (Material::Texts { base, .. } | Material::Tokens { base, .. }, Body::Encoder(encoder)) => {
                FineTuned::Text(with_encoder(base, encoder))
            }
            (_, Body::Network(network)) => FineTuned::Network(Box::new(network)),
            _ => unreachable!("a base's stages are of its own kind"),
        }
    }

    /// Features of examples by the new weights, as the run will give them. `at` are the examples at a cut before the first
    /// stage that changed, where there are images.
    ///
    /// # Errors
    /// Examples that cannot be read any more; features that are not finite.
    pub(crate) fn features(
        &self,
        material: &Material<'_>,
        at: Option<&AtCut<'_>>,
        examples: &[usize],
    ) -> Result<Features> {
        match (self, material, at) {
            (FineTuned::Network(network), Material::Images { base, .. }, Some(AtCut::Images(activations))) => {
                activations.features(network, examples, base.input())
            }
            (FineTuned::Text(base), Material::Texts { texts, .. }, _) => {
                features_by(base, &examples.iter().map(|&at| texts[at]).collect::<Vec<_>>())
            }
            (FineTuned::Text(base), Material::Tokens { set, .. }, _) => {
                features_by(base, &examples.iter().map(|&at| set.texts[at]).collect::<Vec<_>>())
            }
            _ => unreachable!("a base reads examples of its own kind"),
        }
    }
}

/// Features of texts by a base that is nobody else's, texts of like length together.
pub(crate) fn features_by(base: &Arc<TextBase>, texts: &[&Text]) -> Result<Features> {
    let digests: Vec<String> = (0..texts.len()).map(|at| at.to_string()).collect();
    TextExtractor::new(base).uncached().extract(texts, &digests, None, &Silent)
}

/// The base with other weights of its encoder.
pub(crate) fn with_encoder(base: &TextBase, encoder: TextEncoder) -> Arc<TextBase> {
    let TextBody::Encoder(sentence) = &base.body else { unreachable!("only an encoder is given other weights") };
    let body = TextBody::Encoder(Box::new(SentenceEncoder { encoder, ..(**sentence).clone() }));
    Arc::new(TextBase { body, ..base.clone() })
}
