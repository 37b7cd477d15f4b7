//! Files and folders. Every error names the one that it is about.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a folder and those that it is in.
pub(crate) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Makes a folder without what it contained.
pub(crate) fn make_empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    make(folder)
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

pub(crate) fn read_text(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

pub(crate) fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

/// Copies a file, a link, or a folder with its contents.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let name = || format!("cannot copy {} to {}", from.display(), to.display());
    #[cfg(unix)]
    if from.is_symlink() {
        let there = fs::read_link(from).with_context(name)?;
        return std::os::unix::fs::symlink(there, to).with_context(name);
    }
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).with_context(name);
    }
    fs::create_dir_all(to).with_context(name)?;
    for entry in fs::read_dir(from).with_context(name)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
