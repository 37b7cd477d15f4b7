//! Runs the plugin in validators and hosts, and prints a table of the results.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use wisp_testing::Display;

use crate::bundle::bundle_wisp;
use crate::hosts::{clap_host, host_python, python_host};
use crate::patched::plugin_cargo;
use crate::paths::{PACKAGE, absolute, clap_bundle, target_dir, vst3_bundle};

/// Runs of pluginval, each with its own seed, because faults in windows or in one order of tests only show sometimes.
const PLUGINVAL_RUNS: usize = 5;
/// Sample rates and block sizes for pluginval.
const PLUGINVAL_RATES: &str = "8000,22050,44100,48000,96000,192000,384000";
const PLUGINVAL_BLOCKS: &str = "1,64,480,512,1000,4096";

/// A program that may not be installed.
struct Tool {
    name: &'static str,
    /// Environment variable with its path, if it is not on the PATH.
    variable: &'static str,
    program: &'static str,
    /// Where Debian puts it, if not on the PATH.
    folders: &'static [&'static str],
    how_to_get: &'static str,
    run: fn(&Path) -> Result<String>,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "clap-validator",
        variable: "CLAP_VALIDATOR",
        program: "clap-validator",
        folders: &[],
        how_to_get: "github.com/free-audio/clap-validator/releases",
        run: clap_validator,
    },
    Tool {
        name: "pluginval",
        variable: "PLUGINVAL",
        program: "pluginval",
        folders: &[],
        how_to_get: "github.com/Tracktion/pluginval/releases",
        run: pluginval,
    },
    Tool {
        name: "validator",
        variable: "VST3_VALIDATOR",
        program: "validator",
        folders: &[],
        how_to_get: "built with the VST3 SDK, github.com/steinbergmedia/vst3sdk",
        run: steinberg,
    },
    Tool {
        name: "ardour",
        variable: "ARDOUR_VST3_SCANNER",
        program: "ardour-vst3-scanner",
        folders: &["/usr/lib/ardour7", "/usr/lib/ardour8"],
        how_to_get: "apt install ardour",
        run: ardour,
    },
    Tool {
        name: "qtractor",
        variable: "QTRACTOR_PLUGIN_SCAN",
        program: "qtractor_plugin_scan",
        folders: &["/usr/lib/x86_64-linux-gnu/qtractor", "/usr/lib/aarch64-linux-gnu/qtractor"],
        how_to_get: "apt install qtractor",
        run: qtractor,
    },
];

/// A host that the tests include: name and version, and the test that uses it.
type Host = fn() -> Result<(String, Command, &'static str)>;

const HOSTS: &[(&str, Host)] = &[
    ("clack-host", || {
        let file = "tests/clap_host";
        Ok((locked("clack-host")?, clap_host(&["-p", PACKAGE, "--release"])?, file))
    }),
    ("vst3 bindings", || {
        let args = ["test", "--quiet", "-p", PACKAGE, "--release", "--test", "vst3_host"];
        let test = plugin_cargo(&args)?;
        Ok((locked("vst3")?, test, "tests/vst3_host"))
    }),
    ("pedalboard", || {
        let file = "tests/vst3_host.py";
        Ok((package("pedalboard")?, python_host("pedalboard", file)?, file))
    }),
    ("dawdreamer", || {
        let file = "tests/dawdreamer_host.py";
        Ok((package("dawdreamer")?, python_host("dawdreamer", file)?, file))
    }),
];

/// False if anything failed, or something required is missing.
pub(crate) fn validate(required: &[String]) -> Result<bool> {
    for name in required {
        let known = TOOLS.iter().any(|tool| tool.name == name);
        ensure!(known, "{name:?} is none of the validators");
    }
    bundle_wisp()?;
    let mut rows = Vec::new();
    for (name, host) in HOSTS {
        println!("\n==> {name}");
        let start = Instant::now();
        let (word, what) = match hosted(*host) {
            Ok(note) => ("passed", note),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        rows.push((*name, word, start.elapsed().as_secs_f64(), what));
    }
    for tool in TOOLS {
        println!("\n==> {}", tool.name);
        let start = Instant::now();
        let (word, what) = match find(tool) {
            None if required.iter().any(|name| name == tool.name) => {
                ("FAILED", format!("missing: {}", tool.how_to_get))
            }
            None => {
                let note = format!("{}; on the PATH or in {}", tool.how_to_get, tool.variable);
                ("missing", note)
            }
            Some(program) => match (tool.run)(&program) {
                Ok(note) => ("passed", note),
                Err(error) => ("FAILED", format!("{error:#}")),
            },
        };
        rows.push((tool.name, word, start.elapsed().as_secs_f64(), what));
    }
    println!("\n{:<15} {:<8} {:>7}  what it says, or how to get it", "host", "result", "seconds");
    for (name, word, seconds, what) in &rows {
        println!("{name:<15} {word:<8} {seconds:>7.1}  {what}");
    }
    let failed = rows.iter().filter(|(_, word, ..)| *word == "FAILED").count();
    let missing = rows.iter().filter(|(_, word, ..)| *word == "missing").count();
    println!("\n{} passed, {failed} failed, {missing} missing", rows.len() - failed - missing);
    Ok(failed == 0)
}

/// From its variable, otherwise from the PATH.
fn find(tool: &Tool) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(tool.variable) {
        return Some(PathBuf::from(path));
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&paths)
        .chain(tool.folders.iter().map(PathBuf::from))
        .map(|folder| folder.join(format!("{}{}", tool.program, std::env::consts::EXE_SUFFIX)));
    candidates.find(|path| path.is_file())
}

/// What a program reports, which is also shown; an error names the tests that failed.
fn report_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    let failed = failures(&text).join(", ");
    let failed = if failed.is_empty() { "which test it names no line says" } else { &failed };
    ensure!(output.status.success(), "{name} ended with {}: {failed}", output.status);
    Ok(text.into_owned())
}

/// Names of failed tests in the output of cargo, pytest and the validators.
fn failures(text: &str) -> Vec<String> {
    let text = plain(text);
    let mut failed: Vec<String> = Vec::new();
    // pluginval prints the test's name before its errors; clap-validator frames each test.
    let (mut section, mut frame) = ("", "");
    for line in text.lines() {
        let line = line.trim_matches(|c: char| c.is_whitespace() || "│┃|║".contains(c));
        let rest = |start: &str| line.strip_prefix(start).map(str::trim);
        if let Some(name) = rest("Starting tests in:").or_else(|| rest("Starting test:")) {
            section = name.trim_end_matches("...").rsplit('/').next().unwrap_or(name).trim();
        }
        if let Some(name) = line.strip_prefix(['┌', '╭', '├']) {
            frame = name.trim_matches(|c: char| c.is_whitespace() || "─┬┐╮".contains(c));
        }
        let test = rest("test ").and_then(|rest| rest.strip_suffix("... FAILED"));
        let python = rest("FAILED ").filter(|rest| rest.contains("::"));
        let steinberg = rest("Test [").and_then(|rest| rest.strip_suffix("] Failed"));
        let pluginval = (line.starts_with("!!! Test") || line.starts_with("*** FAILED"))
            .then(|| format!("{section}: {line}"));
        let clap = line
            .starts_with(['└', '╰'])
            .then(|| line.contains("FAILED") || line.contains("CRASHED"))
            .and_then(|failed| failed.then(|| frame.to_owned()));
        let name = test.or(python).or(steinberg).map(|name| name.trim().to_owned());
        if let Some(name) = name.or(pluginval).or(clap).filter(|name| !failed.contains(name)) {
            failed.push(name);
        }
    }
    failed
}

/// Without terminal colour codes.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or("", |(_, rest)| rest))
}

/// The first line of a program's version output.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("version unknown").trim().to_owned()
}

/// The last line with this word.
fn line_with(text: &str, word: &str) -> String {
    plain(text).lines().rfind(|line| line.contains(word)).unwrap_or_default().trim().to_owned()
}

fn clap_validator(program: &Path) -> Result<String> {
    let text = report_of(Command::new(program).arg("validate").arg(absolute(clap_bundle())?))?;
    Ok(format!("{}: {}", version(program), line_with(&text, "passed")))
}

fn pluginval(program: &Path) -> Result<String> {
    let bundle = absolute(vst3_bundle())?;
    let screenless = cfg!(target_os = "linux") && std::env::var_os("DISPLAY").is_none();
    let display = screenless.then(|| Display::new(1280, 1024).ok()).flatten();
    let windows = !screenless || display.is_some();
    let mut arguments = vec!["--strictness-level", "10", "--randomise"];
    arguments.extend(["--sample-rates", PLUGINVAL_RATES, "--block-sizes", PLUGINVAL_BLOCKS]);
    if !windows {
        arguments.push("--skip-gui-tests");
    }
    let mut failed = Vec::new();
    for run in 1..=PLUGINVAL_RUNS {
        let mut command = match &display {
            Some(display) => display.command(program),
            None => Command::new(program),
        };
        if let Err(error) = report_of(command.args(&arguments).arg("--validate").arg(&bundle)) {
            failed.push(format!("run {run}: {error:#}"));
        }
    }
    let windows = if windows { "with windows" } else { "without windows: no Xvfb" };
    let what = format!("strictness 10, at random, {PLUGINVAL_RUNS} runs {windows}");
    ensure!(failed.is_empty(), "{}: {what}: {}", version(program), failed.join("; "));
    Ok(format!("{}: {what}", version(program)))
}

/// Runs both of its suites, even if the first fails.
fn steinberg(program: &Path) -> Result<String> {
    let bundle = absolute(vst3_bundle())?;
    let suite = |name: &str, arguments: &[&str]| {
        report_of(Command::new(program).args(arguments).arg(&bundle))
            .map(|text| format!("{name} {}", line_with(&text, "Result:")))
            .map_err(|error| format!("{name}: {error:#}"))
    };
    let results = [suite("plain", &[]), suite("extensive", &["-e"])];
    let failed = results.iter().any(Result::is_err);
    let results = results.map(|result| result.unwrap_or_else(|error| error)).join("; ");
    ensure!(!failed, "{}: {results}", version(program));
    Ok(format!("{}: {results}", version(program)))
}

fn ardour(program: &Path) -> Result<String> {
    let home = absolute(target_dir())?;
    scan_with(program, &absolute(vst3_bundle())?, &home)
}

/// The output of Ardour's scanner for a bundle, if it is installed; its cache goes into this home.
pub(crate) fn scan(bundle: &Path, home: &Path) -> Result<Option<String>> {
    let tool = TOOLS.iter().find(|tool| tool.name == "ardour").context("no such tool")?;
    find(tool).map(|program| scan_with(&program, bundle, home)).transpose()
}

/// Variables that would move a program's folders out of HOME.
pub(crate) const XDG_FOLDERS: [&str; 3] = ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"];

fn scan_with(program: &Path, bundle: &Path, home: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.args(["-f", "-v"]).arg(bundle).env("HOME", home);
    for folder in XDG_FOLDERS {
        command.env_remove(folder);
    }
    // Its libraries are in the same folder.
    command.env("LD_LIBRARY_PATH", program.parent().unwrap_or(Path::new(".")));
    let text = report_of(&mut command)?;
    let found = line_with(&text, "Found Plugin: Wisp");
    ensure!(!found.is_empty(), "the scanner does not name Wisp");
    Ok(found)
}

fn qtractor(program: &Path) -> Result<String> {
    // It reads the kind and the file from standard input.
    let request = format!("CLAP:{}", absolute(clap_bundle())?.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf '%s\\n' \"$1\" | \"$0\""]).arg(program).arg(request);
    shell.env("QT_QPA_PLATFORM", "offscreen");
    let text = report_of(&mut shell)?;
    ensure!(text.contains("Wisp"), "the scanner does not name Wisp");
    Ok(line_with(&text, "Wisp"))
}

/// Runs a host's test; returns the number of passed cases.
fn hosted(host: Host) -> Result<String> {
    let (version, mut test, file) = host()?;
    let text = report_of(&mut test)?;
    let cases = cases(&text).with_context(|| format!("{file} names no case that passed"))?;
    Ok(format!("{version}: {cases} cases of {file} passed"))
}

/// From "test result: ok. 7 passed; 0 failed" or "7 passed in 1.2s".
fn cases(text: &str) -> Option<usize> {
    let (before, _) = text.rsplit_once(" passed")?;
    before.rsplit(' ').next()?.lines().next_back()?.parse().ok()
}

/// Name and version of a dependency.
fn locked(name: &str) -> Result<String> {
    let lock = fs::read_to_string("Cargo.lock").context("cannot read Cargo.lock")?;
    let version = lock.split("[[package]]").find_map(|package| {
        let rest =
            package.trim_start().strip_prefix(&format!("name = \"{name}\"\nversion = \""))?;
        rest.split('"').next()
    });
    Ok(format!("{name} {}", version.with_context(|| format!("Cargo.lock has no {name}"))?))
}

/// Name and version of a Python package.
fn package(name: &str) -> Result<String> {
    let code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
    let output = Command::new(host_python(name)?).args(["-c", code, name]).output();
    let version = output.context("cannot run Python")?.stdout;
    Ok(format!("{name} {}", String::from_utf8_lossy(&version).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::go_to_workspace;

    #[test]
    fn tools_are_found_by_variable_or_path() {
        let tool = |program, variable| Tool {
            name: "test",
            variable,
            program,
            folders: &[],
            how_to_get: "",
            run: clap_validator,
        };
        assert!(find(&tool("cargo", "WISP_NO_SUCH_VARIABLE")).is_some());
        assert!(find(&tool("no-such-program-anywhere", "WISP_NO_SUCH_VARIABLE")).is_none());
        assert_eq!(
            find(&tool("no-such-program", "PATH")),
            std::env::var_os("PATH").map(Into::into)
        );
    }

    #[test]
    fn failed_tests_are_named() {
        for (text, names) in [
            ("test a ... ok\ntest windows::b ... FAILED\ntest c ... ok\n", "windows::b"),
            (
                "FAILED tests/vst3_host.py::test_state - assert 1\n1 failed, 2 passed",
                "tests/vst3_host.py::test_state - assert 1",
            ),
            (
                "[Bypass persistence]\nTest [Bypass persistence] Failed\nResult: 46 tests passed, 1 tests failed",
                "Bypass persistence",
            ),
            (
                "Starting tests in: pluginval / Plugin state restoration...\n!!! Test 1 failed: Reduction\nAll tests completed successfully",
                "Plugin state restoration: !!! Test 1 failed: Reduction",
            ),
            (
                "╭─ \u{1b}[1mprocess-sleep\u{1b}[0m ──\n│ what it does\n╰─ \u{1b}[31mFAILED\u{1b}[0m ── 3ms\n╭─ other ─\n╰─ PASSED",
                "process-sleep",
            ),
            ("27 passed in 1.24s", ""),
        ] {
            assert_eq!(failures(text).join(", "), names, "{text}");
        }
    }

    #[test]
    fn what_is_unknown_cannot_be_required() {
        assert!(validate(&["no-such-validator".to_owned()]).is_err());
    }

    #[test]
    fn cases_are_counted() {
        assert_eq!(cases("running 7 tests\ntest result: ok. 7 passed; 0 failed"), Some(7));
        assert_eq!(cases("....\n27 passed in 1.24s\n"), Some(27));
        assert_eq!(cases("no tests ran in 0.01s"), None);
    }

    #[test]
    fn versions_are_those_of_the_lock() {
        go_to_workspace().expect("the workspace");
        assert!(locked("clack-host").expect("a version").starts_with("clack-host 0."));
        assert!(locked("no-such-crate").is_err());
    }

    #[test]
    fn the_last_line_counts() {
        assert_eq!(line_with("1 passed\n 33 tests, 32 passed \n", "passed"), "33 tests, 32 passed");
        assert_eq!(line_with("3 run, \u{1b}[1;32m3\u{1b}[0m passed", "passed"), "3 run, 3 passed");
        assert_eq!(line_with("nothing", "passed"), "");
    }
}
