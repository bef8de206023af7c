//! Encoders against Hugging Face's Transformers and sentence-transformers: `tests/fixtures/text_encoders.py` and
//! `text_minilm.py` made the numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{Device, Gradients, TensorData};
use engraft_weights::{Precision, Tensor as Stored, Weights};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::*;
use crate::bases::low_rank::LoraConfig;
use crate::bases::parameters::identity;
use crate::bases::stage::{DropPathSchedule, Mode, Pass};
use crate::bases::text::names::canonical;
use crate::data::text::Text;

#[derive(Deserialize)]
struct Fixture {
    lengths: Vec<usize>,
    families: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    config: serde_json::Value,
    tensors: BTreeMap<String, Vec<usize>>,
    /// Of every layer, the first and the last token of each text.
    states: Vec<Vec<Vec<f64>>>,
    pooled: Vec<f64>,
    loss: f64,
    /// Length, sum of the first five, product with a direction.
    gradients: BTreeMap<String, [f64; 3]>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../tests/fixtures/text_encoders.json")).unwrap()
}

/// The numbers of a name, as the script draws them.
#[expect(clippy::approx_constant, reason = "as the script writes it")]
fn numbers(name: &str, count: usize) -> Vec<f64> {
    let digest = Sha256::digest(name.as_bytes());
    let part =
        |from: usize| f64::from(u32::from_le_bytes(digest[from..from + 4].try_into().unwrap())) / 4_294_967_296.0;
    let (pace, start) = (1.0 + part(0), part(4));
    (0..count).map(|i| ((i as f64 + 1.0) * pace * 7.31 + start * 6.28).sin()).collect()
}

fn fill(name: &str, shape: &[usize]) -> Stored {
    let lower = name.to_lowercase();
    let norm = lower.contains("layernorm") || name.contains("layer_norm");
    let value = |x: f64| match () {
        () if norm && name.ends_with("weight") => 1.0 + 0.2 * x,
        () if name.ends_with("bias") && !name.contains("attention_bias") => 0.1 * x,
        () => 0.3 * x,
    };
    let values = numbers(name, shape.iter().product()).into_iter().map(|x| value(x) as f32).collect();
    Stored { shape: shape.to_vec(), values, precision: Precision::F32 }
}

impl Case {
    /// A folder with the encoder's files; its tensors are called `prefix` and what Transformers calls them.
    fn folder(&self, prefix: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place("config.json"), self.config.to_string()).unwrap();
        let store = |(name, shape): (&String, &Vec<usize>)| (format!("{prefix}{name}"), fill(name, shape));
        let weights = Weights { tensors: self.tensors.iter().map(store).collect(), ..Weights::default() };
        std::fs::write(place("model.safetensors"), engraft_weights::write(&weights)).unwrap();
        let words: Vec<String> = (0..100)
            .map(|id| {
                ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].get(id).map_or_else(|| format!("w{id}"), |word| (*word).into())
            })
            .collect();
        std::fs::write(place("vocab.txt"), words.join("\n")).unwrap();
        folder
    }

    fn open(&self, device: &Device) -> SentenceEncoder {
        SentenceEncoder::open(self.folder("").path(), device).unwrap().0
    }
}

fn texts(lengths: &[usize], segments: bool) -> Vec<Encoded> {
    let text = |(row, &length): (usize, &usize)| Encoded {
        ids: (0..length).map(|at| 5 + ((17 * row + 31 * at) % 95) as u32).collect(),
        segments: (0..length).map(|at| u8::from(segments && at >= length / 2)).collect(),
        ..Encoded::default()
    };
    lengths.iter().enumerate().map(text).collect()
}

/// States behind each stage but the last.
fn states(encoder: &TextEncoder, batch: &TokenBatch, mode: Mode<'_>) -> Vec<Tensor<3>> {
    let mut all = vec![encoder.embed(batch, mode)];
    for block in 0..encoder.config().layers {
        let last = all.last().unwrap().clone();
        all.push(encoder.blocks(last, batch, block..block + 1, |_| mode));
    }
    all
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The distance, next to the length of what is expected.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let length = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
    found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt() / length
}

/// Gradients of all parameters in the layout of files, by identity.
fn gradients_of(encoder: &TextEncoder, gradients: &Gradients) -> BTreeMap<u64, (Vec<usize>, Vec<f32>)> {
    struct Collect<'a>(BTreeMap<u64, (Vec<usize>, Vec<f32>)>, &'a Gradients);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.1) {
                self.0.insert(param.id.val(), (gradient.dims().to_vec(), values(gradient)));
            }
        }
    }
    let mut collect = Collect(BTreeMap::new(), gradients);
    encoder.visit(&mut collect);
    collect.0
}

/// Compares every gradient with its length, the sum of its first five numbers and its product with a direction.
fn check_gradients(encoder: &TextEncoder, gradients: &Gradients, expected: &BTreeMap<String, [f64; 3]>, bound: f64) {
    let found = gradients_of(encoder, gradients);
    for (name, expected) in expected {
        let (shape, values) = &found[&identity(&canonical(name)).val()];
        // Linear layers lie the other way round in the file.
        let turn = shape.len() == 2 && !name.contains("embeddings") && !name.contains("attention_bias");
        let values = if turn { layers::turned(values, shape[0], shape[1]) } else { values.clone() };
        let wide: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        let direction = numbers(&format!("direction/{name}"), wide.len());
        let length = wide.iter().map(|x| x * x).sum::<f64>().sqrt();
        let along: f64 = wide.iter().zip(&direction).map(|(a, b)| a * b).sum();
        let found = [length, wide[..5].iter().sum(), along];
        // What is zero in exact numbers (the gradient of a key's bias) is noise in both.
        let is_zero = ["self.key.bias", "k_lin.bias", "attn.k.bias"].iter().any(|key| name.ends_with(key));
        let scale = if is_zero { 1.0 } else { expected[0].max(1e-3) };
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= bound * scale, "{name}: {found}, not {expected} ({:?})", expected);
        }
    }
}

#[test]
fn states_losses_and_gradients_are_those_of_transformers() {
    let fixture = fixture();
    let device = Device::flex().autodiff();
    for (family, case) in &fixture.families {
        let sentence = case.open(&device);
        let encoder = &sentence.encoder;
        let encoded = texts(&fixture.lengths, family.starts_with("bert"));
        let encoded: Vec<&Encoded> = encoded.iter().collect();
        let batch = TokenBatch::new(&encoded, sentence.config.pad, &device);
        let pass = Pass::default();
        let states = states(encoder, &batch, Mode::Train(&pass));
        for (layer, (states, expected)) in states.iter().zip(&case.states).enumerate() {
            let [_, tokens, width] = states.dims();
            let states = values(states.clone());
            for (index, expected) in expected.iter().enumerate() {
                let (row, at) = (index / 2, if index % 2 == 0 { 0 } else { fixture.lengths[index / 2] - 1 });
                let distance = distance(&states[(row * tokens + at) * width..][..width], expected);
                assert!(distance < 1e-5, "{family}, layer {layer}, text {row}, token {at}: {distance}");
            }
        }
        let pooled = pool(states.last().unwrap().clone(), &batch.mask, Pooling::Mean);
        assert!(distance(&values(pooled.clone()), &case.pooled) < 1e-5, "{family}");
        let target: Vec<f32> = numbers("target", case.pooled.len()).into_iter().map(|x| x as f32).collect();
        let target = Tensor::<2>::from_data(TensorData::new(target, pooled.dims()), &device);
        let loss = (pooled.clone() * target).sum() + pooled.square().sum().mul_scalar(0.1);
        assert!((f64::from(loss.clone().into_scalar::<f32>()) - case.loss).abs() < 1e-4 * case.loss.abs(), "{family}");
        check_gradients(encoder, &loss.backward(), &case.gradients, 1e-4);
    }
}

#[test]
fn the_frozen_program_is_the_module() {
    let fixture = fixture();
    let device = Device::flex();
    for (family, case) in &fixture.families {
        let sentence = case.open(&device);
        let how = LoraConfig { rank: 2, alpha: 4.0, seed: 1 };
        let stages = sentence.encoder.stages().len();
        let encoder = sentence.encoder.clone().adapted(how, 0..stages);
        let encoded = texts(&fixture.lengths, true);
        let encoded: Vec<&Encoded> = encoded.iter().collect();
        let batch = TokenBatch::new(&encoded, sentence.config.pad, &device);
        let expected = states(&encoder, &batch, Mode::Frozen);
        let frozen = FrozenEncoder::new(&encoder);
        let mut kept: Option<Vec<Vec<f32>>> = None;
        for (stage, expected) in expected.iter().enumerate() {
            let [_, tokens, width] = expected.dims();
            let expected = values(expected.clone());
            let found = frozen.states(&encoded, stage + 1);
            for (row, found) in found.iter().enumerate() {
                let wide: Vec<f64> =
                    expected[row * tokens * width..][..found.len()].iter().map(|&x| f64::from(x)).collect();
                let distance = distance(found, &wide);
                assert!(distance < 2e-6, "{family}, behind stage {stage}, text {row}: {distance}");
            }
            // Going on from what was kept is the same as going all the way.
            if let Some(kept) = kept {
                let kept: Vec<&[f32]> = kept.iter().map(Vec::as_slice).collect();
                assert_eq!(frozen.states_from(&kept, stage..stage + 1), found, "{family}");
            }
            kept = Some(found);
        }
        let last = kept.unwrap();
        assert_eq!(frozen.states(&encoded, stages), last, "the pooling is not a matter of states");
    }
}

#[test]
fn names_with_prefixes_and_of_old_are_read() {
    let fixture = fixture();
    let device = Device::flex();
    for (family, prefix) in
        [("bert", "bert."), ("distilbert", "distilbert."), ("roberta", "roberta."), ("mpnet", "mpnet.")]
    {
        let case = &fixture.families[family];
        let plain = case.open(&device);
        let (named, remarks) = SentenceEncoder::open(case.folder(prefix).path(), &device).unwrap();
        assert_eq!(named.tensors(), plain.tensors());
        assert!(remarks.iter().any(|remark| remark.contains("mean")), "{remarks:?}");
    }
    let case = &fixture.families["bert"];
    let folder = case.folder("bert.");
    let place = folder.path().join("model.safetensors");
    let mut weights = engraft_weights::read(&std::fs::read(&place).unwrap()).unwrap();
    let old =
        |name: String| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    weights.tensors = weights.tensors.into_iter().map(|(name, tensor)| (old(name), tensor)).collect();
    std::fs::write(&place, engraft_weights::write(&weights)).unwrap();
    let (named, _) = SentenceEncoder::open(folder.path(), &device).unwrap();
    assert_eq!(named.tensors(), case.open(&device).tensors());
}

#[test]
fn an_encoder_comes_back_from_its_parts() {
    let device = Device::flex();
    for case in fixture().families.values() {
        let first = case.open(&device);
        let tokenizer = first.tokenizer.to_bytes();
        let parts = (first.config.clone(), first.layout.clone(), first.tensors());
        let again = SentenceEncoder::from_parts(parts.0, parts.1, &tokenizer, parts.2, &device).unwrap();
        assert_eq!(again.tensors(), first.tensors());
        assert_eq!(again.tokenizer.to_bytes(), tokenizer);
        let mut less = first.tensors();
        less.tensors.remove("encoder.layer.1.output.dense.bias");
        let error = SentenceEncoder::from_parts(first.config, first.layout, &tokenizer, less, &device).unwrap_err();
        assert!(error.to_string().contains("encoder.layer.1.output.dense.bias is missing"), "{error}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let fixture = fixture();
    let case = &fixture.families["bert"];
    let device = Device::flex();
    let refused = |change: &dyn Fn(&Path), expected: &str| {
        let folder = case.folder("");
        change(folder.path());
        let message = SentenceEncoder::open(folder.path(), &device).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    let write = |path: PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    refused(&|folder| std::fs::remove_file(folder.join("config.json")).unwrap(), "config.json");
    refused(&|folder| std::fs::remove_file(folder.join("model.safetensors")).unwrap(), "no weights");
    refused(&|folder| write(folder.join("model.safetensors"), "nonsense"), "cannot be read");
    let with = |key: &str, value: serde_json::Value| {
        let mut config = case.config.clone();
        config[key] = value;
        config.to_string()
    };
    refused(&|folder| write(folder.join("config.json"), &with("hidden_size", 64.into())), "not [100, 64]");
    refused(&|folder| write(folder.join("config.json"), &with("num_hidden_layers", 3.into())), "encoder.layer.2");
    let words = |count: usize| (0..count).map(|i| format!("x{i}\n")).collect::<String>() + "[CLS]\n[SEP]\n[UNK]\n";
    refused(&|folder| write(folder.join("vocab.txt"), &words(98)), "does not fit the weights");
    let modules = r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]"#;
    let pooling = |json: &'static str| {
        move |folder: &Path| {
            write(folder.join("modules.json"), modules);
            write(folder.join("1_Pooling/config.json"), json);
        }
    };
    refused(&pooling(r#"{"pooling_mode_weightedmean_tokens": true}"#), "weightedmean_tokens");
    refused(&pooling(r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#), "and");
    refused(&|folder| write(folder.join("modules.json"), &modules.replace("1_Pooling", "../x")), "out of the folder");
    refused(
        &|folder| write(folder.join("modules.json"), &modules.replace("Pooling\"", "WordWeights\"")),
        "WordWeights",
    );
    let folder = case.folder("");
    pooling(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#)(folder.path());
    let (opened, remarks) = SentenceEncoder::open(folder.path(), &device).unwrap();
    assert_eq!((opened.layout.pooling, remarks.len()), (Pooling::Cls, 0));
    assert!(is_text_base(folder.path().to_str().unwrap()));
    assert!(!is_text_base("no/such-base-anywhere"));
    assert!(is_text_base("sentence-transformers/not-pulled"));
    let message = open_text_base("sentence-transformers/not-pulled", &device).unwrap_err().to_string();
    assert!(message.contains("engraft bases pull hf://sentence-transformers/not-pulled"), "{message}");
}

#[test]
fn stages_have_their_parameters() {
    let fixture = fixture();
    for (family, case) in &fixture.families {
        let encoder = case.open(&Device::flex()).encoder;
        let stages = encoder.stages();
        assert_eq!(stages, ["embed", "block0", "block1", "pool"]);
        let costs = encoder.costs(7);
        let total: usize = costs.iter().map(|cost| cost.parameters).sum();
        let expected: usize = encoder.tensors().values().map(|(shape, _)| shape.iter().product::<usize>()).sum();
        assert_eq!(total, expected, "{family}");
        let counts: Vec<usize> = (0..4).map(|stage| encoder.stage_axes(stage).len()).collect();
        let embed = if family.starts_with("bert") || family == "roberta" { 5 } else { 4 };
        let table = usize::from(family == "mpnet");
        assert_eq!(counts, [embed, 16 + table, 16, 0], "{family}");
        assert_eq!(costs[1].columns(), 7 * 32);
    }
}

#[test]
fn a_frozen_stage_gets_no_gradient_and_its_adaptation_alone_learns() {
    let case = &fixture().families["mpnet"];
    let device = Device::flex().autodiff();
    let base = case.open(&device).encoder;
    let how = LoraConfig { rank: 2, alpha: 2.0, seed: 3 };
    let before = base.stage_axes(2);
    let encoder = base.adapted(how, 2..3);
    let factors: Vec<u64> = encoder.stage_axes(2).into_keys().filter(|id| !before.contains_key(id)).collect();
    assert_eq!(factors.len(), 12);
    let encoded = texts(&[6, 4], false);
    let batch = TokenBatch::new(&encoded.iter().collect::<Vec<_>>(), 1, &device);
    let pass = Pass::default();
    let x = encoder.embed(&batch, Mode::Frozen);
    let mode = |block| if block == 1 { Mode::Train(&pass) } else { Mode::Frozen };
    let x = encoder.blocks(x, &batch, 0..2, mode);
    let gradients = gradients_of(&encoder, &x.square().sum().backward());
    assert!(factors.iter().all(|id| gradients.contains_key(id)), "the factors learn");
    let learning = encoder.stage_axes(2);
    assert!(gradients.keys().all(|id| learning.contains_key(id)), "nothing else does");
    let weights: Vec<u64> =
        before.iter().filter(|(id, axes)| **axes == 2 && gradients.contains_key(id)).map(|(id, _)| *id).collect();
    assert!(weights.is_empty(), "weights stand still beside their factors");
    let merged = encoder.clone().merged();
    assert_eq!(merged.stage_axes(2), before);
    assert_eq!(merged.tensors(), encoder.tensors());
}

#[test]
fn dropout_is_drawn_for_each_text_and_not_for_its_neighbours() {
    let case = &fixture().families["bert"];
    let device = Device::flex();
    let encoder = case.open(&device).encoder.with_dropout(0.3);
    let encoded = texts(&[5, 9, 2], false);
    let run = |rows: &[usize], first: usize, step: u64| {
        let encoded: Vec<&Encoded> = rows.iter().map(|&row| &encoded[row]).collect();
        let batch = TokenBatch::new(&encoded, 0, &device);
        let pass = Pass::dropping(DropPathSchedule { seed: 4, step, first, progress: 0.0 });
        let x = states(&encoder, &batch, Mode::Train(&pass)).pop().unwrap();
        let [_, tokens, width] = x.dims();
        let x = values(x);
        (0..rows.len())
            .map(|row| x[row * tokens * width..][..encoded[row].ids.len() * width].to_vec())
            .collect::<Vec<_>>()
    };
    let whole = run(&[0, 1, 2], 0, 7);
    assert_eq!(whole[2], run(&[2], 2, 7)[0], "a shard draws as the whole would");
    assert_ne!(whole[2], run(&[2], 2, 8)[0], "another step");
    assert_ne!(whole[2], run(&[2], 1, 7)[0], "another place");
    let still = {
        let batch = TokenBatch::new(&[&encoded[2]], 0, &device);
        values(states(&encoder, &batch, Mode::Frozen).pop().unwrap())
    };
    assert_ne!(whole[2], still);
}

#[test]
fn an_encoder_from_scratch_follows_from_its_seed() {
    let config = case_config();
    let device = Device::flex();
    let tensors = |seed| TextEncoder::random(&config, seed, &device).tensors();
    assert_eq!(tensors(1), tensors(1));
    assert_ne!(tensors(1), tensors(2));
    let weight = &tensors(1)["encoder.layer.0.intermediate.dense.weight"].1;
    let deviation = (weight.iter().map(|x| x * x).sum::<f32>() / weight.len() as f32).sqrt();
    assert!((deviation - 0.02).abs() < 0.002, "{deviation}");
}

fn case_config() -> EncoderConfig {
    let case = &fixture().families["bert"];
    EncoderConfig::parse(case.config.to_string().as_bytes(), Path::new("config.json")).unwrap()
}

/// What the script says of all-MiniLM-L6-v2.
#[derive(Deserialize)]
struct MiniLm {
    sentences: Vec<String>,
    awkward: Vec<Tokens>,
    pairs: Vec<Pair>,
    windows: Windows,
    words: Words,
    states: Vec<Vec<f64>>,
    gradients: BTreeMap<String, [f64; 3]>,
}

#[derive(Deserialize)]
struct Tokens {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Pair {
    first: String,
    second: String,
    ids: Vec<u32>,
    segments: Vec<u8>,
}

#[derive(Deserialize)]
struct Windows {
    question: String,
    context: String,
    windows: Vec<Window>,
}

#[derive(Deserialize)]
struct Window {
    ids: Vec<u32>,
    segments: Vec<u8>,
    sequence: Vec<Option<u8>>,
    offsets: Vec<(u32, u32)>,
}

#[derive(Deserialize)]
struct Words {
    words: Vec<String>,
    ids: Vec<u32>,
    word: Vec<Option<u32>>,
}

/// The encoder and what is expected of it; none where `ENGRAFT_MINILM` does not name its folder.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn minilm(device: &Device) -> Option<(TextBase, MiniLm)> {
    let Ok(folder) = std::env::var("ENGRAFT_MINILM") else {
        eprintln!("skipped: ENGRAFT_MINILM does not name the folder of all-MiniLM-L6-v2");
        return None;
    };
    let expected = serde_json::from_str(include_str!("../../../tests/fixtures/text_minilm.json")).unwrap();
    Some((open_text_base(&folder, device).unwrap(), expected))
}

fn encoder_of(base: TextBase) -> SentenceEncoder {
    let TextBody::Encoder(encoder) = base.body else { panic!("an encoder was opened") };
    *encoder
}

fn plain(first: &str) -> Text {
    Text { first: first.into(), second: None }
}

#[test]
fn minilm_s_tokens_are_those_of_transformers() {
    let Some((base, expected)) = minilm(&Device::flex()) else { return };
    assert_eq!((base.licence.as_str(), base.remarks.len()), ("apache-2.0", 0), "{:?}", base.remarks);
    let encoder = encoder_of(base);
    assert_eq!(
        encoder.layout,
        SentenceLayout {
            pooling: Pooling::Mean,
            normalise: true,
            limit: 256,
            dense: vec![],
            normalise_before: vec![],
            prompt: String::new(),
            pools_prompt: true,
        }
    );
    let tokenizer = &encoder.tokenizer;
    for Tokens { text, ids } in &expected.awkward {
        assert_eq!(tokenizer.encode(&plain(text), 256).unwrap().ids, *ids, "{text:?}");
    }
    for Pair { first, second, ids, segments } in &expected.pairs {
        let text = Text { first: first.clone(), second: Some(second.clone()) };
        let found = tokenizer.encode(&text, 64).unwrap();
        assert_eq!((&found.ids, &found.segments), (ids, segments), "{text:?}");
    }
    let Windows { question, context, windows } = &expected.windows;
    let found = tokenizer.windows(question, context, 48, 12).unwrap();
    assert_eq!(found.len(), windows.len());
    for (found, Window { ids, segments, sequence, offsets }) in found.iter().zip(windows) {
        assert_eq!((&found.ids, &found.segments), (ids, segments));
        assert_eq!((&found.sequence, &found.offsets), (sequence, offsets));
    }
    let words: Vec<&str> = expected.words.words.iter().map(String::as_str).collect();
    let found = tokenizer.encode_words(&words, 256).unwrap();
    assert_eq!((&found.ids, &found.word), (&expected.words.ids, &expected.words.word));
}

#[test]
fn minilm_s_embeddings_are_those_of_sentence_transformers() {
    let Some((base, expected)) = minilm(&Device::flex()) else { return };
    let encoder = encoder_of(base);
    let bytes = include_bytes!("../../../tests/fixtures/text_minilm.bin");
    let rows: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let texts: Vec<Text> = expected.sentences.iter().map(|text| plain(text)).collect();
    let encoded = encoder.encode(&texts.iter().collect::<Vec<_>>()).unwrap();
    let frozen = FrozenEncoder::new(&encoder.encoder);
    let states = frozen.states(&encoded.iter().collect::<Vec<_>>(), encoder.encoder.stages().len());
    for ((text, states), expected) in expected.sentences.iter().zip(states).zip(rows.chunks_exact(384)) {
        let found = encoder.finish(&states);
        let most = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most < 1e-5 / 10.0, "{text:?}: {most}");
    }
}

#[test]
fn minilm_s_states_and_gradients_are_those_of_transformers() {
    let device = Device::flex().autodiff();
    let Some((base, expected)) = minilm(&device) else { return };
    let sentence = encoder_of(base);
    let texts: Vec<Text> = expected.sentences[..4].iter().map(|text| plain(text)).collect();
    let encoded = sentence.encode(&texts.iter().collect::<Vec<_>>()).unwrap();
    let batch = TokenBatch::new(&encoded.iter().collect::<Vec<_>>(), sentence.config.pad, &device);
    let pass = Pass::default();
    let states = states(&sentence.encoder, &batch, Mode::Train(&pass));
    for (layer, (states, expected)) in states.iter().zip(&expected.states).enumerate() {
        let [_, tokens, width] = states.dims();
        let found = values(states.clone())[(tokens + 3) * width..][..8].to_vec();
        let distance = distance(&found, expected);
        assert!(distance < 2e-5, "layer {layer}: {distance}");
    }
    let pooled = pool(states.last().unwrap().clone(), &batch.mask, Pooling::Mean);
    let [n, width] = pooled.dims();
    let target: Vec<f32> = numbers("target", n * width).into_iter().map(|x| x as f32).collect();
    let target = Tensor::<2>::from_data(TensorData::new(target, [n, width]), &device);
    check_gradients(&sentence.encoder, &(pooled * target).sum().backward(), &expected.gradients, 1e-4);
}

#[cfg(feature = "onnx")]
#[path = "exported_tests.rs"]
mod exported;
fn write(path: PathBuf, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[path = "folders_tests.rs"]
mod folders;
