//! Helpers for Wisp's tests, benches and fuzz targets. None of them depends on Wisp.
pub mod allocations;
#[cfg(feature = "clap")]
pub mod clap;
pub mod corpus;
pub mod display;
pub mod random;
pub mod signals;
pub mod texts;
pub mod versions;
pub mod window;

pub use display::Display;
pub use random::Random;
pub use signals::hum;
pub use window::Window;
