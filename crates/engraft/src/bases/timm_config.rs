//! A `config.json` as timm lays it beside weights: which input they were trained for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::bases::card::Card;
use crate::bases::vision::architecture::Architecture;
use crate::data::preprocess::{Interpolation, Resize};
use crate::error::{Error, Problem, Result, shown};
use crate::files;

/// Longest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

fn place_beside(weights: &Path) -> PathBuf {
    weights.with_file_name("config.json")
}

/// What must be said of an input.
const KEYS: [&str; 3] = ["input_size", "mean", "std"];

/// What lies beside weights.
enum Beside {
    /// No such file, or none of timm's.
    Nothing,
    /// One of which nothing is used, and why.
    LeftOut(String),
    /// What it says of the input.
    Said { architecture: Option<String>, said: Map<String, Value> },
}

fn beside(weights: &Path) -> Beside {
    let place = place_beside(weights);
    let Ok(bytes) = files::read_limited(&place, LIMIT) else { return Beside::Nothing };
    let mut config = match serde_json::from_slice(&bytes) {
        Ok(Value::Object(config)) => config,
        Ok(_) => return Beside::Nothing,
        Err(reason) => {
            return Beside::LeftOut(format!("{} cannot be read and is left out: {reason}", shown(&place)));
        }
    };
    let architecture = config.get("architecture").and_then(Value::as_str).map(str::to_owned);
    let said = match config.remove("pretrained_cfg") {
        Some(Value::Object(inner)) => inner,
        // Older files have all at the top.
        _ => config,
    };
    let lacking: Vec<&str> = KEYS.into_iter().filter(|key| !said.contains_key(*key)).collect();
    match lacking.len() {
        0 => Beside::Said { architecture, said },
        3 => Beside::Nothing,
        _ => {
            let lacking = lacking.join(" and no ");
            Beside::LeftOut(format!("{} has no {lacking} for the input, and is left out", shown(&place)))
        }
    }
}

/// The shorter side of the input that is said beside weights.
pub(super) fn side(weights: &Path) -> Option<usize> {
    let Beside::Said { said, .. } = beside(weights) else { return None };
    let sides = said["input_size"].as_array()?.get(1..3)?;
    sides.iter().map(Value::as_u64).min().flatten().map(|side| side as usize)
}

/// How what a configuration is of stands to the network that the tensors are.
#[derive(Debug, PartialEq, Eq)]
enum Kinship {
    Same,
    /// Perhaps the same tensors, with other operations between them.
    Variant,
    Other,
}

/// Parts of timm's names that say where weights were trained.
const TRAININGS: [&str; 7] = ["tv", "gluon", "ssl", "swsl", "tf", "adv", "ig"];
/// Networks that have variants.
const FAMILIES: [&str; 6] = ["resnet", "mobilenet", "inception", "squeezenet", "nasnet", "darknet"];

impl Kinship {
    fn of(said: &str, architecture: Architecture) -> Self {
        let name = said.rsplit('/').next().unwrap_or(said).to_ascii_lowercase();
        let name = name.split('.').next().unwrap_or_default();
        let name = TRAININGS.iter().find_map(|part| name.strip_prefix(part)?.strip_prefix('_')).unwrap_or(name);
        let plain = |name: &str| name.replace(['_', '-'], "");
        let name = plain(name.strip_suffix("_v1b").unwrap_or(name));
        let is = |architecture: Architecture| {
            let own = plain(architecture.name());
            name == own || name == format!("{own}100") || name.replace("nasneta", "nasnet") == own
        };
        if is(architecture) {
            return Self::Same;
        }
        let family = FAMILIES.into_iter().find(|family| architecture.name().contains(family));
        let is_kin = family.is_some_and(|family| name.contains(family));
        if is_kin && !Architecture::ALL.into_iter().any(is) { Self::Variant } else { Self::Other }
    }
}

/// Lays what a `config.json` of timm beside the weights says of the input over a card that was not given. Whether it did; a
/// remark says where there is such a file and it did not.
///
/// The shorter side before the centre is cut out is `floor(size / crop_pct)`, as timm's evaluation transform has it.
///
/// # Errors
/// [`Error::Weights`] for a file whose numbers make no sense, or that is of a variant of the network: its tensors have the same
/// names, and it computes something else.
pub(super) fn lay_over(card: &mut Card, weights: &Path, remarks: &mut Vec<String>) -> Result<bool> {
    let (architecture, said) = match beside(weights) {
        Beside::Nothing => return Ok(false),
        Beside::LeftOut(why) => {
            remarks.push(why);
            return Ok(false);
        }
        Beside::Said { architecture, said } => (architecture, said),
    };
    if let Some(other) = architecture.filter(|_| card.architecture != Architecture::ONNX) {
        match Kinship::of(&other, card.architecture) {
            Kinship::Same => {}
            Kinship::Variant => {
                return Err(Error::Weights(
                    Problem::new("the weights are those of a variant of the network, which is not known")
                        .expected(format_args!("{}, whose tensors they are", card.architecture.name()))
                        .found(format_args!("`{other}` as architecture"))
                        .at(place_beside(weights))
                        .hint("export the network to ONNX; or if config.json is wrong, give a card with --card"),
                ));
            }
            Kinship::Other => {
                let (place, name) = (place_beside(weights), card.architecture.name());
                remarks
                    .push(format!("{} is of {other}, where the weights are of {name}: it is left out", shown(&place)));
                return Ok(false);
            }
        }
    }
    let place = place_beside(weights);
    let refuse = |what: &str, expected: &str| {
        let found = said.get(what).map_or("nothing".into(), |value| value.to_string());
        let problem = Problem::new(format_args!("`{what}` of timm's config.json is not understood")).expected(expected);
        Error::Weights(problem.found(found).at(&place).hint("give a card with --card"))
    };
    let p = &mut card.preprocessing;
    let sizes: Option<Vec<u64>> =
        said["input_size"].as_array().and_then(|sizes| sizes.iter().map(Value::as_u64).collect());
    let Some([channels, height, width]) = sizes.as_deref().and_then(<[u64]>::first_chunk).copied() else {
        return Err(refuse("input_size", "channels, rows and columns"));
    };
    if channels as usize != p.channels {
        return Err(refuse("input_size", &format!("{} channels, as the weights have", p.channels)));
    }
    (p.height, p.width) = (height as usize, width as usize);
    let crop = match said.get("crop_pct") {
        None | Some(Value::Null) => 0.875,
        Some(crop) => {
            crop.as_f64().filter(|crop| *crop > 0.05 && *crop <= 1.0).ok_or_else(|| refuse("crop_pct", "a share"))?
        }
    };
    let larger = p.height.max(p.width);
    p.resize = match said.get("crop_mode").and_then(Value::as_str).unwrap_or("center") {
        "squash" if crop == 1.0 => Resize::Stretch,
        // timm enlarges both sides until the whole input is covered, which is no shorter side of the image.
        "center" if height != width => {
            return Err(refuse("input_size", "as many rows as columns, for a cut at the centre"));
        }
        "center" => Resize::ShortestSide((larger as f64 / crop).floor() as usize),
        _ => return Err(refuse("crop_mode", "center, or squash of the whole image")),
    };
    p.interpolation = match said.get("interpolation").and_then(Value::as_str).unwrap_or("bilinear") {
        "bilinear" | "random" => Interpolation::Bilinear,
        "bicubic" => Interpolation::Bicubic,
        "nearest" => Interpolation::Nearest,
        _ => return Err(refuse("interpolation", "bilinear, bicubic or nearest")),
    };
    for (name, values) in [("mean", &mut p.mean), ("std", &mut p.std)] {
        let found: Option<Vec<f64>> = said[name].as_array().and_then(|all| all.iter().map(Value::as_f64).collect());
        *values =
            found.filter(|found| found.len() == p.channels).ok_or_else(|| refuse(name, "a number for each channel"))?;
    }
    if let Some(licence) = said.get("license").and_then(Value::as_str) {
        licence.clone_into(&mut card.licence);
    }
    Ok(true)
}

/// What is said of a card that was laid over.
pub(super) fn remark(card: &Card, weights: &Path) -> String {
    let p = &card.preprocessing;
    format!(
        "preprocessing as {} says: {} x {} pixels, {:?}, {:?}, mean {:?}, std {:?}",
        shown(place_beside(weights)),
        p.height,
        p.width,
        p.resize,
        p.interpolation,
        p.mean,
        p.std
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_that_of_timms_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let weights = temp.path().join("model.safetensors");
        let write = |text: &str| std::fs::write(temp.path().join("config.json"), text).unwrap();
        let card = || Card::usual(Architecture::RESNET18, "x".into());
        let mut plain = card();
        assert!(!lay_over(&mut plain, &weights, &mut Vec::new()).unwrap());
        assert_eq!(plain, card());
        let inner = r#""input_size": [3, 288, 288], "interpolation": "bicubic", "crop_pct": 0.95, "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.5, 0.5], "license": "apache-2.0""#;
        for text in [
            format!(r#"{{"architecture": "resnet18", "pretrained_cfg": {{{inner}}}}}"#),
            format!(r#"{{"architecture": "resnet18", {inner}}}"#),
        ] {
            write(&text);
            let mut card = card();
            assert!(lay_over(&mut card, &weights, &mut Vec::new()).unwrap());
            let p = &card.preprocessing;
            assert_eq!((p.height, p.width, p.resize), (288, 288, Resize::ShortestSide(303)));
            assert_eq!((p.interpolation, card.licence.as_str()), (Interpolation::Bicubic, "apache-2.0"));
            assert_eq!((&p.mean, &p.std), (&vec![0.5; 3], &vec![0.25, 0.5, 0.5]));
            assert!(remark(&card, &weights).contains("288 x 288"));
        }
        // Of Transformers', say.
        write(r#"{"model_type": "bert", "hidden_size": 12}"#);
        assert!(!lay_over(&mut card(), &weights, &mut Vec::new()).unwrap());
        write(&format!(r#"{{"pretrained_cfg": {{{}}}}}"#, inner.replace("0.95", "9")));
        assert!(lay_over(&mut card(), &weights, &mut Vec::new()).unwrap_err().to_string().contains("crop_pct"));
        write(&format!(r#"{{"pretrained_cfg": {{{}}}}}"#, inner.replace("[3, 288, 288]", "[3, 128, 256]")));
        let error = lay_over(&mut card(), &weights, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("as many rows as columns") && error.contains("[3,128,256]"), "{error}");
        assert_eq!(side(&weights), Some(128));
    }

    #[test]
    fn variants_of_a_network_are_told_from_other_trainings_of_it() {
        for (said, architecture, expected) in [
            ("resnet50.a1_in1k", Architecture::RESNET50, Kinship::Same),
            ("tv_resnet101", Architecture::RESNET101, Kinship::Same),
            ("gluon_resnet50_v1b", Architecture::RESNET50, Kinship::Same),
            ("mobilenetv2_100", Architecture::MOBILENET_V2, Kinship::Same),
            ("tf_inception_v3", Architecture::INCEPTION_V3, Kinship::Same),
            ("nasnetalarge", Architecture::NASNET_LARGE, Kinship::Same),
            ("resnetblur50", Architecture::RESNET50, Kinship::Variant),
            ("resnetaa50", Architecture::RESNET50, Kinship::Variant),
            ("mobilenetv2_120d", Architecture::MOBILENET_V2, Kinship::Variant),
            ("resnet34", Architecture::RESNET18, Kinship::Other),
            ("vit_base_patch16_224", Architecture::RESNET18, Kinship::Other),
        ] {
            assert_eq!(Kinship::of(said, architecture), expected, "{said}");
        }
    }
}
