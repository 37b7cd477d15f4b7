//! Signal processing: blocks and frames, spectra, bands. Independent of the network.
pub(crate) mod bands;
mod delay;
mod framer;
mod ring;
mod stft;

pub use bands::Bands;
pub use delay::DelayLine;
pub use framer::Framer;
pub(crate) use ring::Ring;
pub use stft::Stft;
