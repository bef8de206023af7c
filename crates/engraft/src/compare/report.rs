//! What a comparison of two data sets found, as `compare.json` has it.

use serde::Serialize;

/// A comparison of two data sets, A and B.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The form of this file.
    pub schema: u32,
    /// `compare`.
    pub command: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// What examples are called.
    pub unit: String,
    /// A.
    pub a: SideReport,
    /// B.
    pub b: SideReport,
    /// What the examples were seen by: a base's name, or `none` for the columns of a table.
    pub base: String,
    /// SHA-256 of its weights; empty without a base.
    pub base_sha256: String,
    /// Columns of the features.
    pub columns: usize,
    /// The seed of everything that was drawn.
    pub seed: u64,
    /// What differs, in a word: `alike`, `apart`, `shares`, `content` or `shares-and-content`.
    pub differs: &'static str,
    /// The same in a sentence.
    pub verdict: String,
    /// The p of all tests that this is made of, together.
    pub p: f64,
    /// How far apart they are.
    pub distance: DistanceReport,
    /// The shares of the classes, where all examples of both have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<SharesReport>,
    /// Examples of the same classes, as many of each from both: what differs here is no matter of shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_equal_shares: Option<Told>,
    /// Class by class, where both have 20 examples of it.
    pub classes: Vec<ClassReport>,
    /// The examples that a classifier is surest are of A.
    pub surest_a: Vec<Surest>,
    /// Those of B.
    pub surest_b: Vec<Surest>,
    /// The share of A that is unlike B: farther from it than all but 5 % of B are from the rest of B. Where nothing differs it is about
    /// 0.05. Nothing where B has fewer than 20 different examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlike_a: Option<f64>,
    /// The share of B that is unlike A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlike_b: Option<f64>,
    /// The examples of A that are farthest from B.
    pub farthest_a: Vec<Farthest>,
    /// Those of B that are farthest from A.
    pub farthest_b: Vec<Farthest>,
    /// Columns of tables, lengths of texts or properties of images, those first that differ most surely.
    pub properties: Vec<Property>,
    /// Terms that more texts of A have.
    pub words_a: Vec<WordShift>,
    /// Terms that more texts of B have.
    pub words_b: Vec<WordShift>,
    /// Examples that are in both.
    pub duplicates: Duplicates,
    /// What is to be said beside.
    pub notes: Vec<String>,
    /// Wall seconds.
    pub seconds: f64,
}

/// One of the data sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideReport {
    /// Where it is, as given.
    pub path: String,
    /// Its examples.
    pub examples: usize,
    /// Those that were compared, drawn from all.
    pub compared: usize,
}

/// How far apart two data sets are, each number beside what it is where nothing differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DistanceReport {
    /// Accuracy of a classifier that tells them apart, out of fold, on equally many examples of both: 0.5 is a guess.
    pub accuracy: f64,
    /// The same between two random halves of A, or of B, the larger.
    pub accuracy_floor: f64,
    /// p of a linear classifier by 199 permutations of the sides: exact.
    pub p: f64,
    /// `2 (2 accuracy - 1)`, from 0 to 2. It says how well they are told apart, and not what adapting from one to the other gains.
    pub proxy_a_distance: f64,
    /// Its floor.
    pub proxy_a_distance_floor: f64,
    /// Maximum mean discrepancy, squared and unbiased: about 0 where nothing differs, on either side of it.
    pub mmd2: f64,
    /// Between two random halves of A, or of B, the largest of several draws.
    pub mmd2_floor: f64,
    /// Its p by 200 permutations.
    pub mmd_p: f64,
    /// The kernel's bandwidth.
    pub mmd_bandwidth: f64,
    /// Fréchet distance of `frechet_rows` examples of each, in the features' units squared.
    pub frechet: f64,
    /// Between two random halves of A, and of B, of as many.
    pub frechet_floors: [f64; 2],
    /// Examples of each side that these three are of.
    pub frechet_rows: usize,
    /// With all examples that were compared: nearer to the distance of what they were drawn from, and without a floor.
    pub frechet_whole: f64,
    /// Effective sample size of A when it is weighted to look like B, as a fraction of A.
    pub effective_sample: f64,
    /// Whether A is worth weighting: only where the two are told apart and 0.3 of A is left.
    pub importance_weighting: bool,
    /// Why, in words.
    pub importance_reason: String,
}

/// How well two sets of examples are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Told {
    /// Accuracy of a classifier, out of fold.
    pub accuracy: f64,
    /// Maximum mean discrepancy, squared and unbiased.
    pub mmd2: f64,
    /// p of both by permutations, corrected for looking twice.
    pub p: f64,
}

/// The shares of the classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SharesReport {
    /// Half the sum of the differences of the shares: from 0 (equal) to 1 (no class in common).
    pub distance: f64,
    /// Its p by 999 permutations.
    pub p: f64,
    /// Each class.
    pub classes: Vec<Share>,
}

/// The share of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// The class.
    pub class: String,
    /// Its share of A.
    pub a: f64,
    /// Its share of B.
    pub b: f64,
}

/// How far apart the examples of one class are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// The class.
    pub class: String,
    /// Examples of each side that were compared.
    pub examples: usize,
    /// How well they are told apart; the p is corrected for all classes (Holm).
    #[serde(flatten)]
    pub told: Told,
}

/// An example that a classifier is sure of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Surest {
    /// What it is called.
    pub example: String,
    /// Its text or cells; empty of an image.
    pub shown: String,
    /// The probability that it is of its own data set, by a classifier that did not see it.
    pub probability: f64,
}

/// An example that looks like nothing of the other data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Farthest {
    /// What it is called.
    pub example: String,
    /// Its text or cells; empty of an image.
    pub shown: String,
    /// The distance of its features to the 10th nearest example of the other (a nearer one where there are few): of directions for a
    /// base, of standardised columns for a table.
    pub distance: f64,
    /// Whether it is unlike the other data set, where that can be told.
    pub unlike: bool,
}

/// A number or category of the examples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Property {
    /// What it is.
    pub name: String,
    /// What is typical of A.
    pub a: Typical,
    /// What is typical of B.
    pub b: Typical,
    /// From 0 (distributed alike) to 1 (nothing in common): Kolmogorov and Smirnov's statistic of numbers, total variation of
    /// categories.
    pub distance: f64,
    /// Its p by 999 permutations.
    pub p: f64,
    /// The same, corrected for all properties.
    pub corrected_p: f64,
}

/// What is typical of a property.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Typical {
    /// Of numbers.
    Number {
        /// The median.
        median: f64,
        /// The lower and the upper quartile.
        quartiles: [f64; 2],
    },
    /// Of categories the one whose share differs most.
    Category {
        /// Its name.
        category: String,
        /// Its share.
        share: f64,
    },
    /// Nothing is there.
    Missing {},
}

/// A term that one data set has more often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordShift {
    /// The word, or two words.
    pub term: String,
    /// The share of A's texts that have it.
    pub a: f64,
    /// The share of B's.
    pub b: f64,
    /// The difference of its mean TF-IDF.
    pub difference: f64,
    /// p of Fisher's exact test, corrected for all terms (Bonferroni).
    pub corrected_p: f64,
}

/// Examples that are in both.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Duplicates {
    /// Examples of B that are equal to one of A.
    pub equal: usize,
    /// Others that are nearly the same as one of A.
    pub near: usize,
    /// The first of them.
    pub named: Vec<Duplicate>,
}

/// An example of B that is in A.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duplicate {
    /// In A.
    pub a: String,
    /// In B.
    pub b: String,
    /// Whether they are equal, or nearly the same.
    pub equal: bool,
}
