//! What files call an encoder's tensors. Canonical are the names of BERT in Hugging Face's Transformers.

use std::collections::BTreeMap;
use std::path::Path;

use engraft_weights::{Precision, Tensor as Stored, Tensors, Weights};

use crate::bases::opening::checkpoint_remarks;
use crate::bases::text::config::{EncoderConfig, Family};
use crate::error::{Error, Problem, Result};

/// What the names in a file may begin with.
const PREFIXES: [&str; 9] = [
    "bert.",
    "roberta.",
    "distilbert.",
    "mpnet.",
    "camembert.",
    "xlm_roberta.",
    "model.",
    "encoder_model.",
    "0.auto_model.",
];

/// Heads of other tasks, and what is not a parameter: not part of an encoder.
const BESIDE: [&str; 14] = [
    "pooler.",
    "cls.",
    "lm_head.",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "classifier.",
    "pre_classifier.",
    "qa_outputs.",
    "qa_classifier.",
    "dropout.",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "seq_relationship.",
];

/// Other names of a block's parts, and the canonical ones.
const PARTS: [(&str, &str); 14] = [
    // DistilBERT
    ("attention.q_lin.", "attention.self.query."),
    ("attention.k_lin.", "attention.self.key."),
    ("attention.v_lin.", "attention.self.value."),
    ("attention.out_lin.", "attention.output.dense."),
    ("sa_layer_norm.", "attention.output.LayerNorm."),
    ("ffn.lin1.", "intermediate.dense."),
    ("ffn.lin2.", "output.dense."),
    ("output_layer_norm.", "output.LayerNorm."),
    // MPNet
    ("attention.attn.q.", "attention.self.query."),
    ("attention.attn.k.", "attention.self.key."),
    ("attention.attn.v.", "attention.self.value."),
    ("attention.attn.o.", "attention.output.dense."),
    ("attention.LayerNorm.", "attention.output.LayerNorm."),
    ("layer_norm.", "LayerNorm."),
];

/// An encoder's tensors by their canonical names, in the layout of the files (`[out, in]`).
pub(crate) type EncoderTensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// By what an encoder is found, wherever it lies in a checkpoint.
const ANCHOR: &str = "embeddings.word_embeddings.weight";

/// What stands before the names of the encoder that is meant, where that is nothing that programs usually put there: the
/// query's of two, or the first by name; and what stands before those of others.
fn unusual_prefix<'a>(names: impl Iterator<Item = &'a String>) -> (String, Vec<String>) {
    let rank = |prefix: &str| {
        let lower = prefix.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        match prefix {
            _ if has(&["teacher", "ema"]) => 0,
            _ if has(&["query", "question", "encoder_q", "online"]) => 1,
            _ if has(&["student", "key", "ctx", "passage", "doc", "encoder_k", "momentum"]) => 3,
            _ => 2,
        }
    };
    let mut found: Vec<String> = names
        .filter_map(|name| name.strip_suffix(ANCHOR))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .map(str::to_owned)
        .collect();
    found.sort_by_key(|prefix| rank(prefix));
    let mut found = found.into_iter();
    let taken = found.next().unwrap_or_default();
    (taken, found.collect())
}

/// The canonical name.
pub(super) fn canonical(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    let mut name = match name.strip_prefix("transformer.layer.") {
        Some(rest) => format!("encoder.layer.{rest}"),
        None => name.to_owned(),
    };
    for (old, new) in [(".gamma", ".weight"), (".beta", ".bias")] {
        if let Some(stem) = name.strip_suffix(old) {
            name = format!("{stem}{new}");
        }
    }
    let Some(rest) = name.strip_prefix("encoder.layer.") else { return name };
    let Some((index, part)) = rest.split_once('.') else { return name };
    match PARTS.iter().find_map(|(old, new)| part.strip_prefix(old).map(|leaf| format!("{new}{leaf}"))) {
        Some(part) => format!("encoder.layer.{index}.{part}"),
        None => name,
    }
}

/// Every tensor of an encoder with its shape in the file.
pub(super) fn expected(config: &EncoderConfig) -> Vec<(String, Vec<usize>)> {
    let (width, between) = (config.width, config.between);
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![config.vocabulary, width]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![config.positions, width]),
    ];
    if config.segments > 0 {
        all.push(("embeddings.token_type_embeddings.weight".to_owned(), vec![config.segments, width]));
    }
    let mut pair = |name: String, weight: Vec<usize>, bias: usize| {
        all.push((format!("{name}.weight"), weight));
        all.push((format!("{name}.bias"), vec![bias]));
    };
    pair("embeddings.LayerNorm".into(), vec![width], width);
    for layer in 0..config.layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
            pair(name(part), vec![width, width], width);
        }
        pair(name("attention.output.LayerNorm"), vec![width], width);
        pair(name("intermediate.dense"), vec![between, width], between);
        pair(name("output.dense"), vec![width, between], width);
        pair(name("output.LayerNorm"), vec![width], width);
    }
    if config.family == Family::Mpnet {
        all.push(("encoder.relative_attention_bias.weight".into(), vec![config.distances, config.heads]));
    }
    all
}

/// A file's tensors by canonical names, compared with what the encoder must have; and what the file has beyond (heads of
/// other tasks left out of account).
///
/// # Errors
/// [`Error::Weights`]: for what is missing, has another shape, stands twice, or is not a number.
pub(super) fn recognise(
    config: &EncoderConfig,
    weights: &mut dyn Tensors,
    place: &Path,
    remarks: &mut Vec<String>,
) -> Result<(EncoderTensors, Vec<String>)> {
    let mut found = BTreeMap::new();
    let headers = weights.headers();
    remarks.extend(checkpoint_remarks(headers));
    let (prefix, others) = unusual_prefix(headers.tensors.keys());
    let mut aside = Vec::new();
    if !others.is_empty() {
        let shown: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
        let shown = shown.join(", ");
        remarks.push(format!("the checkpoint has another encoder below {shown}; taken is the one below `{prefix}`"));
    }
    for (name, header) in &headers.tensors {
        // Of several encoders, or below a name that nobody else uses, only what is the encoder's own.
        let is_other =
            others.iter().any(|other| name.starts_with(other.as_str()) && !prefix.starts_with(other.as_str()));
        let own = name.strip_prefix(prefix.as_str()).filter(|_| !is_other);
        let inside = match own {
            None => {
                aside.push(name.clone());
                continue;
            }
            Some(inside) => inside,
        };
        if found.insert(canonical(inside), (header.shape.clone(), name.clone())).is_some() {
            let problem = Problem::new("two tensors of the weights have the same meaning").found(name).at(place);
            return Err(Error::Weights(problem.hint("save the encoder alone")));
        }
    }
    let mut tensors = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, shape) in expected(config) {
        match found.remove(&name) {
            None => wrong.push(format!("{name} is missing")),
            Some((other, _)) if other != shape => wrong.push(format!("{name} is {other:?}, not {shape:?}")),
            Some((_, file_name)) => match weights.take(&file_name) {
                Ok(Some(Stored { precision: Precision::Integer, .. })) => {
                    wrong.push(format!("{name} has the integers of a quantised network, without their scale"));
                }
                Ok(Some(Stored { values, .. })) if values.iter().any(|value| !value.is_finite()) => {
                    wrong.push(format!("{name} holds NaN or infinite numbers"));
                }
                Ok(Some(Stored { values, .. })) => drop(tensors.insert(name, (shape, values))),
                Ok(None) => wrong.push(format!("{name} is missing")),
                Err(reason) => wrong.push(format!("{name} cannot be read ({reason})")),
            },
        }
    }
    if !wrong.is_empty() {
        let more = if wrong.len() > 4 { format!(" and {} more", wrong.len() - 4) } else { String::new() };
        let what = format!("the weights do not fit the {} of the config.json", config.family.name());
        let problem = Problem::new(what)
            .expected(format_args!(
                "{} layers of {} in {}, {} tokens",
                config.layers, config.width, config.between, config.vocabulary
            ))
            .found(wrong[..wrong.len().min(4)].join("; ") + &more)
            .at(place);
        return Err(Error::Weights(problem.hint("take both files from the same folder")));
    }
    let is_head = |name: &String| BESIDE.iter().any(|beside| canonical(name).starts_with(beside));
    let beyond = found.into_keys().chain(aside).filter(|name| !is_head(name)).collect();
    Ok((tensors, beyond))
}

/// The same as stored tensors, to write them.
pub(super) fn stored(tensors: EncoderTensors) -> Weights {
    let store = |(name, (shape, values))| (name, Stored { shape, values, precision: Precision::F32 });
    Weights { tensors: tensors.into_iter().map(store).collect(), ..Weights::default() }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn other_names_become_bert_s() {
        for (name, expected) in [
            ("bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
            ("roberta.encoder.layer.3.output.LayerNorm.beta", "encoder.layer.3.output.LayerNorm.bias"),
            ("embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
            ("distilbert.transformer.layer.1.attention.q_lin.weight", "encoder.layer.1.attention.self.query.weight"),
            ("transformer.layer.0.sa_layer_norm.bias", "encoder.layer.0.attention.output.LayerNorm.bias"),
            ("transformer.layer.0.output_layer_norm.bias", "encoder.layer.0.output.LayerNorm.bias"),
            ("mpnet.encoder.layer.11.attention.attn.o.bias", "encoder.layer.11.attention.output.dense.bias"),
            ("encoder.layer.2.attention.LayerNorm.weight", "encoder.layer.2.attention.output.LayerNorm.weight"),
            ("encoder.layer.2.output.dense.weight", "encoder.layer.2.output.dense.weight"),
            ("encoder.relative_attention_bias.weight", "encoder.relative_attention_bias.weight"),
        ] {
            assert_eq!(canonical(name), expected);
        }
    }
}
