//! The house holds: rooms use only the rooms before them, files go in no circles, crates point one way, writes and `unsafe`
//! keep to their places.

#![allow(clippy::disallowed_methods, reason = "tests print where they look")]

#[path = "architecture/circles.rs"]
mod circles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Floors of the rooms of this crate. A room may use its own and those on lower floors.
const FLOORS: [(&str, u32); 20] = [
    ("core", 0),
    ("settings", 1),
    ("metrics", 1),
    ("data", 2),
    ("bases", 3),
    ("features", 4),
    ("heads", 5),
    ("similarity", 6),
    ("train", 6),
    ("targets", 7),
    ("methods", 8),
    ("controls", 9),
    ("fit", 10),
    ("pretrain", 10),
    ("glove", 10),
    ("translate", 10),
    ("adapt", 11),
    ("compare", 11),
    ("rank", 11),
    ("run", 12),
];
/// The files of the ground floor, as the crate's root names them.
const CORE: [&str; 8] = ["error", "rng", "files", "progress", "guard", "suggestion", "weight_files", "weight_set"];
/// What every crate may depend on, among ours.
const CRATES: [(&str, &[&str]); 4] =
    [("kernels", &[]), ("weights", &[]), ("engraft", &["engraft-kernels", "engraft-weights"]), ("cli", &["engraft"])];
const BANNED_NAMES: [&str; 6] = ["base.rs", "utils.rs", "util.rs", "helpers.rs", "common.rs", "misc.rs"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(sources(&entry));
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// Every `crate::ROOM` that a file names outside comments, with its line.
fn arrows(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for after in code.split("crate::").skip(1) {
            let rooms = match after.strip_prefix('{') {
                // `use crate::{a::x, b}` on one line.
                Some(list) => list.split(',').map(|item| item.trim().to_owned()).collect(),
                None => vec![after.to_owned()],
            };
            for room in rooms {
                let name: String = room.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.push((number + 1, name));
            }
        }
    }
    found
}

#[test]
fn rooms_use_only_the_rooms_before_them() {
    let floors: BTreeMap<&str, u32> = FLOORS.into_iter().collect();
    let src = crates().join("engraft/src");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for file in sources(&src) {
        let inside = file.strip_prefix(&src).unwrap();
        let Some(room) = inside.parent().and_then(|folder| folder.iter().next()) else { continue };
        let room = room.to_str().unwrap();
        let floor = *floors.get(room).unwrap_or_else(|| panic!("{room} has no floor"));
        for (line, target) in arrows(&fs::read_to_string(&file).unwrap()) {
            let target = if CORE.contains(&target.as_str()) { "core" } else { target.as_str() };
            let Some(&target_floor) = floors.get(target) else {
                wrong.push(format!("{}:{line}: crate::{target} is no room", inside.display()));
                continue;
            };
            checked += 1;
            let allowed = room == target || target_floor < floor;
            if !allowed {
                wrong.push(format!("{}:{line}: {room} uses {target}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "only {checked} arrows found: the test looks in the wrong place");
}

#[test]
fn files_use_each_other_in_no_circles() {
    let src = crates().join("engraft/src");
    let uses = circles::Sources::read(&src, &sources(&src)).uses();
    let arrows: usize = uses.values().map(BTreeMap::len).sum();
    assert!(arrows > 300, "only {arrows} arrows found: the test looks in the wrong place");
    let found = circles::circles(&uses);
    let found: Vec<_> = found.iter().map(|circle| circles::told(circle, &uses)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Labels of a target are opened by a finished adaptation alone, and what adapts knows examples without labels only.
#[test]
fn labels_of_a_target_stay_sealed() {
    let src = crates().join("engraft/src");
    for file in sources(&src) {
        let inside = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        // Documentation may speak of them.
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let opens = code.matches("Decided::now()").count();
        assert_eq!(opens, usize::from(inside == "adapt/mod.rs"), "{inside} opens sealed labels");
        if inside.starts_with("adapt/") || inside.starts_with("methods/domain/") {
            for name in ["Dataset", "Example"] {
                let named = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
                assert!(!named, "{inside} names {name}: an example of a target has no label");
            }
        }
    }
}

#[test]
fn crates_point_one_way() {
    for (name, allowed) in CRATES {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        for line in manifest.lines().filter(|line| line.starts_with("engraft")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            assert!(allowed.contains(&dependency), "{name} depends on {dependency}");
        }
    }
    let burn = fs::read_to_string(crates().join("weights/Cargo.toml")).unwrap();
    assert!(!burn.contains("burn"), "weights knows no Burn");
}

#[test]
fn nothing_is_unsafe() {
    for (name, root) in [("kernels", "lib.rs"), ("weights", "lib.rs"), ("engraft", "lib.rs"), ("cli", "main.rs")] {
        let text = fs::read_to_string(crates().join(name).join("src").join(root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name}");
    }
}

#[test]
fn randomness_and_writes_keep_to_their_places() {
    for file in sources(&crates()) {
        let inside = file.strip_prefix(crates()).unwrap().to_str().unwrap().to_owned();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(!BANNED_NAMES.contains(&name), "{inside}: the name says nothing");
        if inside.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for source in ["thread_rng", "rand::rng()", "from_entropy", "from_os_rng", "Distribution::Normal"] {
            assert!(!text.contains(source), "{inside} draws by {source}: use rng(seed, purpose, step)");
        }
        // The doors that clippy keeps everybody else from: writes, caught panics, weight files.
        let doors = ["files", "guard", "weight_files"].map(|room| format!("engraft/src/core/{room}.rs"));
        let expects = text.contains("expect(clippy::disallowed_methods");
        assert!(
            !expects || doors.contains(&inside) || inside == "weights/src/lib.rs",
            "{inside} does what core/ is for: see clippy.toml"
        );
    }
}
