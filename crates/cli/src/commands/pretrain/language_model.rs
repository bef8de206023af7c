//! `engraft pretrain --method language-model`

use std::path::{Path, PathBuf};

use engraft::data::text::{corpus_files, read_corpus};
use engraft::error::{Error, Problem, printable, shown};
use engraft::files::{self, Made, Staging};
use engraft::methods::pretrain_language_model;
use engraft::methods::{Inputs, Journal};
use engraft::progress::Observer;
use engraft::run::save_language_model;
use engraft::settings::{self, LanguageModelPretrain, Method};
use serde::Deserialize;
use serde_json::json;

use crate::args::{LanguageModelArgs, MethodArg, PretrainArgs};
use crate::commands::fit::{checkpoint_interval, quoted};
use crate::exit::Outcome;
use crate::interruption;
use crate::output::{self, percent};
use crate::terminal::Terminal;

/// Seconds between two checkpoints where it is not told.
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
    Ok(settings::read::<Which>(path)?.method == Method::LanguageModel)
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

fn refuse_flags_of_images(args: &PretrainArgs) -> anyhow::Result<()> {
    refuse(
        &[
            ("--group-column", args.groups.group_column.is_some()),
            ("--group-by", args.groups.group_by.is_some()),
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
    refuse_flags_of_images(args)?;
    let (config, out, journal) = begin(args)?;
    let run = out.clone();
    interruption::on_hard_end(move || Journal::is_beside(&run).then(|| resume_hint(&run)));
    journal.enter(&inputs_of(&config, terminal)?)?;
    let mut checkpoints = journal.checkpoints(&toml::to_string(&config)?, 0);
    let corpus = || read_corpus(&config.data, &config.text, terminal);
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
                terminal.say(&resume_hint(&out));
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

fn resume_hint(out: &Path) -> String {
    format!("what is done is kept: go on by `engraft pretrain --resume {}`", quoted(out))
}

/// What the training depends on: settings, word vectors, and every file of the corpus.
fn inputs_of(config: &LanguageModelPretrain, observer: &dyn Observer) -> anyhow::Result<Inputs> {
    let digest = |path: &Path| files::sha256_of_file(path, |_| observer.check());
    let vectors = config.vectors.as_deref().map(digest).transpose()?.unwrap_or_default();
    let mut inputs = Inputs::new(&toml::to_string(config)?, &vectors);
    for file in corpus_files(&config.data)? {
        let name = printable(file.strip_prefix(&config.data).unwrap_or(&file));
        inputs.example(&name, [digest(&file)?.as_str()]);
    }
    Ok(inputs)
}

/// Settings, the folder to be made, and what is kept of an unfinished training.
fn begin(args: &PretrainArgs) -> anyhow::Result<(LanguageModelPretrain, PathBuf, Journal)> {
    let every = checkpoint_interval(args.language.checkpoint_every.unwrap_or(USUAL_EVERY))?;
    let claim = |config: &LanguageModelPretrain, out: &Path, force: bool| {
        let vectors = config.vectors.clone().unwrap_or_default();
        Staging::claim(out, Made::Base, force, &[("the data", &config.data), ("the word vectors", &vectors)])
    };
    if let Some(out) = &args.language.resume {
        let (journal, settings) = Journal::resume(out, every)?;
        let config = settings::read(&settings)?;
        claim(&config, out, false)?;
        return Ok((config, out.clone(), journal));
    }
    let out = args.out.clone().expect("required by the flags' rules");
    let config = resolve(args, &out)?;
    claim(&config, &out, args.force)?;
    let resume = format!("engraft pretrain --resume {}", quoted(&out));
    let journal = Journal::begin(&out, &toml::to_string(&config)?, every, args.force, &resume)?;
    Ok((config, out, journal))
}

/// Defaults, then the configuration file, then flags.
fn resolve(args: &PretrainArgs, out: &Path) -> anyhow::Result<LanguageModelPretrain> {
    let mut config = match &args.config {
        Some(path) => settings::read::<LanguageModelPretrain>(path)?,
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
