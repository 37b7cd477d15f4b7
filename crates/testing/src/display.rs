//! X servers without a screen (Xvfb), for tests with windows.
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Set in a process that [`in_child`] started.
const CHILD: &str = "WISP_TEST_CHILD";

/// A child process, killed when this is dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An X server of its own, ended when this is dropped.
pub struct Display {
    name: String,
    _server: Process,
}

impl Display {
    /// Starts Xvfb with a screen of this size in pixels.
    ///
    /// # Errors
    ///
    /// Fails if Xvfb is not installed or does not start.
    pub fn new(width: u32, height: u32) -> io::Result<Self> {
        let mut server = Command::new("Xvfb")
            // Without -noreset it restarts when its last client disconnects, and drops the next one.
            .args(["-displayfd", "1", "-noreset", "-nolisten", "tcp"])
            .args(["-screen", "0", &format!("{width}x{height}x24")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = server.stdout.take();
        let server = Process(server);
        let mut number = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut number)?;
        }
        match number.trim() {
            "" => Err(io::Error::other("Xvfb did not start")),
            number => Ok(Self { name: format!(":{number}"), _server: server }),
        }
    }

    /// The value of `DISPLAY`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program on this display, rendering in software.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.name).env("LIBGL_ALWAYS_SOFTWARE", "1");
        command.env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
        command
    }
}

/// Runs a test's `work` in a process of its own on a display of its own, `times` times: a crash ends only that process.
/// `test` is the test's name with its modules.
///
/// # Panics
///
/// Panics if Xvfb does not start, or if the process fails or does not find the test.
pub fn in_child(test: &str, times: u32, work: impl FnOnce()) {
    let start = format!("in a child: {test}");
    if std::env::var_os(CHILD).is_some() {
        println!("{start}");
        return work();
    }
    let display = Display::new(1280, 1024).expect("Xvfb runs (Debian package xvfb)");
    let program = std::env::current_exe().expect("this program");
    for _ in 0..times {
        let mut child = display.command(&program);
        child.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
        let output = child.output().expect("a process");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains(&start) && !errors.contains("panicked"),
            "{}\n{text}\n{errors}",
            output.status
        );
        print!("{text}");
    }
}
