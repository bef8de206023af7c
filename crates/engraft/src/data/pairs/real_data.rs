//! Real sentence pairs for tests, where the folder of test data is there.

use std::path::{Path, PathBuf};

/// The table of an archive of manythings.org/anki (`deu-eng.zip`: `deu.txt`) in a temporary folder; nothing, and said, where the folder of test
/// data or `unzip` is missing. With `ENGRAFT_REQUIRE_DATA=1` that is a failure.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn tatoeba(archive: &str, member: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("ENGRAFT_DATA").map_or_else(default, PathBuf::from);
    let packed = data.join("text").join(archive);
    let temp = tempfile::tempdir().unwrap();
    let unpacked = std::process::Command::new("unzip").arg("-q").arg(&packed).arg("-d").arg(temp.path()).status();
    if packed.is_file() && unpacked.is_ok_and(|status| status.success()) {
        let path = temp.path().join(member);
        return Some((temp, path));
    }
    assert!(std::env::var_os("ENGRAFT_REQUIRE_DATA").is_none(), "no {}, or no unzip", packed.to_string_lossy());
    eprintln!("skipped: no {} (set ENGRAFT_DATA), or no unzip", packed.to_string_lossy());
    None
}
