//! Unsafe code and dependencies.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::files;
use crate::tools::{NOTE, cargo, run, works};

/// The only files and folders that may contain unsafe code, and why.
const UNSAFE: [(&str, &str); 14] = [
    ("src/nn/kernels/", "instructions that the processor may lack, and their pointers"),
    ("src/engine/denormals.rs", "the register that says how denormals are treated"),
    ("src/plugin/vst3.rs", "the object that VST3 hosts call through pointers"),
    ("src/plugin/clap.rs", "the object that CLAP hosts call through pointers"),
    ("src/plugin/discovery.rs", "the index of presets that CLAP hosts call through pointers"),
    ("src/plugin/params.rs", "a parameter's value, which the framework lets nobody else set"),
    ("src/plugin/mod.rs", "a look at the buffers of a host"),
    ("crates/capi/src/lib.rs", "pointers from C"),
    ("crates/fuzz-targets/src/state.rs", "a plugin loaded as hosts do"),
    ("crates/lv2/src/instance.rs", "ports, which are pointers from the host"),
    ("crates/lv2/src/ladspa.rs", "LADSPA's C interface"),
    ("crates/lv2/src/lv2.rs", "LV2's C interface"),
    ("crates/testing/src/allocations.rs", "an allocator that counts, for tests"),
    ("crates/web/src/lib.rs", "pointers from JavaScript"),
];

/// Counts unsafe code; fails if it is elsewhere or lacks a SAFETY comment, or if cargo-deny is installed and finds
/// something.
pub(crate) fn audit() -> Result<()> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files)?;
    for entry in fs::read_dir("crates").context("cannot read crates")? {
        let folder = entry?.path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut files)?;
        }
    }
    let mut total = Counts::default();
    for file in files {
        let text = files::read_text(&file)?;
        let name = file.to_string_lossy().replace('\\', "/");
        let counts = Counts::of(&text);
        let allowed = UNSAFE.iter().find(|(allowed, _)| {
            name == *allowed || (allowed.ends_with('/') && name.starts_with(allowed))
        });
        ensure!(
            allowed.is_some() || (!counts.any() && !text.contains("allow(unsafe_code")),
            "{name} has unsafe code, which belongs into {}",
            UNSAFE[0].0
        );
        let (needed, reasons) = (counts.blocks + counts.implementations, counts.reasons);
        ensure!(reasons >= needed, "{name}: {needed} unsafe places, {reasons} reasons (SAFETY: …)");
        if let Some((_, why)) = allowed.filter(|_| counts.any()) {
            println!(
                "{name}: {} unsafe blocks, {} functions, {} implementations: {why}",
                counts.blocks, counts.functions, counts.implementations
            );
        }
        total.add(counts);
    }
    println!(
        "{NOTE}unsafe in all: {} blocks, {} functions, {} implementations; {} reasons given",
        total.blocks, total.functions, total.implementations, total.reasons
    );
    if works("cargo-deny", "--version") {
        run(&mut cargo(&["deny", "--all-features", "check"]))?;
    } else {
        println!(
            "{NOTE}dependencies not checked: `cargo install cargo-deny` installs the licence and advisory check"
        );
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    blocks: usize,
    functions: usize,
    implementations: usize,
    /// SAFETY comments.
    reasons: usize,
}

impl Counts {
    fn any(self) -> bool {
        self.blocks + self.functions + self.implementations > 0
    }

    /// Counts in a source text; comments only count as reasons.
    fn of(text: &str) -> Self {
        let mut counts = Self { reasons: text.matches("// SAFETY: ").count(), ..Self::default() };
        for line in text.lines().map(|line| line.split("//").next().unwrap_or_default()) {
            counts.blocks += line.matches("unsafe {").count();
            counts.functions += line.matches("unsafe fn").count();
            counts.implementations += line.matches("unsafe impl").count();
        }
        counts
    }

    fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.functions += other.functions;
        self.implementations += other.implementations;
        self.reasons += other.reasons;
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_counted_and_comments_are_not() {
        let text = "unsafe fn f() {}\n// unsafe { }\n// SAFETY: so.\nlet x = unsafe { f() };\nunsafe impl Send for T {}\n";
        let expected = Counts { blocks: 1, functions: 1, implementations: 1, reasons: 1 };
        assert_eq!(Counts::of(text), expected);
    }
}
