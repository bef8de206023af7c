//! `engraft predict` with a run of rows: tables and arrays.

use std::path::PathBuf;

use engraft::error::{Error, Problem, printable, shown};
use engraft::progress::Observer;
use engraft::run::Model;

use crate::args::PredictArgs;
use crate::commands::answer_columns::AnswerColumns;
use crate::commands::answers::Answers;
use crate::exit::Outcome;
use crate::terminal::Terminal;

/// Rows that are answered between two writes.
const BATCH: usize = 1024;

/// Runs the command.
pub fn run(model: &Model, inputs: &[PathBuf], args: &PredictArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if inputs.iter().any(|input| input.as_os_str() == "-") {
        let problem = Problem::new("rows of numbers are not read from stdin").found("-");
        return Err(Error::Usage(problem.expected("tables (.csv, .tsv, .parquet) or arrays (.npy)")).into());
    }
    // All of them before the first answer: half of the answers would be taken for all.
    let tables: Vec<_> = inputs.iter().map(|input| model.open_rows(input, terminal)).collect::<Result<_, _>>()?;
    let several = inputs.len() > 1;
    let mut answers = Answers::new(args, AnswerColumns::of_run(args, &model.file)?, &["name"], &[])?;
    for (input, set) in inputs.iter().zip(&tables) {
        let rows: Vec<usize> = (0..set.rows()).collect();
        for rows in rows.chunks(BATCH) {
            terminal.check()?;
            for (&row, answer) in rows.iter().zip(model.predict_rows(set, rows)?) {
                let name = match several {
                    true => format!("{} {}", printable(input), set.names[row]),
                    false => set.names[row].clone(),
                };
                answers.answer(vec![("name", name.clone(), name.into())], &answer, Vec::new())?;
            }
            answers.flush()?;
        }
        terminal.check()?;
        if set.rows() == 0 {
            terminal.say(&format!("{} has no rows", shown(input)));
        }
    }
    Ok(Outcome::Done)
}
