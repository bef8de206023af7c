//! What is known of every value before anything is allocated for it, worked out node by node.

use std::rc::Rc;

use super::fact::{Fact, keep, stored};
use super::graph::{Graph, Origin};
use super::operations::infer;
use super::shown;

/// All constants that are followed, together.
const KNOWN_TOTAL: usize = 1 << 20;

/// The facts of all values, and the cost of every node.
pub(super) struct Facts {
    /// By value. Where there is none, why: the first operation on the way that is not supported, and the reason.
    pub(crate) values: Vec<Result<Fact, Rc<(String, String)>>>,
    pub(crate) multiply_adds: Vec<u64>,
    pub(crate) work: Vec<u64>,
}

impl Facts {
    /// Works them out, given the fact of one input. The model's other inputs are unknown.
    pub(crate) fn of(graph: &Graph, input: usize, given: Fact) -> Self {
        let unknown = Rc::new((String::new(), String::new()));
        let mut facts = Self {
            values: vec![Err(unknown); graph.origins.len()],
            multiply_adds: vec![0; graph.nodes.len()],
            work: vec![0; graph.nodes.len()],
        };
        let mut room = KNOWN_TOTAL;
        for (value, origin) in graph.origins.iter().enumerate() {
            facts.values[value] = match origin {
                Origin::Input if value == input => Ok(given.clone()),
                Origin::Input => {
                    let name = format!("the input `{}`", shown(&graph.names[value]));
                    Err(Rc::new((name, "a second input, beside the image".into())))
                }
                Origin::Stored(place) => stored(&graph.stored[*place], &mut room)
                    .map_err(|reason| Rc::new((format!("the stored tensor `{}`", shown(&graph.names[value])), reason))),
                Origin::Node(_) => continue,
            };
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut inputs = Vec::with_capacity(node.inputs.len());
            let mut failure = None;
            for input in &node.inputs {
                match input.map(|value| &facts.values[value]) {
                    None => inputs.push(None),
                    Some(Ok(fact)) => inputs.push(Some(fact)),
                    Some(Err(reason)) => failure = failure.or(Some(reason.clone())),
                }
            }
            let given = match failure {
                Some(reason) => Err(reason),
                None => infer(node, &inputs, graph.opset).map_err(|reason| Rc::new((node.title(), reason))),
            };
            match given {
                Ok(given) => {
                    facts.multiply_adds[index] = given.multiply_adds;
                    facts.work[index] = given.work.max(given.multiply_adds);
                    for (port, output) in node.outputs.iter().enumerate() {
                        let Some(output) = output else { continue };
                        facts.values[*output] = match given.facts.get(port) {
                            Some(fact) => {
                                let mut fact = fact.clone();
                                keep(&mut fact.known, &mut room);
                                Ok(fact)
                            }
                            None => Err(Rc::new((node.title(), format!("its output number {}", port + 1)))),
                        };
                    }
                }
                Err(reason) => {
                    for output in node.outputs.iter().flatten() {
                        facts.values[*output] = Err(reason.clone());
                    }
                }
            }
        }
        facts
    }

    pub(crate) fn get(&self, value: usize) -> Option<&Fact> {
        self.values[value].as_ref().ok()
    }
}
