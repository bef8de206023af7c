//! From an objective to its minimum: argmin's L-BFGS in preconditioned coordinates.

use std::sync::Mutex;

use argmin::core::{CostFunction, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::objective::{Objective, Weights};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Norm of the gradient at which fits stop on which a strength is chosen: their log-loss is then exact to far less than the
/// differences between strengths.
pub(super) const CHOICE_TOLERANCE: f64 = 1e-5;

/// Iterations after which the solver gives up. Rarely more than a hundred are needed.
const MOST_ITERATIONS: u64 = 2000;

/// Pairs of steps and gradients that L-BFGS remembers; fewer once a pair is over 8 MB.
const MEMORY: usize = 10;

/// A minimum, and what it took.
#[derive(Debug, Clone, Default)]
pub(super) struct Solution {
    pub(crate) weights: Weights,
    pub(crate) iterations: usize,
    pub(crate) evaluations: usize,
    /// Norm of the gradient, of the mean loss plus penalty, in preconditioned coordinates.
    pub(crate) gradient_norm: f64,
    /// `mean loss + ||U||² / (2 C S)`.
    pub(crate) objective: f64,
    pub(crate) converged: bool,
}

/// Minimises `mean loss + ||U||² / (2 C S)`, from `start`, until the gradient's norm is below `tolerance`.
///
/// The second derivative of the mean loss is at most `1/2 (I - 11ᵀ/K) ⊗ E[z zᵀ]` (Böhning, 1992, "Multinomial
/// logistic regression algorithm", Ann. Inst. Stat. Math. 44), for a logit by itself at most `1/4 E[z zᵀ]`. In principal
/// axes that bound is diagonal, so that scaling axis `j` by `(bound · variance_j + 1/(C S))^-1/2` makes the second
/// derivative at most about one in every direction, for every `C`; the gradient is measured in these coordinates.
///
/// Without an objective, where there is nothing to tell apart, the solution is empty.
pub(super) fn minimise(
    objective: Option<&Objective>,
    c: f64,
    start: Option<&Weights>,
    tolerance: f64,
    observer: &dyn Observer,
) -> Result<Solution> {
    let Some(objective) = objective else { return Ok(Solution { converged: true, ..Solution::default() }) };
    let (outputs, rank) = (objective.outputs, objective.rank());
    let bound = objective.curvature();
    let penalty = 1.0 / (c * objective.total_weight);
    let steps: Vec<f64> =
        objective.variances.iter().map(|variance| (bound * variance + penalty).sqrt().recip()).collect();
    let surface = Surface {
        objective,
        penalty,
        steps,
        intercept_step: bound.sqrt().recip(),
        observer,
        memory: Mutex::new(Memory { latest: Vec::new(), evaluations: 0 }),
    };
    let mut at = match start {
        Some(weights) => surface.flatten(weights),
        None => vec![0.0; outputs * (rank + 1)],
    };
    let mut iterations = 0;
    // L-BFGS may end early at the limit of rounding, or on a poor memory: a fresh memory goes on from there.
    for _ in 0..3 {
        observer.check()?;
        let (first, gradient) = surface.at(&at)?;
        if !first.is_finite() || norm(&gradient) < tolerance {
            break;
        }
        let failed = |source: argmin::core::Error| {
            if observer.interrupted() {
                return Error::Interrupted;
            }
            Error::Training(Problem::new("the solver of the logistic regression failed").found(source))
        };
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), if at.len() > 1 << 20 { MEMORY / 2 } else { MEMORY })
            .with_tolerance_grad(tolerance)
            .and_then(|solver| solver.with_tolerance_cost(f64::EPSILON * first.abs()))
            .map_err(failed)?;
        let left = MOST_ITERATIONS.saturating_sub(iterations);
        let result = Executor::new(Handle(&surface), solver)
            .configure(|state| state.param(at.clone()).max_iters(left))
            .ctrlc(false)
            .timer(false)
            .run()
            .map_err(failed)?;
        observer.check()?;
        iterations += result.state().get_iter();
        match result.state().get_best_param() {
            Some(best) if surface.at(best)?.0 <= first => at.clone_from(best),
            _ => break,
        }
    }
    let (value, gradient) = surface.at(&at)?;
    let gradient_norm = norm(&gradient);
    if !value.is_finite() || !gradient_norm.is_finite() {
        return Err(Error::Training(
            Problem::new("the loss of the logistic regression is not a number")
                .found(format!("{value} at C = {c}"))
                .hint("look for features of enormous size"),
        ));
    }
    let evaluations = surface.lock().evaluations;
    Ok(Solution {
        weights: surface.unflatten(&at),
        iterations: iterations as usize,
        evaluations,
        gradient_norm,
        objective: value,
        // At the limit of rounding the norm may stall a little above a very small tolerance.
        converged: gradient_norm < 10.0 * tolerance,
    })
}

/// The objective as a function of the flat, preconditioned parameters `[outputs · rank + outputs]`.
struct Surface<'a> {
    objective: &'a Objective<'a>,
    penalty: f64,
    /// Scale of each axis, `[rank]`.
    steps: Vec<f64>,
    intercept_step: f64,
    observer: &'a dyn Observer,
    memory: Mutex<Memory>,
}

/// The latest points with value and gradient: L-BFGS and its line search ask for both, and for the same point again.
struct Memory {
    latest: Vec<(Vec<f64>, f64, Vec<f64>)>,
    evaluations: usize,
}

impl Surface<'_> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn unflatten(&self, flat: &[f64]) -> Weights {
        let (axes, intercepts) = flat.split_at(self.objective.outputs * self.steps.len());
        let scaled = axes.iter().zip(self.steps.iter().cycle());
        Weights {
            axes: scaled.map(|(u, step)| u * step).collect(),
            intercepts: intercepts.iter().map(|b| b * self.intercept_step).collect(),
        }
    }

    fn flatten(&self, weights: &Weights) -> Vec<f64> {
        let axes = weights.axes.iter().zip(self.steps.iter().cycle()).map(|(u, step)| u / step);
        axes.chain(weights.intercepts.iter().map(|b| b / self.intercept_step)).collect()
    }
}

impl Smooth for Surface<'_> {
    fn at(&self, flat: &[f64]) -> Result<(f64, Vec<f64>)> {
        if let Some((_, value, gradient)) = self.lock().latest.iter().find(|(point, _, _)| point == flat) {
            return Ok((*value, gradient.clone()));
        }
        self.observer.check()?;
        let weights = self.unflatten(flat);
        let slope = self.objective.slope(&weights);
        let square: f64 = weights.axes.iter().map(|u| u * u).sum();
        let value = slope.loss + 0.5 * self.penalty * square;
        let axes = weights.axes.iter().zip(&slope.gradient.axes).zip(self.steps.iter().cycle());
        let gradient: Vec<f64> = axes
            .map(|((u, g), step)| step * (g + self.penalty * u))
            .chain(slope.gradient.intercepts.iter().map(|g| g * self.intercept_step))
            .collect();
        let mut memory = self.lock();
        memory.evaluations += 1;
        memory.latest.truncate(1);
        memory.latest.insert(0, (flat.to_vec(), value, gradient.clone()));
        Ok((value, gradient))
    }
}

/// A function with a gradient, of a flat vector of parameters.
pub(super) trait Smooth {
    /// Value and gradient.
    fn at(&self, flat: &[f64]) -> Result<(f64, Vec<f64>)>;
}

/// Such a function as argmin's solvers take it.
pub(super) struct Handle<'a, S>(pub &'a S);

impl<S: Smooth> CostFunction for Handle<'_, S> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, param: &Vec<f64>) -> std::result::Result<f64, argmin::core::Error> {
        Ok(self.0.at(param)?.0)
    }
}

impl<S: Smooth> Gradient for Handle<'_, S> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, param: &Vec<f64>) -> std::result::Result<Vec<f64>, argmin::core::Error> {
        Ok(self.0.at(param)?.1)
    }
}

/// Euclidean length.
pub(super) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}
