//! Plugin bundles.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::patched;

/// Where cargo builds to.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

pub(crate) fn bundled_dir() -> PathBuf {
    target_dir().join("bundled")
}

/// Builds `package` and puts what hosts and people open into [`bundled_dir`].
pub(crate) fn bundle(package: &str, cargo_args: &[String]) -> Result<()> {
    let all: Vec<String> = cargo_args.iter().cloned().chain(patched::arguments()?).collect();
    nice_plug_xtask::build(&[package.to_string()], &all)?;
    nice_plug_xtask::bundle(&target_dir(), package, cargo_args, false)?;
    // Bundling copies the one program that bears the package's name.
    let standalone = format!("wisp-standalone{}", std::env::consts::EXE_SUFFIX);
    let built = profile_dir(cargo_args).join(&standalone);
    if cargo_args.iter().any(|arg| arg.contains("standalone")) && built.exists() {
        let copy = bundled_dir().join(&standalone);
        fs::copy(&built, &copy)
            .with_context(|| format!("cannot copy {} to {}", built.display(), copy.display()))?;
        eprintln!("Created a standalone program at '{}'", copy.display());
    }
    Ok(())
}

/// The plugin in release, as people install it.
pub(crate) fn bundle_wisp() -> Result<()> {
    bundle("wisp", &["--release".to_string()])
}

/// The command-line program that [`bundle_wisp`] built.
pub(crate) fn command_line_program() -> PathBuf {
    target_dir().join("release").join(format!("wisp{}", std::env::consts::EXE_SUFFIX))
}

pub(crate) fn clap_bundle() -> PathBuf {
    bundled_dir().join("wisp.clap")
}

pub(crate) fn vst3_bundle() -> PathBuf {
    bundled_dir().join("wisp.vst3")
}

fn profile_dir(cargo_args: &[String]) -> PathBuf {
    let value = |name: &str| {
        let at = cargo_args.iter().position(|arg| arg == name)?;
        cargo_args.get(at + 1).map(Path::new)
    };
    let base = value("--target").map_or_else(target_dir, |target| target_dir().join(target));
    let release = cargo_args.iter().any(|arg| arg == "--release");
    match value("--profile") {
        Some(profile) => base.join(profile),
        None => base.join(if release { "release" } else { "debug" }),
    }
}
