//! What may be asked for: an id of the registry, or `hf://owner/name[@revision][/file]`.

use std::fmt;

use super::registry::{Entry, registry};
use crate::error::{Error, Problem, Result};

/// Files that are tried where a repository is named without one.
const USUAL_FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The branch that is meant where none is named.
const MAIN: &str = "main";

/// A base by name. Every part is checked: none leads out of the cache or changes an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    /// One of the registry.
    Known(&'static Entry),
    /// A file of a repository of the hub.
    Repository {
        /// `owner/name`.
        repository: String,
        /// A branch, a tag or a commit; `main` where none was named.
        revision: String,
        /// A file; one of the usual names where none was named.
        file: Option<String>,
    },
}

/// What the bytes of a base must be, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected<'a> {
    /// Hexadecimal digits with which the SHA-256 begins; all 64 where the whole is known.
    pub(super) digits: &'a str,
}

impl<'a> Expected<'a> {
    /// Whether a SHA-256 fits.
    pub(super) fn accepts(self, sha256: &str) -> bool {
        sha256.starts_with(self.digits)
    }

    /// The whole SHA-256, where it is known.
    pub(super) fn whole(self) -> Option<&'a str> {
        (self.digits.len() == 64).then_some(self.digits)
    }
}

impl Reference {
    /// Reads `text`: an id of the registry, `hf://owner/name[@revision][/file]`, or plain `owner/name`.
    ///
    /// # Errors
    /// [`Error::Usage`] for anything else, in particular for names that lead out of the cache (`../..`).
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(entry) = registry().iter().find(|entry| entry.id == text) {
            return Ok(Self::Known(entry));
        }
        let refuse = |what: &str, found: &str| {
            Err(Error::Usage(
                Problem::new(format_args!("invalid {what}"))
                    .expected("an id of `engraft bases list`, or hf://owner/name[@revision][/file]")
                    .found(found)
                    .at(text)
                    .suggest(text, registry().iter().map(|entry| entry.id.as_str())),
            ))
        };
        let rest = text.strip_prefix("hf://").unwrap_or(text);
        let mut parts = rest.splitn(3, '/');
        let owner = parts.next().unwrap_or("");
        let Some(name) = parts.next() else { return refuse("the name of the base", text) };
        let mut file = parts.next().map(str::to_owned);
        let (name, revision) = match name.split_once('@') {
            None => (name, MAIN.to_owned()),
            Some((name, revision)) => (name, revision.to_owned()),
        };
        // The hub's own references have slashes: refs/pr/N and refs/convert/NAME.
        let revision = match &file {
            Some(more) if revision == "refs" => {
                let mut parts = more.splitn(3, '/');
                let whole = format!("refs/{}/{}", parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                file = parts.next().map(str::to_owned);
                whole
            }
            None if revision == "refs" => return refuse("the revision", &revision),
            _ => revision.replace("%2F", "/").replace("%2f", "/"),
        };
        let repository = format!("{owner}/{name}");
        if !is_repository(&repository) {
            return refuse("the repository", &repository);
        }
        if !is_relative_path(&revision) {
            return refuse("the revision", &revision);
        }
        if let Some(file) = &file
            && !is_relative_path(file)
        {
            return refuse("the file's name", file);
        }
        Ok(Self::Repository { repository, revision, file })
    }

    /// `owner/name` on the hub; none for a file from a plain address.
    pub(crate) fn repository(&self) -> Option<&str> {
        match self {
            Self::Known(entry) if entry.url.is_some() => None,
            Self::Known(entry) => entry.repo.as_deref(),
            Self::Repository { repository, .. } => Some(repository),
        }
    }

    /// The entry of the registry.
    pub(crate) fn entry(&self) -> Option<&'static Entry> {
        match self {
            Self::Known(entry) => Some(entry),
            Self::Repository { .. } => None,
        }
    }

    pub(super) fn revision(&self) -> &str {
        match self {
            Self::Known(entry) => entry.revision.as_deref().unwrap_or(MAIN),
            Self::Repository { revision, .. } => revision,
        }
    }

    /// The names that the weights may have, the best first.
    pub(super) fn files(&self) -> Vec<&str> {
        match self {
            Self::Known(entry) => vec![&entry.file],
            Self::Repository { file: Some(file), .. } => vec![file],
            Self::Repository { file: None, .. } => USUAL_FILES.to_vec(),
        }
    }

    pub(super) fn file_names(&self) -> String {
        self.files().join(" or ")
    }

    pub(super) fn pin(&self) -> Option<Expected<'static>> {
        let entry = self.entry()?;
        entry.sha256.as_deref().or(entry.sha256_prefix.as_deref()).map(|digits| Expected { digits })
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.entry().and_then(|entry| entry.size)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(entry) => f.write_str(&entry.id),
            Self::Repository { repository, revision, file } => {
                write!(f, "hf://{repository}")?;
                if revision != MAIN {
                    write!(f, "@{revision}")?;
                }
                file.as_ref().map_or(Ok(()), |file| write!(f, "/{file}"))
            }
        }
    }
}

/// `owner/name` by the hub's rules: letters, digits, `-`, `_`, `.`; no `--` or `..`, which the cache's names use.
pub(super) fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        (1..=96).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
    };
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

/// A path that stays below where it starts: no empty part, no `.` or `..`, no backslash, no control character.
pub(super) fn is_relative_path(text: &str) -> bool {
    text.len() <= 512
        && text.split('/').all(|part| {
            !part.is_empty()
                && part.len() <= 200
                && part != "."
                && part != ".."
                && part.chars().all(|letter| !letter.is_control() && !matches!(letter, '\\' | ':'))
        })
}

/// A commit: 40 hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_lower_hex(text)
}

/// A SHA-256: 64 hexadecimal digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

/// An etag that can be a file's name.
pub(super) fn is_blob_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

pub(super) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, Option<String>) {
        match Reference::parse(text).unwrap() {
            Reference::Repository { repository, revision, file } => (repository, revision, file),
            Reference::Known(entry) => panic!("{} is an id of the registry", entry.id),
        }
    }

    #[test]
    fn names_are_read() {
        let (repository, revision, file) = parts("hf://owner/some.name_1");
        assert_eq!((repository.as_str(), revision.as_str(), file), ("owner/some.name_1", "main", None));
        let (repository, revision, file) = parts("hf://owner/name@v1.0/deep/weights.safetensors");
        assert_eq!((repository.as_str(), revision.as_str()), ("owner/name", "v1.0"));
        assert_eq!(file.as_deref(), Some("deep/weights.safetensors"));
        let (_, revision, file) = parts("hf://owner/name@refs/pr/7/model.safetensors");
        assert_eq!((revision.as_str(), file.as_deref()), ("refs/pr/7", Some("model.safetensors")));
        assert_eq!(parts("owner/name@feature%2Fx").1, "feature/x");
        assert!(matches!(Reference::parse("timm/resnet18.a1_in1k").unwrap(), Reference::Known(_)));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["hf://owner/name", "hf://owner/name@v1/a/b.bin", "timm/resnet18.a1_in1k"] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), text);
            assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for text in [
            "",
            "name",
            "/",
            "a/",
            "/b",
            "../..",
            "hf://../..",
            "hf://a/..",
            "hf://a/.b",
            "hf://a/b--c",
            "hf://a/b..c",
            "hf://a/b@",
            "hf://a/b@../x",
            "hf://a/b@v/../../x",
            "hf://a/b/../../x",
            "hf://a/b//etc/passwd",
            "hf://a/b/",
            "hf://a/b/c\\d",
            "hf://a/b/c\nd",
            "hf://a b/c",
            "https://a/b",
            "hf://a/b@refs",
            "hf://a/b@refs/pr/../x",
            "hf://a/b@x%2F..%2Fy",
            "a/b?c",
            "a/b#c",
            "a/b/c:d",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
