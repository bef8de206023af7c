use super::*;
use crate::bases::card::Card;
use crate::bases::vision::network::NetworkWeights;
use burn::tensor::Device;
use engraft_weights::Precision;

/// The tensors of a ResNet-18 or MobileNetV2 by other names, with a classifier of `classes` where there are any. Every
/// number of a tensor is its own, and `shift` is added to all.
fn made(architecture: Architecture, dialect: usize, classes: usize, shift: f32) -> Weights {
    let dialect = &architecture.dialects()[dialect];
    let mut weights = Weights::default();
    for (at, tensor) in Network::expected(architecture, dialect, classes.max(1)).into_iter().enumerate() {
        let head = ["fc", "classifier", "predictions"].iter().any(|head| tensor.name.starts_with(head));
        if head && classes == 0 {
            continue;
        }
        let count = tensor.shape.iter().product();
        let values = (0..count).map(|i| 0.01 + shift + (at + i % 7) as f32 * 0.001).collect();
        weights.tensors.insert(tensor.name, Tensor { shape: tensor.shape, values, precision: Precision::F32 });
    }
    weights
}

fn renamed(weights: Weights, name: impl Fn(&str) -> String) -> Weights {
    let tensors = weights.tensors.into_iter().map(|(old, tensor)| (name(&old), tensor)).collect();
    Weights { tensors, ..weights }
}

fn below_prefix(prefix: &str, weights: Weights) -> Weights {
    renamed(weights, |name| format!("{prefix}{name}"))
}

fn with(mut weights: Weights, name: &str, shape: &[usize]) -> Weights {
    let values = vec![0.5; shape.iter().product()];
    weights.tensors.insert(name.into(), Tensor { shape: shape.to_vec(), values, precision: Precision::F32 });
    weights
}

fn both(mut one: Weights, other: Weights) -> Weights {
    one.tensors.extend(other.tensors);
    one
}

/// The network that is found, built, and the remarks.
fn built(weights: &Weights) -> (NetworkWeights, Likeness, String) {
    let trunk = Trunk::find(weights, None).unwrap_or_else(|closest| panic!("{closest:?}"));
    let Likeness { architecture, dialect, channels, .. } = trunk.likeness;
    let card = Card::of_dialect(architecture, dialect, channels, "x".into());
    let built = Network::from_weights(&card, &trunk, &Device::flex()).unwrap();
    (built, trunk.likeness, trunk.remarks.join("\n"))
}

fn exported(built: &NetworkWeights) -> BTreeMap<String, Tensor> {
    built.manifest.export(&built.network, Precision::F32)
}

#[test]
fn a_network_is_found_whatever_stands_before_its_names() {
    let plain = made(Architecture::RESNET18, 0, 0, 0.0);
    let expected = exported(&built(&plain).0);
    for prefix in [
        "backbone.",
        "encoder.",
        "net.",
        "model.",
        "model.backbone.",
        "module.",
        "_orig_mod.",
        "model._orig_mod.",
        "trunk.0.",
        "teacher.backbone.",
        "module.encoder_q.",
        "a.b.c.d.",
    ] {
        let file = below_prefix(prefix, plain.clone());
        let file = with(with(file, "criterion.weight", &[4]), "head.mlp.0.weight", &[8, 512]);
        let (network, likeness, remarks) = built(&file);
        assert_eq!(likeness.architecture, Architecture::RESNET18, "{prefix}");
        assert_eq!(exported(&network), expected, "{prefix}");
        assert!(network.classifier.is_none(), "{prefix}");
        let shown = prefix.replace("_orig_mod.", "");
        assert!(shown.is_empty() || remarks.contains(&format!("below `{shown}`")), "{prefix}: {remarks}");
        assert!(
            remarks.contains("2 tensors") && remarks.contains("`criterion.weight`, `head.mlp.0.weight`"),
            "{remarks}"
        );
    }
}

#[test]
fn heads_of_one_s_own_are_left_aside_and_a_plain_one_is_kept() {
    let plain = made(Architecture::RESNET18, 0, 0, 0.0);
    for own in ["fc.1.weight", "last_linear.weight", "fc.0.weight", "head.fc.weight", "classifier.weight"] {
        let (network, _, remarks) = built(&with(plain.clone(), own, &[10, 512]));
        assert!(network.classifier.is_none() && remarks.contains(own), "{own}: {remarks}");
    }
    // A classifier behind something else than the features.
    let (network, _, remarks) = built(&with(with(plain.clone(), "fc.weight", &[10, 1024]), "fc.bias", &[10]));
    assert!(network.classifier.is_none() && remarks.contains("fc.weight"), "{remarks}");
    let file = with(made(Architecture::RESNET18, 0, 10, 0.0), "criterion.weight", &[10]);
    let (network, _, remarks) = built(&file);
    assert!(network.classifier.is_some() && remarks.contains("1 tensor beside"), "{remarks}");
}

#[test]
fn of_two_whole_networks_the_documented_one_is_taken_and_the_other_told() {
    for (taken, other) in [
        ("teacher.backbone.", "student.backbone."),
        ("module.encoder_q.", "module.encoder_k."),
        ("online_network.", "target_network."),
        ("module.base_encoder.", "module.momentum_encoder."),
        ("query.", "key."),
        ("a_net.", "b_net."),
    ] {
        let file = both(
            below_prefix(taken, made(Architecture::RESNET18, 0, 0, 0.0)),
            below_prefix(other, made(Architecture::RESNET18, 0, 0, 7.0)),
        );
        let (network, _, remarks) = built(&file);
        assert_eq!(exported(&network), exported(&built(&made(Architecture::RESNET18, 0, 0, 0.0)).0), "{taken}");
        assert!(remarks.contains(&format!("another whole network below `{other}`")), "{taken}: {remarks}");
    }
}

#[test]
fn a_deeper_or_changed_network_is_not_taken_for_a_smaller_one() {
    // ResNet-34 has all tensors of ResNet-18.
    let (_, likeness, _) = built(&below_prefix("net.", made(Architecture::RESNET34, 0, 0, 0.0)));
    assert_eq!(likeness.architecture, Architecture::RESNET34);
    let plain = || below_prefix("net.", made(Architecture::RESNET18, 0, 0, 0.0));
    for (name, shape) in
        [("net.layer1.2.conv1.weight", &[64, 64, 3, 3][..]), ("net.layer2.0.se.fc1.weight", &[8, 128, 1, 1])]
    {
        let closest = Trunk::find(&with(plain(), name, shape), None).err().expect("refused").expect("closest");
        assert!(closest.fit.describe().contains(&name[4..]), "{name}: {}", closest.fit.describe());
    }
    let mut short = plain();
    short.tensors.remove("net.layer4.1.bn2.weight");
    let closest = Trunk::find(&short, None).err().expect("refused").expect("closest");
    assert!(closest.fit.describe().contains("layer4.1.bn2.weight"), "{}", closest.fit.describe());
}

#[test]
fn a_resnet_as_a_sequence_of_its_children_is_read() {
    // fastai's body, and `nn.Sequential(*list(resnet.children())[:-1])`.
    let plain = made(Architecture::RESNET18, 0, 0, 0.0);
    let own = |name: &str| -> String {
        if let Some(leaf) = name.strip_prefix("conv1.") {
            format!("0.{leaf}")
        } else if let Some(leaf) = name.strip_prefix("bn1.") {
            format!("1.{leaf}")
        } else {
            let rest = name.strip_prefix("layer").expect("a block");
            format!("{}{}", rest[..1].parse::<usize>().unwrap() + 3, &rest[1..])
        }
    };
    for prefix in ["", "0.", "features.", "model.0."] {
        let file = renamed(plain.clone(), |name| format!("{prefix}{}", own(name)));
        let file = with(file, "head.4.weight", &[10, 1024]);
        let (network, likeness, _) = built(&file);
        assert_eq!(likeness.architecture, Architecture::RESNET18, "{prefix}");
        assert_eq!(exported(&network), exported(&built(&plain).0), "{prefix}");
    }
}

#[test]
fn the_features_of_a_network_by_themselves_are_read() {
    // `model.features.state_dict()`, alone or as somebody's backbone, and `nn.Sequential(*model.children())`.
    for architecture in [Architecture::MOBILENET_V2, Architecture::SQUEEZENET1_0, Architecture::SQUEEZENET1_1] {
        let mut plain = made(architecture, 0, 0, 0.0);
        plain.tensors.retain(|name, _| name.starts_with("features."));
        for prefix in ["", "backbone.", "0.", "net.0."] {
            let file = renamed(plain.clone(), |name| name.replacen("features.", prefix, 1));
            let file = with(file, "head.weight", &[2, 1280]);
            let (network, likeness, _) = built(&file);
            assert_eq!(likeness.architecture, architecture, "{prefix}");
            assert_eq!(exported(&network), exported(&built(&plain).0), "{prefix}");
        }
    }
}

#[test]
fn a_network_is_found_behind_many_single_tensors_that_look_like_its_first() {
    let mut file = below_prefix("zz.", made(Architecture::RESNET18, 0, 0, 0.0));
    for member in 0..100 {
        file = with(file, &format!("ens{member:03}.conv1.weight"), &[64, 3, 7, 7]);
    }
    assert!(built(&file).2.contains("below `zz.`"));
}

#[test]
fn of_two_different_networks_both_are_told() {
    let file = both(
        below_prefix("student.", made(Architecture::RESNET18, 0, 0, 0.0)),
        below_prefix("teacher.", made(Architecture::RESNET34, 0, 0, 0.0)),
    );
    let (_, likeness, remarks) = built(&file);
    assert_eq!(likeness.architecture, Architecture::RESNET34);
    assert!(remarks.contains("`student.` (resnet18)") && remarks.contains("`teacher.` (resnet34)"), "{remarks}");
    assert!(!remarks.contains("recommends") && remarks.contains("distilled student"), "{remarks}");
}

#[test]
fn a_base_inside_a_model_of_keras_is_found_beside_dense_layers() {
    let plain = made(Architecture::MOBILENET_V2, 1, 0, 0.0);
    let expected = exported(&built(&plain).0);
    // Sequential([preprocessing, base, pooling, Dense]), and a functional model with Dense layers on `base.output`.
    for prefix in ["mobilenetv2_1.00_224/", "outer/mobilenetv2/", ""] {
        let file = below_prefix(prefix, plain.clone());
        let file = with(with(file, "dense/kernel", &[1280, 64]), "dense/bias", &[64]);
        let file = with(with(file, "dense_1/kernel", &[64, 5]), "dense_1/bias", &[5]);
        let (network, likeness, remarks) = built(&file);
        assert_eq!((likeness.architecture, likeness.dialect.name), (Architecture::MOBILENET_V2, "Keras"), "{prefix}");
        assert_eq!(exported(&network), expected, "{prefix}");
        assert!(remarks.contains("`dense/bias`") && network.classifier.is_none(), "{prefix}: {remarks}");
    }
    let file = with(plain, "another_conv/kernel", &[3, 3, 1280, 8]);
    assert!(Trunk::find(&file, None).is_err());
}
