//! What a Keras model does to its input before the network that was trained begins: scales, sums, channels in another order.

use serde_json::Value;

use crate::keras_config::Layer;

/// The most channels of an image.
const CHANNELS: usize = 4;

/// The most layers that are told by name.
const TOLD: usize = 20;

/// Layers that do nothing to an image once a model is trained, or belong to the network.
const NEUTRAL: [&str; 23] = [
    "InputLayer",
    "ZeroPadding2D",
    "Dropout",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomTranslation",
    "Identity",
    "RandomContrast",
    "RandomBrightness",
    "RandomHeight",
    "RandomWidth",
    "RandomShear",
    "RandomHue",
    "RandomSaturation",
    "RandomColorJitter",
    "RandomGrayscale",
    "RandomGaussianBlur",
    "RandomErasing",
    "RandAugment",
];

/// Operations on a whole tensor whose arguments are kept.
const OPERATIONS: [&str; 7] = ["TrueDivide", "Divide", "Multiply", "Subtract", "Add", "GetItem", "Stack"];

/// Whether what a layer is called with is of use.
pub(crate) fn takes_arguments(class: &str) -> bool {
    OPERATIONS.contains(&class)
}

/// What is done to the input before the network.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Front {
    /// Factor and summand, each one for all channels or one for each; none where nothing is scaled.
    pub(crate) affine: Option<(Vec<f64>, Vec<f64>)>,
    /// Whether the channels are put into the opposite order, before they are scaled or after: the numbers of `affine` are
    /// in the order of the network's input.
    pub(crate) reversed: bool,
    /// Rows and columns that the input is stretched to.
    pub(crate) size: Option<[u64; 2]>,
    /// Layers that do something else, as `name (class)`.
    pub(crate) unread: Vec<String>,
    /// Single channels that were taken out, by their index.
    taken: Vec<i64>,
}

impl Front {
    /// Follows the layers in their order to the first with weights.
    pub(crate) fn of(layers: &[Layer]) -> Self {
        let mut front = Self::default();
        let is_network_reached = front.follow(layers, 0);
        if !front.taken.is_empty() {
            front.unread.push("channels that are taken out (GetItem)".into());
            return front;
        }
        // Without a network behind it nothing stands before one.
        if is_network_reached { front } else { Self::default() }
    }

    /// Whether the network was reached.
    fn follow(&mut self, layers: &[Layer], depth: usize) -> bool {
        layers.iter().any(|layer| {
            let class = layer.class.as_str();
            match () {
                () if !layer.layers.is_empty() && depth < 16 => self.follow(&layer.layers, depth + 1),
                () if class.contains("Conv") || matches!(class, "BatchNormalization" | "Dense") => true,
                () => {
                    if !self.apply(layer) && self.unread.len() < TOLD {
                        self.unread.push(format!("{} ({class})", layer.name).escape_debug().take(80).collect());
                    }
                    false
                }
            }
        })
    }

    /// Whether what a layer does is understood.
    fn apply(&mut self, layer: &Layer) -> bool {
        let settings = &layer.settings;
        match layer.class.as_str() {
            class if NEUTRAL.contains(&class) => true,
            // Its numbers are among the weights; a remark asks for them.
            "Normalization" => true,
            "Rescaling" => {
                let offset = if settings["offset"].is_null() { Some(vec![0.0]) } else { numbers(&settings["offset"]) };
                match (numbers(&settings["scale"]), offset) {
                    (Some(scale), Some(offset)) => self.scale(&scale, &offset),
                    _ => false,
                }
            }
            "Resizing" => {
                let keeps = |key: &str| settings[key].as_bool() == Some(true);
                let size = settings["height"].as_u64().zip(settings["width"].as_u64());
                self.size = size.map(|(height, width)| [height, width]);
                size.is_some() && !keeps("crop_to_aspect_ratio") && !keeps("pad_to_aspect_ratio")
            }
            class if takes_arguments(class) => self.operate(class, layer),
            _ => false,
        }
    }

    /// `x * scale + offset` after what was done before.
    fn scale(&mut self, scale: &[f64], offset: &[f64]) -> bool {
        let (old_scale, old_offset) = self.affine.take().unwrap_or((vec![1.0], vec![0.0]));
        let each = |one: &[f64], two: &[f64], put: fn(f64, f64) -> f64| -> Option<Vec<f64>> {
            match (one.len(), two.len()) {
                (1, _) => Some(two.iter().map(|b| put(one[0], *b)).collect()),
                (_, 1) => Some(one.iter().map(|a| put(*a, two[0])).collect()),
                (a, b) if a == b => Some(one.iter().zip(two).map(|(a, b)| put(*a, *b)).collect()),
                _ => None,
            }
        };
        let scaled = each(&old_scale, scale, |a, b| a * b);
        let moved = each(&old_offset, scale, |a, b| a * b).and_then(|moved| each(&moved, offset, |a, b| a + b));
        match (scaled, moved) {
            (Some(scale), Some(offset)) => {
                self.affine = Some((scale, offset));
                true
            }
            _ => false,
        }
    }

    /// An operation on a whole tensor with numbers, or a part of one.
    fn operate(&mut self, class: &str, layer: &Layer) -> bool {
        let arguments = layer.arguments.as_array().map_or(&[][..], Vec::as_slice);
        let reciprocal = |values: Vec<f64>| values.into_iter().map(|value| 1.0 / value).collect::<Vec<_>>();
        match (class, arguments) {
            ("GetItem", [_, Value::Array(place)]) => {
                let index = place.last().and_then(Value::as_i64).filter(|_| place.len() == 2);
                self.taken.extend(index);
                index.is_some()
            }
            // Keras' own way to put blue first.
            ("Stack", _) => {
                let turned =
                    std::mem::take(&mut self.taken) == [2, 1, 0] && layer.settings["axis"].as_i64() == Some(-1);
                if turned {
                    self.reversed = !self.reversed;
                    if let Some((scale, offset)) = &mut self.affine {
                        scale.reverse();
                        offset.reverse();
                    }
                }
                turned
            }
            (_, [first, second]) if is_tensor(first) => match (class, numbers(second)) {
                (_, None) => false,
                ("TrueDivide" | "Divide", Some(by)) => self.scale(&reciprocal(by), &[0.0]),
                ("Multiply", Some(by)) => self.scale(&by, &[0.0]),
                ("Subtract", Some(less)) => self.scale(&[1.0], &less.iter().map(|value| -value).collect::<Vec<_>>()),
                (_, Some(more)) => self.scale(&[1.0], &more),
            },
            _ => false,
        }
    }
}

fn is_tensor(value: &Value) -> bool {
    value["class_name"] == "__keras_tensor__"
}

/// A number, or one for each channel, however deep it lies in lists of one; finite.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    let mut value = match value["class_name"].as_str() {
        Some("__tensor__" | "__numpy__") => &value["config"]["value"],
        _ => value,
    };
    while let [one @ Value::Array(_)] = value.as_array().map_or(&[][..], Vec::as_slice) {
        value = one;
    }
    let all: Vec<f64> = match value {
        Value::Array(all) if (1..=CHANNELS).contains(&all.len()) => all.iter().filter_map(Value::as_f64).collect(),
        value => value.as_f64().into_iter().collect(),
    };
    let expected = value.as_array().map_or(1, Vec::len);
    (all.len() == expected && all.iter().all(|number| number.is_finite())).then_some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Front;
    use crate::keras_config::Config;

    /// A network behind layers of these classes, settings and arguments.
    fn front(before: &[(&str, Value, Value)]) -> Front {
        let layer = |(class, config, args): &(&str, Value, Value)| {
            let mut config = config.clone();
            config["name"] = json!(class.to_lowercase());
            json!({"class_name": class, "config": config, "inbound_nodes": [{"args": args}]})
        };
        let mut layers = vec![layer(&("InputLayer", json!({"batch_shape": [null, 224, 224, 3]}), json!([])))];
        layers.extend(before.iter().map(layer));
        let inner = [layer(&("InputLayer", json!({}), json!([]))), layer(&("Conv2D", json!({}), json!([])))];
        layers.push(json!({"class_name": "Functional", "config": {"name": "network", "layers": inner}}));
        layers.push(layer(&("Rescaling", json!({"scale": 7.0}), json!([]))));
        let model = json!({"class_name": "Functional", "config": {"name": "model", "layers": layers}});
        Front::of(&Config::parse(&model.to_string()).unwrap().layers)
    }

    fn with(class: &'static str, number: Value) -> (&'static str, Value, Value) {
        (class, json!({}), json!([{"class_name": "__keras_tensor__", "config": {}}, number]))
    }

    fn rescaling(scale: Value, offset: Value) -> (&'static str, Value, Value) {
        ("Rescaling", json!({"scale": scale, "offset": offset}), json!([]))
    }

    #[test]
    fn several_scalings_before_a_network_are_put_together() {
        assert_eq!(front(&[]), Front::default());
        let one = front(&[("RandomFlip", json!({}), json!([])), rescaling(json!(0.5), json!(-1))]);
        assert_eq!(one.affine, Some((vec![0.5], vec![-1.0])));
        let two = front(&[rescaling(json!(0.5), json!(0)), rescaling(json!(2.0), json!(-1.0))]);
        assert_eq!(two.affine, Some((vec![1.0], vec![-1.0])));
        let list = front(&[rescaling(json!([0.5, 0.25, 1.0]), json!([1, 2, 3])), rescaling(json!(2), Value::Null)]);
        assert_eq!(list.affine, Some((vec![1.0, 0.5, 2.0], vec![2.0, 4.0, 6.0])));
        let operations = front(&[with("TrueDivide", json!(127.5)), with("Subtract", json!(1.0))]);
        assert_eq!(operations.affine, Some((vec![1.0 / 127.5], vec![-1.0])));
        assert!(operations.unread.is_empty());
    }

    #[test]
    fn channels_in_the_other_order_are_told() {
        let item = |index: i64| with("GetItem", json!([{"class_name": "__ellipsis__", "config": {}}, index]));
        let means = json!({"class_name": "__tensor__", "config": {"value": [[[[-103.0, -116.0, -123.0]]]]}});
        let stack = ("Stack", json!({"axis": -1}), json!([[]]));
        let caffe = front(&[item(2), item(1), item(0), stack.clone(), with("Add", means)]);
        assert!(caffe.reversed && caffe.unread.is_empty(), "{caffe:?}");
        assert_eq!(caffe.affine, Some((vec![1.0], vec![-103.0, -116.0, -123.0])));
        let scaled = front(&[rescaling(json!([1, 2, 3]), json!(0)), item(2), item(1), item(0), stack.clone()]);
        assert_eq!(scaled.affine, Some((vec![3.0, 2.0, 1.0], vec![0.0; 3])));
        assert_eq!(front(&[item(0), item(1), item(2), stack]).unread, ["stack (Stack)"]);
        assert!(!front(&[item(2)]).unread.is_empty());
    }

    #[test]
    fn what_else_is_done_before_a_network_is_told_by_name() {
        for (class, settings) in [
            ("Power", json!({})),
            ("CenterCrop", json!({})),
            ("TFOpLambda", json!({"function": "math.truediv"})),
            ("Resizing", json!({"height": 8, "width": 8, "crop_to_aspect_ratio": true})),
        ] {
            let found = front(&[(class, settings, json!([]))]).unread;
            assert_eq!(found, [format!("{} ({class})", class.to_lowercase())]);
        }
        let resized = front(&[("Resizing", json!({"height": 160, "width": 96}), json!([]))]);
        assert_eq!((resized.size, resized.unread.len()), (Some([160, 96]), 0));
    }
}
