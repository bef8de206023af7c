//! The one convolution: options, geometry, and the choice of how to compute it.

use burn::backend::Dispatch;
use burn::prelude::*;

use crate::extension::Operations;

/// What is added around a picture before convolving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The same number of zero rows on both sides and zero columns on both sides, as PyTorch does.
    Symmetric([usize; 2]),
    /// TensorFlow's SAME: output = ceil(input / stride); an odd total puts the extra row or column at the end.
    Same,
    /// Zeros before and after, in rows and in columns.
    Explicit {
        /// Rows above and columns to the left.
        before: [usize; 2],
        /// Rows below and columns to the right.
        after: [usize; 2],
    },
    /// As [`Padding::Symmetric`], but the last window of a pool may reach over the end: its size is rounded up.
    Ceil([usize; 2]),
}

/// Stride, padding, dilation and groups of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions {
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// What is added around the picture.
    pub padding: Padding,
    /// Distance between taps in rows and columns.
    pub dilation: [usize; 2],
    /// Number of groups of channels that do not see each other.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: [1, 1], padding: Padding::Symmetric([0, 0]), dilation: [1, 1], groups: 1 }
    }
}

/// The pointwise function after a convolution and its bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// y = x
    None,
    /// y = max(x, 0)
    Relu,
    /// y = min(max(x, 0), 6)
    Relu6,
}

impl Activation {
    /// The interval that the activation clamps to.
    pub(crate) fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}

/// Where each output pixel of a convolution looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Input rows and columns.
    pub input: [usize; 2],
    /// Output rows and columns.
    pub output: [usize; 2],
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// Distance between taps in rows and columns.
    pub dilation: [usize; 2],
    /// Zero rows above and zero columns to the left.
    pub before: [usize; 2],
}

impl Geometry {
    /// The geometry of a kernel over an input of `[rows, columns]`.
    ///
    /// # Panics
    /// If a stride is zero or the padded input is smaller than the kernel: a model's own mistake, not its input's.
    pub fn new(input: [usize; 2], kernel: [usize; 2], options: &ConvOptions) -> Self {
        let mut output = [0; 2];
        let mut before = [0; 2];
        for axis in 0..2 {
            let (size, step) = (input[axis], options.stride[axis]);
            let reach = (kernel[axis] - 1) * options.dilation[axis] + 1;
            assert!(step > 0, "a convolution's stride is at least 1");
            let room = |padded: usize| {
                assert!(padded >= reach, "a kernel reaching {reach} does not fit into {padded} pixels");
                padded - reach
            };
            match options.padding {
                Padding::Symmetric(pad) => {
                    before[axis] = pad[axis];
                    output[axis] = room(size + 2 * pad[axis]) / step + 1;
                }
                Padding::Explicit { before: above, after } => {
                    before[axis] = above[axis];
                    output[axis] = room(size + above[axis] + after[axis]) / step + 1;
                }
                Padding::Ceil(pad) => {
                    before[axis] = pad[axis];
                    let windows = room(size + 2 * pad[axis]).div_ceil(step) + 1;
                    // The last window must begin inside the picture or its padding before.
                    output[axis] = if (windows - 1) * step >= size + pad[axis] { windows - 1 } else { windows };
                }
                Padding::Same => {
                    output[axis] = size.div_ceil(step);
                    let total = ((output[axis].max(1) - 1) * step + reach).saturating_sub(size);
                    before[axis] = total / 2;
                }
            }
        }
        Self { input, output, kernel, stride: options.stride, dilation: options.dilation, before }
    }

    /// The input index that output `position` sees through `tap`, on `axis`; `None` where that is padding.
    #[inline(always)]
    pub(crate) fn source(&self, axis: usize, position: usize, tap: usize) -> Option<usize> {
        (position * self.stride[axis] + tap * self.dilation[axis])
            .checked_sub(self.before[axis])
            .filter(|&at| at < self.input[axis])
    }

    /// Calls with (tap, offset into the input) for every tap of an output pixel that is not padding.
    #[inline(always)]
    pub(crate) fn each_tap(&self, pixel: usize, channels: usize, mut each: impl FnMut(usize, usize)) {
        let (column, rest) = (pixel % self.output[1], pixel / self.output[1]);
        let (row, image) = (rest % self.output[0], rest / self.output[0]);
        for u in 0..self.kernel[0] {
            let Some(from_row) = self.source(0, row, u) else { continue };
            for v in 0..self.kernel[1] {
                let Some(from_column) = self.source(1, column, v) else { continue };
                each(
                    u * self.kernel[1] + v,
                    ((image * self.input[0] + from_row) * self.input[1] + from_column) * channels,
                );
            }
        }
    }

    /// How many pixels the mean of a window is taken over.
    pub(crate) fn window(&self, pixel: usize, count_padding: bool) -> usize {
        let position = [pixel / self.output[1] % self.output[0], pixel % self.output[1]];
        let along = |axis: usize| {
            let taps = (0..self.kernel[axis]).filter(|&tap| self.source(axis, position[axis], tap).is_some()).count();
            if count_padding { self.kernel[axis] } else { taps.max(1) }
        };
        along(0) * along(1)
    }

    /// Whether the kernel is one pixel that visits every pixel: then a convolution is a matrix product.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.input == self.output
    }
}

/// Channel-last convolution with bias and activation:
/// `y[n, i, j, o] = act(b[o] + sum over u, v, c of x[n, i s + u d - p, j s + v d - p, c] w[u, v, c, o])`.
///
/// # Shapes
/// - `x`: `[N, H, W, C_in]`
/// - `weight`: `[kernel height, kernel width, C_in / groups, C_out]`
/// - `bias`: `[C_out]`
/// - output: `[N, H', W', C_out]`
///
/// # Panics
/// If the shapes do not fit each other.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: &ConvOptions,
    activation: Activation,
) -> Tensor<4> {
    let [n, rows, columns, channels] = x.dims();
    let [kernel_rows, kernel_columns, group_channels, out_channels] = weight.dims();
    let groups = options.groups;
    assert_eq!(group_channels * groups, channels, "weight {:?} against input {:?}", weight.dims(), x.dims());
    assert_eq!(out_channels % groups, 0, "{out_channels} output channels in {groups} groups");
    let geometry = Geometry::new([rows, columns], [kernel_rows, kernel_columns], options);

    let y = if groups == 1 {
        dense(x, weight, &geometry)
    } else if groups == channels && out_channels == channels {
        let taps = weight.reshape([kernel_rows * kernel_columns, channels]);
        Tensor::from_dispatch(Dispatch::depthwise(x.into_dispatch(), taps.into_dispatch(), geometry))
    } else {
        let each = out_channels / groups;
        let parts = (0..groups)
            .map(|group| {
                let x = x.clone().narrow(3, group * group_channels, group_channels);
                let weight = weight.clone().narrow(3, group * each, each);
                dense(x, weight, &geometry)
            })
            .collect();
        Tensor::cat(parts, 3)
    };

    let y = match (bias, activation) {
        (None, Activation::None) => y,
        (bias, activation) => {
            let device = y.device();
            let bias = bias.unwrap_or_else(|| Tensor::zeros([out_channels], &device));
            Tensor::from_dispatch(Dispatch::bias_clamp(
                y.into_dispatch(),
                bias.into_dispatch(),
                activation.bounds().into(),
            ))
        }
    };
    debug_assert_eq!(y.dims(), [n, geometry.output[0], geometry.output[1], out_channels]);
    y
}

/// A pool's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// What lies around the picture.
    pub padding: Padding,
}

impl PoolOptions {
    /// Where the windows lie over a picture of `[rows, columns]`.
    ///
    /// # Panics
    /// As [`Geometry::new`].
    pub fn geometry(&self, input: [usize; 2]) -> Geometry {
        let options = ConvOptions { stride: self.stride, padding: self.padding, ..ConvOptions::default() };
        Geometry::new(input, self.kernel, &options)
    }
}

/// The largest of each window, `[N, H, W, C]` to `[N, H', W', C]`. Padding is never the largest.
///
/// # Panics
/// As [`Geometry::new`].
pub fn max_pool2d(x: Tensor<4>, options: &PoolOptions) -> Tensor<4> {
    let [_, rows, columns, _] = x.dims();
    Tensor::from_dispatch(Dispatch::max_pool(x.into_dispatch(), options.geometry([rows, columns])))
}

/// The mean of each window, `[N, H, W, C]` to `[N, H', W', C]`. With `count_padding` the zeros around the picture
/// count, as PyTorch's `count_include_pad`; without it a window is as large as what it sees of the picture.
///
/// # Panics
/// As [`Geometry::new`].
pub fn average_pool2d(x: Tensor<4>, options: &PoolOptions, count_padding: bool) -> Tensor<4> {
    let [_, rows, columns, _] = x.dims();
    let geometry = options.geometry([rows, columns]);
    Tensor::from_dispatch(Dispatch::average_pool(x.into_dispatch(), geometry, count_padding))
}

/// One group: patches times weights, `[N H' W', taps C_in] x [taps C_in, C_out]`.
fn dense(x: Tensor<4>, weight: Tensor<4>, geometry: &Geometry) -> Tensor<4> {
    let [n, rows, columns, channels] = x.dims();
    let [kernel_rows, kernel_columns, _, out_channels] = weight.dims();
    let taps = kernel_rows * kernel_columns;
    let weight = weight.reshape([taps * channels, out_channels]);
    let patches = if geometry.is_pointwise() {
        x.reshape([n * rows * columns, channels])
    } else {
        Tensor::from_dispatch(Dispatch::patches(x.into_dispatch(), *geometry))
    };
    patches.matmul(weight).reshape([n, geometry.output[0], geometry.output[1], out_channels])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};
    use proptest::prelude::*;

    /// The definition, in f64, one output at a time.
    fn naive(x: &[f32], [n, h, w, c]: [usize; 4], weight: &[f32], out: usize, g: &Geometry, groups: usize) -> Vec<f32> {
        let (gc, go) = (c / groups, out / groups);
        let mut y = Vec::new();
        for image in 0..n {
            for i in 0..g.output[0] {
                for j in 0..g.output[1] {
                    for o in 0..out {
                        let mut sum = 0.0f64;
                        for u in 0..g.kernel[0] {
                            for v in 0..g.kernel[1] {
                                let row = (i * g.stride[0] + u * g.dilation[0]) as isize - g.before[0] as isize;
                                let column = (j * g.stride[1] + v * g.dilation[1]) as isize - g.before[1] as isize;
                                if row < 0 || column < 0 || row >= h as isize || column >= w as isize {
                                    continue;
                                }
                                let at = (image * h + row as usize) * w + column as usize;
                                for k in 0..gc {
                                    let input = x[at * c + o / go * gc + k];
                                    sum += f64::from(input)
                                        * f64::from(weight[((u * g.kernel[1] + v) * gc + k) * out + o]);
                                }
                            }
                        }
                        y.push(sum as f32);
                    }
                }
            }
        }
        y
    }

    fn values(count: usize, seed: u64) -> Vec<f32> {
        (0..count as u64)
            .map(|i| {
                let mixed = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed).rotate_left(29);
                (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
    }

    #[derive(Debug, Clone)]
    struct Case {
        shape: [usize; 4],
        kernel: [usize; 2],
        out: usize,
        options: ConvOptions,
    }

    fn case() -> impl Strategy<Value = Case> {
        (1usize..3, 1usize..9, 1usize..9, 1usize..6, 1usize..4, 1usize..4, 1usize..4, 1usize..3, 0usize..3, 0usize..4)
            .prop_map(|(n, h, w, c, kh, kw, stride, dilation, kind, pad)| {
                let (groups, out) = match kind {
                    0 => (1, c + 1),
                    1 => (c, c),
                    _ => (c, 2 * c),
                };
                let reach = [(kh - 1) * dilation + 1, (kw - 1) * dilation + 1];
                let padding = if pad == 3 || h + 2 * pad < reach[0] || w + 2 * pad < reach[1] {
                    Padding::Same
                } else {
                    Padding::Symmetric([pad, pad])
                };
                Case {
                    shape: [n, h, w, c],
                    kernel: [kh, kw],
                    out,
                    options: ConvOptions { stride: [stride; 2], padding, dilation: [dilation; 2], groups },
                }
            })
    }

    /// Every kind of padding, with pools that may reach over the end.
    fn pool() -> impl Strategy<Value = ([usize; 4], PoolOptions)> {
        (1usize..3, 3usize..9, 3usize..9, 1usize..5, 1usize..4, 1usize..4, 0usize..5).prop_map(
            |(n, h, w, c, side, stride, kind)| {
                let pad = (side / 2).min(1);
                let padding = match kind {
                    0 => Padding::Symmetric([0, 0]),
                    1 => Padding::Symmetric([pad, pad]),
                    2 => Padding::Same,
                    3 => Padding::Ceil([pad, pad]),
                    _ => Padding::Explicit { before: [0, pad], after: [pad, 0] },
                };
                ([n, h, w, c], PoolOptions { kernel: [side, side.min(2)], stride: [stride, 1], padding })
            },
        )
    }

    /// The values that each output of a pool sees.
    fn windows(x: &[f32], [n, h, w, c]: [usize; 4], g: &Geometry) -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        for image in 0..n {
            for i in 0..g.output[0] {
                for j in 0..g.output[1] {
                    for channel in 0..c {
                        let mut seen = Vec::new();
                        for (u, v) in (0..g.kernel[0]).flat_map(|u| (0..g.kernel[1]).map(move |v| (u, v))) {
                            let row = (i * g.stride[0] + u) as isize - g.before[0] as isize;
                            let column = (j * g.stride[1] + v) as isize - g.before[1] as isize;
                            if (0..h as isize).contains(&row) && (0..w as isize).contains(&column) {
                                seen.push(x[((image * h + row as usize) * w + column as usize) * c + channel]);
                            }
                        }
                        all.push(seen);
                    }
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn pools_agree_with_the_definition((shape, options) in pool(), count_padding in any::<bool>()) {
            let g = options.geometry([shape[1], shape[2]]);
            let x = values(shape.iter().product(), 7);
            let seen = windows(&x, shape, &g);
            let device = Device::flex();
            let out = [shape[0], g.output[0], g.output[1], shape[3]];
            let largest: Vec<f32> =
                seen.iter().map(|seen| seen.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
            let y = max_pool2d(tensor(&x, shape, &device), &options);
            y.into_data().assert_approx_eq::<f32>(&TensorData::new(largest, out), Tolerance::absolute(0.0));
            let mean = |seen: &Vec<f32>| {
                let over = if count_padding { g.kernel[0] * g.kernel[1] } else { seen.len().max(1) };
                (seen.iter().map(|v| f64::from(*v)).sum::<f64>() / over as f64) as f32
            };
            let means: Vec<f32> = seen.iter().map(mean).collect();
            let y = average_pool2d(tensor(&x, shape, &device), &options, count_padding);
            y.into_data().assert_approx_eq::<f32>(&TensorData::new(means, out), Tolerance::absolute(1e-5));
        }

        #[test]
        fn gradients_of_pools_agree_with_finite_differences((shape, options) in pool(), kind in 0usize..3) {
            let x = values(shape.iter().product(), 8);
            let plain = Device::flex();
            let run = |x: Tensor<4>| match kind {
                0 => max_pool2d(x, &options),
                _ => average_pool2d(x, &options, kind == 1),
            };
            let device = Device::flex().autodiff();
            let tracked = tensor(&x, shape, &device).require_grad();
            let y = run(tracked.clone());
            let dims = y.dims();
            let weights = values(dims.iter().product(), 9);
            let gradients = (y * tensor(&weights, dims, &device)).sum().backward();
            let gradient = tracked.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
            let loss = |x: &[f32]| -> f64 {
                let y = run(tensor(x, shape, &plain)).into_data().try_to_vec::<f32>().unwrap();
                y.iter().zip(&weights).map(|(y, weight)| f64::from(*y) * f64::from(*weight)).sum()
            };
            let step = 1e-4f32;
            for i in (0..x.len()).step_by(x.len().div_ceil(5)) {
                let shifted = |d: f32| {
                    let mut x = x.clone();
                    x[i] += d;
                    loss(&x)
                };
                let slope = (shifted(step) - shifted(-step)) / f64::from(2.0 * step);
                prop_assert!((slope - f64::from(gradient[i])).abs() < 2e-2, "{slope} against {}", gradient[i]);
            }
        }

        #[test]
        fn agrees_with_the_definition(case in case()) {
            let Case { shape, kernel, out, options } = case;
            let geometry = Geometry::new([shape[1], shape[2]], kernel, &options);
            let group_channels = shape[3] / options.groups;
            let x = values(shape.iter().product(), 1);
            let w = values(kernel[0] * kernel[1] * group_channels * out, 2);
            let expected = naive(&x, shape, &w, out, &geometry, options.groups);
            let device = Device::flex();
            let y = conv2d(
                tensor(&x, shape, &device),
                tensor(&w, [kernel[0], kernel[1], group_channels, out], &device),
                None,
                &options,
                Activation::None,
            );
            let shape = [shape[0], geometry.output[0], geometry.output[1], out];
            y.into_data().assert_approx_eq::<f32>(&TensorData::new(expected, shape), Tolerance::absolute(1e-5));
        }

        #[test]
        fn gradients_agree_with_finite_differences(case in case(), six in any::<bool>()) {
            let Case { shape, kernel, out, options } = case;
            let group_channels = shape[3] / options.groups;
            let w_shape = [kernel[0], kernel[1], group_channels, out];
            let x = values(shape.iter().product(), 3);
            let w = values(w_shape.iter().product(), 4);
            let b = values(out, 5);
            let activation = if six { Activation::Relu6 } else { Activation::None };
            let loss = |x: &[f32], w: &[f32], b: &[f32], device: &Device| {
                let (x, w, b) = (tensor(x, shape, device), tensor(w, w_shape, device), tensor(b, [out], device));
                let (x, w, b) = match device.is_autodiff() {
                    true => (x.require_grad(), w.require_grad(), b.require_grad()),
                    false => (x, w, b),
                };
                let y = conv2d(x.clone(), w.clone(), Some(b.clone()), &options, activation);
                let [n, h, ww, c] = y.dims();
                let weights = tensor(&values(n * h * ww * c, 6), [n, h, ww, c], device);
                ((y * weights).sum(), x, w, b)
            };
            let (value, tx, tw, tb) = loss(&x, &w, &b, &Device::flex().autodiff());
            let gradients = value.backward();
            let plain = Device::flex();
            // The outputs, so that the loss can be summed in f64, and which of them sit on a bound of the clamp.
            let at = |x: &[f32], w: &[f32], b: &[f32]| {
                let [x, w] = [tensor(x, shape, &plain), tensor(w, w_shape, &plain)];
                let y = conv2d(x, w, Some(tensor(b, [out], &plain)), &options, activation);
                y.into_data().try_to_vec::<f32>().unwrap()
            };
            let sum = |y: &[f32]| -> f64 {
                y.iter().zip(values(y.len(), 6)).map(|(y, weight)| f64::from(*y) * f64::from(weight)).sum()
            };
            let clamped = |y: &[f32]| y.iter().map(|y| six && (*y <= 0.0 || *y >= 6.0)).collect::<Vec<_>>();
            let step = 1e-2f32;
            let check = |gradient: Vec<f32>, which: usize, label: &str| {
                for i in (0..gradient.len()).step_by(gradient.len().div_ceil(5)) {
                    let shifted = |d: f32| {
                        let mut inputs = [x.clone(), w.clone(), b.clone()];
                        inputs[which][i] += d;
                        at(&inputs[0], &inputs[1], &inputs[2])
                    };
                    let (up, down) = (shifted(step), shifted(-step));
                    // Where the clamp bends in between there is no one slope to compare with.
                    if clamped(&up) != clamped(&down) {
                        continue;
                    }
                    let slope = (sum(&up) - sum(&down)) / f64::from(2.0 * step);
                    let ours = f64::from(gradient[i]);
                    prop_assert!((ours - slope).abs() <= 2e-3 * (1.0 + slope.abs()), "{label}[{i}] = {ours}, not {slope}");
                }
                Ok(())
            };
            let vector = |t: Option<Tensor<4>>| t.unwrap().into_data().try_to_vec::<f32>().unwrap();
            check(vector(tx.grad(&gradients)), 0, "x")?;
            check(vector(tw.grad(&gradients)), 1, "w")?;
            check(tb.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap(), 2, "b")?;
        }
    }

    #[test]
    fn same_padding_puts_the_extra_column_at_the_end() {
        let options = ConvOptions { stride: [2, 2], padding: Padding::Same, ..Default::default() };
        let geometry = Geometry::new([224, 224], [3, 3], &options);
        assert_eq!((geometry.output, geometry.before), ([112, 112], [0, 0]));
        let geometry = Geometry::new([225, 225], [3, 3], &options);
        assert_eq!((geometry.output, geometry.before), ([113, 113], [1, 1]));
    }

    #[test]
    fn a_row_of_a_batch_has_the_same_bits_alone() {
        let device = Device::flex();
        let (shape, w_shape) = ([5, 9, 7, 13], [3, 3, 13, 21]);
        let x = values(shape.iter().product(), 7);
        let weight = tensor(&values(w_shape.iter().product(), 8), w_shape, &device);
        let options = ConvOptions { padding: Padding::Same, ..Default::default() };
        let run = |x: Tensor<4>| conv2d(x, weight.clone(), None, &options, Activation::Relu);
        let together = run(tensor(&x, shape, &device)).into_data().try_to_vec::<f32>().unwrap();
        let each = 9 * 7 * 13;
        let alone: Vec<f32> = (0..5)
            .flat_map(|i| {
                run(tensor(&x[i * each..][..each], [1, 9, 7, 13], &device)).into_data().try_to_vec::<f32>().unwrap()
            })
            .collect();
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&together), bits(&alone));
    }
}
