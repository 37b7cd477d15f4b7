//! Cleans one file.
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::{Controls, Engine, Listen, Model, Role};

use crate::cli::args::QualityArg;
use crate::cli::error::{Error, Warning};
use crate::cli::input::{Input, RawSpec};
use crate::cli::layout::{self, Lfe};
use crate::cli::metadata::{Metadata, id_text};
use crate::cli::output::{self, Format, Output, is_stdout};
use crate::cli::report::{Meter, Report};
use crate::cli::resample::RateConverter;
use crate::cli::source::is_stdin;
use crate::cli::wav::{Depth, WavSpec};

/// Block size of the silence that drives the last samples out of the engine, frames.
const FLUSH: usize = 4096;

/// Settings for all files.
pub(crate) struct Settings {
    pub(crate) model: Model,
    /// The model's quality, if it is built in.
    pub(crate) quality: Option<QualityArg>,
    pub(crate) controls: Controls,
    pub(crate) depth: Option<Depth>,
    /// Sample rate of the result in Hz, if it differs from the input's.
    pub(crate) rate: Option<u32>,
    pub(crate) format: Format,
    /// Inputs have no headers.
    pub(crate) raw: Option<RawSpec>,
    /// The channel of low-frequency effects, if the user specifies it.
    pub(crate) lfe: Option<Lfe>,
    pub(crate) force: bool,
}

/// Cleans `input` into `output`; `progress` receives the samples done and their total.
pub(crate) fn clean(
    settings: &Settings,
    input: &Path,
    output: &Path,
    stop: &AtomicBool,
    mut progress: impl FnMut(&Input),
) -> Result<Report, Error> {
    let started = Instant::now();
    let standard = is_stdout(output);
    let output = &if standard { output.to_path_buf() } else { output::resolved(output) };
    let check = || if standard { Ok(()) } else { output::check(input, output, settings.force) };
    let mut audio = Input::open(input, settings.raw)?;
    check()?;
    let source_rate = audio.spec().rate;
    let rate = settings.rate.unwrap_or(source_rate);
    let depth = settings.depth.unwrap_or(audio.spec().depth);
    let spec = output::fit(settings.format, WavSpec { depth, rate, ..audio.spec() })?;
    let (roles, warning) = layout::roles(&spec, settings.lfe)?;
    let mut denoiser = FileDenoiser::new(settings, source_rate, rate, roles)?;
    let (mut metadata, mut warnings) = keep(audio.metadata(), settings.format);
    warnings.extend(warning);
    let known = metadata.after.len();
    warnings.extend(metadata.change_rate(source_rate, rate).into_iter().map(Warning::Stale));
    let (format, frames) = (settings.format, audio.frames().map(|frames| denoiser.frames(frames)));
    let more = is_stdin(input);
    let mut out = Output::create(output, settings.force, format, spec, frames, &metadata, more)?;

    let mut planes = Vec::new();
    while audio.read(&mut planes)? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        denoiser.process(&mut planes);
        denoiser.write(&mut out, &planes)?;
        progress(&audio);
    }
    // Feeding as much silence drives the remaining samples out of the engine.
    planes.resize_with(usize::from(spec.channels), Vec::new);
    let mut rest = denoiser.latency;
    while rest > 0 {
        let frames = rest.min(FLUSH);
        for plane in &mut planes {
            plane.clear();
            plane.resize(frames, 0.0);
        }
        denoiser.process(&mut planes);
        denoiser.write(&mut out, &planes)?;
        rest -= frames;
    }
    denoiser.finish(&mut out)?;

    // In a stream, more metadata may have followed the audio.
    let after = &audio.metadata().after;
    if after.len() > known && settings.format != Format::Raw {
        let mut more = Metadata { after: after[known..].to_vec(), ..Metadata::default() };
        warnings.extend(more.change_rate(source_rate, rate).into_iter().map(Warning::Stale));
        metadata.after.append(&mut more.after);
    }
    let without = out.without_place(&metadata);
    if without > 0 {
        let chunks = metadata.after[metadata.after.len() - without..].iter();
        let what = chunks.map(|chunk| format!("{} chunk", id_text(&chunk.id))).collect();
        warnings.push(Warning::Lost { what, result: "a stream" });
    }
    let clipped = out.clipped();
    out.finish(&metadata, || stop.load(Ordering::Relaxed))?;

    warnings.extend(audio.warnings());
    warnings.extend((clipped > 0).then_some(Warning::Clipped(clipped)));
    let seconds = audio.position() as f64 / f64::from(source_rate);
    Ok(Report {
        seconds,
        sample_rate: spec.rate,
        channels: spec.channels,
        depth: spec.depth.name(),
        quality: settings.quality.map(QualityArg::name),
        latency_samples: denoiser.latency,
        real_time_factor: started.elapsed().as_secs_f64() / seconds,
        reduction_db: denoiser.meter.reduction_db(),
        peak_dbfs: denoiser.meter.peak_dbfs(),
        clipped_samples: clipped,
        damaged_places: audio.damaged(),
        warnings,
    })
}

/// The metadata that the result can keep, and what it cannot.
fn keep(metadata: &Metadata, format: Format) -> (Metadata, Vec<Warning>) {
    let mut kept = match format {
        Format::Wav => metadata.clone().into_chunks(),
        Format::Flac => metadata.clone(),
        // Raw output contains only samples, as expected.
        Format::Raw => Metadata::default(),
    };
    let lost = std::mem::take(&mut kept.lost);
    let lost = (!lost.is_empty()).then(|| Warning::Lost { what: lost, result: format.name() });
    (kept, lost.into_iter().collect())
}

/// An engine for a whole file, whose result is aligned with the input.
struct FileDenoiser {
    engine: Engine,
    roles: Vec<Role>,
    controls: Controls,
    latency: usize,
    /// Samples of the output still to be dropped so that it is aligned with the input.
    skip: usize,
    /// The last `latency` input samples, if the meter needs them alongside the output.
    dry: Option<Vec<VecDeque<f32>>>,
    meter: Meter,
    /// The converter, if the result has another rate.
    converter: Option<RateConverter>,
}

impl FileDenoiser {
    /// From `rate` to `result` Hz.
    fn new(settings: &Settings, rate: u32, result: u32, roles: Vec<Role>) -> Result<Self, Error> {
        let converter = (result != rate).then(|| RateConverter::new(rate, result, roles.len()));
        let engine = Engine::with_roles(&settings.model, rate, &roles)?;
        let latency = engine.latency_samples();
        let removed = settings.controls.listen == Listen::Removed;
        Ok(Self {
            engine,
            controls: settings.controls,
            latency,
            skip: latency,
            dry: removed.then(|| vec![VecDeque::from(vec![0.0; latency]); roles.len()]),
            roles,
            meter: Meter::new(settings.controls.output_db),
            converter: converter.transpose()?,
        })
    }

    /// Length of the result for a number of input samples.
    fn frames(&self, input: u64) -> u64 {
        self.converter.as_ref().map_or(input, |converter| converter.frames(input))
    }

    fn process(&mut self, planes: &mut [Vec<f32>]) {
        for plane in denoised(&self.roles, planes) {
            self.meter.input(plane);
        }
        if let Some(dry) = &mut self.dry {
            for (history, plane) in dry.iter_mut().zip(planes.iter()) {
                history.extend(plane);
            }
        }
        let mut blocks: Vec<&mut [f32]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
        self.engine.process(&self.controls, &mut blocks);
        match &mut self.dry {
            Some(dry) => {
                for ((history, plane), role) in dry.iter_mut().zip(planes.iter()).zip(&self.roles) {
                    let dry = history.drain(..plane.len());
                    if *role == Role::Denoised {
                        self.meter.removed(dry, plane);
                    }
                }
            }
            None => denoised(&self.roles, planes).for_each(|plane| self.meter.result(plane)),
        }
    }

    fn write(&mut self, out: &mut Output, planes: &[Vec<f32>]) -> Result<(), Error> {
        let frames = planes.first().map_or(0, |plane| plane.len());
        let skip = self.skip.min(frames);
        self.skip -= skip;
        let rest: Vec<&[f32]> = planes.iter().map(|plane| &plane[skip..]).collect();
        let Some(converter) = &mut self.converter else {
            self.meter.peak(&rest);
            return out.write(&rest);
        };
        let ready = slices(converter.convert(&rest)?);
        self.meter.peak(&ready);
        out.write(&ready)
    }

    /// The samples still inside the converter.
    fn finish(&mut self, out: &mut Output) -> Result<(), Error> {
        let Some(converter) = &mut self.converter else { return Ok(()) };
        let ready = slices(converter.finish()?);
        self.meter.peak(&ready);
        out.write(&ready)
    }
}

/// The channels that are denoised, not passed through.
fn denoised<'a>(roles: &'a [Role], planes: &'a [Vec<f32>]) -> impl Iterator<Item = &'a Vec<f32>> {
    let chosen = planes.iter().zip(roles).filter(|(_, role)| **role == Role::Denoised);
    chosen.map(|(plane, _)| plane)
}

fn slices(planes: &[Vec<f32>]) -> Vec<&[f32]> {
    planes.iter().map(Vec::as_slice).collect()
}
