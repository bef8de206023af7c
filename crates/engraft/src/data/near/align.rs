//! Whether one thumbnail is another, moved a little: cropped, turned, stretched, with other brightness and contrast.
//!
//! The one is laid over the other by Gauss-Newton steps on the six numbers of an affine map, and gain and offset of the
//! grey values (Lucas and Kanade, 1981; Baker and Matthews, 2004, "Lucas-Kanade 20 years on"), first at half the size. Two
//! are alike when the map is small and both the grey values and their details correlate.

use crate::data::inspect::THUMBNAIL as SIDE;

/// Steps at half the size, and at the whole.
const STEPS: (usize, usize) = (4, 5);
/// After so many of the first, the least correlation for the others to be worth it.
const HALFWAY: (usize, f64) = (2, 0.85);
/// The least correlation at half the size: below it, nothing is gained by looking closer.
const COARSE: f64 = 0.93;
/// The least correlation of grey values before the steps at the whole size. Those of copies have 0.95 and more.
const BEFORE: f64 = 0.9;
/// After so many steps at the whole size, how far below their limits grey values, details and details that are cut off may be
/// for the others to be worth it: what they still change is a tenth of that.
const NEARLY: (usize, [f64; 3]) = (2, [0.02, 0.06, 0.1]);
/// The least correlation of grey values, where the two lie over each other.
const CORRELATION: f64 = 0.972;
/// The least correlation of details: what is left without the low frequencies. Two dandelions before a dark ground have the
/// same outline and different seeds.
const DETAIL: f64 = 0.88;
/// The least correlation of details that are cut off at what half of them have: a strong outline, such as the round border that
/// all pictures of an eye's retina have, counts no more than what is inside.
const TEXTURE: f64 = 0.84;
/// Grey levels below which details are not cut off: noise.
const NOISE: f32 = 1.5;
/// The least share of the thumbnail where they lie over each other.
const OVERLAP: f64 = 0.55;
/// How far from the centre (0) to the border (1) values are compared; rotated images have black corners beyond.
const INNER: (f32, f32) = (0.85, 0.885);
/// The largest change of size, the largest rotation or shear, and the largest shift as a share of half the side.
const STRETCH: f32 = 0.22;
const SHEAR: f32 = 0.2;
const SHIFT: f32 = 0.25;
/// The largest difference between the changes of width and height.
const ASPECT: f32 = 0.14;
/// No number of the map changes by more in one step.
const LARGEST_STEP: f32 = 0.12;
/// Numbers of the map, gain and offset.
const UNKNOWNS: usize = 8;

/// Grey values of a square.
struct Grey {
    side: usize,
    values: Vec<f32>,
}

impl Grey {
    fn of(thumbnail: &[u8], mirrored: bool) -> Self {
        let rows = thumbnail.chunks_exact(SIDE);
        let values = match mirrored {
            true => rows.flat_map(|row| row.iter().rev()).map(|&grey| f32::from(grey)).collect(),
            false => rows.flatten().map(|&grey| f32::from(grey)).collect(),
        };
        Self { side: SIDE, values }
    }

    /// Means of 2 x 2.
    fn halved(&self) -> Self {
        let rows = self.values.chunks_exact(2 * self.side).map(|rows| rows.split_at(self.side));
        let mean = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] + a[1] + b[0] + b[1]) / 4.0;
        let values = rows.flat_map(|(a, b)| a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0).map(mean)).collect();
        Self { side: self.side / 2, values }
    }

    /// With each value the weighted mean of 3 x 3, some times over.
    fn blurred(&self, times: usize) -> Self {
        let side = self.side;
        let mut values = self.values.clone();
        let mut rows = vec![0.0; values.len()];
        let mean = |before: f32, here: f32, after: f32| (before + 2.0 * here + after) / 4.0;
        for _ in 0..times {
            for (row, out) in values.chunks_exact(side).zip(rows.chunks_exact_mut(side)) {
                for x in 0..side {
                    out[x] = mean(row[x.saturating_sub(1)], row[x], row[(x + 1).min(side - 1)]);
                }
            }
            for y in 0..side {
                let (above, below) = (y.saturating_sub(1) * side, (y + 1).min(side - 1) * side);
                for x in 0..side {
                    values[y * side + x] = mean(rows[above + x], rows[y * side + x], rows[below + x]);
                }
            }
        }
        Self { side, values }
    }

    fn minus(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
        Self { side: self.side, values }
    }

    /// The value between pixels, and how it grows to the right and downwards. Places run from -1 to 1.
    #[inline]
    fn at(&self, (u, v): (f32, f32)) -> (f32, f32, f32) {
        let half = self.side as f32 / 2.0;
        let last = (self.side - 2) as f32;
        let (x, y) = ((u + 1.0) * half - 0.5, (v + 1.0) * half - 0.5);
        // Cut off, which rounds down what is not negative.
        let (left, top) = (x.clamp(0.0, last) as i32, y.clamp(0.0, last) as i32);
        let (fx, fy) = (x - left as f32, y - top as f32);
        let at = top as usize * self.side + left as usize;
        let [a, b] = [self.values[at], self.values[at + 1]];
        let [c, d] = [self.values[at + self.side], self.values[at + self.side + 1]];
        let (upper, lower) = (a + fx * (b - a), c + fx * (d - c));
        let across = (b - a) + fy * ((d - c) - (b - a));
        (upper + fy * (lower - upper), across * half, (lower - upper) * half)
    }

    /// What is made of each value that is compared, by its place and the other's value there as the map says.
    fn over<T>(&self, other: &Self, map: &Map, made: impl Fn((f32, f32), f32, (f32, f32, f32)) -> T) -> Vec<T> {
        let place = |at: usize| (2 * at + 1) as f32 / self.side as f32 - 1.0;
        let outer = (0..self.side).take_while(|&at| place(at).abs() > INNER.0).count();
        let inner = outer..self.side - outer;
        let mut all = Vec::with_capacity(inner.len() * inner.len());
        for y in inner.clone() {
            let row = &self.values[y * self.side..(y + 1) * self.side];
            for x in inner.clone() {
                let here = (place(x), place(y));
                if let Some(there) = map.of(here) {
                    all.push(made(here, row[x], other.at(there)));
                }
            }
        }
        all
    }
}

/// Where a place of the one lies in the other: `(a u + b v + c, d u + e v + f)`.
#[derive(Clone, Copy)]
struct Map([f32; 6]);

impl Map {
    /// The place, if values are compared there.
    #[inline]
    fn of(&self, (u, v): (f32, f32)) -> Option<(f32, f32)> {
        let [a, b, c, d, e, f] = self.0;
        let (x, y) = (a * u + b * v + c, d * u + e * v + f);
        (x.abs() <= INNER.1 && y.abs() <= INNER.1).then_some((x, y))
    }

    /// Whether it is one of a copy that was cropped or turned a little.
    fn is_small(&self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        let stretch = 1.0 / (1.0 + STRETCH)..=1.0 + STRETCH;
        stretch.contains(&a)
            && stretch.contains(&e)
            && (a - e).abs() <= ASPECT
            && b.abs().max(d.abs()) <= SHEAR
            && c.abs().max(f.abs()) <= SHIFT
    }
}

/// Whether two thumbnails show the same, the second mirrored where it is said.
pub(super) fn aligned(first: &[u8], second: &[u8], mirrored: bool) -> bool {
    let (a, b) = (Grey::of(first, false), Grey::of(second, mirrored));
    let mut map = Map([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let (half_a, half_b) = (a.halved().blurred(1), b.halved().blurred(1));
    for done in 1..=STEPS.0 {
        if !step(&half_a, &half_b, &mut map) {
            return false;
        }
        if done == HALFWAY.0 && correlation(&overlaid(&half_a, &half_b, &map)) < HALFWAY.1 {
            return false;
        }
    }
    if !map.is_small() || correlation(&overlaid(&half_a, &half_b, &map)) < COARSE {
        return false;
    }
    if correlation(&overlaid(&a, &b, &map)) < BEFORE {
        return false;
    }
    let (soft_a, soft_b) = (a.blurred(1), b.blurred(1));
    let (fine_a, fine_b) = (a.minus(&soft_a.blurred(3)), b.minus(&soft_b.blurred(3)));
    let fits = |map: &Map, slack: [f64; 3]| {
        correlation(&overlaid(&a, &b, map)) >= CORRELATION - slack[0] && {
            let details = overlaid(&fine_a, &fine_b, map);
            correlation(&details) >= DETAIL - slack[1] && correlation(&cut_off(&details)) >= TEXTURE - slack[2]
        }
    };
    for done in 1..=STEPS.1 {
        if !step(&soft_a, &soft_b, &mut map) || done == NEARLY.0 && !fits(&map, NEARLY.1) {
            return false;
        }
    }
    map.is_small() && overlaid(&a, &b, &map).len() as f64 >= OVERLAP * a.values.len() as f64 && fits(&map, [0.0; 3])
}

/// One place where the two are compared.
struct Sample {
    place: (f32, f32),
    a: f32,
    b: f32,
    gradient: (f32, f32),
}

/// Moves the map towards a better one; `false` where it is lost.
fn step(a: &Grey, b: &Grey, map: &mut Map) -> bool {
    let samples: Vec<Sample> =
        a.over(b, map, |place, a, (b, right, down)| Sample { place, a, b, gradient: (right, down) });
    if 3 * samples.len() < a.values.len() {
        return false;
    }
    let n = samples.len() as f32;
    let mean = |value: fn(&Sample) -> f32| samples.iter().map(value).sum::<f32>() / n;
    let (mean_a, mean_b) = (mean(|sample| sample.a), mean(|sample| sample.b));
    let spread_a = samples.iter().map(|sample| (sample.a - mean_a).powi(2)).sum::<f32>().sqrt();
    let spread_b = samples.iter().map(|sample| (sample.b - mean_b).powi(2)).sum::<f32>().sqrt();
    if spread_a <= 0.0 || spread_b <= 0.0 {
        return false;
    }
    let gain = spread_b / spread_a;
    let (mut normal, mut right) = ([[0.0_f32; UNKNOWNS]; UNKNOWNS], [0.0_f32; UNKNOWNS]);
    for Sample { place: (u, v), a, b, gradient: (x, y) } in &samples {
        let slopes = [x * u, x * v, *x, y * u, y * v, *y, b - mean_b, 1.0];
        let residual = (a - mean_a) * gain + mean_b - b;
        // The upper half is not looked at; whole rows are quicker than halves.
        for ((row, right), slope) in normal.iter_mut().zip(&mut right).zip(slopes) {
            *right += slope * residual;
            row.iter_mut().zip(slopes).for_each(|(sum, other)| *sum += slope * other);
        }
    }
    let Some(change) = solved(&normal, &right) else { return false };
    for (number, change) in map.0.iter_mut().zip(change) {
        *number += (change as f32).clamp(-LARGEST_STEP, LARGEST_STEP);
    }
    map.0.iter().all(|number| number.is_finite())
}

/// Solves a symmetric positive system of which the lower half is given (Cholesky).
fn solved(normal: &[[f32; UNKNOWNS]; UNKNOWNS], right: &[f32; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    let mut l = [[0.0_f64; UNKNOWNS]; UNKNOWNS];
    let mut x = [0.0_f64; UNKNOWNS];
    for row in 0..UNKNOWNS {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| l[row][k] * l[column][k]).sum();
            let rest = f64::from(normal[row][column]) - known;
            if row == column {
                // A little more than there is, so that what does not change anything stays as it is.
                let rest = rest + 1e-6 * f64::from(normal[row][row]) + 1e-6;
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                l[row][row] = rest.sqrt();
            } else {
                l[row][column] = rest / l[column][column];
            }
        }
        let known: f64 = (0..row).map(|k| l[row][k] * x[k]).sum();
        x[row] = (f64::from(right[row]) - known) / l[row][row];
    }
    for row in (0..UNKNOWNS).rev() {
        let known: f64 = (row + 1..UNKNOWNS).map(|k| l[k][row] * x[k]).sum();
        x[row] = (x[row] - known) / l[row][row];
    }
    Some(x)
}

/// The values where the two lie over each other.
fn overlaid(a: &Grey, b: &Grey, map: &Map) -> Vec<(f32, f32)> {
    a.over(b, map, |_, a, (b, _, _)| (a, b))
}

/// Correlation of pairs; 0 where one side does not change.
fn correlation(pairs: &[(f32, f32)]) -> f64 {
    let n = pairs.len() as f32;
    let (sum_a, sum_b) = pairs.iter().fold((0.0, 0.0), |(sum_a, sum_b), (a, b)| (sum_a + a, sum_b + b));
    let (mut aa, mut bb, mut ab) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (a, b) in pairs {
        let (a, b) = (f64::from(a - sum_a / n), f64::from(b - sum_b / n));
        (aa, bb, ab) = (aa + a * a, bb + b * b, ab + a * b);
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// Details of which none is larger than the median of its side.
fn cut_off(details: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let median = |side: fn(&(f32, f32)) -> f32| {
        let mut sizes: Vec<f32> = details.iter().map(|detail| side(detail).abs()).collect();
        let middle = sizes.len() / 2;
        match sizes.is_empty() {
            true => NOISE,
            false => sizes.select_nth_unstable_by(middle, f32::total_cmp).1.max(NOISE),
        }
    };
    let (most_a, most_b) = (median(|detail| detail.0), median(|detail| detail.1));
    details.iter().map(|(a, b)| (a.clamp(-most_a, most_a), b.clamp(-most_b, most_b))).collect()
}
