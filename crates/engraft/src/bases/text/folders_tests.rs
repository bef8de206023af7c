//! Folders of encoders as people have them: modules in any order, prompts, other names, shards, files that were not fetched.

use super::*;

/// What is done to a folder of the small BERT, and the encoder that is then opened, with its remarks.
fn opened(change: impl Fn(&Path)) -> (SentenceEncoder, String) {
    let folder = fixture().families["bert"].folder("");
    change(folder.path());
    let (encoder, remarks) = SentenceEncoder::open(folder.path(), &Device::flex()).unwrap();
    (encoder, remarks.join("\n"))
}

/// `modules.json` of these kinds and paths.
fn modules(folder: &Path, listed: &[(&str, &str)]) {
    let module = |(kind, path): &(&str, &str)| serde_json::json!({"type": format!("sentence_transformers.models.{kind}"), "path": path});
    let all: Vec<_> = listed.iter().map(module).collect();
    write(folder.join("modules.json"), serde_json::to_vec(&all).unwrap());
    for (_, path) in listed.iter().filter(|(kind, _)| *kind == "Pooling") {
        write(folder.join(path).join("config.json"), r#"{"pooling_mode_mean_tokens": true}"#);
    }
}

/// A linear layer from the encoder's width to three.
fn dense(folder: &Path) -> (Vec<f32>, usize) {
    let width = fixture().families["bert"].config["hidden_size"].as_u64().unwrap() as usize;
    let config = serde_json::json!({"in_features": width, "out_features": 3, "bias": false,
        "activation_function": "torch.nn.modules.linear.Identity"});
    write(folder.join("2_Dense/config.json"), config.to_string());
    let stored = fill("dense", &[3, width]);
    let mut weights = Weights::default();
    weights.tensors.insert("linear.weight".into(), stored.clone());
    write(folder.join("2_Dense/model.safetensors"), engraft_weights::write(&weights));
    (stored.values, width)
}

fn vector(encoder: &SentenceEncoder, text: &str) -> Vec<f32> {
    let frozen = FrozenEncoder::new(&encoder.encoder);
    encoder.embed(&frozen, &[&plain(text)]).unwrap().remove(0)
}

fn near(found: &[f32], expected: &[f32]) {
    let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(found.len() == expected.len() && far < 1e-5, "{found:?} {expected:?}");
}

#[test]
fn modules_are_applied_in_their_order() {
    let mean =
        vector(&opened(|folder| modules(folder, &[("Transformer", ""), ("Pooling", "1_Pooling")])).0, "w5 w9 w7");
    let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() > 0.1, "a vector whose length tells: {length}");
    let folder = tempfile::tempdir().unwrap();
    let (weight, width) = dense(folder.path());
    let through = |x: &[f32]| -> Vec<f32> {
        weight.chunks_exact(width).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    };
    let unit = |x: &[f32]| -> Vec<f32> {
        let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        x.iter().map(|x| x / length).collect()
    };
    let before = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "3_Normalize"), ("Dense", "2_Dense")];
    let after = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")];
    let both = [before[0], before[1], before[2], before[3], ("Normalize", "4_Normalize")];
    let encoder = |listed: &[(&str, &str)]| {
        opened(|folder| {
            dense(folder);
            modules(folder, listed);
        })
        .0
    };
    near(&vector(&encoder(&before), "w5 w9 w7"), &through(&unit(&mean)));
    near(&vector(&encoder(&after), "w5 w9 w7"), &unit(&through(&mean)));
    near(&vector(&encoder(&both), "w5 w9 w7"), &unit(&through(&unit(&mean))));
    // A run keeps the order, and training sees the same.
    let first = encoder(&before);
    let (config, layout, tensors) = (first.config.clone(), first.layout.clone(), first.tensors());
    let layout = serde_json::from_str(&serde_json::to_string(&layout).unwrap()).unwrap();
    let again =
        SentenceEncoder::from_parts(config, layout, &first.tokenizer.to_bytes(), tensors, &Device::flex()).unwrap();
    near(&vector(&again, "w5 w9 w7"), &through(&unit(&mean)));
    let pooled = Tensor::<1>::from_data(mean.as_slice(), &Device::flex()).reshape([1, width]);
    near(&values(first.finished(pooled)), &through(&unit(&mean)));
}

#[test]
fn modules_before_the_pooling_are_refused() {
    let whole = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")];
    for order in [&[0, 2, 1][..], &[1, 0], &[2, 1, 0], &[0, 2], &[0, 0, 1], &[0, 1, 1]] {
        let folder = fixture().families["bert"].folder("");
        let listed: Vec<_> = order.iter().map(|&at| whole[at]).collect();
        modules(folder.path(), &listed);
        let error = SentenceEncoder::open(folder.path(), &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("order") && error.contains("expected: Transformer, Pooling, then"), "{error}");
    }
    let (_, remarks) = opened(|folder| modules(folder, &whole[..1]));
    assert!(remarks.contains("names no pooling"), "{remarks}");
}

#[test]
fn the_longest_text_is_that_of_the_encoder_s_own_folder_whatever_its_settings_are_called() {
    for name in sentence::SETTINGS {
        let (encoder, _) = opened(|folder| write(folder.join(name), r#"{"max_seq_length": 7}"#));
        assert_eq!(encoder.layout.limit, 7, "{name}");
    }
    let whole = opened(|_| ()).0.layout.limit;
    for odd in ["3", "\"x\""] {
        let said = format!(r#"{{"max_seq_length": {odd}}}"#);
        let (encoder, remarks) = opened(|folder| write(folder.join("sentence_bert_config.json"), &said));
        assert_eq!(encoder.layout.limit, whole);
        assert!(remarks.contains("max_seq_length"), "{remarks}");
    }
    // The encoder below the root, which has settings of its own.
    let folder = fixture().families["bert"].folder("");
    let below = folder.path().join("0_Transformer");
    std::fs::create_dir(&below).unwrap();
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        std::fs::rename(folder.path().join(name), below.join(name)).unwrap();
    }
    write(below.join("sentence_bert_config.json"), r#"{"max_seq_length": 6}"#);
    write(folder.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 9}"#);
    modules(folder.path(), &[("Transformer", "0_Transformer"), ("Pooling", "1_Pooling")]);
    assert_eq!(SentenceEncoder::open(folder.path(), &Device::flex()).unwrap().0.layout.limit, 6);
}

#[test]
fn a_pooling_without_any_switch_is_the_mean() {
    let all = [("Transformer", ""), ("Pooling", "1_Pooling")];
    let said = |text: &'static str| {
        move |folder: &Path| {
            modules(folder, &all);
            write(folder.join("1_Pooling/config.json"), text);
        }
    };
    assert_eq!(opened(said(r#"{"word_embedding_dimension": 32}"#)).0.layout.pooling, Pooling::Mean);
    let folder = fixture().families["bert"].folder("");
    said(r#"{"pooling_mode_mean_tokens": false}"#)(folder.path());
    assert!(SentenceEncoder::open(folder.path(), &Device::flex()).is_err());
}

#[test]
fn cases_and_accents_are_as_the_tokenizer_s_configuration_says() {
    let ids = |config: &str, text: &str| {
        let (encoder, _) = opened(|folder| {
            // What `vocab.txt` becomes, as a file of its own.
            let tokenizer = Tokenizer::open(folder).unwrap().to_bytes();
            write(folder.join("tokenizer.json"), tokenizer);
            std::fs::remove_file(folder.join("vocab.txt")).unwrap();
            if !config.is_empty() {
                write(folder.join("tokenizer_config.json"), config);
            }
        });
        encoder.encode_one(&plain(text)).unwrap().ids[1]
    };
    let (known, unknown) = (ids("", "w5"), 1);
    assert_eq!((ids("", "W5"), ids("", "\u{175}5")), (known, known), "small letters, without accents");
    for class in ["", r#""tokenizer_class": "BertTokenizer", "#, r#""tokenizer_class": "MPNetTokenizerFast", "#] {
        let said = |rest: &str| format!("{{{class}{rest}}}");
        assert_eq!(ids(&said(r#""do_lower_case": false"#), "W5"), unknown, "{class}");
        assert_eq!(ids(&said(r#""do_lower_case": true"#), "W5"), known, "{class}");
        assert_eq!(ids(&said(r#""strip_accents": false"#), "\u{175}5"), unknown, "{class}");
        assert_eq!(ids(&said(r#""strip_accents": null"#), "\u{175}5"), known, "{class}");
    }
    let own = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false}"#;
    assert_eq!(ids(own, "W5"), known);
}

#[test]
fn integers_as_weights_are_refused() {
    let folder = fixture().families["bert"].folder("");
    let place = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&place).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let text = std::str::from_utf8(&bytes[8..8 + header]).unwrap().replace("\"F32\"", "\"I32\"");
    bytes.splice(8..8 + header, text.into_bytes());
    std::fs::write(&place, bytes).unwrap();
    let error = SentenceEncoder::open(folder.path(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("integers of a quantised network"), "{error}");
}

#[test]
fn a_module_s_path_may_be_the_folder_itself() {
    let expected =
        vector(&opened(|folder| modules(folder, &[("Transformer", ""), ("Pooling", "1_Pooling")])).0, "w5 w9");
    for path in [".", "./", ""] {
        let (encoder, _) = opened(|folder| modules(folder, &[("Transformer", path), ("Pooling", "./1_Pooling")]));
        assert_eq!(vector(&encoder, "w5 w9"), expected, "{path:?}");
    }
}

#[test]
fn the_default_prompt_is_put_in_front_of_every_text() {
    let said = |default: &str| {
        let default = default.to_owned();
        move |folder: &Path| {
            let json =
                format!(r#"{{"prompts": {{"query": "w5 ", "document": "w6 "}}, "default_prompt_name": {default}}}"#);
            write(folder.join("config_sentence_transformers.json"), json);
        }
    };
    let (plain, _) = opened(|_| ());
    let (prompted, remarks) = opened(said("\"query\""));
    assert_eq!(vector(&prompted, "w9 w7"), vector(&plain, "w5 w9 w7"));
    assert_ne!(vector(&prompted, "w9 w7"), vector(&plain, "w9 w7"));
    assert!(remarks.contains("default prompt `query`"), "{remarks}");
    let (none, remarks) = opened(said("null"));
    assert_eq!(vector(&none, "w9 w7"), vector(&plain, "w9 w7"));
    assert!(remarks.contains("--prompt") && remarks.contains("document `w6 `"), "{remarks}");

    let folder = fixture().families["bert"].folder("");
    said("\"query\"")(folder.path());
    let base = |prompt| {
        let base = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap();
        encoder_of(base.with_prompt(prompt).unwrap())
    };
    assert_eq!(vector(&base(None), "w9 w7"), vector(&plain, "w5 w9 w7"));
    assert_eq!(vector(&base(Some("w8 ")), "w9 w7"), vector(&plain, "w8 w9 w7"));
    assert_eq!(vector(&base(Some("")), "w9 w7"), vector(&plain, "w9 w7"));
    // What a run keeps of it.
    let kept = serde_json::to_string(&base(Some("w8 ")).layout).unwrap();
    assert!(kept.contains(r#""prompt":"w8 ""#), "{kept}");
    said("\"missing\"")(folder.path());
    let error = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("document, query"), "{error}");
}

#[test]
fn an_encoder_is_found_below_any_prefix_and_beside_other_networks() {
    let case = &fixture().families["bert"];
    let expected = case.open(&Device::flex()).tensors();
    for prefix in ["backbone.bert.", "net.encoder_module.", "module._x.", "query_encoder."] {
        let folder = case.folder(prefix);
        let place = folder.path().join("model.safetensors");
        let mut weights = engraft_weights::read(&std::fs::read(&place).unwrap()).unwrap();
        let other: Vec<_> = (weights.tensors.iter())
            .map(|(name, tensor)| (name.replacen(prefix, "key_encoder.", 1), tensor.clone()))
            .collect();
        if prefix == "query_encoder." {
            weights.tensors.extend(other);
        }
        weights.tensors.insert("criterion.weight".into(), fill("loss", &[2]));
        std::fs::write(&place, engraft_weights::write(&weights)).unwrap();
        let (encoder, remarks) = SentenceEncoder::open(folder.path(), &Device::flex()).unwrap();
        assert_eq!(encoder.tensors(), expected, "{prefix}");
        let told = remarks.join("\n");
        assert!(told.contains("criterion.weight") || prefix == "query_encoder.", "{told}");
        assert!(!told.contains("another encoder") || told.contains("below `key_encoder.`"), "{told}");
    }
}

#[test]
fn shards_of_an_encoder_are_read_and_what_was_not_fetched_is_named() {
    let case = &fixture().families["bert"];
    let expected = case.open(&Device::flex()).tensors();
    let folder = case.folder("");
    let place = |name: &str| folder.path().join(name);
    let whole = engraft_weights::read(&std::fs::read(place("model.safetensors")).unwrap()).unwrap();
    std::fs::remove_file(place("model.safetensors")).unwrap();
    let mut map = serde_json::Map::new();
    let mut halves = [Weights::default(), Weights::default()];
    for (at, (name, tensor)) in whole.tensors.into_iter().enumerate() {
        map.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", at % 2 + 1).into());
        halves[at % 2].tensors.insert(name, tensor);
    }
    for (at, half) in halves.iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", at + 1);
        std::fs::write(place(&name), engraft_weights::write(half)).unwrap();
    }
    let index = serde_json::json!({ "weight_map": map });
    std::fs::write(place("model.safetensors.index.json"), index.to_string()).unwrap();
    for given in ["", "model.safetensors.index.json", "model-00002-of-00002.safetensors"] {
        let base = open_text_base(place(given).to_str().unwrap(), &Device::flex()).unwrap();
        assert_eq!(encoder_of(base).tensors(), expected, "{given}");
    }
    std::fs::remove_file(place("model.safetensors.index.json")).unwrap();
    let base = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap();
    assert_eq!(encoder_of(base).tensors(), expected, "without an index");
    std::fs::write(place("model.safetensors.index.json"), index.to_string()).unwrap();
    std::fs::remove_file(place("model-00001-of-00002.safetensors")).unwrap();
    let error = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("no model-00001-of-00002.safetensors"), "{error}");

    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    for name in ["model.safetensors", "vocab.txt", "tokenizer.json"] {
        let folder = case.folder("");
        std::fs::write(folder.path().join(name), pointer).unwrap();
        let error = open_text_base(folder.path().to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("Git LFS pointer") && error.contains("git lfs pull"), "{name}: {error}");
    }
}

#[test]
fn a_checkpoint_called_bin_is_not_word_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("resnet18.bin");
    std::fs::write(&place, engraft_weights::write(&Weights::default())).unwrap();
    assert!(!is_text_base(place.to_str().unwrap()));
    std::fs::write(&place, "2 3\nno 1 2 3\nyes 4 5 6\n").unwrap();
    assert!(is_text_base(place.to_str().unwrap()));
    std::fs::write(&place, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n").unwrap();
    let error = open_text_base(place.to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("Git LFS pointer"), "{error}");
    for (bytes, found) in [
        (&[0; 4096][..], "zeros only"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", "an image"),
        (b"{\"error\": \"gone\"}", "JSON"),
    ] {
        std::fs::write(&place, bytes).unwrap();
        let error = open_text_base(place.to_str().unwrap(), &Device::flex()).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}
