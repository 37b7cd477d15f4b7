//! Other programs: running them, finding them, installing them.
use std::ffi::OsStr;
use std::fs;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::files;
use crate::paths::target_dir;

/// Starts a line that the suite shows even if the step passes; other output is shown only for a failed step.
pub(crate) const NOTE: &str = "note: ";
/// The option that consents to installing packages.
const YES: &str = "--yes";
/// Whether packages may be installed without asking.
static CONSENT: AtomicBool = AtomicBool::new(false);

/// Runs to the end, output to the terminal, without standard input.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// The standard output of a program.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name} ended with {} after:\n{text}", output.status);
    Ok(text)
}

/// A program's exit status, if it ends in time.
pub(crate) fn ended(child: &mut Child, name: &str, patience: Duration) -> Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        ensure!(start.elapsed() < patience, "{name} did not end within {patience:?}");
        sleep(Duration::from_millis(50));
    }
}

pub(crate) fn cargo<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args);
    command
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

/// Consents to installing packages without a question.
pub(crate) fn consent_to_install() {
    CONSENT.store(true, Ordering::Relaxed);
}

/// The option that tells another run of this program whether there is consent.
pub(crate) fn consent() -> Option<&'static str> {
    CONSENT.load(Ordering::Relaxed).then_some(YES)
}

/// Asks whether the missing Debian packages may be installed. Without a terminal, root and CI need no consent.
pub(crate) fn ask_to_install(packages: &[&str]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() || consent().is_some() || !works("apt-get", "--version") {
        return Ok(());
    }
    let (root, list) = (is_root(), missing.join(" "));
    let command = format!("{}apt-get install {list}", if root { "" } else { "sudo " });
    if std::env::var_os("CI").is_none() {
        if stdin().is_terminal() {
            print!("These Debian packages are needed and missing: {list}\nRun {command:?}? [Y/n] ");
            stdout().flush()?;
            let mut answer = String::new();
            let length = stdin().read_line(&mut answer)?;
            let yes = ["", "y", "yes"].contains(&answer.trim().to_lowercase().as_str());
            ensure!(length > 0 && yes, "nothing was installed; to do it yourself: {command}");
        } else {
            ensure!(root, "packages are missing: run `{command}`, or this again with {YES}");
        }
    }
    consent_to_install();
    Ok(())
}

fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().copied().filter(|name| !is_installed(name)).collect()
}

/// Installs the Debian packages that are missing; on other systems lists what is needed.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !works("apt-get", "--version") {
        bail!(
            "this system has no apt-get; please install the equivalent of these Debian packages, \
             and run this again: {}",
            packages.join(" ")
        );
    }
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    ask_to_install(&missing)?;
    println!("installing with apt-get: {}", missing.join(" "));
    let apt = |args: &[&str]| -> Result<Command> {
        let mut command = as_root("apt-get")?;
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command)
    };
    // A fresh system has no package lists. If one of several sources fails, the others may be enough.
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

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn as_root(program: &str) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    ensure!(works("sudo", "--version"), "{program} needs root or sudo to install packages");
    // Through env, because sudo drops unknown variables.
    let mut command = Command::new("sudo");
    if !stdin().is_terminal() {
        command.arg("-n");
    }
    command.args(["env", "DEBIAN_FRONTEND=noninteractive", program]);
    Ok(command)
}

/// Installs a toolchain component that minimal installations lack.
pub(crate) fn rust_component(subcommand: &str, component: &str) -> Result<()> {
    // The subcommand itself would format or check everything.
    let version = cargo(&[subcommand, "--version"]).output();
    if version.is_ok_and(|version| version.status.success()) {
        return Ok(());
    }
    run(Command::new("rustup").args(["component", "add", component]))
        .with_context(|| format!("please install {component}"))
}

/// Installs the standard library for another target, if available; steps that need it report if it is missing.
pub(crate) fn rust_target(target: &str) {
    let mut add = Command::new("rustup");
    if let Err(error) = run(add.args(["target", "add", target])) {
        println!("{target} was not installed: {error}");
    }
}

/// Free space on the disk of this folder, if `df` works.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["-P", "-k"]).arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let available = text.lines().nth(1)?.split_whitespace().nth(3)?;
    available.parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether this environment exists already.
pub(crate) fn has_python_with(name: &str, requirements: &[&str]) -> bool {
    stamp(&target_dir().join(name), requirements).exists()
}

/// The file in an environment's folder that records that these requirements were installed.
fn stamp(folder: &Path, requirements: &[&str]) -> PathBuf {
    folder.join(format!("requirements-{:016x}", hash(requirements)))
}

/// The Python of an environment in the target folder with these requirements (as pip takes them).
pub(crate) fn python_with(name: &str, requirements: &[&str]) -> Result<PathBuf> {
    let folder = fs::canonicalize(target_dir())
        .with_context(|| format!("cannot find {}", target_dir().display()))?
        .join(name);
    let python = python_in(&folder);
    if !works(&python, "--version") {
        make_environment(&folder)?;
    }
    let stamp = stamp(&folder, requirements);
    if !stamp.exists() {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.args(requirements))?;
        files::write(&stamp, requirements.join("\n"))?;
    }
    Ok(python)
}

/// The Python program of an environment.
pub(crate) fn python_in(folder: &Path) -> PathBuf {
    if cfg!(windows) {
        folder.join("Scripts").join("python.exe")
    } else {
        folder.join("bin").join("python")
    }
}

/// Creates an environment, replacing an existing one.
pub(crate) fn make_environment(folder: &Path) -> Result<()> {
    let system = ["python3", "python"].into_iter().find(|python| works(python, "--version"));
    let system = system.context("Python 3 is missing; please install it")?;
    let make = || run(Command::new(system).args(["-m", "venv", "--clear"]).arg(folder));
    if make().is_err() {
        // Debian's Python does not include it.
        install_packages(&["python3-venv"])?;
        make()?;
    }
    Ok(())
}

/// A hash of the requirements and of the files that they name.
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
