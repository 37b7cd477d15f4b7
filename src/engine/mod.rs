//! From a host's blocks to denoised blocks.
mod contrast;
mod controls;
mod denoiser;
mod denormals;
mod expander;
mod mask;
mod offline;
mod shape;
mod telemetry;

use crate::Model;
use crate::dsp::{DelayLine, Framer};
use crate::nn::{Dccrn, Sizes};

pub use controls::{Controls, DEFAULT_REDUCTION_DB, Listen, Stereo};
pub use offline::{Offline, denoise};
pub use telemetry::{DISPLAY_BANDS, Telemetry};

use controls::Mixer;
use denoiser::Denoiser;
use denormals::FlushDenormals;

/// Supported sample rates, Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=384_000;
/// Maximum channel count.
const MAX_CHANNELS: usize = 64;
/// Samples are clamped to this, 36 dB above full scale; NaN and infinity count as 0.
const CEILING: f32 = 64.0;
/// Samples processed at a time.
const SEGMENT: usize = 256;

/// Why an [`Engine`] cannot be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Unsupported rate.
    #[error("sample rate {0} Hz is outside 8000..=384000 Hz")]
    SampleRate(u32),
    /// Unsupported channel count.
    #[error("{0} channels, expected 1..=64")]
    Channels(usize),
}

/// How an [`Engine`] treats a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Removes noise from it.
    #[default]
    Denoised,
    /// Passes it through, delayed and scaled like the others: low-frequency effects, time code.
    Passed,
}

/// Denoises blocks of any size at any rate.
///
/// The network's removed signal is subtracted from the delayed dry signal, so a reduction of 0 dB returns the input bit for
/// bit at every rate.
///
/// A hop is 10 ms, rounded to whole samples: a signal whose rate is not a multiple of 100 Hz is processed as if sampled at
/// the nearest multiple, at most 0.63 % away.
pub struct Engine {
    sample_rate: u32,
    timing: Timing,
    framer: Framer,
    denoiser: Denoiser,
    mixer: Mixer,
    channels: Vec<Channel>,
    scratch: Scratch,
    planes: Vec<f32>, // (channels, SEGMENT): deinterleaved audio
}

/// Latency and tail of an [`Engine`], in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Delay from input to output.
    pub latency: usize,
    /// Samples of silent input after which the output is silent: the delay, the length of a frame, and how far back the
    /// filter reaches.
    pub tail: usize,
}

impl Timing {
    fn new(network: &Dccrn, hop: usize) -> Self {
        let Sizes { taps, look_ahead, taps_ahead, .. } = network.sizes();
        let latency = (2 + look_ahead) * hop;
        let reach = (taps - 1 - taps_ahead) * hop;
        Self { latency, tail: latency + 2 * hop + reach }
    }
}

/// Samples per hop.
fn hop(sample_rate: u32) -> Result<usize, EngineError> {
    if !RATES.contains(&sample_rate) {
        return Err(EngineError::SampleRate(sample_rate));
    }
    Ok((sample_rate as usize + 50) / 100)
}

struct Channel {
    delay: DelayLine,
    place: Option<usize>, // index among the denoised channels
}

struct Scratch {
    input: [f32; SEGMENT],
    dry: [f32; SEGMENT],
    removed: [f32; SEGMENT],
    dry_gain: [f32; SEGMENT],
    removed_gain: [f32; SEGMENT],
}

impl Engine {
    /// Creates an engine for `sample_rate` in Hz, 8,000 to 384,000, and `channels`, 1 to 64, all of them denoised. Allocates
    /// everything that it will ever need.
    ///
    /// # Errors
    ///
    /// [`EngineError::SampleRate`] or [`EngineError::Channels`] for a value outside these ranges.
    pub fn new(model: &Model, sample_rate: u32, channels: usize) -> Result<Self, EngineError> {
        if channels > MAX_CHANNELS {
            return Err(EngineError::Channels(channels));
        }
        Self::with_roles(model, sample_rate, &vec![Role::Denoised; channels])
    }

    /// Like [`Engine::new`], with a role for each channel.
    ///
    /// # Errors
    ///
    /// Same as [`Engine::new`].
    pub fn with_roles(
        model: &Model,
        sample_rate: u32,
        roles: &[Role],
    ) -> Result<Self, EngineError> {
        if !(1..=MAX_CHANNELS).contains(&roles.len()) {
            return Err(EngineError::Channels(roles.len()));
        }
        let hop = hop(sample_rate)?;
        let timing = Timing::new(model.network(), hop);
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
            sample_rate,
            timing,
            framer: Framer::new(denoised, hop),
            denoiser: Denoiser::new(model.network().clone(), hop, denoised),
            mixer: Mixer::new(sample_rate / 100),
            channels,
            scratch: Scratch {
                input: [0.0; SEGMENT],
                dry: [0.0; SEGMENT],
                removed: [0.0; SEGMENT],
                dry_gain: [0.0; SEGMENT],
                removed_gain: [0.0; SEGMENT],
            },
            planes: vec![0.0; roles.len() * SEGMENT],
        })
    }

    /// Latency and tail of an engine for `sample_rate`, without creating one.
    ///
    /// # Errors
    ///
    /// [`EngineError::SampleRate`] for a rate outside 8,000 to 384,000 Hz.
    pub fn timing(model: &Model, sample_rate: u32) -> Result<Timing, EngineError> {
        hop(sample_rate).map(|hop| Timing::new(model.network(), hop))
    }

    /// The sample rate in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Delay from input to output in samples: two hops of 10 ms, six with [`Model::studio`], each rounded to whole samples.
    pub fn latency_samples(&self) -> usize {
        self.timing.latency
    }

    /// Samples of silent input after which the output is silent; see [`Timing::tail`].
    pub fn tail_samples(&self) -> usize {
        self.timing.tail
    }

    /// Denoises a block in place: one slice per channel, equal lengths, any length, samples at full scale ±1.
    ///
    /// Real-time safe: no allocation, lock or system call, and no panic. NaN and infinite samples count as 0, others are
    /// limited to ±64. The result does not depend on how the signal is divided into blocks. If lengths differ, only the length
    /// of the shortest is processed; missing channels count as silence, extra channels are left untouched.
    pub fn process(&mut self, controls: &Controls, channels: &mut [&mut [f32]]) {
        let length = channels.iter().map(|c| c.len()).min().unwrap_or(0);
        self.run(controls, channels, length);
    }

    /// Like [`Engine::process`], from `input` to `output`.
    pub fn process_to(&mut self, controls: &Controls, input: &[&[f32]], output: &mut [&mut [f32]]) {
        let lengths = input.iter().map(|c| c.len()).chain(output.iter().map(|c| c.len()));
        let length = lengths.min().unwrap_or(0);
        for (i, output) in output.iter_mut().enumerate() {
            match input.get(i) {
                Some(input) => output[..length].copy_from_slice(&input[..length]),
                None => output[..length].fill(0.0),
            }
        }
        self.run(controls, output, length);
    }

    /// Like [`Engine::process`], with the samples of all channels interleaved: `[left, right, left, right, ...]`. An
    /// incomplete frame at the end is left untouched.
    pub fn process_interleaved(&mut self, controls: &Controls, audio: &mut [f32]) {
        let channels = self.channels.len();
        let mut planes = std::mem::take(&mut self.planes);
        for block in audio.chunks_mut(SEGMENT * channels) {
            let frames = block.len() / channels;
            for (i, frame) in block.chunks_exact(channels).enumerate() {
                for (plane, x) in planes.chunks_exact_mut(SEGMENT).zip(frame) {
                    plane[i] = *x;
                }
            }
            let mut parts = planes.chunks_exact_mut(SEGMENT).map(|plane| &mut plane[..frames]);
            let mut blocks: [&mut [f32]; MAX_CHANNELS] =
                std::array::from_fn(|_| parts.next().unwrap_or_default());
            self.run(controls, &mut blocks[..channels], frames);
            for (i, frame) in block.chunks_exact_mut(channels).enumerate() {
                for (plane, y) in planes.chunks_exact(SEGMENT).zip(frame) {
                    *y = plane[i];
                }
            }
        }
        self.planes = planes;
    }

    /// Processes the first `length` samples of every channel, none of which is shorter.
    fn run(&mut self, controls: &Controls, channels: &mut [&mut [f32]], length: usize) {
        let _flush = FlushDenormals::new();
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

    /// Processes `samples` samples of every channel from `at` on, at most to the end of the hop.
    fn segment(&mut self, channels: &mut [&mut [f32]], at: usize, samples: usize) {
        let s = &mut self.scratch;
        let dry_gain = &mut s.dry_gain[..samples];
        let removed_gain = &mut s.removed_gain[..samples];
        self.mixer.fill(dry_gain, removed_gain);
        for (i, channel) in self.channels.iter_mut().enumerate() {
            let (input, dry, removed) =
                (&mut s.input[..samples], &mut s.dry[..samples], &mut s.removed[..samples]);
            let block = channels.get_mut(i).map(|c| &mut c[at..at + samples]);
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
            let paths = dry.iter().zip(removed.iter());
            for ((y, (a, b)), (d, r)) in block.unwrap_or_default().iter_mut().zip(gains).zip(paths)
            {
                let (dry, removed) = (a * d, b * r);
                // The sum would turn -0 into 0.
                *y = if *b == 0.0 { dry } else { dry + removed };
            }
        }
    }

    /// Figures for the latest frame, available from the first sample after its hop.
    pub fn telemetry(&self) -> &Telemetry {
        self.denoiser.telemetry()
    }

    /// Returns to the initial state, without allocating.
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
