//! Keras's files: which arrays belong to which layer, what they are called, and which way kernels lie.
//!
//! Names are given as `LAYER/LEAF`, with the leaves of Keras 2; kernels as TensorFlow has them, `[rows, columns, in, out]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::Archive;
use crate::hdf5::File;
use crate::keras_config::{CONFIG, Config, Layer};
use crate::source::Source;
use crate::{Error, Format, Tensor, Weights};

const LEAVES: [&str; 8] =
    ["kernel", "depthwise_kernel", "pointwise_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"];

/// How Keras 1 ended the names of arrays. Its "running_std" held the variance.
const OLD_ENDINGS: [(&str, &str); 6] = [
    ("_W", "kernel"),
    ("_b", "bias"),
    ("_gamma", "gamma"),
    ("_beta", "beta"),
    ("_running_mean", "moving_mean"),
    ("_running_std", "moving_variance"),
];

/// How deep models lie inside models.
const DEPTH: usize = 16;

/// The most tensors of one file.
const TENSORS: usize = 100_000;

/// The most layers that are looked into where files give numbers: links can make few into many.
const LAYERS: usize = 20_000;

/// Reads an HDF5 file of Keras: weights, a whole model, or `.weights.h5`.
pub(crate) fn read(source: Source<'_>) -> Result<Weights, Error> {
    let mut file = File::open(&source)?;
    let root = file.attributes("")?;
    let mut weights = Weights { format: Format::KerasH5, ..Weights::default() };
    let config = match file.text(&root, "model_config")? {
        Some(text) => Config::parse(&text)?,
        None => Config::default(),
    };
    let (top, attributes) = if root.has("layer_names") {
        ("", root)
    } else if let Ok(model) = file.attributes("model_weights") {
        ("model_weights/", model)
    } else {
        read_numbered(&mut file, &config, &mut weights)?;
        config.describe(&mut weights.metadata);
        return finish(weights);
    };
    for (key, attribute) in [("keras.version", "keras_version"), ("keras.backend", "backend")] {
        if let Some(text) = file.text(&attributes, attribute)? {
            weights.metadata.insert(key.into(), text);
        }
    }
    let names = file.texts(&attributes, "layer_names")?;
    let names = names.ok_or_else(|| Error::contents("an attribute layer_names", "none"))?;
    let classes = config.classes();
    for layer in names {
        let path = format!("{top}{layer}");
        let attributes = file.attributes(&path)?;
        let arrays = file.texts(&attributes, "weight_names")?.unwrap_or_default();
        let mut tensors = Vec::new();
        for array in &arrays {
            tensors.push(file.tensor(&format!("{path}/{array}"), &format!("{layer}/{array}"))?);
        }
        for (name, tensor) in named(&layer, &arrays, tensors, &classes) {
            insert(&mut weights, name, tensor)?;
        }
    }
    config.describe(&mut weights.metadata);
    turn_kernels(&mut weights)?;
    finish(weights)
}

/// Reads a `.keras` archive; its configuration is only read for names and settings.
pub(crate) fn read_archive(archive: &Archive<'_>) -> Result<Weights, Error> {
    let config = match archive.get("config.json", CONFIG as u64)? {
        Some(text) => {
            let text =
                std::str::from_utf8(&text).map_err(|_| Error::contents("config.json in UTF-8", "other bytes"))?;
            Config::parse(text)?
        }
        None => Config::default(),
    };
    let arrays = archive.entry("model.weights.h5");
    let arrays = arrays.ok_or_else(|| Error::contents("an entry model.weights.h5", "none"))?;
    let arrays = arrays.content()?;
    let mut weights = Weights { format: Format::KerasZip, ..Weights::default() };
    if let Some(metadata) = archive.get("metadata.json", CONFIG as u64)?
        && let Ok(metadata) = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&metadata)
        && let Some(version) = metadata.get("keras_version").and_then(|version| version.as_str())
    {
        weights.metadata.insert("keras.version".into(), version.into());
    }
    read_numbered(&mut File::open(&arrays)?, &config, &mut weights)?;
    config.describe(&mut weights.metadata);
    finish(weights)
}

fn finish(weights: Weights) -> Result<Weights, Error> {
    if weights.tensors.is_empty() {
        return Err(Error::contents("layers with weights, as Keras writes them", "none"));
    }
    Ok(weights)
}

fn insert(weights: &mut Weights, name: String, tensor: Tensor) -> Result<(), Error> {
    if weights.tensors.len() >= TENSORS {
        return Err(Error::TooLarge { what: "tensors".into(), limit: TENSORS as u64, found: TENSORS as u64 + 1 });
    }
    if weights.tensors.contains_key(&name) {
        return Err(Error::Tensor { name, reason: "expected one of this name, found two".into() });
    }
    weights.tensors.insert(name, tensor);
    Ok(())
}

// Files that give names.

/// The names of a layer's arrays, `LAYER/LEAF`, or `LAYER/INNER/LEAF` where the layer is a model of its own.
fn named(
    layer: &str,
    arrays: &[String],
    tensors: Vec<Tensor>,
    classes: &BTreeMap<&str, &str>,
) -> Vec<(String, Tensor)> {
    let short = |name: &str| name.rsplit_once(':').map_or(name, |(name, _)| name).to_owned();
    let clean: Vec<String> = arrays.iter().map(|array| short(array)).collect();
    let split: Vec<(&str, &str)> = clean.iter().map(|name| name.rsplit_once('/').unwrap_or(("", name))).collect();
    let modern = split.iter().all(|(_, leaf)| LEAVES.contains(leaf));
    let parents: BTreeSet<&str> = split.iter().map(|(parent, _)| *parent).collect();
    let class = classes.get(layer).copied();
    let is_model = matches!(class, Some("Functional" | "Sequential" | "Model"));
    if (parents.len() > 1 || is_model) && modern {
        let inner = |parent: &str| match parent.strip_prefix(layer).map(|rest| rest.trim_start_matches('/')) {
            Some("") => layer.to_owned(),
            Some(rest) => format!("{layer}/{rest}"),
            None => format!("{layer}/{parent}"),
        };
        let name = |(parent, leaf): &(&str, &str)| {
            let class = classes.get(parent.rsplit('/').next().unwrap_or_default());
            format!("{}/{}", inner(parent), for_class(leaf, class.copied()))
        };
        return split.iter().map(name).zip(tensors).collect();
    }
    let leaves = if modern {
        split.iter().map(|(_, leaf)| (*leaf).to_owned()).collect()
    } else {
        old_leaves(&split.iter().map(|(_, leaf)| *leaf).collect::<Vec<_>>(), &tensors)
    };
    let name = |leaf: String| format!("{layer}/{}", for_class(&leaf, class));
    leaves.into_iter().map(name).zip(tensors).collect()
}

/// Keras 3 calls the kernel of a depthwise convolution `kernel`.
fn for_class<'a>(leaf: &'a str, class: Option<&str>) -> &'a str {
    match (leaf, class) {
        ("kernel", Some("DepthwiseConv2D")) => "depthwise_kernel",
        _ => leaf,
    }
}

/// The leaves of Keras 1, by the ends of names or else by order and rank.
fn old_leaves(names: &[&str], tensors: &[Tensor]) -> Vec<String> {
    let ending = |name: &str| {
        let modern = LEAVES.iter().find(|leaf| **leaf == name).copied();
        modern.or_else(|| OLD_ENDINGS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, leaf)| *leaf))
    };
    let by_name: Vec<Option<&str>> = names.iter().map(|name| ending(name)).collect();
    let ranks: Vec<usize> = tensors.iter().map(|tensor| tensor.shape.len()).collect();
    let by_order: &[&str] = match ranks.as_slice() {
        [rank] if *rank > 1 => &["kernel"],
        [rank, 1] if *rank > 1 => &["kernel", "bias"],
        [1, 1, 1, 1] => &["gamma", "beta", "moving_mean", "moving_variance"],
        [1, 1, 1] => &["beta", "moving_mean", "moving_variance"],
        _ => &[],
    };
    let named: BTreeSet<&str> = by_name.iter().flatten().copied().collect();
    if named.len() == names.len() {
        return by_name.into_iter().flatten().map(str::to_owned).collect();
    }
    if by_order.len() == names.len() {
        return by_order.iter().map(|leaf| (*leaf).to_owned()).collect();
    }
    names.iter().map(|name| (*name).to_owned()).collect()
}

// Files that give numbers.

/// Keras 3: `layers/GROUP/vars/0`, `1`, ..; groups are named by class, and the layer's name stands beside the arrays.
fn read_numbered(file: &mut File, config: &Config, weights: &mut Weights) -> Result<(), Error> {
    let mut visits = 0;
    numbered(file, "", "", &config.layers, 0, &mut visits, weights)
}

fn numbered(
    file: &mut File,
    path: &str,
    prefix: &str,
    layers: &[Layer],
    depth: usize,
    visits: &mut usize,
    weights: &mut Weights,
) -> Result<(), Error> {
    if depth > DEPTH {
        return Err(Error::TooLarge {
            what: "models inside each other".into(),
            limit: DEPTH as u64,
            found: depth as u64,
        });
    }
    let by_group = groups_of(layers);
    let (here, _) = file.members(path)?;
    for container in ["layers", "_layer_checkpoint_dependencies"] {
        if !here.iter().any(|group| group == container) {
            continue;
        }
        let (groups, _) = file.members(&format!("{path}{container}"))?;
        for group in groups {
            *visits += 1;
            if *visits > LAYERS {
                return Err(Error::TooLarge { what: "layers".into(), limit: LAYERS as u64, found: *visits as u64 });
            }
            let inner = format!("{path}{container}/{group}/");
            let has_variables = file.members(&inner)?.0.iter().any(|group| group == "vars");
            let told = if has_variables {
                let attributes = file.attributes(&format!("{inner}vars"))?;
                file.text(&attributes, "name")?
            } else {
                None
            };
            let layer = match &told {
                Some(name) => layers.iter().find(|layer| layer.name == *name),
                None => by_group.get(&group).copied(),
            };
            let own = told.as_deref().or(layer.map(|layer| layer.name.as_str())).unwrap_or(&group);
            let name = format!("{prefix}{own}");
            if has_variables {
                read_variables(file, &inner, &name, &group, layer, weights)?;
            }
            let below = layer.map_or(&[][..], |layer| &layer.layers);
            numbered(file, &inner, &format!("{name}/"), below, depth + 1, visits, weights)?;
        }
    }
    Ok(())
}

fn read_variables(
    file: &mut File,
    path: &str,
    name: &str,
    group: &str,
    layer: Option<&Layer>,
    weights: &mut Weights,
) -> Result<(), Error> {
    let (_, arrays) = file.members(&format!("{path}vars"))?;
    let mut tensors = Vec::new();
    for index in 0..arrays.len() {
        tensors.push(file.tensor(&format!("{path}vars/{index}"), &format!("{name}/{index}"))?);
    }
    let leaves = numbered_leaves(group, layer, &tensors);
    for (index, tensor) in tensors.into_iter().enumerate() {
        let leaf = leaves.get(index).map_or_else(|| index.to_string(), |leaf| (*leaf).to_owned());
        insert(weights, format!("{name}/{leaf}"), tensor)?;
    }
    Ok(())
}

/// What Keras 3 numbers, by the layer's class and settings; without a configuration, by the group's name.
fn numbered_leaves(group: &str, layer: Option<&Layer>, tensors: &[Tensor]) -> Vec<&'static str> {
    let class = layer.map_or_else(
        || group.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').to_owned(),
        |layer| snake(&layer.class),
    );
    let has = |setting: &str| layer.and_then(|layer| layer.settings[setting].as_bool());
    let leaves: Vec<&str> = match class.as_str() {
        "conv1d" | "conv2d" | "conv3d" | "conv" | "dense" | "conv2d_transpose" => vec!["kernel", "bias"],
        "depthwise_conv2d" | "depthwise_conv" => vec!["depthwise_kernel", "bias"],
        "separable_conv2d" | "separable_conv" => vec!["depthwise_kernel", "pointwise_kernel", "bias"],
        "batch_normalization" => {
            let count = tensors.len();
            let scale = has("scale").unwrap_or(count == 4);
            let center = has("center").unwrap_or(count >= 3);
            let own = [("gamma", scale), ("beta", center), ("moving_mean", true), ("moving_variance", true)];
            own.into_iter().filter(|(_, there)| *there).map(|(leaf, _)| leaf).collect()
        }
        _ => Vec::new(),
    };
    // A layer with more arrays than are known keeps its numbers.
    if leaves.len() < tensors.len() { Vec::new() } else { leaves }
}

/// The group of each layer where files do not say the name: its class, numbered in order.
fn groups_of<'a>(layers: &'a [Layer]) -> BTreeMap<String, &'a Layer> {
    let mut counts = BTreeMap::new();
    let group = |layer: &'a Layer| {
        let class = snake(&layer.class);
        let count = counts.entry(class.clone()).or_insert(0);
        *count += 1;
        let group = if *count == 1 { class } else { format!("{class}_{}", *count - 1) };
        (group, layer)
    };
    layers.iter().map(group).collect()
}

/// Keras's own rule from `DepthwiseConv2D` to `depthwise_conv2d`.
fn snake(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut out = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(index + 1);
        let word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || (!before.is_lowercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if word {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

// Which way kernels lie.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KernelOrder {
    TensorFlow,
    Theano,
}

/// What one kernel tells: `[rows, columns, in, out]` or `[out, in, rows, columns]`, by its bias and its window.
fn kernel_order(shape: &[usize], bias: Option<usize>) -> Option<KernelOrder> {
    let &[first, second, third, fourth] = shape else { return None };
    let by_bias = bias.map(|bias| (fourth == bias, first == bias));
    match by_bias {
        Some((true, false)) => return Some(KernelOrder::TensorFlow),
        Some((false, true)) => return Some(KernelOrder::Theano),
        _ => {}
    }
    let window = |rows: usize, columns: usize| rows == columns && rows <= 11;
    match (window(first, second), window(third, fourth)) {
        (true, false) => Some(KernelOrder::TensorFlow),
        (false, true) => Some(KernelOrder::Theano),
        _ => None,
    }
}

/// Turns every kernel of a file into TensorFlow's order, and notes what was found.
///
/// Since Keras 2 kernels are always in that order. Before, the file does not say, and shapes decide for all together.
/// Kernels that were used with Theano are also rotated by 180 degrees, since it convolves where others correlate:
/// that is so for files in Theano's order, unless they name another backend, and for later files that name Theano.
fn turn_kernels(weights: &mut Weights) -> Result<(), Error> {
    let modern = weights.metadata.get("keras.version").is_some_and(|version| !version.starts_with(['0', '1']));
    let order = if modern { KernelOrder::TensorFlow } else { file_order(&weights.tensors)? };
    let backend = weights.metadata.get("keras.backend").map(String::as_str);
    let rotated = match backend {
        Some(backend) => backend == "theano",
        None => order == KernelOrder::Theano,
    };
    let text = if order == KernelOrder::Theano { "theano" } else { "tensorflow" };
    weights.metadata.insert("keras.kernel_order".into(), text.into());
    if rotated {
        weights.metadata.insert("keras.kernels_rotated".into(), "true".into());
    }
    for (name, tensor) in &mut weights.tensors {
        if tensor.shape.len() != 4 || !name.ends_with("kernel") {
            continue;
        }
        if order == KernelOrder::Theano {
            *tensor = to_tensorflow(tensor);
        }
        if rotated {
            rotate(tensor);
        }
    }
    Ok(())
}

fn file_order(tensors: &BTreeMap<String, Tensor>) -> Result<KernelOrder, Error> {
    let mut found: Option<(KernelOrder, &str)> = None;
    for (name, tensor) in tensors {
        let Some(layer) = name.strip_suffix("/kernel") else { continue };
        let bias = tensors.get(&format!("{layer}/bias")).map(|bias| bias.values.len());
        let Some(order) = kernel_order(&tensor.shape, bias) else { continue };
        match found {
            Some((other, first)) if other != order => {
                return Err(Error::Tensor {
                    name: name.clone(),
                    reason: format!("expected a kernel in {other:?}'s order like `{first}`, found {:?}", tensor.shape),
                });
            }
            _ => found = Some((order, name)),
        }
    }
    Ok(found.map_or(KernelOrder::TensorFlow, |(order, _)| order))
}

/// `[out, in, rows, columns]` to `[rows, columns, in, out]`.
fn to_tensorflow(kernel: &Tensor) -> Tensor {
    let &[outputs, inputs, rows, columns] = kernel.shape.as_slice() else { return kernel.clone() };
    let window = rows * columns;
    let at = |place, input, output| kernel.values[(output * inputs + input) * window + place];
    let values = (0..window)
        .flat_map(|place| (0..inputs).flat_map(move |input| (0..outputs).map(move |output| at(place, input, output))));
    Tensor { shape: vec![rows, columns, inputs, outputs], values: values.collect(), precision: kernel.precision }
}

/// Turns the window of a kernel in TensorFlow's order by 180 degrees.
fn rotate(kernel: &mut Tensor) {
    let channels = kernel.shape[2] * kernel.shape[3];
    if channels > 0 {
        kernel.values = kernel.values.chunks_exact(channels).rev().flatten().copied().collect();
    }
}
