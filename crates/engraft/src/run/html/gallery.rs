//! Mistakes and suspicious labels, as images.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::collections::HashMap;

use maud::{Markup, html};

use super::format::{count, name, path, plural, probability};
use super::parts::{Thumbnail, folded};
use crate::run::blocks::ClassesReport;

/// Tiles shown before the rest is folded away.
const SHOWN: usize = 12;

/// One tile: a file, and a change from one class to another.
pub(super) struct Tile<'a> {
    pub(crate) file: &'a str,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) detail: String,
}

/// Confident mistakes, then labels that are probably wrong.
pub(crate) fn section(report: &ClassesReport, images: &[Thumbnail]) -> Markup {
    let known = by_file(images);
    let mistakes: Vec<Tile> = (report.mistakes.iter())
        .map(|mistake| Tile {
            file: &mistake.file,
            from: &mistake.label,
            to: &mistake.answer,
            detail: format!("probability {}", probability(f64::from(mistake.probability))),
        })
        .collect();
    let labels: Vec<Tile> = (report.label_errors.iter())
        .map(|error| Tile {
            file: &error.file,
            from: &error.given,
            to: &error.suggested,
            detail: format!(
                "{} against {}",
                probability(f64::from(error.suggested_probability)),
                probability(f64::from(error.given_probability))
            ),
        })
        .collect();
    html! {
        h3 { "Worst mistakes" }
        @if mistakes.is_empty() { p.empty { "No out-of-fold answer was wrong." } } @else {
            p.lead { "Wrong out-of-fold answers, the surest first: label → answer, and the probability of the answer." }
            (tiles(&mistakes, &known))
        }
        h3 { "Labels that are probably wrong" }
        @if labels.is_empty() { p.empty { "No label looks wrong." } } @else {
            p.lead {
                "About as many labels are estimated to be wrong as are shown here. Look at these by eye before anything else: correcting labels is often worth more than a better model. \
                 Label → likely class, and the probability of the likely class against that of the label."
            }
            (tiles(&labels, &known))
        }
    }
}

pub(super) fn by_file(images: &[Thumbnail]) -> HashMap<&str, &Thumbnail> {
    images.iter().map(|image| (image.file.as_str(), image)).collect()
}

pub(super) fn tiles(tiles: &[Tile], known: &HashMap<&str, &Thumbnail>) -> Markup {
    let (shown, rest) = tiles.split_at(tiles.len().min(SHOWN));
    let grid =
        |tiles: &[Tile]| html! { ul.tiles { @for tile in tiles { (tile_item(tile, known.get(tile.file).copied())) } } };
    let summary = format!("{} {}", count(rest.len()), plural(rest.len(), "other", "others"));
    folded(&summary, grid(shown), (!rest.is_empty()).then(|| grid(rest)))
}

fn tile_item(tile: &Tile, image: Option<&Thumbnail>) -> Markup {
    html! {
        li {
            (picture(tile.file, image))
            p.change { (name(tile.from)) span.arrow aria-label="to" { " → " } strong { (name(tile.to)) } }
            p.detail { (tile.detail) }
            p.file { (path(tile.file)) }
        }
    }
}

/// What is to be seen of an example.
pub(super) fn picture(file: &str, image: Option<&Thumbnail>) -> Markup {
    html! {
        @match image {
            Some(Thumbnail { mime: "text/plain", bytes, .. }) => p.excerpt { (name(&String::from_utf8_lossy(bytes))) },
            Some(image) => img src=(data_uri(image)) alt={ "Image: " (file) } decoding="async";
            None => div.missing { "no thumbnail" }
        }
    }
}

fn data_uri(image: &Thumbnail) -> String {
    format!("data:{};base64,{}", image.mime, BASE64_STANDARD.encode(&image.bytes))
}
