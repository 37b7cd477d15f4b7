//! From the network's mask to the spectrum of what is removed.
use std::ops::Range;

use realfft::num_complex::Complex32;

use crate::dsp::Bands;
use crate::nn::{LOW_BINS, Mask};

/// Bins 0..=160 of the last frames.
pub(crate) struct History {
    newest: [Complex32; LOW_BINS],
    frames: Vec<Frame>,
    now: usize,
}

/// Real and imaginary parts apart, as a filter has its own: so vectors of them can be multiplied.
#[derive(Clone)]
struct Frame {
    dc: f32,
    real: [f32; LOW_BINS],
    imag: [f32; LOW_BINS],
}

impl Frame {
    const SILENCE: Self = Self { dc: 0.0, real: [0.0; LOW_BINS], imag: [0.0; LOW_BINS] };

    fn set(&mut self, dc: f32, low: &[Complex32]) {
        self.dc = dc;
        for ((re, im), x) in self.real.iter_mut().zip(&mut self.imag).zip(low) {
            (*re, *im) = (x.re, x.im);
        }
    }
}

impl History {
    pub(crate) fn new(taps: usize) -> Self {
        Self { newest: [Complex32::ZERO; LOW_BINS], frames: vec![Frame::SILENCE; taps], now: 0 }
    }

    /// Forgets the oldest frame for the one that `spectrum` holds.
    pub(crate) fn push(&mut self, bands: &Bands, spectrum: &[Complex32]) {
        self.now = (self.now + 1) % self.frames.len();
        bands.low(spectrum, &mut self.newest);
        self.frames[self.now].set(spectrum[0].re, &self.newest);
    }

    /// The newest frame's low band.
    pub(crate) fn newest(&self) -> &[Complex32; LOW_BINS] {
        &self.newest
    }

    /// The frame `tap` frames ago.
    fn ago(&self, tap: usize) -> &Frame {
        &self.frames[(self.now + self.frames.len() - tap) % self.frames.len()]
    }

    pub(crate) fn reset(&mut self) {
        self.newest.fill(Complex32::ZERO);
        self.frames.fill(Frame::SILENCE);
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
    let mut y = Frame::SILENCE;
    y.set(spectrum[0].re, &spectrum[1..]);
    for tap in 0..history.frames.len() {
        let (real, imag) = mask.tap(head, tap);
        let x = history.ago(tap);
        y.dc -= real[0] * x.dc;
        take(&mut y, x, 0..LOW_BINS - 1, (&real[..LOW_BINS - 1], &imag[..LOW_BINS - 1]));
        let last = LOW_BINS - 2..LOW_BINS - 1;
        take(&mut y, x, LOW_BINS - 1..LOW_BINS, (&real[last.clone()], &imag[last]));
    }
    removed[0].re = y.dc;
    for (r, (re, im)) in removed[1..].iter_mut().zip(y.real.iter().zip(&y.imag)) {
        (r.re, r.im) = (*re, *im);
    }
    let high = removed.iter_mut().skip(1 + LOW_BINS);
    for (y, gain) in high.zip(bands.interpolate(mask.gains(head))) {
        *y *= 1.0 - gain;
    }
}

/// Subtracts the filtered `x` in a range of bins.
fn take(y: &mut Frame, x: &Frame, bins: Range<usize>, (real, imag): (&[f32], &[f32])) {
    let x = x.real[bins.clone()].iter().zip(&x.imag[bins.clone()]);
    let y = y.real[bins.clone()].iter_mut().zip(&mut y.imag[bins]);
    for ((y_re, y_im), ((re, im), (x_re, x_im))) in y.zip(real.iter().zip(imag).zip(x)) {
        *y_re -= re * x_re - im * x_im;
        *y_im -= re * x_im + im * x_re;
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
