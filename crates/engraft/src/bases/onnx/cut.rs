//! Which value of an ONNX model serves as features: the one that its last linear layer reads, or the one asked for.

use super::OnnxCandidate;
use super::fact::Fact;
use super::facts::Facts;
use super::graph::{Graph, Node, Value};
use super::kind::Kind;
use super::shown;
use crate::error::Problem;

/// The value at which a model is cut.
pub(super) struct Cut {
    pub(crate) value: Value,
    /// How it was chosen.
    pub(crate) why: String,
}

/// How a value becomes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// All its numbers.
    All,
    /// The mean over the places of a map, whose channels are this axis.
    Mean(usize),
}

/// Longest row of features: longer ones are maps of another kind, or mistakes.
const COLUMNS: usize = 1 << 20;

/// How a value would serve as features, if it could.
pub(super) fn row(fact: &Fact) -> Option<(Row, usize)> {
    if fact.kind != Kind::F32 || fact.constant || fact.shape.len() < 2 || fact.shape[0] != 1 {
        return None;
    }
    if fact.shape.iter().filter(|side| **side > 1).count() <= 1 {
        return (fact.len() <= COLUMNS).then(|| (Row::All, fact.len()));
    }
    match fact.channels {
        Some(axis) if fact.shape.len() == 4 && axis > 0 => Some((Row::Mean(axis), fact.shape[axis])),
        _ => None,
    }
}

/// Everything that could serve as features, nearest to the end first.
pub(super) fn candidates(graph: &Graph, facts: &Facts) -> Vec<OnnxCandidate> {
    let outputs = graph.nodes.iter().rev().flat_map(|node| node.outputs.iter().flatten());
    outputs.filter_map(|value| candidate(graph, facts, *value)).collect()
}

pub(super) fn candidate(graph: &Graph, facts: &Facts, value: Value) -> Option<OnnxCandidate> {
    let fact = facts.get(value)?;
    let (_, length) = row(fact)?;
    let node = graph.giver(value).map(|(_, node)| node);
    Some(OnnxCandidate {
        name: graph.names[value].clone(),
        node: node.map_or_else(String::new, |node| node.proto.name.clone()),
        op: node.map_or_else(String::new, |node| node.proto.op_type.clone()),
        shape: fact.shape.clone(),
        length,
    })
}

/// The value asked for by the name of a value or a node, or the one before the last linear layer.
pub(super) fn choose(graph: &Graph, facts: &Facts, asked: Option<&str>) -> Result<Cut, Problem> {
    let cut = match asked {
        None => automatic(graph, facts)?,
        Some(name) => match graph.value(name) {
            Some(value) => Cut { value, why: "it was asked for".into() },
            None => {
                return Err(Problem::new("the model has no value and no node of this name")
                    .expected(listed(nearest(graph, facts, name)))
                    .found(shown(name)));
            }
        },
    };
    match &facts.values[cut.value] {
        Err(reason) => {
            let (place, reason) = &**reason;
            Err(Problem::new(format_args!("{place} is not supported"))
                .expected("the operations of a feed-forward network on one image, with fixed shapes")
                .found(reason)
                .hint(alternatives(graph, facts)))
        }
        Ok(fact) => match row(fact) {
            Some((Row::Mean(_), _)) => {
                let why = format!("{}; the map {:?} is averaged over its rows and columns", cut.why, fact.shape);
                Ok(Cut { why, ..cut })
            }
            Some((Row::All, _)) => Ok(cut),
            None => {
                let reason = if fact.constant {
                    "it is the same for every image"
                } else if fact.kind != Kind::F32 {
                    "its numbers are not 32-bit floats"
                } else if fact.shape.first() != Some(&1) {
                    "it does not begin with the one image"
                } else {
                    "it is neither a vector nor a map of channels, rows and columns (a sequence of tokens has no one row)"
                };
                Err(Problem::new(format_args!("`{}` cannot serve as features", shown(&graph.names[cut.value])))
                    .expected("one vector, or one map of channels")
                    .found(format_args!("the shape {:?}: {reason}", fact.shape))
                    .hint(alternatives(graph, facts)))
            }
        },
    }
}

/// The value of the scores before they become probabilities: `[1, K]`, possibly with sides of 1 behind.
pub(super) fn scores(graph: &Graph, facts: &Facts) -> Option<(Value, usize)> {
    let mut value = main_output(graph, facts);
    // A trunk without a classifier ends in a vector too, but not in scores.
    if automatic(graph, facts).is_ok_and(|cut| cut.value == value) {
        return None;
    }
    while let Some((_, node)) = graph.giver(value)
        && matches!(node.proto.op_type.as_str(), "Softmax" | "LogSoftmax" | "Identity")
        && let Some(Some(input)) = node.inputs.first()
    {
        value = *input;
    }
    let fact = facts.get(value)?;
    let classes = *fact.shape.get(1)?;
    matches!(row(fact), Some((Row::All, length)) if length == classes).then_some((value, classes))
}

/// Of several outputs the first that is a row of numbers.
fn main_output(graph: &Graph, facts: &Facts) -> Value {
    let usable = |value: &&Value| facts.get(**value).is_some_and(|fact| row(fact).is_some());
    let vector = |value: &&Value| facts.get(**value).and_then(row).is_some_and(|(row, _)| row == Row::All);
    let outputs = &graph.outputs;
    *outputs.iter().find(vector).or_else(|| outputs.iter().find(usable)).unwrap_or(&outputs[0])
}

/// Walks back from the model's output over what only reshapes, averages or shifts, to its last linear layer.
fn automatic(graph: &Graph, facts: &Facts) -> Result<Cut, Problem> {
    let output = main_output(graph, facts);
    let end = |why: &str| Ok(Cut { value: output, why: format!("it is the model's output, {why}") });
    let mut value = output;
    let mut pooled = false;
    while let Some((_, node)) = graph.giver(value) {
        let read = |index: usize| node.inputs.get(index).copied().flatten();
        let constant = |value: Value| facts.get(value).is_some_and(|fact| fact.constant);
        let Some(first) = read(0) else { break };
        let before = match node.proto.op_type.as_str() {
            "Softmax" | "LogSoftmax" | "Sigmoid" | "Identity" | "Dropout" | "Cast" | "Flatten" | "Reshape"
            | "Squeeze" | "Unsqueeze" | "Relu" => first,
            "Add" | "Sub" | "Mul" | "Div" => match (constant(first), read(1).map(constant)) {
                (true, Some(false)) => read(1).unwrap_or(first),
                (false, Some(true)) => first,
                _ => break,
            },
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "AveragePool" => {
                let map = facts.get(first).is_some_and(|fact| fact.shape.len() == 4);
                let whole =
                    facts.get(value).is_some_and(|fact| fact.shape.iter().filter(|side| **side > 1).count() <= 1);
                if !map || !whole {
                    break;
                }
                pooled = true;
                first
            }
            "Gemm" | "MatMul" => {
                let weights = read(1).is_some_and(|value| facts.get(value).is_none_or(|fact| fact.constant));
                let vector = facts.get(first).and_then(row).is_some_and(|(row, _)| row == Row::All);
                if !weights || !vector || pooled {
                    break;
                }
                return Ok(Cut {
                    value: first,
                    why: format!("it is what the last linear layer reads ({})", node.title()),
                });
            }
            "Conv" if pointwise(facts, node, value, pooled) => {
                let what =
                    if pooled { "the last 1x1 convolution before the pooling" } else { "the last 1x1 convolution" };
                return Ok(Cut { value: first, why: format!("it is what {what} reads ({})", node.title()) });
            }
            _ => break,
        };
        if facts.get(before).is_none() {
            break;
        }
        value = before;
    }
    end("which ends without a classifier that could be recognised")
}

/// Whether a convolution is a classifier: a linear layer at every place, before a global mean or on one place alone.
fn pointwise(facts: &Facts, node: &Node, value: Value, pooled: bool) -> bool {
    let weights = node.inputs.get(1).copied().flatten().and_then(|value| facts.get(value));
    let places = facts.get(value).map_or(0, |fact| fact.shape.iter().skip(2).product());
    weights.is_some_and(|fact| fact.shape.len() == 4 && fact.shape[2..] == [1, 1]) && (pooled || places == 1)
}

fn alternatives(graph: &Graph, facts: &Facts) -> String {
    let names: Vec<String> = candidates(graph, facts).into_iter().take(3).map(|candidate| candidate.name).collect();
    if names.is_empty() {
        "no value of this model could serve as features".into()
    } else {
        format!("choose another output: {}", listed(names))
    }
}

fn listed(names: Vec<String>) -> String {
    let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
    names.join(", ")
}

/// The names of candidates that are most like `name`.
fn nearest(graph: &Graph, facts: &Facts, name: &str) -> Vec<String> {
    let mut names: Vec<(usize, String)> = Vec::new();
    for candidate in candidates(graph, facts) {
        for known in [candidate.name, candidate.node].into_iter().filter(|known| !known.is_empty()) {
            let inside = known.contains(name) && !name.is_empty();
            names.push((if inside { 1 } else { 2 * distance(name, &known) }, known));
        }
    }
    // Stable, so that among equals the one nearest to the end comes first.
    names.sort_by_key(|(distance, _)| *distance);
    let mut unique: Vec<String> = Vec::new();
    for (_, name) in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
        if unique.len() == 5 {
            break;
        }
    }
    unique
}

/// How many letters must change (Levenshtein), looking at the first 64.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
