//! The VST3 and CLAP plugin: glue between a host and the [`Engine`].
#[allow(unsafe_code)] // Hosts call through pointers.
mod clap;
#[allow(unsafe_code)] // As above.
mod discovery;
pub mod editor;
pub mod history;
mod instance;
pub mod memory;
pub mod meters;
pub mod params;
pub mod presets;
#[cfg(feature = "standalone")]
pub mod quit;
#[cfg(feature = "standalone")]
pub mod source;
#[cfg(feature = "standalone")]
pub mod start;
mod state;
#[allow(unsafe_code)] // Hosts call through pointers.
mod vst3;
#[cfg(feature = "standalone")]
pub mod watch;
mod window;
mod worker;

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use nice_plug::prelude::*;

use crate::engine::{Controls, Engine, EngineError, Timing};
use crate::{Model, Quality};
#[doc(hidden)]
pub use clap::clap_entry;
use editor::WispEditor;
use instance::{Shared, whole};
use meters::{Meters, Setup};
pub use worker::Task;

/// The plugin.
pub struct Wisp {
    shared: Shared,
    meters: Arc<Meters>,
    /// Created in `activate`, for one rate, channel count and quality.
    running: Option<Running>,
}

impl Default for Wisp {
    fn default() -> Self {
        let shared = instance::shared();
        #[cfg(feature = "standalone")]
        if let Some(quality) = start::quality() {
            shared.params.set_quality(quality);
        }
        Self { shared, meters: Arc::default(), running: None }
    }
}

/// An engine and the settings it was created for.
struct Running {
    /// `None` at a rate at which Wisp does not denoise: the sound passes unchanged.
    engine: Option<Engine>,
    sample_rate: u32,
    channels: usize,
    quality: Quality,
    /// Number of samples for which the input has been silent.
    quiet: usize,
    /// The engine's frame counter when it was last shown.
    shown: u64,
    load: f32,
}

const fn layout(channels: u32, name: &'static str) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: NonZeroU32::new(channels),
        main_output_channels: NonZeroU32::new(channels),
        names: PortNames { layout: Some(name), ..PortNames::const_default() },
        ..AudioIOLayout::const_default()
    }
}

impl Running {
    /// Processes a block hop by hop, so that no frame is missed, and updates the meters.
    ///
    /// The engine's output does not depend on how a block is divided.
    fn process_shown(&mut self, controls: &Controls, channels: &mut [&mut [f32]], meters: &Meters) {
        let Some(engine) = &mut self.engine else {
            meters.add_input(channels);
            meters.add_output(channels);
            return;
        };
        // Only the audio thread can tell how long a block takes, and it does while an editor is open. The clock is read without
        // entering the kernel where hosts run (docs/decisions.md).
        let start = Instant::now();
        let samples = channels[0].len();
        meters.add_input(channels);
        let hop = (self.sample_rate as usize / 100).max(1);
        for from in (0..samples).step_by(hop) {
            let to = (from + hop).min(samples);
            match channels {
                [mono] => engine.process(controls, &mut [&mut mono[from..to]]),
                [left, right] => {
                    engine.process(controls, &mut [&mut left[from..to], &mut right[from..to]]);
                }
                _ => return,
            }
            let telemetry = engine.telemetry();
            if telemetry.frame != self.shown {
                self.shown = telemetry.frame;
                meters.add_frame(telemetry);
            }
        }
        meters.add_output(channels);
        // Smoothed over about half a second at any block size.
        let seconds = samples as f32 / self.sample_rate as f32;
        let load = start.elapsed().as_secs_f32() / seconds;
        self.load += (load - self.load) * (seconds / 0.5).min(1.0);
        meters.set_load(self.load);
    }
}

impl Plugin for Wisp {
    const NAME: &'static str = "Wisp";
    const VENDOR: &'static str = "Wisp";
    const URL: &'static str = env!("CARGO_PKG_HOMEPAGE");
    const EMAIL: &'static str = "support@wisp.audio";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[layout(2, "Stereo"), layout(1, "Mono")];
    // The engine's output does not depend on how a block is divided.
    const SAMPLE_ACCURATE_AUTOMATION: bool = true;

    type Editor = WispEditor;
    type SysExMessage = ();
    type BackgroundTask = Task;

    fn task_executor(&mut self) -> TaskExecutor<Self> {
        worker::task_executor()
    }

    fn params(&self) -> Arc<dyn Params> {
        self.shared.params.clone()
    }

    fn filter_state(state: &mut PluginState) {
        state::filter(state);
    }

    fn editor(&mut self, executor: AsyncExecutor<Self>) -> Option<WispEditor> {
        *self.shared.executor.lock().unwrap_or_else(PoisonError::into_inner) = Some(executor);
        #[cfg(feature = "standalone")]
        watch::instance(&self.shared.params);
        Some(WispEditor::new(self.shared.params.clone(), self.meters.clone()))
    }

    fn activate(
        &mut self,
        layout: &AudioIOLayout,
        buffer_config: &BufferConfig,
        _context: &mut impl ActivateContext<Self>,
    ) -> bool {
        let sample_rate = whole(buffer_config.sample_rate);
        let channels = layout.main_output_channels.map_or(0, NonZeroU32::get) as usize;
        let quality = self.shared.params.quality();
        let made_for = (sample_rate, channels, quality);
        let reusable = self
            .running
            .as_ref()
            .is_some_and(|r| (r.sample_rate, r.channels, r.quality) == made_for);
        if !reusable {
            let engine = match Engine::new(&Model::bundled(quality), sample_rate, channels) {
                Ok(engine) => Some(engine),
                Err(EngineError::SampleRate(_)) => None,
                Err(error) => {
                    nice_error!("Wisp cannot run: {error}");
                    self.deactivate();
                    return false;
                }
            };
            let (quiet, shown, load) = (0, 0, 0.0);
            self.running =
                Some(Running { engine, sample_rate, channels, quality, quiet, shown, load });
        }
        let engine = self.running.as_ref().and_then(|running| running.engine.as_ref());
        let timing = engine.map_or_else(Timing::default, |engine| Timing {
            latency: engine.latency_samples(),
            tail: engine.tail_samples(),
        });
        let quality = engine.map(|_| quality);
        // `vst3.rs` and `clap.rs` notify the host.
        self.shared.status.set_rate(buffer_config.sample_rate);
        self.shared.status.activate(quality, timing);
        self.meters.set_setup(Setup { sample_rate, latency: timing.latency, channels, quality });
        true
    }

    fn reset(&mut self) {
        let Some(running) = &mut self.running else { return };
        if let Some(engine) = &mut running.engine {
            engine.reset();
        }
        running.shown = 0;
        running.quiet = 0;
        self.shared.status.set_quiet(false);
    }

    fn deactivate(&mut self) {
        self.running = None;
        self.shared.status.deactivate();
    }

    fn process(
        &mut self,
        buffer: &mut Buffer,
        _aux: &mut AuxiliaryBuffers,
        _context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        let Some(running) = &mut self.running else {
            return ProcessStatus::Error("process called before activate");
        };
        if buffer.channels() != running.channels || buffer.samples() == 0 {
            return ProcessStatus::Normal;
        }
        let controls = self.shared.params.controls();
        let samples = buffer.samples();
        let channels = buffer.as_slice();
        #[cfg(feature = "standalone")]
        source::fill(channels);
        let silent = channels.iter().all(|channel| channel.iter().all(|&sample| sample == 0.0));
        if self.meters.wanted() {
            running.process_shown(&controls, channels, &self.meters);
        } else if let Some(engine) = &mut running.engine {
            engine.process(&controls, channels);
        }
        let tail = running.engine.as_ref().map_or(0, Engine::tail_samples);
        running.quiet = if silent { running.quiet.saturating_add(samples) } else { 0 };
        self.shared.status.set_quiet(silent && running.quiet >= tail);
        ProcessStatus::Tail(tail as u32)
    }
}

impl ClapPlugin for Wisp {
    const CLAP_ID: &'static str = "audio.wisp.denoiser";
    const CLAP_DESCRIPTION: Option<&'static str> = Some("Removes noise from a voice in real time");
    const CLAP_MANUAL_URL: Option<&'static str> =
        Some(concat!(env!("CARGO_PKG_HOMEPAGE"), "/manual"));
    const CLAP_SUPPORT_URL: Option<&'static str> =
        Some(concat!(env!("CARGO_PKG_HOMEPAGE"), "/support"));
    const CLAP_FEATURES: &'static [ClapFeature] = &[
        ClapFeature::AudioEffect,
        ClapFeature::Restoration,
        ClapFeature::Mono,
        ClapFeature::Stereo,
    ];

    fn remote_controls(&self, context: &mut impl RemoteControlsContext) {
        let params = &self.shared.params;
        context.add_section("Wisp", |section| {
            // As in the editor; a controller with eight knobs shows all of it.
            section.add_page("Denoise", |page| {
                page.add_param(&params.reduction);
                page.add_param(&params.sensitivity);
                page.add_param(&params.ambience);
                page.add_param(&params.output);
                page.add_param(&params.listen);
                page.add_param(&params.stereo);
                page.add_spacer();
                page.add_param(&params.bypass);
            });
        });
    }
}

impl Vst3Plugin for Wisp {
    const VST3_CLASS_ID: [u8; 16] = *b"WispVoiceDenoise";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Fx, Vst3SubCategory::Restoration];
}

/// Whether a channel is all zeros.
///
/// # Safety
///
/// `channel` has `samples` samples, or is null.
#[allow(unsafe_code)]
unsafe fn is_silent(channel: *const f32, samples: usize) -> bool {
    if channel.is_null() {
        return false;
    }
    // SAFETY: guaranteed by the caller.
    unsafe { std::slice::from_raw_parts(channel, samples) }.iter().all(|&sample| sample == 0.0)
}
