//! From a host's blocks to denoised blocks.
mod controls;
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
use denoiser::Denoiser;
use denormals::FlushDenormals;

/// Rates that an engine takes, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=384_000;
/// The most channels of an engine.
const MAX_CHANNELS: usize = 64;
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
    #[error("{0} channels, expected 1..=64")]
    Channels(usize),
}

/// What an [`Engine`] does with a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Takes the noise out of it.
    #[default]
    Denoised,
    /// Passes it on, delayed and scaled like the others: low-frequency effects, time code.
    Passed,
}

/// Denoises blocks of any size at any rate.
///
/// The dry signal is delayed and what the network removes is subtracted from it, so that a reduction of 0 dB gives back
/// the input to the bit at every rate.
///
/// A hop is 10 ms, rounded to whole samples: where the rate is no multiple of 100 Hz, the sound is worked on as if it
/// had been sampled at the nearest one, at most 0.63 % away.
pub struct Engine {
    timing: Timing,
    framer: Framer,
    denoiser: Denoiser,
    mixer: Mixer,
    channels: Vec<Channel>,
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

impl Timing {
    fn new(network: &Dccrn, hop: usize) -> Self {
        let latency = 2 * hop;
        let reach = (network.sizes().taps - 1) * hop;
        Self { latency, tail: 2 * latency + reach }
    }
}

/// Samples of a hop.
fn hop(sample_rate: u32) -> Result<usize, EngineError> {
    if !RATES.contains(&sample_rate) {
        return Err(EngineError::SampleRate(sample_rate));
    }
    Ok((sample_rate as usize + 50) / 100)
}

struct Channel {
    delay: DelayLine,
    place: Option<usize>, // among the channels that are denoised
}

struct Scratch {
    input: [f32; SEGMENT],
    dry: [f32; SEGMENT],
    removed: [f32; SEGMENT],
    dry_gain: [f32; SEGMENT],
    removed_gain: [f32; SEGMENT],
}

impl Engine {
    /// Allocates everything. All of the `channels`, 1..=64, are denoised.
    pub fn new(
        network: Arc<Dccrn>,
        sample_rate: u32,
        channels: usize,
    ) -> Result<Self, EngineError> {
        if channels > MAX_CHANNELS {
            return Err(EngineError::Channels(channels));
        }
        Self::with_roles(network, sample_rate, &vec![Role::Denoised; channels])
    }

    /// As [`Engine::new`], with a role for each channel.
    pub fn with_roles(
        network: Arc<Dccrn>,
        sample_rate: u32,
        roles: &[Role],
    ) -> Result<Self, EngineError> {
        if !(1..=MAX_CHANNELS).contains(&roles.len()) {
            return Err(EngineError::Channels(roles.len()));
        }
        let hop = hop(sample_rate)?;
        let timing = Timing::new(&network, hop);
        let mut denoised = 0;
        let channels: Vec<Channel> = roles
            .iter()
            .map(|role| {
                let place = (*role == Role::Denoised).then_some(denoised);
                denoised += usize::from(place.is_some());
                Channel { delay: DelayLine::new(timing.latency), place }
            })
            .collect();
        Ok(Self {
            timing,
            framer: Framer::new(denoised, hop),
            denoiser: Denoiser::new(network, hop, denoised),
            mixer: Mixer::new(sample_rate / 100),
            channels,
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
        hop(sample_rate).map(|hop| Timing::new(network, hop))
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
            let samples = self.framer.room().min(length - at).min(SEGMENT);
            self.segment(channels, at, samples);
            if self.framer.advance(samples) {
                self.denoiser.process(&mut self.framer, controls, self.mixer.amount());
                self.framer.next();
            } else {
                let (filled, whole) = self.framer.filled();
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
        for (i, channel) in self.channels.iter_mut().enumerate() {
            let (input, dry, removed) =
                (&mut s.input[..samples], &mut s.dry[..samples], &mut s.removed[..samples]);
            let mut block = channels.get_mut(i).map(|c| &mut c[at..at + samples]);
            match &block {
                Some(block) => input.iter_mut().zip(block.iter()).for_each(|(y, x)| *y = sane(*x)),
                None => input.fill(0.0),
            }
            channel.delay.process(input, dry);
            match channel.place {
                Some(place) => self.framer.exchange(place, input, removed),
                None => removed.fill(0.0),
            }
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
        self.framer.reset();
        self.denoiser.reset();
        self.mixer.reset();
        self.channels.iter_mut().for_each(|c| c.delay.reset());
    }
}

/// Finite and not absurdly loud.
fn sane(x: f32) -> f32 {
    if x.is_finite() { x.clamp(-CEILING, CEILING) } else { 0.0 }
}
