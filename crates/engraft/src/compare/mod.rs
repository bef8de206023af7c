//! How alike two data sets are, and where they differ: what is asked before a model of one is used on the other.
//!
//! Every distance stands beside what it is between two halves of one data set, and every p is by permutations
//! (`similarity`). What shares of classes do is told apart from what the examples look like.
//!
//! Never here: training, a model, a change to the data.

mod properties;
mod report;
mod words;

use std::collections::BTreeSet;
use std::time::Instant;

use rayon::prelude::*;

use crate::bases::text::is_tf_idf;
use crate::bases::{DataKind, base_for};
use crate::data::intake::{InputKind, NO_BASE};
use crate::data::text::Text;
use crate::data::{Shared, Side, Sides};
use crate::error::{Error, Problem, Result, first_of, printable};
use crate::features::{Cache, Features};
use crate::heads::{Metric, Novelty};
use crate::methods::{AnyBase, Reading};
use crate::progress::Observer;
use crate::rng::rng;
use crate::settings::Fit;
use crate::similarity::differences::{Compared as Labelled, Differences, Distances, Verdict, differences};
use crate::similarity::frechet::frechet;
use crate::similarity::importance::{LEAST_EFFECTIVE, importance};
use crate::similarity::mmd::mmd_floor;
use crate::similarity::sample::sample;
use crate::similarity::two_sample::{first_equal, proxy_a_distance};

pub use report::{
    ClassReport, Comparison, DistanceReport, Duplicate, Duplicates, Farthest, Property, Share, SharesReport,
    SideReport, Surest, Told, Typical, WordShift,
};

/// Most examples of each data set that are compared, drawn from all.
const MOST: usize = 2000;
/// Most of them whose properties are looked at.
const MEASURED: usize = 1000;
/// Examples of each side that are named, those first that a classifier is surest of.
const SUREST: usize = 24;
/// Duplicates that are named.
const NAMED: usize = 50;
/// Fewest different examples of each that are compared.
const FEWEST: usize = 8;
/// Properties that the verdict names.
const TOLD: usize = 3;
/// Near-duplicates are told where more than one of this many examples is one.
const NEAR: usize = 20;
/// With fewer examples than this it is said that little can be told.
const FEW: usize = 20;
/// Above this p what was measured may be chance.
pub const LEVEL: f64 = 0.05;
/// The form of `compare.json`.
const SCHEMA: u32 = 1;

/// A comparison, and the data sets that it is of.
pub struct Compared {
    /// What was found.
    pub comparison: Comparison,
    pub(crate) sides: Sides,
    /// The examples of both that it names, ascending.
    pub(crate) named: [Vec<usize>; 2],
}

/// The settings with the base that fits both data sets, where none is named.
///
/// # Errors
/// [`Error::Weights`] where no base that fits is on this machine.
pub fn with_base(mut config: Fit, sides: &Sides, observer: &dyn Observer) -> Result<Fit> {
    let kind = || match sides.kind {
        InputKind::Images => {
            let of = |side: &Side| (0..side.names.len()).filter_map(|at| side.image(at).cloned()).collect::<Vec<_>>();
            Ok(DataKind::of_images(&sides.both.iter().flat_map(of).collect::<Vec<_>>()))
        }
        _ => Ok(DataKind::Texts),
    };
    if sides.kind != InputKind::Vectors {
        config.base = base_for(Some(&config.base), kind, observer)?;
    } else if config.base.is_empty() {
        NO_BASE.clone_into(&mut config.base);
    }
    Ok(config)
}

/// Compares two data sets.
///
/// # Errors
/// Bases that cannot be opened or are of another kind; [`Error::Data`] for fewer than 8 different examples on either side and
/// features that are not finite; interruption.
pub fn compare(config: &Fit, sides: Sides, cache: Option<&Cache>, observer: &dyn Observer) -> Result<Compared> {
    let begun = Instant::now();
    if sides.kind == InputKind::Texts && is_tf_idf(&config.base) {
        let problem = Problem::new("texts are not compared by counted words alone").found(&config.base).at("--base");
        return Err(Error::Usage(
            problem.hint("name an encoder or word vectors: the words that differ are told beside"),
        ));
    }
    for side in &sides.both {
        if side.different() < FEWEST {
            let problem =
                Problem::new("too few examples to compare").expected(format!("at least {FEWEST} different ones"));
            return Err(Error::Data(problem.found(side.different()).at(&side.path)));
        }
    }
    let seed = config.seed;
    let base = AnyBase::of_kind(config, sides.kind, sides.bit_depth, Vec::new)?;
    let drawn = [0, 1].map(|side: usize| {
        let mut stream = rng(seed, "compared", side as u64);
        sample(sides.both[side].names.len(), MOST, None, &mut stream)
    });
    let texts: Vec<&Text> = [0, 1].into_iter().flat_map(|side| texts_of(&sides, side, &drawn[side])).collect();
    let reading = match &sides.encoding {
        Some(encoding) => Reading::Vectors(Box::new(encoding.clone())),
        None => base.plain_reading(&texts)?,
    };
    let features = |side: usize| -> Result<Features> {
        let features = reading.features_of(&sides.both[side].contents_of(&drawn[side]), cache, observer)?;
        features.check()?;
        Ok(features)
    };
    let (a, b) = (features(0)?, features(1)?);
    let labels = [0, 1].map(|side: usize| {
        let labels = sides.both[side].labels.as_ref();
        labels.map(|labels| drawn[side].iter().map(|&at| labels[at]).collect::<Vec<_>>())
    });
    observer.say(&format!("comparing {} and {} {}", a.rows, b.rows, sides.kind.unit()));
    let found = differences(
        Labelled { features: &a, labels: labels[0].as_deref() },
        Labelled { features: &b, labels: labels[1].as_deref() },
        sides.classes.len(),
        seed,
        observer,
    )?;
    observer.check()?;
    let distance = distance(&a, &b, &found, seed, observer)?;
    observer.check()?;
    let both = [0, 1].map(|side: usize| {
        let few = sample(drawn[side].len(), MEASURED, None, &mut rng(seed, "measured", side as u64));
        (&sides.both[side], few.into_iter().map(|at| drawn[side][at]).collect::<Vec<_>>())
    });
    let measured = [(both[0].0, &both[0].1[..]), (both[1].0, &both[1].1[..])];
    let properties = properties::properties(measured, sides.bit_depth, seed, observer)?;
    let of = |side: usize| texts_of(&sides, side, &drawn[side]);
    let [words_a, words_b] =
        if sides.kind == InputKind::Texts { words::words(&of(0), &of(1)) } else { [Vec::new(), Vec::new()] };
    let shared = sides.shared();
    let surest = [0, 1].map(|side: usize| {
        found.surest[side].iter().take(SUREST).map(|judged| drawn[side][judged.row]).collect::<Vec<_>>()
    });
    let surest_of = |side: usize| {
        let probability = |p: f32| if side == 0 { 1.0 - f64::from(p) } else { f64::from(p) };
        let each = found.surest[side].iter().take(SUREST).zip(&surest[side]);
        each.map(|(judged, &at)| Surest {
            example: sides.both[side].names[at].clone(),
            shown: sides.both[side].shown(at),
            probability: probability(judged.probability),
        })
        .collect::<Vec<_>>()
    };
    let far = [far(&b, &a, reading.metric(), seed)?, far(&a, &b, reading.metric(), seed)?];
    let farthest_of = |side: usize| {
        let each = far[side].farthest.iter();
        each.map(|&(row, distance, unlike)| Farthest {
            example: sides.both[side].names[drawn[side][row]].clone(),
            shown: sides.both[side].shown(drawn[side][row]),
            distance: f64::from(distance),
            unlike,
        })
        .collect::<Vec<_>>()
    };
    let mut notes = sides.notes.clone();
    if let Some(extractor) = reading.of_texts() {
        let (cut, all) = (extractor.truncated(&texts)?, texts.len());
        let told = || format!("{cut} of {all} texts are longer than what the base reads: their ends are not compared");
        notes.extend((cut > 0).then(told));
    }
    if a.rows.min(b.rows) < FEW {
        notes.push(format!("with fewer than {FEW} examples only large differences can be told"));
    }
    notes.extend(of_copies(&sides, &shared));
    let facts = base.facts();
    let side = |at: usize| SideReport {
        path: printable(&sides.both[at].path),
        examples: sides.both[at].names.len(),
        compared: drawn[at].len(),
    };
    let comparison = Comparison {
        schema: SCHEMA,
        command: "compare",
        version: env!("CARGO_PKG_VERSION"),
        unit: sides.kind.unit().into(),
        a: side(0),
        b: side(1),
        base: facts.id,
        base_sha256: facts.sha256,
        columns: a.columns,
        seed,
        differs: name_of(found.verdict),
        verdict: sentence(&found, &properties),
        p: found.p,
        distance,
        shares: shares(&found, &sides.classes),
        at_equal_shares: found.at_equal_shares.as_ref().map(Told::of),
        classes: classes(&found, &sides.classes),
        surest_a: surest_of(0),
        surest_b: surest_of(1),
        unlike_a: far[0].unlike,
        unlike_b: far[1].unlike,
        farthest_a: farthest_of(0),
        farthest_b: farthest_of(1),
        properties,
        words_a,
        words_b,
        duplicates: duplicates(&shared, &sides.both),
        notes,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let named = [0, 1].map(|side: usize| {
        let far = far[side].farthest.iter().map(|(row, ..)| drawn[side][*row]);
        surest[side].iter().copied().chain(far).collect::<BTreeSet<_>>().into_iter().collect()
    });
    Ok(Compared { comparison, sides, named })
}

/// How far the examples of one data set are from another.
struct Far {
    /// The share that is unlike the other, where that can be told.
    unlike: Option<f64>,
    /// The farthest rows, with their distance and whether they are unlike.
    farthest: Vec<(usize, f32, bool)>,
}

fn far(from: &Features, of: &Features, metric: Metric, seed: u64) -> Result<Far> {
    // Copies are no neighbours of each other: a new example has none.
    let groups = first_equal(from);
    let different = groups.iter().collect::<BTreeSet<_>>().len();
    let novelty = Novelty::fit(from, &vec![0; from.rows], &groups, metric, seed, 1.0 - LEVEL)?;
    let distances: Vec<f32> = (0..of.rows).into_par_iter().map(|row| novelty.distance(of.row(row))).collect();
    let can_tell = different >= FEW;
    let unlike = |row: usize| can_tell && novelty.is_unlike(distances[row]);
    let mut order: Vec<usize> = (0..of.rows).collect();
    // Stable: of equals the first row.
    order.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
    Ok(Far {
        unlike: can_tell.then(|| order.iter().filter(|&&row| unlike(row)).count() as f64 / of.rows.max(1) as f64),
        farthest: order.iter().take(SUREST).map(|&row| (row, distances[row], unlike(row))).collect(),
    })
}

/// The texts of some examples; none where they are not.
fn texts_of<'a>(sides: &'a Sides, side: usize, which: &[usize]) -> Vec<&'a Text> {
    let texts = sides.both[side].texts();
    which.iter().filter_map(|&at| texts.get(at)).collect()
}

/// The verdict, and what each property alone shows where all examples together show nothing.
fn sentence(found: &Differences, properties: &[Property]) -> String {
    let apart: Vec<&str> = properties.iter().filter(|it| it.corrected_p <= LEVEL).map(|it| it.name.as_str()).collect();
    match found.verdict {
        Verdict::Alike if !apart.is_empty() => format!(
            "to what the examples are seen by there is {}, but of their properties these differ: {}",
            Verdict::Alike,
            first_of(apart, TOLD)
        ),
        verdict => verdict.to_string(),
    }
}

/// What is to be said of examples that are there more than once, in one data set or in both.
fn of_copies(sides: &Sides, shared: &Shared) -> Vec<String> {
    let mut notes = Vec::new();
    let [_, theirs] = &sides.both;
    let mut few_values = false;
    for (side, letter) in sides.both.iter().zip(["A", "B"]) {
        let (all, different) = (side.names.len(), side.different());
        few_values |= 2 * different < all;
        if different < all {
            let copies = all - different;
            notes.push(format!("{copies} of {all} examples of {letter} are copies of others there"));
        }
    }
    if few_values && sides.kind == InputKind::Vectors {
        notes.push("more than half of the rows of one are equal to others: the columns take few values, and equal rows need not be duplicates".into());
    } else if shared.equal.len() == theirs.names.len() {
        notes.push("every example of B is in A".into());
    }
    if shared.near.len() * NEAR > theirs.names.len() {
        notes.push(format!(
            "{} examples of B are nearly the same as one of A: the tests take them for others, and their p do not hold",
            shared.near.len()
        ));
    }
    notes
}

fn name_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Alike => "alike",
        Verdict::Apart => "apart",
        Verdict::Shares => "shares",
        Verdict::Content => "content",
        Verdict::SharesAndContent => "shares-and-content",
    }
}

fn distance(
    a: &Features,
    b: &Features,
    found: &Differences,
    seed: u64,
    observer: &dyn Observer,
) -> Result<DistanceReport> {
    let (told, distances) = (&found.two_sample, &found.distances);
    let gaussians = frechet(a, b, seed, observer)?;
    let weights = importance(a, b, seed, observer)?;
    let apart = distances.p() <= LEVEL;
    let effective = weights.effective;
    let reason = match (apart, &weights.weights) {
        (false, _) => {
            format!("they are not told apart (p {:.3}): there is nothing to weight", distances.p())
        }
        (true, Err(reason)) => reason.clone(),
        (true, Ok(_)) => format!(
            "they are told apart, and the weights leave {:.0} % of A (at least {:.0} % is needed)",
            100.0 * effective,
            100.0 * LEAST_EFFECTIVE
        ),
    };
    Ok(DistanceReport {
        accuracy: told.accuracy,
        accuracy_floor: told.floor,
        p: distances.permuted.p,
        proxy_a_distance: proxy_a_distance(told.accuracy),
        proxy_a_distance_floor: proxy_a_distance(told.floor),
        mmd2: distances.discrepancy.statistic,
        mmd2_floor: mmd_floor(a, b, distances.discrepancy.bandwidth, seed)?,
        mmd_p: distances.discrepancy.p,
        mmd_bandwidth: distances.discrepancy.bandwidth,
        frechet: gaussians.distance,
        frechet_floors: gaussians.floors,
        frechet_rows: gaussians.per_side,
        frechet_whole: gaussians.whole,
        effective_sample: effective,
        importance_weighting: apart && weights.weights.is_ok(),
        importance_reason: reason,
    })
}

impl Told {
    fn of(distances: &Distances) -> Self {
        Self { accuracy: distances.accuracy, mmd2: distances.discrepancy.statistic, p: distances.p() }
    }
}

fn shares(found: &Differences, classes: &[String]) -> Option<SharesReport> {
    let shift = found.shares.as_ref()?;
    let totals = [0, 1].map(|side: usize| shift.counts[side].iter().sum::<usize>().max(1) as f64);
    let share = |(at, class): (usize, &String)| Share {
        class: class.clone(),
        a: shift.counts[0][at] as f64 / totals[0],
        b: shift.counts[1][at] as f64 / totals[1],
    };
    let classes = classes.iter().enumerate().map(share).collect();
    Some(SharesReport { distance: shift.distance, p: shift.p, classes })
}

fn classes(found: &Differences, classes: &[String]) -> Vec<ClassReport> {
    let report = |class: &crate::similarity::differences::ClassDistance| ClassReport {
        class: classes[class.class].clone(),
        examples: class.rows,
        told: Told { p: class.corrected_p, ..Told::of(&class.distances) },
    };
    found.classes.iter().map(report).collect()
}

fn duplicates(shared: &Shared, [a, b]: &[Side; 2]) -> Duplicates {
    let named = |equal: bool| {
        let pairs = if equal { &shared.equal } else { &shared.near };
        pairs.iter().map(move |&(own, theirs)| Duplicate { a: a.names[own].clone(), b: b.names[theirs].clone(), equal })
    };
    Duplicates {
        equal: shared.equal.len(),
        near: shared.near.len(),
        named: named(true).chain(named(false)).take(NAMED).collect(),
    }
}
