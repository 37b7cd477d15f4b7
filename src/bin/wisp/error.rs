//! Why a file could not be cleaned, and what is to be said of one that was.
use std::io;
use std::path::PathBuf;

use wisp::EngineError;

/// Formats that are read.
pub(crate) const FORMATS: &str =
    "WAV, AIFF, AU, Wave64, CAF, FLAC, ALAC, MP3, AAC, Opus and Ogg Vorbis";

/// Messages follow the input's name; those about the output name it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    #[error("is a folder, expected an audio file")]
    IsDirectory,
    #[error("is a pipe or a device, expected a file (- reads from standard input)")]
    NotAFile,
    #[error("is empty, expected audio")]
    Empty,
    #[error("holds no audio: 0 samples, expected at least 1")]
    NoSamples,
    #[error("is not audio in a format that Wisp reads ({FORMATS}); convert it to WAV first")]
    NotAudio,
    #[error("{0} is not supported ({FORMATS} are); convert it to WAV first")]
    Codec(String),
    #[error("is truncated: it ends in {place}")]
    EndsEarly { place: &'static str },
    #[error("is MPEG-4 whose index stands at its end: give the file itself, a pipe cannot go back")]
    NeedsFile,
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error(
        "changes at {seconds:.3} s from {rate} Hz, {channels} ch to {new_rate} Hz, {new_channels} \
         ch: a WAV file has one rate and one number of channels; split it there first"
    )]
    Changes { seconds: f64, rate: u32, channels: u16, new_rate: u32, new_channels: usize },
    #[error("{0} channels, expected at most {max}", max = crate::input::MAX_CHANNELS)]
    Channels(usize),
    #[error("{channels} channels, but FLAC has at most 8 (--output-format wav has no such limit)")]
    FlacChannels { channels: u16 },
    #[error("{rate} Hz, but FLAC has at most 655350 Hz (--output-format wav has no such limit)")]
    FlacRate { rate: u32 },
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("output {} exists already (--force overwrites it)", .0.display())]
    OutputExists(PathBuf),
    #[error("output {} is a folder, a pipe or a device (-o - writes to standard output)", .0.display())]
    OutputNotAFile(PathBuf),
    #[error("output {} is the input itself", .0.display())]
    OutputIsInput(PathBuf),
    #[error(
        "cannot write {}: there is no folder {} (make it, or name it with --out-dir)",
        path.display(), folder.display()
    )]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    WriteStandard(#[source] io::Error),
    #[error("a fault in this program: {0}; nothing written")]
    Fault(String),
    #[error("interrupted, nothing written")]
    Interrupted,
}

/// What was odd, or could not be kept, while the sound was written whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Warning {
    #[error("was cut short: {actual} of {expected} samples are there and were kept")]
    Cut { actual: u64, expected: u64 },
    #[error("ends in the middle, after {actual} samples, which were kept")]
    EndsEarly { actual: u64 },
    #[error("its header was never finished and says 0 samples; {actual} are there and were kept")]
    Unfinished { actual: u64 },
    #[error("its header says {expected} samples, but {actual} are there and were kept")]
    Longer { actual: u64, expected: u64 },
    #[error("its header says {expected} bytes of sound, but {actual} are there and were kept")]
    Bytes { actual: u64, expected: u64 },
    #[error("its last {0} bytes are no whole sample and were left out")]
    Partial(u64),
    #[error("{0} bytes behind its sound are neither sound nor chunks and were left out")]
    Rubbish(u64),
    #[error("damaged places, silent in the result: {0}")]
    DamagedPlaces(u64),
    #[error("samples above full scale, clipped: {0}")]
    Clipped(u64),
    #[error("its {0} chunk tells of the sound as it was and was left out")]
    Stale(String),
    #[error("its {id} chunk is too large to keep: {bytes} bytes")]
    TooLarge { id: String, bytes: u64 },
    #[error("its {0} chunk is cut off and was left out")]
    CutChunk(String),
    #[error("not kept, {result} has no place for it: {}", what.join(", "))]
    Lost { what: Vec<String>, result: &'static str },
    #[error("of its {0} tracks of sound the first was taken")]
    Tracks(usize),
    #[error("AAC at {0} Hz: if this is HE-AAC, the upper half of its band is missing")]
    PerhapsHeAac(u32),
}
