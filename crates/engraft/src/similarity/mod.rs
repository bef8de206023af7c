//! How alike two sets of features are: what is asked before any training.
//!
//! | file | what it gives |
//! |---|---|
//! | `two_sample` | how well a classifier tells two sets apart, row by row |
//! | `permuted` | whether it does so by more than chance, exactly |
//! | `mmd` | the maximum mean discrepancy |
//! | `frechet` | the Fréchet distance |
//! | `differences`, `class_shares` | which examples and classes differ, and whether in content or in shares alone |
//! | `marginals` | which columns, each alone, are distributed otherwise |
//! | `moments`, `symmetric`, `sample` | means, covariances, affine maps; symmetric matrices; some of many rows |
//! | `importance` | density ratios of rows, and the effective sample size that they leave |
//!
//! Never here: a file, an example, a base. Matrices are computed in f64 on one thread or as a fixed number of partial sums: a
//! result does not depend on the number of threads.

pub(crate) mod class_shares;
pub(crate) mod differences;
#[cfg(test)]
pub(crate) mod fixture_tests;
pub(crate) mod frechet;
pub(crate) mod importance;
pub(crate) mod marginals;
pub(crate) mod mmd;
pub(crate) mod moments;
pub(crate) mod permuted;
#[cfg(test)]
#[path = "../../tests/reference/mod.rs"]
pub(crate) mod reference;
pub(crate) mod sample;
#[cfg(test)]
mod simulation_tests;
pub(crate) mod symmetric;
pub(crate) mod two_sample;
