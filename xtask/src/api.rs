//! The library's public items, listed in `docs/api.txt`, so that a change shows.
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use public_api::Builder;

use crate::paths::{NAME, PACKAGE, target_dir};
use crate::tools::{NOTE, cargo, run};

const LISTING: &str = "docs/api.txt";
/// The format version that public-api reads: Rust 1.95's.
const FORMAT: u32 = 57;

/// Set by [`api`] so that cargo runs this program as rustdoc; holds the name of the real one.
const RUSTDOC: &str = "WISP_RUSTDOC";

/// Compares the listing with the library, or updates it.
pub(crate) fn api(write: bool) -> Result<()> {
    // Only rustdoc may see RUSTC_BOOTSTRAP: dependencies would be compiled again for it.
    let real = std::env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
    let this = std::env::current_exe().context("cannot find this program")?;
    let mut rustdoc =
        cargo(&["rustdoc", "--quiet", "-p", PACKAGE, "--lib", "--no-default-features"]);
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    run(rustdoc.env("RUSTDOC", this).env(RUSTDOC, real))?;
    let json = target_dir().join("doc").join(format!("{NAME}.json"));
    let Some(actual) = listing(&json)? else {
        println!("{NOTE}{LISTING} not compared: that needs the rustdoc of Rust 1.95");
        return Ok(());
    };
    if write {
        return fs::write(LISTING, actual).with_context(|| format!("cannot write {LISTING}"));
    }
    let expected = fs::read_to_string(LISTING).with_context(|| format!("cannot read {LISTING}"))?;
    let changes = changes(&expected, &actual);
    if !changes.is_empty() {
        bail!(
            "{LISTING} does not list the library's public items. If the change is intended, run \
             `cargo xtask api` and commit the file. Differences:\n{}",
            changes.join("\n")
        );
    }
    Ok(())
}

/// Runs the real rustdoc if cargo has started this program in its place. Stable rustdoc only writes JSON with
/// RUSTC_BOOTSTRAP.
pub(crate) fn as_rustdoc() -> Option<Result<()>> {
    let real = std::env::var_os(RUSTDOC)?;
    let mut rustdoc = Command::new(real);
    Some(run(rustdoc.args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1")))
}

/// One item per line; `None` if rustdoc writes another format version.
fn listing(json: &Path) -> Result<Option<String>> {
    let read = || format!("cannot read {}", json.display());
    let text = fs::read(json).with_context(read)?;
    let document: serde_json::Value = serde_json::from_slice(&text).with_context(read)?;
    if document["format_version"] != FORMAT {
        return Ok(None);
    }
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .with_context(read)?;
    Ok(Some(api.items().map(|item| format!("{item}\n")).collect()))
}

/// Lines that only one of the texts has.
fn changes(expected: &str, actual: &str) -> Vec<String> {
    let gone = expected.lines().filter(|line| !actual.lines().any(|other| other == *line));
    let new = actual.lines().filter(|line| !expected.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_listed() {
        assert!(changes("a\nb\n", "a\nb\n").is_empty());
        assert_eq!(changes("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
    }
}
