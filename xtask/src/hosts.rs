//! Tests that run the bundled plugins in hosts.
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::patched::plugin_cargo;
use crate::paths::{absolute, clap_bundle, vst3_bundle};
use crate::tools::python_with;

/// The test that loads the bundled CLAP; `build` says how the test itself is built.
pub(crate) fn clap_host(build: &[&str]) -> Result<Command> {
    let clap = absolute(clap_bundle())?;
    let mut test = plugin_cargo(&["test", "--quiet"])?;
    test.args(build).args(["--test", "clap_host"]).env("WISP_CLAP", clap);
    Ok(test)
}

/// The test of the bundled VST3 in a host that is a Python package.
pub(crate) fn python_host(package: &str, file: &str) -> Result<Command> {
    let bundle = absolute(vst3_bundle())?;
    let mut test = Command::new(host_python(package)?);
    test.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", file]).env("WISP_VST3", bundle);
    Ok(test)
}

/// The Python environment that contains a host.
pub(crate) fn host_python(package: &str) -> Result<PathBuf> {
    python_with(&format!("venv-{package}"), &["pytest", "numpy", "soundfile", package])
}
