//! Findings from predictions and labels: metrics with intervals, calibration, likely label errors.
//!
//! Invariant: nothing here knows of features, models or files.

pub mod answers;
pub mod conformal;
pub mod forecast;
pub mod imbalance;
pub mod interval;
pub mod label_errors;
pub mod metrics;
pub mod multi_label;
pub mod regression;
pub mod spans;

pub use answers::{
    AnswerEvaluation, AnswerPart, AnswerScore, ScoredAnswer, SquadVersion, best_no_answer_threshold, evaluate_answers,
    normalise_answer, paired_answer_f1,
};
pub use conformal::{Coverage, CvPlus, coverage, out_of_fold_intervals};
pub use forecast::{Forecast, Measurement, Outcome, PowerLaw, forecast};
pub use imbalance::{ClassShares, ImbalanceEvaluation, evaluate_imbalance};
pub use interval::{Estimate, Paired, Share, bootstrap, paired_difference, paired_gain, wilson};
pub use label_errors::{LabelError, label_errors};
pub use metrics::{CalibrationBin, ClassMetrics, Evaluation, Predictions, evaluate};
pub use multi_label::{LabelMetrics, LabelPredictions, MultiLabelEvaluation, evaluate_labels, paired_map};
pub use regression::{RegressionEvaluation, evaluate_regression, paired_mae};
pub use spans::{Span, SpanEvaluation, TaggedPair, TypeMetrics, evaluate_spans, paired_span_f1, spans_of};
