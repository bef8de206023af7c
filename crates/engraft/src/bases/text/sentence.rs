//! A folder as sentence-transformers lays it out (Reimers and Gurevych 2019): an encoder, its tokenizer, and how the
//! tokens' states become one vector.

use std::path::{Component, Path, PathBuf};

use burn::tensor::Device;
use engraft_weights::{Format, Precision, Tensor as Stored, Tensors, Weights};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bases::onnx::{encoder_weights, whole_model};
use crate::bases::onnx_types::{ACTIVATION, EPSILONS};
use crate::bases::text::batch::Pooling;
use crate::bases::text::config::{EncoderActivation, EncoderConfig};
use crate::bases::text::frozen::FrozenEncoder;
use crate::bases::text::names;
use crate::bases::text::prompt;
use crate::bases::text::tokenizer::{Encoded, Tokenizer};
use crate::bases::text::tokenizer_files::{file, settings};
use crate::bases::text::transformer::TextEncoder;
use crate::data::text::Text;
use crate::error::{Error, Problem, Result, first_of};
use crate::weight_files::{self, unreadable};
use crate::weight_set::{self, WeightSet};

/// Texts that are embedded together.
const BATCH: usize = 32;

/// What a run's folder calls the tensors of a dense layer.
const DENSE: &str = "dense";

/// An encoder with all that belongs to it.
#[derive(Debug, Clone)]
pub struct SentenceEncoder {
    /// The encoder.
    pub encoder: TextEncoder,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// Its shape.
    pub(crate) config: EncoderConfig,
    /// How a text becomes a vector.
    pub(crate) layout: SentenceLayout,
    /// What follows the pooling.
    pub(crate) dense: Vec<DenseLayer>,
}

/// How a text becomes a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceLayout {
    /// How the tokens' states become one vector.
    pub(crate) pooling: Pooling,
    /// Whether vectors are of length one.
    pub(crate) normalise: bool,
    /// The longest text in tokens, the special ones included.
    pub(crate) limit: usize,
    /// The linear layers that follow the pooling: inputs, outputs, function.
    #[serde(default)]
    pub(crate) dense: Vec<DenseShape>,
    /// The linear layers, by position, before which vectors are brought to length one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) normalise_before: Vec<usize>,
    /// What is put in front of every text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) prompt: String,
    /// Whether the prompt's tokens are pooled with the text's.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(crate) pools_prompt: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_true(flag: &bool) -> bool {
    *flag
}

/// A linear layer behind the pooling, without its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DenseShape {
    /// Length of its input.
    pub(crate) inputs: usize,
    /// Length of its output.
    pub(crate) outputs: usize,
    /// Whether the hyperbolic tangent follows.
    pub(crate) tanh: bool,
}

/// A linear layer behind the pooling. It is frozen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DenseLayer {
    /// Its shape.
    pub(crate) shape: DenseShape,
    /// `[out, in]`
    pub(crate) weight: Vec<f32>,
    /// `[out]`
    pub(crate) bias: Vec<f32>,
}

impl SentenceEncoder {
    /// Opens a folder, and says what had to be assumed.
    ///
    /// # Errors
    /// [`Error::Weights`]: for what is missing or damaged, for a pooling or a module that is not known, for a tokenizer and
    /// weights that do not fit each other.
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, Vec<String>)> {
        Self::open_hashed(folder, None, device).map(|(encoder, remarks, _)| (encoder, remarks))
    }

    /// The same with the SHA-256 of the weights file as it was read: `weights`, or the usual one of the folder.
    pub(super) fn open_hashed(
        folder: &Path,
        weights: Option<&Path>,
        device: &Device,
    ) -> Result<(Self, Vec<String>, String)> {
        let mut remarks = Vec::new();
        let modules = Modules::read(folder, &mut remarks)?;
        let inner = &modules.transformer;
        let prompt = prompt::of_folder(folder, &mut remarks)?;
        let config = file(inner, "config.json", 16 << 20)?.ok_or_else(|| {
            let problem = Problem::new("the folder has no encoder").expected("config.json").found("no such file");
            Error::Weights(problem.at(inner).hint("name the folder of a model as Transformers saves it"))
        })?;
        let config = EncoderConfig::parse(&config, &inner.join("config.json"))?;
        let (mut weights, place, sha256) = open_weights(inner, weights, &mut remarks)?;
        compare_with_graph(&config, weights.headers(), &place)?;
        let (tensors, beyond) = names::recognise(&config, &mut *weights, &place, &mut remarks)?;
        if !beyond.is_empty() {
            let shown = beyond[..beyond.len().min(3)].join(", ");
            remarks.push(format!(
                "{} tensors of the weights are not the encoder's and are left out: {shown}",
                beyond.len()
            ));
        }
        let mut tokenizer = Tokenizer::open(inner)?;
        let limits = Limits::read(inner, &mut remarks)?;
        if limits.lower {
            tokenizer = tokenizer.lower_cased();
        }
        let limit = limits.tokens.unwrap_or(usize::MAX).min(config.longest());
        let layout = SentenceLayout {
            pooling: modules.pooling,
            normalise: modules.normalise,
            limit,
            dense: modules.dense.iter().map(|layer| layer.shape.clone()).collect(),
            normalise_before: modules.normalise_before,
            prompt,
            pools_prompt: modules.pools_prompt,
        };
        check(&config, &layout, &tokenizer, inner)?;
        let encoder = TextEncoder::of_tensors(&config, tensors, device);
        Ok((Self { encoder, tokenizer, config, layout, dense: modules.dense }, remarks, sha256))
    }

    /// The same from what a run keeps of it: [`EncoderConfig`], [`SentenceLayout`], `tokenizer.json`, and the tensors that
    /// [`SentenceEncoder::tensors`] gives.
    ///
    /// # Errors
    /// [`Error::Weights`] where they do not fit each other.
    pub(crate) fn from_parts(
        config: EncoderConfig,
        layout: SentenceLayout,
        tokenizer: &[u8],
        mut tensors: Weights,
        device: &Device,
    ) -> Result<Self> {
        let place = Path::new("the saved encoder");
        let config = config.checked(place)?;
        let tokenizer = Tokenizer::from_bytes(tokenizer)?;
        check(&config, &layout, &tokenizer, place)?;
        let dense: Result<Vec<DenseLayer>> = layout
            .dense
            .iter()
            .enumerate()
            .map(|(at, shape)| {
                let [weight, bias] =
                    ["weight", "bias"].map(|leaf| tensors.tensors.remove(&format!("{DENSE}.{at}.{leaf}")));
                DenseLayer::checked(shape.clone(), weight, bias, place)
            })
            .collect();
        let dense = dense?;
        let (tensors, _) = names::recognise(&config, &mut tensors, place, &mut Vec::new())?;
        let encoder = TextEncoder::of_tensors(&config, tensors, device);
        Ok(Self { encoder, tokenizer, config, layout, dense })
    }

    /// All tensors, to be kept: the encoder's by their canonical names, and those of the layers behind the pooling.
    pub(crate) fn tensors(&self) -> Weights {
        let mut weights = names::stored(self.encoder.tensors());
        for (at, layer) in self.dense.iter().enumerate() {
            let DenseShape { inputs, outputs, .. } = layer.shape;
            let mut add = |leaf: &str, shape: Vec<usize>, values: &[f32]| {
                let stored = Stored { shape, values: values.to_vec(), precision: Precision::F32 };
                weights.tensors.insert(format!("{DENSE}.{at}.{leaf}"), stored);
            };
            add("weight", vec![outputs, inputs], &layer.weight);
            add("bias", vec![outputs], &layer.bias);
        }
        weights
    }

    /// Texts to tokens, within the encoder's limit, on all threads.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode(&self, texts: &[&Text]) -> Result<Vec<Encoded>> {
        texts.par_iter().map(|text| self.encode_one(text)).collect()
    }

    /// A text to tokens, with what is put in front of it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode_one(&self, text: &Text) -> Result<Encoded> {
        match self.layout.prompt.is_empty() {
            true => self.tokenizer.encode(text, self.layout.limit),
            false => self.tokenizer.encode(&self.prompted(text), self.layout.limit),
        }
    }

    /// A text as the encoder is given it.
    fn prompted(&self, text: &Text) -> Text {
        let prompt = &self.layout.prompt;
        let with = |part: &String| format!("{prompt}{part}");
        Text { first: with(&text.first), second: text.second.as_ref().map(with) }
    }

    /// The vectors of texts, in their order: tokens, the frozen encoder, pooling and what follows. Texts of about the same
    /// length are run together; a text's vector does not depend on the others.
    ///
    /// # Errors
    /// As `Tokenizer::encode`.
    pub fn embed(&self, frozen: &FrozenEncoder, texts: &[&Text]) -> Result<Vec<Vec<f32>>> {
        let encoded = self.encode(texts)?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(encoded[text].ids.len()));
        let mut vectors = vec![Vec::new(); texts.len()];
        let stages = self.config.layers + 1;
        for batch in order.chunks(BATCH) {
            let tokens: Vec<&Encoded> = batch.iter().map(|&text| &encoded[text]).collect();
            for (&text, states) in batch.iter().zip(frozen.states(&tokens, stages)) {
                vectors[text] = self.finish(&states);
            }
        }
        Ok(vectors)
    }

    /// The vector of a text from the states of its tokens, `[tokens, D]`: pooled, through the layers behind, normalised.
    pub(crate) fn finish(&self, states: &[f32]) -> Vec<f32> {
        let normalised = |mut vector: Vec<f32>| {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            vector.iter_mut().for_each(|x| *x /= length);
            vector
        };
        let mut vector = self.layout.pooling.of(states, self.config.width);
        for (at, layer) in self.dense.iter().enumerate() {
            if self.layout.normalise_before.contains(&at) {
                vector = normalised(vector);
            }
            vector = layer.apply(&vector);
        }
        if self.layout.normalise { normalised(vector) } else { vector }
    }

    /// Length of a text's vector.
    pub(crate) fn columns(&self) -> usize {
        self.layout.dense.last().map_or(self.config.width, |layer| layer.outputs)
    }
}

impl DenseLayer {
    fn checked(shape: DenseShape, weight: Option<Stored>, bias: Option<Stored>, place: &Path) -> Result<Self> {
        let refuse = |found: String| {
            let problem = Problem::new("a linear layer behind the pooling does not fit")
                .expected(format_args!("a weight of [{}, {}]", shape.outputs, shape.inputs));
            Err(Error::Weights(problem.found(found).at(place)))
        };
        let Some(weight) = weight else { return refuse("no weight".into()) };
        if weight.shape != [shape.outputs, shape.inputs] {
            return refuse(format!("{:?}", weight.shape));
        }
        let bias = bias.map_or_else(|| vec![0.0; shape.outputs], |bias| bias.values);
        if bias.len() != shape.outputs || bias.iter().chain(&weight.values).any(|value| !value.is_finite()) {
            return refuse("a bias of another length, or numbers that are none".into());
        }
        Ok(Self { shape, weight: weight.values, bias })
    }

    /// `[in]` to `[out]`.
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let row = |(weight, bias): (&[f32], &f32)| {
            let sum = weight.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + bias;
            if self.shape.tanh { sum.tanh() } else { sum }
        };
        self.weight.chunks_exact(self.shape.inputs).zip(&self.bias).map(row).collect()
    }
}

/// Refuses parts that do not fit each other.
fn check(config: &EncoderConfig, layout: &SentenceLayout, tokenizer: &Tokenizer, place: &Path) -> Result<()> {
    let tokens = tokenizer.vocabulary();
    if tokens > config.vocabulary {
        return Err(Error::Weights(
            Problem::new("the tokenizer does not fit the weights")
                .expected(format_args!("ids below {}, the rows of the encoder's table", config.vocabulary))
                .found(format_args!("ids up to {}", tokens - 1))
                .at(place)
                .hint("take both from the same folder"),
        ));
    }
    let longest = config.longest();
    if !(4..=longest).contains(&layout.limit) {
        let problem =
            Problem::new("the longest text is too long or too short").expected(format_args!("4 to {longest} tokens"));
        return Err(Error::Weights(problem.found(layout.limit).at(place)));
    }
    if layout.normalise_before.iter().any(|at| *at >= layout.dense.len()) {
        let problem = Problem::new("vectors are normalised before a linear layer that is not there");
        return Err(Error::Weights(problem.at(place)));
    }
    let mut width = config.width;
    for layer in &layout.dense {
        if layer.inputs != width || layer.outputs == 0 || layer.outputs > 1 << 16 {
            let problem =
                Problem::new("a linear layer behind the pooling does not fit").expected(format_args!("{width} inputs"));
            return Err(Error::Weights(problem.found(format_args!("{} to {}", layer.inputs, layer.outputs)).at(place)));
        }
        width = layer.outputs;
    }
    Ok(())
}

/// Refuses an ONNX model whose graph computes something else than its `config.json` says.
fn compare_with_graph(config: &EncoderConfig, weights: &Weights, place: &Path) -> Result<()> {
    let refuse = |what: &str, found: &str| {
        let problem = Problem::new(format_args!("the graph of the ONNX model is not that of its config.json: {what}"));
        let problem = problem.expected("both from one export").found(found).at(place);
        Err(Error::Weights(problem.hint("take the config.json that the model was exported with")))
    };
    let ours = match config.activation {
        EncoderActivation::Gelu => "gelu",
        EncoderActivation::GeluNew => "gelu_new",
        EncoderActivation::Relu => "relu",
    };
    if let Some(found) = weights.metadata.get(ACTIVATION).filter(|found| *found != ours) {
        return refuse("another activation", &format!("{found} in the graph, {ours} in config.json"));
    }
    let epsilons = weights.metadata.get(EPSILONS).map(String::as_str).unwrap_or_default();
    let is_other =
        |said: &&str| said.parse::<f64>().is_ok_and(|epsilon| (epsilon - config.epsilon).abs() > 1e-3 * config.epsilon);
    match epsilons.split_whitespace().find(is_other) {
        Some(found) => refuse(
            "another epsilon of the layer norms",
            &format!("{found} in the graph, {} in config.json", config.epsilon),
        ),
        None => Ok(()),
    }
}

/// The weights `given`, or those of a folder; their file, and its SHA-256.
fn open_weights(
    folder: &Path,
    given: Option<&Path>,
    remarks: &mut Vec<String>,
) -> Result<(Box<dyn Tensors>, PathBuf, String)> {
    let Some(place) = given.map(Path::to_owned).or_else(|| weight_set::named_in(folder, &weight_set::USUAL)) else {
        let problem = Problem::new("the encoder has no weights")
            .expected("model.safetensors, pytorch_model.bin or model.onnx")
            .found("none of them, and no index of shards");
        return Err(Error::Weights(problem.at(folder)));
    };
    let set =
        match WeightSet::of_shards(&place)? {
            Some(set) => set,
            None => WeightSet::from(weight_files::source(&place).map_err(|source| {
                Error::Weights(Problem::new("the weights cannot be read").found(source).at(&place))
            })?),
        };
    let sha256 = set.sha256().map_err(|error| unreadable(&error, &place))?;
    if let Some(source) = set.single().filter(|source| weight_files::format(source) == Some(Format::Onnx)) {
        let (whole, sha256) = whole_model(source, sha256, &place)?;
        let weights = encoder_weights(&whole, &place)?;
        remarks.push(
            "the weights are those of an ONNX model, by the names of its tensors; the network is that of config.json"
                .into(),
        );
        return Ok((Box::new(weights), place, sha256));
    }
    let weights = set.open().map_err(|error| unreadable(&error, &place))?;
    Ok((Box::new(weights), place, sha256))
}

/// What `modules.json` and the folders beside it say.
struct Modules {
    /// Where the encoder is.
    transformer: PathBuf,
    pooling: Pooling,
    dense: Vec<DenseLayer>,
    normalise: bool,
    /// The dense layers before which vectors are normalised.
    normalise_before: Vec<usize>,
    pools_prompt: bool,
}

impl Modules {
    fn read(folder: &Path, remarks: &mut Vec<String>) -> Result<Self> {
        let plain = || Self {
            transformer: folder.to_owned(),
            pooling: Pooling::Mean,
            dense: Vec::new(),
            normalise: false,
            normalise_before: Vec::new(),
            pools_prompt: true,
        };
        let Some(bytes) = file(folder, "modules.json", 1 << 20)? else {
            remarks.push(
                "the folder does not say how a text becomes a vector (no modules.json): taking the mean of its tokens"
                    .into(),
            );
            return Ok(plain());
        };
        let place = folder.join("modules.json");
        let listed: Vec<Map<String, Value>> = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Weights(Problem::new("modules.json is damaged").found(source).at(&place)))?;
        let mut modules = plain();
        let mut pooled = false;
        check_order(&listed, &place)?;
        for module in &listed {
            let kind = kind_of(module);
            let path = inside(folder, module.get("path").and_then(Value::as_str).unwrap_or_default(), &place)?;
            match kind {
                "Transformer" => modules.transformer = path,
                "Pooling" => {
                    (modules.pooling, modules.pools_prompt) = pooling(&path)?;
                    pooled = true;
                }
                "Dense" => {
                    // Modules act in their order.
                    if std::mem::take(&mut modules.normalise) {
                        modules.normalise_before.push(modules.dense.len());
                    }
                    modules.dense.push(dense(&path)?);
                }
                "Normalize" => modules.normalise = true,
                "Dropout" => {}
                _ => {
                    let problem = Problem::new("a module of the encoder is not known").found(format_args!("`{kind}`"));
                    let known = "Transformer, Pooling, Dense and Normalize of sentence-transformers";
                    return Err(Error::Weights(problem.expected(known).at(&place)));
                }
            }
        }
        if !pooled {
            remarks.push("modules.json names no pooling: taking the mean of a text's tokens".into());
        }
        Ok(modules)
    }
}

/// The modules that are known.
const MODULES: [&str; 5] = ["Transformer", "Pooling", "Dense", "Normalize", "Dropout"];

/// What a module is, without the package that it is from.
fn kind_of(module: &Map<String, Value>) -> &str {
    let whole = module.get("type").and_then(Value::as_str).unwrap_or_default();
    whole.rsplit('.').next().unwrap_or_default()
}

/// Refuses modules that do not begin with an encoder and its pooling: what would stand between them acts on tokens.
fn check_order(listed: &[Map<String, Value>], place: &Path) -> Result<()> {
    let kinds: Vec<&str> = listed.iter().map(kind_of).collect();
    let fits = |(at, kind): (usize, &&str)| match at {
        // What is not known is told as that.
        _ if !MODULES.contains(kind) => true,
        0 => *kind == "Transformer",
        1 => *kind == "Pooling",
        _ => *kind != "Transformer" && *kind != "Pooling",
    };
    if kinds.iter().enumerate().all(fits) {
        return Ok(());
    }
    let problem = Problem::new("the encoder's modules are in an order that is not understood")
        .expected("Transformer, Pooling, then any of Dense, Normalize and Dropout")
        .found(first_of(kinds.iter().map(|kind| kind.escape_debug().to_string()), 10));
    Err(Error::Weights(problem.at(place)))
}

/// A folder below another one.
fn inside(folder: &Path, path: &str, place: &Path) -> Result<PathBuf> {
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    match parts.iter().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        // An empty path, or a dot, is the folder itself.
        true => {
            let below = parts.iter().filter(|part| matches!(part, Component::Normal(_)));
            Ok(below.fold(folder.to_owned(), |folder, part| folder.join(part)))
        }
        false => {
            let problem = Problem::new("a module's path leads out of the folder").found(format_args!("`{path}`"));
            Err(Error::Weights(problem.expected("a folder below it").at(place)))
        }
    }
}

/// How states are pooled, and whether those of a prompt are.
fn pooling(folder: &Path) -> Result<(Pooling, bool)> {
    let place = folder.join("config.json");
    let refuse = |found: String| {
        let problem = Problem::new("the pooling is not known").expected("one of mean, cls and max").found(found);
        Err(Error::Weights(problem.at(&place)))
    };
    let Some(said) = settings(folder, "config.json")? else { return refuse("no such file".into()) };
    // Newer files name it; older ones have a switch for each.
    let named = said.get("pooling_mode").and_then(Value::as_str).map(str::to_owned);
    let switched =
        said.iter().filter(|(name, value)| name.starts_with("pooling_mode_") && **value == Value::Bool(true));
    let modes: Vec<String> =
        named.into_iter().chain(switched.map(|(name, _)| name["pooling_mode_".len()..].to_owned())).collect();
    let prompt = said.get("include_prompt").and_then(Value::as_bool).unwrap_or(true);
    match modes.as_slice() {
        [mode] => match mode.as_str() {
            "mean" | "mean_tokens" => Ok((Pooling::Mean, prompt)),
            "cls" | "cls_token" => Ok((Pooling::Cls, prompt)),
            "max" | "max_tokens" => Ok((Pooling::Max, prompt)),
            other => refuse(format!("`{other}`")),
        },
        // Without any switch it is what sentence-transformers takes.
        [] if !said.keys().any(|key| key.starts_with("pooling_mode")) => Ok((Pooling::Mean, prompt)),
        [] => refuse("none".into()),
        several => refuse(several.join(" and ")),
    }
}

fn dense(folder: &Path) -> Result<DenseLayer> {
    let place = folder.join("config.json");
    let said = settings(folder, "config.json")?.unwrap_or_default();
    let size = |name: &str| said.get(name).and_then(Value::as_u64).filter(|size| (1..=1 << 16).contains(size));
    let (Some(inputs), Some(outputs)) = (size("in_features"), size("out_features")) else {
        let problem =
            Problem::new("a linear layer behind the pooling has no sizes").expected("in_features and out_features");
        return Err(Error::Weights(problem.at(&place)));
    };
    let function =
        said.get("activation_function").and_then(Value::as_str).unwrap_or("torch.nn.modules.activation.Tanh");
    let tanh = match function.rsplit('.').next().unwrap_or_default() {
        "Tanh" => true,
        "Identity" => false,
        other => {
            let problem = Problem::new("the function of a linear layer behind the pooling is not known");
            return Err(Error::Weights(
                problem.expected("Tanh or Identity").found(format_args!("`{other}`")).at(&place),
            ));
        }
    };
    let (mut weights, place, _) = open_weights(folder, None, &mut Vec::new())?;
    let mut take = |name: &str| weights.take(name).map_err(|error| unreadable(&error, &place));
    let (weight, bias) = (take("linear.weight")?, take("linear.bias")?);
    DenseLayer::checked(DenseShape { inputs: inputs as usize, outputs: outputs as usize, tanh }, weight, bias, &place)
}

/// What sentence-transformers keeps a transformer's settings in; the first that says anything counts.
pub(super) const SETTINGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// What is said of the length and the case of texts.
struct Limits {
    tokens: Option<usize>,
    lower: bool,
}

impl Limits {
    /// What the encoder's own folder says: the settings of sentence-transformers first, then the tokenizer's
    /// `model_max_length`.
    fn read(inner: &Path, remarks: &mut Vec<String>) -> Result<Self> {
        let mut said = Map::new();
        for name in SETTINGS {
            said = settings(inner, name)?.unwrap_or_default();
            if !said.is_empty() {
                break;
            }
        }
        let tokenizer = settings(inner, "tokenizer_config.json")?.unwrap_or_default();
        // Where nothing is known, Transformers writes 1e30.
        let number = |from: &Map<String, Value>, name: &str| {
            from.get(name)
                .and_then(Value::as_u64)
                .filter(|tokens| (4..1 << 24).contains(tokens))
                .map(|tokens| tokens as usize)
        };
        if let Some(value) = said.get("max_seq_length").filter(|value| !value.is_null())
            && number(&said, "max_seq_length").is_none()
        {
            remarks.push(format!(
                "max_seq_length of the encoder is `{value}`, which is no length of a text: it is left out"
            ));
        }
        Ok(Self {
            tokens: number(&said, "max_seq_length").or_else(|| number(&tokenizer, "model_max_length")),
            lower: said.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}
