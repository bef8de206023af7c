//! Tagged words in the format of the CoNLL shared tasks (Tjong Kim Sang and De Meulder 2003): a word a line, its columns
//! apart by tabs or spaces, the word first and the tag last, an empty line after each sentence, `-DOCSTART-` before each
//! document. Tags in IOB1, BIO (IOB2), BIOES and BILOU are told apart, and become BIO.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Text;
use super::parts::{Part, is_of_kind, read_parts};
use crate::data::audit::{Audit, ClassCount};
use crate::data::dataset::{Dataset, Example, Targets};
use crate::data::{Finding, FindingKind, Grouping, Severity, Split};
use crate::error::{Error, Problem, Result, shown};
use crate::files;
use crate::metrics::Span;

/// File name endings of tagged words.
pub(crate) const ENDINGS: [&str; 7] = ["conll", "bio", "iob", "iob2", "tsv", "txt", "ner"];
/// Fewer training sentences than this, and every measured number is vague.
const FEW: usize = 50;
/// Documents of more than a sentence, from which on folds keep documents together.
const SEVERAL: usize = 10;
/// Fewer spans of a type to learn from than this, and it is hard to learn.
const FEW_SPANS: usize = 10;

/// How tags say where spans begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Scheme {
    /// `B-` only where a span follows another of its type at once (Ramshaw and Marcus 1995).
    #[serde(rename = "IOB1")]
    Iob1,
    /// Every span begins with `B-`.
    #[serde(rename = "BIO")]
    Bio,
    /// The last word of a span is `E-`, a single one `S-`.
    #[serde(rename = "BIOES")]
    Bioes,
    /// The same, with `L-` and `U-`.
    #[serde(rename = "BILOU")]
    Bilou,
}

impl Scheme {
    /// Its usual name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Iob1 => "IOB1",
            Self::Bio => "BIO",
            Self::Bioes => "BIOES",
            Self::Bilou => "BILOU",
        }
    }
}

/// A sentence whose words are tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaggedSentence {
    /// The file and the line of its first word; unique in the set.
    pub(crate) name: String,
    /// Its words.
    pub(crate) words: Vec<String>,
    /// Its spans, ascending.
    pub(crate) spans: Vec<Span>,
    /// The document that it is in; its own number where the file has no documents.
    pub(crate) document: usize,
    /// What it is for.
    pub(crate) split: Split,
}

/// Sentences whose words are tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedSet {
    /// Where they were.
    pub(crate) root: PathBuf,
    /// Names of the spans' types, sorted.
    pub(crate) types: Vec<String>,
    /// The sentences, in the order of the files.
    pub(crate) sentences: Vec<TaggedSentence>,
    /// How the files said where spans begin and end.
    pub(crate) scheme: Scheme,
}

impl TaggedSet {
    /// The sentences of one split, ascending.
    pub(crate) fn of(&self, split: Split) -> Vec<usize> {
        (0..self.sentences.len()).filter(|&at| self.sentences[at].split == split).collect()
    }

    /// The sentences without their words, as other inputs have their examples. The label of each is its rarest type, which is
    /// what folds have to spread; 0 where it has no span.
    pub(crate) fn labelled(&self) -> Dataset {
        let mut counts = vec![0_usize; self.types.len()];
        self.sentences.iter().flat_map(|sentence| &sentence.spans).for_each(|span| counts[span.kind] += 1);
        let rarest = |sentence: &TaggedSentence| {
            let kinds = sentence.spans.iter().map(|span| span.kind);
            kinds.min_by_key(|&kind| (counts[kind], kind)).map_or(0, |kind| kind + 1)
        };
        let example = |sentence: &TaggedSentence| Example {
            source: crate::data::image_source::ImageSource::default(),
            name: sentence.name.clone(),
            label: rarest(sentence),
            split: sentence.split,
            group: None,
        };
        Dataset {
            root: self.root.clone(),
            classes: self.types.clone(),
            examples: self.sentences.iter().map(example).collect(),
            targets: Targets::Tags(self.sentences.iter().map(|sentence| sentence.spans.clone()).collect()),
            grouping: Grouping::default(),
        }
    }

    /// The sentences as texts, words with a space between them.
    pub(crate) fn texts(&self) -> Vec<Text> {
        self.sentences.iter().map(|sentence| Text::single(sentence.words.join(" "))).collect()
    }

    /// SHA-256 of the words of every sentence.
    pub(crate) fn digests(&self) -> Vec<String> {
        self.sentences.iter().map(|sentence| files::sha256_hex(sentence.words.join("\t").as_bytes())).collect()
    }
}

/// Tags of a sentence as numbers: 0 is outside, `1 + 2 kind` begins a span, `2 + 2 kind` goes on with it.
pub fn tags_of(spans: &[Span], words: usize) -> Vec<usize> {
    let mut tags = vec![0; words];
    for span in spans {
        let end = span.end.min(words);
        tags[span.start..end].fill(2 + 2 * span.kind);
        tags[span.start] = 1 + 2 * span.kind;
    }
    tags
}

/// The spans that numbers of tags mean; the reverse of [`tags_of`]. A span that goes on from nothing begins there.
pub(crate) fn spans_of_tags(tags: &[usize]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (at, &tag) in tags.iter().enumerate().filter(|(_, tag)| **tag > 0) {
        let kind = (tag - 1) / 2;
        match spans.last_mut() {
            Some(last) if tag % 2 == 0 && last.kind == kind && last.end == at => last.end = at + 1,
            _ => spans.push(Span { kind, start: at, end: at + 1 }),
        }
    }
    spans
}

/// The name of a tag's number.
pub(crate) fn tag_name(tag: usize, types: &[String]) -> String {
    match tag {
        0 => "O".into(),
        tag => format!("{}-{}", if tag % 2 == 1 { 'B' } else { 'I' }, types[(tag - 1) / 2]),
    }
}

/// Whether the path is named like tagged words: a file, or a folder with such a file.
pub fn is_tagged(path: &Path) -> bool {
    is_of_kind(path, &["conll", "bio", "iob", "iob2", "ner"])
}

/// A sentence as a file has it: the lines of its words, the words and the tags.
struct Raw {
    name: String,
    lines: Vec<usize>,
    words: Vec<String>,
    tags: Vec<String>,
    document: Option<usize>,
    split: Split,
}

/// Reads a file of tagged words, or a folder with `train.conll` and, held out, `dev.conll` and `test.conll`.
///
/// # Errors
/// [`Error::Data`] where a line has no tag, or tags are of no known scheme: with the file and the line.
pub(crate) fn open_tagged(path: &Path) -> Result<(TaggedSet, Vec<Finding>)> {
    let (parts, mut findings) = read_parts(path, &ENDINGS)?;
    let mut raws = Vec::new();
    let mut documents = 0;
    for part in &parts {
        read_part(path, part, &mut raws, &mut documents)?;
    }
    if raws.is_empty() {
        let problem = Problem::new("there is no tagged word").expected("a word and its tag a line").at(path);
        return Err(Error::Data(problem));
    }
    let scheme = scheme_of(&raws);
    let mut types: Vec<String> =
        raws.iter().flat_map(|raw| &raw.tags).filter_map(|tag| Some(tag.split_once('-')?.1.to_owned())).collect();
    types.sort_unstable();
    types.dedup();
    let mut broken = Vec::new();
    let sentences: Vec<TaggedSentence> = raws
        .into_iter()
        .enumerate()
        .map(|(at, raw)| {
            let spans = spans_in(&raw, scheme, &types, &mut broken);
            // A sentence of no document is one of its own, after those that have names.
            let document = raw.document.unwrap_or(documents + at);
            TaggedSentence { name: raw.name, words: raw.words, spans, document, split: raw.split }
        })
        .collect();
    if !broken.is_empty() {
        let message = format!(
            "{} tags go on with a span that did not begin: each was read as its beginning, as conlleval does",
            broken.len()
        );
        findings.push(Finding::new(FindingKind::BrokenSequence, Severity::Warning, message, broken));
    }
    Ok((TaggedSet { root: path.to_owned(), types, sentences, scheme }, findings))
}

/// The words of plain tagged or untagged lines, for answering: the first column of each line, sentences apart by empty
/// lines.
pub fn words_of_lines(text: &str) -> Vec<Vec<String>> {
    let mut sentences: Vec<Vec<String>> = vec![Vec::new()];
    for line in text.lines() {
        let columns = columns(line);
        let words = sentences.last_mut().expect("there is one");
        match columns.first() {
            None | Some(&"-DOCSTART-") => sentences.push(Vec::new()),
            // A remark before a sentence.
            Some(word)
                if words.is_empty()
                    && word.starts_with('#')
                    && columns.len() > 1
                    && !is_tag(columns[columns.len() - 1]) => {}
            Some(word) => words.push((*word).to_owned()),
        }
    }
    sentences.retain(|words| !words.is_empty());
    sentences
}

fn columns(line: &str) -> Vec<&str> {
    let line = line.trim_end_matches(['\r', '\n']);
    match line.contains('\t') {
        true => line.split('\t').map(str::trim).filter(|column| !column.is_empty()).collect(),
        false => line.split_whitespace().collect(),
    }
}

/// Whether a column is a tag of any scheme.
fn is_tag(column: &str) -> bool {
    column == "O" || column.split_once('-').is_some_and(|(prefix, kind)| is_prefix(prefix) && !kind.is_empty())
}

fn is_prefix(prefix: &str) -> bool {
    matches!(prefix, "B" | "I" | "E" | "S" | "L" | "U")
}

fn read_part(root: &Path, part: &Part, raws: &mut Vec<Raw>, documents: &mut usize) -> Result<()> {
    let mut document = None;
    let mut fresh = true;
    for (number, line) in part.text.lines().enumerate() {
        let columns = columns(line);
        let Some(&word) = columns.first() else {
            fresh = true;
            continue;
        };
        if word == "-DOCSTART-" {
            document = Some(*documents);
            *documents += 1;
            fresh = true;
            continue;
        }
        let tag = columns[columns.len() - 1];
        if columns.len() < 2 || !is_tag(tag) {
            if fresh && word.starts_with('#') {
                continue;
            }
            let problem = Problem::new("a line has no tag").found(format!("`{}`", line.trim_end()));
            let expected = "a word and its tag (O, B-PER, I-PER, ..), apart by a tab or spaces";
            return Err(Error::Data(problem.expected(expected).at(format!(
                "{}, {}, line {}",
                shown(root),
                part.name,
                number + 1
            ))));
        }
        if fresh {
            let name = format!("{} line {}", part.name, number + 1);
            raws.push(Raw {
                name,
                lines: Vec::new(),
                words: Vec::new(),
                tags: Vec::new(),
                document,
                split: part.split,
            });
            fresh = false;
        }
        let raw = raws.last_mut().expect("a sentence has begun");
        raw.lines.push(number + 1);
        raw.words.push(word.to_owned());
        raw.tags.push(tag.to_owned());
    }
    Ok(())
}

fn scheme_of(raws: &[Raw]) -> Scheme {
    let prefixes: BTreeSet<&str> =
        raws.iter().flat_map(|raw| &raw.tags).filter_map(|tag| Some(tag.split_once('-')?.0)).collect();
    if prefixes.contains("L") || prefixes.contains("U") {
        return Scheme::Bilou;
    }
    if prefixes.contains("E") || prefixes.contains("S") {
        return Scheme::Bioes;
    }
    // What each scheme would never write: a span that begins with I-, or a B- where nothing has to be kept apart.
    let (mut iob1, mut bio) = (0, 0);
    for raw in raws {
        let mut before = "";
        for tag in &raw.tags {
            let (prefix, kind) = tag.split_once('-').unwrap_or(("O", ""));
            iob1 += usize::from(prefix == "I" && before != kind);
            bio += usize::from(prefix == "B" && before != kind);
            before = kind;
        }
    }
    if iob1 > bio { Scheme::Iob1 } else { Scheme::Bio }
}

/// The spans of a sentence; the lines of tags that its scheme would not write are added to `broken`.
fn spans_in(raw: &Raw, scheme: Scheme, types: &[String], broken: &mut Vec<String>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    // The type of the span that may go on at the next word.
    let mut open: Option<usize> = None;
    for (at, tag) in raw.tags.iter().enumerate() {
        let Some((prefix, name)) = tag.split_once('-') else {
            open = None;
            continue;
        };
        let kind = types.partition_point(|known| known.as_str() < name);
        let goes_on = open == Some(kind) && matches!(prefix, "I" | "E" | "L");
        match goes_on {
            true => spans.last_mut().expect("one is open").end = at + 1,
            false => {
                let begins = matches!(prefix, "B" | "S" | "U") || (scheme == Scheme::Iob1 && prefix == "I");
                if !begins {
                    broken.push(format!("{} (line {}, {tag})", raw.name, raw.lines[at]));
                }
                spans.push(Span { kind, start: at, end: at + 1 });
            }
        }
        open = (!matches!(prefix, "E" | "S" | "L" | "U")).then_some(kind);
    }
    spans
}

/// Looks at tagged sentences as a whole: sentences in two splits or tagged in two ways, types with few spans. Groups are
/// documents, where the files have several of more than a sentence, and equal sentences elsewhere.
pub(crate) fn audit_tagged(set: &TaggedSet, mut findings: Vec<Finding>) -> Audit {
    let mut first: BTreeMap<&[String], usize> = BTreeMap::new();
    let mut groups: Vec<usize> = Vec::with_capacity(set.sentences.len());
    let (mut leaks, mut conflicts, mut excluded) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    set.sentences.iter().for_each(|sentence| *lengths.entry(sentence.document).or_default() += 1);
    // A sentence that stands alone is a document of its own, which keeps nothing together.
    let several = lengths.values().filter(|sentences| **sentences > 1).count() >= SEVERAL;
    let mut of_document: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, sentence) in set.sentences.iter().enumerate() {
        let &mut same = first.entry(&sentence.words).or_insert(at);
        let document = *of_document.entry(sentence.document).or_insert(at);
        let of_its_document = several && lengths[&sentence.document] > 1;
        groups.push(if of_its_document { document } else { groups.get(same).copied().unwrap_or(at) });
        let other = &set.sentences[same];
        if other.spans != sentence.spans {
            conflicts.extend([other.name.clone(), sentence.name.clone()]);
        }
        // One word alone says nothing, and stands in every split.
        if sentence.words.len() > 3 && other.split != sentence.split {
            let (less, more) = if other.split < sentence.split { (same, at) } else { (at, same) };
            if excluded.insert(less) {
                leaks.extend([set.sentences[less].name.clone(), set.sentences[more].name.clone()]);
            }
        }
    }
    for (pairs, kind, severity, words) in [
        (
            leaks,
            FindingKind::Leak,
            Severity::Serious,
            "sentences stand in two splits, and were left out of the one that matters less",
        ),
        (conflicts, FindingKind::LabelConflict, Severity::Warning, "pairs of equal sentences are tagged differently"),
    ] {
        if !pairs.is_empty() {
            findings.push(Finding::new(kind, severity, format!("{} {words}", pairs.len() / 2), pairs));
        }
    }
    let message = format!("the tags are written in {}, and read as BIO", set.scheme.name());
    findings.push(Finding::new(FindingKind::TagScheme, Severity::Info, message, Vec::new()));
    let spans_of = |kind: usize, split: Option<Split>| {
        let counts = set.sentences.iter().enumerate().filter(|(at, sentence)| match split {
            Some(split) => sentence.split == split && !excluded.contains(at),
            None => excluded.contains(at),
        });
        counts.map(|(_, sentence)| sentence.spans.iter().filter(|span| span.kind == kind).count()).sum::<usize>()
    };
    let count = |(kind, name): (usize, &String)| {
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|split| spans_of(kind, Some(split)));
        ClassCount { class: name.clone(), train, val, test, excluded: spans_of(kind, None) }
    };
    let classes: Vec<ClassCount> = set.types.iter().enumerate().map(count).collect();
    for class in classes.iter().filter(|class| class.train < FEW_SPANS) {
        let (kind, severity) = match class.train {
            0 => (FindingKind::NoTraining, Severity::Serious),
            _ => (FindingKind::SmallClass, Severity::Warning),
        };
        let message = format!("{} spans of the type {} to train on", class.train, class.class);
        findings.push(Finding::new(kind, severity, message, Vec::new()));
    }
    let train = set.of(Split::Train).len();
    if train < FEW {
        let message = format!("only {train} sentences to train on: every number here is vague");
        findings.push(Finding::new(FindingKind::FewExamples, Severity::Warning, message, Vec::new()));
    }
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    Audit { findings, groups, examples: set.sentences.len(), classes, excluded, grouped: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<(TaggedSet, Vec<Finding>)> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.conll");
        std::fs::write(&path, text).unwrap();
        open_tagged(&path)
    }

    fn column(tags: &str) -> String {
        tags.split(' ').map(|tag| if tag == "|" { "\n".to_owned() } else { format!("w NN {tag}\n") }).collect()
    }

    #[test]
    fn every_scheme_means_the_same_spans() {
        let expected = [
            Span { kind: 1, start: 0, end: 2 },
            Span { kind: 1, start: 2, end: 3 },
            Span { kind: 0, start: 4, end: 5 },
        ];
        for (tags, scheme) in [
            ("B-PER I-PER B-PER O B-LOC", Scheme::Bio),
            ("I-PER I-PER B-PER O I-LOC", Scheme::Iob1),
            ("B-PER E-PER S-PER O S-LOC", Scheme::Bioes),
            ("B-PER L-PER U-PER O U-LOC", Scheme::Bilou),
        ] {
            let (set, findings) = read(&column(tags)).unwrap();
            assert_eq!((set.scheme, set.sentences[0].spans.as_slice()), (scheme, expected.as_slice()), "{tags}");
            assert_eq!((set.types.join(","), findings.len()), ("LOC,PER".into(), 0));
        }
    }

    #[test]
    fn broken_sequences_are_told_with_their_lines() {
        let (set, findings) = read(&column("B-X O I-X | B-X I-Y | B-X B-X")).unwrap();
        assert_eq!(set.scheme, Scheme::Bio);
        let spans: Vec<usize> = set.sentences.iter().map(|sentence| sentence.spans.len()).collect();
        assert_eq!(spans, [2, 2, 2]);
        assert_eq!(findings[0].kind, FindingKind::BrokenSequence);
        assert_eq!(findings[0].files, ["a.conll line 1 (line 3, I-X)", "a.conll line 5 (line 6, I-Y)"]);
    }

    #[test]
    fn documents_comments_and_tabs_are_read() {
        let text = "-DOCSTART- -X- O O\n\n# sent 1\nNew York\tB-LOC\r\n# \tO\n\nx O\n\n\n-DOCSTART- -X- O O\ny O\n";
        let (set, _) = read(text).unwrap();
        let seen: Vec<_> = set.sentences.iter().map(|s| (s.words.join("|"), s.document)).collect();
        assert_eq!(seen, [("New York|#".into(), 0), ("x".into(), 0), ("y".into(), 1)]);
        assert_eq!(
            words_of_lines(text),
            [vec!["New York", "#"], vec!["x"], vec!["y"]]
                .map(|w| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        );
    }

    #[test]
    fn lines_without_a_tag_are_refused_with_their_place() {
        for (text, part) in [("a B-X\nb\n", "line 2"), ("a NN\n", "`a NN`"), ("\n\n", "no tagged word")] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, Error::Data(_)) && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn equal_sentences_share_a_fold_and_leave_training_where_they_are_held_out() {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(temp.path().join(name), text).unwrap();
        write("train.conll", "a O\nb O\nc O\nd B-X\n\na O\nb O\nc O\nd O\n\ne B-X\n");
        write("test.conll", "a O\nb O\nc O\nd B-X\n");
        let (set, findings) = open_tagged(temp.path()).unwrap();
        let audit = audit_tagged(&set, findings);
        let kinds: BTreeSet<FindingKind> = audit.findings.iter().map(|finding| finding.kind).collect();
        assert!(kinds.contains(&FindingKind::Leak) && kinds.contains(&FindingKind::LabelConflict), "{kinds:?}");
        assert!(audit.excluded.iter().all(|&at| set.sentences[at].split == Split::Train) && !audit.excluded.is_empty());
        // Files are read in the order of their names: test first.
        assert_eq!(audit.groups, [0, 0, 0, 3]);
    }

    #[test]
    fn sentences_of_no_document_are_grouped_by_what_they_say() {
        let text: String = (0..30).map(|at| format!("word{} O\nthen B-X\n\n", at % 12)).collect();
        let (set, findings) = read(&text).unwrap();
        let audit = audit_tagged(&set, findings);
        assert!((0..30).all(|at| audit.groups[at] == at % 12), "{:?}", audit.groups);
        let text: String =
            (0..24).map(|at| format!("{}same O\n\n", if at % 2 == 0 { "-DOCSTART- O\n\n" } else { "" })).collect();
        let (set, findings) = read(&text).unwrap();
        let audit = audit_tagged(&set, findings);
        assert!((0..24).all(|at| audit.groups[at] == at / 2 * 2), "{:?}", audit.groups);
    }

    proptest! {
        #[test]
        fn tags_and_spans_go_there_and_back(tags in proptest::collection::vec(0..7_usize, 0..20)) {
            let spans = spans_of_tags(&tags);
            let again = tags_of(&spans, tags.len());
            prop_assert_eq!(spans_of_tags(&again), spans);
            let outside = |tags: &[usize]| tags.iter().map(|tag| *tag == 0).collect::<Vec<_>>();
            prop_assert_eq!(outside(&tags), outside(&again));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-cBIOES \t\n#-]{0,60}") {
            let _ = read(&text);
        }
    }
}
