//! `engraft pretrain --method language-model`

use std::path::{Path, PathBuf};
use std::time::Duration;

use engraft::artefact::save_language_model;
use engraft::config::{self, LanguageModelPretrain, Method};
use engraft::data::text::read_corpus;
use engraft::error::{Error, Problem, printable, shown};
use engraft::files::{self, Staging};
use engraft::inductive::pretrain_language_model;
use engraft::inductive::tuning::Journal;
use engraft::progress::Observer;
use serde::Deserialize;
use serde_json::json;

use crate::args::{LanguageModelArgs, MethodArg, PretrainArgs};
use crate::exit::Outcome;
use crate::output::{self, percent};
use crate::terminal::Terminal;

/// The settings' file in the folder of what is unfinished.
const SETTINGS: &str = "run.toml";
const USUAL_EVERY: f64 = 60.0;

/// Whether flags, or the configuration file, ask for a language model.
pub fn is_asked_for(args: &PretrainArgs) -> anyhow::Result<bool> {
    /// What of a configuration file says which settings it has.
    #[derive(Default, serde::Serialize, Deserialize)]
    #[serde(default)]
    struct Which {
        method: Method,
    }
    if let Some(method) = args.method {
        return Ok(matches!(method, MethodArg::LanguageModel));
    }
    let Some(path) = &args.config else { return Ok(args.language.resume.is_some()) };
    Ok(config::read::<Which>(path)?.method == Method::LanguageModel)
}

/// Refuses flags of a language model where none is trained.
pub fn refuse_its_flags(args: &PretrainArgs) -> anyhow::Result<()> {
    let LanguageModelArgs { text, vocabulary, width, layers, bptt, dropout, vectors, resume, checkpoint_every } =
        &args.language;
    refuse(
        &[
            ("--text", !text.is_empty()),
            ("--vocabulary", vocabulary.is_some()),
            ("--width", width.is_some()),
            ("--layers", layers.is_some()),
            ("--bptt", bptt.is_some()),
            ("--dropout", dropout.is_some()),
            ("--vectors", vectors.is_some()),
            ("--resume", resume.is_some()),
            ("--checkpoint-every", checkpoint_every.is_some()),
        ],
        "--method language-model",
    )
}

fn refuse_flags_of_pictures(args: &PretrainArgs) -> anyhow::Result<()> {
    refuse(
        &[
            ("--size", args.size.is_some()),
            ("--label-smoothing", args.label_smoothing.is_some()),
            ("--shift", args.shift.is_some()),
            ("--flip", args.flip),
            ("--rotate", args.rotate.is_some()),
            ("--zoom", args.zoom.is_some()),
            ("--half", args.half),
            ("--exact", args.exact),
            ("--strict", args.strict),
        ],
        "--method supervised",
    )
}

fn refuse(flags: &[(&str, bool)], belongs: &str) -> anyhow::Result<()> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            let problem = Problem::new(format_args!("{flag} means nothing here"));
            Err(Error::Usage(problem.expected(format_args!("{flag} only with {belongs}"))).into())
        }
        None => Ok(()),
    }
}

/// Runs the command.
pub fn run(args: &PretrainArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    refuse_flags_of_pictures(args)?;
    let (config, out, journal) = begin(args)?;
    // What is trained on what: a checkpoint of another corpus is none of ours.
    let identity = format!("{}\n{}", toml::to_string(&config)?, size_of(&config.data));
    let mut checkpoints = journal.checkpoints(&identity, 0);
    let corpus = || read_corpus(&config.data, &config.text);
    let trained = pretrain_language_model(&config, &corpus, checkpoints.as_mut(), terminal, |record| {
        let held_out = record.validation.map_or_else(String::new, |score| {
            format!("; held out: perplexity {:.1}, next word {}", score.loss.exp(), percent(score.accuracy))
        });
        terminal.say(&format!(
            "epoch {:3}: perplexity {:.1}{held_out}; {:.0} s",
            record.epoch,
            record.train.loss.exp(),
            record.seconds
        ));
    });
    let trained = match trained {
        Err(error) => {
            if journal.close_if_empty()? {
                terminal.say(&format!("what is done is kept: go on by `engraft pretrain --resume {}`", shown(&out)));
            }
            return Err(error.into());
        }
        Ok(trained) => trained,
    };
    save_language_model(&trained, &config, &out, args.force, &terminal.log())?;
    journal.close()?;
    let perplexity = trained.perplexity();
    if json {
        output::json(&json!({
            "base": out, "perplexity": perplexity, "tokens": trained.tokens, "words": trained.model.vocabulary.len(),
            "unknown": trained.unknown, "tokens_per_second": trained.tokens_per_second,
        }))?;
    } else {
        let perplexity =
            perplexity.map_or("not measured: nothing was held out".into(), |p| format!("{p:.1}, held out"));
        output::text(&format!(
            "perplexity  {perplexity}\ntokens      {} ({:.0} a second)\nbase        {}\n",
            trained.tokens,
            trained.tokens_per_second,
            shown(&out)
        ))?;
    }
    Ok(Outcome::Done)
}

/// Bytes of the corpus' files.
fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}

/// Settings, the folder to be made, and what is kept of an unfinished training.
fn begin(args: &PretrainArgs) -> anyhow::Result<(LanguageModelPretrain, PathBuf, Journal)> {
    let every = args.language.checkpoint_every.unwrap_or(USUAL_EVERY);
    if !(every.is_finite() && every >= 0.0) {
        let problem = Problem::new("the time between checkpoints makes no sense").expected("0 or more seconds");
        return Err(Error::Usage(problem.found(every).at("--checkpoint-every")).into());
    }
    let every = Duration::from_secs_f64(every);
    if let Some(out) = &args.language.resume {
        let unfinished = Journal::beside(out);
        let settings = unfinished.join(SETTINGS);
        if !settings.is_file() {
            let problem = Problem::new("there is nothing to go on with").expected("what a stopped training left");
            let problem = problem.at(&unfinished).hint("give the name that the stopped training had as --out");
            return Err(Error::Usage(problem).into());
        }
        Staging::claim(out, false)?;
        return Ok((config::read(&settings)?, out.clone(), Journal::new(unfinished, every)));
    }
    let out = args.out.clone().expect("required by the flags' rules");
    let config = resolve(args, &out)?;
    Staging::claim(&out, args.force)?;
    let unfinished = Journal::beside(&out);
    if unfinished.exists() && !args.force {
        let problem = Problem::new("an unfinished training of this name is there").at(&unfinished);
        let hint = format!("`engraft pretrain --resume {}` goes on with it; --force begins anew", shown(&out));
        return Err(Error::Output(problem.hint(hint)).into());
    }
    files::remove_folder(&unfinished)?;
    files::write_atomic(&unfinished.join(SETTINGS), toml::to_string(&config)?.as_bytes())?;
    Ok((config, out, Journal::new(unfinished, every)))
}

/// Defaults, then the configuration file, then flags.
fn resolve(args: &PretrainArgs, out: &Path) -> anyhow::Result<LanguageModelPretrain> {
    let mut config = match &args.config {
        Some(path) => config::read::<LanguageModelPretrain>(path)?,
        None => LanguageModelPretrain::default(),
    };
    macro_rules! set {
        ($from:expr; $($field:ident),*) => { $(if let Some(value) = $from.$field.clone() { config.$field = value; })* };
    }
    set!(args; data, arch, id, description, licence, source, epochs, batch_size, optimiser, lr, warmup, weight_decay);
    set!(args; holdout, seed);
    set!(args.language; vocabulary, width, layers, bptt, dropout);
    config.vectors = args.language.vectors.clone().or(config.vectors);
    if !args.language.text.is_empty() {
        config.text.clone_from(&args.language.text);
    }
    config.method = Method::LanguageModel;
    if config.data == PathBuf::new() {
        let problem = Problem::new("no text to learn from").expected("DATA: a .txt file, a folder of such, or a table");
        let hint = "engraft pretrain --method language-model books/ --out bases/mine";
        return Err(Error::Usage(problem.hint(hint)).into());
    }
    if config.id.is_empty() {
        config.id = printable(&out.file_name().map(PathBuf::from).unwrap_or_else(|| "language-model".into()));
    }
    Ok(config)
}
