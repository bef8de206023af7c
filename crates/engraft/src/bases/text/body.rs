//! What all bases of texts have in common.

use burn::tensor::Tensor;

use crate::bases::text::prompt::LONGEST;
use crate::bases::text::{SentenceEncoder, TF_IDF_BASE, TextBase, TextBody, TfIdf, WordPooling, terms_for};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::files;

impl TextBase {
    /// Length of the features of one text; of word vectors, of a text that is not a pair.
    pub(crate) fn columns(&self) -> usize {
        match &self.body {
            TextBody::Encoder(sentence) => sentence.columns(),
            TextBody::Words(vectors) => vectors.columns(),
            TextBody::Lstm(model) => model.columns(),
            TextBody::TfIdf(counted) => counted.columns(),
        }
    }

    /// What decides the features: the weights, and how they are used.
    pub(crate) fn fingerprint(&self) -> String {
        let how = match &self.body {
            TextBody::Encoder(sentence) => {
                let tokenizer = files::sha256_hex(&sentence.tokenizer.to_bytes());
                serde_json::json!({ "config": sentence.config, "layout": sentence.layout, "tokenizer": tokenizer })
            }
            TextBody::Words(_) => serde_json::json!("words"),
            TextBody::TfIdf(_) => serde_json::json!("tfidf"),
            TextBody::Lstm(model) => serde_json::json!({ "limit": model.limit }),
        };
        files::sha256_hex(format!("{}/{how}", self.sha256).as_bytes())
    }

    /// Whether the vocabulary has a lower-case word whole.
    pub(crate) fn knows(&self, word: &str) -> bool {
        match &self.body {
            TextBody::Encoder(sentence) => sentence.knows(word),
            TextBody::Words(vectors) => vectors.find(word).is_some(),
            TextBody::TfIdf(counted) => counted.knows(word),
            TextBody::Lstm(model) => model.model.vocabulary.number(word).is_some(),
        }
    }
}

impl TextBase {
    /// With this prompt in place of the encoder's own; with that where none is said.
    ///
    /// # Errors
    /// [`Error::Usage`] for a prompt to something else than an encoder, or one that is too long; [`Error::Weights`] where the
    /// encoder leaves prompts out of its pooling.
    pub fn with_prompt(mut self, prompt: Option<&str>) -> Result<Self> {
        let Some(prompt) = prompt else { return self.checked_prompt() };
        match &mut self.body {
            TextBody::Encoder(sentence) if prompt.len() <= LONGEST => {
                if sentence.layout.prompt != prompt {
                    self.remarks.retain(|remark| !remark.contains("--prompt"));
                }
                prompt.clone_into(&mut sentence.layout.prompt);
            }
            TextBody::Encoder(_) => {
                let problem = Problem::new("the prompt is too long").expected(format_args!("at most {LONGEST} bytes"));
                return Err(Error::Usage(problem.found(prompt.len()).at("--prompt")));
            }
            TextBody::Words(_) | TextBody::Lstm(_) | TextBody::TfIdf(_) if prompt.is_empty() => {}
            TextBody::Words(_) | TextBody::Lstm(_) | TextBody::TfIdf(_) => {
                let problem = Problem::new("only encoders take a prompt").found(&self.architecture).at("--prompt");
                return Err(Error::Usage(problem.hint("leave it out")));
            }
        }
        self.checked_prompt()
    }

    /// Refuses what cannot be done with a prompt.
    fn checked_prompt(self) -> Result<Self> {
        match &self.body {
            TextBody::Encoder(sentence) if !sentence.layout.prompt.is_empty() && !sentence.layout.pools_prompt => {
                let problem = Problem::new("the encoder leaves prompts out of its pooling, which is not supported");
                let problem = problem.expected("include_prompt: true").found("include_prompt: false").at(&self.source);
                Err(Error::Weights(problem.hint("--prompt \"\" embeds without a prompt")))
            }
            _ => Ok(self),
        }
    }
}

impl TextBase {
    /// Words and pairs of words counted in the texts that are learnt from. Labels have no part in it.
    ///
    /// # Errors
    /// [`Error::Data`] where the texts hold no word.
    pub fn tf_idf(texts: &[&Text]) -> Result<Self> {
        let counted = TfIdf::of(texts, terms_for(texts.len()));
        if counted.columns() == 0 {
            let problem = Problem::new("there is no word to count").found(format_args!("{} texts", texts.len()));
            return Err(Error::Data(problem.expected("texts of words").hint("name an encoder with --base")));
        }
        let (terms, idf) = counted.to_parts();
        let weights: Vec<u8> = idf.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        Ok(Self {
            id: TF_IDF_BASE.into(),
            architecture: format!("TF-IDF of {} words and pairs of words", counted.columns()),
            licence: "none: it is counted in the texts themselves".into(),
            source: "the training texts".into(),
            sha256: files::sha256_hex(&[terms, weights].concat()),
            remarks: Vec::new(),
            body: TextBody::TfIdf(Box::new(counted)),
        })
    }
}

impl SentenceEncoder {
    /// Whether a word is one token.
    pub(crate) fn knows(&self, word: &str) -> bool {
        self.tokenizer
            .encode_words(&[word], 8)
            .is_ok_and(|encoded| encoded.unknown == 0 && encoded.word.iter().filter(|word| word.is_some()).count() == 1)
    }

    /// Pooled states `[N, D]` through what stands behind the pooling, with their graph.
    pub(crate) fn finished(&self, pooled: Tensor<2>) -> Tensor<2> {
        let device = pooled.device();
        let normalised = |x: Tensor<2>| {
            let length = x.clone().square().sum_dim(1).add_scalar(1e-24).sqrt();
            x / length
        };
        let dense = self.dense.iter().enumerate().fold(pooled, |x, (at, layer)| {
            let x = if self.layout.normalise_before.contains(&at) { normalised(x) } else { x };
            let shape = [layer.shape.outputs, layer.shape.inputs];
            let weight = Tensor::<1>::from_data(layer.weight.as_slice(), &device).reshape(shape);
            let bias = Tensor::<1>::from_data(layer.bias.as_slice(), &device);
            let x = x.matmul(weight.transpose()) + bias.unsqueeze::<2>();
            if layer.shape.tanh { x.tanh() } else { x }
        });
        if self.layout.normalise { normalised(dense) } else { dense }
    }
}

impl WordPooling {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Mean, Self::Idf, Self::Sif];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Idf => "idf",
            Self::Sif => "sif",
        }
    }
}

impl std::fmt::Display for WordPooling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for WordPooling {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|pooling| pooling.name() == text).ok_or_else(|| {
            let problem = Problem::new("no such way to pool word vectors").expected("mean, idf or sif");
            Error::Usage(problem.found(text).at("--pooling"))
        })
    }
}
