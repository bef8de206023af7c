use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/word_vectors").join(name)
}

fn read_bytes(bytes: &[u8]) -> Result<WordVectors> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("vectors");
    std::fs::write(&path, bytes).unwrap();
    WordVectors::open(&path)
}

fn refused(bytes: &[u8]) -> String {
    read_bytes(bytes).expect_err("it is refused").to_string()
}

// The files are gensim's and, byte by byte, the C programs': tests/fixtures/word_vectors.py wrote them.
#[test]
fn every_form_gives_the_same_vectors() {
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    for name in ["glove.txt", "word2vec.txt", "gensim.txt", "gensim.bin", "word2vec.bin", "fasttext.vec"] {
        let vectors = WordVectors::open(&fixture(name)).unwrap();
        assert_eq!(vectors.columns(), 5, "{name}");
        let words: Vec<&str> = vectors.words().collect();
        let known = expected["words"].as_array().unwrap();
        assert!(words.iter().copied().eq(known.iter().map(|word| word.as_str().unwrap())), "{name}: {words:?}");
        let numbers = expected["values"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32);
        assert!(vectors.values().iter().copied().eq(numbers), "{name}");
        assert!(vectors.remarks().is_empty(), "{name}");
    }
}

#[test]
fn a_word_is_found_as_it_stands_and_else_in_lower_case() {
    let vectors = read_bytes(b"the 1 2\nPolish 3 4\npolish 5 6\n\xc3\xa9t\xc3\xa9 7 8\n").unwrap();
    assert_eq!(vectors.row("Polish").unwrap(), [3.0, 4.0]);
    assert_eq!(vectors.row("POLISH").unwrap(), [5.0, 6.0]);
    assert_eq!(vectors.row("ÉTÉ").unwrap(), [7.0, 8.0]);
    assert_eq!(vectors.row("The").unwrap(), [1.0, 2.0]);
    assert!(vectors.row("then").is_none());
    assert_eq!(vectors.covered("The POLISH then, été!"), (3, 4));
}

#[test]
fn words_may_have_spaces_in_them() {
    let vectors = read_bytes(b"a 1 2\n. . . 3 4\nat name@domain.com 5 6\n").unwrap();
    assert_eq!(vectors.words().collect::<Vec<_>>(), ["a", ". . .", "at name@domain.com"]);
    assert_eq!(vectors.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn the_last_line_needs_no_end_and_lines_may_end_as_on_windows() {
    let vectors = read_bytes(b"a 1 2\r\nb  3\t4 \r\nc 5 6").unwrap();
    assert_eq!((vectors.len(), vectors.values()), (3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
}

#[test]
fn what_comes_twice_and_what_is_no_text_is_told() {
    let vectors = read_bytes(b"a 1 2\nb 3 4\na 5 6\n\xff\xfe 7 8\n").unwrap();
    assert_eq!(vectors.values(), [1.0, 2.0, 3.0, 4.0, 7.0, 8.0]);
    let remarks = vectors.remarks().join("; ");
    assert!(remarks.contains("1 words came twice") && remarks.contains("1 words are not UTF-8"), "{remarks}");
}

#[test]
fn damage_is_named_by_its_line() {
    let lines = |wrong: &str| format!("a 1 2 3\nb 4 5 6\n{wrong}\nd 7 8 9\n").into_bytes();
    for (wrong, found) in [
        ("c 1 2", "2 numbers"),
        ("c 1 2 3 4", "4 numbers"),
        ("c 1 nan 3", "`nan`"),
        ("c 1 inf 3", "`inf`"),
        ("c 1 1e99 3", "`1e99`"),
        ("c 1 x 3", "`x`"),
        ("c 1 2,5 3", "`2,5`"),
        (" 1 2 3", "no word"),
        ("c", "0 numbers"),
    ] {
        let said = refused(&lines(wrong));
        assert!(said.contains("line 3") && said.contains(found), "`{wrong}`: {said}");
    }
    // A header counts as a line.
    let said = refused(b"3 2\na 1 2\nb 1 x\nc 1 2\n");
    assert!(said.contains("line 3") && said.contains("`x`"), "{said}");
}

#[test]
fn lines_are_counted_over_pieces() {
    let mut text: Vec<u8> = (0..400_000).flat_map(|i| format!("w{i} 0.5 -{i}\n").into_bytes()).collect();
    assert!(text.len() > 4 * PIECE);
    let vectors = read_bytes(&text).unwrap();
    assert_eq!((vectors.len(), vectors.row("w399999").unwrap()), (400_000, &[0.5, -399_999.0][..]));
    text.extend_from_slice(b"w 1\n");
    let said = refused(&text);
    assert!(said.contains("line 400001"), "{said}");
}

#[test]
fn a_header_must_tell_the_truth() {
    for (bytes, found) in [
        (&b"3 2\na 1 2\nb 3 4\n"[..], "2 words"),
        (b"1 2\na 1 2\nb 3 4\n", "2 words"),
        (b"4000000000 300\na 1 2\n", "bytes"),
        (b"0 2\n", "0 2"),
        (b"2 0\na\nb\n", "2 0"),
        (b"1 99999999\na 1\n", "1 99999999"),
    ] {
        let said = refused(bytes);
        assert!(said.contains(found), "{said}");
    }
}

#[test]
fn damage_of_the_binary_form_is_named_by_its_row() {
    let row = |word: &str, values: [f32; 2]| [word.as_bytes(), b" ", &values.map(f32::to_le_bytes).concat()].concat();
    let whole = [&b"2 2\n"[..], &row("a", [1e-30, -3.7]), &row("b", [0.25, 1e10])].concat();
    assert_eq!(read_bytes(&whole).unwrap().values(), [1e-30, -3.7, 0.25, 1e10]);
    assert!(refused(&whole[..whole.len() - 1]).contains("row 2"));
    assert!(refused(&[&whole[..], b"junk"].concat()).contains("more bytes"));
    let nan = [&b"2 2\n"[..], &row("a", [1e-30, -3.7]), &row("b", [0.25, f32::NAN])].concat();
    let said = refused(&nan);
    assert!(said.contains("row 2") && said.contains("NaN for `b`"), "{said}");
    let long = [&b"2 2\n"[..], &row("a", [1e-30, -3.7]), &vec![b'x'; 10_000]].concat();
    assert!(refused(&long).contains("row 2"));
}

#[test]
fn other_files_are_named() {
    for (bytes, found) in [
        (&b""[..], "empty"),
        (b"PK\x03\x04....", "unzip"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", "cut off"),
        (b"\x80\x04\x95", "pickle"),
        (b"The quick brown fox\njumps over\n", "`The quick brown fox`"),
        (b"id,text,label\n1,good,pos\n", "`id,text,label`"),
        (b"\n\n", "``"),
    ] {
        let said = refused(bytes);
        assert!(said.contains(found), "{said}");
    }
    let temp = tempfile::tempdir().unwrap();
    assert!(matches!(WordVectors::open(temp.path()), Err(Error::Weights(_))));
    assert!(matches!(WordVectors::open(&temp.path().join("none")), Err(Error::Weights(_))));
}

#[test]
fn parts_come_back_to_the_bit_and_keep_their_ranks() {
    let vectors = read_bytes(b"the 1 2\nof 0.1 1e-40\nDog 3 4\ncat 5 6\n").unwrap();
    let some = vectors.restrict(["dog", "Dog", "THE", "none"]).unwrap();
    assert_eq!(some.words().collect::<Vec<_>>(), ["the", "Dog"]);
    assert_eq!((some.rank(1), some.total()), (3, 4));
    assert!(matches!(vectors.restrict(["none"]), Err(Error::Data(_))));
    for vectors in [vectors, some] {
        let (weights, vocabulary) = vectors.to_parts();
        let again = WordVectors::from_parts(&weights, &vocabulary).unwrap();
        let bits = |vectors: &WordVectors| vectors.values().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(&vectors));
        assert!(again.words().eq(vectors.words()));
        assert_eq!((again.ranks(), again.total()), (vectors.ranks(), vectors.total()));
        assert_eq!(again.to_parts(), (weights.clone(), vocabulary.clone()));
        assert!(WordVectors::from_parts(&weights, &vocabulary[..vocabulary.len() - 6]).is_err());
        assert!(WordVectors::from_parts(&weights, b"0\tthe\n0\tthe\n").is_err());
        assert!(WordVectors::from_parts(&weights, b"the\n").is_err());
        assert!(WordVectors::from_parts(&weights[..20], &vocabulary).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_from_anywhere_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), header: bool) {
        let _ = read_bytes(&[if header { &b"3 4\n"[..] } else { b"" }, &bytes].concat());
    }

    #[test]
    fn text_that_looks_right_is_read_or_refused(text in "([0-9]{1,2} [0-9]\n)?([a-z. ]{0,5}( -?[0-9.e]{1,4}){0,3}[ \r]?\n){0,5}") {
        let _ = read_bytes(text.as_bytes());
    }
}
