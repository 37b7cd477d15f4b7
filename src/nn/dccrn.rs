//! The network, immutable.
use std::sync::Arc;

/// Weights, shared by all engines.
pub struct Dccrn {}

impl Dccrn {
    /// The network built into the binary, loaded once per process.
    pub fn bundled() -> Arc<Self> {
        Arc::new(Self {})
    }
}
