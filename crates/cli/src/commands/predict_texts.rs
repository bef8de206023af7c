//! `engraft predict` with a run of texts: tables, folders of text files, lines.

use std::path::{Path, PathBuf};

use engraft::data::text::{Text, TextReading, TextRow, stream_texts};
use engraft::error::{Error, Problem, Result, printable};
use engraft::progress::Observer;
use engraft::run::{BodyFile, Model};
use engraft::targets::TargetAnswer;
use serde_json::json;

use crate::args::PredictArgs;
use crate::commands::answer_columns::AnswerColumns;
use crate::commands::answers::Answers;
use crate::commands::columns_of;
use crate::commands::lines::{in_batches, lines_of_stdin};
use crate::exit::Outcome;
use crate::terminal::Terminal;

/// Texts that are answered between two writes.
const BATCH: usize = 64;
/// Characters of a text that a CSV shows.
const SHOWN: usize = 80;
/// Words that are named with `--explain`.
const WORDS: usize = 5;

/// A text to answer, or why it cannot be read.
type Input = (String, Result<Text>);

/// Runs the command.
pub fn run(model: &Model, inputs: &[PathBuf], args: &PredictArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let further: &[&str] = if args.explain { &["words"] } else { &[] };
    let out = Answers::new(args, AnswerColumns::of_run(args, &model.file)?, &["name", "text"], further)?;
    let mut answers = TextAnswers { out, model, explain: args.explain, truncated: 0 };
    let texts = inputs.iter().flat_map(|input| texts_of(input, args, model, terminal));
    let failed = in_batches(texts, BATCH, |batch| answers.write(batch, terminal))?;
    if answers.truncated > 0 {
        terminal.say(&format!(
            "{} of the texts are longer than what the base takes: their ends were not read",
            answers.truncated
        ));
    }
    if failed > 0 {
        terminal.say(&format!("{failed} of the texts could not be answered: see the column `error`"));
        return Ok(Outcome::BadData);
    }
    Ok(Outcome::Done)
}

/// The texts of a table, of a folder of text files, or of lines; nothing where stdin pauses.
fn texts_of<'a>(
    input: &Path,
    args: &PredictArgs,
    model: &Model,
    terminal: &'a Terminal,
) -> Box<dyn Iterator<Item = Option<Input>> + 'a> {
    let refused = |error| Box::new(std::iter::once(Some((printable(input), Err(error)))));
    if input.as_os_str() == "-" {
        let named = |(number, line): (usize, Result<String>)| (format!("line {number}"), line.map(Text::single));
        return match lines_of_stdin(terminal) {
            Ok(lines) => Box::new(lines.map(move |line| line.map(named))),
            Err(error) => refused(error),
        };
    }
    match stream(input, args, model, terminal) {
        Ok(rows) => Box::new(rows.map(|row| {
            Some(match row {
                Ok(TextRow { name, text }) => (name, Ok(text)),
                Err(error) => (String::new(), Err(error)),
            })
        })),
        Err(error) => refused(error),
    }
}

fn stream(
    input: &Path,
    args: &PredictArgs,
    model: &Model,
    terminal: &Terminal,
) -> Result<Box<dyn Iterator<Item = Result<TextRow>> + Send>> {
    let asked = columns_of(args.text.as_deref());
    let is_lines = input.is_file() && input.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    if is_lines && asked.is_empty() {
        let reading = TextReading { encoding: args.encoding.clone(), ..TextReading::default() };
        let rows = stream_texts(input, &reading, terminal)?;
        let is_empty = |row: &Result<TextRow>| row.as_ref().is_ok_and(|row| row.text.first.trim().is_empty());
        return Ok(Box::new(rows.filter(move |row| !is_empty(row))));
    }
    let trained: &[String] = match &model.file.body {
        BodyFile::Texts { text_columns, .. } => text_columns,
        _ => &[],
    };
    let as_trained = asked.is_empty();
    let text = if as_trained { trained.to_vec() } else { asked };
    let reading = TextReading { text, encoding: args.encoding.clone(), ..TextReading::default() };
    stream_texts(input, &reading, terminal).map_err(|error| match error {
        // What is wrong otherwise has its own hint.
        Error::Data(problem) if as_trained && !trained.is_empty() && problem.is_about_columns() => {
            let hint = format!("the run learnt from `{}`: --text names the column of this table", trained.join(","));
            Error::Data(problem.hint(hint))
        }
        other => other,
    })
}

struct TextAnswers<'a> {
    out: Answers,
    model: &'a Model,
    /// Whether to name the words that spoke for an answer.
    explain: bool,
    /// Texts that the base did not read to their ends.
    truncated: usize,
}

impl TextAnswers<'_> {
    /// Answers a batch and writes it in order; how many failed.
    fn write(&mut self, batch: &[Input], terminal: &Terminal) -> anyhow::Result<usize> {
        terminal.check()?;
        if batch.is_empty() {
            // The header, or answers before it, may not be out yet.
            self.out.flush()?;
            return Ok(0);
        }
        let texts: Vec<&Text> = batch.iter().filter_map(|(_, text)| text.as_ref().ok()).collect();
        self.truncated += self.model.truncated(&texts)?;
        let mut answers = self.model.predict_texts(&texts)?.into_iter();
        let mut failed = 0;
        for (name, text) in batch {
            let answer = match text {
                Ok(text) => answers.next().expect("an answer for each text").map(|answer| (text, answer)),
                Err(error) => Err(Error::Data(Problem::new(error))),
            };
            match answer {
                Ok((text, answer)) => self.answer(name, text, &answer)?,
                Err(error) => {
                    failed += 1;
                    let named = vec![("name", name.clone(), name.as_str().into()), ("text", String::new(), "".into())];
                    self.out.failure(named, &error)?;
                }
            }
        }
        self.out.flush()?;
        Ok(failed)
    }

    fn answer(&mut self, name: &str, text: &Text, answer: &TargetAnswer) -> anyhow::Result<()> {
        let further = self.words(text, answer)?.map(|words| {
            let told = words.iter().map(|(word, weight)| format!("{word} {weight:+.3}")).collect::<Vec<_>>().join("; ");
            let values = words.iter().map(|(word, weight)| json!({ "word": word, "weight": weight }));
            ("words", told, values.collect())
        });
        let parts = text.parts().collect::<Vec<_>>().into();
        let named = vec![("name", name.to_owned(), name.into()), ("text", text.beginning(SHOWN), parts)];
        self.out.answer(named, answer, further.into_iter().collect())
    }

    /// The words that gave most to an answer, where they are asked for.
    fn words(&self, text: &Text, answer: &TargetAnswer) -> anyhow::Result<Option<Vec<(String, f32)>>> {
        let Some(answer) = answer.class().filter(|_| self.explain) else { return Ok(None) };
        let mut words = self.model.explain(text, answer.class)?;
        words.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.at.cmp(&b.at)));
        Ok(Some(words.into_iter().take(WORDS).map(|word| (word.word, word.weight)).collect()))
    }
}
