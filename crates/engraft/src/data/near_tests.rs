use super::*;
use crate::data::image::Limits;
use crate::data::inspect::{Outcome, inspect};
use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};
use std::collections::BTreeSet;

/// Something at every scale, as in a photo: coarse patches and fine ones over them.
fn photo(seed: u64, side: u32) -> RgbImage {
    use rand::RngExt;
    let mut rng = crate::rng::rng(seed, "picture", 0);
    let mut patches = |n: u32| {
        let patches = RgbImage::from_fn(n, n, |_, _| image::Rgb(rng.random()));
        imageops::resize(&patches, side, side, FilterType::CatmullRom)
    };
    let layers = [patches(5), patches(11), patches(24)];
    RgbImage::from_fn(side, side, |x, y| {
        let mix =
            |c: usize| layers.iter().zip([0.5, 0.3, 0.2]).map(|(l, w)| w * f32::from(l.get_pixel(x, y).0[c])).sum();
        image::Rgb(std::array::from_fn(|c| {
            let value: f32 = mix(c);
            value as u8
        }))
    })
}

fn toned(photo: &RgbImage, tone: impl Fn(f32) -> f32) -> RgbImage {
    let mut out = photo.clone();
    out.iter_mut().for_each(|value| *value = tone(f32::from(*value)).clamp(0.0, 255.0) as u8);
    out
}

/// Shares of the sides cut off: left, top, right, bottom.
fn cropped(photo: &RgbImage, [left, top, right, bottom]: [f32; 4]) -> RgbImage {
    let (w, h) = (photo.width() as f32, photo.height() as f32);
    let (x, y) = ((left * w) as u32, (top * h) as u32);
    let (w, h) = ((w * (1.0 - left - right)) as u32, (h * (1.0 - top - bottom)) as u32);
    imageops::crop_imm(photo, x, y, w, h).to_image()
}

/// With black corners.
fn rotated(photo: &RgbImage, degrees: f32) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let middle = photo.width() as f32 / 2.0;
    RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let (x, y) = (x as f32 - middle, y as f32 - middle);
        let (x, y) = (cos * x - sin * y + middle, sin * x + cos * y + middle);
        imageops::interpolate_bilinear(photo, x, y).unwrap_or(image::Rgb([0; 3]))
    })
}

fn thumbnail(photo: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut bytes, format).unwrap();
    match inspect(&bytes.into_inner(), &Limits::default()).outcome {
        Outcome::Image { thumbnail, .. } => thumbnail,
        Outcome::Bad { reason, .. } => panic!("{reason}"),
    }
}

fn pairs(thumbnails: &[Vec<u8>], size: usize) -> BTreeSet<(usize, usize)> {
    let looks: Vec<Look> = thumbnails.iter().map(|thumbnail| Look { thumbnail, size: (size, size) }).collect();
    let mut pairs = BTreeSet::new();
    search(
        &looks,
        |_, _| true,
        |i, j| {
            pairs.insert((i, j));
        },
    );
    pairs
}

#[test]
fn changed_copies_are_found_and_nothing_else() {
    let png = |photo: &RgbImage| thumbnail(photo, ImageFormat::Png);
    let jpeg = |photo: &RgbImage| {
        let small = imageops::resize(photo, photo.width() * 2 / 3, photo.height() * 2 / 3, FilterType::Triangle);
        thumbnail(&small, ImageFormat::Jpeg)
    };
    type Change<'a> = &'a dyn Fn(&RgbImage) -> Vec<u8>;
    let changes: [(&str, Change<'_>); 10] = [
        ("as it is", &png),
        ("brighter", &|photo| png(&toned(photo, |value| 1.15 * value))),
        ("with more contrast", &|photo| png(&toned(photo, |value| 128.0 + 1.3 * (value - 128.0)))),
        ("cropped", &|photo| png(&cropped(photo, [0.05; 4]))),
        ("cropped on one side", &|photo| png(&cropped(photo, [0.05, 0.0, 0.0, 0.0]))),
        ("mirrored", &|photo| png(&imageops::flip_horizontal(photo))),
        ("turned", &|photo| png(&rotated(photo, 3.0))),
        ("turned the other way", &|photo| png(&rotated(photo, -3.0))),
        ("mirrored, cropped, smaller and saved again", &|photo| {
            jpeg(&cropped(&imageops::flip_horizontal(photo), [0.05, 0.0, 0.0, 0.05]))
        }),
        ("turned, with more contrast, smaller and saved again", &|photo| {
            jpeg(&rotated(&toned(photo, |value| 128.0 + 1.3 * (value - 128.0)), 3.0))
        }),
    ];
    let photos: Vec<RgbImage> = (0..6).map(|seed| photo(seed, 150)).collect();
    let originals: Vec<Vec<u8>> = photos.iter().map(&png).collect();
    for (what, change) in changes {
        let all: Vec<Vec<u8>> = originals.iter().cloned().chain(photos.iter().map(change)).collect();
        let expected: BTreeSet<_> = (0..6).map(|one| (one, one + 6)).collect();
        assert_eq!(pairs(&all, 150), expected, "{what}");
    }
}

#[test]
fn the_detail_tells_two_things_of_one_outline_apart() {
    // The round border of a camera, and a texture of its own inside.
    let outline = |seed: u64| {
        let fine = photo(seed, 150);
        let inside = |x: u32, y: u32| (x as f32 - 75.0).hypot(y as f32 - 75.0) < 65.0;
        let thing = |x: u32, y: u32| if inside(x, y) { 130 + fine.get_pixel(x, y).0[0] / 4 } else { 10 };
        thumbnail(&RgbImage::from_fn(150, 150, |x, y| image::Rgb([thing(x, y); 3])), ImageFormat::Png)
    };
    let all: Vec<Vec<u8>> = (0..12).map(outline).collect();
    assert_eq!(pairs(&all, 150), BTreeSet::new());
}

#[test]
fn tiny_images_are_alike_only_where_nothing_was_moved() {
    let copies = |side: u32| {
        let first = photo(1, side);
        let cut = cropped(&first, [0.0, 0.0, 0.05, 0.05]);
        let mirrored = imageops::flip_horizontal(&first);
        let brighter = toned(&first, |value| 1.1 * value);
        let all = [&first, &cut, &mirrored, &brighter].map(|photo| thumbnail(photo, ImageFormat::Png));
        pairs(&all, side as usize)
    };
    assert_eq!(copies(28), [(0, 2), (0, 3), (2, 3)].into());
    assert!(copies(60).contains(&(0, 1)), "of a larger image it is a crop");
}

#[test]
fn little_texture_is_never_alike() {
    let blank = vec![250; 1024];
    // Two faint marks on white paper.
    let marked = |from: usize| {
        let mut page = blank.clone();
        page[from..from + 40].fill(200);
        page
    };
    assert_eq!(pairs(&[blank.clone(), blank.clone(), marked(80), marked(500)], 500), BTreeSet::new());
}

#[test]
fn a_crowd_costs_bounded_work() {
    let thumbnail = thumbnail(&photo(1, 100), ImageFormat::Png);
    let looks = vec![Look { thumbnail: &thumbnail, size: (100, 100) }; 1500];
    let mut asked = 0;
    search(
        &looks,
        |_, _| {
            asked += 1;
            false
        },
        |_, _| {},
    );
    assert!(asked <= CROWD * looks.len(), "{asked}");
}

/// A ring as one draws it: of some place and size, on a dark ground with a little noise.
fn drawing(seed: u64) -> Vec<u8> {
    use rand::RngExt;
    let mut rng = crate::rng::rng(seed, "drawing", 0);
    let (x, y, radius) = (rng.random_range(9..15_u32), rng.random_range(9..15_u32), rng.random_range(5..9_u32));
    let ring = |at: u32| {
        let (across, down) = ((at % 32) as f32 - x as f32, (at / 32) as f32 - y as f32);
        if (across.hypot(down) - radius as f32).abs() < 1.5 { 200 } else { 20 }
    };
    (0..32 * 32).map(|at| ring(at) + rng.random_range(0..20_u8)).collect()
}

#[test]
fn among_images_that_are_all_alike_at_a_glance_the_search_is_bounded_and_says_so() {
    let all: Vec<Vec<u8>> = (0..700).map(drawing).collect();
    let looks: Vec<Look> = all.iter().map(|thumbnail| Look { thumbnail, size: (64, 64) }).collect();
    let mut groups = Groups::new(looks.len());
    let groups = std::cell::RefCell::new(&mut groups);
    let searched = search(
        &looks,
        |i, j| {
            let mut groups = groups.borrow_mut();
            groups.of(i) != groups.of(j)
        },
        |i, j| {
            groups.borrow_mut().join(i, j);
        },
    );
    // Each comparison joins two groups, or is one of the few that an image is in in vain.
    assert!(searched.is_cut && searched.compared <= (PATIENCE as usize + 1) * looks.len() + CHUNK, "{searched:?}");
    let photos: Vec<Vec<u8>> = (0..60).map(|seed| thumbnail(&photo(seed % 40, 100), ImageFormat::Png)).collect();
    let looks: Vec<Look> = photos.iter().map(|thumbnail| Look { thumbnail, size: (100, 100) }).collect();
    let searched = search(&looks, |_, _| true, |_, _| {});
    assert!(!searched.is_cut && searched.compared >= 20, "{searched:?}");
}

#[test]
fn bands_find_what_was_changed_little() {
    let photos: Vec<RgbImage> = (0..40).map(|seed| photo(seed, 100)).collect();
    let mut all: Vec<Vec<u8>> = photos.iter().map(|photo| thumbnail(photo, ImageFormat::Png)).collect();
    all.extend(photos.iter().map(|photo| thumbnail(&imageops::flip_horizontal(photo), ImageFormat::Jpeg)));
    let looks: Vec<Look> = all.iter().map(|thumbnail| Look { thumbnail, size: (100, 100) }).collect();
    let sketches: Vec<Sketch> = looks.iter().map(|look| Sketch::of(look.thumbnail)).collect();
    let found = of_bands(&looks, &sketches);
    for one in 0..40 {
        assert!(found.iter().any(|pair| (pair.first, pair.second, pair.mirrored) == (one, one + 40, true)), "{one}");
    }
    assert!(found.iter().filter(|pair| alike(&looks, pair)).all(|pair| pair.second == pair.first + 40));
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let photos: Vec<RgbImage> = (0..30).map(|seed| photo(seed % 12, 60 + seed as u32)).collect();
    let all: Vec<Vec<u8>> = photos.iter().map(|photo| thumbnail(photo, ImageFormat::Png)).collect();
    let looks: Vec<Look> = all.iter().map(|thumbnail| Look { thumbnail, size: (90, 90) }).collect();
    let calls = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut calls = Vec::new();
            search(&looks, |_, _| true, |i, j| calls.push((i, j)));
            calls
        })
    };
    assert_eq!(calls(1), calls(3));
    assert!(calls(1).len() >= 18);
}
