//! Findings from predictions and labels: metrics with intervals, calibration, likely label errors.
//!
//! Invariant: nothing here knows of features, models or files.

pub mod forecast;
pub mod interval;
pub mod label_errors;
pub mod metrics;

pub use forecast::{Forecast, Measurement, Outcome, PowerLaw, forecast};
pub use interval::{Estimate, Paired, bootstrap, paired_difference, wilson};
pub use label_errors::{LabelError, label_errors};
pub use metrics::{CalibrationBin, ClassMetrics, Evaluation, Predictions, evaluate};
