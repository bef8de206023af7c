//! Finding a base for texts: a folder, a file of one, or a repository of the hub that was pulled.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use engraft_weights::Format;

use crate::bases::hub::{Hub, Local, Reference};
use crate::bases::text::config::Family;
use crate::bases::text::language_model::LanguageModel;
use crate::bases::text::lstm_encoder::LstmEncoder;
use crate::bases::text::sentence::{SETTINGS, SentenceEncoder};
use crate::bases::text::tf_idf::{TF_IDF_BASE, TfIdf};
use crate::bases::text::tokenizer_files::file;
use crate::bases::text::vectors::WordVectors;
use crate::error::{Error, Problem, Result, printable};
use crate::files;
use crate::suggestion::beside;
use crate::weight_files;

/// Who made the usual sentence encoders: a name without an owner is looked for there.
const USUAL_OWNER: &str = "sentence-transformers";

/// The encoder of texts that is taken where no base is named.
pub(crate) const USUAL_ENCODER: &str = "all-MiniLM-L6-v2";

/// What a tokenizer may be in.
pub(in crate::bases) const TOKENIZERS: [&str; 3] = ["tokenizer.json", "vocab.txt", "vocab.json"];

/// What the hub has beside an encoder's weights and its `config.json`, as far as it is there.
pub(in crate::bases) const FILES_BESIDE_WEIGHTS: [&str; 19] = [
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    SETTINGS[0],
    SETTINGS[1],
    SETTINGS[2],
    SETTINGS[3],
    SETTINGS[4],
    SETTINGS[5],
    SETTINGS[6],
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "2_Dense/pytorch_model.bin",
    "README.md",
];

/// A pretrained base for texts.
#[derive(Debug, Clone)]
pub struct TextBase {
    /// Its name.
    pub id: String,
    /// What kind it is, in a few words.
    pub(crate) architecture: String,
    /// The licence of the weights, as far as it is said beside them.
    pub(crate) licence: String,
    /// Where it is from.
    pub(crate) source: String,
    /// SHA-256 of the weights file.
    pub sha256: String,
    /// What the user should know about how it was opened.
    pub remarks: Vec<String>,
    /// What runs.
    pub body: TextBody,
}

/// What runs in a base for texts.
#[derive(Debug, Clone)]
pub enum TextBody {
    /// An encoder of the BERT family.
    Encoder(Box<SentenceEncoder>),
    /// Vectors of words.
    Words(Box<WordVectors>),
    /// A language model.
    Lstm(Box<LstmEncoder>),
    /// Words and pairs of words, counted in the texts that are learnt from.
    TfIdf(Box<TfIdf>),
}

/// Whether a base is one for texts: by a `config.json` where it is here, else by its name. Nothing large is read.
pub fn is_text_base(base: &str) -> bool {
    let usual = base.strip_prefix("hf://").unwrap_or(base).starts_with(&format!("{USUAL_OWNER}/"));
    usual
        || is_tf_idf(base)
        || is_vectors(Path::new(base))
        || LanguageModel::is_at(Path::new(base))
        || find(base).is_ok_and(|found| found.is_some_and(|found| is_encoder(&found.folder)))
}

/// Whether a base is the one that counts words. A file of that name is a file.
pub fn is_tf_idf(base: &str) -> bool {
    base == TF_IDF_BASE && !Path::new(base).exists()
}

/// Whether something of this name could be opened as a base for texts. Nothing large is read.
///
/// # Errors
/// [`Error::Usage`] for an environment of the hub that cannot be read.
pub(crate) fn is_text_base_here(base: &str) -> Result<bool> {
    let path = Path::new(base);
    if path.exists() {
        return Ok(true);
    }
    Ok(Hub::from_environment()?.has(&Reference::parse(&full_name(base))?))
}

/// Opens a base for texts: a file of word vectors, the folder of a language model, a folder as sentence-transformers or
/// Transformers saves it, a weights file in one, or a repository of the hub that was pulled
/// (`sentence-transformers/all-MiniLM-L6-v2`, or without the owner).
///
/// # Errors
/// [`Error::Weights`]: for what is not there, not known, damaged, or does not fit.
pub fn open_text_base(base: &str, device: &Device) -> Result<TextBase> {
    let path = Path::new(base);
    if is_tf_idf(base) {
        let problem = Problem::new("TF-IDF is counted in the texts of a fit, and is no base before that");
        return Err(Error::Usage(
            problem.found(base).at("--base").hint("`engraft fit` and `engraft embed` take it for texts"),
        ));
    }
    if is_vectors(path) {
        return open_vectors(path);
    }
    if LanguageModel::is_at(path) {
        return open_language_model(path, device);
    }
    let Some(found) = find(base)? else {
        let name = match Reference::parse(&full_name(base)) {
            Ok(reference) => reference.to_string(),
            Err(_) => format!("{USUAL_OWNER}/{USUAL_ENCODER}"),
        };
        let near = beside(path);
        let known = near.iter().map(String::as_str).chain([USUAL_ENCODER]);
        return Err(Error::Weights(
            Problem::new("the base cannot be opened")
                .suggest(base, known)
                .expected(
                    "a folder of an encoder or a language model, a file of word vectors, or a base that was pulled",
                )
                .found("neither")
                .at(base)
                .hint(format_args!("`engraft bases pull {name}` fetches it, if the hub has it")),
        ));
    };
    let (encoder, remarks, sha256) = SentenceEncoder::open_hashed(&found.folder, found.weights.as_deref(), device)?;
    if let Some(local) = &found.pulled {
        local.check(&sha256)?;
    }
    let config = &encoder.config;
    let architecture = format!("{} of {} blocks, width {}", config.family.name(), config.layers, config.width);
    Ok(TextBase {
        id: found.id,
        architecture,
        licence: licence(&found.folder)?.unwrap_or_else(|| "not stated".into()),
        source: found.source,
        sha256,
        remarks,
        body: TextBody::Encoder(Box::new(encoder)),
    })
}

/// Whether a file's name, or what lies in a folder, says that it holds word vectors.
pub(crate) fn is_vectors(path: &Path) -> bool {
    WordVectors::is_named(path)
}

/// The format of a file of weights, if it is one.
fn format_of(path: &Path) -> Option<Format> {
    weight_files::source(path).ok().and_then(|source| weight_files::format(&source))
}

fn open_vectors(path: &Path) -> Result<TextBase> {
    if let Some(found) = weight_files::stand_in_at(path) {
        return Err(weight_files::unreadable(&found, path));
    }
    let vectors = WordVectors::open(path)?;
    let file = WordVectors::file_of(path);
    let mut remarks = vectors.remarks().to_vec();
    if vectors.has_subwords() {
        remarks.push(
            "words of the texts without a row of their own are made of n-grams; a saved run knows no words but those"
                .into(),
        );
    }
    let name = path.file_stem().map(|name| printable(Path::new(name)));
    Ok(TextBase {
        id: name.unwrap_or_else(|| printable(path)),
        architecture: format!("{} word vectors of {}", vectors.len(), vectors.columns()),
        licence: "not stated".into(),
        source: printable(path),
        sha256: files::sha256_of_file(&file, |_| Ok(()))?,
        remarks,
        body: TextBody::Words(Box::new(vectors)),
    })
}

fn open_language_model(folder: &Path, device: &Device) -> Result<TextBase> {
    let model = LanguageModel::open(folder, device)?;
    let card = &model.card;
    let or = |said: &str, otherwise: &str| if said.is_empty() { otherwise.to_owned() } else { said.to_owned() };
    Ok(TextBase {
        id: card.id.clone(),
        architecture: format!(
            "LSTM language model of {} layers, width {}, {} words",
            card.sizes.layers, card.sizes.width, card.sizes.vocabulary
        ),
        licence: or(&card.licence, "not stated"),
        source: or(&card.source, &printable(folder)),
        sha256: files::sha256_of_file(&folder.join("model.safetensors"), |_| Ok(()))?,
        remarks: Vec::new(),
        body: TextBody::Lstm(Box::new(LstmEncoder::new(model))),
    })
}

/// The name with its owner.
fn full_name(base: &str) -> String {
    if base.contains('/') { base.to_owned() } else { format!("{USUAL_OWNER}/{base}") }
}

/// A folder that may hold a base.
struct Found {
    folder: PathBuf,
    /// The file of weights that was named.
    weights: Option<PathBuf>,
    id: String,
    source: String,
    pulled: Option<Local>,
}

fn find(base: &str) -> Result<Option<Found>> {
    let path = Path::new(base);
    if path.exists() {
        let (folder, weights) = match path.is_dir() {
            true => (path, None),
            false => (folder_of(path), Some(path.to_owned()).filter(|path| format_of(path).is_some())),
        };
        let id = folder.canonicalize().ok().and_then(|whole| whole.file_name().map(|name| printable(Path::new(name))));
        let id = id.unwrap_or_else(|| base.to_owned());
        return Ok(Some(Found { folder: folder.to_owned(), weights, id, source: printable(path), pulled: None }));
    }
    let named = full_name(base);
    let reference = match Reference::parse(&named) {
        Ok(reference) => reference,
        Err(error) if base.starts_with("hf://") => return Err(error),
        Err(_) => return Ok(None),
    };
    let hub = Hub::from_environment()?;
    if !base.starts_with("hf://") && !hub.has(&reference) {
        return Ok(None);
    }
    let local = hub.require(&reference)?;
    hub.check_beside(&reference, &local)?;
    let Some(folder) = local.weights.parent().map(Path::to_owned) else { return Ok(None) };
    let commit = local.commit.as_deref().unwrap_or("main");
    Ok(Some(Found {
        folder,
        weights: None,
        source: format!("{reference} at {commit}"),
        id: named,
        pulled: Some(local),
    }))
}

/// The folder of an encoder whose file this is: its own, or the one above, as with `onnx/model.onnx`.
fn folder_of(file: &Path) -> &Path {
    fn here(folder: &Path) -> &Path {
        if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
    }
    let own = file.parent().unwrap_or(Path::new(""));
    match own.parent() {
        Some(above) if own.ends_with("onnx") && !is_encoder(own) && is_encoder(above) => here(above),
        _ => here(own),
    }
}

/// Whether a folder is that of an encoder; `modules.json` may say that its `config.json` lies deeper.
fn is_encoder(folder: &Path) -> bool {
    is_encoder_config(&folder.join("config.json")) || folder.join("modules.json").is_file()
}

/// Whether a `config.json` is that of an encoder for texts.
pub(in crate::bases) fn is_encoder_config(path: &Path) -> bool {
    let said = files::read_limited(path, 1 << 20).ok();
    let said = said.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    let kind = said.as_ref().and_then(|said| said.get("model_type")?.as_str());
    kind.is_some_and(|kind| Family::of_model_type(kind).is_some())
}

/// What the front matter of a model card says.
fn licence(folder: &Path) -> Result<Option<String>> {
    let Some(card) = file(folder, "README.md", 4 << 20)? else { return Ok(None) };
    let card = String::from_utf8_lossy(&card);
    let mut lines = card.lines();
    if lines.next().map(str::trim) != Some("---") {
        return Ok(None);
    }
    let said = lines.take_while(|line| line.trim() != "---").find_map(|line| line.strip_prefix("license:"));
    Ok(said.map(|licence| licence.trim().trim_matches(['"', '\'']).to_owned()).filter(|licence| !licence.is_empty()))
}
