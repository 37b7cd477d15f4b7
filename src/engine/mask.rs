//! From the network's mask to the spectrum of what is removed.
use realfft::num_complex::Complex32;

use crate::dsp::Bands;
use crate::nn::{LOW_BINS, Mask};

/// Bins 0..=160 of the last frames.
pub(crate) struct History {
    frames: Vec<[Complex32; LOW_BINS]>,
    dc: Vec<f32>,
    now: usize,
}

impl History {
    pub(crate) fn new(taps: usize) -> Self {
        Self { frames: vec![[Complex32::ZERO; LOW_BINS]; taps], dc: vec![0.0; taps], now: 0 }
    }

    /// Forgets the oldest frame for the one that `spectrum` holds.
    pub(crate) fn push(&mut self, bands: &Bands, spectrum: &[Complex32]) {
        self.now = (self.now + 1) % self.frames.len();
        self.dc[self.now] = spectrum[0].re;
        bands.low(spectrum, &mut self.frames[self.now]);
    }

    /// The newest frame's low band.
    pub(crate) fn newest(&self) -> &[Complex32; LOW_BINS] {
        &self.frames[self.now]
    }

    /// Bin 0 and the low band `tap` frames ago.
    fn ago(&self, tap: usize) -> (f32, &[Complex32; LOW_BINS]) {
        let at = (self.now + self.frames.len() - tap) % self.frames.len();
        (self.dc[at], &self.frames[at])
    }

    pub(crate) fn reset(&mut self) {
        self.frames.iter_mut().for_each(|f| f.fill(Complex32::ZERO));
        self.dc.fill(0.0);
        self.now = 0;
    }
}

/// What one head of the mask takes away from `spectrum`, the frame that it is for: X minus the complex filter over the last
/// frames, which `history` holds, below 8 kHz, (1 - gain) X above. What lies below 25 Hz leaks into bin 1, where the network sees it: bin 1's
/// filter serves the real bin 0 too. Bin 159's serves bin 160, the real last bin of training material at 16 kHz, where only
/// half of a filter of its own is ever learned.
pub(crate) fn removed(
    (mask, head): (&Mask, usize),
    bands: &Bands,
    history: &History,
    spectrum: &[Complex32],
    removed: &mut [Complex32],
) {
    removed.copy_from_slice(spectrum);
    let taps = history.frames.len();
    for tap in 0..taps {
        let (real, imag) = mask.tap(head, tap);
        let (dc, low) = history.ago(tap);
        removed[0].re -= real[0] * dc;
        let filter = real.iter().zip(imag).take(LOW_BINS - 1);
        let last = (&real[LOW_BINS - 2], &imag[LOW_BINS - 2]);
        let filter = filter.chain([last]).zip(low);
        for (y, ((re, im), x)) in removed[1..].iter_mut().zip(filter) {
            y.re -= re * x.re - im * x.im;
            y.im -= re * x.im + im * x.re;
        }
    }
    let high = removed.iter_mut().skip(1 + LOW_BINS);
    for (y, gain) in high.zip(bands.interpolate(mask.gains(head))) {
        *y *= 1.0 - gain;
    }
}

/// One spectrum for two channels: the phase of their sum, the root mean square of their magnitudes.
///
/// Equal channels give that channel to the bit. Where the channels all but cancel, the phase is the left one's.
pub(crate) fn joint(left: &[Complex32], right: &[Complex32], joint: &mut [Complex32]) {
    for ((y, l), r) in joint.iter_mut().zip(left).zip(right) {
        let mid = (l + r) * 0.5;
        let power = (l.norm_sqr() + r.norm_sqr()) * 0.5;
        let (direction, norm) = match mid.norm_sqr() {
            m if m > 1e-2 * power => (mid, m),
            _ => (*l, l.norm_sqr()),
        };
        *y = if norm > 0.0 { direction * (power / norm).sqrt() } else { Complex32::ZERO };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(n: usize) -> Vec<Complex32> {
        (0..n).map(|i| Complex32::from_polar(0.01 * i as f32, i as f32)).collect()
    }

    #[test]
    fn equal_channels_are_their_joint_spectrum() {
        let (x, mut y) = (tone(481), vec![Complex32::ZERO; 481]);
        joint(&x, &x, &mut y);
        assert_eq!(x, y);
    }

    #[test]
    fn opposite_channels_do_not_cancel() {
        let (x, mut y) = (tone(481), vec![Complex32::ZERO; 481]);
        let opposite: Vec<_> = x.iter().map(|x| -x).collect();
        joint(&x, &opposite, &mut y);
        for (x, y) in x.iter().zip(&y) {
            assert!((x - y).norm() < 1e-6, "{x} {y}");
        }
    }

    #[test]
    fn a_single_channel_keeps_its_power() {
        let (x, mut y) = (tone(481), vec![Complex32::ZERO; 481]);
        joint(&x, &vec![Complex32::ZERO; 481], &mut y);
        for (x, y) in x.iter().zip(&y) {
            assert!((x * 0.5f32.sqrt() - y).norm() < 1e-6, "{x} {y}");
        }
    }
}
