//! A pretrained base of any kind, as a fit sees it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;

use crate::bases::text::{
    TF_IDF_BASE, TextBase, TextBody, WordPooler, WordPooling, WordVectors, is_tf_idf, is_vectors, open_text_base,
};
use crate::bases::{Base, BaseSpec, Body, DataKind, StageCost, base_for, open, refuse_other_kind};
use crate::data::Contents;
use crate::data::enlargement::Enlargement;
use crate::data::intake::{InputKind, Intake, NO_BASE, text_reading};
use crate::data::text::{Text, check_texts, words};
use crate::data::vectors::{Encoding, VectorSet};
use crate::data::{self, Split, open_as};
use crate::error::{Error, Problem, Result};
use crate::features::{Cache, Extractor, Features, TextExtractor, extract};
use crate::heads::Metric;
use crate::methods::{FineTuned, cut_of};
use crate::progress::Observer;
use crate::settings::Fit;

/// A base of images or of texts, or none.
#[derive(Debug)]
pub enum AnyBase {
    /// Of images.
    Images(Box<Base>),
    /// Of texts.
    Texts(Arc<TextBase>),
    /// None: rows of a table are features already.
    None,
}

/// What is said of a base.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct BaseFacts {
    /// Its name.
    pub(crate) id: String,
    /// SHA-256 of its weights.
    pub(crate) sha256: String,
    /// Its network.
    pub(crate) architecture: String,
    /// Its licence.
    pub(crate) licence: String,
}

impl AnyBase {
    /// Opens the base that the settings name, for the kind of examples that there are.
    ///
    /// # Errors
    /// [`Error::Weights`] where it cannot be opened; [`Error::Usage`] for a base of rows.
    pub fn open(config: &Fit, intake: &Intake) -> Result<Self> {
        Self::of_kind(config, intake.kind(), intake.bit_depth, || intake.texts_of(&intake.usable(Split::Train)))
    }

    /// The same for examples of a kind; `texts` are those that terms are counted in.
    ///
    /// # Errors
    /// As [`AnyBase::open`].
    pub(crate) fn of_kind<'t>(
        config: &Fit,
        kind: InputKind,
        bit_depth: Option<u8>,
        texts: impl FnOnce() -> Vec<&'t Text>,
    ) -> Result<Self> {
        match kind {
            InputKind::Images => {
                let mut base = open(&BaseSpec::from(config), &Device::flex())?;
                // Part of how images become input, so that the run keeps it.
                base.card.preprocessing.bit_depth = bit_depth;
                Ok(Self::Images(Box::new(base)))
            }
            InputKind::Texts if is_tf_idf(&config.base) => {
                if config.prompt.as_ref().is_some_and(|prompt| !prompt.is_empty()) {
                    let problem = Problem::new("only encoders take a prompt").found(TF_IDF_BASE).at("--prompt");
                    return Err(Error::Usage(problem.hint("leave it out")));
                }
                Ok(Self::Texts(Arc::new(TextBase::tf_idf(&texts())?)))
            }
            InputKind::Texts => {
                let base = open_text_base(&config.base, &Device::flex())?.with_prompt(config.prompt.as_deref())?;
                Ok(Self::Texts(Arc::new(base)))
            }
            // Words and questions have places of their own in a text, and nothing in front of them.
            InputKind::Words | InputKind::Questions => {
                Ok(Self::Texts(Arc::new(open_text_base(&config.base, &Device::flex())?.with_prompt(Some(""))?)))
            }
            InputKind::Vectors if config.base == NO_BASE || config.base.is_empty() => Ok(Self::None),
            InputKind::Vectors => {
                let problem = Problem::new("rows of numbers have no pretrained base").expected(NO_BASE);
                let problem = problem.found(&config.base).at("--base");
                Err(Error::Usage(
                    problem.hint("leave it out; --text names a column of texts, --path-column one of images"),
                ))
            }
        }
    }

    /// What is said of it.
    pub(crate) fn facts(&self) -> BaseFacts {
        match self {
            Self::Images(base) => BaseFacts {
                id: base.card.id.clone(),
                sha256: base.sha256.clone(),
                architecture: base.card.architecture.name().into(),
                licence: base.card.licence.clone(),
            },
            Self::Texts(base) => BaseFacts {
                id: base.id.clone(),
                sha256: base.sha256.clone(),
                architecture: base.architecture.clone(),
                licence: base.licence.clone(),
            },
            Self::None => BaseFacts {
                id: NO_BASE.into(),
                sha256: String::new(),
                architecture: NO_BASE.into(),
                licence: String::new(),
            },
        }
    }

    /// What its stages cost for an example, a text of so many tokens; nothing where it is not known.
    pub(crate) fn costs(&self, tokens: usize) -> Option<Vec<StageCost>> {
        match self {
            Self::Images(base) => base.staged().is_ok().then(|| base.costs()),
            Self::Texts(base) => match &base.body {
                TextBody::Encoder(sentence) => Some(sentence.encoder.costs(tokens)),
                TextBody::Words(_) | TextBody::TfIdf(_) => Some(Vec::new()),
                TextBody::Lstm(_) => None,
            },
            Self::None => Some(Vec::new()),
        }
    }

    /// What the user should know about how it was found.
    pub(crate) fn remarks(&self) -> &[String] {
        match self {
            Self::Images(base) => &base.remarks,
            Self::Texts(base) => &base.remarks,
            Self::None => &[],
        }
    }

    /// The name of its last stage, whose output a head takes.
    pub(crate) fn last_stage(&self) -> String {
        match self {
            Self::Images(base) => base.stages().last().cloned().unwrap_or_default(),
            Self::Texts(_) => "pool".into(),
            Self::None => "columns".into(),
        }
    }

    /// Says what it does to the examples that one would not expect.
    pub(crate) fn tell(&self, intake: &Intake, observer: &dyn Observer) {
        self.remarks().iter().for_each(|remark| observer.say(remark));
        if let Self::Images(base) = self
            && let Some(remark) = Enlargement::of(intake.inspections(), &base.card.preprocessing).remark()
        {
            observer.say(&remark);
        }
    }

    /// Refuses a depth or stage that it does not have, before any work.
    ///
    /// # Errors
    /// [`Error::Usage`]; [`Error::Weights`] where it is frozen as a whole.
    pub(crate) fn refuse_unknown_depth(&self, config: &Fit, kind: InputKind) -> Result<()> {
        let depth = config.depth.as_str();
        match self {
            Self::Texts(base) if kind.is_of_tokens() => match &base.body {
                TextBody::Encoder(_) if ["auto", "head"].contains(&depth) => Ok(()),
                TextBody::Encoder(sentence) => cut_of(depth, &sentence.encoder, &sentence.encoder.costs(2)).map(|_| ()),
                TextBody::Words(_) if kind == InputKind::Questions => {
                    if ["auto", "head"].contains(&depth) {
                        return Ok(());
                    }
                    let what = "word vectors have no stages: the reader on them is the head";
                    let problem = Problem::new(what).found(depth).expected("head or auto").at("--depth");
                    Err(Error::Usage(problem.suggest(depth, ["head", "auto"])))
                }
                TextBody::Words(_) | TextBody::Lstm(_) | TextBody::TfIdf(_) => {
                    let problem = Problem::new(format_args!("{} cannot be learnt on this base", kind.unit()));
                    let expected = match kind {
                        InputKind::Questions => "the folder of an encoder, or a file of word vectors",
                        _ => "the folder of an encoder",
                    };
                    let found = format!("{} ({})", base.id, base.architecture);
                    Err(Error::Usage(problem.expected(expected).found(found).at("--base")))
                }
            },
            Self::Images(base) => {
                let Ok(built) = base.staged() else {
                    if config.only.is_some() || !["auto", "head"].contains(&depth) {
                        return Err(base.staged().expect_err("it has no stages"));
                    }
                    return Ok(());
                };
                let costs = base.costs();
                let names = config.only.iter().chain(Some(&config.depth));
                for name in names.filter(|name| !["auto", "head"].contains(&name.as_str())) {
                    cut_of(name, &built.network, &costs)?;
                }
                Ok(())
            }
            Self::Texts(base) => match &base.body {
                TextBody::Encoder(_) if ["auto", "head", "contrastive"].contains(&depth) => Ok(()),
                // Which stages there are does not depend on how long the texts are.
                TextBody::Encoder(sentence) => cut_of(depth, &sentence.encoder, &sentence.encoder.costs(2)).map(|_| ()),
                TextBody::Lstm(_) if !["auto", "head", "all"].contains(&depth) => {
                    let problem = Problem::new("a language model is retrained as a whole, by its own recipe");
                    let problem = problem.found(depth).expected("head, all or auto").at("--depth");
                    Err(Error::Usage(problem.suggest(depth, ["head", "all", "auto"])))
                }
                TextBody::Words(_) if !["auto", "head"].contains(&depth) => {
                    let problem = Problem::new("word vectors have no stages that could be retrained").found(depth);
                    Err(Error::Usage(problem.expected("head or auto").at("--depth").suggest(depth, ["head", "auto"])))
                }
                TextBody::TfIdf(_) if !["auto", "head"].contains(&depth) => {
                    let problem = Problem::new("TF-IDF counts words: there is no network that could be retrained");
                    let problem = problem.found(depth).expected("head or auto").at("--depth");
                    Err(Error::Usage(problem.suggest(depth, ["head", "auto"])))
                }
                TextBody::Lstm(_) | TextBody::Words(_) | TextBody::TfIdf(_) => Ok(()),
            },
            Self::None if ["auto", "head"].contains(&depth) => Ok(()),
            Self::None => {
                let problem = Problem::new("rows of numbers have no base that could be retrained").found(depth);
                Err(Error::Usage(problem.expected("head or auto").at("--depth").suggest(depth, ["head", "auto"])))
            }
        }
    }

    /// Whether it counts words of the training texts, and was never pretrained.
    pub(crate) fn is_tf_idf(&self) -> bool {
        matches!(self, Self::Texts(base) if matches!(base.body, TextBody::TfIdf(_)))
    }

    /// Why it has nothing that could be retrained; nothing where it has.
    pub(crate) fn frozen_whole(&self) -> Option<&'static str> {
        match self {
            Self::Images(base) if base.staged().is_err() => {
                Some("an ONNX model is frozen as a whole: a new head is solved on its features")
            }
            Self::Texts(base) if matches!(base.body, TextBody::Words(_)) => {
                Some("word vectors have no stages to retrain")
            }
            Self::Texts(_) if self.is_tf_idf() => Some("TF-IDF counts words: a head is solved on the counts"),
            Self::None => Some("rows of numbers have no base to retrain: a head is solved on their columns"),
            _ => None,
        }
    }

    /// The same with vectors of those words of the texts, too, whose character n-grams alone it knows, which is told.
    ///
    /// # Errors
    /// As [`WordVectors::extend`].
    pub(crate) fn with_words_of(self, intake: &Intake, observer: &dyn Observer) -> Result<Self> {
        let Self::Texts(base) = self else { return Ok(self) };
        let mut base = Arc::unwrap_or_clone(base);
        if let (TextBody::Words(vectors), Some(input)) = (&mut base.body, intake.texts())
            && vectors.has_subwords()
        {
            let parts = input.texts.iter().flat_map(|text| text.parts());
            let words: BTreeSet<String> =
                parts.flat_map(|part| words(part).map(|(_, word)| word.into_owned())).collect();
            let new = vectors.extend(words.iter().map(String::as_str))?;
            observer.say(&format!("words whose vectors are made of their character n-grams: {new}"));
        }
        Ok(Self::Texts(Arc::new(base)))
    }

    /// The same with other weights.
    #[must_use]
    pub(crate) fn with(self, grown: FineTuned) -> Self {
        match (self, grown) {
            (Self::Images(mut base), FineTuned::Network(network)) => {
                if let Body::Stages(built) = &mut base.body {
                    built.network = *network;
                }
                Self::Images(base)
            }
            (_, FineTuned::Text(base)) => Self::Texts(base),
            (Self::Texts(_) | Self::None, FineTuned::Network(_)) => unreachable!("a base keeps its kind"),
        }
    }

    /// The ways in which it gives features: one, or for word vectors one for each way to pool them.
    ///
    /// # Errors
    /// [`Error::Usage`] where a way is asked for that it does not have.
    pub(crate) fn readings(&self, config: &Fit, intake: &Intake, train: &[usize]) -> Result<Vec<Reading>> {
        let mut asked = config.pooling.as_deref().map(str::parse::<WordPooling>).transpose()?;
        let found: Vec<Reading> = match self {
            Self::Images(base) => vec![Reading::Images(Box::new(Extractor::to_features(base, &Device::flex())?))],
            Self::Texts(base) => match &base.body {
                TextBody::Words(vectors) => {
                    if intake.kind().is_of_tokens() {
                        // Features tell what is unlike the training data, and nothing else.
                        asked = Some(WordPooling::Mean);
                    }
                    let texts = intake.texts_of(train);
                    let all =
                        WordPooling::ALL.into_iter().filter(|pooling| asked.is_none_or(|asked| asked == *pooling));
                    return Ok(all.map(|pooling| pooled(base, vectors, &texts, pooling)).collect());
                }
                _ => vec![Reading::Texts(Box::new(TextExtractor::new(base)), None)],
            },
            Self::None => vec![Reading::Vectors(Box::new(Encoding::fit(rows_of(intake)?, train)?))],
        };
        if asked.is_some() {
            let problem =
                Problem::new("only word vectors are pooled in ways to choose from").found(self.facts().architecture);
            return Err(Error::Usage(problem.expected("no --pooling")));
        }
        Ok(found)
    }

    /// How it gives features of examples that nothing is learnt from: word vectors by their mean. Rows have an encoding, and no base.
    ///
    /// # Errors
    /// As [`Extractor::to_features`].
    pub(crate) fn plain_reading(&self, texts: &[&Text]) -> Result<Reading> {
        match self {
            Self::Texts(base) => Ok(match &base.body {
                TextBody::Words(vectors) => pooled(base, vectors, texts, WordPooling::Mean),
                _ => Reading::Texts(Box::new(TextExtractor::new(base)), None),
            }),
            Self::Images(_) | Self::None => self.own_reading(),
        }
    }

    /// How it gives features once its weights are nobody else's.
    ///
    /// # Errors
    /// As [`Extractor::to_features`].
    pub(crate) fn own_reading(&self) -> Result<Reading> {
        Ok(match self {
            Self::Images(base) => Reading::Images(Box::new(Extractor::to_features(base, &Device::flex())?)),
            Self::Texts(base) => Reading::Texts(Box::new(TextExtractor::new(base).uncached()), None),
            Self::None => {
                return Err(Error::Usage(Problem::new("rows of numbers have no base that could be retrained")));
            }
        })
    }
}

/// Word vectors, pooled in a way that is fitted to some texts.
fn pooled(base: &Arc<TextBase>, vectors: &WordVectors, texts: &[&Text], pooling: WordPooling) -> Reading {
    let pairs = texts.iter().any(|text| text.second.is_some());
    let pooler = Some(vectors.pooler(texts, pooling));
    Reading::Texts(Box::new(TextExtractor::new(base).with_pooler(pooler, pairs)), Some(pooling))
}

/// The settings that are usual for a kind of input, on a base of this name.
pub fn usual_settings(kind: InputKind, base: &str) -> Fit {
    match kind {
        InputKind::Images | InputKind::Vectors => Fit::default(),
        InputKind::Texts => Fit::for_texts(),
        InputKind::Words | InputKind::Questions if is_vectors(Path::new(base)) => Fit::for_word_reader(),
        InputKind::Words | InputKind::Questions => Fit::for_tokens(),
    }
}

/// The settings of a fit with the base that fits the data, which is of the kind `input`, where none is named. What was
/// decided is said.
///
/// # Errors
/// [`Error::Data`] where the data cannot be opened; [`Error::Weights`] where no base that fits is on this machine.
pub fn with_base(mut config: Fit, input: InputKind, observer: &dyn Observer) -> Result<Fit> {
    match input {
        InputKind::Vectors if config.base.is_empty() => {
            config.base = NO_BASE.into();
            observer.say(
                "the data is read as rows of numbers and categories; --text names a column of texts, --path-column one of images",
            );
        }
        // Before anything that only texts have is missed.
        InputKind::Texts if config.text.is_none() => {
            observer.say(
                "the data is read as texts; --text names their column, --path-column a column of images, and --base none reads \
                 rows of numbers and categories",
            );
        }
        _ => {}
    }
    if input == InputKind::Vectors {
        return Ok(config);
    }
    if let Err(other_kind) = refuse_other_kind(&config.base, input.is_of_texts(), input.unit()) {
        // What is of no other kind is taken for images: whether it is that is told first, and so is what cannot be read.
        match input {
            InputKind::Images => drop(open_as(&config.data, &data::Reading::of(&config)?)?),
            InputKind::Texts => check_texts(&config.data, &text_reading(&config)?)?,
            _ => {}
        }
        return Err(other_kind);
    }
    let kind = || {
        if input.is_of_texts() {
            return Ok(DataKind::Texts);
        }
        kind_of_images(&config)
    };
    match base_for(Some(&config.base), kind, observer) {
        Ok(base) => config.base = base,
        Err(no_base) => {
            // No base helps where the data cannot be read.
            if input == InputKind::Texts {
                check_texts(&config.data, &text_reading(&config)?)?;
            }
            return Err(no_base);
        }
    }
    Ok(config)
}

/// What the images of a fit's data are.
///
/// # Errors
/// [`Error::Data`] where the data cannot be opened.
pub(crate) fn kind_of_images(config: &Fit) -> Result<DataKind> {
    let opened = open_as(&config.data, &data::Reading::of(config)?)?;
    let images: Vec<_> = opened.dataset.examples.into_iter().map(|example| example.source).collect();
    Ok(DataKind::of_images(&images))
}

/// A way in which a base gives features of examples.
pub enum Reading {
    /// Of images.
    Images(Box<Extractor>),
    /// Of texts, and how word vectors are pooled.
    Texts(Box<TextExtractor>, Option<WordPooling>),
    /// Of rows.
    Vectors(Box<Encoding>),
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Images(_) => "Images",
            Self::Texts(..) => "Texts",
            Self::Vectors(_) => "Vectors",
        })
    }
}

/// The rows that a base of none reads.
fn rows_of(intake: &Intake) -> Result<&VectorSet> {
    intake.vectors().ok_or_else(|| {
        let problem = Problem::new("only rows of numbers are learnt from without a base").found(intake.unit());
        Error::Usage(problem.at("--base").hint("name a base, or leave it out"))
    })
}

impl Reading {
    /// Features `[examples, columns]`.
    ///
    /// # Errors
    /// Examples that cannot be read any more, features that are not finite, interruption.
    pub(crate) fn features(
        &self,
        intake: &Intake,
        examples: &[usize],
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Features> {
        let contents = match self {
            Self::Images(_) => Contents::Images(intake.images(examples)),
            Self::Texts(..) => Contents::Texts(intake.texts_of(examples), intake.digests_of(examples)),
            Self::Vectors(_) => Contents::Rows(rows_of(intake)?, examples.to_vec()),
        };
        self.features_of(&contents, cache, observer)
    }

    /// Features `[examples, columns]` of what is in examples, labelled or not.
    ///
    /// # Errors
    /// As [`Reading::features`]; [`Error::Usage`] where it reads contents of another kind.
    pub(crate) fn features_of(
        &self,
        contents: &Contents<'_>,
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Features> {
        match (self, contents) {
            (Self::Images(extractor), Contents::Images(images)) => extract(extractor, images, cache, observer),
            (Self::Texts(extractor, _), Contents::Texts(texts, digests)) => {
                extractor.extract(texts, digests, cache, observer)
            }
            (Self::Vectors(encoding), Contents::Rows(set, rows)) => {
                Features::new(rows.len(), encoding.columns(), encoding.values(set, rows)?)
            }
            _ => Err(Error::Usage(Problem::new("the base reads other inputs than these"))),
        }
    }

    /// What is different in examples from what it learnt its ways from, and what is made of it.
    ///
    /// # Errors
    /// As [`Encoding::align`].
    pub(crate) fn remarks(&self, intake: &Intake, examples: &[usize]) -> Result<Vec<String>> {
        match self {
            Self::Images(_) | Self::Texts(..) => Ok(Vec::new()),
            Self::Vectors(encoding) => encoding.align(&rows_of(intake)?.rows_only(examples)),
        }
    }

    /// How far apart two examples are, by their features.
    pub(crate) fn metric(&self) -> Metric {
        match self {
            Self::Images(_) | Self::Texts(..) => Metric::Direction,
            Self::Vectors(_) => Metric::Distance,
        }
    }

    /// What reads texts, where they are texts.
    pub(crate) fn of_texts(&self) -> Option<&TextExtractor> {
        match self {
            Self::Texts(extractor, _) => Some(extractor),
            Self::Images(_) | Self::Vectors(_) => None,
        }
    }

    /// How rows of a table become numbers.
    pub(crate) fn encoding(&self) -> Option<&Encoding> {
        if let Self::Vectors(encoding) = self { Some(encoding) } else { None }
    }

    /// How word vectors are pooled.
    pub(crate) fn pooler(&self) -> Option<&WordPooler> {
        self.of_texts().and_then(TextExtractor::pooler)
    }

    /// Its name, where a base has several.
    pub(crate) fn name(&self) -> Option<WordPooling> {
        match self {
            Self::Texts(_, pooling) => *pooling,
            Self::Images(_) | Self::Vectors(_) => None,
        }
    }
}
