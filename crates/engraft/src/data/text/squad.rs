//! Questions about paragraphs, whose answers are cut out of them: the JSON of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016 and
//! 2018), and tables of one question a line (`.jsonl`). Everything is checked, and nothing is dropped in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Text;
use super::parts::{Part, is_of_kind, read_parts};
use crate::data::audit::{Audit, ClassCount};
use crate::data::dataset::{Dataset, Example, Targets};
use crate::data::{Finding, FindingKind, Grouping, Severity, Split};
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::metrics::{SquadVersion, normalise_answer};

/// File name endings of questions.
pub(crate) const ENDINGS: [&str; 2] = ["json", "jsonl"];
/// Fewer training questions than this, and every measured number is vague.
const FEW: usize = 50;

/// An answer that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoldAnswer {
    /// Where it begins in the context, in bytes.
    pub(crate) start: usize,
    /// Its text: what stands there.
    pub(crate) text: String,
}

/// A question about a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name; unique in the set.
    pub(crate) id: String,
    /// What is asked.
    pub(crate) text: String,
    /// The right answers; none where the paragraph has none.
    pub(crate) answers: Vec<GoldAnswer>,
    /// Index into [`QuestionSet::contexts`]. Questions about the same text share it.
    pub(crate) context: usize,
    /// What it is for.
    pub(crate) split: Split,
}

/// Questions about paragraphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuestionSet {
    /// Where they were.
    pub(crate) root: PathBuf,
    /// The paragraphs, each once.
    pub(crate) contexts: Vec<String>,
    /// The questions, in the order of the files.
    pub(crate) questions: Vec<Question>,
    /// 2.0 where there are questions without an answer.
    pub(crate) version: SquadVersion,
}

impl QuestionSet {
    /// The paragraph of a question.
    pub(crate) fn context(&self, question: usize) -> &str {
        &self.contexts[self.questions[question].context]
    }

    /// The texts of the right answers of a question.
    pub(crate) fn golds(&self, question: usize) -> Vec<&str> {
        self.questions[question].answers.iter().map(|answer| answer.text.as_str()).collect()
    }

    /// The questions without their texts, as other inputs have their examples. The label of each says whether it has an
    /// answer.
    pub(crate) fn labelled(&self) -> Dataset {
        let example = |question: &Question| Example {
            source: crate::data::image_source::ImageSource::default(),
            name: question.id.clone(),
            label: usize::from(!question.answers.is_empty()),
            split: question.split,
            group: None,
        };
        let golds = |at: usize| self.golds(at).into_iter().map(str::to_owned).collect();
        Dataset {
            root: self.root.clone(),
            classes: Vec::new(),
            examples: self.questions.iter().map(example).collect(),
            targets: Targets::Answers((0..self.questions.len()).map(golds).collect()),
            grouping: Grouping::default(),
        }
    }

    /// The questions as pairs of texts: what is asked, and the paragraph.
    pub(crate) fn texts(&self) -> Vec<Text> {
        let pair = |(at, question): (usize, &Question)| Text {
            first: question.text.clone(),
            second: Some(self.context(at).to_owned()),
        };
        self.questions.iter().enumerate().map(pair).collect()
    }

    /// SHA-256 of every question, its paragraph, and where its answers begin.
    pub(crate) fn digests(&self) -> Vec<String> {
        let digest = |(text, question): (Text, &Question)| {
            let starts: Vec<usize> = question.answers.iter().map(|answer| answer.start).collect();
            files::sha256_hex(format!("{} {starts:?}", text.digest()).as_bytes())
        };
        self.texts().into_iter().zip(&self.questions).map(digest).collect()
    }
}

/// Whether a file begins like questions about paragraphs.
pub fn is_questions(path: &Path) -> bool {
    let begins = |name: &str, head: &str| head.contains(&format!("\"{name}\""));
    let head = || {
        let mut head = Vec::new();
        files::open_regular(path).and_then(|file| file.take(1 << 16).read_to_end(&mut head)).ok()?;
        Some(String::from_utf8_lossy(&head).into_owned())
    };
    path.is_file()
        && is_of_kind(path, &ENDINGS)
        && head()
            .is_some_and(|head| begins("paragraphs", &head) || begins("question", &head) && begins("context", &head))
}

/// Reads a file of questions, or a folder with `train.json` and, held out, `dev.json` and `test.json`.
///
/// An answer that does not stand where the file says is looked for, and taken from the nearest place where it does stand;
/// one that is nowhere in the paragraph is left out. Every finding names the questions.
///
/// # Errors
/// [`Error::Data`] where a file is not JSON of this form: with the place of the first fault.
pub(crate) fn open_questions(path: &Path) -> Result<(QuestionSet, Vec<Finding>)> {
    let (parts, findings) = read_parts(path, &ENDINGS)?;
    let mut reading = Reading { findings, ..Reading::default() };
    for part in &parts {
        each_raw(path, part, &mut |raw, place| reading.question(raw, part, place))?;
    }
    Ok(reading.finish(path))
}

/// The questions of a text in any of the forms that `open_questions` reads, to be answered: names, questions and
/// paragraphs. Answers, where there are any, are not looked at.
///
/// # Errors
/// As `open_questions`.
pub fn questions_to_answer(name: &str, text: &str) -> Result<Vec<(String, String, String)>> {
    let part = Part { name: name.to_owned(), split: Split::Test, text: text.to_owned() };
    let mut asked = Vec::new();
    each_raw(Path::new(name), &part, &mut |raw, place| {
        let id = raw.id.unwrap_or_else(|| place.to_owned());
        asked.push((id, raw.question.to_owned(), raw.context.to_owned()));
    })?;
    Ok(asked)
}

/// The question of one line of JSON with `question` and `context`: its `id`, or `name` where it has none, the question and
/// the paragraph.
///
/// # Errors
/// [`Error::Data`] where the line is no such object.
pub fn question_of_line(name: &str, line: &str) -> Result<(String, String, String)> {
    let row = json_of(line).map_err(|fault| unreadable(Path::new(name), fault))?;
    let raw = row_of(&row).map_err(|fault| unreadable(Path::new(name), fault))?;
    Ok((raw.id.unwrap_or_else(|| name.to_owned()), raw.question.to_owned(), raw.context.to_owned()))
}

/// A question as a file has it.
struct Raw<'a> {
    id: Option<String>,
    question: &'a str,
    context: &'a str,
    /// Texts and where they begin, in characters, where that is told.
    answers: Vec<(&'a str, Option<usize>)>,
    impossible: Option<bool>,
}

#[derive(Default)]
struct Reading {
    contexts: Vec<String>,
    places: BTreeMap<String, usize>,
    questions: Vec<Question>,
    ids: BTreeMap<String, usize>,
    findings: Vec<Finding>,
    told: BTreeMap<&'static str, Vec<String>>,
    flagged: bool,
    /// Questions without an answer that nothing says have none.
    bare: Vec<usize>,
}

const MOVED: &str = "moved";
const NOWHERE: &str = "nowhere";
const CONTRADICTS: &str = "contradicts";
const EMPTY: &str = "empty";
const REPEATED: &str = "repeated";
const RENAMED: &str = "renamed";

impl Reading {
    fn tell(&mut self, what: &'static str, id: &str) {
        self.told.entry(what).or_default().push(id.to_owned());
    }

    fn question(&mut self, raw: Raw<'_>, part: &Part, place: &str) {
        let mut id = raw.id.unwrap_or_else(|| format!("{} {place}", part.name));
        if raw.question.trim().is_empty() || raw.context.trim().is_empty() {
            return self.tell(EMPTY, &id);
        }
        let context = match self.places.get(raw.context) {
            Some(&known) => known,
            None => {
                self.contexts.push(raw.context.to_owned());
                self.places.insert(raw.context.to_owned(), self.contexts.len() - 1);
                self.contexts.len() - 1
            }
        };
        if let Some(&known) = self.ids.get(&id) {
            let same = &self.questions[known];
            if same.text == raw.question && same.context == context && same.split == part.split {
                return self.tell(REPEATED, &id);
            }
            self.tell(RENAMED, &id);
            id = format!("{id} ({} {place})", part.name);
        }
        let mut answers = Vec::new();
        for (text, said) in raw.answers.iter().filter(|(text, _)| !text.trim().is_empty()) {
            match place_of(raw.context, text, *said) {
                Some((start, moved)) => {
                    if moved {
                        self.tell(MOVED, &id);
                    }
                    let gold = GoldAnswer { start, text: (*text).to_owned() };
                    // Several annotators often say the same.
                    if !answers.contains(&gold) {
                        answers.push(gold);
                    }
                }
                None => self.tell(NOWHERE, &id),
            }
        }
        let said_impossible = raw.impossible == Some(true);
        self.flagged |= said_impossible;
        if said_impossible && !answers.is_empty() {
            self.tell(CONTRADICTS, &id);
            answers.clear();
        }
        if answers.is_empty() && !said_impossible {
            // Where an answer was given that is nowhere, the question is not one without an answer.
            if raw.answers.iter().any(|(text, _)| !text.trim().is_empty()) {
                return;
            }
            if raw.impossible == Some(false) {
                return self.tell(EMPTY, &id);
            }
            self.bare.push(self.questions.len());
        }
        self.ids.insert(id.clone(), self.questions.len());
        let question = Question { id, text: raw.question.to_owned(), answers, context, split: part.split };
        self.questions.push(question);
    }

    fn finish(mut self, root: &Path) -> (QuestionSet, Vec<Finding>) {
        if !self.flagged && !self.bare.is_empty() {
            // Nothing in the data says that a question may have no answer: these are unanswered, not unanswerable.
            let bare: BTreeSet<usize> = std::mem::take(&mut self.bare).into_iter().collect();
            for &at in &bare {
                let id = self.questions[at].id.clone();
                self.tell(EMPTY, &id);
            }
            let mut at = 0;
            self.questions.retain(|_| {
                at += 1;
                !bare.contains(&(at - 1))
            });
        }
        let words: [(&'static str, FindingKind, Severity, &str); 6] = [
            (
                NOWHERE,
                FindingKind::AnswerNotFound,
                Severity::Serious,
                "answers stand nowhere in their paragraph and were left out",
            ),
            (
                CONTRADICTS,
                FindingKind::LabelConflict,
                Severity::Warning,
                "questions are marked as impossible and have answers: taken as impossible",
            ),
            (
                MOVED,
                FindingKind::AnswerMoved,
                Severity::Warning,
                "answers do not stand where the file says; the nearest place where they do was taken",
            ),
            (
                EMPTY,
                FindingKind::MissingValue,
                Severity::Warning,
                "questions have no text, no paragraph or no answer, and were left out",
            ),
            (
                REPEATED,
                FindingKind::DuplicateRow,
                Severity::Warning,
                "questions stand in the file more than once; the first was taken",
            ),
            (
                RENAMED,
                FindingKind::DuplicateRow,
                Severity::Warning,
                "names belong to several questions; the later ones were given others",
            ),
        ];
        for (what, kind, severity, message) in words {
            if let Some(ids) = self.told.remove(what) {
                self.findings.push(Finding::new(kind, severity, format!("{} {message}", ids.len()), ids));
            }
        }
        let version = match self.questions.iter().any(|question| question.answers.is_empty()) {
            true => SquadVersion::V2,
            false => SquadVersion::V1,
        };
        let set = QuestionSet { root: root.to_owned(), contexts: self.contexts, questions: self.questions, version };
        (set, self.findings)
    }
}

/// Hands over every question of a file, with its place.
fn each_raw(root: &Path, part: &Part, each: &mut dyn FnMut(Raw<'_>, &str)) -> Result<()> {
    let wrong = |place: String, expected: &'static str| unreadable(root, (format!("{}: {place}", part.name), expected));
    if part.name.to_ascii_lowercase().ends_with(".jsonl") {
        for (line, text) in part.text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let place = format!("line {}", line + 1);
            let row = json_of(text).map_err(|(what, expected)| wrong(format!("{place}, {what}"), expected))?;
            let raw = row_of(&row).map_err(|(what, expected)| wrong(format!("{place}, {what}"), expected))?;
            each(raw, &place);
        }
        return Ok(());
    }
    let document: Value = serde_json::from_str(&part.text).map_err(|source| wrong(source.to_string(), "whole JSON"))?;
    if let Value::Array(rows) = &document {
        for (at, row) in rows.iter().enumerate() {
            let place = format!("[{at}]");
            let raw = row_of(row).map_err(|(what, expected)| wrong(format!("{place}, {what}"), expected))?;
            each(raw, &place);
        }
        return Ok(());
    }
    let list = |value: &'_ Value, name: &str, place: &str| -> Result<Vec<Value>> {
        let found = value.get(name).and_then(Value::as_array).cloned();
        found.ok_or_else(|| wrong(format!("{place} has no list `{name}`"), "SQuAD: data, paragraphs, qas"))
    };
    for (a, article) in list(&document, "data", "the file")?.iter().enumerate() {
        for (p, paragraph) in list(article, "paragraphs", &format!("data[{a}]"))?.iter().enumerate() {
            let place = format!("data[{a}].paragraphs[{p}]");
            let context = paragraph.get("context").and_then(Value::as_str);
            let context = context.ok_or_else(|| wrong(format!("{place} has no `context`"), "a text"))?;
            for (q, qa) in list(paragraph, "qas", &place)?.iter().enumerate() {
                let place = format!("{place}.qas[{q}]");
                let raw =
                    question_of(qa, context).map_err(|(what, expected)| wrong(format!("{place}, {what}"), expected))?;
                each(raw, &place);
            }
        }
    }
    Ok(())
}

/// What was found, and what was expected.
type Fault = (String, &'static str);

fn unreadable(place: &Path, (found, expected): Fault) -> Error {
    Error::Data(Problem::new("the questions cannot be read").expected(expected).found(found).at(place))
}

fn json_of(line: &str) -> std::result::Result<Value, Fault> {
    serde_json::from_str(line).map_err(|source| (source.to_string(), "one JSON object a line"))
}

fn text_of<'a>(value: &'a Value, name: &str) -> std::result::Result<&'a str, Fault> {
    value.get(name).and_then(Value::as_str).ok_or_else(|| (format!("no `{name}`"), "a text"))
}

fn id_of(value: &Value) -> Option<String> {
    match value.get("id") {
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    }
}

fn question_of<'a>(qa: &'a Value, context: &'a str) -> std::result::Result<Raw<'a>, Fault> {
    let answers = qa.get("answers").map_or(Ok(Vec::new()), answers_of)?;
    let impossible = qa.get("is_impossible").and_then(Value::as_bool);
    Ok(Raw { id: id_of(qa), question: text_of(qa, "question")?, context, answers, impossible })
}

fn row_of(row: &Value) -> std::result::Result<Raw<'_>, Fault> {
    question_of(row, text_of(row, "context")?)
}

/// Answers as SQuAD has them (a list of objects), as tables have them (an object of lists), or as texts.
fn answers_of<'a>(value: &'a Value) -> std::result::Result<Vec<(&'a str, Option<usize>)>, Fault> {
    const EXPECTED: &str = "answers: [{\"text\": .., \"answer_start\": ..}]";
    let start = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(start) => Ok(usize::try_from(start).ok()),
            None => Err((format!("an `answer_start` of {value}"), EXPECTED)),
        },
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![(text, None)]),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok((text.as_str(), None)),
                item => Ok((text_of(item, "text")?, start(item.get("answer_start"))?)),
            })
            .collect(),
        Value::Object(_) => {
            let texts = value.get("text").and_then(Value::as_array).ok_or(("no list `text`".to_owned(), EXPECTED))?;
            let starts = value.get("answer_start").and_then(Value::as_array);
            let answer = |(at, text): (usize, &'a Value)| match text.as_str() {
                Some(text) => Ok((text, start(starts.and_then(|starts| starts.get(at)))?)),
                None => Err(("an answer that is not text".to_owned(), EXPECTED)),
            };
            texts.iter().enumerate().map(answer).collect()
        }
        other => Err((format!("answers of {other}"), EXPECTED)),
    }
}

/// Where an answer begins, in bytes, and whether that is another place than was said (in characters). The nearest of
/// several; the first where no place was said.
fn place_of(context: &str, answer: &str, said: Option<usize>) -> Option<(usize, bool)> {
    let said_byte = said.map(|said| context.char_indices().nth(said).map_or(context.len(), |(byte, _)| byte));
    if let Some(byte) = said_byte.filter(|&byte| context[byte..].starts_with(answer)) {
        return Some((byte, false));
    }
    let places = context.match_indices(answer).map(|(byte, _)| byte);
    match said_byte {
        Some(said) => places.min_by_key(|byte| byte.abs_diff(said)).map(|byte| (byte, true)),
        None => places.min().map(|byte| (byte, false)),
    }
}

/// Looks at questions as a whole: paragraphs in two splits, questions asked twice, few of them. Groups are paragraphs.
pub(crate) fn audit_questions(set: &QuestionSet, mut findings: Vec<Finding>) -> Audit {
    let mut excluded = BTreeSet::new();
    let mut splits: BTreeMap<usize, BTreeSet<Split>> = BTreeMap::new();
    for question in &set.questions {
        splits.entry(question.context).or_default().insert(question.split);
    }
    // A paragraph that is held out is kept for the split that matters most.
    let mut leaks = Vec::new();
    for (at, question) in set.questions.iter().enumerate() {
        let last = splits[&question.context].last().copied().unwrap_or(question.split);
        if last != question.split {
            excluded.insert(at);
            leaks.push(question.id.clone());
        }
    }
    if !leaks.is_empty() {
        let message = format!(
            "{} questions are about paragraphs of a held-out split too, and were left out of the split that matters less",
            leaks.len()
        );
        findings.push(Finding::new(FindingKind::StraddledContext, Severity::Serious, message, leaks));
    }
    let mut asked: BTreeMap<(usize, String), usize> = BTreeMap::new();
    let (mut twice, mut conflicts) = (Vec::new(), Vec::new());
    for (at, question) in set.questions.iter().enumerate() {
        let key = (question.context, normalise_answer(&question.text));
        match asked.get(&key) {
            None => {
                asked.insert(key, at);
            }
            Some(&first) => {
                let texts =
                    |at: usize| set.golds(at).iter().map(|gold| normalise_answer(gold)).collect::<BTreeSet<_>>();
                let pair = [set.questions[first].id.clone(), question.id.clone()];
                if texts(first) == texts(at) { twice.extend(pair) } else { conflicts.extend(pair) }
            }
        }
    }
    for (pairs, kind, severity, words) in [
        (twice, FindingKind::ExactDuplicate, Severity::Info, "pairs of questions ask the same of the same paragraph"),
        (
            conflicts,
            FindingKind::LabelConflict,
            Severity::Warning,
            "pairs of questions ask the same and have different answers",
        ),
    ] {
        if !pairs.is_empty() {
            findings.push(Finding::new(kind, severity, format!("{} {words}", pairs.len() / 2), pairs));
        }
    }
    let impossible = set.questions.iter().filter(|question| question.answers.is_empty()).count();
    if impossible > 0 {
        let message = format!("{impossible} of {} questions have no answer in their paragraph", set.questions.len());
        findings.push(Finding::new(FindingKind::Unanswerable, Severity::Info, message, Vec::new()));
    }
    let train =
        (0..set.questions.len()).filter(|at| set.questions[*at].split == Split::Train && !excluded.contains(at));
    let train = train.count();
    if train < FEW {
        let message = format!("only {train} questions to train on: every number here is vague");
        findings.push(Finding::new(FindingKind::FewExamples, Severity::Warning, message, Vec::new()));
    }
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    let count = |has: bool| {
        let of = |split: Option<Split>| {
            let is = |at: &usize| {
                let question = &set.questions[*at];
                question.answers.is_empty() != has
                    && match split {
                        Some(split) => question.split == split && !excluded.contains(at),
                        None => excluded.contains(at),
                    }
            };
            (0..set.questions.len()).filter(is).count()
        };
        let class = if has { "with an answer" } else { "without an answer" }.to_owned();
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|split| of(Some(split)));
        ClassCount { class, train, val, test, excluded: of(None) }
    };
    let classes = if impossible > 0 { vec![count(true), count(false)] } else { vec![count(true)] };
    let groups = set.questions.iter().map(|question| question.context).collect();
    Audit { findings, groups, examples: set.questions.len(), classes, excluded, grouped: None }
}

#[cfg(test)]
#[path = "squad_tests.rs"]
mod tests;
