//! Cleans one file.
use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wisp::{Controls, Dccrn, Engine, Listen};

use crate::error::Error;
use crate::input::Input;
use crate::report::{Meter, Report};
use crate::wav::{Depth, WavSpec, WavWriter};

/// Frames of silence at a time that drive the last samples out of the engine.
const FLUSH: usize = 4096;

/// What to do with every file.
pub(crate) struct Settings {
    pub(crate) network: Arc<Dccrn>,
    pub(crate) controls: Controls,
    pub(crate) depth: Option<Depth>,
    pub(crate) force: bool,
}

/// Cleans `input` into `output`; `progress` hears samples done and samples in all.
pub(crate) fn clean(
    settings: &Settings,
    input: &Path,
    output: &Path,
    stop: &AtomicBool,
    mut progress: impl FnMut(&Input),
) -> Result<Report, Error> {
    let started = Instant::now();
    let mut audio = Input::open(input)?;
    // Through a link to the file behind it: the link stays.
    let output = &fs::canonicalize(output).unwrap_or_else(|_| output.to_path_buf());
    check_output(input, output, settings.force)?;
    let spec = WavSpec { depth: settings.depth.unwrap_or(audio.spec().depth), ..audio.spec() };
    let mut denoiser = FileDenoiser::new(settings, &spec)?;
    let fail = |source| Error::Write { path: output.clone(), source };
    let file = temporary_beside(output).map_err(fail)?;
    let mut wav = WavWriter::new(BufWriter::new(file), spec, audio.frames()).map_err(fail)?;

    let mut planes = Vec::new();
    while audio.read(&mut planes)? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        denoiser.process(&mut planes);
        denoiser.write(&mut wav, &planes).map_err(fail)?;
        progress(&audio);
    }
    // What is still inside the engine comes out behind as much silence.
    let mut rest = denoiser.latency;
    while rest > 0 {
        let frames = rest.min(FLUSH);
        for plane in &mut planes {
            plane.clear();
            plane.resize(frames, 0.0);
        }
        denoiser.process(&mut planes);
        denoiser.write(&mut wav, &planes).map_err(fail)?;
        rest -= frames;
    }

    let clipped = wav.clipped();
    let file =
        wav.finish().map_err(fail)?.into_inner().map_err(|error| fail(error.into_error()))?;
    file.as_file().sync_all().map_err(fail)?;
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    put_in_place(file, output, settings.force)?;

    let seconds = audio.position() as f64 / f64::from(spec.rate);
    Ok(Report {
        seconds,
        sample_rate: spec.rate,
        channels: spec.channels,
        depth: spec.depth.name(),
        latency_samples: denoiser.latency,
        real_time_factor: started.elapsed().as_secs_f64() / seconds,
        reduction_db: denoiser.meter.reduction_db(),
        peak_dbfs: denoiser.meter.peak_dbfs(),
        clipped_samples: clipped,
        damaged_places: audio.damaged(),
    })
}

/// Any number of channels: one and two as the engine takes them, more each on its own.
struct FileDenoiser {
    engines: Vec<Engine>,
    channels_each: usize,
    controls: Controls,
    latency: usize,
    /// Samples of the output still to be dropped so that it is aligned with the input.
    skip: usize,
    /// The input of the last `latency` samples, where the meter needs it beside the output.
    dry: Option<Vec<VecDeque<f32>>>,
    meter: Meter,
}

impl FileDenoiser {
    fn new(settings: &Settings, spec: &WavSpec) -> Result<Self, Error> {
        let channels = usize::from(spec.channels);
        let channels_each = if channels == 2 { 2 } else { 1 };
        let engines = (0..channels / channels_each)
            .map(|_| Engine::new(settings.network.clone(), spec.rate, channels_each))
            .collect::<Result<Vec<_>, _>>()?;
        let latency = engines.first().map_or(0, Engine::latency_samples);
        let removed = settings.controls.listen == Listen::Removed;
        Ok(Self {
            engines,
            channels_each,
            controls: settings.controls,
            latency,
            skip: latency,
            dry: removed.then(|| vec![VecDeque::from(vec![0.0; latency]); channels]),
            meter: Meter::default(),
        })
    }

    fn process(&mut self, planes: &mut [Vec<f32>]) {
        for plane in planes.iter() {
            self.meter.input(plane);
        }
        if let Some(dry) = &mut self.dry {
            for (history, plane) in dry.iter_mut().zip(planes.iter()) {
                history.extend(plane);
            }
        }
        for (engine, planes) in self.engines.iter_mut().zip(planes.chunks_mut(self.channels_each)) {
            match planes {
                [one] => engine.process(&self.controls, &mut [one]),
                [left, right] => engine.process(&self.controls, &mut [left, right]),
                _ => {}
            }
        }
        match &mut self.dry {
            Some(dry) => {
                for (history, plane) in dry.iter_mut().zip(planes.iter()) {
                    let dry = history.drain(..plane.len());
                    self.meter.removed(dry, plane);
                }
            }
            None => planes.iter().for_each(|plane| self.meter.result(plane)),
        }
    }

    fn write<W: io::Write + io::Seek>(
        &mut self,
        wav: &mut WavWriter<W>,
        planes: &[Vec<f32>],
    ) -> io::Result<()> {
        let frames = planes.first().map_or(0, |plane| plane.len());
        let skip = self.skip.min(frames);
        self.skip -= skip;
        let rest: Vec<&[f32]> = planes.iter().map(|plane| &plane[skip..]).collect();
        self.meter.peak(&rest);
        wav.write(&rest)
    }
}

fn check_output(input: &Path, output: &Path, force: bool) -> Result<(), Error> {
    if same_file(input, output) {
        return Err(Error::OutputIsInput(output.to_path_buf()));
    }
    // It would be replaced, not written to.
    if output.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::OutputNotAFile(output.to_path_buf()));
    }
    // A link to nowhere exists too.
    if !force && output.symlink_metadata().is_ok() {
        return Err(Error::OutputExists(output.to_path_buf()));
    }
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// The result grows under another name, so that its own name never shows half a file.
fn temporary_beside(output: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".wisp-").suffix(".part");
    #[cfg(unix)]
    let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    builder.tempfile_in(folder_of(output))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn put_in_place(file: tempfile::NamedTempFile, output: &Path, force: bool) -> Result<(), Error> {
    let fail = |source| Error::Write { path: output.to_path_buf(), source };
    if force {
        return file.persist(output).map(drop).map_err(|error| fail(error.error));
    }
    match file.persist_noclobber(output) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::OutputExists(output.to_path_buf()))
        }
        // File systems without links (FAT) cannot do it in one step.
        Err(error) if output.symlink_metadata().is_err() => {
            error.file.persist(output).map(drop).map_err(|error| fail(error.error))
        }
        Err(error) => Err(fail(error.error)),
    }
}
