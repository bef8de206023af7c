//! What is put in front of every text: sentence encoders are trained with such prompts (Wang et al. 2022, E5: `query: `).

use std::path::Path;

use serde_json::{Map, Value};

use crate::bases::text::tokenizer_files::settings;
use crate::error::{Error, Problem, Result};

/// Longest prompt, in bytes.
pub(super) const LONGEST: usize = 4096;

/// The default prompt of an encoder's folder (`default_prompt_name` of `config_sentence_transformers.json`); empty where it
/// has none. What the user should know of it is added to `remarks`.
///
/// # Errors
/// [`Error::Weights`] for a file that is damaged, or names a prompt that it does not have.
pub(super) fn of_folder(folder: &Path, remarks: &mut Vec<String>) -> Result<String> {
    const FILE: &str = "config_sentence_transformers.json";
    let said = settings(folder, FILE)?.unwrap_or_default();
    let none = Map::new();
    let prompts = said.get("prompts").and_then(Value::as_object).unwrap_or(&none);
    if let Some(name) = said.get("default_prompt_name").and_then(Value::as_str) {
        let Some(prompt) = prompts.get(name).and_then(Value::as_str) else {
            let names: Vec<&str> = prompts.keys().map(String::as_str).collect();
            let problem = Problem::new("the default prompt of the encoder is not among its prompts").found(name);
            let problem = problem.expected(format_args!("one of: {}", names.join(", "))).at(folder.join(FILE));
            return Err(Error::Weights(problem.hint("correct the file")));
        };
        if !prompt.is_empty() {
            remarks.push(format!(
                "`{}` is put in front of every text, the encoder's default prompt `{name}` (--prompt names another, --prompt \"\" \
                 none)",
                prompt.escape_debug()
            ));
        }
        return Ok(prompt.to_owned());
    }
    let named: Vec<String> = prompts
        .iter()
        .filter_map(|(name, prompt)| Some((name, prompt.as_str()?)))
        .filter(|(_, prompt)| !prompt.is_empty())
        .map(|(name, prompt)| format!("{name} `{}`", prompt.escape_debug()))
        .collect();
    if !named.is_empty() {
        let shown = named[..named.len().min(6)].join(", ");
        remarks.push(format!("the encoder was trained with prompts and names no default: --prompt puts one in front of every text ({shown})"));
    }
    Ok(String::new())
}
