//! The fuzz targets (`fuzz/`): each takes bytes and panics if Wisp misbehaves.
#[cfg(feature = "cli")]
pub mod audio;
pub mod engine;
#[cfg(feature = "plugin")]
pub mod presets;
#[cfg(feature = "plugin")]
pub mod state;
pub mod weights;
