//! The program `engraft`: data on stdout, everything else on stderr.

#![forbid(unsafe_code)]

mod allocator;
mod args;
mod chart;
mod commands;
mod exit;
mod glove_args;
mod interruption;
mod output;
mod span_args;
mod terminal;
mod translate_args;
mod tune_args;
mod typed;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use engraft::error::Problem;
use engraft::guard::guarded;

use args::{Arguments, Command};
use terminal::Terminal;

fn main() -> ExitCode {
    let (arguments, matches) = match typed::arguments() {
        Ok(typed) => typed,
        Err(error) => return wrong_usage(&error),
    };
    if matches!(arguments.command, Command::Fit(_) | Command::Adapt(_) | Command::Pretrain(_)) {
        allocator::keep_memory();
    }
    let terminal = Terminal::new(arguments.quiet);
    let outcome = guarded("engraft", || {
        prepare(&arguments)?;
        args::refuse_beside_resume(&matches)?;
        run(arguments, &terminal)
    });
    terminal.finish();
    exit::report(outcome.unwrap_or_else(|panic| Err(bug(&panic).into())), &terminal)
}

/// Prints what is wrong with the arguments, or the help that they ask for. They may hold any character.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let plain = error.render().to_string();
    let escaped = output::lines_for_reader(&plain);
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if plain != escaped {
        let _ = std::io::stderr().lock().write_all(escaped.as_bytes());
    } else {
        // Nobody is left to tell if this fails.
        let _ = error.print();
    }
    ExitCode::from(code)
}

/// The error for a panic of our own.
fn bug(panic: &engraft::guard::Panicked) -> engraft::error::Error {
    let problem = Problem::new("the program came to a state that it should not come to").found(&panic.text);
    let problem = problem.hint("this is a fault of the program: please report it with the command that led here");
    engraft::error::Error::Io(match &panic.place {
        Some(place) => problem.at(place),
        None => problem,
    })
}

/// Memory that is not to be had and a stack that overflows end a process of Rust by SIGABRT, once what happened is on
/// stderr ("memory allocation of N bytes failed"): the exit code is then that of a failure.
fn fail_instead_of_aborting() -> std::io::Result<()> {
    static ALWAYS: AtomicBool = AtomicBool::new(true);
    signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGABRT, exit::FAILED.into(), &ALWAYS)?;
    Ok(())
}

/// Threads, signals and interruption, before anything else.
fn prepare(arguments: &Arguments) -> anyhow::Result<()> {
    fail_instead_of_aborting()?;
    if let Some(megabytes) = arguments.image_memory {
        engraft::data::image::allow_memory(megabytes << 20);
    }
    let threads = arguments.threads.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    interruption::listen()?;
    Ok(())
}

fn run(arguments: Arguments, terminal: &Terminal) -> anyhow::Result<exit::Outcome> {
    let json = arguments.json;
    match arguments.command {
        Command::Fit(args) => commands::fit::run(&args, json, terminal),
        Command::Adapt(args) => commands::adapt::run(&args, json, terminal),
        Command::Predict(mut args) => {
            if json {
                args.format = args::Format::Jsonl;
            }
            commands::predict::run(&args, terminal)
        }
        Command::Report(args) => commands::report::run(&args, json),
        Command::Embed(args) => commands::embed::run(&args, json, terminal),
        Command::Audit(args) => commands::audit::run(&args, json, terminal),
        Command::Rank(args) => commands::rank::run(&args, json, terminal),
        Command::Compare(args) => commands::compare::run(&args, json, terminal),
        Command::Verify(args) => commands::verify::run(&args, json, terminal),
        Command::Pretrain(args) => commands::pretrain::run(&args, json, terminal),
        Command::Glove(args) => commands::glove::run(&args, json, terminal),
        Command::Translate(command) => commands::translate::run(&command, json, terminal),
        Command::Bases(args) => commands::bases::run(&args, json, terminal),
        Command::Cache(args) => commands::cache::run(&args, json),
        Command::Completions { shell } => commands::shell::completions(shell),
        Command::Man { command } => commands::shell::man(&command),
        Command::Reference => commands::shell::reference(),
    }
}
