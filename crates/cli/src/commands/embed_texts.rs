//! `engraft embed` on texts.

use std::path::Path;
use std::sync::Arc;

use engraft::bases::text::{TextBase, TextBody, WordPooling, is_text_base, is_tf_idf, open_text_base};
use engraft::bases::{DataKind, Device, refuse_other_kind};
use engraft::data::text::{TextReading, TextRow, is_text, stream_texts};
use engraft::data::{is_image_file, is_image_table};
use engraft::error::{Error, Problem, Result, printable, printable_text, shown};
use engraft::features::{Format, TextExtractor, embed_texts};
use engraft::files;
use engraft::progress::Observer;
use serde_json::json;

use crate::args::EmbedArgs;
use crate::commands::columns_of;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;
use engraft::bases::base_for;

/// Whether the data is texts: a column is named, the data looks like texts, or the base is one of texts.
pub fn is_meant(args: &EmbedArgs) -> bool {
    // A .txt file is a list of paths, unless the base is one of texts.
    let is_list = args.data.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    let looks_like_texts = || !is_list && !is_image_table(&args.data) && is_text(&args.data);
    args.text.is_some() || args.base.as_deref().is_some_and(is_text_base) || looks_like_texts()
}

/// Runs the command.
pub fn run(args: &EmbedArgs, format: Format, index: &Path, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.bit_depth.is_some() {
        let problem = Problem::new("--bit-depth is for images, and these are texts");
        return Err(Error::Usage(problem.expected("no --bit-depth")).into());
    }
    if let Some(cut) = &args.cut {
        let problem = Problem::new("texts are embedded by the whole base").expected("no --cut").found(cut);
        return Err(Error::Usage(problem).into());
    }
    args.about.refuse("texts")?;
    if let Some(base) = &args.base {
        if args.text.is_none() && (is_image_file(&args.data) || is_image_table(&args.data)) {
            refuse_other_kind(base, false, "images")?;
        }
        refuse_other_kind(base, true, "texts")?;
    }
    let name = base_for(args.base.as_deref(), || Ok(DataKind::Texts), terminal)?;
    let base = if is_tf_idf(&name) {
        // Counted in the texts that are embedded, which are read twice for it.
        let texts = rows(args, &Quiet(terminal))?.map(|row| row.map(|row| row.text)).collect::<Result<Vec<_>>>()?;
        TextBase::tf_idf(&texts.iter().collect::<Vec<_>>())?
    } else {
        open_text_base(&name, &Device::flex())?
    };
    // After the base is known to be one of texts: a damaged file of weights for images may look like one.
    if args.cache.no_cache || args.cache.folder.is_some() {
        let problem =
            Problem::new("the features of texts are not cached: a stopped command goes on from OUT.unfinished");
        return Err(Error::Usage(problem.expected("no --cache and no --no-cache")).into());
    }
    let base = base.with_prompt(args.prompt.as_deref())?;
    base.remarks.iter().for_each(|remark| terminal.say(remark));
    let pooler = match &base.body {
        TextBody::Words(vectors) => Some(vectors.pooler(&[], WordPooling::Mean)),
        _ => None,
    };
    let base = Arc::new(base);
    let extractor =
        TextExtractor::new(&base).with_pooler(pooler, args.text.as_deref().is_some_and(|text| text.contains(',')));
    let embedded =
        embed_texts(&extractor, rows(args, terminal)?, &args.out, format, args.strict, args.force, terminal)?;
    // The index last: where it is, the features are complete.
    files::write_output(index, &embedded.index, args.force)?;
    if embedded.resumed > 0 {
        terminal.say(&format!("{} rows were computed before the command was stopped", embedded.resumed));
    }
    if embedded.truncated > 0 {
        terminal.say(&format!(
            "{} of {} texts are longer than what the base takes: their ends were not read",
            embedded.truncated, embedded.rows
        ));
    }
    for name in embedded.empty.iter().take(10) {
        terminal.say(&format!("left out {}: it is empty", printable_text(name)));
    }
    let columns = extractor.columns();
    if json {
        output::json(&json!({
            "command": "embed",
            "base": { "id": base.id, "sha256": base.sha256 },
            "rows": embedded.rows,
            "columns": columns,
            "features": printable(&args.out),
            "index": printable(index),
            "left_out": embedded.empty,
            "truncated": embedded.truncated,
        }))?;
    } else {
        output::text(&format!(
            "{} rows of {columns} features of {}: {}\nwhich row is which text: {}\n",
            embedded.rows,
            base.id,
            shown(&args.out),
            shown(index)
        ))?;
    }
    Ok(if embedded.empty.is_empty() { Outcome::Done } else { Outcome::BadData })
}

/// Says nothing: what is found out about a file is said when it is read again.
struct Quiet<'a>(&'a Terminal);

impl Observer for Quiet<'_> {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// The texts, one after the other.
fn rows(args: &EmbedArgs, observer: &dyn Observer) -> Result<Box<dyn Iterator<Item = Result<TextRow>> + Send>> {
    let data = &args.data;
    let (text, encoding) = (columns_of(args.text.as_deref()), args.encoding.clone());
    stream_texts(data, &TextReading { text, encoding, ..TextReading::default() }, observer)
}
