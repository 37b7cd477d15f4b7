//! Renders a session through the bundled VST3, and one through the LV2 plugin, in Ardour, without its window.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use wisp_testing::signals::{db, level_of_difference, power, rms, si_sdr};

use crate::demo::{self, RATE};
use crate::files;
use crate::lv2::lv2_bundle;
use crate::paths::{Profile, absolute, command_line_program, target_dir, vst3_bundle};
use crate::reference::LIVE;
use crate::tools::{NOTE, ended, run};
use crate::validate;

/// Creates and reopens sessions.
const SCRIPT: &str = include_str!("ardour.lua");
/// Supported versions.
const VERSIONS: [u32; 2] = [7, 8];
const SESSION: &str = "voice";

/// A plugin format in Ardour.
struct Format {
    name: &'static str,
    /// The id by which Ardour finds it.
    id: &'static str,
    /// Settings in the session, and the same for the command line.
    parameters: &'static str,
    options: &'static [&'static str],
    /// The latency that Ardour should compensate, samples.
    latency: &'static str,
}

const FORMATS: [Format; 2] = [
    Format {
        name: "VST3",
        id: "Wisp",
        parameters: "Reduction=30.00;Sensitivity=3.00;Quality=1.00",
        options: &["--quality", "studio", "--reduction", "30", "--sensitivity", "3"],
        // Of a quality that was set while the plugin ran.
        latency: "2880",
    },
    Format {
        name: "LV2",
        id: "https://wisp.audio/lv2/mono",
        parameters: "Reduction=30.00;Sensitivity=3.00",
        options: &[LIVE, "--reduction", "30", "--sensitivity", "3"],
        latency: "960",
    },
];

/// Required attenuation of the noise before the first word, and rise of the voice's SI-SDR, dB.
const LEAST_FALL_DB: f64 = 25.0;
const LEAST_RISE_DB: f64 = 3.0;
/// Largest difference from the command line's output for the same recording, whose frames fall differently.
const DIFFERENCE_DB: f64 = -15.0;
/// On a busy machine the export of Ardour 7.3 corrupts its heap in one of seven runs, or hangs. It does so without any plugin,
/// too: in 4 of 28 runs, in 2 of 28 with LV2's own example, and in 12 of 82 with Wisp.
const ATTEMPTS: usize = 5;
/// Several times what the longest export took.
const PATIENCE: Duration = Duration::from_secs(120);
/// No resampling at Ardour's own ports. With it, a session that has just been loaded reports 16 samples more latency in some
/// runs (8 of 12; 10 of 12 without any plugin) and not in others, and the render may start 16 samples early.
const CONFIGURATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Ardour><Config><Option name="port-resampler-quality" value="0"/></Config></Ardour>
"#;
/// Seconds before the first word, without the very start.
const PAUSE: std::ops::Range<f64> = 0.15..0.45;

/// The programs of one Ardour version.
struct Ardour {
    version: u32,
    home: PathBuf,
}

impl Ardour {
    /// The newest installed version, with its home in `folder`.
    fn find(folder: &Path) -> Option<Self> {
        let there = |version: &u32| Path::new(&format!("/usr/bin/ardour{version}-lua")).exists();
        let version = VERSIONS.into_iter().rev().find(there)?;
        Some(Self { version, home: folder.join("home") })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(format!("/usr/bin/ardour{}-{program}", self.version));
        command.env("HOME", &self.home);
        // Without these, everything is below HOME, including the scanner's cache.
        for folder in validate::XDG_FOLDERS {
            command.env_remove(folder);
        }
        command
    }

    /// Runs the script and returns the lines it prints.
    fn lua(&self, task: &str, format: &Format, folder: &Path) -> Result<Vec<String>> {
        let script = folder.join("session.lua");
        files::write(&script, SCRIPT)?;
        let output = self
            .command("lua")
            .arg(&script)
            .env("WISP_TASK", task)
            .env("WISP_FOLDER", folder.join(SESSION))
            .env("WISP_SESSION", SESSION)
            .env("WISP_FORMAT", format.name)
            .env("WISP_PLUGIN", format.id)
            .env("WISP_PARAMETERS", format.parameters)
            .stdin(Stdio::null())
            .output()
            .context("cannot run Ardour's Lua")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        print!("{said}{complaints}");
        ensure!(output.status.success(), "Ardour's Lua ended with {}", output.status);
        Ok(said.lines().map(str::to_owned).collect())
    }
}

/// Renders a voice near a fan in Ardour through each format, and reports how it compares with the recording and the command
/// line; `None` without Ardour.
pub(crate) fn render() -> Result<Option<Vec<String>>> {
    let folder = target_dir().join("ardour");
    files::make_empty(&folder)?;
    let folder = absolute(folder)?;
    let Some(ardour) = Ardour::find(&folder) else { return Ok(None) };
    install(&ardour)?;
    let render = |format: &Format| {
        let start = Instant::now();
        let comparison = ardour.render(format, &folder.join(format.name));
        let comparison = comparison.with_context(|| format!("{} in Ardour", format.name))?;
        let (version, seconds) = (ardour.version, start.elapsed().as_secs_f64());
        Ok(format!("{} in Ardour {version}: {comparison}; {seconds:.0} s", format.name))
    };
    FORMATS.iter().map(render).collect::<Result<_>>().map(Some)
}

impl Ardour {
    fn render(&self, format: &Format, folder: &Path) -> Result<String> {
        files::make(folder)?;
        let made = self.lua("make", format, folder)?;
        let parameters = parameters(&made)?;
        let reopened = self.lua("open", format, folder)?;
        let opened = self::parameters(&reopened)?;
        ensure!(parameters == opened, "saved as {parameters:?}, opened again as {opened:?}");
        let asked = format.parameters;
        let changed = asked.split(';').all(|setting| parameters.contains(&setting));
        ensure!(changed, "{asked} was set, the session has {parameters:?}");
        for lines in [&made, &reopened] {
            let latency = lines.iter().find_map(|line| line.strip_prefix("latency "));
            let expected = format.latency;
            ensure!(
                latency == Some(expected),
                "Ardour hears of a latency of {latency:?}, expected {expected}"
            );
        }

        let (voice, noisy) = demo::noisy_voice(folder)?;
        place(folder, &noisy)?;
        let rendered = folder.join("rendered.wav");
        let rate = RATE.to_string();
        // How it ended, or that it did not.
        let export = || -> Result<Result<ExitStatus>> {
            let mut command = self.command("export");
            command.args(["-s", &rate, "-b", "float", "-o"]);
            command.args([rendered.as_path(), &folder.join(SESSION), Path::new(SESSION)]);
            let mut child = command.stdin(Stdio::null()).spawn().context("cannot run Ardour")?;
            Ok(ended(&mut child, "Ardour's export", PATIENCE).inspect_err(|_| {
                let _ = child.kill();
            }))
        };
        let mut end = export()?;
        for _ in 1..ATTEMPTS {
            let said = match &end {
                Ok(status) if status.code().is_some() => break,
                Ok(crash) => format!("Ardour's export ended with {crash}"),
                Err(error) => error.to_string(),
            };
            println!("{NOTE}{}: {said}; once more", format.name);
            end = export()?;
        }
        let status = end?;
        ensure!(status.success(), "Ardour's export ended with {status}");
        let rendered = demo::first_channel(&rendered)?;

        let cleaned = folder.join("command-line.wav");
        let mut wisp = Command::new(command_line_program());
        wisp.arg(folder.join(NOISY)).arg("-o").arg(&cleaned).args(format.options).arg("--quiet");
        run(&mut wisp)?;
        let cleaned = demo::first_channel(&cleaned)?;
        compare(&voice, &noisy, &rendered, &cleaned)
    }
}

/// The session's recording.
const NOISY: &str = "noisy.wav";

/// Writes Ardour's settings, puts the bundles where it looks, and scans the VST3, which it does not do by itself.
fn install(ardour: &Ardour) -> Result<()> {
    let configuration = ardour.home.join(format!(".config/ardour{}", ardour.version));
    files::make(&configuration)?;
    files::write(&configuration.join("config"), CONFIGURATION)?;
    let put = |bundle: PathBuf, folder: &str, name: &str| {
        let folder = ardour.home.join(folder);
        files::make(&folder)?;
        let plugin = folder.join(name);
        #[cfg(unix)]
        std::os::unix::fs::symlink(absolute(bundle)?, &plugin)
            .with_context(|| format!("cannot link {}", plugin.display()))?;
        Ok::<_, anyhow::Error>(plugin)
    };
    crate::lv2::build(Profile::Dev)?;
    put(lv2_bundle(Profile::Dev), ".lv2", "wisp.lv2")?;
    let plugin = put(vst3_bundle(), ".vst3", "wisp.vst3")?;
    match validate::scan(&plugin, &ardour.home)? {
        Some(found) => println!("{found}"),
        None => bail!("Ardour's scanner is missing"),
    }
    Ok(())
}

/// "Reduction=30.00" of each line that the script prints about a parameter.
fn parameters(lines: &[String]) -> Result<Vec<&str>> {
    let parameters: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("parameter ")).collect();
    ensure!(!parameters.is_empty(), "Ardour shows no parameters");
    Ok(parameters)
}

/// Puts the recording on the track, for the whole session, because Ardour can only import through its window.
fn place(folder: &Path, noisy: &[f32]) -> Result<()> {
    let session = folder.join(SESSION);
    let file = session.join(format!("{SESSION}.ardour"));
    let sound = session.join("interchange").join(SESSION).join("audiofiles").join(NOISY);
    fs::copy(folder.join(NOISY), &sound)
        .with_context(|| format!("cannot write {}", sound.display()))?;
    let text = files::read_text(&file)?;
    let text = with_recording(&text, noisy.len())?;
    files::write(&file, text)
}

/// A session with a recording of this many samples on its track.
fn with_recording(session: &str, samples: usize) -> Result<String> {
    let ticks =
        session.split_once("superclocks-per-second=\"").and_then(|(_, rest)| rest.split_once('"'));
    let ticks: u64 = ticks.and_then(|(number, _)| number.parse().ok()).context("no clock")?;
    let length = samples as u64 * ticks / u64::from(RATE);
    let region = |id: u32, whole: u32| {
        format!(
            "<Region name=\"{NOISY}\" muted=\"0\" opaque=\"1\" locked=\"0\" video-locked=\"0\" automatic=\"0\" \
             whole-file=\"{whole}\" import=\"0\" external=\"0\" sync-marked=\"0\" left-of-split=\"0\" \
             right-of-split=\"0\" hidden=\"0\" position-locked=\"0\" valid-transients=\"0\" start=\"a0\" \
             length=\"a{length}@a0\" sync-position=\"a0\" ancestral-start=\"a0\" \
             ancestral-length=\"a{length}@a0\" stretch=\"1\" shift=\"1\" layering-index=\"0\" tags=\"\" \
             contents=\"0\" first-edit=\"nothing\" type=\"audio\" id=\"{id}\" default-fade-in=\"0\" \
             default-fade-out=\"0\" fade-in-active=\"0\" fade-out-active=\"0\" scale-amplitude=\"1\" \
             channels=\"1\" source-0=\"9001\" master-source-0=\"9001\"/>"
        )
    };
    let source = format!(
        "<Sources><Source name=\"{NOISY}\" take-id=\"\" type=\"audio\" flags=\"\" id=\"9001\" \
         natural-position=\"a0\" channel=\"0\" origin=\"\" gain=\"1\"/></Sources>"
    );
    let range = format!(
        "<Locations><Location id=\"9004\" name=\"session\" start=\"a0\" end=\"a{length}\" \
         flags=\"IsSessionRange\" locked=\"0\" timestamp=\"0\" cue=\"0\"/></Locations>"
    );
    let mut text = session.to_owned();
    for (empty, full) in [
        ("<Sources/>", source),
        ("<Regions/>", format!("<Regions>{}</Regions>", region(9002, 1))),
        ("<Locations/>", range),
    ] {
        ensure!(text.contains(empty), "the session has no {empty}");
        text = text.replacen(empty, &full, 1);
    }
    let (before, rest) = text.split_once("<Playlist ").context("the session has no playlist")?;
    let (playlist, after) = rest.split_once("/>").context("the playlist does not end")?;
    let region = region(9003, 0);
    Ok(format!("{before}<Playlist {playlist}>{region}</Playlist>{after}"))
}

/// Describes the render; fails if it is late, of the wrong length, or not denoised.
fn compare(voice: &[f32], noisy: &[f32], rendered: &[f32], cleaned: &[f32]) -> Result<String> {
    let (expected, actual) = (noisy.len(), rendered.len());
    ensure!(actual == expected, "{actual} samples were rendered, expected {expected}");
    let lag = lag(noisy, rendered);
    ensure!(lag == 0, "the render is {lag} samples late");
    // The track's panner has a gain of its own.
    let gain = rms(cleaned) / rms(rendered);
    let rendered: Vec<f32> = rendered.iter().map(|x| x * gain as f32).collect();
    let difference = level_of_difference(&rendered, cleaned);
    ensure!(
        difference < DIFFERENCE_DB,
        "the render differs by {difference:.1} dB from the command line's, expected {DIFFERENCE_DB}"
    );
    let pause = |x: &[f32]| {
        let [from, to] = [PAUSE.start, PAUSE.end].map(|at| (at * f64::from(RATE)) as usize);
        db(power(&x[from..to]))
    };
    let fall = pause(noisy) - pause(&rendered);
    ensure!(fall > LEAST_FALL_DB, "noise falls by {fall:.1} dB, expected {LEAST_FALL_DB}");
    let (before, after) = (si_sdr(voice, noisy), si_sdr(voice, &rendered));
    ensure!(after > before + LEAST_RISE_DB, "SI-SDR goes from {before:.1} to {after:.1} dB");
    Ok(format!(
        "parameters kept, {actual} of {expected} samples, 0 late, noise falls by {fall:.1} dB, SI-SDR from {before:.1} to \
         {after:.1} dB, {difference:.1} dB from the command line"
    ))
}

/// By how many samples the second signal lags, at most 0.1 s either way; by the half second around its loudest sample.
fn lag(first: &[f32], second: &[f32]) -> isize {
    let heard = first.len().min(second.len()).min(RATE as usize / 2);
    let loudest = (0..second.len()).max_by(|a, b| second[*a].abs().total_cmp(&second[*b].abs()));
    let last = first.len().min(second.len()) - heard;
    let from = loudest.unwrap_or(0).saturating_sub(heard / 2).min(last);
    let [first, second] = [first, second].map(|x| &x[from..from + heard]);
    let most = (RATE as usize / 10).min(heard.saturating_sub(1)) as isize;
    // A plain loop: this program is not optimised.
    let at = |lag: isize| -> f64 {
        let (skipped, ahead) = ((-lag).max(0) as usize, lag.max(0) as usize);
        let mut sum = 0.0;
        for i in 0..heard - skipped.max(ahead) {
            sum += f64::from(first[i + skipped] * second[i + ahead]);
        }
        sum
    };
    (-most..=most).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use wisp_testing::Random;

    use super::*;

    #[test]
    fn lags_are_found_to_the_sample() {
        let mut random = Random(3);
        let signal: Vec<f32> = (0..9_000).map(|_| random.sample()).collect();
        assert_eq!(lag(&signal, &signal), 0);
        assert_eq!(lag(&signal[960..], &signal), 960);
        assert_eq!(lag(&signal, &signal[7..]), -7);
        let long: Vec<f32> = (0..60_000).map(|_| random.sample()).collect();
        assert_eq!(lag(&long[2_880..], &long), 2_880);
        assert_eq!(lag(&[], &[]), 0);
    }

    #[test]
    fn a_recording_is_put_on_the_track() {
        let empty = "<Session><Sources/><Regions/><Locations/><Playlists><Playlist id=\"1\" \
                     name=\"voice\"/></Playlists><TempoMap superclocks-per-second=\"282240000\"/></Session>";
        let session = with_recording(empty, 48_000).expect("a session");
        assert_eq!(session.matches("length=\"a282240000@a0\"").count(), 4, "{session}");
        assert!(
            session.contains("name=\"voice\"><Region ") && session.contains("end=\"a282240000\"")
        );
        assert!(with_recording("<Session/>", 1).is_err());
    }
}
