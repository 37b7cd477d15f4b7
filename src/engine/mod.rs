//! From a host's blocks to denoised blocks.
use std::sync::Arc;

use crate::nn::dccrn::Dccrn;

/// What is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// The denoised voice.
    #[default]
    Result,
    /// What was taken out.
    Removed,
}

/// How two channels share the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stereo {
    /// One mask from both channels: the image stays.
    #[default]
    Linked,
    /// One network per channel.
    Independent,
}

/// Control values, read once per block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Largest reduction in dB, 0 (nothing) up; infinity is "full".
    pub reduction_db: f32,
    /// Gain after denoising, dB.
    pub output_db: f32,
    /// What is heard.
    pub listen: Listen,
    /// Link of two channels.
    pub stereo: Stereo,
    /// Delayed dry signal, crossfaded.
    pub bypass: bool,
}

impl Default for Controls {
    fn default() -> Self {
        Self { reduction_db: f32::INFINITY, output_db: 0.0, listen: Listen::Result, stereo: Stereo::Linked, bypass: false }
    }
}

/// Why an [`Engine`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Unsupported rate.
    #[error("sample rate {0} Hz is outside 8000..=384000 Hz")]
    SampleRate(u32),
    /// Unsupported channel count.
    #[error("{0} channels, expected 1 or 2")]
    Channels(usize),
}

/// Denoises blocks of any size at any rate.
pub struct Engine {
    latency: usize,
}

impl Engine {
    /// Allocates everything.
    pub fn new(_network: Arc<Dccrn>, sample_rate: u32, _channels: usize) -> Result<Self, EngineError> {
        Ok(Self { latency: sample_rate as usize / 50 })
    }
    /// Delay from input to output, samples.
    pub fn latency_samples(&self) -> usize {
        self.latency
    }
    /// In place; one slice per channel, equal lengths, any length.
    pub fn process(&mut self, _controls: &Controls, _channels: &mut [&mut [f32]]) {}
    /// As new, without allocating.
    pub fn reset(&mut self) {}
}
