//! Findings from predictions and labels: metrics with intervals, calibration, likely label errors.
//!
//! Invariant: nothing here knows of features, models or files.

pub(crate) mod answers;
mod bleu;
mod bleu_tokenisers;
mod chrf;
pub(crate) mod classification;
pub(crate) mod conformal;
pub(crate) mod correlation;
pub(crate) mod forecast;
pub(crate) mod imbalance;
pub(crate) mod interval;
pub(crate) mod label_errors;
pub(crate) mod multi_label;
mod ngrams;
pub(crate) mod regression;
pub(crate) mod spans;
mod translation;

pub use answers::{AnswerEvaluation, AnswerPart, normalise_answer};
pub(crate) use answers::{
    AnswerScore, ScoredAnswer, SquadVersion, best_no_answer_threshold, evaluate_answers, paired_answer_f1,
};
pub use bleu::{BleuScore, BleuSettings, Smoothing};
pub use bleu_tokenisers::BleuTokeniser;
pub use chrf::ChrfSettings;
pub use classification::{CalibrationBin, ClassMetrics, Evaluation, Predictions, evaluate};
pub use conformal::Coverage;
pub(crate) use conformal::{CvPlus, coverage, out_of_fold_intervals};
pub(crate) use correlation::rank_correlation;
pub(crate) use forecast::forecast;
pub use forecast::{Forecast, Measurement, Outcome, PowerLaw};
pub use imbalance::{ClassShares, ImbalanceEvaluation, evaluate_imbalance};
pub use interval::{Estimate, Paired, Point, Share};
pub(crate) use interval::{paired_difference, wilson};
pub use label_errors::LabelError;
pub(crate) use label_errors::label_errors;
pub(crate) use multi_label::paired_map;
pub use multi_label::{LabelMetrics, LabelPredictions, MultiLabelEvaluation, evaluate_labels};
pub use regression::{RegressionEvaluation, evaluate_regression};
pub(crate) use regression::{paired_mae, spearman};
pub use spans::{Span, SpanEvaluation, TypeMetrics, spans_of};
pub(crate) use spans::{TaggedPair, evaluate_spans, paired_span_f1};
pub use translation::{
    BOOTSTRAP_RESAMPLES, RANDOMISATION_TRIALS, TranslationComparison, TranslationMetric, TranslationScore,
    TranslationStatistics,
};
