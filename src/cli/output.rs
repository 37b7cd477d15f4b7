//! Output: a file that gets its name when it is complete, or standard output.
use std::fs;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tempfile::NamedTempFile;

use crate::cli::error::Error;
use crate::cli::flac::{self, FlacWriter};
use crate::cli::metadata::Metadata;
use crate::cli::wav::{Quantizer, WavSpec, WavWriter, Way};

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // RF64 beyond 4 GiB.
    #[default]
    Wav,
    // At most 24 bits.
    Flac,
    // Only samples, little-endian, interleaved.
    Raw,
}

impl Format {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::Raw => "raw",
        }
    }

    /// The format implied by a file name.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "wav" | "wave" => Some(Self::Wav),
            "flac" => Some(Self::Flac),
            "raw" | "pcm" => Some(Self::Raw),
            _ => None,
        }
    }

    /// Its usual name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
            Self::Raw => "raw samples",
        }
    }
}

/// Whether a name means standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// A file with a temporary name until it is complete, or standard output.
pub(crate) enum Target {
    File(BufWriter<NamedTempFile>),
    Standard(io::Stdout),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Standard(out) => out.flush(),
        }
    }
}

impl Seek for Target {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Standard(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

enum Writer {
    Wav(WavWriter<Target>),
    Flac(Box<FlacWriter<Target>>),
    Raw(Target, Quantizer),
}

/// A result being written.
pub(crate) struct Output {
    writer: Writer,
    /// None: standard output.
    path: Option<PathBuf>,
    force: bool,
    /// Chunks after the audio that already have their place.
    written: usize,
}

impl Output {
    /// Starts a result; `more` if further metadata may follow.
    pub(crate) fn create(
        path: &Path,
        force: bool,
        format: Format,
        spec: WavSpec,
        frames: Option<u64>,
        metadata: &Metadata,
        more: bool,
    ) -> Result<Self, Error> {
        let path = (!is_stdout(path)).then(|| path.to_path_buf());
        let fail = |source| write_error(path.as_deref(), source);
        let (target, way) = match &path {
            Some(path) => {
                let file = temporary_beside(path).map_err(fail)?;
                (Target::File(BufWriter::new(file)), Way::File)
            }
            None => (Target::Standard(io::stdout()), Way::Stream { more }),
        };
        let writer = match format {
            Format::Wav => WavWriter::new(target, way, spec, frames, metadata).map(Writer::Wav),
            Format::Flac => FlacWriter::new(target, way, spec, frames, metadata)
                .map(|flac| Writer::Flac(Box::new(flac))),
            Format::Raw => Ok(Writer::Raw(target, Quantizer::new(spec.depth))),
        };
        let written = metadata.after.len();
        Ok(Self { writer: writer.map_err(fail)?, written, path, force })
    }

    /// Samples that did not fit an integer format so far.
    pub(crate) fn clipped(&self) -> u64 {
        match &self.writer {
            Writer::Wav(wav) => wav.clipped(),
            Writer::Flac(flac) => flac.clipped(),
            Writer::Raw(_, samples) => samples.clipped(),
        }
    }

    /// One slice per channel, equal lengths.
    pub(crate) fn write(&mut self, planes: &[&[f32]]) -> Result<(), Error> {
        let standard = self.path.is_none();
        let done = match &mut self.writer {
            Writer::Wav(wav) => {
                wav.write(planes).and_then(|()| if standard { wav.flush() } else { Ok(()) })
            }
            Writer::Flac(flac) => {
                flac.write(planes).and_then(|()| if standard { flac.flush() } else { Ok(()) })
            }
            Writer::Raw(target, samples) => target
                .write_all(samples.bytes(planes))
                .and_then(|()| if standard { target.flush() } else { Ok(()) }),
        };
        done.map_err(|source| write_error(self.path.as_deref(), source))
    }

    /// Number of chunks after the audio that do not fit.
    pub(crate) fn without_place(&self, metadata: &Metadata) -> usize {
        let after = metadata.after.len();
        match &self.writer {
            Writer::Wav(wav) if wav.takes_chunks() => 0,
            Writer::Wav(_) => after,
            Writer::Flac(_) => after - self.written.min(after),
            Writer::Raw(..) => 0,
        }
    }

    /// Completes the result and gives it its name, unless `stop` says otherwise at the last moment.
    pub(crate) fn finish(self, metadata: &Metadata, stop: impl Fn() -> bool) -> Result<(), Error> {
        let path = self.path;
        let fail = |source| write_error(path.as_deref(), source);
        let target = match self.writer {
            Writer::Wav(wav) => wav.finish(&metadata.after),
            Writer::Flac(flac) => flac.finish(),
            Writer::Raw(mut target, _) => target.flush().map(|()| target),
        };
        let (Target::File(file), Some(path)) = (target.map_err(fail)?, &path) else {
            return Ok(());
        };
        let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
        file.as_file().sync_all().map_err(fail)?;
        if stop() {
            return Err(Error::Interrupted);
        }
        put_in_place(file, path, self.force)
    }
}

fn write_error(path: Option<&Path>, source: io::Error) -> Error {
    match path {
        Some(path) => Error::Write { path: path.to_path_buf(), source },
        None => Error::WriteStandard(source),
    }
}

/// Checks the output before starting the work.
pub(crate) fn check(input: &Path, output: &Path, force: bool) -> Result<(), Error> {
    if same_file(input, output) {
        return Err(Error::OutputIsInput(output.to_path_buf()));
    }
    // It would be replaced, not written to.
    if output.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::OutputNotAFile(output.to_path_buf()));
    }
    match output.symlink_metadata() {
        // Also true for a dangling link.
        Ok(_) if !force => return Err(Error::OutputExists(output.to_path_buf())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
        // For example a name that is too long, or a folder without permission.
        Err(source) => return Err(Error::Write { path: output.to_path_buf(), source }),
    }
    let folder = folder_of(output);
    if !folder.is_dir() {
        return Err(Error::NoFolder { path: output.to_path_buf(), folder });
    }
    Ok(())
}

/// Follows a link to its file, so that the link stays.
pub(crate) fn resolved(output: &Path) -> PathBuf {
    fs::canonicalize(output).unwrap_or_else(|_| output.to_path_buf())
}

fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// The result is written under a temporary name, so that its name never refers to a partial file.
fn temporary_beside(output: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".wisp-").suffix(".part");
    #[cfg(unix)]
    let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    // The system's error, without the temporary name.
    builder.tempfile_in(folder_of(output)).map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.source());
        let code = inner.and_then(|inner| inner.downcast_ref::<io::Error>()?.raw_os_error());
        code.or(error.raw_os_error()).map_or(error, io::Error::from_raw_os_error)
    })
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn put_in_place(file: NamedTempFile, output: &Path, force: bool) -> Result<(), Error> {
    let fail = |source| Error::Write { path: output.to_path_buf(), source };
    if force {
        return file.persist(output).map(drop).map_err(|error| fail(error.error));
    }
    match file.persist_noclobber(output) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::OutputExists(output.to_path_buf()))
        }
        // File systems without hard links (FAT) cannot do this atomically.
        Err(error) if output.symlink_metadata().is_err() => {
            error.file.persist(output).map(drop).map_err(|error| fail(error.error))
        }
        Err(error) => Err(fail(error.error)),
    }
}

/// The format's bit depth, and whether it supports the channels and the rate.
pub(crate) fn fit(format: Format, spec: WavSpec) -> Result<WavSpec, Error> {
    if format != Format::Flac {
        return Ok(spec);
    }
    flac::check(&spec)?;
    Ok(WavSpec { depth: flac::depth(spec.depth), ..spec })
}
