//! Names and paths of build outputs.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The package of the plugin, the programs and the library.
pub(crate) const PACKAGE: &str = "wisp-denoise";
/// The name of its library, its command-line program and its bundles.
pub(crate) const NAME: &str = "wisp";
/// The bundle of the Audio Unit.
pub(crate) const COMPONENT: &str = "wisp.component";

/// Paths are relative to the workspace's folder.
pub(crate) fn go_to_workspace() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    std::env::set_current_dir(root)
        .with_context(|| format!("cannot go to the workspace at {}", root.display()))
}

/// Cargo's target folder.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// How the libraries for other languages and hosts are compiled, and where they end up.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// As released.
    Release,
    /// As for Rust tests, which have already compiled most of it.
    Dev,
}

impl Profile {
    /// For `cargo build --profile`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// Where cargo puts them.
    pub(crate) fn built(self) -> PathBuf {
        match self {
            Self::Release => target_dir().join("release"),
            Self::Dev => target_dir().join("debug"),
        }
    }

    /// Where people find them.
    pub(crate) fn home(self) -> PathBuf {
        match self {
            Self::Release => target_dir(),
            Self::Dev => target_dir().join("doors"),
        }
    }
}

pub(crate) fn bundled_dir() -> PathBuf {
    target_dir().join("bundled")
}

/// The command-line program, in release.
pub(crate) fn command_line_program() -> PathBuf {
    release_program(NAME)
}

pub(crate) fn release_program(name: &str) -> PathBuf {
    target_dir().join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

pub(crate) fn clap_bundle() -> PathBuf {
    bundled_dir().join("wisp.clap")
}

pub(crate) fn vst3_bundle() -> PathBuf {
    bundled_dir().join("wisp.vst3")
}

pub(crate) fn component() -> PathBuf {
    bundled_dir().join(COMPONENT)
}

pub(crate) fn absolute(path: PathBuf) -> Result<PathBuf> {
    fs::canonicalize(&path).with_context(|| format!("cannot find {}", path.display()))
}
