//! Non-linear functions outside the layers: features in, bounded mask out.
use realfft::num_complex::Complex32;

use super::kernels::{Buffer, Kernels};

/// The exponent of the power law on magnitudes.
const COMPRESSION: f32 = 0.3;
/// Added to |X|^2 before the power law.
const MAGNITUDE_FLOOR: f32 = 1e-12;
/// Added to a band's mean |X|^2 before the logarithm.
const ENERGY_FLOOR: f32 = 1e-12;
/// Added to a low band's mean |X|^0.6 before the logarithm.
const LOW_ENERGY_FLOOR: f32 = 1e-4;

/// X |X|^(0.3-1) of each bin; `scratch` holds one number per bin, in whole panels.
pub(crate) fn compress(kernels: Kernels, bins: &mut [Complex32], scratch: &mut Buffer) {
    for (power, x) in scratch.iter_mut().zip(bins.iter()) {
        *power = x.norm_sqr() + MAGNITUDE_FLOOR;
    }
    kernels.power(scratch, (COMPRESSION - 1.0) / 2.0);
    for (x, scale) in bins.iter_mut().zip(scratch.iter()) {
        *x *= *scale;
    }
}

/// Mean |X|^2 of a high band -> about -1..=2.
pub(crate) fn band_feature(energy: f32) -> f32 {
    ((energy + ENERGY_FLOOR).log10() + 8.0) / 4.0
}

/// Mean |X|^0.6 of a low band -> about -2..=2.
pub(crate) fn low_band_feature(energy: f32) -> f32 {
    (energy + LOW_ENERGY_FLOOR).log10() + 2.0
}
