//! Numbers and categories that people know examples by, and how they differ in two data sets.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::report::{Property, Typical};
use crate::data::image::{Limits, decode_and_tell, jpeg_quality};
use crate::data::vectors::{Cells as Column, VectorSet};
use crate::data::{ImageSource, Side};
use crate::error::Result;
use crate::progress::Observer;
use crate::similarity::marginals::{Cells, shifts};

/// Longest side of the image in which edges are looked for, in pixels.
const SIDE: u32 = 256;
/// What is measured of an image.
const OF_IMAGES: [&str; 8] =
    ["width", "height", "width / height", "brightness", "contrast", "saturation", "sharpness", "JPEG quality"];

/// A property of some examples of both data sets.
struct Named {
    name: String,
    cells: Cells,
    /// Names of its categories.
    categories: Vec<String>,
}

/// The properties of some examples of both, those first that differ most surely; images of 16 bits a channel use `depth` of them.
///
/// # Errors
/// Interruption.
pub(super) fn properties(
    both: [(&Side, &[usize]); 2],
    depth: Option<u8>,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Vec<Property>> {
    let named = match both.map(|(side, _)| side.rows()) {
        [Some(first), Some(second)] => of_columns([(first, both[0].1), (second, both[1].1)]),
        _ if both[0].0.texts().is_empty() => of_images(both, depth, observer)?,
        _ => of_texts(both),
    };
    let (first, rows) = (both[0].1.len(), both[0].1.len() + both[1].1.len());
    let cells: Vec<Cells> = named.iter().map(|it| it.cells.clone()).collect();
    let found = shifts(&cells, first, rows, seed);
    let mut properties: Vec<Property> = named
        .iter()
        .zip(found)
        .map(|(it, shift)| {
            let [a, b] = typical(it, first);
            let (name, distance) = (it.name.clone(), shift.distance);
            Property { name, a, b, distance, p: shift.p, corrected_p: shift.corrected_p }
        })
        .collect();
    properties.sort_by(|a, b| a.corrected_p.total_cmp(&b.corrected_p).then(b.distance.total_cmp(&a.distance)));
    Ok(properties)
}

fn of_texts(both: [(&Side, &[usize]); 2]) -> Vec<Named> {
    let texts = || both.into_iter().flat_map(|(side, which)| which.iter().map(|&at| &side.texts()[at]));
    let words: Vec<f64> =
        texts().map(|text| text.parts().map(|part| part.split_whitespace().count()).sum::<usize>() as f64).collect();
    let characters: Vec<f64> =
        texts().map(|text| text.parts().map(|part| part.chars().count()).sum::<usize>() as f64).collect();
    [("words", words), ("characters", characters)]
        .map(|(name, numbers)| Named { name: name.into(), cells: Cells::Numbers(numbers), categories: Vec::new() })
        .into()
}

/// The columns, which are the same in both.
fn of_columns(both: [(&VectorSet, &[usize]); 2]) -> Vec<Named> {
    let mut named = Vec::new();
    for (first, second) in both[0].0.columns.iter().zip(&both[1].0.columns) {
        let name = &first.name;
        let missing = |column: &Column, row: usize| match column {
            Column::Numbers(numbers) => numbers[row].is_nan(),
            Column::Words { codes, .. } => codes[row].is_none(),
        };
        let absent: Vec<Option<usize>> = [(first, both[0].1), (second, both[1].1)]
            .into_iter()
            .flat_map(|(column, which)| which.iter().map(|&row| Some(usize::from(missing(&column.cells, row)))))
            .collect();
        if absent.contains(&Some(1)) {
            let categories = ["there", "missing"].map(str::to_owned).into();
            named.push(Named { name: format!("{name} is missing"), cells: Cells::Categories(absent), categories });
        }
        match (&first.cells, &second.cells) {
            (Column::Numbers(a), Column::Numbers(b)) => {
                let of = |numbers: &[f64], which: &[usize]| which.iter().map(|&row| numbers[row]).collect::<Vec<_>>();
                let cells = Cells::Numbers([of(a, both[0].1), of(b, both[1].1)].concat());
                named.push(Named { name: name.clone(), cells, categories: Vec::new() });
            }
            (Column::Words { words: a, codes: of_a }, Column::Words { words: b, codes: of_b }) => {
                let mut place: BTreeMap<&str, usize> = BTreeMap::new();
                a.iter().chain(b).for_each(|word| {
                    let next = place.len();
                    place.entry(word).or_insert(next);
                });
                let code = |words: &[String], code: Option<u32>| code.map(|code| place[words[code as usize].as_str()]);
                let first = both[0].1.iter().map(|&row| code(a, of_a[row]));
                let cells = first.chain(both[1].1.iter().map(|&row| code(b, of_b[row]))).collect();
                let mut categories = vec![String::new(); place.len()];
                place.iter().for_each(|(word, &at)| (*word).clone_into(&mut categories[at]));
                named.push(Named { name: name.clone(), cells: Cells::Categories(cells), categories });
            }
            // Such columns are not read.
            _ => {}
        }
    }
    named
}

fn of_images(both: [(&Side, &[usize]); 2], depth: Option<u8>, observer: &dyn Observer) -> Result<Vec<Named>> {
    let images: Vec<&ImageSource> =
        both.into_iter().flat_map(|(side, which)| which.iter().filter_map(|&at| side.image(at))).collect();
    observer.begin("measuring", images.len() as u64, "images");
    let measured: Result<Vec<[f64; OF_IMAGES.len()]>> = images
        .par_iter()
        .map(|image| {
            observer.check()?;
            let found = measured(image, depth).unwrap_or([f64::NAN; OF_IMAGES.len()]);
            observer.advance(1);
            Ok(found)
        })
        .collect();
    observer.end();
    let measured = measured?;
    let of = |(at, name): (usize, &&str)| Named {
        name: (*name).to_owned(),
        cells: Cells::Numbers(measured.iter().map(|each| each[at]).collect()),
        categories: Vec::new(),
    };
    // Without a JPEG on either side there is no quality to compare.
    let is_there = |it: &Named| matches!(&it.cells, Cells::Numbers(numbers) if numbers.iter().any(|x| !x.is_nan()));
    Ok(OF_IMAGES.iter().enumerate().map(of).filter(is_there).collect())
}

/// What is measured of an image, in the order of [`OF_IMAGES`]; brightness, contrast (standard deviation) and saturation from 0 to 1.
///
/// Sharpness is the variance of the Laplacian of the grey values from 0 to 255, of an image shrunk to 256 pixels where it is
/// larger (Pech-Pacheco, Cristóbal, Chamorro-Martínez and Fernández-Valdivia, 2000, "Diatom autofocusing in brightfield
/// microscopy", ICPR), as its logarithm to base 10.
fn measured(image: &ImageSource, depth: Option<u8>) -> Option<[f64; OF_IMAGES.len()]> {
    let limits = Limits::default();
    let bytes = image.read(limits.bytes).ok()?;
    let pixels = decode_and_tell(&bytes, &limits, depth).ok()?.pixels;
    let (width, height) = (pixels.width as f64, pixels.height as f64);
    let rgb =
        image::RgbImage::from_raw(u32::try_from(pixels.width).ok()?, u32::try_from(pixels.height).ok()?, pixels.rgb())?;
    let small = match rgb.width().max(rgb.height()) > SIDE {
        true => image::DynamicImage::ImageRgb8(rgb).thumbnail(SIDE, SIDE).into_rgb8(),
        false => rgb,
    };
    let count = f64::from(small.width()) * f64::from(small.height());
    let grey = image::DynamicImage::ImageRgb8(small.clone()).into_luma8();
    let mean = grey.pixels().map(|pixel| f64::from(pixel[0])).sum::<f64>() / count;
    let variance = grey.pixels().map(|pixel| (f64::from(pixel[0]) - mean).powi(2)).sum::<f64>() / count;
    let saturation = |pixel: &image::Rgb<u8>| {
        let (most, least) = (pixel.0.into_iter().max().unwrap_or(0), pixel.0.into_iter().min().unwrap_or(0));
        if most == 0 { 0.0 } else { f64::from(most - least) / f64::from(most) }
    };
    let saturation = small.pixels().map(saturation).sum::<f64>() / count;
    let sharpness = sharpness(&grey).map_or(f64::NAN, |variance| (1.0 + variance).log10());
    let quality = jpeg_quality(&bytes).unwrap_or(f64::NAN);
    Some([width, height, width / height, mean / 255.0, variance.sqrt() / 255.0, saturation, sharpness, quality])
}

/// The variance of the Laplacian; nothing of an image without an inside.
fn sharpness(grey: &image::GrayImage) -> Option<f64> {
    let (width, height) = grey.dimensions();
    if width < 3 || height < 3 {
        return None;
    }
    let at = |x: u32, y: u32| f64::from(grey.get_pixel(x, y)[0]);
    let inside = (1..height - 1).flat_map(|y| (1..width - 1).map(move |x| (x, y)));
    let edges: Vec<f64> =
        inside.map(|(x, y)| at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4.0 * at(x, y)).collect();
    let mean = edges.iter().sum::<f64>() / edges.len() as f64;
    Some(edges.iter().map(|edge| (edge - mean).powi(2)).sum::<f64>() / edges.len() as f64)
}

/// What is typical of both.
fn typical(it: &Named, first: usize) -> [Typical; 2] {
    match &it.cells {
        Cells::Numbers(numbers) => {
            let (a, b) = numbers.split_at(first);
            [a, b].map(|numbers| {
                let mut known: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
                known.sort_by(f64::total_cmp);
                let quantile = |share: f64| known[((known.len() - 1) as f64 * share).round() as usize];
                match known.is_empty() {
                    true => Typical::Missing {},
                    false => Typical::Number { median: quantile(0.5), quartiles: [quantile(0.25), quantile(0.75)] },
                }
            })
        }
        Cells::Categories(codes) => {
            let (a, b) = codes.split_at(first);
            let shares = [a, b].map(|codes| {
                let mut counts = vec![0.0f64; it.categories.len()];
                codes.iter().flatten().for_each(|&code| counts[code] += 1.0);
                let all = counts.iter().sum::<f64>().max(1.0);
                counts.into_iter().map(|count| count / all).collect::<Vec<f64>>()
            });
            let apart = |at: usize| (shares[0][at] - shares[1][at]).abs();
            let most = (0..it.categories.len()).max_by(|&a, &b| apart(a).total_cmp(&apart(b)).then(b.cmp(&a)));
            [0, 1].map(|side| match most {
                Some(at) => Typical::Category { category: it.categories[at].clone(), share: shares[side][at] },
                None => Typical::Missing {},
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;

    use super::*;

    /// Patches of many sizes, as in a photo.
    fn photo() -> image::RgbImage {
        image::RgbImage::from_fn(96, 64, |x, y| {
            let wave = |period: u32| (x / period + y / period) % 2 * 60;
            image::Rgb([(wave(3) + wave(7) + 40) as u8, (wave(5) + wave(17)) as u8, (x * 2) as u8])
        })
    }

    fn jpeg(image: &image::RgbImage, quality: u8) -> ImageSource {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image).unwrap();
        ImageSource::Cell { name: "a cell".into(), bytes: bytes.into() }
    }

    #[test]
    fn what_is_done_to_a_photo_is_measured() {
        let at = |name: &str| OF_IMAGES.iter().position(|it| *it == name).unwrap();
        let plain = measured(&jpeg(&photo(), 95), None).unwrap();
        assert_eq!([plain[at("width")], plain[at("height")], plain[at("width / height")]], [96.0, 64.0, 1.5]);
        for quality in [10, 30, 50, 75, 90] {
            let found = measured(&jpeg(&photo(), quality), None).unwrap()[at("JPEG quality")];
            assert!((found - f64::from(quality)).abs() < 3.0, "{found} for {quality}");
        }
        let blurred = measured(&jpeg(&image::imageops::blur(&photo(), 2.0), 95), None).unwrap();
        assert!(blurred[at("sharpness")] < plain[at("sharpness")] - 0.5, "{blurred:?} {plain:?}");
        let grey = measured(&jpeg(&image::DynamicImage::ImageRgb8(photo()).grayscale().into_rgb8(), 95), None).unwrap();
        assert!(grey[at("saturation")] < 0.05 && plain[at("saturation")] > 0.3, "{grey:?} {plain:?}");
        let bright = measured(&jpeg(&image::imageops::brighten(&photo(), 60), 95), None).unwrap();
        assert!(bright[at("brightness")] > plain[at("brightness")] + 0.1, "{bright:?}");
        assert_eq!(sharpness(&image::GrayImage::new(2, 9)), None);
        assert!(measured(&ImageSource::Cell { name: "none".into(), bytes: b"text".to_vec().into() }, None).is_none());
    }
}
