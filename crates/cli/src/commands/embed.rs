//! `engraft embed`

use std::path::{Path, PathBuf};

use engraft::bases::{DataKind, Device, base_for, open};
use engraft::data::image::Limits;
use engraft::error::{Error, Problem, Result, from_printable, printable, shown};
use engraft::features::{Extractor, Format, INDEX_HEADER, claim_features, embed, write_features};
use engraft::files;
use engraft::progress::Observer;
use serde_json::json;

use crate::args::EmbedArgs;
use crate::commands::{cache_of, embed_texts};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Longest list of images that is read, in bytes.
const LIST_LIMIT: u64 = 1 << 30;

/// Runs the command.
pub fn run(args: &EmbedArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let format = Format::of(&args.out)?;
    let base = PathBuf::from(args.base.as_deref().unwrap_or_default());
    let inputs = [("the data", args.data.as_path()), ("the base", &base)];
    let index = claim_features(&args.out, format, args.force, &inputs)?;
    if embed_texts::is_meant(args) {
        return embed_texts::run(args, format, &index, json, terminal);
    }
    if args.prompt.is_some() {
        let problem = Problem::new("only encoders of texts take a prompt").found("images").at("--prompt");
        return Err(Error::Usage(problem.hint("leave it out")).into());
    }
    let images = images(&args.data)?;
    let device = Device::flex();
    let name = base_for(args.base.as_deref(), || Ok(DataKind::of_images(&images)), terminal)?;
    let base = open(&args.about.of(&name), &device)?;
    for remark in &base.remarks {
        terminal.say(remark);
    }
    let stages = base.stages();
    let cut = match &args.cut {
        None => stages.len(),
        Some(name) => {
            let found = stages.iter().position(|stage| stage == name);
            1 + found.ok_or_else(|| {
                let problem = Problem::new("no such stage").expected(stages.join(", ")).found(name).at("--cut");
                Error::Usage(problem.suggest(name, stages.iter().map(String::as_str)))
            })?
        }
    };
    let extractor = Extractor::new(&base, cut, Limits::default(), &device)?;
    let cache = cache_of(&args.cache, terminal);
    let embedding = embed(&extractor, &images, cache.as_ref(), terminal)?;
    for (path, error) in &embedding.failed {
        terminal.say(&format!("left out {}: {error}", shown(path)));
    }
    if args.strict && !embedding.failed.is_empty() {
        let problem = Problem::new("some images cannot be used, and --strict makes that fatal");
        return Err(Error::Data(problem.found(format_args!("{} images", embedding.failed.len()))).into());
    }
    if embedding.paths.is_empty() {
        return Err(Error::Data(Problem::new("no image can be used").at(&args.data)).into());
    }
    let root = if args.data.is_dir() { args.data.as_path() } else { Path::new("") };
    let names: Vec<String> =
        embedding.paths.iter().map(|path| printable(path.strip_prefix(root).unwrap_or(path))).collect();
    // The index last: where it is, the features are complete.
    write_features(&args.out, format, &embedding.features, &names, args.force)?;
    files::write_output(&index, &index_csv(&names, &embedding.digests)?, args.force)?;
    let (rows, columns) = (embedding.features.rows, embedding.features.columns);
    if json {
        output::json(&json!({
            "command": "embed",
            "base": { "id": base.card.id, "sha256": base.sha256 },
            "cut": stages[cut - 1],
            "rows": rows,
            "columns": columns,
            "features": printable(&args.out),
            "index": printable(&index),
            "left_out": embedding.failed.iter().map(|(path, _)| printable(path)).collect::<Vec<_>>(),
        }))?;
    } else {
        output::text(&format!(
            "{rows} rows of {columns} features after `{}` of {}: {}\nwhich row is which image: {}\n",
            stages[cut - 1],
            base.card.id,
            shown(&args.out),
            shown(&index)
        ))?;
    }
    Ok(if embedding.failed.is_empty() { Outcome::Done } else { Outcome::BadData })
}

/// The images of a folder, a list, or a single one.
fn images(data: &Path) -> Result<Vec<PathBuf>> {
    let ending = data.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    if !matches!(ending.as_deref(), Some("txt" | "csv")) || data.is_dir() {
        return engraft::data::images(data);
    }
    let bad = |found: String| {
        let problem = Problem::new("the list of images cannot be read").found(found).at(data);
        Error::Data(problem.expected("a path on each line, or a CSV with a column `path`"))
    };
    let bytes = files::read_limited(data, LIST_LIMIT).map_err(|source| bad(source.to_string()))?;
    let folder = data.parent().unwrap_or(Path::new(""));
    let text = String::from_utf8(bytes).map_err(|_| bad("bytes that are not UTF-8".into()))?;
    let paths: Vec<String> = if ending.as_deref() == Some("csv") {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|source| bad(source.to_string()))?.clone();
        let column = headers.iter().position(|name| name.trim() == "path");
        let column =
            column.ok_or_else(|| bad(format!("the columns {}", headers.iter().collect::<Vec<_>>().join(", "))))?;
        let path = |record: csv::Result<csv::StringRecord>| {
            record.map(|record| record.get(column).unwrap_or_default().to_owned()).map_err(|s| bad(s.to_string()))
        };
        reader.records().map(path).collect::<Result<_>>()?
    } else {
        text.lines().map(str::to_owned).collect()
    };
    let paths: Vec<PathBuf> =
        paths.iter().filter(|path| !path.trim().is_empty()).map(|path| folder.join(from_printable(path))).collect();
    if paths.is_empty() { Err(bad("no paths at all".into())) } else { Ok(paths) }
}

fn index_csv(names: &[String], digests: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(INDEX_HEADER)?;
    for (row, (name, digest)) in names.iter().zip(digests).enumerate() {
        writer.write_record([&row.to_string(), name, digest])?;
    }
    Ok(writer.into_inner()?)
}
