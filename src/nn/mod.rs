//! The network: weights, layers, and the loops they run on.
mod activation;
mod conv;
pub mod dccrn;
mod ghost_gru;
pub(crate) mod kernels;
mod linear;
pub mod weights;

pub use dccrn::{Dccrn, DccrnState, Features, Layer, Mask};
pub(crate) use dccrn::{LIVE, STUDIO};
pub use weights::Sizes;

/// Bins of the low band, 1..=160: 50 Hz to 8 kHz.
pub const LOW_BINS: usize = 160;
/// Bins with a dedicated memory, 1..=24: 50 Hz to 1.2 kHz.
pub const LOWEST_BINS: usize = 24;
/// ERB-spaced bands of the low band, up to 8 kHz.
pub const LOW_BANDS: usize = 24;
/// ERB-spaced bands of the high band, 8 to 20 kHz.
pub const HIGH_BANDS: usize = 24;
