//! The architectures that can be built: one line each.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bases::style::PaddingDialect;
use crate::bases::vision::builder::Builder;
use crate::bases::vision::cifar_resnet::{self, Shortcut};
use crate::bases::vision::dialect::{Dialect, Input, Layers, Leaves};
use crate::bases::vision::resnet::{self, Block};
use crate::bases::vision::{inception_v3, mobilenet_v1, mobilenet_v2, nasnet, small_resnet, squeezenet, tiny_darknet};

/// What is known of an architecture.
struct Plan {
    name: &'static str,
    dialects: &'static [Dialect],
    describe: fn(&mut Builder<'_>),
    /// Rows or columns that an image must have at least.
    smallest: usize,
}

const ONNX_PLAN: Plan = Plan {
    name: "onnx",
    dialects: &[Dialect {
        name: "ONNX",
        layers: Layers::Canonical,
        leaves: Leaves::Torch,
        ignored: &[],
        padding: PaddingDialect::Symmetric,
        epsilon: 1e-5,
        input: Input::imagenet(224, 256),
    }],
    describe: |_| {},
    smallest: 1,
};

/// An architecture, by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(usize);

macro_rules! plans {
    ($($constant:ident $name:literal $dialects:expr, $smallest:literal, $describe:expr;)+) => {
        const PLANS: &[Plan] =
            &[$(Plan { name: $name, dialects: $dialects, smallest: $smallest, describe: $describe }),+];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "positions in the table, by name")]
        enum Position { $($constant),+ }

        impl Architecture {
            $(#[doc = concat!("`", $name, "`")]
            pub const $constant: Architecture = Architecture(Position::$constant as usize);)+
            /// Every architecture.
            pub const ALL: [Architecture; PLANS.len()] = [$(Architecture::$constant),+];
        }
    };
}

plans! {
    SMALL_RESNET "small_resnet" small_resnet::DIALECTS, 8, small_resnet::describe;
    MOBILENET_V1 "mobilenet_v1" mobilenet_v1::DIALECTS, 32, |b| mobilenet_v1::describe(b, 4, false);
    MOBILENET_V1_075 "mobilenet_v1_075" mobilenet_v1::DIALECTS, 32, |b| mobilenet_v1::describe(b, 3, false);
    MOBILENET_V1_050 "mobilenet_v1_050" mobilenet_v1::DIALECTS, 32, |b| mobilenet_v1::describe(b, 2, false);
    MOBILENET_V1_025 "mobilenet_v1_025" mobilenet_v1::DIALECTS, 32, |b| mobilenet_v1::describe(b, 1, false);
    MOBILENET_V1_025_TINY "mobilenet_v1_025_tiny" mobilenet_v1::TINY_DIALECTS, 32, |b| mobilenet_v1::describe(b, 1, true);
    MOBILENET_V2 "mobilenet_v2" mobilenet_v2::DIALECTS, 32, mobilenet_v2::describe;
    SQUEEZENET1_0 "squeezenet1_0" squeezenet::DIALECTS_1_0, 35, |b| squeezenet::describe(b, (96, 7), [4, 8]);
    SQUEEZENET1_1 "squeezenet1_1" squeezenet::DIALECTS_1_1, 35, |b| squeezenet::describe(b, (64, 3), [3, 5]);
    TINY_DARKNET "tiny_darknet" tiny_darknet::DIALECTS, 16, tiny_darknet::describe;
    RESNET8 "resnet8" cifar_resnet::RESNET8_DIALECTS, 8, |b| cifar_resnet::describe(b, 1, Shortcut::Convolution);
    CIFAR_RESNET20 "cifar_resnet20" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 3, Shortcut::Zeros);
    CIFAR_RESNET32 "cifar_resnet32" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 5, Shortcut::Zeros);
    CIFAR_RESNET44 "cifar_resnet44" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 7, Shortcut::Zeros);
    CIFAR_RESNET56 "cifar_resnet56" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 9, Shortcut::Zeros);
    CIFAR_RESNET20_B "cifar_resnet20_b" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 3, Shortcut::Projection);
    CIFAR_RESNET32_B "cifar_resnet32_b" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 5, Shortcut::Projection);
    CIFAR_RESNET44_B "cifar_resnet44_b" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 7, Shortcut::Projection);
    CIFAR_RESNET56_B "cifar_resnet56_b" cifar_resnet::DIALECTS, 8, |b| cifar_resnet::describe(b, 9, Shortcut::Projection);
    RESNET18 "resnet18" resnet::DIALECTS, 32, |b| resnet::describe(b, Block::Basic, [2, 2, 2, 2]);
    RESNET34 "resnet34" resnet::DIALECTS, 32, |b| resnet::describe(b, Block::Basic, [3, 4, 6, 3]);
    RESNET50 "resnet50" resnet::DIALECTS, 32, |b| resnet::describe(b, Block::Bottleneck, [3, 4, 6, 3]);
    RESNET101 "resnet101" resnet::DIALECTS, 32, |b| resnet::describe(b, Block::Bottleneck, [3, 4, 23, 3]);
    RESNET152 "resnet152" resnet::DIALECTS, 32, |b| resnet::describe(b, Block::Bottleneck, [3, 8, 36, 3]);
    RESNET50_V1 "resnet50_v1" resnet::V1_DIALECTS, 32, |b| resnet::describe(b, Block::BottleneckV1, [3, 4, 6, 3]);
    RESNET101_V1 "resnet101_v1" resnet::V1_DIALECTS, 32, |b| resnet::describe(b, Block::BottleneckV1, [3, 4, 23, 3]);
    RESNET152_V1 "resnet152_v1" resnet::V1_DIALECTS, 32, |b| resnet::describe(b, Block::BottleneckV1, [3, 8, 36, 3]);
    INCEPTION_V3 "inception_v3" inception_v3::DIALECTS, 75, inception_v3::describe;
    NASNET_MOBILE "nasnet_mobile" nasnet::MOBILE_DIALECTS, 32, |b| nasnet::describe(b, nasnet::MOBILE);
    NASNET_LARGE "nasnet_large" nasnet::LARGE_DIALECTS, 32, |b| nasnet::describe(b, nasnet::LARGE);
}

impl Architecture {
    /// No architecture of ours: an ONNX model, frozen as a whole.
    pub const ONNX: Architecture = Architecture(usize::MAX);

    fn plan(self) -> &'static Plan {
        PLANS.get(self.0).unwrap_or(&ONNX_PLAN)
    }

    /// Its name in cards and on the command line.
    pub fn name(self) -> &'static str {
        self.plan().name
    }

    /// The architecture of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::ONNX]).find(|architecture| architecture.name() == name)
    }

    /// The dialects of its checkpoints; the canonical one first.
    pub fn dialects(self) -> &'static [Dialect] {
        self.plan().dialects
    }

    /// Rows or columns that an image must have at least.
    pub fn smallest_input(self) -> usize {
        self.plan().smallest
    }

    /// Describes its stages and its classifier.
    pub(crate) fn describe(self, builder: &mut Builder<'_>) {
        (self.plan().describe)(builder);
    }
}

impl std::fmt::Debug for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|architecture| architecture.name()).collect();
            serde::de::Error::custom(format!("no architecture `{name}`; there are {}", known.join(", ")))
        })
    }
}
