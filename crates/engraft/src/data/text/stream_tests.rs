use super::super::*;
use super::{asked, tree};
use crate::progress::Silent;

fn streamed(path: &Path, reading: &TextReading) -> Vec<(String, Text)> {
    stream_texts(path, reading, &Silent).unwrap().map(|row| row.unwrap()).map(|row| (row.name, row.text)).collect()
}

#[test]
fn tables_lines_and_files_are_streamed() {
    let temp = tree(&[
        ("t.csv", b"n,title,body\n1,one,first body of text\n2,two,\n"),
        ("t.txt", b"first line\n\n  third line\r\n"),
        ("folder/b.txt", b"second"),
        ("folder/a/a.TXT", b" first\n"),
        ("folder/c.md", b"passed over"),
    ]);
    let path = |name: &str| temp.path().join(name);
    let single = |name: &str, text: &str| (name.to_owned(), Text::single(text));
    let none = TextReading::default();
    assert_eq!(streamed(&path("t.csv"), &none), [single("row 1", "first body of text"), single("row 2", "")]);
    let pair = streamed(&path("t.csv"), &asked(&["title", "body"], None));
    assert_eq!(pair[1].1, Text { first: "two".into(), second: Some(String::new()) });
    assert_eq!(streamed(&path("t.txt"), &none), [single("line 1", "first line"), single("line 3", "third line")]);
    assert_eq!(streamed(&path("folder"), &none), [single("a/a.TXT", "first"), single("b.txt", "second")]);
    assert!(stream_texts(&temp.path().join("none"), &none, &Silent).is_err());
}

#[test]
fn an_error_is_the_last_of_a_stream() {
    let temp = tree(&[("t.csv", b"text,n\na b,1\nc d,2\ne, f,3\ng h,4\n")]);
    // The error lies in what is looked at to infer columns; asked for by name, as elsewhere, it is found just so.
    let error = stream_texts(&temp.path().join("t.csv"), &asked(&["text"], None), &Silent).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("line 4"), "{error}");
    let mut text = "text,n\n".to_owned();
    (0..1200).for_each(|row| text += &format!("some words,{row}\n"));
    std::fs::write(temp.path().join("t.csv"), text + "a, b,1\nc,2\n").unwrap();
    let mut rows = stream_texts(&temp.path().join("t.csv"), &asked(&["text"], None), &Silent).unwrap();
    assert_eq!(rows.by_ref().take_while(|row| row.is_ok()).count(), 1200);
    assert!(rows.next().is_none());
}

#[test]
fn a_corpus_is_paragraphs_or_rows() {
    let line = "many words in a line of a text without a blank one\n".repeat(3000);
    let temp = tree(&[
        ("b.txt", b"\xef\xbb\xbfone\ntwo  \n\n\n three\n"),
        ("a/x.txt", line.as_bytes()),
        ("t.jsonl", b"{\"q\": \"what is it\", \"a\": \"it is that\"}\n{\"q\": \"\", \"a\": \"this\"}\n"),
    ]);
    let read = |name: &str, columns: &[&str]| -> Vec<(String, String)> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let documents = read_corpus(&temp.path().join(name), &columns, &Silent).unwrap();
        documents.map(|document| document.unwrap()).map(|document| (document.name, document.text)).collect()
    };
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(read("b.txt", &[]), [pair("b.txt, line 1", "one\ntwo"), pair("b.txt, line 5", "three")]);
    let all = read("", &[]);
    assert_eq!(all.len(), 5, "150 kB in pieces of 64 KiB, and two paragraphs");
    let joined: Vec<&str> = all[..3].iter().map(|document| document.1.as_str()).collect();
    assert_eq!(joined.join("\n"), line.trim_end());
    assert_eq!(
        read("t.jsonl", &["q", "a"]),
        [pair("row 1", "what is it"), pair("row 1", "it is that"), pair("row 2", "this")]
    );
}
