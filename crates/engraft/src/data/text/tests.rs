use super::open::open_texts_within;
use super::*;
use crate::data::{Finding, FindingKind};
use crate::error::Result;
use crate::progress::Silent;
use proptest::prelude::*;

#[path = "parquet_tests.rs"]
mod parquet;
#[path = "stream_tests.rs"]
mod stream;

fn small() -> Limits {
    Limits { record: 1000, total: 1 << 20, page: 4096, chunk: 8192 }
}

/// Reads bytes as a file of a name.
fn open(name: &str, bytes: &[u8], reading: &TextReading) -> Result<(TextDataset, Vec<Finding>)> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    open_texts_within(&path, reading, &small(), &Silent)
}

fn read(name: &str, text: &str) -> (TextDataset, Vec<Finding>) {
    open(name, text.as_bytes(), &TextReading::default()).unwrap()
}

fn refusal(name: &str, bytes: &[u8], reading: &TextReading) -> String {
    open(name, bytes, reading).unwrap_err().to_string()
}

fn asked(text: &[&str], label: Option<&str>) -> TextReading {
    TextReading {
        text: text.iter().map(|&name| name.to_owned()).collect(),
        label: label.map(str::to_owned),
        ..TextReading::default()
    }
}

/// (name, text, class, split) of every example.
fn rows(dataset: &TextDataset) -> Vec<(&str, &str, &str, Split)> {
    let row = |example: &'_ TextExample| dataset.classes[example.label].clone();
    let classes: Vec<&str> = dataset
        .examples
        .iter()
        .map(|example| dataset.classes.iter().find(|class| **class == row(example)).unwrap().as_str())
        .collect();
    dataset
        .examples
        .iter()
        .zip(classes)
        .map(|(example, class)| (example.name.as_str(), example.text.first.as_str(), class, example.split))
        .collect()
}

fn remarks(dataset: &TextDataset) -> String {
    dataset.source.remarks.join("\n")
}

fn found(findings: &[Finding], kind: FindingKind) -> &Finding {
    findings.iter().find(|finding| finding.kind == kind).unwrap_or_else(|| panic!("no {kind:?} in {findings:#?}"))
}

const REVIEWS: &str = "id,review,stars,split\n1,\"Good, really good\nfood\",5,\n2,\"Never \"\"again\"\" here\",1,train\n\
                       3,we waited for an hour,1,Valid\n4,lovely place to be,5,test\n";

#[test]
fn a_csv_is_read_with_quotes_lines_and_splits() {
    let (dataset, findings) = read("t.csv", REVIEWS);
    assert_eq!(
        rows(&dataset),
        [
            ("row 1", "Good, really good\nfood", "5", Split::Train),
            ("row 2", "Never \"again\" here", "1", Split::Train),
            ("row 3", "we waited for an hour", "1", Split::Val),
            ("row 4", "lovely place to be", "5", Split::Test),
        ]
    );
    assert_eq!(findings, []);
    assert_eq!(dataset.source.text_columns, ["review"]);
    assert_eq!(dataset.source.label_column.as_deref(), Some("stars"));
    assert_eq!((dataset.source.format, dataset.source.encoding.as_deref()), (TextFormat::Csv, Some("UTF-8")));
    assert!(remarks(&dataset).contains("the labels are read from the column `stars`, by its name"));
    assert!(
        remarks(&dataset).contains("the text is read from the column `review`: 4.0 words"),
        "{}",
        remarks(&dataset)
    );
    assert_eq!(dataset.of(Split::Train), [0, 1]);
}

#[test]
fn every_delimiter_is_found() {
    for delimiter in [",", ";", "\t", "|"] {
        let other = if delimiter == ";" { "," } else { ";" };
        let text = format!("text{delimiter}label\n\"one{delimiter} two\"{delimiter}a\nthree{other} four{delimiter}b\n");
        let (dataset, _) = read("t.csv", &text);
        assert_eq!(dataset.examples[0].text.first, format!("one{delimiter} two"));
        assert_eq!(dataset.classes, ["a", "b"]);
    }
    let (dataset, _) = read("t.tsv", "label\ttext\na\t1, 2; 3\nb\tx\n");
    assert_eq!((dataset.examples[0].text.first.as_str(), dataset.source.format), ("1, 2; 3", TextFormat::Tsv));
}

#[test]
fn quotes_that_come_in_no_pairs_are_text_where_tabs_separate() {
    let (dataset, _) = read("t.tsv", "text\tlabel\n\"I never said that\tneg\nshe said \"fine\"\tpos\n\tpos\n");
    assert_eq!(dataset.examples[0].text.first, "\"I never said that");
    assert!(remarks(&dataset).contains("quotes are read as part of the text"));
    let (dataset, _) = read("t.tsv", "text\tlabel\n\"a\tb\"\tneg\nx\tpos\n");
    assert_eq!(dataset.examples[0].text.first, "a\tb");
}

#[test]
fn a_table_without_a_header_is_said_and_its_columns_are_numbered() {
    let text = "Wow... Loved this place.\t1\nCrust is not good.\t0\nNot tasty at all.\t0\n";
    for name in ["t.txt", "t.tsv"] {
        let (dataset, _) = read(name, text);
        assert_eq!(rows(&dataset)[0], ("row 1", "Wow... Loved this place.", "1", Split::Train));
        assert!(remarks(&dataset).contains("the columns are called 1 to 2"), "{}", remarks(&dataset));
    }
    // A value that comes back below itself.
    let (dataset, _) = read("t.csv", "ham,see you\nspam,win now\nham,on my way\nham,all right\n");
    assert_eq!(dataset.classes, ["ham", "spam"]);
    // Columns that only count are a header, as are names that are asked for.
    assert_eq!(read("t.csv", "0,1\nsome words here,x\nother words here,y\n").0.examples.len(), 2);
    let dataset = open("t.csv", b"x,y\na,x\nb,x\nc,y\n", &asked(&["x"], Some("y"))).unwrap().0;
    assert_eq!(dataset.classes, ["x", "y"]);
}

#[test]
fn json_lines_are_read_and_nested_values_refused_where_asked_for() {
    let text = "{\"meta\": {\"a\": [1]}, \"text\": \"caf\\u00e9\\nau lait\", \"label\": 1}\n\n\
                {\"label\": 0, \"text\": \"no thanks to that\", \"split\": null, \"other\": [2]}\n";
    let (dataset, _) = read("t.jsonl", text);
    assert_eq!(
        rows(&dataset),
        [("row 1", "café\nau lait", "1", Split::Train), ("row 2", "no thanks to that", "0", Split::Train)]
    );
    let reading = asked(&["meta"], None);
    let problem = refusal("t.jsonl", text.as_bytes(), &reading);
    assert!(problem.contains("the value of `meta` is nested") && problem.contains("line 1"), "{problem}");
    for (text, words) in [
        ("{\"text\": \"a\", \"text\": \"b\", \"label\": \"x\"}\n", "the key `text` twice"),
        ("[[\"text\"], [\"a\"]]", "without the brackets"),
        ("{\n\"text\": \"a\"}", "write every object on one line"),
        ("{\"text\": \"a\", \"label\": 1} x\n", "line 1"),
        ("{\"text\": \"a\", \"label\": 1}\nnot json\n", "line 2"),
        ("\"text\"\n", "not a JSON object"),
        ("{}\n", "no columns"),
        (&format!("{{\"text\": {}1{}}}\n", "[".repeat(400), "]".repeat(400)), "recursion"),
    ] {
        let problem = refusal("t.jsonl", text.as_bytes(), &TextReading::default());
        assert!(problem.contains(words), "{problem}");
    }
}

#[test]
fn rows_that_a_quote_made_one_are_told() {
    let mut lines: Vec<String> =
        (0..40).map(|row| format!("\"the soup number {row} was fine\",{}", ["pos", "neg"][row % 2])).collect();
    let whole = format!("text,label\n{}\n", lines.join("\n"));
    let of = |text: &str| {
        let (dataset, findings) = open("t.csv", text.as_bytes(), &TextReading::default()).unwrap();
        (dataset.examples.len(), findings.into_iter().find(|finding| finding.kind == FindingKind::MergedRows))
    };
    assert_eq!(of(&whole), (40, None));
    lines[17] = "\"the soup number 17 was fine,neg".to_owned();
    let (rows, told) = of(&format!("text,label\n{}\n", lines.join("\n")));
    let told = told.unwrap();
    assert_eq!(
        (rows, told.severity, told.files.as_slice()),
        (39, crate::data::Severity::Warning, ["row 18".to_owned()].as_slice())
    );
    assert!(told.message.contains("row 18, line 19"), "{}", told.message);
    lines[17] = "\"the soup\nof 17, and bread\nwas fine\",neg".to_owned();
    assert_eq!(of(&format!("text,label\n{}\n", lines.join("\n"))), (40, None), "a text of several lines");
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    for end in ["\n", "\r", "\r\n"] {
        let mut lines = vec!["text,label".to_owned()];
        lines.extend((0..40).map(|row| format!("soup {row},{}", row % 2)));
        lines[30].push_str(",more");
        let problem = refusal("t.csv", lines.join(end).as_bytes(), &TextReading::default());
        assert!(problem.contains("line 31"), "{end:?}: {problem}");
    }
}

#[test]
fn lists_are_labels_and_no_texts() {
    let line = |row: usize| {
        let labels = if row.is_multiple_of(3) { "[\"good\", \"long\"]" } else { "[\"bad\"]" };
        format!("{{\"text\": \"a soup of {row}\", \"words\": [\"a\", \"soup\"], \"tags\": {labels}}}\n")
    };
    let text: String = (0..12).map(line).collect();
    let (dataset, _) = open("t.jsonl", text.as_bytes(), &TextReading::default()).unwrap();
    assert_eq!(
        (dataset.inferred.task, dataset.classes),
        (Task::MultiLabel, ["bad", "good", "long"].map(String::from).to_vec())
    );
    let problem = refusal("t.jsonl", text.as_bytes(), &asked(&["words"], Some("tags")));
    assert!(problem.contains("the value of `words` is nested") && problem.contains("a list"), "{problem}");
}

#[test]
fn pairs_are_two_columns() {
    let text = "premise,hypothesis,label\nit rains,it is wet,yes\nthe sun shines,it is night,no\n";
    let dataset = open("t.csv", text.as_bytes(), &asked(&["premise", "Hypothesis"], None)).unwrap().0;
    assert_eq!(dataset.examples[1].text, Text { first: "the sun shines".into(), second: Some("it is night".into()) });
    assert!(remarks(&read("t.csv", text).0).contains("looks like text too and is not read"));
    for reading in
        [asked(&["premise", "premise"], None), asked(&["a", "b", "c"], None), asked(&["label"], Some("label"))]
    {
        open("t.csv", text.as_bytes(), &reading).unwrap_err();
    }
}

#[test]
fn rows_of_other_lengths_are_refused_with_their_line() {
    let problem = refusal("t.csv", b"text,label\na b,x\n\"c\nd\",y\nhello, world,x\n", &TextReading::default());
    for words in ["line 5", "expected: 2 fields", "found: 3 fields", "double quotes"] {
        assert!(problem.contains(words), "{problem}");
    }
    let problem = refusal("t.csv", b"text,label,n\na b,x,1\nc d\n", &TextReading::default());
    assert!(problem.contains("found: 1 field\n") && problem.contains("line 3"), "{problem}");
}

#[test]
fn a_record_over_the_limit_is_refused_before_it_is_read_whole() {
    let long = "x".repeat(300_000);
    for (name, text) in [
        ("t.csv", format!("text,label\na,x\n\"{long}\",y\n")),
        ("t.csv", format!("text,label\na,x\n\"never closed {long}\n{long}")),
        ("t.csv", long.clone()),
        ("t.jsonl", format!("{{\"text\": \"a\", \"label\": 1}}\n{{\"text\": \"{long}\", \"label\": 2}}\n")),
    ] {
        let problem = refusal(name, text.as_bytes(), &TextReading::default());
        assert!(problem.contains("a record is too long") && problem.contains("at most 1000 bytes"), "{problem}");
    }
    let limits = Limits { total: 20, ..small() };
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("t.csv");
    std::fs::write(&path, REVIEWS).unwrap();
    let problem = open_texts_within(&path, &TextReading::default(), &limits, &Silent).unwrap_err().to_string();
    assert!(problem.contains("more text than is read at once"), "{problem}");
}

#[test]
fn broken_utf8_and_zeros_are_told_with_their_rows() {
    let mut text = "text,label\nà é ç,x\nschön \u{fc},y\n".as_bytes().to_vec();
    text.extend(b"bad \xff byte,x\nze\0ro,y\n");
    let (dataset, findings) = open("t.csv", &text, &TextReading::default()).unwrap();
    assert_eq!(dataset.examples[2].text.first, "bad \u{fffd} byte");
    assert_eq!(dataset.examples[3].text.first, "zero");
    let files: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.files.join(" "))).collect();
    assert_eq!(
        files,
        [(FindingKind::BrokenEncoding, "row 3".to_owned()), (FindingKind::BrokenEncoding, "row 4".to_owned())]
    );
    assert!(remarks(&dataset).contains("not UTF-8 became U+FFFD, places: 1 (lines 4)"), "{}", remarks(&dataset));
    // Latin-1 is not a broken UTF-8.
    let (dataset, findings) = open("t.csv", b"text,label\ncaf\xe9,x\ngar\xe7on,y\n", &TextReading::default()).unwrap();
    assert_eq!((dataset.examples[0].text.first.as_str(), findings.len()), ("café", 1));
    assert!(found(&findings, FindingKind::Guessed).message.contains("windows-1252"));
    assert_eq!(dataset.source.encoding.as_deref(), Some("windows-1252"));
}

#[test]
fn labels_that_are_no_classes_are_refused() {
    let table = |label: &dyn Fn(usize) -> String| {
        (0..40).fold("text,label\n".to_owned(), |text, i| text + &format!("some words number {i},{}\n", label(i)))
    };
    for (text, words) in [
        (table(&|i| format!("free text {i}")), "the labels look like free text"),
        (table(&|_| "same".into()), "fewer than two classes"),
        (table(&|_| String::new()), "no row has a label"),
    ] {
        let problem = refusal("t.csv", text.as_bytes(), &TextReading::default());
        assert!(problem.contains(words) && !problem.contains("--label-column"), "{problem}");
    }
    let (numbers, _) = read("t.csv", &table(&|i| format!("{}.5", i * 3)));
    assert_eq!(numbers.targets, Targets::Values((0..40).map(|i| f64::from(i) * 3.0 + 0.5).collect()));
    let (sets, _) = read("t.csv", &table(&|i| if i % 2 == 0 { "a|b".into() } else { "a".into() }));
    assert_eq!(
        (sets.inferred.task, sets.classes.as_slice()),
        (Task::MultiLabel, ["a", "b"].map(String::from).as_slice())
    );
    assert!(matches!(&sets.targets, Targets::Labels(has) if has[0] == [true, true] && has[1] == [true, false]));
    let (dataset, findings) = read("t.csv", "text,label\na b,x\nc d,NA\ne f,y\ng h,\n");
    assert_eq!(
        dataset.examples.iter().map(|example| example.name.as_str()).collect::<Vec<_>>(),
        ["row 1", "row 2", "row 3"]
    );
    assert_eq!(found(&findings, FindingKind::MissingValue).files, ["row 4"]);
    let (dataset, findings) = read("t.csv", "text,label\na b,0.5\nc d,NA\ne f,12.25\ng h,\n");
    assert_eq!((dataset.inferred.task, dataset.examples.len()), (Task::Regression, 2), "NA is no number");
    assert_eq!(found(&findings, FindingKind::MissingValue).files, ["row 4", "row 2"]);
}

#[test]
fn tables_that_are_none_are_refused_in_plain_words() {
    for (name, bytes, words) in [
        ("t.csv", b"".as_slice(), "the table is empty"),
        ("t.csv", b"\n\n", "the table is empty"),
        ("t.csv", b"text,label\n", "no rows"),
        ("t.csv", b"PK\x03\x04zip", "export it as CSV"),
        ("t.csv", b"text,text,label\na b c,d,x\ne,f,y\n", "there 2 times"),
        ("t.csv", b"text,label,split\na b,x,maybe\n", "an unknown split"),
        ("t.csv", b"text,label,split\na b,x,test\nc,y,val\n", "no training data"),
        ("t.csv", b"a,b\n1.5,2.5\n3.5,4.25\n", "no column looks like"),
        ("t.xlsx", b"a", ".xlsx"),
        ("t.parquet", b"PAR1 and no more PAR1", "Parquet file cannot be read"),
        ("t.jsonl", b"\n", "no columns"),
    ] {
        let problem = refusal(name, bytes, &TextReading::default());
        assert!(problem.contains(words), "{name}: {problem}");
    }
    let problem = refusal("t.csv", REVIEWS.as_bytes(), &asked(&["comment"], None));
    assert!(problem.contains("no column `comment`") && problem.contains("`review`"), "{problem}");
    assert!(open_texts(Path::new("/nowhere/at/all.csv"), &TextReading::default(), &Silent).is_err());
}

fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = temp.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    temp
}

#[test]
fn a_folder_of_classes_is_read_with_its_splits() {
    let temp = tree(&[
        ("train/neg/1.txt", b"bad \n"),
        ("train/pos/2", "\u{feff}good".as_bytes()),
        ("train/pos/3.txt", b"caf\xe9"),
        ("train/pos/4.png", b"\x89PNG\r\n\x1a\n\0\0\0\0\0\0\0\x01\x02\x03"),
        ("test/neg/5.txt", b""),
    ]);
    let (dataset, findings) = open_texts_within(temp.path(), &TextReading::default(), &small(), &Silent).unwrap();
    assert_eq!(
        rows(&dataset),
        [
            ("test/neg/5.txt", "", "neg", Split::Test),
            ("train/neg/1.txt", "bad", "neg", Split::Train),
            ("train/pos/2", "good", "pos", Split::Train),
            ("train/pos/3.txt", "café", "pos", Split::Train),
        ]
    );
    assert_eq!(found(&findings, FindingKind::NotText).files, ["train/pos/4.png"]);
    assert!(remarks(&dataset).contains("by how they were read (windows-1252: 1)"));
    assert!(open_texts(temp.path(), &asked(&["text"], None), &Silent).is_err());
    let problem =
        open_texts(tree(&[("a.txt", b"x")]).path(), &TextReading::default(), &Silent).unwrap_err().to_string();
    assert!(problem.contains("no labelled texts") && problem.contains("CLASS/text.txt"), "{problem}");
}

#[test]
fn texts_are_told_from_images() {
    let temp = tree(&[
        ("texts/a/1.txt", b"some words"),
        ("texts/b/2", b"other words"),
        ("images/a/1.jpg", b"\xff\xd8\xff"),
        ("images/a/notes.txt", b"words"),
        ("images.csv", b"Path,label\na.jpg,x\n"),
        ("texts.csv", b"text,label\na,x\n"),
        ("texts.jsonl", b"{}"),
        ("one.jpg", b"\xff\xd8\xff"),
        ("empty/x", b""),
    ]);
    let is_text = |name: &str| is_text(&temp.path().join(name));
    std::fs::create_dir(temp.path().join("stray")).unwrap();
    for at in 0..12 {
        std::fs::write(temp.path().join(format!("stray/{at}.txt")), "a text").unwrap();
    }
    std::fs::write(temp.path().join("stray/a.jpg"), [0xFF, 0xD8]).unwrap();
    assert!(is_text("stray"), "a single image among texts");
    std::fs::write(temp.path().join("stray/b.jpg"), [0xFF, 0xD8]).unwrap();
    assert!(!is_text("stray"));
    assert!(is_text("texts") && is_text("texts.csv") && is_text("texts.jsonl"));
    assert!(!is_text("images") && !is_text("images.csv") && !is_text("one.jpg") && !is_text("empty") && !is_text("no"));
}

#[test]
fn the_fingerprint_depends_on_every_part() {
    let (dataset, _) = read("t.csv", REVIEWS);
    let change = |change: &dyn Fn(&mut TextDataset)| {
        let mut other = dataset.clone();
        change(&mut other);
        other.fingerprint()
    };
    let same = change(&|_| {});
    assert_eq!(same, dataset.fingerprint());
    assert_ne!(same, change(&|dataset| dataset.examples[0].text.first.push('!')));
    assert_ne!(same, change(&|dataset| dataset.examples[0].text.second = Some(String::new())));
    assert_ne!(same, change(&|dataset| dataset.examples[0].split = Split::Val));
    assert_ne!(same, change(&|dataset| dataset.examples[0].label = 0));
    assert_eq!(dataset.digests().len(), 4);
}

/// Three thousand sentences, where the folder of test data is there. One line of them lacks its tab and label.
#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn real_sentences_are_read_and_audited() {
    let Some(data) = std::env::var_os("ENGRAFT_DATA") else {
        eprintln!("skipped: no folder of test data (set ENGRAFT_DATA)");
        return;
    };
    let packed = Path::new(&data).join("text/sentiment_labelled_sentences.tar.gz");
    let temp = tempfile::tempdir().unwrap();
    let unpacked = std::process::Command::new("tar").arg("-xzf").arg(&packed).arg("-C").arg(temp.path()).status();
    assert!(unpacked.unwrap().success());
    let yelp = temp.path().join("yelp_labelled.txt");
    let problem = open_texts(&yelp, &TextReading::default(), &Silent).unwrap_err().to_string();
    assert!(problem.contains("line 945") && problem.contains("found: 1 field"), "{problem}");
    let mended = std::fs::read_to_string(&yelp).unwrap().replace("Not good    0\n", "");
    std::fs::write(&yelp, mended).unwrap();
    for name in ["yelp", "amazon_cells", "imdb"] {
        let path = temp.path().join(format!("{name}_labelled.txt"));
        let (dataset, findings) = open_texts(&path, &TextReading::default(), &Silent).unwrap();
        assert_eq!((dataset.examples.len(), dataset.classes.join(" ")), (1000, "0 1".to_owned()));
        assert_eq!(remarks(&dataset).contains("quotes are read as part of the text"), name == "imdb");
        let audit = audit_texts(&dataset, findings);
        assert!(audit.excluded.len() <= 2, "{}", audit.render());
        assert!(audit.findings.iter().any(|finding| finding.kind == FindingKind::ExactDuplicate), "{}", audit.render());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        head in proptest::sample::select(vec!["", "text,label\n", "{\"text\": \"", "PAR1", "a;b\n", "\"", "x\ty\n"]),
        ending in proptest::sample::select(vec!["csv", "tsv", "txt", "jsonl", "parquet"]),
    ) {
        let bytes = [head.as_bytes(), &bytes].concat();
        let name = format!("t.{ending}");
        if let Ok((dataset, findings)) = open(&name, &bytes, &TextReading::default()) {
            let audit = audit_texts(&dataset, findings);
            prop_assert_eq!(audit.examples, dataset.examples.len());
        }
    }

    #[test]
    fn what_is_written_as_csv_comes_back(texts in proptest::collection::vec("\\PC{1,30}", 2..12)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["text", "label"]).unwrap();
        for (index, text) in texts.iter().enumerate() {
            writer.write_record([text.as_str(), if index % 2 == 0 { "a" } else { "b" }]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let (dataset, _) = open("t.csv", &bytes, &asked(&["text"], Some("label"))).unwrap();
        let read: Vec<&str> = dataset.examples.iter().map(|example| example.text.first.as_str()).collect();
        prop_assert_eq!(read, texts.iter().map(|text| text.trim()).collect::<Vec<_>>());
    }
}

#[test]
fn classes_called_like_a_missing_value_are_kept_and_told() {
    for (name, text) in [
        (
            "t.csv",
            "text,label\nall is good,NA\nall is bad,null\nall is so so,None\nall is nan,nan\nnothing told,\nso good,NA\n",
        ),
        (
            "t.jsonl",
            "{\"text\": \"all is good\", \"label\": \"NA\"}\n{\"text\": \"all is bad\", \"label\": \"null\"}\n\
             {\"text\": \"all is so so\", \"label\": \"None\"}\n{\"text\": \"all is nan\", \"label\": \"nan\"}\n\
             {\"text\": \"nothing told\", \"label\": null}\n{\"text\": \"so good\", \"label\": \"NA\"}\n",
        ),
    ] {
        let reading = TextReading { task: Some(Task::SingleLabel), ..TextReading::default() };
        let (dataset, findings) = open(name, text.as_bytes(), &reading).unwrap();
        assert_eq!(dataset.classes, ["NA", "None", "nan", "null"], "{name}");
        assert_eq!(found(&findings, FindingKind::MissingValue).files, ["row 5"], "{name}");
        let told = &found(&findings, FindingKind::MissingLookingClass).message;
        assert!(told.contains("`NA` (2), `None` (1)"), "{told}");
    }
}

#[test]
fn splits_of_texts_are_known_by_their_usual_words() {
    let (dataset, findings) = read(
        "t.csv",
        "text,label,split\nall is good,x,TRAINING\nall is bad,y,Train\nall is so so,x,dev\nall is well,y,Testing\n",
    );
    let splits: Vec<Split> = dataset.examples.iter().map(|example| example.split).collect();
    assert_eq!(splits, [Split::Train, Split::Train, Split::Val, Split::Test]);
    assert!(found(&findings, FindingKind::Guessed).message.contains("`Testing` is test"));
}

#[test]
fn other_ways_of_quoting_are_read_and_said() {
    let (dataset, _) = read("t.csv", "text,label\n\"he said \\\"hi, you\\\" there\",x\n\"C:\\dir\\file, it was\",y\n");
    let texts: Vec<&str> = dataset.examples.iter().map(|example| example.text.first.as_str()).collect();
    assert_eq!(texts, ["he said \"hi, you\" there", "C:\\dir\\file, it was"]);
    assert!(remarks(&dataset).contains("a backslash before a quote"), "{}", remarks(&dataset));
    let (dataset, _) = read("t.csv", "label, text\nx, \"good, really good\"\ny, \"bad, really \"\"bad\"\"\"\n");
    let texts: Vec<&str> = dataset.examples.iter().map(|example| example.text.first.as_str()).collect();
    assert_eq!(texts, ["good, really good", "bad, really \"bad\""]);
    let (dataset, _) = read("t.csv", "sep=;\r\ntext;label\r\ngood, really;x\r\nbad, really;y\r\n");
    assert_eq!((dataset.examples.len(), dataset.classes.join(" ")), (2, "x y".into()));
    assert!(remarks(&dataset).contains("the delimiter is `;`, as the first line says"), "{}", remarks(&dataset));
}

#[test]
fn lines_are_counted_right_whatever_ends_them() {
    for (end, before) in [("\n", ""), ("\r\n", ""), ("\r\n", "sep=,\r\n")] {
        let text = format!("{before}text,label,split{end}a b,x,train{end}c d,y,nowhere{end}");
        let line = 3 + usize::from(!before.is_empty());
        let told = refusal("t.csv", text.as_bytes(), &TextReading::default());
        assert!(told.contains(&format!("line {line}")), "{end:?} {told}");
        let text = format!("{before}text,label{end}a b,x{end}c d{end}");
        let told = refusal("t.csv", text.as_bytes(), &TextReading::default());
        assert!(told.contains(&format!("line {line}")), "{end:?} {told}");
    }
}

#[test]
fn json_beyond_the_standard_is_read_and_said() {
    let (dataset, _) = read(
        "t.jsonl",
        "{\"text\": \"all is \\ud83d good\", \"label\": \"x\", \"score\": NaN}\n{\"text\": \"all is bad\", \"label\": \"y\", \"score\": 1}\n",
    );
    assert_eq!(dataset.examples[0].text.first, "all is \u{fffd} good");
    assert!(remarks(&dataset).contains("NaN"), "{}", remarks(&dataset));
}

#[test]
fn an_old_encoding_is_a_finding() {
    let text =
        "text,label\nОчень хороший фильм, советую,x\nСкучно и слишком долго,y\n".replace(", советую", " советую");
    let bytes = encoding_rs::WINDOWS_1251.encode(&text).0.into_owned();
    let (dataset, findings) = open("t.csv", &bytes, &TextReading::default()).unwrap();
    assert_eq!(dataset.examples[0].text.first, "Очень хороший фильм советую");
    assert!(found(&findings, FindingKind::Guessed).message.contains("windows-1251"));
    let asked = TextReading { encoding: Some("koi8-r".into()), ..TextReading::default() };
    assert_ne!(open("t.csv", &bytes, &asked).unwrap().0.examples[0].text.first, "Очень хороший фильм советую");
}

fn texts_of(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect()
}

#[test]
fn columns_of_zeros_and_ones_are_labels_of_texts() {
    let rows = texts_of(12, |row| {
        format!("{row:08x},\"you are so, number {row}\",{},{},{}\n", row % 2, row % 3 / 2, u8::from(row % 5 == 0))
    });
    let (dataset, _) = read("t.csv", &format!("id,comment_text,toxic,obscene,threat\n{rows}"));
    assert_eq!((dataset.inferred.task, dataset.classes.join(" ")), (Task::MultiLabel, "obscene threat toxic".into()));
    let Targets::Labels(sets) = &dataset.targets else { panic!("{:?}", dataset.targets) };
    assert_eq!((sets.len(), &sets[5], &sets[6]), (12, &vec![true, true, true], &vec![false, false, false]));
    assert!(remarks(&dataset).contains("the columns `toxic`, `obscene`, `threat`, which hold zeros and ones"));
    let rows = texts_of(12, |row| format!("this is number {row},{},{}\n", row % 2, 1 - row % 2));
    for header in ["text,good,bad", "text,spam,ham"] {
        let (dataset, _) = read("t.csv", &format!("{header}\n{rows}"));
        let names: Vec<&str> = header.split(',').collect();
        assert_eq!((dataset.inferred.task, dataset.classes.len()), (Task::SingleLabel, 2), "{header}");
        assert_eq!((rows_class(&dataset, 0), rows_class(&dataset, 1)), (names[2], names[1]));
    }
    let rows = texts_of(12, |row| {
        format!(
            "{{\"text\": \"this is number {row}\", \"cats\": {{\"good\": {}, \"bad\": {}}}}}\n",
            row % 2,
            1 - row % 2
        )
    });
    let (dataset, _) = read("t.jsonl", &rows);
    assert_eq!((dataset.classes.join(" "), rows_class(&dataset, 0)), ("bad good".into(), "bad"));
    // A column that is called like labels is one, whatever stands beside it.
    let rows =
        texts_of(12, |row| format!("this is number {row},{},{},{}\n", row % 2, row % 3 / 2, ["x", "y"][row % 2]));
    let (dataset, _) = read("t.csv", &format!("text,short,loud,label\n{rows}"));
    assert_eq!(dataset.classes, ["x", "y"]);
    // So is one of a usual name beside another of zeros and ones that does not exclude it.
    let rows = texts_of(12, |row| format!("this is number {row},{},{}\n", row % 3 / 2, row % 2));
    let (dataset, _) = read("t.csv", &format!("review,verified,sentiment\n{rows}"));
    assert_eq!((dataset.inferred.task, rows_class(&dataset, 1)), (Task::SingleLabel, "1"));
    // A column that holds a 5 behind the first rows is none of zeros and ones.
    let rows = texts_of(1200, |row| {
        format!("this is number {row},{},{}\n", row % 2, if row > 1100 { 5 } else { row % 3 / 2 })
    });
    let (dataset, _) = read("t.csv", &format!("text,toxic,retweets\n{rows}"));
    assert_eq!((dataset.inferred.task, dataset.classes.join(" ")), (Task::SingleLabel, "0 1".into()));
    // A text of one word is no header where its label comes back.
    let rows = texts_of(12, |row| format!("this is number {row},{}\n", ["ham", "spam"][row % 2]));
    let (dataset, _) = read("t.csv", &format!("hello,spam\n{rows}"));
    assert_eq!(dataset.examples.len(), 13);
}

fn rows_class(dataset: &TextDataset, row: usize) -> &str {
    &dataset.classes[dataset.examples[row].label]
}

#[test]
fn of_delimiters_that_fit_equally_well_a_comma_is_the_last() {
    let (dataset, _) = read("t.csv", "text, cleaned\tlabel\nall good, well\tgood\nall bad, sadly\tbad\n");
    assert_eq!(rows(&dataset)[0], ("row 1", "all good, well", "good", Split::Train));
    let reading = asked(&["Length, cm"], Some("y"));
    let (dataset, _) = open("t.csv", b"Length, cm;y\n1,5;no\n2,5;yes\n3,5;no\n", &reading).unwrap();
    assert_eq!((dataset.examples[1].text.first.as_str(), dataset.classes.join(" ")), ("2,5", "no yes".into()));
    // What has a blank after it everywhere is part of the texts.
    let (dataset, _) = read(
        "t.csv",
        "Well; it was good,good\nOh; it was bad,bad\nWell; so so,good\nOh; no no,bad\nOh; yes yes,good\n",
    );
    assert_eq!(
        (dataset.classes.join(" "), dataset.examples[0].text.first.as_str()),
        ("bad good".into(), "Well; it was good")
    );
}

#[test]
fn rows_that_repeat_the_header_are_left_out_and_told() {
    let part = |from: usize| texts_of(6, |row| format!("these are words of {},{}\n", from + row, ["a", "b"][row % 2]));
    let header = "note,kind\n";
    for mark in ["", "\u{FEFF}"] {
        let text = format!("{mark}{header}{}{mark}{header}{}{mark}{header}{}", part(0), part(6), part(12));
        let (dataset, findings) = read("t.csv", &text);
        assert_eq!((dataset.examples.len(), dataset.classes.join(" ")), (18, "a b".into()), "{mark:?}");
        let told = found(&findings, FindingKind::RepeatedHeader);
        assert_eq!(told.files, ["row 7", "row 14"]);
        assert!(told.message.contains("left out: 2 (row 7, line 8, row 14, line 15)"), "{}", told.message);
    }
}

#[test]
fn a_header_may_have_the_name_of_a_class_and_lines_of_its_own() {
    let rows = texts_of(20, |row| format!("call me at {row},{}\n", ["ham", "spam"][row % 2]));
    let (dataset, _) = read("t.csv", &format!("sms,spam\n{rows}"));
    assert_eq!((dataset.examples.len(), dataset.source.text_columns.join(" ")), (20, "sms".into()));
    let (dataset, _) = read("t.csv", &format!("\"text\n(english)\",label\n{rows}"));
    assert_eq!((dataset.examples.len(), dataset.classes.join(" ")), (20, "ham spam".into()));
    assert_eq!(dataset.source.text_columns, ["text\n(english)"]);
}

#[test]
fn thousands_of_labels_are_no_fractions() {
    let price = |row: usize| if row.is_multiple_of(2) { (500 + row).to_string() } else { format!("1.{:03}", 18 + row) };
    let rows = texts_of(20, |row| format!("a house of {row};{}\n", price(row)));
    let text = format!("text;price\n{rows}");
    let (dataset, findings) = open("t.csv", text.as_bytes(), &asked(&[], Some("price"))).unwrap();
    let Targets::Values(values) = &dataset.targets else { panic!("{:?}", dataset.targets) };
    assert_eq!((values[0], values[1]), (500.0, 1019.0));
    assert!(found(&findings, FindingKind::Guessed).message.contains("`1.019` is 1019"));
}

#[test]
fn numbers_beside_a_text_are_told_as_unused() {
    let house = |row: usize| {
        format!("{} Main Street North {},{},{}.5,{}\n", row, ["Ulm", "Bonn"][row % 2], 30 + row % 7, row % 5, row * 10)
    };
    let text = format!("address,sqm,rooms,price\n{}", texts_of(30, house));
    let (_, findings) = open("t.csv", text.as_bytes(), &asked(&[], Some("price"))).unwrap();
    let told = found(&findings, FindingKind::Guessed);
    assert_eq!((told.severity, told.files.join(" ")), (crate::data::Severity::Warning, "sqm rooms".into()));
    assert!(told.message.contains("--base none"), "{}", told.message);
    let tweet =
        |row: usize| format!("{row},this is the text of {row},{},{},{}\n", row % 7, row % 5, ["a", "b"][row % 2]);
    let (_, findings) = read("t.csv", &format!("id,text,likes,shares,label\n{}", texts_of(30, tweet)));
    let told = found(&findings, FindingKind::Guessed);
    assert_eq!((told.severity, told.files.join(" ")), (crate::data::Severity::Info, "likes shares".into()));
}

#[test]
fn a_table_of_one_column_says_what_is_missing() {
    let blanks = texts_of(12, |row| format!("word{row} pos\n"));
    let whole = texts_of(12, |row| format!("\"it was {row},pos\"\n"));
    let fast = texts_of(12, |row| format!("__label__{} it was, {row}\n", row % 2));
    for (name, text, words) in [
        ("t.csv", format!("text label\n{blanks}"), "blanks between them are not told apart"),
        ("t.csv", format!("\"text,label\"\n{whole}"), "quoted as a whole"),
        ("t.txt", fast, "a file of fastText"),
    ] {
        let problem = refusal(name, text.as_bytes(), &TextReading::default());
        assert!(problem.contains(words), "{problem}");
    }
    let (dataset, _) = read(
        "t.tsv",
        "__label__x\tit was good\n__label__y\tit was bad\n__label__x\tso it was\n__label__y\tno\n__label__x\tyes it was\n",
    );
    assert_eq!(dataset.classes, ["__label__x", "__label__y"], "a table after all");
}

#[test]
fn blanks_of_any_kind_around_labels_are_told() {
    let (_, findings) = read("t.csv", "text,label\nall is good,x\nall is bad,y\nall is well,x\u{a0}\nall is so so,y\n");
    assert!(found(&findings, FindingKind::ClassVariants).message.contains("1 labels changed"), "{findings:?}");
}

#[test]
fn a_fault_in_json_has_one_place() {
    let problem = refusal("t.jsonl", b"{\"text\": \"a b\", \"label\": 1}\n{bad\n", &TextReading::default());
    assert!(problem.contains("line 2") && !problem.contains("line 1") && problem.contains("(column 2)"), "{problem}");
}

#[test]
fn json_as_pandas_writes_it_is_read_and_said() {
    let cells = |cell: &dyn Fn(usize) -> String| -> String {
        (0..12).map(|row| format!("\"{row}\": \"{}\"", cell(row))).collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "{{\"text\": {{{}}}, \"label\": {{{}}}}}",
        cells(&|row| format!("it is number {row}")),
        cells(&|row| ["x", "y"][row % 2].to_owned())
    );
    let (dataset, _) = read("t.json", &text);
    assert_eq!((rows(&dataset)[11].1, rows(&dataset)[11].2), ("it is number 11", "y"));
    assert!(remarks(&dataset).contains("to_json(orient=\"columns\")"), "{}", remarks(&dataset));
}
