//! Sums that do not fit in memory, and disks that do not take them.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::progress::{CurvePoint, Silent};

/// A text of several pieces whose pairs are many: words are drawn evenly.
fn prepared(folder: &Path) -> (Corpus, Vocabulary, Glove) {
    let mut state = 11_u64;
    let text: String = (0..900_000)
        .map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("w{}{}", (state >> 33) % 400, if at % 23 == 22 { '\n' } else { ' ' })
        })
        .collect();
    let path = folder.join("c.txt");
    fs::write(&path, text).unwrap();
    let settings = Glove { min_count: 1, window_size: 3, memory: Glove::LEAST_MEMORY, ..Glove::default() };
    let corpus = Corpus::find(&[path], &Silent).unwrap();
    let vocabulary = Vocabulary::count(&corpus, &settings, &Silent).unwrap().vocabulary;
    (corpus, vocabulary, settings)
}

/// A plan that keeps nothing in memory: whatever was collected goes to disk, a run for each piece of the corpus.
fn tiny(vocabulary: &Vocabulary, settings: &Glove, most_spills: usize) -> Plan {
    let plan = Plan::new(vocabulary, settings).unwrap();
    Plan { dense: 0, room: 1, kept: 0, merging: 1 << 16, most_spills, ..plan }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn sums_on_disk_that_are_joined_many_times_are_the_same_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let (corpus, vocabulary, settings) = prepared(temp.path());
    for symmetric in [true, false] {
        let settings = Glove { symmetric, ..settings.clone() };
        let whole = temp.path().join("whole.bin");
        let counted = count(&corpus, &vocabulary, &whole, true, &settings, &Silent).unwrap();
        for (most_spills, threads) in [(2, 2), (3, 1), (200, 3)] {
            let plan = tiny(&vocabulary, &settings, most_spills);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let out = temp.path().join("out.bin");
            let mut bytes = Vec::new();
            pool.install(|| {
                let mut counting = Counting::new(&plan, &vocabulary, &out);
                counting.sums = sums(&plan, &mut []);
                corpus.read("", &Silent, |pieces| counting.add(&corpus, pieces)).unwrap();
                counting.add_up().unwrap();
                let runs = counting.begun;
                assert!(runs >= 7, "{runs} runs");
                assert!(counting.spills.len() <= most_spills);
                assert_eq!(counting.spills.len() < runs, most_spills < 200, "joined, and more than once");
                // What was joined is gone.
                let folder = counting.scratch.as_ref().unwrap().folder().to_owned();
                assert_eq!(names(&folder).len(), counting.spills.len());
                let write = |part: &[u8]| {
                    bytes.extend_from_slice(part);
                    Ok(())
                };
                assert_eq!(counting.write(&Silent, write).unwrap(), counted.records);
            });
            assert!(bytes == fs::read(&whole).unwrap(), "symmetric {symmetric}, at most {most_spills} runs");
            assert_eq!(names(temp.path()), ["c.txt", "whole.bin"]);
        }
    }
}

/// Puts folders where the next runs on disk would be, as soon as the first of them is there.
struct InTheWay(PathBuf);

impl Observer for InTheWay {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {
        for name in names(&self.0).iter().filter(|name| name.contains(".partial-")) {
            let folder = self.0.join(name);
            if folder.join("run-1").exists() {
                (2..9).for_each(|at| fs::create_dir_all(folder.join(format!("run-{at}"))).unwrap_or_default());
            }
        }
    }
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn curve(&self, _: &str, _: &[CurvePoint]) {}
    fn interrupted(&self) -> bool {
        false
    }
}

#[test]
fn a_run_that_cannot_be_written_leaves_what_was_there_and_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let (corpus, vocabulary, settings) = prepared(temp.path());
    let out = temp.path().join("out.bin");
    fs::write(&out, b"before").unwrap();
    let plan = tiny(&vocabulary, &settings, 200);
    let in_the_way = InTheWay(temp.path().to_owned());
    let failed = count_by(&plan, &corpus, &vocabulary, &out, true, &in_the_way).unwrap_err();
    assert!(matches!(failed, Error::Output(_)), "{failed:?}");
    let text = failed.to_string();
    assert!(text.contains(".out.bin.partial-") && text.contains("/run-"), "{text}");
    assert_eq!(fs::read(&out).unwrap(), b"before");
    assert_eq!(names(temp.path()), ["c.txt", "out.bin"]);
}

#[test]
fn an_error_in_the_middle_of_the_records_is_handed_on() {
    let temp = tempfile::tempdir().unwrap();
    let (corpus, vocabulary, settings) = prepared(temp.path());
    let out = temp.path().join("out.bin");
    let plan = tiny(&vocabulary, &settings, 3);
    let mut counting = Counting::new(&plan, &vocabulary, &out);
    counting.sums = sums(&plan, &mut []);
    corpus.read("", &Silent, |pieces| counting.add(&corpus, pieces)).unwrap();
    counting.add_up().unwrap();
    let mut parts = 0;
    let failed = counting.write(&Silent, |_| {
        parts += 1;
        let full = || Error::write(&out, &std::io::ErrorKind::StorageFull.into());
        if parts < 3 { Ok(()) } else { Err(full()) }
    });
    let failed = failed.unwrap_err();
    assert!(matches!(failed, Error::Output(_)) && failed.to_string().contains("no space left to write"), "{failed}");
    drop(counting);
    assert_eq!(names(temp.path()), ["c.txt"]);
}
