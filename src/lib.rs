//! Wisp takes the noise out of a voice and leaves the voice: block by block, at any sample rate, in the audio thread.
//!
//! ```
//! use wisp::{Controls, Dccrn, Engine};
//!
//! # fn main() -> Result<(), wisp::EngineError> {
//! let mut engine = Engine::new(Dccrn::bundled(), 48_000, 2)?; // rate, channels; allocates everything
//! assert_eq!(engine.latency_samples(), 960); // 20 ms
//!
//! let controls = Controls { reduction_db: 18.0, ..Controls::default() };
//! let (mut left, mut right) = ([0.0; 512], [0.0; 512]);
//! engine.process(&controls, &mut [&mut left, &mut right]); // in place, any block size
//! # Ok(())
//! # }
//! ```
//!
//! [`Engine`] is all that a host needs. Below it, [`nn`] is the network and [`dsp`] the signal processing; neither
//! knows of the other.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod dsp;
pub mod engine;
pub mod nn;
pub mod parameter;
#[cfg(feature = "plugin")]
pub mod plugin;
pub mod preset;
pub mod text;

pub use engine::{
    Controls, DEFAULT_REDUCTION_DB, Engine, EngineError, Listen, Role, Stereo, Timing,
};
pub use nn::dccrn::Dccrn;
