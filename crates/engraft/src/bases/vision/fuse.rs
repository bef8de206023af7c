//! Sums and activations that a convolution can do while it stores its results: `relu(conv(x) + shortcut)` is one
//! operation, in training as in evaluation.

use engraft_kernels::Activation as Pointwise;

use crate::bases::vision::graph::{Node, Op, Plain};

/// Joins every sum of two maps, and the activation after it, with the convolution that gives one of them and is read by
/// nobody else. Takes the nodes of a stage of `inputs` values and the numbers of its outputs, and gives them anew.
pub(super) fn fuse_residuals(nodes: Vec<Node>, inputs: usize, outputs: Vec<usize>) -> (Vec<Node>, Vec<usize>) {
    let mut readers = vec![Vec::new(); inputs + nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for &(value, _) in &node.from {
            readers[value].push(at);
        }
    }
    let read_once = |value: usize| readers[value].len() == 1 && !outputs.contains(&value);
    let is_bare = |value: &usize| match value.checked_sub(inputs).map(|at| &nodes[at]) {
        Some(Node { op: Op::ConvNorm(layer), from }) => layer.is_bare() && from.len() == 1 && read_once(*value),
        _ => false,
    };
    // For each node: the convolution that it takes in, and the other value of the sum.
    let mut takes: Vec<Option<(usize, usize, Pointwise)>> = vec![None; nodes.len()];
    let mut gone = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let (Op::Plain(op), [(a, _), (b, _)]) = (&node.op, node.from.as_slice()) else { continue };
        if op.plain != Plain::Add || a == b {
            continue;
        }
        let Some(&value) = [b, a].into_iter().find(|value| is_bare(value)) else { continue };
        let other = if value == *a { *b } else { *a };
        let convolution = value - inputs;
        gone[convolution] = true;
        let sum = inputs + at;
        let after = readers[sum].first().filter(|_| read_once(sum)).map(|&reader| (reader, &nodes[reader].op));
        match after {
            Some((reader, Op::Plain(op))) if matches!(op.plain, Plain::Activate(_)) => {
                let Plain::Activate(activation) = op.plain else { continue };
                gone[at] = true;
                takes[reader] = Some((convolution, other, activation));
            }
            _ => takes[at] = Some((convolution, other, Pointwise::None)),
        }
    }
    let mut number: Vec<usize> = (0..inputs).collect();
    let mut next = inputs;
    for gone in &gone {
        number.push(next);
        next += usize::from(!gone);
    }
    let mut layers: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let mut fused = Vec::with_capacity(next - inputs);
    for at in 0..layers.len() {
        if gone[at] {
            continue;
        }
        let mut node = match takes[at] {
            None => layers[at].take().expect("each node is taken once"),
            Some((convolution, other, activation)) => {
                let Node { op: Op::ConvNorm(layer), mut from } =
                    layers[convolution].take().expect("each node is taken once")
                else {
                    unreachable!("only convolutions are taken in")
                };
                from.push((other, false));
                Node { op: Op::ConvNorm(layer.with_activation(activation)), from }
            }
        };
        for (value, _) in &mut node.from {
            *value = number[*value];
        }
        fused.push(node);
    }
    let outputs = outputs.into_iter().map(|value| number[value]).collect();
    (fused, outputs)
}
