//! Files of questions and of rated pairs.

use std::path::{Path, PathBuf};

use crate::error::{Error, Problem, Result, printable};
use crate::files::read_limited;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 256 << 20;
/// Most files of a folder.
const FILES: usize = 1000;

/// Questions of one kind: "`a` is to `b` as `c` is to `d`".
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) questions: Vec<[String; 4]>,
}

impl Kind {
    /// Whether the kind is one of word forms: its name begins by `gram`, as in the questions of Mikolov et al. 2013.
    pub(super) fn is_syntactic(&self) -> bool {
        self.name.starts_with("gram")
    }
}

/// Pairs of words, each with people's rating.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rated {
    pub(super) name: String,
    pub(super) pairs: Vec<(String, String, f64)>,
}

/// Reads questions: of a file, which may have lines `: KIND`, or of a folder's `.txt` files, in the order of their names.
pub(super) fn read_questions(path: &Path) -> Result<Vec<Kind>> {
    let mut kinds: Vec<Kind> = Vec::new();
    for file in files_of(path, &["txt"])? {
        let text = text_of(&file)?;
        let mut kind = Kind { name: stem(&file), questions: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix(':') {
                let next = Kind { name: name.trim().to_owned(), questions: Vec::new() };
                kinds.push(std::mem::replace(&mut kind, next));
                continue;
            }
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.as_slice() {
                [] => {}
                &[a, b, c, d] => kind.questions.push([a, b, c, d].map(str::to_owned)),
                other => {
                    let problem = Problem::new(format_args!("line {} of the questions is damaged", at + 1));
                    let problem = problem.expected("four words, or a colon and a kind");
                    return Err(Error::Data(problem.found(format_args!("{} words", other.len())).at(&file)));
                }
            }
        }
        kinds.push(kind);
    }
    kinds.retain(|kind| !kind.questions.is_empty());
    if kinds.is_empty() {
        return Err(Error::Data(Problem::new("there are no questions").expected("lines of four words").at(path)));
    }
    Ok(kinds)
}

/// Reads rated pairs: of a file, or of a folder's `.txt`, `.tsv` and `.csv` files, in the order of their names. Fields are told by tabs,
/// commas, semicolons or blanks; a first line whose third field is not a number is a header.
pub(super) fn read_rated(path: &Path) -> Result<Vec<Rated>> {
    let mut all = Vec::new();
    for file in files_of(path, &["txt", "tsv", "csv"])? {
        let text = text_of(&file)?;
        let mut pairs = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let separator = ['\t', ',', ';'].into_iter().find(|&separator| line.contains(separator));
            let fields: Vec<&str> = match separator {
                Some(separator) => line.split(separator).map(str::trim).collect(),
                None => line.split_ascii_whitespace().collect(),
            };
            let rating = |text: &str| text.parse::<f64>().ok().filter(|rating| rating.is_finite());
            match fields.as_slice() {
                [a, b, third, ..] if rating(third).is_some() && !a.is_empty() && !b.is_empty() => {
                    pairs.push(((*a).to_owned(), (*b).to_owned(), rating(third).unwrap_or(0.0)));
                }
                [_, _, _, ..] if at == 0 => {}
                _ => {
                    let problem = Problem::new(format_args!("line {} of the rated pairs is damaged", at + 1));
                    let shown: String = line.chars().take(60).collect();
                    let problem = problem.expected("two words and a number").found(format_args!("`{shown}`"));
                    return Err(Error::Data(problem.at(&file)));
                }
            }
        }
        if pairs.is_empty() {
            let problem = Problem::new("there are no rated pairs").expected("lines of two words and a number");
            return Err(Error::Data(problem.at(&file)));
        }
        all.push(Rated { name: stem(&file), pairs });
    }
    Ok(all)
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| printable(Path::new(stem))).unwrap_or_default()
}

fn text_of(file: &Path) -> Result<String> {
    let bytes = read_limited(file, LIMIT).map_err(|source| Error::read(file, &source))?;
    String::from_utf8(bytes).map_err(|source| {
        let at = source.utf8_error().valid_up_to();
        let line = source.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let problem = Problem::new("the file is not text").expected("UTF-8");
        Error::Data(problem.found(format_args!("other bytes in line {line}")).at(file))
    })
}

/// A file, or those of a folder that have one of these endings.
fn files_of(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|source| Error::read(path, &source))? {
        let file = entry.map_err(|source| Error::read(path, &source))?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        if !is_hidden && file.is_file() && ending.is_some_and(|ending| endings.contains(&ending.as_str())) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() || files.len() > FILES {
        let problem = Problem::new("the folder holds nothing to evaluate vectors by");
        let problem = problem.expected(format_args!("1 to {FILES} files that end in .{}", endings.join(", .")));
        return Err(Error::Data(problem.found(format_args!("{} files", files.len())).at(path)));
    }
    Ok(files)
}
