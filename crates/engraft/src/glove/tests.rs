//! Corpora, files and settings that are not right, and the bits of what is.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::error::{Error, Result};
use crate::progress::{CurvePoint, Observer, Silent};
use crate::settings::{Glove, GloveModel};

/// Hears what is said, and interrupts after a number of epochs.
#[derive(Default)]
struct Hearing {
    said: Mutex<Vec<String>>,
    epochs: AtomicU64,
    most: Option<u64>,
}

impl Observer for Hearing {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, line: &str) {
        self.said.lock().unwrap().push(line.to_owned());
    }
    fn curve(&self, _: &str, points: &[CurvePoint]) {
        self.epochs.store(points.len() as u64, Ordering::Relaxed);
    }
    fn interrupted(&self) -> bool {
        self.most.is_some_and(|most| self.epochs.load(Ordering::Relaxed) >= most)
    }
}

fn settings() -> Glove {
    Glove { min_count: 1, window_size: 4, vector_size: 6, iter: 4, blocks: 3, memory: 256, ..Glove::default() }
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    fs::write(folder.join(name), bytes).unwrap();
    folder.join(name)
}

fn counted(path: &Path, settings: &Glove, observer: &dyn Observer) -> Result<String> {
    let corpus = Corpus::find(&[path.to_owned()], observer)?;
    Ok(String::from_utf8(Vocabulary::count(&corpus, settings, observer)?.vocabulary.to_text()).unwrap())
}

fn words_of(bytes: &[u8]) -> Result<String> {
    let temp = tempfile::tempdir().unwrap();
    counted(&file(temp.path(), "c.txt", bytes), &settings(), &Silent)
}

/// A text of words that follow each other by a rule, in lines.
fn text(words: u64) -> String {
    let mut state = 7_u64;
    (0..words)
        .map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let rank = (f64::from((state >> 33) as u32) / f64::from(1_u32 << 31)).powi(3) * 300.0;
            format!("w{}{}", rank as u64, if at % 37 == 36 { '\n' } else { ' ' })
        })
        .collect()
}

/// The records of a file in the order of their words.
fn records(path: &Path) -> Vec<(u32, u32, f64)> {
    let bytes = fs::read(path).unwrap();
    let mut found: Vec<(u32, u32, f64)> = bytes
        .chunks_exact(16)
        .map(|record| {
            let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
            (number(0), number(4), f64::from_le_bytes(record[8..].try_into().unwrap()))
        })
        .collect();
    found.sort_by_key(|record| (record.0, record.1));
    found
}

/// Counts pairs word by word, as the C tool does, for comparison.
fn by_hand(text: &str, vocabulary: &Vocabulary, settings: &Glove) -> Vec<(u32, u32, f64)> {
    let mut sums = std::collections::BTreeMap::new();
    for line in text.split('\n') {
        let rows: Vec<u32> = line
            .split_ascii_whitespace()
            .filter_map(|word| vocabulary.words().position(|known| known == word).map(|row| row as u32 + 1))
            .collect();
        for at in 0..rows.len() {
            for distance in 1..=settings.window_size.min(at) {
                let weight = if settings.distance_weighting { 1.0 / distance as f64 } else { 1.0 };
                *sums.entry((rows[at - distance], rows[at])).or_insert(0.0) += weight;
                if settings.symmetric {
                    *sums.entry((rows[at], rows[at - distance])).or_insert(0.0) += weight;
                }
            }
        }
    }
    sums.into_iter().map(|((row, column), sum)| (row, column, sum)).collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, parts: &[&str]) {
    let text = result.unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn words_are_counted_in_the_order_of_the_c_tool() {
    assert_eq!(words_of(b"b a c a\na b\n").unwrap(), "a 3\nb 2\nc 1\n");
    // Anything but ASCII before ASCII, a longer word before its beginning where it goes on so.
    assert_eq!(words_of("z \u{e9} a a\u{e9} ab\n".as_bytes()).unwrap(), "\u{e9} 1\na\u{e9} 1\na 1\nab 1\nz 1\n");
    // No line end at the end, a byte order mark, blanks of all kinds.
    assert_eq!(words_of(b"\xef\xbb\xbfa\x0cb\x0bc\td\r\ne").unwrap(), "a 1\nb 1\nc 1\nd 1\ne 1\n");
}

#[test]
fn the_vocabulary_is_cut_by_count_and_by_number() {
    let temp = tempfile::tempdir().unwrap();
    let path = file(temp.path(), "c.txt", b"a a a b b c c d d e\n");
    let cut = |min_count, max_vocab| counted(&path, &Glove { min_count, max_vocab, ..settings() }, &Silent);
    assert_eq!(cut(2, 0).unwrap(), "a 3\nb 2\nc 2\nd 2\n");
    // Written by the C tool: vocab_count -max-vocab 2.
    assert_eq!(cut(1, 3).unwrap().lines().count(), 3);
    refused(cut(4, 0), &["no word of the corpus is frequent enough", "comes 4 times", "5 words"]);
    refused(words_of(b" \n\n"), &["no word of the corpus is frequent enough", "no words"]);
}

#[test]
fn texts_that_are_not_right_are_refused_with_their_place() {
    refused(words_of(b"a b\nc \xff\xfe d\n"), &["not UTF-8", "FF FE", "c.txt, line 2, byte 6"]);
    refused(words_of(b"a b\nc \0 d\n"), &["NUL byte", "c.txt, line 2, byte 6"]);
    refused(words_of(b"a b\n\nc <unk> d\n"), &["`<unk>`", "c.txt, line 3, byte 7", "<raw_unk>"]);
    let mut far = text(300_000).into_bytes();
    let lines = far.iter().filter(|&&byte| byte == b'\n').count();
    let length = far.len();
    far.extend(b"\nx \xc3(\n");
    let expected = format!("line {}, byte {}", lines + 2, length + 3);
    refused(words_of(&far), &["not UTF-8", &expected]);
}

#[test]
fn long_words_are_passed_over_and_told() {
    let temp = tempfile::tempdir().unwrap();
    let long = "x".repeat(1001);
    let fits = "y".repeat(1000);
    let path = file(temp.path(), "c.txt", format!("a {fits}\nb {long} a {long}\n").as_bytes());
    let heard = Hearing::default();
    let found = counted(&path, &settings(), &heard).unwrap();
    assert_eq!(found, format!("a 2\nb 1\n{fits} 1\n"));
    let said = heard.said.lock().unwrap().join("\n");
    assert!(said.contains("more than 1000 bytes, passed over: 2") && said.contains("line 2, byte 1005"), "{said}");
}

#[test]
fn one_endless_line_and_one_endless_word_are_read_in_pieces() {
    let temp = tempfile::tempdir().unwrap();
    let line = text(400_000).replace('\n', " ");
    let path = file(temp.path(), "c.txt", line.as_bytes());
    let corpus = Corpus::find(std::slice::from_ref(&path), &Silent).unwrap();
    let settings = Glove { min_count: 60, ..settings() };
    let vocabulary = Vocabulary::count(&corpus, &settings, &Silent).unwrap().vocabulary;
    let out = temp.path().join("o.bin");
    count_pairs(&corpus, &vocabulary, &out, false, &settings, &Silent).unwrap();
    let (found, expected) = (records(&out), by_hand(&line, &vocabulary, &settings));
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a.0, a.1) == (b.0, b.1) && (a.2 / b.2 - 1.0).abs() < 1e-9));

    let word = format!("a {} b\nc", "\u{e9}".repeat(900_000));
    let heard = Hearing::default();
    let found = counted(&file(temp.path(), "w.txt", word.as_bytes()), &tests::settings(), &heard).unwrap();
    assert_eq!(found, "a 1\nb 1\nc 1\n");
    assert!(heard.said.lock().unwrap().join("\n").contains("passed over: 1"));
}

#[test]
fn compressed_files_are_the_same_text_and_damaged_ones_are_refused() {
    let text = text(50_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(text.as_bytes()).unwrap();
    let xz = xz.finish().unwrap();
    let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    let expected = words_of(text.as_bytes()).unwrap();
    for bytes in [&gzip, &xz, &zstd] {
        assert_eq!(words_of(bytes).unwrap(), expected);
        refused(
            words_of(&bytes[..bytes.len() / 2]),
            &["cannot be read to its end", "c.txt", "bytes of text were read"],
        );
    }
    assert_eq!(words_of(&[gzip.clone(), gzip].concat()).unwrap().lines().count(), expected.lines().count());
    refused(words_of(b"PK\x03\x04..."), &["a ZIP archive", "gzip, xz or zstd"]);
}

#[test]
fn folders_are_read_in_order_and_what_is_passed_over_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("f");
    fs::create_dir_all(folder.join("b")).unwrap();
    for (name, bytes) in [("b/1.txt", "x x x"), ("a.tok", "y y"), ("README", "z"), ("p.png", "\0"), (".h.txt", "h")] {
        file(&folder, name, bytes.as_bytes());
    }
    let heard = Hearing::default();
    assert_eq!(counted(&folder, &settings(), &heard).unwrap(), "x 3\ny 2\nz 1\n");
    let said = heard.said.lock().unwrap().join("\n");
    assert!(said.contains("passed over: 2") && said.contains("p.png"), "{said}");
    fs::create_dir(temp.path().join("empty")).unwrap();
    refused(counted(&temp.path().join("empty"), &settings(), &Silent), &["holds no text"]);
    refused(counted(&temp.path().join("none"), &settings(), &Silent), &["cannot be read", "none"]);
    refused(Corpus::find(&["-".into(), "-".into()], &Silent), &["stdin is given twice"]);
    refused(Corpus::find(&[], &Silent), &["no corpus is given"]);
}

#[test]
fn vocabularies_that_are_not_right_are_refused_with_the_line() {
    let parse = |text: &str| Vocabulary::parse(text.as_bytes(), Path::new("v.txt"));
    assert_eq!(parse("a 3\nb 2\r\nc 2\n").unwrap().to_text(), b"a 3\nb 2\nc 2\n");
    refused(parse("a 3\nb 4\n"), &["not sorted", "at most 3", "v.txt, line 2"]);
    refused(parse("a 3\nb 2\na 1\n"), &["a word twice", "on line 1 already", "v.txt, line 3"]);
    refused(parse("a 3\nb\n"), &["cannot be read", "v.txt, line 2", "`b`"]);
    refused(parse("a 3\n\nb 2\n"), &["cannot be read", "v.txt, line 2"]);
    refused(parse("a 3\nb -2\n"), &["cannot be read", "v.txt, line 2"]);
    refused(parse("a 3\nb 0\n"), &["cannot be read", "v.txt, line 2"]);
    refused(parse("a 3\nb\u{b}c 2\n"), &["no corpus can have", "v.txt, line 2"]);
    refused(parse("a 3\n<unk> 2\n"), &["`<unk>`", "v.txt, line 2"]);
    refused(parse("\n"), &["the vocabulary is empty", "v.txt"]);
}

#[test]
fn co_occurrences_are_those_of_the_c_tool_whatever_the_memory_and_the_threads() {
    let temp = tempfile::tempdir().unwrap();
    let text = text(60_000);
    let path = file(temp.path(), "c.txt", text.as_bytes());
    let corpus = Corpus::find(std::slice::from_ref(&path), &Silent).unwrap();
    for (symmetric, distance_weighting, min_count) in [(true, true, 1), (false, true, 40), (true, false, 40)] {
        let settings = Glove { symmetric, distance_weighting, min_count, ..settings() };
        let vocabulary = Vocabulary::count(&corpus, &settings, &Silent).unwrap().vocabulary;
        let mut all = Vec::new();
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let out = temp.path().join(format!("{threads}.bin"));
            pool.install(|| count_pairs(&corpus, &vocabulary, &out, true, &settings, &Silent)).unwrap();
            all.push(fs::read(&out).unwrap());
        }
        assert!(all.iter().all(|bytes| *bytes == all[0]));
        let (found, expected) = (records(&temp.path().join("1.bin")), by_hand(&text, &vocabulary, &settings));
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a.0, a.1) == (b.0, b.1) && (a.2 / b.2 - 1.0).abs() < 1e-9));
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 4, "nothing is left beside the files");
}

#[test]
fn settings_that_are_not_right_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = file(temp.path(), "c.txt", text(1000).as_bytes());
    let usual = Glove { corpus: vec![path], ..settings() };
    let run = |settings: Glove| run(&temp.path().join("out"), false, &settings, &Silent);
    refused(run(Glove { window_size: 0, ..usual.clone() }), &["--window-size", "1 to 40", "0"]);
    refused(run(Glove { window_size: 41, ..usual.clone() }), &["--window-size"]);
    refused(run(Glove { memory: 100, ..usual.clone() }), &["--memory 256"]);
    refused(run(Glove { vector_size: 0, ..usual.clone() }), &["--vector-size"]);
    refused(run(Glove { blocks: 0, ..usual.clone() }), &["--blocks"]);
    refused(run(Glove { eta: f64::NAN, ..usual.clone() }), &["--eta"]);
    refused(run(Glove { x_max: 0.0, ..usual.clone() }), &["--x-max"]);
    assert!(!temp.path().join("out").exists());
    let huge = Vocabulary::parse(b"a 9000000000\nb 1\n", Path::new("v")).unwrap();
    let corpus = Corpus::find(&usual.corpus, &Silent).unwrap();
    let wide = Glove { window_size: 30, ..usual };
    refused(
        count_pairs(&corpus, &huge, &temp.path().join("o"), false, &wide, &Silent),
        &["larger than 2^64", "9000000000 times", "up to 20 words"],
    );
}

/// A corpus, its vocabulary and its co-occurrences.
fn prepared(folder: &Path) -> (PathBuf, PathBuf) {
    let corpus = file(folder, "c.txt", text(20_000).as_bytes());
    let corpus = Corpus::find(&[corpus], &Silent).unwrap();
    let vocabulary = Vocabulary::count(&corpus, &settings(), &Silent).unwrap().vocabulary;
    count_pairs(&corpus, &vocabulary, &folder.join("x.bin"), false, &settings(), &Silent).unwrap();
    (folder.join("x.bin"), file(folder, "v.txt", &vocabulary.to_text()))
}

#[test]
fn records_that_are_not_right_are_refused_with_their_place() {
    let temp = tempfile::tempdir().unwrap();
    let (path, words) = prepared(temp.path());
    let bytes = fs::read(&path).unwrap();
    let vocabulary = Vocabulary::read(&words).unwrap();
    let count = vocabulary.len() as u32;
    let out = temp.path().join("out");
    let both = |bytes: &[u8], parts: &[&str]| {
        let input = file(temp.path(), "bad.bin", bytes);
        refused(shuffle(&input, Some(&vocabulary), &out, false, &settings(), &Silent), parts);
        refused(train_files(&input, &words, &out, false, &settings(), &Silent), parts);
        assert!(!out.exists());
        let _ = fs::remove_dir_all(temp.path().join("out.unfinished"));
    };
    let with = |at: usize, new: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + new.len()].copy_from_slice(new);
        changed
    };
    both(&bytes[..bytes.len() - 5], &["ends within a record", "11 more than", "bad.bin"]);
    both(&[], &["no co-occurrences", "bad.bin"]);
    both(&with(32, &0_i32.to_le_bytes()), &["does not have", "row 0", "record 3 (byte 32)"]);
    both(&with(36, &(count + 1).to_le_bytes()), &["words from 1 to", &format!("column {}", count + 1), "record 3"]);
    both(&with(32, &(-4_i32).to_le_bytes()), &["row -4", "record 3"]);
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        both(&with(40, &value.to_le_bytes()), &["impossible value", "record 3 (byte 32)"]);
    }
    // Without a vocabulary, what is possible at all.
    let input = file(temp.path(), "bad.bin", &with(32, &(-4_i32).to_le_bytes()));
    refused(shuffle(&input, None, &out, false, &settings(), &Silent), &["impossible word", "row -4"]);
    // The words in another order.
    let rest: String = vocabulary.words().rev_words();
    let other = file(temp.path(), "other.txt", rest.as_bytes());
    refused(train_files(&path, &other, &out, false, &settings(), &Silent), &["another vocabulary", "x.bin, row 1"]);
}

/// The words from the rarest on, each once, with counts of 1.
trait Reversed {
    fn rev_words(self) -> String;
}

impl<'a, I: Iterator<Item = &'a str>> Reversed for I {
    fn rev_words(self) -> String {
        let words: Vec<&str> = self.collect();
        words.iter().rev().map(|word| format!("{word} 1\n")).collect()
    }
}

#[test]
fn shuffling_keeps_every_record_and_its_bytes_whatever_the_threads() {
    let temp = tempfile::tempdir().unwrap();
    let (path, _) = prepared(temp.path());
    let mut all = Vec::new();
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let out = temp.path().join(format!("{threads}.bin"));
        pool.install(|| shuffle(&path, None, &out, false, &settings(), &Silent)).unwrap();
        all.push(fs::read(&out).unwrap());
    }
    assert!(all.iter().all(|bytes| *bytes == all[0]));
    assert_ne!(all[0], fs::read(&path).unwrap());
    assert_eq!(records(&temp.path().join("1.bin")), records(&path));
}

#[test]
fn training_ends_the_same_whatever_the_threads_and_after_a_stop() {
    let temp = tempfile::tempdir().unwrap();
    let (path, words) = prepared(temp.path());
    let settings = Glove { binary: true, save_gradsq: true, checkpoint_seconds: 0, ..settings() };
    let files = ["vectors.txt", "vectors.bin", "gradsq.txt", "gradsq.bin", "vocab.txt"];
    let read = |out: &Path| files.map(|name| fs::read(out.join(name)).unwrap());
    let mut all = Vec::new();
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let out = temp.path().join(format!("{threads}"));
        let summary = pool.install(|| train_files(&path, &words, &out, false, &settings, &Silent)).unwrap();
        assert!(summary.costs.windows(2).all(|two| two[1] < two[0]), "{:?}", summary.costs);
        all.push(read(&out));
    }
    let out = temp.path().join("stopped");
    for most in 1..4 {
        let hearing = Hearing { most: Some(most), ..Hearing::default() };
        let stopped = train_files(&path, &words, &out, false, &settings, &hearing);
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
        assert!(!out.exists());
    }
    // Others than those that were begun with are refused.
    let other = Glove { eta: 0.1, ..settings.clone() };
    refused(
        train_files(&path, &words, &out, false, &other, &Silent),
        &["settings or the data were others", "state.bin"],
    );
    train_files(&path, &words, &out, false, &settings, &Silent).unwrap();
    all.push(read(&out));
    assert!(all.iter().all(|files| *files == all[0]));
    assert!(!temp.path().join("stopped.unfinished").exists());
    refused(train_files(&path, &words, &out, false, &settings, &Silent), &["exists already", "--force"]);
    train_files(&path, &words, &out, true, &settings, &Silent).unwrap();
}

#[test]
fn models_are_what_the_c_tool_calls_so() {
    let temp = tempfile::tempdir().unwrap();
    let (path, words) = prepared(temp.path());
    let vectors = |model: GloveModel| {
        let out = temp.path().join(format!("{model:?}"));
        let settings = Glove { model, write_header: true, ..settings() };
        train_files(&path, &words, &out, false, &settings, &Silent).unwrap();
        let text = fs::read_to_string(out.join("vectors.txt")).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(1)
            .map(|line| line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect())
            .collect();
        assert!(text.lines().last().unwrap().starts_with("<unk> "));
        let header = text.lines().next().unwrap();
        assert_eq!(header, format!("{} {}", rows.len(), rows[0].len()), "the header counts <unk>");
        rows
    };
    let (all, word) = (vectors(GloveModel::All), vectors(GloveModel::Word));
    let (sum, both) = (vectors(GloveModel::Sum), vectors(GloveModel::Both));
    for row in 0..all.len() {
        assert_eq!((all[row].len(), word[row].len(), sum[row].len(), both[row].len()), (14, 6, 6, 12));
        assert_eq!(all[row][..6], word[row]);
        assert_eq!(all[row][..6], both[row][..6]);
        assert_eq!(all[row][7..13], both[row][6..]);
        for column in 0..6 {
            assert!((both[row][column] + both[row][column + 6] - sum[row][column]).abs() < 2.1e-6);
        }
    }
    let rarest = &word[word.len() - 101..word.len() - 1];
    let mean: f64 = rarest.iter().map(|row| row[2]).sum::<f64>() / 100.0;
    assert!((word[word.len() - 1][2] - mean).abs() < 2e-6);
}

#[test]
fn a_training_that_diverges_says_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    let (path, words) = prepared(temp.path());
    let settings = Glove { eta: 1e30, bias_eta: 1e30, grad_clip: 1e30, ..settings() };
    let result = train_files(&path, &words, &temp.path().join("out"), false, &settings, &Silent);
    assert!(matches!(result, Err(Error::Training(_))));
    refused(result, &["diverged", "lower --eta", "epoch 1"]);
}

#[test]
fn two_at_once_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let (path, words) = prepared(temp.path());
    let out = temp.path().join("out");
    let held = crate::files::Lock::of_unfinished(&temp.path().join("out.unfinished")).unwrap();
    refused(
        train_files(&path, &words, &out, false, &settings(), &Silent),
        &["another process is working on this output"],
    );
    drop(held);
    train_files(&path, &words, &out, false, &settings(), &Silent).unwrap();
}

#[test]
fn the_pipeline_goes_on_after_a_stop_and_keeps_what_is_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    let corpus = file(temp.path(), "c.txt", text(20_000).as_bytes());
    let settings = Glove { corpus: vec![corpus.clone()], checkpoint_seconds: 0, keep_cooccurrence: true, ..settings() };
    let whole = temp.path().join("whole");
    let summary = run(&whole, false, &settings, &Silent).unwrap();
    assert_eq!((summary.tokens, summary.costs.len()), (20_000, 4));
    let out = temp.path().join("out");
    let hearing = Hearing { most: Some(2), ..Hearing::default() };
    assert!(matches!(run(&out, false, &settings, &hearing), Err(Error::Interrupted)));
    let hearing = Hearing::default();
    run(&out, false, &settings, &hearing).unwrap();
    let said = hearing.said.lock().unwrap().join("\n");
    assert!(said.contains("the vocabulary is there already") && said.contains("going on after epoch 2 of 4"), "{said}");
    for name in ["vectors.txt", "vocab.txt", "cooccurrence.bin"] {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(whole.join(name)).unwrap(), "{name}");
    }
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("glove.json")).unwrap()).unwrap();
    assert_eq!(report["settings"]["window-size"], 4);
    assert_eq!(report["costs"].as_array().unwrap().len(), 4);
    assert!(!temp.path().join("out.unfinished").exists());
    refused(run(temp.path(), true, &settings, &Silent), &["output"]);
}

#[test]
fn what_a_run_left_of_its_work_behind_complete_vectors_is_removed_and_told() {
    let temp = tempfile::tempdir().unwrap();
    let (path, words) = prepared(temp.path());
    let (out, work) = (temp.path().join("out"), temp.path().join("out.unfinished"));
    let train = |settings: &Glove, observer: &Hearing| train_files(&path, &words, &out, false, settings, observer);
    // All epochs are done and the state is written, and the process ends there.
    let hearing = Hearing { most: Some(4), ..Hearing::default() };
    assert!(matches!(train(&settings(), &hearing), Err(Error::Interrupted)));
    let kept = temp.path().join("kept");
    fs::rename(&work, &kept).unwrap();
    train(&settings(), &Hearing::default()).unwrap();
    let vectors = fs::read(out.join("vectors.txt")).unwrap();

    // As after a kill while the work was being removed.
    fs::create_dir(temp.path().join(".out.unfinished.partial-0123456789abcdef")).unwrap();
    let copy = || {
        fs::create_dir(&work).unwrap();
        for entry in fs::read_dir(&kept).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), work.join(entry.file_name())).unwrap();
        }
    };
    copy();
    // Of other settings, or not at its end: it stays.
    let other = Glove { iter: 5, ..settings() };
    refused(train(&other, &Hearing::default()), &["exists already"]);
    assert!(work.join("state.bin").exists());
    // Somebody is at it.
    let held = crate::files::Lock::of_unfinished(&work).unwrap();
    refused(train(&settings(), &Hearing::default()), &["another process is working on this output"]);
    drop(held);
    let hearing = Hearing::default();
    refused(train(&settings(), &hearing), &["exists already"]);
    let said = hearing.said.lock().unwrap().join("\n");
    assert!(said.contains("the vectors are complete") && said.contains("out.unfinished"), "{said}");
    assert!(!work.exists() && !temp.path().join(".out.unfinished.partial-0123456789abcdef").exists());
    assert_eq!(fs::read(out.join("vectors.txt")).unwrap(), vectors);

    // Work that is not what led to these vectors is somebody's.
    let hearing = Hearing { most: Some(2), ..Hearing::default() };
    let again = train_files(&path, &words, &out, true, &settings(), &hearing);
    assert!(matches!(again, Err(Error::Interrupted)));
    refused(train(&settings(), &Hearing::default()), &["exists already"]);
    assert!(work.join("state.bin").exists());
}

#[test]
fn adapted_vectors_stay_near_as_they_are_pulled_and_absent_words_stay() {
    let temp = tempfile::tempdir().unwrap();
    let corpus = file(temp.path(), "c.txt", text(20_000).as_bytes());
    let settings = Glove { corpus: vec![corpus], iter: 8, ..settings() };
    run(&temp.path().join("base"), false, &settings, &Silent).unwrap();
    let mut words = vec!["absent".to_owned()];
    let mut values = vec![0.5, -0.25, 0.125, 0.0, 1.0, 2.0];
    let text = fs::read_to_string(temp.path().join("base/vectors.txt")).unwrap();
    for line in text.lines().take(150) {
        let mut parts = line.split(' ');
        words.push(parts.next().unwrap().to_owned());
        values.extend(parts.map(|number| number.parse::<f32>().unwrap() + 0.3));
    }
    let base = crate::bases::text::WordVectors::new(words.clone(), 6, values.clone()).unwrap();
    let moved = |pull: f64| {
        let out = temp.path().join(format!("adapted{pull}"));
        adapt(&base, &out, false, &Glove { pull, ..settings.clone() }, &Silent).unwrap();
        let text = fs::read_to_string(out.join("vectors.txt")).unwrap();
        let row = |word: &str| -> Vec<f32> {
            let line = text.lines().find(|line| line.split(' ').next() == Some(word)).unwrap();
            line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect()
        };
        assert_eq!(row("absent"), &values[..6]);
        assert!(text.lines().last().unwrap().starts_with("<unk>"));
        let distance = |at: usize| -> f32 {
            row(&words[at]).iter().zip(&values[at * 6..]).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
        };
        (1..words.len()).map(distance).sum::<f32>() / 150.0
    };
    let (free, weak, strong) = (moved(0.0), moved(1.0), moved(100.0));
    assert!(strong < weak && weak < free && strong < free / 2.0, "{free} {weak} {strong}");
    let other = crate::bases::text::WordVectors::new(vec!["nobody".into()], 2, vec![1.0, 2.0]).unwrap();
    refused(adapt(&other, &temp.path().join("o"), false, &settings, &Silent), &["no word of the corpus has a vector"]);
}
