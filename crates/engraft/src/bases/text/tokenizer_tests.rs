use super::*;

/// A WordPiece tokenizer of a few words.
fn small() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let words =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "on", "mat", ".", "e", "##te"];
    std::fs::write(folder.path().join("vocab.txt"), words.join("\n")).unwrap();
    Tokenizer::open(folder.path()).unwrap()
}

fn text(first: &str, second: Option<&str>) -> Text {
    Text { first: first.into(), second: second.map(str::to_owned) }
}

#[test]
fn a_text_and_a_pair() {
    let tokenizer = small();
    let one = tokenizer.encode(&text("The CATS sat\u{301}", None), 10).unwrap();
    assert_eq!(one.ids, [2, 5, 6, 7, 8, 3]);
    assert_eq!(one.offsets, [(0, 0), (0, 3), (4, 7), (7, 8), (9, 12), (0, 0)]);
    assert_eq!(one.word, [None, Some(0), Some(1), Some(1), Some(2), None]);
    assert_eq!((one.cut, one.unknown), (0, 0));
    let pair = tokenizer.encode(&text("the cat", Some("sat zzz .")), 20).unwrap();
    assert_eq!(pair.ids, [2, 5, 6, 3, 8, 1, 11, 3]);
    assert_eq!(pair.segments, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(pair.sequence, [None, Some(0), Some(0), None, Some(1), Some(1), Some(1), None]);
    assert_eq!((pair.cut, pair.unknown), (0, 1));
    assert_eq!(tokenizer.vocabulary(), 14);
    let empty = tokenizer.encode(&text("", None), 10).unwrap();
    assert_eq!(empty.ids, [2, 3]);
}

#[test]
fn what_is_cut_is_said() {
    let tokenizer = small();
    let one = tokenizer.encode(&text("the cat sat on the mat .", None), 5).unwrap();
    assert_eq!((one.ids.as_slice(), one.cut), (&[2, 5, 6, 8, 3][..], 4));
    // The longer one first.
    let pair = tokenizer.encode(&text("the cat", Some("sat on the mat .")), 7).unwrap();
    assert_eq!((pair.ids.as_slice(), pair.cut), (&[2, 5, 6, 3, 8, 9, 3][..], 3));
    let message = tokenizer.encode(&text("the", None), 2).unwrap_err().to_string();
    assert!(message.contains("no room"), "{message}");
}

#[test]
fn words_stay_apart() {
    let tokenizer = small();
    let words = tokenizer.encode_words(&["cats", "the", "", "mat"], 10).unwrap();
    assert_eq!(words.ids, [2, 6, 7, 5, 10, 3]);
    assert_eq!(words.word, [None, Some(0), Some(0), Some(1), Some(3), None]);
    assert_eq!(words.offsets, [(0, 0), (0, 3), (3, 4), (0, 3), (0, 3), (0, 0)]);
}

#[test]
fn windows_overlap_by_the_stride() {
    let tokenizer = small();
    // Three places for the context beside [CLS] the [SEP] and the last [SEP].
    let windows = tokenizer.windows("the", "cat sat on mat .", 7, 1).unwrap();
    let contexts: Vec<Vec<u32>> = windows.iter().map(|window| window.ids[3..window.ids.len() - 1].to_vec()).collect();
    assert_eq!(contexts, [vec![6, 8, 9], vec![9, 10, 11]]);
    assert_eq!(windows[1].offsets[3..6], [(8, 10), (11, 14), (15, 16)]);
    assert_eq!(windows[1].sequence, [None, Some(0), None, Some(1), Some(1), Some(1), None]);
    assert_eq!(windows[1].segments, [0, 0, 0, 1, 1, 1, 1]);
    let message = tokenizer.windows("the cat sat on", "the mat", 8, 1).unwrap_err().to_string();
    assert!(message.contains("too little room"), "{message}");
}

#[test]
fn it_comes_back_from_its_bytes() {
    let tokenizer = small();
    let again = Tokenizer::from_bytes(&tokenizer.to_bytes()).unwrap();
    let sample = text("The cats", Some("On the mat."));
    assert_eq!(again.encode(&sample, 8).unwrap(), tokenizer.encode(&sample, 8).unwrap());
    assert_eq!(again.to_bytes(), tokenizer.to_bytes());
}

#[test]
fn byte_pairs_are_roberta_s() {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary =
        r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "Ġ": 6, "Ġa": 7, "ab": 8, "<mask>": 9}"#;
    std::fs::write(folder.path().join("vocab.json"), vocabulary).unwrap();
    std::fs::write(folder.path().join("merges.txt"), "#version: 0.2\nĠ a\na b\n").unwrap();
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let one = tokenizer.encode(&text("ab a", None), 10).unwrap();
    assert_eq!((one.ids.as_slice(), one.segments.as_slice()), (&[0, 8, 7, 2][..], &[0; 4][..]));
    assert_eq!(one.offsets, [(0, 0), (0, 2), (3, 4), (0, 0)]);
    assert_eq!(tokenizer.encode(&text("a", Some("b")), 10).unwrap().ids, [0, 4, 2, 2, 5, 2]);
    // Every word is one with a space before it, as in a text.
    let words = tokenizer.encode_words(&["a", "a"], 10).unwrap();
    assert_eq!((words.ids.as_slice(), words.offsets[1], words.offsets[2]), (&[0, 7, 7, 2][..], (0, 1), (0, 1)));
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("vocab.txt"), "{message}");
    std::fs::write(folder.path().join("vocab.txt"), "a\nb\n").unwrap();
    let message = Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("[CLS]"), "{message}");
    for json in ["", "{}", "[]", "\u{0}", r#"{"model": {"type": "WordPiece", "vocab": {}}}"#] {
        assert!(Tokenizer::from_bytes(json.as_bytes()).is_err(), "{json}");
    }
    let whole = small().to_bytes();
    for end in (0..whole.len()).step_by(97) {
        assert!(Tokenizer::from_bytes(&whole[..end]).is_err());
    }
}
