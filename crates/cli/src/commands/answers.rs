//! `engraft predict`: the answers on stdout, whatever they are about.

use std::io::{self, Write};

use engraft::error::Error;
use engraft::targets::TargetAnswer;
use serde_json::{Map, Value};

use crate::args::{Format, PredictArgs};
use crate::commands::answer_columns::{AnswerColumns, FAILED, reason_of};
use crate::output;

/// What names an example, or is said beside its answer: the column, its text in a CSV, its value in JSON.
pub type Field = (&'static str, String, Value);

/// Rows on stdout.
pub struct Answers {
    out: io::BufWriter<io::Stdout>,
    format: Format,
    columns: AnswerColumns,
    /// The number of columns after those of the answer.
    further: usize,
}

impl Answers {
    /// Writes the header, where there is one: `named` are the columns before those of the answer, `further` those after.
    pub fn new(args: &PredictArgs, columns: AnswerColumns, named: &[&str], further: &[&str]) -> anyhow::Result<Self> {
        let header = named.iter().map(|&name| name.to_owned()).chain(columns.header());
        let header: Vec<String> = header.chain(further.iter().map(|&name| name.to_owned())).collect();
        let further = further.len();
        let mut answers = Self { out: io::BufWriter::new(io::stdout()), format: args.format, columns, further };
        if args.format == Format::Csv {
            output::csv_row(&mut answers.out, header)?;
        }
        Ok(answers)
    }

    /// An answer to what `named` names, with what is said beside it.
    pub fn answer(&mut self, named: Vec<Field>, answer: &TargetAnswer, further: Vec<Field>) -> anyhow::Result<()> {
        match self.format {
            Format::Csv => {
                let text = |(_, text, _): Field| text;
                let fields = named.into_iter().map(text).chain(self.columns.row(answer));
                output::csv_row(&mut self.out, fields.chain(further.into_iter().map(text)))
            }
            Format::Jsonl => {
                let mut line = self.columns.object(answer);
                line.extend(named.into_iter().chain(further).map(|(name, _, value)| (name.to_owned(), value)));
                Ok(output::json_row(&mut self.out, &line.into())?)
            }
        }
    }

    /// Why there is no answer to what `named` names.
    pub fn failure(&mut self, named: Vec<Field>, error: &Error) -> anyhow::Result<()> {
        let reason = reason_of(error);
        match self.format {
            Format::Csv => {
                let fields = named.into_iter().map(|(_, text, _)| text).chain(self.columns.failure(reason));
                output::csv_row(&mut self.out, fields.chain(vec![String::new(); self.further]))
            }
            Format::Jsonl => {
                let named = named.into_iter().take(1).map(|(name, _, value)| (name.to_owned(), value));
                let mut line: Map<String, Value> = named.collect();
                let parts = [("answer", FAILED.to_owned()), ("error", reason), ("status", FAILED.to_owned())];
                line.extend(parts.map(|(name, value)| (name.to_owned(), value.into())));
                Ok(output::json_row(&mut self.out, &line.into())?)
            }
        }
    }

    /// Sends what is written on its way.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
