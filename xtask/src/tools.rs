//! Other programs: running them, finding them, installing them.
use std::ffi::OsStr;
use std::fs;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bundle::target_dir;

/// Runs to the end, output to the terminal, without standard input.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

pub(crate) fn cargo<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args);
    command
}

/// What `cargo metadata` says with these arguments.
pub(crate) fn metadata<S: AsRef<OsStr>>(args: &[S]) -> Result<Value> {
    let mut command = cargo(&["metadata", "--format-version", "1"]);
    let output =
        command.args(args).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}

/// Whether the program starts at all with this argument.
pub(crate) fn works(program: impl AsRef<OsStr>, arg: &str) -> bool {
    let quiet = Command::new(program)
        .arg(arg)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// Installs those Debian packages that are missing; elsewhere says what is needed.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    if !works("apt-get", "--version") {
        bail!(
            "this system has no apt-get; please install what these Debian packages hold, \
             and run this again: {}",
            packages.join(" ")
        );
    }
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    let apt = |args: &[&str]| -> Result<Command> {
        let mut command = as_root("apt-get")?;
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command)
    };
    // A fresh system has no lists. Where one source of several fails, the others may do.
    if let Err(error) = run(&mut apt(&["-qq", "update"])?) {
        eprintln!("warning: {error}");
    }
    let mut install = apt(&["-qq", "-y", "--no-install-recommends", "install"])?;
    run(install.args(&missing)).with_context(|| format!("please install: {}", missing.join(" ")))
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.ends_with(b"ok installed"))
}

fn as_root(program: &str) -> Result<Command> {
    let id = Command::new("id").arg("-u").output().context("cannot run id")?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(Command::new(program));
    }
    ensure!(works("sudo", "--version"), "neither root nor sudo, so {program} cannot install");
    // Through env, since sudo drops the variables it does not know.
    let mut command = Command::new("sudo");
    if !stdin().is_terminal() {
        command.arg("-n");
    }
    command.args(["env", "DEBIAN_FRONTEND=noninteractive", program]);
    Ok(command)
}

/// Installs a component of the Rust toolchain that a minimal one lacks.
pub(crate) fn rust_component(subcommand: &str, component: &str) -> Result<()> {
    if works("cargo", subcommand) {
        return Ok(());
    }
    run(Command::new("rustup").args(["component", "add", component]))
        .with_context(|| format!("please install {component}"))
}

/// What the disk of this folder has left, where `df` tells.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["-P", "-k"]).arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let available = text.lines().nth(1)?.split_whitespace().nth(3)?;
    available.parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether such an environment is there already.
pub(crate) fn has_python_with(name: &str, requirements: &[&str]) -> bool {
    stamp(&target_dir().join(name), requirements).exists()
}

/// Says in an environment's folder that these requirements were installed.
fn stamp(folder: &Path, requirements: &[&str]) -> PathBuf {
    folder.join(format!("requirements-{:016x}", hash(requirements)))
}

/// The Python of an environment in the target folder with these requirements (as pip takes them).
pub(crate) fn python_with(name: &str, requirements: &[&str]) -> Result<PathBuf> {
    let folder = fs::canonicalize(target_dir())
        .with_context(|| format!("cannot find {}", target_dir().display()))?
        .join(name);
    let python = if cfg!(windows) {
        folder.join("Scripts").join("python.exe")
    } else {
        folder.join("bin").join("python")
    };
    if !works(&python, "--version") {
        make_environment(&folder)?;
    }
    // What was asked for last time is there still.
    let stamp = stamp(&folder, requirements);
    if !stamp.exists() {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.args(requirements))?;
        fs::write(&stamp, requirements.join("\n"))
            .with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    Ok(python)
}

fn make_environment(folder: &Path) -> Result<()> {
    let system = ["python3", "python"].into_iter().find(|python| works(python, "--version"));
    let system = system.context("Python 3 is missing; please install it")?;
    let make = || run(Command::new(system).args(["-m", "venv", "--clear"]).arg(folder));
    if make().is_err() {
        // Debian's Python comes without this part.
        install_packages(&["python3-venv"])?;
        make()?;
    }
    Ok(())
}

/// Of the requirements, and of the files that they name.
fn hash(requirements: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for requirement in requirements {
        add(requirement.as_bytes());
        add(b"\n");
        add(&fs::read(requirement).unwrap_or_default());
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_requirements_have_another_stamp() {
        assert_eq!(hash(&["numpy", "scipy"]), hash(&["numpy", "scipy"]));
        assert_ne!(hash(&["numpy", "scipy"]), hash(&["numpyscipy"]));
        assert_ne!(hash(&["numpy"]), hash(&["numpy", "scipy"]));
    }

    #[cfg(unix)]
    #[test]
    fn the_disk_has_room() {
        assert!(free_bytes(Path::new(".")).expect("df tells") > 0);
        assert_eq!(free_bytes(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn a_program_that_is_not_there_does_not_work() {
        assert!(works("cargo", "--version"));
        assert!(!works("cargo", "--no-such-option"));
        assert!(!works("no-such-program-anywhere", "--version"));
    }

    #[test]
    fn failure_is_an_error_with_the_name() {
        let error = run(cargo(&["no-such-subcommand"]).stderr(Stdio::null())).expect_err("fails");
        assert!(error.to_string().contains("cargo"));
    }
}
