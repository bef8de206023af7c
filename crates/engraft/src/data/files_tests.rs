//! Data sets as people have them, from files to what a fit works on.

use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rand::RngExt;

use super::image::Limits;
use super::inspect::{NoStore, Outcome};
use super::intake::{InputKind, Intake};
use super::{Example, FindingKind, Grouping, Reading, Split, Task, images, is_image_table};
use crate::error::Result;
use crate::progress::Silent;
use crate::settings::{BitDepth, Fit};

/// A patchwork of its own for every seed, as PNG.
fn png(seed: u64) -> Vec<u8> {
    let mut stream = crate::rng::rng(seed, "picture", 0);
    let patches = image::RgbImage::from_fn(8, 8, |_, _| image::Rgb(stream.random()));
    let large = image::imageops::resize(&patches, 32, 32, image::imageops::FilterType::Triangle);
    let mut bytes = std::io::Cursor::new(Vec::new());
    large.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn image(path: &Path, seed: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, png(seed)).unwrap();
}

fn read(path: &Path, task: Option<Task>) -> Result<Intake> {
    let reading = Reading { task, ..Reading::default() };
    Intake::read_as(path, &reading, &Limits::default(), &NoStore, &Silent)
}

/// Six images in `images/`, and a table of this name and text beside them.
fn table(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    (1..7).for_each(|seed| image(&temp.path().join(format!("images/{seed}.png")), seed));
    let path = temp.path().join(name);
    std::fs::write(&path, text).unwrap();
    (temp, path)
}

/// The class, or the labels, of every usable image by its name.
fn labels(intake: &Intake) -> Vec<String> {
    let name = |index: usize| {
        let Example { name, split, .. } = &intake.dataset.examples[index];
        let split = if *split == Split::Train { String::new() } else { format!(" {}", split.name()) };
        format!("{name} {}{split}", intake.dataset.target_text(index))
    };
    let splits = [Split::Train, Split::Val, Split::Test];
    let mut names: Vec<String> = splits.into_iter().flat_map(|split| intake.usable(split)).map(name).collect();
    names.sort();
    names
}

fn kind(path: &Path) -> InputKind {
    InputKind::of(&Fit { data: path.to_owned(), ..Fit::default() })
}

const SIX: [&str; 6] = [
    "images/1.png cat",
    "images/2.png dog",
    "images/3.png cat",
    "images/4.png dog",
    "images/5.png cat",
    "images/6.png dog",
];

#[test]
fn a_column_of_image_files_makes_a_table_of_images_whatever_its_name() {
    for header in ["file_name,label", "image,class", "filename,breed", "photo of it,kind"] {
        let rows: String = (1..7).map(|n| format!("images/{n}.png,{}\n", ["cat", "dog"][(n - 1) % 2])).collect();
        let (_temp, path) = table("labels.csv", &format!("{header}\n{rows}"));
        assert_eq!(kind(&path), InputKind::Images, "{header}");
        let intake = read(&path, None).unwrap();
        assert_eq!(labels(&intake), SIX, "{header}");
        let told = intake.audit.render();
        let column = header.split(',').next().unwrap();
        assert!(told.contains(&format!("the images are read from the column `{column}`")), "{told}");
    }
    let lines: String = (1..7)
        .map(|n| format!("{{\"file_name\": \"{n}\", \"label\": \"{}\"}}\n", ["cat", "dog"][(n - 1) % 2]))
        .collect();
    let (_temp, path) = table("labels.jsonl", &lines);
    assert_eq!(kind(&path), InputKind::Images);
    let intake = read(&path, None).unwrap();
    assert_eq!(labels(&intake), SIX);
    assert!(
        intake.audit.render().contains("in the folder `images`, with the ending .png: 6"),
        "{}",
        intake.audit.render()
    );
}

/// Reads six images with groups by a column or by a regular expression: what was read, and the group of each.
fn grouped(name: &str, text: &str, column: Option<&str>, by: Option<&str>) -> Result<(Intake, Vec<Option<String>>)> {
    let (_temp, path) = table(name, text);
    let reading = Reading { grouping: Grouping::new(column, by)?, ..Reading::default() };
    let intake = Intake::read_as(&path, &reading, &Limits::default(), &NoStore, &Silent)?;
    let groups = intake.dataset.examples.iter().map(|example| example.group.clone()).collect();
    Ok((intake, groups))
}

fn some(groups: [&str; 6]) -> Vec<Option<String>> {
    groups.map(|group| Some(group.to_owned())).to_vec()
}

#[test]
fn a_column_of_groups_in_a_table_of_images_is_neither_label_nor_split_nor_image() {
    let class = |n: usize| ["cat", "dog"][(n - 1) % 2];
    let lines = |with_label: bool| -> String {
        let label = |n| if with_label { format!(", \"label\": \"{}\"", class(n)) } else { String::new() };
        let line = |n: usize| format!("{{\"file_name\": \"{n}.png\", \"patient\": {}{}}}\n", n.div_ceil(2), label(n));
        (1..7).map(line).collect()
    };
    let (intake, groups) = grouped("labels.jsonl", &lines(true), Some("Patient"), None).unwrap();
    assert_eq!((labels(&intake), groups), (SIX.map(str::to_owned).to_vec(), some(["1", "1", "2", "2", "3", "3"])));
    let together = &intake.audit.groups;
    assert!(together[0] == together[1] && together[1] != together[2] && together[2] == together[3], "{together:?}");
    assert!(!intake.audit.render().contains("add --group-column"), "{}", intake.audit.render());
    let told = grouped("labels.jsonl", &lines(true), None, None).unwrap().0.audit.render();
    assert!(told.contains("add --group-column patient") && told.contains("3 values in 6 images"), "{told}");
    // Nothing else is left to be the label.
    let refused = grouped("labels.jsonl", &lines(false), Some("patient"), None).unwrap_err().to_string();
    assert!(refused.contains("a column of labels beside that of the images"), "{refused}");

    let row = |n: usize, more: &str| format!("images/{n}.png,{},{},{more}\n", n % 2, 1 - n % 2);
    let flags: String = (1..7).map(|n| row(n, ["0", "1"][(n - 1) / 3])).collect();
    let (intake, groups) = grouped("hot.csv", &format!("image,cat,dog,site\n{flags}"), Some("site"), None).unwrap();
    assert_eq!((labels(&intake), groups), (SIX.map(str::to_owned).to_vec(), some(["0", "0", "0", "1", "1", "1"])));
    assert_eq!(intake.dataset.task(), Task::SingleLabel);

    let words: String = (1..7).map(|n| row(n, ["train", "test"][(n - 1) / 3])).collect();
    let sets = format!("image,cat,dog,set\n{words}");
    let (intake, groups) = grouped("set.csv", &sets, Some("set"), None).unwrap();
    assert_eq!(intake.usable(Split::Train).len(), 6);
    assert_eq!(groups, some(["train", "train", "train", "test", "test", "test"]));
    assert_eq!(grouped("set.csv", &sets, None, None).unwrap().0.usable(Split::Test).len(), 3);

    let original = |n: usize| format!("images/{n}.png,images/{}.png,{}\n", n % 3 + 1, class(n));
    let crops: String = (1..7).map(original).collect();
    let crops = format!("crop,image,label\n{crops}");
    let (intake, groups) = grouped("crops.csv", &crops, Some("image"), None).unwrap();
    assert_eq!(labels(&intake), SIX);
    assert_eq!(groups[3].as_deref(), Some("images/2.png"));
    let refused = grouped("crops.csv", &crops, Some("patient"), None).unwrap_err().to_string();
    assert!(refused.contains("there is no column `patient`") && refused.contains("--group-column"), "{refused}");
}

#[test]
fn groups_are_found_in_the_paths_of_a_table_of_images() {
    let rows: String = (1..7).map(|n| format!("{n}.png,{}\n", ["cat", "dog"][(n - 1) % 2])).collect();
    let (intake, groups) =
        grouped("labels.csv", &format!("image,label\n{rows}"), None, Some(r"images/([1-3]|[4-6])")).unwrap();
    assert_eq!(groups, some(["1", "2", "3", "4", "5", "6"]));
    assert_eq!(intake.dataset.root.join("images/1.png"), intake.dataset.examples[0].source.file().unwrap());
}

#[test]
fn texts_and_rows_are_no_tables_of_images() {
    for text in [
        "text,label\ngood food,1\nbad food,0\n",
        "id,text,label\n1,see images/1.png for it,a\n2,no image,b\n",
        "id,x,label\n101,0.5,a\n102,0.7,b\n",
    ] {
        let (_temp, path) = table("t.csv", text);
        assert!(!is_image_table(&path), "{text}");
    }
}

#[test]
fn columns_of_zeros_and_ones_are_labels() {
    let rows: String = (1..7).map(|n| format!("{n}.png,{},{}\n", n % 2, 1 - n % 2)).collect();
    let (_temp, path) = table("t.csv", &format!("filename,cat,dog\n{rows}"));
    let intake = read(&path, None).unwrap();
    assert_eq!((intake.inferred.task, labels(&intake)), (Task::SingleLabel, SIX.map(String::from).to_vec()));
    assert!(intake.audit.render().contains("the columns `cat`, `dog`, which hold zeros and ones"));
    let rows: String = (1..7).map(|n| format!("{n}.png,{},{}\n", u8::from(n % 2 == 0), u8::from(n % 3 == 0))).collect();
    let (_temp, path) = table("t.csv", &format!("filename,two,three\n{rows}"));
    let intake = read(&path, None).unwrap();
    assert_eq!(intake.inferred.task, Task::MultiLabel);
    assert_eq!(labels(&intake)[..3], ["images/1.png ", "images/2.png two", "images/3.png three"]);
    assert_eq!(labels(&intake)[5], "images/6.png three|two");
}

#[test]
fn splits_in_tables_are_known_by_their_usual_words() {
    let words = ["Train", "TRAINING", "train", "train", "dev", "eval"];
    let rows: String =
        (1..7).map(|n| format!("images/{n}.png,{},{}\n", ["cat", "dog"][(n - 1) % 2], words[n - 1])).collect();
    for column in ["split", "Usage"] {
        let (_temp, path) = table("t.csv", &format!("path,label,{column}\n{rows}"));
        let intake = read(&path, None).unwrap();
        let mut expected = SIX.map(String::from).to_vec();
        expected[4] += " val";
        expected[5] += " test";
        assert_eq!(labels(&intake), expected);
        assert!(
            intake.audit.render().contains("`TRAINING` is train, `Train` is train, `dev` is val"),
            "{}",
            intake.audit.render()
        );
    }
}

#[test]
fn images_named_by_url_are_refused_as_such() {
    let rows: String = (1..7).map(|n| format!("https://example.org/{n}.png,{}\n", n % 2)).collect();
    let (_temp, path) = table("t.csv", &format!("image,label\n{rows}"));
    assert_eq!(kind(&path), InputKind::Images);
    let refused = read(&path, None).unwrap_err().to_string();
    assert!(refused.contains("named by URL") && refused.contains("download them"), "{refused}");
    // Files that are nowhere are no texts either.
    let rows: String = (1..7).map(|n| format!("/else/{n}.jpg,{}\n", n % 2)).collect();
    let (_temp, path) = table("t.csv", &format!("image,label\n{rows}"));
    assert_eq!(kind(&path), InputKind::Images);
    let told = read(&path, None).unwrap().audit.render();
    assert!(told.contains("files that cannot be read, left out: 6; No such file"), "{told}");
}

/// A Parquet file as the `datasets` library writes one of images: a structure of bytes and path, and numbered classes.
fn parquet_of_images(classes: Option<&str>, rows: &[(Vec<u8>, i64)]) -> Vec<u8> {
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); } \
                  required int64 label; required boolean checked; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let names = classes.map(|names| {
        let json =
            format!("{{\"info\": {{\"features\": {{\"label\": {{\"names\": {names}, \"_type\": \"ClassLabel\"}}}}}}}}");
        vec![KeyValue::new("huggingface".to_owned(), json)]
    });
    let properties = WriterProperties::builder().set_key_value_metadata(names).build();
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(4) {
        let mut group = file.next_row_group().unwrap();
        let bytes: Vec<ByteArray> = rows.iter().map(|(bytes, _)| bytes.clone().into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&vec![2; rows.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; rows.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let labels: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
        column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<BoolType>().write_batch(&vec![true; rows.len()], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
    out
}

#[test]
fn images_are_read_from_a_parquet_file() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("train.parquet");
    let mut rows: Vec<(Vec<u8>, i64)> = (1..7).map(|seed| (png(seed), (seed as i64 + 1) % 2)).collect();
    rows.push((png(7), -1));
    std::fs::write(&path, parquet_of_images(Some("[\"cat\", \"dog\"]"), &rows)).unwrap();
    assert_eq!(kind(&path), InputKind::Images);
    let intake = read(&path, None).unwrap();
    let expected: Vec<String> = (1..7).map(|row| format!("row {row} {}", ["cat", "dog"][(row - 1) % 2])).collect();
    assert_eq!(labels(&intake), expected);
    assert_eq!(intake.digests[0], crate::files::sha256_hex(&png(1)), "the very bytes");
    let told = intake.audit.render();
    assert!(told.contains("rows without a label, left out: 1") && told.contains("row 7"), "{told}");
    let found = images(&path, &Silent).unwrap();
    assert_eq!((found.len(), found[6].read(1 << 20).unwrap().into_owned()), (7, png(7)));
    assert!(found[6].name().ends_with("train.parquet row 7"), "{}", found[6].name());
    let groups = |column: Option<&str>, by: Option<&str>| {
        let (grouping, label_column) = (Grouping::new(column, by)?, Some("label".to_owned()));
        let reading = Reading { grouping, label_column, ..Reading::default() };
        let intake = Intake::read_as(&path, &reading, &Limits::default(), &NoStore, &Silent)?;
        Ok::<_, crate::error::Error>(intake.dataset.examples.into_iter().map(|e| e.group).collect::<Vec<_>>())
    };
    assert_eq!(groups(Some("checked"), None).unwrap(), some(["true"; 6]));
    assert_eq!(groups(None, Some("row ([1-3])")).unwrap()[2..4], [Some("3".to_owned()), None]);
    for (column, what) in [("label", "cannot be the group and"), ("image.bytes", "cannot be the group")] {
        let refused = groups(Some(column), None).unwrap_err().to_string();
        assert!(refused.contains(what) && refused.contains("--group-column"), "{refused}");
    }
    // Without names of classes their numbers are the names.
    std::fs::write(&path, parquet_of_images(None, &rows[..6])).unwrap();
    assert_eq!(read(&path, None).unwrap().dataset.classes, ["0", "1"]);
}

#[test]
fn an_image_table_is_read_in_any_encoding_and_dialect() {
    let rows: String =
        (1..7).map(|n| format!("images\\{n}.png; \"{}\"\r\n", ["кошка", "собака"][(n - 1) % 2])).collect();
    let text = format!("sep=;\r\nimage;label\r\n{rows}");
    let (_temp, path) = table("t.csv", "");
    std::fs::write(&path, encoding_rs::WINDOWS_1251.encode(&text).0).unwrap();
    let reading = Reading { encoding: Some("windows-1251".into()), ..Reading::default() };
    let intake = Intake::read_as(&path, &reading, &Limits::default(), &NoStore, &Silent).unwrap();
    assert_eq!(
        (intake.dataset.classes.as_slice(), labels(&intake).len()),
        (["кошка", "собака"].map(String::from).as_slice(), 6)
    );
    let told = intake.audit.render();
    assert!(told.contains("the delimiter is `;`") && told.contains("backslashes read as slashes: 6"), "{told}");
}

#[test]
fn labels_in_several_spellings_are_merged_or_told() {
    let labels_of = |words: [&str; 6], merge: bool| {
        let rows: String = (1..7).map(|n| format!("images/{n}.png,{}\n", words[n - 1])).collect();
        let (_temp, path) = table("t.csv", &format!("path,label\n{rows}"));
        let reading = Reading { merge_classes: merge, ..Reading::default() };
        let intake = Intake::read_as(&path, &reading, &Limits::default(), &NoStore, &Silent).unwrap();
        (intake.dataset.classes.clone(), intake.audit.render())
    };
    let (classes, told) = labels_of(["caf\u{e9}", "cafe\u{301}", "caf\u{e9} ", "tea", "te\u{200b}a", "tea"], false);
    assert_eq!(classes, ["caf\u{e9}", "tea"]);
    assert!(told.contains("merged: ") && told.contains("3 labels changed"), "{told}");
    let (classes, told) = labels_of(["Good", "good", "bad", "bad", "Good", "good"], false);
    assert_eq!(classes, ["Good", "bad", "good"]);
    assert!(told.contains("`Good` (2) and `good` (2); --merge-classes"), "{told}");
    assert_eq!(labels_of(["Good", "good", "bad", "bad", "Good", "good"], true).0, ["Good", "bad"]);
    assert_eq!(labels_of(["0", "0.0", "1", "1.0", "0", "1"], true).0, ["0", "1"]);
    let (classes, told) = labels_of(["NA", "yes", "NA", "yes", "None", "None"], false);
    assert_eq!(classes, ["NA", "None", "yes"]);
    assert!(told.contains("look like a missing value") && told.contains("`NA` (2), `None` (2)"), "{told}");
}

#[test]
fn a_class_of_one_image_is_left_out_where_two_others_remain() {
    let temp = tempfile::tempdir().unwrap();
    let names = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png", "bat/5.png", "eel/6.png", "eel/7.png"];
    names.iter().zip(1..).for_each(|(name, seed)| image(&temp.path().join(name), seed));
    let intake = read(temp.path(), None).unwrap();
    assert_eq!(intake.dataset.classes, ["cat", "dog", "eel"]);
    let train = intake.usable(Split::Train);
    let classes: Vec<&str> = intake.labels(&train).iter().map(|&l| intake.dataset.classes[l].as_str()).collect();
    assert_eq!(classes, ["cat", "cat", "dog", "dog", "eel", "eel"]);
    assert_eq!(intake.audit.classes.len(), 3);
    let told = intake.audit.findings.iter().find(|finding| finding.message.contains("left out with their")).unwrap();
    assert!(told.message.contains("bat (1)") && told.files == ["bat/5.png"], "{told:?}");
    intake.require_usable(false).unwrap();
    assert!(intake.require_usable(true).is_err());
    std::fs::remove_dir_all(temp.path().join("eel")).unwrap();
    std::fs::remove_file(temp.path().join("cat/1.png")).unwrap();
    let refused = read(temp.path(), None).unwrap().require_usable(false).unwrap_err().to_string();
    assert!(refused.contains("cat has 1"), "{refused}");
}

/// A 16-bit image of values below `most`.
fn deep(path: &Path, seed: u64, most: u32) {
    let mut stream = crate::rng::rng(seed, "picture", 0);
    let image = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(32, 32, |_, _| {
        image::Luma([(stream.random::<u32>() % most) as u16])
    });
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

#[test]
fn twelve_bits_in_sixteen_are_found_over_the_whole_data_set() {
    let temp = tempfile::tempdir().unwrap();
    for (class, seed) in [("a", 1), ("a", 2), ("b", 3), ("b", 4)] {
        deep(&temp.path().join(format!("{class}/{seed}.png")), seed, 4096);
    }
    let depth = |asked: Option<BitDepth>| {
        let reading = Reading { bit_depth: asked, ..Reading::default() };
        let intake = Intake::read_as(temp.path(), &reading, &Limits::default(), &NoStore, &Silent).unwrap();
        let told = intake.audit.findings.iter().find(|finding| finding.kind == FindingKind::BitDepth);
        let thumbnails = intake.inspections().iter().map(|seen| match &seen.outcome {
            Outcome::Image { thumbnail, .. } => *thumbnail.iter().max().unwrap(),
            other => panic!("{other:?}"),
        });
        (intake.bit_depth, told.map(|told| told.message.clone()).unwrap_or_default(), thumbnails.max().unwrap())
    };
    let (taken, told, brightest) = depth(None);
    assert_eq!(taken, Some(12));
    assert!(told.contains("use 12 bits") && told.contains("--bit-depth 16"), "{told}");
    assert!(brightest > 130, "{brightest}");
    let (taken, told, brightest) = depth(Some(BitDepth::Sixteen));
    assert!(taken.is_none() && told.contains("read as 16 bits, as asked") && brightest < 17, "{told} {brightest}");
    let (taken, told, _) = depth(Some(BitDepth::Ten));
    assert!(taken == Some(10) && told.contains("12 bits"), "{told}");
    // One image that uses them all: none is spread.
    deep(&temp.path().join("b/5.png"), 5, 65_536);
    let (taken, told, _) = depth(None);
    assert!(taken.is_none() && told.is_empty(), "{told}");
}

#[test]
fn what_is_left_out_is_counted_by_why() {
    let temp = tempfile::tempdir().unwrap();
    for (name, seed) in [("a/1.png", 1), ("a/2.png", 2), ("b/3.png", 3), ("b/4.png", 4)] {
        image(&temp.path().join(name), seed);
    }
    for (name, bytes) in
        [("a/x.jpg_large", b"\0\0\0\x20ftypheic".as_slice()), ("a/y", b"\0\0\0\x0cjP  \r\n"), ("b/z.png", b"text")]
    {
        std::fs::write(temp.path().join(name), bytes).unwrap();
    }
    let intake = read(temp.path(), None).unwrap();
    let told = intake.audit.render();
    assert!(told.contains("HEIC; convert it") && told.contains("(a/x.jpg_large)"), "{told}");
    assert!(told.contains("JPEG 2000; convert it") && told.contains("(a/y)"), "{told}");
    assert!(told.contains("not an image: 1 (b/z.png)"), "{told}");
    for name in ["a/1.png", "a/2.png"] {
        std::fs::remove_file(temp.path().join(name)).unwrap();
    }
    let refused = read(temp.path(), None).unwrap().require_usable(false).unwrap_err().to_string();
    assert!(refused.contains("HEIC; convert it"), "{refused}");
}
