//! What all bases of texts have in common.

use burn::tensor::Tensor;

use crate::bases::text::{SentenceEncoder, TextBase, TextBody, WordPooling};
use crate::error::{Error, Problem};
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

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|pooling| pooling.name() == text).ok_or_else(|| {
            let problem = Problem::new("no such way to pool word vectors").expected("mean, idf or sif");
            Error::Usage(problem.found(text).at("--pooling"))
        })
    }
}
