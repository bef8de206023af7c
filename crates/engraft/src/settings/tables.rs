//! Settings as tables of their names: read from files, laid over each other, told apart.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Problem, Result};

/// A setting that differs from what is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Differing {
    /// The flag that sets it, without dashes.
    pub flag: String,
    /// Its value.
    pub value: toml::Value,
    /// Whether it is one of a fine-tuning ([`crate::settings::Tune`]).
    pub of_training: bool,
}

/// Flags of settings that are called otherwise than the flags: in the table of the input, and where a flag is repeated.
const FLAGS: [(&str, &str); 3] =
    [("size", "input-size"), ("shortest-side", "resize"), ("ignore-columns", "ignore-column")];

/// The settings that differ from what is usual: what a command line has to say to give them again.
///
/// # Errors
/// [`Error::Usage`] where settings cannot be written as TOML.
pub fn differing<T: Serialize>(settings: &T, usual: &T) -> Result<Vec<Differing>> {
    let mut told = table(settings)?;
    drop_equal(&mut told, &table(usual)?);
    let mut found = Vec::new();
    for (name, value) in told {
        let of_training = name == "tune";
        let inner = if let toml::Value::Table(inner) = value { inner } else { [(name, value)].into_iter().collect() };
        found.extend(inner.into_iter().map(|(name, value)| {
            let flag = FLAGS.iter().find(|(setting, _)| *setting == name).map_or(name.as_str(), |(_, flag)| flag);
            Differing { flag: flag.to_owned(), value, of_training }
        }));
    }
    Ok(found)
}

/// Settings with others laid over: all that `told` serialises to, by the names that settings have.
///
/// # Errors
/// [`Error::Usage`] where they cannot be written as TOML, or do not fit together.
pub fn laid_over<T: DeserializeOwned + Serialize>(settings: &T, told: impl Serialize) -> Result<T> {
    let mut all = table(settings)?;
    lay_over(&mut all, table(&told)?);
    all.try_into().map_err(|source| Error::Usage(Problem::new("the settings do not fit together").found(source)))
}

/// Settings as a table.
pub(super) fn table(settings: &impl Serialize) -> Result<toml::Table> {
    toml::Table::try_from(settings)
        .map_err(|source| Error::Usage(Problem::new("the settings cannot be written as TOML").found(source)))
}

/// Takes out of a table what another has too, in tables in it too.
pub(super) fn drop_equal(told: &mut toml::Table, plain: &toml::Table) {
    told.retain(|name, value| match (value, plain.get(name)) {
        (toml::Value::Table(inner), Some(toml::Value::Table(plain))) => {
            drop_equal(inner, plain);
            !inner.is_empty()
        }
        (value, plain) => plain != Some(value),
    });
}

/// Reads settings from a TOML file; what it does not name keeps its default.
pub fn read<T: DeserializeOwned + Serialize + Default>(path: &Path) -> Result<T> {
    read_over(path, &T::default())
}

/// Reads settings from a TOML file; what it does not name stays as it is in `usual`.
pub fn read_over<T: DeserializeOwned + Serialize>(path: &Path, usual: &T) -> Result<T> {
    let bytes = crate::files::read_limited(path, 1 << 20)
        .map_err(|source| Error::Usage(Problem::new("the configuration file cannot be read").found(source).at(path)))?;
    let fail = |reason: String| {
        let problem = Problem::new("invalid configuration file").found_lines(reason.trim()).at(path);
        // "unknown field `a`, expected one of `b`, `c`": what stands in backticks is the name and what is known.
        let mut names = reason.split("unknown field").nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        let unknown = names.next().unwrap_or_default();
        let problem = problem.suggest(unknown, names);
        Error::Usage(problem.hint("its names are those of the flags, as `max-error = 0.05`"))
    };
    let text = String::from_utf8(bytes).map_err(|source| fail(source.to_string()))?;
    let told: toml::Table = toml::from_str(&text).map_err(|source| fail(source.to_string()))?;
    let mut all = toml::Table::try_from(usual).map_err(|source| fail(source.to_string()))?;
    lay_over(&mut all, told);
    all.try_into().map_err(|source: toml::de::Error| fail(source.to_string()))
}

/// Puts the values of one table in place of another's, tables in tables too.
fn lay_over(all: &mut toml::Table, told: toml::Table) {
    for (name, value) in told {
        match (all.get_mut(&name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(told)) => lay_over(inner, told),
            (_, value) => {
                all.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Fit;

    #[test]
    fn settings_survive_their_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("run.toml");
        let fit = Fit { seed: 7, max_error: Some(0.1), ..Fit::default() };
        crate::files::write_atomic(&path, toml::to_string(&fit).unwrap().as_bytes()).unwrap();
        assert_eq!(read::<Fit>(&path).unwrap(), fit);
        crate::files::write_atomic(&path, b"max-eror = 0.1").unwrap();
        let told = read::<Fit>(&path).unwrap_err().to_string();
        assert!(told.contains("max-eror") && told.contains("did you mean `max-error`?"), "{told}");
        // What older versions called `output`.
        crate::files::write_atomic(&path, b"output = \"pool\"").unwrap();
        assert_eq!(read::<Fit>(&path).unwrap().onnx_output.as_deref(), Some("pool"));
    }
}
