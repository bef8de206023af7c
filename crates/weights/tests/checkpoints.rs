//! Checkpoints as people's trainings write them: any name of the file, and Python objects beside the tensors.

#![allow(clippy::disallowed_methods, reason = "a panic is to be seen here")]

mod support;

use engraft_weights::{Error, Weights, read};
use support::pickle::{call, dict, global, number, object, tensor, text, tuple, whole};
use support::{saved, torch_zip};

fn checkpoint(root: &[Vec<u8>]) -> Result<Weights, Error> {
    read(&saved("archive", &whole(root), &[vec![1.0, 2.0, 3.0]]))
}

#[test]
fn a_torch_file_is_read_whatever_the_length_of_its_name() {
    let letters = "mobilenet_v2-7ebf99e0-and_more_of_the_name_as_people_give_it";
    for length in 1..=60 {
        let pickle = whole(&[dict(&[("conv.weight", tensor(0, 3))])]);
        let weights = read(&saved(&letters[..length], &pickle, &[vec![1.0, 2.0, 3.0]]));
        let weights = weights.unwrap_or_else(|error| panic!("{length} letters: {error}"));
        assert_eq!(weights.tensors["conv.weight"].values, [1.0, 2.0, 3.0], "{length} letters");
    }
}

/// What stands beside a state_dict in checkpoints of Lightning, MMEngine, Detectron, Hydra and others, as each pickles.
fn beside() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let attributes = |module, name| {
        // Items are put into a subclass of dict after it is made.
        [global(module, name), b")\x81(".to_vec(), text("lr"), number(1), b"u".to_vec()].concat()
    };
    let scalar = call("numpy.core.multiarray", "scalar", &[call("numpy", "dtype", &[text("f8")]), text("12345678")]);
    let array = call("numpy._core.multiarray", "_reconstruct", &[global("numpy", "ndarray"), tuple(&[number(0)])]);
    let loss =
        object("torch.nn.modules.loss", "CrossEntropyLoss", &[("_parameters", dict(&[])), ("_modules", dict(&[]))]);
    let part = [
        global("functools", "partial"),
        tuple(&[global("torch.nn.modules.normalization", "LayerNorm")]),
        b"R".to_vec(),
        tuple(&[global("torch.nn.modules.normalization", "LayerNorm"), tuple(&[]), dict(&[]), b"N".to_vec()]),
        b"b".to_vec(),
    ];
    let factory = [part.concat()];
    vec![
        ("AttributeDict", attributes("lightning_fabric.utilities.data", "AttributeDict"), "AttributeDict"),
        ("DictConfig", object("omegaconf.dictconfig", "DictConfig", &[("_content", dict(&[]))]), "DictConfig"),
        ("CfgNode", attributes("yacs.config", "CfgNode"), "CfgNode"),
        ("Namespace", object("argparse", "Namespace", &[("lr", number(1))]), ""),
        ("numpy scalar", scalar, ""),
        ("numpy array", [array, tuple(&[number(1)]), b"b".to_vec()].concat(), ""),
        ("numpy random state", call("numpy.random._pickle", "__randomstate_ctor", &[]), "__randomstate_ctor"),
        ("loss", loss, "CrossEntropyLoss"),
        ("enum by value", call("mylib.kinds", "Phase", &[number(1)]), "mylib.kinds.Phase"),
        ("enum by name", call("builtins", "getattr", &[global("mylib.kinds", "Phase"), text("TRAIN")]), ""),
        ("path", call("pathlib", "PosixPath", &[text("/"), text("data")]), ""),
        ("date", call("datetime", "datetime", &[text("0123456789")]), ""),
        ("partial", part.concat(), "functools.partial"),
        ("defaultdict of partial", call("collections", "defaultdict", &factory), "functools.partial"),
        ("class", global("torchvision.transforms.transforms", "Resize"), ""),
        ("typing", global("typing", "Any"), ""),
        (
            "protocol 1",
            call("copy_reg", "_reconstructor", &[global("a.b", "C"), global("builtins", "object"), b"N".to_vec()]),
            "a.b.C",
        ),
    ]
}

#[test]
fn foreign_python_objects_beside_tensors_are_left_alone_and_named() {
    let state = || dict(&[("conv.weight", tensor(0, 3))]);
    for (what, value, named) in beside() {
        let weights =
            checkpoint(&[dict(&[("hyper_parameters", value), ("epoch", number(3)), ("state_dict", state())])]);
        let weights = weights.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(weights.tensors.keys().collect::<Vec<_>>(), ["conv.weight"], "{what}");
        assert_eq!(weights.tensors["conv.weight"].values, [1.0, 2.0, 3.0], "{what}");
        let told = weights.metadata.get("pytorch.objects").map_or("", String::as_str);
        assert_eq!(told.is_empty(), named.is_empty(), "{what}: {told}");
        assert!(told.contains(named), "{what}: {told}");
    }
}

#[test]
fn a_state_dict_of_a_class_of_its_own_is_read() {
    let own =
        [global("mmengine.model", "StateDict"), b")\x81(".to_vec(), text("conv.weight"), tensor(0, 3), b"u".to_vec()];
    let weights = checkpoint(&[dict(&[("state_dict", own.concat())])]).unwrap();
    assert_eq!(weights.tensors["conv.weight"].values, [1.0, 2.0, 3.0]);
    let weights = checkpoint(&own).unwrap();
    assert_eq!(weights.tensors["conv.weight"].values, [1.0, 2.0, 3.0]);
}

#[test]
fn a_whole_model_is_refused_with_how_to_save_its_state() {
    let inner = || object("torch.nn.modules.conv", "Conv2d", &[("_parameters", dict(&[("weight", tensor(0, 3))]))]);
    let attributes =
        || [("training", b"\x88".to_vec()), ("_parameters", dict(&[])), ("_modules", dict(&[("conv", inner())]))];
    let model = || object("torchvision.models.resnet", "ResNet", &attributes());
    for (what, root) in [
        ("model", model()),
        ("in a checkpoint", dict(&[("epoch", number(1)), ("model", model())])),
        ("learner", object("fastai.learner", "Learner", &[("model", model())])),
    ] {
        let error = checkpoint(&[root]).unwrap_err();
        assert!(matches!(error, Error::WholeModel { .. }), "{what}: {error:?}");
        assert!(error.remedy().unwrap().contains("torch.save(model.state_dict()"), "{what}");
        let name = if what == "learner" { "fastai.learner.Learner" } else { "torchvision.models.resnet.ResNet" };
        assert!(error.to_string().contains(name), "{what}: {error}");
    }
    let entry = |name: &str| (format!("model/{name}"), whole(&[object("__torch__.M", "M", &[])]));
    let script = torch_zip(&["data.pkl", "constants.pkl", "code/__torch__/m.py", "version"].map(entry));
    let error = read(&script).unwrap_err();
    assert!(error.to_string().contains("TorchScript"), "{error}");
    assert!(error.remedy().unwrap().contains("torch.jit.load('model.pt').state_dict()"), "{error}");
}

#[test]
fn a_foreign_object_does_not_hide_a_call_that_reaches_the_system() {
    let run = call("os", "system", &[text("true")]);
    let hidden = object("mylib", "Config", &[("run", run)]);
    let error = checkpoint(&[dict(&[("config", hidden), ("state_dict", dict(&[("a", tensor(0, 3))]))])]).unwrap_err();
    assert_eq!(error, Error::Code { name: "os.system".into() });
    let attribute = call("builtins", "getattr", &[text("os"), text("system")]);
    let error = checkpoint(&[dict(&[("config", attribute), ("a", tensor(0, 3))])]).unwrap_err();
    assert!(matches!(error, Error::Code { .. }), "{error}");
}
