//! The language model against PyTorch: tests/fixtures/language_model.py.

mod reference;

use burn::optim::GradientsParams;
use burn::prelude::*;
use engraft::bases::text::{
    Dropouts, LanguageCard, LanguageModel, LanguageModelParts, LstmConfig, Vocabulary, concat_pool, concat_pool_values,
};
use engraft::bases::{Device, Mode, Pass, identity};
use engraft::train::Gradients;
use engraft_weights::{Precision, Weights};
use reference::{fill, fixture, floats, numbers};

const SIZES: LstmConfig = LstmConfig { vocabulary: 11, width: 4, hidden: 6, layers: 2 };
const NUMBERS: [u32; 10] = [2, 7, 1, 8, 2, 3, 1, 4, 1, 5];
const NEXT: [u32; 10] = [7, 1, 8, 2, 8, 1, 4, 1, 5, 9];

/// A model whose numbers are the formula's.
fn model(device: &Device) -> LanguageModel {
    let vocabulary = Vocabulary::new(["a", "b", "c", "d", "e"].map(str::to_owned));
    let mut weights = Weights::default();
    for (name, shape) in [
        ("encoder.weight", vec![11, 4]),
        ("rnns.0.input", vec![4, 24]),
        ("rnns.0.recurrent", vec![6, 24]),
        ("rnns.0.bias", vec![24]),
        ("rnns.1.input", vec![6, 16]),
        ("rnns.1.recurrent", vec![4, 16]),
        ("rnns.1.bias", vec![16]),
        ("decoder.bias", vec![11]),
    ] {
        let values = fill(name, shape.iter().product(), |u| u - 0.5);
        let tensor = engraft_weights::Tensor { shape, values, precision: Precision::F32 };
        weights.tensors.insert(name.into(), tensor);
    }
    let parts = LanguageModelParts {
        weights: engraft_weights::write(&weights),
        vocabulary: vocabulary.to_bytes(),
        card: serde_json::to_vec(&LanguageCard::of(SIZES, "tiny")).unwrap(),
    };
    LanguageModel::from_parts(&parts, device).unwrap()
}

/// The last layer's states of both sequences, in two parts with carried state, `[2, 5, 4]`.
fn states(model: &LanguageModel, mode: Mode<'_>) -> Tensor<3> {
    let part = |from: usize, to: usize| [&NUMBERS[from..to], &NUMBERS[5 + from..5 + to]].concat();
    let mut remembered = vec![None; 2];
    let mut run = |numbers: &[u32]| {
        let x = model.network.embed(numbers, 2, mode, &Dropouts::NONE);
        model.network.layers(x, 0..2, &mut remembered, |_| mode, &Dropouts::NONE)
    };
    let first = run(&part(0, 3));
    Tensor::cat(vec![first, run(&part(3, 5))], 1)
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 3e-6 * scale, "{what}: {found} against {expected}");
    }
}

#[test]
fn logits_loss_and_gradients_are_those_of_pytorch() {
    let expected = fixture("language_model.json");
    let model = model(&Device::flex().autodiff());
    let pass = Pass::default();
    let mode = Mode::Train(&pass);
    let x = states(&model, mode);
    let logits = model.network.decode(x.reshape([10, 4]), mode);
    close(&floats(logits.clone()), &numbers(&expected["logits"]), "logits");
    let loss = engraft_kernels::cross_entropy(logits, &NEXT.map(Some)).mean();
    close(&floats(loss.clone()), &[expected["loss"].as_f64().unwrap()], "loss");

    let gradients = Gradients::of(&model.network, GradientsParams::from_grads(loss.backward(), &model.network));
    let known = expected["gradients"].as_object().unwrap();
    assert_eq!(gradients.0.len(), known.len());
    for (name, known) in known {
        let found = &gradients.0[&identity(&format!("language_model/{name}")).val()];
        let norm = found.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        close(&[norm], &[known["norm"].as_f64().unwrap()], name);
        let first: Vec<f64> = found[..4].iter().map(|x| f64::from(*x)).collect();
        let scale = [first, vec![norm]].concat();
        close(&scale, &[numbers(&known["first"]), vec![known["norm"].as_f64().unwrap()]].concat(), name);
    }
}

#[test]
fn pooling_is_that_of_pytorch_in_and_out_of_a_graph() {
    let expected = numbers(&fixture("language_model.json")["pooled"]);
    let x = states(&model(&Device::flex()), Mode::Frozen);
    close(&floats(concat_pool(x.clone(), &[5, 5])), &expected, "in a graph");
    let values: Vec<f32> = x.into_data().try_to_vec().unwrap();
    let found: Vec<f64> =
        values.chunks_exact(20).flat_map(|states| concat_pool_values(states, 4)).map(f64::from).collect();
    close(&found, &expected, "out of a graph");
}

#[test]
fn a_frozen_stage_gets_no_gradient_and_those_before_it_still_do() {
    let model = model(&Device::flex().autodiff());
    let pass = Pass::default();
    let (train, frozen) = (Mode::Train(&pass), Mode::Frozen);
    let x = model.network.embed(&NUMBERS, 2, train, &Dropouts::NONE);
    let mode = |layer: usize| if layer == 0 { frozen } else { train };
    let x = model.network.layers(x, 0..2, &mut [None, None], mode, &Dropouts::NONE);
    let gradients = GradientsParams::from_grads(x.sum().backward(), &model.network);
    let found = Gradients::of(&model.network, gradients).0;
    let learns = |stage: usize| model.network.stage_axes(stage).iter().filter(|(id, _)| found.contains_key(id)).count();
    assert_eq!([learns(0), learns(1), learns(2)], [1, 0, 3]);
}
