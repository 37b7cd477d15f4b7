//! The whole test suite, step by step, and a table of the results.
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Message, MetadataCommand, Package};

use crate::audit::audit;
use crate::bundle::bundle_wisp;
use crate::demo::{Denoiser, make_clips};
use crate::display;
use crate::files;
use crate::hosts::{clap_host, python_host};
use crate::patched::plugin_cargo;
use crate::paths::{PACKAGE, target_dir};
use crate::reference::Reference;
use crate::tools::{
    self, NOTE, cargo, free_bytes, has_python_with, install_packages, output_of, python_with, run,
    rust_component, rust_target, works,
};

/// Largest share of real time that one core may need at 48 kHz, mono.
const REAL_TIME_FACTOR: f64 = 0.05;
/// Largest number of instructions per hop and multiply-add of the network, by kernels. Valgrind does not emulate AVX-512. The
/// count is the same in every run: the limit is the measured value plus 5 % for other compilers.
const INSTRUCTIONS: &[(&str, f64)] = &[("Avx2", 0.43)];

struct Step {
    name: &'static str,
    purpose: &'static str,
    run: fn() -> Result<()>,
    lane: Lane,
    /// Steps that must have finished before.
    after: &'static [&'static str],
}

/// Two lanes of steps run at the same time, because builds and downloads leave cores idle.
#[derive(Clone, Copy, PartialEq)]
enum Lane {
    /// Builds and short tests.
    Main,
    /// Downloads and long tests on a single thread.
    Beside,
    /// Measures time: runs last and alone.
    Alone,
}

const fn step(name: &'static str, purpose: &'static str, run: fn() -> Result<()>) -> Step {
    Step { name, purpose, run, lane: Lane::Main, after: &[] }
}

impl Step {
    const fn after(self, after: &'static [&'static str]) -> Self {
        Self { after, ..self }
    }

    const fn on(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }
}

/// In the order in which each lane runs them. Builds that need no system packages come first, while those are installed.
const STEPS: &[Step] = &[
    step("tools", "installs what the tests need", tools).on(Lane::Beside),
    step("core", "the engine alone: unit, parity, invariance, …", core),
    step("bundle", "the plugin as released", bundle_wisp),
    step("format", "rustfmt", format).after(&["tools"]),
    step("clippy", "no warnings, with and without features", clippy).after(&["tools"]),
    step("audit", "unsafe code, and dependencies by cargo-deny", audit),
    step("docs", "documentation without warnings, public items as in api.txt", docs)
        .after(&["tools"]),
    step("hosts", "the command line, the plugin in a CLAP host", hosts).after(&["tools"]),
    step("xtask", "tests of these tasks", xtask),
    step("doors", "C, LADSPA, LV2: the command line's output", doors).after(&["tools", "bundle"]),
    step("training", "tests of the training recipe", training).on(Lane::Beside).after(&["tools"]),
    step("vst3", "the bundled VST3 in pedalboard", vst3_hosts)
        .on(Lane::Beside)
        .after(&["tools", "bundle"]),
    step("package", "the archive, installed and uninstalled", package)
        .on(Lane::Beside)
        .after(&["tools", "bundle"]),
    step("web", "the npm package and its page, against the command line", crate::web::test)
        .on(Lane::Beside)
        .after(&["tools", "bundle"]),
    step("soak", "minutes of audio with changing settings", short_soak).on(Lane::Beside),
    step("instructions", "instructions per multiply-add", instructions)
        .on(Lane::Beside)
        .after(&["tools"]),
    step("ardour", "sessions rendered through the VST3 and the LV2 in Ardour", ardour)
        .on(Lane::Beside)
        .after(&["tools", "bundle", "doors"]),
    step("wheel", "the Python package, installed: the command line's output", crate::wheel::test)
        .on(Lane::Beside)
        .after(&["tools", "bundle", "doors"]),
    step("microphone", "a clean microphone under PipeWire", crate::microphone::test)
        .on(Lane::Beside)
        .after(&["tools", "bundle", "doors"]),
    step("editor", "the editor's real window, driven under Xvfb", editor).after(&["tools"]),
    step("demo", "a clip made, cleaned and drawn", demo).after(&["tools", "bundle"]),
    step("release", "allocations in release; the bundled CLAP", release)
        // Packaging writes the bundle again.
        .after(&["tools", "bundle", "hosts", "package"]),
    step("speed", "time, memory and spread of work, beside a peer", speed).on(Lane::Alone),
];

/// Number of lines of a failed step's output to show.
const SHOWN: usize = 500;

/// Which steps to run, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Steps to run [default: all]
    steps: Vec<String>,
    /// Only print the names of the steps
    #[arg(long)]
    list: bool,
    /// Show all output of each step while it runs, one step at a time
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the named steps, or all; false if one failed.
pub(crate) fn test(options: &Options) -> Result<bool> {
    let names = &options.steps;
    if options.list {
        STEPS.iter().for_each(|step| println!("{:12} {}", step.name, step.purpose));
        return Ok(true);
    }
    for name in names {
        let known = STEPS.iter().any(|step| step.name == name);
        ensure!(known, "no step {name:?}; `cargo xtask test --list` lists them");
    }
    let chosen = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    // Steps that need packages bring the step that installs them. Not in a step's own process, which is verbose.
    let needs_tools =
        !options.verbose && STEPS.iter().filter(chosen).any(|step| step.after.contains(&"tools"));
    let wanted = |step: &&Step| chosen(step) || (needs_tools && step.name == "tools");
    let steps: Vec<&Step> = STEPS.iter().filter(wanted).collect();
    if !options.verbose && steps.iter().any(|step| step.name == "tools") {
        // The steps cannot ask: their output goes to files.
        tools::ask_to_install(&packages())?;
    }
    let results = Results::default();
    if options.verbose {
        steps.iter().for_each(|step| results.run(step, step.run));
    } else {
        let lane = |lane| {
            for step in steps.iter().filter(|step| step.lane == lane) {
                results.wait(&steps, step);
                results.run(step, || quietly(step.name));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| lane(Lane::Beside));
            lane(Lane::Main);
        });
        lane(Lane::Alone);
    }
    Ok(results.summary(&steps))
}

/// Results of the steps that have finished.
#[derive(Default)]
struct Results {
    rows: Mutex<Vec<Row>>,
    finished: Condvar,
}

struct Row {
    name: &'static str,
    result: Result<()>,
    seconds: f64,
}

impl Results {
    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until those steps have finished that this one comes after.
    fn wait(&self, steps: &[&Step], step: &Step) {
        let chosen = |name: &&&str| steps.iter().any(|step| step.name == **name);
        let needed: Vec<&str> = step.after.iter().filter(chosen).copied().collect();
        let open = |rows: &mut Vec<Row>| {
            needed.iter().any(|name| rows.iter().all(|row| row.name != *name))
        };
        drop(self.finished.wait_while(self.rows(), open));
    }

    fn run(&self, step: &Step, work: impl FnOnce() -> Result<()>) {
        println!("==> {}: {}", step.name, step.purpose);
        let start = Instant::now();
        let result = work();
        let seconds = start.elapsed().as_secs_f64();
        match &result {
            Ok(()) => println!("    {} passed in {seconds:.1} s", step.name),
            Err(error) => println!("{}{error:#}", failed(step.name)),
        }
        self.rows().push(Row { name: step.name, result, seconds });
        self.finished.notify_all();
    }

    /// Prints the table, in the order of the steps; whether all passed.
    fn summary(&self, steps: &[&Step]) -> bool {
        let rows = self.rows();
        println!("\n{:<13} {:<8} {:>8}", "step", "result", "seconds");
        for step in steps {
            let Some(row) = rows.iter().find(|row| row.name == step.name) else { continue };
            let (word, reason) = match &row.result {
                Ok(()) => ("passed", String::new()),
                Err(error) => ("FAILED", format!("  {error:#}")),
            };
            println!("{:<13} {word:<8} {:>8.1}{reason}", row.name, row.seconds);
        }
        let failed = rows.iter().filter(|row| row.result.is_err()).count();
        println!("\n{} passed, {failed} failed", rows.len() - failed);
        failed == 0
    }
}

/// Start of the line with the reason of a step's failure.
fn failed(step: &str) -> String {
    format!("{step} failed: ")
}

/// Runs a step in a new process of this program with its output in a file, and shows the relevant part.
fn quietly(step: &str) -> Result<()> {
    let folder = target_dir().join("suite");
    files::make(&folder)?;
    let path = folder.join(format!("{step}.log"));
    let file =
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let this = std::env::current_exe().context("cannot find this program")?;
    let status = Command::new(this)
        .args(tools::consent())
        .args(["test", "--verbose", step])
        // Not needed here, and it takes gigabytes.
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .status()
        .context("cannot run this program again")?;
    let log = files::read(&path)?;
    let log = String::from_utf8_lossy(&log);
    if status.success() {
        let notes = log.lines().filter_map(|line| line.strip_prefix(NOTE));
        notes.for_each(|note| println!("    {step}: {note}"));
        return Ok(());
    }
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    let cut = match from {
        0 => String::new(),
        _ => format!("[{from} earlier lines are in {}]\n", path.display()),
    };
    println!("{cut}{}", lines[from..].join("\n"));
    let prefix = failed(step);
    match lines.iter().rev().find_map(|line| line.strip_prefix(&prefix)) {
        Some(reason) => bail!("{reason}"),
        None => bail!("it ended with {status}"),
    }
}

fn tools() -> Result<()> {
    rust_component("fmt", "rustfmt")?;
    rust_component("clippy", "clippy")?;
    rust_target(crate::web::TARGET);
    install_packages(&packages())
}

/// The Debian packages that the steps need.
fn packages() -> Vec<&'static str> {
    if cfg!(not(target_os = "linux")) {
        let mut programs = vec!["espeak-ng", "ffmpeg"];
        programs.retain(|program| !works(program, "--version") && !works(program, "-version"));
        return programs;
    }
    // A host; a voice; formats to read; libraries for the standalone program; an instruction counter; validators of LADSPA and
    // LV2; a screen for the editor; JavaScript for the npm package; PipeWire.
    let mut packages = vec![
        "ardour",
        "espeak-ng",
        "ffmpeg",
        "pkg-config",
        "libasound2-dev",
        "libjack-jackd2-dev",
        "valgrind",
    ];
    packages.extend(["ladspa-sdk", "lilv-utils", "lv2-dev", "sordi"]);
    packages.extend(display::PACKAGES);
    if !works("node", "--version") {
        packages.push("nodejs");
    }
    packages.extend(crate::microphone::PACKAGES);
    // The training recipe compiles its inner loops.
    if !works("c++", "--version") {
        packages.push("g++");
    }
    let python = |code: &str| {
        let python = Command::new("python3").args(["-c", code]).stderr(Stdio::null()).status();
        python.is_ok_and(|status| status.success())
    };
    let headers = "import os, sys, sysconfig; \
                   sys.exit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))";
    if !python(headers) {
        packages.push("python3-dev");
    }
    if !python("import ensurepip") {
        packages.push("python3-venv");
    }
    packages
}

fn format() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let check = |args: &[&str]| {
        run(cargo(&["clippy", "--quiet"]).args(args).args(["--", "-D", "warnings"]))
    };
    check(&["--all-targets", "--workspace", "--exclude", "xtask", "--all-features"])?;
    check(&["--all-targets", "-p", "xtask"])?;
    // Fewer features can only leave something unused in the library. Without tests, `core` has built the dependencies.
    check(&["-p", PACKAGE, "--no-default-features", "--lib"])?;
    check(&["-p", PACKAGE, "--no-default-features", "--features", "cli", "--lib", "--bins"])
}

fn docs() -> Result<()> {
    let mut doc = cargo(&["doc", "--quiet", "-p", PACKAGE, "--no-deps", "--all-features"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    crate::api::api(false)
}

fn core() -> Result<()> {
    run(&mut cargo(&["check", "--quiet", "-p", PACKAGE, "--no-default-features", "--lib"]))?;
    run(&mut cargo(&[
        "test",
        "--quiet",
        "--workspace",
        "--exclude",
        "xtask",
        // Its dependencies need a package that the tools step is still installing; clippy checks it.
        "--exclude",
        "wisp-realtime",
        "--no-default-features",
    ]))
}

/// The fuzz targets, with bounded runs as tests.
const FUZZ_TARGETS: &str = "wisp-fuzz-targets";
/// The build of `hosts`. Other steps with the same selection of packages and features compile nothing again.
const HOSTS_BUILD: &[&str] =
    &["-p", PACKAGE, "-p", FUZZ_TARGETS, "--features", "cli,plugin,standalone"];
/// Measures time, so it has a step of its own.
const EDITOR: &str = "editor";

/// The tests that need features, which `core` does not run.
fn hosts() -> Result<()> {
    let mut test = plugin_cargo(&["test", "--quiet"])?;
    test.args(HOSTS_BUILD).args(["--lib", "--bins"]);
    for name in tests_with_features()? {
        test.args(["--test", &name]);
    }
    run(&mut test)
}

fn editor() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("{NOTE}not run: the editor test needs Xvfb and xdotool, on Linux");
        return Ok(());
    }
    install_packages(display::PACKAGES)?;
    run(plugin_cargo(&["test", "--quiet"])?.args(HOSTS_BUILD).args(["--test", EDITOR]))
}

fn tests_with_features() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    let ours =
        |package: &&Package| [PACKAGE, FUZZ_TARGETS].iter().any(|name| package.name == *name);
    let names: Vec<String> = metadata
        .packages
        .iter()
        .filter(ours)
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_test() && !target.required_features.is_empty())
        .map(|target| target.name.clone())
        .filter(|name| name != EDITOR)
        .collect();
    ensure!(!names.is_empty(), "no test in Cargo.toml has required-features");
    Ok(names)
}

fn xtask() -> Result<()> {
    run(&mut cargo(&["test", "--quiet", "-p", "xtask"]))
}

/// Everything built on the engine besides the command line and the plugin.
fn doors() -> Result<()> {
    let reference = Reference::new()?;
    crate::capi::test(&reference)?;
    crate::lv2::test(&reference)
}

fn package() -> Result<()> {
    crate::package::package(false, &[]).map(drop)
}

fn release() -> Result<()> {
    // Without the plugin, so that it shares its build with `soak` and `speed`.
    let features = ["--no-default-features", "--test", "realtime"];
    run(cargo(&["test", "--quiet", "-p", PACKAGE, "--release"]).args(features))?;
    // The bundle is the release build; the test itself is that of `hosts`, which also counts the plugin's allocations.
    run(&mut clap_host(HOSTS_BUILD)?)
}

fn vst3_hosts() -> Result<()> {
    run(&mut python_host("pedalboard", "tests/vst3_host.py")?)
}

fn ardour() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!(
            "{NOTE}not run: Ardour is driven on Linux alone, by its tools for the command line"
        );
        return Ok(());
    }
    match crate::ardour::render()? {
        Some(said) => said.iter().for_each(|line| println!("{NOTE}{line}")),
        None => println!("{NOTE}not run: Ardour 7 or 8 is not installed"),
    }
    Ok(())
}

/// Bytes that PyPI's PyTorch for Linux needs, including downloads. Most of it is CUDA, which no test uses.
const CUDA_BYTES: u64 = 10 << 30;

fn training() -> Result<()> {
    const ENVIRONMENT: &str = "venv-training";
    const REQUIREMENTS: &[&str] = &["-r", "train/requirements.txt", "-c", "train/constraints.txt"];
    if cfg!(target_os = "linux") && !has_python_with(ENVIRONMENT, REQUIREMENTS) {
        let index = "https://download.pytorch.org/whl/cpu";
        #[rustfmt::skip]
        let small = [
            "--index-url", index, "--retries", "0", "--timeout", "10",
            "-c", "train/constraints.txt", "torch", "torchaudio",
        ];
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
    let args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations", "12", "train/tests"];
    run(Command::new(python).args(args).env("OMP_NUM_THREADS", "1"))
}

fn short_soak() -> Result<()> {
    soak(0.1)
}

/// Runs hours of audio through the engine, in release.
pub(crate) fn soak(hours: f64) -> Result<()> {
    let args = ["run", "--quiet", "-p", PACKAGE, "--release", "--no-default-features", "--example"];
    run(cargo(&args).args(["soak", "--", &hours.to_string()]))
}

fn demo() -> Result<()> {
    println!("{}", make_clips(Denoiser::CommandLine)?);
    Ok(())
}

/// Arguments that run the bench.
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

fn instructions() -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        println!("{NOTE}not run: counting instructions needs Valgrind, on Linux");
        return Ok(());
    }
    let built = output_of(cargo(PEERS).args(["--no-run", "--message-format=json"]))?;
    let bench = built
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find_map(|message| match message {
            Message::CompilerArtifact(artifact) if artifact.target.name == "peers" => {
                artifact.executable
            }
            _ => None,
        })
        .context("cargo names no executable of the bench")?;
    // Two runs, so that everything before the first hop cancels out.
    let (few, many) = (20, 220);
    let (about, before) = count_instructions(bench.as_str(), few)?;
    let (_, after) = count_instructions(bench.as_str(), many)?;
    let per_hop = (after - before) / f64::from(many - few);
    let multiply_adds = number_after(&about, "multiply-adds per hop: ")?;
    let ratio = per_hop / multiply_adds;
    let kernels = about.split_once("kernels: ").and_then(|(_, rest)| rest.split(',').next());
    let kernels = kernels.context("the bench names no kernels")?;
    println!(
        "{NOTE}{kernels}: {per_hop:.0} instructions per hop, {multiply_adds} multiply-adds: ratio {ratio:.4}"
    );
    let Some((_, most)) = INSTRUCTIONS.iter().find(|(name, _)| *name == kernels) else {
        println!("{NOTE}there is no limit for these kernels");
        return Ok(());
    };
    ensure!(ratio <= *most, "{ratio:.4} instructions per multiply-add, expected at most {most}");
    Ok(())
}

/// The output of the bench for a number of hops, and the instructions that it takes.
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

/// Text before the figure in the output of the bench.
const FACTOR: &str = "real-time factor: wisp ";

/// From "real-time factor: wisp 0.0123, …".
fn real_time_factor(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once(FACTOR)?;
    rest.split([',', '\n']).next()?.trim().parse().ok()
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
            let earlier = |name: &str| STEPS[..i].iter().any(|other| other.name == name);
            assert!(!earlier(step.name), "{}", step.name);
            // Otherwise a lane could wait for itself.
            assert!(step.after.iter().all(|name| earlier(name)), "{}", step.name);
        }
        let steps = vec!["no-such-step".into()];
        assert!(test(&Options { steps, list: false, verbose: true }).is_err());
    }
}
