//! The program `engraft`: data on stdout, everything else on stderr.

#![forbid(unsafe_code)]

mod args;
mod chart;
mod commands;
mod exit;
mod output;
mod span_args;
mod terminal;
mod tune_args;
mod typed;

use std::process::ExitCode;

use args::{Arguments, Command};
use terminal::Terminal;

fn main() -> ExitCode {
    let arguments = typed::arguments();
    let terminal = Terminal::new(arguments.quiet);
    let outcome = prepare(&arguments).and_then(|()| run(arguments, &terminal));
    terminal.finish();
    exit::report(outcome, &terminal)
}

/// Threads and interruption, before anything else.
fn prepare(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.threads.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    terminal::listen_for_interruption()?;
    Ok(())
}

fn run(arguments: Arguments, terminal: &Terminal) -> anyhow::Result<exit::Outcome> {
    let json = arguments.json;
    match arguments.command {
        Command::Fit(args) => commands::fit::run(&args, json, terminal),
        Command::Predict(mut args) => {
            if json {
                args.format = args::Format::Jsonl;
            }
            commands::predict::run(&args, terminal)
        }
        Command::Report(args) => commands::report::run(&args, json),
        Command::Embed(args) => commands::embed::run(&args, json, terminal),
        Command::Audit(args) => commands::audit::run(&args, json, terminal),
        Command::Verify(args) => commands::verify::run(&args, json, terminal),
        Command::Pretrain(args) => commands::pretrain::run(&args, json, terminal),
        Command::Bases(args) => commands::bases::run(&args, json, terminal),
        Command::Cache(args) => commands::cache::run(&args, json),
    }
}
