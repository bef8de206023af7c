//! `engraft embed`

use std::path::{Path, PathBuf};

use engraft::bases::{DataKind, Device, base_for, open};
use engraft::data::image::Limits;
use engraft::data::{ImageSource, Left, is_image_table, used_bit_depth};
use engraft::error::{Error, Problem, Result, from_printable, printable, shown};
use engraft::features::{Extractor, Format, INDEX_HEADER, claim_features, embed};
use engraft::files;
use engraft::progress::Observer;
use engraft::settings::BitDepth;
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
    if args.encoding.is_some() {
        let problem = Problem::new("--encoding is for texts, and these are images");
        return Err(Error::Usage(problem.expected("no --encoding")).into());
    }
    let images = images(&args.data, terminal)?;
    let device = Device::flex();
    let name = base_for(args.base.as_deref(), || Ok(DataKind::of_images(&images)), terminal)?;
    let mut base = open(&args.about.of(&name), &device)?;
    let (depth, said) = used_bit_depth(&images, args.bit_depth.unwrap_or(BitDepth::Auto), None, terminal)?;
    base.card.preprocessing.bit_depth = depth;
    said.iter().for_each(|said| terminal.say(said));
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
    let embedding = embed(&extractor, &images, &args.out, cache.as_ref(), terminal)?;
    let mut left = Left::default();
    for (image, error) in &embedding.failed {
        left.note(&error.reason(), &image.name());
        terminal.say(&format!("left out {}: {error}", shown(image.name())));
    }
    if left.count() > 0 {
        terminal.say(&format!("left out: {}; {}", left.count(), left.told()));
    }
    if args.strict && !embedding.failed.is_empty() {
        let problem = Problem::new("some images cannot be used, and --strict makes that fatal");
        let problem = problem.found(format_args!("{} images", embedding.failed.len()));
        embedding.discard()?;
        return Err(Error::Data(problem).into());
    }
    if embedding.sources.is_empty() {
        embedding.discard()?;
        return Err(Error::Data(Problem::new("no image can be used").at(&args.data)).into());
    }
    let root = if args.data.is_dir() { args.data.as_path() } else { Path::new("") };
    let names: Vec<String> = embedding.sources.iter().map(|image| name_of(image, root)).collect();
    if embedding.resumed > 0 {
        terminal.say(&format!("{} rows were computed before the command was stopped", embedding.resumed));
    }
    let csv = index_csv(&names, &embedding.digests)?;
    let (rows, columns) = (names.len(), embedding.columns);
    let left_out: Vec<String> = embedding.failed.iter().map(|(image, _)| image.name()).collect();
    embedding.write(&args.out, format, &names, args.force)?;
    // The index last: where it is, the features are complete.
    files::write_output(&index, &csv, args.force)?;
    if json {
        output::json(&json!({
            "command": "embed",
            "base": { "id": base.card.id, "sha256": base.sha256 },
            "cut": stages[cut - 1],
            "rows": rows,
            "columns": columns,
            "features": printable(&args.out),
            "index": printable(&index),
            "left_out": left_out,
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
    Ok(if left_out.is_empty() { Outcome::Done } else { Outcome::BadData })
}

/// An image's path relative to the folder that was given, or table and row.
fn name_of(image: &ImageSource, root: &Path) -> String {
    image.file().map_or_else(|| image.name(), |path| printable(path.strip_prefix(root).unwrap_or(path)))
}

/// The images of a folder, a table, a list, or a single one.
fn images(data: &Path, observer: &dyn Observer) -> Result<Vec<ImageSource>> {
    let is_list = data.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    if !is_list || data.is_dir() {
        return engraft::data::images(data, observer);
    }
    let bad = |found: String| {
        let problem = Problem::new("the list of images cannot be read").found(found).at(data);
        Error::Data(problem.expected("a path on each line"))
    };
    let bytes = files::read_limited(data, LIST_LIMIT).map_err(|source| bad(source.to_string()))?;
    let folder = data.parent().unwrap_or(Path::new(""));
    if !begins_with_a_file(&bytes, folder) && is_image_table(data) {
        return engraft::data::images(data, observer);
    }
    let text = String::from_utf8(bytes).map_err(|_| bad("bytes that are not UTF-8".into()))?;
    let paths: Vec<ImageSource> = text
        .lines()
        .filter(|path| !path.trim().is_empty())
        .map(|path| ImageSource::File(folder.join(from_printable(path))))
        .collect();
    if paths.is_empty() { Err(bad("no paths at all".into())) } else { Ok(paths) }
}

/// Whether the first line of a list is the path of a file, rather than a row of a table.
fn begins_with_a_file(list: &[u8], folder: &Path) -> bool {
    let mut lines = list.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.find(|line| !line.trim_ascii().is_empty());
    first.is_some_and(|line| folder.join(from_printable(&String::from_utf8_lossy(line))).is_file())
}

fn index_csv(names: &[String], digests: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(INDEX_HEADER)?;
    for (row, (name, digest)) in names.iter().zip(digests).enumerate() {
        writer.write_record([&row.to_string(), name, digest])?;
    }
    Ok(writer.into_inner()?)
}
