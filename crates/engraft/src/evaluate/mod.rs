//! Findings from predictions and labels: metrics with intervals, calibration, likely label errors.
//!
//! Invariant: nothing here knows of features, models or files.

pub mod conformal;
pub mod forecast;
pub mod imbalance;
pub mod interval;
pub mod label_errors;
pub mod metrics;
pub mod multi_label;
pub mod regression;

pub use conformal::{Coverage, CvPlus, coverage, out_of_fold_intervals};
pub use forecast::{Forecast, Measurement, Outcome, PowerLaw, forecast};
pub use imbalance::{ClassShares, ImbalanceEvaluation, evaluate_imbalance};
pub use interval::{Estimate, Paired, Share, bootstrap, paired_difference, paired_gain, wilson};
pub use label_errors::{LabelError, label_errors};
pub use metrics::{CalibrationBin, ClassMetrics, Evaluation, Predictions, evaluate};
pub use multi_label::{LabelMetrics, LabelPredictions, MultiLabelEvaluation, evaluate_labels, paired_map};
pub use regression::{RegressionEvaluation, evaluate_regression, paired_mae};
