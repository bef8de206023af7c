//! Spans: answers cut out of paragraphs, and words tagged in texts, learnt from an encoder's tokens or from word vectors.
//!
//! Never here: a paragraph or document on both sides of a fold; a threshold chosen on what is reported.

mod drive;
mod drqa;
mod headed;
mod learn_questions;
mod learn_tags;
mod lexical;
mod questions;
mod settings;
mod stages;
mod tagging;

use std::sync::Arc;
use std::time::Instant;

use crate::backbone::text::{EncoderConfig, SentenceLayout, TextBase, TextBody};
use crate::config::SpanFit;
use crate::data::Split;
use crate::data::audit::Audit;
use crate::data::split::stratified_folds;
use crate::data::text::conll::{TaggedSet, audit_tagged, open_tagged};
use crate::data::text::squad::{QuestionSet, audit_questions, open_questions};
use crate::error::{Error, Problem, Result};
use crate::inductive::Seconds;
use crate::progress::Observer;

pub use drive::{Driven, SpanControl};
pub use drqa::{ReaderNetwork, ReaderSizes, WordReader};
pub use headed::{TokenHead, TokenReader};
pub use learn_questions::{AnyReader, MeasuredAnswers, QuestionReader};
pub use learn_tags::MeasuredTags;
pub use lexical::LexicalReader;
pub use questions::{Candidate, Cutting, EncoderReader, SpanAnswer};
pub use settings::SpanSettings;
pub use tagging::{FoundSpan, Tagger, WordTags, most_probable, word_places};

use drive::Drive;
use learn_questions::QuestionLearner;
use learn_tags::TagLearner;

/// What is known of a base beside its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanBase {
    /// Its name.
    pub id: String,
    /// SHA-256 of its weights.
    pub sha256: String,
    /// Its network.
    pub architecture: String,
    /// Its licence.
    pub licence: String,
    /// Numbers of a token or a word.
    pub width: usize,
}

/// A data set that was read and looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanIntake<S> {
    /// The examples.
    pub set: S,
    /// What is wrong with them.
    pub audit: Audit,
}

impl SpanIntake<QuestionSet> {
    /// Reads questions.
    pub fn questions(config: &SpanFit) -> Result<Self> {
        let (set, findings) = open_questions(&config.data)?;
        let audit = audit_questions(&set, findings);
        Ok(Self { set, audit })
    }
}

impl SpanIntake<TaggedSet> {
    /// Reads tagged sentences.
    pub fn tagged(config: &SpanFit) -> Result<Self> {
        let (set, findings) = open_tagged(&config.data)?;
        let audit = audit_tagged(&set, findings);
        Ok(Self { set, audit })
    }
}

/// A fit of spans.
#[derive(Debug)]
pub struct FittedSpans<S, R, M> {
    /// The settings.
    pub config: SpanFit,
    /// The data.
    pub intake: SpanIntake<S>,
    /// The base.
    pub base: SpanBase,
    /// What the encoder is, and how it is fed; none on word vectors.
    pub encoder: Option<(EncoderConfig, SentenceLayout)>,
    /// Examples trained on.
    pub train: Vec<usize>,
    /// The model and what was measured.
    pub driven: Driven<R, M>,
    /// The depth, the stage after which training begins, and what learns, in words.
    pub plan: [String; 3],
    /// Wall seconds.
    pub seconds: Seconds,
}

/// A fit of answers to questions.
pub type FittedQuestions = FittedSpans<QuestionSet, QuestionReader, MeasuredAnswers>;
/// A fit of tags.
pub type FittedTags = FittedSpans<TaggedSet, Tagger, MeasuredTags>;

/// Learns to answer questions. `each` hears the numbers of folds and splits as soon as they are known.
///
/// # Errors
/// [`Error::Data`] where there is too little to learn from, or findings are fatal; [`Error::Usage`] for settings that make no
/// sense here, and for a base of another kind.
pub fn fit_questions(
    config: &SpanFit,
    intake: SpanIntake<QuestionSet>,
    base: TextBase,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&str, &MeasuredAnswers),
) -> Result<FittedQuestions> {
    let start = Instant::now();
    let SpanIntake { set, audit } = &intake;
    audit.accept(config.strict, &config.data)?;
    let usable =
        |split: Split| -> Vec<usize> { set.of(split).into_iter().filter(|at| !audit.excluded.contains(at)).collect() };
    let train = usable(Split::Train);
    let has: Vec<usize> = train.iter().map(|&at| usize::from(!set.questions[at].answers.is_empty())).collect();
    let groups: Vec<usize> = train.iter().map(|&at| audit.groups[at]).collect();
    let folds = folds_of(config, &has, &groups, "paragraphs")?;
    if !has.contains(&1) {
        let problem = Problem::new("there is no question with an answer to learn from")
            .found(format!("{} questions", train.len()));
        return Err(Error::Data(problem.at(&config.data)));
    }
    let facts = facts_of(&base);
    let vectors;
    let (learner, encoder) = if let TextBody::Encoder(encoder) = &base.body {
        let learner = QuestionLearner::by_encoder(set, &train, config, encoder, observer)?;
        (learner, Some((encoder.config.clone(), encoder.layout.clone())))
    } else if let TextBody::Words(words) = &base.body {
        vectors = Arc::new((**words).clone());
        (QuestionLearner::by_words(set, config, &vectors)?, None)
    } else {
        return Err(wrong_base(&base, "the folder of an encoder, or a file of word vectors"));
    };
    let plan = learner.described();
    let held_out = [Split::Val, Split::Test].map(|split| (split, usable(split))).to_vec();
    let name = format!("tune/{}", plan[0]);
    let drive = Drive { train: &train, folds, held_out, budget: config.control_budget, name };
    let driven = drive.run(&learner, observer, each)?;
    drop(learner);
    let seconds = seconds_of(&driven.seconds, start);
    Ok(FittedSpans { config: config.clone(), intake, base: facts, encoder, train, driven, plan, seconds })
}

/// Learns to tag words. `each` hears the numbers of folds and splits as soon as they are known.
///
/// # Errors
/// As [`fit_questions`].
pub fn fit_tags(
    config: &SpanFit,
    intake: SpanIntake<TaggedSet>,
    base: TextBase,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&str, &MeasuredTags),
) -> Result<FittedTags> {
    let start = Instant::now();
    let SpanIntake { set, audit } = &intake;
    audit.accept(config.strict, &config.data)?;
    let usable =
        |split: Split| -> Vec<usize> { set.of(split).into_iter().filter(|at| !audit.excluded.contains(at)).collect() };
    let train = usable(Split::Train);
    // The rarest type of a sentence is what has to be spread.
    let mut counts = vec![0_usize; set.types.len()];
    train.iter().flat_map(|&at| &set.sentences[at].spans).for_each(|span| counts[span.kind] += 1);
    let rarest = |&at: &usize| {
        let kinds = set.sentences[at].spans.iter().map(|span| span.kind);
        kinds.min_by_key(|&kind| (counts[kind], kind)).map_or(0, |kind| kind + 1)
    };
    let labels: Vec<usize> = train.iter().map(rarest).collect();
    let groups: Vec<usize> = train.iter().map(|&at| audit.groups[at]).collect();
    let folds = folds_of(config, &labels, &groups, "groups of sentences")?;
    if counts.iter().all(|count| *count == 0) {
        let problem = Problem::new("there is no span to learn from").expected("tags such as B-PER").found("O alone");
        return Err(Error::Data(problem.at(&config.data)));
    }
    let facts = facts_of(&base);
    let TextBody::Encoder(encoder) = &base.body else {
        return Err(wrong_base(&base, "the folder of an encoder"));
    };
    let learner = TagLearner::new(set, &audit.groups, config, encoder, observer)?;
    let plan = learner.described();
    let held_out = [Split::Val, Split::Test].map(|split| (split, usable(split))).to_vec();
    let name = format!("tune/{}", plan[0]);
    let drive = Drive { train: &train, folds, held_out, budget: config.control_budget, name };
    let driven = drive.run(&learner, observer, each)?;
    drop(learner);
    let encoder = Some((encoder.config.clone(), encoder.layout.clone()));
    let seconds = seconds_of(&driven.seconds, start);
    Ok(FittedSpans { config: config.clone(), intake, base: facts, encoder, train, driven, plan, seconds })
}

/// The fold of each training example; groups are never cut.
fn folds_of(config: &SpanFit, labels: &[usize], groups: &[usize], what: &str) -> Result<Vec<usize>> {
    if config.folds < 2 {
        return Ok(Vec::new());
    }
    let mut different: Vec<usize> = groups.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() < config.folds {
        let problem = Problem::new("there is too little to hold anything out")
            .expected(format!("{} {what} or more", config.folds));
        let problem = problem.found(different.len()).at(&config.data);
        return Err(Error::Data(problem.hint("give more data, or fewer --folds")));
    }
    Ok(stratified_folds(labels, groups, config.folds, config.seed))
}

fn facts_of(base: &TextBase) -> SpanBase {
    SpanBase {
        id: base.id.clone(),
        sha256: base.sha256.clone(),
        architecture: base.architecture.clone(),
        licence: base.licence.clone(),
        width: if let TextBody::Encoder(encoder) = &base.body {
            encoder.config.width
        } else if let TextBody::Words(words) = &base.body {
            words.columns()
        } else {
            0
        },
    }
}

fn wrong_base(base: &TextBase, expected: &str) -> Error {
    let problem = Problem::new("spans cannot be learnt on this base").expected(expected);
    Error::Usage(problem.found(format!("{} ({})", base.id, base.architecture)))
}

fn seconds_of([training, evaluation]: &[f64; 2], start: Instant) -> Seconds {
    let total = start.elapsed().as_secs_f64();
    let features = (total - training - evaluation).max(0.0);
    Seconds { audit: 0.0, features, training: *training, evaluation: *evaluation, total }
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
