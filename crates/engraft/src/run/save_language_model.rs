//! Writing the folder of a language model of one's own.

use std::path::Path;

use crate::error::Result;
use crate::files::{Made, Staging, sha256_hex};
use crate::methods::PretrainedLanguageModel;
use crate::run::save::{LogLine, json, log_of, toml_of};
use crate::settings::LanguageModelPretrain;
use crate::train::steps_csv;

/// Writes the folder: `model.safetensors`, `vocab.txt` and `config.json`, which make it a base; learning curve, report,
/// settings and log.
pub fn save_language_model(
    trained: &PretrainedLanguageModel,
    config: &LanguageModelPretrain,
    out: &Path,
    replace: bool,
    log: &[LogLine],
) -> Result<()> {
    let staging = Staging::create(out, Made::Base, replace)?;
    let files = trained.model.to_files();
    for (name, bytes) in &files {
        staging.write(name, bytes)?;
    }
    staging.write("curves.csv", steps_csv(&[("pretrain".into(), trained.curve.clone())]).as_bytes())?;
    staging.write(
        "report.json",
        &json(&serde_json::json!({
            "schema": crate::run::SCHEMA,
            "command": "pretrain",
            "version": env!("CARGO_PKG_VERSION"),
            "task": "language-model",
            "base": { "id": trained.model.card.id, "sha256": sha256_hex(&files[0].1) },
            "data": { "tokens": trained.tokens, "words": trained.model.vocabulary.len(), "unknown": trained.unknown },
            "perplexity": trained.perplexity(),
            "log_loss": trained.held_out.map(|score| score.loss),
            "next_word_accuracy": trained.held_out.map(|score| score.accuracy),
            "seed": config.seed,
        })),
    )?;
    staging.write("run.toml", &toml_of(config)?)?;
    staging.write("log.jsonl", &log_of(log))?;
    staging.commit()
}
