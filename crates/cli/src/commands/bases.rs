//! `engraft bases`

use std::path::Path;

use engraft::backbone::{Device, embedded, open};
use serde_json::json;

use crate::args::BasesCommand;
use crate::exit::Outcome;
use crate::output;

/// Runs the command.
pub fn run(command: &BasesCommand, json: bool) -> anyhow::Result<Outcome> {
    match command {
        BasesCommand::List => list(json),
        BasesCommand::Show { id, card } => show(id, card.as_deref(), json),
    }
}

fn list(json: bool) -> anyhow::Result<Outcome> {
    let bases = embedded()?;
    if json {
        output::json(&bases)?;
        return Ok(Outcome::Done);
    }
    let width = bases.iter().map(|base| base.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for base in &bases {
        let place = if base.embedded { "in the program" } else { "give the file" };
        text.push_str(&format!("{:width$}  {:14}  {}\n", base.id, place, base.description));
    }
    output::text(&text)?;
    Ok(Outcome::Done)
}

fn show(id: &str, card: Option<&Path>, json: bool) -> anyhow::Result<Outcome> {
    let base = open(id, card, &Device::flex())?;
    let costs = base.network.costs(base.input());
    if json {
        output::json(&json!({ "card": base.card, "sha256": base.sha256, "stages": costs, "remarks": base.remarks }))?;
        return Ok(Outcome::Done);
    }
    let card = &base.card;
    let p = &card.preprocessing;
    let mut text = format!(
        "{}\n  {}\n  architecture  {}\n  input         {} x {} x {}\n  licence       {}\n  source        {}\n  sha256        {}\n\n",
        card.id,
        card.description,
        card.architecture.name(),
        p.height,
        p.width,
        p.channels,
        card.licence,
        card.source,
        base.sha256
    );
    text.push_str(&format!("  {:10} {:>16} {:>12} {:>14}\n", "stage", "output", "parameters", "multiply-adds"));
    for stage in &costs {
        let shape: Vec<String> = stage.output.iter().map(usize::to_string).collect();
        text.push_str(&format!(
            "  {:10} {:>16} {:>12} {:>14}\n",
            stage.name,
            shape.join(" x "),
            stage.parameters,
            stage.multiply_adds
        ));
    }
    let (parameters, multiply_adds) =
        costs.iter().fold((0, 0), |(p, m), stage| (p + stage.parameters, m + stage.multiply_adds));
    text.push_str(&format!("  {:10} {:>16} {parameters:>12} {multiply_adds:>14}\n", "total", ""));
    for remark in &base.remarks {
        text.push_str(&format!("\nnote: {remark}\n"));
    }
    output::text(&text)?;
    Ok(Outcome::Done)
}
