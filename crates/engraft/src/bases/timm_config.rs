//! A `config.json` as timm lays it beside weights: which input they were trained for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::bases::card::Card;
use crate::data::preprocess::{Interpolation, Resize};
use crate::error::{Error, Problem, Result, shown};
use crate::files;

/// Longest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

fn place_beside(weights: &Path) -> PathBuf {
    weights.with_file_name("config.json")
}

/// What the file says of the input; nothing where there is none, or none of timm's.
fn said_beside(weights: &Path) -> Option<Map<String, Value>> {
    let bytes = files::read_limited(&place_beside(weights), LIMIT).ok()?;
    let Ok(Value::Object(mut config)) = serde_json::from_slice(&bytes) else { return None };
    let inner = config.remove("pretrained_cfg");
    let said = match inner {
        Some(Value::Object(inner)) => inner,
        // Older files have all at the top.
        _ => config,
    };
    (said.contains_key("input_size") && said.contains_key("mean") && said.contains_key("std")).then_some(said)
}

/// Lays what a `config.json` of timm beside the weights says of the input over a card that was not given. Whether there is
/// such a file.
///
/// The shorter side before the centre is cut out is `floor(size / crop_pct)`, as timm's evaluation transform has it.
///
/// # Errors
/// [`Error::Weights`] for a file whose numbers make no sense.
pub(super) fn lay_over(card: &mut Card, weights: &Path) -> Result<bool> {
    let Some(said) = said_beside(weights) else { return Ok(false) };
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

/// What is said of a card that was laid over; nothing where there is no such file.
pub(super) fn remark(card: &Card, weights: &Path) -> Option<String> {
    said_beside(weights)?;
    let p = &card.preprocessing;
    Some(format!(
        "preprocessing as {} says: {} x {} pixels, {:?}, {:?}, mean {:?}, std {:?}",
        shown(place_beside(weights)),
        p.height,
        p.width,
        p.resize,
        p.interpolation,
        p.mean,
        p.std
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bases::vision::architecture::Architecture;

    #[test]
    fn the_input_is_that_of_timms_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let weights = temp.path().join("model.safetensors");
        let write = |text: &str| std::fs::write(temp.path().join("config.json"), text).unwrap();
        let card = || Card::usual(Architecture::RESNET18, "x".into());
        let mut plain = card();
        assert!(!lay_over(&mut plain, &weights).unwrap());
        assert_eq!(plain, card());
        let inner = r#""input_size": [3, 288, 288], "interpolation": "bicubic", "crop_pct": 0.95, "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.5, 0.5], "license": "apache-2.0""#;
        for text in [
            format!(r#"{{"architecture": "resnet18", "pretrained_cfg": {{{inner}}}}}"#),
            format!(r#"{{"architecture": "resnet18", {inner}}}"#),
        ] {
            write(&text);
            let mut card = card();
            assert!(lay_over(&mut card, &weights).unwrap());
            let p = &card.preprocessing;
            assert_eq!((p.height, p.width, p.resize), (288, 288, Resize::ShortestSide(303)));
            assert_eq!((p.interpolation, card.licence.as_str()), (Interpolation::Bicubic, "apache-2.0"));
            assert_eq!((&p.mean, &p.std), (&vec![0.5; 3], &vec![0.25, 0.5, 0.5]));
            assert!(remark(&card, &weights).unwrap().contains("288 x 288"));
        }
        // Of Transformers', say.
        write(r#"{"model_type": "bert", "hidden_size": 12}"#);
        assert!(!lay_over(&mut card(), &weights).unwrap());
        write(&format!(r#"{{"pretrained_cfg": {{{}}}}}"#, inner.replace("0.95", "9")));
        assert!(lay_over(&mut card(), &weights).unwrap_err().to_string().contains("crop_pct"));
    }
}
