//! Projections in which the two domains' means agree: TCA and JDA with a linear kernel.

use faer::{Mat, MatRef};

use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::heads::axes::{Coordinates, PrincipalAxes};
use crate::rng::rng;
use crate::similarity::moments::{
    Affine, check, check_columns, check_labels, class_means, mean, mean_of, pooled, scatter_about,
};
use crate::similarity::sample::sample;
use crate::similarity::symmetric::{generalised, product};

/// No eigenproblem is larger than this.
const LARGEST: usize = 2048;

/// Labelled rows of the source and rows of the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BothDomains<'a> {
    pub(crate) source: &'a Features,
    /// Class of each source row.
    pub(crate) labels: &'a [usize],
    pub(crate) target: &'a Features,
    pub(crate) classes: usize,
}

/// What to project to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ComponentOptions {
    /// Most components; fewer come back where the rows have a lower rank.
    pub(crate) components: usize,
    /// The papers' `lambda`, above zero, for columns of mean variance 1: it is multiplied by the mean variance of the
    /// pooled columns. A large one gives the principal components.
    pub(crate) penalty: f64,
    /// Of the draw of rows, where they are too many.
    pub(crate) seed: u64,
}

/// A projection of both domains.
#[derive(Debug, Clone)]
pub(crate) struct Components {
    /// `(x - centre) P`, `P` of `[columns, k]`.
    pub(crate) map: Affine,
    /// The generalised eigenvalues, `[k]`, descending: variance over discrepancy plus penalty.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with references by the tests"))]
    pub(crate) eigenvalues: Vec<f64>,
}

/// Transfer component analysis (Pan, Tsang, Kwok and Yang, 2011, "Domain adaptation via transfer component analysis",
/// IEEE Trans. Neural Networks 22) with a linear kernel.
///
/// Minimises `tr(Pᵀ Xᵀ L X P) + lambda v |P|²` subject to `Pᵀ Xᵀ H X P = I`, where `X` are the rows of both domains,
/// `H` centres them, `Xᵀ L X = d dᵀ` for the difference `d` of the domains' means, and `v` is the mean variance of the
/// columns. The solution is the vectors of the largest eigenvalues of `Xᵀ H X p = m (Xᵀ L X + lambda v I) p`.
///
/// The kernel being linear, `P = Xᵀ W`: where there are at least as many columns as rows, the same problem is solved in
/// the rows' principal axes, at most `rows` of them, with the same solution. (Pan's penalty is `|W|²`, with which the two
/// forms would differ; `|P|²` is that of Long's linear form.) With more than 2,048 rows and columns a draw of 2,048 rows
/// stands for all in `Xᵀ H X`: each domain with its share, the source's classes with theirs.
pub(crate) fn tca(domains: &BothDomains, options: &ComponentOptions) -> Result<Components> {
    domains.check(options)?;
    solve(domains, &[difference(&mean(domains.source), &mean(domains.target))], options)
}

/// One round of joint distribution adaptation (Long, Wang, Ding, Sun and Yu, 2013, "Transfer feature learning with joint
/// distribution adaptation", ICCV): [`tca`], with a term `d_k d_kᵀ` more in `Xᵀ L X` for every class, of the difference of
/// the class's means in the source and, by `pseudo_labels`, in the target.
///
/// A class without an example in one of the domains has no term. The caller fits a classifier on the projected source,
/// predicts new pseudo-labels, and calls again.
pub(crate) fn jda(domains: &BothDomains, pseudo_labels: &[usize], options: &ComponentOptions) -> Result<Components> {
    domains.check(options)?;
    let mut differences = vec![difference(&mean(domains.source), &mean(domains.target))];
    let source = class_means(domains.source, domains.labels, domains.classes)?;
    let target = class_means(domains.target, pseudo_labels, domains.classes)?;
    let both = source.iter().zip(&target).filter_map(|(s, t)| Some((s.as_ref()?, t.as_ref()?)));
    differences.extend(both.map(|(s, t)| difference(s, t)));
    solve(domains, &differences, options)
}

impl BothDomains<'_> {
    fn check(&self, options: &ComponentOptions) -> Result<()> {
        check(self.source)?;
        check(self.target)?;
        check_columns(self.target, self.source.columns)?;
        check_labels(self.labels, self.source.rows, self.classes)?;
        if options.components > 0 && options.penalty.is_finite() && options.penalty > 0.0 {
            return Ok(());
        }
        Err(Error::Usage(
            Problem::new("invalid settings of the transfer components")
                .expected("at least 1 component and a finite penalty above zero")
                .found(format!("{} components and a penalty of {}", options.components, options.penalty)),
        ))
    }

    /// The rows of the source and of the target that the scatter is computed from.
    fn draw(&self, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let (n, columns) = (self.source.rows + self.target.rows, self.source.columns);
        let share = if n.min(columns) > LARGEST { LARGEST as f64 / n as f64 } else { 1.0 };
        let of = |rows: usize| ((rows as f64 * share) as usize).max(2);
        let mut stream = rng(seed, "components", 0);
        let source = sample(self.source.rows, of(self.source.rows), Some(self.labels), &mut stream);
        let target = sample(self.target.rows, of(self.target.rows), None, &mut stream);
        (source, target)
    }
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The eigenproblem for the given differences of means, each `[columns]`.
fn solve(domains: &BothDomains, differences: &[Vec<f64>], options: &ComponentOptions) -> Result<Components> {
    let columns = domains.source.columns;
    let (source, target) = domains.draw(options.seed);
    let n = source.len() + target.len();
    let differences = Mat::from_fn(columns, differences.len(), |row, at| differences[at][row]);
    let whole = n == domains.source.rows + domains.target.rows;
    let (centre, projection, eigenvalues) = if whole && n > columns {
        let (of_source, of_target) = (mean(domains.source), mean(domains.target));
        let weights = [source.len() as f64 / n as f64, target.len() as f64 / n as f64];
        let centre: Vec<f64> = of_source.iter().zip(&of_target).map(|(s, t)| weights[0] * s + weights[1] * t).collect();
        let mut scatter = scatter_about(domains.source, &centre);
        scatter += scatter_about(domains.target, &centre);
        let (values, projection) = components(&scatter, differences.as_ref(), n * columns, options)?;
        (centre, projection, values)
    } else {
        let rows = pooled(&domains.source.select(&source), &domains.target.select(&target))?;
        let all: Vec<usize> = (0..n).collect();
        let coordinates = Coordinates { centre: mean_of(&rows, &all), inverse: vec![1.0; columns] };
        let (axes, _) = PrincipalAxes::of_rows(&rows, &all, &vec![1.0; n], &coordinates)?;
        if axes.variances.is_empty() {
            return Err(no_variance());
        }
        let rank = axes.variances.len();
        let scatter = Mat::from_fn(rank, rank, |i, j| if i == j { n as f64 * axes.variances[i] } else { 0.0 });
        let turned = product(axes.basis.transpose(), differences.as_ref());
        let (values, inner) = components(&scatter, turned.as_ref(), n * columns, options)?;
        (coordinates.centre, product(axes.basis.as_ref(), inner.as_ref()), values)
    };
    let to = vec![0.0; eigenvalues.len()];
    Ok(Components { map: Affine { matrix: projection, from: centre, to }, eigenvalues })
}

/// The projection in any orthonormal axes: `scatter` is `[m, m]`, `differences` `[m, terms]`, `cells` rows times columns.
fn components(
    scatter: &Mat<f64>,
    differences: MatRef<'_, f64>,
    cells: usize,
    options: &ComponentOptions,
) -> Result<(Vec<f64>, Mat<f64>)> {
    let variance = scatter.diagonal().column_vector().iter().sum::<f64>() / cells as f64;
    if variance <= 0.0 {
        return Err(no_variance());
    }
    let mut discrepancy = product(differences, differences.transpose());
    discrepancy.diagonal_mut().column_vector_mut().iter_mut().for_each(|x| *x += options.penalty * variance);
    generalised(&discrepancy, scatter, options.components)
}

fn no_variance() -> Error {
    Error::Data(
        Problem::new("the features do not vary")
            .expected("rows that differ")
            .found("equal rows in both domains")
            .hint("look at how the features were made"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::moments::tests::normal;
    use crate::similarity::symmetric::tests::difference as gap;

    fn options(components: usize) -> ComponentOptions {
        ComponentOptions { components, penalty: 0.1, seed: 1 }
    }

    #[test]
    fn the_projected_rows_have_unit_scatter_and_nearer_means() {
        for (rows, columns) in [(150, 8), (12, 40)] {
            let (source, target) = (normal(1, rows, columns, 0.0), normal(2, rows, columns, 1.5));
            let labels: Vec<usize> = (0..rows).map(|i| i % 3).collect();
            let domains = BothDomains { source: &source, labels: &labels, target: &target, classes: 3 };
            for found in [tca(&domains, &options(4)).unwrap(), jda(&domains, &labels, &options(4)).unwrap()] {
                assert_eq!(found.eigenvalues.len(), 4);
                let both = pooled(&source, &target).unwrap();
                let scatter = scatter_about(&both, &mean(&both));
                let p = &found.map.matrix;
                let half = product(scatter.as_ref(), p.as_ref());
                assert!(gap(&product(p.transpose(), half.as_ref()), &Mat::identity(4, 4)) < 1e-8);
                let (s, t) = (mean(&found.map.apply(&source).unwrap()), mean(&found.map.apply(&target).unwrap()));
                // In standard deviations of the projected rows, which are 1/sqrt(n).
                let apart = difference(&s, &t).iter().fold(0.0f64, |most, d| most.max(d.abs()));
                assert!(apart * (2.0 * rows as f64).sqrt() < 0.5, "{rows}x{columns}: {apart}");
            }
        }
    }

    #[test]
    fn both_forms_give_the_same_projection() {
        let (source, target) = (normal(1, 15, 10, 0.0), normal(2, 12, 10, 1.0));
        let labels = vec![0; 15];
        let domains = BothDomains { source: &source, labels: &labels, target: &target, classes: 1 };
        let found = tca(&domains, &options(3)).unwrap();
        // More columns than rows, all zeros but ten: the problem is the same, the penalty's variance a fifth.
        let widen = |features: &Features| {
            let rows = (0..features.rows).flat_map(|i| features.row(i).iter().copied().chain([0.0; 40]));
            Features::new(features.rows, 50, rows.collect()).unwrap()
        };
        let (source, target) = (widen(&source), widen(&target));
        let domains = BothDomains { source: &source, target: &target, ..domains };
        let wide = tca(&domains, &ComponentOptions { penalty: 0.5, ..options(3) }).unwrap();
        let outer = |p: MatRef<'_, f64>| product(p, p.transpose());
        let inside = wide.map.matrix.get(..10, ..);
        assert!(gap(&outer(inside), &outer(found.map.matrix.as_ref())) < 1e-9);
        for (a, b) in found.eigenvalues.iter().zip(&wide.eigenvalues) {
            assert!((a - b).abs() < 1e-9 * b);
        }
    }

    #[test]
    fn many_rows_of_many_columns_are_drawn_from() {
        let (source, target) = (Features::new(3000, 0, vec![]).unwrap(), Features::new(1000, 0, vec![]).unwrap());
        let labels: Vec<usize> = (0..3000).map(|i| usize::from(i % 3 == 0)).collect();
        let (source, target) = (Features { columns: 5000, ..source }, Features { columns: 5000, ..target });
        let domains = BothDomains { source: &source, labels: &labels, target: &target, classes: 2 };
        let (s, t) = domains.draw(1);
        assert_eq!((s.len(), t.len()), (1536, 512));
        assert_eq!(s.iter().filter(|&&row| labels[row] == 1).count(), 512);
        assert_ne!(s, domains.draw(2).0);
    }

    #[test]
    fn bad_input_is_refused() {
        let (source, target) = (normal(1, 15, 4, 0.0), normal(2, 12, 4, 1.0));
        let labels = vec![0; 15];
        let domains = BothDomains { source: &source, labels: &labels, target: &target, classes: 1 };
        assert!(tca(&domains, &options(0)).is_err());
        assert!(tca(&domains, &ComponentOptions { penalty: 0.0, ..options(2) }).is_err());
        assert!(tca(&BothDomains { labels: &labels[1..], ..domains }, &options(2)).is_err());
        assert!(jda(&domains, &[1; 12], &options(2)).is_err());
        let flat = Features::new(15, 4, vec![1.0; 60]).unwrap();
        assert!(tca(&BothDomains { source: &flat, target: &flat, ..domains }, &options(2)).is_err());
        let flat = Features::new(3, 40, vec![1.0; 120]).unwrap();
        let domains = BothDomains { source: &flat, labels: &[0; 3], target: &flat, classes: 1 };
        assert!(tca(&domains, &options(2)).is_err());
        // The rank is four.
        let domains = BothDomains { source: &source, labels: &labels, target: &target, classes: 1 };
        assert_eq!(tca(&domains, &options(9)).unwrap().eigenvalues.len(), 4);
    }
}
