//! `report.json` of a run on spans: answers to questions, or tagged words. What [`Report`](super::Report) has too has the same
//! name here.

use serde::{Deserialize, Serialize};

use super::report::{BaseReport, SCHEMA, SecondsReport};
use crate::artefact::save::peak_memory_mb;
use crate::config::SpanFit;
use crate::data::Split;
use crate::data::audit::Audit;
use crate::data::text::conll::TaggedSet;
use crate::data::text::squad::QuestionSet;
use crate::error::printable;
use crate::evaluate::{AnswerEvaluation, Estimate, Paired, Span, SpanEvaluation};
use crate::inductive::spans::{
    Driven, FittedQuestions, FittedSpans, FittedTags, MeasuredAnswers, MeasuredTags, SpanControl,
};

/// Mistakes that a report lists.
const LISTED: usize = 100;
/// The task of a run that answers questions, in `model.json` and `report.json`.
pub const QUESTIONS: &str = "question-answering";
/// The task of a run that tags words.
pub const TAGS: &str = "token-tagging";

/// Everything that a run on spans found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanReport {
    /// Version of the shapes.
    pub schema: u32,
    /// The command.
    pub command: String,
    /// Version of the program.
    pub version: String,
    /// `question-answering` or `token-tagging`.
    pub task: String,
    /// The base.
    pub base: BaseReport,
    /// The data.
    pub data: SpanDataReport,
    /// What learns, and why.
    pub choice: SpanChoice,
    /// Out-of-fold exact match and F1 of answers; absent where there were no folds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerEvaluation>,
    /// Out-of-fold precision, recall and F1 of spans; absent where there were no folds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanEvaluation>,
    /// Splits that were given as held out, looked at once.
    pub held_out: Vec<SpanHeldOut>,
    /// What else one would get.
    pub controls: SpanControls,
    /// Whether the transfer helped.
    pub verdict: String,
    /// Wrong answers to questions, the most confident first: of a held-out split, or else out-of-fold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<AnswerMistake>,
    /// Sentences whose spans are wrong, those with the most wrong ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong_spans: Vec<SpanMistake>,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: SpanFit,
    /// Wall seconds.
    pub seconds: SecondsReport,
    /// Largest resident memory of the process, in megabytes.
    pub peak_memory_mb: f64,
}

/// The data of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanDataReport {
    /// Where it was, as given.
    pub path: String,
    /// Questions or sentences, excluded ones included.
    pub examples: usize,
    /// Those trained on.
    pub train: usize,
    /// Paragraphs; of tagged words the documents or different sentences.
    pub groups: usize,
    /// Types of spans; none for answers.
    pub classes: Vec<String>,
    /// SHA-256 over everything that was read.
    pub fingerprint: String,
    /// What is wrong with it.
    pub audit: Audit,
}

/// What learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanChoice {
    /// `head`, `last`, `half`, `all`, or a stage.
    pub depth: String,
    /// The stage after which training begins; empty where it begins at the input.
    pub cut: String,
    /// Why there.
    pub reason: String,
    /// What learns, and at which share of the rate.
    pub plan: String,
    /// Above this no answer is given; absent where every question has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer_threshold: Option<f32>,
}

/// A held-out split, looked at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanHeldOut {
    /// `val` or `test`.
    pub split: String,
    /// Exact match and F1 of answers.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerEvaluation>,
    /// Precision, recall and F1 of spans.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanEvaluation>,
}

impl SpanHeldOut {
    /// The measure that is compared: F1.
    pub fn f1(&self) -> Option<&Estimate> {
        self.answers.as_ref().map(|answers| &answers.f1).or(self.spans.as_ref().map(|spans| &spans.span_f1))
    }
}

/// What else one would get, on the same examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanControls {
    /// Where they were measured: a held-out split, or the first fold.
    pub ground: String,
    /// The transfer's F1 there.
    pub transfer: Estimate,
    /// The same from random numbers; absent where the budget was too small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<SpanControlReport>,
    /// A new head alone, on the frozen base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<SpanControlReport>,
    /// What needs no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<SpanControlReport>,
}

/// A control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanControlReport {
    /// Its F1.
    pub f1: Estimate,
    /// How it was made, in words.
    pub how: String,
    /// The transfer's F1 minus its, on the same examples.
    pub paired: Paired,
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerMistake {
    /// The question's name.
    pub id: String,
    /// What was asked.
    pub question: String,
    /// The paragraph.
    pub context: String,
    /// The right answers; none where there is none.
    pub answers: Vec<String>,
    /// What was answered; empty for no answer.
    pub answer: String,
    /// Its F1.
    pub f1: f64,
    /// Probability of the answer.
    pub probability: f32,
}

/// A sentence whose spans are wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanMistake {
    /// The sentence.
    pub name: String,
    /// Its words.
    pub words: Vec<String>,
    /// Its spans that were not found.
    pub missed: Vec<NamedSpan>,
    /// Spans that were found and are none.
    pub invented: Vec<NamedSpan>,
    /// Spans that are right.
    pub right: Vec<NamedSpan>,
}

/// A span by its words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedSpan {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its first word.
    pub start: usize,
    /// The word after its last.
    pub end: usize,
}

/// The report of a fit of answers.
pub fn build_question_report(fitted: &FittedQuestions) -> SpanReport {
    let set = &fitted.intake.set;
    let shown = shown(&fitted.driven);
    let mut report = frame(fitted, QUESTIONS, set.contexts.len(), set.fingerprint(), |m| &m.evaluation.f1);
    report.choice.no_answer_threshold = fitted.driven.reader.threshold;
    report.answers = fitted.driven.out_of_fold.as_ref().map(|measured| measured.evaluation.clone());
    report.held_out = held_out(&fitted.driven, |measured| (Some(measured.evaluation.clone()), None));
    report.mistakes = answer_mistakes(set, shown);
    report
}

/// The report of a fit of tags.
pub fn build_tag_report(fitted: &FittedTags) -> SpanReport {
    let set = &fitted.intake.set;
    let mut groups = fitted.intake.audit.groups.clone();
    groups.sort_unstable();
    groups.dedup();
    let mut report = frame(fitted, TAGS, groups.len(), set.fingerprint(), |m| &m.evaluation.span_f1);
    report.data.classes = set.types.clone();
    report.spans = fitted.driven.out_of_fold.as_ref().map(|measured| measured.evaluation.clone());
    report.held_out = held_out(&fitted.driven, |measured| (None, Some(measured.evaluation.clone())));
    report.wrong_spans = span_mistakes(set, shown(&fitted.driven));
    report
}

/// The answers whose mistakes are shown: those of a held-out split, `test` before any other, or else out-of-fold.
fn shown<R, M>(driven: &Driven<R, M>) -> &M {
    let test = driven.held_out.iter().find(|(split, _)| *split == Split::Test).or(driven.held_out.first());
    test.map(|(_, measured)| measured).or(driven.out_of_fold.as_ref()).unwrap_or(&driven.on_ground)
}

fn held_out<R, M>(
    driven: &Driven<R, M>,
    evaluation: impl Fn(&M) -> (Option<AnswerEvaluation>, Option<SpanEvaluation>),
) -> Vec<SpanHeldOut> {
    let of = |(split, measured): &(Split, M)| {
        let (answers, spans) = evaluation(measured);
        SpanHeldOut { split: split.name().into(), answers, spans }
    };
    driven.held_out.iter().map(of).collect()
}

/// What the reports of both tasks have in common.
fn frame<S, R, M>(
    fitted: &FittedSpans<S, R, M>,
    task: &str,
    groups: usize,
    fingerprint: String,
    f1: impl Fn(&M) -> &Estimate,
) -> SpanReport {
    let FittedSpans { config, intake, base, train, driven, plan, seconds, .. } = fitted;
    let control = |name: &str| {
        let of = |control: &SpanControl<M>| SpanControlReport {
            f1: f1(&control.measured).clone(),
            how: control.how.clone(),
            paired: control.paired.clone(),
        };
        driven.controls.iter().find(|control| control.name == name).map(of)
    };
    let scratch = control("scratch");
    let verdict = match &scratch {
        Some(scratch) => scratch.paired.verdict.clone(),
        None => "not measured: the budget of the control from scratch is too small".into(),
    };
    let [depth, cut, plan] = plan.clone();
    let reason = match fitted.encoder {
        Some(_) => format!("--depth {depth}"),
        None => "word vectors stay as they are".into(),
    };
    SpanReport {
        schema: SCHEMA,
        command: "fit".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        task: task.into(),
        base: BaseReport {
            id: base.id.clone(),
            sha256: base.sha256.clone(),
            architecture: base.architecture.clone(),
            licence: base.licence.clone(),
            features: base.width,
        },
        data: SpanDataReport {
            path: printable(&config.data),
            examples: intake.audit.examples,
            train: train.len(),
            groups,
            classes: Vec::new(),
            fingerprint,
            audit: intake.audit.clone(),
        },
        choice: SpanChoice { depth, cut, reason, plan, no_answer_threshold: None },
        answers: None,
        spans: None,
        held_out: Vec::new(),
        controls: SpanControls {
            ground: driven.ground.clone(),
            transfer: f1(&driven.on_ground).clone(),
            scratch,
            probe: control("probe"),
            baseline: control("baseline"),
        },
        verdict,
        mistakes: Vec::new(),
        wrong_spans: Vec::new(),
        seed: config.seed,
        config: config.clone(),
        seconds: (*seconds).into(),
        peak_memory_mb: peak_memory_mb(),
    }
}

fn answer_mistakes(set: &QuestionSet, measured: &MeasuredAnswers) -> Vec<AnswerMistake> {
    let mut wrong: Vec<usize> = (0..measured.questions.len()).filter(|&row| measured.scores[row].em == 0.0).collect();
    // What is wholly wrong before what is half right, then the surest.
    wrong.sort_by(|&a, &b| {
        let (left, right) = (measured.scores[a].f1, measured.scores[b].f1);
        left.total_cmp(&right).then(measured.sureness[b][0].total_cmp(&measured.sureness[a][0])).then(a.cmp(&b))
    });
    let mistake = |row: usize| {
        let at = measured.questions[row];
        AnswerMistake {
            id: set.questions[at].id.clone(),
            question: set.questions[at].text.clone(),
            context: set.context(at).to_owned(),
            answers: set.golds(at).into_iter().map(str::to_owned).collect(),
            answer: measured.texts[row].clone(),
            f1: measured.scores[row].f1,
            probability: measured.sureness[row][0],
        }
    };
    wrong.into_iter().take(LISTED).map(mistake).collect()
}

fn span_mistakes(set: &TaggedSet, measured: &MeasuredTags) -> Vec<SpanMistake> {
    let named = |span: &Span| NamedSpan { kind: set.types[span.kind].clone(), start: span.start, end: span.end };
    let mistake = |(&at, pair): (&usize, &crate::evaluate::TaggedPair)| {
        let sentence = &set.sentences[at];
        let (right, missed): (Vec<&Span>, Vec<&Span>) = pair.truth.iter().partition(|span| pair.answer.contains(span));
        let invented = pair.answer.iter().filter(|span| !pair.truth.contains(span));
        SpanMistake {
            name: sentence.name.clone(),
            words: sentence.words.clone(),
            missed: missed.into_iter().map(named).collect(),
            invented: invented.map(named).collect(),
            right: right.into_iter().map(named).collect(),
        }
    };
    let mut wrong: Vec<SpanMistake> = measured.sentences.iter().zip(&measured.pairs).map(mistake).collect();
    wrong.retain(|mistake| !mistake.missed.is_empty() || !mistake.invented.is_empty());
    wrong.sort_by_key(|mistake| std::cmp::Reverse(mistake.missed.len() + mistake.invented.len()));
    wrong.truncate(LISTED);
    wrong
}
