//! Learning to tag words, by an encoder.

use crate::backbone::Device;
use crate::backbone::text::{Encoded, SentenceEncoder, TextEncoder};
use crate::config::SpanFit;
use crate::data::text::conll::{TaggedSentence, TaggedSet};
use crate::error::Result;
use crate::evaluate::{Paired, Span, SpanEvaluation, TaggedPair, evaluate_spans, paired_span_f1};
use crate::inductive::spans::drive::{Learner, Variant};
use crate::inductive::spans::headed::{TokenData, TokenReader, keep_states, train_headed};
use crate::inductive::spans::settings::SpanSettings;
use crate::inductive::spans::stages::{SpanPlan, scratch_within};
use crate::inductive::spans::tagging::{FoundSpan, TagTargets, Tagger, WordTags, pieces_of};
use crate::progress::Observer;
use crate::train::Curve;

/// Spans of sentences, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredTags {
    /// The sentences.
    pub sentences: Vec<usize>,
    /// What is answered to each.
    pub answers: Vec<Vec<FoundSpan>>,
    /// Truth and answer of each.
    pub pairs: Vec<TaggedPair>,
    /// All of them together.
    pub evaluation: SpanEvaluation,
}

/// Learns from tagged sentences.
pub struct TagLearner<'a> {
    set: &'a TaggedSet,
    groups: &'a [usize],
    config: &'a SpanFit,
    settings: SpanSettings,
    base: &'a SentenceEncoder,
    /// The base's, with the dropout that was asked for.
    encoder: TextEncoder,
    plan: SpanPlan,
    targets: TagTargets,
    texts: Vec<Encoded>,
    kept: Option<Vec<Vec<f32>>>,
    limit: usize,
}

impl<'a> TagLearner<'a> {
    /// From the sentences of a set; `groups` are those of its audit.
    pub fn new(
        set: &'a TaggedSet,
        groups: &'a [usize],
        config: &'a SpanFit,
        base: &'a SentenceEncoder,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let settings = SpanSettings::of(config, false)?;
        let limit = config.max_tokens.min(base.config.longest());
        let sentences: Vec<&TaggedSentence> = set.sentences.iter().collect();
        let words: Vec<&[String]> = sentences.iter().map(|sentence| sentence.words.as_slice()).collect();
        let (pieces, texts) = pieces_of(&base.tokenizer, &words, limit)?;
        let targets = TagTargets::new(pieces, &sentences);
        let tokens = texts.iter().map(|text| text.ids.len()).sum::<usize>() / texts.len().max(1);
        let plan = SpanPlan::of(&base.encoder, &config.depth, &settings.spread, tokens.max(1))?;
        let kept = keep_states(&base.encoder, &texts, plan.plan.cut(), observer)?;
        let encoder = base.encoder.clone().with_dropout(settings.dropout);
        Ok(Self { set, groups, config, settings, base, encoder, plan, targets, texts, kept, limit })
    }

    /// What learns, in words: the depth, the stage after which training begins, and the plan.
    pub fn described(&self) -> [String; 3] {
        self.plan.described()
    }

    fn measured(&self, sentences: Vec<usize>, answers: Vec<Vec<FoundSpan>>, how: &str) -> MeasuredTags {
        let pair = |(&at, found): (&usize, &Vec<FoundSpan>)| {
            let sentence = &self.set.sentences[at];
            let spans = found.iter().map(|&FoundSpan { start, end, kind, .. }| Span { kind, start, end }).collect();
            TaggedPair::of(sentence.spans.clone(), spans, sentence.words.len())
        };
        let pairs: Vec<TaggedPair> = sentences.iter().zip(&answers).map(pair).collect();
        let groups = self.groups_of(&sentences);
        let evaluation = evaluate_spans(&pairs, &groups, &self.set.types, how, self.config.seed);
        MeasuredTags { sentences, answers, pairs, evaluation }
    }

    fn groups_of(&self, sentences: &[usize]) -> Vec<usize> {
        sentences.iter().map(|&at| self.groups[at]).collect()
    }
}

impl Learner for TagLearner<'_> {
    type Reader = Tagger;
    type Measured = MeasuredTags;

    fn train(
        &self,
        variant: Variant,
        examples: &[usize],
        validation: &[usize],
        name: &str,
        observer: &dyn Observer,
    ) -> Result<(Tagger, Curve)> {
        let random;
        let mut settings = self.settings.train.clone();
        let examples = &variant.examples(examples, self.config.seed)[..];
        let (encoder, plan, kept) = match variant {
            Variant::Transfer => (&self.encoder, self.plan.plan.clone(), self.kept.as_deref()),
            Variant::Probe => {
                settings = SpanPlan::probe_settings(&settings);
                (&self.encoder, self.plan.probe(&self.encoder), None)
            }
            Variant::Scratch { epochs, .. } => {
                settings.epochs = epochs;
                random = TextEncoder::random(self.encoder.config(), self.config.seed, &Device::flex());
                (&random, self.plan.whole(&random, &self.settings.spread), None)
            }
        };
        let own = match variant {
            Variant::Probe => keep_states(encoder, &self.texts, plan.cut(), observer)?,
            _ => None,
        };
        let data = TokenData {
            base: encoder,
            texts: &self.texts,
            targets: &self.targets,
            plan: &plan,
            padding: self.base.config.pad,
            dropout: self.settings.dropout,
            low_rank: self.settings.low_rank.filter(|_| variant == Variant::Transfer),
            kept: kept.or(own.as_deref()),
        };
        let (training, validation) = (self.targets.pieces(examples), self.targets.pieces(validation));
        let outputs = 1 + 2 * self.set.types.len();
        let (encoder, head, curve) = train_headed(data, outputs, &settings, &training, &validation, observer, name)?;
        let tokenizer = self.base.tokenizer.clone();
        Ok((Tagger { reader: TokenReader::new(encoder, head), tokenizer, limit: self.limit }, curve))
    }

    fn measure(&self, reader: &Tagger, examples: &[usize], how: &str, observer: &dyn Observer) -> Result<MeasuredTags> {
        let mut answers = Vec::with_capacity(examples.len());
        observer.begin("tagging", examples.len() as u64, "sentences");
        for &at in examples {
            observer.check()?;
            answers.push(reader.spans(&self.set.sentences[at].words)?);
            observer.advance(1);
        }
        observer.end();
        Ok(self.measured(examples.to_vec(), answers, how))
    }

    fn join(&self, parts: &[MeasuredTags], how: &str) -> MeasuredTags {
        let rows = parts.iter().flat_map(|part| part.sentences.iter().copied().zip(part.answers.iter().cloned()));
        let mut rows: Vec<(usize, Vec<FoundSpan>)> = rows.collect();
        rows.sort_by_key(|row| row.0);
        let (sentences, answers) = rows.into_iter().unzip();
        self.measured(sentences, answers, how)
    }

    fn baseline(&self, training: &[usize], examples: &[usize]) -> (String, MeasuredTags) {
        let known = WordTags::of(&training.iter().map(|&at| &self.set.sentences[at]).collect::<Vec<_>>());
        let found = |&at: &usize| {
            let spans = known.spans(&self.set.sentences[at].words).into_iter();
            spans.map(|Span { kind, start, end }| FoundSpan { start, end, kind, probability: 0.0 }).collect()
        };
        let how = "the tag that each word had most often in training";
        (how.into(), self.measured(examples.to_vec(), examples.iter().map(found).collect(), how))
    }

    fn gain(&self, ours: &MeasuredTags, theirs: &MeasuredTags) -> Result<Paired> {
        let groups = self.groups_of(&ours.sentences);
        paired_span_f1(&ours.pairs, &theirs.pairs, &groups, self.set.types.len(), self.config.seed)
    }

    fn scratch(&self, budget: f64, examples: usize) -> Option<(Variant, String)> {
        let what = "the same encoder from random numbers";
        scratch_within(budget, self.plan.step_cost, examples, &self.settings.train, what)
    }

    fn probe(&self) -> Option<String> {
        self.plan.probe_in_words()
    }
}
