//! Formats with modules of their own: read as the programs that wrote the fixtures read them, written and read again.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::bases::text::files_of;
use crate::settings::VectorFormat;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/word_vectors").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn near(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance), "{a:?} {b:?}");
}

fn unit(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter().map(|x| x / length).collect()
}

/// What is said of a fixture's bytes after a change.
fn refused(name: &str, beside: &[&str], change: impl Fn(&mut Vec<u8>)) -> String {
    let temp = tempfile::tempdir().unwrap();
    for other in beside {
        std::fs::copy(fixture(other), temp.path().join(other)).unwrap();
    }
    let mut bytes = std::fs::read(fixture(name)).unwrap();
    change(&mut bytes);
    let path = temp.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    WordVectors::open(&path).expect_err("it is refused").to_string()
}

#[test]
fn fasttext_words_known_and_unknown_have_its_vectors_to_the_bit() {
    let vectors = WordVectors::open(&fixture("fasttext.bin")).unwrap();
    let expected = json("fasttext.json");
    let words: Vec<&str> = expected["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(vectors.words().eq(words.iter().copied()), "{words:?}");
    for (row, vector) in expected["vectors"].as_array().unwrap().iter().enumerate() {
        assert_eq!(vectors.at(row), numbers(vector), "{}", words[row]);
    }
    let unknown = expected["unknown"].as_array().unwrap();
    for (word, vector) in unknown.iter().zip(expected["composed"].as_array().unwrap()) {
        let word = word.as_str().unwrap();
        // fastText asks for the word as it stands; here the one in lower case comes first.
        if vectors.row(word).is_none() {
            assert_eq!(vectors.composed(word).unwrap().unwrap(), numbers(vector), "{word}");
        }
    }
    let mut more = vectors.clone();
    assert_eq!(more.extend(["films", "film", "zzz"]).unwrap(), 2);
    assert_eq!((more.len(), more.words().last()), (vectors.len() + 2, Some("zzz")));
    assert_eq!(more.row("films").unwrap(), &*vectors.composed("films").unwrap().unwrap());
}

#[test]
fn finalfusion_files_are_read_with_their_lengths_and_n_grams() {
    let expected = json("finalfusion.json");
    let plain = WordVectors::open(&fixture("plain.fifu")).unwrap();
    assert!(plain.words().eq(["the", "film", "très", "日本", "a b"]));
    for (row, vector) in expected["plain"].as_array().unwrap().iter().enumerate() {
        near(plain.at(row), &numbers(vector), 1e-6);
    }
    assert!(plain.composed("films").unwrap().is_none());
    for (file, unknown) in [("fasttext.fifu", "fasttext_unknown"), ("buckets.fifu", "bucket_unknown")] {
        let vectors = WordVectors::open(&fixture(file)).unwrap();
        assert!(vectors.has_subwords());
        let mut compared = 0;
        for (word, vector) in expected[unknown].as_object().unwrap() {
            if vectors.row(word).is_none() {
                near(&unit(&vectors.composed(word).unwrap().unwrap()), &numbers(vector), 2e-6);
                compared += 1;
            }
        }
        assert!(compared >= 3, "{file}");
    }
    let own = WordVectors::open(&fixture("fasttext.bin")).unwrap();
    let converted = WordVectors::open(&fixture("fasttext.fifu")).unwrap();
    // finalfusion's converter gives the sign for the end of a line n-grams, which fastText does not.
    let words = (0..own.len()).filter(|&row| own.word(row) != "</s>");
    words.for_each(|row| near(own.at(row), converted.at(row), 1e-6));
}

#[test]
fn arrays_with_words_are_read() {
    let expected = json("finalfusion.json");
    for (name, exact) in [("array32.npy", true), ("array64.npy", true), ("tensors.safetensors", true)] {
        let vectors = WordVectors::open(&fixture(name)).unwrap();
        assert!(vectors.words().eq(["the", "film", "très", "日本", "a b"]), "{name}");
        for (row, vector) in expected["plain"].as_array().unwrap().iter().enumerate() {
            near(vectors.at(row), &numbers(vector), if exact { 0.0 } else { 1e-6 });
        }
    }
    let remarks = WordVectors::open(&fixture("array64.npy")).unwrap().remarks().join("; ");
    assert!(remarks.contains("rounded to 32"), "{remarks}");
    let c = WordVectors::open(&fixture("c.bin")).unwrap();
    for (row, vector) in json("c.json").as_array().unwrap().iter().enumerate() {
        near(c.at(row), &numbers(vector), 1e-6);
    }
    assert!(c.words().eq(["the", "film", "très", "bad"]) && c.remarks().join("").contains("biases are left out"));
}

#[test]
fn every_format_that_is_written_is_read_again() {
    let temp = tempfile::tempdir().unwrap();
    let values = vec![1.0, -0.1, 3.5e-30, 0.25, 7.0e20, -1e-7, 123.456, 0.1, 1e-45];
    let vectors = WordVectors::new(["the", "日本", "<unk>"].map(str::to_owned).to_vec(), 3, values).unwrap();
    for format in VectorFormat::ALL.iter().copied() {
        let path = temp.path().join(format!("{format}.x"));
        let lost = vectors.write(&path, format, false).unwrap();
        assert!(vectors.write(&path, format, false).is_err(), "{format}: nothing is replaced unasked");
        let again = WordVectors::open(&path).unwrap();
        assert!(again.words().eq(vectors.words()), "{format}");
        if format == VectorFormat::Finalfusion {
            assert!(lost[0].contains("1e-7"));
            let length = |row: usize| vectors.at(row).iter().map(|x| x * x).sum::<f32>().sqrt();
            (0..3).for_each(|row| near(again.at(row), vectors.at(row), 2e-7 * length(row)));
        } else {
            assert!(lost.is_empty(), "{lost:?}");
            let bits = |vectors: &WordVectors| vectors.values().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&again), bits(&vectors), "{format}");
        }
        assert!(files_of(&path, format).iter().all(|file| file.is_file()));
    }
    let header = std::fs::read(temp.path().join("glove-header.x")).unwrap();
    assert!(header.starts_with(b"2 3\nthe "), "`<unk>` is not counted, as by GloVe");
}

#[test]
fn words_that_a_format_cannot_hold_are_left_out_and_told() {
    let temp = tempfile::tempdir().unwrap();
    let vectors = WordVectors::new(["a", "new york", "b"].map(str::to_owned).to_vec(), 1, vec![1.0, 2.0, 3.0]).unwrap();
    let path = temp.path().join("v");
    let lost = vectors.write(&path, VectorFormat::Word2vecBinary, false).unwrap();
    assert!(lost[0].contains("1 words") && lost[0].contains("`new york`"), "{lost:?}");
    assert_eq!(WordVectors::open(&path).unwrap().values(), [1.0, 3.0]);
    assert!(vectors.write(&path, VectorFormat::Finalfusion, true).unwrap()[0].contains("1e-7"));
    assert_eq!(WordVectors::open(&path).unwrap().len(), 3);
}

#[test]
fn a_header_may_leave_out_the_last_unknown_word_and_no_other() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("v.txt");
    std::fs::write(&path, "2 2\na 1 2\nb 3 4\n<unk> 5 6\n").unwrap();
    assert!(WordVectors::open(&path).unwrap().words().eq(["a", "b", "<unk>"]));
    std::fs::write(&path, "2 2\na 1 2\nb 3 4\nc 5 6\n").unwrap();
    let said = WordVectors::open(&path).unwrap_err().to_string();
    assert!(said.contains("2 words, as the header says") && said.contains("3 words"), "{said}");
}

#[test]
fn text_packed_by_gzip_and_a_folder_of_vectors_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("v.txt.gz");
    let pack = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packer, bytes).unwrap();
        packer.finish().unwrap()
    };
    // Two members, as `cat a.gz b.gz` gives.
    std::fs::write(&path, [pack(b"2 2\na 1 2\n"), pack(b"b 3 4\n")].concat()).unwrap();
    assert_eq!(WordVectors::open(&path).unwrap().values(), [1.0, 2.0, 3.0, 4.0]);
    assert!(WordVectors::is_named(&path));
    let whole = pack(b"a 1 2\nb 3 4\n");
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    assert!(WordVectors::open(&path).is_err());
    // A packed header that promises four billion words takes no memory.
    std::fs::write(&path, pack(b"4000000000 300\na 1 2\n")).unwrap();
    assert!(WordVectors::open(&path).is_err());
    // Rows without end.
    let line = [b"w".as_slice(), &b" 0".repeat(30_000), b"\n"].concat();
    std::fs::write(&path, pack(&line.repeat(1_500))).unwrap();
    let said = WordVectors::open(&path).unwrap_err().to_string();
    assert!(said.contains("200 times its size"), "{said}");
    let folder = temp.path().join("vectors");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("vectors.txt"), "a 1 2\n").unwrap();
    assert!(!WordVectors::is_named(&folder), "a folder of somebody else");
    std::fs::write(folder.join("glove.json"), "{}").unwrap();
    assert!(WordVectors::is_named(&folder));
    assert_eq!(WordVectors::open(&folder).unwrap().len(), 1);
}

#[test]
fn damage_is_named_with_its_place() {
    let nan = f32::NAN.to_le_bytes();
    let cut = |by: usize| move |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - by);
    for (name, beside, change, found) in [
        ("fasttext.bin", &[][..], &(|bytes: &mut Vec<u8>| bytes[4] = 99) as &dyn Fn(&mut Vec<u8>), "version 11 or 12"),
        ("fasttext.bin", &[], &|bytes: &mut Vec<u8>| bytes.truncate(300), "byte"),
        ("fasttext.bin", &[], &|bytes: &mut Vec<u8>| bytes[8] = 7, "7 columns"),
        ("fasttext.bin", &[], &|bytes: &mut Vec<u8>| bytes[67] = 0x7f, "words"),
        ("plain.fifu", &[], &|bytes: &mut Vec<u8>| bytes[4] = 1, "not word vectors"),
        ("plain.fifu", &[], &|bytes: &mut Vec<u8>| bytes.truncate(100), "cut off"),
        ("c.bin", &["c.vocab.txt"], &cut(3), "a multiple of 16 bytes"),
        ("c.bin", &["c.vocab.txt"], &cut(16), "do not belong to the vocabulary"),
        ("array32.npy", &["array32.words.txt"], &cut(4), "do not fit the shape"),
        ("array32.npy", &[], &|_: &mut Vec<u8>| {}, "no list of words"),
        (
            "array32.npy",
            &["array32.words.txt"],
            &|bytes: &mut Vec<u8>| bytes[128 + 20..128 + 24].copy_from_slice(&nan),
            "row 2",
        ),
    ] {
        let said = refused(name, beside, change);
        assert!(said.contains(found) && said.contains(name), "{name}: {found}: {said}");
    }
}

#[test]
fn quantised_models_are_refused_by_name() {
    // The byte behind the vocabulary says that the matrix is quantised.
    let said = refused("fasttext.bin", &[], |bytes| {
        let matrix = bytes.windows(8).rposition(|part| part == 6i64.to_le_bytes()).unwrap();
        let first = bytes[..matrix].windows(8).rposition(|part| part == 6i64.to_le_bytes()).unwrap();
        bytes[first - 9] = 1;
    });
    assert!(said.contains("quantised") && said.contains(".vec"), "{said}");
    let said = refused("plain.fifu", &[], |bytes| {
        let array = bytes.windows(4).skip(24).position(|part| part == 2u32.to_le_bytes()).unwrap() + 24;
        bytes[array] = 4;
    });
    assert!(said.contains("a quantised array"), "{said}");
}

#[test]
fn lists_of_words_must_fit() {
    let with = |list: &[u8]| {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("c.bin");
        std::fs::copy(fixture("c.bin"), &path).unwrap();
        std::fs::write(temp.path().join("vocab.txt"), list).unwrap();
        WordVectors::open(&path).map(|vectors| vectors.len()).map_err(|error| error.to_string())
    };
    assert_eq!(with(b"the 40\r\nfilm 7\ntr\xc3\xa8s 7\nbad 2"), Ok(4));
    for (list, found) in [
        (&b"the 40\nfilm 7\nx 9\nbad 2\n"[..], "line 3 of the list of words: not sorted"),
        (b"the 40\nfilm 7\nthe 7\nbad 2\n", "`the` in line 1 too"),
        (b"the 40\nfilm 7\nbad\nx 1\n", "line 3 of the list of words: no count"),
        (b"the 40\nfilm 7\nx 3\n", "of another run?"),
        (b"the 40\nfilm 7\n\xff\xfe 3\nbad 2\n", "line 3 of the list of words: not text"),
        (b"the 40\n 7\n", "no word"),
    ] {
        let said = with(list).unwrap_err();
        assert!(said.contains(found), "{found}: {said}");
    }
}
