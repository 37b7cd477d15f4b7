//! The command line.
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::text::{decibels, percent};
use crate::{Controls, Listen, Quality, Stereo, preset};
use clap::{Parser, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::cli::input::RawSpec;
use crate::cli::layout::Lfe;
use crate::cli::output::Format;
use crate::cli::wav::Depth;

const EXAMPLES: &str = "\
Examples:
  wisp noisy.wav                        writes noisy.clean.wav in the same folder
  wisp noisy.wav -o clean.flac          sets the output file; its extension sets the format
  wisp noisy.wav --reduction 18         keeps some of the room
  wisp noisy.wav --sensitivity -3       keeps doubtful sounds
  wisp noisy.wav --ambience 5%          keeps a trace of the room's steady noise
  wisp noisy.wav --preset Podcast       uses one of the plugin's presets
  wisp noisy.wav --removed              writes what was removed: noisy.removed.wav
  wisp noisy.wav --quality live         cleans as in a call, faster
  wisp takes/*.flac --out-dir clean -j 4
  ffmpeg -i film.mkv -f wav - | wisp - -o - | ffmpeg -i - clean.mp3

Reads WAV (including RF64, BW64 and Wave64), AIFF, AU, CAF, FLAC, ALAC, MP3, AAC, Opus and Ogg Vorbis, also
inside MPEG-4 and Matroska. Writes WAV with the input's sample rate, channels and bit depth (32-bit float for
lossy formats and 64-bit float). The output has the input's length and is aligned with it to the sample. WAV
chunks (bext, iXML, cue, LIST, id3 and others) keep their order; from other formats the time reference and the
common tags are kept. A warning names anything that cannot be kept.

Studio has 60 ms of latency and gives a slightly cleaner voice; Live has 20 ms. Files come out aligned either way;
from a live pipe the result arrives that much later. Memory use does not depend on the length of a recording.

Exit status: 0 success, 1 a file failed (the others are done), 2 usage error, 130 interrupted.";

/// Removes noise from voice recordings.
#[derive(Debug, Parser)]
#[command(name = "wisp", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Recordings to clean, or - for standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["completions", "man"])]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) inputs: Vec<PathBuf>,

    /// Output file, .wav or .flac, or - for standard output (single input only)
    #[arg(short, long, value_name = "FILE", conflicts_with = "out_dir")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Output folder, created if missing: NAME.wav for each input
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out_dir: Option<PathBuf>,

    /// Output format; raw is samples only, little-endian [default: from the extension of -o, else wav]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) output_format: Option<Format>,

    /// Read inputs as samples without a header, such as 48000:1:s16 (also u8, s24, s32, f32; s16be)
    #[arg(long, value_name = "RATE:CHANNELS:FORMAT", value_parser = RawSpec::parse)]
    pub(crate) raw_input: Option<RawSpec>,

    /// Preset: the name of a factory or user preset, or a preset file
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) preset: Option<OsString>,

    /// Built-in weights: studio for recordings, or live as in a call, faster
    #[arg(long, value_enum, value_name = "QUALITY", conflicts_with = "weights")]
    #[arg(default_value_t = QualityArg::Studio)]
    pub(crate) quality: QualityArg,

    /// Maximum noise reduction in dB, or "full" [default: 24]
    #[arg(short, long, value_name = "DB|full", value_parser = reduction)]
    pub(crate) reduction: Option<f32>,

    /// Decides doubtful sounds, -12 to 12 dB: up treats them as noise, down keeps them [default: 0]
    #[arg(long, value_name = "DB", value_parser = sensitivity)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) sensitivity: Option<f32>,

    /// Share of the room's steady noise to keep, 0 to 100 %, or its level as "-20 dB" [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = ambience)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) ambience: Option<f32>,

    /// Write what was removed instead of the result
    #[arg(long)]
    pub(crate) removed: bool,

    /// Channels: linked uses one mask and preserves the stereo image, independent cleans each separately [default: linked]
    #[arg(long, value_enum)]
    pub(crate) stereo: Option<StereoArg>,

    /// Channel, from 1, to pass through as low-frequency effects, or none [default: from the file]
    #[arg(long, value_name = "N|none", value_parser = Lfe::parse)]
    pub(crate) lfe: Option<Lfe>,

    /// Sample format of the output [default: the input's]
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(crate) depth: Option<Depth>,

    /// Sample rate of the output, 8000 to 384000 Hz [default: the input's]
    #[arg(long, value_name = "HZ")]
    #[arg(value_parser = clap::value_parser!(u32).range(8_000..=384_000))]
    pub(crate) rate: Option<u32>,

    /// Load your own weights instead of the built-in ones (train/README.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: Option<PathBuf>,

    /// Number of files to process at once [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// Overwrite existing files
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Print one JSON object per finished file on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// Print errors and warnings only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print shell completions and exit
    #[arg(long, value_enum, value_name = "SHELL", exclusive = true)]
    pub(crate) completions: Option<Shell>,

    /// Print the man page (roff) and exit
    #[arg(long, exclusive = true)]
    pub(crate) man: bool,
}

impl Args {
    /// The preset's values, overridden by any options given.
    pub(crate) fn controls(&self) -> Result<Controls, String> {
        let mut controls = Controls::default();
        if let Some(name) = &self.preset {
            apply_preset(&mut controls, name)?;
        }
        if let Some(reduction) = self.reduction {
            controls.reduction_db = reduction;
        }
        if let Some(sensitivity) = self.sensitivity {
            controls.sensitivity_db = sensitivity;
        }
        if let Some(ambience) = self.ambience {
            controls.ambience = ambience;
        }
        if let Some(stereo) = self.stereo {
            controls.stereo = stereo.into();
        }
        if self.removed {
            controls.listen = Listen::Removed;
        }
        Ok(controls)
    }
}

/// Applies a preset file given by path, or a factory or user preset given by name.
fn apply_preset(controls: &mut Controls, name: &OsStr) -> Result<(), String> {
    let path = Path::new(name);
    let shown = path.display();
    let text = name.to_str().unwrap_or_default();
    let is_path = path.components().count() > 1
        || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let factory = preset::FACTORY.iter().find(|factory| factory.name.eq_ignore_ascii_case(text));
    if let Some(factory) = factory.filter(|_| !is_path) {
        for (name, text) in factory.settings {
            preset::apply(controls, name, text)
                .ok_or_else(|| format!("{name}: “{text}” is not valid"))?;
        }
        return Ok(());
    }
    let own = preset::user_folder().filter(|_| !is_path && preset::is_name(text));
    let own = own.map(|folder| folder.join(format!("{text}.json"))).filter(|path| path.exists());
    let path = own.as_deref().unwrap_or(path);
    let text = match preset::read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Err(format!("preset {shown}: too large for a preset")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let names: Vec<&str> = preset::FACTORY.iter().map(|factory| factory.name).collect();
            let place = preset::user_folder().map_or_else(String::new, |folder| {
                format!(", and no user preset in {}", folder.display())
            });
            let names = names.join(", ");
            return Err(format!("preset {shown}: no such file, not one of {names}{place}"));
        }
        Err(error) => return Err(format!("preset {shown}: {error}")),
    };
    for (name, text) in preset::parse(&text).map_err(|error| format!("preset {shown}: {error}"))? {
        preset::apply(controls, name, &text)
            .ok_or_else(|| format!("preset {shown}: {name}: “{text}” is not valid"))?;
    }
    Ok(())
}

/// [`Stereo`] by its name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StereoArg {
    Linked,
    #[value(alias = "split")]
    Independent,
}

impl From<StereoArg> for Stereo {
    fn from(arg: StereoArg) -> Self {
        match arg {
            StereoArg::Linked => Self::Linked,
            StereoArg::Independent => Self::Independent,
        }
    }
}

/// [`Quality`] by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QualityArg {
    Live,
    Studio,
}

impl QualityArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Studio => "studio",
        }
    }
}

impl From<QualityArg> for Quality {
    fn from(arg: QualityArg) -> Self {
        match arg {
            QualityArg::Live => Self::Live,
            QualityArg::Studio => Self::Studio,
        }
    }
}

/// "full", "24", "24dB" or "24 dB".
fn reduction(text: &str) -> Result<f32, String> {
    if text.trim().eq_ignore_ascii_case("full") {
        return Ok(f32::INFINITY);
    }
    let db = decibels(text).filter(|db| *db >= 0.0);
    db.ok_or_else(|| "expected 0 dB or more, or \"full\"".into())
}

/// "-3", "+3 dB".
fn sensitivity(text: &str) -> Result<f32, String> {
    let db = decibels(text).filter(|db| (-12.0..=12.0).contains(db));
    db.ok_or_else(|| "expected -12 to 12 dB".into())
}

/// "5", "5 %", "-26 dB" -> a share, 0..=1.
fn ambience(text: &str) -> Result<f32, String> {
    let share = percent(text).filter(|percent| (0.0..=100.0).contains(percent));
    share
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "expected 0 to 100 %, or a level of 0 dB or less".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn reductions_read_as_people_write_them() {
        for (text, db) in [
            ("full", f32::INFINITY),
            ("Full", f32::INFINITY),
            ("0", 0.0),
            ("24 dB", 24.0),
            ("6.5db", 6.5),
        ] {
            assert_eq!(reduction(text), Ok(db), "{text}");
        }
        for text in ["", "-3", "nan", "inf", "dB", "loud", "1e99"] {
            assert!(reduction(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sensitivity_and_ambience_read_as_in_the_plugin() {
        let args = |rest: &[&str]| Args::try_parse_from([&["wisp", "a.wav"], rest].concat());
        for (text, db) in [("-3", -3.0), ("+3 dB", 3.0), ("-12dB", -12.0), ("0", 0.0)] {
            let args = args(&["--sensitivity", text]).expect(text);
            assert_eq!((args.sensitivity, args.ambience), (Some(db), None), "{text}");
        }
        for (text, share) in [("5", 0.05), ("25 %", 0.25), ("-20 dB", 0.1), ("100%", 1.0)] {
            assert_eq!(args(&["--ambience", text]).expect(text).ambience, Some(share), "{text}");
        }
        for text in ["", "12.1", "-13 dB", "nan", "5 %", "--removed"] {
            assert!(args(&["--sensitivity", text]).is_err(), "{text}");
        }
        for text in ["", "-1", "101 %", "+1 dB", "nan", "much"] {
            assert!(args(&["--ambience", text]).is_err(), "{text}");
        }
    }
}
