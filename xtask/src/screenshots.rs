//! Pictures of the editor for the documentation, from the real window while it plays sound.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::demo::noisy_clip;
use crate::display::{Window, display};
use crate::files;
use crate::patched::plugin_cargo;
use crate::paths::{PACKAGE, target_dir};
use crate::tools::run;

/// Places to click, in logical points, in a window of default size.
const SIZE: (f32, f32) = (920.0, 580.0);
const SMALLEST: (f32, f32) = (700.0, 460.0);
const LARGEST: (f32, f32) = (1920.0, 1200.0);
const REDUCTION: (f32, f32) = (140.0, 196.0);
const REMOVED: (f32, f32) = (233.0, 448.0);
const PRESET: (f32, f32) = (355.0, 26.0);
/// The editor at work.
const FILM: &str = "editor.gif";
/// Seconds until the spectrogram is full.
const FULL: f32 = 5.6;
/// No picture is larger, bytes.
const LARGEST_FILE: u64 = 900_000;

pub(crate) fn screenshots() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("screenshots need Xvfb, on Linux");
        return Ok(());
    }
    run(&mut plugin_cargo(&[
        "build",
        "--quiet",
        "-p",
        PACKAGE,
        "--release",
        "--features",
        "standalone",
        "--bin",
        "wisp-standalone",
    ])?)?;
    let program = target_dir().join("release").join("wisp-standalone");
    let home = target_dir().join("screenshots");
    files::make(&home)?;
    let clip = noisy_clip(&home)?;
    let docs = Path::new("docs");

    let screen = display(1)?;
    let open = |recording| Window::open(&screen, 1.0, &program, recording, &home);
    {
        let window = open(None)?;
        window.point(SIZE.0 / 2.0, SIZE.1 - 4.0)?;
        window.photograph(&docs.join("editor-idle.png"), LARGEST_FILE)?;
    }
    {
        let window = open(Some(&clip))?;
        window.point(SIZE.0 / 2.0, SIZE.1 - 4.0)?;
        window.wait(FULL);
        window.photograph(&docs.join("editor.png"), LARGEST_FILE)?;
        window.click(PRESET.0, PRESET.1)?;
        window.wait(1.0);
        window.photograph(&docs.join("editor-presets.png"), LARGEST_FILE)?;
        window.click(SIZE.0 / 2.0, SIZE.1 / 2.0)?;
        window.click(REMOVED.0, REMOVED.1)?;
        window.point(SIZE.0 / 2.0, SIZE.1 - 4.0)?;
        window.wait(2.0);
        window.photograph(&docs.join("editor-removed.png"), LARGEST_FILE)?;
    }
    {
        let window = open(Some(&clip))?;
        window.point(SIZE.0 / 2.0, SIZE.1 - 4.0)?;
        window.wait(FULL);
        window.film(&docs.join(FILM), SIZE, || {
            window.drag(REDUCTION, (REDUCTION.0, REDUCTION.1 + 70.0), 1.5)?;
            window.wait(1.0);
            window.drag(REDUCTION, (REDUCTION.0, REDUCTION.1 - 110.0), 1.5)?;
            window.wait(1.0);
            window.click(REMOVED.0, REMOVED.1)?;
            window.wait(1.5);
            Ok(())
        })?;
    }
    for (size, name) in [(SMALLEST, "editor-smallest.png"), (LARGEST, "editor-largest.png")] {
        let window = open(Some(&clip))?;
        window.resize(size.0, size.1)?;
        window.point(size.0 / 2.0, size.1 - 4.0)?;
        window.wait(FULL);
        window.photograph(&docs.join(name), LARGEST_FILE)?;
    }
    drop(screen);
    {
        let screen = display(2)?;
        let window = Window::open(&screen, 2.0, &program, Some(&clip), &home)?;
        window.point(SIZE.0 / 2.0, SIZE.1 - 4.0)?;
        window.wait(FULL);
        window.photograph(&docs.join("editor-2x.png"), LARGEST_FILE)?;
    }
    let pictures = ["", "-idle", "-presets", "-removed", "-smallest", "-largest", "-2x"];
    let pictures = pictures.map(|name| format!("editor{name}.png"));
    for name in pictures.iter().map(String::as_str).chain([FILM]) {
        let file = docs.join(name);
        let bytes = fs::metadata(&file).with_context(|| file.display().to_string())?.len();
        println!("{} {} KB", file.display(), bytes / 1000);
        ensure!(bytes <= LARGEST_FILE, "{} has {bytes} bytes", file.display());
    }
    Ok(())
}
