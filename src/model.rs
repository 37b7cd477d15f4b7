//! The trained network, as seen by programs that use Wisp.
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::WeightsError;
use crate::nn::Dccrn;

/// The trained network: weights that never change, shared by any number of [`Engine`](crate::Engine)s.
///
/// Clones share the weights and are cheap. Loading allocates and takes milliseconds, so load outside the audio thread.
#[derive(Clone)]
pub struct Model(Arc<Dccrn>);

/// One of the two models built into the binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quality {
    /// For talking and monitoring: 20 ms of latency.
    #[default]
    Live,
    /// For recordings, and for mixing in hosts that compensate latency: looks 40 ms further ahead; total latency 60 ms.
    Studio,
}

impl Model {
    /// One of the models built into the binary. The first call for each in a process unpacks it; later ones share it.
    pub fn bundled(quality: Quality) -> Self {
        match quality {
            Quality::Live => Self::live(),
            Quality::Studio => Self::studio(),
        }
    }

    /// The model for talking: [`Quality::Live`].
    pub fn live() -> Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        Self::unpacked(&MODEL, crate::nn::LIVE)
    }

    /// The model for recordings: [`Quality::Studio`].
    pub fn studio() -> Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        Self::unpacked(&MODEL, crate::nn::STUDIO)
    }

    fn unpacked(model: &OnceLock<Self>, bytes: &[u8]) -> Self {
        let load = || Self::from_bytes(bytes).expect("the tests load the bundled weights");
        model.get_or_init(load).clone()
    }

    /// Reads a weights file (safetensors, as `train/export.py` writes it).
    ///
    /// # Errors
    ///
    /// [`WeightsError::Read`] if the file cannot be read, [`WeightsError::File`] if it is not a complete set of weights for
    /// this network; [`source`](std::error::Error::source) says why.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        Dccrn::from_file(path).map(|network| Self(Arc::new(network)))
    }

    /// Reads a weights file from memory.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a complete set of weights for this network.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        Dccrn::from_bytes(bytes).map(|network| Self(Arc::new(network)))
    }

    /// The network itself, for this project's tests and benches.
    #[doc(hidden)]
    pub fn network(&self) -> &Arc<Dccrn> {
        &self.0
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Model").field(&self.0).finish()
    }
}
