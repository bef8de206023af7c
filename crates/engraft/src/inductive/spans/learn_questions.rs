//! Learning to answer questions: by an encoder, or by a reader on word vectors.

use std::sync::Arc;

use crate::backbone::Device;
use crate::backbone::text::{Encoded, SentenceEncoder, TextEncoder, WordVectors};
use crate::config::SpanFit;
use crate::data::split::stratified_folds;
use crate::data::text::squad::QuestionSet;
use crate::error::Result;
use crate::evaluate::{
    AnswerEvaluation, AnswerScore, Paired, ScoredAnswer, SquadVersion, best_no_answer_threshold, evaluate_answers,
    paired_answer_f1,
};
use crate::inductive::spans::drive::{Learner, Variant};
use crate::inductive::spans::drqa::{ReaderSizes, WordReader, train_reader};
use crate::inductive::spans::headed::{TokenData, TokenReader, keep_states, train_headed};
use crate::inductive::spans::lexical::LexicalReader;
use crate::inductive::spans::questions::{Cutting, EncoderReader, QuestionTargets, SpanAnswer};
use crate::inductive::spans::settings::SpanSettings;
use crate::inductive::spans::stages::{SpanPlan, scratch_within};
use crate::progress::Observer;
use crate::rng::rng;
use crate::train::Curve;

/// The share of the training paragraphs that chooses when not to answer, and is not trained on: one in so many.
const CALIBRATION: usize = 7;

/// A trained reader of either kind.
#[derive(Debug)]
pub enum AnyReader {
    /// On an encoder.
    Encoder(Box<EncoderReader>),
    /// On word vectors.
    Words(Box<WordReader>),
}

impl AnyReader {
    /// The answer to a question about a paragraph.
    pub fn answer(&self, question: &str, context: &str) -> Result<SpanAnswer> {
        match self {
            AnyReader::Encoder(reader) => reader.answer(question, context),
            AnyReader::Words(reader) => Ok(reader.answer(question, context)),
        }
    }
}

/// What answers questions.
#[derive(Debug)]
pub struct QuestionReader {
    /// The network.
    pub reader: AnyReader,
    /// Above this no answer is given; none where every question has one.
    pub threshold: Option<f32>,
}

/// Answers to questions, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredAnswers {
    /// The questions.
    pub questions: Vec<usize>,
    /// What is answered to each: empty for no answer.
    pub texts: Vec<String>,
    /// Probability of the best answer, and how strongly none is meant.
    pub sureness: Vec<[f32; 2]>,
    /// Exact match and F1 of each.
    pub scores: Vec<AnswerScore>,
    /// All of them together.
    pub evaluation: AnswerEvaluation,
}

/// What an encoder needs to learn.
struct OnEncoder<'a> {
    base: &'a SentenceEncoder,
    /// The base's, with the dropout that was asked for.
    encoder: TextEncoder,
    plan: SpanPlan,
    targets: QuestionTargets,
    windows: Vec<Encoded>,
    kept: Option<Vec<Vec<f32>>>,
    cutting: Cutting,
}

enum Way<'a> {
    Encoder(Box<OnEncoder<'a>>),
    Words(&'a Arc<WordVectors>, ReaderSizes),
}

/// Learns from questions of a set.
pub struct QuestionLearner<'a> {
    set: &'a QuestionSet,
    config: &'a SpanFit,
    settings: SpanSettings,
    way: Way<'a>,
}

impl<'a> QuestionLearner<'a> {
    /// By an encoder, from the questions `train`.
    pub fn by_encoder(
        set: &'a QuestionSet,
        train: &[usize],
        config: &'a SpanFit,
        base: &'a SentenceEncoder,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let settings = SpanSettings::of(config, false)?;
        let limit = config.max_tokens.min(base.config.longest());
        let cutting = Cutting { limit, stride: config.stride.min(limit / 2), longest: config.max_answer };
        let (targets, windows) = QuestionTargets::of(set, train, &base.tokenizer, &cutting)?;
        let plan = SpanPlan::of(&base.encoder, &config.depth, &settings.spread, mean_tokens(&windows))?;
        let kept = keep_states(&base.encoder, &windows, plan.plan.cut(), observer)?;
        let encoder = base.encoder.clone().with_dropout(settings.dropout);
        let way = Way::Encoder(Box::new(OnEncoder { base, encoder, plan, targets, windows, kept, cutting }));
        Ok(Self { set, config, settings, way })
    }

    /// By a reader on word vectors.
    pub fn by_words(set: &'a QuestionSet, config: &'a SpanFit, vectors: &'a Arc<WordVectors>) -> Result<Self> {
        let settings = SpanSettings::of(config, true)?;
        let sizes = ReaderSizes { columns: vectors.columns(), hidden: config.hidden, layers: config.layers };
        Ok(Self { set, config, settings, way: Way::Words(vectors, sizes) })
    }

    /// What learns, in words: the depth, the stage after which training begins, and the plan.
    pub fn described(&self) -> [String; 3] {
        match &self.way {
            Way::Encoder(on) => on.plan.described(),
            Way::Words(..) => {
                ["all".into(), "words".into(), "the word vectors are frozen, and the reader on them is trained".into()]
            }
        }
    }

    fn train_encoder(
        &self,
        on: &OnEncoder<'_>,
        variant: Variant,
        examples: &[usize],
        validation: &[usize],
        name: &str,
        observer: &dyn Observer,
    ) -> Result<(AnyReader, Curve)> {
        let random;
        let mut settings = self.settings.train.clone();
        let (encoder, plan, kept) = match variant {
            Variant::Transfer => (&on.encoder, on.plan.plan.clone(), on.kept.as_deref()),
            Variant::Probe => {
                settings = SpanPlan::probe_settings(&settings);
                (&on.encoder, on.plan.probe(&on.encoder), None)
            }
            Variant::Scratch { epochs, .. } => {
                settings.epochs = epochs;
                random = TextEncoder::random(on.encoder.config(), self.config.seed, &Device::flex());
                (&random, on.plan.whole(&random, &self.settings.spread), None)
            }
        };
        let windows = on.targets.windows(examples);
        // A probe's states are not those of the transfer's cut.
        let own = match variant {
            Variant::Probe => keep_states(encoder, &on.windows, plan.cut(), observer)?,
            _ => None,
        };
        let data = TokenData {
            base: encoder,
            texts: &on.windows,
            targets: &on.targets,
            plan: &plan,
            padding: on.base.config.pad,
            dropout: 0.0,
            low_rank: self.settings.low_rank.filter(|_| variant == Variant::Transfer),
            kept: kept.or(own.as_deref()),
        };
        let validation = on.targets.windows(validation);
        let (encoder, head, curve) = train_headed(data, 2, &settings, &windows, &validation, observer, name)?;
        let reader = EncoderReader {
            reader: TokenReader::new(encoder, head),
            tokenizer: on.base.tokenizer.clone(),
            cutting: on.cutting,
            may_refuse: self.set.version == SquadVersion::V2,
        };
        Ok((AnyReader::Encoder(Box::new(reader)), curve))
    }

    fn train_words(
        &self,
        (vectors, sizes): (&Arc<WordVectors>, ReaderSizes),
        variant: Variant,
        examples: &[usize],
        validation: &[usize],
        name: &str,
        observer: &dyn Observer,
    ) -> Result<(AnyReader, Curve)> {
        let mut settings = self.settings.train.clone();
        let vectors = match variant {
            Variant::Scratch { epochs, .. } => {
                settings.epochs = epochs;
                Arc::new(random_vectors(vectors, self.config.seed)?)
            }
            _ => Arc::clone(vectors),
        };
        let dropout = self.settings.dropout;
        let (network, curve) =
            train_reader(self.set, &vectors, sizes, &settings, dropout, examples, validation, observer, name)?;
        let longest = self.config.max_answer;
        Ok((AnyReader::Words(Box::new(WordReader { network, sizes, vectors, longest })), curve))
    }

    fn trained(
        &self,
        variant: Variant,
        examples: &[usize],
        validation: &[usize],
        name: &str,
        observer: &dyn Observer,
    ) -> Result<(AnyReader, Curve)> {
        match &self.way {
            Way::Encoder(on) => self.train_encoder(on, variant, examples, validation, name, observer),
            Way::Words(vectors, sizes) => {
                self.train_words((vectors, *sizes), variant, examples, validation, name, observer)
            }
        }
    }

    fn measured(
        &self,
        questions: Vec<usize>,
        texts: Vec<String>,
        sureness: Vec<[f32; 2]>,
        how: &str,
    ) -> MeasuredAnswers {
        let score = |(&at, text): (&usize, &String)| AnswerScore::of(text, &self.set.golds(at), self.set.version);
        let scores: Vec<AnswerScore> = questions.iter().zip(&texts).map(score).collect();
        let has: Vec<bool> = questions.iter().map(|&at| !self.set.questions[at].answers.is_empty()).collect();
        let evaluation = evaluate_answers(&scores, &has, &self.groups(&questions), how, self.config.seed);
        MeasuredAnswers { questions, texts, sureness, scores, evaluation }
    }

    fn groups(&self, questions: &[usize]) -> Vec<usize> {
        questions.iter().map(|&at| self.set.questions[at].context).collect()
    }

    /// The threshold that answers these questions best.
    fn threshold(&self, reader: &AnyReader, questions: &[usize], observer: &dyn Observer) -> Result<f32> {
        let mut scored = Vec::with_capacity(questions.len());
        for &at in questions {
            observer.check()?;
            let question = &self.set.questions[at];
            let answer = reader.answer(&question.text, self.set.context(at))?;
            let text = answer.text(self.set.context(at), None);
            scored.push(ScoredAnswer {
                score: AnswerScore::of(text, &self.set.golds(at), SquadVersion::V2).f1,
                answered: !text.is_empty(),
                has_answer: !question.answers.is_empty(),
                no_answer: f64::from(answer.no_answer),
            });
        }
        Ok(best_no_answer_threshold(&scored).1 as f32)
    }
}

impl Learner for QuestionLearner<'_> {
    type Reader = QuestionReader;
    type Measured = MeasuredAnswers;

    fn train(
        &self,
        variant: Variant,
        examples: &[usize],
        validation: &[usize],
        name: &str,
        observer: &dyn Observer,
    ) -> Result<(QuestionReader, Curve)> {
        let examples = &variant.examples(examples, self.config.seed)[..];
        if self.set.version == SquadVersion::V1 {
            let (reader, curve) = self.trained(variant, examples, validation, name, observer)?;
            return Ok((QuestionReader { reader, threshold: None }, curve));
        }
        let has: Vec<usize> =
            examples.iter().map(|&at| usize::from(!self.set.questions[at].answers.is_empty())).collect();
        let folds = stratified_folds(&has, &self.groups(examples), CALIBRATION, self.config.seed);
        let part = |inside: bool| -> Vec<usize> {
            examples.iter().zip(&folds).filter(|(_, fold)| (**fold == 0) == inside).map(|(at, _)| *at).collect()
        };
        let (reader, curve) = self.trained(variant, &part(false), validation, name, observer)?;
        let threshold = self.threshold(&reader, &part(true), observer)?;
        Ok((QuestionReader { reader, threshold: Some(threshold) }, curve))
    }

    fn measure(
        &self,
        reader: &QuestionReader,
        examples: &[usize],
        how: &str,
        observer: &dyn Observer,
    ) -> Result<MeasuredAnswers> {
        let (mut texts, mut sureness) = (Vec::with_capacity(examples.len()), Vec::with_capacity(examples.len()));
        observer.begin("answering", examples.len() as u64, "questions");
        for &at in examples {
            observer.check()?;
            let context = self.set.context(at);
            let answer = reader.reader.answer(&self.set.questions[at].text, context)?;
            texts.push(answer.text(context, reader.threshold).to_owned());
            sureness.push([answer.probability, answer.no_answer]);
            observer.advance(1);
        }
        observer.end();
        Ok(self.measured(examples.to_vec(), texts, sureness, how))
    }

    fn join(&self, parts: &[MeasuredAnswers], how: &str) -> MeasuredAnswers {
        let mut rows: Vec<(usize, String, [f32; 2])> = Vec::new();
        for part in parts {
            let answers = part.texts.iter().cloned().zip(&part.sureness);
            rows.extend(part.questions.iter().zip(answers).map(|(&at, (text, sureness))| (at, text, *sureness)));
        }
        rows.sort_by_key(|row| row.0);
        let questions = rows.iter().map(|row| row.0).collect();
        let sureness = rows.iter().map(|row| row.2).collect();
        self.measured(questions, rows.into_iter().map(|row| row.1).collect(), sureness, how)
    }

    fn baseline(&self, training: &[usize], examples: &[usize]) -> (String, MeasuredAnswers) {
        let mut contexts: Vec<usize> = self.groups(training);
        contexts.sort_unstable();
        contexts.dedup();
        let lexical = LexicalReader::of(contexts.into_iter().map(|at| self.set.contexts[at].as_str()));
        let answer = |&at: &usize| {
            let context = self.set.context(at);
            lexical
                .answer(&self.set.questions[at].text, context)
                .map_or_else(String::new, |range| context[range].to_owned())
        };
        let how = "the words that were not asked about, in the sentence that shares most with the question";
        let texts = examples.iter().map(answer).collect();
        (how.into(), self.measured(examples.to_vec(), texts, vec![[0.0; 2]; examples.len()], how))
    }

    fn gain(&self, ours: &MeasuredAnswers, theirs: &MeasuredAnswers) -> Result<Paired> {
        paired_answer_f1(&ours.scores, &theirs.scores, &self.groups(&ours.questions), self.config.seed)
    }

    fn scratch(&self, budget: f64, examples: usize) -> Option<(Variant, String)> {
        let (cost, what) = match &self.way {
            Way::Encoder(on) => {
                let windows = on.windows.len() as f64 / self.set.questions.len().max(1) as f64;
                (on.plan.step_cost * windows.max(1.0), "the same encoder from random numbers")
            }
            // Every word by every matrix; three passes for a step.
            Way::Words(_, sizes) => (3.0 * 150.0 * sizes.multiply_adds(), "the same reader on random word vectors"),
        };
        scratch_within(budget, cost, examples, &self.settings.train, what)
    }

    fn probe(&self) -> Option<String> {
        match &self.way {
            Way::Encoder(on) => on.plan.probe_in_words(),
            Way::Words(..) => None,
        }
    }
}

fn mean_tokens(texts: &[Encoded]) -> usize {
    (texts.iter().map(|text| text.ids.len()).sum::<usize>() / texts.len().max(1)).max(1)
}

/// Vectors of the same words with random numbers of the same spread: what the reader gives without what they know.
fn random_vectors(vectors: &WordVectors, seed: u64) -> Result<WordVectors> {
    use rand_distr::{Distribution, StandardNormal};
    let values = vectors.values();
    let spread = (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt();
    let mut stream = rng(seed, "init/random-vectors", 0);
    let draw = |_| {
        let value: f64 = StandardNormal.sample(&mut stream);
        (value * spread) as f32
    };
    let random = (0..values.len()).map(draw).collect();
    WordVectors::new(vectors.words().map(str::to_owned).collect(), vectors.columns(), random)
}
