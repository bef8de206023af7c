//! From the words of the command line to [`Arguments`], with a suggestion for a flag that is not known.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use engraft::suggestion::suggestions;

use crate::args::Arguments;

/// Flags that a command has not, and what does their work there.
const ELSEWHERE: [(&str, &[&str], &str); 2] = [
    ("predict", &["--out", "--output", "-o"], "answers go to stdout: `> FILE` keeps them"),
    ("fit", &["--freeze"], "`--depth head` trains a new head alone"),
];

/// Reads the command line: what it means, and where each flag came from.
pub fn arguments() -> Result<(Arguments, ArgMatches), clap::Error> {
    let words = spelt(std::env::args_os());
    let parsed = Arguments::command().try_get_matches_from(&words);
    let parsed = parsed.and_then(|matches| Ok((Arguments::from_arg_matches(&matches)?, matches)));
    parsed.map_err(|error| suggesting(error, &words))
}

/// Flags with underscores, as Python's programs spell them, as ours: `--batch_size` becomes `--batch-size`.
fn spelt(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut flags = true;
    words
        .map(|word| {
            flags &= word != "--";
            let Some(text) = word.to_str().filter(|text| flags && text.starts_with("--")) else { return word };
            match text.split_once('=') {
                Some((flag, value)) => format!("{}={value}", flag.replace('_', "-")).into(),
                None => text.replace('_', "-").into(),
            }
        })
        .collect()
}

/// The error with our suggestion in place of clap's, which knows letters only.
fn suggesting(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(found)) = error.get(ContextKind::InvalidArg) else { return error };
    let found = found.split(['=', ' ']).next().unwrap_or_default().to_owned();
    let mut root = Arguments::command();
    root.build();
    let command = meant(&root, words);
    let elsewhere = ELSEWHERE.iter().find(|(name, flags, _)| *name == command.get_name() && flags.contains(&&*found));
    if let Some((_, _, instead)) = elsewhere {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*instead)]));
    } else if found.starts_with("--") {
        // The names of a flag, and the one that it is shown by.
        let names: Vec<(&str, &str)> = (command.get_arguments().filter(|argument| !argument.is_hide_set()))
            .filter_map(|argument| Some((argument.get_long()?, argument.get_all_aliases().unwrap_or_default())))
            .flat_map(|(long, aliases)| [long].into_iter().chain(aliases).map(move |name| (name, long)))
            .collect();
        error.remove(ContextKind::SuggestedArg);
        let alike = suggestions(&found, names.iter().map(|(name, _)| *name));
        let best = alike.first().and_then(|best| names.iter().find(|(name, _)| name == best));
        if let Some((_, long)) = best {
            error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{long}")));
        }
    }
    error
}

/// The command that the words name.
fn meant<'a>(root: &'a Command, words: &[OsString]) -> &'a Command {
    let is_flag = |word: &&OsString| word.as_encoded_bytes().starts_with(b"-");
    words.iter().skip(1).filter(|word| !is_flag(word)).fold(root, |command, word| {
        let named: &OsStr = word;
        command.find_subcommand(named).unwrap_or(command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use engraft::settings::Optimiser;

    fn told(line: &str) -> String {
        let words = spelt(line.split(' ').map(OsString::from));
        suggesting(Arguments::try_parse_from(&words).unwrap_err(), &words).to_string()
    }

    #[test]
    fn flags_of_other_programs_are_ours() {
        let line = "engraft fit photos --model x --learning_rate=0.01 --batch 8 --num-epochs 3 --img-size 64 \
                    --output runs/a --workers 2 --optimizer sgd";
        let parsed = Arguments::try_parse_from(spelt(line.split_whitespace().map(OsString::from))).unwrap();
        let crate::args::Command::Fit(fit) = parsed.command else { panic!("another command") };
        assert_eq!((fit.base.as_deref(), fit.tune.lr, fit.tune.batch_size), (Some("x"), Some(0.01), Some(8)));
        assert_eq!((fit.tune.epochs, fit.about.image_size, parsed.threads), (Some(3), Some(64), Some(2)));
        assert_eq!((fit.out.unwrap().to_str(), fit.tune.optimiser), (Some("runs/a"), Some(Optimiser::Sgd)));
        // A value is left as it is.
        assert_eq!(
            spelt(["x", "--a_b=c_d", "e_f", "--", "--g_h"].map(OsString::from).into_iter()).join(OsStr::new(" ")),
            "x --a-b=c_d e_f -- --g_h"
        );
    }

    #[test]
    fn a_flag_that_is_not_known_is_answered_by_one_that_is() {
        for (line, flag) in [
            ("engraft fit photos --learnin-rate 1", "'--lr'"),
            ("engraft fit photos --balance", "'--balanced'"),
            ("engraft pretrain photos --epoch 3", "'--epochs'"),
            ("engraft bases import x --licens MIT", "'--licence'"),
            ("engraft predict run x --out y", "> FILE"),
        ] {
            let told = told(line);
            assert!(told.contains(flag), "{line}: {told}");
        }
        assert!(!told("engraft predict run x --output y").contains("--onnx-output"));
        assert!(!told("engraft fit photos --zzzz").contains("similar"));
    }

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
