//! One thing that is worth knowing about a data set, how bad it is, and which files it is about.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Info,
    /// Something is off; the results still mean what they say.
    Warning,
    /// The data contradicts itself or is too poor: look before you trust a result.
    #[serde(alias = "error")]
    Serious,
}

/// What a finding is about. Its name in JSON is kebab-case (`label-conflict`) and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Hidden files and the litter of operating systems, passed over.
    Skipped,
    /// Runs, bases and unfinished work of this program among the data, passed over.
    OwnOutput,
    /// Files that lie outside every class.
    StrayFile,
    /// A class folder without a file.
    EmptyClass,
    /// A folder or link that cannot be read or leads in a circle.
    UnreadableFolder,
    /// The folders look like another layout than the one they were read as.
    UnusualLayout,
    /// A split, column, encoding or path that was guessed.
    Guessed,
    /// Rows of a table that a quote seems to have made one.
    MergedRows,
    /// Rows of a table that repeat its header.
    RepeatedHeader,
    /// Several rows of a table name one file.
    DuplicateRow,
    /// Files that cannot be read.
    Unreadable,
    /// Files that are not images.
    NotAnImage,
    /// Images that are cut off or broken.
    Damaged,
    /// Images over the limits on size.
    TooLarge,
    /// Images of a kind that is not read.
    Unsupported,
    /// Images whose file ends before its end marker, but after the last pixel.
    NoEndMarker,
    /// Images of 16 bits a channel of which only the lower ones are used.
    BitDepth,
    /// Images whose colour profile cannot be used: damaged, or of another kind than the pixels.
    ColourProfile,
    /// Files with the same bytes. Files come in pairs.
    ExactDuplicate,
    /// Images that show the same, as far as one can see at a glance. Files come in pairs.
    NearDuplicate,
    /// Near-duplicates were looked for among some of the pairs only, since too many look alike at a glance.
    BoundedSearch,
    /// The same image under two labels. Files come in pairs.
    LabelConflict,
    /// The same image in two splits. Files come in pairs: the one left out, then the one kept.
    Leak,
    /// A group (of a patient, of a video) in two splits. Files come in pairs: the one left out, then one that is kept.
    GroupLeak,
    /// Examples of which no group is known.
    NoGroup,
    /// Groups that leave nothing, or not every class, to hold out.
    FewGroups,
    /// Columns or names that look like groups, where none are asked for.
    PossibleGroups,
    /// Classes that are likely meant to be one, or were made one.
    ClassVariants,
    /// Classes called like a missing value.
    MissingLookingClass,
    /// Classes that are written like lists of several.
    ListLikeClass,
    /// A class with too few images to train on.
    SmallClass,
    /// A class of which only the held-out splits have images.
    NoTraining,
    /// One class has many times the images of another.
    Imbalance,
    /// Few images in all.
    FewExamples,
    /// Images without a number to learn: missing, infinite, or none (regression); texts without a label.
    MissingValue,
    /// Numbers far from all others. (Regression.)
    Outlier,
    /// Images without any label. (Multi-label.)
    NoLabel,
    /// Answers that stand nowhere in their paragraph. (Questions.)
    AnswerNotFound,
    /// Answers that stand elsewhere than the file says. (Questions.)
    AnswerMoved,
    /// Questions about one paragraph in two splits. (Questions.)
    StraddledContext,
    /// Questions that have no answer. (Questions.)
    Unanswerable,
    /// Tags that go on with a span that did not begin. (Tags.)
    BrokenSequence,
    /// How tags say where spans begin and end. (Tags.)
    TagScheme,
    /// Files that are not text. (Texts, as all below.)
    NotText,
    /// Bytes that are not characters, or characters that have no place in a text.
    BrokenEncoding,
    /// Texts that are empty.
    EmptyText,
    /// Texts longer than most encoders read.
    LongText,
    /// Characters that were damaged before: read in the wrong encoding and saved so.
    Mojibake,
    /// More than one language.
    MixedLanguages,
    /// Texts without a letter.
    NoLetters,
    /// Translations that repeat their sentence. (Sentence pairs, as all up to the columns.)
    SourceIsTarget,
    /// Sentences in the language of translations, and the other way round.
    SwappedSides,
    /// Sides of which one is many times as long as the other.
    UnlikelyLengths,
    /// Sentences with more than one translation.
    ManyTargets,
    /// Sides that are in neither language.
    WrongLanguage,
    /// Columns with one value in all rows. (Rows of a table, as all below.)
    ConstantColumn,
    /// Columns that only number or name the rows.
    IdentifierColumn,
    /// Columns that tell the label.
    LabelLeak,
    /// Columns of numbers and words.
    MixedColumn,
    /// Columns with missing cells.
    MissingCells,
    /// Rows of which many are equal, because their columns take few values.
    FewCombinations,
}

impl FindingKind {
    /// Whether [`Finding::files`] of this kind holds pairs: the first and second belong together, and so on.
    pub(crate) fn in_pairs(self) -> bool {
        matches!(self, Self::ExactDuplicate | Self::NearDuplicate | Self::LabelConflict | Self::Leak | Self::GroupLeak)
    }
}

/// One thing that is worth knowing about a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// One line for a reader: what was found and what was done about it.
    pub message: String,
    /// Every file concerned, by its name in the data set (of pairs the two in turn).
    pub files: Vec<String>,
}

impl Finding {
    /// A finding about `files`.
    pub fn new(kind: FindingKind, severity: Severity, message: impl Into<String>, files: Vec<String>) -> Self {
        Self { kind, severity, message: message.into(), files }
    }
}
