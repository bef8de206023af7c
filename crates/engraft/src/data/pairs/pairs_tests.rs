use std::path::Path;

use super::real_data::tatoeba;
use super::*;
use crate::data::dataset::Split;
use crate::data::finding::{FindingKind, Severity};
use crate::error::Error;
use crate::progress::Silent;

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PairFiles) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (temp, PairFiles::Table(path))
}

fn reading(source: &str, target: &str) -> PairReading {
    let column = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    PairReading { source: column(source), target: column(target), encoding: None }
}

fn read(name: &str, bytes: &[u8], source: &str, target: &str) -> crate::error::Result<PairDataset> {
    let (_temp, files) = file(name, bytes);
    read_pairs(&files, &reading(source, target), &Silent)
}

fn sides(dataset: &PairDataset) -> Vec<(u64, &str, &str)> {
    dataset.pairs.iter().map(|pair| (pair.row, pair.source.as_str(), pair.target.as_str())).collect()
}

fn of_sides(sides: &[(&str, &str)]) -> Vec<SentencePair> {
    let pair = |(at, (source, target)): (usize, &(&str, &str))| SentencePair {
        row: at as u64 + 1,
        source: (*source).to_owned(),
        target: (*target).to_owned(),
    };
    sides.iter().enumerate().map(pair).collect()
}

#[test]
fn tables_of_tabs_are_read_line_by_line() {
    let anki = b"\xef\xbb\xbfHi.\tHallo!\tCC-BY 2.0 (France)\r\n\r\n\"Go,\" he said.\t\"Geh\", sagte er.\tCC\r\n Stop!\t\tCC\r\n";
    let dataset = read("deu.txt", anki, "2", "1").unwrap();
    let expected = [(1, "Hallo!", "Hi."), (3, "\"Geh\", sagte er.", "\"Go,\" he said."), (4, "", "Stop!")];
    assert_eq!(sides(&dataset), expected);
    assert!(dataset.remarks.iter().any(|remark| remark == "blank lines, passed over: 1"), "{:?}", dataset.remarks);
    // Without columns the first two, and it is said.
    let dataset = read("deu.tsv", anki, "", "").unwrap();
    assert_eq!(sides(&dataset)[0], (1, "Hi.", "Hallo!"));
    assert!(dataset.remarks.iter().any(|remark| remark.contains("--source and --target say otherwise")));
}

#[test]
fn a_first_line_is_a_header_where_it_names_columns() {
    let table = b"id\ten\tde\n1\tHi.\tHallo!\n";
    for (source, target) in [("de", "en"), ("DE", "2"), ("3", "2")] {
        let dataset = read("a.tsv", table, source, target).unwrap();
        assert_eq!(sides(&dataset), [(2, "Hallo!", "Hi.")], "{source} {target}");
        assert!(dataset.remarks.iter().any(|remark| remark.contains("header: `id`, `en`, `de`")));
    }
    assert_eq!(sides(&read("a.tsv", b"source\ttarget\nno\tnej\n", "", "").unwrap()), [(2, "no", "nej")]);
    // A pair of short words is one.
    assert_eq!(sides(&read("a.tsv", b"No.\tNej.\nJa\tYes\n", "", "").unwrap()).len(), 2);
    let missing = read("a.tsv", table, "sv", "en").unwrap_err().to_string();
    assert!(missing.contains("there is no column `sv`") && missing.contains("`id`, `en`, `de`"), "{missing}");
}

#[test]
fn every_kind_of_table_gives_the_same_pairs() {
    let expected = [(1, "Hallo, \"du\"!", "Hi, \"you\"!"), (2, "Tschüss.", "Bye.")];
    let nested = r#"{"id": 1, "translation": {"de": "Hallo, \"du\"!", "en": "Hi, \"you\"!"}}
{"id": 2, "translation": {"de": "Tschüss.", "en": "Bye."}}
"#;
    let flat = "{\"target\": \"Hi, \\\"you\\\"!\", \"source\": \"Hallo, \\\"du\\\"!\"}\n{\"source\": \" Tschüss.\", \"target\": \"Bye.\"}\n";
    let comma = "target,source\n\"Hi, \"\"you\"\"!\",\"Hallo, \"\"du\"\"!\"\nBye.,Tschüss.\n";
    let latin = encoding_rs::WINDOWS_1252.encode(comma).0.into_owned();
    for (name, bytes, source, target) in [
        ("a.jsonl", nested.as_bytes(), "", ""),
        ("a.jsonl", nested.as_bytes(), "de", "en"),
        ("a.jsonl", nested.as_bytes(), "translation.de", "translation.en"),
        ("a.json", flat.as_bytes(), "", ""),
        ("a.csv", comma.as_bytes(), "", ""),
        ("a.csv", comma.as_bytes(), "2", "1"),
        ("a.csv", latin.as_slice(), "source", "target"),
    ] {
        let dataset = read(name, bytes, source, target).unwrap();
        assert_eq!(sides(&dataset), expected, "{name} {source}");
    }
}

#[test]
fn parquet_has_columns_or_parts_of_one() {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    for (schema, columns) in [
        (
            "message m { required group translation { required binary de (UTF8); required binary en (UTF8); } }",
            ("", ""),
        ),
        ("message m { required binary de (UTF8); required binary en (UTF8); }", ("de", "en")),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.parquet");
        let file = std::fs::File::options().write(true).create(true).truncate(true).open(&path).unwrap();
        let schema = std::sync::Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for cells in [["Hallo!", "Ja. "], ["Hi.", "Yes."]] {
            let mut column = group.next_column().unwrap().unwrap();
            let cells = cells.map(ByteArray::from);
            column.typed::<ByteArrayType>().write_batch(&cells, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        let dataset = read_pairs(&PairFiles::Table(path), &reading(columns.0, columns.1), &Silent).unwrap();
        assert_eq!(sides(&dataset), [(1, "Hallo!", "Hi."), (2, "Ja.", "Yes.")]);
    }
}

#[test]
fn two_files_have_as_many_lines() {
    let temp = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(temp.path().join(name), bytes).unwrap();
        temp.path().join(name)
    };
    let (source, target) = (write("a.de", b"Hallo\n\nJa\x00\r\n"), write("a.en", b"Hi\nGone\nYes"));
    let both = PairFiles::Parallel { source: source.clone(), target };
    let dataset = read_pairs(&both, &PairReading::default(), &Silent).unwrap();
    assert_eq!(sides(&dataset), [(1, "Hallo", "Hi"), (2, "", "Gone"), (3, "Ja", "Yes")]);
    assert!(matches!(read_pairs(&both, &reading("1", "2"), &Silent), Err(Error::Usage(_))));
    let short = PairFiles::Parallel { source, target: write("b.en", b"Hi\n") };
    let refused = read_pairs(&short, &PairReading::default(), &Silent).unwrap_err().to_string();
    assert!(refused.contains("3 lines in") && refused.contains("1 in"), "{refused}");
}

#[test]
fn what_is_no_pair_is_refused_with_its_line() {
    for (name, bytes, source, target, told) in [
        (
            "a.tsv",
            b"a\tb\nc\n".as_slice(),
            "",
            "",
            "too few fields\n  expected: at least 2, with tabs between\n  found: 1",
        ),
        ("a.txt", b"only one column\n", "", "", "without a tab"),
        ("a.txt", b"\n\n", "", "", "no sentence pairs"),
        ("a.tsv", b"a\tb\n", "1", "1", "one column cannot be both"),
        ("a.tsv", b"a\tb\n", "3", "1", "there is no column 3"),
        ("a.tsv", b"a\tb\n", "0", "1", "counted from 1"),
        ("a.tsv", b"a\tb\tc\n", "2", "", "--target is missing"),
        ("a.jsonl", b"{\"translation\": {\"de\": \"a\", \"en\": \"b\", \"fr\": \"c\"}}\n", "", "", "nobody knows"),
        ("a.jsonl", b"{\"source\": [\"a\"], \"target\": \"b\"}\n", "", "", "nested"),
        ("a.csv", b"source,target\n", "", "", "no sentence pairs"),
        ("a.gz", b"\x1f\x8b\x08rest", "", "", "unpack it"),
    ] {
        let refused = read(name, bytes, source, target).unwrap_err().to_string();
        assert!(refused.contains(told), "{name} {source}: {refused}");
    }
    assert!(read("a.tsv", b"a\tb\nc\n", "", "").unwrap_err().to_string().contains("a.tsv, line 2"));
    let encoding = PairReading { encoding: Some("klingon".into()), ..PairReading::default() };
    let (_temp, files) = file("a.tsv", b"a\tb\n");
    assert!(matches!(read_pairs(&files, &encoding, &Silent), Err(Error::Usage(_))));
}

#[test]
fn pairs_that_share_a_sentence_are_one_component() {
    // a - b: the same source; b - c: the same target but for signs; d: only across sides.
    let pairs = of_sides(&[
        ("Hallo!", "Hi."),
        ("x", "y"),
        ("hallo", "Hello!"),
        ("Tag", "hello"),
        ("Hi.", "z"),
        ("", "q"),
        ("", "r"),
    ]);
    let found = components(&pairs);
    assert_eq!(found.of, [0, 1, 0, 0, 2, 3, 4]);
    assert_eq!((found.count(), found.largest(), found.groups()), (5, 3, vec![0, 1, 0, 0, 4, 5, 6]));
    assert_eq!(found.joined(&[(1, 4), (6, 1)]).of, [0, 1, 0, 0, 1, 2, 1]);
    // Signs alone are told apart.
    assert_eq!(components(&of_sides(&[("!", "a"), ("?", "b"), ("!", "c")])).of, [0, 1, 0]);
}

#[test]
fn splits_share_no_sentence_and_have_the_sizes_asked_for() {
    let rows: Vec<(String, String)> =
        (0..3000).map(|at| (format!("quelle {}", at / (1 + at % 3)), format!("ziel {}", at % 2500))).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let pairs = of_sides(&rows);
    let found = components(&pairs);
    let mut usable = vec![true; pairs.len()];
    usable[7] = false;
    let of = |seed| split_pairs(&found, &usable, 100, 200, seed).unwrap();
    let splits = of(1);
    assert_eq!(splits.sizes, [2699, 100, 200]);
    assert_eq!(splits.of[7], None);
    assert!(splits == of(1) && splits != of(2));
    let side = |split: Split, side: fn(&SentencePair) -> &String| -> std::collections::BTreeSet<String> {
        let of = |index: &usize| splits.of[*index] == Some(split);
        (0..pairs.len()).filter(of).map(|index| side(&pairs[index]).clone()).collect()
    };
    for (a, b) in [(Split::Train, Split::Val), (Split::Train, Split::Test), (Split::Val, Split::Test)] {
        assert!(side(a, |pair| &pair.source).is_disjoint(&side(b, |pair| &pair.source)));
        assert!(side(a, |pair| &pair.target).is_disjoint(&side(b, |pair| &pair.target)));
    }
    let refused = split_pairs(&found, &usable, 0, 3500, 1).unwrap_err().to_string();
    assert!(refused.contains("too few sentence pairs to hold out for the test split"), "{refused}");
    let two = of_sides(&[("a", "b"), ("c", "d")]);
    assert!(split_pairs(&components(&two), &[true; 2], 1, 1, 1).unwrap_err().to_string().contains("left to train on"));
}

#[test]
fn one_large_component_is_not_held_out() {
    let rows: Vec<(String, String)> =
        (0..1000).map(|at| (if at < 600 { "same".to_owned() } else { format!("a {at}") }, format!("b {at}"))).collect();
    let pairs = of_sides(&rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    let splits = split_pairs(&components(&pairs), &vec![true; 1000], 50, 100, 3).unwrap();
    assert!(splits.of[..600].iter().all(|split| *split == Some(Split::Train)));
    assert_eq!((splits.sizes, splits.too_large), ([850, 50, 100], (1, 600)));
}

#[test]
fn shared_sentences_are_found_on_any_side() {
    let parent = of_sides(&[("Hallo!", "Hi."), ("Ja.", "Yes."), ("Nein.", "No."), ("", "Oh")]);
    let child = of_sides(&[("hej", "hi"), ("no", "nej"), ("", "x")]);
    let shared = shared_sentences(&parent, &child);
    assert_eq!(shared, SharedSentences { pairs: vec![0, 2], sentences: 2 });
    assert!(shared_sentences(&parent, &[]).pairs.is_empty());
}

fn german(at: usize) -> String {
    let (who, what, place) =
        (["Maria", "Thomas", "Sabine"], ["Apfelkuchen", "Gemüsesuppe", "Brot"], ["Garten", "Schule", "Küche"]);
    format!(
        "Gestern hat {} {at} Stücke {} in der {} gegessen und sich darüber sehr gefreut.",
        who[at % 3],
        what[at / 3 % 3],
        place[at / 9 % 3]
    )
}

fn english(at: usize) -> String {
    let (who, what, place) =
        (["Mary", "Thomas", "Sabine"], ["apple cake", "vegetable soup", "bread"], ["garden", "school", "kitchen"]);
    format!(
        "Yesterday {} ate {at} pieces of {} in the {} and was very happy about all of it.",
        who[at % 3],
        what[at / 3 % 3],
        place[at / 9 % 3]
    )
}

fn marked(audit: &PairAudit, kind: FindingKind) -> Vec<u32> {
    let at = audit.findings.iter().position(|finding| finding.kind == kind);
    at.map(|at| audit.marked[at].clone()).unwrap_or_default()
}

#[test]
fn an_audit_finds_what_is_wrong() {
    let mut rows: Vec<(String, String)> = (0..60).map(|at| (german(at), english(at))).collect();
    let long = "wort ".repeat(51);
    for (source, target) in [
        ("", "Empty."),                                                  // 60
        ("Das ist ja  Ok.", "das ist ja ok."),                           // 61
        (&english(101), &german(101)),                                   // 62
        ("Ja.", "I would say that this is most certainly so, my dear."), // 63
        (long.as_str(), "the same in many words of english here that are words and more words again and so on it goes"), // 64
        (&german(5), "Something else that was said before."), // 65
        (&german(7), &english(7)),                            // 66
        ("Вчера Мария съела три куска яблочного пирога в саду и очень обрадовалась.", &english(102)), // 67
    ] {
        rows.push((source.to_owned(), target.to_owned()));
    }
    let pairs = of_sides(&rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    let audit = audit_pairs(&pairs, None, Vec::new(), &Silent).unwrap();
    assert_eq!(audit.languages, [Some("German".to_owned()), Some("English".to_owned())]);
    for (kind, expected) in [
        (FindingKind::EmptyText, vec![60]),
        (FindingKind::SourceIsTarget, vec![61]),
        (FindingKind::SwappedSides, vec![62]),
        (FindingKind::UnlikelyLengths, vec![63]),
        (FindingKind::LongText, vec![64]),
        (FindingKind::ManyTargets, vec![5, 65]),
        (FindingKind::ExactDuplicate, vec![7, 66]),
        (FindingKind::WrongLanguage, vec![67]),
        (FindingKind::Leak, vec![]),
    ] {
        assert_eq!(marked(&audit, kind), expected, "{kind:?}");
    }
    assert!(!audit.usable[60] && audit.usable.iter().filter(|usable| !**usable).count() == 1);
    assert_eq!(audit.findings[0].severity, Severity::Serious);
    let empty = audit.findings.iter().find(|finding| finding.kind == FindingKind::EmptyText).unwrap();
    assert_eq!(
        (empty.message.as_str(), empty.files.as_slice()),
        ("pairs with an empty side, left out: 1", ["row 61".to_owned()].as_slice())
    );
}

#[test]
fn pairs_in_two_splits_are_left_out_of_the_lesser_one() {
    let pairs = of_sides(&[("a b c", "d"), ("A  b c", "d"), ("x", "y"), ("x", "other"), ("q", "r")]);
    let splits = [Split::Train, Split::Test, Split::Val, Split::Train, Split::Train];
    let audit = audit_pairs(&pairs, Some(&splits), Vec::new(), &Silent).unwrap();
    assert_eq!(marked(&audit, FindingKind::Leak), [0, 1]);
    assert_eq!(marked(&audit, FindingKind::GroupLeak), [3, 2]);
    assert_eq!(audit.usable, [false, true, true, true, true]);
}

#[test]
fn an_audit_does_not_depend_on_threads() {
    let rows: Vec<(String, String)> = (0..400).map(|at| (german(at % 300), english(at % 310))).collect();
    let pairs = of_sides(&rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| audit_pairs(&pairs, None, Vec::new(), &Silent).unwrap())
    };
    assert_eq!(run(1), run(3));
}

/// All of Tatoeba's German and Swedish pairs of 2018.
#[test]
#[allow(clippy::print_stderr, reason = "numbers for the documentation")]
fn real_pairs_are_read_audited_and_split() {
    let Some((_temp, german)) = tatoeba("deu-eng.zip", "deu.txt") else { return };
    let Some((_swedish, swedish)) = tatoeba("swe-eng.zip", "swe.txt") else { return };
    let read = |path: &Path| read_pairs(&PairFiles::Table(path.to_owned()), &reading("2", "1"), &Silent).unwrap();
    let (parent, child) = (read(&german), read(&swedish));
    assert_eq!((parent.pairs.len(), child.pairs.len()), (169_197, 25_286));
    for (dataset, language) in [(&parent, "German"), (&child, "Swedish")] {
        let begun = std::time::Instant::now();
        let audit = audit_pairs(&dataset.pairs, None, dataset.findings.clone(), &Silent).unwrap();
        assert_eq!(audit.languages, [Some(language.to_owned()), Some("English".to_owned())]);
        let told: Vec<String> =
            audit.findings.iter().map(|finding| finding.message.chars().take(150).collect()).collect();
        let of = components(&dataset.pairs);
        eprintln!(
            "{language}: {} s, components {} (largest {}), with near-duplicates {} (largest {}): {told:#?}",
            begun.elapsed().as_secs_f32(),
            of.count(),
            of.largest(),
            audit.components.count(),
            audit.components.largest()
        );
        let splits = split_pairs(&audit.components, &audit.usable, 1000, 2000, 1).unwrap();
        assert_eq!((splits.sizes[1], splits.sizes[2]), (1000, 2000));
        eprintln!("{:?}", (splits.sizes, splits.too_large));
    }
    let shared = shared_sentences(&parent.pairs, &child.pairs);
    eprintln!("shared: {} pairs of the parent, {} sentences", shared.pairs.len(), shared.sentences);
    assert!(shared.sentences >= 7819, "{}", shared.sentences);
}
