//! Windows on a display, and a pointer and a keyboard for them, by the program xdotool.
use std::io;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Display;

/// A window that a test drives. Places and sizes are in pixels; all of it fails if xdotool is not installed or refuses.
pub struct Window {
    display: String,
    id: String,
}

impl Window {
    /// Waits for a visible window with this title.
    pub fn find(display: &Display, title: &str, patience: Duration) -> io::Result<Self> {
        let title = format!("^{title}$");
        let start = Instant::now();
        loop {
            // This fails until there is one.
            let found =
                xdotool(display.name(), &["search", "--onlyvisible", "--name", &title])?.stdout;
            if let Some(id) = String::from_utf8_lossy(&found).lines().next() {
                return Ok(Self { display: display.name().to_owned(), id: id.to_owned() });
            }
            if start.elapsed() > patience {
                return Err(io::Error::other("no window appeared"));
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// A window of this process's own display, as in [`crate::display::in_child`].
    pub fn here(id: u32) -> Self {
        Self { display: std::env::var("DISPLAY").unwrap_or_default(), id: id.to_string() }
    }

    /// What X calls it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Moves the pointer to a place in the window.
    pub fn point(&self, x: f32, y: f32) -> io::Result<()> {
        let (x, y) = (format!("{x:.0}"), format!("{y:.0}"));
        self.command(&["mousemove", "--window", &self.id, &x, &y])
    }

    /// Presses a button: 1 left, 3 right.
    pub fn press(&self, button: u8) -> io::Result<()> {
        self.command(&["mousedown", &button.to_string()])
    }

    /// Releases it.
    pub fn release(&self, button: u8) -> io::Result<()> {
        self.command(&["mouseup", &button.to_string()])
    }

    /// Presses and releases a button at once; 4 is a notch of the wheel up, 5 one down.
    pub fn click(&self, button: u8) -> io::Result<()> {
        self.command(&["click", &button.to_string()])
    }

    /// Two clicks of the left button.
    pub fn double_click(&self) -> io::Result<()> {
        self.command(&["click", "--repeat", "2", "--delay", "80", "1"])
    }

    /// A key, such as "Return" or "ctrl+z".
    pub fn key(&self, key: &str) -> io::Result<()> {
        self.command(&["key", key])
    }

    /// Types a text.
    pub fn write(&self, text: &str) -> io::Result<()> {
        self.command(&["type", "--delay", "40", text])
    }

    /// Asks for a size, as a host or a window manager does, and waits until the window has it.
    pub fn resize(&self, width: f32, height: f32) -> io::Result<()> {
        let (width, height) = (format!("{width:.0}"), format!("{height:.0}"));
        self.command(&["windowsize", "--sync", &self.id, &width, &height])
    }

    /// Width and height.
    pub fn size(&self) -> io::Result<(f32, f32)> {
        let output = xdotool(&self.display, &["getwindowgeometry", "--shell", &self.id])?;
        let said = String::from_utf8_lossy(&output.stdout);
        let number = |name: &str| {
            let number = said.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
            number.ok_or_else(|| io::Error::other(format!("no {name} in {said:?}")))
        };
        Ok((number("WIDTH=")?, number("HEIGHT=")?))
    }

    fn command(&self, args: &[&str]) -> io::Result<()> {
        let output = xdotool(&self.display, args)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("xdotool {args:?} ended with {}: {said}", output.status)))
    }
}

fn xdotool(display: &str, args: &[&str]) -> io::Result<Output> {
    let mut command = Command::new("xdotool");
    let output = command.args(args).env("DISPLAY", display).stdin(Stdio::null()).output();
    output.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot run xdotool (Debian package xdotool): {error}"),
        )
    })
}
