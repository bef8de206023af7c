//! `engraft completions`, `engraft man`, and the reference of all flags: what is declared in [`crate::args`], in other forms.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use engraft::error::{Error, Problem};

use crate::args::Arguments;
use crate::exit::Outcome;
use crate::output;

/// Completions for a shell.
pub fn completions(shell: Shell) -> anyhow::Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "engraft", &mut text);
    output::text(&String::from_utf8(text)?)?;
    Ok(Outcome::Done)
}

/// The man page of the program, or of a command.
pub fn man(path: &[String]) -> anyhow::Result<Outcome> {
    let mut command = Arguments::command();
    command.build();
    for name in path {
        let names: Vec<String> = command.get_subcommands().map(|known| known.get_name().to_owned()).collect();
        command = command.find_subcommand(name).cloned().ok_or_else(|| {
            let problem = Problem::new("no such command").found(name).expected(names.join(", "));
            Error::Usage(problem.suggest(name, names.iter().map(String::as_str)))
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    output::text(&String::from_utf8(page)?)?;
    Ok(Outcome::Done)
}

/// All commands and flags in Markdown.
pub fn reference() -> anyhow::Result<Outcome> {
    let mut command = Arguments::command();
    command.build();
    let mut text =
        "# Commands and flags\n\nWritten by `engraft reference` from what the program declares.\n".to_owned();
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        match command.has_subcommands() {
            true => {
                command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(|sub| section(sub, &mut text))
            }
            false => section(command, &mut text),
        }
    }
    output::text(&text)?;
    Ok(Outcome::Done)
}

fn section(command: &Command, text: &mut String) {
    if command.get_name() == "help" {
        return;
    }
    let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n## {name}\n{about}.\n");
    let shown =
        || command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_global_set() && arg.get_id() != "help");
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in shown() {
        let heading = arg.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    // What people need first has no heading.
    headings.sort_by_key(Option::is_some);
    for heading in headings {
        let _ = write!(text, "\n| {} | |\n|---|---|\n", heading.unwrap_or("argument or flag"));
        for arg in shown().filter(|arg| arg.get_help_heading() == heading) {
            let _ = writeln!(text, "| {} | {} |", flag(arg), told(arg));
        }
    }
}

/// `-o, --out RUN`
fn flag(arg: &Arg) -> String {
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = value.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let short = arg.get_short().map(|short| format!("-{short}, "));
    let Some(long) = arg.get_long() else { return format!("`{}`", value.unwrap_or_default()) };
    let value = value.map(|value| format!(" {value}")).unwrap_or_default();
    format!("`{}--{long}{value}`", short.unwrap_or_default())
}

/// What an argument is for.
fn told(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    match arg.get_action().takes_values() && !values.is_empty() {
        true => format!("{help} ({})", values.join(", ")),
        false => help,
    }
}
