//! Errors and warnings about files.
use std::io;
use std::path::PathBuf;

use crate::EngineError;

/// Supported input formats.
pub(crate) const FORMATS: &str =
    "WAV, AIFF, AU, Wave64, CAF, FLAC, ALAC, MP3, AAC, Opus and Ogg Vorbis";

/// Messages are printed after the input's name; those about the output contain its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    #[error("is a folder, expected an audio file")]
    IsDirectory,
    #[error("is a pipe or a device, expected a file (use - to read standard input)")]
    NotAFile,
    #[error("is empty, expected audio")]
    Empty,
    #[error("contains no audio: 0 samples, expected at least 1")]
    NoSamples,
    #[error("is not audio in a format that Wisp reads ({FORMATS}); convert it to WAV first")]
    NotAudio,
    #[error("{0} is not supported, only {FORMATS}; convert it to WAV first")]
    Codec(String),
    #[error("is truncated: it ends in {place}")]
    EndsEarly { place: &'static str },
    #[error(
        "is MPEG-4 with its index at the end, which a pipe cannot seek to: name the file instead"
    )]
    NeedsFile,
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error(
        "changes at {seconds:.3} s from {rate} Hz, {channels} ch to {new_rate} Hz, {new_channels} \
         ch: a WAV file has one rate and one number of channels; split it there first"
    )]
    Changes { seconds: f64, rate: u32, channels: u16, new_rate: u32, new_channels: usize },
    #[error("{0} channels, expected at most {max}", max = crate::cli::input::MAX_CHANNELS)]
    Channels(usize),
    #[error("--lfe names channel {channel}, but it has {channels} channels")]
    Lfe { channel: u16, channels: u16 },
    #[error("{channels} channels, but FLAC has at most 8 (--output-format wav has no such limit)")]
    FlacChannels { channels: u16 },
    #[error("{rate} Hz, but FLAC has at most 655350 Hz (--output-format wav has no such limit)")]
    FlacRate { rate: u32 },
    #[error("cannot convert from {from} to {to} Hz: {reason}")]
    Rate { from: u32, to: u32, reason: String },
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("output {} already exists (use --force to overwrite it)", .0.display())]
    OutputExists(PathBuf),
    #[error("output {} is a folder, a pipe or a device (use -o - for standard output)", .0.display())]
    OutputNotAFile(PathBuf),
    #[error("output {} is the input itself", .0.display())]
    OutputIsInput(PathBuf),
    #[error(
        "cannot write {}: folder {} does not exist (create it, or use --out-dir)",
        path.display(), folder.display()
    )]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    WriteStandard(#[source] io::Error),
    #[error("internal error: {0}; nothing was written. {report}", report = crate::cli::fault::REPORT)]
    Fault(String),
    #[error("interrupted, nothing was written")]
    Interrupted,
}

/// Anything odd or not kept, although the audio was written completely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Warning {
    #[error("is cut short: found and kept {actual} of {expected} samples")]
    Cut { actual: u64, expected: u64 },
    #[error("ends unexpectedly after {actual} samples, which were kept")]
    EndsEarly { actual: u64 },
    #[error("its unfinished header says 0 samples; found and kept {actual}")]
    Unfinished { actual: u64 },
    #[error("its header says {expected} samples; found and kept {actual}")]
    Longer { actual: u64, expected: u64 },
    #[error("its header says {expected} bytes of audio; found and kept {actual}")]
    Bytes { actual: u64, expected: u64 },
    #[error("its last {0} bytes are not a whole sample and were left out")]
    Partial(u64),
    #[error("{0} bytes after the audio are neither audio nor chunks and were left out")]
    Rubbish(u64),
    #[error("damaged sections, silent in the result: {0}")]
    DamagedPlaces(u64),
    #[error("samples above full scale, clipped: {0}")]
    Clipped(u64),
    #[error("its {0} chunk describes the original audio and was left out")]
    Stale(String),
    #[error("its {id} chunk is too large to keep: {bytes} bytes")]
    TooLarge { id: String, bytes: u64 },
    #[error("its {0} chunk is cut off and was left out")]
    CutChunk(String),
    #[error("{result} cannot store, and loses: {}", what.join(", "))]
    Lost { what: Vec<String>, result: &'static str },
    #[error("it has {0} audio tracks; the first one was used")]
    Tracks(usize),
    #[error(
        "it does not state its channel layout: assumed {layout}.1 and passed channel {channel} through as the LFE \
         (--lfe none cleans it too)"
    )]
    TakenForLfe { channel: u16, layout: u16 },
    #[error("AAC at {0} Hz: if this is HE-AAC, the upper half of its band is missing")]
    PerhapsHeAac(u32),
}

/// An error and its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
