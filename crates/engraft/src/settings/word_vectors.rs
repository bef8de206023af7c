//! The settings of what is done with word vectors: `engraft glove reduce`, `evaluate`, `near` and `convert`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::choices::choice;
use crate::error::{Error, Problem};

choice! {
    /// How word vectors get fewer columns.
    Reduction, "method of reduction":
    /// Principal component analysis: the directions in which the vectors differ most.
    Pca = "pca",
    /// Principal component analysis between two removals of the most common directions (Raunak, Gupta and Metze 2019,
    /// "Effective dimensionality reduction for word embeddings", algorithm 1).
    Ppa = "ppa",
    /// Truncated singular value decomposition of a co-occurrence matrix. Reads counts, not vectors.
    Svd = "svd",
}

choice! {
    /// What is factorised in place of a co-occurrence count `x`.
    Weighting, "weighting of co-occurrence counts":
    /// `x`
    Raw = "raw",
    /// `sqrt(x)`
    Sqrt = "sqrt",
    /// `ln(1 + x)`
    Log = "log",
    /// Shifted positive pointwise mutual information with smoothed contexts (Levy, Goldberg and Dagan 2015, section 3).
    Ppmi = "ppmi",
}

choice! {
    /// A file format that word vectors are written in.
    VectorFormat, "format of word vectors":
    /// GloVe's text: a word and its numbers in each line.
    Glove = "glove",
    /// The same after a line with the numbers of words and columns, as `glove -write-header 1` writes it.
    GloveHeader = "glove-header",
    /// word2vec's text.
    Word2vecText = "word2vec-text",
    /// word2vec's binary format: f32.
    Word2vecBinary = "word2vec-binary",
    /// fastText's text.
    FastTextVec = "fasttext-vec",
    /// finalfusion, with a plain vocabulary, an array of unit vectors and their lengths.
    Finalfusion = "finalfusion",
    /// NumPy's array of f32, with the words, a line each, in `NAME.words.txt`.
    Npy = "npy",
    /// The tensor `vectors` as safetensors, with ranks and words in `NAME.words`.
    Safetensors = "safetensors",
}

impl VectorFormat {
    /// The format that the ending of a file's name stands for.
    ///
    /// # Errors
    /// [`Error::Usage`] where it stands for none, or for one that is not written.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("txt" | "glove") => Ok(Self::Glove),
            Some("w2v") => Ok(Self::Word2vecText),
            Some("bin") => Ok(Self::Word2vecBinary),
            Some("vec") => Ok(Self::FastTextVec),
            Some("fifu") => Ok(Self::Finalfusion),
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => {
                let problem = Problem::new("the output's ending names no format of word vectors");
                let problem = problem.expected(".txt, .glove, .w2v, .bin, .vec, .fifu, .npy or .safetensors");
                Err(Error::Usage(problem.at(path).hint("--to names a format whatever the ending")))
            }
        }
    }
}

/// Settings of `engraft glove reduce`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReduceVectors {
    /// The vectors; for [`Reduction::Svd`] a file of co-occurrence records.
    pub vectors: PathBuf,
    /// Where the reduced vectors go.
    pub out: PathBuf,
    /// Their format; by the ending of `out` where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<VectorFormat>,
    /// How columns are reduced.
    pub method: Reduction,
    /// Columns that are kept.
    pub columns: usize,
    /// Subtracts the mean of all vectors before `pca`. `ppa` always does.
    pub centre: bool,
    /// Most common directions that `ppa` removes, before and after.
    pub remove: usize,
    /// The vocabulary of the co-occurrence records: a word and its count in each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab: Option<PathBuf>,
    /// What is factorised in place of a count.
    pub weighting: Weighting,
    /// Negative samples that the mutual information is shifted by: `ln(shift)` is taken from it; 1 for no shift.
    pub shift: f64,
    /// Exponent of the contexts' counts in the mutual information; 1 for no smoothing.
    pub context_smoothing: f64,
    /// Exponent `p` of the singular values: rows are those of `U S^p`.
    pub power: f64,
    /// Power iterations of the randomised decomposition.
    pub iterations: usize,
    /// Seed of the randomised decomposition.
    pub seed: u64,
    /// Most memory that the decomposition may take, in MiB.
    pub memory: u64,
    /// Replaces an output that is there.
    pub force: bool,
}

impl Default for ReduceVectors {
    fn default() -> Self {
        Self {
            vectors: PathBuf::new(),
            out: PathBuf::new(),
            to: None,
            method: Reduction::Pca,
            columns: 100,
            centre: false,
            remove: 7,
            vocab: None,
            weighting: Weighting::Ppmi,
            shift: 1.0,
            context_smoothing: 0.75,
            power: 0.5,
            iterations: 4,
            seed: 1,
            memory: 4096,
            force: false,
        }
    }
}

/// Settings of `engraft glove evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvaluateVectors {
    /// The vectors.
    pub vectors: PathBuf,
    /// Questions `a b c d` ("a is to b as c is to d"): a file, or a folder of `.txt` files, a kind each. A line `: NAME`
    /// begins a kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analogies: Option<PathBuf>,
    /// Word pairs with people's ratings: a file, or a folder of `.txt`, `.tsv` and `.csv` files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<PathBuf>,
    /// Only the first so many words answer, and are asked about; 0 for all.
    pub most_frequent: usize,
    /// Random pairings that the consistency of offsets is compared with.
    pub permutations: usize,
    /// Words whose neighbours are listed; some frequent ones where none is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbours_of: Vec<String>,
    /// Neighbours that are listed for each of them.
    pub neighbours: usize,
    /// Most frequent words on the map, where no words are told.
    pub map: usize,
    /// The words on the map.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub map_words: Vec<String>,
    /// Seed of the random pairings.
    pub seed: u64,
}

impl Default for EvaluateVectors {
    fn default() -> Self {
        Self {
            vectors: PathBuf::new(),
            analogies: None,
            similarity: None,
            most_frequent: 0,
            permutations: 99,
            neighbours_of: Vec::new(),
            neighbours: 8,
            map: 250,
            map_words: Vec::new(),
            seed: 1,
        }
    }
}

/// Settings of `engraft glove near`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NearWords {
    /// The vectors.
    pub vectors: PathBuf,
    /// Words with `+` and `-` between them, as `king - man + woman`.
    pub query: Vec<String>,
    /// Neighbours that are listed.
    pub count: usize,
    /// Only the first so many words answer; 0 for all.
    pub most_frequent: usize,
}

impl Default for NearWords {
    fn default() -> Self {
        Self { vectors: PathBuf::new(), query: Vec::new(), count: 10, most_frequent: 0 }
    }
}

/// Settings of `engraft glove convert`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConvertVectors {
    /// The vectors.
    pub vectors: PathBuf,
    /// Where they go.
    pub out: PathBuf,
    /// Their format there; by the ending of `out` where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<VectorFormat>,
    /// Only the first so many words; 0 for all.
    pub most_frequent: usize,
    /// Replaces an output that is there.
    pub force: bool,
}
