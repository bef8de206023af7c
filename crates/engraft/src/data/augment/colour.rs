//! Changes to colours, as torchvision defines them on 8-bit images (`torchvision.transforms.v2.functional`).

use super::geometry::Shape;

/// How many of an image's channels are colours: alpha, the fourth beside three or the second beside grey, is none.
pub(super) fn colours(channels: usize) -> usize {
    match channels {
        2 => 1,
        4 => 3,
        others => others,
    }
}

/// To a byte, cut off rather than rounded, as a cast of PyTorch's does.
fn byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// Every colour through one table.
fn through(image: &mut [u8], channels: usize, table: &[u8; 256]) {
    for pixel in image.chunks_exact_mut(channels) {
        for value in &mut pixel[..colours(channels)] {
            *value = table[usize::from(*value)];
        }
    }
}

/// One channel through its table.
fn channel_through(image: &mut [u8], channels: usize, channel: usize, table: &[u8; 256]) {
    for value in image.iter_mut().skip(channel).step_by(channels) {
        *value = table[usize::from(*value)];
    }
}

fn table(of: impl Fn(u8) -> u8) -> [u8; 256] {
    std::array::from_fn(|value| of(value as u8))
}

/// The luma of a pixel, `0.2989 R + 0.587 G + 0.114 B`, cut off to a whole number.
fn luma(pixel: &[u8]) -> f32 {
    (0.2989 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])).floor()
}

/// `factor` times every colour.
pub(super) fn brightness(image: &mut [u8], channels: usize, factor: f32) {
    through(image, channels, &table(|value| byte(f32::from(value) * factor)));
}

/// Every colour's distance from the mean of the image's luma, times `factor`.
pub(super) fn contrast(image: &mut [u8], channels: usize, factor: f32) {
    let colours = colours(channels);
    let pixels = image.len() / channels.max(1);
    if pixels == 0 {
        return;
    }
    let sum: f64 = image
        .chunks_exact(channels)
        .map(|pixel| match colours {
            3 => f64::from(luma(pixel)),
            _ => pixel[..colours].iter().map(|&value| f64::from(value)).sum::<f64>() / colours as f64,
        })
        .sum();
    let mean = (sum / pixels as f64) as f32;
    through(image, channels, &table(|value| byte(f32::from(value) * factor + mean * (1.0 - factor))));
}

/// Every colour's distance from its pixel's luma, times `factor`. Nothing where there are not three colours.
pub(super) fn saturation(image: &mut [u8], channels: usize, factor: f32) {
    if colours(channels) != 3 {
        return;
    }
    for pixel in image.chunks_exact_mut(channels) {
        let grey = luma(pixel) * (1.0 - factor);
        for value in &mut pixel[..3] {
            *value = byte(f32::from(*value) * factor + grey);
        }
    }
}

/// Every pixel's distance from the mean of its neighbourhood (3 x 3, itself counted five times), times `factor`. The
/// border stays, and so does an image without an inside.
pub(super) fn sharpness(image: &mut Vec<u8>, (h, w, c): Shape, factor: f32) {
    if h <= 2 || w <= 2 {
        return;
    }
    let mut out = image.clone();
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            for channel in 0..colours(c) {
                let at = |y: usize, x: usize| u32::from(image[(y * w + x) * c + channel]);
                let around: u32 = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| at(y, x))).sum();
                let blurred = ((around + 4 * at(y, x)) as f32 / 13.0).round_ties_even();
                let value = at(y, x) as f32;
                out[(y * w + x) * c + channel] = byte(value + (1.0 - factor) * (blurred - value));
            }
        }
    }
    *image = out;
}

/// Colours of at least `threshold` inverted (0 to 255).
pub(super) fn solarise(image: &mut [u8], channels: usize, threshold: f32) {
    through(image, channels, &table(|value| if f32::from(value) >= threshold { 255 - value } else { value }));
}

/// The upper `bits` of every colour kept, the others zero.
pub(super) fn posterise(image: &mut [u8], channels: usize, bits: u32) {
    let mask = u8::MAX.checked_shl(8 - bits.min(8)).unwrap_or(0);
    through(image, channels, &table(|value| value & mask));
}

/// Every channel stretched such that its smallest value is 0 and its largest 255.
pub(super) fn auto_contrast(image: &mut [u8], channels: usize) {
    for channel in 0..colours(channels) {
        let values = || image.iter().skip(channel).step_by(channels).copied();
        let (Some(least), Some(most)) = (values().min(), values().max()) else { return };
        if least < most {
            let unit = f32::from(most - least) * (1.0 / 255.0);
            let stretched = table(|value| byte(f32::from(value.saturating_sub(least)) / unit));
            channel_through(image, channels, channel, &stretched);
        }
    }
}

/// Every channel's histogram made as even as Pillow's `ImageOps.equalize` makes it.
pub(super) fn equalise(image: &mut [u8], channels: usize) {
    for channel in 0..colours(channels) {
        let mut histogram = [0_usize; 256];
        for &value in image.iter().skip(channel).step_by(channels) {
            histogram[usize::from(value)] += 1;
        }
        let Some(last) = histogram.iter().rposition(|&count| count > 0) else { return };
        let step = histogram[..last].iter().sum::<usize>() / 255;
        if step == 0 {
            continue;
        }
        let mut below = step / 2;
        let even: [u8; 256] = std::array::from_fn(|value| {
            let level = (below / step).min(255) as u8;
            below += histogram[value];
            level
        });
        channel_through(image, channels, channel, &even);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_no_colour() {
        let image: Vec<u8> = (0..4 * 25).map(|index| (index * 7 % 256) as u8).collect();
        let alpha = |image: &[u8]| image.iter().skip(3).step_by(4).copied().collect::<Vec<_>>();
        let changes: [fn(&mut Vec<u8>); 8] = [
            |p| brightness(p, 4, 1.5),
            |p| contrast(p, 4, 0.5),
            |p| saturation(p, 4, 0.5),
            |p| sharpness(p, (5, 5, 4), 2.0),
            |p| solarise(p, 4, 100.0),
            |p| posterise(p, 4, 3),
            |p| auto_contrast(p, 4),
            |p| equalise(p, 4),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = image.clone();
            change(&mut changed);
            assert_eq!(alpha(&changed), alpha(&image), "{index}");
            // 25 pixels are too few for `equalise` to have a step.
            assert!(changed != image || index == 7, "{index}");
        }
    }

    #[test]
    fn a_flat_image_has_no_contrast_to_stretch() {
        for change in [auto_contrast, equalise] {
            let mut flat = vec![77; 3 * 900];
            change(&mut flat, 3);
            assert_eq!(flat, vec![77; 3 * 900]);
        }
        let mut nothing = Vec::new();
        contrast(&mut nothing, 3, 2.0);
        assert!(nothing.is_empty());
    }
}
