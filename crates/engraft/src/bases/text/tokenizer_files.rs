//! The files of a tokenizer: `tokenizer.json`, or one made of the files that were there before it.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Problem, Result};
use crate::files;
use crate::weight_files;

/// The largest tokenizer. XLM-R's, of 250,000 tokens, has 17 MB.
pub(super) const LIMIT: u64 = 128 << 20;

/// The largest file of settings.
const SETTINGS_LIMIT: u64 = 16 << 20;

/// A folder's `tokenizer.json`, or what it would be.
pub(super) fn read(folder: &Path) -> Result<Vec<u8>> {
    if let Some(json) = file(folder, "tokenizer.json", LIMIT)? {
        return Ok(json);
    }
    if let Some(vocabulary) = file(folder, "vocab.txt", LIMIT)? {
        let words = text(vocabulary, folder, "vocab.txt")?;
        return word_piece(&words, &Settings::read(folder)?, folder);
    }
    if let Some(vocabulary) = file(folder, "vocab.json", LIMIT)?
        && let Some(merges) = file(folder, "merges.txt", LIMIT)?
    {
        let merges = text(merges, folder, "merges.txt")?;
        return byte_pairs(&vocabulary, &merges, &Settings::read(folder)?, folder);
    }
    let sentence_piece =
        ["sentencepiece.bpe.model", "spiece.model"].into_iter().find(|name| folder.join(name).is_file());
    let problem = Problem::new("the encoder has no tokenizer")
        .expected("tokenizer.json, vocab.txt, or vocab.json and merges.txt")
        .found(sentence_piece.unwrap_or("none of them"))
        .at(folder);
    Err(Error::Weights(
        problem.hint("with Transformers, AutoTokenizer.from_pretrained(..).save_pretrained(..) writes tokenizer.json"),
    ))
}

/// A file's bytes; none where there is no such file.
pub(super) fn file(folder: &Path, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    match files::read_limited(&path, limit) {
        Ok(bytes) => match engraft_weights::stand_in(&bytes) {
            // What stands in place of a file that was not fetched; an empty list of merges is one.
            Some(found) if !bytes.is_empty() && !name.ends_with(".md") => Err(weight_files::unreadable(&found, &path)),
            _ => Ok(Some(bytes)),
        },
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Weights(Problem::new(format_args!("{name} cannot be read")).found(source).at(&path))),
    }
}

/// A JSON object; an empty one where there is no such file.
pub(super) fn settings(folder: &Path, name: &str) -> Result<Option<Map<String, Value>>> {
    let Some(bytes) = file(folder, name, SETTINGS_LIMIT)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| damaged(folder, name, &source))
}

fn damaged(folder: &Path, name: &str, found: &dyn std::fmt::Display) -> Error {
    Error::Weights(Problem::new(format_args!("{name} is damaged")).found(found).at(folder.join(name)))
}

fn text(bytes: Vec<u8>, folder: &Path, name: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|source| damaged(folder, name, &source))
}

/// `tokenizer_config.json` and `special_tokens_map.json`.
struct Settings {
    config: Map<String, Value>,
    special: Map<String, Value>,
}

impl Settings {
    fn read(folder: &Path) -> Result<Self> {
        let read = |name| settings(folder, name).map(Option::unwrap_or_default);
        Ok(Self { config: read("tokenizer_config.json")?, special: read("special_tokens_map.json")? })
    }

    fn flag(&self, name: &str, usual: bool) -> bool {
        self.config.get(name).and_then(Value::as_bool).unwrap_or(usual)
    }

    /// A special token: written as text, or as an object with its `content`.
    fn token(&self, name: &str, usual: &str) -> String {
        let said = |from: &Map<String, Value>| {
            let value = from.get(name)?;
            value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
        };
        said(&self.config).or_else(|| said(&self.special)).unwrap_or_else(|| usual.to_owned())
    }

    fn class(&self) -> &str {
        self.config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Special tokens with their ids, those that the vocabulary has; `first` and `last` it must have.
struct Special {
    all: Vec<Value>,
    first: Value,
    last: Value,
}

impl Special {
    fn find(
        tokens: [(&str, String); 5],
        id_of: impl Fn(&str) -> Option<u64>,
        folder: &Path,
        file: &str,
    ) -> Result<Self> {
        let mut all = Vec::new();
        let mut ends = Vec::new();
        for (role, token) in &tokens {
            match id_of(token) {
                Some(id) => {
                    let left = *role == "mask" && token.starts_with('<');
                    all.push(json!({"id": id, "content": token, "single_word": false, "lstrip": left,
                        "rstrip": false, "normalized": false, "special": true}));
                    if matches!(*role, "cls" | "sep") {
                        ends.push(json!([token, id]));
                    }
                }
                None if matches!(*role, "cls" | "sep" | "unk") => {
                    return Err(damaged(folder, file, &format_args!("no token `{token}`")));
                }
                None => {}
            }
        }
        let [first, last] = <[Value; 2]>::try_from(ends).expect("both were found");
        Ok(Self { all, first, last })
    }
}

/// BERT's tokenizer: words, and pieces of them.
fn word_piece(words: &str, settings: &Settings, folder: &Path) -> Result<Vec<u8>> {
    // MPNet has WordPiece with RoBERTa's special tokens.
    let roberta = settings.class().starts_with("MPNet");
    let mut vocabulary = Map::new();
    for (id, word) in words.lines().enumerate() {
        vocabulary.insert(word.to_owned(), json!(id));
    }
    let usual = if roberta {
        ["<s>", "</s>", "[UNK]", "<pad>", "<mask>"]
    } else {
        ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"]
    };
    let tokens = special_names(settings, usual);
    let unknown = tokens[2].1.clone();
    let special = Special::find(tokens, |token| vocabulary.get(token)?.as_u64(), folder, "vocab.txt")?;
    let processor = if roberta {
        json!({"type": "RobertaProcessing", "sep": special.last, "cls": special.first, "trim_offsets": false,
            "add_prefix_space": false})
    } else {
        json!({"type": "BertProcessing", "sep": special.last, "cls": special.first})
    };
    let strip = settings.config.get("strip_accents").filter(|value| value.is_boolean()).cloned();
    whole(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": special.all,
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": settings.flag("tokenize_chinese_chars", true),
            "strip_accents": strip.unwrap_or(Value::Null), "lowercase": settings.flag("do_lower_case", true)},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": processor,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    }))
}

/// RoBERTa's tokenizer: pairs of bytes.
fn byte_pairs(vocabulary: &[u8], merges: &str, settings: &Settings, folder: &Path) -> Result<Vec<u8>> {
    let vocabulary: Map<String, Value> =
        serde_json::from_slice(vocabulary).map_err(|source| damaged(folder, "vocab.json", &source))?;
    let usual = ["<s>", "</s>", "<unk>", "<pad>", "<mask>"];
    let tokens = special_names(settings, usual);
    let special = Special::find(tokens, |token| vocabulary.get(token)?.as_u64(), folder, "vocab.json")?;
    let merges: Vec<&str> = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty()).collect();
    let prefix = settings.flag("add_prefix_space", false);
    let trim = settings.flag("trim_offsets", true);
    whole(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": special.all,
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "RobertaProcessing", "sep": special.last, "cls": special.first,
            "trim_offsets": trim, "add_prefix_space": prefix},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges},
    }))
}

/// The special tokens by their roles, in the order of `usual`: first, last, unknown, padding, mask.
fn special_names(settings: &Settings, usual: [&str; 5]) -> [(&'static str, String); 5] {
    let roles = ["cls", "sep", "unk", "pad", "mask"];
    std::array::from_fn(|i| (roles[i], settings.token(&format!("{}_token", roles[i]), usual[i])))
}

fn whole(tokenizer: Value) -> Result<Vec<u8>> {
    serde_json::to_vec(&tokenizer)
        .map_err(|source| Error::Weights(Problem::new("the tokenizer cannot be put together").found(source)))
}
