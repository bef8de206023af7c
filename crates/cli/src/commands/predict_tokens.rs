//! `engraft predict` with a run that answers questions or tags words.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use engraft::data::intake::InputKind;
use engraft::data::text::conll::words_of_lines;
use engraft::data::text::parts::read_text;
use engraft::data::text::squad::{question_of_line, questions_to_answer};
use engraft::data::text::{TextReading, stream_texts};
use engraft::error::{Error, Problem, Result, printable};
use engraft::methods::tokens::TokenExample;
use engraft::progress::Observer;
use engraft::run::Model;
use engraft::targets::{QuestionAnswer, TagsAnswer, TargetAnswer};
use serde_json::{Value, json};

use crate::args::{Format, PredictArgs};
use crate::commands::columns_of;
use crate::commands::lines::lines_of_stdin;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Answers that are weighed against each other and printed as JSON, where the number is not told.
const TOP: usize = 3;
/// Files whose words stand one on a line.
const WORD_FILES: [&str; 6] = ["conll", "bio", "iob", "iob2", "ner", "tsv"];
/// Tables of texts.
const TABLES: [&str; 5] = ["csv", "jsonl", "ndjson", "json", "parquet"];

/// Columns of the answers to questions, and of spans.
const QUESTIONS: [&str; 10] =
    ["id", "question", "answer", "probability", "no_answer", "start", "end", "unsure", "unlike", "error"];
const SPANS: [&str; 10] = ["input", "line", "start", "end", "type", "text", "probability", "unsure", "unlike", "error"];

/// Runs the command on the inputs that follow the run's folder.
pub fn run(model: &Model, inputs: &[PathBuf], args: &PredictArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let answers_questions = model.kind() == InputKind::Questions;
    let text = args.text.is_some() && answers_questions;
    for (flag, given) in [("--text", text), ("--explain", args.explain)] {
        if given {
            let problem =
                Problem::new(format_args!("{flag} is for runs that give texts a class, and this one does not"));
            return Err(Error::Usage(problem.expected(format_args!("no {flag}"))).into());
        }
    }
    let mut rows = Rows { out: io::BufWriter::new(io::stdout()), format: args.format, failed: 0 };
    if answers_questions {
        let context = args.context.as_deref().map(context_of).transpose()?;
        rows.header(&QUESTIONS)?;
        questions(model, inputs, context.as_deref(), args, &mut rows, terminal)?;
    } else {
        if let Some(context) = &args.context {
            let problem = Problem::new("this run tags words, and answers no questions").at(context);
            return Err(Error::Usage(problem.hint("leave --context out, and give texts")).into());
        }
        if args.top.is_some() {
            let problem = Problem::new("--top has no effect on a run that tags words");
            return Err(Error::Usage(problem.expected("it left out")).into());
        }
        rows.header(&SPANS)?;
        for input in inputs {
            tags(model, input, args, &mut rows, terminal)?;
        }
    }
    rows.out.flush()?;
    if rows.failed > 0 {
        terminal.say(&format!("{} of the inputs could not be answered: see the column `error`", rows.failed));
        return Ok(Outcome::BadData);
    }
    Ok(Outcome::Done)
}

/// The rows on stdout.
struct Rows {
    out: io::BufWriter<io::Stdout>,
    format: Format,
    failed: usize,
}

impl Rows {
    fn header(&mut self, names: &[&str]) -> anyhow::Result<()> {
        if self.format == Format::Csv {
            self.row(names.iter().map(|name| (*name).to_owned()))?;
        }
        Ok(())
    }

    fn row(&mut self, fields: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
        output::csv_row(&mut self.out, fields)
    }

    /// Hands over every line of stdin with its number, and sends off what was answered where they pause.
    fn each_line(
        &mut self,
        terminal: &Terminal,
        mut each: impl FnMut(&mut Self, usize, String) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for line in lines_of_stdin(terminal)? {
            match line {
                Some((_, Ok(line))) if line.trim().is_empty() => {}
                Some((number, Ok(line))) => each(self, number, line)?,
                Some((number, Err(error))) => self.failure(&format!("line {number}"), &error)?,
                None => {
                    terminal.check()?;
                    self.out.flush()?;
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, object: &Value) -> anyhow::Result<()> {
        Ok(output::json_row(&mut self.out, object)?)
    }

    /// A row about something that could not be answered.
    fn failure(&mut self, name: &str, error: &Error) -> anyhow::Result<()> {
        self.failed += 1;
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match self.format {
            Format::Csv => {
                let mut fields = vec![String::new(); SPANS.len()];
                (fields[0], fields[SPANS.len() - 1]) = (name.to_owned(), reason);
                self.row(fields)
            }
            Format::Jsonl => self.object(&json!({ "input": name, "error": reason })),
        }
    }
}

/// Questions in words about the text of `--context`, files of questions with their paragraphs, and `-` for either on stdin.
fn questions(
    model: &Model,
    inputs: &[PathBuf],
    context: Option<&str>,
    args: &PredictArgs,
    rows: &mut Rows,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    for input in inputs {
        let is_file = context.is_none() || (input.is_file() && has_ending(input, &["json", "jsonl"]));
        if input.as_os_str() == "-" {
            rows.each_line(terminal, |rows, number, line| match context {
                Some(context) => answer(model, "", &line, context, args, rows, terminal),
                // A line is an object with a question and its paragraph; without an `id` its number is one.
                None => {
                    let name = format!("line {number}");
                    let read = question_of_line(&name, &line).map(|question| vec![question]);
                    asked(model, &name, read, args, rows, terminal)
                }
            })?;
        } else if is_file {
            let name = printable(input);
            if !input.exists() {
                let problem = Problem::new("there is no such file of questions").found(&name);
                let hint = "a question in words needs a text: --context page.txt";
                return Err(
                    Error::Usage(problem.expected(".json or .jsonl with question and context").hint(hint)).into()
                );
            }
            let read = read_text(input).and_then(|text| questions_to_answer(&name, &text));
            asked(model, &name, read, args, rows, terminal)?;
        } else if let Some(context) = context {
            answer(model, "", &input.to_string_lossy(), context, args, rows, terminal)?;
        }
    }
    Ok(())
}

/// The text that questions are about.
fn context_of(path: &Path) -> Result<String> {
    let text = read_text(path)?;
    if text.trim().is_empty() {
        let problem = Problem::new("the text of --context is empty").expected("a text that questions are about");
        return Err(Error::Data(problem.at(path)));
    }
    Ok(text)
}

fn asked(
    model: &Model,
    name: &str,
    questions: Result<Vec<(String, String, String)>>,
    args: &PredictArgs,
    rows: &mut Rows,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    match questions {
        Err(error) => rows.failure(name, &error),
        Ok(questions) => {
            for (id, question, context) in questions {
                answer(model, &id, &question, &context, args, rows, terminal)?;
            }
            Ok(())
        }
    }
}

fn answer(
    model: &Model,
    id: &str,
    question: &str,
    context: &str,
    args: &PredictArgs,
    rows: &mut Rows,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    terminal.check()?;
    let QuestionAnswer { given, choice, unsure, unlike, .. } = match model.answer(question, context) {
        Ok(answer) => answer,
        Err(error) => return rows.failure(if id.is_empty() { question } else { id }, &error),
    };
    let places = |start: usize, end: usize| {
        let start_characters = context[..start].chars().count();
        [start_characters, start_characters + context[start..end].chars().count()]
    };
    let place = (given.start < given.end).then(|| places(given.start, given.end));
    let text = given.text(context);
    match rows.format {
        Format::Csv => {
            let end = |at: usize| place.map_or_else(String::new, |place| place[at].to_string());
            rows.row([
                id.to_owned(),
                question.to_owned(),
                text.to_owned(),
                given.probability.to_string(),
                given.no_answer.to_string(),
                end(0),
                end(1),
                unsure.to_string(),
                unlike.to_string(),
                String::new(),
            ])
        }
        Format::Jsonl => {
            let candidates: Vec<Value> = choice
                .candidates
                .iter()
                .take(args.top.unwrap_or(TOP))
                .map(|candidate| {
                    let [start, end] = places(candidate.start, candidate.end);
                    let text = &context[candidate.start..candidate.end];
                    json!({ "text": text, "start": start, "end": end, "score": candidate.score })
                })
                .collect();
            rows.object(&json!({
                "id": id,
                "question": question,
                "answer": text,
                "probability": given.probability,
                "no_answer": given.no_answer,
                "start": place.map(|place| place[0]),
                "end": place.map(|place| place[1]),
                "unsure": unsure,
                "unlike": unlike,
                "top": candidates,
            }))
        }
    }
}

/// Texts, one on a line or in each row of a table, or files with a word on each line; places are characters of a text, or
/// words.
fn tags(model: &Model, input: &Path, args: &PredictArgs, rows: &mut Rows, terminal: &Terminal) -> anyhow::Result<()> {
    let name = printable(input);
    if input.as_os_str() == "-" {
        return rows
            .each_line(terminal, |rows, number, line| tags_of_text(model, (&name, number), &line, rows, terminal));
    }
    if args.text.is_some() || has_ending(input, &TABLES) {
        let reading = TextReading { text: columns_of(args.text.as_deref()), ..TextReading::default() };
        let texts = match stream_texts(input, &reading, terminal) {
            Ok(texts) => texts,
            Err(error) => return rows.failure(&name, &error),
        };
        for (at, row) in texts.enumerate() {
            match row {
                Ok(row) => {
                    for part in row.text.parts().filter(|part| !part.trim().is_empty()) {
                        tags_of_text(model, (&name, at + 1), part, rows, terminal)?;
                    }
                }
                Err(error) => rows.failure(&name, &error)?,
            }
        }
        return Ok(());
    }
    let text = match read_text(input) {
        Ok(text) => text,
        Err(error) => return rows.failure(&name, &error),
    };
    if has_ending(input, &WORD_FILES) {
        for (number, words) in words_of_lines(&text).into_iter().enumerate() {
            terminal.check()?;
            let Some(TargetAnswer::Tags(answer)) = model.predict_tokens(&[TokenExample::Words(&words)])?.pop() else {
                continue;
            };
            let place = |start: usize, end: usize| (start, end, words[start..end].join(" "));
            spans_of(model, (&name, number + 1), &words.join(" "), &answer, place, rows)?;
        }
        return Ok(());
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        tags_of_text(model, (&name, number + 1), line, rows, terminal)?;
    }
    Ok(())
}

/// The spans of one text, which stands at a line (or row, or sentence) of an input.
fn tags_of_text(
    model: &Model,
    place: (&str, usize),
    text: &str,
    rows: &mut Rows,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    terminal.check()?;
    let answer = model.tags(text)?;
    let found = |start: usize, end: usize| {
        let (before, inside) = (text[..start].chars().count(), &text[start..end]);
        (before, before + inside.chars().count(), inside.to_owned())
    };
    spans_of(model, place, text, &answer, found, rows)
}

/// The spans of an answer; `place` gives their ends and texts as they are printed.
fn spans_of(
    model: &Model,
    (input, line): (&str, usize),
    text: &str,
    answer: &TagsAnswer,
    place: impl Fn(usize, usize) -> (usize, usize, String),
    rows: &mut Rows,
) -> anyhow::Result<()> {
    let kind = |at: usize| model.file.classes[at].as_str();
    let found = answer.spans.iter().zip(&answer.unsure);
    if rows.format == Format::Jsonl {
        let spans = found.map(|(span, unsure)| {
            let (start, end, text) = place(span.start, span.end);
            let (kind, probability) = (kind(span.kind), span.probability);
            json!({ "start": start, "end": end, "type": kind, "text": text, "probability": probability, "unsure": unsure })
        });
        let spans: Vec<Value> = spans.collect();
        let unlike = answer.unlike;
        return rows.object(&json!({ "input": input, "line": line, "text": text, "unlike": unlike, "spans": spans }));
    }
    for (span, unsure) in found {
        let (start, end, text) = place(span.start, span.end);
        rows.row([
            input.to_owned(),
            line.to_string(),
            start.to_string(),
            end.to_string(),
            kind(span.kind).to_owned(),
            text,
            span.probability.to_string(),
            unsure.to_string(),
            answer.unlike.to_string(),
            String::new(),
        ])?;
    }
    Ok(())
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}
