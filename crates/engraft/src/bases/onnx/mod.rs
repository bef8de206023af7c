//! Any network in an ONNX file as a frozen base: cut at one of its values, run on one image at a time by `tract`.
//!
//! The bytes are not trusted. They are looked through before they are decoded ([`wire`]); names, order and tensors
//! are checked ([`graph`]); every shape is worked out by us before anything is allocated for it ([`facts`]); and tract
//! sees only the part that leads to the chosen value, written anew ([`plan`]). No file is ever opened but those beside a model
//! that hold its tensors ([`external`]).

mod cut;
mod encoder;
mod external;
mod fact;
mod facts;
mod graph;
mod kind;
mod operations;
mod plan;
mod wire;

pub(crate) use self::encoder::encoder_weights;
pub(crate) use self::external::whole_model;

use std::path::Path;

use self::cut::Row;
use self::fact::Fact;
use self::facts::Facts;
use self::graph::{Declared, Graph, Value};
use self::kind::Kind;
use self::plan::{Part, Plan, quietly};
use super::onnx_types::{OnnxCandidate, OnnxInput, OnnxLayout};
use crate::error::{Error, Problem, Result, printable};

/// Elements of one tensor, stored or computed.
const ELEMENTS: usize = 1 << 27;
/// Rows and columns of an image.
const SIDE: usize = 4096;
/// Rows and columns that are assumed where neither the model nor the caller says.
const USUAL: usize = 224;

/// An ONNX model cut at one value, for one image at a time.
///
/// It may be shared between threads; every call makes its own state and computes on the caller's thread alone, so that
/// a row is the same bits however many threads there are.
///
/// Where nothing is asked for, the features are what the last linear layer reads: the last `Gemm` or `MatMul` with
/// stored weights on the way to the model's output, or the last 1x1 convolution where that is the classifier. A map
/// (`[1, C, H, W]`, or channels last) is averaged over its rows and columns. A sequence of tokens is refused: whether
/// its first token or their mean is meant is not for us to guess.
pub struct OnnxModel {
    input: OnnxInput,
    size: [usize; 2],
    shape: [usize; 4],
    output: OnnxCandidate,
    row: Row,
    why: String,
    candidates: Vec<OnnxCandidate>,
    parameters: usize,
    multiply_adds: u64,
    /// From the image to the chosen value. `None` where that is the image.
    features: Plan,
    scores: Option<Scores>,
    place: String,
}

/// Reads a foreign file. Nothing before tract should panic; if it ever does, such a file must not end the program.
fn untrusted<T>(place: &Path, read: impl FnOnce() -> std::result::Result<T, Problem>) -> Result<T> {
    let read = quietly(read).unwrap_or_else(|panic| {
        Err(Problem::new("the ONNX model cannot be read").found(shown(&panic)).hint("please report this file"))
    });
    read.map_err(|problem| Error::Weights(problem.at(place)))
}

/// How the scores of the model's own classes are computed.
struct Scores {
    /// From the chosen value, or from the image where more than that is needed.
    plan: Plan,
    from_features: bool,
    classes: usize,
}

impl std::fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxModel").field("input", &self.input).field("output", &self.output).finish_non_exhaustive()
    }
}

impl OnnxModel {
    /// Reads a model and cuts it at `output`: the name of a value or of a node; by itself where there is none.
    ///
    /// `input_size` is rows and columns of the images, for a model that leaves them open: 224 where not even the
    /// caller says, which [`OnnxModel::why`] then tells. It must not contradict the model. `place` is where the
    /// bytes come from; it appears in errors and is not opened.
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are not an ONNX model, for what is not supported, for a model that would take too
    /// much memory or time, and for an output that does not exist or cannot serve as features.
    pub fn open(bytes: &[u8], output: Option<&str>, input_size: Option<[usize; 2]>, place: &Path) -> Result<Self> {
        untrusted(place, || Self::read(bytes, output, input_size, place))
    }

    fn read(
        bytes: &[u8],
        output: Option<&str>,
        input_size: Option<[usize; 2]>,
        place: &Path,
    ) -> std::result::Result<Self, Problem> {
        let model = wire::decode(bytes)?;
        if !model.functions.is_empty() {
            let names: Vec<&str> = model.functions.iter().take(3).map(|function| function.name()).collect();
            return Err(Problem::new("the model brings functions of its own")
                .expected("plain operations")
                .found(shown(&names.join(", ")))
                .hint("inline them: onnx.inliner.inline_local_functions(model)"));
        }
        let mut graph = Graph::read(model)?;
        let image = image(&graph)?;
        let value = image.value;
        let mut input = input(&graph, image)?;
        let (size, assumed) = size(&input, input_size)?;
        (input.height, input.width) = (Some(size[0]), Some(size[1]));
        let shape = match input.layout {
            OnnxLayout::Nchw => [1, input.channels, size[0], size[1]],
            OnnxLayout::Nhwc => [1, size[0], size[1], input.channels],
        };
        let channels = Some(if input.layout == OnnxLayout::Nchw { 1 } else { 3 });
        let given = Fact { kind: Kind::F32, shape: shape.to_vec(), constant: false, known: None, channels };
        let facts = Facts::of(&graph, value, given);
        let mut cut = cut::choose(&graph, &facts, output).map_err(|problem| match input.shape[0] {
            // Where a shape has the batch written into it, nothing else can be done.
            Some(batch) if batch > 1 => problem.hint(format_args!(
                "the model was exported for batches of {batch}; export it for one image, or with a free batch size"
            )),
            _ => problem,
        })?;
        if assumed {
            cut.why += &format!("; the model leaves its size open, so {} x {} pixels are assumed", size[0], size[1]);
        }
        let none = || Problem::new("the chosen output does not depend on the image");
        let chosen = cut::candidate(&graph, &facts, cut.value).ok_or_else(none)?;
        let (row, _) = facts.get(cut.value).and_then(cut::row).ok_or_else(none)?;
        let front = Part::between(&graph, &facts, value, cut.value).ok_or_else(none)?;
        let stored = bytes.len() as u64;
        front.check(&graph, &facts, stored)?;
        let tail = cut::scores(&graph, &facts).and_then(|(scores, classes)| {
            let tail = Part::between(&graph, &facts, cut.value, scores).map(|part| (part, true));
            let tail = tail.or_else(|| Some((Part::between(&graph, &facts, value, scores)?, false)));
            tail.filter(|(part, _)| part.check(&graph, &facts, stored).is_ok())
                .map(|(part, here)| (part, here, classes))
        });
        let weights = front.stored(&graph, &facts);
        let parameters = weights
            .iter()
            .map(|place| graph::shape(&graph.stored[*place]).map_or(0, |shape| shape.iter().product::<usize>()))
            .sum();
        let multiply_adds = front.nodes.iter().map(|node| facts.multiply_adds[*node]).sum();
        let candidates = cut::candidates(&graph, &facts);

        let refuse = |reason: String| {
            Problem::new("the model cannot be understood")
                .expected("operations as the ONNX standard describes them")
                .found(shown(&reason))
                .hint("export it again with opset_version=17, or choose an earlier output")
        };
        // The tail is written first: it copies what both need, and the front may then take it.
        let scores = tail.map(|(part, from_features, classes)| {
            let model = part.write(&mut graph, &facts, &(0..facts.values.len()).collect());
            (model, from_features, classes)
        });
        let features = front.write(&mut graph, &facts, &Default::default());
        drop(graph);
        let features = Plan::compile(features, stored).map_err(refuse)?;
        let scores = match scores {
            Some((model, from_features, classes)) => {
                Some(Scores { plan: Plan::compile(model, stored).map_err(refuse)?, from_features, classes })
            }
            None => None,
        };
        Ok(Self {
            input,
            size,
            shape,
            output: chosen,
            row,
            why: cut.why,
            candidates,
            parameters,
            multiply_adds,
            features,
            scores,
            place: printable(place),
        })
    }

    /// Everything that could serve as features, nearest to the model's end first.
    pub fn candidates(&self) -> &[OnnxCandidate] {
        &self.candidates
    }

    /// The input, as the file declares it.
    pub fn input(&self) -> &OnnxInput {
        &self.input
    }

    /// Where the model is cut.
    pub fn output(&self) -> &OnnxCandidate {
        &self.output
    }

    /// Length of a row.
    pub fn columns(&self) -> usize {
        self.output.length
    }

    /// How the output was chosen, and what is done with it.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Stored numbers up to the cut, those of frozen batch norms included.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// MACs of convolutions and matrix products up to the cut, for one image.
    pub fn multiply_adds(&self) -> u64 {
        self.multiply_adds
    }

    /// How many classes the model itself tells apart, where its output is one score for each.
    pub(crate) fn classes(&self) -> Option<usize> {
        self.scores.as_ref().map(|scores| scores.classes)
    }

    /// The features of one image, `[H, W, C]` and normalised.
    ///
    /// # Errors
    /// [`Error::Weights`] for the wrong number of values, or where the model fails on this image.
    pub fn row(&self, nhwc: &[f32]) -> Result<Vec<f32>> {
        let values = self.activation(nhwc)?;
        Ok(match self.row {
            Row::All => values,
            Row::Mean(axis) => mean(&values, &self.output.shape, axis),
        })
    }

    /// The scores (before softmax) of the model's own classes for one image, `[H, W, C]` and normalised; `None`
    /// where its output is not one score for each class.
    ///
    /// # Errors
    /// As [`OnnxModel::row`].
    pub fn classify(&self, nhwc: &[f32]) -> Result<Option<Vec<f32>>> {
        let Some(scores) = &self.scores else { return Ok(None) };
        let (shape, values) = if scores.from_features {
            (self.output.shape.as_slice(), self.activation(nhwc)?)
        } else {
            (self.shape.as_slice(), self.arranged(nhwc)?)
        };
        self.run(&scores.plan, shape, &values, scores.classes).map(Some)
    }

    /// The value at the cut.
    fn activation(&self, nhwc: &[f32]) -> Result<Vec<f32>> {
        self.run(&self.features, &self.shape, &self.arranged(nhwc)?, self.output.shape.iter().product())
    }

    fn run(&self, plan: &Plan, shape: &[usize], values: &[f32], expected: usize) -> Result<Vec<f32>> {
        let refuse = |found: String| {
            Error::Weights(Problem::new("the model failed on an image").found(shown(&found)).at(&self.place))
        };
        let out = plan.run(shape, values).map_err(refuse)?;
        if out.len() != expected {
            return Err(refuse(format!("{} numbers instead of {expected}", out.len())));
        }
        match out.iter().find(|number| !number.is_finite()) {
            None => Ok(out),
            Some(odd) => Err(refuse(format!("a number that is not finite: {odd}"))),
        }
    }

    /// An image in the model's order.
    fn arranged(&self, nhwc: &[f32]) -> Result<Vec<f32>> {
        let channels = self.input.channels;
        let expected = self.size[0] * self.size[1] * channels;
        if nhwc.len() != expected {
            return Err(Error::Weights(
                Problem::new("an image does not fit the model's input")
                    .expected(format_args!("{expected} values, {} x {} x {channels}", self.size[0], self.size[1]))
                    .found(nhwc.len())
                    .at(&self.place),
            ));
        }
        Ok(match self.input.layout {
            OnnxLayout::Nhwc => nhwc.to_vec(),
            OnnxLayout::Nchw => (0..channels).flat_map(|c| nhwc.iter().skip(c).step_by(channels).copied()).collect(),
        })
    }
}

/// The mean over all axes but the first and `axis`, in double precision and in the order of the numbers.
fn mean(values: &[f32], shape: &[usize], axis: usize) -> Vec<f32> {
    let inner: usize = shape[axis + 1..].iter().product();
    let mut sums = vec![0f64; shape[axis]];
    for (index, value) in values.iter().enumerate() {
        sums[index / inner % shape[axis]] += f64::from(*value);
    }
    let count = (values.len() / shape[axis]) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// The one input that is an image.
fn image(graph: &Graph) -> std::result::Result<&Declared, Problem> {
    match graph.inputs.as_slice() {
        [input] => Ok(input),
        [] => Err(Problem::new("the model has no input").expected("one input, an image")),
        several => {
            // Others are fine as long as the chosen output has no need of them.
            let mut images = several.iter().filter(|input| input.shape.len() == 4);
            match (images.next(), images.next()) {
                (Some(input), None) => Ok(input),
                _ => {
                    let names: Vec<String> =
                        several.iter().take(5).map(|input| shown(&graph.names[input.value])).collect();
                    Err(Problem::new("the model has several inputs")
                        .expected("one input, an image")
                        .found(names.join(", ")))
                }
            }
        }
    }
}

fn input(graph: &Graph, declared: &Declared) -> std::result::Result<OnnxInput, Problem> {
    let name = &graph.names[declared.value];
    let refuse = |expected: &str, found: String| {
        Problem::new(format_args!("the model's input `{}` is not supported", shown(name)))
            .expected(expected)
            .found(found)
    };
    match declared.kind {
        Kind::F32 => {}
        Kind::U8 | Kind::I8 => {
            let hint = "the model is quantised or normalises by itself; export it with an input of 32-bit floats";
            return Err(refuse("32-bit floats", declared.kind.name()).hint(hint));
        }
        kind => {
            let hint = "export the model in 32-bit floats";
            return Err(refuse("32-bit floats", kind.name()).hint(hint));
        }
    }
    let [_, first, _, last] = declared.shape[..] else {
        return Err(refuse("an image: [N, C, H, W] or [N, H, W, C]", format!("{} axes", declared.shape.len())));
    };
    let colours = |side: Option<usize>| side.is_some_and(|side| matches!(side, 1 | 3));
    let (layout, channels) = match (colours(first), colours(last)) {
        (true, false) => (OnnxLayout::Nchw, first),
        (false, true) => (OnnxLayout::Nhwc, last),
        (true, true) if turned(graph, declared.value) => (OnnxLayout::Nhwc, last),
        (true, true) => (OnnxLayout::Nchw, first),
        (false, false) if first.is_none() => (OnnxLayout::Nchw, convolved(graph, declared.value)),
        (false, false) => (OnnxLayout::Nchw, None),
    };
    let shown_shape: Vec<String> =
        declared.shape.iter().map(|side| side.map_or_else(|| "?".into(), |side| side.to_string())).collect();
    let channels = channels
        .filter(|channels| matches!(channels, 1 | 3))
        .ok_or_else(|| refuse("an image with 1 or 3 channels", format!("[{}]", shown_shape.join(", "))))?;
    let [height, width] = match layout {
        OnnxLayout::Nchw => [declared.shape[2], declared.shape[3]],
        OnnxLayout::Nhwc => [declared.shape[1], declared.shape[2]],
    };
    let dtype = declared.kind.name();
    Ok(OnnxInput { name: name.clone(), shape: declared.shape.clone(), layout, channels, height, width, dtype })
}

/// Whether the first thing that happens to a value is that its channels come first.
fn turned(graph: &Graph, value: Value) -> bool {
    let mut readers = graph.nodes.iter().filter(|node| node.inputs.contains(&Some(value)));
    readers.any(|node| node.proto.op_type == "Transpose" && node.ints("perm").ok().flatten() == Some(&[0, 3, 1, 2]))
}

/// The channels that a convolution of a value asks for.
fn convolved(graph: &Graph, value: Value) -> Option<usize> {
    let node =
        graph.nodes.iter().find(|node| node.proto.op_type == "Conv" && node.inputs.first() == Some(&Some(value)))?;
    match graph.origins[node.inputs.get(1).copied().flatten()?] {
        graph::Origin::Stored(place) => usize::try_from(*graph.stored[place].dims.get(1)?).ok(),
        _ => None,
    }
}

/// Rows and columns, and whether they are only assumed.
fn size(input: &OnnxInput, asked: Option<[usize; 2]>) -> std::result::Result<([usize; 2], bool), Problem> {
    let declared = [input.height, input.width];
    if let Some(asked) = asked
        && declared.iter().zip(asked).any(|(side, asked)| side.is_some_and(|side| side != asked))
    {
        let side = |side: Option<usize>| side.map_or_else(|| "any".into(), |side| side.to_string());
        return Err(Problem::new("the model was exported for another size of image")
            .expected(format_args!("{} x {} pixels, the model's own", side(declared[0]), side(declared[1])))
            .found(format_args!("{} x {}", asked[0], asked[1]))
            .hint("leave the size out, or export the model with open rows and columns"));
    }
    let assumed = asked.is_none() && declared.contains(&None);
    let asked = asked.unwrap_or([USUAL; 2]);
    let size = [declared[0].unwrap_or(asked[0]), declared[1].unwrap_or(asked[1])];
    if size.iter().all(|side| (1..=SIDE).contains(side)) {
        Ok((size, assumed))
    } else {
        Err(Problem::new("invalid size of the images")
            .expected(format_args!("1 to {SIDE}"))
            .found(format_args!("{} x {}", size[0], size[1])))
    }
}

/// Text from a file, safe to print and not too long.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if out.len() > 200 {
            out.push_str("...");
            break;
        }
        if letter.is_control()
            || matches!(letter, '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}
