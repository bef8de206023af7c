//! `engraft fit` on texts.

use std::time::Instant;

use engraft::artefact::{Rendered, save};
use engraft::backbone::Device;
use engraft::backbone::text::{TextBody, open_text_base};
use engraft::config::{Fit, Tune};
use engraft::inductive::Means;
use engraft::inductive::text::{TextIntake, TextNews, fit_texts, text_reading};
use engraft::progress::Observer;

use crate::args::FitArgs;
use crate::commands::fit::{
    Begun, command_line, interval, of_another_task, save_tensorboard, summary, tell_choice, tell_depth,
};
use crate::commands::{cache_of, tell_audit};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;
use crate::tune_args::flags_of;

/// Runs the command.
pub fn run(begun: &Begun, args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let Begun { config, out, force, journal } = begun;
    let reading = text_reading(config)?;
    let cache = cache_of(&args.cache, terminal);
    let intake = TextIntake::read(&config.data, &reading, terminal).map_err(|error| of_another_task(error, config))?;
    let base = open_text_base(&config.base, &Device::flex())?;
    tell_useless(config, matches!(base.body, TextBody::Words(_)), terminal);
    tell_audit(&intake.audit, terminal);
    let audit_seconds = start.elapsed().as_secs_f64();
    let means = Means { cache: cache.as_ref(), journal, observer: terminal };
    let fitted = fit_texts(config, base, intake, means, audit_seconds, &mut |news| tell(news, terminal))?;
    terminal.check()?;
    let rendered = Rendered::of_texts(&fitted, &command_line(config, out))?;
    save(&rendered, out, *force, &terminal.log())?;
    journal.close()?;
    if let Some(folder) = &args.tensorboard {
        save_tensorboard(fitted.tuning_curves(), folder, *force, terminal)?;
    }
    if json {
        output::json(&rendered.report)?;
    } else {
        output::text(&summary(&rendered.report, out))?;
    }
    Ok(Outcome::Done)
}

/// Settings of a training, where nothing is trained but a solved head, or another way.
fn tell_useless(config: &Fit, on_words: bool, terminal: &Terminal) {
    let given = flags_of(&config.tune, &Tune::for_texts());
    let (useless, why): (Vec<String>, String) = match config.depth.as_str() {
        "head" => (given, "--depth head trains no block".into()),
        "auto" if on_words => (given, "word vectors have no blocks to train".into()),
        "auto" | "contrastive" => return,
        depth => {
            let pairs = given.into_iter().filter(|flag| flag.starts_with("--pairs"));
            (pairs.collect(), format!("--depth {depth} trains on labels"))
        }
    };
    if !useless.is_empty() {
        terminal.say(&format!("{why}: no effect of {}", useless.join(", ")));
    }
}

/// Results as soon as they are known.
fn tell(news: TextNews<'_>, terminal: &Terminal) {
    match news {
        TextNews::Probe(evaluation) => {
            terminal.say(&format!("linear probe, out-of-fold accuracy: {}", interval(&evaluation.accuracy)));
        }
        TextNews::TfIdf(evaluation) => {
            terminal.say(&format!("words counted (TF-IDF), out-of-fold accuracy: {}", interval(&evaluation.accuracy)));
        }
        TextNews::Depth(measured, gain) => tell_depth(measured, gain, terminal),
        TextNews::Chosen(chosen) => tell_choice(&chosen.reason, &chosen.left_out, terminal),
    }
}
