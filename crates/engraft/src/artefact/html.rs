//! stub
use crate::artefact::report::Report;
/// p
pub struct CurvePoint { pub epoch: u64, pub train_loss: f64, pub validation_loss: Option<f64>, pub train_accuracy: f64, pub validation_accuracy: Option<f64> }
/// c
pub struct Curve { pub name: String, pub points: Vec<CurvePoint> }
/// p
pub struct Picture { pub file: String, pub mime: &'static str, pub bytes: Vec<u8> }
/// r
pub fn render(_: &Report, _: &[Curve], _: &[Picture], _: &str) -> String { String::new() }
