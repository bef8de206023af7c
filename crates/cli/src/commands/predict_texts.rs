//! `engraft predict` with a run of texts: tables, folders of text files, lines.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use engraft::artefact::TextModel;
use engraft::data::text::encoding::detect_file;
use engraft::data::text::{Text, TextReading, TextRow, stream_texts};
use engraft::error::{Error, Problem, Result, printable};
use engraft::inductive::Answer;
use engraft::progress::Observer;
use serde_json::json;

use crate::args::{Format, PredictArgs};
use crate::commands::columns_of;
use crate::commands::lines::{in_batches, lines_of_stdin};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Classes that are printed where the number is not told.
const TOP: usize = 3;
/// Texts that are answered between two writes.
const BATCH: usize = 64;
/// Characters of a text that a CSV shows.
const SHOWN: usize = 80;
/// Words that are named with `--explain`.
const WORDS: usize = 5;

/// A text to answer, or why it cannot be read.
type Input = (String, Result<Text>);

/// Runs the command.
pub fn run(model: &TextModel, inputs: &[PathBuf], args: &PredictArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let out = io::BufWriter::new(io::stdout());
    let mut answers = Answers { out, model, args, top: top_of(args, model), truncated: 0 };
    answers.header()?;
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

fn top_of(args: &PredictArgs, model: &TextModel) -> usize {
    args.top.unwrap_or(TOP).clamp(1, model.file.classes.len())
}

/// The texts of a table, of a folder of text files, or of lines; nothing where stdin pauses.
fn texts_of<'a>(
    input: &Path,
    args: &PredictArgs,
    model: &TextModel,
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
    model: &TextModel,
    terminal: &Terminal,
) -> Result<Box<dyn Iterator<Item = Result<TextRow>> + Send>> {
    let asked = columns_of(args.text.as_deref());
    let is_lines = input.is_file() && input.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    if is_lines && asked.is_empty() {
        detect_file(input, terminal)?.remark().iter().for_each(|remark| terminal.say(remark));
        let rows = stream_texts(input, &TextReading::default(), terminal)?;
        let is_empty = |row: &Result<TextRow>| row.as_ref().is_ok_and(|row| row.text.first.trim().is_empty());
        return Ok(Box::new(rows.filter(move |row| !is_empty(row))));
    }
    let trained = &model.file.text_columns;
    let as_trained = asked.is_empty();
    let reading = TextReading { text: if as_trained { trained.clone() } else { asked }, label: None };
    stream_texts(input, &reading, terminal).map_err(|error| match error {
        Error::Usage(problem) | Error::Data(problem) if as_trained && !trained.is_empty() => {
            let hint = format!("the run learnt from `{}`: --text names the column of this table", trained.join(","));
            Error::Data(problem.hint(hint))
        }
        other => other,
    })
}

struct Answers<'a> {
    out: io::BufWriter<io::Stdout>,
    model: &'a TextModel,
    args: &'a PredictArgs,
    top: usize,
    /// Texts that the base did not read to their ends.
    truncated: usize,
}

impl Answers<'_> {
    fn header(&mut self) -> anyhow::Result<()> {
        if self.args.format != Format::Csv {
            return Ok(());
        }
        let fixed =
            ["name", "text", "answer", "label", "probability", "unlike", "distance", "error"].map(str::to_owned);
        let tops = (2..=self.top).flat_map(|rank| [format!("label_{rank}"), format!("probability_{rank}")]);
        let words = self.args.explain.then(|| "words".to_owned());
        self.row(fixed.into_iter().chain(tops).chain(words))
    }

    fn row(&mut self, fields: impl Iterator<Item = String>) -> anyhow::Result<()> {
        output::csv_row(&mut self.out, fields)
    }

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
        let mut answers = self.model.predict(&texts)?.into_iter();
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
                    self.failure(name, &error)?;
                }
            }
        }
        self.out.flush()?;
        Ok(failed)
    }

    /// `answer` is the label, or "unsure"; `label` is the most probable class either way.
    fn answer(&mut self, name: &str, text: &Text, answer: &Answer) -> anyhow::Result<()> {
        let classes = &self.model.file.classes;
        let label = classes[answer.class].clone();
        let said = if answer.unsure { "unsure".to_owned() } else { label.clone() };
        let top: Vec<(String, f32)> = (answer.ranking().into_iter().take(self.top))
            .map(|class| (classes[class].clone(), answer.probabilities[class]))
            .collect();
        let words = self.words(text, answer)?;
        match self.args.format {
            Format::Csv => {
                let fixed = [
                    name.to_owned(),
                    beginning(text),
                    said,
                    label,
                    answer.probability().to_string(),
                    answer.unlike.to_string(),
                    answer.distance.map_or_else(String::new, |distance| distance.to_string()),
                    String::new(),
                ];
                let rest = top.into_iter().skip(1).flat_map(|(label, p)| [label, p.to_string()]);
                let words = words.map(|words| {
                    words.iter().map(|(word, weight)| format!("{word} {weight:+.3}")).collect::<Vec<_>>().join("; ")
                });
                self.row(fixed.into_iter().chain(rest.collect::<Vec<_>>()).chain(words))
            }
            Format::Jsonl => {
                let top: Vec<_> = top.iter().map(|(label, p)| json!({ "label": label, "probability": p })).collect();
                let mut line = json!({
                    "name": name,
                    "text": text.parts().collect::<Vec<_>>(),
                    "answer": said,
                    "label": label,
                    "probability": answer.probability(),
                    "unsure": answer.unsure,
                    "unlike": answer.unlike,
                    "distance": answer.distance,
                    "top": top,
                });
                if let Some(words) = words {
                    line["words"] =
                        words.iter().map(|(word, weight)| json!({ "word": word, "weight": weight })).collect();
                }
                Ok(output::json_row(&mut self.out, &line)?)
            }
        }
    }

    /// The words that gave most to an answer, where they are asked for.
    fn words(&self, text: &Text, answer: &Answer) -> anyhow::Result<Option<Vec<(String, f32)>>> {
        if !self.args.explain {
            return Ok(None);
        }
        let mut words = self.model.explain(text, answer.class)?;
        words.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.at.cmp(&b.at)));
        Ok(Some(words.into_iter().take(WORDS).map(|word| (word.word, word.weight)).collect()))
    }

    fn failure(&mut self, name: &str, error: &Error) -> anyhow::Result<()> {
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        match self.args.format {
            Format::Csv => {
                let empty = || String::new();
                let fixed = [name.to_owned(), empty(), "error".into(), empty(), empty(), empty(), empty(), reason];
                let rest = 2 * (self.top - 1) + usize::from(self.args.explain);
                self.row(fixed.into_iter().chain(std::iter::repeat_with(empty).take(rest)))
            }
            Format::Jsonl => {
                let line = json!({ "name": name, "answer": "error", "error": reason });
                Ok(output::json_row(&mut self.out, &line)?)
            }
        }
    }
}

/// The first characters of a text, on one line.
fn beginning(text: &Text) -> String {
    let whole = text.parts().collect::<Vec<_>>().join(" | ");
    let line: String = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
