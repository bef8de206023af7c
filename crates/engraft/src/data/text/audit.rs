//! What is wrong with labelled texts, before anything is trained on them.

use std::collections::BTreeMap;

use encoding_rs::WINDOWS_1252;
use rayon::prelude::*;

use super::minhash::{Sketch, normalised, search};
use super::record::is_missing;
use super::{Text, TextDataset, words};
use crate::data::audit::{Audit, Finding, FindingKind, Severity, Wording, Work};
use crate::files::sha256_hex;
use crate::rng::permutation;

const TEXTS: Wording = Wording {
    things: "texts",
    one: "text",
    copies: "copies (but for white space and case)",
    alike: "read nearly the same",
};

/// More words than this, and most encoders (512 word pieces) read only the beginning.
const LONG: usize = 380;
/// Texts whose language is looked at.
const LANGUAGE_SAMPLE: usize = 2000;
/// Letters below which no language is told.
const LETTERS: usize = 20;
/// The least share of a language that is told, of the texts whose language is sure.
const LANGUAGE_SHARE: f64 = 0.05;
/// Fewer texts than this are not a second language: a name, a quotation.
const LANGUAGE_TEXTS: usize = 3;

/// Audits labelled texts, given what reading them found.
///
/// - Texts that are empty (or say `NA`) are excluded; texts without a letter, very long ones, characters that were damaged
///   before (`Ã©`, `â€™`, U+FFFD) and a second language are told.
/// - Duplicates, up to white space and case, and near duplicates (see [`super::minhash`]) are kept and share a group.
/// - One text under two labels is an error; copies are all excluded (nobody knows which label is right), near copies are
///   kept.
/// - A text in two splits is excluded from the one that matters less: from `train` when it is also in `val` or `test`, from
///   `val` when it is also in `test`.
/// - Classes with few usable training texts, imbalance, and few texts in all are told.
pub(crate) fn audit_texts(dataset: &TextDataset, findings: Vec<Finding>) -> Audit {
    let labelled = dataset.labelled();
    let texts: Vec<&Text> = dataset.examples.iter().map(|example| &example.text).collect();
    let empty = indices(&texts, |text| text.parts().any(is_missing));
    let usable: Vec<usize> = (0..texts.len()).filter(|index| empty.binary_search(index).is_err()).collect();
    let seen = |text: &&Text| {
        let plain = normalised(text);
        (Some(sha256_hex(plain.as_bytes())), Sketch::of(&plain))
    };
    let (mut digests, sketches): (Vec<Option<String>>, Vec<Sketch>) = texts.par_iter().map(seen).unzip();
    empty.iter().for_each(|&index| digests[index] = None);

    let mut work = Work::new(&labelled, &TEXTS, digests, findings);
    work.leave_out(FindingKind::EmptyText, "texts that are empty or say that there is none, left out", &empty);
    characters(&mut work, &texts, &usable);
    languages(&mut work, &texts, &usable);
    let contents = work.contents();
    work.exact(&contents);
    let firsts: Vec<&Sketch> = contents.iter().map(|content| &sketches[content[0]]).collect();
    let text = |index: usize| normalised(texts[contents[index][0]]);
    work.near(&contents, |wanted, found| search(&firsts, text, wanted, found));
    drop(sketches);
    work.finish()
}

/// The texts of which something is true, ascending.
fn indices(texts: &[&Text], is_so: impl Fn(&Text) -> bool + Sync) -> Vec<usize> {
    (0..texts.len()).into_par_iter().filter(|&index| is_so(texts[index])).collect()
}

/// Tells of texts by the characters they are made of, and by how many.
fn characters(work: &mut Work, texts: &[&Text], usable: &[usize]) {
    let mut tell = |kind, severity, what: &str, is_so: &(dyn Fn(&Text) -> bool + Sync)| {
        let found: Vec<usize> = usable.par_iter().copied().filter(|&index| is_so(texts[index])).collect();
        let names = found.iter().map(|&index| work.name(index)).collect();
        work.tell(kind, severity, what, names);
    };
    tell(
        FindingKind::NoLetters,
        Severity::Warning,
        "texts without a letter (emoji, digits or signs only), kept",
        &|text| !text.parts().any(|part| part.contains(char::is_alphabetic)),
    );
    let what = format!("texts of more than {LONG} words, of which most encoders read only the beginning");
    tell(FindingKind::LongText, Severity::Info, &what, &|text| {
        // A word has a byte at least.
        text.parts().map(str::len).sum::<usize>() > LONG
            && text.parts().map(|part| words::spans(part).count()).sum::<usize>() > LONG
    });
    tell(
        FindingKind::Mojibake,
        Severity::Warning,
        "texts with damaged characters (UTF-8 that was read in another encoding, or U+FFFD), kept",
        &|text| text.parts().any(is_mojibake),
    );
}

/// Whether a text holds characters that were lost (U+FFFD), or UTF-8 that was read as Latin-1 or windows-1252: a run of
/// characters beyond ASCII whose bytes in that encoding are UTF-8.
pub(crate) fn is_mojibake(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    text.contains(char::REPLACEMENT_CHARACTER)
        || text.split(|c: char| c.is_ascii()).filter(|run| run.len() > 2).any(|run| {
            let bytes: Option<Vec<u8>> = run.chars().map(byte).collect();
            bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok())
        })
}

/// The byte that becomes this character when it is read as Latin-1 or windows-1252.
fn byte(c: char) -> Option<u8> {
    if let Ok(byte) = u8::try_from(u32::from(c)) {
        return Some(byte);
    }
    let mut buffer = [0; 4];
    let (bytes, _, unmappable) = WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
    match (unmappable, bytes.as_ref()) {
        (false, &[byte]) => Some(byte),
        _ => None,
    }
}

/// Tells where a sample of the texts is in more than one language. Only languages that are told for sure count.
fn languages(work: &mut Work, texts: &[&Text], usable: &[usize]) {
    let order = permutation(usable.len(), 0, "languages", 0);
    let mut sample: Vec<usize> = order.into_iter().take(LANGUAGE_SAMPLE).map(|place| usable[place]).collect();
    sample.sort_unstable();
    let told: Vec<(usize, &str)> = sample
        .par_iter()
        .filter_map(|&index| {
            let text = texts[index].parts().collect::<Vec<_>>().join(" ");
            let letters = text.chars().filter(|c| c.is_alphabetic()).take(LETTERS).count();
            let info = whatlang::detect(&text).filter(|info| letters == LETTERS && info.is_reliable())?;
            Some((index, info.lang().eng_name()))
        })
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for &(_, language) in &told {
        *counts.entry(language).or_default() += 1;
    }
    let share = |count: usize| count as f64 / told.len() as f64;
    let mut spoken: Vec<(usize, &str)> = counts
        .into_iter()
        .filter(|&(_, count)| share(count) > LANGUAGE_SHARE && count >= LANGUAGE_TEXTS)
        .map(|(language, count)| (count, language))
        .collect();
    spoken.sort_by_key(|&(count, language)| (std::cmp::Reverse(count), language));
    let [(_, main), others @ ..] = spoken.as_slice() else { return };
    if others.is_empty() {
        return;
    }
    let shares: Vec<String> =
        spoken.iter().map(|&(count, language)| format!("{} {:.0} %", language, 100.0 * share(count))).collect();
    let names = told
        .iter()
        .filter(|(_, language)| language != main && spoken.iter().any(|(_, spoken)| spoken == language))
        .map(|&(index, _)| work.name(index))
        .collect();
    let what = format!(
        "more than one language ({}, of {} texts whose language is sure), kept; texts that are not {}",
        shares.join(", "),
        told.len(),
        main
    );
    work.tell(FindingKind::MixedLanguages, Severity::Warning, &what, names);
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
