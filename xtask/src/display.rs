//! The standalone's real window on a virtual display.
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wisp_testing::display::{Display, Process};

use crate::tools::{install_packages, run};

/// The server, software OpenGL, libraries that the window layer loads, and xdotool.
pub(crate) const PACKAGES: &[&str] = &[
    "xvfb",
    "x11-utils",
    "libegl1",
    "libgl1-mesa-dri",
    "libx11-xcb1",
    "libxkbcommon-x11-0",
    "libxcb-xfixes0",
    "xdotool",
];
/// For pictures of a window.
const CAMERA: &[&str] = &["imagemagick", "pngquant"];
/// For an animation of it.
const FILM: &[&str] = &["ffmpeg"];
/// Longest wait for anything to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A screen of 1920 x 1200 logical points at a scale.
pub(crate) fn display(scale: u32) -> Result<Display> {
    install_packages(PACKAGES)?;
    let display = Display::new(1920 * scale, 1200 * scale).context("cannot run Xvfb")?;
    let resources = format!("Xft.dpi:\t{}\n", 96 * scale);
    run(display
        .command("xprop")
        .args(["-root", "-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER"])
        .arg(resources))?;
    Ok(display)
}

/// The standalone's window.
pub(crate) struct Window<'a> {
    display: &'a Display,
    window: wisp_testing::Window,
    scale: f32,
    _program: Process,
}

impl<'a> Window<'a> {
    /// Opens the program with a recording, or without sound.
    pub(crate) fn open(
        display: &'a Display,
        scale: f32,
        program: &Path,
        recording: Option<&Path>,
        home: &Path,
    ) -> Result<Self> {
        let mut command = display.command(program);
        if let Some(recording) = recording {
            command.arg("--play").arg(recording);
        }
        // Not among the user's presets.
        command.args(["--backend", "dummy"]).env("XDG_DATA_HOME", home).env("HOME", home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Process(command.spawn().context("cannot run the standalone")?);
        let window = wisp_testing::Window::find(display, "Wisp", PATIENCE)?;
        let window = Self { display, window, scale, _program: program };
        window.wait(1.5);
        Ok(window)
    }

    pub(crate) fn wait(&self, seconds: f32) {
        sleep(Duration::from_secs_f32(seconds));
    }

    fn move_to(&self, x: f32, y: f32) -> Result<()> {
        Ok(self.window.point(x * self.scale, y * self.scale)?)
    }

    /// Moves the pointer to a place in logical points.
    pub(crate) fn point(&self, x: f32, y: f32) -> Result<()> {
        self.move_to(x, y)?;
        self.wait(0.1);
        Ok(())
    }

    pub(crate) fn click(&self, x: f32, y: f32) -> Result<()> {
        self.point(x, y)?;
        self.window.press(1)?;
        self.wait(0.08);
        self.window.release(1)?;
        self.wait(0.3);
        Ok(())
    }

    /// Drags from one place to another, in logical points, in steps.
    pub(crate) fn drag(&self, from: (f32, f32), to: (f32, f32), seconds: f32) -> Result<()> {
        const STEPS: u8 = 20;
        self.point(from.0, from.1)?;
        self.window.press(1)?;
        for step in 1..=STEPS {
            let part = f32::from(step) / f32::from(STEPS);
            let x = from.0 + part * (to.0 - from.0);
            let y = from.1 + part * (to.1 - from.1);
            self.move_to(x, y)?;
            self.wait(seconds / f32::from(STEPS));
        }
        Ok(self.window.release(1)?)
    }

    /// Records the window, whose size is given in logical points, as an animation while `act` runs.
    pub(crate) fn film(
        &self,
        file: &Path,
        size: (f32, f32),
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        install_packages(FILM)?;
        let whole = file.with_extension("mkv");
        let area = format!("{:.0}x{:.0}", size.0 * self.scale, size.1 * self.scale);
        let mut recorder = Command::new("ffmpeg")
            .args(["-y", "-loglevel", "error", "-f", "x11grab", "-draw_mouse", "1"])
            .args(["-framerate", "10", "-video_size", &area, "-window_id", self.window.id()])
            .args(["-i", self.display.name(), "-c:v", "ffv1"])
            .arg(&whole)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run ffmpeg")?;
        let acted = act();
        // ffmpeg finishes the file when it reads q or the pipe closes.
        if let Some(mut keys) = recorder.stdin.take() {
            keys.write_all(b"q").context("cannot stop ffmpeg")?;
        }
        let status = recorder.wait().context("cannot wait for ffmpeg")?;
        acted?;
        ensure!(status.success(), "ffmpeg ended with {status}");
        let filter = "fps=4,scale=460:-1:flags=lanczos,split[a][b];\
                      [a]palettegen=max_colors=32:stats_mode=diff[p];[b][p]paletteuse=dither=none";
        run(Command::new("ffmpeg")
            .args(["-y", "-loglevel", "error", "-i"])
            .arg(&whole)
            .args(["-filter_complex", filter])
            .arg(file))?;
        std::fs::remove_file(&whole).with_context(|| format!("cannot remove {}", whole.display()))
    }

    /// Asks for a size in logical points, as a host or a window manager does.
    pub(crate) fn resize(&self, width: f32, height: f32) -> Result<()> {
        self.window.resize(width * self.scale, height * self.scale)?;
        self.wait(1.0);
        Ok(())
    }

    /// A picture of the window, with as many colours as `limit` bytes allow, smaller if need be.
    pub(crate) fn photograph(&self, file: &Path, limit: u64) -> Result<()> {
        install_packages(CAMERA)?;
        let whole: PathBuf = file.with_extension("full.png");
        run(self.display.command("import").args(["-window", self.window.id()]).arg(&whole))?;
        for (size, colours) in [
            ("100%", "256"),
            ("100%", "128"),
            ("100%", "64"),
            ("100%", "32"),
            ("67%", "64"),
            ("67%", "32"),
        ] {
            run(Command::new("convert").arg(&whole).args(["-resize", size]).arg(file))?;
            run(Command::new("pngquant")
                .args(["--force", "--strip", "--speed", "1", "--ext", ".png", colours])
                .arg(file))?;
            if std::fs::metadata(file).is_ok_and(|file| file.len() <= limit) {
                break;
            }
        }
        std::fs::remove_file(&whole).with_context(|| format!("cannot remove {}", whole.display()))
    }
}
