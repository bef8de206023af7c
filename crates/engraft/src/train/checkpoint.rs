//! Checkpoints: everything that a training is made of, in a folder that appears complete or not at all.
//!
//! `FOLDER/step-NNNNNNNNNNNN/` holds `tensors.safetensors` (weights, the optimiser's memory, averages, best weights),
//! `state.cbor` (position in the data, curve, best so far) and, written last, `manifest.json` with the SHA-256 of both. The
//! newest three stay. One that is damaged is passed over, and said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engraft_weights::{Precision, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result, shown};
use crate::files::{self, Made, Staging};
use crate::progress::Observer;
use crate::train::optimiser::{Memory, Slot};
use crate::train::state::{Snapshot, State};
use crate::train::values::Values;
use crate::weight_files;

/// How many stay.
const KEPT: usize = 3;
const STATE_LIMIT: u64 = 256 << 20;

/// The checkpoints of one training.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    identity: String,
    every: Duration,
    last: Instant,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: String,
    /// What is trained, on what, how: a checkpoint of another training is none of ours.
    identity: String,
    files: BTreeMap<String, String>,
}

/// What `state.cbor` holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    state: State,
    /// Steps that each parameter has taken.
    steps: Vec<(u64, u64)>,
    ema: bool,
}

impl Checkpoints {
    /// Checkpoints in `folder` of the training of this identity, one as often as `every`.
    pub fn new(folder: PathBuf, identity: String, every: Duration) -> Self {
        Self { folder, identity, every, last: Instant::now() }
    }

    /// Whether it is time for the next.
    pub(crate) fn are_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Writes a checkpoint, and removes those that are too many.
    ///
    /// It is durable when this returns: files and folder are synced before the folder takes its name.
    pub(crate) fn keep(&mut self, snapshot: &Snapshot) -> Result<()> {
        let target = self.folder.join(format!("step-{:012}", snapshot.state.step));
        let tensors = engraft_weights::write(&tensors_of(snapshot));
        let mut state = Vec::new();
        let stored = Stored {
            state: snapshot.state.clone(),
            steps: snapshot.memory.0.iter().map(|(id, slot)| (*id, slot.steps)).collect(),
            ema: snapshot.ema.is_some(),
        };
        ciborium::into_writer(&stored, &mut state).map_err(|source| {
            Error::Output(Problem::new("a checkpoint's state cannot be written").found(source).at(&target))
        })?;
        let staging = Staging::create(&target, Made::Checkpoint, true)?;
        staging.write("tensors.safetensors", &tensors)?;
        files::fault("checkpoint-between-files");
        staging.write("state.cbor", &state)?;
        let files = [("tensors.safetensors", &tensors), ("state.cbor", &state)];
        let manifest = Manifest {
            version: env!("CARGO_PKG_VERSION").into(),
            identity: self.identity.clone(),
            files: files.map(|(name, bytes)| (name.to_owned(), files::sha256_hex(bytes))).into(),
        };
        files::fault("checkpoint-before-manifest");
        staging.write("manifest.json", &serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data"))?;
        files::fault("checkpoint-before-rename");
        staging.commit()?;
        files::fault("checkpoint-before-retention");
        let names = self.names();
        for name in names.iter().rev().skip(KEPT) {
            files::remove_folder(&self.folder.join(name), Made::Checkpoint)?;
            files::fault("checkpoint-during-retention");
        }
        self.last = Instant::now();
        Ok(())
    }

    /// The newest checkpoint of this training that is whole, if there is one.
    pub(crate) fn newest(&mut self, observer: &dyn Observer) -> Result<Option<Snapshot>> {
        self.last = Instant::now();
        for name in self.names().into_iter().rev() {
            let folder = self.folder.join(&name);
            match self.open(&folder) {
                Ok(Some(snapshot)) => {
                    let State { epoch, step, .. } = snapshot.state;
                    observer.say(&format!("going on from {}: epoch {}, after step {step}", shown(folder), epoch + 1));
                    return Ok(Some(snapshot));
                }
                Ok(None) => {}
                Err(reason) => observer.say(&format!(
                    "a damaged checkpoint is passed over, the one before it is taken: {} ({reason})",
                    shown(folder)
                )),
            }
        }
        Ok(None)
    }

    /// The checkpoints' names, the oldest first.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.strip_prefix("step-").is_some_and(|digits| digits.len() == 12))
            .collect();
        names.sort();
        names
    }

    /// A checkpoint; `None` if it is whole, and of another training.
    fn open(&self, folder: &Path) -> std::result::Result<Option<Snapshot>, String> {
        let read = |name: &str, limit: u64| {
            files::read_limited(&folder.join(name), limit).map_err(|source| format!("{name}: {source}"))
        };
        let manifest: Manifest = serde_json::from_slice(&read("manifest.json", 1 << 20)?)
            .map_err(|source| format!("manifest.json: {source}"))?;
        if manifest.identity != self.identity || manifest.version != env!("CARGO_PKG_VERSION") {
            return Ok(None);
        }
        let checked = |name: &str, limit: u64| {
            let bytes = read(name, limit)?;
            let is_same = manifest.files.get(name).is_some_and(|expected| *expected == files::sha256_hex(&bytes));
            is_same.then_some(bytes).ok_or_else(|| format!("{name} is not what its SHA-256 says"))
        };
        let tensors = weight_files::read(checked("tensors.safetensors", engraft_weights::FILE_LIMIT)?.as_slice())
            .map_err(|source| format!("tensors.safetensors: {source}"))?;
        let stored: Stored = ciborium::from_reader(checked("state.cbor", STATE_LIMIT)?.as_slice())
            .map_err(|source| format!("state.cbor: {source}"))?;
        snapshot_of(tensors, stored).map(Some)
    }
}

fn tensors_of(snapshot: &Snapshot) -> Weights {
    let mut weights = Weights::default();
    let mut put = |group: &str, id: u64, values: &[f32]| {
        if !values.is_empty() {
            let tensor = Tensor { shape: vec![values.len()], values: values.to_vec(), precision: Precision::F32 };
            weights.tensors.insert(format!("{group}/{id:016x}"), tensor);
        }
    };
    for (id, values) in &snapshot.values {
        put("value", *id, values);
    }
    for (id, slot) in &snapshot.memory.0 {
        put("first", *id, &slot.first);
        put("second", *id, &slot.second);
        put("anchor", *id, &slot.anchor);
    }
    for (id, values) in snapshot.ema.iter().flatten() {
        put("ema", *id, values);
    }
    for (rank, best) in snapshot.best.iter().enumerate() {
        for (id, values) in best {
            put(&format!("best{rank}"), *id, values);
        }
    }
    weights
}

fn snapshot_of(tensors: Weights, stored: Stored) -> std::result::Result<Snapshot, String> {
    let mut snapshot = Snapshot {
        best: vec![Values::new(); stored.state.best.len()],
        state: stored.state,
        ema: stored.ema.then(Values::new),
        ..Snapshot::default()
    };
    for (id, steps) in stored.steps {
        snapshot.memory.0.insert(id, Slot { steps, ..Slot::default() });
    }
    for (name, tensor) in tensors.tensors {
        let strange = || format!("tensors.safetensors: no place for `{name}`");
        let (group, id) = name.split_once('/').ok_or_else(strange)?;
        let id = u64::from_str_radix(id, 16).map_err(|_| strange())?;
        let values = tensor.values;
        let slot = |memory: &mut Memory, set: &dyn Fn(&mut Slot, Vec<f32>), values| {
            memory.0.get_mut(&id).map(|slot| set(slot, values)).ok_or_else(strange)
        };
        match group {
            "value" => drop(snapshot.values.insert(id, values)),
            "first" => slot(&mut snapshot.memory, &|slot, values| slot.first = values, values)?,
            "second" => slot(&mut snapshot.memory, &|slot, values| slot.second = values, values)?,
            "anchor" => slot(&mut snapshot.memory, &|slot, values| slot.anchor = values, values)?,
            "ema" => drop(snapshot.ema.as_mut().ok_or_else(strange)?.insert(id, values)),
            _ => {
                let rank =
                    group.strip_prefix("best").and_then(|rank| rank.parse::<usize>().ok()).ok_or_else(strange)?;
                snapshot.best.get_mut(rank).ok_or_else(strange)?.insert(id, values);
            }
        }
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::train::curve::{Curve, Score, StepRecord};

    fn snapshot(step: u64) -> Snapshot {
        let score = Score { loss: 0.1 + step as f64 / 3.0, accuracy: 1.0 / 3.0 };
        let slot = Slot { steps: step, first: vec![0.1, f32::MIN_POSITIVE], second: vec![0.3, 0.4], anchor: vec![] };
        Snapshot {
            state: State {
                step,
                epoch: 2,
                batch: 1,
                loss: 1.0 / 7.0,
                curve: Curve {
                    steps: vec![StepRecord { step, epoch: 3, train: score, lr: 1e-3 / 3.0 }],
                    epochs: vec![],
                },
                best: vec![(1.0 / 3.0, 1)],
                ..State::default()
            },
            values: Values::from([(7, vec![1.5, -0.0])]),
            memory: Memory(BTreeMap::from([(7, slot)])),
            ema: Some(Values::from([(7, vec![2.5, 3.5])])),
            best: vec![Values::from([(7, vec![4.5, 5.5])])],
        }
    }

    fn checkpoints(folder: &Path) -> Checkpoints {
        Checkpoints::new(folder.to_owned(), "this".into(), Duration::ZERO)
    }

    #[test]
    fn what_comes_back_is_what_went_in() {
        let temp = tempfile::tempdir().unwrap();
        checkpoints(temp.path()).keep(&snapshot(5)).unwrap();
        assert_eq!(checkpoints(temp.path()).newest(&Silent).unwrap().unwrap(), snapshot(5));
        let mut other = Checkpoints::new(temp.path().to_owned(), "other".into(), Duration::ZERO);
        assert!(other.newest(&Silent).unwrap().is_none(), "of another training");
    }

    #[test]
    fn the_newest_three_stay() {
        let temp = tempfile::tempdir().unwrap();
        let mut kept = checkpoints(temp.path());
        for step in 1..=5 {
            kept.keep(&snapshot(step)).unwrap();
        }
        assert_eq!(kept.names(), ["step-000000000003", "step-000000000004", "step-000000000005"]);
        assert_eq!(kept.newest(&Silent).unwrap().unwrap().state.step, 5);
    }

    #[test]
    fn a_damaged_one_falls_back_to_the_one_before() {
        for file in ["tensors.safetensors", "state.cbor", "manifest.json"] {
            for damage in ["flip", "cut", "gone"] {
                let temp = tempfile::tempdir().unwrap();
                let mut kept = checkpoints(temp.path());
                kept.keep(&snapshot(1)).unwrap();
                kept.keep(&snapshot(2)).unwrap();
                let path = temp.path().join("step-000000000002").join(file);
                let mut bytes = std::fs::read(&path).unwrap();
                files::remove_file(&path).unwrap();
                let middle = bytes.len() / 2;
                match damage {
                    "flip" => bytes[middle] ^= 1,
                    _ => bytes.truncate(middle),
                }
                if damage != "gone" {
                    files::write_atomic(&path, &bytes).unwrap();
                }
                let found = kept.newest(&Silent).unwrap().unwrap();
                assert_eq!(found, snapshot(1), "{file} {damage}");
            }
        }
    }
}
