//! Parts of a network that do not learn, compiled for the CPU.
//!
//! A [`Compiler`] is told the operations in order. It packs every weight once and lets values share memory as soon as
//! their last reader is done. A [`Compiled`] program then runs any number of images without
//! allocating anything but its results: an equal part of them on each thread, and in each part as many together as keep
//! their maps in the cache. Early layers have large maps and few weights, late ones small maps and many weights, so that
//! a segment of late layers takes several groups of the segment before it. How images are grouped, and on how many
//! threads, does not change a bit of them.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::activation::Activation;
use crate::convolution::{self, Prepared, Shape};
use crate::gemm::Epilogue;
use crate::geometry::{ConvOptions, Convolution, Geometry, PoolOptions};
use crate::norm;
use crate::pooling::{self, Pool};
use crate::separable::{Pointwise, Separable};

/// Numbers that a step may read and write for a group of images: about what a core has of the caches, so that maps do not go
/// through memory, and packed weights are used for several images each time that they are read.
const GROUP_NUMBERS: usize = 1 << 20;

/// Most images of a group.
const GROUP_IMAGES: usize = 32;

/// A value of the program: a map of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(usize);

/// A convolution as the compiler takes it.
#[derive(Debug, Clone, Copy)]
pub struct ConvLayer<'a> {
    /// `[rows, columns, C_in / groups, C_out]`
    pub weight: &'a [f32],
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Output channels.
    pub outputs: usize,
    /// Stride, padding, dilation, groups.
    pub options: ConvOptions,
    /// One number for each output channel.
    pub bias: Option<&'a [f32]>,
    /// Added before the activation.
    pub residual: Option<Value>,
    /// Applied last.
    pub activation: Activation,
}

/// How pixels are put in other places: the output's pixel `(i, j)` is the input's `(i step - before, j step - before)`,
/// or zeros where there is none; channels of several inputs stand one after the other.
#[derive(Debug, Clone)]
struct Arrangement {
    step: usize,
    before: [isize; 2],
    /// Channels of zeros before those of the first input.
    skip: usize,
}

#[derive(Debug)]
enum Work {
    Convolve { shape: Shape, weights: Prepared, bias: Option<Vec<f32>>, activation: Activation },
    Separable(Separable),
    Pool(Pool, Geometry),
    GlobalAverage,
    Affine { scale: Vec<f32>, shift: Vec<f32> },
    Activate(Activation),
    Add,
    Arrange(Arrangement),
}

#[derive(Debug)]
struct Step {
    work: Work,
    from: Vec<Value>,
    to: Value,
}

/// Takes the operations of a program in order.
#[derive(Debug, Default)]
pub struct Compiler {
    /// Rows, columns, channels of every value.
    shapes: Vec<[usize; 3]>,
    inputs: usize,
    steps: Vec<Step>,
}

impl Compiler {
    /// A program that takes maps of these shapes, `[rows, columns, channels]`, and its values for them.
    pub fn new(inputs: &[[usize; 3]]) -> (Self, Vec<Value>) {
        let values = (0..inputs.len()).map(Value).collect();
        (Self { shapes: inputs.to_vec(), inputs: inputs.len(), steps: Vec::new() }, values)
    }

    /// Rows, columns and channels of a value.
    pub fn shape(&self, value: Value) -> [usize; 3] {
        self.shapes[value.0]
    }

    fn push(&mut self, work: Work, from: Vec<Value>, shape: [usize; 3]) -> Value {
        let to = Value(self.shapes.len());
        self.shapes.push(shape);
        self.steps.push(Step { work, from, to });
        to
    }

    /// A convolution with what comes after it.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn conv2d(&mut self, x: Value, layer: &ConvLayer<'_>) -> Value {
        let [rows, columns, channels] = self.shape(x);
        let Convolution { geometry, groups, exact } = Convolution::new([rows, columns], layer.kernel, &layer.options);
        let shape = Shape { images: 1, channels, outputs: layer.outputs, groups, geometry };
        let output = [geometry.output[0], geometry.output[1], layer.outputs];
        let mut from = vec![x];
        if let Some(residual) = layer.residual {
            assert_eq!(self.shape(residual), output, "a residual as large as the output");
            from.push(residual);
        }
        let work = Work::Convolve {
            shape,
            weights: Prepared::new(&shape, layer.weight, exact),
            bias: layer.bias.map(<[f32]>::to_vec),
            activation: layer.activation,
        };
        self.push(work, from, output)
    }

    /// A linear layer on all numbers of a map, `weight` of `[in, out]`: a map of one pixel.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn linear(&mut self, x: Value, weight: &[f32], bias: &[f32], activation: Activation) -> Value {
        let channels = self.shape(x).iter().product();
        let geometry = Geometry::new([1, 1], [1, 1], &ConvOptions::default());
        let shape = Shape { images: 1, channels, outputs: bias.len(), groups: 1, geometry };
        let weights = Prepared::new(&shape, weight, true);
        let work = Work::Convolve { shape, weights, bias: Some(bias.to_vec()), activation };
        self.push(work, vec![x], [1, 1, bias.len()])
    }

    /// The largest of each window.
    pub fn max_pool2d(&mut self, x: Value, options: &PoolOptions) -> Value {
        self.pool(x, Pool::Max, options)
    }

    /// The mean of each window; whether zeros of the padding count.
    pub fn average_pool2d(&mut self, x: Value, options: &PoolOptions, count_padding: bool) -> Value {
        self.pool(x, Pool::Average(count_padding), options)
    }

    fn pool(&mut self, x: Value, pool: Pool, options: &PoolOptions) -> Value {
        let [rows, columns, channels] = self.shape(x);
        let geometry = options.geometry([rows, columns]);
        self.push(Work::Pool(pool, geometry), vec![x], [geometry.output[0], geometry.output[1], channels])
    }

    /// The mean over rows and columns: a map of one pixel.
    pub fn global_average(&mut self, x: Value) -> Value {
        let [_, _, channels] = self.shape(x);
        self.push(Work::GlobalAverage, vec![x], [1, 1, channels])
    }

    /// `x scale + shift`, channel by channel.
    ///
    /// # Panics
    /// If there is not one of each for every channel.
    pub fn affine(&mut self, x: Value, scale: &[f32], shift: &[f32]) -> Value {
        let shape = self.shape(x);
        assert_eq!([scale.len(), shift.len()], [shape[2]; 2], "a scale and a shift for each channel");
        self.push(Work::Affine { scale: scale.to_vec(), shift: shift.to_vec() }, vec![x], shape)
    }

    /// A pointwise function.
    pub fn activate(&mut self, x: Value, activation: Activation) -> Value {
        // The same function of the same value is the same value.
        let known = self
            .steps
            .iter()
            .find(|step| step.from == [x] && matches!(step.work, Work::Activate(other) if other == activation));
        match known {
            Some(step) => step.to,
            None => self.push(Work::Activate(activation), vec![x], self.shape(x)),
        }
    }

    /// The sum of two maps.
    ///
    /// # Panics
    /// If they have not one shape.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        assert_eq!(self.shape(a), self.shape(b), "maps of one shape");
        self.push(Work::Add, vec![a, b], self.shape(a))
    }

    /// Channels one after the other.
    ///
    /// # Panics
    /// If the maps are not of one size.
    pub fn concat(&mut self, values: &[Value]) -> Value {
        let [rows, columns, _] = self.shape(values[0]);
        let channels = values.iter().map(|&value| self.shape(value)[2]).sum();
        let arrangement = Arrangement { step: 1, before: [0, 0], skip: 0 };
        assert!(values.iter().all(|&value| self.shape(value)[..2] == [rows, columns]), "maps of one size");
        self.push(Work::Arrange(arrangement), values.to_vec(), [rows, columns, channels])
    }

    /// Rows and columns of zeros before and after.
    pub fn zero_pad(&mut self, x: Value, before: [usize; 2], after: [usize; 2]) -> Value {
        let [rows, columns, channels] = self.shape(x);
        let shape = [rows + before[0] + after[0], columns + before[1] + after[1], channels];
        let arrangement = Arrangement { step: 1, before: before.map(|n| n as isize), skip: 0 };
        self.push(Work::Arrange(arrangement), vec![x], shape)
    }

    /// The map one pixel up and to the left: the first row and column fall off, zeros come in at the end.
    pub fn shift(&mut self, x: Value) -> Value {
        let arrangement = Arrangement { step: 1, before: [-1, -1], skip: 0 };
        self.push(Work::Arrange(arrangement), vec![x], self.shape(x))
    }

    /// Every `step`-th row and column.
    pub fn subsample(&mut self, x: Value, step: usize) -> Value {
        let [rows, columns, channels] = self.shape(x);
        let arrangement = Arrangement { step, before: [0, 0], skip: 0 };
        self.push(Work::Arrange(arrangement), vec![x], [rows.div_ceil(step), columns.div_ceil(step), channels])
    }

    /// Channels of zeros before and after.
    pub fn pad_channels(&mut self, x: Value, before: usize, after: usize) -> Value {
        let [rows, columns, channels] = self.shape(x);
        let arrangement = Arrangement { step: 1, before: [0, 0], skip: before };
        self.push(Work::Arrange(arrangement), vec![x], [rows, columns, before + channels + after])
    }

    /// The program that gives these values.
    pub fn finish(self, outputs: &[Value]) -> Compiled {
        self.finish_within(outputs, GROUP_NUMBERS)
    }

    /// With depthwise convolutions and the pointwise ones around them as one step, where the maps between are large and nobody
    /// else reads them.
    fn joined(mut self, outputs: &[Value]) -> Self {
        let mut readers = vec![0; self.shapes.len()];
        self.steps.iter().flat_map(|step| &step.from).chain(outputs).for_each(|value| readers[value.0] += 1);
        let mut steps: Vec<Option<Step>> = self.steps.into_iter().map(Some).collect();
        // The step that gives a value, if it is a convolution of one input that a single other step reads.
        let giver = |steps: &[Option<Step>], value: Value, wanted: fn(&Shape, &Prepared) -> bool| {
            let step = value.0.checked_sub(self.inputs).filter(|_| readers[value.0] == 1)?;
            let is_wanted = |step: &Step| match &step.work {
                Work::Convolve { shape, weights, .. } => step.from.len() == 1 && wanted(shape, weights),
                _ => false,
            };
            steps[step].as_ref().is_some_and(is_wanted).then_some(step)
        };
        for narrow in 0..steps.len() {
            let Some(Step { work: Work::Convolve { shape, weights, .. }, from, .. }) = &steps[narrow] else { continue };
            if !is_pointwise(shape, weights) {
                continue;
            }
            let Some(depthwise) = giver(&steps, from[0], |shape, weights| {
                matches!(weights, Prepared::Depthwise(_)) && Separable::pays(&shape.geometry, shape.channels)
            }) else {
                continue;
            };
            let before = steps[depthwise].as_ref().map(|step| step.from[0]);
            let widen = before.and_then(|value| giver(&steps, value, is_pointwise));
            let parts = [Some(depthwise), Some(narrow), widen].map(|part| part.and_then(|part| steps[part].take()));
            let [Some(middle), Some(last), first] = parts else { unreachable!("both are there") };
            let input = first.as_ref().map_or(middle.from[0], |step| step.from[0]);
            let from = [input].into_iter().chain(last.from.iter().skip(1).copied()).collect();
            let to = last.to;
            steps[narrow] = Some(Step { work: Work::Separable(separable(first, middle, last)), from, to });
        }
        self.steps = steps.into_iter().flatten().collect();
        self
    }

    /// The same with groups of images in which no step reads and writes more than `numbers`.
    fn finish_within(self, outputs: &[Value], numbers: usize) -> Compiled {
        let Self { shapes, inputs, steps } = self.joined(outputs);
        let sizes: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
        let mut last_use = vec![0; sizes.len()];
        for (index, step) in steps.iter().enumerate() {
            // What nobody reads has its memory until its own step is done.
            for value in step.from.iter().chain([&step.to]) {
                last_use[value.0] = index;
            }
        }
        for value in outputs {
            last_use[value.0] = usize::MAX;
        }
        let segments = segments(&steps, &sizes, outputs, numbers);
        let (places, buffers) = places(&steps, &sizes, inputs, &last_use, &segments);
        Compiled {
            steps,
            sizes,
            shapes,
            places,
            segments,
            buffers,
            outputs: outputs.to_vec(),
            inputs,
            idle: Mutex::default(),
        }
    }
}

/// Steps that run for the same number of images at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    steps: Range<usize>,
    /// Images at a time; a multiple of those of the segment before.
    group: usize,
}

/// Cuts a program into segments: as many images at a time as keep what each step reads and writes within `numbers`, and no
/// fewer in later segments than in earlier ones.
fn segments(steps: &[Step], sizes: &[usize], outputs: &[Value], numbers: usize) -> Vec<Segment> {
    // Powers of two, so that groups are made of whole smaller ones.
    let fitting = |size: usize| 1 << (numbers / size.max(1)).clamp(1, GROUP_IMAGES).ilog2();
    let sum = |values: &[Value]| values.iter().map(|value| sizes[value.0]).sum::<usize>();
    let mut most = fitting(sum(outputs));
    let mut segments: Vec<Segment> = Vec::new();
    for (index, step) in steps.iter().enumerate().rev() {
        most = most.min(fitting(sum(&step.from) + sizes[step.to.0]));
        match segments.last_mut() {
            Some(segment) if segment.group == most => segment.steps.start = index,
            _ => segments.push(Segment { steps: index..index + 1, group: most }),
        }
    }
    segments.reverse();
    segments
}

/// Where each value lies, and how many buffers that takes. `last_use` is the step that reads a value last.
fn places(
    steps: &[Step],
    sizes: &[usize],
    inputs: usize,
    last_use: &[usize],
    segments: &[Segment],
) -> (Vec<Place>, usize) {
    let segment_of = |step: usize| segments.iter().take_while(|segment| segment.steps.end <= step).count();
    // The segment that reads a value last keeps it for a whole group.
    let homes: Vec<usize> =
        last_use.iter().map(|&step| segment_of(step).min(segments.len().saturating_sub(1))).collect();
    let numbers = |value: Value| sizes[value.0] * segments[homes[value.0]].group;
    let mut places: Vec<Place> =
        (0..sizes.len()).map(|value| if value < inputs { Place::Input(value) } else { Place::Nowhere }).collect();
    let (mut buffers, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    // A value that a later segment reads is gathered while earlier ones run again and again: it has memory of its own
    // from the first step on.
    let gathered: Vec<Option<usize>> = (steps.iter().enumerate())
        .map(|(index, step)| {
            (homes[step.to.0] != segment_of(index)).then(|| take_buffer(&mut buffers, &mut free, numbers(step.to)))
        })
        .collect();
    for (index, step) in steps.iter().enumerate() {
        let dies = |value: &Value| value.0 >= inputs && last_use[value.0] == index;
        let home = homes[step.to.0];
        let reused = match places[step.from[0].0] {
            Place::Buffer { index: buffer, home: other }
                if matches!(step.work, Work::Activate(_))
                    && dies(&step.from[0])
                    && other == home
                    && gathered[index].is_none() =>
            {
                Some(buffer)
            }
            _ => None,
        };
        let buffer =
            reused.or(gathered[index]).unwrap_or_else(|| take_buffer(&mut buffers, &mut free, numbers(step.to)));
        places[step.to.0] = Place::Buffer { index: buffer, home };
        for value in step.from.iter().chain([&step.to]).filter(|value| dies(value)) {
            if let Place::Buffer { index: buffer, .. } = places[value.0]
                && reused != Some(buffer)
                && !free.contains(&buffer)
            {
                free.push(buffer);
            }
        }
    }
    (places, buffers.len())
}

fn is_pointwise(shape: &Shape, weights: &Prepared) -> bool {
    shape.geometry.is_pointwise() && matches!(weights, Prepared::Gather(groups) if groups.len() == 1)
}

/// Three convolutions as one step.
fn separable(first: Option<Step>, middle: Step, last: Step) -> Separable {
    let pointwise = |step: Step| match step.work {
        Work::Convolve { weights: Prepared::Gather(mut groups), bias, activation, .. } if groups.len() == 1 => {
            Pointwise { panels: groups.remove(0), bias, activation }
        }
        _ => unreachable!("a pointwise convolution"),
    };
    let Work::Convolve { shape, weights: Prepared::Depthwise(taps), bias, activation } = middle.work else {
        unreachable!("a depthwise convolution")
    };
    Separable {
        widen: first.map(pointwise),
        geometry: shape.geometry,
        channels: shape.channels,
        taps,
        bias,
        activation,
        narrow: pointwise(last),
    }
}

/// A buffer for `size` numbers: the smallest that is free and large enough, else the largest free one made larger, else
/// a new one.
fn take_buffer(buffers: &mut Vec<usize>, free: &mut Vec<usize>, size: usize) -> usize {
    let fitting = free.iter().copied().filter(|&buffer| buffers[buffer] >= size).min_by_key(|&b| buffers[b]);
    match fitting.or_else(|| free.iter().copied().max_by_key(|&buffer| buffers[buffer])) {
        Some(buffer) => {
            free.retain(|&other| other != buffer);
            buffers[buffer] = buffers[buffer].max(size);
            buffer
        }
        None => {
            buffers.push(size);
            buffers.len() - 1
        }
    }
}

/// Where a value lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In what the caller gave.
    Input(usize),
    /// In no memory of its own: it is read within the step that gives it.
    Nowhere,
    /// In a buffer of the program, for a group of images of the segment `home`.
    Buffer { index: usize, home: usize },
}

/// A program for images of one size.
#[derive(Debug)]
pub struct Compiled {
    steps: Vec<Step>,
    sizes: Vec<usize>,
    shapes: Vec<[usize; 3]>,
    places: Vec<Place>,
    segments: Vec<Segment>,
    buffers: usize,
    outputs: Vec<Value>,
    inputs: usize,
    /// Memory of finished runs, for the next.
    idle: Mutex<Vec<Vec<Vec<f32>>>>,
}

impl Compiled {
    /// Numbers of each output for one image.
    pub fn output_sizes(&self) -> Vec<usize> {
        self.outputs.iter().map(|value| self.sizes[value.0]).collect()
    }

    /// Runs `images` images: `inputs` are the maps of all of them one after the other, and so are the results.
    ///
    /// # Panics
    /// If the inputs have not the lengths that the program was made for.
    pub fn run(&self, inputs: &[&[f32]], images: usize) -> Vec<Vec<f32>> {
        assert_eq!(inputs.len(), self.inputs, "inputs of the program");
        for (input, size) in inputs.iter().zip(&self.sizes) {
            assert_eq!(input.len(), images * size, "{images} maps of {size} numbers");
        }
        // On threads of the pool from beginning to end: coming in from outside costs a wake-up for each operation.
        rayon::scope(|_| self.run_apart(inputs, images))
    }

    /// An equal part of the images on each thread: what is shared by threads are then weights, and not each map, at the end of
    /// which all would wait for the last.
    fn run_apart(&self, inputs: &[&[f32]], images: usize) -> Vec<Vec<f32>> {
        let parts = rayon::current_num_threads().min(images);
        if parts < 2 {
            return self.run_inside(inputs, images, rayon::current_num_threads());
        }
        let of_part = |part: usize| {
            let (first, last) = (part * images / parts, (part + 1) * images / parts);
            let inputs: Vec<&[f32]> =
                inputs.iter().zip(&self.sizes).map(|(all, size)| &all[first * size..last * size]).collect();
            self.run_inside(&inputs, last - first, 1)
        };
        let all: Vec<Vec<Vec<f32>>> = (0..parts).into_par_iter().with_max_len(1).map(of_part).collect();
        let sizes = self.output_sizes();
        let joined = |output: usize| {
            let mut values = Vec::with_capacity(images * sizes[output]);
            all.iter().for_each(|part| values.extend_from_slice(&part[output]));
            values
        };
        (0..sizes.len()).map(joined).collect()
    }

    /// Runs images one group after the other, for which there are `threads`.
    fn run_inside(&self, inputs: &[&[f32]], images: usize, threads: usize) -> Vec<Vec<f32>> {
        let mut results: Vec<Vec<f32>> = self.output_sizes().iter().map(|size| vec![0.0; images * size]).collect();
        let mut memory = self.idle().pop().unwrap_or_else(|| vec![Vec::new(); self.buffers]);
        for (place, size) in self.places.iter().zip(&self.sizes) {
            if let Place::Buffer { index, home } = *place {
                let size = size * self.segments[home].group.min(images);
                if memory[index].len() < size {
                    memory[index].resize(size, 0.0);
                }
            }
        }
        let mut group = Group { inputs, threads, first: vec![0; self.segments.len()], now: 0..0 };
        let together = self.segments.last().map_or(images, |segment| segment.group).max(1);
        for first in (0..images).step_by(together) {
            let last = (first + together).min(images);
            if let Some(segment) = self.segments.len().checked_sub(1) {
                self.run_segment(segment, first..last, &mut group, &mut memory);
            }
            group.now = first..last;
            for (result, value) in results.iter_mut().zip(&self.outputs) {
                let size = self.sizes[value.0];
                result[first * size..last * size].copy_from_slice(self.value(*value, &group, &memory));
            }
        }
        self.idle().push(memory);
        results
    }

    /// Runs some images through the program up to the end of a segment.
    fn run_segment(&self, index: usize, images: Range<usize>, group: &mut Group<'_>, memory: &mut [Vec<f32>]) {
        group.first[index] = images.start;
        if let Some(before) = index.checked_sub(1) {
            let together = self.segments[before].group;
            for first in images.clone().step_by(together) {
                self.run_segment(before, first..(first + together).min(images.end), group, memory);
            }
        }
        group.now = images;
        for step in &self.steps[self.segments[index].steps.clone()] {
            self.step(step, group, memory);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Vec<f32>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value<'a>(&self, value: Value, group: &Group<'a>, memory: &'a [Vec<f32>]) -> &'a [f32] {
        match self.places[value.0] {
            Place::Input(index) => &group.inputs[index][self.numbers(value, group, 0)],
            Place::Buffer { index, home } => &memory[index][self.numbers(value, group, group.first[home])],
            Place::Nowhere => unreachable!("nobody reads it"),
        }
    }

    /// The numbers of the images that run, where those of image `first` lie at the beginning.
    fn numbers(&self, value: Value, group: &Group<'_>, first: usize) -> Range<usize> {
        let size = self.sizes[value.0];
        (group.now.start - first) * size..(group.now.end - first) * size
    }

    fn step(&self, step: &Step, group: &Group<'_>, memory: &mut [Vec<f32>]) {
        let Place::Buffer { index: target, home } = self.places[step.to.0] else {
            unreachable!("a step writes to a buffer")
        };
        let count = group.now.len();
        // Out of the others while it is written to.
        let mut buffer = std::mem::take(&mut memory[target]);
        let y = &mut buffer[self.numbers(step.to, group, group.first[home])];
        let x = |index: usize| self.value(step.from[index], group, memory);
        match &step.work {
            Work::Convolve { shape, weights, bias, activation } => {
                let residual = (step.from.len() > 1).then(|| x(1));
                let epilogue = Epilogue { bias: bias.as_deref(), residual, activation: *activation };
                convolution::forward(&Shape { images: count, ..*shape }, x(0), weights, y, &epilogue);
            }
            Work::Separable(separable) => {
                let residual = (step.from.len() > 1).then(|| x(1));
                separable.forward(x(0), residual, count, group.threads, y);
            }
            Work::Pool(pool, geometry) => pooling::forward(*pool, x(0), self.channels(step.to), geometry, y),
            Work::GlobalAverage => {
                let [rows, columns, channels] = self.shapes[step.from[0].0];
                pooling::global_average(x(0), rows * columns, channels, y);
            }
            Work::Affine { scale, shift } => norm::affine(x(0), scale, shift, None, Activation::None, y),
            Work::Activate(activation) => {
                let in_place = matches!(self.places[step.from[0].0], Place::Buffer { index, .. } if index == target);
                match in_place {
                    true => activation.in_place_together(y),
                    false => activation.apply_together(x(0), y),
                }
            }
            Work::Add => add(x(0), x(1), y),
            Work::Arrange(arrangement) => {
                let parts: Vec<(&[f32], [usize; 3])> =
                    (0..step.from.len()).map(|index| (x(index), self.shapes[step.from[index].0])).collect();
                arrange(arrangement, &parts, self.shapes[step.to.0], y);
            }
        }
        memory[target] = buffer;
    }

    fn channels(&self, value: Value) -> usize {
        self.shapes[value.0][2]
    }
}

/// The images that run.
struct Group<'a> {
    inputs: &'a [&'a [f32]],
    /// Threads that have nothing else to do.
    threads: usize,
    /// The first image of each segment's group.
    first: Vec<usize>,
    /// Those of the segment that runs.
    now: Range<usize>,
}

/// Numbers that a task of a pointwise operation takes.
const TASK_NUMBERS: usize = 1 << 14;

fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
    let parts = y.par_chunks_mut(TASK_NUMBERS).zip(a.par_chunks(TASK_NUMBERS)).zip(b.par_chunks(TASK_NUMBERS));
    parts.for_each(|((y, a), b)| {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    });
}

/// Rows that a task arranges.
const TASK_ROWS: usize = 8;

fn arrange(
    arrangement: &Arrangement,
    parts: &[(&[f32], [usize; 3])],
    [rows, columns, channels]: [usize; 3],
    y: &mut [f32],
) {
    let source = |at: usize, axis: usize, size: usize| {
        let at = (at * arrangement.step).checked_add_signed(-arrangement.before[axis])?;
        (at < size).then_some(at)
    };
    let whole = arrangement.skip + parts.iter().map(|(_, shape)| shape[2]).sum::<usize>() == channels;
    y.par_chunks_mut(columns * channels).with_min_len(TASK_ROWS).enumerate().for_each(|(row, y)| {
        let (image, row) = (row / rows, row % rows);
        for (column, y) in y.chunks_exact_mut(channels).enumerate() {
            if arrangement.skip > 0 || !whole {
                y.fill(0.0);
            }
            let mut begin = arrangement.skip;
            for (values, [height, width, depth]) in parts {
                let y = &mut y[begin..begin + depth];
                match (source(row, 0, *height), source(column, 1, *width)) {
                    (Some(i), Some(j)) => {
                        let at = ((image * height + i) * width + j) * depth;
                        y.copy_from_slice(&values[at..at + depth]);
                    }
                    _ => y.fill(0.0),
                }
                begin += depth;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{assert_same_on_any_threads, normal};

    /// Two convolutions, of which the second adds the first; a maximum of each window, and a linear layer on all means, which
    /// reads the first too; and what is asked for.
    fn program(numbers: usize) -> Compiled {
        let (mut compiler, values) = Compiler::new(&[[12, 10, 3]]);
        let weights = [normal(9 * 3 * 16, 1), normal(9 * 16 * 16, 2), normal(16 * 5, 3)];
        let layer = |weight, residual| ConvLayer {
            weight,
            kernel: [3, 3],
            outputs: 16,
            options: ConvOptions { padding: crate::Padding::Symmetric([1, 1]), ..ConvOptions::default() },
            bias: None,
            residual,
            activation: Activation::None,
        };
        let first = compiler.conv2d(values[0], &layer(&weights[0], None));
        let second = compiler.conv2d(first, &layer(&weights[1], Some(first)));
        let active = compiler.activate(second, Activation::Relu);
        let halves = PoolOptions { kernel: [2, 2], stride: [2, 2], padding: crate::Padding::Symmetric([0, 0]) };
        let pooled = compiler.max_pool2d(active, &halves);
        let pooled = compiler.activate(pooled, Activation::Relu6);
        let small = [compiler.global_average(pooled), compiler.global_average(first)];
        let sum = compiler.add(small[0], small[1]);
        let last = compiler.linear(sum, &weights[2], &normal(5, 4), Activation::None);
        compiler.finish_within(&[pooled, last, small[1]], numbers)
    }

    #[test]
    fn wide_maps_between_depthwise_and_pointwise_convolutions_are_not_made() {
        let pointwise = |compiler: &mut Compiler, x, outputs, residual| {
            let channels = compiler.shape(x)[2];
            let (weight, bias) = (normal(channels * outputs, 1), normal(outputs, 2));
            let options = ConvOptions::default();
            let activation = Activation::Relu6;
            compiler.conv2d(
                x,
                &ConvLayer {
                    weight: &weight,
                    kernel: [1, 1],
                    outputs,
                    options,
                    bias: Some(&bias),
                    residual,
                    activation,
                },
            )
        };
        let depthwise = |compiler: &mut Compiler, x| {
            let channels = compiler.shape(x)[2];
            let weight = normal(9 * channels, 3);
            let padding = crate::Padding::Symmetric([1, 1]);
            let options = ConvOptions { padding, groups: channels, ..ConvOptions::default() };
            let (bias, residual, activation) = (None, None, Activation::None);
            let layer =
                ConvLayer { weight: &weight, kernel: [3, 3], outputs: channels, options, bias, residual, activation };
            compiler.conv2d(x, &layer)
        };
        let (images, size) = (3, 40 * 40 * 8);
        let x = normal(images * size, 4);
        // Where a value between is asked for, or read twice, it is made.
        let results = [0, 1, 2].map(|asked| {
            let (mut compiler, inputs) = Compiler::new(&[[40, 40, 8]]);
            let wide = pointwise(&mut compiler, inputs[0], 96, None);
            let between = depthwise(&mut compiler, wide);
            let narrow = pointwise(&mut compiler, between, 8, Some(inputs[0]));
            let outputs = &[vec![narrow], vec![narrow, between], vec![narrow, wide]][asked];
            let program = compiler.finish(outputs);
            assert_eq!(program.steps.len(), [1, 3, 2][asked]);
            assert_same_on_any_threads("a joined step", || program.run(&[&x], images).concat());
            program.run(&[&x], images).swap_remove(0)
        });
        assert!(results[0] == results[1] && results[0] == results[2]);
    }

    #[test]
    fn parts_and_groups_of_images_change_no_bit() {
        let cut = |numbers: usize| program(numbers).segments.iter().map(|segment| segment.group).collect::<Vec<_>>();
        assert_eq!([cut(1), cut(6000), cut(1 << 20)], [vec![1], vec![1, 2, 8], vec![32]]);
        for images in [1, 2, 7, 40] {
            let x = normal(images * 12 * 10 * 3, 5);
            let whole = program(1).run(&[&x], images).concat();
            for numbers in [4000, 6000, 12_000, 1 << 20] {
                let program = program(numbers);
                assert!(program.run(&[&x], images).concat() == whole, "{images} images, {numbers} numbers");
                // What the last run left in memory does not matter.
                assert!(program.run(&[&x], images).concat() == whole, "{images} images again, {numbers} numbers");
                assert_same_on_any_threads("a compiled program", || program.run(&[&x], images).concat());
            }
        }
        let empty = program(6000).run(&[&[]], 0);
        assert!(empty.iter().all(Vec::is_empty) && empty.len() == 3);
    }
}
