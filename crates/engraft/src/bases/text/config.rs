//! What an encoder is, as its `config.json` says.

use std::path::Path;

use engraft_kernels::Activation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Problem, Result};

/// The most layers, and numbers of a token, of a feed-forward layer, rows of a table: beyond them a file is refused
/// before anything is allocated.
const MOST: u64 = 1 << 24;
const MOST_LAYERS: u64 = 512;
const MOST_WIDTH: u64 = 1 << 16;

/// Kinds of encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Family {
    /// BERT (Devlin et al. 2019), and MiniLM (Wang et al. 2020), which is a small one.
    Bert,
    /// DistilBERT (Sanh et al. 2019): no segments.
    DistilBert,
    /// RoBERTa (Liu et al. 2019), XLM-R (Conneau et al. 2020), CamemBERT: positions are counted from behind the padding's.
    Roberta,
    /// MPNet (Song et al. 2020): no segments, and a bias of the scores by distance that all layers share.
    Mpnet,
}

impl Family {
    /// Its name in a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Family::Bert => "BERT",
            Family::DistilBert => "DistilBERT",
            Family::Roberta => "RoBERTa",
            Family::Mpnet => "MPNet",
        }
    }

    /// The family of a `model_type`.
    pub(super) fn of_model_type(name: &str) -> Option<Self> {
        match name {
            "bert" => Some(Family::Bert),
            "distilbert" => Some(Family::DistilBert),
            "roberta" | "xlm-roberta" | "camembert" => Some(Family::Roberta),
            "mpnet" => Some(Family::Mpnet),
            _ => None,
        }
    }
}

/// The function between the two layers of a block's feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EncoderActivation {
    /// GELU by the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// Its approximation by the hyperbolic tangent.
    #[serde(rename = "gelu_new")]
    GeluNew,
    /// The positive part.
    #[serde(rename = "relu")]
    Relu,
}

impl EncoderActivation {
    pub(super) fn pointwise(self) -> Activation {
        match self {
            EncoderActivation::Gelu => Activation::Gelu,
            EncoderActivation::GeluNew => Activation::GeluTanh,
            EncoderActivation::Relu => Activation::Relu,
        }
    }
}

/// The shape of an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The kind.
    pub(crate) family: Family,
    /// Rows of the table of tokens.
    pub(crate) vocabulary: usize,
    /// Numbers of a token, D.
    pub(crate) width: usize,
    /// Blocks.
    pub(crate) layers: usize,
    /// Heads of a block's attention.
    pub(crate) heads: usize,
    /// Numbers of a token between the two layers of the feed-forward part.
    pub(crate) between: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// Rows of the table of segments; 0 where there is none.
    pub(crate) segments: usize,
    /// Between the two layers of the feed-forward part.
    pub(crate) activation: EncoderActivation,
    /// Of the layer norms.
    pub(crate) epsilon: f64,
    /// Share of the numbers that training drops after the embeddings, the attention and the feed-forward part.
    pub(crate) dropout: f64,
    /// The token that fills up a batch.
    pub(crate) pad: u32,
    /// Rows of MPNet's table of distances; 0 where there is none.
    pub(crate) distances: usize,
}

impl EncoderConfig {
    /// Reads a `config.json` as Hugging Face writes it.
    ///
    /// # Errors
    /// [`Error::Weights`] for anything that this encoder would compute otherwise: another `model_type`, activation or kind of
    /// positions, sizes that are missing, absurd or do not divide.
    pub fn parse(json: &[u8], place: &Path) -> Result<Self> {
        let said: Map<String, Value> = serde_json::from_slice(json).map_err(|source| {
            Error::Weights(Problem::new("the encoder's config.json cannot be read").found(source).at(place))
        })?;
        Reader { said: &said, place }.config()
    }

    /// The longest text in tokens, the special ones included.
    pub(crate) fn longest(&self) -> usize {
        self.positions.saturating_sub(self.first_position())
    }

    /// The position of a text's first token.
    pub(super) fn first_position(&self) -> usize {
        match self.family {
            Family::Bert | Family::DistilBert => 0,
            Family::Roberta | Family::Mpnet => self.pad as usize + 1,
        }
    }

    /// The position of each token: its place, or as [`Family::Roberta`] has it, its place among those that are no
    /// padding, counted from behind the padding's own.
    pub(super) fn position_of(&self, ids: &[u32]) -> Vec<u32> {
        match self.family {
            Family::Bert | Family::DistilBert => (0..ids.len() as u32).collect(),
            Family::Roberta | Family::Mpnet => {
                let mut next = self.pad;
                let position = |&id: &u32| match id == self.pad {
                    true => self.pad,
                    false => {
                        next += 1;
                        next
                    }
                };
                ids.iter().map(position).collect()
            }
        }
    }

    /// Refuses sizes that cannot be.
    pub(super) fn checked(self, place: &Path) -> Result<Self> {
        let refuse = |what: &str, expected: String, found: String| {
            Err(Error::Weights(Problem::new(what).expected(expected).found(found).at(place)))
        };
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            let found = format!("{} heads in a width of {}", self.heads, self.width);
            return refuse("the encoder's heads do not divide its width", "heads of equal width".into(), found);
        }
        if self.longest() < 8 {
            let found = format!("{} positions, the first at {}", self.positions, self.first_position());
            return refuse("the encoder has no positions to speak of", "8 or more".into(), found);
        }
        if self.pad as usize >= self.vocabulary {
            let expected = format!("below {}", self.vocabulary);
            return refuse("the padding's token is not in the vocabulary", expected, self.pad.to_string());
        }
        let sizes = [self.vocabulary, self.positions, self.segments, self.between, self.distances];
        let layers = self.layers as u64;
        if sizes.iter().any(|size| *size as u64 > MOST) || layers > MOST_LAYERS || self.width as u64 > MOST_WIDTH {
            return refuse("the encoder's sizes are absurd", "those of a network".into(), format!("{self:?}"));
        }
        let epsilon_fits = self.epsilon > 0.0 && self.epsilon < 1.0;
        if !(0.0..1.0).contains(&self.dropout) || !epsilon_fits {
            let found = format!("dropout {}, epsilon {}", self.dropout, self.epsilon);
            return refuse("invalid encoder settings", "shares below 1".into(), found);
        }
        Ok(self)
    }
}

/// A `config.json`, and where it is.
struct Reader<'a> {
    said: &'a Map<String, Value>,
    place: &'a Path,
}

impl Reader<'_> {
    fn config(&self) -> Result<EncoderConfig> {
        let family = self.family()?;
        self.check_kind()?;
        // DistilBERT has its own names.
        let own = family == Family::DistilBert;
        let name = |usual: &'static str, distil: &'static str| if own { distil } else { usual };
        let distances = if family == Family::Mpnet { self.size_or("relative_attention_num_buckets", 32)? } else { 0 };
        let config = EncoderConfig {
            family,
            vocabulary: self.size("vocab_size")?,
            width: self.size(name("hidden_size", "dim"))?,
            layers: self.size(name("num_hidden_layers", "n_layers"))?,
            heads: self.size(name("num_attention_heads", "n_heads"))?,
            between: self.size(name("intermediate_size", "hidden_dim"))?,
            positions: self.size("max_position_embeddings")?,
            segments: match family {
                Family::Bert | Family::Roberta => self.size_or("type_vocab_size", 2)?,
                Family::DistilBert | Family::Mpnet => 0,
            },
            activation: self.activation(name("hidden_act", "activation"))?,
            epsilon: if own { 1e-12 } else { self.number("layer_norm_eps", 1e-12)? },
            dropout: self.number(name("hidden_dropout_prob", "dropout"), 0.1)?,
            pad: match family {
                // What the models in the reference implementation have built in.
                Family::Mpnet => 1,
                Family::Roberta => self.size_or("pad_token_id", 1)? as u32,
                Family::Bert | Family::DistilBert => self.size_or("pad_token_id", 0)? as u32,
            },
            distances,
        };
        config.checked(self.place)
    }

    fn refuse<T>(&self, what: &str, expected: &str, found: impl std::fmt::Display) -> Result<T> {
        Err(Error::Weights(Problem::new(what).expected(expected).found(found).at(self.place)))
    }

    fn family(&self) -> Result<Family> {
        let known = "a model_type of bert, distilbert, roberta, xlm-roberta, camembert or mpnet";
        match self.said.get("model_type").and_then(Value::as_str) {
            None => self.refuse("the config.json does not say what the encoder is", known, "no model_type"),
            Some(name) => match Family::of_model_type(name) {
                Some(family) => Ok(family),
                None => self.refuse("the encoder is of an unknown kind", known, format_args!("`{name}`")),
            },
        }
    }

    fn check_kind(&self) -> Result<()> {
        let kind = self.said.get("position_embedding_type").and_then(Value::as_str).unwrap_or("absolute");
        if kind != "absolute" {
            return self.refuse("the encoder's positions are of an unknown kind", "absolute", format_args!("`{kind}`"));
        }
        for flag in ["is_decoder", "add_cross_attention"] {
            if self.said.get(flag).and_then(Value::as_bool) == Some(true) {
                return self.refuse("this is not an encoder", &format!("{flag} false"), "true");
            }
        }
        Ok(())
    }

    fn size(&self, name: &str) -> Result<usize> {
        match self.said.get(name).and_then(Value::as_u64) {
            Some(size) if (1..=MOST).contains(&size) => Ok(size as usize),
            _ => {
                let found = self.said.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
                self.refuse(&format!("the config.json has no sound {name}"), &format!("a number of 1 to {MOST}"), found)
            }
        }
    }

    fn size_or(&self, name: &str, usual: usize) -> Result<usize> {
        match self.said.get(name) {
            None | Some(Value::Null) => Ok(usual),
            Some(Value::Number(number)) if number.as_u64() == Some(0) => Ok(0),
            Some(_) => self.size(name),
        }
    }

    fn number(&self, name: &str, usual: f64) -> Result<f64> {
        match self.said.get(name) {
            None | Some(Value::Null) => Ok(usual),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(number),
                None => self.refuse(&format!("the config.json has no sound {name}"), "a number", value),
            },
        }
    }

    fn activation(&self, name: &str) -> Result<EncoderActivation> {
        match self.said.get(name).and_then(Value::as_str).unwrap_or("gelu") {
            "gelu" | "gelu_python" => Ok(EncoderActivation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(EncoderActivation::GeluNew),
            "relu" => Ok(EncoderActivation::Relu),
            other => {
                self.refuse("the encoder's activation is unknown", "gelu, gelu_new or relu", format_args!("`{other}`"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINI: &str = r#"{"model_type": "bert", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 40}"#;

    fn parse(json: &str) -> Result<EncoderConfig> {
        EncoderConfig::parse(json.as_bytes(), Path::new("config.json"))
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        let config = parse(MINI).unwrap();
        assert_eq!((config.segments, config.dropout, config.epsilon, config.pad), (2, 0.1, 1e-12, 0));
        assert_eq!(config.longest(), 40);
        let roberta = parse(&MINI.replace("bert", "roberta")).unwrap();
        assert_eq!((roberta.pad, roberta.longest()), (1, 38));
        assert_eq!(roberta.position_of(&[5, 1, 6, 1]), [2, 1, 3, 1]);
    }

    #[test]
    fn what_would_be_computed_otherwise_is_refused() {
        for (from, to, named) in [
            ("\"bert\"", "\"gpt2\"", "gpt2"),
            ("\"hidden_size\": 32", "\"hidden_size\": 33", "33"),
            ("\"vocab_size\": 100", "\"vocab_size\": 1e30", "vocab_size"),
            ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": -2", "-2"),
            ("\"vocab_size\": 100", "\"vocab_size\": 100, \"hidden_act\": \"swish\"", "swish"),
            (
                "\"vocab_size\": 100",
                "\"vocab_size\": 100, \"position_embedding_type\": \"relative_key\"",
                "relative_key",
            ),
            ("\"vocab_size\": 100", "\"vocab_size\": 100, \"is_decoder\": true", "is_decoder"),
            ("\"vocab_size\": 100", "\"vocab_size\": 100, \"pad_token_id\": 100", "100"),
            ("\"max_position_embeddings\": 40", "\"max_position_embeddings\": 3", "3"),
        ] {
            let json = MINI.replace(from, to);
            assert_ne!(json, MINI);
            let message = parse(&json).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
        assert!(parse("[]").is_err() && parse("{").is_err() && parse("{}").is_err());
    }
}
