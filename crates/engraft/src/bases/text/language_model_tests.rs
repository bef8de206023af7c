use burn::prelude::*;

use super::*;
use crate::bases::stage::{DropPathSchedule, Pass};
use crate::bases::text::lstm::concat_pool;

const SIZES: LstmConfig = LstmConfig { vocabulary: 0, width: 5, hidden: 7, layers: 3 };

fn model() -> LanguageModel {
    let vocabulary = Vocabulary::new(["the", "film", "was", "good"].map(str::to_owned));
    LanguageModel::random(SIZES, vocabulary, None, 3, &Device::flex()).unwrap()
}

fn bits(model: &LanguageModel) -> Vec<(String, Vec<u32>)> {
    let tensors = model.network.tensors().into_iter();
    tensors.map(|(name, _, values)| (name, values.iter().map(|x| x.to_bits()).collect())).collect()
}

fn text(text: &str) -> Text {
    Text { first: text.into(), second: None }
}

#[test]
fn files_come_back_to_the_bit() {
    let mut model = model();
    model.card.perplexity = Some(123.456);
    let temp = tempfile::tempdir().unwrap();
    for (name, bytes) in model.to_files() {
        std::fs::write(temp.path().join(name), bytes).unwrap();
    }
    assert!(LanguageModel::is_at(temp.path()));
    let again = LanguageModel::open(temp.path(), &Device::flex()).unwrap();
    assert_eq!(bits(&again), bits(&model));
    assert_eq!((again.to_parts(), &again.card), (model.to_parts(), &model.card));
    std::fs::remove_file(temp.path().join("vocab.txt")).unwrap();
    assert!(matches!(LanguageModel::open(temp.path(), &Device::flex()), Err(Error::Io(_))));
    assert!(!LanguageModel::is_at(&temp.path().join("none")));
}

#[test]
fn wrong_files_are_refused() {
    let whole = model().to_parts();
    let refused = |parts: LanguageModelParts| match LanguageModel::from_parts(&parts, &Device::flex()) {
        Err(Error::Weights(problem)) => problem.to_string(),
        other => panic!("{other:?}"),
    };
    let card = String::from_utf8(whole.card.clone()).unwrap();
    let with_card = |from: &str, to: &str| {
        assert!(card.contains(from), "{card}");
        refused(LanguageModelParts { card: card.replace(from, to).into_bytes(), ..whole.clone() })
    };
    assert!(with_card("awd_lstm", "resnet50").contains("resnet50"));
    assert!(with_card("\"width\": 5", "\"width\": 6").contains("`encoder.weight`"));
    assert!(with_card("\"layers\": 3", "\"layers\": 2").contains("rnns."));
    assert!(with_card("\"layers\": 3", "\"layers\": 0").contains("0 layers"));
    assert!(with_card("\"hidden\": 7", "\"hidden\": 1000000000").contains("1000000000"));
    assert!(with_card("\"vocabulary\": 10", "\"vocabulary\": 11").contains("vocab.txt"));
    assert!(with_card("{", "[").contains("config.json"));
    let cut = whole.weights[..whole.weights.len() / 2].to_vec();
    assert!(refused(LanguageModelParts { weights: cut, ..whole.clone() }).contains("cannot be read"));
    let mut weights = engraft_weights::read(&whole.weights).unwrap();
    weights.tensors.get_mut("rnns.1.bias").unwrap().values[3] = f32::NAN;
    let nan = engraft_weights::write(&weights);
    assert!(refused(LanguageModelParts { weights: nan, ..whole.clone() }).contains("not finite"));
    let other = weights.tensors["decoder.bias"].clone();
    weights.tensors.get_mut("rnns.1.bias").unwrap().values[3] = 0.0;
    weights.tensors.insert("more".into(), other);
    assert!(refused(LanguageModelParts { weights: engraft_weights::write(&weights), ..whole }).contains("`more`"));
}

#[test]
fn no_text_sees_its_neighbours_or_its_padding() {
    let model = model();
    let texts = ["the film was good", "Good", "the the the film unknown words here , was good . ", "was"].map(text);
    let all = model.embed(&texts.iter().collect::<Vec<_>>(), 100);
    for (text, together) in texts.iter().zip(&all) {
        let alone = &model.embed(&[text], 100)[0];
        assert!(alone.iter().map(|x| x.to_bits()).eq(together.iter().map(|x| x.to_bits())), "{text:?}");
        assert_eq!(alone.len(), model.columns());
    }
}

#[test]
fn long_texts_keep_their_ends() {
    let model = model();
    let long = text("the film was good the film");
    let (encoded, cut) = model.encode(&[&long, &text("was")], 5);
    assert_eq!((encoded, cut), (vec![vec![2, 6, 7, 6, 7], vec![2, 8]], 1));
}

#[test]
fn padding_has_no_part_in_pooling() {
    let values: Vec<f32> = (0..2 * 4 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
    let x = Tensor::<3>::from_data(TensorData::new(values.clone(), [2, 4, 3]), &Device::flex());
    let found: Vec<f32> = concat_pool(x, &[4, 2]).into_data().try_to_vec().unwrap();
    let expected = [concat_pool_values(&values[..12], 3), concat_pool_values(&values[12..18], 3)].concat();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
}

#[test]
fn new_words_begin_at_the_mean_and_nothing_else_moves() {
    let model = model();
    let longer = model.clone().extended(["film".to_owned(), "plot".to_owned()], &Device::flex());
    assert_eq!((longer.vocabulary.len(), longer.card.sizes.vocabulary), (11, 11));
    let (before, after) = (model.network.tensors(), longer.network.tensors());
    for ((name, _, before), (_, _, after)) in before.iter().zip(&after) {
        assert_eq!(before[..], after[..before.len()], "{name}");
        if name == "encoder.weight" {
            let mean: f32 = before.iter().step_by(5).sum::<f32>() / 10.0;
            assert!((after[50] - mean).abs() < 1e-6);
        }
    }
}

#[test]
fn embeddings_may_begin_at_word_vectors_of_their_width() {
    let vectors = |width: usize| WordVectors::new(vec!["film".into()], width, vec![2.0; width]).unwrap();
    let vocabulary = || Vocabulary::new(["the", "film"].map(str::to_owned));
    let random = |vectors: &WordVectors| LanguageModel::random(SIZES, vocabulary(), Some(vectors), 3, &Device::flex());
    let model = random(&vectors(5)).unwrap();
    let embedding = &model.network.tensors()[0].2;
    assert!(embedding[35..].iter().all(|x| (x - 0.2f32.sqrt()).abs() < 1e-5), "{embedding:?}");
    assert!(matches!(random(&vectors(4)), Err(Error::Usage(_))));
}

#[test]
fn dropout_is_drawn_by_position_and_off_where_frozen() {
    let model = model().onto(&Device::flex().autodiff());
    let numbers: Vec<u32> = (0..24).map(|i| i * 7 % 10).collect();
    let dropouts = Dropouts::CLASSIFIER;
    let run = |numbers: &[u32], rows: usize, first: usize| {
        let pass = Pass::dropping(DropPathSchedule { seed: 1, step: 5, first, progress: 0.0 });
        let mode = Mode::Train(&pass);
        let x = model.network.embed(numbers, rows, mode, &dropouts);
        let x = model.network.layers(x, 0..3, &mut [None, None, None], |_| mode, &dropouts);
        x.into_data().try_to_vec::<f32>().unwrap()
    };
    // Two shards draw as the whole does.
    let whole = run(&numbers, 4, 0);
    assert_eq!([run(&numbers[..12], 2, 0), run(&numbers[12..], 2, 2)].concat(), whole);
    assert!(whole.contains(&0.0));
    // A unit of the output that is dropped is dropped at every step.
    for sequence in whole.chunks_exact(6 * 5) {
        for unit in 0..5 {
            let dropped = sequence.iter().skip(unit).step_by(5).filter(|x| **x == 0.0).count();
            assert!(dropped == 0 || dropped == 6, "{dropped} of 6 steps");
        }
    }
    let x = model.network.embed(&numbers, 4, Mode::Frozen, &dropouts);
    let x = model.network.layers(x, 0..3, &mut [None, None, None], |_| Mode::Frozen, &dropouts);
    let texts: Vec<&[u32]> = numbers.chunks(6).collect();
    assert_eq!(x.into_data().try_to_vec::<f32>().unwrap(), frozen_states(&model.network, &texts).concat());
}
