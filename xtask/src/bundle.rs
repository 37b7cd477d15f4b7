//! Plugin bundles.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::files;
use crate::patched;
use crate::paths::{NAME, PACKAGE, bundled_dir, target_dir, vst3_bundle};
use crate::tools::run;

/// Builds the plugin and the programs, and puts bundles and programs into [`bundled_dir`].
pub(crate) fn bundle(cargo_args: &[String]) -> Result<()> {
    let all: Vec<String> = cargo_args.iter().cloned().chain(patched::arguments()?).collect();
    nice_plug_xtask::build(&[PACKAGE.to_owned()], &all)?;
    // The bundler expects the library and the program to have the package's name.
    nice_plug_xtask::bundle(&target_dir(), NAME, cargo_args, false)?;
    describe_module()?;
    // The bundler only copies the program of that name.
    let standalone = format!("wisp-standalone{}", std::env::consts::EXE_SUFFIX);
    let built = profile_dir(cargo_args).join(&standalone);
    if cargo_args.iter().any(|arg| arg.contains("standalone")) && built.exists() {
        let copy = bundled_dir().join(&standalone);
        files::copy(&built, &copy)?;
        eprintln!("Created a standalone program at '{}'", copy.display());
    }
    Ok(())
}

/// Adds moduleinfo.json to the VST3 bundle, which hosts read instead of loading the plugin.
pub(crate) fn describe_module() -> Result<()> {
    let source = Path::new("packaging/moduleinfo.json");
    let text = files::read_text(source)?.replace("VERSION", &version()?);
    let folder = vst3_bundle().join("Contents/Resources");
    files::make(&folder)?;
    let file = folder.join("moduleinfo.json");
    files::write(&file, text)?;
    if cfg!(target_os = "macos") {
        // The bundle's signature covers its contents, so sign again.
        sign_locally(&vst3_bundle())?;
    }
    Ok(())
}

/// Signs a bundle for this computer, on macOS.
pub(crate) fn sign_locally(bundle: &Path) -> Result<()> {
    run(Command::new("codesign").args(["--force", "--sign", "-"]).arg(bundle))
}

/// Bundles the release build, which is what people install.
pub(crate) fn bundle_wisp() -> Result<()> {
    bundle(&["--release".to_string()])
}

/// The version of the package.
pub(crate) fn version() -> Result<String> {
    let manifest = fs::read_to_string("Cargo.toml").context("cannot read Cargo.toml")?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    Ok(version.context("Cargo.toml has no version")?.trim_matches('"').to_owned())
}

/// Where cargo puts what it builds with these arguments.
pub(crate) fn profile_dir(cargo_args: &[String]) -> PathBuf {
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
