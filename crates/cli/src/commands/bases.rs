//! `engraft bases`

use std::path::Path;

use engraft::bases::hub::{Hub, Reference, registry};
use engraft::bases::text::{is_text_base, is_tf_idf, open_text_base};
use engraft::bases::{Architecture, Base, BaseSpec, BaseSummary, Body, Device, StageCost, embedded, open};
use engraft::error::{Error, Problem, shown};
use engraft::files;
use engraft::progress::Observer;
use engraft::run::{claim_import, import};
use serde_json::json;

use crate::args::{BaseArgs, BasesCommand, ImportArgs};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Longest list of class names that is read, in bytes.
const CLASSES_LIMIT: u64 = 64 << 20;
/// Candidates for the features of an ONNX model that are shown.
const CANDIDATES: usize = 12;

/// Runs the command.
pub fn run(command: &BasesCommand, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match command {
        BasesCommand::List { architectures: true } => architectures(json),
        BasesCommand::List { architectures: false } => list(json),
        BasesCommand::Show { id, about } => show(id, about, json),
        BasesCommand::Pull { id } => pull(id, json, terminal),
        BasesCommand::Import(args) => import_file(args, json, terminal),
    }
}

fn architectures(json: bool) -> anyhow::Result<Outcome> {
    let dialects = |architecture: Architecture| -> Vec<&str> {
        architecture.dialects().iter().map(|dialect| dialect.name).collect()
    };
    if json {
        let all: Vec<_> = Architecture::ALL
            .into_iter()
            .map(|a| json!({ "name": a.name(), "dialects": dialects(a), "smallest_input": a.smallest_input() }))
            .collect();
        output::json(&all)?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    for architecture in Architecture::ALL {
        text.push_str(&format!("{:22}  {}\n", architecture.name(), dialects(architecture).join(", ")));
    }
    output::text(&text)?;
    Ok(Outcome::Done)
}

/// One base of the list.
#[derive(Debug, serde::Serialize)]
struct Listed {
    id: String,
    architecture: String,
    /// `in the program`, `here`, `pull`, or `give the file`.
    place: &'static str,
    megabytes: Option<f64>,
    /// Top-1 on ImageNet-1k, in per cent, as published.
    imagenet: Option<f64>,
    licence: String,
    description: String,
    sha256: Option<String>,
}

fn listed() -> anyhow::Result<Vec<Listed>> {
    let hub = Hub::from_environment()?;
    let known = |base: BaseSummary| Listed {
        id: base.id,
        architecture: base.architecture.to_owned(),
        place: if base.embedded { "in the program" } else { "give the file" },
        megabytes: None,
        imagenet: None,
        licence: base.licence,
        description: base.description,
        sha256: None,
    };
    let (embedded, files): (Vec<_>, Vec<_>) = embedded()?.into_iter().partition(|base| base.embedded);
    let pullable = registry().iter().map(|entry| Listed {
        id: entry.id.clone(),
        architecture: entry.architecture.clone(),
        place: if hub.has(&Reference::Known(entry)) { "here" } else { "pull" },
        megabytes: entry.size.map(|bytes| bytes as f64 / 1e6).or(entry.mebibytes.map(|m| m * 1.048_576)),
        imagenet: entry.accuracy,
        licence: entry.licence.clone(),
        description: entry.good_for.clone(),
        sha256: entry.sha256.clone(),
    });
    Ok(embedded.into_iter().map(known).chain(pullable).chain(files.into_iter().map(known)).collect())
}

fn list(json: bool) -> anyhow::Result<Outcome> {
    let bases = listed()?;
    if json {
        output::json(&bases)?;
        return Ok(Outcome::Done);
    }
    let width = |field: fn(&Listed) -> &str| bases.iter().map(|base| field(base).len()).max().unwrap_or(0);
    let (ids, licences) = (width(|base| &base.id), width(|base| &base.licence));
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let mut text =
        format!("{:ids$}  {:14}  {:>7}  {:>8}  {:licences$}  good for\n", "base", "where", "MB", "ImageNet", "licence");
    for base in &bases {
        text.push_str(&format!(
            "{:ids$}  {:14}  {:>7}  {:>8}  {:licences$}  {}\n",
            base.id,
            base.place,
            number(base.megabytes),
            number(base.imagenet),
            base.licence,
            base.description
        ));
    }
    output::text(&text)?;
    Ok(Outcome::Done)
}

fn pull(id: &str, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let reference = Reference::parse(id)?;
    let local = Hub::from_environment()?.pull(&reference, terminal)?;
    if json {
        output::json(&json!({
            "base": reference.to_string(), "weights": local.weights, "sha256": local.sha256, "commit": local.commit,
        }))?;
    } else {
        output::text(&format!(
            "{}\nsha256 {}\nuse it with --base {}\n",
            shown(&local.weights),
            local.sha256,
            reference
        ))?;
    }
    Ok(Outcome::Done)
}

fn show(id: &str, about: &BaseArgs, json: bool) -> anyhow::Result<Outcome> {
    if is_text_base(id) {
        return show_texts(id, about, json);
    }
    let base = open(&about.of(id), &Device::flex())?;
    let costs = base.costs();
    if json {
        let fit = base.staged().ok().map(|built| &built.fit);
        let candidates: Option<Vec<_>> = match &base.body {
            Body::Onnx { model, .. } => Some(
                model.candidates().iter().map(|c| json!({ "name": c.name, "op": c.op, "shape": c.shape })).collect(),
            ),
            Body::Stages(_) => None,
        };
        output::json(&json!({
            "card": base.card, "sha256": base.sha256, "stages": costs, "fit": fit, "outputs": candidates,
            "remarks": base.remarks,
        }))?;
        return Ok(Outcome::Done);
    }
    output::text(&(about_base(&base) + &table(&costs) + &notes(&base)))?;
    Ok(Outcome::Done)
}

fn show_texts(id: &str, args: &BaseArgs, json: bool) -> anyhow::Result<Outcome> {
    args.refuse("a base of texts")?;
    if is_tf_idf(id) {
        let text = "tfidf\n  architecture  TF-IDF of the commonest words and pairs of words, (1 + ln tf) idf\n  \
                    input         texts, any length\n  weights       none: counted in the training texts, and kept in the run\n  \
                    depths        head\n";
        if json {
            output::json(&json!({ "id": id, "architecture": "TF-IDF", "depths": ["head"] }))?;
        } else {
            output::text(text)?;
        }
        return Ok(Outcome::Done);
    }
    let about = open_text_base(id, &Device::flex())?.about();
    if json {
        output::json(&about)?;
        return Ok(Outcome::Done);
    }
    let tokens = about.tokens.map_or_else(|| "any length".to_owned(), |tokens| format!("up to {tokens} tokens"));
    let prompt = if about.prompt.is_empty() { "-".to_owned() } else { format!("{:?} in front", about.prompt) };
    let mut lines = vec![
        about.id.clone(),
        format!("  architecture  {}", about.architecture),
        format!("  input         texts, {tokens}"),
        format!("  prompt        {prompt}"),
        format!("  features      {}: {}", about.columns, about.steps.join(", ")),
        format!("  licence       {}", about.licence),
        format!("  source        {}", about.source),
        format!("  sha256        {}", about.sha256),
    ];
    lines.extend(about.remarks.iter().map(|remark| format!("\nnote: {remark}")));
    output::text(&(lines.join("\n") + "\n"))?;
    Ok(Outcome::Done)
}

fn about_base(base: &Base) -> String {
    let card = &base.card;
    let p = &card.preprocessing;
    let mut lines = vec![card.id.clone()];
    if !card.description.is_empty() {
        lines.push(format!("  {}", card.description));
    }
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let epsilon = card.style().epsilon;
    lines.extend([
        format!("  architecture  {}", card.architecture.name()),
        format!("  input         {} x {} x {}, {:?}, {:?}", p.height, p.width, p.channels, p.resize, p.interpolation),
        format!("  normalise     {:?}, mean {:?}, std {:?}", p.channel_order, p.mean, p.std),
        format!("  padding       {:?}; batch norm epsilon {epsilon:e}", card.padding),
        format!("  licence       {}", known(&card.licence)),
        format!("  source        {}", known(&card.source)),
        format!("  sha256        {}", base.sha256),
    ]);
    if let Ok(built) = base.staged() {
        let fit = &built.fit;
        let ignored =
            if fit.ignored.is_empty() { String::new() } else { format!(", {} left aside", fit.ignored.len()) };
        let filled = if fit.filled.is_empty() { String::new() } else { format!(", {} filled in", fit.filled.len()) };
        lines.push(format!("  tensors       {} as {} names them{ignored}{filled}", fit.matched, fit.dialect));
        lines.extend(fit.ignored.iter().take(1).map(|what| format!("                {what}")));
    }
    lines.join("\n") + "\n\n"
}

/// What each stage gives and costs, and what is saved by a cut after it: the share of the work before it.
fn table(costs: &[StageCost]) -> String {
    let width = costs.iter().map(|stage| stage.name.len()).max().unwrap_or(0).max(8);
    let outputs: Vec<String> = costs.iter().map(|stage| shapes(&stage.outputs)).collect();
    let wide = outputs.iter().map(String::len).max().unwrap_or(0).max(8);
    let (parameters, total): (usize, u64) =
        costs.iter().fold((0, 0), |(p, m), stage| (p + stage.parameters, m + stage.multiply_adds));
    let mut text = format!(
        "  {:width$}  {:>wide$}  {:>12}  {:>14}  {:>12}  {:>8}\n",
        "stage", "output", "parameters", "MACs", "row", "frozen"
    );
    let mut before = 0;
    for (stage, output) in costs.iter().zip(&outputs) {
        before += stage.multiply_adds;
        let frozen = 100.0 * before as f64 / total.max(1) as f64;
        let row = format!("{} KB", (4 * stage.columns()).div_ceil(1024));
        text.push_str(&format!(
            "  {:width$}  {output:>wide$}  {:>12}  {:>14}  {row:>12}  {frozen:>6.1} %\n",
            stage.name, stage.parameters, stage.multiply_adds
        ));
    }
    text.push_str(&format!("  {:width$}  {:>wide$}  {parameters:>12}  {total:>14}\n", "total", ""));
    text.push_str("\n  row: what the cache keeps of each image at a cut after the stage; frozen: the share of the work that it saves.\n");
    text
}

fn notes(base: &Base) -> String {
    let mut text = String::new();
    if let Body::Onnx { model, .. } = &base.body {
        text.push_str("\n  values that could be features (--onnx-output), nearest to the end first\n");
        for candidate in model.candidates().iter().take(CANDIDATES) {
            let shape: Vec<String> = candidate.shape.iter().map(usize::to_string).collect();
            let mark = if candidate.name == model.output().name { "*" } else { " " };
            text.push_str(&format!("  {mark} {:40}  {:24}  {}\n", candidate.name, candidate.op, shape.join(" x ")));
        }
    }
    for remark in &base.remarks {
        text.push_str(&format!("\nnote: {remark}\n"));
    }
    text
}

/// "28 x 28 x 64", two of them with a plus between.
fn shapes(outputs: &[Vec<usize>]) -> String {
    let one = |shape: &Vec<usize>| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    outputs.iter().map(one).collect::<Vec<_>>().join(" + ")
}

fn import_file(args: &ImportArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let card_path = args.out.with_extension("toml");
    let [card, classes] = [&args.about.card, &args.classes].map(|path| path.clone().unwrap_or_default());
    let inputs = [("the file", Path::new(&args.file)), ("the card", &card), ("the class names", &classes)];
    claim_import(&args.out, &card_path, args.force, &inputs)?;
    let architecture = match args.arch.as_deref() {
        None => None,
        Some(name) => Some(Architecture::named(name).ok_or_else(|| {
            let problem = Problem::new("no such architecture").found(name).at("--arch");
            let problem = problem.suggest(name, Architecture::ALL.iter().map(|known| known.name()));
            Error::Usage(problem.hint("`engraft bases list --architectures` names them"))
        })?),
    };
    let spec = BaseSpec { architecture, ..args.about.of(&args.file) };
    let mut base = open(&spec, &Device::flex())?;
    for remark in &base.remarks {
        terminal.say(remark);
    }
    if let Some(arch) = args.arch.as_deref().filter(|arch| *arch != base.card.architecture.name()) {
        let problem = Problem::new("the file holds another architecture").expected(arch);
        return Err(Error::Weights(problem.found(base.card.architecture.name()).at(&args.file)).into());
    }
    let card = &mut base.card;
    let set = |field: &mut String, flag: &Option<String>| {
        if let Some(text) = flag {
            field.clone_from(text);
        }
    };
    set(&mut card.id, &args.id);
    set(&mut card.description, &args.description);
    set(&mut card.licence, &args.licence);
    set(&mut card.source, &args.source);
    if let Some(path) = &args.classes {
        card.classes = class_names(path)?;
        card.class_list = None;
    }
    let imported = import(&base, args.half)?;
    // The card last: where it is, the weights are complete.
    files::write_output(&args.out, &imported.weights, args.force)?;
    files::write_output(&card_path, imported.card_toml.as_bytes(), args.force)?;
    let fit = &base.staged()?.fit;
    if json {
        output::json(&json!({ "card": imported.card, "fit": fit, "weights": args.out, "card_file": card_path }))?;
    } else {
        output::text(&format!(
            "{} tensors as {} names them, {} left aside, {} filled in\n{}\n{}\n",
            fit.matched,
            fit.dialect,
            fit.ignored.len(),
            fit.filled.len(),
            shown(&args.out),
            shown(&card_path)
        ))?;
    }
    Ok(Outcome::Done)
}

fn class_names(path: &Path) -> anyhow::Result<Vec<String>> {
    let bad = |found: String| {
        Error::Data(
            Problem::new("the class names cannot be read").expected("a name on each line").found(found).at(path),
        )
    };
    let bytes = files::read_limited(path, CLASSES_LIMIT).map_err(|source| bad(source.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| bad("bytes that are not UTF-8".into()))?;
    Ok(text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
