//! Unsupervised domain adaptation in closed form, on features: labelled examples of a source domain, unlabelled
//! examples of a target domain.
//!
//! | file | what it gives |
//! |---|---|
//! | `mmd`, `two_sample` | whether the domains differ |
//! | `coral`, `transport` | an affine map of the source's rows to the target's mean and covariance |
//! | `components` | a projection of both domains in which their means agree |
//! | `importance` | a weight for each source row (covariate shift) |
//! | `calibration`, `prior`, `confusion` | the target's class shares (label shift) |
//!
//! Nothing here reads a label of the target. Matrices are computed in f64 on one thread or as a fixed number of partial
//! sums: a result does not depend on the number of threads.

#![cfg_attr(not(test), expect(dead_code, reason = "called by the job of adaptation"))]

pub(crate) mod calibration;
pub(crate) mod components;
pub(crate) mod confusion;
pub(crate) mod coral;
#[cfg(test)]
mod fixture_tests;
pub(crate) mod importance;
pub(crate) mod mmd;
pub(crate) mod moments;
pub(crate) mod prior;
mod sample;
mod symmetric;
pub(crate) mod transport;
pub(crate) mod two_sample;
