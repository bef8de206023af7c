//! Image networks: a builder that describes them as graphs, one file an architecture, and what is done to graphs.

pub(super) mod architecture;
pub(super) mod builder;
pub(super) mod channels;
pub(super) mod cifar_resnet;
pub(super) mod compile;
pub(super) mod dialect;
pub(super) mod fuse;
pub(super) mod graph;
pub(super) mod inception_v3;
pub(super) mod input_size;
pub(super) mod mobilenet_v1;
pub(super) mod mobilenet_v2;
pub(super) mod nasnet;
pub(super) mod network;
pub(super) mod plain_conv;
pub(super) mod remix;
pub(super) mod resnet;
pub(super) mod runner;
pub(super) mod small_resnet;
pub(super) mod squeezenet;
pub(super) mod tiny_darknet;
pub(super) mod trunk;
