//! Data to work on: opened, inspected, audited, and refused where it cannot be worked on. One shape for every input.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::audit::{Audit, audit};
use super::image::Limits;
use super::inspect::{Inspection, InspectionStore, inspect_all};
use super::task::SEPARATOR;
use super::text::conll::{TaggedSet, audit_tagged, open_tagged};
use super::text::squad::{QuestionSet, audit_questions, open_questions};
use super::text::{Text, TextReading, TextSource, audit_texts, is_text, open_texts};
use super::unite::unite_copies;
use super::vectors::{VectorReading, VectorSet, audit_vectors, is_vectors, open_vectors};
use super::{
    Dataset, Grouping, ImageSource, Inferred, Reading, Split, Targets, Task, bit_depth, is_image_table, lone_classes,
    open_as,
};
use crate::error::{Error, Problem, Result, printable};
use crate::progress::Observer;
use crate::settings::{BitDepth, Fit};

/// Fewer usable training images than this, and a number cannot be learnt and measured.
const LEAST_VALUES: usize = 10;

/// A labelled data set with everything that is known of it before any training.
#[derive(Debug)]
pub struct Intake {
    /// The examples.
    pub(crate) dataset: Dataset,
    /// What is wrong with them.
    pub audit: Audit,
    /// SHA-256 of every example's bytes; empty where they cannot be read.
    pub(crate) digests: Vec<String>,
    /// What is to be learnt, and why that.
    pub inferred: Inferred,
    /// The examples themselves.
    pub(crate) content: Content,
    /// Bits that images of 16 bits a channel are read by, where those are fewer than all.
    pub(crate) bit_depth: Option<u8>,
}

/// What examples are, by the kind of input.
#[derive(Debug)]
pub(crate) enum Content {
    /// Images, read from their files when they are wanted; what was seen of every file.
    Images(Vec<Inspection>),
    /// Texts.
    Texts(TextInput),
    /// Rows of a table or an array.
    Vectors(Box<VectorSet>),
    /// Sentences whose words are tagged, and each as a text.
    Words(Arc<TaggedSet>, Vec<Text>),
    /// Questions about paragraphs, and each with its paragraph as a pair of texts.
    Questions(Arc<QuestionSet>, Vec<Text>),
}

/// The kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Image files.
    Images,
    /// Texts, or pairs of texts.
    Texts,
    /// Rows of numbers and categories, or of features.
    Vectors,
    /// Sentences whose words are tagged.
    Words,
    /// Questions about paragraphs.
    Questions,
}

/// The base that rows of a table have: none.
pub const NO_BASE: &str = "none";

/// What examples are where they are texts.
#[derive(Debug, Clone)]
pub struct TextInput {
    /// The text of every example.
    pub(crate) texts: Vec<Text>,
    /// How they were read.
    pub(crate) source: TextSource,
}

impl InputKind {
    /// What the data of a fit is; a table may be read for it, so once is enough. Tagged words or questions where the task says
    /// so, texts where a column of texts is named, images where one of paths is, rows where no base is asked for; else what
    /// it looks like.
    pub fn of(config: &Fit) -> Self {
        match config {
            Fit { task: Some(task), .. } if task == Task::Tags.name() => Self::Words,
            Fit { task: Some(task), .. } if task == Task::Answers.name() => Self::Questions,
            Fit { text: Some(_), .. } => Self::Texts,
            Fit { path_column: Some(_), .. } => Self::Images,
            _ if config.base != NO_BASE && is_image_table(&config.data) => Self::Images,
            _ if config.base == NO_BASE || is_vectors(&config.data, &VectorReading::of(config)) => Self::Vectors,
            _ if is_text(&config.data) => Self::Texts,
            _ => Self::Images,
        }
    }

    /// What examples are called: `images`, `texts`, `rows`, `sentences` or `questions`.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Texts => "texts",
            Self::Vectors => "rows",
            Self::Words => "sentences",
            Self::Questions => "questions",
        }
    }

    /// Whether its base is one of texts.
    pub fn is_of_texts(self) -> bool {
        matches!(self, Self::Texts | Self::Words | Self::Questions)
    }

    /// Whether a head looks at each token, rather than at an example as a whole.
    pub fn is_of_tokens(self) -> bool {
        matches!(self, Self::Words | Self::Questions)
    }
}

impl VectorReading {
    /// As the settings of a fit tell; an unknown task and invalid groups are told elsewhere.
    fn of(config: &Fit) -> Self {
        Self {
            label: config.label_column.clone(),
            task: config.task.as_deref().and_then(|task| task.parse().ok()),
            ignore: config.ignore_columns.clone(),
            labels: config.labels.clone(),
            grouping: Grouping::new(config.group_column.as_deref(), config.group_by.as_deref()).unwrap_or_default(),
            encoding: config.encoding.clone(),
            merge_classes: config.merge_classes,
            ..Self::default()
        }
    }
}

/// How the texts of a fit are to be read.
///
/// # Errors
/// [`Error::Usage`] for a task that does not exist.
pub(crate) fn text_reading(config: &Fit) -> Result<TextReading> {
    let text = config.text.as_deref().map(|text| text.split(',').map(|name| name.trim().to_owned()).collect());
    let task = config.task.as_deref().map(str::parse).transpose()?;
    Ok(TextReading {
        text: text.unwrap_or_default(),
        label: config.label_column.clone(),
        task,
        grouping: Grouping::new(config.group_column.as_deref(), config.group_by.as_deref())?,
        encoding: config.encoding.clone(),
        merge_classes: config.merge_classes,
    })
}

impl Intake {
    /// Opens, inspects and audits `path` as images of one class each, of which some may belong together.
    pub fn read(path: &Path, grouping: Grouping, store: &dyn InspectionStore, observer: &dyn Observer) -> Result<Self> {
        let reading = Reading { task: Some(Task::SingleLabel), grouping, ..Reading::default() };
        let intake = Self::read_as(path, &reading, &Limits::default(), store, observer)?;
        let classes = &intake.dataset.classes;
        let several = classes.iter().find(|class| class.contains(SEPARATOR));
        let parts: BTreeSet<&str> = classes.iter().flat_map(|class| class.split(SEPARATOR)).collect();
        match several {
            // More names than parts of names: they are sets of labels.
            Some(several) if parts.len() <= classes.len() => {
                let problem = Problem::new("images have several labels, and one class of each is learnt here");
                let problem = problem.expected("one class for each image").found(format!("`{several}`"));
                Err(Error::Data(problem.at(path)))
            }
            _ => Ok(intake),
        }
    }

    /// Opens, inspects and audits `path` for any task. In multi-label, files with the same bytes in the folders of several
    /// labels become one image that has them all.
    pub(crate) fn read_as(
        path: &Path,
        reading: &Reading,
        limits: &Limits,
        store: &dyn InspectionStore,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let opened = open_as(path, reading)?;
        let (mut dataset, mut findings) = (opened.dataset, opened.findings);
        let mut inspections = inspect_all(&dataset, limits, store, observer)?;
        if path.is_dir() {
            findings.extend(unite_copies(&mut dataset, &mut inspections));
        }
        let asked = reading.bit_depth.unwrap_or(BitDepth::Auto);
        let (bit_depth, finding) = bit_depth::settle(&dataset, &mut inspections, asked, limits, observer)?;
        findings.extend(finding);
        let mut audit = audit(&dataset, &inspections, findings);
        lone_classes::leave_out(&mut dataset, &mut audit, InputKind::Images.unit());
        let digests = inspections.iter().map(|inspection| inspection.sha256.clone()).collect();
        let (inferred, content) = (opened.inferred, Content::Images(inspections));
        Ok(Self { dataset, audit, digests, inferred, content, bit_depth })
    }

    /// Opens and audits `path` as labelled texts; what was found out about its form is told.
    ///
    /// # Errors
    /// [`Error::Data`] where the file or folder holds no labelled texts.
    pub(crate) fn read_texts(path: &Path, reading: &TextReading, observer: &dyn Observer) -> Result<Self> {
        let (opened, findings) = open_texts(path, reading, observer)?;
        for remark in &opened.source.remarks {
            observer.say(remark);
        }
        observer.check()?;
        let mut audit = audit_texts(&opened, findings);
        let digests = opened.digests();
        let (mut dataset, texts, source, inferred) = opened.into_parts();
        lone_classes::leave_out(&mut dataset, &mut audit, InputKind::Texts.unit());
        let content = Content::Texts(TextInput { texts, source });
        Ok(Self { dataset, audit, digests, inferred, content, bit_depth: None })
    }

    /// Opens and audits `path` as labelled rows; what was found out about its form is told, and columns that teach nothing
    /// are taken out.
    ///
    /// # Errors
    /// [`Error::Data`] where there are no labelled rows (see [`open_vectors`]).
    pub(crate) fn read_vectors(path: &Path, reading: &VectorReading, observer: &dyn Observer) -> Result<Self> {
        let (set, findings) = open_vectors(path, reading, observer)?;
        set.source.remarks.iter().for_each(|remark| observer.say(remark));
        let inferred = set.source.inferred.clone().expect("labels were asked for");
        let (set, mut audit) = audit_vectors(set, findings);
        let (mut dataset, digests) = (set.labelled(), set.digests());
        lone_classes::leave_out(&mut dataset, &mut audit, InputKind::Vectors.unit());
        Ok(Self { dataset, audit, digests, inferred, content: Content::Vectors(Box::new(set)), bit_depth: None })
    }

    /// Opens what a fit is about, of the kind that [`InputKind::of`] found.
    ///
    /// # Errors
    /// As `Intake::read_as`, `Intake::read_texts`, `Intake::read_vectors`, `open_tagged` and `open_questions`.
    pub fn open(config: &Fit, kind: InputKind, store: &dyn InspectionStore, observer: &dyn Observer) -> Result<Self> {
        // A task that there is not is told before anything is read.
        let reading = Reading::of(config)?;
        match kind {
            InputKind::Texts => Self::read_texts(&config.data, &text_reading(config)?, observer),
            InputKind::Vectors => Self::read_vectors(&config.data, &VectorReading::of(config), observer),
            InputKind::Images => Self::read_as(&config.data, &reading, &Limits::default(), store, observer),
            InputKind::Words => {
                reading.grouping.refuse("tagged words", "sentences of one document")?;
                let (set, findings) = open_tagged(&config.data)?;
                let (audit, digests, texts) = (audit_tagged(&set, findings), set.digests(), set.texts());
                let dataset = set.labelled();
                let inferred = Inferred { task: Task::Tags, reason: "it was asked for".into() };
                let content = Content::Words(Arc::new(set), texts);
                Ok(Self { dataset, audit, digests, inferred, content, bit_depth: None })
            }
            InputKind::Questions => {
                reading.grouping.refuse("questions", "questions about one paragraph")?;
                let (set, findings) = open_questions(&config.data)?;
                let (audit, digests, texts) = (audit_questions(&set, findings), set.digests(), set.texts());
                let dataset = set.labelled();
                let inferred = Inferred { task: Task::Answers, reason: "it was asked for".into() };
                let content = Content::Questions(Arc::new(set), texts);
                Ok(Self { dataset, audit, digests, inferred, content, bit_depth: None })
            }
        }
    }

    /// What the examples are.
    pub(crate) fn kind(&self) -> InputKind {
        match self.content {
            Content::Images(_) => InputKind::Images,
            Content::Texts(_) => InputKind::Texts,
            Content::Vectors(_) => InputKind::Vectors,
            Content::Words(..) => InputKind::Words,
            Content::Questions(..) => InputKind::Questions,
        }
    }

    /// What the examples are called, as [`InputKind::unit`] has it.
    pub(crate) fn unit(&self) -> &'static str {
        self.kind().unit()
    }

    /// What was seen of every example's file; nothing where they are not images.
    pub(crate) fn inspections(&self) -> &[Inspection] {
        if let Content::Images(inspections) = &self.content { inspections } else { &[] }
    }

    /// The texts and how they were read, where the examples are texts.
    pub(crate) fn texts(&self) -> Option<&TextInput> {
        if let Content::Texts(input) = &self.content { Some(input) } else { None }
    }

    /// The rows, where the examples are rows.
    pub(crate) fn vectors(&self) -> Option<&VectorSet> {
        if let Content::Vectors(set) = &self.content { Some(set) } else { None }
    }

    /// Texts of examples, tagged words and questions among them; nothing where they are no texts.
    pub(crate) fn texts_of(&self, which: &[usize]) -> Vec<&Text> {
        match &self.content {
            Content::Texts(TextInput { texts, .. }) | Content::Words(_, texts) | Content::Questions(_, texts) => {
                which.iter().map(|&index| &texts[index]).collect()
            }
            Content::Images(_) | Content::Vectors(_) => Vec::new(),
        }
    }

    /// SHA-256 of the contents of examples.
    pub(crate) fn digests_of(&self, which: &[usize]) -> Vec<String> {
        which.iter().map(|&index| self.digests[index].clone()).collect()
    }

    /// Refuses data that nothing can be learnt from, and with `strict` data with any finding worse than information.
    pub fn require_usable(&self, strict: bool) -> Result<()> {
        let place = &self.dataset.root;
        self.audit.accept(strict, place)?;
        let train = self.usable(Split::Train);
        self.require_groups(&train)?;
        let mut counts = vec![0usize; self.dataset.classes.len()];
        match &self.dataset.targets {
            Targets::Classes => train.iter().for_each(|&index| counts[self.dataset.examples[index].label] += 1),
            Targets::Labels(sets) => {
                for &index in &train {
                    counts.iter_mut().zip(&sets[index]).for_each(|(count, &has)| *count += usize::from(has));
                }
            }
            Targets::Values(values) => {
                let different = train.iter().any(|&index| values[index] != values[train[0]]);
                if train.len() < LEAST_VALUES || !different {
                    let unit = self.unit();
                    let problem = Problem::new(format_args!("too few usable {unit} to learn a number from"))
                        .expected(format!("at least {LEAST_VALUES} usable training {unit} with different numbers"));
                    let excluded = self.audit.excluded.len();
                    let found = format!("{}; {excluded} {unit} are excluded by the audit", train.len());
                    return Err(Error::Data(problem.found(found).at(place)));
                }
            }
            Targets::Tags(spans) => {
                let tagged = train.iter().any(|&index| !spans[index].is_empty());
                return self.require_learnable(tagged, "there is no span to learn from", "tags such as B-PER");
            }
            Targets::Answers(golds) => {
                let answered = train.iter().any(|&index| !golds[index].is_empty());
                let what = "there is no question with an answer to learn from";
                return self.require_learnable(answered, what, "answers that stand in the paragraphs");
            }
        }
        let few: Vec<String> = self
            .dataset
            .classes
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count < 2)
            .map(|(class, count)| format!("{class} has {count}"))
            .collect();
        // Rare labels beside learnable ones are usual in multi-label: the audit tells them, and they are never answered.
        let refused = match self.dataset.task() {
            Task::MultiLabel => few.len() == counts.len(),
            Task::SingleLabel => counts.len() < 2 || !few.is_empty(),
            Task::Regression | Task::Tags | Task::Answers => false,
        };
        if refused {
            let (excluded, unit) = (self.audit.excluded.len(), self.unit());
            let found = if few.is_empty() { format!("{} class", counts.len()) } else { few.join(", ") };
            let (one, usually) = match self.kind() {
                InputKind::Images => ("file", 20),
                InputKind::Texts => ("text", 8),
                InputKind::Vectors => ("row", 20),
                InputKind::Words | InputKind::Questions => ("sentence", 50),
            };
            return Err(Error::Data(
                Problem::new(format_args!("too few usable {unit} to learn a class from"))
                    .expected(format!(
                        "at least 2 usable training {unit} in every class, better {usually}, and two classes"
                    ))
                    .found(format_args!("{found}; {excluded} {unit} are excluded by the audit{}", self.why_excluded()))
                    .at(place)
                    .hint(format_args!("`engraft audit` names every excluded {one} and why")),
            ));
        }
        Ok(())
    }

    /// Refuses examples that all belong together, where groups are asked for.
    fn require_groups(&self, train: &[usize]) -> Result<()> {
        let Some(grouped) = &self.audit.grouped else { return Ok(()) };
        let different: BTreeSet<usize> = train.iter().map(|&index| self.audit.groups[index]).collect();
        if train.is_empty() || different.len() > 1 {
            return Ok(());
        }
        let problem = Problem::new(format_args!("all usable training {} are of one group", self.unit()))
            .expected("at least two groups, since no group is both learnt from and held out")
            .found(format!(
                "{} of group `{}`",
                train.len(),
                self.dataset.examples[train[0]].group.as_deref().unwrap_or("")
            ))
            .at(format!("{}, {}", printable(&self.dataset.root), grouped.by));
        Err(Error::Data(problem.hint("take another column or expression, or leave the flag out")))
    }

    /// Why examples are left out, in words: the findings that leave files out.
    fn why_excluded(&self) -> String {
        use super::FindingKind::{Damaged, NotAnImage, TooLarge, Unreadable, Unsupported};
        let of_files = [Unreadable, NotAnImage, Damaged, TooLarge, Unsupported];
        let found = self.audit.findings.iter().filter(|finding| of_files.contains(&finding.kind));
        found.map(|finding| format!("; {}", finding.message)).collect()
    }

    /// Refuses tagged words or questions of which nothing can be learnt, or held out.
    fn require_learnable(&self, is_learnable: bool, what: &str, expected: &str) -> Result<()> {
        let (place, unit, train) = (&self.dataset.root, self.unit(), self.usable(Split::Train));
        if !is_learnable {
            let problem = Problem::new(what).expected(expected).found(format!("{} training {unit}", train.len()));
            return Err(Error::Data(problem.at(place)));
        }
        let groups: BTreeSet<usize> = train.iter().map(|&index| self.audit.groups[index]).collect();
        if groups.len() < 2 {
            let what = "there is too little to hold anything out";
            let problem = Problem::new(what).expected("two paragraphs, documents or different sentences at least");
            return Err(Error::Data(problem.found(groups.len()).at(place)));
        }
        Ok(())
    }

    /// Indices of the examples of a split that may be used.
    pub(crate) fn usable(&self, split: Split) -> Vec<usize> {
        self.audit.usable(&self.dataset, split)
    }

    /// Sources and digests of examples, for feature extraction.
    pub(crate) fn images(&self, which: &[usize]) -> Vec<(ImageSource, String)> {
        let image = |&index: &usize| (self.dataset.examples[index].source.clone(), self.digests[index].clone());
        which.iter().map(image).collect()
    }

    /// Labels of examples.
    pub(crate) fn labels(&self, which: &[usize]) -> Vec<usize> {
        which.iter().map(|&index| self.dataset.examples[index].label).collect()
    }

    /// Sets of labels of examples, `[examples, labels]`; nothing in other tasks.
    pub(crate) fn label_sets(&self, which: &[usize]) -> Vec<bool> {
        match &self.dataset.targets {
            Targets::Labels(sets) => which.iter().flat_map(|&index| sets[index].iter().copied()).collect(),
            _ => Vec::new(),
        }
    }

    /// Numbers of examples; nothing in other tasks than regression.
    pub(crate) fn values(&self, which: &[usize]) -> Vec<f64> {
        match &self.dataset.targets {
            Targets::Values(values) => which.iter().map(|&index| values[index]).collect(),
            _ => Vec::new(),
        }
    }

    /// SHA-256 over the names, labels, splits and contents of all examples: equal data, equal fingerprint.
    pub(crate) fn fingerprint(&self) -> String {
        self.dataset.fingerprint(&self.digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::inspect::NoStore;
    use crate::progress::Silent;
    use rand::RngExt;

    /// A patchwork of its own for every seed.
    fn image(path: &Path, seed: u64) {
        let mut stream = crate::rng::rng(seed, "picture", 0);
        let patches = image::RgbImage::from_fn(8, 8, |_, _| image::Rgb(stream.random()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::imageops::resize(&patches, 32, 32, image::imageops::FilterType::Triangle).save(path).unwrap();
    }

    fn read(path: &Path, task: Option<Task>) -> Result<Intake> {
        let reading = Reading { task, ..Reading::default() };
        Intake::read_as(path, &reading, &Limits::default(), &NoStore, &Silent)
    }

    #[test]
    fn tables_of_numbers_and_of_label_sets_are_taken_in() {
        let temp = tempfile::tempdir().unwrap();
        let (mut numbers, mut sets) = ("path,label\n".to_owned(), "path,label\n".to_owned());
        for i in 0..14 {
            image(&temp.path().join(format!("{i:02}.png")), i);
            numbers += &format!("{i:02}.png,{}\n", if i == 5 { "NA".into() } else { format!("{i}.5") });
            sets += &format!("{i:02}.png,{}\n", ["a|b", "a", ""][i as usize % 3]);
        }
        let table = temp.path().join("numbers.csv");
        std::fs::write(&table, numbers).unwrap();
        let intake = read(&table, None).unwrap();
        assert_eq!(intake.inferred.task, Task::Regression);
        let train = intake.usable(Split::Train);
        assert_eq!((train.len(), intake.values(&train)[0], intake.values(&train)[5]), (13, 0.5, 6.5));
        intake.require_usable(false).unwrap();
        let before = intake.fingerprint();
        std::fs::write(&table, "path,label\n00.png,0.5\n01.png,0.5\n").unwrap();
        let intake = read(&table, Some(Task::Regression)).unwrap();
        assert!(intake.require_usable(false).unwrap_err().to_string().contains("different numbers"));
        assert_ne!(intake.fingerprint(), before);

        std::fs::write(&table, sets).unwrap();
        let intake = read(&table, None).unwrap();
        assert_eq!(
            (intake.inferred.task, intake.dataset.classes.as_slice()),
            (Task::MultiLabel, ["a", "b"].map(String::from).as_slice())
        );
        assert_eq!(intake.label_sets(&[0, 1, 2]), [true, true, true, false, false, false]);
        intake.require_usable(false).unwrap();
    }

    #[test]
    fn one_file_in_two_folders_is_one_image_with_two_labels() {
        let temp = tempfile::tempdir().unwrap();
        for (name, seed) in [("cat/1.png", 1), ("cat/2.png", 2), ("dog/1.png", 1), ("dog/3.png", 3)] {
            image(&temp.path().join(name), seed);
        }
        let intake = read(temp.path(), Some(Task::MultiLabel)).unwrap();
        assert_eq!(intake.label_sets(&intake.usable(Split::Train)), [true, true, true, false, false, true]);
        assert_eq!(intake.digests.len(), 3);
        let intake = read(temp.path(), None).unwrap();
        assert_eq!(
            (intake.inferred.task, intake.usable(Split::Train).len()),
            (Task::SingleLabel, 2),
            "a conflict of labels"
        );
    }
}
