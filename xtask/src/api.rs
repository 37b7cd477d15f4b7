//! The library's public items, listed in `docs/api.txt`, so that a change shows.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use public_api::Builder;

use crate::paths::{NAME, PACKAGE, target_dir};
use crate::tools::{NOTE, cargo, run};

const LISTING: &str = "docs/api.txt";
/// What public-api reads: the JSON of Rust 1.95.
const FORMAT: u32 = 57;

/// Compares the listing with the library, or writes it anew.
pub(crate) fn api(write: bool) -> Result<()> {
    // A folder of its own: the variable makes dependencies build anew.
    let folder = target_dir().join("api");
    let mut rustdoc =
        cargo(&["rustdoc", "--quiet", "-p", PACKAGE, "--lib", "--no-default-features"]);
    rustdoc.arg("--target-dir").arg(&folder);
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    // rustdoc writes JSON on nightly Rust only, or when told that this is one.
    run(rustdoc.env("RUSTC_BOOTSTRAP", "1"))?;
    let json = folder.join("doc").join(format!("{NAME}.json"));
    let Some(actual) = listing(&json)? else {
        println!(
            "{NOTE}{LISTING} not compared: this Rust writes its documentation in another format"
        );
        return Ok(());
    };
    if write {
        return fs::write(LISTING, actual).with_context(|| format!("cannot write {LISTING}"));
    }
    let expected = fs::read_to_string(LISTING).with_context(|| format!("cannot read {LISTING}"))?;
    let changes = changes(&expected, &actual);
    if !changes.is_empty() {
        bail!(
            "the public items are not those of {LISTING}; `cargo xtask api` writes it anew:\n{}",
            changes.join("\n")
        );
    }
    Ok(())
}

/// One item a line; nothing where rustdoc writes another version of its format.
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

/// Lines of one text alone.
fn changes(expected: &str, actual: &str) -> Vec<String> {
    let gone = expected.lines().filter(|line| !actual.lines().any(|other| other == *line));
    let new = actual.lines().filter(|line| !expected.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_and_equal_lists_are_not() {
        assert!(changes("a\nb\n", "a\nb\n").is_empty());
        assert_eq!(changes("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
    }
}
