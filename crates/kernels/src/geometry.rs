//! Where a window looks as it moves over an image.

/// What is added around an image before convolving.
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
    /// What is added around the image.
    pub padding: Padding,
    /// Distance between taps in rows and columns.
    pub dilation: [usize; 2],
    /// Number of groups of channels that do not see each other.
    pub groups: usize,
    /// Only sums of products as in the definition: no Winograd, which is faster and rounds less well.
    pub exact: bool,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: [1, 1], padding: Padding::Symmetric([0, 0]), dilation: [1, 1], groups: 1, exact: false }
    }
}

/// A convolution of images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Where the window looks.
    pub geometry: Geometry,
    /// Number of groups of channels that do not see each other.
    pub groups: usize,
    /// As [`ConvOptions::exact`].
    pub exact: bool,
}

impl Convolution {
    /// Of images of `[rows, columns]` with a window of `kernel`.
    ///
    /// # Panics
    /// As [`Geometry::new`].
    pub fn new(input: [usize; 2], kernel: [usize; 2], options: &ConvOptions) -> Self {
        let geometry = Geometry::new(input, kernel, options);
        Self { geometry, groups: options.groups, exact: options.exact }
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
                    // The last window must begin inside the image or its padding before.
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

    /// Whether any output looks over the border of the input.
    pub fn looks_over_the_border(&self) -> bool {
        (0..2).any(|axis| {
            let last =
                (self.output[axis].max(1) - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis];
            self.before[axis] > 0 || last >= self.input[axis] + self.before[axis]
        })
    }

    /// The input index that output `position` sees through `tap`, on `axis`; `None` where that is padding.
    #[inline(always)]
    pub(crate) fn source(&self, axis: usize, position: usize, tap: usize) -> Option<usize> {
        (position * self.stride[axis] + tap * self.dilation[axis])
            .checked_sub(self.before[axis])
            .filter(|&at| at < self.input[axis])
    }

    /// The output index that sees input `position` through `tap`, on `axis`; `None` where there is none.
    #[inline(always)]
    pub(crate) fn target(&self, axis: usize, position: usize, tap: usize) -> Option<usize> {
        let reach = (position + self.before[axis]).checked_sub(tap * self.dilation[axis])?;
        let at = reach / self.stride[axis];
        (reach % self.stride[axis] == 0 && at < self.output[axis]).then_some(at)
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
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.input == self.output
    }
}

/// A pool's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Step in rows and columns.
    pub stride: [usize; 2],
    /// What lies around the image.
    pub padding: Padding,
}

impl PoolOptions {
    /// Where the windows lie over an image of `[rows, columns]`.
    ///
    /// # Panics
    /// As [`Geometry::new`].
    pub fn geometry(&self, input: [usize; 2]) -> Geometry {
        let options = ConvOptions { stride: self.stride, padding: self.padding, ..ConvOptions::default() };
        Geometry::new(input, self.kernel, &options)
    }
}

#[cfg(test)]
mod tests;
