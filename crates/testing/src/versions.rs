//! What released versions wrote (`tests/versions`, docs/versioning.md).
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of each released version.
///
/// # Panics
///
/// Panics if there is none.
pub fn folders() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/versions");
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty(), "no version in {}", folder.display());
    folders
}
