use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::super::open::open_texts_within;
use super::super::*;
use super::{asked, open, refusal, rows, small};
use crate::progress::Silent;

/// A Parquet file of texts (some missing), classes as numbers, and lists that nobody asks for.
fn parquet(texts: &[Option<&str>], labels: &[i64], properties: WriterProperties) -> Vec<u8> {
    let schema = "message m { optional binary text (UTF8); required int64 label; required boolean flag; repeated binary tags (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for (texts, labels) in texts.chunks(3).zip(labels.chunks(3)) {
        let mut group = file.next_row_group().unwrap();
        let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
        let values: Vec<ByteArray> = texts.iter().flatten().map(|&text| text.into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(labels, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<BoolType>().write_batch(&vec![true; labels.len()], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let zeros = vec![0; labels.len()];
        column.typed::<ByteArrayType>().write_batch(&[], Some(&zeros), Some(&zeros)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes
}

const TEXTS: [Option<&str>; 5] =
    [Some(" good food and wine "), None, Some("bad food but wine"), Some("good food and beer"), Some("bad")];

#[test]
fn row_groups_encodings_and_compressions_are_read() {
    let plain = || WriterProperties::builder();
    for properties in [
        plain(),
        plain().set_compression(Compression::SNAPPY),
        plain().set_compression(Compression::ZSTD(ZstdLevel::default())),
        plain().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY),
        plain().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ] {
        // Delta encodings are of byte arrays alone.
        let properties = properties.set_column_encoding("label".into(), Encoding::PLAIN);
        let properties = properties.set_column_encoding("flag".into(), Encoding::PLAIN).build();
        let bytes = parquet(&TEXTS, &[1, 0, 0, 1, 0], properties);
        let (dataset, _) = open("t.parquet", &bytes, &TextReading::default()).unwrap();
        assert_eq!(dataset.source.format, TextFormat::Parquet);
        assert_eq!(
            rows(&dataset).iter().map(|row| (row.1, row.2)).collect::<Vec<_>>(),
            [
                ("good food and wine", "1"),
                ("", "0"),
                ("bad food but wine", "0"),
                ("good food and beer", "1"),
                ("bad", "0")
            ]
        );
    }
    let bytes = parquet(&TEXTS, &[1, 0, 0, 1, 0], plain().build());
    let problem = refusal("t.parquet", &bytes, &asked(&["tags"], None));
    assert!(problem.contains("the value of `tags` is nested") && problem.contains("a list"), "{problem}");
    let problem = refusal("t.parquet", &bytes, &asked(&["text"], Some("flag")));
    assert!(problem.contains("fewer than two classes"), "{problem}");
}

#[test]
fn names_of_classes_are_taken_from_the_file() {
    let json = r#"{"info": {"features": {"text": {"_type": "Value"}, "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}"#;
    let entry = KeyValue::new("huggingface".to_owned(), json.to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry])).build();
    let (dataset, _) =
        open("t.parquet", &parquet(&TEXTS, &[1, 0, 0, 1, 0], properties), &TextReading::default()).unwrap();
    assert_eq!((dataset.classes.len(), rows(&dataset)[0].2), (2, "pos"));
}

#[test]
fn a_bomb_is_refused_by_its_declared_sizes() {
    let huge = "a".repeat(1 << 20);
    let packed = || WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let bytes = parquet(&[Some("x y"), Some(&huge)], &[0, 1], packed().build());
    assert!(bytes.len() < 50_000, "small on disk");
    let within = |limits: Limits| {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("t.parquet");
        std::fs::write(&path, &bytes).unwrap();
        open_texts_within(&path, &TextReading::default(), &limits, &Silent).unwrap_err().to_string()
    };
    assert!(within(small()).contains("a column chunk is too large"));
    assert!(within(Limits { chunk: 1 << 30, ..small() }).contains("a page is too large"));
    assert!(within(Limits { chunk: 1 << 30, page: 1 << 30, ..small() }).contains("a record is too long"));
    assert!(
        within(Limits { record: 1 << 30, chunk: 1 << 30, page: 1 << 30, total: 1 << 10 }).contains("more text than")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_damaged_file_is_read_or_refused(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        delta: bool,
    ) {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let properties = match delta {
            true => properties
                .set_column_dictionary_enabled("text".into(), false)
                .set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY),
            false => properties,
        };
        let mut bytes = parquet(&TEXTS, &[1, 0, 0, 1, 0], properties.build());
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = open("t.parquet", &bytes, &asked(&["text"], Some("label")));
    }
}

#[test]
fn decimals_are_numbers_and_what_is_not_read_is_named() {
    use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int32Type};
    let schema = "message m { required binary text (UTF8); required int32 small (DECIMAL(5,2)); \
                  required fixed_len_byte_array(9) label (DECIMAL(20,3)); repeated int32 parts; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut file =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts: Vec<ByteArray> = ["all good", "all bad"].map(ByteArray::from).to_vec();
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[12_345, -5], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let label = |value: i128| FixedLenByteArray::from(value.to_be_bytes()[7..].to_vec());
    column.typed::<FixedLenByteArrayType>().write_batch(&[label(1500), label(-2)], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[], Some(&[0, 0]), Some(&[0, 0])).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("t.parquet");
    std::fs::write(&path, &bytes).unwrap();
    let table = table::Table::open(&path, &table::Opening::default(), &small(), &Silent).unwrap();
    assert_eq!(table.columns(), ["text", "small", "label"]);
    let rows = table.sample().unwrap();
    let cells = |row: usize| rows[row].fields.iter().map(|field| field.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        (cells(0), cells(1)),
        (
            ["all good", "123.45", "1.500"].map(String::from).to_vec(),
            ["all bad", "-0.05", "-0.002"].map(String::from).to_vec()
        )
    );
    assert_eq!(table.remarks(), ["columns that are not read: `parts` (a list of whole numbers)"]);
}
