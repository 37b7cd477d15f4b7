//! The command line.
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use wisp::Stereo;
use wisp::text::{decibels, percent};

use crate::wav::Depth;

const EXAMPLES: &str = "\
Examples:
  wisp noisy.wav                        writes noisy.clean.wav beside it
  wisp noisy.wav -o clean.wav           names the output
  wisp noisy.wav --reduction 18         leaves some of the room in
  wisp noisy.wav --sensitivity -3       keeps more of what may be voice
  wisp noisy.wav --ambience 5%          leaves a trace of the room's steady noise
  wisp noisy.wav --removed              writes what was taken out: noisy.removed.wav
  wisp takes/*.flac --out-dir clean -j 4

Reads WAV (RF64 too), AIFF, FLAC, MP3 and Ogg Vorbis; not Opus, AAC or video. Writes WAV with the
rate, channels and bit depth of the input (32-bit float for MP3, Vorbis and 64-bit float), aligned
with the input to the sample and of the same length.

Exit status: 0 all done, 1 some file failed (the others are done), 2 wrong usage, 130 interrupted.";

/// Takes the noise out of voice recordings.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Recordings to clean
    #[arg(required = true, value_name = "FILE")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Where to write the result, a .wav (one input only)
    #[arg(short, long, value_name = "FILE", conflicts_with = "out_dir")]
    pub(crate) output: Option<PathBuf>,

    /// Folder for the results, made if missing: NAME.wav for each input
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: Option<PathBuf>,

    /// Largest reduction in dB, or "full"
    #[arg(short, long, value_name = "DB|full", default_value = "full", value_parser = reduction)]
    pub(crate) reduction: f32,

    /// How eager, -12 to 12 dB: up, and what may be voice or noise goes with the noise
    #[arg(long, value_name = "DB", default_value = "0", value_parser = sensitivity)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) sensitivity: f32,

    /// How much of the room's steady noise stays, 0 to 100 %, or its level as "-20 dB"
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = ambience)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) ambience: f32,

    /// Write what was taken out instead of the voice
    #[arg(long)]
    pub(crate) removed: bool,

    /// Two channels: one mask for both, which keeps the image, or a network each
    #[arg(long, value_enum, default_value = "linked")]
    pub(crate) stereo: StereoArg,

    /// Sample format of the result instead of the input's
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(crate) depth: Option<Depth>,

    /// Weights of your own instead of those built in (train/README.md)
    #[arg(long, value_name = "FILE")]
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
}

/// [`Stereo`] by its name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StereoArg {
    Linked,
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
            assert_eq!((args.sensitivity, args.ambience), (db, 0.0), "{text}");
        }
        for (text, share) in [("5", 0.05), ("25 %", 0.25), ("-20 dB", 0.1), ("100%", 1.0)] {
            assert_eq!(args(&["--ambience", text]).expect(text).ambience, share, "{text}");
        }
        for text in ["", "12.1", "-13 dB", "nan", "5 %", "--removed"] {
            assert!(args(&["--sensitivity", text]).is_err(), "{text}");
        }
        for text in ["", "-1", "101 %", "+1 dB", "nan", "much"] {
            assert!(args(&["--ambience", text]).is_err(), "{text}");
        }
    }
}
