//! What fuzzing runs (`fuzz/`): each target takes bytes and panics where Wisp breaks a promise.
#[cfg(feature = "cli")]
pub mod audio;
pub mod engine;
#[cfg(feature = "plugin")]
pub mod presets;
#[cfg(feature = "plugin")]
pub mod state;
pub mod weights;
