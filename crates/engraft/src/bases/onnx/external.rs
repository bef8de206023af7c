//! Tensors of a model that lie in files beside it, as PyTorch exports them: read into the model, so that one file has all.
//!
//! The model names the files. Only regular files in the model's own folder, or below it, are read, at most as much as the
//! format can hold in one file; a name that leads elsewhere, by dots, as a whole path or by a link, is refused.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use engraft_weights::{Error as Unread, Source};
use prost::Message;
use tract_onnx::pb;

use super::graph::shape;
use super::kind::Kind;
use super::{shown, wire};
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::weight_files::{stand_in, unreadable};

/// Bytes of all tensors together: what one file of the format can hold.
const LIMIT: u64 = (2 << 30) - 1;
/// The most files.
const FILES: usize = 1000;

/// A model's bytes with the numbers of its files in them, and their SHA-256: `sha256`, that of the model's file, where there were
/// no such files. `place` is the model's file.
///
/// # Errors
/// [`Error::Weights`]: for names that lead out of the folder, for what is missing, too short or too large, and as
/// [`wire::scan`].
pub(crate) fn whole_model(source: &Source<'_>, sha256: String, place: &Path) -> Result<(Vec<u8>, String)> {
    if source.length() > LIMIT {
        let problem = Problem::new("the ONNX model is too large")
            .expected(format_args!("at most {LIMIT} bytes, which is what one file of the format can hold"))
            .found(format_args!("{} bytes", source.length()));
        return Err(Error::Weights(problem.at(place)));
    }
    let bytes = source.all().map_err(|source| unreadable(&source, place))?;
    Ok(match inlined(&bytes, place)? {
        Some(whole) => {
            let sha256 = files::sha256_hex(&whole);
            (whole, sha256)
        }
        None => (bytes.into_owned(), sha256),
    })
}

fn inlined(bytes: &[u8], place: &Path) -> Result<Option<Vec<u8>>> {
    inline(bytes, place).map_err(|problem| Error::Weights(problem.at(place)))
}

fn inline(bytes: &[u8], place: &Path) -> std::result::Result<Option<Vec<u8>>, Problem> {
    if !wire::has_external(bytes)? {
        return Ok(None);
    }
    let mut model = wire::decode_scanned(bytes)?;
    let mut reader = Reader { place, open: HashMap::new(), left: LIMIT.saturating_sub(bytes.len() as u64) };
    let graph = model.graph.as_mut().ok_or_else(|| Problem::new("the model has no graph"))?;
    let constants =
        graph.node.iter_mut().flat_map(|node| &mut node.attribute).filter_map(|attribute| attribute.t.as_mut());
    for tensor in graph.initializer.iter_mut().chain(constants) {
        if tensor.data_location.unwrap_or_default() != 0 || !tensor.external_data.is_empty() {
            tensor.raw_data = reader.numbers(tensor)?;
            tensor.external_data.clear();
            tensor.data_location = None;
        }
    }
    Ok(Some(model.encode_to_vec()))
}

struct Reader<'a> {
    /// The model's file.
    place: &'a Path,
    /// Files by their names in the model, and their lengths.
    open: HashMap<String, (File, u64)>,
    /// Bytes that may still be read.
    left: u64,
}

impl Reader<'_> {
    /// The bytes of a tensor.
    fn numbers(&mut self, tensor: &pb::TensorProto) -> std::result::Result<Vec<u8>, Problem> {
        let said =
            |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let refuse = |found: String| {
            Problem::new("a tensor of the model in another file cannot be read")
                .expected("a file in the model's folder, and as many bytes as the tensor's shape says")
                .found(format_args!("{found} for `{}`", shown(&tensor.name)))
        };
        let name = said("location").ok_or_else(|| refuse("no file name".into()))?;
        let number = |key: &str| match said(key) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| refuse(format!("the {key} `{}`", shown(text)))),
        };
        let count = shape(tensor).map_err(&refuse)?.iter().try_fold(1u64, |all, &side| all.checked_mul(side as u64));
        let size = Kind::of(tensor.data_type).bytes().ok_or_else(|| refuse("numbers of an unknown kind".into()))?;
        let expected =
            count.and_then(|count| count.checked_mul(size as u64)).ok_or_else(|| refuse("too many".into()))?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(expected));
        if length != expected {
            return Err(refuse(format!("{length} bytes where the shape asks for {expected}")));
        }
        self.left = self.left.checked_sub(length).ok_or_else(|| refuse(format!("more than {LIMIT} bytes in all")))?;
        let (file, whole) = self.file(name)?;
        if offset.checked_add(length).is_none_or(|end| end > *whole) {
            if let Some(Unread::Format { found, remedy }) = stand_in(file) {
                return Err(refuse(format!("{found} as `{}`", shown(name))).hint(remedy));
            }
            return Err(refuse(format!("a file of {whole} bytes where {length} from {offset} on are asked for"))
                .hint("fetch the file again"));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, offset).map_err(|source| refuse(source.to_string()))?;
        Ok(bytes)
    }

    /// The file of this name in the model's folder.
    fn file(&mut self, name: &str) -> std::result::Result<&(File, u64), Problem> {
        if !self.open.contains_key(name) {
            let refuse = |expected: &str, found: String| {
                Problem::new("a file with the model's weights cannot be read").expected(expected).found(found)
            };
            let relative = Path::new(name);
            let inside = !name.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
            if !inside || name.contains(['\\', '\0']) || self.open.len() >= FILES {
                let found = format!("`{}`", shown(name));
                return Err(refuse("the name of a file in the model's folder", found));
            }
            let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let path = folder.join(relative);
            let missing = |source: std::io::Error| {
                let found = format!("`{}`: {source}", shown(name));
                refuse("it beside the model", found).hint("fetch or copy both files into one folder")
            };
            let real = path.canonicalize().map_err(missing)?;
            if !self.roots(folder).iter().any(|root| real.starts_with(root)) {
                return Err(refuse("a file in the model's folder", format!("a link out of it, `{}`", shown(name))));
            }
            let file = files::open_regular(&real).map_err(missing)?;
            let length = file.metadata().map_err(missing)?.len();
            self.open.insert(name.to_owned(), (file, length));
        }
        Ok(&self.open[name])
    }

    /// Where files may lie: the model's folder; and where the model itself is a link, the folder that it leads to, since the
    /// hub's cache keeps both files there.
    fn roots(&self, folder: &Path) -> Vec<PathBuf> {
        let own = folder.canonicalize().ok();
        let linked = self.place.canonicalize().ok().and_then(|real| real.parent().map(Path::to_owned));
        own.into_iter().chain(linked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of one linear layer of four numbers, whose weights lie elsewhere as `entries` say.
    fn model(entries: &[(&str, &str)]) -> Vec<u8> {
        let entry =
            |(key, value): &(&str, &str)| pb::StringStringEntryProto { key: (*key).into(), value: (*value).into() };
        let tensor = pb::TensorProto {
            name: "w".into(),
            dims: vec![2, 2],
            data_type: 1,
            data_location: Some(1),
            external_data: entries.iter().map(entry).collect(),
            ..Default::default()
        };
        let graph = pb::GraphProto { name: "g".into(), initializer: vec![tensor], ..Default::default() };
        pb::ModelProto { ir_version: 8, graph: Some(graph), ..Default::default() }.encode_to_vec()
    }

    fn numbers() -> Vec<u8> {
        (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect()
    }

    #[test]
    fn numbers_in_a_file_beside_the_model_are_read_into_it() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path().join("model.onnx");
        std::fs::create_dir(temp.path().join("below")).unwrap();
        for (name, offset, first) in [("model.onnx.data", None, 0.0f32), ("below/w.bin", Some("8"), 2.0)] {
            std::fs::write(temp.path().join(name), numbers()).unwrap();
            let mut entries = vec![("location", name), ("length", "16")];
            entries.extend(offset.map(|offset| ("offset", offset)));
            let whole = inlined(&model(&entries), &place).unwrap().expect("external data");
            let read = pb::ModelProto::decode(whole.as_slice()).unwrap();
            let tensor = &read.graph.unwrap().initializer[0];
            let expected: Vec<u8> = (0..4).flat_map(|i| (first + i as f32).to_le_bytes()).collect();
            assert_eq!(tensor.raw_data[..], expected);
            assert!(inlined(&whole, &place).unwrap().is_none());
        }
    }

    #[test]
    fn a_pointer_in_place_of_the_numbers_is_told_as_one() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path().join("model.onnx");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n";
        std::fs::write(temp.path().join("w.data"), pointer).unwrap();
        let error = inlined(&model(&[("location", "w.data"), ("offset", "512")]), &place).unwrap_err().to_string();
        assert!(error.contains("a Git LFS pointer") && error.contains("git lfs pull"), "{error}");
    }

    #[test]
    fn names_that_lead_out_of_the_folder_and_lengths_that_do_not_fit_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let place = folder.join("model.onnx");
        std::fs::write(&place, b"x").unwrap();
        std::fs::write(temp.path().join("secret"), numbers()).unwrap();
        std::fs::write(folder.join("short"), &numbers()[..12]).unwrap();
        std::fs::write(folder.join("data"), numbers()).unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        let whole = temp.path().join("secret");
        for (entries, part) in [
            (vec![("location", "../secret")], "the name of a file in the model's folder"),
            (vec![("location", whole.to_str().unwrap())], "the name of a file in the model's folder"),
            (vec![("location", "/etc/passwd")], "the name of a file in the model's folder"),
            (vec![("location", "link")], "a link out of it"),
            (vec![("location", "short")], "a file of 12 bytes"),
            (vec![("location", "data"), ("offset", "12")], "a file of 24 bytes"),
            (vec![("location", "data"), ("offset", "18446744073709551615")], "a file of 24 bytes"),
            (vec![("location", "data"), ("length", "8")], "8 bytes where the shape asks for 16"),
            (vec![("location", "data"), ("offset", "-4")], "the offset"),
            (vec![("location", "missing.data")], "beside the model"),
            (vec![("offset", "0")], "no file name"),
            (vec![("location", ".")], "the name of a file"),
        ] {
            let error = inlined(&model(&entries), &place).unwrap_err().to_string();
            assert!(error.contains(part), "{entries:?}: {error}");
        }
    }
}
