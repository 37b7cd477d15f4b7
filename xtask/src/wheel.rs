//! The Python package.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::files::{self, copy};
use crate::licences;
use crate::paths::{Profile, absolute};
use crate::reference::{Reference, pipe};
use crate::tools::{make_environment, python_in, python_with, run};

const PACKAGE: &str = "wisp-python";
/// Where its sources are.
const SOURCE: &str = "crates/python";
const MATURIN: &[&str] = &["maturin>=1.9.4,<2"];
/// What the wheel has to contain besides itself.
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// Builds the wheel, for both processors of macOS if `universal`; where it is.
pub(crate) fn build(profile: Profile, universal: bool) -> Result<PathBuf> {
    let python = python_with("venv-maturin", MATURIN)?;
    let folder = profile.home().join("wheel");
    let licences = Path::new(SOURCE).join("licenses");
    for folder in [&folder, &licences] {
        files::make_empty(folder)?;
    }
    for licence in LICENCES {
        copy(Path::new(licence), &licences.join(licence))?;
    }
    let text = licences::of_package(PACKAGE, &licences::host()?)?;
    let file = licences.join("THIRD-PARTY-LICENSES.md");
    files::write(&file, text)?;
    let mut maturin = Command::new(python);
    maturin.args(["-m", "maturin", "build", "--quiet", "--locked", "--profile", profile.name()]);
    if universal {
        maturin.args(["--target", "universal2-apple-darwin"]);
    }
    maturin.arg("--manifest-path").arg(Path::new(SOURCE).join("Cargo.toml"));
    run(maturin.arg("--out").arg(&folder))?;
    let name = || format!("cannot read {}", folder.display());
    let wheel = fs::read_dir(&folder).with_context(name)?.next().with_context(name)?;
    let wheel = wheel.with_context(name)?.path();
    println!("{}", wheel.display());
    Ok(wheel)
}

/// Tests the wheel in its own environment: against the command line, then its own tests.
pub(crate) fn test() -> Result<()> {
    let reference = Reference::new()?;
    let wheel = absolute(build(Profile::Dev, false)?)?;
    let folder = wheel.with_file_name("venv");
    make_environment(&folder)?;
    let python = python_in(&folder);
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pytest"]);
    run(pip.arg(&wheel))?;
    for (rate, channels, settings, options) in [
        (48_000, 1, "", &[][..]),
        (
            44_100,
            2,
            "reduction_db=18, sensitivity_db=6, ambience=0.05, stereo='independent'",
            &["--reduction=18", "--sensitivity=6", "--ambience=5%", "--stereo=independent"][..],
        ),
        (11_025, 2, "preset='podcast', removed=True", &["--preset=podcast", "--removed"][..]),
    ] {
        for (name, how, usual, other) in
            [("denoise", DENOISE, "studio", "live"), ("Denoiser", STREAM, "live", "studio")]
        {
            // By default and, with settings, by name.
            let (quality, settings) = match settings {
                "" => (usual, String::new()),
                _ => (other, format!("{settings}, quality='{other}'")),
            };
            let mut script = Command::new(&python);
            script.arg("-c").arg(format!("{READ}{how}{WRITE}").replace("SETTINGS", &settings));
            script.args([rate.to_string(), channels.to_string()]);
            let output = pipe(&mut script, &reference.input(channels)?)?;
            let quality = format!("--quality={quality}");
            let options = [options, &[quality.as_str()]].concat();
            reference.hold(&format!("Python, {name}"), rate, channels, &options, &output)?;
        }
    }
    let mut pytest = Command::new(&python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    run(pytest.arg(Path::new(SOURCE).join("tests")).env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Raw samples from standard input, of a rate and a number of channels.
const READ: &str = "\
import sys
import numpy as np
from wisp_denoise import Denoiser, denoise
rate, channels = map(int, sys.argv[1:])
audio = np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, channels).T
";
/// The whole at once.
const DENOISE: &str = "clean = denoise(audio, rate, SETTINGS)\n";
/// In blocks of 10 ms.
const STREAM: &str = "\
denoiser = Denoiser(rate, channels, aligned=True, SETTINGS)
blocks = np.split(audio, range(rate // 100, audio.shape[1], rate // 100), axis=1)
clean = np.concatenate([*map(denoiser.process, blocks), denoiser.flush()], axis=1)
";
/// The result to standard output.
const WRITE: &str = "sys.stdout.buffer.write(clean.T.tobytes())\n";
