//! Multinomial logistic regression on sparse rows, by Newton's method.
//!
//! The objective is that of [`super::fit`] without its standardising: `sum_i loss(W x_i + b, y_i) + ||W||² / (2 C)`. It is
//! scikit-learn's with the same `C`, of two classes with `2 C`: scikit-learn has one row of weights there, and not two.
//!
//! Each step's system is solved by conjugate gradients as exactly as the step deserves (Nocedal and Wright 2006, section 7.1),
//! and the length of a step is searched for on the logits alone (Galli and Lin 2021, "A study on truncated Newton methods for
//! linear classification"), so that only products with the second derivative read the rows, twice each. All that is computed
//! with is a sum of rows, `W = Σ a_i x_i` (the representer theorem), and kept as these factors `a`, which are far fewer numbers
//! than the weights of all words. There is no preconditioner: of rows of length one the diagonal makes twice the products.
//!
//! Sums are taken in an order that depends on shapes alone, and steps allocate nothing.

use rayon::prelude::*;

use super::sparse::{SparseClassifier, SparseRows};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Newton steps after which the solver is content; five to ten are usual.
const MOST_STEPS: usize = 100;
/// Products with the second derivative in one step, at most.
const MOST_PRODUCTS: usize = 500;
/// Norm of the gradient, as a share of that at zero, at which the solver stops.
const TOLERANCE: f64 = 1e-5;
/// Norm of what a step's system may leave, as a share of the gradient's, at most.
const LOOSEST: f64 = 0.25;
/// What a line search asks for, as a share of the decrease that the slope promises (Nocedal and Wright 2006, section 3.1).
const DECREASE: f64 = 1e-4;
/// Halvings of a step after which there is nothing to gain but rounding.
const HALVINGS: usize = 40;
/// Rows whose probabilities a thread takes at a time, at least.
const ROWS: usize = 64;

/// The fits of one set of rows, each of which goes on from the one before: strengths in ascending order are quickest.
pub(crate) struct SparseFits<'a> {
    system: System<'a>,
    /// The weights and intercepts.
    at: Vector,
    /// Norm of the gradient at zero.
    slope: f64,
    room: Room,
}

/// What is given.
struct System<'a> {
    rows: &'a SparseRows,
    /// The same by column.
    turned: SparseRows,
    labels: &'a [usize],
    classes: usize,
    /// Logits of each row: one for each class, or one where there are two of them.
    outputs: usize,
    observer: &'a dyn Observer,
}

/// Weights that are a sum of rows, and intercepts.
#[derive(Debug, Clone)]
struct Vector {
    /// What each row is taken times, `[rows, outputs]`.
    factors: Vec<f64>,
    /// Each row's product with the weights, `[rows, outputs]`.
    products: Vec<f64>,
    /// `[outputs]`
    intercepts: Vec<f64>,
}

impl Vector {
    fn zero(rows: usize, outputs: usize) -> Self {
        let of_rows = || vec![0.0; rows * outputs];
        Self { factors: of_rows(), products: of_rows(), intercepts: vec![0.0; outputs] }
    }

    /// The product of the weights alone.
    fn dot_weights(&self, other: &Self) -> f64 {
        dot(&self.factors, &other.products)
    }

    fn dot(&self, other: &Self) -> f64 {
        self.dot_weights(other) + dot(&self.intercepts, &other.intercepts)
    }

    /// Becomes `scale` times itself plus `of` times another.
    fn combine(&mut self, scale: f64, of: f64, other: &Self) {
        let each = |to: &mut [f64], from: &[f64]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = scale * *to + of * from);
        };
        each(&mut self.factors, &other.factors);
        each(&mut self.products, &other.products);
        each(&mut self.intercepts, &other.intercepts);
    }
}

/// What is computed at every step.
struct Room {
    /// Loss of each row.
    losses: Vec<f64>,
    /// Probabilities, `[rows, outputs]`.
    probabilities: Vec<f64>,
    /// How the gradient for each row's logits changes along a direction, over the number of rows, `[rows, outputs]`, and its sum.
    curved: Vec<f64>,
    intercepts: Vec<f64>,
    /// A sum of rows, `[columns, outputs]`.
    weights: Vec<f64>,
    gradient: Vector,
    step: Vector,
    direction: Vector,
    /// What the step's system leaves.
    rest: Vector,
}

impl<'a> SparseFits<'a> {
    /// At zero.
    ///
    /// # Panics
    /// If there is not one label for each row, or a label is not a class.
    pub(crate) fn new(rows: &'a SparseRows, labels: &'a [usize], classes: usize, observer: &'a dyn Observer) -> Self {
        assert_eq!(rows.rows(), labels.len(), "a label for each row");
        assert!(labels.iter().all(|label| *label < classes), "labels below {classes}");
        let outputs = if classes == 2 { 1 } else { classes };
        let vector = || Vector::zero(labels.len(), outputs);
        let room = Room {
            losses: vec![0.0; labels.len()],
            probabilities: vec![0.0; labels.len() * outputs],
            curved: vec![0.0; labels.len() * outputs],
            intercepts: vec![0.0; outputs],
            weights: vec![0.0; rows.columns * outputs],
            gradient: vector(),
            step: vector(),
            direction: vector(),
            rest: vector(),
        };
        let system = System { rows, turned: rows.by_column(), labels, classes, outputs, observer };
        let mut fits = Self { system, at: vector(), slope: 0.0, room };
        fits.slope = fits.linearise(0.0);
        fits
    }

    /// The classifier with strength `c`; intercepts are not pulled.
    ///
    /// # Errors
    /// Interruption, or numbers that are none.
    pub(crate) fn fit(&mut self, c: f64) -> Result<SparseClassifier> {
        let penalty = self.penalty(c);
        for _ in 0..MOST_STEPS {
            let norm = self.linearise(penalty);
            if norm <= TOLERANCE * self.slope {
                break;
            }
            self.solve_step(penalty, norm)?;
            if !self.go_along_step(penalty) {
                break;
            }
        }
        let model = self.classifier();
        match model.weights.iter().chain(&model.intercepts).all(|number| number.is_finite()) {
            true => Ok(model),
            false => Err(Error::Training(Problem::new("the sparse logistic regression gave no finite numbers"))),
        }
    }

    /// What half the sum of squares of the weights costs beside the mean loss. Of two classes each has half of the one logit's
    /// weights, so that their squares are half of its squares.
    fn penalty(&self, c: f64) -> f64 {
        let share = if self.system.is_binary() { 0.5 } else { 1.0 };
        share / (c * self.system.labels.len().max(1) as f64)
    }

    fn classifier(&mut self) -> SparseClassifier {
        let Self { system, at, room, .. } = self;
        system.sum_of_rows(&at.factors, &mut room.weights);
        let halves = |numbers: &[f64]| numbers.iter().flat_map(|number| [-0.5 * number, 0.5 * number]).collect();
        let (weights, mut intercepts): (Vec<f64>, Vec<f64>) = match system.is_binary() {
            true => (halves(&room.weights), halves(&at.intercepts)),
            false => (room.weights.clone(), at.intercepts.clone()),
        };
        // Their mean changes no probability: it is where rounding left it.
        let mean = intercepts.iter().sum::<f64>() / system.classes as f64;
        intercepts.iter_mut().for_each(|intercept| *intercept -= mean);
        SparseClassifier { classes: system.classes, weights, intercepts }
    }

    /// Losses, probabilities and gradient; the gradient's norm.
    fn linearise(&mut self, penalty: f64) -> f64 {
        let Self { system, at, room, .. } = self;
        let Room { losses, probabilities, weights, gradient, .. } = room;
        system.look(at, losses, probabilities, &mut gradient.factors);
        let n = system.labels.len() as f64;
        gradient.factors.iter_mut().for_each(|residual| *residual /= n);
        sum_of_chunks(&gradient.factors, &mut gradient.intercepts);
        gradient.factors.iter_mut().zip(&at.factors).for_each(|(to, factor)| *to += penalty * factor);
        system.products(gradient, weights);
        gradient.dot(gradient).max(0.0).sqrt()
    }

    /// Newton's step, by conjugate gradients.
    fn solve_step(&mut self, penalty: f64, norm: f64) -> Result<()> {
        let Self { system, slope, room, .. } = self;
        let Room { probabilities, curved, weights, gradient, step, direction, rest, intercepts, .. } = room;
        let enough = (norm * (norm / *slope).sqrt().min(LOOSEST)).max(0.5 * TOLERANCE * *slope);
        step.combine(0.0, 0.0, gradient);
        rest.combine(0.0, -1.0, gradient);
        direction.combine(0.0, 1.0, rest);
        let mut square = norm * norm;
        for _ in 0..MOST_PRODUCTS {
            system.observer.check()?;
            let curvature = system.curve(probabilities, direction, curved) + penalty * direction.dot_weights(direction);
            if curvature <= 0.0 || !curvature.is_finite() {
                break;
            }
            let length = square / curvature;
            step.combine(1.0, length, direction);
            for ((rest, curved), factor) in rest.factors.iter_mut().zip(&*curved).zip(&direction.factors) {
                *rest -= length * (curved + penalty * factor);
            }
            sum_of_chunks(curved, intercepts);
            rest.intercepts.iter_mut().zip(&*intercepts).for_each(|(rest, curved)| *rest -= length * curved);
            system.products(rest, weights);
            let next = rest.dot(rest).max(0.0);
            if next.sqrt() <= enough {
                break;
            }
            direction.combine(next / square, 1.0, rest);
            square = next;
        }
        Ok(())
    }

    /// Goes along the step for as long as that lowers the objective enough; whether it did.
    fn go_along_step(&mut self, penalty: f64) -> bool {
        let Self { system, at, room, .. } = self;
        let Room { losses, gradient, step, .. } = room;
        let n = system.labels.len() as f64;
        let before = losses.iter().sum::<f64>() / n;
        let (slope, across, square) = (gradient.dot(step), at.dot_weights(step), step.dot_weights(step));
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            system.losses_along(at, step, length, losses);
            let change =
                losses.iter().sum::<f64>() / n - before + penalty * (length * across + 0.5 * length * length * square);
            if change <= DECREASE * length * slope + f64::EPSILON * before {
                at.combine(1.0, length, step);
                return true;
            }
            length *= 0.5;
        }
        false
    }
}

impl System<'_> {
    fn is_binary(&self) -> bool {
        self.outputs != self.classes
    }

    /// Loss, probabilities, and probabilities minus the truth, of each row.
    fn look(&self, at: &Vector, losses: &mut [f64], probabilities: &mut [f64], residuals: &mut [f64]) {
        let out = probabilities.par_chunks_mut(self.outputs).zip(residuals.par_chunks_mut(self.outputs));
        let rows = at.products.par_chunks(self.outputs).zip(self.labels).zip(losses).zip(out).with_min_len(ROWS);
        rows.for_each(|(((logits, &label), loss), (probabilities, residuals))| {
            // The logits lie where the residuals will.
            residuals.iter_mut().zip(logits).zip(&at.intercepts).for_each(|((to, z), b)| *to = z + b);
            *loss = self.loss(residuals, label);
            if self.is_binary() {
                let (against, upper) = ((1.0 + residuals[0].exp()).recip(), (1.0 + (-residuals[0]).exp()).recip());
                probabilities[0] = upper;
                residuals[0] = if label == 1 { -against } else { upper };
                return;
            }
            let most = most(residuals);
            probabilities.iter_mut().zip(&*residuals).for_each(|(p, z)| *p = (z - most).exp());
            let sum: f64 = probabilities.iter().sum();
            probabilities.iter_mut().for_each(|p| *p /= sum);
            residuals.copy_from_slice(probabilities);
            residuals[label] -= 1.0;
        });
    }

    /// `-ln p` of a row's class.
    fn loss(&self, logits: &[f64], label: usize) -> f64 {
        if self.is_binary() {
            let against = if label == 1 { -logits[0] } else { logits[0] };
            return against.max(0.0) + (-against.abs()).exp().ln_1p();
        }
        let most = most(logits);
        logits.iter().map(|z| (z - most).exp()).sum::<f64>().ln() + most - logits[label]
    }

    /// Loss of each row after so much of a step.
    fn losses_along(&self, at: &Vector, step: &Vector, length: f64, losses: &mut [f64]) {
        let rows = at.products.par_chunks(self.outputs).zip(step.products.par_chunks(self.outputs));
        rows.zip(self.labels).zip(losses).with_min_len(ROWS).for_each_init(
            || vec![0.0; self.outputs],
            |logits, (((products, along), &label), loss)| {
                for (k, logit) in logits.iter_mut().enumerate() {
                    *logit = products[k] + at.intercepts[k] + length * (along[k] + step.intercepts[k]);
                }
                *loss = self.loss(logits, label);
            },
        );
    }

    /// How the gradient for each row's logits changes along a direction, over the number of rows; the sum of its products with
    /// the direction's logits.
    fn curve(&self, probabilities: &[f64], direction: &Vector, curved: &mut [f64]) -> f64 {
        let n = self.labels.len() as f64;
        let mut sum = 0.0;
        let rows = probabilities.chunks_exact(self.outputs).zip(direction.products.chunks_exact(self.outputs));
        for ((p, products), curved) in rows.zip(curved.chunks_exact_mut(self.outputs)) {
            curved.iter_mut().zip(products).zip(&direction.intercepts).for_each(|((to, z), b)| *to = z + b);
            // Of two classes the other one's logit stays.
            let mean = p.iter().zip(&*curved).map(|(p, z)| p * z).sum::<f64>();
            for (out, p) in curved.iter_mut().zip(p) {
                let logit = *out;
                *out = p * (logit - mean) / n;
                sum += *out * logit;
            }
        }
        sum
    }

    /// The sum of rows with these factors, `[columns, outputs]`.
    fn sum_of_rows(&self, factors: &[f64], weights: &mut [f64]) {
        product(&self.turned, factors, self.outputs, weights);
    }

    /// Sets each row's product with the weights that the factors make.
    fn products(&self, of: &mut Vector, weights: &mut [f64]) {
        self.sum_of_rows(&of.factors, weights);
        product(self.rows, weights, self.outputs, &mut of.products);
    }
}

/// Rows times `[columns, outputs]`.
fn product(rows: &SparseRows, right: &[f64], outputs: usize, out: &mut [f64]) {
    rows.each(outputs, out, &|row, out| {
        if let [out] = out {
            *out = row.iter().map(|&(at, x)| right[at as usize] * f64::from(x)).sum();
            return;
        }
        out.fill(0.0);
        for &(at, x) in row {
            let right = &right[at as usize * outputs..][..outputs];
            out.iter_mut().zip(right).for_each(|(out, right)| *out += right * f64::from(x));
        }
    });
}

fn most(values: &[f64]) -> f64 {
    values.iter().fold(f64::NEG_INFINITY, |most, &value| most.max(value))
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// The sum of chunks as long as `sum`.
fn sum_of_chunks(chunks: &[f64], sum: &mut [f64]) {
    sum.fill(0.0);
    for chunk in chunks.chunks_exact(sum.len()) {
        sum.iter_mut().zip(chunk).for_each(|(sum, number)| *sum += number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rand::RngExt;
    use serde::Deserialize;

    fn toy(n: usize, columns: usize, classes: usize) -> (SparseRows, Vec<usize>) {
        let mut stream = crate::rng::rng(5, "sparse", 0);
        let labels: Vec<usize> = (0..n).map(|at| at % classes).collect();
        let rows = labels.iter().map(|&label| {
            let mut row: Vec<(u32, f32)> = Vec::new();
            for column in 0..columns {
                if column % classes == label && stream.random::<f64>() < 0.5 || stream.random::<f64>() < 0.2 {
                    row.push((column as u32, stream.random::<f32>() + 0.1));
                }
            }
            row
        });
        (SparseRows::new(columns, rows.collect::<Vec<_>>()), labels)
    }

    /// Moves to the weights with these factors and intercepts; the objective there.
    fn objective(fits: &mut SparseFits<'_>, flat: &[f64], penalty: f64) -> f64 {
        let (factors, intercepts) = flat.split_at(fits.at.factors.len());
        fits.at.factors.copy_from_slice(factors);
        fits.at.intercepts.copy_from_slice(intercepts);
        fits.system.products(&mut fits.at, &mut fits.room.weights);
        fits.linearise(penalty);
        let mean = fits.room.losses.iter().sum::<f64>() / fits.system.labels.len() as f64;
        mean + 0.5 * penalty * fits.at.dot_weights(&fits.at)
    }

    #[test]
    fn derivatives_are_those_of_the_objective() {
        for classes in [2, 3] {
            let (rows, labels) = toy(30, 12, classes);
            let mut fits = SparseFits::new(&rows, &labels, classes, &Silent);
            let (penalty, step) = (0.01, 1e-4);
            let length = fits.at.factors.len() + fits.at.intercepts.len();
            let point: Vec<f64> = (0..length).map(|at| 0.1 * (at as f64 * 0.7).sin()).collect();
            let here = objective(&mut fits, &point, penalty);
            let gradient = fits.room.gradient.clone();
            for at in [0, 7, length / 2, length - 2, length - 1] {
                let moved = |step: f64| {
                    let mut point = point.clone();
                    point[at] += step;
                    point
                };
                let mut direction = Vector::zero(30, fits.system.outputs);
                match at.checked_sub(direction.factors.len()) {
                    Some(intercept) => direction.intercepts[intercept] = 1.0,
                    None => direction.factors[at] = 1.0,
                }
                fits.system.products(&mut direction, &mut fits.room.weights);
                let [more, less] = [step, -step].map(|step| objective(&mut fits, &moved(step), penalty));
                let slope = (more - less) / (2.0 * step);
                assert!((slope - gradient.dot(&direction)).abs() < 1e-7, "{at}: {slope}");
                objective(&mut fits, &point, penalty);
                let Room { probabilities, curved, .. } = &mut fits.room;
                let curvature = fits.system.curve(probabilities, &direction, curved);
                let curvature = curvature + penalty * direction.dot_weights(&direction);
                let measured = (more + less - 2.0 * here) / (step * step);
                assert!((curvature - measured).abs() < 1e-6, "{at}: {curvature} {measured}");
            }
        }
    }

    #[derive(Deserialize)]
    struct Case {
        classes: usize,
        columns: usize,
        rows: Vec<Vec<(u32, f32)>>,
        labels: Vec<usize>,
        fits: Vec<Golden>,
    }

    #[derive(Deserialize)]
    struct Golden {
        c: f64,
        objective: f64,
        /// `[columns, classes]`
        weights: Vec<f64>,
        intercepts: Vec<f64>,
    }

    /// The sum of losses and half the squares over `c`.
    fn total(model: &SparseClassifier, case: &Case, rows: &SparseRows, c: f64) -> f64 {
        let losses = (0..rows.rows()).map(|at| {
            let logits = model.logits(rows.row(at));
            logits.iter().map(|z| z.exp()).sum::<f64>().ln() - logits[case.labels[at]]
        });
        losses.sum::<f64>() + model.weights.iter().map(|w| w * w).sum::<f64>() / (2.0 * c)
    }

    #[test]
    fn solutions_are_those_of_scikit_learn() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/sparse.json")).unwrap();
        assert_eq!(cases.len(), 3);
        for case in &cases {
            let rows = SparseRows::new(case.columns, case.rows.iter().cloned());
            let mut path = SparseFits::new(&rows, &case.labels, case.classes, &Silent);
            for golden in &case.fits {
                let alone = SparseFits::new(&rows, &case.labels, case.classes, &Silent).fit(golden.c).unwrap();
                for model in [path.fit(golden.c).unwrap(), alone] {
                    let objective = total(&model, case, &rows, golden.c);
                    let worse = (objective - golden.objective) / golden.objective;
                    assert!(worse.abs() < 1e-7, "C = {}: {objective} {}", golden.c, golden.objective);
                    let largest = golden.weights.iter().fold(0.0f64, |most, weight| most.max(weight.abs()));
                    let ours = model.weights.iter().chain(&model.intercepts);
                    let theirs = golden.weights.iter().chain(&golden.intercepts);
                    let apart = ours.zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(apart < 1e-3 * largest, "C = {}: {apart} of {largest}", golden.c);
                }
            }
        }
    }

    #[test]
    fn neither_threads_nor_one_class_alone_matter() {
        let (rows, labels) = toy(900, 700, 5);
        let fit = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| SparseFits::new(&rows, &labels, 5, &Silent).fit(10.0).unwrap())
        };
        assert_eq!(fit(1), fit(3));
        let alone = SparseFits::new(&rows, &vec![0; 900], 1, &Silent).fit(10.0).unwrap();
        assert!(alone.weights.iter().chain(&alone.intercepts).all(|weight| *weight == 0.0));
        // A class that no row has is possible, and unlikely.
        let halves: Vec<usize> = labels.iter().map(|label| label % 2).collect();
        let model = SparseFits::new(&rows, &halves, 3, &Silent).fit(1.0).unwrap();
        assert!(crate::heads::softmax(&model.logits(rows.row(0)), 1.0)[2] < 0.01);
    }
}
