//! Stages in evaluation mode, compiled for the CPU: batch norms folded into convolutions, weights packed once, values
//! sharing memory.

use engraft_kernels::{Activation as Pointwise, Compiled, Compiler, Value};

use crate::bases::vision::graph::{Node, Op, Plain, Stage, zeros_around};

/// The program of stages in a row, for inputs of these shapes: `[rows, columns, channels]` each.
///
/// # Panics
/// If the shapes are not what the first stage takes.
pub(super) fn compile<'a>(stages: impl Iterator<Item = &'a Stage>, inputs: &[[usize; 3]]) -> Compiled {
    let (mut compiler, mut values) = Compiler::new(inputs);
    for stage in stages {
        values = compile_stage(&mut compiler, stage, values);
    }
    compiler.finish(&values)
}

fn compile_stage(compiler: &mut Compiler, stage: &Stage, inputs: Vec<Value>) -> Vec<Value> {
    assert_eq!(inputs.len(), stage.inputs, "the stage {} takes {} maps", stage.name(), stage.inputs);
    let mut readers = vec![0; stage.inputs + stage.nodes.len()];
    let read = stage.nodes.iter().flat_map(|node| node.from.iter().map(|&(value, _)| value));
    for value in read.chain(stage.outputs.iter().copied()) {
        readers[value] += 1;
    }
    // Whether a node is a convolution whose only reader is a batch norm that goes into it.
    let norm_after = |at: usize| match &stage.nodes[at].op {
        Op::Conv(layer) if layer.is_bare() && readers[stage.inputs + at] == 1 => {
            let reads = |node: &&Node| node.from.iter().any(|&(value, _)| value == stage.inputs + at);
            match stage.nodes.iter().find(reads).map(|node| &node.op) {
                Some(Op::Norm(norm)) => Some(norm),
                _ => None,
            }
        }
        _ => None,
    };
    let mut values = inputs;
    for (at, node) in stage.nodes.iter().enumerate() {
        let from: Vec<Value> = node.from.iter().map(|&(value, _)| values[value]).collect();
        let x = from[0];
        let value = match &node.op {
            Op::ConvNorm(layer) => layer.plain().compile(compiler, x, from.get(1).copied()),
            Op::Conv(layer) => match norm_after(at) {
                Some(norm) => {
                    let (scale, shift) = norm.affine_values();
                    layer.plain().scaled(&scale, &shift).compile(compiler, x, None)
                }
                None => layer.plain().compile(compiler, x, None),
            },
            Op::Norm(norm) => {
                let folded =
                    node.from[0].0.checked_sub(stage.inputs).is_some_and(|before| norm_after(before).is_some());
                if folded {
                    x
                } else {
                    let (scale, shift) = norm.affine_values();
                    compiler.affine(x, &scale, &shift)
                }
            }
            Op::Linear(layer) => {
                let (weight, bias) = layer.values();
                compiler.linear(x, &weight, &bias, Pointwise::None)
            }
            Op::Plain(op) => compile_plain(compiler, &op.plain, &from),
        };
        values.push(value);
    }
    stage.outputs.iter().map(|&value| values[value]).collect()
}

fn compile_plain(compiler: &mut Compiler, plain: &Plain, from: &[Value]) -> Value {
    let x = from[0];
    match plain {
        Plain::Activate(function) => compiler.activate(x, *function),
        Plain::MaxPool(options) => compiler.max_pool2d(x, options),
        Plain::AveragePool(options, count_padding) => compiler.average_pool2d(x, options, *count_padding),
        Plain::ZeroPad(options) => {
            let [rows, columns, _] = compiler.shape(x);
            let (before, after) = zeros_around([rows, columns], options);
            compiler.zero_pad(x, before, after)
        }
        Plain::Shift => compiler.shift(x),
        Plain::Subsample(step) => compiler.subsample(x, *step),
        Plain::PadChannels(before, after) => compiler.pad_channels(x, *before, *after),
        Plain::Add => compiler.add(x, from[1]),
        Plain::Concat => compiler.concat(from),
        Plain::GlobalAverage => compiler.global_average(x),
        // No path is dropped in evaluation.
        Plain::DropPath(..) => x,
    }
}
