//! "Did you mean": names that are like one that is not known.

use std::path::Path;

/// Names that one message offers at most.
const OFFERED: usize = 3;
/// From this similarity on (0 to 1) a name is offered.
const CLOSE: f64 = 0.65;
/// Names less alike than the best one by more than this are not offered beside it.
const BEHIND: f64 = 0.1;
/// A shorter part of a name says too little to find the name by.
const SHORTEST_PART: usize = 3;
/// Entries of a folder that are looked at.
const ENTRIES: usize = 10_000;

/// The names that `found` may have been meant for, the likeliest first; none where nothing is alike. Case and punctuation
/// do not count, and a part of a name stands for it: `resnet18` for `timm/resnet18.a1_in1k`.
///
/// ```
/// use engraft::suggestion::suggestions;
/// assert_eq!(suggestions("hafl", ["head", "last", "half", "all"]), ["half"]);
/// assert_eq!(suggestions("ResNet-18", ["glyphs", "timm/resnet18.a1_in1k"]), ["timm/resnet18.a1_in1k"]);
/// assert!(suggestions("soon", ["head", "last"]).is_empty());
/// ```
pub fn suggestions<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = plain(found);
    let mut alike: Vec<(f64, &str)> =
        known.into_iter().map(|name| (likeness(&wanted, name), name)).filter(|(score, _)| *score >= CLOSE).collect();
    // Stable: of equally alike names the first stays the first.
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = alike.first().map_or(0.0, |(score, _)| *score);
    alike.into_iter().take_while(|(score, _)| *score >= best - BEHIND).take(OFFERED).map(|(_, name)| name).collect()
}

/// The same in words, ``did you mean `half`?``; none where nothing is alike.
pub(crate) fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = suggestions(found, known).into_iter().map(|name| format!("`{name}`")).collect();
    let (last, before) = names.split_last()?;
    let before = before.join(", ");
    Some(if before.is_empty() { format!("did you mean {last}?") } else { format!("did you mean {before} or {last}?") })
}

/// What lies beside a path that is not there, spelt as the path is; for [`suggestions`].
pub fn beside(path: &Path) -> Vec<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let mut names: Vec<String> = (read.into_iter().flatten().flatten().take(ENTRIES))
        .filter_map(|entry| folder.join(entry.file_name()).to_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// From 0 to 1; more where the one holds the other, most where they differ in punctuation only.
fn likeness(wanted: &str, name: &str) -> f64 {
    let whole = plain(name);
    if wanted.is_empty() || whole.is_empty() {
        return 0.0;
    }
    if whole == wanted {
        return 2.0;
    }
    if wanted.chars().count() >= SHORTEST_PART && whole.contains(wanted) {
        return 1.5;
    }
    let parts = name.split(['/', '.']).map(plain).filter(|part| part.chars().count() >= SHORTEST_PART);
    parts.chain([whole.clone()]).map(|part| strsim::normalized_damerau_levenshtein(wanted, &part)).fold(0.0, f64::max)
}

/// Letters and digits alone, lower-case.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_offered_and_nothing_else() {
        let ids = ["glyphs", "timm/resnet18.a1_in1k", "timm/resnet18.tv_in1k", "timm/resnet50.a1_in1k"];
        assert_eq!(suggestions("resnet18", ids), ["timm/resnet18.a1_in1k", "timm/resnet18.tv_in1k"]);
        assert_eq!(suggestions("resent50", ids)[0], "timm/resnet50.a1_in1k");
        assert_eq!(suggestions("glyph", ids), ["glyphs"]);
        assert_eq!(suggestions("adam", ["adamw", "sgd"]), ["adamw"]);
        assert_eq!(suggestions("al", ["head", "last", "half", "all"]), ["all"]);
        for (found, known) in [("", ids.as_slice()), ("?", &ids), ("vit_base", &ids), ("x", &["", "head"])] {
            assert!(suggestions(found, known.iter().copied()).is_empty(), "{found}");
        }
        assert_eq!(did_you_mean("hed", ["head", "half"]).unwrap(), "did you mean `head`?");
        let many = ["layer1", "layer2", "layer3", "layer4"];
        assert_eq!(did_you_mean("layer", many).unwrap(), "did you mean `layer1`, `layer2` or `layer3`?");
    }

    #[test]
    fn what_lies_beside_is_spelt_as_the_path_is() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("photos")).unwrap();
        let found = temp.path().join("photo");
        let names = beside(&found);
        assert_eq!(suggestions(found.to_str().unwrap(), names.iter().map(String::as_str)), [names[0].as_str()]);
        assert!(beside(&temp.path().join("nowhere/photo")).is_empty());
    }
}
