//! A worker of `peers/compare.py`: does one row's work in engraft when told to, and says how fast it was.
//!
//!     speed ROW [--threads 2] [--seconds 2]
//!
//! It speaks the lines that `compare.py` describes. Weights and inputs are random, in f32. Networks are those of the
//! library, run as `fit` runs them: frozen ones compiled, as features are extracted; training through Burn's tensors and
//! autodiff, and the optimiser of the loop.

use std::hint::black_box;
use std::io::BufRead;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::{Device, Distribution};
use engraft::bases::{Architecture, Card, Mode, Network, Pass, move_statistics};
use engraft::train::{Classifier, Gradients, Memory, Optimiser, Rules};
use engraft_kernels::{
    Activation, AffineWeights, Encoder, EncoderBlock, EncoderShape, Fused, LstmWeights, NormWeights, attention,
    layer_norm, linear, lstm,
};

type Failure = Box<dyn std::error::Error>;

/// Iterations before the worker says that it is ready, and the least of a measurement.
const WARM_UP: usize = 2;
const LEAST: usize = 3;
const CLASSES: usize = 1000;

/// The shape of a transformer's encoder.
#[derive(Debug, Clone, Copy)]
struct Shape {
    layers: usize,
    width: usize,
    heads: usize,
    /// Width between the two linear layers of a block.
    between: usize,
    /// Tokens of a sequence, and sequences of a batch.
    tokens: usize,
    batch: usize,
    /// Whether the norms stand before attention and the linear layers, as in image transformers, or after the sums, as in BERT.
    norm_first: bool,
    epsilon: f64,
}

/// MiniLM-L6 (Wang et al. 2020).
const MINILM: Shape =
    Shape { layers: 6, width: 384, heads: 12, between: 1536, tokens: 64, batch: 32, norm_first: false, epsilon: 1e-12 };

/// ViT-S/16 at 224 x 224: 196 patches and the class token (Touvron et al. 2021).
const VIT_S: Shape =
    Shape { layers: 12, width: 384, heads: 6, between: 1536, tokens: 197, batch: 8, norm_first: true, epsilon: 1e-6 };

/// The shape of the LSTM: width of input and state, layers, steps, sequences.
const LSTM_WIDTH: usize = 512;
const LSTM_LAYERS: usize = 2;
const LSTM_STEPS: usize = 30;
const LSTM_BATCH: usize = 64;

/// Work that is repeated, and what one iteration counts for.
struct Work {
    step: Box<dyn FnMut()>,
    items: usize,
    /// Multiplications and additions of an item, by the definition of each layer: Winograd's convolutions take fewer.
    operations: f64,
}

impl Work {
    /// A step whose forward pass takes so many multiply-adds for an item. The way back takes twice as many: the gradients
    /// of weights and of inputs.
    fn new(step: impl FnMut() + 'static, items: usize, multiply_adds: f64, training: bool) -> Self {
        Self { step: Box::new(step), items, operations: multiply_adds * if training { 6.0 } else { 2.0 } }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the lines are what this program is for")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(row) = arguments.first().filter(|row| !row.starts_with("--")).cloned() else {
        eprintln!("a worker of benches/peers/compare.py: nothing to measure without the name of a row");
        return ExitCode::SUCCESS;
    };
    match serve(&row, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error {failure}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the lines are what this program is for")]
fn serve(row: &str, arguments: &[String]) -> Result<(), Failure> {
    let threads: usize = option(arguments, "--threads").unwrap_or("2").parse()?;
    let seconds = Duration::from_secs_f64(option(arguments, "--seconds").unwrap_or("2").parse()?);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    Device::flex().seed(0);
    let before = resident("VmRSS")?;
    let mut work = work_of(row)?;
    for _ in 0..WARM_UP {
        (work.step)();
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "go" => println!("rate {:.6}", work.items as f64 / median_seconds(&mut work.step, seconds)),
            "operations" => println!("operations {:.6}", work.operations / 1e9),
            "memory" => println!("memory {:.3} {before:.3}", resident("VmHWM")?),
            other => return Err(format!("no request `{other}`").into()),
        }
    }
    Ok(())
}

fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).map(String::as_str)
}

fn work_of(row: &str) -> Result<Work, Failure> {
    match row {
        "peak" => return Ok(peak()),
        "lstm-train" => return Ok(lstm_train()),
        "minilm-forward" => return Ok(frozen_encoder(MINILM)),
        "minilm-train" => return Ok(encoder_step(MINILM)),
        "vit_s-forward" => return Ok(frozen_encoder(VIT_S)),
        "vit_s-train" => return Ok(encoder_step(VIT_S)),
        _ => {}
    }
    let (model, rest) = row.split_once('-').ok_or_else(|| format!("no row `{row}`"))?;
    let architecture = match model {
        "resnet18" => Architecture::RESNET18,
        "resnet50" => Architecture::RESNET50,
        "inception_v3" => Architecture::INCEPTION_V3,
        "mobilenet_v2" => Architecture::MOBILENET_V2,
        "nasnet_mobile" => Architecture::NASNET_MOBILE,
        _ => return Err(format!("no network `{model}`").into()),
    };
    match rest {
        "forward" => Ok(forward(architecture, 32)),
        "forward-1" => Ok(forward(architecture, 1)),
        "train" | "train-memory" => Ok(train(architecture, 32)),
        _ => Err(format!("no row `{row}`").into()),
    }
}

/// A network with random weights, whose batch norms have the statistics of a batch: with those of a new one the values
/// would shrink from layer to layer, and no trained network behaves like that.
fn classifier(architecture: Architecture, device: &Device) -> (Classifier, [usize; 3]) {
    let card = Card::usual(architecture, "speed".into());
    let input = card.preprocessing.shape();
    let built = Network::random(&card, CLASSES, 0, device);
    let model = Classifier { network: built.network, head: built.classifier.expect("it was asked for") };
    let pass = Pass::default();
    let x = Tensor::random([4, input[0], input[1], input[2]], Distribution::Normal(0.0, 1.0), device);
    black_box(model.forward(x, Mode::Train(&pass)).into_data());
    (move_statistics(model, &[pass.into_statistics()], 1.0), input)
}

/// Features of a batch of images, compiled as for extraction.
fn forward(architecture: Architecture, batch: usize) -> Work {
    let (model, input) = classifier(architecture, &Device::flex());
    let stages = model.network.stages().len();
    let multiply_adds = multiply_adds(&model.network, input);
    let program = model.network.compile(0..stages, [input[0], input[1]], None);
    let shape = [batch, input[0], input[1], input[2]];
    let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
    let x = x.into_data().try_to_vec::<f32>().expect("the batch is f32");
    let step = move || {
        black_box(program.run(&[&x], batch));
    };
    Work::new(step, batch, multiply_adds, false)
}

/// One step of training with all weights and the classifier.
fn train(architecture: Architecture, batch: usize) -> Work {
    let device = Device::flex().autodiff();
    let (model, input) = classifier(architecture, &device);
    let shape = [batch, input[0], input[1], input[2]];
    let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let labels = Tensor::<1, Int>::arange(0..batch as i64, &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let multiply_adds = multiply_adds(&model.network, input);
    let (rules, mut memory) = (Rules::all(&model, 0.0), Memory::default());
    let mut model = Some(model);
    let step = move || {
        let current = model.take().expect("it is put back after every step");
        let pass = Pass::default();
        let logits = current.forward(x.clone(), Mode::Train(&pass));
        let gradients = GradientsParams::from_grads(loss.forward(logits, labels.clone()).backward(), &current);
        let gradients = Gradients::of(&current, gradients);
        let moved = Optimiser::Sgd.step(&mut memory, current, &gradients, 0.01, &rules);
        model = Some(move_statistics(moved, &[pass.into_statistics()], 0.1));
    };
    Work::new(step, batch, multiply_adds, true)
}

/// Multiply-adds of an image.
fn multiply_adds(network: &Network, input: [usize; 3]) -> f64 {
    network.costs([input[0], input[1]]).iter().map(|cost| cost.multiply_adds as f64).sum()
}

/// What this machine's vector units can do at most: chains of multiply-adds on all threads that nothing has to be loaded for.
fn peak() -> Work {
    const CHAINS: usize = 16;
    const ROUNDS: usize = 1 << 20;
    struct Chains;
    impl pulp::WithSimd for Chains {
        /// How many operations it was.
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> usize {
            let factor = simd.splat_f32s(black_box(0.999));
            let mut sums = [simd.splat_f32s(1.0); CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = simd.mul_add_e_f32s(*sum, factor, factor);
                }
            }
            black_box(sums.map(|sum| simd.reduce_sum_f32s(sum)));
            2 * ROUNDS * CHAINS * S::F32_LANES
        }
    }
    let arch = pulp::Arch::new();
    let run = move || rayon::broadcast(|_| arch.dispatch(Chains)).into_iter().sum::<usize>();
    let operations = run() as f64;
    let step = move || {
        black_box(run());
    };
    Work { step: Box::new(step), items: 1, operations }
}

/// Gradients of an LSTM's parameters and input.
fn lstm_train() -> Work {
    let device = Device::flex().autodiff();
    let random = |shape: [usize; 2]| {
        let bound = 1.0 / (LSTM_WIDTH as f64).sqrt();
        Tensor::<2>::random(shape, Distribution::Uniform(-bound, bound), &device)
    };
    let layers: Vec<LstmWeights> = (0..LSTM_LAYERS)
        .map(|_| LstmWeights {
            input: random([LSTM_WIDTH, 4 * LSTM_WIDTH]).require_grad(),
            recurrent: random([LSTM_WIDTH, 4 * LSTM_WIDTH]).require_grad(),
            bias: random([1, 4 * LSTM_WIDTH]).reshape([4 * LSTM_WIDTH]).require_grad(),
        })
        .collect();
    let shape = [LSTM_BATCH, LSTM_STEPS, LSTM_WIDTH];
    let x = Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad();
    let step = move || {
        let y = layers.iter().fold(x.clone(), |x, weights| lstm(x, weights.clone(), None).0);
        let gradients = y.square().mean().backward();
        for weights in &layers {
            black_box((
                weights.input.grad(&gradients),
                weights.recurrent.grad(&gradients),
                weights.bias.grad(&gradients),
            ));
        }
        black_box(x.grad(&gradients));
    };
    let multiply_adds = LSTM_LAYERS * LSTM_BATCH * LSTM_STEPS * 8 * LSTM_WIDTH * LSTM_WIDTH;
    Work::new(step, 1, multiply_adds as f64, true)
}

/// A parameter: where gradients are taken at all, there will be one for it.
fn learned<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.require_grad() } else { tensor }
}

/// A linear layer's weight and bias.
struct Affine(Tensor<2>, Tensor<1>);

impl Affine {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        let bound = 1.0 / (from as f64).sqrt();
        let weight = Tensor::random([from, to], Distribution::Uniform(-bound, bound), device);
        Self(learned(weight), learned(Tensor::zeros([to], device)))
    }

    fn forward(&self, x: Tensor<3>, residual: Option<Tensor<3>>, activation: Activation) -> Tensor<3> {
        linear(x, self.0.clone(), Fused { bias: Some(self.1.clone()), residual, activation })
    }

    fn tensors(&self) -> (&Tensor<2>, &Tensor<1>) {
        (&self.0, &self.1)
    }
}

/// A block of an encoder.
struct EncoderLayer {
    shape: Shape,
    query: Affine,
    key: Affine,
    value: Affine,
    output: Affine,
    widen: Affine,
    narrow: Affine,
    norms: [(Tensor<1>, Tensor<1>); 2],
}

impl EncoderLayer {
    fn new(shape: Shape, device: &Device) -> Self {
        let Shape { width, between, .. } = shape;
        let square = || Affine::new(width, width, device);
        let norm = || (learned(Tensor::ones([width], device)), learned(Tensor::zeros([width], device)));
        Self {
            shape,
            query: square(),
            key: square(),
            value: square(),
            output: square(),
            widen: Affine::new(width, between, device),
            narrow: Affine::new(between, width, device),
            norms: [norm(), norm()],
        }
    }

    /// Hidden states `[batch, tokens, width]` to the same.
    fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let norm = |x, index: usize| {
            let (gamma, beta) = self.norms[index].clone();
            layer_norm(x, gamma, beta, self.shape.epsilon)
        };
        if self.shape.norm_first {
            let hidden = self.mix(norm(hidden.clone(), 0), hidden);
            return self.widen_and_narrow(norm(hidden.clone(), 1), hidden);
        }
        let hidden = norm(self.mix(hidden.clone(), hidden), 0);
        norm(self.widen_and_narrow(hidden.clone(), hidden), 1)
    }

    fn mix(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let part = |layer: &Affine| layer.forward(x.clone(), None, Activation::None);
        let mixed = attention(part(&self.query), part(&self.key), part(&self.value), None, self.shape.heads);
        self.output.forward(mixed, Some(residual), Activation::None)
    }

    fn widen_and_narrow(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.narrow.forward(self.widen.forward(x, None, Activation::Gelu), Some(residual), Activation::None)
    }

    fn layers(&self) -> [&Affine; 6] {
        [&self.query, &self.key, &self.value, &self.output, &self.widen, &self.narrow]
    }
}

/// A frozen encoder without its embeddings, as `fit` and `embed` run it: hidden states through all blocks.
fn frozen_encoder(shape: Shape) -> Work {
    let Shape { batch, tokens, width, .. } = shape;
    let device = Device::flex();
    let random = |sizes: [usize; 2]| {
        let values = Tensor::<2>::random(sizes, Distribution::Normal(0.0, 0.02), &device).into_data();
        values.try_to_vec::<f32>().expect("numbers")
    };
    let sizes = [[width, width], [width, shape.between], [shape.between, width]]
        .map(|[inputs, outputs]| (random([inputs, outputs]), random([1, outputs])));
    let [square, widen, narrow] = sizes.each_ref().map(|(weight, bias)| AffineWeights { weight, bias });
    let (ones, zeros) = (vec![1.0; width], vec![0.0; width]);
    let norm = NormWeights { gamma: &ones, beta: &zeros };
    let (query, key, value, output) = (square, square, square, square);
    let block = EncoderBlock { query, key, value, output, attention_norm: norm, widen, narrow, norm };
    let program = Encoder::new(
        EncoderShape {
            width,
            heads: shape.heads,
            activation: Activation::Gelu,
            epsilon: shape.epsilon as f32,
            distances: None,
            norm_first: shape.norm_first,
        },
        &vec![block; shape.layers],
    );
    let states: Vec<Vec<f32>> = (0..batch).map(|_| random([tokens, width])).collect();
    let step = move || {
        let texts: Vec<&[f32]> = states.iter().map(Vec::as_slice).collect();
        black_box(program.run(&texts, 0..shape.layers));
    };
    Work::new(step, batch, operations_of(shape), false)
}

/// Multiply-adds of a sequence: linear layers, and scores and sums of attention.
fn operations_of(shape: Shape) -> f64 {
    let Shape { layers, width, between, tokens, .. } = shape;
    (layers * tokens * (4 * width * width + 2 * width * between + 2 * width * tokens)) as f64
}

/// An encoder without its embeddings that learns: hidden states through it, and back for the gradients of its parameters.
fn encoder_step(shape: Shape) -> Work {
    let Shape { batch, tokens, width, .. } = shape;
    let device = Device::flex().autodiff();
    let layers: Vec<EncoderLayer> = (0..shape.layers).map(|_| EncoderLayer::new(shape, &device)).collect();
    let x = Tensor::<3>::random([batch, tokens, width], Distribution::Normal(0.0, 1.0), &device);
    let step = move || {
        let y = layers.iter().fold(x.clone(), |x, layer| layer.forward(x));
        let gradients = y.square().mean().backward();
        for layer in &layers {
            for (weight, bias) in layer.layers().map(Affine::tensors) {
                black_box((weight.grad(&gradients), bias.grad(&gradients)));
            }
            for (gamma, beta) in &layer.norms {
                black_box((gamma.grad(&gradients), beta.grad(&gradients)));
            }
        }
    };
    Work::new(step, batch, operations_of(shape), true)
}

/// The median time of as many steps as fit, and at least three.
fn median_seconds(step: &mut dyn FnMut(), seconds: Duration) -> f64 {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < LEAST || start.elapsed() < seconds {
        let before = Instant::now();
        step();
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2.0 }
}

/// Resident memory in MB (1,048,576 bytes): now (`VmRSS`) or its peak (`VmHWM`).
fn resident(key: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).ok_or("no memory in the process's status")?;
    Ok(kilobytes.parse::<f64>()? / 1024.0)
}
