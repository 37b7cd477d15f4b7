//! The whole test suite, step by step, and a table of what came of it.
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::audit::audit;
use crate::bundle::{PACKAGE, bundle_wisp, clap_bundle, target_dir, vst3_bundle};
use crate::demo::make_clips;
use crate::display::Display;
use crate::patched::{self, plugin_cargo};
use crate::tools::{
    cargo, free_bytes, has_python_with, install_packages, metadata, python_with, run,
    rust_component, works,
};

/// Largest share of real time that one core may need at 48 kHz, mono.
const REAL_TIME_FACTOR: f64 = 0.05;
/// Most instructions of a hop per multiply-add of the network, by kernels. Valgrind knows no AVX-512, and shows the program
/// a processor without. It counts alike in every run: what is stored is what was measured and 5 % for other compilers.
const INSTRUCTIONS: &[(&str, f64)] = &[("Avx2", 0.43)];

struct Step {
    name: &'static str,
    purpose: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "tools", purpose: "what the tests need is installed", run: tools },
    Step { name: "format", purpose: "rustfmt", run: format },
    Step { name: "clippy", purpose: "no warnings, with and without features", run: clippy },
    Step { name: "audit", purpose: "unsafe code, and dependencies by cargo-deny", run: audit },
    Step { name: "docs", purpose: "documentation builds without warnings", run: docs },
    Step { name: "core", purpose: "the engine alone: unit, parity, invariance, …", run: core },
    Step { name: "hosts", purpose: "the command line, the plugin in a CLAP host", run: hosts },
    Step { name: "editor", purpose: "the editor's real window, driven under Xvfb", run: editor },
    Step { name: "xtask", purpose: "tests of these tasks", run: xtask },
    Step { name: "bundle", purpose: "the plugin as people install it", run: bundle_wisp },
    Step { name: "package", purpose: "the archive, installed and uninstalled", run: package },
    Step {
        name: "release",
        purpose: "allocations, and the bundled CLAP, in release",
        run: release,
    },
    Step { name: "vst3", purpose: "the bundled VST3 in pedalboard", run: vst3_hosts },
    Step { name: "soak", purpose: "minutes of audio with changing settings", run: short_soak },
    Step { name: "demo", purpose: "a clip made, cleaned and drawn", run: demo },
    Step { name: "speed", purpose: "time, memory and spread of work, beside a peer", run: speed },
    Step { name: "instructions", purpose: "instructions per multiply-add", run: instructions },
    Step { name: "training", purpose: "tests of the training recipe", run: training },
];

/// Begins what a step has to say though it passed; the rest of its output is shown only when it fails.
pub(crate) const NOTE: &str = "note: ";
/// So many lines of a failed step's output are shown.
const SHOWN: usize = 500;

/// Which steps to run, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Steps to run [default: all]
    steps: Vec<String>,
    /// Only print the names of the steps
    #[arg(long)]
    list: bool,
    /// Show all that a step prints, while it prints it
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the steps named, or all; false if one failed.
pub(crate) fn test(options: &Options) -> Result<bool> {
    let names = &options.steps;
    if options.list {
        STEPS.iter().for_each(|step| println!("{:12} {}", step.name, step.purpose));
        return Ok(true);
    }
    for name in names {
        let known = STEPS.iter().any(|step| step.name == name);
        ensure!(known, "no step {name:?}; `cargo xtask test --list` names them");
    }
    let chosen = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    let mut rows = Vec::new();
    for step in STEPS.iter().filter(chosen) {
        println!("==> {}: {}", step.name, step.purpose);
        let start = Instant::now();
        let result = if options.verbose { (step.run)() } else { quietly(step.name) };
        let seconds = start.elapsed().as_secs_f64();
        match &result {
            Ok(()) => println!("    passed in {seconds:.1} s"),
            Err(error) => println!("{}{error:#}", failed(step.name)),
        }
        rows.push((step.name, result, seconds));
    }
    println!("\n{:<13} {:<8} {:>8}", "step", "result", "seconds");
    for (name, result, seconds) in &rows {
        let (word, reason) = match result {
            Ok(()) => ("passed", String::new()),
            Err(error) => ("FAILED", format!("  {error:#}")),
        };
        println!("{name:<13} {word:<8} {seconds:>8.1}{reason}");
    }
    let failed = rows.iter().filter(|(_, result, _)| result.is_err()).count();
    println!("\n{} passed, {failed} failed", rows.len() - failed);
    Ok(failed == 0)
}

/// What a line begins with that says why a step failed.
fn failed(step: &str) -> String {
    format!("{step} failed: ")
}

/// Runs a step by this program anew, with its output in a file, and shows what of it matters.
fn quietly(step: &str) -> Result<()> {
    let folder = target_dir().join("suite");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{step}.log"));
    let file =
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let this = std::env::current_exe().context("cannot find this program")?;
    let status = Command::new(this)
        .args(["test", "--verbose", step])
        // Of no use to a suite, and gigabytes.
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .status()
        .context("cannot run this program again")?;
    let log = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let log = String::from_utf8_lossy(&log);
    if status.success() {
        log.lines().filter_map(|line| line.strip_prefix(NOTE)).for_each(|n| println!("    {n}"));
        return Ok(());
    }
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    if from > 0 {
        println!("[{from} lines before these are in {}]", path.display());
    }
    lines[from..].iter().for_each(|line| println!("{line}"));
    let prefix = failed(step);
    match lines.iter().rev().find_map(|line| line.strip_prefix(&prefix)) {
        Some(reason) => bail!("{reason}"),
        None => bail!("it ended with {status}"),
    }
}

fn tools() -> Result<()> {
    rust_component("fmt", "rustfmt")?;
    rust_component("clippy", "clippy")?;
    // A voice; formats to read; what the standalone program links to; counted instructions; a screen for the editor.
    let mut packages = vec![
        "espeak-ng",
        "ffmpeg",
        "pkg-config",
        "libasound2-dev",
        "libjack-jackd2-dev",
        "valgrind",
    ];
    packages.extend([
        "xvfb",
        "xdotool",
        "libegl1",
        "libgl1-mesa-dri",
        "libx11-xcb1",
        "libxkbcommon-x11-0",
    ]);
    if cfg!(not(target_os = "linux")) {
        packages = vec!["espeak-ng", "ffmpeg"];
        packages.retain(|program| !works(program, "--version") && !works(program, "-version"));
        if packages.is_empty() {
            return Ok(());
        }
    }
    // The training recipe compiles its inner loops.
    if !works("c++", "--version") {
        packages.push("g++");
    }
    if !has_python_headers() {
        packages.push("python3-dev");
    }
    install_packages(&packages)
}

fn has_python_headers() -> bool {
    let code = "import os, sys, sysconfig; \
                sys.exit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))";
    let python = Command::new("python3").args(["-c", code]).stderr(Stdio::null()).status();
    python.is_ok_and(|status| status.success())
}

fn format() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let check = |args: &[&str]| {
        run(cargo(&["clippy", "--quiet", "--all-targets"])
            .args(args)
            .args(["--", "-D", "warnings"]))
    };
    check(&["--workspace", "--exclude", "xtask", "--all-features"])?;
    check(&["--workspace", "--exclude", "xtask", "--no-default-features"])?;
    check(&["-p", PACKAGE, "--no-default-features", "--features", "cli"])?;
    check(&["-p", "xtask", "--release"])
}

fn docs() -> Result<()> {
    let mut doc = cargo(&["doc", "--quiet", "-p", PACKAGE, "--no-deps", "--all-features"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn core() -> Result<()> {
    run(&mut cargo(&["check", "--quiet", "-p", PACKAGE, "--no-default-features", "--lib"]))?;
    run(&mut cargo(&[
        "test",
        "--quiet",
        "--workspace",
        "--exclude",
        "xtask",
        "--no-default-features",
    ]))
}

/// The package of what fuzzing runs, with bounded runs of it.
const FUZZ_TARGETS: &str = "wisp-fuzz-targets";
/// Needs a display, which it makes.
const EDITOR: &str = "editor";

/// What `core` does not run for want of features.
fn hosts() -> Result<()> {
    let mut test = plugin_cargo(&["test", "--quiet", "-p", PACKAGE, "-p", FUZZ_TARGETS])?;
    test.args(["--features", "cli,plugin,standalone", "--lib", "--bins"]);
    for name in tests_with_features()? {
        test.args(["--test", &name]);
    }
    run(&mut test)
}

fn editor() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("{NOTE}not run: the editor is driven on Linux alone, by Xvfb and xdotool");
        return Ok(());
    }
    let display = Display::new(1)?;
    let args = ["test", "--quiet", "-p", PACKAGE, "--features", "standalone", "--test", EDITOR];
    let mut test = display.command("cargo");
    run(test.args(args).args(patched::arguments()?).env("WISP_DISPLAY", display.name()))
}

fn tests_with_features() -> Result<Vec<String>> {
    let metadata = metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<String> = packages
        .iter()
        .filter(|package| [PACKAGE, FUZZ_TARGETS].iter().any(|name| package["name"] == *name))
        .filter_map(|package| package["targets"].as_array())
        .flatten()
        .filter(|target| target["kind"][0] == "test" && !target["required-features"].is_null())
        .filter_map(|target| target["name"].as_str().map(str::to_string))
        .filter(|name| name != EDITOR)
        .collect();
    ensure!(!names.is_empty(), "no test in Cargo.toml has required-features");
    Ok(names)
}

fn xtask() -> Result<()> {
    run(&mut cargo(&["test", "--quiet", "-p", "xtask", "--release"]))
}

fn package() -> Result<()> {
    crate::package::package(false, &[]).map(drop)
}

fn release() -> Result<()> {
    run(&mut plugin_cargo(&[
        "test",
        "--quiet",
        "-p",
        PACKAGE,
        "--release",
        "--test",
        "realtime",
    ])?)?;
    run(&mut clap_host()?)
}

/// The test of the bundled CLAP, in release.
pub(crate) fn clap_host() -> Result<Command> {
    let clap = absolute(clap_bundle())?;
    let args = ["test", "--quiet", "-p", PACKAGE, "--release", "--test", "clap_host"];
    let mut test = plugin_cargo(&args)?;
    test.env("WISP_CLAP", clap);
    Ok(test)
}

fn vst3_hosts() -> Result<()> {
    run(&mut python_host("pedalboard", "tests/vst3_host.py")?)
}

/// The test of the bundled VST3 in a host that is a Python package.
pub(crate) fn python_host(package: &str, file: &str) -> Result<Command> {
    let bundle = absolute(vst3_bundle())?;
    let mut test = Command::new(host_python(package)?);
    test.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", file]).env("WISP_VST3", bundle);
    Ok(test)
}

/// The Python that has a host.
pub(crate) fn host_python(package: &str) -> Result<PathBuf> {
    python_with(&format!("venv-{package}"), &["pytest", "numpy", "soundfile", package])
}

/// What PyPI's PyTorch for Linux needs with its downloads, bytes: most of it CUDA, which no test uses.
const CUDA_BYTES: u64 = 10 << 30;

fn training() -> Result<()> {
    const ENVIRONMENT: &str = "venv-training";
    const REQUIREMENTS: &[&str] = &["-r", "train/requirements.txt"];
    if cfg!(target_os = "linux") && !has_python_with(ENVIRONMENT, REQUIREMENTS) {
        let index = "https://download.pytorch.org/whl/cpu";
        let small =
            ["--index-url", index, "--retries", "0", "--timeout", "10", "torch", "torchaudio"];
        if python_with(ENVIRONMENT, &small).is_err()
            && let Some(free) = free_bytes(&target_dir())
            && free < CUDA_BYTES
        {
            println!(
                "{NOTE}not run: {index} cannot be reached, PyPI's PyTorch needs {} GiB, {} are free",
                CUDA_BYTES >> 30,
                free >> 30
            );
            return Ok(());
        }
    }
    let python = python_with(ENVIRONMENT, REQUIREMENTS)?;
    let args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "train/tests"];
    run(Command::new(python).args(args).env("OMP_NUM_THREADS", "1"))
}

fn short_soak() -> Result<()> {
    soak(0.1)
}

/// So many hours of audio through the engine, in release.
pub(crate) fn soak(hours: f64) -> Result<()> {
    let args = ["run", "--quiet", "-p", PACKAGE, "--release", "--no-default-features", "--example"];
    run(cargo(&args).args(["soak", "--", &hours.to_string()]))
}

fn demo() -> Result<()> {
    println!("{}", make_clips()?);
    Ok(())
}

/// The bench, or what it would run with these arguments.
const PEERS: &[&str] =
    &["bench", "--quiet", "-p", PACKAGE, "--no-default-features", "--bench", "peers"];

fn speed() -> Result<()> {
    let text = output_of(cargo(PEERS).args(["--", "--quick"]))?;
    print!("{text}");
    text.lines().filter(|l| l.starts_with(FACTOR)).for_each(|line| println!("{NOTE}{line}"));
    let factor = real_time_factor(&text).context("the bench printed no real-time factor")?;
    if factor > REAL_TIME_FACTOR {
        bail!("real-time factor {factor}, expected at most {REAL_TIME_FACTOR}");
    }
    Ok(())
}

/// What a program prints.
fn output_of(command: &mut Command) -> Result<String> {
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

fn instructions() -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        println!("{NOTE}not run: instructions are counted on Linux alone, by Valgrind");
        return Ok(());
    }
    let built = output_of(cargo(PEERS).args(["--no-run", "--message-format=json"]))?;
    let bench = built
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "peers")
        .find_map(|message| message["executable"].as_str().map(str::to_string))
        .context("cargo names no executable of the bench")?;
    // Two runs, so that what comes before the first hop cancels out.
    let (few, many) = (20, 220);
    let (about, before) = count_instructions(&bench, few)?;
    let (_, after) = count_instructions(&bench, many)?;
    let per_hop = (after - before) / f64::from(many - few);
    let multiply_adds = number_after(&about, "multiply-adds per hop: ")?;
    let ratio = per_hop / multiply_adds;
    let kernels = about.split_once("kernels: ").and_then(|(_, rest)| rest.split(',').next());
    let kernels = kernels.context("the bench names no kernels")?;
    println!(
        "{NOTE}{kernels}: {per_hop:.0} instructions per hop, {multiply_adds} multiply-adds: ratio {ratio:.4}"
    );
    let Some((_, most)) = INSTRUCTIONS.iter().find(|(name, _)| *name == kernels) else {
        println!("{NOTE}nothing is stored to hold this against");
        return Ok(());
    };
    ensure!(ratio <= *most, "{ratio:.4} instructions per multiply-add, expected at most {most}");
    Ok(())
}

/// What the bench prints, and how many instructions it takes for so many hops.
fn count_instructions(bench: &str, hops: u32) -> Result<(String, f64)> {
    let file = target_dir().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", file.display())])
        .args([bench, "--hops", &hops.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("cannot run valgrind")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind ended with {}: {log}", output.status);
    let count = number_after(&log, "Collected : ")?;
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), count))
}

fn number_after(text: &str, words: &str) -> Result<f64> {
    let number = text.split_once(words).and_then(|(_, rest)| rest.split_whitespace().next());
    let number = number.and_then(|number| number.parse().ok());
    number.with_context(|| format!("no number after {words:?} in: {text}"))
}

/// What the bench puts before its figure.
const FACTOR: &str = "real-time factor: wisp ";

/// From "real-time factor: wisp 0.0123, …".
fn real_time_factor(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once(FACTOR)?;
    rest.split([',', '\n']).next()?.trim().parse().ok()
}

pub(crate) fn absolute(path: PathBuf) -> Result<PathBuf> {
    fs::canonicalize(&path).with_context(|| format!("cannot find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_of_the_bench_is_found() {
        let text = "per hop …\nreal-time factor: wisp 0.0123, nnnoiseless 0.0050\n";
        assert_eq!(real_time_factor(text), Some(0.0123));
        assert_eq!(real_time_factor("nothing here"), None);
    }

    #[test]
    fn the_figures_of_a_count_are_found() {
        let log = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(number_after(log, "Collected : ").unwrap(), 123_456.0);
        assert!(number_after("nothing here", "Collected : ").is_err());
    }

    #[test]
    fn steps_have_names_of_their_own() {
        for (i, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..i].iter().all(|other| other.name != step.name), "{}", step.name);
        }
        let steps = vec!["no-such-step".into()];
        assert!(test(&Options { steps, list: false, verbose: true }).is_err());
    }
}
