//! Signal processing: blocks and frames, spectra, bands, rates. Knows nothing of the network.
pub(crate) mod bands;
mod delay;
mod framer;
mod resample;
mod stft;

pub use bands::Bands;
pub use delay::DelayLine;
pub use framer::Framer;
pub use resample::{Fixed, Resampler};
pub use stft::Stft;
