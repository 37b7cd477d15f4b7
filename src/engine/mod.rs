//! From a host's blocks to denoised blocks.
mod controls;
mod converter;
mod denoiser;
mod denormals;
mod expander;
mod mask;
mod shape;
mod telemetry;

use std::sync::Arc;

use crate::dsp::{DelayLine, Framer};
use crate::nn::dccrn::Dccrn;

pub use controls::{Controls, DEFAULT_REDUCTION_DB, Listen, Stereo};
pub use telemetry::{DISPLAY_BANDS, Telemetry};

use controls::Mixer;
use converter::Converter;
use denoiser::Denoiser;
use denormals::FlushDenormals;

/// Rates that an engine takes, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=384_000;
/// Samples are clamped to this, 36 dB over full scale; NaN and infinity read as 0.
const CEILING: f32 = 64.0;
/// Samples worked on at once.
const SEGMENT: usize = 256;

/// Why an [`Engine`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Unsupported rate.
    #[error("sample rate {0} Hz is outside 8000..=384000 Hz")]
    SampleRate(u32),
    /// Unsupported channel count.
    #[error("{0} channels, expected 1 or 2")]
    Channels(usize),
    /// The rate's resampler cannot be made.
    #[error("sample rate {rate} Hz: {source}")]
    Resampler {
        /// The rate.
        rate: u32,
        /// What rubato said.
        source: rubato::ResamplerConstructionError,
    },
}

/// Denoises blocks of any size at any rate.
///
/// The dry signal is delayed and what the network removes is subtracted from it, so that a reduction of 0 dB gives back
/// the input to the bit at every rate.
pub struct Engine {
    timing: Timing,
    path: Path,
    denoiser: Denoiser,
    mixer: Mixer,
    delays: Vec<DelayLine>,
    scratch: Scratch,
}

/// When the sound comes out of an [`Engine`], samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Delay from input to output.
    pub latency: usize,
    /// So long after the input fell silent the output is silent too: the delay, the window over which a frame spreads,
    /// and the frames that the filter reaches back.
    pub tail: usize,
}

/// How an engine works at a rate.
struct Plan {
    path: Path,
    /// Samples of a hop, on the denoiser's side.
    hop: usize,
    /// See [`Converter::shift`].
    shift: f64,
    timing: Timing,
}

impl Plan {
    fn new(network: &Dccrn, rate: u32, channels: usize) -> Result<Self, EngineError> {
        if !RATES.contains(&rate) {
            return Err(EngineError::SampleRate(rate));
        }
        let (path, hop, latency, shift) = if rate.is_multiple_of(100) {
            let hop = rate as usize / 100;
            (Path::Native(Framer::new(channels, hop)), hop, 2 * hop, 0.0)
        } else {
            let converter = Converter::new(rate, channels)
                .map_err(|source| EngineError::Resampler { rate, source })?;
            let (latency, shift) = (converter.latency(), converter.shift());
            (Path::Converted(Box::new(converter)), converter::HOP, latency, shift)
        };
        let reach = (network.sizes().taps - 1) * (rate as usize).div_ceil(100);
        Ok(Self { path, hop, shift, timing: Timing { latency, tail: 2 * latency + reach } })
    }
}

/// Where hops come from.
enum Path {
    /// 10 ms at the host's own rate.
    Native(Framer),
    /// 10 ms at 48 kHz.
    Converted(Box<Converter>),
}

struct Scratch {
    input: [f32; SEGMENT],
    dry: [f32; SEGMENT],
    removed: [f32; SEGMENT],
    dry_gain: [f32; SEGMENT],
    removed_gain: [f32; SEGMENT],
}

impl Engine {
    /// Allocates everything.
    pub fn new(
        network: Arc<Dccrn>,
        sample_rate: u32,
        channels: usize,
    ) -> Result<Self, EngineError> {
        if !(1..=2).contains(&channels) {
            return Err(EngineError::Channels(channels));
        }
        let Plan { path, hop, shift, timing } = Plan::new(&network, sample_rate, channels)?;
        Ok(Self {
            timing,
            path,
            denoiser: Denoiser::new(network, hop, channels, shift),
            mixer: Mixer::new(sample_rate / 100),
            delays: (0..channels).map(|_| DelayLine::new(timing.latency)).collect(),
            scratch: Scratch {
                input: [0.0; SEGMENT],
                dry: [0.0; SEGMENT],
                removed: [0.0; SEGMENT],
                dry_gain: [0.0; SEGMENT],
                removed_gain: [0.0; SEGMENT],
            },
        })
    }

    /// When the sound comes out of an engine at a rate, without making one.
    pub fn timing(network: &Dccrn, sample_rate: u32) -> Result<Timing, EngineError> {
        Plan::new(network, sample_rate, 1).map(|plan| plan.timing)
    }

    /// Delay from input to output, samples.
    pub fn latency_samples(&self) -> usize {
        self.timing.latency
    }

    /// See [`Timing::tail`].
    pub fn tail_samples(&self) -> usize {
        self.timing.tail
    }

    /// In place; one slice per channel, equal lengths, any length.
    ///
    /// Where lengths differ, the shortest counts; a channel too few reads as silence, one too many is left alone.
    pub fn process(&mut self, controls: &Controls, channels: &mut [&mut [f32]]) {
        let _flush = FlushDenormals::new();
        let length = channels.iter().map(|c| c.len()).min().unwrap_or(0);
        self.mixer.set(controls);
        let mut at = 0;
        while at < length {
            let samples = self.path.room().min(length - at).min(SEGMENT);
            self.segment(channels, at, samples);
            if self.path.advance(samples) {
                self.path.denoise(&mut self.denoiser, controls, self.mixer.amount());
            } else {
                let (filled, whole) = self.path.filled();
                self.denoiser.prepare(filled, whole);
            }
            at += samples;
        }
    }

    /// `samples` of every channel from `at` on, no further than the hop.
    fn segment(&mut self, channels: &mut [&mut [f32]], at: usize, samples: usize) {
        let s = &mut self.scratch;
        let dry_gain = &mut s.dry_gain[..samples];
        let removed_gain = &mut s.removed_gain[..samples];
        self.mixer.fill(dry_gain, removed_gain);
        for (i, delay) in self.delays.iter_mut().enumerate() {
            let (input, dry, removed) =
                (&mut s.input[..samples], &mut s.dry[..samples], &mut s.removed[..samples]);
            let mut block = channels.get_mut(i).map(|c| &mut c[at..at + samples]);
            match &block {
                Some(block) => input.iter_mut().zip(block.iter()).for_each(|(y, x)| *y = sane(*x)),
                None => input.fill(0.0),
            }
            delay.process(input, dry);
            self.path.exchange(i, input, removed);
            let gains = dry_gain.iter().zip(removed_gain.iter());
            for ((y, (a, b)), (d, r)) in block
                .iter_mut()
                .flat_map(|b| b.iter_mut())
                .zip(gains)
                .zip(dry.iter().zip(removed.iter()))
            {
                // The sum would turn -0 into 0.
                *y = if *b == 0.0 { a * d } else { a * d + b * r };
            }
        }
    }

    /// What happened in the latest frame, known from the first sample after its hop on.
    pub fn telemetry(&self) -> &Telemetry {
        self.denoiser.telemetry()
    }

    /// As new, without allocating.
    pub fn reset(&mut self) {
        match &mut self.path {
            Path::Native(framer) => framer.reset(),
            Path::Converted(converter) => converter.reset(),
        }
        self.denoiser.reset();
        self.mixer.reset();
        self.delays.iter_mut().for_each(DelayLine::reset);
    }
}

impl Path {
    /// Samples until the next hop.
    fn room(&self) -> usize {
        match self {
            Self::Native(framer) => framer.room(),
            Self::Converted(converter) => converter.room(),
        }
    }

    /// Samples of the hop that are there, and all of it.
    fn filled(&self) -> (usize, usize) {
        match self {
            Self::Native(framer) => framer.filled(),
            Self::Converted(converter) => converter.filled(),
        }
    }

    /// At most `room` samples of a channel: input in, what is removed from the delayed input out.
    fn exchange(&mut self, channel: usize, input: &[f32], removed: &mut [f32]) {
        match self {
            Self::Native(framer) => framer.exchange(channel, input, removed),
            Self::Converted(converter) => converter.exchange(channel, input, removed),
        }
    }

    /// After every channel's exchange; true when there is a hop.
    fn advance(&mut self, samples: usize) -> bool {
        match self {
            Self::Native(framer) => framer.advance(samples),
            Self::Converted(converter) => converter.advance(samples),
        }
    }

    fn denoise(&mut self, denoiser: &mut Denoiser, controls: &Controls, amount: f32) {
        match self {
            Self::Native(framer) => {
                denoiser.process(framer, controls, amount);
                framer.next();
            }
            Self::Converted(converter) => {
                converter.convert(|framer| denoiser.process(framer, controls, amount));
            }
        }
    }
}

/// Finite and not absurdly loud.
fn sane(x: f32) -> f32 {
    if x.is_finite() { x.clamp(-CEILING, CEILING) } else { 0.0 }
}
