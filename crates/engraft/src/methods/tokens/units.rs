//! Sentences and questions as an encoder reads them: units of tokens, and what each token is to give.

use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::log_softmax;

use super::cutting::Cutting;
use crate::bases::text::{Encoded, TextBase, TextBody, Tokenizer};
use crate::data::intake::{Content, Intake};
use crate::data::text::Text;
use crate::data::text::conll::tags_of;
use crate::error::Result;
use crate::heads::ReaderPair;
use crate::targets::NEVER;
use crate::train::{ShardLoss, argmax};

/// An example whose tokens are looked at.
#[derive(Debug, Clone, Copy)]
pub enum TokenExample<'a> {
    /// The words of a sentence.
    Words(&'a [String]),
    /// A question about a paragraph.
    Question {
        /// What is asked.
        question: &'a str,
        /// The paragraph.
        context: &'a str,
    },
}

/// What the tokens of a unit are to give.
#[derive(Debug, Clone, PartialEq)]
enum Aim {
    /// Tokens and their tags; none for what is not a word's first sub-word.
    Tags(Vec<(usize, usize)>),
    /// The first and last token that may be part of an answer, and those of the answer: the first token of all where the
    /// window has none.
    Span { allowed: (usize, usize), span: (usize, usize) },
}

/// The examples of a training set as a base reads them.
pub struct TokenSet<'a> {
    /// The examples.
    pub(crate) examples: Vec<TokenExample<'a>>,
    /// Each as a text, or a pair of texts.
    pub(crate) texts: Vec<&'a Text>,
    /// How they are cut.
    pub(crate) cutting: Cutting,
    /// What an encoder reads, unit by unit.
    pub(crate) encoded: Vec<Encoded>,
    /// The example of each unit, ascending.
    owners: Vec<usize>,
    aims: Vec<Aim>,
    /// What a reader on word vectors reads of each example that can be learnt from.
    pub(crate) pairs: Vec<Option<ReaderPair>>,
    names: Vec<&'a str>,
}

impl<'a> TokenSet<'a> {
    /// Of some examples of data that has tokens; nothing of other data.
    ///
    /// # Errors
    /// What the base's tokenizer refuses.
    pub fn new(base: &TextBase, intake: &'a Intake, which: &[usize], cutting: Cutting) -> Result<Option<Self>> {
        if !intake.kind().is_of_tokens() {
            return Ok(None);
        }
        let mut set = Self {
            examples: Vec::with_capacity(which.len()),
            texts: intake.texts_of(which),
            cutting,
            encoded: Vec::new(),
            owners: Vec::new(),
            aims: Vec::new(),
            pairs: Vec::new(),
            names: which.iter().map(|&index| intake.dataset.examples[index].name.as_str()).collect(),
        };
        for (at, &index) in which.iter().enumerate() {
            match &intake.content {
                Content::Words(sentences, _) => {
                    let sentence = &sentences.sentences[index];
                    set.examples.push(TokenExample::Words(&sentence.words));
                    let TextBody::Encoder(encoder) = &base.body else { continue };
                    let tags = tags_of(&sentence.spans, sentence.words.len());
                    for ((first, tokens), encoded) in pieces_of(&encoder.tokenizer, &sentence.words, cutting.limit)? {
                        let words = tokens.iter().enumerate();
                        let aims = words.filter_map(|(word, token)| Some(((*token)?, tags[first + word]))).collect();
                        set.push(at, encoded, Aim::Tags(aims));
                    }
                }
                Content::Questions(questions, _) => {
                    let question = &questions.questions[index];
                    let context = questions.context(index);
                    set.examples.push(TokenExample::Question { question: &question.text, context });
                    let gold = question.answers.first().map(|gold| (gold.start, gold.start + gold.text.len()));
                    match &base.body {
                        TextBody::Encoder(encoder) => {
                            let (limit, stride) = (cutting.limit, cutting.stride);
                            for window in encoder.tokenizer.windows(&question.text, context, limit, stride)? {
                                let Some(allowed) = context_tokens(&window) else { continue };
                                let span = gold.and_then(|(start, end)| answer_tokens(&window, start, end));
                                set.push(at, window, Aim::Span { allowed, span: span.unwrap_or((0, 0)) });
                            }
                        }
                        // Only what has an answer can be learnt from, and only what has words.
                        TextBody::Words(vectors) => set.pairs.push(gold.and_then(|(start, end)| {
                            let mut pair = ReaderPair::of(&question.text, context, vectors)?;
                            pair.span = Some(pair.words_of(start, end)?);
                            Some(pair)
                        })),
                        TextBody::Lstm(_) | TextBody::TfIdf(_) => {}
                    }
                }
                _ => unreachable!("only words and questions have tokens"),
            }
        }
        Ok(Some(set))
    }

    fn push(&mut self, owner: usize, encoded: Encoded, aim: Aim) {
        self.owners.push(owner);
        self.encoded.push(encoded);
        self.aims.push(aim);
    }

    /// Mean tokens of a unit.
    pub(crate) fn tokens(&self) -> usize {
        let tokens: usize = self.encoded.iter().map(|unit| unit.ids.len()).sum();
        (tokens / self.encoded.len().max(1)).max(2)
    }

    /// Units of an example, on average.
    pub(crate) fn units_of_each(&self) -> f64 {
        (self.encoded.len() as f64 / self.examples.len().max(1) as f64).max(1.0)
    }

    /// The units of some examples.
    pub(crate) fn units(&self, of: &[usize]) -> Vec<usize> {
        let wanted: std::collections::BTreeSet<usize> = of.iter().copied().collect();
        (0..self.owners.len()).filter(|&unit| wanted.contains(&self.owners[unit])).collect()
    }

    /// A unit in words.
    pub(crate) fn describe(&self, unit: usize) -> String {
        self.name(self.owners[unit])
    }

    /// An example in words.
    pub(crate) fn name(&self, example: usize) -> String {
        format!("“{}”", self.names[example])
    }

    /// The loss of logits `[N, T, outputs]` of some units, mean over them, and how many were answered rightly. Tokens after a
    /// unit's own are padding.
    pub(crate) fn loss(&self, logits: Tensor<3>, units: &[usize]) -> ShardLoss {
        match units.first().map(|&unit| &self.aims[unit]) {
            Some(Aim::Span { .. }) => self.loss_of_spans(logits, units),
            _ => self.loss_of_tags(logits, units),
        }
    }

    fn loss_of_tags(&self, logits: Tensor<3>, units: &[usize]) -> ShardLoss {
        let [n, steps, outputs] = logits.dims();
        let logits = logits.reshape([n * steps, outputs]);
        let tags = |unit: usize| match &self.aims[unit] {
            Aim::Tags(tags) => tags.as_slice(),
            Aim::Span { .. } => &[],
        };
        let mut targets = vec![0.0; n * steps * outputs];
        let mut labelled = 0;
        for (row, &unit) in units.iter().enumerate() {
            for &(token, tag) in tags(unit) {
                targets[(row * steps + token) * outputs + tag] = 1.0;
                labelled += 1;
            }
        }
        let values = logits.clone().into_data().try_to_vec::<f32>().expect("logits are f32");
        let right = |(row, unit): (usize, &usize)| {
            let said = |token: usize| argmax(&values[(row * steps + token) * outputs..][..outputs]);
            tags(*unit).iter().all(|&(token, tag)| said(token) == tag)
        };
        let correct = units.iter().enumerate().filter(|pair| right(*pair)).count();
        let targets = Tensor::<2>::from_data(TensorData::new(targets, [n * steps, outputs]), &logits.device());
        let loss = (log_softmax(logits, 1) * targets).sum().mul_scalar(-1.0 / labelled.max(1) as f32);
        ShardLoss { loss, correct }
    }

    /// The span head of BERT (Devlin et al. 2019, sections 4.2 and 4.3).
    fn loss_of_spans(&self, logits: Tensor<3>, units: &[usize]) -> ShardLoss {
        let [n, steps, _] = logits.dims();
        let (mut masked, mut spans) = (vec![NEVER; n * steps], Vec::with_capacity(n));
        for (row, &unit) in units.iter().enumerate() {
            let Aim::Span { allowed: (first, last), span } = self.aims[unit] else { continue };
            masked[row * steps] = 0.0;
            masked[row * steps + first..=row * steps + last].fill(0.0);
            spans.push(span);
        }
        let side = |side: usize| logits.clone().narrow(2, side, 1).reshape([n, steps]);
        span_loss([side(0), side(1)], &masked, &spans)
    }
}

/// The mean loss of scores `[N, T]` of the first and last token of answers, over the tokens that are allowed, and how many
/// spans were told rightly.
pub(super) fn span_loss([starts, ends]: [Tensor<2>; 2], masked: &[f32], spans: &[(usize, usize)]) -> ShardLoss {
    let (from, to): (Vec<usize>, Vec<usize>) = spans.iter().copied().unzip();
    let (said_from, said_to) = (best_positions(&starts, masked), best_positions(&ends, masked));
    let correct = (0..spans.len()).filter(|&row| said_from[row] == from[row] && said_to[row] == to[row]).count();
    let loss = position_loss(starts, masked, &from) + position_loss(ends, masked, &to);
    ShardLoss { loss: loss.mul_scalar(0.5), correct }
}

/// Minus the mean over rows of the log-probability at the target, `[N, T]`, over the tokens that are allowed.
fn position_loss(logits: Tensor<2>, masked: &[f32], targets: &[usize]) -> Tensor<1> {
    let [n, steps] = logits.dims();
    let device = logits.device();
    let mask = Tensor::<2>::from_data(TensorData::new(masked.to_vec(), [n, steps]), &device);
    let mut at = vec![0.0; n * steps];
    targets.iter().enumerate().for_each(|(row, target)| at[row * steps + target] = 1.0);
    let at = Tensor::<2>::from_data(TensorData::new(at, [n, steps]), &device);
    (log_softmax(logits + mask, 1) * at).sum().mul_scalar(-1.0 / n as f32)
}

/// The position of the largest score of each row of `[N, T]`, over the tokens that are allowed.
fn best_positions(logits: &Tensor<2>, masked: &[f32]) -> Vec<usize> {
    let steps = logits.dims()[1];
    let values = logits.clone().into_data().try_to_vec::<f32>().expect("logits are f32");
    let row = |(values, masked): (&[f32], &[f32])| {
        argmax(&values.iter().zip(masked).map(|(value, masked)| value + masked).collect::<Vec<f32>>())
    };
    values.chunks_exact(steps).zip(masked.chunks_exact(steps)).map(row).collect()
}

/// The tokens of a window that can be part of an answer: those of the paragraph, first to last.
pub(super) fn context_tokens(window: &Encoded) -> Option<(usize, usize)> {
    let inside = |sequence: &Option<u8>| *sequence == Some(1);
    let first = window.sequence.iter().position(inside)?;
    Some((first, window.sequence.iter().rposition(inside)?))
}

/// The first and last token of an answer from byte `start` to `end`; none where the window does not hold it whole.
fn answer_tokens(window: &Encoded, start: usize, end: usize) -> Option<(usize, usize)> {
    let (first, last) = context_tokens(window)?;
    let offset = |token: usize| (window.offsets[token].0 as usize, window.offsets[token].1 as usize);
    if offset(first).0 > start || offset(last).1 < end {
        return None;
    }
    let from = (first..=last).rev().find(|&token| offset(token).0 <= start)?;
    let to = (first..=last).find(|&token| offset(token).1 >= end)?;
    (from <= to).then_some((from, to))
}

/// A part of a sentence: its first word, and the token of each word's first sub-word; none where the tokenizer makes nothing of
/// a word.
type Piece = (usize, Vec<Option<usize>>);

/// The tokens of a sentence, which is cut into halves until each part fits into `limit` tokens.
pub(super) fn pieces_of(tokenizer: &Tokenizer, words: &[String], limit: usize) -> Result<Vec<(Piece, Encoded)>> {
    let mut pieces = Vec::new();
    let mut left = vec![(0, words.len())];
    while let Some((first, end)) = left.pop() {
        let part: Vec<&str> = words[first..end].iter().map(String::as_str).collect();
        let encoded = tokenizer.encode_words(&part, limit)?;
        if encoded.cut > 0 && part.len() > 1 {
            let middle = first + part.len() / 2;
            // The first half is taken next.
            left.extend([(middle, end), (first, middle)]);
            continue;
        }
        let mut tokens = vec![None; part.len()];
        for (token, word) in encoded.word.iter().enumerate() {
            if let Some(place) = word.and_then(|word| tokens.get_mut(word as usize)) {
                place.get_or_insert(token);
            }
        }
        pieces.push(((first, tokens), encoded));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sentences_are_cut_into_parts() {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "bob"];
        let vocabulary: serde_json::Map<String, serde_json::Value> =
            words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), serde_json::json!(id))).collect();
        let file = serde_json::json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
            "decoder": null,
            "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocabulary },
        });
        let tokenizer = Tokenizer::from_bytes(file.to_string().as_bytes()).unwrap();
        let words: Vec<String> = (0..100).map(|at| ["ada", "bob"][at % 2].to_owned()).collect();
        let pieces = pieces_of(&tokenizer, &words, 20).unwrap();
        let mut next = 0;
        for ((first, tokens), encoded) in &pieces {
            assert!(encoded.ids.len() <= 20 && encoded.cut == 0);
            assert!(*first == next && tokens.iter().all(Option::is_some));
            next += tokens.len();
        }
        assert_eq!(next, words.len());
    }
}
