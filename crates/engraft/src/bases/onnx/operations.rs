//! What each operation does to kinds, shapes and small constants. An operation that is not here is not supported; a shape
//! that depends on an image is not either.

use super::fact::{Fact, Given, KNOWN, stored};
use super::graph::{Node, elements};
use super::kind::Kind;
use super::shown;

/// Strides, dilations, pads and kernels.
const REACH: i64 = 4096;

/// The attributes of an operation that are understood, which are also the only ones that are handed on; `None` for an
/// operation that is not supported.
pub(super) fn attributes(op: &str) -> Option<&'static [&'static str]> {
    Some(match op {
        "Abs" | "Neg" | "Sqrt" | "Exp" | "Log" | "Reciprocal" | "Floor" | "Ceil" | "Round" | "Sign" | "Sin" | "Cos"
        | "Tanh" | "Erf" | "Sigmoid" | "Relu" | "Softplus" | "Softsign" | "HardSwish" | "Mish" | "Not" | "Identity"
        | "Dropout" | "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "Mod" | "PRelu"
        | "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "And" | "Or" | "Where" | "MatMul"
        | "Reshape" | "Expand" | "Tile" | "Range" | "Size" | "GlobalAveragePool" | "GlobalMaxPool" => &[],
        "LeakyRelu" | "Elu" | "ThresholdedRelu" => &["alpha"],
        "Selu" => &["alpha", "gamma"],
        "HardSigmoid" => &["alpha", "beta"],
        "Gelu" => &["approximate"],
        "Clip" => &["min", "max"],
        "Cast" => &["to"],
        "Softmax" | "LogSoftmax" | "Flatten" | "Concat" | "Gather" => &["axis"],
        "LpNormalization" => &["axis", "p"],
        "LayerNormalization" => &["axis", "epsilon"],
        "InstanceNormalization" => &["epsilon"],
        "BatchNormalization" => &["epsilon"],
        "LRN" => &["alpha", "beta", "bias", "size"],
        "Gemm" => &["alpha", "beta", "transA", "transB"],
        "Conv" => &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
        "MaxPool" => &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides"],
        "AveragePool" => &["auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"],
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare"
        | "ReduceProd" => &["axes", "keepdims", "noop_with_empty_axes"],
        "Squeeze" | "Unsqueeze" => &["axes"],
        "Einsum" => &["equation"],
        "ScatterND" => &[],
        "Transpose" => &["perm"],
        "Slice" => &["axes", "ends", "starts"],
        "Split" => &["axis", "num_outputs", "split"],
        "Shape" => &["start", "end"],
        "ConstantOfShape" => &["value"],
        "Pad" => &["mode", "pads", "value"],
        "DepthToSpace" => &["blocksize", "mode"],
        "SpaceToDepth" => &["blocksize"],
        "Resize" => &["coordinate_transformation_mode", "mode", "nearest_mode", "cubic_coeff_a", "exclude_outside"],
        _ => return None,
    })
}

/// One node with the facts of its inputs.
struct Call<'a> {
    node: &'a Node,
    inputs: &'a [Option<&'a Fact>],
    opset: i64,
}

/// The error is told behind the node's name.
type Inferred = Result<Given, String>;

/// What a node gives. The error is what it would need.
pub(super) fn infer(node: &Node, inputs: &[Option<&Fact>], opset: i64) -> Inferred {
    let op = node.proto.op_type.as_str();
    if !matches!(node.proto.domain.as_str(), "" | "ai.onnx") {
        return Err(format!("an operation of the domain {}, which only its maker knows", shown(&node.proto.domain)));
    }
    if attributes(op).is_none() {
        return Err(match op {
            "If" | "Loop" | "Scan" => "a graph inside the graph, which a frozen network has no need of".into(),
            "QuantizeLinear"
            | "DequantizeLinear"
            | "QLinearConv"
            | "QLinearMatMul"
            | "ConvInteger"
            | "MatMulInteger"
            | "DynamicQuantizeLinear" => "a quantised operation; take the model as it was before quantising".into(),
            "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Multinomial"
            | "Bernoulli" => "a random operation, so that no image would have one row".into(),
            _ => "an operation that is not supported".into(),
        });
    }
    let call = Call { node, inputs, opset };
    let mut given = call.infer(op)?;
    for fact in &mut given.facts {
        if fact.shape.len() > 8 || elements(&fact.shape).is_none() {
            return Err(format!("an output of the shape {:?}, which is too large", fact.shape));
        }
        if fact.shape.contains(&0) && !fact.constant {
            return Err(format!("an output without elements, {:?}", fact.shape));
        }
        if fact.kind == Kind::F32
            && let Some(known) = &mut fact.known
        {
            known.iter_mut().for_each(|value| *value = f64::from(*value as f32));
        }
        let whole = fact.kind.whole();
        let odd = |value: &f64| whole && (value.fract() != 0.0 || !value.is_finite());
        if fact.len() > KNOWN
            || fact.known.as_ref().is_some_and(|known| known.len() != fact.len() || known.iter().any(odd))
        {
            fact.known = None;
        }
    }
    Ok(given)
}

impl Call<'_> {
    fn infer(&self, op: &str) -> Inferred {
        match op {
            "Abs" | "Neg" | "Sqrt" | "Exp" | "Log" | "Reciprocal" | "Floor" | "Ceil" | "Round" | "Sign" | "Sin"
            | "Cos" | "Tanh" | "Erf" | "Sigmoid" | "Relu" | "Softplus" | "Softsign" | "HardSwish" | "Mish" | "Not"
            | "Identity" | "Dropout" | "LeakyRelu" | "Elu" | "ThresholdedRelu" | "Selu" | "HardSigmoid" | "Gelu"
            | "Clip" | "Cast" => self.one_by_one(op),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" | "Sum" | "Mean" | "Mod" | "PRelu" | "Equal"
            | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "And" | "Or" | "Where" => self.broadcast(op),
            "Softmax"
            | "LogSoftmax"
            | "LpNormalization"
            | "LayerNormalization"
            | "InstanceNormalization"
            | "BatchNormalization"
            | "LRN" => self.normalisation(op),
            "MatMul" => self.mat_mul(),
            "Gemm" => self.gemm(),
            "Conv" => self.conv(),
            "MaxPool" | "AveragePool" => self.pool(op),
            "GlobalAveragePool" | "GlobalMaxPool" => {
                let x = self.floats(0)?;
                let [n, c, _, ..] = x.shape[..] else { return Err(format!("the shape {:?}", x.shape)) };
                let shape = [n, c].into_iter().chain(vec![1; x.shape.len() - 2]).collect();
                one(Fact { shape, known: None, channels: Some(1), ..x.clone() })
            }
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare"
            | "ReduceProd" => self.reduce(op),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshaped(op),
            "Transpose" => self.transpose(),
            "Concat" => self.concat(),
            "Slice" => self.slice(),
            "Split" => self.split(),
            "Gather" => self.gather(),
            "Expand" => self.expand(),
            "Tile" => self.tile(),
            "Shape" | "Size" | "ConstantOfShape" | "Range" => self.made(op),
            "Pad" => self.pad(),
            "DepthToSpace" | "SpaceToDepth" => self.blocks(op),
            "Resize" => self.resize(),
            "Einsum" => self.einsum(),
            "ScatterND" => self.scatter(),
            _ => Err("an operation that is not supported".into()),
        }
    }

    fn optional(&self, index: usize) -> Option<&Fact> {
        self.inputs.get(index).copied().flatten()
    }

    fn input(&self, index: usize) -> Result<&Fact, String> {
        self.optional(index).ok_or_else(|| format!("its input number {} is missing", index + 1))
    }

    fn floats(&self, index: usize) -> Result<&Fact, String> {
        let fact = self.input(index)?;
        if fact.kind == Kind::F32 { Ok(fact) } else { Err(format!("numbers of the type {}", fact.kind.name())) }
    }

    /// A constant of 32-bit floats of this shape.
    fn weights(&self, index: usize, shape: &[usize]) -> Result<(), String> {
        let fact = self.floats(index)?;
        if fact.shape != shape {
            return Err(format!("its input number {} of the shape {:?} instead of {shape:?}", index + 1, fact.shape));
        }
        if fact.constant { Ok(()) } else { Err("weights that depend on the image".into()) }
    }

    fn arity(&self, counts: std::ops::RangeInclusive<usize>) -> Result<(), String> {
        let count = self.inputs.len();
        if counts.contains(&count) { Ok(()) } else { Err(format!("{count} inputs")) }
    }

    /// Integers that must be known before an image is seen: an input, as a list.
    fn fixed(&self, index: usize, what: &str) -> Result<Option<Vec<i64>>, String> {
        match self.optional(index) {
            None => Ok(None),
            Some(fact) if fact.shape.len() > 1 => Err(format!("{what} of the shape {:?}", fact.shape)),
            Some(fact) => match fact.ints() {
                Some(ints) => Ok(Some(ints)),
                None => Err(format!("{what} that depend on the image, or are too many to follow")),
            },
        }
    }

    /// A list that older operator sets have as an attribute and newer ones as an input.
    fn list(&self, name: &str, input: usize, since: i64) -> Result<Option<Vec<i64>>, String> {
        if self.opset >= since { self.fixed(input, name) } else { Ok(self.node.ints(name)?.map(<[i64]>::to_vec)) }
    }

    fn one_by_one(&self, op: &str) -> Inferred {
        self.arity(1..=if matches!(op, "Clip" | "Dropout") { 3 } else { 1 })?;
        let x = self.input(0)?;
        let mut out = Fact { known: None, ..x.clone() };
        let fits = match op {
            "Identity" => {
                out.known = x.known.clone();
                true
            }
            "Dropout" => {
                if self.opset >= 12
                    && self.optional(2).is_some_and(|training| training.known.as_deref() != Some(&[0.0]))
                {
                    return Err("dropout that is left on".into());
                }
                x.kind.float()
            }
            "Not" => {
                out.known =
                    x.known.as_ref().map(|known| known.iter().map(|v| f64::from(u8::from(*v == 0.0))).collect());
                x.kind == Kind::Bool
            }
            "Cast" => {
                let to = Kind::of(i32::try_from(self.node.int("to")?.ok_or("no type to cast to")?).unwrap_or(0));
                if !matches!(to, Kind::F32 | Kind::F64 | Kind::I64 | Kind::I32 | Kind::Bool) {
                    return Err(format!("a cast to {}", to.name()));
                }
                out.kind = to;
                out.known = x.known.as_ref().map(|known| {
                    let cast = |value: &f64| match to {
                        Kind::Bool => f64::from(u8::from(*value != 0.0)),
                        Kind::I32 => f64::from(*value as i32),
                        Kind::I64 => (*value as i64) as f64,
                        _ => *value,
                    };
                    known.iter().map(cast).collect()
                });
                true
            }
            "Clip" => {
                if self.opset >= 11 {
                    for bound in [1, 2] {
                        if let Some(fact) = self.optional(bound)
                            && (!fact.shape.is_empty() && fact.shape != [1] || fact.kind != x.kind || !fact.constant)
                        {
                            return Err("a bound that is not a fixed number".into());
                        }
                    }
                } else {
                    self.node.float("min")?;
                    self.node.float("max")?;
                }
                x.kind == Kind::F32
            }
            "Abs" | "Neg" | "Sign" | "Floor" | "Ceil" | "Sqrt" => {
                let value = |value: &f64| match op {
                    "Abs" => value.abs(),
                    "Neg" => -value,
                    "Sign" if *value == 0.0 => 0.0,
                    "Sign" => value.signum(),
                    "Floor" => value.floor(),
                    "Ceil" => value.ceil(),
                    _ => value.sqrt(),
                };
                out.known = x.known.as_ref().map(|known| known.iter().map(value).collect());
                x.kind.float() || x.kind.whole() && matches!(op, "Abs" | "Neg" | "Sign")
            }
            "Gelu" => match self.node.text("approximate")? {
                None | Some("none" | "tanh") => x.kind == Kind::F32,
                Some(other) => return Err(format!("approximate is {}", shown(other))),
            },
            "Relu" => x.kind == Kind::F32,
            _ => {
                for name in ["alpha", "beta", "gamma"] {
                    self.node.float(name)?;
                }
                x.kind.float()
            }
        };
        if fits { one(out) } else { Err(format!("numbers of the type {}", x.kind.name())) }
    }

    fn broadcast(&self, op: &str) -> Inferred {
        self.arity(match op {
            "Where" => 3..=3,
            "Min" | "Max" | "Sum" | "Mean" => 1..=64,
            _ => 2..=2,
        })?;
        let facts: Vec<&Fact> = (0..self.inputs.len()).map(|index| self.input(index)).collect::<Result<_, _>>()?;
        let mut numbers = facts.as_slice();
        if op == "Where" {
            if facts[0].kind != Kind::Bool {
                return Err(format!("a condition of the type {}", facts[0].kind.name()));
            }
            numbers = &facts[1..];
        }
        let kind = numbers[0].kind;
        let logic = matches!(op, "And" | "Or");
        let compares = matches!(op, "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual");
        let fits = |kind: Kind| match op {
            "And" | "Or" => kind == Kind::Bool,
            "Where" | "Equal" => kind.float() || kind.whole() || kind == Kind::Bool,
            "Sum" | "Mean" | "PRelu" | "Pow" => kind.float(),
            "Mod" => kind.whole(),
            _ => kind.float() || kind.whole(),
        };
        if let Some(odd) = numbers.iter().find(|fact| !fits(fact.kind) || fact.kind != kind) {
            return Err(format!("numbers of the types {} and {}", kind.name(), odd.kind.name()));
        }
        let mut shape = facts[0].shape.clone();
        for fact in &facts[1..] {
            shape = broadcast(&shape, &fact.shape)?;
        }
        if op == "PRelu" && shape != facts[0].shape {
            return Err(format!("slopes of the shape {:?}", facts[1].shape));
        }
        let calculate = |v: &[f64]| {
            let truth = |yes: bool| Some(f64::from(u8::from(yes)));
            match op {
                "Add" | "Sum" => Some(v.iter().sum()),
                "Sub" => Some(v[0] - v[1]),
                "Mul" => Some(v[0] * v[1]),
                "Div" if kind.whole() && v[1] == 0.0 => None,
                "Div" if kind.whole() => Some((v[0] / v[1]).trunc()),
                "Div" => Some(v[0] / v[1]),
                "Min" => v.iter().copied().reduce(f64::min),
                "Max" => v.iter().copied().reduce(f64::max),
                "Mod" if v[1] == 0.0 => None,
                "Mod" => Some(v[0] - v[1] * (v[0] / v[1]).floor()),
                "Equal" => truth(v[0] == v[1]),
                "Greater" => truth(v[0] > v[1]),
                "Less" => truth(v[0] < v[1]),
                "GreaterOrEqual" => truth(v[0] >= v[1]),
                "LessOrEqual" => truth(v[0] <= v[1]),
                "And" => truth(v[0] != 0.0 && v[1] != 0.0),
                "Or" => truth(v[0] != 0.0 || v[1] != 0.0),
                "Where" => Some(if v[0] != 0.0 { v[1] } else { v[2] }),
                _ => None,
            }
        };
        let count = elements(&shape).unwrap_or(usize::MAX);
        let inside = |value: &f64| !kind.whole() || value.abs() <= 2f64.powi(53) || *value == i64::MAX as f64;
        let known = if count <= KNOWN && facts.iter().all(|fact| fact.known.is_some()) {
            let spread: Vec<Vec<f64>> = facts.iter().filter_map(|fact| spread(fact, &shape)).collect();
            (0..count)
                .map(|index| calculate(&spread.iter().map(|values| values[index]).collect::<Vec<_>>()).filter(inside))
                .collect()
        } else {
            None
        };
        // A division of integers by nothing must never run.
        if matches!(op, "Div" | "Mod") && kind.whole() && known.is_none() {
            return Err("a division of integers that depends on the image".into());
        }
        let channels = facts.iter().find(|fact| fact.shape == shape).and_then(|fact| fact.channels);
        one(Fact {
            kind: if logic || compares { Kind::Bool } else { kind },
            shape,
            constant: facts.iter().all(|fact| fact.constant),
            known,
            channels,
        })
    }

    fn normalisation(&self, op: &str) -> Inferred {
        let x = self.floats(0)?;
        let rank = x.shape.len();
        let channels = x.shape.get(1).copied().ok_or("no channels");
        self.node.float("epsilon")?;
        let mut work = x.len() as u64;
        match op {
            "Softmax" | "LogSoftmax" => {
                self.arity(1..=1)?;
                axis(self.node.int_or("axis", if self.opset >= 13 { -1 } else { 1 })?, rank)?;
            }
            "LpNormalization" => {
                self.arity(1..=1)?;
                axis(self.node.int_or("axis", -1)?, rank)?;
                if !matches!(self.node.int_or("p", 2)?, 1 | 2) {
                    return Err("a norm that is neither 1 nor 2".into());
                }
            }
            "LayerNormalization" => {
                self.arity(2..=3)?;
                let axis = axis(self.node.int_or("axis", -1)?, rank)?;
                for index in 1..self.inputs.len() {
                    if self.optional(index).is_some() || index == 1 {
                        self.weights(index, &x.shape[axis..])?;
                    }
                }
            }
            "InstanceNormalization" | "BatchNormalization" => {
                let count = if op == "BatchNormalization" { 5 } else { 3 };
                self.arity(count..=count)?;
                let channels = channels?;
                (1..count).try_for_each(|index| self.weights(index, &[channels]))?;
                if self.node.int_or("training_mode", 0)? != 0 || self.node.int_or("spatial", 1)? != 1 {
                    return Err("a batch norm that is not frozen".into());
                }
            }
            _ => {
                self.arity(1..=1)?;
                for name in ["alpha", "beta", "bias"] {
                    self.node.float(name)?;
                }
                let size = self.node.int("size")?.unwrap_or(0);
                if rank != 4 || !(1..=REACH).contains(&size) {
                    return Err(format!("a size of {size} for the shape {:?}", x.shape));
                }
                work *= size as u64;
            }
        }
        Ok(Given { facts: vec![Fact { known: None, ..x.clone() }], multiply_adds: 0, work })
    }

    fn mat_mul(&self) -> Inferred {
        self.arity(2..=2)?;
        let (a, b) = (self.floats(0)?, self.floats(1)?);
        let ([.., m, k], [.., k2, n]) = (&a.shape[..], &b.shape[..]) else {
            return Err(format!("the shapes {:?} and {:?}", a.shape, b.shape));
        };
        if k != k2 {
            return Err(format!("the shapes {:?} and {:?}", a.shape, b.shape));
        }
        let mut shape = broadcast(&a.shape[..a.shape.len() - 2], &b.shape[..b.shape.len() - 2])?;
        shape.extend([*m, *n]);
        let multiply_adds = elements(&shape).ok_or("an output that is too large")? as u64 * *k as u64;
        let fact = Fact { kind: Kind::F32, shape, constant: a.constant && b.constant, known: None, channels: None };
        Ok(Given { facts: vec![fact], multiply_adds, work: 0 })
    }

    fn gemm(&self) -> Inferred {
        self.arity(2..=3)?;
        let (a, b) = (self.floats(0)?, self.floats(1)?);
        let turned = |name: &str, shape: &[usize]| match (self.node.int_or(name, 0)?, shape) {
            (0, [rows, columns]) | (1, [columns, rows]) => Ok((*rows, *columns)),
            (turned, shape) => Err(format!("{name} of {turned} and the shape {shape:?}")),
        };
        let ((m, k), (k2, n)) = (turned("transA", &a.shape)?, turned("transB", &b.shape)?);
        self.node.float("alpha")?;
        self.node.float("beta")?;
        if k != k2 {
            return Err(format!("the shapes {:?} and {:?}", a.shape, b.shape));
        }
        let mut constant = a.constant && b.constant;
        if self.optional(2).is_some() {
            let c = self.floats(2)?;
            constant &= c.constant;
            if broadcast(&[m, n], &c.shape)? != [m, n] {
                return Err(format!("a bias of the shape {:?}", c.shape));
            }
        }
        let shape = vec![m, n];
        let multiply_adds = elements(&shape).ok_or("an output that is too large")? as u64 * k as u64;
        let fact = Fact { kind: Kind::F32, shape, constant, known: None, channels: None };
        Ok(Given { facts: vec![fact], multiply_adds, work: 0 })
    }

    fn conv(&self) -> Inferred {
        self.arity(2..=3)?;
        let (x, w) = (self.floats(0)?, self.floats(1)?);
        let rank = x.shape.len();
        if !(3..=4).contains(&rank) || w.shape.len() != rank {
            return Err(format!("weights of the shape {:?} for the shape {:?}", w.shape, x.shape));
        }
        let group = self.node.int_or("group", 1)?;
        let (channels, maps) = (x.shape[1], w.shape[0]);
        let fits = usize::try_from(group).is_ok_and(|group| {
            group > 0 && channels % group == 0 && maps % group == 0 && w.shape[1] == channels / group
        });
        if !fits || w.len() == 0 {
            return Err(format!("weights {:?} and {group} groups for the shape {:?}", w.shape, x.shape));
        }
        self.weights(1, &w.shape)?;
        if self.optional(2).is_some() {
            self.weights(2, &[maps])?;
        }
        if let Some(kernel) = self.node.ints("kernel_shape")?
            && !kernel.iter().map(|side| *side as usize).eq(w.shape[2..].iter().copied())
        {
            return Err(format!("a kernel of {kernel:?} with weights of the shape {:?}", w.shape));
        }
        let window = self.window(&x.shape[2..], &w.shape[2..], false)?;
        let shape: Vec<usize> = [x.shape[0], maps].into_iter().chain(window).collect();
        let products = elements(&shape).ok_or("an output that is too large")? as u64;
        let multiply_adds = products.saturating_mul(w.shape[1..].iter().product::<usize>() as u64);
        let fact = Fact { kind: Kind::F32, shape, constant: x.constant, known: None, channels: Some(1) };
        Ok(Given { facts: vec![fact], multiply_adds, work: 0 })
    }

    fn pool(&self, op: &str) -> Inferred {
        self.arity(1..=1)?;
        let x = self.floats(0)?;
        let kernel = self.node.ints("kernel_shape")?.ok_or("no kernel")?;
        if !(3..=4).contains(&x.shape.len()) || kernel.len() != x.shape.len() - 2 {
            return Err(format!("a kernel of {kernel:?} for the shape {:?}", x.shape));
        }
        if kernel.iter().any(|side| !(1..=REACH).contains(side)) {
            return Err(format!("a kernel of {kernel:?}"));
        }
        let kernel: Vec<usize> = kernel.iter().map(|side| *side as usize).collect();
        if op == "AveragePool" && self.node.ints("dilations")?.is_some_and(|all| all.iter().any(|side| *side != 1)) {
            return Err("an average with gaps".into());
        }
        if !matches!(self.node.int_or("count_include_pad", 0)?, 0 | 1) || self.node.int_or("storage_order", 0)? != 0 {
            return Err("an unusual pooling".into());
        }
        let window = self.window(&x.shape[2..], &kernel, true)?;
        let shape: Vec<usize> = x.shape[..2].iter().copied().chain(window).collect();
        let work = elements(&shape).ok_or("an output that is too large")? as u64;
        let work = work.saturating_mul(kernel.iter().product::<usize>() as u64);
        let fact = Fact { kind: Kind::F32, shape, constant: x.constant, known: None, channels: Some(1) };
        Ok(Given { facts: vec![fact], multiply_adds: 0, work })
    }

    /// Sides of the output of a window that moves over `sides`.
    fn window(&self, sides: &[usize], kernel: &[usize], pooling: bool) -> Result<Vec<usize>, String> {
        let list = |name: &str, count: usize, usual: i64, least: i64| match self.node.ints(name)? {
            None => Ok(vec![usual; count]),
            Some(list) if list.len() == count && list.iter().all(|v| (least..=REACH).contains(v)) => Ok(list.to_vec()),
            Some(list) => Err(format!("{name} of {}", shown(&format!("{list:?}")))),
        };
        let axes = sides.len();
        let strides = list("strides", axes, 1, 1)?;
        let dilations = list("dilations", axes, 1, 1)?;
        let pads = list("pads", 2 * axes, 0, 0)?;
        let mode = self.node.text("auto_pad")?.unwrap_or("NOTSET");
        let ceil = match (pooling, self.node.int_or("ceil_mode", 0)?) {
            (true, ceil @ (0 | 1)) => ceil,
            (false, 0) => 0,
            (_, other) => return Err(format!("ceil_mode of {other}")),
        };
        if mode != "NOTSET" && (pads.iter().any(|pad| *pad != 0) || ceil != 0) {
            return Err("both auto_pad and pads".into());
        }
        if mode.starts_with("SAME") && dilations.iter().any(|gap| *gap != 1) {
            return Err(format!("auto_pad of {mode} with gaps, which readers of ONNX disagree about"));
        }
        (0..axes)
            .map(|axis| {
                let (side, stride) = (sides[axis] as i64, strides[axis]);
                let reach = dilations[axis] * (kernel[axis] as i64 - 1) + 1;
                let (before, after) = (pads[axis], pads[axis + axes]);
                if pooling && before.max(after) >= kernel[axis] as i64 {
                    return Err(format!("pads of {pads:?} for a kernel of {kernel:?}"));
                }
                let out = match mode {
                    "SAME_UPPER" | "SAME_LOWER" => (side + stride - 1) / stride,
                    "NOTSET" | "VALID" => {
                        let room = side + before + after - reach;
                        if room < 0 {
                            return Err(format!("a kernel that reaches over {reach} for a side of {side}"));
                        }
                        let out = (room + ceil * (stride - 1)) / stride + 1;
                        // No window starts in the padding behind.
                        if ceil == 1 && (out - 1) * stride >= side + before { out - 1 } else { out }
                    }
                    other => return Err(format!("auto_pad of {}", shown(other))),
                };
                usize::try_from(out).map_err(|_| "a side that is negative".to_owned())
            })
            .collect()
    }

    fn reduce(&self, op: &str) -> Inferred {
        self.arity(1..=2)?;
        let x = self.input(0)?;
        if !(x.kind.float() || x.kind.whole()) {
            return Err(format!("numbers of the type {}", x.kind.name()));
        }
        let rank = x.shape.len();
        let asked = self.list("axes", 1, if op == "ReduceSum" { 13 } else { 18 })?;
        let axes = match asked {
            Some(axes) if !axes.is_empty() => self::axes(&axes, rank)?,
            _ if self.node.int_or("noop_with_empty_axes", 0)? != 0 => Vec::new(),
            _ => (0..rank).collect(),
        };
        let keep = match self.node.int_or("keepdims", 1)? {
            keep @ (0 | 1) => keep == 1,
            other => return Err(format!("keepdims of {other}")),
        };
        let mut shape = Vec::new();
        for (index, side) in x.shape.iter().enumerate() {
            match axes.contains(&index) {
                true if keep => shape.push(1),
                true => {}
                false => shape.push(*side),
            }
        }
        let known = x.known.as_ref().filter(|_| axes.len() == rank).and_then(|known| match op {
            "ReduceProd" => Some(vec![known.iter().product()]),
            "ReduceSum" if x.kind.whole() => Some(vec![known.iter().sum()]),
            "ReduceMax" => Some(vec![known.iter().copied().reduce(f64::max)?]),
            "ReduceMin" => Some(vec![known.iter().copied().reduce(f64::min)?]),
            _ => None,
        });
        if x.kind.whole() && known.is_none() {
            return Err("sums of integers that depend on the image".into());
        }
        let channels = x.channels.filter(|_| keep);
        let fact = Fact { kind: x.kind, shape, constant: x.constant, known, channels };
        Ok(Given { facts: vec![fact], multiply_adds: 0, work: x.len() as u64 })
    }

    fn reshaped(&self, op: &str) -> Inferred {
        let x = self.input(0)?;
        let rank = x.shape.len();
        let shape: Vec<usize> = match op {
            "Flatten" => {
                self.arity(1..=1)?;
                let at = self.node.int_or("axis", 1)?;
                let at = if at == rank as i64 { rank } else { axis(at, rank)? };
                vec![x.shape[..at].iter().product(), x.shape[at..].iter().product()]
            }
            "Reshape" => {
                self.arity(2..=2)?;
                let asked = self.fixed(1, "a shape")?.ok_or("no shape")?;
                if self.node.int_or("allowzero", 0)? != 0 && asked.contains(&0) {
                    return Err("a shape without elements".into());
                }
                let mut open = None;
                let mut shape = Vec::new();
                for (index, side) in asked.iter().enumerate() {
                    shape.push(match side {
                        -1 if open.is_none() => {
                            open = Some(index);
                            1
                        }
                        0 => *x.shape.get(index).ok_or_else(|| format!("the shape {asked:?}"))?,
                        side => usize::try_from(*side).map_err(|_| format!("the shape {asked:?}"))?,
                    });
                }
                let fixed =
                    elements(&shape).filter(|count| *count > 0).ok_or_else(|| format!("the shape {asked:?}"))?;
                if let Some(open) = open {
                    shape[open] = x.len() / fixed;
                }
                shape
            }
            "Squeeze" => {
                self.arity(1..=2)?;
                let axes = match self.list("axes", 1, 13)? {
                    Some(axes) => self::axes(&axes, rank)?,
                    None => (0..rank).filter(|axis| x.shape[*axis] == 1).collect(),
                };
                if axes.iter().any(|axis| x.shape[*axis] != 1) {
                    return Err(format!("axes {axes:?} of the shape {:?}", x.shape));
                }
                (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| x.shape[axis]).collect()
            }
            _ => {
                self.arity(1..=2)?;
                let asked = self.list("axes", 1, 13)?.ok_or("no axes")?;
                let rank = rank + asked.len();
                let axes = axes(&asked, rank)?;
                let mut sides = x.shape.iter().copied();
                (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { sides.next().unwrap_or(1) }).collect()
            }
        };
        if shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side)) != Some(x.len()) {
            return Err(format!("the shape {shape:?} for the {} numbers of {:?}", x.len(), x.shape));
        }
        let channels = x.channels.filter(|_| shape == x.shape);
        one(Fact { shape, channels, ..x.clone() })
    }

    fn transpose(&self) -> Inferred {
        self.arity(1..=1)?;
        let x = self.input(0)?;
        let rank = x.shape.len();
        let order: Vec<usize> = match self.node.ints("perm")? {
            None => (0..rank).rev().collect(),
            Some(order) => order.iter().map(|axis| *axis as usize).collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(format!("the order {} of {rank} axes", shown(&format!("{order:?}"))));
        }
        let shape: Vec<usize> = order.iter().map(|axis| x.shape[*axis]).collect();
        let strides = strides(&x.shape);
        let turned: Vec<isize> = order.iter().map(|axis| strides[*axis]).collect();
        let known = strided(x, &shape, 0, &turned);
        let channels = x.channels.and_then(|channels| order.iter().position(|axis| *axis == channels));
        one(Fact { shape, known, channels, ..x.clone() })
    }

    fn concat(&self) -> Inferred {
        self.arity(1..=4096)?;
        let first = self.input(0)?;
        let axis = axis(self.node.int("axis")?.ok_or("no axis")?, first.shape.len())?;
        let mut out = Fact { known: None, ..first.clone() };
        out.shape[axis] = 0;
        let mut known = Some(Vec::new());
        for index in 0..self.inputs.len() {
            let fact = self.input(index)?;
            let same = fact.kind == first.kind
                && fact.shape.len() == first.shape.len()
                && (0..fact.shape.len()).all(|other| other == axis || fact.shape[other] == first.shape[other]);
            if !same {
                return Err(format!("the shapes {:?} and {:?}", first.shape, fact.shape));
            }
            out.shape[axis] = out.shape[axis].saturating_add(fact.shape[axis]);
            out.constant &= fact.constant;
            out.channels = out.channels.filter(|_| fact.channels == first.channels);
            match (&mut known, &fact.known) {
                (Some(all), Some(more)) if all.len() <= KNOWN => all.extend(more),
                _ => known = None,
            }
        }
        // Only lists: that is what shapes are put together from.
        out.known = known.filter(|_| first.shape.len() == 1);
        one(out)
    }

    fn slice(&self) -> Inferred {
        self.arity(1..=5)?;
        let x = self.input(0)?;
        let rank = x.shape.len();
        let (starts, ends, asked, steps) = if self.opset >= 10 {
            let need = |list: Option<Vec<i64>>| list.ok_or("no start or end");
            (
                need(self.fixed(1, "starts")?)?,
                need(self.fixed(2, "ends")?)?,
                self.fixed(3, "axes")?,
                self.fixed(4, "steps")?,
            )
        } else {
            let need = |name| Ok::<_, String>(self.node.ints(name)?.ok_or("no start or end")?.to_vec());
            (need("starts")?, need("ends")?, self.node.ints("axes")?.map(<[i64]>::to_vec), None)
        };
        let axes = axes(&asked.unwrap_or_else(|| (0..starts.len() as i64).collect()), rank)?;
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        if [starts.len(), ends.len(), steps.len()] != [axes.len(); 3] {
            return Err("starts, ends, axes and steps of different lengths".into());
        }
        let mut shape = x.shape.clone();
        let mut along = strides(&x.shape);
        let mut begin = 0isize;
        for (index, axis) in axes.into_iter().enumerate() {
            let (side, step) = (x.shape[axis] as i64, steps[index]);
            if step == 0 || step.unsigned_abs() > 1 << 32 {
                return Err(format!("a step of {step}"));
            }
            let place = |at: i64| if at < 0 { at.saturating_add(side) } else { at };
            let (low, high) = if step > 0 { (0, side) } else { (-1, side - 1) };
            let start = place(starts[index]).clamp(low.max(0), high.max(0));
            let end = place(ends[index]).clamp(low, high);
            let count = if step > 0 { end - start + step - 1 } else { start - end - step - 1 } / step.abs();
            shape[axis] = usize::try_from(count).unwrap_or(0);
            begin += start as isize * along[axis];
            along[axis] = along[axis].saturating_mul(step as isize);
        }
        let known = strided(x, &shape, begin, &along);
        one(Fact { shape, known, ..x.clone() })
    }

    fn split(&self) -> Inferred {
        self.arity(1..=2)?;
        let x = self.input(0)?;
        let axis = axis(self.node.int_or("axis", 0)?, x.shape.len())?;
        let side = x.shape[axis];
        let count = self.node.outputs.len();
        let parts: Vec<usize> = match self.list("split", 1, 13)? {
            Some(parts) => parts.iter().map(|part| usize::try_from(*part).unwrap_or(0)).collect(),
            None => {
                if self.opset >= 18 && self.node.int("num_outputs")?.is_some_and(|asked| asked != count as i64) {
                    return Err("another number of outputs than it says".into());
                }
                let part = side.div_ceil(count.max(1));
                (0..count).map(|index| part.min(side.saturating_sub(part * index))).collect()
            }
        };
        let total = parts.iter().try_fold(0usize, |total, part| total.checked_add(*part));
        if parts.len() != count || parts.contains(&0) || total != Some(side) {
            return Err(format!("parts {parts:?} of a side of {side}"));
        }
        let mut begin = 0;
        let along = strides(&x.shape);
        let facts = parts.into_iter().map(|part| {
            let mut shape = x.shape.clone();
            shape[axis] = part;
            let known = strided(x, &shape, begin * along[axis], &along);
            begin += part as isize;
            Fact { shape, known, ..x.clone() }
        });
        Ok(Given { facts: facts.collect(), ..Given::default() })
    }

    fn gather(&self) -> Inferred {
        self.arity(2..=2)?;
        let (x, places) = (self.input(0)?, self.input(1)?);
        let axis = axis(self.node.int_or("axis", 0)?, x.shape.len())?;
        if !places.constant || !places.kind.whole() {
            return Err("places that depend on the image".into());
        }
        let side = x.shape[axis] as i64;
        if let Some(odd) = places.ints().unwrap_or_default().iter().find(|at| !(-side..side).contains(*at)) {
            return Err(format!("the place {odd} along a side of {side}"));
        }
        let mut shape = x.shape[..axis].to_vec();
        shape.extend(&places.shape);
        shape.extend(&x.shape[axis + 1..]);
        let known = match (&x.known, places.ints()) {
            (Some(known), Some(places)) if x.shape.len() == 1 => {
                Some(places.iter().map(|at| known[at.rem_euclid(side) as usize]).collect())
            }
            _ => None,
        };
        one(Fact { kind: x.kind, shape, constant: x.constant, known, channels: None })
    }

    fn expand(&self) -> Inferred {
        self.arity(2..=2)?;
        let x = self.input(0)?;
        let asked = self.fixed(1, "a shape")?.ok_or("no shape")?;
        let asked: Vec<usize> = asked
            .iter()
            .map(|side| {
                usize::try_from(*side).ok().filter(|side| *side > 0).ok_or_else(|| format!("the shape {asked:?}"))
            })
            .collect::<Result<_, _>>()?;
        let shape = broadcast(&x.shape, &asked)?;
        let known = spread(x, &shape);
        one(Fact { shape, known, channels: None, ..x.clone() })
    }

    fn tile(&self) -> Inferred {
        self.arity(2..=2)?;
        let x = self.input(0)?;
        let repeats = self.fixed(1, "repeats")?.ok_or("no repeats")?;
        if repeats.len() != x.shape.len() || repeats.iter().any(|count| *count < 1) {
            return Err(format!("repeats of {repeats:?} for the shape {:?}", x.shape));
        }
        let shape = x.shape.iter().zip(&repeats).map(|(side, count)| side.saturating_mul(*count as usize)).collect();
        one(Fact { shape, known: None, channels: None, ..x.clone() })
    }

    /// Values made from shapes and numbers.
    fn made(&self, op: &str) -> Inferred {
        let known = match op {
            "Shape" => {
                self.arity(1..=1)?;
                let shape = &self.input(0)?.shape;
                let rank = shape.len() as i64;
                let place = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
                let (start, end) = (self.node.int_or("start", 0)?, self.node.int_or("end", rank)?);
                let sides = shape.get(place(start)..place(end)).unwrap_or_default();
                sides.iter().map(|side| *side as f64).collect::<Vec<_>>()
            }
            "Size" => {
                self.arity(1..=1)?;
                let size = self.input(0)?.len() as f64;
                return one(Fact {
                    kind: Kind::I64,
                    shape: vec![],
                    constant: true,
                    known: Some(vec![size]),
                    channels: None,
                });
            }
            "Range" => {
                self.arity(3..=3)?;
                let part = |index| {
                    let fact = self.input(index)?;
                    match fact.known.as_deref() {
                        Some([value]) if fact.kind.whole() => Ok(*value),
                        _ => Err("a range that is not of fixed integers".to_owned()),
                    }
                };
                let (start, end, step) = (part(0)?, part(1)?, part(2)?);
                let count = ((end - start) / step).ceil().max(0.0);
                if count.is_nan() || count > KNOWN as f64 {
                    return Err(format!("a range of {count} numbers"));
                }
                let known: Vec<f64> = (0..count as usize).map(|index| start + step * index as f64).collect();
                let kind = self.input(0)?.kind;
                return one(Fact {
                    kind,
                    shape: vec![known.len()],
                    constant: true,
                    known: Some(known),
                    channels: None,
                });
            }
            _ => {
                self.arity(1..=1)?;
                let asked = self.fixed(0, "a shape")?.ok_or("no shape")?;
                let sides = asked.iter().map(|side| usize::try_from(*side).map_err(|_| format!("the shape {asked:?}")));
                let shape: Vec<usize> = sides.collect::<Result<_, _>>()?;
                let (kind, value) = match self.node.tensor("value")? {
                    None => (Kind::F32, 0.0),
                    Some(tensor) => {
                        let mut one = 1;
                        let fact = stored(tensor, &mut one)?;
                        let value = fact.known.as_deref().and_then(|known| known.first().copied()).ok_or("no value")?;
                        if fact.len() != 1 {
                            return Err("more than one value".into());
                        }
                        (fact.kind, value)
                    }
                };
                let count = elements(&shape).ok_or_else(|| format!("the shape {shape:?}, which is too large"))?;
                let known = (count <= KNOWN).then(|| vec![value; count]);
                return one(Fact { kind, shape, constant: true, known, channels: None });
            }
        };
        one(Fact { kind: Kind::I64, shape: vec![known.len()], constant: true, known: Some(known), channels: None })
    }

    fn pad(&self) -> Inferred {
        self.arity(1..=4)?;
        let x = self.floats(0)?;
        let rank = x.shape.len();
        let pads = self.list("pads", 1, 11)?.ok_or("no pads")?;
        let axes = match self.fixed(3, "axes")? {
            Some(axes) => self::axes(&axes, rank)?,
            None => (0..rank).collect(),
        };
        if let Some(value) = self.optional(2)
            && (value.known.as_ref().is_none_or(|known| known.len() != 1) || value.kind != Kind::F32)
        {
            return Err("a border that is not a fixed number".into());
        }
        self.node.float("value")?;
        let mode = self.node.text("mode")?.unwrap_or("constant");
        if !matches!(mode, "constant" | "reflect" | "edge") {
            return Err(format!("the mode {}", shown(mode)));
        }
        if pads.len() != 2 * axes.len() || pads.iter().any(|pad| !(0..=REACH).contains(pad)) {
            return Err(format!("pads of {}", shown(&format!("{pads:?}"))));
        }
        let mut shape = x.shape.clone();
        for (index, axis) in axes.iter().enumerate() {
            let (before, after) = (pads[index] as usize, pads[index + axes.len()] as usize);
            if mode == "reflect" && before.max(after) >= shape[*axis].max(1) {
                return Err(format!("a reflection of {} along a side of {}", before.max(after), shape[*axis]));
            }
            shape[*axis] += before + after;
        }
        one(Fact { shape, known: None, ..x.clone() })
    }

    fn blocks(&self, op: &str) -> Inferred {
        self.arity(1..=1)?;
        let x = self.floats(0)?;
        let size =
            self.node.int("blocksize")?.filter(|size| (1..=64).contains(size)).ok_or("no size of blocks")? as usize;
        let [n, c, h, w] = x.shape[..] else { return Err(format!("the shape {:?}", x.shape)) };
        if !matches!(self.node.text("mode")?, None | Some("DCR" | "CRD")) {
            return Err("an unknown mode".into());
        }
        let shape = if op == "DepthToSpace" && c % (size * size) == 0 {
            vec![n, c / (size * size), h * size, w * size]
        } else if op == "SpaceToDepth" && h % size == 0 && w % size == 0 {
            vec![n, c * size * size, h / size, w / size]
        } else {
            return Err(format!("blocks of {size} for the shape {:?}", x.shape));
        };
        one(Fact { shape, known: None, channels: Some(1), ..x.clone() })
    }

    fn resize(&self) -> Inferred {
        self.arity(2..=4)?;
        let x = self.floats(0)?;
        if self.opset < 11 {
            return Err("an old way of resizing; export the model with opset_version=17".into());
        }
        if !matches!(self.node.text("mode")?, None | Some("nearest" | "linear" | "cubic")) {
            return Err("an unknown mode".into());
        }
        for (name, known) in [
            (
                "coordinate_transformation_mode",
                &["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"][..],
            ),
            ("nearest_mode", &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
            ("keep_aspect_ratio_policy", &["stretch"]),
        ] {
            if self.node.text(name)?.is_some_and(|mode| !known.contains(&mode)) {
                return Err(format!("an unknown {name}"));
            }
        }
        self.node.float("cubic_coeff_a")?;
        if !matches!(self.node.int_or("exclude_outside", 0)?, 0 | 1) || self.node.int_or("antialias", 0)? != 0 {
            return Err("an unusual way of resizing".into());
        }
        if self.node.ints("axes")?.is_some() {
            return Err("resizing of some axes only".into());
        }
        let aligned = self.node.text("coordinate_transformation_mode")? == Some("align_corners");
        let sizes = self.fixed(3, "sizes")?.filter(|sizes| !sizes.is_empty());
        let scales = self.optional(2).filter(|scales| scales.len() > 0);
        let shape: Vec<usize> = match (sizes, scales) {
            (None, Some(_)) if aligned => {
                return Err(
                    "aligned corners with scales, which readers of ONNX disagree about; export with sizes".into()
                );
            }
            (Some(sizes), None) if sizes.len() == x.shape.len() => {
                let side =
                    |size: &i64| usize::try_from(*size).ok().filter(|size| *size > 0).ok_or("a side without length");
                sizes.iter().map(side).collect::<Result<_, _>>()?
            }
            (None, Some(scales)) => {
                let known =
                    scales.known.as_ref().filter(|known| known.len() == x.shape.len() && scales.kind == Kind::F32);
                let known = known.ok_or("scales that depend on the image")?;
                let side = |(side, scale): (&usize, &f64)| {
                    let size = (*side as f64 * scale).floor();
                    if (1.0..=1e9).contains(&size) { Ok(size as usize) } else { Err(format!("a scale of {scale}")) }
                };
                x.shape.iter().zip(known).map(side).collect::<Result<_, _>>()?
            }
            _ => return Err("neither sizes nor scales, or both".into()),
        };
        if x.shape.len() != 4 || shape[..2] != x.shape[..2] {
            return Err(format!("the shape {shape:?} from {:?}", x.shape));
        }
        let work = elements(&shape).ok_or("an output that is too large")? as u64 * 16;
        Ok(Given { facts: vec![Fact { shape, known: None, ..x.clone() }], multiply_adds: 0, work })
    }

    /// One or two inputs, every axis a letter, an axis at most once in a term.
    fn einsum(&self) -> Inferred {
        self.arity(1..=2)?;
        let equation: String = self.node.text("equation")?.ok_or("no equation")?.split_whitespace().collect();
        let refuse = || format!("the equation {}", shown(&equation));
        let (left, right) = equation.split_once("->").ok_or_else(refuse)?;
        let terms: Vec<&str> = left.split(',').collect();
        let plain = |term: &str| {
            let letters = || term.chars().enumerate();
            letters().all(|(at, letter)| {
                letter.is_ascii_alphabetic() && letters().all(|(b, other)| at == b || letter != other)
            })
        };
        if terms.len() != self.inputs.len() || !terms.iter().chain([&right]).all(|term| plain(term)) {
            return Err(refuse());
        }
        let mut sides = std::collections::BTreeMap::new();
        let mut constant = true;
        for (index, term) in terms.iter().enumerate() {
            let fact = self.floats(index)?;
            constant &= fact.constant;
            if term.len() != fact.shape.len() {
                return Err(format!("{} for the shape {:?}", refuse(), fact.shape));
            }
            for (letter, side) in term.chars().zip(&fact.shape) {
                if *sides.entry(letter).or_insert(*side) != *side {
                    return Err(format!("{} with sides that do not fit", refuse()));
                }
            }
        }
        let shape =
            right.chars().map(|letter| sides.get(&letter).copied().ok_or_else(refuse)).collect::<Result<_, _>>()?;
        let multiply_adds = sides.values().fold(1u64, |product, side| product.saturating_mul(*side as u64));
        let fact = Fact { kind: Kind::F32, shape, constant, known: None, channels: None };
        Ok(Given { facts: vec![fact], multiply_adds, work: 0 })
    }

    /// For constants alone: masks are put together so.
    fn scatter(&self) -> Inferred {
        self.arity(3..=3)?;
        let (x, places, new) = (self.input(0)?, self.input(1)?, self.input(2)?);
        if !(x.constant && places.constant && new.constant)
            || self.node.text("reduction")?.is_some_and(|how| how != "none")
        {
            return Err("numbers put in places that depend on the image".into());
        }
        let depth =
            places.shape.last().copied().filter(|depth| (1..=x.shape.len()).contains(depth)).ok_or("no places")?;
        let expected = places.shape[..places.shape.len() - 1].iter().chain(&x.shape[depth..]);
        if places.kind != Kind::I64 || new.kind != x.kind || !new.shape.iter().eq(expected) {
            return Err(format!("the shapes {:?}, {:?} and {:?}", x.shape, places.shape, new.shape));
        }
        one(Fact { known: None, channels: None, ..x.clone() })
    }
}

fn one(fact: Fact) -> Inferred {
    Ok(Given { facts: vec![fact], ..Given::default() })
}

fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let place = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match place.and_then(|place| usize::try_from(place).ok()) {
        Some(place) if place < rank => Ok(place),
        _ => Err(format!("the axis {axis} of {rank}")),
    }
}

fn axes(asked: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let axes: Vec<usize> = asked.iter().map(|at| axis(*at, rank)).collect::<Result<_, _>>()?;
    let twice = axes.iter().enumerate().any(|(index, axis)| axes[..index].contains(axis));
    if twice { Err(format!("the axes {axes:?}")) } else { Ok(axes) }
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let side = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (side(a, axis), side(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, side) | (side, 1) => Ok(side),
            _ => Err(format!("the shapes {a:?} and {b:?}")),
        })
        .collect()
}

fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis] as isize);
    }
    strides
}

/// The known numbers of `x` read from `begin` along strides.
fn strided(x: &Fact, shape: &[usize], begin: isize, along: &[isize]) -> Option<Vec<f64>> {
    let known = x.known.as_ref()?;
    let count = elements(shape).filter(|count| *count <= KNOWN)?;
    let own = strides(shape);
    (0..count)
        .map(|index| {
            let place = (0..shape.len())
                .map(|axis| (index as isize / own[axis]) % shape[axis] as isize * along[axis])
                .sum::<isize>();
            known.get(usize::try_from(begin + place).ok()?).copied()
        })
        .collect()
}

/// The known numbers of `x` broadcast to a shape.
fn spread(x: &Fact, shape: &[usize]) -> Option<Vec<f64>> {
    let missing = shape.len() - x.shape.len();
    let own = strides(&x.shape);
    let along: Vec<isize> = (0..shape.len())
        .map(|axis| if axis < missing || x.shape[axis - missing] == 1 { 0 } else { own[axis - missing] })
        .collect();
    strided(x, shape, 0, &along)
}
