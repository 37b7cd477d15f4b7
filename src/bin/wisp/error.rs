//! Why a file could not be cleaned.
use std::io;
use std::path::PathBuf;

use wisp::EngineError;

/// Messages follow the input's name; those about the output name it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    #[error("is a folder, expected an audio file")]
    IsDirectory,
    #[error("is a pipe or a device, expected a file")]
    NotAFile,
    #[error("is empty, expected audio")]
    Empty,
    #[error("holds no audio: its header says 0 samples, expected at least 1")]
    NoSamples,
    #[error("is not audio in a format that Wisp reads (WAV, AIFF, FLAC, MP3, Ogg Vorbis)")]
    NotAudio,
    #[error(
        "{0} is not supported (WAV, AIFF, FLAC, MP3 and Ogg Vorbis are); convert it to WAV first"
    )]
    Codec(&'static str),
    #[error("is truncated or damaged: {actual:.3} s of audio, expected {expected:.3} s")]
    Truncated { actual: f64, expected: f64 },
    #[error("is truncated: it ends in the middle, after {0:.3} s of audio")]
    EndsEarly(f64),
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error("{0} channels, expected at most {max}", max = crate::input::MAX_CHANNELS)]
    Channels(usize),
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("output {} exists already (--force overwrites it)", .0.display())]
    OutputExists(PathBuf),
    #[error("output {} is a folder, a pipe or a device", .0.display())]
    OutputNotAFile(PathBuf),
    #[error("output {} is the input itself", .0.display())]
    OutputIsInput(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("a fault in this program: {0}; nothing written")]
    Fault(String),
    #[error("interrupted, nothing written")]
    Interrupted,
}
