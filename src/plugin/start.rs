//! Start settings of the standalone program.
use std::sync::OnceLock;

use crate::Quality;

static QUALITY: OnceLock<Quality> = OnceLock::new();

/// Instances created from now on have this quality; only the first call counts.
pub fn with_quality(quality: Quality) {
    let _ = QUALITY.set(quality);
}

/// The quality given at the start of the program, if any.
pub(super) fn quality() -> Option<Quality> {
    QUALITY.get().copied()
}
