//! Doing a run again, from the images, and comparing to the bit.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::adapt::{Adapted, adapt};
use crate::data::inspect::NoStore;
use crate::data::intake::{InputKind, Intake};
use crate::data::{SourceForm, open_target};
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::fit::{Context, fit};
use crate::methods::AnyBase;
use crate::methods::Journal;
use crate::progress::Observer;
use crate::run::model::{check_schema, read_json};
use crate::run::save::Rendered;
use crate::run::source_free::adapt_run;
use crate::settings::{self, Adapt, Fit};

/// Fields of a report that differ from one time to the next.
const TIMINGS: [&str; 3] = ["seconds", "images_per_second", "peak_memory_mb"];

/// What doing a run again showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether every number and every weight came out the same, to the bit.
    pub reproduced: bool,
    /// What differs.
    pub differences: Vec<String>,
}

/// Does a run again without any cache and compares model, report and predictions with what is stored.
///
/// `data` is where the images are now, if they moved.
pub fn verify(run: &Path, data: Option<&Path>, observer: &dyn Observer) -> Result<Verification> {
    check_schema(run, &read_json(run)?)?;
    let mut config: Fit = settings::read(&run.join("run.toml"))?;
    let recorded = config.data.clone();
    if let Some(data) = data {
        config.data = data.to_owned();
    }
    if let Some(Adapt { run: Some(source), .. }) = &config.adapt {
        let asked = config.adapt.clone().unwrap_or_default();
        let again = adapt_run(source, &asked, &NoStore, None, observer, "")?;
        return compare_run(run, &again.rendered);
    }
    let intake = Intake::open(&config, InputKind::of(&config), &NoStore, observer)?;
    let base = AnyBase::open(&config, &intake)?;
    let means = Context { cache: None, journal: &Journal::none(), observer };
    let (mut fitted, adaptation) = match &config.adapt {
        None => (fit(&config, base, intake, means, 0.0, &mut |_| {})?, None),
        Some(asked) => {
            let target = open_target(&config, asked, &SourceForm::of(&intake)?, &NoStore, observer)?;
            let Adapted { fitted, adaptation, .. } = adapt(&config, base, intake, target, means, 0.0, &mut |_| {})?;
            (fitted, Some(adaptation))
        }
    };
    // Where the data lies is not part of what is compared.
    fitted.config.data = recorded;
    let mut verification = compare_run(run, &Rendered::with(&fitted, adaptation.as_ref(), "")?)?;
    let recorded: Value = serde_json::from_slice(&read_json(run)?).unwrap_or(Value::Null);
    if recorded["data_fingerprint"] != fitted.intake.fingerprint().as_str() {
        let place = crate::error::printable(&fitted.intake.dataset.root);
        verification.differences.insert(0, format!("the data at {place} is not what it was when the run was made"));
    }
    Ok(verification)
}

/// Compares a run's folder with what came out again.
fn compare_run(run: &Path, again: &Rendered) -> Result<Verification> {
    let mut differences = Vec::new();
    let stored = |name: &str| -> Result<Vec<u8>> {
        let path = run.join(name);
        files::read_limited(&path, engraft_weights::FILE_LIMIT)
            .map_err(|source| Error::Weights(Problem::new("a file of the run cannot be read").found(source).at(path)))
    };
    for name in ["model.safetensors", "predictions.csv"] {
        if stored(name)? != again.file(name) {
            differences.push(format!("{name} differs"));
        }
    }
    for name in ["model.json", "report.json"] {
        let parse = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap_or(Value::Null) };
        let (mut before, mut now) = (parse(&stored(name)?), parse(again.file(name)));
        strip_timings(&mut before);
        strip_timings(&mut now);
        compare(name, &before, &now, &mut differences);
    }
    Ok(Verification { reproduced: differences.is_empty(), differences })
}

/// Removes what depends on the clock and the machine, at every level.
fn strip_timings(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMINGS.contains(&name.as_str()));
            fields.values_mut().for_each(strip_timings);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_timings),
        _ => {}
    }
}

/// Names the places where two documents differ.
fn compare(place: &str, before: &Value, now: &Value, differences: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let (x, y) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                compare(&format!("{place}: {name}"), x, y, differences);
            }
        }
        _ if before == now => {}
        (Value::Number(_) | Value::String(_) | Value::Bool(_), _) => {
            differences.push(format!("{place} was {before}, is {now}"));
        }
        _ => differences.push(format!("{place} differs")),
    }
}
