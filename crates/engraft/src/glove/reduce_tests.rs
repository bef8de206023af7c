//! Reductions beside scikit-learn, scipy and the published algorithm (tests/fixtures/word_vector_models.py).

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::progress::Silent;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/word_vectors").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("reduction.json")).unwrap()).unwrap()
}

fn table(value: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

fn vectors_of(rows: &[Vec<f64>]) -> WordVectors {
    let words = (0..rows.len()).map(|row| format!("w{row}")).collect();
    WordVectors::new(words, rows[0].len(), rows.iter().flatten().map(|x| *x as f32).collect()).unwrap()
}

fn far(vectors: &WordVectors, rows: &[Vec<f64>]) -> f64 {
    assert_eq!((vectors.len(), vectors.columns()), (rows.len(), rows[0].len()));
    let each = rows.iter().enumerate().flat_map(|(at, row)| row.iter().zip(vectors.at(at)));
    each.map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max)
}

#[test]
fn principal_axes_are_those_of_scikit_learn() {
    let expected = expected();
    let vectors = vectors_of(&table(&expected["rows"]));
    let settings = ReduceVectors { columns: 5, centre: true, ..ReduceVectors::default() };
    let (reduced, about) = reduce_vectors(&vectors, &settings).unwrap();
    assert!(far(&reduced, &table(&expected["pca"])) < 2e-6);
    let explained: Vec<f64> = expected["explained"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(about.explained.iter().zip(&explained).all(|(a, b)| (a - b).abs() < 1e-12));
    assert!(reduced.words().eq(vectors.words()));
}

#[test]
fn axes_about_zero_keep_inner_products() {
    let vectors = vectors_of(&table(&expected()["rows"]));
    let product = |vectors: &WordVectors, a: usize, b: usize| -> f64 {
        vectors.at(a).iter().zip(vectors.at(b)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let far = |columns: usize, centre: bool| {
        let settings = ReduceVectors { columns, centre, ..ReduceVectors::default() };
        let (reduced, _) = reduce_vectors(&vectors, &settings).unwrap();
        let pairs = (0..80).flat_map(|a| (0..80).map(move |b| (a, b)));
        pairs.map(|(a, b)| (product(&vectors, a, b) - product(&reduced, a, b)).powi(2)).sum::<f64>().sqrt()
    };
    assert!(far(8, false) < 1e-3, "all columns keep all: {}", far(8, false));
    assert!(far(3, false) < far(3, true));
}

#[test]
fn all_but_the_top_is_that_of_the_paper_without_its_columns_of_zeros() {
    let expected = expected();
    let vectors = vectors_of(&table(&expected["rows"]));
    let settings = ReduceVectors { columns: 5, method: Reduction::Ppa, remove: 1, ..ReduceVectors::default() };
    let (reduced, about) = reduce_vectors(&vectors, &settings).unwrap();
    // Signs are chosen by whole axes here, and by the reduced ones there.
    let published = table(&expected["ppa"]);
    let sign = |column: usize| {
        let product: f64 =
            (0..published.len()).map(|row| published[row][column] * f64::from(reduced.at(row)[column])).sum();
        product.signum()
    };
    let signed: Vec<Vec<f64>> =
        published.iter().map(|row| row.iter().enumerate().map(|(at, x)| x * sign(at)).collect()).collect();
    assert!(far(&reduced, &signed) < 2e-6, "{}", far(&reduced, &signed));
    assert_eq!(about.removed.len(), 2);
    let said = reduce_vectors(&vectors, &ReduceVectors { columns: 7, ..settings }).unwrap_err().to_string();
    assert!(said.contains("1 to 6") && said.contains("found: 7"), "{said}");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let rows: Vec<Vec<f64>> = (0..40_000usize)
        .map(|row| (0..12).map(|at| ((row * 31 + at * 7919) % 1009) as f64 / 100.0).collect())
        .collect();
    let vectors = vectors_of(&rows);
    let settings = ReduceVectors { columns: 4, ..ReduceVectors::default() };
    let records = || {
        let each = (0..60_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 8, at));
        Ok(each.map(|(mixed, at)| {
            Ok(Record { row: mixed % 300, column: (mixed / 300) % 300, value: f64::from(at % 7 + 1) / 3.0 })
        }))
    };
    let words = || (0..300).map(|row| format!("w{row}")).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bits = |vectors: &WordVectors| vectors.values().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (svd, _) = factorise(words(), records, &settings, &Silent).unwrap();
            (bits(&reduce_vectors(&vectors, &settings).unwrap().0), bits(&svd))
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
}

#[test]
fn singular_vectors_are_those_of_scipy_whatever_the_order_of_records() {
    let expected = expected();
    let words = || Vocabulary::read(&fixture("records.vocab.txt")).unwrap().words().map(str::to_owned).collect();
    for weighting in Weighting::ALL.iter().copied() {
        let settings = ReduceVectors { columns: 6, weighting, shift: 1.5, iterations: 20, ..ReduceVectors::default() };
        let file = Records::open(&fixture("records.bin")).unwrap();
        let records = || Ok(file.of_words(40));
        let (vectors, about) = factorise(words(), records, &settings, &Silent).unwrap();
        let known = &expected["svd"][weighting.name()];
        let singular: Vec<f64> = known["singular"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let found = about.factorisation.unwrap().singular_values;
        assert!(found.iter().zip(&singular).all(|(a, b)| (a - b).abs() < 1e-8 * singular[0]), "{weighting}: {found:?}");
        assert!(far(&vectors, &table(&known["vectors"])) < 1e-4 * singular[0].sqrt(), "{weighting}");
        let share = about.explained[0] - known["explained"][0].as_f64().unwrap();
        assert!(share.abs() < 1e-9, "{weighting}");
        let mut backwards: Vec<Record> = file.of_words(40).collect::<Result<_>>().unwrap();
        backwards.reverse();
        let (same, _) = factorise(words(), || Ok(backwards.iter().copied().map(Ok)), &settings, &Silent).unwrap();
        assert_eq!(same.values(), vectors.values());
    }
}

#[test]
fn records_and_vocabularies_that_are_damaged_are_refused_with_their_place() {
    let temp = tempfile::tempdir().unwrap();
    let (records, vocab) = (temp.path().join("r.bin"), temp.path().join("vocab.txt"));
    let whole = std::fs::read(fixture("records.bin")).unwrap();
    let list = std::fs::read_to_string(fixture("records.vocab.txt")).unwrap();
    let run = |bytes: &[u8], words: &str, change: &dyn Fn(&mut ReduceVectors)| {
        std::fs::write(&records, bytes).unwrap();
        std::fs::write(&vocab, words).unwrap();
        let mut settings = ReduceVectors {
            vectors: records.clone(),
            out: temp.path().join("out.txt"),
            vocab: Some(vocab.clone()),
            method: Reduction::Svd,
            columns: 4,
            ..ReduceVectors::default()
        };
        change(&mut settings);
        reduce(&settings, &Silent).map(|_| ()).map_err(|error| error.to_string())
    };
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let nothing: &dyn Fn(&mut ReduceVectors) = &|_| {};
    for (bytes, words, change, found) in [
        (whole[..whole.len() - 1].to_vec(), list.as_str(), nothing, "a multiple of 16 bytes"),
        (Vec::new(), &list, nothing, "an empty file"),
        (with(32, &41i32.to_le_bytes()), &list, nothing, "record 3 (byte 32)"),
        (with(36, &0i32.to_le_bytes()), &list, nothing, "words from 1 to 40"),
        (with(32, &(-1i32).to_le_bytes()), &list, nothing, "belongs to another vocabulary"),
        (with(24, &f64::NAN.to_le_bytes()), &list, nothing, "record 2 (byte 16)"),
        (with(24, &(-0.5f64).to_le_bytes()), &list, nothing, "a finite number above 0"),
        (whole.clone(), "a 3\nb\n", nothing, "vocab.txt, line 2"),
        (whole.clone(), "a 3\nb 2\na 1\n", nothing, "it is on line 1 already"),
        (whole.clone(), "a 3\nb 2\n", &|settings| settings.columns = 2, "belongs to another vocabulary"),
        (whole.clone(), &list, &|settings| settings.columns = 41, "1 to 40"),
        (whole.clone(), &list, &|settings| settings.memory = 0, "--memory"),
        (whole.clone(), &list, &|settings| settings.power = 2.0, "--power from 0 to 1"),
        (whole.clone(), &list, &|settings| settings.vocab = None, "--vocab FILE"),
        (whole.clone(), &list, &|settings| settings.out = "x.json5".into(), "names no format"),
    ] {
        let said = run(&bytes, words, change).unwrap_err();
        assert!(said.contains(found), "{found}: {said}");
        assert!(!temp.path().join("out.txt").exists());
    }
    run(&whole, &list, nothing).unwrap();
    assert!(run(&whole, &list, nothing).unwrap_err().contains("exists already"));
    run(&whole, &list, &|settings| settings.force = true).unwrap();
    std::fs::remove_file(temp.path().join("out.txt.json")).unwrap();
    let said = run(&whole, &list, &|settings| settings.force = true).unwrap_err();
    assert!(said.contains("did not write"), "what has no report beside it is somebody else's: {said}");
}
