//! Learning curves as TensorBoard reads them: an event file, made in one piece.
//!
//! An event file is a row of TFRecords, each an `Event` message of `tensorflow/core/util/event.proto`, of which the
//! few fields of scalars are written here.

use prost::{Message, Oneof};

use crate::train::curve::{Curve, EpochRecord, StepRecord};

/// What TensorFlow adds to a turned checksum, so that a checksum of data that holds checksums stays a good one.
const MASK: u32 = 0xa282_ead8;

/// `Event`: something at a step.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

/// What an event holds.
#[derive(Clone, PartialEq, Oneof)]
enum What {
    /// The format, in the first event of a file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// `Summary`: values of one step.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `Summary.Value`: a named number.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Number", tags = "2")]
    value: Option<Number>,
}

/// The kinds of number; one of them is written here.
#[derive(Clone, PartialEq, Oneof)]
enum Number {
    #[prost(float, tag = "2")]
    Simple(f32),
}

/// A TensorBoard event file of a learning curve.
///
/// Scalars by step: `train/loss`, `train/accuracy`, `lr`. Scalars by the last step of their epoch (by the epoch where
/// no step was kept): `epoch/train_loss`, `epoch/train_accuracy`, `epoch/validation_loss`,
/// `epoch/validation_accuracy`. The wall time of step `n` is `started + n`, `started` in seconds since 1970, so that
/// equal curves give equal bytes; how long a step took is not told.
pub fn event_file(curve: &Curve, started: f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let version = What::FileVersion("brain.Event:2".into());
    push_record(&mut bytes, &Event { wall_time: started, step: 0, what: Some(version) });
    let mut push = |step: u64, values: Vec<Value>| {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let what = Some(What::Summary(Summary { value: values }));
        push_record(&mut bytes, &Event { wall_time: started + step as f64, step, what });
    };
    // In the order of the steps, as a training run would write them.
    let mut steps = curve.steps.iter().peekable();
    let mut last = None;
    for epoch in &curve.epochs {
        while let Some(record) = steps.next_if(|record| record.epoch <= epoch.epoch) {
            push(record.step, step_values(record));
            last = Some(record.step);
        }
        push(last.unwrap_or(epoch.epoch), epoch_values(epoch));
    }
    // Those of an epoch that was cut short.
    for record in steps {
        push(record.step, step_values(record));
    }
    bytes
}

/// The name that TensorBoard looks for: `events.out.tfevents.SECONDS.engraft`.
pub fn event_file_name(started: f64) -> String {
    format!("events.out.tfevents.{:010}.engraft", started as u64)
}

fn step_values(record: &StepRecord) -> Vec<Value> {
    vec![
        scalar("train/loss", record.train.loss),
        scalar("train/accuracy", record.train.accuracy),
        scalar("lr", record.lr),
    ]
}

fn epoch_values(record: &EpochRecord) -> Vec<Value> {
    let mut values =
        vec![scalar("epoch/train_loss", record.train.loss), scalar("epoch/train_accuracy", record.train.accuracy)];
    if let Some(validation) = record.validation {
        values.push(scalar("epoch/validation_loss", validation.loss));
        values.push(scalar("epoch/validation_accuracy", validation.accuracy));
    }
    values
}

fn scalar(tag: &str, value: f64) -> Value {
    Value { tag: tag.into(), value: Some(Number::Simple(value as f32)) }
}

/// A TFRecord: length, checksum of the length, message, checksum of the message; all little-endian.
fn push_record(bytes: &mut Vec<u8>, event: &Event) {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(masked_checksum(&length).to_le_bytes());
    bytes.extend(&message);
    bytes.extend(masked_checksum(&message).to_le_bytes());
}

fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::curve::Score;

    const STARTED: f64 = 1_700_000_000.25;

    /// The curve of `tests/fixtures/event_file.py`: two epochs of two steps, the second without validation, and a
    /// step of a third.
    fn curve() -> Curve {
        let score = |loss, accuracy| Score { loss, accuracy };
        let step = |step: u64, epoch, loss, accuracy, lr| StepRecord { step, epoch, train: score(loss, accuracy), lr };
        let epoch = |epoch, train, validation| EpochRecord { epoch, train, validation, lr: 0.1, seconds: epoch as f64 };
        Curve {
            steps: vec![
                step(1, 1, 2.25, 0.125, 0.05),
                step(2, 1, 1.75, 0.0, 0.1),
                step(3, 2, 1.1, 0.625, 0.07),
                step(4, 2, f64::NAN, 1.0, 0.0),
                step(5, 3, 0.9, 0.75, 1e-7),
            ],
            epochs: vec![epoch(1, score(2.0, 0.0625), Some(score(1.9, 0.25))), epoch(2, score(1.1, 0.8125), None)],
        }
    }

    #[test]
    fn the_bytes_are_those_of_tensorboards_own_writer() {
        let golden = include_bytes!("../../tests/fixtures/event_file.tfevents");
        let bytes = event_file(&curve(), STARTED);
        let at = bytes.iter().zip(golden).position(|(ours, theirs)| ours != theirs);
        assert!(bytes == golden, "{} and {} bytes, differ at {at:?}", bytes.len(), golden.len());
    }

    #[test]
    fn a_curve_without_steps_is_counted_in_epochs() {
        let mut curve = curve();
        curve.steps.clear();
        assert_eq!(steps_of(&event_file(&curve, STARTED)), [0, 1, 2]);
        assert_eq!(steps_of(&event_file(&Curve::default(), f64::NAN)), [0]);
        assert_eq!(steps_of(&event_file(&self::curve(), STARTED)), [0, 1, 2, 2, 3, 4, 4, 5]);
    }

    #[test]
    fn no_number_breaks_it() {
        let mut curve = curve();
        curve.steps[4].step = u64::MAX;
        curve.epochs[1].train.loss = f64::INFINITY;
        assert_eq!(steps_of(&event_file(&curve, f64::INFINITY)).last(), Some(&i64::MAX));
        assert_eq!(event_file_name(STARTED), "events.out.tfevents.1700000000.engraft");
        assert_eq!(event_file_name(f64::NAN), "events.out.tfevents.0000000000.engraft");
    }

    /// Reads the records back, checksums and all.
    fn steps_of(mut bytes: &[u8]) -> Vec<i64> {
        let mut steps = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let (checksum, rest) = rest.split_at(4);
            assert_eq!(checksum, masked_checksum(length).to_le_bytes());
            let (message, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (checksum, rest) = rest.split_at(4);
            assert_eq!(checksum, masked_checksum(message).to_le_bytes());
            steps.push(Event::decode(message).unwrap().step);
            bytes = rest;
        }
        steps
    }
}
