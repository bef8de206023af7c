//! What is wrong with sentence pairs, before anything is trained on them.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use whatlang::{Detector, Lang, Script, detect_script};

use super::SentencePair;
use super::components::{Components, components};
use crate::data::dataset::Split;
use crate::data::finding::{Finding, FindingKind, Severity};
use crate::data::text::Text;
use crate::data::text::minhash::{Sketch, normalised, search};
use crate::data::text::spans;
use crate::error::Result;
use crate::progress::Observer;

/// One side has more than so many times the words of the other.
const RATIO: usize = 3;
/// Of pairs whose longer side has fewer words, none is unlikely: "Run!" may well be four words.
const RATIO_FROM: usize = 8;
/// Words of a long sentence.
const LONG: usize = 50;
/// Letters below which no language is told.
const LETTERS: usize = 20;
/// Sides of so sure a language tell what it is; a side is another language only where that is as sure.
const SURE: f64 = 0.9;
/// The least share of a side's sentences that its language must have.
const MAIN: f64 = 0.5;
/// Pairs that are looked at between two questions whether to stop.
const PIECE: usize = 8192;

/// What an audit of pairs found.
#[derive(Debug, Clone, PartialEq)]
pub struct PairAudit {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// For each pair whether it may be trained and measured on; those that may not are in a finding.
    pub usable: Vec<bool>,
    /// Pairs of each finding about pairs, in the same order as `findings`; none of findings about the file.
    pub marked: Vec<Vec<u32>>,
    /// Pairs that share a sentence, or are nearly the same, are in one component.
    pub components: Components,
    /// The languages of sentences and translations, in English, where they are sure.
    pub languages: [Option<String>; 2],
}

/// What is looked at in one pair.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    empty: bool,
    same: bool,
    ratio: bool,
    long: bool,
    languages: [Option<Lang>; 2],
    scripts: [Option<Script>; 2],
}

/// Audits pairs, given what reading them found, and the splits they come in where there are some.
///
/// - Pairs with an empty side are left out.
/// - Told and kept: a translation that repeats its sentence; sides that seem to be swapped (each is for sure in the other side's language); a side in
///   a third language; one side with more than three times the words of the other (of at least 8); more than 50 words; one sentence with several
///   translations; the same pair twice; pairs that are nearly the same.
/// - A pair that is in two splits is left out of the one that matters less (of `train` before `val` before `test`); a sentence in two splits is told.
///
/// # Errors
/// [`crate::error::Error::Interrupted`].
pub fn audit_pairs(
    pairs: &[SentencePair],
    splits: Option<&[Split]>,
    findings: Vec<Finding>,
    observer: &dyn Observer,
) -> Result<PairAudit> {
    let mut looks = Vec::with_capacity(pairs.len());
    for piece in pairs.chunks(PIECE) {
        observer.check()?;
        looks.par_extend(piece.par_iter().map(look));
    }
    let mut work = Work { pairs, findings: Vec::new(), usable: vec![true; pairs.len()] };
    let all = |is_so: &dyn Fn(&Look) -> bool| -> Vec<u32> {
        (0..pairs.len() as u32).filter(|&index| is_so(&looks[index as usize])).collect()
    };
    let empty = all(&|look| look.empty);
    empty.iter().for_each(|&index| work.usable[index as usize] = false);
    work.tell(FindingKind::EmptyText, Severity::Warning, "pairs with an empty side, left out", empty);
    work.tell(
        FindingKind::SourceIsTarget,
        Severity::Warning,
        "pairs whose translation is the sentence itself (but for case and white space), kept",
        all(&|look| look.same && !look.empty),
    );
    let what = format!("pairs of which one side has more than {RATIO} times the words of the other, kept");
    work.tell(FindingKind::UnlikelyLengths, Severity::Warning, &what, all(&|look| look.ratio));
    let what = format!("pairs with a side of more than {LONG} words, kept");
    work.tell(FindingKind::LongText, Severity::Info, &what, all(&|look| look.long));
    let languages = work.languages(&looks);
    observer.check()?;
    work.many_targets();
    work.duplicates(splits);
    observer.check()?;
    let of_sentences = components(pairs);
    if let Some(splits) = splits {
        work.straddling(&of_sentences, splits);
    }
    observer.check()?;
    let near = work.near(&of_sentences, splits, observer)?;
    let joined = of_sentences.joined(&near);
    let Work { findings: told, usable, .. } = work;
    let mut all: Vec<(Finding, Vec<u32>)> =
        findings.into_iter().map(|finding| (finding, Vec::new())).chain(told).collect();
    all.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity));
    let (findings, marked) = all.into_iter().unzip();
    let languages = languages.map(|language| language.map(|language| language.eng_name().to_owned()));
    Ok(PairAudit { findings, usable, marked, components: joined, languages })
}

fn look(pair: &SentencePair) -> Look {
    let empty = pair.source.is_empty() || pair.target.is_empty();
    let [source, target] = [&pair.source, &pair.target].map(|side| spans(side).count());
    let (short, long) = (source.min(target), source.max(target));
    Look {
        empty,
        same: folded(&pair.source) == folded(&pair.target),
        ratio: !empty && long >= RATIO_FROM && long > RATIO * short,
        long: long > LONG,
        languages: [&pair.source, &pair.target].map(|side| language(side, &Detector::new())),
        scripts: [&pair.source, &pair.target].map(|side| script(side)),
    }
}

fn folded(side: &str) -> String {
    normalised(&Text::single(side))
}

/// The language of a sentence that is long enough to tell it for sure.
fn language(side: &str, detector: &Detector) -> Option<Lang> {
    // A letter has a byte at least.
    let is_long = side.len() >= LETTERS && side.chars().filter(|c| c.is_alphabetic()).take(LETTERS).count() == LETTERS;
    let info = is_long.then(|| detector.detect(side)).flatten()?;
    (info.is_reliable() && info.confidence() >= SURE).then(|| info.lang())
}

/// The script of a sentence that is long enough; those of Japanese are one, since sentences have more or less of each.
fn script(side: &str) -> Option<Script> {
    let is_long = side.chars().filter(|c| c.is_alphabetic()).take(LETTERS).count() == LETTERS;
    match is_long.then(|| detect_script(side)).flatten()? {
        Script::Hiragana | Script::Katakana => Some(Script::Mandarin),
        script => Some(script),
    }
}

/// What most have, where more than half of those have it of which it is told; the smaller name of equals.
fn main_of<T: Copy>(told: &[T], name: impl Fn(T) -> String) -> Option<T> {
    let mut counts: BTreeMap<String, (usize, T)> = BTreeMap::new();
    told.iter().for_each(|&one| counts.entry(name(one)).or_insert((0, one)).0 += 1);
    let most = counts.into_values().max_by_key(|&(count, _)| count);
    most.filter(|&(count, _)| count as f64 > MAIN * told.len() as f64).map(|(_, one)| one)
}

struct Work<'a> {
    pairs: &'a [SentencePair],
    findings: Vec<(Finding, Vec<u32>)>,
    usable: Vec<bool>,
}

impl Work<'_> {
    fn tell(&mut self, kind: FindingKind, severity: Severity, what: &str, rows: Vec<u32>) {
        if rows.is_empty() {
            return;
        }
        let names = rows.iter().map(|&index| format!("row {}", self.pairs[index as usize].row)).collect();
        let count = if kind.in_pairs() { rows.len() / 2 } else { rows.len() };
        self.findings.push((Finding::new(kind, severity, format!("{what}: {count}"), names), rows));
    }

    /// The language of each side, the sides that seem swapped, and those of a third language.
    fn languages(&mut self, looks: &[Look]) -> [Option<Lang>; 2] {
        let main = [0, 1].map(|side| {
            main_of(&looks.iter().filter_map(|look| look.languages[side]).collect::<Vec<Lang>>(), |lang| {
                lang.code().to_owned()
            })
        });
        let scripts = [0, 1].map(|side| {
            main_of(&looks.iter().filter_map(|look| look.scripts[side]).collect::<Vec<Script>>(), |script| {
                script.name().to_owned()
            })
        });
        let [Some(source), Some(target)] = main else { return main };
        if source == target {
            return main;
        }
        // Between two languages a short sentence is told more surely than among all.
        let two = Detector::with_allowlist(vec![source, target]);
        let (mut swapped, mut third) = (Vec::new(), Vec::new());
        for (index, look) in looks.iter().enumerate().filter(|(_, look)| !look.empty && !look.same) {
            let pair = &self.pairs[index];
            if look.languages == main {
                continue;
            }
            let sides = || [&pair.source, &pair.target].map(|side| language(side, &two));
            if look.languages[0] != Some(source)
                && look.languages[1] != Some(target)
                && sides() == [Some(target), Some(source)]
            {
                swapped.push(index as u32);
            } else if [0, 1].iter().any(|&side| {
                let other_script = look.scripts[side].is_some() && look.scripts[side] != scripts[side];
                other_script || look.languages[side].is_some_and(|found| is_foreign(found, main[side]))
            }) {
                third.push(index as u32);
            }
        }
        let names = [source, target].map(Lang::eng_name);
        let what = format!("pairs whose sides seem swapped ({} before {}), kept", names[1], names[0]);
        self.tell(FindingKind::SwappedSides, Severity::Serious, &what, swapped);
        let what = format!("pairs with a side that is for sure not {} and {}, kept", names[0], names[1]);
        self.tell(FindingKind::WrongLanguage, Severity::Warning, &what, third);
        main
    }

    /// Sentences with several different translations.
    fn many_targets(&mut self) {
        let mut first: HashMap<String, (u32, bool)> = HashMap::with_capacity(self.pairs.len());
        let mut several = 0_usize;
        let mut rows = Vec::new();
        for (index, pair) in self.pairs.iter().enumerate().filter(|&(index, _)| self.usable[index]) {
            let entry = first.entry(folded(&pair.source)).or_insert((index as u32, false));
            let (before, told) = *entry;
            if before != index as u32 && folded(&self.pairs[before as usize].target) != folded(&pair.target) {
                if !told {
                    (entry.1, several) = (true, several + 1);
                    rows.push(before);
                }
                rows.push(index as u32);
            }
        }
        rows.sort_unstable();
        if !rows.is_empty() {
            let what = format!("sentences with more than one translation, kept: {several}; pairs that they are in");
            self.tell(FindingKind::ManyTargets, Severity::Info, &what, rows);
        }
    }

    /// Pairs that are there more than once, in one split or in two.
    fn duplicates(&mut self, splits: Option<&[Split]>) {
        let mut seen: HashMap<(String, String), u32> = HashMap::with_capacity(self.pairs.len());
        let (mut twice, mut leaks) = (Vec::new(), Vec::new());
        for index in 0..self.pairs.len() as u32 {
            if !self.usable[index as usize] {
                continue;
            }
            let pair = &self.pairs[index as usize];
            let kept = *seen.entry((folded(&pair.source), folded(&pair.target))).or_insert(index);
            if kept == index {
                continue;
            }
            let of = |index: u32| splits.map_or(Split::Train, |splits| splits[index as usize]);
            let matters = |index: u32| match of(index) {
                Split::Train => 0,
                Split::Val => 1,
                Split::Test => 2,
            };
            if of(kept) == of(index) {
                twice.extend([kept, index]);
                continue;
            }
            let (out, stays) = if matters(index) < matters(kept) { (index, kept) } else { (kept, index) };
            leaks.extend([out, stays]);
            self.usable[out as usize] = false;
            seen.insert((folded(&pair.source), folded(&pair.target)), stays);
        }
        self.tell(
            FindingKind::ExactDuplicate,
            Severity::Info,
            "pairs that are there before (but for case and white space), kept",
            twice,
        );
        let what = "pairs in two splits, left out of the one that matters less";
        self.tell(FindingKind::Leak, Severity::Serious, what, leaks);
    }

    /// Components of shared sentences that are in two splits.
    fn straddling(&mut self, components: &Components, splits: &[Split]) {
        let mut first: Vec<Option<u32>> = vec![None; components.count()];
        let mut rows = Vec::new();
        for (index, &component) in components.of.iter().enumerate().filter(|&(index, _)| self.usable[index]) {
            let before = *first[component as usize].get_or_insert(index as u32);
            if splits[before as usize] != splits[index] {
                rows.extend([index as u32, before]);
            }
        }
        let what = "pairs that a sentence, or a chain of shared sentences, ties to a pair in another split, kept";
        self.tell(FindingKind::GroupLeak, Severity::Warning, what, rows);
    }

    /// Pairs that are nearly the same and share no sentence.
    fn near(
        &mut self,
        components: &Components,
        splits: Option<&[Split]>,
        observer: &dyn Observer,
    ) -> Result<Vec<(u32, u32)>> {
        let rows: Vec<u32> = (0..self.pairs.len() as u32).filter(|&index| self.usable[index as usize]).collect();
        let pairs = self.pairs;
        let text = |place: usize| {
            let pair = &pairs[rows[place] as usize];
            normalised(&Text { first: pair.source.clone(), second: Some(pair.target.clone()) })
        };
        let mut sketches = Vec::with_capacity(rows.len());
        for from in (0..rows.len()).step_by(PIECE) {
            observer.check()?;
            let places = from..(from + PIECE).min(rows.len());
            sketches.par_extend(places.into_par_iter().map(|place| Sketch::of(&text(place))));
        }
        let references: Vec<&Sketch> = sketches.iter().collect();
        let component = |place: usize| components.of[rows[place] as usize];
        let mut couples = Vec::new();
        let searched =
            search(&references, text, |i, j| component(i) != component(j), |i, j| couples.push((rows[i], rows[j])));
        couples.sort_unstable();
        couples.dedup();
        let flat = |couples: &[(u32, u32)]| couples.iter().flat_map(|&(a, b)| [a, b]).collect::<Vec<u32>>();
        let what = "pairs that are nearly the same as another and share no sentence with it, kept";
        self.tell(FindingKind::NearDuplicate, Severity::Info, what, flat(&couples));
        if let Some(splits) = splits {
            let of = |index: u32| splits[index as usize];
            let apart: Vec<(u32, u32)> = couples.iter().copied().filter(|&(a, b)| of(a) != of(b)).collect();
            let what = "pairs that are nearly the same as one in another split, kept";
            self.tell(FindingKind::NearDuplicate, Severity::Warning, what, flat(&apart));
        }
        if searched.is_cut {
            let message =
                "near-duplicates were looked for among some of the pairs only, since too many look alike at a glance";
            self.findings
                .push((Finding::new(FindingKind::BoundedSearch, Severity::Info, message, Vec::new()), Vec::new()));
        }
        Ok(couples)
    }
}

/// Whether a language is for sure not that of a side: neither it nor one that is hard to tell from it.
fn is_foreign(found: Lang, main: Option<Lang>) -> bool {
    const CLOSE: [&[Lang]; 6] = [
        &[Lang::Swe, Lang::Dan, Lang::Nob],
        &[Lang::Rus, Lang::Ukr, Lang::Bel, Lang::Bul, Lang::Mkd, Lang::Srp],
        &[Lang::Spa, Lang::Por, Lang::Cat, Lang::Ita],
        &[Lang::Ces, Lang::Slk, Lang::Slv, Lang::Hrv],
        &[Lang::Nld, Lang::Afr],
        &[Lang::Hin, Lang::Mar, Lang::Nep],
    ];
    main.is_some_and(|main| found != main && !CLOSE.iter().any(|group| group.contains(&found) && group.contains(&main)))
}
