//! Scores beside sacrebleu's (tests/fixtures/translation_scores.py).

use serde::Deserialize;

use super::*;
use crate::metrics::{BleuTokeniser, Smoothing};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    sentences: Vec<String>,
    tokens: std::collections::BTreeMap<String, Vec<Vec<String>>>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    hypotheses: Vec<String>,
    references: Vec<Vec<String>>,
    bleu: Vec<Scored>,
    chrf: Vec<Scored>,
}

#[derive(Deserialize)]
struct Scored {
    settings: serde_json::Map<String, serde_json::Value>,
    score: f64,
    line: String,
    line4: String,
    #[serde(default)]
    precisions: Vec<f64>,
    sentences: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/fixtures/translation_scores.json")).unwrap()
}

/// sacrebleu's names of settings as ours.
fn ours(settings: &serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
    let name = |name: &str| match name {
        "tokenize" => "tokeniser".to_owned(),
        "smooth_method" => "smoothing".to_owned(),
        name => name.to_owned(),
    };
    settings.iter().map(|(key, value)| (name(key), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

/// A line as sacrebleu prints it, but for the version.
fn versionless(line: &str) -> String {
    let (before, after) = line.split_once("version:").unwrap();
    let (_, after) = after.split_once(' ').unwrap();
    format!("{before}version {after}")
}

fn by_sentence(case: &Case) -> Vec<Vec<String>> {
    (0..case.hypotheses.len()).map(|at| case.references.iter().map(|lines| lines[at].clone()).collect()).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-10
}

#[test]
fn tokens_are_those_of_sacrebleu() {
    let golden = golden();
    for (name, lines) in &golden.tokens {
        let tokeniser: BleuTokeniser = serde_json::from_value(name.as_str().into()).unwrap();
        for (sentence, tokens) in golden.sentences.iter().zip(lines) {
            assert_eq!(&tokeniser.tokens(sentence), tokens, "{name}: {sentence:?}");
        }
    }
}

#[test]
fn scores_digits_and_signatures_are_those_of_sacrebleu() {
    let mut checked = 0;
    for case in golden().cases {
        let references = by_sentence(&case);
        let bleu = case.bleu.iter().map(|row| {
            let settings: BleuSettings = serde_json::from_value(ours(&row.settings)).unwrap();
            (row, TranslationMetric::Bleu(settings))
        });
        let chrf = case.chrf.iter().map(|row| {
            let settings: ChrfSettings = serde_json::from_value(ours(&row.settings)).unwrap();
            (row, TranslationMetric::Chrf(settings))
        });
        for (row, metric) in bleu.chain(chrf) {
            let statistics = TranslationStatistics::of(metric, &case.hypotheses, &references).unwrap();
            let place = format!("{} {}", case.name, row.line);
            assert_eq!(versionless(&statistics.line(2)), versionless(&row.line));
            assert_eq!(versionless(&statistics.line(4)), versionless(&row.line4));
            assert!(close(statistics.score(), row.score), "{place}: {}", statistics.score());
            if let Some(bleu) = statistics.bleu() {
                assert!(bleu.precisions.iter().zip(&row.precisions).all(|(&a, &b)| close(a, b)), "{place}");
            }
            let sentences = statistics.sentence_scores();
            assert_eq!(sentences.len(), row.sentences.len());
            for (at, (&a, &b)) in sentences.iter().zip(&row.sentences).enumerate() {
                assert!(close(a, b), "{place}: sentence {at}: {a} instead of {b}");
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 7 * (12 + 7));
}

fn statistics(metric: TranslationMetric, hypotheses: &[&str], references: &[&str]) -> TranslationStatistics {
    let references: Vec<Vec<&str>> = references.iter().map(|&line| vec![line]).collect();
    TranslationStatistics::of(metric, hypotheses, &references).unwrap()
}

fn bleu() -> TranslationMetric {
    TranslationMetric::Bleu(BleuSettings::default())
}

/// Sentences, of which `wrong` of 10 have a word wrong.
fn system(sentences: usize, wrong: usize) -> (Vec<String>, Vec<Vec<String>>) {
    let reference = |at: usize| format!("the {at} cats sat on {} red mats in town", at % 13);
    let hypothesis = |at: usize| match (at * 7) % 10 < wrong {
        true => reference(at).replace("red", "green"),
        false => reference(at),
    };
    ((0..sentences).map(hypothesis).collect(), (0..sentences).map(|at| vec![reference(at)]).collect())
}

#[test]
fn a_difference_has_an_interval_and_p_values_that_do_not_depend_on_threads() {
    let of = |wrong| {
        let (hypotheses, references) = system(300, wrong);
        TranslationStatistics::of(bleu(), &hypotheses, &references).unwrap()
    };
    let run = |threads, a, b| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| of(a).compare(&of(b), 5, 500, 500).unwrap())
    };
    let better = run(1, 2, 6);
    assert_eq!(better, run(3, 2, 6));
    assert!(better.low > 0.0 && better.difference > 0.0 && better.p_bootstrap < 0.01, "{better:?}");
    assert!(better.p_randomisation.unwrap() < 0.01);
    let worse = run(2, 6, 2);
    assert!((worse.difference + better.difference).abs() < 1e-12 && worse.high < 0.0);
    assert_eq!((worse.p_bootstrap, worse.p_randomisation), (better.p_bootstrap, better.p_randomisation));
    // The same system: no difference exceeds the one that there is.
    let same = run(2, 3, 3);
    assert_eq!((same.difference, same.low, same.high), (0.0, 0.0, 0.0));
    assert_eq!((same.p_bootstrap, same.p_randomisation), (1.0 / 501.0, Some(1.0 / 501.0)), "as sacrebleu has it");
    assert_eq!(of(2).paired(&of(6), 5).unwrap().verdict, "positive transfer");
}

#[test]
fn exchanging_sentences_keeps_the_sum_of_both_systems() {
    // By hand: two sentences, four ways to exchange, of which two leave the difference and two change it.
    let a = statistics(bleu(), &["a b c d e", "v w x y z"], &["a b c d e", "a b c d e"]);
    let b = statistics(bleu(), &["v w x y z", "a b c d e"], &["a b c d e", "a b c d e"]);
    let drawn = a.exchanged(&b, 1, 400);
    let whole = statistics(bleu(), &["a b c d e", "a b c d e"], &["a b c d e", "a b c d e"]).score();
    let half = drawn.iter().filter(|&&difference| difference == 0.0).count();
    assert!(drawn.iter().all(|&difference| difference == 0.0 || (difference - whole).abs() < 1e-9));
    assert!((140..260).contains(&half), "{half}");
}

#[test]
fn an_interval_holds_the_score_and_says_how_it_was_made() {
    let (hypotheses, references) = system(200, 3);
    let score = TranslationStatistics::of(bleu(), &hypotheses, &references).unwrap().evaluate(3).unwrap();
    let Estimate { mean, low, high, n, how } = &score.estimate;
    assert!(low < mean && mean < high && high - low < 12.0 && *n == 200, "{score:?}");
    assert!(how.contains("percentile bootstrap") && score.line.starts_with("BLEU|nrefs:1|case:mixed|eff:no|tok:13a"));
    let few = statistics(bleu(), &["a b c d"], &["a b c d"]).evaluate(3).unwrap();
    assert!(few.estimate.how.ends_with("of 1 sentences the interval is too short"));
    let written = serde_json::to_string(&score).unwrap();
    assert_eq!(serde_json::from_str::<TranslationScore>(&written).unwrap(), score);
}

#[test]
fn what_is_wrong_is_refused() {
    let none: [&str; 0] = [];
    assert!(TranslationStatistics::of(bleu(), &none, &[]).unwrap().evaluate(1).is_err());
    assert!(TranslationStatistics::new(bleu(), 0).is_err());
    let odd = TranslationStatistics::of(bleu(), &["a", "b"], &[vec!["a"], vec!["b", "c"]]).unwrap_err().to_string();
    assert!(
        odd.contains("expected: 2 sentences, 1 references each") && odd.contains("found: 2 sentences, 2 ref"),
        "{odd}"
    );
    let (a, b) = (statistics(bleu(), &["a", "b"], &["a", "b"]), statistics(bleu(), &["a"], &["a"]));
    assert!(a.compare(&b, 1, 10, 0).unwrap_err().to_string().contains("found: 2 and 1"));
    assert!(a.compare(&a, 1, 0, 0).is_err() && a.compare(&a, 1, 10, 2_000_000).is_err());
    let chrf = statistics(TranslationMetric::Chrf(ChrfSettings::default()), &["a", "b"], &["a", "b"]);
    assert!(matches!(a.compare(&chrf, 1, 10, 0), Err(Error::Usage(_))));
    let smoothed = |smoothing, value| BleuSettings { smoothing, smooth_value: Some(value), ..BleuSettings::default() };
    assert!(smoothed(Smoothing::Floor, 0.2).check().is_ok() && smoothed(Smoothing::Exp, 0.2).check().is_err());
    assert!(smoothed(Smoothing::AddK, f64::NAN).check().is_err() && smoothed(Smoothing::AddK, 0.0).check().is_err());
    for (characters, words, beta) in [(0, 0, 2), (7, 0, 2), (6, 5, 2), (6, 0, 0), (6, 0, 11)] {
        let settings = ChrfSettings { char_order: characters, word_order: words, beta, ..ChrfSettings::default() };
        assert!(settings.check().is_err());
    }
}
