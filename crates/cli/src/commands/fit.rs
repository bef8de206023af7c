//! `engraft fit`

use std::path::PathBuf;
use std::time::Instant;

use engraft::artefact::{Rendered, Report, save};
use engraft::config::{self, Depth, Device, Fit};
use engraft::error::{Error, Problem};
use engraft::evaluate::Estimate;
use engraft::files::Staging;
use engraft::inductive::fit;
use engraft::progress::Observer;

use crate::args::{DepthArg, DeviceArg, FitArgs};
use crate::commands::{cache_of, intake, tell_audit};
use crate::exit::Outcome;
use crate::output::{self, percent};
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let config = resolve(args)?;
    Staging::claim(&args.out, args.force)?;
    let cache = cache_of(&args.cache);
    let intake = intake(&config.data, cache.as_ref(), terminal)?;
    tell_audit(&intake.audit, terminal);
    let audit_seconds = start.elapsed().as_secs_f64();
    let fitted = fit(&config, intake, cache.as_ref(), terminal, audit_seconds, |evaluation| {
        terminal.say(&format!("out-of-fold accuracy: {}", interval(&evaluation.accuracy)));
    })?;
    terminal.check()?;
    let rendered = Rendered::of(&fitted, &command_line(&config, &args.out))?;
    save(&rendered, &args.out, args.force, &terminal.log())?;
    if json {
        output::json(&rendered.report)?;
    } else {
        output::text(&summary(&rendered.report, &args.out))?;
    }
    Ok(Outcome::Done)
}

/// Defaults, then the configuration file, then flags.
fn resolve(args: &FitArgs) -> anyhow::Result<Fit> {
    let mut config = match &args.config {
        Some(path) => config::read::<Fit>(path)?,
        None => Fit::default(),
    };
    fn set<T>(field: &mut T, flag: Option<T>) {
        if let Some(value) = flag {
            *field = value;
        }
    }
    set(&mut config.data, args.data.clone());
    set(&mut config.base, args.base.clone());
    set(&mut config.depth, args.depth.map(|DepthArg::Head| Depth::Head));
    set(&mut config.folds, args.folds);
    set(&mut config.seed, args.seed);
    set(&mut config.max_error, args.max_error);
    set(&mut config.control_budget, args.control_budget);
    set(&mut config.device, args.device.map(|DeviceArg::Cpu| Device::Cpu));
    if args.about.card.is_some() {
        config.card.clone_from(&args.about.card);
    }
    if args.about.output.is_some() {
        config.output.clone_from(&args.about.output);
    }
    args.about.refuse_other_pictures("fit")?;
    let said = args.about.input();
    if !said.is_empty() {
        config.input = said;
    }
    config.exact |= args.about.exact;
    config.balanced |= args.balanced;
    config.strict |= args.strict;
    if config.data == PathBuf::new() {
        let problem =
            Problem::new("no data to fit to").expected("DATA, a folder with one folder of pictures per class");
        return Err(Error::Usage(problem.hint("engraft fit photos/ --out runs/first")).into());
    }
    Ok(config)
}

/// The flags that give this configuration again.
fn command_line(config: &Fit, out: &std::path::Path) -> String {
    let default = Fit::default();
    let mut line = format!("engraft fit {} --base {} --out {}", quoted(&config.data), config.base, quoted(out));
    let mut flag = |differs: bool, text: String| {
        if differs {
            line.push_str(&format!(" {text}"));
        }
    };
    if let Some(card) = &config.card {
        flag(true, format!("--card {}", quoted(card)));
    }
    if let Some(output) = &config.output {
        flag(true, format!("--output {}", quoted(std::path::Path::new(output))));
    }
    let input = &config.input;
    let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    for (name, value) in [
        ("input-size", input.size.map(|size| size.to_string())),
        ("resize", input.shortest_side.map(|side| side.to_string())),
        ("interpolation", input.interpolation.clone()),
        ("channel-order", input.channel_order.clone()),
        ("mean", input.mean.as_deref().map(list)),
        ("std", input.std.as_deref().map(list)),
    ] {
        flag(value.is_some(), format!("--{name} {}", value.unwrap_or_default()));
    }
    flag(config.folds != default.folds, format!("--folds {}", config.folds));
    flag(config.seed != default.seed, format!("--seed {}", config.seed));
    flag(config.balanced, "--balanced".into());
    flag(config.max_error != default.max_error, format!("--max-error {}", config.max_error));
    flag(config.control_budget != default.control_budget, format!("--control-budget {}", config.control_budget));
    flag(config.exact, "--exact".into());
    flag(config.strict, "--strict".into());
    line
}

fn quoted(path: &std::path::Path) -> String {
    let text = engraft::error::printable(path);
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// "95.1 % (92.0 to 97.1 %)"
pub fn interval(estimate: &Estimate) -> String {
    format!("{} ({:.1} to {})", percent(estimate.mean), 100.0 * estimate.low, percent(estimate.high))
}

fn summary(report: &Report, out: &std::path::Path) -> String {
    let mut lines = Vec::new();
    for held in &report.held_out {
        let estimate = &held.evaluation.accuracy;
        lines.push(format!("accuracy on {:<5} {} on {} pictures", held.split, interval(estimate), estimate.n));
    }
    let accuracy = &report.accuracy;
    lines.push(format!("out-of-fold       {} on {} pictures", interval(accuracy), accuracy.n));
    if let Some(scratch) = &report.controls.scratch {
        let paired = &scratch.paired;
        lines.push(format!("from scratch      {} ({})", interval(&scratch.accuracy), scratch.how));
        lines.push(format!(
            "difference        {:+.1} points ({:+.1} to {:+.1})",
            100.0 * paired.difference,
            100.0 * paired.low,
            100.0 * paired.high
        ));
    }
    lines.push(format!("verdict           {}", report.verdict));
    let unsure = &report.unsure;
    lines.push(match unsure.threshold {
        Some(threshold) => format!(
            "unsure below      p = {threshold:.3}: answers {} of pictures at {} errors",
            percent(unsure.answered),
            percent(unsure.error)
        ),
        None => format!(
            "unsure            always: no threshold promises at most {} errors on this data",
            percent(unsure.max_error)
        ),
    });
    if !report.label_errors.is_empty() {
        lines.push(format!("labels to check   {}", report.label_errors.len()));
    }
    lines.push(format!("time              {:.1} s", report.seconds.total));
    lines.push(format!("report            {}", out.join("report.html").display()));
    lines.join("\n") + "\n"
}
