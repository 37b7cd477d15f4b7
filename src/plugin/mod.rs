//! The VST3 and CLAP plugin: glue between a host and the [`Engine`].
pub mod editor;
pub mod history;
pub mod meters;
pub mod params;
pub mod presets;
#[cfg(feature = "standalone")]
pub mod quit;
#[cfg(feature = "standalone")]
pub mod source;
mod state;
#[cfg(feature = "standalone")]
pub mod watch;
mod window;
mod worker;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use nice_plug::prelude::*;

use crate::engine::{Controls, Engine};
use crate::nn::dccrn::Dccrn;
use editor::WispEditor;
use meters::Meters;
use params::WispParams;
pub use worker::Task;

/// The plugin.
#[derive(Default)]
pub struct Wisp {
    params: Arc<WispParams>,
    meters: Arc<Meters>,
    /// Made in `activate`, for one rate and channel count.
    engine: Option<Running>,
    /// Kept until the first activation.
    executor: Option<AsyncExecutor<Self>>,
}

/// An engine and what it was made for.
struct Running {
    engine: Engine,
    sample_rate: u32,
    channels: usize,
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
    /// Processes a block hop by hop, so that no frame passes unseen, and tells the meters.
    ///
    /// The engine's output does not depend on how a block is cut.
    fn process_shown(&mut self, controls: &Controls, channels: &mut [&mut [f32]], meters: &Meters) {
        let start = Instant::now();
        let samples = channels[0].len();
        meters.add_input(channels);
        let hop = (self.sample_rate as usize / 100).max(1);
        for from in (0..samples).step_by(hop) {
            let to = (from + hop).min(samples);
            match channels {
                [mono] => self.engine.process(controls, &mut [&mut mono[from..to]]),
                [left, right] => {
                    self.engine.process(controls, &mut [&mut left[from..to], &mut right[from..to]]);
                }
                _ => return,
            }
            let telemetry = self.engine.telemetry();
            if telemetry.frame != self.shown {
                self.shown = telemetry.frame;
                meters.add_frame(telemetry);
            }
        }
        meters.add_output(channels);
        // Smoothed over about half a second whatever the block size.
        let seconds = samples as f32 / self.sample_rate as f32;
        let load = start.elapsed().as_secs_f32() / seconds;
        self.load += (load - self.load) * (seconds / 0.5).min(1.0);
        meters.set_load(self.load);
    }
}

impl Plugin for Wisp {
    const NAME: &'static str = "Wisp";
    const VENDOR: &'static str = "Wisp";
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[layout(2, "Stereo"), layout(1, "Mono")];
    // The engine's output does not depend on how a block is cut.
    const SAMPLE_ACCURATE_AUTOMATION: bool = true;

    type Editor = WispEditor;
    type SysExMessage = ();
    type BackgroundTask = Task;

    fn task_executor(&mut self) -> TaskExecutor<Self> {
        worker::task_executor()
    }

    fn params(&self) -> Arc<dyn Params> {
        self.params.clone()
    }

    fn filter_state(state: &mut PluginState) {
        state::filter(state);
    }

    fn editor(&mut self, executor: AsyncExecutor<Self>) -> Option<WispEditor> {
        self.executor = Some(executor);
        #[cfg(feature = "standalone")]
        watch::instance(&self.params);
        Some(WispEditor::new(self.params.clone(), self.meters.clone()))
    }

    fn activate(
        &mut self,
        layout: &AudioIOLayout,
        buffer_config: &BufferConfig,
        context: &mut impl ActivateContext<Self>,
    ) -> bool {
        if let Some(executor) = self.executor.take() {
            worker::park(context.plugin_api(), &executor);
        }
        let sample_rate = buffer_config.sample_rate.round() as u32;
        let channels = layout.main_output_channels.map_or(0, NonZeroU32::get) as usize;
        let reusable = self
            .engine
            .as_ref()
            .is_some_and(|r| r.sample_rate == sample_rate && r.channels == channels);
        if !reusable {
            self.engine = match Engine::new(Dccrn::bundled(), sample_rate, channels) {
                Ok(engine) => Some(Running { engine, sample_rate, channels, shown: 0, load: 0.0 }),
                Err(error) => {
                    nice_error!("Wisp cannot run: {error}");
                    None
                }
            };
        }
        let Some(running) = &self.engine else { return false };
        let latency = running.engine.latency_samples();
        context.set_latency_samples(latency as u32);
        self.meters.set_setup(sample_rate, latency, channels);
        true
    }

    fn reset(&mut self) {
        if let Some(running) = &mut self.engine {
            running.engine.reset();
            running.shown = 0;
        }
    }

    fn deactivate(&mut self) {
        self.engine = None;
    }

    fn process(
        &mut self,
        buffer: &mut Buffer,
        _aux: &mut AuxiliaryBuffers,
        _context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        let Some(running) = &mut self.engine else {
            return ProcessStatus::Error("process called before activate");
        };
        if buffer.channels() != running.channels || buffer.samples() == 0 {
            return ProcessStatus::Normal;
        }
        let controls = self.params.controls();
        let channels = buffer.as_slice();
        #[cfg(feature = "standalone")]
        source::fill(channels);
        if self.meters.wanted() {
            running.process_shown(&controls, channels, &self.meters);
        } else {
            running.engine.process(&controls, channels);
        }
        ProcessStatus::Tail(running.engine.tail_samples() as u32)
    }
}

impl ClapPlugin for Wisp {
    const CLAP_ID: &'static str = "audio.wisp.denoiser";
    const CLAP_DESCRIPTION: Option<&'static str> = Some("Removes noise from a voice in real time");
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] = &[
        ClapFeature::AudioEffect,
        ClapFeature::Restoration,
        ClapFeature::Mono,
        ClapFeature::Stereo,
    ];
}

impl Vst3Plugin for Wisp {
    const VST3_CLASS_ID: [u8; 16] = *b"WispVoiceDenoise";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Fx, Vst3SubCategory::Restoration];
}

// The exported entry points are C functions.
#[doc(hidden)]
pub use exports::clap_entry;

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::undocumented_unsafe_blocks)]
mod exports {
    use nice_plug::prelude::*;

    use super::Wisp;

    nice_export_clap!(Wisp);
    nice_export_vst3!(Wisp);
}
