use std::path::{Path, PathBuf};

use rand::RngExt;

use super::*;
use crate::glove::questions::Kind;
use crate::progress::Silent;
use crate::rng::rng;

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Random vectors of `words` words.
fn random(words: usize, columns: usize) -> WordVectors {
    let mut stream = rng(5, "test", 0);
    let values = (0..words * columns).map(|_| stream.random::<f32>() - 0.5).collect();
    WordVectors::new((0..words).map(|row| format!("w{row}")).collect(), columns, values).unwrap()
}

/// Answers one question by looking at every word in f64, as GloVe's `evaluate.py` and the equations have it.
fn by_hand(vectors: &WordVectors, question: [usize; 3], product: bool) -> usize {
    let rows: Vec<Vec<f64>> = (0..vectors.len()).map(|row| unit(vectors.at(row))).collect();
    let [a, b, c] = question;
    let cos = |x: usize, y: usize| rows[x].iter().zip(&rows[y]).map(|(x, y)| x * y).sum::<f64>();
    let half = |x: usize, y: usize| (1.0 + cos(x, y)) / 2.0;
    let score = |x: usize| match product {
        true => half(x, b) * half(x, c) / (half(x, a) + 1e-3),
        false => cos(x, b) - cos(x, a) + cos(x, c),
    };
    let others = (0..vectors.len()).filter(|x| !question.contains(x));
    others.reduce(|best, next| if score(next) > score(best) { next } else { best }).unwrap()
}

#[test]
fn both_answers_are_those_of_the_equations_and_of_any_number_of_threads() {
    // More than one block of words, and than one part of questions would be too slow by hand.
    let vectors = random(1500, 6);
    let mut stream = rng(6, "test", 0);
    let ask: Vec<[usize; 3]> = (0..60).map(|_| [0; 3].map(|_: usize| stream.random_range(0..1500))).collect();
    for product in [false, true] {
        let name = |row: usize| format!("w{row}");
        let questions: Vec<[String; 4]> = ask
            .iter()
            .map(|&[a, b, c]| [name(a), name(b), name(c), name(by_hand(&vectors, [a, b, c], product))])
            .collect();
        let kinds = [Kind { name: "random".into(), questions }];
        let answers = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| answer(&Unit::of(&vectors, 0), &kinds, &Silent).unwrap())
        };
        let one = answers(1);
        assert_eq!((one.all.asked, if product { one.all.mul } else { one.all.add }), (60, 60));
        assert_eq!(one, answers(3));
    }
}

#[test]
fn questions_are_left_out_and_counted() {
    let temp = tempfile::tempdir().unwrap();
    let text = "man 1 0 0\nwoman 1 1 0\nking 1 0 1\nqueen 1 1 1\nstone -1 0.5 -2\nnull 0 0 0\n<unk> 1 1 1\n";
    let vectors = written(temp.path(), "v.txt", text);
    let questions =
        ": royal\nMan King woman queen\nman king woman prince\nman null woman queen\n\n: gram1\nman woman king queen\n";
    let settings = EvaluateVectors {
        vectors,
        analogies: Some(written(temp.path(), "q.txt", questions)),
        similarity: Some(written(
            temp.path(),
            "s.csv",
            "a,b,rating\nman,woman,9\nking,queen,8\nman,stone,1\nking,stone,0\nman,prince,5\n",
        )),
        ..EvaluateVectors::default()
    };
    let found = evaluate(&settings, &Silent).unwrap();
    let analogies = found.analogies.unwrap();
    let royal = &analogies.kinds[0];
    assert_eq!(
        (royal.kind.as_str(), royal.syntactic, royal.total.questions, royal.total.asked),
        ("royal", false, 3, 1)
    );
    assert_eq!((analogies.all.add, analogies.syntactic.add, analogies.semantic.mul), (2, 1, 1));
    assert_eq!((analogies.unknown_words, analogies.unknown), (2, vec!["null".to_owned(), "prince".to_owned()]));
    let list = &found.similarity[0];
    assert_eq!((list.pairs, list.rated, list.unknown.as_slice()), (5, 4, &["prince".to_owned()][..]));
    assert!(list.spearman.as_ref().unwrap().mean > 0.7);
    assert!(found.notes.iter().any(|note| note.contains("1 words have vectors of zeros")), "{:?}", found.notes);
    // Without the last words some questions are not asked.
    let fewer = evaluate(&EvaluateVectors { most_frequent: 3, ..settings.clone() }, &Silent).unwrap();
    assert_eq!((fewer.candidates, fewer.analogies.unwrap().all.asked), (3, 0));
    let said = evaluate(&EvaluateVectors { neighbours_of: vec!["quen".into()], ..settings }, &Silent).unwrap_err();
    assert!(said.to_string().contains("did you mean `queen`?"));
}

#[test]
fn damaged_questions_and_lists_are_named_by_their_line() {
    let temp = tempfile::tempdir().unwrap();
    let vectors = written(temp.path(), "v.txt", "a 1 0\nb 0 1\n");
    let said = |analogies: Option<&[u8]>, similarity: Option<&[u8]>| {
        let file = |name: &str, bytes: Option<&[u8]>| {
            bytes.map(|bytes| {
                let path = temp.path().join(name);
                std::fs::write(&path, bytes).unwrap();
                path
            })
        };
        let (analogies, similarity) = (file("q.txt", analogies), file("s.txt", similarity));
        let settings =
            EvaluateVectors { vectors: vectors.clone(), analogies, similarity, ..EvaluateVectors::default() };
        evaluate(&settings, &Silent).unwrap_err().to_string()
    };
    for (bytes, found) in [
        (&b"a b c d\na b c\n"[..], "line 2 of the questions"),
        (b": only a kind\n", "no questions"),
        (b"a b c d\na \xff c d\n", "line 2"),
    ] {
        assert!(said(Some(bytes), None).contains(found), "{found}");
    }
    for (bytes, found) in [
        (&b"a\tb\t1\na\tb\tx\n"[..], "line 2 of the rated pairs"),
        (b"a b 1\na b\n", "line 2 of the rated pairs"),
        (b"a b nan\n", "no rated pairs"),
        (b"", "no rated pairs"),
    ] {
        assert!(said(None, Some(bytes)).contains(found), "{found}: {}", said(None, Some(bytes)));
    }
}

#[test]
fn a_relation_stands_above_its_floor_and_chance_does_not() {
    // Ten pairs with one offset and some noise, and ten without.
    let mut stream = rng(8, "test", 0);
    let mut values = Vec::new();
    let mut words = Vec::new();
    for pair in 0..20 {
        let base: Vec<f32> = (0..20).map(|_| stream.random::<f32>() - 0.5).collect();
        let moved: Vec<f32> = match pair < 10 {
            true => base.iter().enumerate().map(|(at, x)| x + if at < 3 { 0.4 } else { 0.02 }).collect(),
            false => (0..20).map(|_| stream.random::<f32>() - 0.5).collect(),
        };
        values.extend(base.into_iter().chain(moved));
        words.extend([format!("a{pair}"), format!("b{pair}")]);
    }
    let vectors = WordVectors::new(words, 20, values).unwrap();
    let kind = |pairs: std::ops::Range<usize>| Kind {
        name: "relation".into(),
        questions: pairs
            .clone()
            .map(|at| [format!("a{at}"), format!("b{at}"), format!("a{}", pairs.start), format!("b{}", pairs.start)])
            .collect(),
    };
    let unit_rows = Unit::of(&vectors, 0);
    let real = measure(&unit_rows, &kind(0..10), 99, 1).unwrap();
    assert!(
        real.pairs == 10 && real.consistency > 0.6 && real.consistency > real.floor_highest && real.p == 0.01,
        "{real:?}"
    );
    let chance = measure(&unit_rows, &kind(10..20), 99, 1).unwrap();
    assert!(chance.p > 0.05 && chance.consistency < 0.3, "{chance:?}");
    assert!(measure(&unit_rows, &kind(0..4), 99, 1).is_none());
}
