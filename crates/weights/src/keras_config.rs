//! Keras's configuration of a model, as data: which layers, of which class, with which settings.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Error;
use crate::keras_front::{self, Front};

/// The longest configuration that is parsed, in bytes. JSON takes some fifty times its size in memory.
pub(crate) const CONFIG: usize = 4 << 20;

/// The most mappings of one. Each takes some 600 bytes in memory, however little is in it; a layer has about ten.
const MAPPINGS: usize = 150_000;

/// The settings that are used. Others are not kept: a model's settings hold its layers', and those theirs.
const SETTINGS: [&str; 12] = [
    "scale",
    "offset",
    "center",
    "epsilon",
    "batch_input_shape",
    "batch_shape",
    "build_input_shape",
    "height",
    "width",
    "crop_to_aspect_ratio",
    "pad_to_aspect_ratio",
    "axis",
];

/// One layer of a configuration, in its order.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) class: String,
    pub(crate) settings: Value,
    /// Of an operation on a whole tensor: what it is called with.
    pub(crate) arguments: Value,
    /// The layers of a model inside the model.
    pub(crate) layers: Vec<Layer>,
}

/// What is used of a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) layers: Vec<Layer>,
    input: Option<Value>,
}

impl Config {
    /// # Errors
    /// For text that is not a configuration; [`Error::Code`] for a layer that holds Python code.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > CONFIG {
            let found = text.len() as u64;
            return Err(Error::TooLarge { what: "bytes of configuration".into(), limit: CONFIG as u64, found });
        }
        let mappings = text.bytes().filter(|&byte| byte == b'{').count();
        if mappings > MAPPINGS {
            let (limit, found) = (MAPPINGS as u64, mappings as u64);
            return Err(Error::TooLarge { what: "mappings of a configuration".into(), limit, found });
        }
        let model: Value = serde_json::from_str(text)
            .map_err(|error| Error::contents("a configuration in JSON", error.to_string()))?;
        refuse_code(&model)?;
        let layers = layers(&model["config"]);
        let input = input_shape(&model["config"], &layers);
        Ok(Self { layers, input })
    }

    /// What is known about the model, as metadata.
    pub(crate) fn describe(&self, metadata: &mut BTreeMap<String, String>) {
        let mut all = Vec::new();
        flatten(&self.layers, &mut all);
        if all.is_empty() {
            return;
        }
        let names: Vec<[&str; 2]> = all.iter().map(|layer| [layer.name.as_str(), layer.class.as_str()]).collect();
        metadata.insert("keras.layers".into(), serde_json::json!(names).to_string());
        let norms = all.iter().filter(|layer| layer.class.starts_with("BatchNormalization"));
        let epsilons: Vec<Option<f64>> = norms.map(|layer| layer.settings["epsilon"].as_f64()).collect();
        if let [Some(first), ..] = epsilons.as_slice()
            && epsilons.iter().all(|epsilon| *epsilon == Some(*first))
        {
            metadata.insert("keras.batch_norm_epsilon".into(), first.to_string());
        }
        let front = Front::of(&self.layers);
        if let Some((scale, offset)) = &front.affine {
            let value = |values: &[f64]| match values {
                [one] => serde_json::json!(one),
                many => serde_json::json!(many),
            };
            metadata.insert("keras.rescaling".into(), serde_json::json!([value(scale), value(offset)]).to_string());
        }
        if front.reversed {
            metadata.insert("keras.channels_reversed".into(), "true".into());
        }
        if !front.unread.is_empty() {
            metadata.insert("keras.before".into(), serde_json::json!(front.unread).to_string());
        }
        let resized = front.size.map(|[height, width]| serde_json::json!([null, height, width, null]));
        if let Some(shape) = resized.as_ref().or(self.input.as_ref()) {
            metadata.insert("keras.input".into(), shape.to_string());
        }
    }

    /// Name to class of every layer.
    pub(crate) fn classes(&self) -> BTreeMap<&str, &str> {
        let mut all = Vec::new();
        flatten(&self.layers, &mut all);
        all.iter().map(|layer| (layer.name.as_str(), layer.class.as_str())).collect()
    }
}

fn flatten<'a>(layers: &'a [Layer], all: &mut Vec<&'a Layer>) {
    for layer in layers {
        all.push(layer);
        flatten(&layer.layers, all);
    }
}

/// The layers of a model: Keras 1 wrote a sequence as a list, later a mapping that has it.
fn layers(config: &Value) -> Vec<Layer> {
    let list = config.as_array().or_else(|| config["layers"].as_array());
    let layer = |value: &Value| {
        let config = &value["config"];
        let name = config["name"].as_str().or_else(|| value["name"].as_str())?.to_owned();
        let settings = SETTINGS.iter().filter_map(|key| Some(((*key).to_owned(), config.get(*key)?.clone()))).collect();
        let class = value["class_name"].as_str()?.to_owned();
        let arguments = match keras_front::takes_arguments(&class) {
            true => value["inbound_nodes"][0]["args"].clone(),
            false => Value::Null,
        };
        Some(Layer { name, class, settings: Value::Object(settings), arguments, layers: layers(config) })
    };
    list.map(|list| list.iter().filter_map(layer).collect()).unwrap_or_default()
}

fn input_shape(config: &Value, layers: &[Layer]) -> Option<Value> {
    let own = layers.first().map(|layer| &layer.settings);
    let keys = ["batch_input_shape", "batch_shape", "build_input_shape"];
    let found = own.into_iter().chain([config]).find_map(|settings| keys.iter().find_map(|key| settings.get(*key)));
    let shape = found.filter(|shape| {
        shape.as_array().is_some_and(|axes| axes.len() <= 8 && axes.iter().all(|axis| axis.is_null() || axis.is_u64()))
    });
    shape.cloned()
}

/// Python code comes marshalled inside layers of class `Lambda` and functions of class `__lambda__`.
fn refuse_code(value: &Value) -> Result<(), Error> {
    if let Some(class) = value["class_name"].as_str()
        && matches!(class, "Lambda" | "__lambda__")
    {
        let name = value["config"]["name"].as_str().or_else(|| value["name"].as_str()).unwrap_or("(without a name)");
        return Err(Error::Code { name: format!("{class} layer {name}").escape_debug().take(200).collect() });
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(refuse_code),
        Value::Object(items) => items.values().try_for_each(refuse_code),
        _ => Ok(()),
    }
}
