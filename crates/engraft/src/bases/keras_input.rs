//! What a whole Keras model says of its input: its size, and what its own layers do to it before the network.

use std::path::Path;

use engraft_weights::Weights;
use serde_json::Value;

use crate::bases::card::Card;
use crate::data::preprocess::{ChannelOrder, Preprocessing};
use crate::error::{Error, Problem, Result};
use crate::settings;

/// Lays what a model's own layers say over a card that was not given, and tells it. Whether they say how bytes are scaled.
///
/// # Errors
/// [`Error::Weights`] where they do what is not understood, and mean and std are not `said` by hand.
pub(super) fn lay_over(
    card: &mut Card,
    weights: &Weights,
    said: &settings::Input,
    place: &Path,
    remarks: &mut Vec<String>,
) -> Result<bool> {
    let get = |key: &str| weights.metadata.get(key);
    if get("keras.layers").is_some_and(|layers| layers.contains("\"Normalization\"")) {
        remarks.push(
            "the model normalises its input by a layer of its own, which is not read: give its numbers with --mean and --std"
                .into(),
        );
    }
    sized(&mut card.preprocessing, get("keras.input"), remarks);
    let by_hand = said.mean.is_some() && said.std.is_some();
    if let Some(layers) = get("keras.before").filter(|_| !by_hand) {
        let layers: Vec<String> = serde_json::from_str(layers).unwrap_or_default();
        return Err(Error::Weights(
            Problem::new("the model changes its input by layers that are not understood")
                .expected("Rescaling, or numbers that are added and multiplied, before the network")
                .found(layers.join(", "))
                .at(place)
                .hint("give what they do with --mean, --std and --channel-order, or export the model to ONNX"),
        ));
    }
    let reversed = get("keras.channels_reversed").is_some();
    let Some(text) = get("keras.rescaling") else {
        if reversed {
            ordered(&mut card.preprocessing, reversed);
        }
        return Ok(false);
    };
    let p = &mut card.preprocessing;
    let Some((mean, std)) = statistics(text, p.channels) else {
        return Err(Error::Weights(
            Problem::new("the model's own scaling of its input is not understood")
                .expected(format_args!("a factor above 0 and a summand, for all or each of {} channels", p.channels))
                .found(text)
                .at(place)
                .hint("give --mean and --std"),
        ));
    };
    (p.mean, p.std) = (mean, std);
    ordered(p, reversed);
    let order = if reversed { "blue first" } else { "red first" };
    remarks.push(format!("bytes are scaled as the model's own Rescaling layers do, {order}: [factor, summand] {text}"));
    Ok(true)
}

/// A model that takes bytes takes them as Keras reads images, red first, whatever its network was trained with.
fn ordered(p: &mut Preprocessing, reversed: bool) {
    p.channel_order = if reversed { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
}

/// The size of the model's own input.
fn sized(p: &mut Preprocessing, shape: Option<&String>, remarks: &mut Vec<String>) {
    let axes: Option<Vec<Option<usize>>> = shape.and_then(|shape| serde_json::from_str(shape).ok());
    if let Some([_, Some(height), Some(width), _]) = axes.as_deref()
        && *height > 0
        && *width > 0
        && [*height, *width] != [p.height, p.width]
    {
        p.scale_to([*height, *width]);
        remarks.push(format!("images of {height} x {width} pixels, as the model's own input has"));
    }
}

/// `scale b + offset` for a byte b is `(b / 255 - mean) / std`.
fn statistics(text: &str, channels: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let [scale, offset] = serde_json::from_str::<[Value; 2]>(text).ok()?;
    let each = |value: &Value| -> Option<Vec<f64>> {
        match value {
            Value::Array(all) => all.iter().map(Value::as_f64).collect::<Option<Vec<_>>>(),
            one => one.as_f64().map(|one| vec![one; channels]),
        }
    };
    let (scale, offset) = (each(&scale)?, each(&offset)?);
    if scale.len() != channels || offset.len() != channels {
        return None;
    }
    let mean: Vec<f64> = scale.iter().zip(&offset).map(|(scale, offset)| -offset / (255.0 * scale)).collect();
    let std: Vec<f64> = scale.iter().map(|scale| 1.0 / (255.0 * scale)).collect();
    let fits = mean.iter().chain(&std).all(|value| value.is_finite()) && std.iter().all(|std| *std > 0.0);
    fits.then_some((mean, std))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::vision::architecture::Architecture;
    use crate::data::preprocess::Resize;

    fn laid(metadata: &[(&str, &str)], said: &settings::Input) -> Result<(Preprocessing, bool, String)> {
        let mut weights = Weights::default();
        weights.metadata.extend(metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        // Keras' ResNet takes blue first, without a scale.
        let mut card = Card::usual(Architecture::RESNET50_V1, "x".into());
        let mut remarks = Vec::new();
        let told = lay_over(&mut card, &weights, said, Path::new("model.keras"), &mut remarks)?;
        Ok((card.preprocessing, told, remarks.join("\n")))
    }

    fn near(found: &[f64], expected: &[f64]) {
        let fits = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9);
        assert!(fits && found.len() == expected.len(), "{found:?} {expected:?}");
    }

    #[test]
    fn a_model_that_scales_its_input_takes_red_first() {
        let none = settings::Input::default();
        let (usual, told, _) = laid(&[], &none).unwrap();
        assert!(!told && usual.channel_order == ChannelOrder::Bgr);
        let (p, told, remarks) = laid(&[("keras.rescaling", "[0.00784313725490196,-1.0]")], &none).unwrap();
        // 2 b / 255 - 1 is (b / 255 - 0.5) / 0.5.
        near(&p.mean, &[0.5; 3]);
        near(&p.std, &[0.5; 3]);
        assert!(told && p.channel_order == ChannelOrder::Rgb && remarks.contains("Rescaling"), "{remarks}");
        let caffe = [("keras.rescaling", "[1.0,[-103.939,-116.779,-123.68]]"), ("keras.channels_reversed", "true")];
        let (p, told, _) = laid(&caffe, &none).unwrap();
        near(&p.mean, &usual.mean);
        near(&p.std, &usual.std);
        assert!(told && p.channel_order == ChannelOrder::Bgr);
        for odd in ["[0.0,1.0]", "[-1.0,1.0]", "[[1.0,2.0],0.0]"] {
            assert!(laid(&[("keras.rescaling", odd)], &none).is_err(), "{odd}");
        }
    }

    #[test]
    fn layers_that_are_not_understood_are_refused_unless_their_work_is_said_by_hand() {
        let before = [("keras.before", r#"["power (Power)"]"#)];
        let error = laid(&before, &settings::Input::default()).unwrap_err().to_string();
        assert!(error.contains("power (Power)") && error.contains("--mean"), "{error}");
        let said = settings::Input { mean: Some(vec![0.5]), std: Some(vec![0.5]), ..settings::Input::default() };
        assert!(laid(&before, &said).is_ok());
    }

    #[test]
    fn the_size_of_the_model_s_own_input_is_taken() {
        let (p, told, remarks) = laid(&[("keras.input", "[null,112,112,3]")], &settings::Input::default()).unwrap();
        assert_eq!((p.height, p.width, p.resize, told), (112, 112, Resize::ShortestSide(128), false));
        assert!(remarks.contains("112 x 112"), "{remarks}");
        let (p, ..) = laid(&[("keras.input", "[null,null,null,3]")], &settings::Input::default()).unwrap();
        assert_eq!(p.height, 224);
    }
}
