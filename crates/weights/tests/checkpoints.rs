//! Checkpoints as people's trainings write them: any name of the file, and Python objects beside the tensors.

#![allow(clippy::disallowed_methods, reason = "a panic is to be seen here")]

mod support;

use engraft_weights::{Error, Precision, Tensors, WeightFile, Weights, read};
use support::pickle::{call, dict, global, number, object, storage, tensor, text, tuple, view, whole};
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
    let getattr = |of: Vec<u8>, name: &str| call("builtins", "getattr", &[of, text(name)]);
    // cloudpickle's and dill's functions: what a call gives is called, and put into by another function.
    let code =
        [call("cloudpickle.cloudpickle", "_builtin_type", &[text("CodeType")]), tuple(&[number(0)]), b"R".to_vec()];
    let function = call("cloudpickle.cloudpickle", "_make_function", &[code.concat(), b"N".to_vec()]);
    let set = call("__builtin__", "setattr", &[object("mylib", "F", &[]), text("a"), number(1)]);
    let sparse = call("torch._utils", "_rebuild_sparse_tensor", &[global("torch", "sparse_coo"), tuple(&[])]);
    let loaded = call("torch.storage", "_load_from_bytes", &[text("bytes")]);
    let parts = [loaded, number(0), tuple(&[number(1)]), tuple(&[number(1)])];
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
        ("method of a class", getattr(global("builtins", "str"), "lower"), ""),
        ("method of a text", getattr(text(","), "join"), ""),
        ("method of a dictionary", getattr(dict(&[]), "get"), ""),
        ("method of a date", getattr(global("datetime", "datetime"), "now"), ""),
        ("method of a tensor", getattr(global("torch", "Tensor"), "backward"), ""),
        ("what a method gives", [getattr(dict(&[]), "get"), tuple(&[number(1)]), b"R".to_vec()].concat(), ""),
        ("cloudpickle", function, "_make_function"),
        ("dill", set, "setattr"),
        ("sparse tensor", sparse.clone(), "_rebuild_sparse_tensor"),
        (
            "sparse parameter",
            call("torch._utils", "_rebuild_parameter", &[sparse, b"\x89".to_vec(), dict(&[])]),
            "_rebuild_sparse_tensor",
        ),
        ("tensor of loaded bytes", call("torch._utils", "_rebuild_tensor_v2", &parts), "_load_from_bytes"),
        ("half of a letter", [b"X".to_vec(), 3u32.to_le_bytes().to_vec(), b"\xed\xb3\xbf".to_vec()].concat(), ""),
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

/// A checkpoint of one sound tensor and another, and the storages `0` of three floats and `1` of twelve bytes.
fn beside_a_tensor(other: Vec<u8>) -> Vec<u8> {
    let state = dict(&[("conv.weight", tensor(0, 3)), ("other", other)]);
    saved("archive", &whole(&[state]), &[vec![1.0, 2.0, 3.0], vec![0.0; 3]])
}

#[test]
fn a_tensor_whose_numbers_are_to_be_negated_is_negated() {
    let noted = |key: &str, value: &[u8]| dict(&[(key, value.to_vec())]);
    let (yes, no) = (&b"\x88"[..], &b"\x89"[..]);
    for (metadata, expected) in [
        (noted("neg", yes), [-1.0, -2.0, -3.0]),
        (noted("neg", no), [1.0, 2.0, 3.0]),
        (noted("conj", yes), [1.0, 2.0, 3.0]),
        (b"N".to_vec(), [1.0, 2.0, 3.0]),
        (dict(&[]), [1.0, 2.0, 3.0]),
    ] {
        let storage = storage("FloatStorage", 0, 3);
        let other = view("_rebuild_tensor_v2", storage, &[3], &[metadata]);
        assert_eq!(read(&beside_a_tensor(other)).unwrap().tensors["other"].values, expected);
    }
    let odd = view("_rebuild_tensor_v2", storage("FloatStorage", 0, 3), &[3], &[noted("sparse", yes)]);
    let error = read(&beside_a_tensor(odd)).unwrap_err();
    assert!(matches!(&error, Error::Tensor { name, .. } if name == "other"), "{error}");
}

#[test]
fn a_tensor_of_an_odd_type_beside_the_others_keeps_its_name_and_shape_alone() {
    let hooks = || call("collections", "OrderedDict", &[]);
    let scale = tuple(&[global("torch", "per_tensor_affine"), number(1), number(0)]);
    let quantised = call(
        "torch._utils",
        "_rebuild_qtensor",
        &[
            storage("QInt8Storage", 1, 12),
            number(0),
            tuple(&[number(3), number(4)]),
            tuple(&[number(4), number(1)]),
            scale,
            b"\x89".to_vec(),
            hooks(),
        ],
    );
    let eight = view("_rebuild_tensor_v3", storage("ByteStorage", 1, 12), &[12], &[global("torch", "float8_e4m3fn")]);
    let parameter = call("torch._utils", "_rebuild_parameter", &[eight.clone(), b"\x89".to_vec(), hooks()]);
    let untold = view("_rebuild_tensor_v3", storage("ByteStorage", 1, 12), &[12], &[global("torch", "new")]);
    for (other, shape, found) in [
        (quantised, &[3, 4][..], "qint8"),
        (eight, &[12], "float8_e4m3fn"),
        (parameter, &[12], "float8_e4m3fn"),
        (untold, &[12], "unknown"),
        (view("_rebuild_tensor_v2", storage("ComplexFloatStorage", 1, 1), &[1], &[]), &[1], "complex64"),
    ] {
        // A complex number has eight of the twelve bytes.
        let mut bytes = vec![0.0; 3];
        bytes.truncate(if found == "complex64" { 2 } else { 3 });
        let state = dict(&[("conv.weight", tensor(0, 3)), ("other", other)]);
        let bytes = saved("archive", &whole(&[state]), &[vec![1.0, 2.0, 3.0], bytes]);
        let file = WeightFile::open(&bytes).unwrap();
        assert_eq!(file.tensor("conv.weight").unwrap().unwrap().values, [1.0, 2.0, 3.0], "{found}");
        let header = &file.headers().tensors["other"];
        assert_eq!((header.shape.as_slice(), header.precision), (shape, Precision::Unread), "{found}");
        assert_eq!(file.tensor("other"), Err(Error::Type { name: "other".into(), found: found.into() }));
    }
}

#[test]
fn mappings_of_as_many_tensors_are_told() {
    let state = || dict(&[("a", tensor(0, 3)), ("b", tensor(0, 3))]);
    for (one, two, taken) in
        [("state_dict", "state_dict_ema", "state_dict_ema"), ("model", "best_model", "model"), ("net", "ema", "ema")]
    {
        let weights = checkpoint(&[dict(&[(one, state()), (two, state()), ("mean", dict(&[]))])]).unwrap();
        let other = if taken == one { two } else { one };
        assert_eq!((&*weights.metadata["pytorch.key"], &*weights.metadata["pytorch.others"]), (taken, other));
    }
    let few = dict(&[("running", dict(&[("a", tensor(0, 3))])), ("state_dict", dict(&[]))]);
    assert!(!checkpoint(&[few]).unwrap().metadata.contains_key("pytorch.others"));
}

#[test]
fn copies_that_share_their_numbers_count_where_they_are_asked_for() {
    let length = 5 << 20;
    let names: Vec<String> = (0..8).map(|copy| format!("models.{copy}.weight")).collect();
    let items: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), tensor(0, length))).collect();
    let bytes = saved("archive", &whole(&[dict(&items)]), &[vec![0.5; length as usize]]);
    let file = WeightFile::open(&bytes).unwrap();
    for _ in 0..20 {
        assert_eq!(file.tensor("models.3.weight").unwrap().unwrap().values.len(), length as usize);
    }
    // All of them are more than the file justifies.
    let error = file.into_weights().unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert!(error.remedy().unwrap().contains("share the same numbers"), "{error}");
}

#[test]
fn what_stands_in_place_of_tensors_is_told_with_what_to_do() {
    let array = || call("numpy._core.multiarray", "_reconstruct", &[global("numpy", "ndarray"), tuple(&[number(0)])]);
    let meta = call("torch._utils", "_rebuild_meta_tensor_no_storage", &[global("torch", "float32"), tuple(&[])]);
    for (value, found, remedy) in
        [(array(), "arrays of NumPy", "from_numpy"), (meta, "meta device", "load the weights")]
    {
        let error = checkpoint(&[dict(&[("conv.weight", value)])]).unwrap_err();
        assert!(error.to_string().contains(found) && error.remedy().unwrap().contains(remedy), "{error}");
    }
    let error = read(&whole(&[dict(&[("conv.weight", array())])])).unwrap_err();
    assert!(error.to_string().contains("magic number") && error.remedy().unwrap().contains("torch.save"), "{error}");
    let error = checkpoint(&[b"P('storage', 0)\n".to_vec()]).unwrap_err();
    assert!(error.to_string().contains("protocol 0 or 1"), "{error}");
}

#[test]
fn functions_inside_each_other_do_not_run_deep() {
    // Four arguments, of which the third are those of the next call.
    let (before, depth) = (b"(ctorch._tensor\n_rebuild_from_type_v2\nN", 100_000);
    let inner = [before.repeat(depth), tuple(&[]), b"Nt".repeat(depth)].concat();
    let call = [global("torch._tensor", "_rebuild_from_type_v2"), inner, b"R".to_vec()].concat();
    let weights = checkpoint(&[dict(&[("deep", call), ("conv.weight", tensor(0, 3))])]).unwrap();
    assert_eq!(weights.tensors.len(), 1);
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
