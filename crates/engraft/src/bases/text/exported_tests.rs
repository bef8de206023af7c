//! Encoders that PyTorch exported to ONNX: their weights are those that they were exported from.
//! `tests/fixtures/text_encoders_onnx.py` made them.

use super::*;

/// An encoder that PyTorch exported, and what its tensors are called and shaped.
#[derive(serde::Deserialize)]
struct Exported {
    config: serde_json::Value,
    tensors: BTreeMap<String, Vec<usize>>,
}

impl Exported {
    /// A folder with everything but the model.
    fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), self.config.to_string()).unwrap();
        let words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from).into();
        let words: Vec<String> = words.into_iter().chain((4..40).map(|id| format!("w{id}"))).collect();
        std::fs::write(folder.path().join("vocab.txt"), words.join("\n")).unwrap();
        folder
    }
}

const EXPORTS: [(&str, &[u8]); 5] = [
    ("bert", include_bytes!("../../../tests/fixtures/text_encoders_onnx/bert.onnx")),
    ("bert_dynamo", include_bytes!("../../../tests/fixtures/text_encoders_onnx/bert_dynamo.onnx")),
    ("distilbert", include_bytes!("../../../tests/fixtures/text_encoders_onnx/distilbert.onnx")),
    ("roberta_dynamo", include_bytes!("../../../tests/fixtures/text_encoders_onnx/roberta_dynamo.onnx")),
    ("mpnet", include_bytes!("../../../tests/fixtures/text_encoders_onnx/mpnet.onnx")),
];

fn exported() -> BTreeMap<String, Exported> {
    serde_json::from_str(include_str!("../../../tests/fixtures/text_encoders_onnx/expected.json")).unwrap()
}

#[test]
fn an_encoder_exported_to_onnx_has_the_weights_it_was_exported_from() {
    let exported = exported();
    for (name, bytes) in EXPORTS {
        let case = &exported[name];
        let folder = case.folder();
        let place = folder.path().join("onnx/model.onnx");
        write(place.clone(), bytes);
        for given in [folder.path(), &place] {
            assert!(is_text_base(given.to_str().unwrap()), "{name}");
            let base = open_text_base(given.to_str().unwrap(), &Device::flex()).unwrap();
            let TextBody::Encoder(encoder) = base.body else { panic!("{name}") };
            let found = encoder.encoder.tensors();
            assert!(base.remarks.iter().any(|remark| remark.contains("ONNX model")), "{:?}", base.remarks);
            let ours = |name: &&String| !name.starts_with("pooler.");
            assert_eq!(found.len(), case.tensors.keys().filter(ours).count(), "{name}");
            for (tensor, shape) in case.tensors.iter().filter(|(tensor, _)| ours(tensor)) {
                let expected = fill(tensor, shape);
                assert_eq!(found[&canonical(tensor)], (expected.shape, expected.values), "{name} {tensor}");
            }
        }
    }
}

#[test]
fn of_several_weights_in_an_encoders_folder_the_named_file_is_taken() {
    let exported = exported();
    let case = &exported["bert"];
    let folder = case.folder();
    let store = |(name, shape): (&String, &Vec<usize>)| {
        let mut tensor = fill(name, shape);
        tensor.values.iter_mut().for_each(|value| *value *= 2.0);
        (name.clone(), tensor)
    };
    let doubled = Weights { tensors: case.tensors.iter().map(store).collect(), ..Weights::default() };
    std::fs::write(folder.path().join("model.safetensors"), engraft_weights::write(&doubled)).unwrap();
    std::fs::write(folder.path().join("model.onnx"), EXPORTS[0].1).unwrap();
    let first = |base: &Path| {
        let base = open_text_base(base.to_str().unwrap(), &Device::flex()).unwrap();
        let TextBody::Encoder(encoder) = base.body else { panic!("no encoder") };
        encoder.encoder.tensors()["embeddings.word_embeddings.weight"].1[0]
    };
    let [safetensors, onnx] = ["model.safetensors", "model.onnx"].map(|name| first(&folder.path().join(name)));
    assert_eq!((first(folder.path()), safetensors), (2.0 * onnx, 2.0 * onnx));
}

#[test]
fn an_onnx_model_of_an_encoder_that_cannot_be_taken_is_refused_with_the_reason() {
    let exported = exported();
    let folder = exported["bert"].folder();
    let place = folder.path().join("model.onnx");
    let mut config = exported["bert"].config.clone();
    config["hidden_act"] = "relu".into();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    std::fs::write(&place, EXPORTS[0].1).unwrap();
    let error = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("gelu in the graph, relu in config.json"), "{error}");
    std::fs::write(folder.path().join("config.json"), exported["bert"].config.to_string()).unwrap();
    // That of another family has other names.
    for (bytes, part) in [
        (EXPORTS[2].1, "is missing"),
        (&EXPORTS[0].1[..5000], "not a whole ONNX model"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0:\x10".as_slice(), "not a whole ONNX model"),
    ] {
        std::fs::write(&place, bytes).unwrap();
        let error = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
