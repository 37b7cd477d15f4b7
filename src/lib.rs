//! Wisp takes the noise out of a voice and leaves the voice.

pub mod dsp;
pub mod engine;
pub mod nn;
#[cfg(feature = "plugin")]
pub mod plugin;

pub use engine::{Controls, Engine, EngineError, Listen, Stereo};
pub use nn::dccrn::Dccrn;
