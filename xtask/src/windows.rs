//! Builds for Windows, run under Wine.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::files;
use crate::paths::{PACKAGE, absolute, target_dir};
use crate::reference::{Reference, pipe};
use crate::tools::{NOTE, cargo, install_packages, run, rust_target};

const TARGET: &str = "x86_64-pc-windows-gnu";
const LINKER: &str = "x86_64-w64-mingw32-gcc";
const PACKAGES: &[&str] = &["gcc-mingw-w64-x86-64-posix", "wine", "wine64"];
/// The VST3 host of the tests crashes under Wine.
const TESTS: &[&str] = &["cli", "clap_host", "parity", "hostile", "invariance"];
const TOO_LONG: &str = "names_that_cannot_be_fail_at_once_and_are_named";

/// Rust's hash maps take their seeds from a library that Wine 8 lacks; this stands in for it.
const RANDOM: &str = "#include <windows.h>\n\
    BOOLEAN NTAPI SystemFunction036(void *, ULONG);\n\
    __declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *data, SIZE_T length)\n\
    { return SystemFunction036(data, (ULONG)length); }\n";

/// Builds the command line, the C library and the plugin for Windows with MinGW, runs the tests of each under Wine, and compares their
/// output with that of the command line here.
pub(crate) fn windows() -> Result<()> {
    install_packages(PACKAGES)?;
    rust_target(TARGET);
    let reference = Reference::new()?;
    make_random()?;

    // The plugin first: its library is what hosts load.
    run(&mut build(&["build", "-p", PACKAGE, "--lib", "--bins", "--features", "cli,plugin"]))?;
    let plugin = bundle()?;
    let mut tests = build(&["test", "-p", PACKAGE, "--features", "cli,plugin", "--lib"]);
    tests.arg("--no-fail-fast");
    for name in TESTS {
        tests.args(["--test", name]);
    }
    println!("{NOTE}not run: {TOO_LONG}: Wine says \"File not found\" of a name that is too long");
    tests.args(["--", "--skip", TOO_LONG]);
    run(tests.env("WISP_CLAP", absolute(plugin)?))?;

    for (rate, channels, options) in
        [(48_000, 1, &["--quality=live"][..]), (44_100, 2, &[]), (11_025, 2, &["--reduction=18"])]
    {
        let mut program = wine(&built("wisp.exe"));
        program.args(["-", "-o", "-", "--quiet", "--output-format", "raw", "--raw-input"]);
        program.arg(format!("{rate}:{channels}:f32")).args(options);
        let output = pipe(&mut program, &reference.input(channels)?)?;
        reference.hold("wisp.exe", rate, channels, options, &output)?;
    }

    run(&mut build(&["build", "-p", "wisp-capi"]))?;
    let example = built("denoise.exe");
    let mut compile = Command::new(LINKER);
    compile.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-Icrates/capi/include"]);
    compile.arg("crates/capi/examples/denoise.c").arg(built("libwisp_capi.dll.a"));
    run(compile.arg("-o").arg(&example))?;
    for (rate, channels) in [(48_000_u32, 1), (44_100, 2)] {
        let mut example = wine(&example);
        example.args([rate.to_string(), channels.to_string()]);
        let output = pipe(&mut example, &reference.input(channels)?)?;
        reference.hold("C under Windows", rate, channels, &["--reduction=24"], &output)?;
    }
    Ok(())
}

/// Cargo for Windows, with Wine to run the binaries.
fn build(args: &[&str]) -> Command {
    let mut command = cargo(args);
    command
        .args(["--target", TARGET])
        .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER)
        .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine");
    quiet(&mut command);
    command
}

fn wine(program: &Path) -> Command {
    let mut command = Command::new("wine");
    command.arg(program);
    quiet(&mut command);
    command
}

/// Without Wine's own messages, and with the libraries that it lacks.
fn quiet(command: &mut Command) {
    // Tests run in the package's folder.
    let libraries = absolute(support()).unwrap_or_else(|_| support());
    command.env("WINEDEBUG", "-all").env("WINEPATH", libraries);
}

fn support() -> PathBuf {
    target_dir().join(TARGET).join("wine")
}

fn make_random() -> Result<()> {
    let folder = support();
    files::make(&folder)?;
    let source = folder.join("random.c");
    files::write(&source, RANDOM)?;
    let mut compile = Command::new(LINKER);
    compile.arg("-shared").arg(&source).arg("-o").arg(folder.join("bcryptprimitives.dll"));
    run(compile.arg("-ladvapi32"))
}

fn built(name: &str) -> PathBuf {
    target_dir().join(TARGET).join("debug").join(name)
}

/// The library as `wisp.clap` and in `wisp.vst3`; returns the former.
fn bundle() -> Result<PathBuf> {
    let folder = target_dir().join(TARGET).join("bundled");
    let vst3 = folder.join("wisp.vst3/Contents/x86_64-win");
    files::make(&vst3)?;
    let library = built("wisp.dll");
    for copy in [folder.join("wisp.clap"), vst3.join("wisp.vst3")] {
        let bytes = fs::copy(&library, &copy)
            .with_context(|| format!("cannot copy {} to {}", library.display(), copy.display()))?;
        ensure!(bytes > 0, "{} is empty", library.display());
    }
    Ok(folder.join("wisp.clap"))
}
