//! What is told of a base for texts.

use serde::Serialize;

use crate::bases::text::{TextBase, TextBody};

/// What `engraft bases show` tells of a base for texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextAbout {
    /// Its name.
    pub id: String,
    /// What kind it is, in a few words.
    pub architecture: String,
    /// Most tokens of a text, where there is a limit.
    pub tokens: Option<usize>,
    /// Length of a text's vector.
    pub columns: usize,
    /// How a text becomes a vector, step by step.
    pub steps: Vec<String>,
    /// What is put in front of every text; empty for nothing.
    pub prompt: String,
    /// The licence of the weights.
    pub licence: String,
    /// Where it is from.
    pub source: String,
    /// SHA-256 of the weights.
    pub sha256: String,
    /// What the user should know about how it was opened.
    pub remarks: Vec<String>,
}

impl TextBase {
    /// What is told of it.
    pub fn about(&self) -> TextAbout {
        let (tokens, steps, prompt) = match &self.body {
            TextBody::Encoder(sentence) => {
                let layout = &sentence.layout;
                let mut steps = vec![format!("{:?} of the tokens' states", layout.pooling).to_lowercase()];
                for (at, layer) in layout.dense.iter().enumerate() {
                    if layout.normalise_before.contains(&at) {
                        steps.push("length 1".into());
                    }
                    let function = if layer.tanh { ", tanh" } else { "" };
                    steps.push(format!("linear {} to {}{function}", layer.inputs, layer.outputs));
                }
                if layout.normalise {
                    steps.push("length 1".into());
                }
                (Some(layout.limit), steps, layout.prompt.clone())
            }
            TextBody::Words(_) => (None, vec!["pooled vectors of words".into()], String::new()),
            TextBody::TfIdf(_) => {
                (None, vec!["words and pairs of words, (1 + ln tf) idf, length 1".into()], String::new())
            }
            TextBody::Lstm(model) => (Some(model.limit), vec!["last, largest and mean state".into()], String::new()),
        };
        TextAbout {
            id: self.id.clone(),
            architecture: self.architecture.clone(),
            tokens,
            columns: self.columns(),
            steps,
            prompt,
            licence: self.licence.clone(),
            source: self.source.clone(),
            sha256: self.sha256.clone(),
            remarks: self.remarks.clone(),
        }
    }
}
