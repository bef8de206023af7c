use std::path::{Path, PathBuf};

use super::*;
use crate::data::{Finding, FindingKind, Severity};
use crate::error::{Error, Result};
use crate::progress::Silent;

/// A folder with files of these names and contents.
fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(temp.path().join(name), text).unwrap();
    }
    temp
}

fn open(text: &str, reading: &VectorReading) -> Result<(VectorSet, Vec<Finding>)> {
    let temp = files(&[("rows.csv", text)]);
    open_vectors(&temp.path().join("rows.csv"), reading, &Silent)
}

fn refused<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let problem = result.unwrap_err();
    assert!(matches!(problem, Error::Data(_)), "{problem:?}");
    for words in words {
        assert!(problem.to_string().contains(words), "{words}: {problem}");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vectors").join(name)
}

/// `rows` rows with a header; every row as the function writes it.
fn table(header: &str, rows: usize, row: impl Fn(usize) -> String) -> String {
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

fn kinds(findings: &[Finding]) -> Vec<(FindingKind, Severity)> {
    findings.iter().map(|finding| (finding.kind, finding.severity)).collect()
}

fn numbers(set: &VectorSet, name: &str) -> Vec<f64> {
    match &set.column(name).unwrap().cells {
        Cells::Numbers(numbers) => numbers.clone(),
        cells => panic!("{cells:?}"),
    }
}

#[test]
fn columns_are_numbers_or_categories_and_the_label_is_found_by_its_name() {
    let text = "id;Age;town;zip;Target;split\n1;3,5;Bonn;01067;x;\n2;?;Köln;53111;y;test\n3;-1e3;Bonn;;x;VAL\n4;NaN;NA;10115;y;\n";
    let (set, findings) = open(text, &VectorReading::default()).unwrap();
    let names: Vec<_> = set.columns.iter().map(|column| (column.name.as_str(), column.kind())).collect();
    let (numeric, words) = (Kind::Numeric, Kind::Categorical);
    assert_eq!(names, [("id", numeric), ("Age", numeric), ("town", words), ("zip", words)]);
    let age = set.column("Age").unwrap();
    assert_eq!((age.cell(0), age.cell(1), age.cell(2)), (Cell::Number(3.5), Cell::Missing, Cell::Number(-1000.0)));
    let town = set.column("town").unwrap();
    assert_eq!((town.cell(1), town.cell(3)), (Cell::Word("Köln"), Cell::Missing));
    assert_eq!(set.column("zip").unwrap().cell(0), Cell::Word("01067"));
    assert_eq!((set.classes.clone(), set.labels.clone()), (vec!["x".to_owned(), "y".into()], vec![0, 1, 0, 1]));
    assert_eq!(set.splits, [Split::Train, Split::Test, Split::Val, Split::Train]);
    assert_eq!((set.names[1].as_str(), set.source.label.as_deref()), ("row 2", Some("Target")));
    assert_eq!(findings, []);
}

#[test]
fn every_way_to_say_that_a_cell_is_missing_is_understood() {
    let missing = ["", "NA", "n/a", "nan", "NULL", "<NA>", "?", "none", "-"];
    let text = table("x,c,label", 20, |row| match missing.get(row) {
        Some(missing) => format!("{missing},{},{}", missing, row % 2),
        None => format!("{row},c{},{}", row % 3, row % 2),
    });
    let (set, _) = open(&text, &VectorReading::default()).unwrap();
    assert_eq!(numbers(&set, "x").iter().filter(|x| x.is_nan()).count(), missing.len());
    // Among words, `none` and `-` are words.
    let column = set.column("c").unwrap();
    assert_eq!((0..20).filter(|&row| column.cell(row) == Cell::Missing).count(), missing.len() - 2);
}

#[test]
fn the_task_follows_from_the_labels_as_for_images() {
    let read = |labels: [&str; 4], reading: &VectorReading| {
        open(&table("a,y", 4, |row| format!("{row},{}", labels[row])), reading).unwrap().0
    };
    let default = VectorReading::default();
    let set = read(["1.5", "2", "-3", "2"], &default);
    assert_eq!((set.targets, set.classes.len()), (Targets::Values(vec![1.5, 2.0, -3.0, 2.0]), 0));
    let set = read(["p|q", "", "q", "q"], &default);
    let sets = [[true, true], [false, false], [false, true], [false, true]].map(|set| set.to_vec()).to_vec();
    assert_eq!((set.targets, set.classes), (Targets::Labels(sets), vec!["p".into(), "q".into()]));
    let set = read(["0", "1", "1", "0"], &default);
    assert_eq!(set.targets, Targets::Classes);
    assert_eq!(set.source.inferred.unwrap().task, Task::SingleLabel);
    let asked = VectorReading { task: Some(Task::Regression), ..default };
    assert_eq!(read(["0", "1", "1", "0"], &asked).targets, Targets::Values(vec![0.0, 1.0, 1.0, 0.0]));
}

#[test]
fn rows_without_a_label_are_left_out_and_told() {
    let (set, findings) = open("a,b,label\n1,u,x\n2,v,\n3,w, \n4,x,y\n", &VectorReading::default()).unwrap();
    assert_eq!((set.names.clone(), numbers(&set, "a")), (vec!["row 1".to_owned(), "row 4".into()], vec![1.0, 4.0]));
    assert_eq!(set.column("b").unwrap().cell(1), Cell::Word("x"));
    assert_eq!((findings[0].kind, findings[0].files.join(" ")), (FindingKind::MissingValue, "row 2 row 3".into()));
    let (set, findings) = open("a,y\n1,0.5\n2,inf\n3,\n4,7.25\n", &VectorReading::default()).unwrap();
    assert_eq!((set.targets, findings[0].files.len()), (Targets::Values(vec![0.5, 7.25]), 2));
}

#[test]
fn classes_called_like_a_missing_value_are_classes_and_told() {
    let names = ["NA", "null", "None", "?"];
    let text = table("a,label", 12, |row| format!("{row}.5,{}", names[row % 4]));
    let (set, findings) = open(&text, &VectorReading::default()).unwrap();
    assert_eq!((set.rows(), set.classes), (12, ["?", "NA", "None", "null"].map(String::from).to_vec()));
    assert_eq!(kinds(&findings), [(FindingKind::MissingLookingClass, Severity::Warning)]);
    assert!(findings[0].message.contains("`?` (3), `NA` (3)"), "{}", findings[0].message);
    // Among numbers to be learnt they are no number.
    let text = table("a,label", 12, |row| if row == 3 { "3,NA".into() } else { format!("{row},{row}.25") });
    let (set, findings) = open(&text, &VectorReading::default()).unwrap();
    assert_eq!((set.rows(), kinds(&findings)), (11, vec![(FindingKind::MissingValue, Severity::Warning)]));
}

#[test]
fn what_people_write_for_no_number_is_missing_among_numbers_and_told() {
    for word in ["n.a.", "n/d", "n.d.", "na.", "--", ".", "#N/A", "Unknown"] {
        let text = table("a,b,label", 40, |row| {
            format!("{row}.5,{},{}", if row % 4 == 0 { word.to_owned() } else { format!("{row}.25") }, row % 2)
        });
        let (set, findings) = open(&text, &VectorReading::default()).unwrap();
        assert_eq!(set.column("b").unwrap().kind(), Kind::Numeric, "{word}");
        assert_eq!(numbers(&set, "b").iter().filter(|number| number.is_nan()).count(), 10);
        assert_eq!(kinds(&findings), [(FindingKind::Guessed, Severity::Info)]);
        assert!(findings[0].message.contains("column `b`"), "{}", findings[0].message);
        assert!(findings[0].message.contains(&format!("`{word}` (10)")), "{}", findings[0].message);
        // Among words it is one of them.
        let (set, findings) = open(&text.replace(".25", "x"), &VectorReading::default()).unwrap();
        assert_eq!((set.column("b").unwrap().cell(0), findings), (Cell::Word(word), Vec::new()));
    }
}

#[test]
fn a_few_words_that_make_categories_of_numbers_are_told() {
    let text = table("a,b,label", 40, |row| {
        format!("{row}.5,{},{}", if row % 5 == 3 { "broken".into() } else { format!("{row}.25") }, row % 2)
    });
    let (set, findings) = open(&text, &VectorReading::default()).unwrap();
    assert_eq!(set.column("b").unwrap().kind(), Kind::Categorical);
    assert_eq!(kinds(&findings), [(FindingKind::MixedColumn, Severity::Warning)]);
    let said = &findings[0].message;
    assert!(said.contains("32 of 40 cells are numbers: row 4 holds `broken`"), "{said}");
}

#[test]
fn asked_columns_are_read_and_others_ignored() {
    let text = "a,b,kind,label\n1,2,x,0\n3,4,y,0\n5,6,x,1\n";
    let reading =
        VectorReading { label: Some("KIND".into()), ignore: vec!["label".into()], ..VectorReading::default() };
    let (set, _) = open(text, &reading).unwrap();
    assert_eq!((set.columns.len(), set.classes), (2, vec!["x".to_owned(), "y".into()]));
    let reading = VectorReading { label: Some("kinds".into()), ..VectorReading::default() };
    refused(open(text, &reading), &["no column `kinds`", "--label-column", "`kind`"]);
    let reading = VectorReading { ignore: vec!["c".into()], ..VectorReading::default() };
    refused(open(text, &reading), &["no column `c`"]);
    let reading = VectorReading { ignore: vec!["label".into()], ..VectorReading::default() };
    assert!(matches!(open(text, &reading), Err(Error::Usage(_))));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let default = VectorReading::default();
    let refuse = |text: &str, words: &[&str]| refused(open(text, &default), words);
    refuse("a,b\n1,2\n", &["no column is named like labels", "`a`, `b`", "--label-column"]);
    refuse("a,label\n", &["rows"]);
    refuse("label\nx\ny\n", &["no columns of features"]);
    refuse("a,a,label\n1,2,x\n3,4,y\n", &["two columns are called `a`"]);
    refuse("a,label\n1,x\n2,y,z\n", &["another number of fields", "line 3"]);
    refuse("a,label\n1,x\ninf,y\n", &["infinite", "row 2", "column `a`"]);
    refuse("a,label\n1,x\n1e39,y\n", &["too large", "row 2", "`1e39`"]);
    refuse("a,label\n1,\n2,\n", &["no row has a label"]);
    refuse("a,label\n1,x\n2,x\n", &["fewer than two classes"]);
    refuse("a,label,split\n1,x,maybe\n2,y,\n", &["unknown split", "row 1", "maybe"]);
    refuse("a,label,split\n1,x,test\n2,y,val\n", &["no training data"]);
    refuse(&table("a,label", 40, |row| format!("{row},text number {row}")), &["free text"]);
    let forced = VectorReading { task: Some(Task::Regression), ..VectorReading::default() };
    refused(open("a,label\n1,2\n2,many\n", &forced), &["not a number", "row 2"]);
    refused(open_vectors(Path::new("/nowhere.csv"), &default, &Silent), &["nothing at this path"]);
}

#[test]
fn a_column_of_nearly_only_numbers_is_refused_or_told() {
    let odd = |row: usize, other: &str| if row == 17 { other.to_owned() } else { row.to_string() };
    let many = table("x,label", 40, |row| format!("{},{}", odd(row, "12 kg"), row % 2));
    refused(open(&many, &VectorReading::default()), &["row 18", "column `x`", "`12 kg`", "39 of 40 cells"]);
    let few = table("x,z,label", 40, |row| format!("{},{row}.5,{}", odd(row % 18, "high"), row % 2));
    let (set, findings) = open(&few, &VectorReading::default()).unwrap();
    assert_eq!(set.columns[0].kind(), Kind::Categorical);
    assert_eq!(kinds(&findings), [(FindingKind::MixedColumn, Severity::Serious)]);
    let said = &findings[0].message;
    assert!(
        said.contains("`x`") && said.contains("row 18") && said.contains("`high`") && said.contains("18 categories"),
        "{said}"
    );
}

#[test]
fn a_folder_has_a_file_for_each_split() {
    let temp = files(&[
        ("train.csv", "a,b,label\n1,u,x\n2,v,y\n"),
        ("test.csv", "label,b,a\nx,u,3\n,w,4\n"),
        ("dev.tsv", "b\ta\tlabel\nv\t5\ty\n"),
        ("notes.txt", "z"),
    ]);
    let (set, findings) = open_vectors(temp.path(), &VectorReading::default(), &Silent).unwrap();
    assert_eq!(set.names, ["train.csv row 1", "train.csv row 2", "dev.tsv row 1", "test.csv row 1"]);
    assert_eq!(set.splits, [Split::Train, Split::Train, Split::Val, Split::Test]);
    assert_eq!((numbers(&set, "a"), findings.len()), (vec![1.0, 2.0, 5.0, 3.0], 1));
    std::fs::write(temp.path().join("test.csv"), "label,b,c\nx,u,3\n").unwrap();
    refused(
        open_vectors(temp.path(), &VectorReading::default(), &Silent),
        &["different columns", "no `a`", "test.csv"],
    );
    std::fs::write(temp.path().join("test.tsv"), "").unwrap();
    refused(open_vectors(temp.path(), &VectorReading::default(), &Silent), &["two files are one split"]);
    refused(open_vectors(files(&[]).path(), &VectorReading::default(), &Silent), &["no file to train on"]);
}

#[test]
fn a_word_of_a_files_name_may_say_its_split() {
    let temp = files(&[
        ("wine_train.csv", "a,label\n1,x\n2,y\n"),
        ("wine_dev.csv", "a,label\n3,x\n"),
        ("wine_holdout.csv", "a,label\n4,y\n"),
    ]);
    let (set, _) = open_vectors(temp.path(), &VectorReading::default(), &Silent).unwrap();
    assert_eq!(set.splits, [Split::Train, Split::Train, Split::Val, Split::Test]);
    let told = set.source.remarks.join(" ");
    assert!(told.contains("`wine_train.csv` is train, `wine_dev.csv` is val, `wine_holdout.csv` is test"), "{told}");
    let other = files(&[("red.csv", "a,label\n1,x\n2,y\n"), ("white.csv", "a,label\n3,x\n")]);
    let refuse = open_vectors(other.path(), &VectorReading::default(), &Silent);
    refused(refuse, &["says by its name", "red.csv, white.csv", "name one of the files"]);
}

#[test]
fn split_columns_are_no_features_whatever_they_are_called() {
    for (name, words) in [
        ("partition", ["development", "evaluation"]),
        ("dataset", ["train", "test"]),
        ("fold", ["train", "test"]),
        ("istrain", ["1", "0"]),
    ] {
        let text = table(&format!("a,b,y,{name}"), 60, |row| {
            format!("{row}.5,{},{},{}", row % 7, ["n", "y"][row % 2], words[usize::from(row >= 40)])
        });
        let (set, findings) = open(&text, &VectorReading::default()).unwrap();
        let columns: Vec<&str> = set.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            (columns, set.of(Split::Train).len(), set.of(Split::Test).len()),
            (vec!["a", "b"], 40, 20),
            "{name}"
        );
        assert_eq!(kinds(&findings), [(FindingKind::Guessed, Severity::Info)]);
    }
}

#[test]
fn arrays_of_numpy_are_read_whatever_their_type_and_order() {
    let x = [[1.5, -2.0, f64::NAN], [0.25, 3.0, 7.0], [8.0, 9.0, -1.0], [4.0, 5.5, 6.0]];
    let read = |name: &str, labels: &str| {
        let reading = VectorReading { labels: Some(fixture(labels)), ..VectorReading::default() };
        open_vectors(&fixture(name), &reading, &Silent)
    };
    for name in ["f32.npy", "f64_fortran.npy", "big_endian.npy"] {
        let (set, _) = read(name, "labels_text.npy").unwrap();
        for (column, name) in ["f0", "f1", "f2"].iter().enumerate() {
            let expected = x.map(|row| row[column].to_bits());
            assert_eq!(numbers(&set, name).into_iter().map(f64::to_bits).collect::<Vec<_>>(), expected, "{name}");
        }
        assert_eq!((set.classes, set.labels), (vec!["cat".into(), "dog".into(), "ölf".into()], vec![0, 1, 0, 2]));
    }
    assert_eq!(numbers(&read("i16.npy", "labels_int.npy").unwrap().0, "f0"), [1.0, 0.0, 8.0, 4.0]);
    assert_eq!(numbers(&read("u8.npy", "labels_int.npy").unwrap().0, "f1"), [2.0, 3.0, 9.0, 5.0]);
    assert_eq!(numbers(&read("bool.npy", "labels_int.npy").unwrap().0, "f2"), [0.0, 1.0, 0.0, 1.0]);
    let (set, findings) = read("f32.npy", "labels_number.npy").unwrap();
    assert_eq!((set.targets, findings.len()), (Targets::Values(vec![0.5, 2.25, 3.0]), 1));
    let set = read("f32.npy", "labels_set.npy").unwrap().0;
    let sets = [[true, false], [true, true], [false, false], [false, true]].map(|set| set.to_vec()).to_vec();
    assert_eq!((set.targets, set.classes), (Targets::Labels(sets), vec!["0".into(), "1".into()]));

    refused(read("f16.npy", "labels_int.npy"), &["<f2", "astype"]);
    refused(read("complex.npy", "labels_int.npy"), &["<c8"]);
    refused(read("three_axes.npy", "labels_int.npy"), &["two axes", "[2, 2, 2]"]);
    refused(read("inf.npy", "labels_int.npy"), &["infinite", "row 2", "`f1`"]);
    refused(read("f32.npy", "f32.npy"), &["zeros and ones"]);
    refused(read("labels_text.npy", "labels_int.npy"), &["two axes"]);
}

#[test]
fn labels_lie_beside_an_array() {
    let temp = tempfile::tempdir().unwrap();
    let to = |name: &str| temp.path().join(name);
    let copy = |from: &str, name: &str| std::fs::copy(fixture(from), to(name)).unwrap();
    copy("f32.npy", "x.npy");
    let open = |name: &str| open_vectors(&to(name), &VectorReading::default(), &Silent);
    refused(open("x.npy"), &["no labels", "x_labels.npy, x_labels.csv, labels.npy, labels.csv"]);
    std::fs::write(to("labels.csv"), "a\nb\nb\na\n").unwrap();
    let set = open("x.npy").unwrap().0;
    assert_eq!((set.labels.clone(), set.source.remarks.len()), (vec![0, 1, 1, 0], 1));
    std::fs::write(to("x_labels.csv"), "name,label,split\np,a,\nq,b,test\nr,b,\n").unwrap();
    refused(open("x.npy"), &["one label for every row", "4 labels", "found: 3"]);
    std::fs::write(to("x_labels.csv"), "name,label,split\np,a,\nq,b,test\nr,b,\ns,a,\n").unwrap();
    assert_eq!(open("x.npy").unwrap().0.splits[1], Split::Test);

    // A folder of arrays; the labels of test are not known.
    for name in ["train.npy", "test.npy"] {
        copy("f32.npy", name);
    }
    copy("labels_int.npy", "train_labels.npy");
    let (set, findings) = open(".").unwrap();
    assert_eq!((set.rows(), set.names[0].as_str(), findings[0].files.len()), (4, "train.npy row 1", 4));
    assert!(looks_like_vectors(temp.path()) && looks_like_vectors(&to("x.npy")));
}

#[test]
fn broken_arrays_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("x.npy");
    std::fs::write(temp.path().join("labels.csv"), "a\nb\nb\na\n").unwrap();
    let whole = std::fs::read(fixture("f32.npy")).unwrap();
    let mut long = whole.clone();
    long[6] = 2;
    long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let huge = String::from_utf8_lossy(&whole[..128]).replace("(4, 3)", "(4, 4611686018427387904)");
    let header = |text: &str| [b"\x93NUMPY\x01\x00v\x00", format!("{text:<117}\n").as_bytes()].concat();
    let object = header("{'descr': '|O', 'fortran_order': False, 'shape': (4, 3), }");
    let cases = [
        &whole[..9],
        &whole[..60],
        &whole[..whole.len() - 1],
        &long,
        huge.as_bytes(),
        b"path,label\n1,2\n3,4\n",
        &object,
        &header("{'descr'"),
    ];
    for bytes in cases {
        std::fs::write(&path, bytes).unwrap();
        let problem = open_vectors(&path, &VectorReading::default(), &Silent).unwrap_err().to_string();
        assert!(problem.contains("the array"), "{problem}");
    }
}

fn looks_like_vectors(path: &Path) -> bool {
    is_vectors(path, &VectorReading::default())
}

#[test]
fn what_is_asked_for_decides_what_is_looked_at() {
    let text = table("a,b,note,kind", 12, |row| format!("{row},{row}.5,row {row} is of a kind of its own,{}", row % 2));
    let temp = files(&[("rows.csv", &text)]);
    let is = |label: Option<&str>, ignore: &[&str]| {
        let ignore = ignore.iter().map(|&name| name.to_owned()).collect();
        let reading = VectorReading { label: label.map(str::to_owned), ignore, ..VectorReading::default() };
        is_vectors(&temp.path().join("rows.csv"), &reading)
    };
    assert!(is(Some("kind"), &["note"]) && is(Some("KIND"), &["Note"]));
    assert!(is(None, &["note"]) && !is(Some("kind"), &[]) && !is(Some("sort"), &["note"]));
}

#[test]
fn images_and_texts_are_not_taken_for_vectors() {
    let is = |text: &str| {
        let temp = files(&[("rows.csv", text)]);
        looks_like_vectors(&temp.path().join("rows.csv"))
    };
    let rows = |header: &str, row: &dyn Fn(usize) -> String| is(&table(header, 12, row));
    assert!(rows("a,b,label", &|row| format!("{row}.5,{row},{}", row % 2)));
    assert!(rows("a,town,id,class", &|row| format!("{row},t{},X{row},{}", row % 3, row % 2)));
    assert!(rows("a,b,kind", &|row| format!("{row},{row},{}", row % 2)), "rows, though nobody knows the label");
    assert!(!rows("a,kind", &|row| format!("{row},k{}", row % 2)), "one column of numbers, and none of labels");
    assert!(!rows("path,size,label", &|row| format!("{row}.jpg,{row},{}", row % 2)));
    assert!(!rows("file,size,label", &|row| format!("{}.jpg,{row},{}", row % 3, row % 2)));
    assert!(!rows("text,n,label", &|row| format!("good,{row},{}", row % 2)));
    assert!(!rows("opinion,n,label", &|row| format!("it is number {row} of all,{row},{}", row % 2)));
    assert!(!rows("word,n,label", &|row| format!("{},{row},{}", "w".repeat(row + 1), row % 2)));
    assert!(!rows("town,label", &|row| format!("t{},{}", row % 3, row % 2)), "no numbers");
    assert!(!is("") && !looks_like_vectors(Path::new("/nowhere.csv")));
    assert!(looks_like_vectors(files(&[("train.csv", "a,label\n1,x\n2,y\n"), ("test.csv", "")]).path()));
    let temp = files(&[("rows.jsonl", "{\"a\": 1, \"label\": 2}"), ("x.npy", "no array")]);
    assert!(["x.npy", ""].iter().all(|name| !looks_like_vectors(&temp.path().join(name))));
    assert!(looks_like_vectors(&temp.path().join("rows.jsonl")));
}

/// Opens a file as what it is taken for, with a label where one is asked for.
fn as_rows(name: &str, text: &str, label: Option<&str>) -> (VectorSet, Vec<Finding>) {
    let temp = files(&[(name, text)]);
    let path = temp.path().join(name);
    let reading = VectorReading { label: label.map(str::to_owned), ..VectorReading::default() };
    assert!(is_vectors(&path, &reading), "{text}");
    open_vectors(&path, &reading, &Silent).unwrap()
}

fn numeric(set: &VectorSet) -> Vec<&str> {
    set.columns.iter().filter(|column| column.kind() == Kind::Numeric).map(|column| column.name.as_str()).collect()
}

#[test]
fn tables_of_numbers_are_not_read_as_texts_of_their_categories() {
    let kind = |row: usize| ["Iris-setosa", "Iris-versicolor", "Iris-virginica"][row % 3];
    let iris: String = (0..30).map(|row| format!("{row}.1,3.5,1.{row},0.2,{}\n", kind(row))).collect();
    let (set, findings) = as_rows("iris.csv", &iris, None);
    assert_eq!((numeric(&set), set.source.label.as_deref()), (vec!["1", "2", "3", "4"], Some("5")));
    assert_eq!((set.rows(), set.classes.len()), (30, 3));
    assert_eq!(kinds(&findings), [(FindingKind::Guessed, Severity::Warning)]);
    assert!(findings[0].message.contains("`5`") && findings[0].message.contains("--label-column"), "{findings:?}");

    let work = ["Private", "Self-emp-not-inc", "?", "State-gov"];
    let adult = |row: usize| {
        let income = ["<=50K", ">50K"][row % 2];
        format!("{}, {}, {}, Some-college, {}, {income}\n", 20 + row, work[row % 4], 77516 + 31 * row, row % 16)
    };
    let rows: String = (0..40).map(adult).collect();
    for (header, label) in [("age,workclass,fnlwgt,education,edu-num,income\n", "income"), ("", "6")] {
        let (set, _) = as_rows("adult.csv", &format!("{header}{rows}"), None);
        assert_eq!((set.source.label.as_deref(), set.rows(), numeric(&set).len()), (Some(label), 40, 3));
        assert_eq!(set.classes, ["<=50K", ">50K"]);
    }

    let city = |row: usize| ["Bonn", "New York", "Ulm"][row % 3];
    let houses = table("date,city,sqm,rooms,price", 40, |row| {
        format!(
            "2024-01-{:02} 1{}:{:02},{},{},{},{}",
            1 + row % 28,
            row % 10,
            row,
            city(row),
            30 + row,
            row % 5,
            900 + 20 * row
        )
    });
    let (set, findings) = as_rows("houses.csv", &houses, Some("price"));
    assert_eq!((numeric(&set), findings.len()), (vec!["sqm", "rooms"], 0));
    assert!(matches!(&set.targets, Targets::Values(values) if values[1] == 920.0));

    let lines: String = (0..12)
        .map(|row| {
            format!("{{\"a\": {row}.2, \"b\": 0.3, \"c\": \"x{}\", \"y\": \"{}\"}}\n", row % 2, ["no", "yes"][row % 2])
        })
        .collect();
    let (set, _) = as_rows("rows.jsonl", &lines, None);
    assert_eq!((numeric(&set), set.source.label.as_deref(), set.rows()), (vec!["a", "b"], Some("y"), 12));

    // Zeros and ones at the end are the label, not words before them.
    let clicks = table("page,clicks,shown,relevant", 40, |row| format!("p{},{row},{},{}", row % 9, 3 * row, row % 2));
    assert_eq!(as_rows("clicks.csv", &clicks, None).0.source.label.as_deref(), Some("relevant"));
}

#[test]
fn short_texts_beside_numbers_stay_texts() {
    let folder = tempfile::tempdir().unwrap();
    for (header, first) in
        [("url,length,dots,label", "http://a.b/c"), ("page,length,dots,label", "http://a.org/some/longer/page")]
    {
        let path = folder.path().join("t.csv");
        std::fs::write(
            &path,
            table(header, 40, |row| format!("{first}{row},{row},{},{}", row % 5, ["a", "b"][row % 2])),
        )
        .unwrap();
        assert!(!is_vectors(&path, &VectorReading::default()), "{header}");
    }
}

#[test]
fn decimal_commas_are_read_whatever_separates_the_fields() {
    let city = |row: usize| ["Bonn", "Ulm"][row % 2];
    let tabs =
        table("city\tsqm\trooms\tclass", 20, |row| format!("{}\t{row},5\t{}\t{}", city(row), row % 4, city(row / 2)));
    let (set, findings) = as_rows("t.tsv", &tabs, None);
    assert_eq!((numeric(&set), numbers(&set, "sqm")[..2].to_vec()), (vec!["sqm", "rooms"], vec![0.5, 1.5]));
    assert_eq!(kinds(&findings), [(FindingKind::Guessed, Severity::Info)]);
    assert!(findings[0].message.contains("commas are read as decimal points, as in `0,5`: `sqm`"), "{findings:?}");
    let quoted = table("a,b,c,y", 20, |row| format!("\"{row},5\",\"0,{row}\",x{},{}", row % 2, ["no", "yes"][row % 2]));
    let (set, _) = as_rows("t.csv", &quoted, None);
    assert_eq!((numeric(&set), numbers(&set, "b")[3]), (vec!["a", "b"], 0.3));
    // Semicolons, and a label that stands in the header and below it.
    let spam = table("size;weight;spam", 20, |row| format!("{row},5;2,{row};{}", ["spam", "ham"][row % 2]));
    let (set, findings) = as_rows("t.csv", &spam, Some("spam"));
    assert_eq!((numeric(&set), set.rows(), findings.len()), (vec!["size", "weight"], 20, 0));
    let short = table("a;b;c;y", 20, |row| format!("{row},5;2,{row};x{};{}", row % 2, ["n", "y"][row % 2]));
    let (set, _) = as_rows("t.csv", &short, None);
    assert_eq!((numeric(&set), set.rows(), set.classes.len()), (vec!["a", "b"], 20, 2));
}

#[test]
fn dots_between_thousands_are_no_decimal_points() {
    let text = table("area;price;label", 20, |row| {
        let price = if row < 10 { format!("{}", 500 + row) } else { format!("1.{:03}", row) };
        format!("{row},5;{price};{}", row % 2)
    });
    let (set, findings) = as_rows("t.csv", &text, None);
    assert_eq!((numbers(&set, "price")[0], numbers(&set, "price")[18], numbers(&set, "area")[3]), (500.0, 1018.0, 3.5));
    assert_eq!(kinds(&findings), [(FindingKind::Guessed, Severity::Info)]);
    assert!(findings[0].message.contains("`price`") && findings[0].message.contains("`1.010` is 1010"), "{findings:?}");
    // Nothing says which they are.
    let text = table("area;price;label", 20, |row| format!("{row};{}.{:03};{}", 1 + row, 30 * row, row % 2));
    let (set, findings) = as_rows("t.csv", &text, None);
    assert_eq!(numbers(&set, "price")[2], 3.06);
    assert_eq!(kinds(&findings), [(FindingKind::Guessed, Severity::Warning)]);
}

#[test]
fn a_guessed_label_holds_for_the_files_of_all_splits() {
    let rows = |from: usize| table("a,b,sort", 12, |row| format!("{row},{},s{}", from + row, row % 2));
    let temp = files(&[("train.csv", &rows(0)), ("test.csv", &rows(50))]);
    let (set, findings) = open_vectors(temp.path(), &VectorReading::default(), &Silent).unwrap();
    assert_eq!((set.of(Split::Test).len(), set.classes, findings.len()), (12, vec!["s0".into(), "s1".into()], 1));
}

#[test]
fn lists_of_numbers_are_no_features() {
    let line =
        |row: usize| format!("{{\"a\": {row}, \"b\": {row}, \"x\": [1, 2], \"label\": \"{}\"}}\n", ["u", "v"][row % 2]);
    let temp = files(&[("rows.jsonl", &(0..12).map(line).collect::<String>())]);
    let read = open_vectors(&temp.path().join("rows.jsonl"), &VectorReading::default(), &Silent);
    refused(read, &["the value of `x` is nested", "a list", "line 1"]);
}

#[test]
fn cells_are_told_apart_by_digests() {
    let (set, _) = open("a,b,label\n0,u,x\n-0,u,y\n,u,x\n0,,x\n", &VectorReading::default()).unwrap();
    let digests = set.digests();
    assert_eq!(digests[0], digests[1]);
    assert!(digests[0] != digests[2] && digests[2] != digests[3] && digests[0].len() == 64);
    let (other, _) = open("a,b,label\n0,u,x\n-0,u,x\n,u,y\n0,,x\n", &VectorReading::default()).unwrap();
    let fingerprint = |set: &VectorSet| set.labelled().fingerprint(&set.digests());
    assert_ne!(fingerprint(&set), fingerprint(&other), "labels count");
}

#[path = "audit_tests.rs"]
mod audit_tests;
#[path = "encoding_tests.rs"]
mod encoding_tests;
