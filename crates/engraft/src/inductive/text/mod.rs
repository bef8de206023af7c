//! Labelled texts: what a pretrained network of texts learns of them.

pub mod ulmfit;
