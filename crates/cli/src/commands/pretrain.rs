//! `engraft pretrain`

use std::path::PathBuf;

use engraft::data::Grouping;
use engraft::data::inspect::NoStore;
use engraft::data::intake::Intake;
use engraft::error::{Error, Problem, printable, shown};
use engraft::files::{Made, Staging};
use engraft::pretrain::pretrain;
use engraft::progress::Observer;
use engraft::run::save_pretrained;
use engraft::settings::{self, Method, Pretrain};
use serde_json::json;

use crate::args::{MethodArg, PretrainArgs};
use crate::commands::summary::interval;
use crate::commands::tell_audit;
use crate::exit::Outcome;
use crate::output::{self, percent};
use crate::terminal::Terminal;

mod language_model;

/// Runs the command.
pub fn run(args: &PretrainArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if language_model::is_asked_for(args)? {
        return language_model::run(args, json, terminal);
    }
    language_model::refuse_its_flags(args)?;
    let out = args.out.as_ref().expect("required by the flags' rules");
    let config = resolve(args)?;
    Staging::claim(out, Made::Base, args.force, &[("the data", &config.data)])?;
    let grouping = Grouping::new(config.group_column.as_deref(), config.group_by.as_deref())?;
    let intake = Intake::read(&config.data, grouping, &NoStore, terminal)?;
    tell_audit(&intake.audit, terminal);
    intake.require_usable(config.strict)?;
    let base = pretrain(&config, &intake, terminal, |record| {
        let held_out = record.validation.map_or_else(String::new, |score| {
            format!("; held out: loss {:.4}, accuracy {}", score.loss, percent(score.accuracy))
        });
        let (loss, accuracy) = (record.train.loss, percent(record.train.accuracy));
        terminal.say(&format!(
            "epoch {:3}: loss {loss:.4}, accuracy {accuracy}{held_out}; {:.0} s",
            record.epoch, record.seconds
        ));
    })?;
    save_pretrained(&base, &config, out, args.force, &terminal.log())?;
    let weights = out.join("base.safetensors");
    if json {
        output::json(&json!({
            "base": weights, "sha256": base.card.sha256, "accuracy": base.evaluation.accuracy, "examples": base.examples,
        }))?;
    } else {
        let accuracy = &base.evaluation.accuracy;
        output::text(&format!(
            "accuracy  {} on {} images ({})\nbase      {}\n",
            interval(accuracy),
            accuracy.n,
            accuracy.how,
            shown(&weights)
        ))?;
    }
    Ok(Outcome::Done)
}

/// Defaults, then the configuration file, then flags.
fn resolve(args: &PretrainArgs) -> anyhow::Result<Pretrain> {
    let mut config = match &args.config {
        Some(path) => settings::read::<Pretrain>(path)?,
        None => Pretrain::default(),
    };
    macro_rules! set {
        ($($field:ident),*) => { $(if let Some(value) = args.$field.clone() { config.$field = value; })* };
    }
    set!(data, arch, id, description, licence, source, size, epochs, batch_size, optimiser, lr, warmup);
    set!(weight_decay, label_smoothing, shift, rotate, zoom, holdout, seed);
    if let Some(MethodArg::Supervised) = args.method {
        config.method = Method::Supervised;
    }
    // Beside a flag, what a file says of groups does not hold.
    if args.groups.group_column.is_some() || args.groups.group_by.is_some() {
        config.group_column.clone_from(&args.groups.group_column);
        config.group_by.clone_from(&args.groups.group_by);
    }
    config.flip |= args.flip;
    config.half |= args.half;
    config.exact |= args.exact;
    config.strict |= args.strict;
    if config.data == PathBuf::new() {
        let problem =
            Problem::new("no data to learn from").expected("DATA, a folder with one folder of images per class");
        return Err(Error::Usage(problem.hint("engraft pretrain images/ --out bases/mine")).into());
    }
    if config.id.is_empty() {
        let name =
            args.out.as_ref().and_then(|out| out.file_name()).map(PathBuf::from).unwrap_or_else(|| "base".into());
        config.id = printable(&name);
    }
    Ok(config)
}
