//! A network inside a checkpoint that calls its tensors otherwise, or holds more: whatever stands before its names, other
//! heads, losses, a second network.
//!
//! Names are compared from their ends. Where the tensors of an architecture are all there below one prefix, and none of
//! what is left over belongs to a deeper or changed network of the kind, that is the network; everything else is told.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use engraft_weights::{Error, Tensor, Tensors, Weights};

use crate::bases::parameters::{Expected, Match};
use crate::bases::role::Role;
use crate::bases::vision::architecture::Architecture;
use crate::bases::vision::dialect::{Dialect, Leaves};
use crate::bases::vision::network::{Likeness, Network};
use crate::error::first_of;

/// What wrappers put inside names, wherever a wrapped module lies.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];
/// The most prefixes that are tried.
const PREFIXES: usize = 64;
/// The most channels of images.
const MOST_CHANNELS: usize = 4;
/// Names that are shown of what is left aside.
const SHOWN: usize = 4;
/// Tensors that a network has at least: what has fewer below it is a part of one.
const FEWEST: usize = 8;

/// A network found in a file: its tensors alone, under the names of its dialect.
pub(crate) struct Trunk<'a> {
    headers: Weights,
    /// Name, and what the file calls it.
    names: BTreeMap<String, String>,
    file: &'a dyn Tensors,
    /// What it is.
    pub(crate) likeness: Likeness,
    /// What the user should know of how it was found.
    pub(crate) remarks: Vec<String>,
}

impl Tensors for Trunk<'_> {
    fn headers(&self) -> &Weights {
        &self.headers
    }

    fn tensor(&self, name: &str) -> Result<Option<Cow<'_, Tensor>>, Error> {
        match self.names.get(name) {
            Some(inside) => self.file.tensor(inside),
            None => Ok(None),
        }
    }
}

/// One prefix with an architecture whose tensors are all there.
struct Candidate {
    prefix: String,
    likeness: Likeness,
}

impl<'a> Trunk<'a> {
    /// Finds the network of a file: of this architecture for images of so many channels, or of any.
    ///
    /// # Errors
    /// What comes closest, if anything does.
    pub(crate) fn find(
        file: &'a dyn Tensors,
        wanted: Option<(Architecture, usize)>,
    ) -> Result<Self, Box<Option<Likeness>>> {
        let headers = file.headers();
        let whole = match wanted {
            Some((architecture, channels)) => Some(Network::likeness(architecture, channels, headers)),
            None => Network::closest(headers),
        };
        if let Some(likeness) = whole.clone().filter(|likeness| likeness.fit.faults() == 0) {
            let names = headers.tensors.keys().map(|name| (name.clone(), name.clone())).collect();
            return Ok(Self { headers: bare(headers), names, file, likeness, remarks: Vec::new() });
        }
        let names = unwrapped(headers);
        let anchors = Anchors::of(wanted);
        let mut closest = whole;
        let mut found = Vec::new();
        for prefix in prefixes(&names, &anchors, headers) {
            let inside = below(&names, &prefix, headers);
            let mut best: Option<Likeness> = None;
            for (architecture, dialect) in anchors.fitting(&inside) {
                for channels in wanted.map_or_else(|| Network::image_channels(&inside), |(_, channels)| vec![channels])
                {
                    let likeness = headless(architecture, dialect, channels, &inside);
                    let faults = |likeness: &Likeness| likeness.fit.faults();
                    if likeness.fit.matched > 0 && closest.as_ref().is_none_or(|best| faults(&likeness) < faults(best))
                    {
                        closest = Some(likeness.clone());
                    }
                    let better = best.as_ref().is_none_or(|best| likeness.fit.matched > best.fit.matched);
                    if faults(&likeness) == 0 && likeness.fit.matched > 0 && better {
                        best = Some(likeness);
                    }
                }
            }
            found.extend(best.map(|likeness| Candidate { prefix, likeness }));
        }
        // Of equally good ones the first in the order of names: the sort is stable.
        found.sort_by_key(|candidate| {
            (preference(&candidate.prefix), std::cmp::Reverse(candidate.likeness.fit.matched))
        });
        let mut found = found.into_iter();
        match found.next() {
            Some(taken) => Ok(Self::taken(file, &names, taken, found.collect())),
            None => Err(Box::new(closest)),
        }
    }

    fn taken(
        file: &'a dyn Tensors,
        names: &BTreeMap<String, String>,
        Candidate { prefix, likeness }: Candidate,
        others: Vec<Candidate>,
    ) -> Self {
        let inside = below(names, &prefix, file.headers());
        let Likeness { architecture, dialect, channels, .. } = likeness;
        // With its classifier, where that is as the architecture has it.
        let (fit, asked) = compared(architecture, dialect, channels, &inside, false);
        let (fit, asked) = match fit.missing.len() + fit.shapes.len() {
            0 => (fit, asked),
            _ => compared(architecture, dialect, channels, &inside, true),
        };
        let mut headers = Weights { tensors: BTreeMap::new(), ..bare(file.headers()) };
        let mut taken = BTreeMap::new();
        for (name, tensor) in inside.tensors {
            if asked.contains(&name) {
                taken.insert(name.clone(), names[&format!("{prefix}{name}")].clone());
                headers.tensors.insert(name, tensor);
            }
        }
        let remarks = remarks(names, &taken, (&prefix, architecture), &others);
        let fit = Match { unexpected: Vec::new(), ..fit };
        Self { headers, names: taken, file, likeness: Likeness { fit, ..likeness }, remarks }
    }
}

/// What is told of how the network was found.
fn remarks(
    names: &BTreeMap<String, String>,
    taken: &BTreeMap<String, String>,
    (prefix, architecture): (&str, Architecture),
    others: &[Candidate],
) -> Vec<String> {
    let mut remarks = Vec::new();
    if !prefix.is_empty() {
        remarks.push(format!("the network is what the checkpoint has below `{prefix}`"));
    }
    if !others.is_empty() {
        let differ = others.iter().any(|other| other.likeness.architecture != architecture);
        let called = |prefix: &str, architecture: Architecture| match differ {
            true => format!("`{prefix}` ({})", architecture.name()),
            false => format!("`{prefix}`"),
        };
        let shown: Vec<String> =
            others.iter().map(|other| called(&other.prefix, other.likeness.architecture)).collect();
        let why = match preference(prefix) < preference(&others[0].prefix) {
            // A student that is another network than its teacher is what a distillation is for.
            true if !differ => "which is the one that its method recommends",
            true => "by its name: save the other's state_dict alone if that is meant, as a distilled student is",
            false => "the first by name: save the other's state_dict alone if that is meant",
        };
        let taken = called(prefix, architecture);
        remarks.push(format!("it has another whole network below {}; taken is {taken}, {why}", shown.join(", ")));
    }
    let used: HashSet<&String> = taken.values().collect();
    let is_other = |name: &&String| others.iter().any(|other| name.starts_with(other.prefix.as_str()));
    let counter = |name: &&String| name.ends_with("num_batches_tracked");
    let beside: Vec<&String> = names
        .iter()
        .filter(|(_, inside)| !used.contains(inside))
        .map(|(name, _)| name)
        .filter(|name| !is_other(name) && !counter(name))
        .collect();
    if !beside.is_empty() {
        let shown = first_of(beside.iter().map(|name| format!("`{name}`")), SHOWN);
        let many = if beside.len() == 1 { "1 tensor".to_owned() } else { format!("{} tensors", beside.len()) };
        remarks.push(format!("{many} beside the network (other heads, losses) left aside: {shown}"));
    }
    remarks
}

/// The headers without numbers.
fn bare(headers: &Weights) -> Weights {
    let tensors = headers.tensors.iter().map(|(name, tensor)| (name.clone(), hollow(tensor))).collect();
    Weights { tensors, metadata: headers.metadata.clone(), format: headers.format }
}

fn hollow(tensor: &Tensor) -> Tensor {
    Tensor { shape: tensor.shape.clone(), values: Vec::new(), precision: tensor.precision }
}

/// Names without wrappers' parts, and what the file calls them. Where that makes two the same, names stay as they are.
fn unwrapped(headers: &Weights) -> BTreeMap<String, String> {
    let clean = |name: &String| WRAPPERS.iter().fold(name.clone(), |name, wrapper| name.replace(wrapper, ""));
    let names: BTreeMap<String, String> = headers.tensors.keys().map(|name| (clean(name), name.clone())).collect();
    match names.len() == headers.tensors.len() {
        true => names,
        false => headers.tensors.keys().map(|name| (name.clone(), name.clone())).collect(),
    }
}

/// The tensors below a prefix, by what stands behind it.
fn below(names: &BTreeMap<String, String>, prefix: &str, headers: &Weights) -> Weights {
    let inside = names.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    let tensors = inside.map(|(name, inside)| (name[prefix.len()..].to_owned(), hollow(&headers.tensors[inside])));
    Weights { tensors: tensors.collect(), metadata: headers.metadata.clone(), format: headers.format }
}

/// The first convolution of every architecture in every dialect, by which a network is looked for.
struct Anchors(Vec<Anchor>);

struct Anchor {
    architecture: Architecture,
    dialect: &'static Dialect,
    name: String,
    shape: Vec<usize>,
}

impl Anchor {
    /// Whether a tensor can be it: of the same shape, but for the channels of images.
    fn fits(&self, tensor: &Tensor) -> bool {
        let differing = || self.shape.iter().zip(&tensor.shape).filter(|(own, found)| own != found);
        self.shape.len() == tensor.shape.len()
            && differing().count() <= 1
            && differing().all(|(_, channels)| *channels <= MOST_CHANNELS)
    }
}

impl Anchors {
    fn of(wanted: Option<(Architecture, usize)>) -> Self {
        let mut anchors = Vec::new();
        for architecture in Architecture::ALL {
            if wanted.is_some_and(|(wanted, _)| wanted != architecture) {
                continue;
            }
            for dialect in architecture.dialects() {
                let expected = Network::expected(architecture, dialect, 1);
                let first =
                    expected.into_iter().find(|tensor| matches!(tensor.role, Role::Convolution | Role::Depthwise));
                anchors.extend(first.map(|Expected { name, shape, .. }| Anchor { architecture, dialect, name, shape }));
            }
        }
        Self(anchors)
    }

    /// The architectures whose first convolution is there.
    fn fitting(&self, inside: &Weights) -> impl Iterator<Item = (Architecture, &'static Dialect)> {
        // Keras numbers layers on from model to model: the first may have any number.
        let numbered = |anchor: &Anchor| anchor.name == "conv2d/kernel" && any_numbered(inside);
        let there = move |anchor: &&Anchor| {
            inside.tensors.get(&anchor.name).is_some_and(|tensor| anchor.fits(tensor)) || numbered(anchor)
        };
        self.0.iter().filter(there).map(|anchor| (anchor.architecture, anchor.dialect))
    }
}

fn any_numbered(inside: &Weights) -> bool {
    inside.tensors.keys().any(|name| name.starts_with("conv2d") && name.ends_with("/kernel"))
}

/// What stands before the first convolution of some architecture, in the order of the names.
fn prefixes(names: &BTreeMap<String, String>, anchors: &Anchors, headers: &Weights) -> Vec<String> {
    let mut prefixes = BTreeSet::new();
    for (name, inside) in names {
        let tensor = &headers.tensors[inside];
        if tensor.shape.len() != 4 {
            continue;
        }
        for anchor in anchors.0.iter().filter(|anchor| anchor.fits(tensor)) {
            if let Some(prefix) = name.strip_suffix(anchor.name.as_str())
                && (prefix.is_empty() || prefix.ends_with(['.', '/']))
                && names.range(prefix.to_owned()..).take(FEWEST).filter(|(name, _)| name.starts_with(prefix)).count()
                    == FEWEST
            {
                prefixes.insert(prefix.to_owned());
            }
        }
        // A model inside a model of Keras': LAYER/INNER/LEAF.
        if let [outer @ .., inner, "kernel"] = name.split('/').collect::<Vec<_>>().as_slice()
            && inner.starts_with("conv2d")
        {
            prefixes.insert(outer.iter().map(|part| format!("{part}/")).collect());
        }
        if prefixes.len() >= PREFIXES {
            break;
        }
    }
    prefixes.into_iter().collect()
}

/// Which of several whole networks is meant, lowest first: a teacher or a running average before others, a query before a
/// key (DINO, Caron et al. 2021, evaluates the teacher; MoCo, He et al. 2020, the query encoder; BYOL the online network).
fn preference(prefix: &str) -> u8 {
    let parts: Vec<&str> = prefix.split(['.', '/']).collect();
    let has = |words: &[&str]| parts.iter().any(|part| words.iter().any(|word| part.split('_').any(|p| p == *word)));
    if has(&["teacher", "ema", "averaged"]) {
        0
    } else if has(&["q", "query", "online"]) || parts.contains(&"base_encoder") {
        1
    } else if has(&["student", "k", "key", "target", "momentum"]) {
        3
    } else {
        2
    }
}

fn headless(architecture: Architecture, dialect: &'static Dialect, channels: usize, inside: &Weights) -> Likeness {
    let (fit, _) = compared(architecture, dialect, channels, inside, true);
    Likeness { architecture, dialect, channels, fit }
}

/// How tensors fit an architecture, and which of them it asks for. Of what it does not ask for only that counts as
/// unexpected which makes the network another one.
fn compared(
    architecture: Architecture,
    dialect: &'static Dialect,
    channels: usize,
    inside: &Weights,
    headless: bool,
) -> (Match, HashSet<String>) {
    let (expected, asked, mut fit) = Network::compare(architecture, dialect, channels, inside, headless);
    let own = OwnNames::of(&expected, dialect.leaves);
    let ignored = |name: &str| dialect.ignored.iter().any(|(prefix, _)| name.starts_with(prefix));
    fit.unexpected = inside
        .tensors
        .iter()
        .filter(|(name, tensor)| !asked.contains(*name) && !ignored(name) && own.changes(name, tensor))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    (fit, asked)
}

/// The names of a network, by which tensors of a deeper or changed one are known.
struct OwnNames {
    leaves: Leaves,
    /// The first parts of its names: `layer1`, `features`.
    tops: BTreeSet<String>,
    /// Its names with `#` for every number.
    patterns: BTreeSet<String>,
}

impl OwnNames {
    fn of(expected: &[Expected], leaves: Leaves) -> Self {
        let top = |tensor: &Expected| tensor.name.split(['.', '/']).next().unwrap_or_default().to_owned();
        let tops = expected.iter().map(top).collect();
        Self { leaves, tops, patterns: expected.iter().map(|tensor| pattern(&tensor.name)).collect() }
    }

    fn changes(&self, name: &str, tensor: &Tensor) -> bool {
        if name.ends_with("num_batches_tracked") {
            return false;
        }
        let top = name.split(['.', '/']).next().unwrap_or_default();
        let inside = self.tops.contains(top) || self.patterns.contains(&pattern(name));
        // Layers of Keras' stand side by side: a convolution more is another network, a dense layer a head.
        inside || self.leaves == Leaves::Keras && tensor.shape.len() > 2
    }
}

fn pattern(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "trunk_tests.rs"]
mod tests;
