//! What the standalone program starts with.
use std::sync::OnceLock;

use crate::Quality;

static QUALITY: OnceLock<Quality> = OnceLock::new();

/// Instances made from now on have this quality; only the first call counts.
pub fn with_quality(quality: Quality) {
    let _ = QUALITY.set(quality);
}

/// The quality that the program was started with, if it was told.
pub(super) fn quality() -> Option<Quality> {
    QUALITY.get().copied()
}
