//! The command line.
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum, ValueHint};
use clap_complete::Shell;
use wisp::text::{decibels, percent};
use wisp::{Controls, Listen, Stereo, preset};

use crate::input::RawSpec;
use crate::output::Format;
use crate::wav::Depth;

const EXAMPLES: &str = "\
Examples:
  wisp noisy.wav                        writes noisy.clean.wav beside it
  wisp noisy.wav -o clean.flac          names the output, and by its ending the format
  wisp noisy.wav --reduction 18         leaves some of the room in
  wisp noisy.wav --sensitivity -3       keeps more of what may be voice
  wisp noisy.wav --ambience 5%          leaves a trace of the room's steady noise
  wisp noisy.wav --preset Podcast       as the plugin does with that preset
  wisp noisy.wav --removed              writes what was taken out: noisy.removed.wav
  wisp takes/*.flac --out-dir clean -j 4
  ffmpeg -i film.mkv -f wav - | wisp - -o - | ffmpeg -i - clean.mp3

Reads WAV (RF64, BW64 and Wave64 too), AIFF, AU, CAF, FLAC, ALAC, MP3, AAC, Opus and Ogg Vorbis, also out of
MPEG-4 and Matroska. Writes WAV with the rate, channels and bit depth of the input (32-bit float for lossy
formats and 64-bit float), aligned with the input to the sample and of the same length. Chunks of WAV files
(bext, iXML, cue, LIST, id3 and such) stay in their order; of other formats the time reference and the
common tags are kept. What cannot be kept is said.

Exit status: 0 all done, 1 some file failed (the others are done), 2 wrong usage, 130 interrupted.";

/// Takes the noise out of voice recordings.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Recordings to clean; - is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["completions", "man"])]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) inputs: Vec<PathBuf>,

    /// Where to write the result, a .wav or .flac, or - for standard output (one input only)
    #[arg(short, long, value_name = "FILE", conflicts_with = "out_dir")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Folder for the results, made if missing: NAME.wav for each input
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out_dir: Option<PathBuf>,

    /// What to write, raw being samples alone, little-endian [default: by the ending of -o, else wav]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) output_format: Option<Format>,

    /// Inputs have no header but are samples alone, such as 48000:1:s16 (also u8, s24, s32, f32; s16be)
    #[arg(long, value_name = "RATE:CHANNELS:FORMAT", value_parser = RawSpec::parse)]
    pub(crate) raw_input: Option<RawSpec>,

    /// A preset of the plugin by its name, yours or one that comes with it, or a preset's file
    #[arg(short, long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) preset: Option<OsString>,

    /// Largest reduction in dB, or "full" [default: 24]
    #[arg(short, long, value_name = "DB|full", value_parser = reduction)]
    pub(crate) reduction: Option<f32>,

    /// How eager, -12 to 12 dB: up, and what may be voice or noise goes with the noise [default: 0]
    #[arg(long, value_name = "DB", value_parser = sensitivity)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) sensitivity: Option<f32>,

    /// How much of the room's steady noise stays, 0 to 100 %, or its level as "-20 dB" [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = ambience)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) ambience: Option<f32>,

    /// Write what was taken out instead of the voice
    #[arg(long)]
    pub(crate) removed: bool,

    /// Two channels: one mask for both, which keeps the image, or a network each [default: linked]
    #[arg(long, value_enum)]
    pub(crate) stereo: Option<StereoArg>,

    /// Sample format of the result instead of the input's
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(crate) depth: Option<Depth>,

    /// Weights of your own instead of those built in (train/README.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: Option<PathBuf>,

    /// Files worked on at once [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// Overwrite results that exist already
    #[arg(short, long)]
    pub(crate) force: bool,

    /// One JSON object per file on standard output, as each is finished
    #[arg(long)]
    pub(crate) json: bool,

    /// No progress bar and no summary; errors and warnings only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print what completes these options in a shell, and end
    #[arg(long, value_enum, value_name = "SHELL", exclusive = true)]
    pub(crate) completions: Option<Shell>,

    /// Print the manual page (roff), and end
    #[arg(long, exclusive = true)]
    pub(crate) man: bool,
}

impl Args {
    /// A preset's values, with those named beside it.
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

/// A file by its path, else one of Wisp's own or the user's by its name.
fn apply_preset(controls: &mut Controls, name: &OsStr) -> Result<(), String> {
    let path = Path::new(name);
    let shown = path.display();
    let text = name.to_str().unwrap_or_default();
    let is_path = path.components().count() > 1
        || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let factory = preset::FACTORY.iter().find(|factory| factory.name.eq_ignore_ascii_case(text));
    if let Some(factory) = factory.filter(|_| !is_path) {
        for (name, text) in factory.settings {
            preset::apply(controls, name, text).ok_or_else(|| format!("{name}: “{text}”?"))?;
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
                format!(", no preset of yours in {}", folder.display())
            });
            let names = names.join(", ");
            return Err(format!("preset {shown}: no such file, none of {names}{place}"));
        }
        Err(error) => return Err(format!("preset {shown}: {error}")),
    };
    for (name, text) in preset::parse(&text).map_err(|error| format!("preset {shown}: {error}"))? {
        preset::apply(controls, name, &text)
            .ok_or_else(|| format!("preset {shown}: {name}: “{text}”?"))?;
    }
    Ok(())
}

/// [`Stereo`] by its name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StereoArg {
    Linked,
    #[value(alias = "independent")]
    Split,
}

impl From<StereoArg> for Stereo {
    fn from(arg: StereoArg) -> Self {
        match arg {
            StereoArg::Linked => Self::Linked,
            StereoArg::Split => Self::Independent,
        }
    }
}

/// "full", "24", "24dB" or "24 dB".
fn reduction(text: &str) -> Result<f32, String> {
    if text.trim().eq_ignore_ascii_case("full") {
        return Ok(f32::INFINITY);
    }
    let db = decibels(text).filter(|db| *db >= 0.0);
    db.ok_or_else(|| "expected a number of dB from 0 up, or \"full\"".into())
}

/// "-3", "+3 dB".
fn sensitivity(text: &str) -> Result<f32, String> {
    let db = decibels(text).filter(|db| (-12.0..=12.0).contains(db));
    db.ok_or_else(|| "expected a number of dB from -12 to 12".into())
}

/// "5", "5 %", "-26 dB" -> a share, 0..=1.
fn ambience(text: &str) -> Result<f32, String> {
    let share = percent(text).filter(|percent| (0.0..=100.0).contains(percent));
    share.map(|percent| percent / 100.0).ok_or_else(|| "expected 0 to 100 %, or dB below 0".into())
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
