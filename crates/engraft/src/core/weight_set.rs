//! The files that hold one set of weights: a single one, or the shards that an index names. Shards are given by their index,
//! by one of them, or by their folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engraft_weights::{Error as Unread, Source, Tensors, Weights};
use serde_json::Value;

use crate::error::{Error, Problem, Result, printable, shown};
use crate::files;
use crate::weight_files::{self, Opened};

/// Longest index that is read, in bytes.
const INDEX_LIMIT: u64 = 64 << 20;
/// The most shards of one set.
const SHARDS: usize = 1000;
/// How the name of an index ends.
const INDEX: &str = ".index.json";
/// The files of weights in a folder, as programs of the field call them; the first that is there is taken.
pub(crate) const USUAL: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.onnx",
    "onnx/model.onnx",
];
/// Endings of files of weights.
const ENDINGS: [&str; 10] = ["safetensors", "pth", "pt", "th", "bin", "ckpt", "h5", "hdf5", "keras", "onnx"];

/// The bytes of one set of weights, of which nothing is read yet.
#[derive(Debug, Clone)]
pub(crate) struct WeightSet<'a> {
    /// Name of each file, and its bytes; one without a name.
    parts: Vec<(String, Source<'a>)>,
    /// The tensors of each shard, as the index says.
    listed: Vec<(String, usize)>,
}

impl<'a> From<Source<'a>> for WeightSet<'a> {
    fn from(source: Source<'a>) -> Self {
        Self { parts: vec![(String::new(), source)], listed: Vec::new() }
    }
}

impl WeightSet<'static> {
    /// The shards that `path` belongs to; nothing where it is a single file.
    ///
    /// # Errors
    /// [`Error::Weights`] for an index that is damaged or leads out of its folder, and for shards that are missing.
    pub(crate) fn of_shards(path: &Path) -> Result<Option<Self>> {
        let name = path.file_name().map(|name| printable(Path::new(name))).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        if name.ends_with(INDEX) && path.is_file() {
            let index = Index::read(path)?;
            return index.open(folder).map(Some);
        }
        let Some(numbered) = Numbered::of(&name) else { return Ok(None) };
        for index in indices(folder) {
            let index = Index::read(&index)?;
            if index.files.contains(&name) {
                return index.open(folder).map(Some);
            }
        }
        if numbered.count < 2 || !path.is_file() {
            return Ok(None);
        }
        let files = (1..=numbered.count).map(|at| numbered.name(at)).collect();
        Index { files, listed: Vec::new(), place: path.to_owned() }.open(folder).map(Some)
    }
}

impl<'a> WeightSet<'a> {
    /// The only file; nothing where there are shards.
    pub(crate) fn single(&self) -> Option<&Source<'a>> {
        match self.parts.as_slice() {
            [(_, source)] => Some(source),
            _ => None,
        }
    }

    /// SHA-256 of the file; of shards that of the lines `SHA-256, two spaces, name`, as `sha256sum` prints them, sorted by
    /// name.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn sha256(&self) -> std::result::Result<String, Unread> {
        if let Some(source) = self.single() {
            return weight_files::sha256(source);
        }
        let mut lines = BTreeMap::new();
        for (name, source) in &self.parts {
            lines.insert(name, weight_files::sha256(source)?);
        }
        let text: String = lines.into_iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
        Ok(files::sha256_hex(text.as_bytes()))
    }

    /// Reads everything but the numbers.
    ///
    /// # Errors
    /// As [`weight_files::open`]; for shards that do not hold what the index says, or hold the same twice.
    pub(crate) fn open(self) -> std::result::Result<Opened<'a>, Unread> {
        let Self { mut parts, listed } = self;
        if parts.len() == 1
            && listed.is_empty()
            && let Some((_, source)) = parts.pop()
        {
            return weight_files::open(source);
        }
        let names: Vec<String> = parts.iter().map(|(name, _)| name.clone()).collect();
        let mut opened = Vec::with_capacity(parts.len());
        for (_, source) in parts {
            opened.push(weight_files::open_file(source)?);
        }
        let wrong = |name: &str, reason: String| Unread::Tensor { name: name.to_owned(), reason };
        let mut headers = Weights::default();
        let mut places = BTreeMap::new();
        for (at, file) in opened.iter().enumerate() {
            let inside = file.headers();
            if at == 0 {
                headers.format = inside.format;
            }
            // What all names of a shard begin with is taken off each by itself.
            let prefix = inside.metadata.get("pytorch.prefix").map_or("", String::as_str);
            for (name, tensor) in &inside.tensors {
                let whole = format!("{prefix}{name}");
                if let Some((other, _)) = places.insert(whole.clone(), (at, name.clone())) {
                    let (one, two): (&String, &String) = (&names[other], &names[at]);
                    return Err(wrong(&whole, format!("expected it in one shard, found it in {one} and {two}")));
                }
                headers.tensors.insert(whole, tensor.clone());
            }
        }
        for (name, at) in listed {
            if places.get(&name).is_none_or(|(found, _)| *found != at) {
                return Err(wrong(
                    &name,
                    format!("expected it in {}, as the index says, found it not there", names[at]),
                ));
            }
        }
        Ok(Opened::of_shards(headers, opened, places))
    }
}

/// What an index says.
struct Index {
    /// Names of the shards.
    files: Vec<String>,
    /// Name of each tensor, and the place of its shard in `files`.
    listed: Vec<(String, usize)>,
    place: PathBuf,
}

impl Index {
    fn read(path: &Path) -> Result<Self> {
        let damaged = |found: String| {
            let problem = Problem::new("the index of the shards cannot be read").found(found).at(path);
            Error::Weights(problem.expected("JSON with a `weight_map` of tensors and file names"))
        };
        let bytes = files::read_limited(path, INDEX_LIMIT).map_err(|source| damaged(source.to_string()))?;
        if let Some(stands_in) = engraft_weights::stand_in(&bytes) {
            return Err(weight_files::unreadable(&stands_in, path));
        }
        let index: Value = serde_json::from_slice(&bytes).map_err(|source| damaged(source.to_string()))?;
        let map = index["weight_map"].as_object().ok_or_else(|| damaged("no `weight_map`".into()))?;
        let names: Option<BTreeSet<&str>> = map.values().map(plain_name).collect();
        let names = names.ok_or_else(|| damaged("a file name that is no text".into()))?;
        if let Some(odd) = names.iter().find(|name| !is_plain(name)) {
            return Err(damaged(format!("the file name `{}`, which leads out of the folder", odd.escape_debug())));
        }
        if names.is_empty() || names.len() > SHARDS {
            return Err(damaged(format!("{} shards, where 1 to {SHARDS} are read", names.len())));
        }
        let files: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let at = |file: &Value| files.iter().position(|name| Some(name.as_str()) == plain_name(file));
        let listed = map.iter().filter_map(|(name, file)| Some((name.clone(), at(file)?))).collect();
        Ok(Self { files, listed, place: path.to_owned() })
    }

    fn open(self, folder: &Path) -> Result<WeightSet<'static>> {
        let missing: Vec<&str> =
            self.files.iter().filter(|name| !folder.join(name).exists()).map(String::as_str).collect();
        if !missing.is_empty() {
            let named = missing[..missing.len().min(5)].join(", ");
            let problem = Problem::new("shards of the weights are missing")
                .expected(format_args!("all {} shards in {}", self.files.len(), shown(folder)))
                .found(format_args!("no {named}"))
                .at(&self.place);
            return Err(Error::Weights(problem.hint("fetch the missing files into the same folder")));
        }
        let mut parts = Vec::with_capacity(self.files.len());
        for name in self.files {
            let path = folder.join(&name);
            let source = weight_files::source(&path).map_err(|source| {
                Error::Weights(Problem::new("a shard of the weights cannot be read").found(source).at(&path))
            })?;
            parts.push((name, source));
        }
        Ok(WeightSet { parts, listed: self.listed })
    }
}

/// `NAME-00002-of-00005.ENDING`.
struct Numbered {
    before: String,
    digits: usize,
    count: usize,
    after: String,
}

impl Numbered {
    fn of(name: &str) -> Option<Self> {
        let (stem, ending) = name.rsplit_once('.')?;
        let (before, count) = stem.rsplit_once("-of-")?;
        let (before, number) = before.rsplit_once('-')?;
        let is_number = |text: &str| text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let after = format!("{count}.{ending}");
        let shards: usize = count.parse().ok()?;
        let fits = is_number(number) && is_number(count) && shards <= SHARDS;
        fits.then(|| Self { before: before.to_owned(), digits: number.len(), count: shards, after })
    }

    fn name(&self, at: usize) -> String {
        format!("{}-{at:0digits$}-of-{}", self.before, self.after, digits = self.digits)
    }
}

/// The name of a shard: files of the folder itself may be written with a dot before them.
fn plain_name(file: &Value) -> Option<&str> {
    file.as_str().map(|name| name.strip_prefix("./").unwrap_or(name))
}

/// Whether a name is that of a file in the folder itself.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0', ':'])
}

/// The indices of a folder, in the order of their names.
fn indices(folder: &Path) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    names_in(folder).into_iter().filter(|name| name.ends_with(INDEX)).map(|name| folder.join(name)).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The file of weights in a folder: the first of the usual names, or the only file that ends as one.
///
/// # Errors
/// [`Error::Weights`] where there is none, or several among which nothing chooses.
pub(crate) fn in_folder(folder: &Path) -> Result<PathBuf> {
    if let Some(usual) = USUAL.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        return Ok(usual);
    }
    let is_weights = |name: &String| {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && folder.join(name).is_file()
    };
    let names = names_in(folder);
    let index: Vec<&String> = names.iter().filter(|name| name.ends_with(INDEX)).collect();
    if let [index] = index.as_slice() {
        return Ok(folder.join(index));
    }
    let found: Vec<&String> = names.iter().filter(|name| is_weights(name)).collect();
    // Shards without an index stand for each other.
    if let Some(first) = found.first()
        && (found.len() == 1 || found.iter().all(|name| Numbered::of(name).is_some_and(|n| n.name(1) == **first)))
    {
        return Ok(folder.join(first));
    }
    let problem = Problem::new("the folder does not say which file holds the weights").at(folder);
    Err(Error::Weights(match found.as_slice() {
        [] => problem.expected("a file of weights in it").found("none").hint("name a weights file, or its folder"),
        several => {
            let names: Vec<&str> = several.iter().take(5).map(|name| name.as_str()).collect();
            problem.expected("one file of weights").found(names.join(", ")).hint("name one of these files")
        }
    }))
}

/// The weights of an encoder in a folder: the first of these names, or shards without an index.
pub(crate) fn named_in(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let named = names.iter().map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok());
    let is_shard = |name: &String| {
        let is_model = ["model-", "pytorch_model-"].iter().any(|start| name.starts_with(start));
        is_model && Numbered::of(name).is_some_and(|numbered| numbered.count > 1)
    };
    named.or_else(|| names_in(folder).into_iter().find(is_shard).map(|name| folder.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engraft_weights::{Precision, Tensor};

    fn stored(value: f32) -> Tensor {
        Tensor { shape: vec![2], values: vec![value; 2], precision: Precision::F32 }
    }

    fn shard(names: &[(&str, f32)]) -> Vec<u8> {
        let tensors = names.iter().map(|(name, value)| ((*name).to_owned(), stored(*value))).collect();
        engraft_weights::write(&Weights { tensors, ..Weights::default() })
    }

    fn folder() -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(temp.path().join(name), bytes).unwrap();
        write("model-00001-of-00002.safetensors", &shard(&[("a", 1.0), ("b", 2.0)]));
        write("model-00002-of-00002.safetensors", &shard(&[("c", 3.0)]));
        let map = r#"{"metadata": {"total_size": 24}, "weight_map": {"a": "model-00001-of-00002.safetensors",
            "b": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}"#;
        write("model.safetensors.index.json", map.as_bytes());
        temp
    }

    fn read(path: &Path) -> Vec<(String, f32)> {
        let opened = WeightSet::of_shards(path).unwrap().expect("shards").open().unwrap();
        let names: Vec<String> = opened.headers().tensors.keys().cloned().collect();
        names.into_iter().map(|name| (name.clone(), opened.tensor(&name).unwrap().unwrap().values[1])).collect()
    }

    #[test]
    fn shards_are_opened_by_their_index_by_one_of_them_and_by_their_folder() {
        let temp = folder();
        let expected = [("a".to_owned(), 1.0), ("b".to_owned(), 2.0), ("c".to_owned(), 3.0)];
        let index = temp.path().join("model.safetensors.index.json");
        let dotted = std::fs::read_to_string(&index).unwrap().replace("\"model-", "\"./model-");
        std::fs::write(&index, dotted).unwrap();
        for name in ["model.safetensors.index.json", "model-00002-of-00002.safetensors"] {
            assert_eq!(read(&temp.path().join(name)), expected, "{name}");
        }
        assert_eq!(read(&in_folder(temp.path()).unwrap()), expected);
        std::fs::remove_file(temp.path().join("model.safetensors.index.json")).unwrap();
        assert_eq!(read(&temp.path().join("model-00001-of-00002.safetensors")), expected);
        assert_eq!(read(&in_folder(temp.path()).unwrap()), expected);
        assert!(WeightSet::of_shards(&temp.path().join("model.safetensors")).unwrap().is_none());
    }

    #[test]
    fn a_missing_shard_is_named_and_a_name_that_leaves_the_folder_is_refused() {
        let temp = folder();
        let index = temp.path().join("model.safetensors.index.json");
        std::fs::remove_file(temp.path().join("model-00002-of-00002.safetensors")).unwrap();
        for path in [index.clone(), temp.path().join("model-00001-of-00002.safetensors")] {
            let error = WeightSet::of_shards(&path).unwrap_err().to_string();
            assert!(error.contains("no model-00002-of-00002.safetensors"), "{error}");
        }
        std::fs::write(&index, r#"{"weight_map": {"a": "../model-00001-of-00002.safetensors"}}"#).unwrap();
        let error = WeightSet::of_shards(&index).unwrap_err().to_string();
        assert!(error.contains("leads out of the folder"), "{error}");
    }

    #[test]
    fn an_index_that_does_not_fit_its_shards_is_refused() {
        let temp = folder();
        let index = temp.path().join("model.safetensors.index.json");
        let map =
            r#"{"weight_map": {"a": "model-00002-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}"#;
        std::fs::write(&index, map).unwrap();
        let error = WeightSet::of_shards(&index).unwrap().unwrap().open().unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("as the index says"), "{error}");
        std::fs::write(temp.path().join("model-00002-of-00002.safetensors"), shard(&[("c", 3.0), ("b", 9.0)])).unwrap();
        let both = temp.path().join("model-00001-of-00002.safetensors");
        std::fs::remove_file(&index).unwrap();
        let error = WeightSet::of_shards(&both).unwrap().unwrap().open().unwrap_err().to_string();
        assert!(error.contains("found it in"), "{error}");
    }
}
