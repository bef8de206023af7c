//! Which mapping of a checkpoint holds the weights, and what its tensors are called.

use std::collections::BTreeMap;

use crate::Error;
use crate::pickle::{Id, Pickle, Storage, Value};
use crate::pytorch::storage_of;

/// Where averaged weights lie. They are preferred, as timm's `use_ema` does.
const AVERAGED: [&str; 6] = ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "ema_model", "params_ema"];

/// Where weights lie otherwise.
const PLAIN: [&str; 8] = ["state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module"];

/// What lies beside weights in a checkpoint of training.
const OTHERS: [&str; 6] =
    ["optimizer", "optimizer_state_dict", "optimizers", "optimizer_states", "optim", "lr_scheduler"];

/// What wrappers put before every name.
const PREFIXES: [&str; 3] = ["module.", "_orig_mod.", "model."];

/// What a checkpoint has.
pub(crate) const STATE_DICT: &str = "a dictionary of tensors by name";

/// The most foreign objects that are told by name.
const OBJECTS: usize = 20;

const DEPTH: usize = 32;
const VISITS: usize = 1_000_000;
const TENSORS: usize = 100_000;
const NAME: usize = 512;

/// Bytes of all names: mappings inside mappings make many long ones of few short ones.
const NAMES: usize = 16 << 20;

/// The tensors of a checkpoint that are its weights.
pub(crate) struct Chosen {
    /// Name to the arguments that rebuild it.
    pub(crate) tensors: BTreeMap<String, Id>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Chosen {
    /// Every storage that the tensors use.
    pub(crate) fn storages<'p, 'a>(&self, pickle: &'p Pickle<'a>) -> impl Iterator<Item = &'p Storage<'a>> {
        self.tensors.values().filter_map(|&id| storage_of(pickle, id))
    }
}

/// Chooses the weights of a checkpoint.
///
/// Under keys that are known (`state_dict_ema`, `state_dict`, ..) the mapping with the most tensors is taken, an averaged
/// one if it is as large; then the same again inside it. Without such a key, the only mapping with tensors, or all.
pub(crate) fn choose(pickle: &Pickle<'_>) -> Result<Chosen, Error> {
    let mut walk = Walk { pickle, visits: 0, names: (0, 0) };
    let mut root = pickle.root;
    let (mut path, mut beside) = (Vec::new(), Vec::new());
    if pickle.mapping(root).is_none() {
        return Err(match pickle.value(root) {
            Value::Object(class) => {
                Error::WholeModel { found: format!("an object of `{}`", pickle.foreign.name(*class)) }
            }
            _ => Error::contents(STATE_DICT, pickle.kind(root)),
        });
    }
    let mut tensors = walk.flat(root)?;
    while path.len() < 4 {
        let Some(inner) = walk.inner(root, tensors.len())? else { break };
        path.push(inner.key);
        beside.extend(inner.others);
        (root, tensors) = (inner.root, inner.tensors);
    }
    if tensors.is_empty() {
        return Err(match pickle.foreign.network() {
            Some(network) => Error::WholeModel { found: format!("no tensor by name, but an object of `{network}`") },
            None => match pickle.foreign.instead_of_tensors() {
                Some((found, remedy)) => Error::Format { found: found.into(), remedy },
                None => Error::contents(STATE_DICT, "no tensor"),
            },
        });
    }
    let mut metadata = BTreeMap::new();
    let objects: Vec<&str> = pickle.foreign.made().take(OBJECTS).collect();
    if !objects.is_empty() {
        metadata.insert("pytorch.objects".into(), objects.join(", "));
    }
    if !path.is_empty() {
        metadata.insert("pytorch.key".into(), path.join("."));
    }
    if !beside.is_empty() {
        beside.truncate(OBJECTS);
        metadata.insert("pytorch.others".into(), beside.join(", "));
    }
    let prefix = strip_prefix(&mut tensors);
    if !prefix.is_empty() {
        metadata.insert("pytorch.prefix".into(), prefix);
    }
    Ok(Chosen { tensors, metadata })
}

/// Takes off what all names begin with and wrappers put there.
fn strip_prefix(tensors: &mut BTreeMap<String, Id>) -> String {
    let mut whole = String::new();
    loop {
        let shared =
            |prefix: &&&str| tensors.keys().all(|name| name.len() > prefix.len() && name.starts_with(**prefix));
        let Some(prefix) = PREFIXES.iter().find(shared) else { return whole };
        whole.push_str(prefix);
        *tensors =
            std::mem::take(tensors).into_iter().map(|(name, id)| (name[prefix.len()..].to_owned(), id)).collect();
    }
}

type Named = BTreeMap<String, Id>;

/// The mapping that is taken in place of one around it.
struct Inner {
    key: String,
    root: Id,
    tensors: Named,
    /// Keys of mappings beside it that have about as many tensors: three for four, or more.
    others: Vec<String>,
}

struct Walk<'p, 'a> {
    pickle: &'p Pickle<'a>,
    visits: usize,
    /// Names made so far, for every mapping that was looked at, and their bytes.
    names: (usize, usize),
}

impl Walk<'_, '_> {
    /// The mapping inside `root` that should be taken in its place, if there is one.
    fn inner(&mut self, root: Id, all: usize) -> Result<Option<Inner>, Error> {
        let Some(items) = self.pickle.mapping(root) else { return Ok(None) };
        let mut found = Vec::new();
        let mut direct = 0;
        for &(key, value) in items {
            match self.pickle.value(value) {
                Value::Tensor(_) => direct += 1,
                _ if self.pickle.mapping(value).is_some() => {
                    let Some(key) = self.pickle.text(key).filter(|key| !OTHERS.contains(key)) else { continue };
                    let tensors = self.flat(value)?;
                    if !tensors.is_empty() {
                        found.push((key.to_owned(), value, tensors));
                    }
                }
                _ => {}
            }
        }
        let rank = |key: &str| {
            let averaged = AVERAGED.contains(&key);
            (averaged || PLAIN.contains(&key)).then_some(averaged)
        };
        let mut best: Option<usize> = None;
        for (index, (key, _, tensors)) in found.iter().enumerate() {
            let Some(averaged) = rank(key) else { continue };
            let size = |index: usize| (found[index].2.len(), rank(&found[index].0));
            if best.is_none_or(|best| (tensors.len(), Some(averaged)) > size(best)) {
                best = Some(index);
            }
        }
        let best = match best {
            Some(index) => (found[index].2.len() > direct).then_some(index),
            None => (found.len() == 1 && found[0].2.len() > direct && found[0].2.len() + direct == all).then_some(0),
        };
        Ok(best.map(|index| {
            let (key, root, tensors) = found.swap_remove(index);
            let as_large = |other: &&(String, Id, Named)| 4 * other.2.len() >= 3 * tensors.len();
            let mut others: Vec<String> = found.iter().filter(as_large).map(|(key, ..)| key.clone()).collect();
            others.sort();
            Inner { key, root, tensors, others }
        }))
    }

    /// The tensors of a mapping and of the mappings inside it, names joined by dots.
    fn flat(&mut self, root: Id) -> Result<Named, Error> {
        let mut tensors = BTreeMap::new();
        self.collect(root, "", 0, &mut tensors)?;
        Ok(tensors)
    }

    fn collect(&mut self, id: Id, prefix: &str, depth: usize, tensors: &mut Named) -> Result<(), Error> {
        let too_large = |what: &str, limit: usize| Error::TooLarge {
            what: what.into(),
            limit: limit as u64,
            found: limit as u64 + 1,
        };
        if depth > DEPTH {
            return Err(too_large("dictionaries inside each other", DEPTH));
        }
        let Some(items) = self.pickle.mapping(id) else { return Ok(()) };
        for &(key, value) in items {
            self.visits += 1;
            if self.visits > VISITS {
                return Err(too_large("items of dictionaries", VISITS));
            }
            if !matches!(self.pickle.value(value), Value::Tensor(_)) && self.pickle.mapping(value).is_none() {
                continue;
            }
            let key = match self.pickle.value(key) {
                Value::Text(text) if depth == 0 && OTHERS.contains(text) => continue,
                Value::Text(text) => (*text).to_owned(),
                Value::Int(number) => number.to_string(),
                _ => continue,
            };
            if prefix.len() + key.len() >= NAME {
                return Err(too_large("bytes of a tensor's name", NAME));
            }
            let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            match self.pickle.value(value) {
                Value::Tensor(arguments) => {
                    self.names = (self.names.0 + 1, self.names.1 + name.len());
                    if self.names.0 > TENSORS {
                        return Err(too_large("tensors", TENSORS));
                    }
                    if self.names.1 > NAMES {
                        return Err(too_large("bytes of tensors' names", NAMES));
                    }
                    if tensors.contains_key(&name) {
                        return Err(Error::Tensor { name, reason: "expected one of this name, found two".into() });
                    }
                    tensors.insert(name, *arguments);
                }
                _ => self.collect(value, &name, depth + 1, tensors)?,
            }
        }
        Ok(())
    }
}
