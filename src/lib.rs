//! Wisp removes noise from a voice: block by block, at any sample rate, in the audio thread.
//!
//! ```
//! use wisp::{Controls, Engine, Model};
//!
//! # fn main() -> Result<(), wisp::EngineError> {
//! let mut engine = Engine::new(&Model::live(), 48_000, 2)?; // rate, channels; allocates everything
//! assert_eq!(engine.latency_samples(), 960); // 20 ms
//!
//! let controls = Controls { reduction_db: 18.0, ..Controls::default() };
//! let (mut left, mut right) = ([0.0; 512], [0.0; 512]);
//! engine.process(&controls, &mut [&mut left, &mut right]); // in place, any block size
//! # Ok(())
//! # }
//! ```
//!
//! - [`Model`] is the trained network, loaded once and shared. [`Model::live`] is for talking, with 20 ms of latency;
//!   [`Model::studio`] is for recordings, with 60 ms of latency and a slightly cleaner voice.
//! - [`Engine`] is one stream of audio. [`Engine::process`] is real-time safe; [`Engine::process_to`] and
//!   [`Engine::process_interleaved`] take other layouts.
//! - [`Controls`] holds the user's settings, passed with every block.
//! - [`denoise`] cleans a whole recording, [`Offline`] one that arrives in pieces. Both return it aligned with the input.
//!
//! `examples/` has a live callback, a file and a stream. Everything listed here follows Semantic Versioning; modules that
//! the documentation does not show can change at any time.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod dsp;
mod engine;
mod error;
mod model;
#[doc(hidden)]
pub mod nn;
#[doc(hidden)]
pub mod parameter;
#[cfg(feature = "plugin")]
#[doc(hidden)]
pub mod plugin;
#[doc(hidden)]
pub mod preset;
#[doc(hidden)]
pub mod text;

pub use engine::{
    Controls, DEFAULT_REDUCTION_DB, DISPLAY_BANDS, Engine, EngineError, Listen, Offline, Role,
    Stereo, Telemetry, Timing, denoise,
};
pub use error::WeightsError;
pub use model::{Model, Quality};

// An engine can be created in one thread and run in another; a model can be shared by all threads.
const _: () = {
    const fn moves<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    moves::<Engine>();
    moves::<Offline>();
    is_shared::<Model>();
    is_shared::<Controls>();
    is_shared::<Telemetry>();
    is_shared::<Timing>();
    is_shared::<EngineError>();
    is_shared::<WeightsError>();
};
