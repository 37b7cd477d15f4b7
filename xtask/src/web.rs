//! The npm package and its demo page.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::files::{self, copy};
use crate::licences;
use crate::paths::{absolute, target_dir};
use crate::reference::{LIVE, Reference, has_weights, pipe};
use crate::tools::{NOTE, cargo, output_of, run, works};

const PACKAGE: &str = "wisp-web";
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm";
/// Where the JavaScript is.
const SOURCE: &str = "web";
/// Files of [`SOURCE`] for the package and the page.
const FILES: [&str; 7] =
    ["package.json", "README.md", "wisp.js", "wisp.d.ts", "worklet.js", "index.html", "page"];
/// Names of browsers with Chromium's options.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The package, ready for a static server.
pub(crate) fn folder() -> PathBuf {
    target_dir().join("web")
}

/// What a page may have to load, MB after gzip.
const MOST_MB: f64 = 1.0;
/// Why it cannot be built here.
const MISSING: &str = "Rust's standard library for WebAssembly is missing: `rustup target add wasm32-unknown-unknown`";

/// Whether the standard library for WebAssembly is installed.
fn has_target() -> bool {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success()
            && fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())
    })
}

/// Builds [`folder`].
pub(crate) fn build() -> Result<()> {
    ensure!(has_target(), "{MISSING}");
    let args = ["build", "--profile", PROFILE, "-p", PACKAGE, "--lib", "--target", TARGET];
    run(&mut cargo(&args))?;
    let home = folder();
    files::make_empty(&home)?;
    for file in FILES {
        copy(&Path::new(SOURCE).join(file), &home.join(file))?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(Path::new(licence), &home.join(licence))?;
    }
    let text = licences::of_package(PACKAGE, TARGET)?;
    let file = home.join("THIRD-PARTY-LICENSES.md");
    files::write(&file, text)?;
    let wasm = home.join("wisp.wasm");
    copy(&target_dir().join(TARGET).join(PROFILE).join("wisp_web.wasm"), &wasm)?;
    println!("{}", home.display());
    Ok(())
}

/// Tests the package in Node.js, and in a browser if there is one, against the command line.
pub(crate) fn test() -> Result<()> {
    if !has_target() {
        println!("{NOTE}not run: {MISSING}");
        return Ok(());
    }
    if !works("node", "--version") {
        println!("{NOTE}not run: Node.js is not installed");
        return Ok(());
    }
    build()?;
    let folder = absolute(folder())?;
    let tests = Path::new(SOURCE).join("test");
    let mut node = Command::new("node");
    run(node.arg("--test").arg(tests.join("package.test.mjs")).env("WISP_PACKAGE", &folder))?;
    let reference = Reference::new()?;
    for (rate, channels, controls, options) in [
        (48_000, 1, "{}", &[LIVE][..]),
        (
            44_100,
            2,
            r#"{"reduction": 18, "sensitivity": 6, "ambience": 5}"#,
            &[LIVE, "--reduction", "18", "--sensitivity", "6", "--ambience", "5%"][..],
        ),
        (
            11_025,
            2,
            r#"{"reduction": 61, "listen": 1}"#,
            &[LIVE, "--reduction", "full", "--removed"],
        ),
    ] {
        let mut node = Command::new("node");
        node.arg(tests.join("clean.mjs")).arg(&folder);
        node.args([&rate.to_string(), &channels.to_string(), controls]);
        let output = pipe(&mut node, &reference.input(channels)?)?;
        reference.hold("npm package in Node.js", rate, channels, options, &output)?;
    }
    // It has its own copy of Live's weights, packed.
    has_weights(&folder.join("wisp.wasm"), &[])?;
    let size = "const gzip = require('zlib').gzipSync(require('fs').readFileSync(process.argv[1]), { level: 9 }); \
                console.log((gzip.length / 1e6).toFixed(3))";
    let size = output_of(Command::new("node").args(["-e", size]).arg(folder.join("wisp.wasm")))?;
    let size: f64 = size.trim().parse()?;
    println!("{NOTE}wisp.wasm takes {size} MB after gzip");
    ensure!(
        size < MOST_MB,
        "wisp.wasm takes {size} MB after gzip, expected less than {MOST_MB} MB"
    );
    in_browser(&reference, &folder)
}

/// The worklet and the page.
fn in_browser(reference: &Reference, folder: &Path) -> Result<()> {
    let Some(browser) = BROWSERS.iter().find(|browser| works(browser, "--version")) else {
        println!("{NOTE}the worklet and the page were not tried: there is no Chromium");
        return Ok(());
    };
    let results = target_dir().join("browser");
    files::make(&results)?;
    let (rate, channels) = (48_000_u32, 2);
    let mut node = Command::new("node");
    node.arg(Path::new(SOURCE).join("test/browser.mjs")).arg(folder).arg(browser);
    node.args([rate.to_string(), channels.to_string()]);
    let said = output_of(node.arg(reference.input(channels)?).arg(&results))?;
    for (file, name) in
        [("rendered.f32", "WispNode in Chromium"), ("saved.f32", "a file dropped on the page")]
    {
        let path = results.join(file);
        let output = files::read(&path)?;
        reference.hold(name, rate, channels, &[LIVE], &output)?;
    }
    println!("{NOTE}in Chromium: {}", said.trim());
    Ok(())
}
