use super::*;

fn vectors() -> WordVectors {
    let words = ["ada", "has", "two", "cats", ".", "how", "many", "?"].map(str::to_owned).to_vec();
    let mut stream = rng(0, "test/vectors", 0);
    let values = (0..words.len() * 6).map(|_| 2.0 * stream.random::<f32>() - 1.0).collect();
    WordVectors::new(words, 6, values).unwrap()
}

fn scores(network: &ReaderNetwork, pairs: &[&ReaderPair]) -> [Vec<f32>; 2] {
    let device = Device::flex();
    let batch = ReaderBatch::new(pairs, 6, &device);
    network.forward(&batch, Mode::Frozen, 0.0, &device).map(|side| side.into_data().try_to_vec().unwrap())
}

#[test]
fn words_know_what_they_share_with_the_question() {
    let pair = ReaderPair::of("How many cats ?", "Ada has two Cats , cats .", &vectors()).unwrap();
    let rows: Vec<&[f32]> = pair.features.chunks(FEATURES).collect();
    assert_eq!(rows[3], [0.0, 1.0, 2.0 / 7.0], "in other letters");
    assert_eq!(rows[5], [1.0, 1.0, 2.0 / 7.0], "as it is written");
    assert_eq!(rows[0], [0.0, 0.0, 1.0 / 7.0]);
    assert_eq!((pair.words_of(8, 11), pair.words_of(9, 16)), (Some((2, 2)), Some((2, 3))));
    assert!(ReaderPair::of("", "a", &vectors()).is_none() && ReaderPair::of("a", " ", &vectors()).is_none());
}

#[test]
fn what_fills_up_changes_no_score() {
    let sizes = ReaderSizes { columns: 6, hidden: 5, layers: 2 };
    let network = ReaderNetwork::random(sizes, 1, &Device::flex());
    let short = ReaderPair::of("How many ?", "Ada has two .", &vectors()).unwrap();
    let long = ReaderPair::of("How many cats has Ada ?", "Ada has two cats . Ada has two cats .", &vectors()).unwrap();
    let (alone, together) = (scores(&network, &[&short]), scores(&network, &[&long, &short]));
    for side in 0..2 {
        let words = long.paragraph.places.len();
        for (a, b) in alone[side].iter().zip(&together[side][words..]) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn scores_are_those_of_pytorch() {
    #[derive(Deserialize)]
    struct Golden {
        start: Vec<f32>,
        end: Vec<f32>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../../tests/fixtures/drqa.json")).unwrap();
    // The formula of the script.
    let fill = |name: &str, count: usize| -> Vec<f32> {
        let first: u32 = name.bytes().map(u32::from).sum();
        (0..count).map(|at| (f64::from(first + at as u32).sin() / 2.0) as f32).collect()
    };
    let device = Device::flex();
    let sizes = ReaderSizes { columns: 6, hidden: 4, layers: 2 };
    let network =
        ReaderNetwork::build(sizes, &device, &mut |name, shape| Ok(fill(name, shape.iter().product()))).unwrap();
    let tensor = |name: &str, shape: [usize; 3]| {
        Tensor::<3>::from_data(TensorData::new(fill(name, shape.iter().product()), shape), &device)
    };
    let batch = ReaderBatch {
        paragraph: tensor("vectors.paragraph", [1, 7, 6]),
        features: tensor("features", [1, 7, FEATURES]),
        question: tensor("vectors.question", [1, 4, 6]),
        lengths: [vec![7], vec![4]],
    };
    let found = network.forward(&batch, Mode::Frozen, 0.0, &device);
    for (found, expected) in found.into_iter().zip([golden.start, golden.end]) {
        let found = found.into_data().try_to_vec::<f32>().unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-6), "{found:?} {expected:?}");
    }
}

#[test]
fn backwards_is_its_own_reverse() {
    let device = Device::flex();
    let x = Tensor::<3>::from_data(TensorData::new((0..12).map(|v| v as f32).collect::<Vec<_>>(), [2, 3, 2]), &device);
    let turned = backwards(x.clone(), &[3, 2]);
    let rows = turned.clone().into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(rows, [4.0, 5.0, 2.0, 3.0, 0.0, 1.0, 8.0, 9.0, 6.0, 7.0, 10.0, 11.0]);
    assert_eq!(backwards(turned, &[3, 2]).into_data(), x.into_data());
}

#[test]
fn a_reader_comes_back_from_its_file() {
    let sizes = ReaderSizes { columns: 6, hidden: 4, layers: 2 };
    let reader = WordReader { network: ReaderNetwork::random(sizes, 1, &Device::flex()), sizes };
    let mut weights = Weights::default();
    reader.export("head.", &mut weights);
    let mut whole = weights.clone();
    let again = WordReader::import(sizes, "head.", &mut whole, &Device::flex()).unwrap();
    let ask = |reader: &WordReader| reader.scores(&vectors(), "How many cats ?", "Ada has two cats .").unwrap();
    assert_eq!((ask(&again), &again), (ask(&reader), &reader));
    assert!(whole.tensors.is_empty(), "every tensor is used");
    weights.tensors.remove("head.start");
    let error = WordReader::import(sizes, "head.", &mut weights, &Device::flex()).unwrap_err();
    assert!(matches!(error, Error::Weights(_)) && error.to_string().contains("head.start"));
}
