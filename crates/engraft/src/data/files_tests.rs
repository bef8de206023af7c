//! Data sets as people have them, from files to what a fit works on.

use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rand::RngExt;

use super::image::Limits;
use super::inspect::{NoStore, Outcome};
use super::intake::{InputKind, Intake};
use super::{
    Example, FindingKind, Grouping, ImageSource, Reading, Severity, Split, Task, images, is_image_table, used_bit_depth,
};
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
    assert!(refused.contains("--text names a column of texts"), "{refused}");
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
    assert!(taken.is_none() && told.contains("of which 4 use 12 bits or fewer"), "{told}");
}

#[test]
fn images_of_fewer_bits_beside_others_are_told() {
    let temp = tempfile::tempdir().unwrap();
    for seed in 1..9 {
        let (class, most) = (["a", "b"][seed as usize % 2], if seed < 5 { 4096 } else { 65_536 });
        deep(&temp.path().join(format!("{class}/{seed}.png")), seed, most);
    }
    let intake = read(temp.path(), None).unwrap();
    assert_eq!(intake.bit_depth, None);
    let told = intake.audit.findings.iter().find(|finding| finding.kind == FindingKind::BitDepth).unwrap();
    assert_eq!(
        (told.severity, told.files.as_slice()),
        (Severity::Warning, ["a/2.png", "a/4.png", "b/1.png", "b/3.png"].map(String::from).as_slice())
    );
    assert!(
        told.message.contains("of which 4 use 12 bits or fewer") && told.message.contains("and 4 use more"),
        "{told:?}"
    );
}

#[test]
fn the_bits_hold_all_values_and_those_of_training_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    let source = |name: &str, seed: u64, most: u32| {
        let path = temp.path().join(name);
        deep(&path, seed, most);
        ImageSource::from(path)
    };
    let bits = |images: &[ImageSource], asked, trained| used_bit_depth(images, asked, trained, &Silent).unwrap();
    let twelve = [source("1.png", 1, 4096), source("2.tiff", 2, 4000)];
    let (depth, said) = bits(&twelve, BitDepth::Auto, None);
    assert!(
        depth == Some(12)
            && said.as_deref().is_some_and(|said| said.contains("use 12 bits") && said.contains("read as 12 bits"))
    );
    assert_eq!(bits(&twelve, BitDepth::Auto, Some(12)), (Some(12), None));
    assert_eq!(bits(&twelve, BitDepth::Auto, Some(14)), (Some(14), None));
    let (depth, said) = bits(&twelve, BitDepth::Auto, Some(10));
    assert!(depth == Some(12) && said.unwrap().contains("has learnt from images of 10 bits"));
    assert_eq!(bits(&twelve, BitDepth::Sixteen, Some(10)), (None, None));
    let all = [source("3.png", 3, 65_536)];
    assert_eq!(bits(&all, BitDepth::Auto, None), (None, None));
    let (depth, said) = bits(&all, BitDepth::Auto, Some(12));
    assert!(depth.is_none() && said.unwrap().contains("read as 16 bits"));
    image(&temp.path().join("8.png"), 1);
    let eight = [ImageSource::from(temp.path().join("8.png"))];
    assert_eq!(bits(&eight, BitDepth::Auto, Some(12)), (Some(12), None));
    // However few of many images use more.
    let mut many: Vec<ImageSource> = (0..70).map(|seed| source(&format!("m{seed}.png"), seed, 4096)).collect();
    assert_eq!(bits(&many, BitDepth::Auto, None).0, Some(12));
    many[1] = source("m1.png", 1, 65_536);
    let (depth, said) = bits(&many, BitDepth::Auto, None);
    assert!(depth.is_none() && said.unwrap().contains("69 use 12 bits or fewer"));
    assert_eq!(bits(&many, BitDepth::Auto, Some(12)).0, None);
}

#[test]
fn images_in_base64_are_images_whatever_the_table_is() {
    use base64::Engine;
    let code = |n: usize| base64::engine::general_purpose::STANDARD.encode(png(n as u64));
    let class = |n: usize| ["cat", "dog"][(n - 1) % 2];
    let plain: String =
        (1..7).map(|n| format!("{{\"img\": \"{}\", \"label\": \"{}\"}}\n", code(n), class(n))).collect();
    let urls: String = (1..7)
        .map(|n| {
            format!(
                "{{\"image\": {{\"bytes\": \"data:image/png;base64,{}\", \"path\": null}}, \"label\": \"{}\"}}\n",
                code(n),
                class(n)
            )
        })
        .collect();
    let rows: String = (1..7).map(|n| format!("{},{}\n", code(n), class(n))).collect();
    for (name, text, column) in [
        ("t.jsonl", plain, "img"),
        ("t.jsonl", urls, "image.bytes"),
        ("t.csv", format!("picture,label\n{rows}"), "picture"),
    ] {
        let (_temp, path) = table(name, &text);
        assert_eq!(kind(&path), InputKind::Images, "{column}");
        let intake = read(&path, None).unwrap();
        let expected: Vec<String> = (1..7).map(|n| format!("row {n} {}", class(n))).collect();
        assert_eq!(labels(&intake), expected, "{column}");
        assert_eq!(intake.digests[0], crate::files::sha256_hex(&png(1)), "the very bytes");
        let told = intake.audit.render();
        assert!(told.contains(&format!("the column `{column}`, whose cells are images in Base64")), "{told}");
        assert_eq!(images(&path, &Silent).unwrap()[5].read(1 << 20).unwrap().into_owned(), png(6));
    }
}

#[test]
fn json_of_images_may_be_nested_and_may_be_one_list() {
    let class = |n: usize| ["cat", "dog"][(n - 1) % 2];
    let nested = |key: &str| -> String {
        (1..7)
            .map(|n| {
                format!(
                    "{{\"image\": {{\"{key}\": \"images/{n}.png\"}}, \"annotations\": {{\"label\": \"{}\"}}}}\n",
                    class(n)
                )
            })
            .collect()
    };
    let list: Vec<String> =
        (1..7).map(|n| format!("{{\n \"file_name\": \"images/{n}.png\",\n \"label\": \"{}\"\n}}", class(n))).collect();
    for (name, text) in [
        ("t.jsonl", nested("path")),
        ("t.jsonl", nested("url")),
        ("t.json", format!("[{}]\n", list.join(",\n"))),
        ("t.jsonl", format!("[\n{}\n]", list.join(","))),
    ] {
        let (_temp, path) = table(name, &text);
        assert_eq!(kind(&path), InputKind::Images, "{text}");
        assert_eq!(labels(&read(&path, None).unwrap()), SIX, "{text}");
    }
    let (_temp, path) = table("t.json", &format!("[{}", list.join(",\n")));
    let refused = read(&path, None).unwrap_err().to_string();
    assert!(refused.contains("the list does not end") && refused.contains("cut off"), "{refused}");
}

#[test]
fn lists_of_labels_are_several_labels() {
    let line = |n: usize| {
        let more = if n.is_multiple_of(3) { ", \"old\"" } else { "" };
        format!(
            "{{\"image\": \"images/{n}.png\", \"labels\": [\"{}\"{more}], \"box\": [1, 2]}}\n",
            ["cat", "dog"][(n - 1) % 2]
        )
    };
    let (_temp, path) = table("t.jsonl", &(1..7).map(line).collect::<String>());
    let intake = read(&path, None).unwrap();
    assert_eq!(intake.inferred.task, Task::MultiLabel);
    assert_eq!(labels(&intake)[2..4], ["images/3.png cat|old", "images/4.png dog"]);
}

/// A Parquet file of images as lists of bytes, and of lists of numbered labels.
fn parquet_of_lists(rows: &[(Vec<u8>, Vec<i64>)]) -> Vec<u8> {
    let schema = "message m { optional group image (LIST) { repeated group list { optional int32 element (UINT_8); } } \
                  optional group labels (LIST) { repeated group list { optional int64 element; } } \
                  optional group boxes (LIST) { repeated group list { optional double element; } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let names = "{\"info\": {\"features\": {\"labels\": {\"feature\": {\"names\": [\"cat\", \"dog\"], \"_type\": \"ClassLabel\"}}}}}";
    let entries = vec![KeyValue::new("huggingface".to_owned(), names.to_owned())];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(entries)).build();
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    // Of every element whether it goes on with a row, and of an empty list that it has none.
    let levels = |sizes: &[usize]| -> (Vec<i16>, Vec<i16>) {
        let of = |&size: &usize| (0..size.max(1)).map(move |at| (if size == 0 { 1 } else { 3 }, i16::from(at > 0)));
        sizes.iter().flat_map(of).unzip()
    };
    let (defined, repeated) = levels(&rows.iter().map(|row| row.0.len()).collect::<Vec<_>>());
    let bytes: Vec<i32> = rows.iter().flat_map(|row| row.0.iter().map(|&byte| i32::from(byte))).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&bytes, Some(&defined), Some(&repeated)).unwrap();
    column.close().unwrap();
    let (defined, repeated) = levels(&rows.iter().map(|row| row.1.len()).collect::<Vec<_>>());
    let labels: Vec<i64> = rows.iter().flat_map(|row| row.1.clone()).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, Some(&defined), Some(&repeated)).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let (defined, repeated) = levels(&vec![0; rows.len()]);
    column.typed::<DoubleType>().write_batch(&[], Some(&defined), Some(&repeated)).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    out
}

#[test]
fn lists_in_parquet_are_images_or_labels_and_others_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("t.parquet");
    let rows: Vec<(Vec<u8>, Vec<i64>)> =
        (1..7).map(|seed| (png(seed), if seed % 2 == 0 { vec![1] } else { vec![0, 1] })).collect();
    std::fs::write(&path, parquet_of_lists(&rows)).unwrap();
    assert_eq!(kind(&path), InputKind::Images);
    let intake = read(&path, None).unwrap();
    assert_eq!(intake.inferred.task, Task::MultiLabel);
    assert_eq!(labels(&intake)[..2], ["row 1 cat|dog", "row 2 dog"]);
    assert_eq!(intake.digests[0], crate::files::sha256_hex(&png(1)), "the very bytes");
    let told = intake.audit.render();
    assert!(told.contains("columns that are not read: `boxes` (a list of numbers)"), "{told}");
}

#[test]
fn classes_beyond_the_names_and_damaged_first_images_of_parquet_are_told() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("t.parquet");
    let mut rows: Vec<(Vec<u8>, i64)> = (1..9).map(|seed| (png(seed), seed as i64 % 3)).collect();
    rows[0].0 = b"garbage".to_vec();
    std::fs::write(&path, parquet_of_images(Some("[\"cat\", \"dog\"]"), &rows)).unwrap();
    assert_eq!(kind(&path), InputKind::Images);
    let intake = read(&path, None).unwrap();
    assert_eq!(
        (intake.dataset.classes.as_slice(), labels(&intake).len()),
        (["2", "cat", "dog"].map(String::from).as_slice(), 7)
    );
    let told = intake.audit.render();
    assert!(
        told.contains("no number of the 2 classes that the file names (0 to 1)") && told.contains("`2` (3)"),
        "{told}"
    );
    assert!(told.contains("not an image: 1 (row 1)"), "{told}");
}

#[test]
fn rows_without_a_label_are_left_out_of_a_table_of_images() {
    let rows: String = (1..7).map(|n| format!("images/{n}.png,{}\n", ["cat", "dog", ""][(n - 1) % 3])).collect();
    let (_temp, path) = table("t.csv", &format!("path,label\n{rows}"));
    let intake = read(&path, None).unwrap();
    assert_eq!(labels(&intake).len(), 4);
    let told = intake.audit.render();
    assert!(told.contains("rows without a label, left out: 2") && told.contains("images/3.png"), "{told}");
}

#[test]
fn what_is_said_before_the_header_is_passed_over() {
    let rows: String = (1..7).map(|n| format!("images/{n}.png,{}\n", ["cat", "dog"][(n - 1) % 2])).collect();
    for (before, told) in [
        ("\n \r\n", "blank lines before the header, passed over: 2"),
        ("# exported today, by me\n", "lines that begin with `#` before the header, passed over: 1"),
        ("#one\n#two\n\n", "lines that begin with `#` before the header, passed over: 2"),
    ] {
        let (_temp, path) = table("t.csv", &format!("{before}path,label\n{rows}"));
        assert_eq!(kind(&path), InputKind::Images);
        let intake = read(&path, None).unwrap();
        assert_eq!(labels(&intake), SIX, "{before:?}");
        assert!(intake.audit.render().contains(told), "{}", intake.audit.render());
    }
    let (_temp, path) = table("t.csv", &format!("#path,label\n{rows}"));
    let read = Intake::read_as(
        &path,
        &Reading { path_column: Some("#path".into()), ..Reading::default() },
        &Limits::default(),
        &NoStore,
        &Silent,
    );
    assert_eq!(labels(&read.unwrap()), SIX, "a header");
}

#[test]
fn what_stands_in_place_of_images_and_tables_is_named() {
    let temp = tempfile::tempdir().unwrap();
    for (name, seed) in [("a/1.png", 1), ("a/2.png", 2), ("b/3.png", 3), ("b/4.png", 4)] {
        image(&temp.path().join(name), seed);
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n".as_slice();
    let page = b"<!DOCTYPE html><html><body>Sign in</body></html>".as_slice();
    for (name, bytes) in [("a/5.jpg", pointer), ("b/6.jpg", page), ("b/7.jpg", b"icns\0\0\0\x08")] {
        std::fs::write(temp.path().join(name), bytes).unwrap();
    }
    let told = read(temp.path(), None).unwrap().audit.render();
    for words in
        ["not an image: a Git LFS pointer", "run `git lfs pull`", "an HTML page", "Apple icons (ICNS); convert"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    for (name, bytes, words) in [
        ("t.csv", pointer, "a Git LFS pointer"),
        ("t.jsonl", page, "an HTML page"),
        ("t.parquet", pointer, "git lfs pull"),
        ("t.csv.gz", b"\x1f\x8b\x08\0", "a file packed by gzip"),
        ("t.xlsx", b"PK\x03\x04", "export it as CSV"),
        ("t.npz", b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x.npy", "NumPy arrays (.npz)"),
        ("t.tar", &[&[b'a'; 257][..], b"ustar\x0000"].concat(), "a tar archive"),
        ("t.csv.bak", b"path,label\n1.png,cat\n", "let its name end in .csv"),
        ("table", b"path,label\n1.png,cat\n", "a text file without the ending of a table"),
    ] {
        let path = temp.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let refused = read(&path, None).unwrap_err().to_string();
        assert!(refused.contains(words), "{name}: {refused}");
    }
}

#[test]
fn a_column_of_a_file_that_is_no_table_is_not_one_of_a_folder() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a.list");
    std::fs::write(&path, "file,label\n1.png,cat\n").unwrap();
    let read = |path: &Path| {
        let reading = Reading { path_column: Some("file".into()), ..Reading::default() };
        Intake::read_as(path, &reading, &Limits::default(), &NoStore, &Silent).unwrap_err().to_string()
    };
    let refused = read(&path);
    assert!(refused.contains("let its name end in .csv") && !refused.contains("folder has no"), "{refused}");
    assert!(read(temp.path()).contains("a folder has no columns"));
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

/// Images of these names, each another one, and a table beside them.
fn images_and_table(names: &[&str], table: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    names.iter().zip(1..).for_each(|(name, seed)| image(&temp.path().join(name), seed));
    let path = temp.path().join(table);
    std::fs::write(&path, text).unwrap();
    (temp, path)
}

#[test]
fn a_table_named_like_a_split_takes_the_images_of_that_split() {
    let names = ["test/0.png", "test/1.png", "train/0.png", "train/1.png"];
    let rows = "id,label\n0.png,red\n1.png,blue\n";
    for (table, split) in [("train.csv", "train"), ("test_labels.csv", "test")] {
        let (_temp, path) = images_and_table(&names, table, rows);
        let intake = read(&path, None).unwrap();
        assert_eq!(labels(&intake), [format!("{split}/0.png red"), format!("{split}/1.png blue")]);
        assert!(intake.audit.render().contains(&format!("taken from `{split}`")), "{}", intake.audit.render());
        let answered: Vec<String> = images(&path, &Silent).unwrap().iter().map(ImageSource::name).collect();
        assert!(answered[0].ends_with(&format!("{split}/0.png")), "{answered:?}");
    }
    let (_temp, path) = images_and_table(&names, "labels.csv", rows);
    for refused in [read(&path, None).unwrap_err().to_string(), images(&path, &Silent).unwrap_err().to_string()] {
        assert!(refused.contains("`0.png` in the folders `test`, `train`"), "{refused}");
    }
    let by_row = "id,label,split\n0.png,red,train\n1.png,blue,train\n0.png,blue,test\n1.png,red,test\n";
    let (_temp, path) = images_and_table(&names, "labels.csv", by_row);
    let expected = ["test/0.png blue test", "test/1.png red test", "train/0.png red", "train/1.png blue"];
    assert_eq!(labels(&read(&path, None).unwrap()), expected);
}

#[test]
fn a_folder_of_a_class_is_never_taken_off_a_path() {
    let rows = "path,label\ncat/0.png,cat\nbird/100.png,bird\nbird/101.png,bird\n";
    let (_temp, path) = images_and_table(&["bird/100.png", "bird/101.png", "dog/0.png"], "t.csv", rows);
    let intake = read(&path, None).unwrap();
    assert_eq!(labels(&intake), ["bird/100.png bird", "bird/101.png bird"]);
    let told = intake.audit.render();
    assert!(told.contains("files that cannot be read, left out: 1") && told.contains("cat/0.png"), "{told}");
    assert!(!told.contains("without the first"), "{told}");
}

#[test]
fn text_files_of_images_and_labels_are_tables_of_images() {
    let row = |n: usize, between: &str| format!("images/{n}.png{between}{}\n", ["cat", "dog"][(n - 1) % 2]);
    let rows = |between: &str| (1..7).map(|n| row(n, between)).collect::<String>();
    for (name, text) in [
        ("t.txt", format!("file,label\n{}", rows(","))),
        ("t.TXT", format!("file,label\n{}", rows(","))),
        ("t.txt", rows("\t")),
        ("t.txt", rows(" ")),
        ("t.csv", rows(" ")),
    ] {
        let (_temp, path) = table(name, &text);
        assert_eq!(kind(&path), InputKind::Images, "{text}");
        assert_eq!(labels(&read(&path, None).unwrap()), SIX, "{text}");
        assert_eq!(images(&path, &Silent).unwrap().len(), 6, "{text}");
    }
    let (_temp, path) = table("t.txt", "images/1.png\nimages/2.png\nimages/3.png\n");
    let refused = read(&path, None).unwrap_err().to_string();
    assert!(refused.contains("a column of labels beside that of the images"), "{refused}");
    let (_temp, path) = table("t.txt", "a text about images/1.png\nanother one\n");
    assert_eq!(kind(&path), InputKind::Texts);
}

#[test]
fn columns_that_say_yes_and_no_in_any_way_are_labels() {
    for (yes, no, told) in [
        ("1", "-1", "which hold 1 for yes and -1 for no"),
        ("yes", "no", "which hold yes and no"),
        ("x", "", "which hold a mark or nothing"),
        ("True", "False", "which hold zeros and ones"),
    ] {
        let flag = |is_so: bool| if is_so { yes } else { no };
        let rows: String = (1..7).map(|n| format!("{n}.png,{},{}\n", flag(n % 2 == 1), flag(n % 2 == 0))).collect();
        let (_temp, path) = table("t.csv", &format!("filename,cat,dog\n{rows}"));
        let intake = read(&path, None).unwrap();
        assert_eq!(
            (intake.inferred.task, labels(&intake)),
            (Task::SingleLabel, SIX.map(String::from).to_vec()),
            "{yes}"
        );
        assert!(intake.audit.render().contains(told), "{}", intake.audit.render());
    }
}

#[test]
fn uncertain_and_partial_labels_are_not_read_as_one_of_them() {
    for rows in [
        "1.png,1.0,0.0,-1.0\n2.png,0.0,,1.0\n3.png,-1.0,1.0,\n",
        "1.png,0.8,0.1,0.1\n2.png,0.2,0.7,0.1\n3.png,0.1,0.1,0.8\n",
        "1.png,1,0,1\n2.png,0,1,\n3.png,0,1,0\n",
    ] {
        let (_temp, path) = table("t.csv", &format!("filename,red,green,blue\n{rows}"));
        let refused = read(&path, None).unwrap_err().to_string();
        assert!(refused.contains("several columns look like labels"), "{refused}");
        assert!(refused.contains("--label-column") && refused.contains("`red`, `green`"), "{refused}");
        let reading = Reading { label_column: Some("red".into()), ..Reading::default() };
        assert!(super::open_as(&path, &reading).is_ok(), "{rows}");
    }
}

#[test]
fn a_label_that_no_row_has_is_told() {
    let (_temp, path) = table("t.csv", "filename,red,green,blue\n1.png,1,0,0\n2.png,0,1,0\n3.png,1,0,0\n4.png,0,1,0\n");
    let intake = read(&path, None).unwrap();
    assert_eq!(intake.dataset.classes, ["green", "red"]);
    let told = intake.audit.findings.iter().find(|finding| finding.files == ["blue"]).unwrap();
    assert_eq!((told.kind, told.severity), (FindingKind::SmallClass, Severity::Warning));
    assert!(told.message.contains("no row of the table has"), "{}", told.message);
}

#[test]
fn truth_values_of_a_split_beside_columns_of_labels_are_no_label() {
    for (name, held) in [("is_training_set", "0"), ("test", "1"), ("in_test_set", "1")] {
        let said = |n: usize| if (n > 4) == (held == "1") { "1" } else { "0" };
        let rows: String = (1..7).map(|n| format!("{n}.png,{},{},{}\n", n % 2, 1 - n % 2, said(n))).collect();
        let (_temp, path) = table("t.csv", &format!("filename,cat,dog,{name}\n{rows}"));
        let intake = read(&path, None).unwrap();
        let mut expected = SIX.map(String::from);
        expected[4..].iter_mut().for_each(|name| name.push_str(" test"));
        assert_eq!(labels(&intake), expected, "{name}");
        assert!(intake.audit.render().contains(&format!("the column `{name}` says the splits")));
    }
}

#[test]
fn columns_of_one_name_are_refused_where_they_are_read() {
    for header in ["file,label,label", "file,file,label"] {
        let (_temp, path) =
            table("t.csv", &format!("{header}\nimages/1.png,images/1.png,a\nimages/2.png,images/2.png,b\n"));
        let refused = read(&path, None).unwrap_err().to_string();
        assert!(refused.contains("is there 2 times") && refused.contains("rename the others"), "{refused}");
    }
}

#[test]
fn folders_in_the_paths_of_a_table_say_the_splits() {
    let names = ["d/train/a/1.png", "d/train/b/2.png", "d/test/a/3.png", "d/val/b/4.png"];
    let rows: String = names.map(|name| format!("{name},{}\n", name.split('/').nth(2).unwrap())).concat();
    let (_temp, path) = images_and_table(&names, "t.csv", &format!("path,label\n{rows}"));
    let intake = read(&path, None).unwrap();
    let expected = ["d/test/a/3.png a test", "d/train/a/1.png a", "d/train/b/2.png b", "d/val/b/4.png b val"];
    assert_eq!(labels(&intake), expected);
    let told = intake.audit.render();
    assert!(
        told.contains("the folders in the paths say the splits: `test` is test, `train` is train, `val` is val"),
        "{told}"
    );
    // A column says otherwise; classes are no splits.
    let split: String = names.map(|name| format!("{name},{},train\n", name.split('/').nth(2).unwrap())).concat();
    let (_temp, path) = images_and_table(&names, "t.csv", &format!("path,label,split\n{split}"));
    assert_eq!(read(&path, None).unwrap().usable(Split::Train).len(), 4);
    let names = ["train/1.png", "train/2.png", "test/3.png", "test/4.png"];
    let rows: String = names.map(|name| format!("{name},{}\n", name.split('/').next().unwrap())).concat();
    let (_temp, path) = images_and_table(&names, "t.csv", &format!("path,label\n{rows}"));
    assert_eq!(read(&path, None).unwrap().usable(Split::Train).len(), 4);
}

#[test]
fn empty_rows_of_a_table_of_images_are_left_out_and_told() {
    let (_temp, path) = table("t.csv", "file,label\nimages/1.png,cat\n,\nimages/2.png,dog\n,\n,\n");
    let intake = read(&path, None).unwrap();
    assert_eq!(labels(&intake), ["images/1.png cat", "images/2.png dog"]);
    let told = intake.audit.findings.iter().find(|finding| finding.kind == FindingKind::MissingValue).unwrap();
    assert_eq!((told.message.as_str(), told.files.len()), ("rows whose cells are empty, left out: 3", 3));
    assert_eq!(images(&path, &Silent).unwrap().len(), 2);
    let (_temp, path) = table("t.csv", "file,label\nimages/1.png,cat\n,dog\nimages/2.png,dog\n");
    let refused = read(&path, None).unwrap_err().to_string();
    assert!(refused.contains("nothing in the column `file`") && refused.contains("line 3"), "{refused}");
}

#[test]
fn boxes_of_several_classes_are_the_reason_why_too_few_classes_are_left() {
    let rows = "filename,width,height,class,xmin,ymin,xmax,ymax\n1.png,32,32,red,1,1,9,9\n1.png,32,32,blue,2,2,8,8\n2.png,32,32,red,1,1,9,9\n";
    let (_temp, path) = table("boxes.csv", rows);
    let refused = read(&path, None).unwrap_err().to_string();
    assert!(refused.contains("found: red; files that rows give different labels or splits, left out: 1"), "{refused}");
    assert!(refused.contains("add --task multi-label"), "{refused}");
    assert!(read(&path, Some(Task::MultiLabel)).is_ok());
}
