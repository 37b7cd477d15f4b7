//! Reports on files: figures, JSON, progress.
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Serialize, Serializer};

use crate::cli::error::{Error, Warning};
use crate::cli::input::Input;

/// Figures of a cleaned file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seconds: f64,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    pub(crate) depth: &'static str,
    /// The built-in weights' quality; none for the user's own weights.
    pub(crate) quality: Option<&'static str>,
    /// Delay of the engine, removed from the result.
    pub(crate) latency_samples: usize,
    /// Time spent, including decoding and writing, relative to the length of the audio.
    pub(crate) real_time_factor: f64,
    /// Energy of the input over that of the voice; none if one of them is silent.
    pub(crate) reduction_db: Option<f64>,
    /// Peak of the output; none for silence.
    pub(crate) peak_dbfs: Option<f64>,
    pub(crate) clipped_samples: u64,
    /// Sections that could not be decoded, silent in the result.
    pub(crate) damaged_places: u64,
    #[serde(serialize_with = "texts")]
    pub(crate) warnings: Vec<Warning>,
}

fn texts<S: Serializer>(warnings: &[Warning], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(warnings.iter().map(Warning::to_string))
}

/// Sums over a whole file.
#[derive(Debug)]
pub(crate) struct Meter {
    input: f64,
    result: f64,
    peak: f32,
    /// Output gain, which is not part of the reduction.
    gain: f32,
}

fn energy(plane: &[f32]) -> f64 {
    plane.iter().map(|&x| f64::from(x).powi(2)).sum()
}

impl Meter {
    pub(crate) fn new(output_db: f32) -> Self {
        Self { input: 0.0, result: 0.0, peak: 0.0, gain: 10f32.powf(output_db / 20.0) }
    }

    pub(crate) fn input(&mut self, plane: &[f32]) {
        self.input += energy(plane);
    }

    pub(crate) fn result(&mut self, plane: &[f32]) {
        self.result += energy(plane) / f64::from(self.gain).powi(2);
    }

    /// Computes the result from the input and the removed sound.
    pub(crate) fn removed(&mut self, dry: impl Iterator<Item = f32>, removed: &[f32]) {
        let voice = dry.zip(removed).map(|(dry, &x)| f64::from(dry - x / self.gain).powi(2));
        self.result += voice.sum::<f64>();
    }

    pub(crate) fn peak(&mut self, planes: &[&[f32]]) {
        for plane in planes {
            self.peak = plane.iter().fold(self.peak, |peak, x| peak.max(x.abs()));
        }
    }

    pub(crate) fn reduction_db(&self) -> Option<f64> {
        let db = 10.0 * (self.input / self.result).log10();
        db.is_finite().then_some(db)
    }

    pub(crate) fn peak_dbfs(&self) -> Option<f64> {
        (self.peak > 0.0).then(|| 20.0 * f64::from(self.peak).log10())
    }
}

/// One line of `--json`. Names that are not UTF-8 are shown with replacement characters.
#[derive(Serialize)]
struct Line<'a> {
    input: String,
    output: Option<String>,
    #[serde(flatten)]
    report: Option<&'a Report>,
    error: Option<String>,
    /// Why the input was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
}

/// Prints results, messages and progress.
pub(crate) struct Reporter {
    json: bool,
    quiet: bool,
    bars: MultiProgress,
    files: ProgressBar,
    out: Mutex<io::Stdout>,
}

impl Reporter {
    pub(crate) fn new(json: bool, quiet: bool, files: usize) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let style = ProgressStyle::with_template("{pos}/{len} files {wide_bar} {elapsed_precise}");
        let total = match style {
            Ok(style) if files > 1 => bars.add(ProgressBar::new(files as u64).with_style(style)),
            _ => ProgressBar::hidden(),
        };
        Self { json, quiet, bars, files: total, out: Mutex::new(io::stdout()) }
    }

    /// A bar for one file, above the one for all files.
    pub(crate) fn begin(&self, input: &Path) -> FileProgress {
        let bar = self.bars.insert_from_back(1, ProgressBar::no_length());
        let name = input.file_name().unwrap_or(input.as_os_str()).to_string_lossy().into_owned();
        FileProgress { bar: bar.with_message(name), styled: false }
    }

    pub(crate) fn warn(&self, input: &Path, message: &str) {
        self.say(&format!("wisp: {}: warning: {message}", input.display()));
    }

    /// A result, or an error.
    pub(crate) fn end(&self, input: &Path, output: &Path, result: &Result<Report, Error>) {
        self.files.inc(1);
        match result {
            Ok(report) => {
                for warning in &report.warnings {
                    self.warn(input, &warning.to_string());
                }
                if !self.json && !self.quiet {
                    self.say(&summary(input, output, report));
                }
            }
            Err(error) => self.say(&format!("wisp: {}: {error}", input.display())),
        }
        if self.json {
            let line = Line {
                input: input.to_string_lossy().into_owned(),
                output: result.is_ok().then(|| output.to_string_lossy().into_owned()),
                report: result.as_ref().ok(),
                error: result.as_ref().err().map(Error::to_string),
                skipped: None,
            };
            self.line(&line);
        }
    }

    /// An input that was made by Wisp.
    pub(crate) fn skip(&self, input: &Path, origin: &Path) {
        let why = format!("was made by Wisp from {}; pass it alone to clean it", origin.display());
        self.say(&format!("wisp: {}: skipped: {why}", input.display()));
        if self.json {
            let input = input.to_string_lossy().into_owned();
            let (output, report, error) = (None, None, None);
            self.line(&Line { input, output, report, error, skipped: Some(why) });
        }
    }

    fn line(&self, line: &Line<'_>) {
        // Numbers and strings cannot fail. A closed pipe must not stop the work.
        if let (Ok(line), Ok(mut out)) = (serde_json::to_string(line), self.out.lock()) {
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }

    pub(crate) fn finish(&self) {
        self.files.finish_and_clear();
    }

    fn say(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

fn summary(input: &Path, output: &Path, report: &Report) -> String {
    let reduction =
        report.reduction_db.map_or("silent".into(), |db| format!("{:.1} dB down", db.max(0.0)));
    format!(
        "{} -> {}: {:.1} s, {} Hz, {} ch, {}, {}, {reduction}, {:.0}x real time",
        input.display(),
        output.display(),
        report.seconds,
        report.sample_rate,
        report.channels,
        report.depth,
        report.quality.unwrap_or("own weights"),
        1.0 / report.real_time_factor,
    )
}

/// The progress bar of one file.
pub(crate) struct FileProgress {
    bar: ProgressBar,
    styled: bool,
}

impl FileProgress {
    pub(crate) fn update(&mut self, audio: &Input) {
        if !self.styled {
            self.styled = true;
            let template = match audio.frames() {
                Some(_) => "{wide_bar} {percent:>3}% {eta} left  {msg}",
                None => "{spinner} {elapsed_precise}  {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            if let Some(frames) = audio.frames() {
                self.bar.set_length(frames);
            }
        }
        self.bar.set_position(audio.position());
    }
}

impl Drop for FileProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_agree_whichever_side_is_heard() {
        let dry = [0.5, -0.25, 0.0, 1.0];
        let voice = [0.25, -0.25, 0.0, 0.5];
        let removed: Vec<f32> = dry.iter().zip(&voice).map(|(d, v)| d - v).collect();
        let (mut a, mut b) = (Meter::new(0.0), Meter::new(0.0));
        a.input(&dry);
        a.result(&voice);
        b.input(&dry);
        b.removed(dry.into_iter(), &removed);
        assert_eq!(a.reduction_db(), b.reduction_db());
        assert!((a.reduction_db().unwrap_or(0.0) - 5.44).abs() < 0.01);
    }

    #[test]
    fn silence_has_neither_reduction_nor_peak() {
        let mut meter = Meter::new(0.0);
        meter.input(&[0.0; 4]);
        meter.result(&[0.0; 4]);
        meter.peak(&[&[0.0; 4]]);
        assert_eq!((meter.reduction_db(), meter.peak_dbfs()), (None, None));
    }
}
