//! On Linux: this workspace with a patched nice-plug, for builds with the plugin
//! (docs/upstream/nice-plug-vst3-file-descriptors.md).
//!
//! The target folder gets a copy of the framework with the changes below, and a workspace of links to the real one with
//! a manifest that uses the copy. Nothing outside the target folder changes, and a plain `cargo build` still uses the
//! original framework.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::files;
use crate::paths::{absolute, target_dir};
use crate::tools::cargo;

const NAME: &str = "nice-plug";
const VERSION: &str = "0.4.2";
const FILE: &str = "src/wrapper/vst3/view.rs";
/// Gets [`NO_WARNINGS`] at the top, because cargo shows warnings of path dependencies.
const ROOT: &str = "src/lib.rs";
const NO_WARNINGS: &str = "#![allow(warnings)]\n";

/// Replacements in [`FILE`]: the handler of the host's event loop keeps a plain pointer to itself instead of a leaked
/// reference, and is unregistered before it is dropped.
const CHANGES: &[(&str, &str)] = &[
    (
        "handler.to_com_ptr::<IEventHandler>().unwrap().into_raw();",
        "handler.as_com_ref::<IEventHandler>().unwrap().as_ptr();",
    ),
    (
        "    /// Post a task to the tasks queue so it will be run on the host's GUI thread later.",
        "    /// Takes the handler from the host, which may hold a reference to it until then.
    fn unregister(&self) {
        unsafe {
            self.run_loop
                .unregisterEventHandler(self.event_handler_ptr.0.get());
        }
    }

    /// Post a task to the tasks queue so it will be run on the host's GUI thread later.",
    ),
    (
        "        match unsafe { ComRef::from_raw(frame) } {
            Some(frame) => {
                // On Linux",
        "        #[cfg(all(target_family = \"unix\", not(target_os = \"macos\")))]
        self.drop_run_loop_event_handler();

        match unsafe { ComRef::from_raw(frame) } {
            Some(frame) => {
                // On Linux",
    ),
    (
        "            libc::close(self.socket_write_fd);
        }

        unsafe {
            self.run_loop
                .unregisterEventHandler(self.event_handler_ptr.0.get());
        }
    }
}",
        "            libc::close(self.socket_write_fd);
        }
    }
}

#[cfg(all(target_family = \"unix\", not(target_os = \"macos\")))]
impl<P: Vst3Plugin> WrapperView<P> {
    fn drop_run_loop_event_handler(&self) {
        let handler = self.run_loop_event_handler.write().take();
        if let Some(handler) = handler {
            handler.unregister();
        }
    }
}

#[cfg(all(target_family = \"unix\", not(target_os = \"macos\")))]
impl<P: Vst3Plugin> Drop for WrapperView<P> {
    fn drop(&mut self) {
        self.drop_run_loop_event_handler();
    }
}",
    ),
];

/// `cargo` with these arguments, in the patched workspace if this system has one.
pub(crate) fn plugin_cargo(args: &[&str]) -> Result<Command> {
    let mut command = cargo(args);
    let place = arguments()?;
    if !place.is_empty() {
        command.env("WISP_PATCHED", "1");
    }
    command.args(place);
    Ok(command)
}

/// Arguments that make cargo build there; none on systems without the bug.
pub(crate) fn arguments() -> Result<Vec<String>> {
    if cfg!(not(target_os = "linux")) {
        return Ok(Vec::new());
    }
    let manifest = absolute(workspace()?.join("Cargo.toml"))?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let target = text(absolute(target_dir())?);
    Ok(vec!["--manifest-path".into(), text(manifest), "--target-dir".into(), target])
}

/// Creates or updates the workspace. Files that are up to date stay untouched, because cargo compares their times.
fn workspace() -> Result<PathBuf> {
    let folder = target_dir().join("patched");
    let (original, framework) = (sources()?, folder.join(NAME));
    copy(&original, &framework)?;
    let file = original.join(FILE);
    let patched = changed(&files::read_text(&file)?);
    write(
        &framework.join(FILE),
        &patched.with_context(|| format!("cannot patch {}", file.display()))?,
    )?;
    write(
        &framework.join(ROOT),
        &format!("{NO_WARNINGS}{}", files::read_text(&original.join(ROOT))?),
    )?;

    let here = folder.join("wisp");
    files::make(&here)?;
    for entry in fs::read_dir(".").context("cannot list the workspace")? {
        let name = entry.context("cannot list the workspace")?.file_name();
        let own = ["Cargo.toml", "Cargo.lock", "target", ".git"].iter().any(|own| name == *own);
        if own {
            continue;
        }
        let (from, to) = (absolute(PathBuf::from(&name))?, here.join(&name));
        // In a moved or copied checkout, links point to the old place.
        if fs::read_link(&to).ok().as_ref() != Some(&from) {
            link(&from, &to)?;
        }
    }
    let manifest = files::read_text(Path::new("Cargo.toml"))?;
    let patch = format!("{manifest}\n[patch.crates-io]\n{NAME} = {{ path = \"../{NAME}\" }}\n");
    write(&here.join("Cargo.toml"), &patch)?;
    write(&here.join("Cargo.lock"), &unlocked(&files::read_text(Path::new("Cargo.lock"))?)?)?;
    Ok(here)
}

/// Where cargo keeps the framework's sources.
fn sources() -> Result<PathBuf> {
    let metadata = MetadataCommand::new().exec().context("cargo metadata failed")?;
    let package = metadata.packages.iter().find(|package| package.name == NAME);
    let package = package.with_context(|| format!("cargo metadata names no package {NAME}"))?;
    ensure!(
        package.version.to_string() == VERSION,
        "{NAME} {}, expected {VERSION}: see whether xtask/src/patched.rs is needed still",
        package.version
    );
    let folder = package.manifest_path.parent().context("a manifest without a folder")?;
    Ok(folder.as_std_path().to_owned())
}

/// The file's text with all changes.
fn changed(text: &str) -> Result<String> {
    let mut text = text.to_string();
    for (old, new) in CHANGES {
        let found = text.matches(old).count();
        ensure!(found == 1, "found {found} times, expected once: {old}");
        text = text.replace(old, new);
    }
    Ok(text)
}

/// The lock file for a workspace with the framework as a path dependency.
fn unlocked(lock: &str) -> Result<String> {
    let head = format!("name = \"{NAME}\"\nversion = \"{VERSION}\"\n");
    let (before, after) = lock.split_once(&head).context("Cargo.lock does not name it")?;
    let rest = after.trim_start_matches(|c| c != '\n').trim_start(); // source
    let rest = rest.trim_start_matches(|c| c != '\n').trim_start_matches('\n'); // checksum
    Ok(format!("{before}{head}{rest}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    files::make(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", from.display()))?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        if old.is_dir() {
            copy(&old, &new)?;
        } else if !old.ends_with(FILE) && !old.ends_with(ROOT) && !as_long(&old, &new) {
            fs::copy(&old, &new).with_context(|| format!("cannot copy {}", old.display()))?;
        }
    }
    Ok(())
}

/// Whether a copy is complete.
fn as_long(old: &Path, new: &Path) -> bool {
    let length = |file: &Path| fs::metadata(file).ok().map(|data| data.len());
    length(new).is_some_and(|new| length(old) == Some(new))
}

fn write(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    files::write(file, text)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to); // a link to what is gone
    std::os::unix::fs::symlink(from, to).with_context(|| format!("cannot link {}", to.display()))
}

#[cfg(not(unix))]
fn link(_: &Path, to: &Path) -> Result<()> {
    anyhow::bail!("cannot link {}: needed on Linux alone", to.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_made_once_or_not_at_all() {
        let all: String = CHANGES.iter().map(|(old, _)| format!("{old}\n")).collect();
        let expected: String = CHANGES.iter().map(|(_, new)| format!("{new}\n")).collect();
        assert_eq!(changed(&all).unwrap(), expected);
        let twice = format!("{all}{all}");
        assert!(changed(&twice).unwrap_err().to_string().contains("2 times"));
        assert!(changed("").unwrap_err().to_string().contains("0 times"));
    }

    #[test]
    fn the_lock_file_keeps_all_else() {
        let entry = |name: &str, source: &str| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"0.4.2\"\n{source}dependencies = []\n\n"
            )
        };
        let source = "source = \"registry+https://example.org\"\nchecksum = \"0123\"\n";
        let lock = |own: &str| {
            entry("nice-plug", own) + &entry("nice-plug-core", source) + &entry("zip", source)
        };
        assert_eq!(unlocked(&lock(source)).unwrap(), lock(""));
        assert!(unlocked("").is_err());
    }
}
