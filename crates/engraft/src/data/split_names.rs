//! What names of folders, and words in a column, say about the part of the data that lies there.

use super::dataset::Split;

/// What people call the parts of their data, in lower case and without what stands between words.
const TRAIN: [&str; 9] =
    ["train", "training", "trainset", "trainingset", "traindata", "trainingdata", "trn", "trainval", "traindev"];
const VAL: [&str; 14] = [
    "val",
    "valid",
    "validate",
    "validation",
    "valset",
    "validset",
    "validationset",
    "valdata",
    "validationdata",
    "dev",
    "devel",
    "development",
    "devset",
    "developmentset",
];
const TEST: [&str; 14] = [
    "test",
    "testing",
    "testset",
    "testingset",
    "testdata",
    "testingdata",
    "tst",
    "eval",
    "evaluation",
    "evalset",
    "evaluationset",
    "holdout",
    "heldout",
    "holdoutset",
];

/// The split that a whole name says, in any case and however its words are parted: `train`, `TRAINING`, `train_set`,
/// `dev`, `Hold-Out`.
pub(super) fn exact(name: &str) -> Option<Split> {
    let plain: String = name.chars().filter(|c| !is_between(*c)).flat_map(char::to_lowercase).collect();
    let is = |names: &[&str]| names.contains(&plain.as_str());
    match () {
        () if is(&TRAIN) => Some(Split::Train),
        () if is(&VAL) => Some(Split::Val),
        () if is(&TEST) => Some(Split::Test),
        () => None,
    }
}

/// The split that one word of a name says, where no other word says another: `seg_train`, `test2017`, `PublicTest`,
/// `images-val`. Only to be trusted where what lies beside and below agrees: `test_tube` is a class.
pub(super) fn loose(name: &str) -> Option<Split> {
    if let Some(split) = exact(name) {
        return Some(split);
    }
    let mut found: Vec<Split> = words(name).iter().filter_map(|word| exact(word)).collect();
    found.dedup();
    if let [split] = found.as_slice() { Some(*split) } else { None }
}

/// The split that an abbreviated name says: `tr`, `te`. Only to be trusted where what lies below agrees: `tr` and `te` are
/// languages, too.
pub(super) fn abbreviated(name: &str) -> Option<Split> {
    match name.to_lowercase().as_str() {
        "tr" => Some(Split::Train),
        "va" | "vl" => Some(Split::Val),
        "te" | "ts" => Some(Split::Test),
        _ => None,
    }
}

/// Whether a word says that something is held out, unless nothing else is there to train on: `development` beside `evaluation`.
pub(super) fn is_development(word: &str) -> bool {
    exact(word) == Some(Split::Val) && word.to_lowercase().starts_with("devel")
}

/// Words for what goes with images and is none of them.
const COMPANIONS: [&str; 20] = [
    "mask",
    "masks",
    "label",
    "labels",
    "annotation",
    "annotations",
    "annot",
    "annots",
    "segmentation",
    "segmentations",
    "seg",
    "gt",
    "groundtruth",
    "bbox",
    "bboxes",
    "boxes",
    "landmarks",
    "json",
    "xml",
    "csv",
];

/// Whether a name is one of masks, labels or annotations of a split: `test_masks`.
pub(super) fn is_companion(name: &str) -> bool {
    exact(name).is_none() && words(name).iter().any(|word| COMPANIONS.contains(&word.to_lowercase().as_str()))
}

/// Whether a name says that what lies there has no labels: `unlabeled`, `unlabelled_images`.
pub(super) fn is_unlabelled(name: &str) -> bool {
    words(name).iter().any(|word| ["unlabeled", "unlabelled", "unlabel"].contains(&word.to_lowercase().as_str()))
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '_' | '-' | '.' | '(' | ')' | '[' | ']')
}

/// The words of a name: parted by anything that is no letter, and where a small letter stands before a capital one.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut was_small) = (Vec::new(), String::new(), false);
    for c in name.chars() {
        if (!c.is_alphabetic() || was_small && c.is_uppercase()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.push(c);
        }
        was_small = c.is_lowercase();
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_splits_in_any_case() {
        use Split::{Test, Train, Val};
        for (name, split) in [
            ("train", Some(Train)),
            ("Training", Some(Train)),
            ("TRAIN_SET", Some(Train)),
            ("dev", Some(Val)),
            ("Validation", Some(Val)),
            ("val set", Some(Val)),
            ("Testing", Some(Test)),
            ("evaluation", Some(Test)),
            ("hold-out", Some(Test)),
            ("trainers", None),
            ("test_tube", None),
            ("seg_train", None),
            ("valley", None),
            ("", None),
        ] {
            assert_eq!(exact(name), split, "{name}");
        }
    }

    #[test]
    fn one_word_of_a_name_may_say_a_split() {
        use Split::{Test, Train, Val};
        for (name, split) in [
            ("seg_train", Some(Train)),
            ("test2017", Some(Test)),
            ("PublicTest", Some(Test)),
            ("images-val", Some(Val)),
            ("xray.train.v2", Some(Train)),
            ("train_test", None),
            ("trainers", None),
            ("contest", None),
        ] {
            assert_eq!(loose(name), split, "{name}");
        }
    }
}
