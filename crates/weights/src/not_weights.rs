//! What arrives in place of weights: pointers, pages, answers of servers, archives. Each is named, with what to do about it.

use crate::Error;
use crate::archive::Archive;
use crate::sniff::is_saved_model;

/// Characters of a text that are shown.
const SHOWN: usize = 60;

const FETCH: &str = "fetch the file again";
const UNPACK: &str = "unpack it, and name the file inside";

fn format(found: impl Into<String>, remedy: &'static str) -> Error {
    Error::Format { found: found.into(), remedy }
}

/// What a file seems to be that holds no weights that are read, by its first bytes and its length.
pub(crate) fn named(head: &[u8], length: u64) -> Option<Error> {
    if length == 0 {
        return Some(format("an empty file", FETCH));
    }
    let starts = |magic: &[u8]| head.starts_with(magic);
    Some(match head {
        _ if head.get(257..262) == Some(b"ustar") => format(
            "a tar archive (PyTorch before 0.1.10 wrote such)",
            "unpack it, or open it with PyTorch and save it again",
        ),
        _ if is_saved_model(head) => format("a TensorFlow SavedModel", "save the model from Keras as .h5 or .keras"),
        _ if starts(b"\x1f\x8b") => format("a gzip file", UNPACK),
        _ if starts(b"BZh") => format("a bzip2 file", UNPACK),
        _ if starts(b"\xfd7zXZ\0") => format("an xz file", UNPACK),
        _ if starts(b"\x28\xb5\x2f\xfd") => format("a Zstandard file", UNPACK),
        _ if starts(b"7z\xbc\xaf\x27\x1c") => format("a 7-Zip archive", UNPACK),
        _ if starts(b"Rar!\x1a\x07") => format("a RAR archive", UNPACK),
        _ if starts(b"\x93NUMPY") => format("a NumPy array", "save the weights of the model as safetensors"),
        _ if starts(b"GGUF") => {
            format("a GGUF file, of a language model for llama.cpp", "take the weights as safetensors")
        }
        _ if [&b"%PDF"[..], b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF"].into_iter().any(starts) => {
            format("an image or a document", "name the file of the weights")
        }
        _ if starts(b"\x7fELF") => format("a program or library", "name the file of the weights"),
        _ if starts(b"\xff\xfe") || starts(b"\xfe\xff") => format("a text in UTF-16", "name the file of the weights"),
        _ if starts(OLD_PICKLE) => old_pickle(),
        _ if head.windows(4).any(|part| part == b"PK\x03\x04") && !head.starts_with(b"PK") => {
            format("a zip archive behind other bytes", FETCH)
        }
        _ if head.len() >= 16 && head.iter().all(|&byte| byte == 0) => {
            format("zeros only, as an interrupted download leaves them", FETCH)
        }
        _ => return text(head),
    })
}

/// The magic number of `torch.save` in the textual protocols.
const OLD_PICKLE: &[u8] = b"L119547037146038801333356L\n";

/// A file of `torch.save` that `torch.load` does not read either: as text, the places of its storages have no form.
pub(crate) fn old_pickle() -> Error {
    format("a file of torch.save with pickle protocol 0 or 1", "save it again without pickle_protocol")
}

/// A file of no kind that is known.
pub(crate) fn unknown(head: &[u8]) -> Error {
    let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let remedy = "name the file of the weights; if it is one, fetch it again, or save it as safetensors";
    format(format_args!("a file of an unknown kind that begins with the bytes {}", bytes.join(" ")).to_string(), remedy)
}

/// What stands in place of any file that was to be fetched: a Git LFS pointer, a page, nothing at all.
pub fn stand_in(head: &[u8]) -> Option<Error> {
    let error = if head.is_empty() { named(head, 0) } else { text(head) };
    let known = ["an empty file", "a Git LFS pointer", "an HTML page", "XML"];
    error.filter(
        |error| matches!(error, Error::Format { found, .. } if known.iter().any(|known| found.starts_with(known))),
    )
}

/// What a file seems to be that is neither text nor numbers without a header, as word vectors are.
pub fn other_kind(head: &[u8]) -> Option<Error> {
    match text(head) {
        Some(json) if ["{\"", "[{", "[\""].iter().any(|start| head.starts_with(start.as_bytes())) => Some(json),
        Some(_) => stand_in(head),
        None => named(head, head.len() as u64),
    }
}

/// A text in place of weights.
fn text(head: &[u8]) -> Option<Error> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end inside a letter.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let lower = text.get(..text.len().min(400)).unwrap_or(text).to_ascii_lowercase();
    let begins: String = text.chars().take_while(|c| !matches!(c, '\n' | '\r')).take(SHOWN).collect();
    let begins = begins.replace(char::is_whitespace, " ");
    if lower.starts_with("version https://git-lfs.github.com/spec/") {
        return Some(format(
            "a Git LFS pointer, which stands for a file that was not fetched",
            "run `git lfs pull` in the repository",
        ));
    }
    if lower.starts_with("<!doctype")
        || lower.starts_with("<html")
        || lower.starts_with("<head")
        || lower.starts_with("<!--")
    {
        let remedy =
            "download the file itself and not its page: on the hub the address has /resolve/ in place of /blob/";
        return Some(format("an HTML page", remedy));
    }
    if lower.starts_with("<?xml") || lower.starts_with("<error") {
        return Some(format("XML, as servers answer where there is no such file or no access to it", FETCH));
    }
    if lower.starts_with('{') || lower.starts_with('[') {
        let remedy = "if it is a server's answer, fetch the file again; else name the file of the weights";
        return Some(format(format_args!("JSON that begins `{begins}`").to_string(), remedy));
    }
    let remedy = "if it is a server's answer, fetch the file again; else name the file of the weights";
    Some(format(format_args!("a text that begins `{begins}`").to_string(), remedy))
}

/// What a zip archive is that is neither PyTorch's nor Keras'.
pub(crate) fn zip(archive: &Archive<'_>) -> Error {
    if archive.any(|name| name.ends_with("models/model.json") || name.ends_with("serialized_exported_program.json")) {
        let found = "a program of torch.export (.pt2)";
        return format(found, "save the state_dict: torch.save(model.state_dict(), 'weights.pt')");
    }
    if archive.any(|name| name.ends_with(".npy")) {
        return format("an archive of NumPy arrays (.npz)", "save the weights of the model as safetensors");
    }
    format("a zip archive with neither data.pkl (PyTorch) nor model.weights.h5 (Keras)", UNPACK)
}

#[cfg(test)]
mod tests {
    use crate::{Error, read};

    #[test]
    fn what_is_downloaded_in_place_of_weights_is_named_with_what_to_do() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab12\nsize 46830571\n";
        for (bytes, found, remedy) in [
            (pointer.as_bytes(), "a Git LFS pointer", "git lfs pull"),
            (b"<!DOCTYPE html>\n<html><head><title>404", "an HTML page", "/resolve/"),
            (b"\xef\xbb\xbf\r\n  <HTML>", "an HTML page", "/resolve/"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML", "fetch the file again"),
            (b"{\"error\":\"Repository not found\"}", "JSON that begins `{\"error\"", "fetch the file again"),
            (b"Entry not found", "a text that begins `Entry not found`", "fetch the file again"),
            (b"Invalid username or password.", "a text that begins", "fetch the file again"),
            (b"", "an empty file", "fetch the file again"),
            (&[0; 4096], "zeros only", "fetch the file again"),
            (b"\x1f\x8b\x08\0\0\0", "a gzip file", "unpack"),
            (b"GGUF\x03\0\0\0", "a GGUF file", "safetensors"),
            (b"\x93NUMPY\x01\0v\0", "a NumPy array", "safetensors"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "an image", "name the file of the weights"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0", "a program", "name the file of the weights"),
            (b"\xff\xfe{\0\"\0a\0\"\0:\0", "a text in UTF-16", "name the file of the weights"),
            (b"#!x\nPK\x03\x04aaaaaaaaaaaaaaaaaaaa\x80\0", "a zip archive behind other bytes", "fetch the file again"),
            (b"L119547037146038801333356L\n.I1001\n.", "protocol 0 or 1", "without pickle_protocol"),
            (
                b"\x9a\x01\xff\x02\x8f\x33\x44\xd0\x11\xee\x71",
                "unknown kind that begins with the bytes 9a 01 ff",
                "safetensors",
            ),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{error:?}");
            assert!(error.to_string().contains(found), "{found}: {error}");
            assert!(error.remedy().is_some_and(|said| said.contains(remedy)), "{found}: {:?}", error.remedy());
        }
    }
}
