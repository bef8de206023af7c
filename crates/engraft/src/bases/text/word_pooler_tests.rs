use std::path::Path;

use super::*;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/word_vectors")
}

fn vectors() -> WordVectors {
    WordVectors::open(&fixtures().join("gensim.bin")).unwrap()
}

fn single(text: &str) -> Text {
    Text { first: text.into(), second: None }
}

fn texts_of(value: &serde_json::Value) -> Vec<Text> {
    value.as_array().unwrap().iter().map(|text| single(text.as_str().unwrap())).collect()
}

// The numbers are numpy's: tests/fixtures/word_vectors.py.
#[test]
fn pooling_is_that_of_numpy() {
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixtures().join("pooling.json")).unwrap()).unwrap();
    let (vectors, texts, later) = (vectors(), texts_of(&expected["texts"]), texts_of(&expected["later"]));
    let measured: Vec<&Text> = texts.iter().collect();
    for (pooling, name) in [(WordPooling::Mean, "mean"), (WordPooling::Idf, "idf"), (WordPooling::Sif, "sif")] {
        let pooler = vectors.pooler(&measured, pooling);
        // As a run's folder keeps it.
        let pooler: WordPooler = serde_json::from_str(&serde_json::to_string(&pooler).unwrap()).unwrap();
        for (text, expected) in texts.iter().chain(&later).zip(expected[name].as_array().unwrap()) {
            let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            let scale = expected.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
            for (found, expected) in pooler.embed(&vectors, text).iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-6 * scale, "{name} of {text:?}: {found} against {expected}");
            }
        }
    }
}

#[test]
fn a_pair_is_both_and_how_they_differ() {
    let vectors = WordVectors::new(vec!["a".into(), "b".into()], 2, vec![1.0, 2.0, 3.0, -1.0]).unwrap();
    let pair = Text { first: "a".into(), second: Some("b".into()) };
    let pooler = vectors.pooler(&[&pair], WordPooling::Mean);
    let found = pooler.embed(&vectors, &pair);
    assert_eq!(found, [1.0, 2.0, 3.0, -1.0, 2.0, 3.0, 3.0, -2.0]);
    assert_eq!((pooler.columns(&vectors, true), pooler.columns(&vectors, false)), (8, 2));
}

#[test]
fn a_restricted_vocabulary_weighs_as_the_whole_one() {
    let vectors = vectors();
    let texts = ["the film was good", "the film was bad"].map(single);
    let pooler = vectors.pooler(&texts.iter().collect::<Vec<_>>(), WordPooling::Sif);
    let some = vectors.restrict(["film", "good", "très"]).unwrap();
    // "très" is in none of the texts: its weight is by its rank, which it keeps.
    let text = single("très good film");
    assert_eq!(pooler.embed(&some, &text), pooler.embed(&vectors, &text));
}

#[test]
fn threads_do_not_change_a_bit() {
    let vectors = vectors();
    let texts: Vec<Text> =
        (0..200).map(|i| single(["the film", "was good", "bad was the good", "très"][i % 4])).collect();
    let texts: Vec<&Text> = texts.iter().collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| serde_json::to_string(&vectors.pooler(&texts, WordPooling::Sif)).unwrap())
    };
    assert!(run(1) == run(3));
}

#[test]
fn texts_without_a_known_word_are_zeros() {
    let vectors = vectors();
    let text = single("plugh");
    for pooling in [WordPooling::Mean, WordPooling::Idf, WordPooling::Sif] {
        for texts in [vec![], vec![&text]] {
            assert_eq!(vectors.pooler(&texts, pooling).embed(&vectors, &text), [0.0; 5]);
        }
    }
}
