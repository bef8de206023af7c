use std::collections::BTreeMap;

use super::*;
use crate::data::pairs::real_data::tatoeba;
use crate::metrics::{BleuSettings, BleuTokeniser, ChrfSettings};
use crate::progress::Silent;

fn request(folder: &Path, translations: &str, references: &[&str]) -> ScoreRequest {
    ScoreRequest {
        translations: folder.join(translations),
        references: references.iter().map(|name| folder.join(name)).collect(),
        against: None,
        metrics: vec![
            TranslationMetric::Bleu(BleuSettings::default()),
            TranslationMetric::Chrf(ChrfSettings::default()),
        ],
        seed: 1,
        resamples: 200,
        trials: 200,
        sentences: false,
    }
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(temp.path().join(name), bytes).unwrap();
    }
    temp
}

#[test]
fn files_are_scored_and_compared() {
    let lines = |wrong: usize| -> String {
        (0..5000).map(|at| format!("one {} two three {at} four\n", if at % 10 < wrong { "x" } else { "y" })).collect()
    };
    let temp = folder(&[
        ("out.txt", lines(3).as_bytes()),
        ("other.txt", lines(5).as_bytes()),
        ("ref.en", lines(0).as_bytes()),
        ("ref2.en", lines(0).replace("four", "vier").as_bytes()),
    ]);
    let mut request = request(temp.path(), "out.txt", &["ref.en", "ref2.en"]);
    let alone = score_files(&request, &Silent).unwrap();
    assert!(alone.comparisons.is_empty() && alone.scores_against.is_empty() && alone.lines == 5000);
    assert!(alone.scores[0].line.starts_with("BLEU|nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:engraft-"));
    assert!(alone.scores[1].line.starts_with("chrF2|nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|version:engraft-"));
    (request.against, request.sentences) = (Some(temp.path().join("other.txt")), true);
    let both = score_files(&request, &Silent).unwrap();
    assert_eq!(both.scores, alone.scores);
    for (at, comparison) in both.comparisons.iter().enumerate() {
        assert!(comparison.low > 0.0 && comparison.p_bootstrap < 0.05, "{comparison:?}");
        assert_eq!(comparison.against, both.scores_against[at].estimate.mean);
        assert_eq!(both.sentence_scores[at].len(), 5000);
    }
    assert_eq!(serde_json::from_str::<ScoreReport>(&serde_json::to_string(&both).unwrap()).unwrap(), both);
}

#[test]
fn marks_carriage_returns_and_empty_lines_are_no_trouble() {
    let plain =
        folder(&[("out", b"The cat sat.\n\nIt is \xc3\xa9.\n"), ("ref", b"The cat sat.\nGone\nIt is \xc3\xa9.\n")]);
    let odd = folder(&[
        ("out", b"\xef\xbb\xbfThe cat sat. \r\n\r\nIt is \xc3\xa9.\r\n"),
        ("ref", b"The cat sat.\nGone\nIt is \xc3\xa9."),
    ]);
    let score = |folder: &tempfile::TempDir| score_files(&request(folder.path(), "out", &["ref"]), &Silent).unwrap();
    let (plain, odd) = (score(&plain), score(&odd));
    assert_eq!(plain.scores, odd.scores);
    assert_eq!((odd.lines, odd.empty_translations, odd.empty_references), (3, 1, 0));
    assert!(odd.remarks[0].starts_with("empty translations: 1 of 3"), "{:?}", odd.remarks);
    let dots = folder(&[("out", "a b .\n".repeat(100).as_bytes()), ("ref", "a b.\n".repeat(100).as_bytes())]);
    let dots = score(&dots);
    assert!(dots.remarks.iter().any(|remark| remark.contains("look tokenised")), "{:?}", dots.remarks);
}

#[test]
fn what_does_not_match_is_refused_with_both_counts() {
    let temp = folder(&[
        ("out", "a\n".repeat(5).as_bytes()),
        ("ref", "a\n".repeat(3000).as_bytes()),
        ("bad", b"a\na\na\xff\na\na\n"),
        ("none", b""),
    ]);
    let refused = |translations: &str, references: &[&str]| {
        score_files(&request(temp.path(), translations, references), &Silent).unwrap_err().to_string()
    };
    let told = refused("out", &["ref"]);
    assert!(told.contains("found: lines: 5 in") && told.contains(", 3000 in"), "{told}");
    assert!(refused("ref", &["ref", "out"]).contains("found: lines: 3000 in"));
    assert!(refused("out", &["none"]).contains(", 0 in"));
    let told = refused("bad", &["out"]);
    assert!(told.contains("not UTF-8") && told.contains("bad, line 3"), "{told}");
    assert!(refused("none", &["none"]).contains("nothing to score"));
    assert!(refused("gone", &["ref"]).contains("nothing at this path"));
    assert!(refused("out", &[]).contains("number of references"));
    let mut none = request(temp.path(), "out", &["out"]);
    none.metrics.clear();
    assert!(matches!(score_files(&none, &Silent), Err(Error::Usage(_))));
}

#[derive(Deserialize)]
struct Golden {
    real: Vec<Real>,
}

#[derive(Deserialize)]
struct Real {
    archive: String,
    member: String,
    column: usize,
    bleu: BTreeMap<String, Line>,
    chrf: BTreeMap<usize, Line>,
    sentences: f64,
    paired: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct Line {
    score: f64,
    line: String,
}

/// What makes translations of references, as in tests/fixtures/translation_scores.py.
fn worsened(sentences: &[String], step: usize) -> Vec<String> {
    let worse = |(at, sentence): (usize, &String)| {
        let mut words: Vec<String> = sentence.split(' ').map(str::to_owned).collect();
        if at % 3 == 0 && words.len() > 1 {
            words.remove((at / 3) % words.len());
        }
        if at % 5 < step && words.len() > 1 {
            words.swap(0, 1);
        }
        if at % 7 == 0 {
            words = sentences[(at + 1) % sentences.len()].split(' ').map(str::to_owned).collect();
        }
        if at % 11 == step {
            words = words.iter().map(|word| word.to_lowercase()).collect();
        }
        words.join(" ")
    };
    sentences.iter().enumerate().map(worse).collect()
}

/// A line without the version, which is ours.
fn versionless(line: &str) -> (&str, &str) {
    let (before, after) = line.split_once("version:").unwrap();
    (before, after.split_once(' ').unwrap().1)
}

/// A thousand sentences each of English, German and Swedish.
#[test]
fn a_thousand_real_sentences_have_the_digits_of_sacrebleu() {
    let golden = include_str!("../../tests/fixtures/translation_scores.json");
    let golden: Golden = serde_json::from_str(golden).unwrap();
    assert_eq!(golden.real.len(), 3);
    for real in golden.real {
        let Some((temp, table)) = tatoeba(&real.archive, &real.member) else { return };
        let table = std::fs::read_to_string(table).unwrap();
        let column: Vec<&str> = table
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| line.split('\t').nth(real.column).unwrap())
            .collect();
        let step = column.len() / 1000;
        let references: Vec<String> = (0..1000).map(|at| column[at * step].to_owned()).collect();
        let (one, other) = (worsened(&references, 1), worsened(&references, 2));
        let third: Vec<&String> = (0..1000).map(|at| if at % 40 == 0 { &other[at] } else { &one[at] }).collect();
        let write = |name: &str, lines: Vec<&str>| std::fs::write(temp.path().join(name), lines.join("\n")).unwrap();
        write("ref", references.iter().map(String::as_str).collect());
        write("one", one.iter().map(String::as_str).collect());
        write("third", third.iter().map(|line| line.as_str()).collect());

        let mut request = request(temp.path(), "one", &["ref"]);
        (request.against, request.sentences) = (Some(temp.path().join("third")), true);
        (request.resamples, request.trials) = (4000, 4000);
        let of_tokeniser = |name: &String| {
            let tokeniser: BleuTokeniser = serde_json::from_value(name.as_str().into()).unwrap();
            TranslationMetric::Bleu(BleuSettings { tokeniser, ..BleuSettings::default() })
        };
        let of_words =
            |&word_order: &usize| TranslationMetric::Chrf(ChrfSettings { word_order, ..ChrfSettings::default() });
        request.metrics = real.bleu.keys().map(of_tokeniser).chain(real.chrf.keys().map(of_words)).collect();
        let report = score_files(&request, &Silent).unwrap();
        for (score, golden) in report.scores.iter().zip(real.bleu.values().chain(real.chrf.values())) {
            assert_eq!(versionless(&score.line), versionless(&golden.line));
            assert!((score.estimate.mean - golden.score).abs() < 1e-10, "{} {}", score.estimate.mean, golden.line);
        }
        let place = |wanted: TranslationMetric| request.metrics.iter().position(|metric| *metric == wanted).unwrap();
        let bleu = place(TranslationMetric::Bleu(BleuSettings::default()));
        let chrf = place(TranslationMetric::Chrf(ChrfSettings::default()));
        assert!((report.sentence_scores[bleu].iter().sum::<f64>() - real.sentences).abs() < 1e-6);
        for (at, name) in [(bleu, "BLEU"), (chrf, "chrF2")] {
            let comparison = &report.comparisons[at];
            for (ours, theirs) in [
                (comparison.p_bootstrap, real.paired["bs"][name]),
                (comparison.p_randomisation.unwrap(), real.paired["ar"][name]),
            ] {
                // Five standard deviations of the difference of two proportions of 4,000 and of 10,000 draws.
                let error = 5.0 * (theirs * (1.0 - theirs) * (1.0 / 4000.0 + 1.0 / 10_000.0)).sqrt();
                assert!((ours - theirs).abs() < error, "{name}: {ours} instead of {theirs}, within {error}");
            }
        }
    }
}
