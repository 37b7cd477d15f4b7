//! The microphones for PipeWire, in a session of its own without hardware.
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use wisp_testing::display::Process;

use crate::demo::{RATE, read};
use crate::files::{self, copy};
use crate::lv2::{self, ladspa_library};
use crate::paths::{Profile, absolute, command_line_program};
use crate::reference::{LIVE, Reference, difference_db, pipe, samples};
use crate::tools::{NOTE, ended, run, works};

/// PipeWire with its tools, and the session manager.
pub(crate) const PACKAGES: &[&str] = &["dbus", "pipewire", "pipewire-bin", "wireplumber"];
/// The program, and the settings that install.sh puts in place.
const PROGRAM: &str = "packaging/wisp-mic";
const SETTINGS: &str = "packaging/wisp-microphone.conf";
/// Node names of a microphone without hardware, and of the one that it becomes.
const FAKE: &str = "a microphone";
const CLEAN: &str = "wisp_microphone";
/// Block size, large enough that a busy machine drops no samples.
const QUANTUM: u32 = 8192;
/// Samples of a frame's hop, and what it has in common with [`QUANTUM`].
const FRAME: usize = RATE as usize / 100;
const STEP: usize = 32;
/// Largest difference between the microphone's output and the command line's for the same input, dB.
const LARGEST_DB: f64 = -110.0;
/// Longest wait for anything to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running program. It must not be killed, because it has to end a program of its own.
struct Microphone(Child);

impl Drop for Microphone {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && signal(&self.0, "TERM").is_ok() {
            let _ = self.0.wait();
        }
    }
}

/// A user's folders, in which PipeWire runs.
struct Session {
    folder: PathBuf,
    /// The session manager needs it.
    bus: Option<Process>,
    manager: Option<Process>,
    server: Option<Process>,
}

impl Session {
    fn new() -> Result<Self> {
        // Short, for the names of sockets.
        let folder = std::env::temp_dir().join(format!("wisp mic {}", std::process::id()));
        let session = Self { folder, bus: None, manager: None, server: None };
        for name in ["run", "config/pipewire/pipewire.conf.d", "home/.ladspa", "program"] {
            let folder = session.folder.join(name);
            files::make(&folder)?;
        }
        Ok(session)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.env("XDG_RUNTIME_DIR", self.folder.join("run"));
        command.env("XDG_CONFIG_HOME", self.folder.join("config"));
        command.env("XDG_STATE_HOME", self.folder.join("state"));
        command.env("HOME", self.folder.join("home"));
        command.env_remove("LADSPA_PATH").env_remove("PIPEWIRE_REMOTE");
        command.env("DBUS_SESSION_BUS_ADDRESS", self.address());
        command
    }

    fn address(&self) -> String {
        let bus = self.folder.join("run/bus").to_string_lossy().replace(' ', "%20");
        format!("unix:path={bus}")
    }

    fn background(&self, program: &str, args: &[&str]) -> Result<Process> {
        let log = self.folder.join(format!("{program}.log"));
        let file =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = self.command(program);
        command.args(args).stdout(file.try_clone()?).stderr(file);
        Ok(Process(command.spawn().with_context(|| format!("cannot run {program}"))?))
    }

    /// Starts PipeWire and its session manager.
    fn start(&mut self) -> Result<()> {
        let address = format!("--address={}", self.address());
        self.bus = Some(self.background("dbus-daemon", &["--session", "--nofork", &address])?);
        self.until("D-Bus", |session| Ok(session.folder.join("run/bus").exists()))?;
        self.server = Some(self.background("pipewire", &[])?);
        self.until("PipeWire", |session| Ok(session.said("pw-cli", &["info", "0"])?.0))?;
        self.manager = Some(self.background("wireplumber", &[])?);
        Ok(())
    }

    fn stop(&mut self) {
        self.manager = None;
        self.server = None;
        self.bus = None;
        // Killed, it leaves its socket.
        let _ = fs::remove_file(self.folder.join("run/bus"));
    }

    /// Whether a program succeeded, and all that it printed.
    fn said(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Result<(bool, String)> {
        let output = self.command(&program).args(args).output();
        let output =
            output.with_context(|| format!("cannot run {}", program.as_ref().display()))?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    fn until(&self, what: &str, there: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !there(self)? {
            ensure!(start.elapsed() < PATIENCE, "{what} did not appear");
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn has(&self, node: &str) -> Result<bool> {
        let (_, text) = self.said("pw-cli", &["ls", "Node"])?;
        Ok(text.contains(&format!("node.name = \"{node}\"")))
    }

    fn program(&self) -> PathBuf {
        self.folder.join("program/wisp-mic")
    }

    /// The program fails with a message.
    fn refuses(&self, args: &[&str], words: &str) -> Result<()> {
        let (ok, text) = self.said(self.program(), args)?;
        ensure!(
            !ok && text.contains(words),
            "wisp-mic {args:?} does not say {words:?} but: {text}"
        );
        Ok(())
    }

    /// Starts the program; once the microphone is there.
    fn microphone(&self, args: &[&str]) -> Result<Microphone> {
        // A shell that runs the suite in the background leaves Ctrl-C ignored, and a script cannot undo that.
        let mut command = self.command("env");
        command.arg("--default-signal=INT").arg(self.program());
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Microphone(command.spawn().context("cannot run wisp-mic")?);
        let mut line = String::new();
        // Open until it ends, because it prints more then.
        let stdout = child.0.stdout.as_mut().context("wisp-mic says nothing")?;
        BufReader::new(stdout).read_line(&mut line)?;
        if !line.contains("is there") {
            let mut error = String::new();
            if let Some(mut stderr) = child.0.stderr.take() {
                stderr.read_to_string(&mut error)?;
            }
            bail!("wisp-mic did not start: {line}{error}");
        }
        Ok(child)
    }

    fn record(&self, node: &str, file: &str) -> Result<Process> {
        let mut command = self.command("pw-record");
        command.args(["--target", node, "--rate", &RATE.to_string(), "--channels", "1"]);
        command.args(["--format", "f32", file]).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Process(command.spawn().context("cannot run pw-record")?))
    }

    /// A recording that ended.
    fn recorded(&self, recorder: &mut Process, file: &str) -> Result<Vec<f32>> {
        signal(&recorder.0, "INT")?;
        ended(&mut recorder.0, "pw-record", PATIENCE)?;
        Ok(read(&self.folder.join(file))?.0)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
        // What is left is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends one by its name; INT is Ctrl-C.
fn signal(child: &Child, name: &str) -> Result<()> {
    run(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()))
}

/// Tests how both microphones start, sound and end.
pub(crate) fn test() -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        println!("{NOTE}not run: PipeWire is on Linux");
        return Ok(());
    }
    if !works("pipewire", "--version") || !works("wireplumber", "--version") {
        println!("{NOTE}not run: PipeWire and WirePlumber are not installed");
        return Ok(());
    }
    let reference = Reference::new()?;
    reference.input(1)?;
    if !ladspa_library(Profile::Dev).exists() {
        lv2::build(Profile::Dev)?;
    }
    let mut session = Session::new()?;
    copy(Path::new(PROGRAM), &session.program())?;
    session.refuses(&[], "PipeWire is not running")?;
    session.start()?;
    session.refuses(&[], "wisp_ladspa.so is neither beside this script nor in ~/.ladspa")?;
    let library = session.folder.join("home/.ladspa/wisp_ladspa.so");
    copy(&ladspa_library(Profile::Dev), &library)?;
    session.refuses(&["--list"], "PipeWire has no microphone")?;
    session
        .refuses(&["--device", FAKE], "no microphone a microphone; --list prints their names")?;
    session.refuses(&["--reduction", "61"], "--reduction 61, expected 0 to 60")?;
    session.refuses(&["--reduction=1e3"], "expected a number from 0 to 60")?;
    session.refuses(&["--sensitivity"], "--sensitivity needs a value")?;
    session.refuses(&["--loud"], "unknown option --loud")?;

    let properties = format!(
        "{{ factory.name=support.null-audio-sink node.name=\"{FAKE}\" object.linger=true \
         media.class=Audio/Source/Virtual audio.position=[ MONO ] }}"
    );
    ensure!(session.said("pw-cli", &["create-node", "adapter", &properties])?.0, "no microphone");
    session.until(FAKE, |session| session.has(FAKE))?;
    for (name, value) in [("force-quantum", QUANTUM), ("force-rate", RATE)] {
        let (name, value) = (format!("clock.{name}"), value.to_string());
        ensure!(session.said("pw-metadata", &["-n", "settings", "0", &name, &value])?.0, "{name}");
    }
    ensure!(session.said(session.program(), &["--list"])? == (true, format!("{FAKE}\n")), "--list");
    sound(&session, &reference)?;
    ends(&mut session)?;

    // What install.sh puts in place.
    let settings = fs::read_to_string(SETTINGS).context("cannot read the settings")?;
    let home = session.folder.join("home/.ladspa").to_string_lossy().into_owned();
    fs::write(
        session.folder.join("config/pipewire/pipewire.conf.d/wisp-microphone.conf"),
        settings.replace("@LADSPA@", &home),
    )
    .context("cannot write the settings")?;
    session.start()?;
    session.until(CLEAN, |session| session.has(CLEAN))?;
    session.refuses(&[], "\"Wisp microphone\" is there already")
}

/// Compares the denoised microphone's recording with the command line.
fn sound(session: &Session, reference: &Reference) -> Result<()> {
    let options = ["--reduction", "30", "--sensitivity", "3", "--ambience", "5%"];
    let mut microphone = session.microphone(&[&["--device", FAKE], &options[..]].concat())?;
    session.refuses(&[], "\"Wisp microphone\" is there already; --name makes another one")?;
    drop(session.microphone(&["--name", "Another \"one\""])?);
    let mut input = session.record(FAKE, "input.wav")?;
    let mut output = session.record(CLEAN, "output.wav")?;
    sleep(Duration::from_secs(1));
    let clip = absolute(reference.clip())?;
    let mut player = session.command("pw-play");
    player.args(["--target", "0"]).arg(&clip).stdout(Stdio::null());
    let mut player = Process(player.spawn().context("cannot run pw-play")?);
    session.until("a player", |session| {
        // By its version and by the file.
        for port in ["MONO", "FC", "FL"] {
            let from = format!("pw-play:output_{port}");
            let to = format!("{FAKE}:input_MONO");
            if session.said("pw-link", &[&from, &to])?.0 {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    ended(&mut player.0, "pw-play", PATIENCE)?;
    sleep(Duration::from_secs(1));
    let input = session.recorded(&mut input, "input.wav")?;
    let output = session.recorded(&mut output, "output.wav")?;

    let output = from_first_sound(&output);
    let raw = session.folder.join("input.f32");
    let mut nearest = f64::INFINITY;
    // The plugin and the recorders began at different quanta, so a frame may begin at any of these samples.
    for start in (0..FRAME).step_by(STEP) {
        let bytes: Vec<u8> = input.iter().skip(start).flat_map(|x| x.to_le_bytes()).collect();
        files::write(&raw, bytes)?;
        let mut wisp = Command::new(command_line_program());
        wisp.args(["-", LIVE, "-o", "-", "--quiet", "--output-format", "raw", "--raw-input"]);
        let expected = samples(&pipe(wisp.arg(format!("{RATE}:1:f32")).args(options), &raw)?);
        let expected = from_first_sound(&expected);
        let length = expected.len().min(output.len());
        ensure!(length > 5 * RATE as usize, "{length} samples were recorded");
        nearest = nearest.min(difference_db(&output[..length], &expected[..length])?);
        if nearest <= LARGEST_DB {
            break;
        }
    }
    println!("{NOTE}PipeWire: {nearest:.0} dB from the command line");
    ensure!(
        nearest <= LARGEST_DB,
        "what the microphone recorded is {nearest:.1} dB from the command line, expected {LARGEST_DB}"
    );

    signal(&microphone.0, "INT")?;
    let status = ended(&mut microphone.0, "wisp-mic", PATIENCE)?;
    ensure!(status.code() == Some(130), "wisp-mic ended with {status} after Ctrl-C");
    session.until("the end", |session| Ok(!session.has(CLEAN)?))
}

fn from_first_sound(samples: &[f32]) -> &[f32] {
    let first = samples.iter().position(|x| *x != 0.0).unwrap_or(samples.len());
    &samples[first..]
}

/// The program ends with PipeWire, and leaves nothing.
fn ends(session: &mut Session) -> Result<()> {
    let mut microphone = session.microphone(&[])?;
    session.stop();
    let status = ended(&mut microphone.0, "wisp-mic", PATIENCE)?;
    ensure!(status.code() == Some(1), "wisp-mic ended with {status} after PipeWire");
    for entry in fs::read_dir(session.folder.join("run"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!name.starts_with("wisp"), "wisp-mic left {name}");
    }
    Ok(())
}
