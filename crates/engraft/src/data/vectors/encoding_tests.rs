use super::*;

/// Rows that were not trained on, read as the columns of an encoding.
fn new_rows(text: &str, encoding: &Encoding) -> Result<VectorSet> {
    let temp = files(&[("new.csv", text)]);
    let reading = VectorReading { kinds: encoding.kinds(), ..VectorReading::default() };
    open_unlabelled(&temp.path().join("new.csv"), &reading, &Silent).map(|(set, _)| set)
}

/// What encoded rows say in the units of the table.
fn in_units(encoding: &Encoding, mut values: Vec<f32>) -> Vec<f32> {
    let width = encoding.columns();
    for row in values.chunks_exact_mut(width) {
        let mut at = 0;
        for input in &encoding.inputs {
            if let InputKind::Numeric { mean, deviation, .. } = input.kind {
                // Numbers of a test are whole, or have a few digits.
                row[at] = ((f64::from(row[at]) * deviation + mean) * 1e3).round() as f32 / 1e3;
            }
            at += input.columns();
        }
    }
    values
}

fn all(set: &VectorSet) -> Vec<usize> {
    (0..set.rows()).collect()
}

#[test]
fn the_numbers_are_those_of_scikit_learn() {
    let fixture: serde_json::Value = serde_json::from_slice(&std::fs::read(fixture("encoding.json")).unwrap()).unwrap();
    let expected =
        |name: &str| -> Vec<f32> { serde_json::from_value::<Vec<Vec<f32>>>(fixture[name].clone()).unwrap().concat() };
    let (set, _) = open(fixture["train"].as_str().unwrap(), &VectorReading::default()).unwrap();
    let encoding = Encoding::fit(&set, &all(&set)).unwrap();
    let names = [
        "age",
        "age is missing",
        "income",
        "income is missing",
        "city=Bonn",
        "city=Köln",
        "city is other",
        "smoker=no",
        "smoker=yes",
        "smoker is missing",
    ];
    assert_eq!((encoding.names(), encoding.columns()), (names.map(String::from).to_vec(), 10));
    let values = encoding.values(&set, &all(&set)).unwrap();
    assert_eq!(in_units(&encoding, values.clone()), expected("train_encoded"));
    let (n, width) = (set.rows(), encoding.columns());
    for column in [0, 2] {
        let of = || (0..n).map(|row| f64::from(values[row * width + column]));
        let (mean, square) = (of().sum::<f64>() / n as f64, of().map(|z| z * z).sum::<f64>() / n as f64);
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-5, "standardised: {mean}, {square}");
    }
    assert_eq!(encoding.encode(&set, 3).unwrap(), values[3 * width..4 * width]);
    let kept: Encoding = serde_json::from_str(&serde_json::to_string(&encoding).unwrap()).unwrap();
    assert_eq!(kept, encoding);
    let new = new_rows(fixture["new"].as_str().unwrap(), &kept).unwrap();
    assert_eq!(in_units(&kept, kept.values(&new, &all(&new)).unwrap()), expected("new_encoded"));
    let notes = kept.align(&new).unwrap();
    assert_eq!(
        notes,
        [
            "the column `city` has 2 values never seen in training, or rarely (`Essen`, `Paris`): taken as the rare ones",
            "the column `smoker` has 1 values never seen in training (`perhaps`): taken as no category",
        ]
    );
}

#[test]
fn only_the_given_rows_are_learnt_from() {
    let (set, _) = open("a,c,label\n1,u,x\n3,u,y\n5,v,x\n1000,v,y\n,v,x\n", &VectorReading::default()).unwrap();
    let encoding = Encoding::fit(&set, &[0, 1, 2]).unwrap();
    assert_eq!(encoding.names(), ["a", "c=u", "c is other"]);
    assert_eq!(in_units(&encoding, encoding.encode(&set, 4).unwrap()), [3.0, 0.0, 1.0]);
    assert_eq!(
        encoding.align(&set).unwrap()[0],
        "the column `a` lacks 1 values, as no training row did: taken as the median of the training rows"
    );
    let even = Encoding::fit(&set, &[0, 1]).unwrap();
    assert_eq!(in_units(&even, even.encode(&set, 4).unwrap())[0], 2.0, "the mean of the two in the middle");
    assert!(Encoding::fit(&set, &[]).is_err());
}

#[test]
fn other_columns_than_in_training_are_found_by_name_or_refused() {
    let (set, _) = open("a,c,label\n1,u,x\n3,u,y\n5,7,x\n7,7,y\n", &VectorReading::default()).unwrap();
    let encoding = Encoding::fit(&set, &all(&set)).unwrap();
    let new = new_rows("c,more,a\n7,1,2\n", &encoding).unwrap();
    assert_eq!(
        in_units(&encoding, encoding.encode(&new, 0).unwrap()),
        [2.0, 1.0, 0.0],
        "7 is a category, as in training"
    );
    assert_eq!(encoding.align(&new).unwrap(), ["columns that the model does not use: `more`"]);
    refused(
        encoding.align(&new_rows("c,A\n7,1\n", &encoding).unwrap()),
        &["missing", "expected: `a`", "found: `c`, `A`"],
    );
    refused(new_rows("a,c\n1,u\nmany,u\n", &encoding), &["not a number", "row 2", "column `a`", "`many`"]);
    refused(new_rows("a,c\n1,u\ninf,u\n", &encoding), &["infinite", "row 2"]);
    // Read without knowing the kinds.
    let unknown = |text: &str| {
        let temp = files(&[("new.csv", text)]);
        open_unlabelled(&temp.path().join("new.csv"), &VectorReading::default(), &Silent).unwrap().0
    };
    let words = unknown("a,c\n1,7\nmany,7\n");
    refused(encoding.align(&words), &["not a number", "row 2", "column `a`"]);
    refused(encoding.values(&words, &[0]), &["not a number"]);
    let row = encoding.encode(&unknown("a,c\n1,7\n2,7\n"), 0).unwrap();
    assert_eq!(in_units(&encoding, row), [1.0, 1.0, 0.0]);
    // A column that the model does not use may hold anything.
    let odd = table("a,c,more", 40, |row| if row == 7 { "1,u,12 kg".into() } else { format!("1,u,{row}.5") });
    assert_eq!(encoding.align(&new_rows(&odd, &encoding).unwrap()).unwrap().len(), 1);
}

#[test]
fn a_named_column_of_labels_is_passed_over_in_new_rows() {
    let temp = files(&[("new.csv", "a,label\n1,x\n2,y\n")]);
    let read = |label: Option<&str>| {
        let reading = VectorReading { label: label.map(str::to_owned), ..VectorReading::default() };
        open_unlabelled(&temp.path().join("new.csv"), &reading, &Silent).unwrap().0
    };
    assert_eq!(
        (read(Some("label")).columns.len(), read(None).columns.len(), read(Some("other")).columns.len()),
        (1, 2, 2)
    );
    assert_eq!(read(None).source.inferred, None);
}

#[test]
fn ten_thousand_columns_of_numbers_work_and_more_are_refused() {
    let wide = |columns: usize| {
        let header: Vec<String> = (0..columns).map(|column| format!("x{column}")).collect();
        let text = table(&format!("{},label", header.join(",")), 4, |row| {
            let cells: Vec<String> = (0..columns)
                .map(|column| if row == 1 && column == 0 { String::new() } else { (row * column).to_string() })
                .collect();
            format!("{},{}", cells.join(","), row % 2)
        });
        let (set, _) = open(&text, &VectorReading::default()).unwrap();
        Encoding::fit(&set, &all(&set)).map(|encoding| (encoding.columns(), encoding.encode(&set, 3).unwrap()))
    };
    let (columns, row) = wide(10_000).unwrap();
    // The last of four numbers at even distances.
    let last = 1.5 / 1.25f64.sqrt();
    assert_eq!((columns, row[10_000]), (10_001, last as f32));
    refused(wide(10_001), &["too many columns", "10000", "10001"]);
}

#[test]
fn too_many_categories_are_limited_and_told() {
    let text = table("c,d,x,label", 24_000, |row| format!("c{},d{},{row},{}", row / 2 % 9_000, row % 5, row % 2));
    let (set, _) = open(&text, &VectorReading::default()).unwrap();
    let encoding = Encoding::fit(&set, &all(&set)).unwrap();
    assert!(encoding.columns() <= 10_000 && encoding.notes.is_empty(), "{}", encoding.columns());
    let text = table("c,d,x,label", 48_000, |row| format!("c{},d{},{row},{}", row / 4, row % 5, row % 2));
    let (set, _) = open(&text, &VectorReading::default()).unwrap();
    let encoding = Encoding::fit(&set, &all(&set)).unwrap();
    assert!((9_990..=10_000).contains(&encoding.columns()), "{}", encoding.columns());
    assert!(
        encoding.notes.len() == 1 && encoding.notes[0].contains("12000 categories of the column `c`"),
        "{:?}",
        encoding.notes
    );
    let row = encoding.encode(&set, 0).unwrap();
    assert_eq!(row.iter().filter(|value| **value == 1.0).count(), 2, "a category of each column");
}
