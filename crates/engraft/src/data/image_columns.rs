//! Which column of a table has the images: the one whose cells name image files, or hold an image's bytes, whatever it is
//! called.

use std::path::Path;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

use super::column_names::TEXTS;
use super::image_kind::{ENOUGH, is_named_like_an_image, kind};
use super::image_paths::{Finder, Found, is_url};
use super::text::Limits;
use super::text::table::{Opening, Table};
use super::{TABLES, ending};
use crate::error::Result;
use crate::files::open_regular;
use crate::progress::Silent;

/// The name of the column, whatever stands in it.
pub(super) const NAME: &str = "path";
/// Other names that it usually has, which decide between several.
const NAMES: [&str; 22] = [
    "file_name",
    "filename",
    "file",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_name",
    "image_file",
    "imagepath",
    "imagename",
    "img",
    "img_path",
    "img_name",
    "image_id",
    "imageid",
    "picture",
    "photo",
    "fname",
    "paths",
    "name",
    "id",
];
/// Rows that are looked at.
const ROWS: usize = 64;
/// Cells of a column whose files are looked for.
const LOOKED_FOR: usize = 6;
/// Columns that are looked at.
const COLUMNS: usize = 64;
/// The longest cell that may be a path, in bytes.
const LONGEST: usize = 1024;

/// What the cells of a column of images are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageForm {
    /// Paths of files.
    Path,
    /// Images.
    Bytes,
    /// Images in Base64, as they are or as `data:` URLs.
    Base64,
}

/// The column of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageColumn {
    /// Its place in the table.
    pub(super) column: usize,
    /// What its cells are.
    pub(super) form: ImageForm,
    /// Why it is that one, in words; nothing where its name says so.
    pub(super) reason: Option<String>,
}

/// Whether a table is one of images. A text file (`.txt`) may be one, too.
pub(super) fn is_image_table(path: &Path) -> bool {
    let is_table = ending(path).is_some_and(|ending| ending == "txt" || TABLES.contains(&ending.as_str()));
    if !is_table || !path.is_file() {
        return false;
    }
    let opening = Opening { glance: true, ..Opening::default() };
    let Ok(table) = Table::open(path, &opening, &Limits::default(), &Silent) else { return false };
    matches!(find(&table, None), Ok(Some(_)))
}

/// The column of images of a table, if it has one: a column of images' bytes, one called `path`, or the one whose cells are
/// most surely image files; never the one that is `taken` for something else.
///
/// # Errors
/// Where the table cannot be read.
pub(super) fn find(table: &Table, taken: Option<usize>) -> Result<Option<ImageColumn>> {
    let names = table.columns();
    let bytes = table.byte_columns();
    let is_free = |column: &usize| Some(*column) != taken;
    for &column in bytes.iter().filter(|&column| is_free(column)) {
        if holds_images(table, column)? {
            let reason =
                Some(format!("the images are read from the column `{}`, whose cells are images", names[column]));
            return Ok(Some(ImageColumn { column, form: ImageForm::Bytes, reason }));
        }
    }
    if let Some(column) = (0..names.len()).filter(is_free).find(|&at| names[at].eq_ignore_ascii_case(NAME)) {
        return Ok(Some(ImageColumn { column, form: ImageForm::Path, reason: None }));
    }
    let others: Vec<usize> = (0..names.len()).filter(|at| !bytes.contains(at) && is_free(at)).take(COLUMNS).collect();
    let sample = table.sample_of(&others, ROWS)?;
    let mut finder = Finder::of_table(table);
    // Beside a text, a number that is the name of a file without its ending may be any number.
    let has_texts = names.iter().any(|name| TEXTS.iter().any(|text| name.eq_ignore_ascii_case(text)));
    let mut best: Option<(usize, usize, ImageColumn)> = None;
    for (at, &column) in others.iter().enumerate() {
        let cells: Vec<&str> =
            sample.iter().filter_map(|row| row.fields[at].as_deref()).filter(|cell| !cell.is_empty()).collect();
        if holds_base64(&cells) {
            let reason =
                format!("the images are read from the column `{}`, whose cells are images in Base64", names[column]);
            return Ok(Some(ImageColumn { column, form: ImageForm::Base64, reason: Some(reason) }));
        }
        // Of a part of an object its own name counts: `image.path`.
        let name = names[column].rsplit('.').next().unwrap_or_default();
        let usual = NAMES.iter().chain(&[NAME]).position(|usual| usual.eq_ignore_ascii_case(name));
        let Some((sureness, reason)) = sureness(&cells, usual.is_some(), has_texts, &mut finder) else { continue };
        let rank = usual.unwrap_or(NAMES.len());
        if best
            .as_ref()
            .is_none_or(|(sure, place, _)| (sureness, std::cmp::Reverse(rank)) > (*sure, std::cmp::Reverse(*place)))
        {
            let reason = Some(format!("the images are read from the column `{}`, {reason}", names[column]));
            best = Some((sureness, rank, ImageColumn { column, form: ImageForm::Path, reason }));
        }
    }
    Ok(best.map(|(_, _, column)| column))
}

/// How sure it is that cells name image files, and why; nothing where they do not. `usual`: the column is called like it.
/// `strict`: their endings have to say so.
fn sureness(cells: &[&str], usual: bool, strict: bool, finder: &mut Finder) -> Option<(usize, String)> {
    let paths: Vec<&str> =
        cells.iter().copied().filter(|cell| cell.len() <= LONGEST && !cell.contains(['\n', '\r'])).collect();
    if cells.is_empty() || 10 * paths.len() < 9 * cells.len() {
        return None;
    }
    let named = paths.iter().filter(|cell| is_named_like_an_image(cell)).count();
    let is_named = 10 * named >= 9 * paths.len();
    // What is neither named nor called like a file is looked for only where it has no blanks, as few texts have.
    let may_be = is_named || paths.iter().all(|cell| usual || !cell.contains(char::is_whitespace));
    let has_dots = paths.iter().any(|cell| cell.contains('.') || cell.contains('/') || cell.contains('\\'));
    if !may_be || !(is_named || usual || has_dots) || strict && !is_named {
        return None;
    }
    let looked: Vec<&str> = paths.iter().copied().filter(|cell| !is_url(cell)).take(LOOKED_FOR).collect();
    let mut found = 0;
    for cell in &looked {
        let Found { path, is_there, .. } = finder.find(cell, None);
        found += usize::from(is_there && begins_like_an_image(&finder.place(&path)));
    }
    match (found, is_named) {
        (found, _) if found > 0 && 2 * found >= looked.len() => Some((2, "whose cells name image files".to_owned())),
        (_, true) => Some((1, "whose cells end like image files".to_owned())),
        _ => None,
    }
}

/// Whether a file begins like an image of any kind.
pub(super) fn begins_like_an_image(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = open_regular(path).and_then(|file| file.take(ENOUGH as u64).read_to_end(&mut head));
    read.is_ok() && kind(&head).is_some()
}

/// Whether one of the first cells that are there is an image: another may be damaged.
fn holds_images(table: &Table, column: usize) -> Result<bool> {
    let mut left = LOOKED_FOR;
    for cell in table.bytes(column)?.take(ROWS) {
        let Some(bytes) = cell? else { continue };
        if kind(&bytes).is_some() {
            return Ok(true);
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    Ok(false)
}

/// Whether one of the first cells is an image in Base64.
pub(super) fn holds_base64(cells: &[&str]) -> bool {
    let begins_like_an_image = |cell: &&str| {
        let text = base64_of(cell);
        // Four characters are three bytes.
        let head = text.get(..text.len().min(2 * ENOUGH) / 4 * 4).unwrap_or_default();
        head.len() >= 16 && CODE.decode(head).is_ok_and(|bytes| kind(&bytes).is_some())
    };
    cells.iter().take(LOOKED_FOR).any(begins_like_an_image)
}

/// The image of a cell in Base64; what is none is given as it stands there, and refused as an image.
pub(super) fn from_base64(cell: &str) -> Vec<u8> {
    let text = base64_of(cell);
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    CODE.decode(&plain).or_else(|_| URL_SAFE.decode(&plain)).unwrap_or_else(|_| cell.as_bytes().to_vec())
}

/// With or without the signs that fill it up.
const PADDED: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const CODE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED);

/// A cell without what says that it is Base64: `data:image/png;base64,`.
fn base64_of(cell: &str) -> &str {
    let url = cell.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    url.map_or(cell, |(_, text)| text)
}
