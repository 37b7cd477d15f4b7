//! From the network's mask to the spectrum of the removed signal.
use std::ops::Range;

use realfft::num_complex::Complex32;

use crate::dsp::{Bands, Ring};
use crate::nn::{LOW_BINS, Mask};

/// Bins 0..=160 of the latest frames.
pub(crate) struct LowBand {
    newest: [Complex32; LOW_BINS],
    frames: Ring<Frame>,
}

/// Real and imaginary parts are separate, as in the filters, so that vectors of them can be multiplied.
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

impl LowBand {
    pub(crate) fn new(frames: usize) -> Self {
        Self { newest: [Complex32::ZERO; LOW_BINS], frames: Ring::new(frames, Frame::SILENCE) }
    }

    /// Replaces the oldest frame with the one in `spectrum`.
    pub(crate) fn push(&mut self, bands: &Bands, spectrum: &[Complex32]) {
        bands.low(spectrum, &mut self.newest);
        self.frames.turn().set(spectrum[0].re, &self.newest);
    }

    /// The newest frame's low band.
    pub(crate) fn newest(&self) -> &[Complex32; LOW_BINS] {
        &self.newest
    }

    pub(crate) fn reset(&mut self) {
        self.newest.fill(Complex32::ZERO);
        self.frames.iter_mut().for_each(|f| *f = Frame::SILENCE);
    }
}

/// Computes what one mask head removes from `spectrum`, that head's frame: below 8 kHz, X minus the complex filter over the
/// frames in `history`, with its first tap `newest` frames before the newest; above, (1 - gain) X.
///
/// Energy below 25 Hz leaks into bin 1, where the network sees it, so the real bin 0 uses bin 1's filter. Bin 160 uses bin
/// 159's: in 16 kHz training material it is the real last bin, so only half of its own filter would be trained.
pub(crate) fn removed(
    (mask, head): (&Mask, usize),
    bands: &Bands,
    (history, newest): (&LowBand, usize),
    spectrum: &[Complex32],
    removed: &mut [Complex32],
) {
    removed.copy_from_slice(spectrum);
    let mut y = Frame::SILENCE;
    y.set(spectrum[0].re, &spectrum[1..]);
    for tap in 0..mask.taps() {
        let (real, imag) = mask.tap(head, tap);
        let x = history.frames.ago(newest + tap);
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
    let gains = bands.at_the_edge(mask.gains(head));
    for (y, gain) in high.zip(bands.interpolate(&gains)) {
        *y *= 1.0 - gain;
    }
}

/// Subtracts the filtered `x` over a range of bins.
fn take(y: &mut Frame, x: &Frame, bins: Range<usize>, (real, imag): (&[f32], &[f32])) {
    let x = x.real[bins.clone()].iter().zip(&x.imag[bins.clone()]);
    let y = y.real[bins.clone()].iter_mut().zip(&mut y.imag[bins]);
    for ((y_re, y_im), ((re, im), (x_re, x_im))) in y.zip(real.iter().zip(imag).zip(x)) {
        *y_re -= re * x_re - im * x_im;
        *y_im -= re * x_im + im * x_re;
    }
}

/// Combines several channels into one spectrum: the phase of their sum, the root mean square of their magnitudes. `power` is
/// scratch space for as many bins.
///
/// Equal channels give exactly that channel. Where the channels almost cancel, the phase is that of the first loud one.
pub(crate) fn joint<'a>(
    spectra: impl Iterator<Item = &'a [Complex32]> + Clone,
    joint: &mut [Complex32],
    power: &mut [f32],
) {
    joint.fill(Complex32::ZERO);
    power.fill(0.0);
    let mut count = 0.0f32;
    for spectrum in spectra.clone() {
        count += 1.0;
        for ((sum, power), x) in joint.iter_mut().zip(&mut *power).zip(spectrum) {
            *sum += x;
            *power += x.norm_sqr();
        }
    }
    let share = 1.0 / count.max(1.0);
    for (bin, (y, power)) in joint.iter_mut().zip(power).enumerate() {
        let (mid, power) = (*y * share, *power * share);
        let (direction, norm) = match mid.norm_sqr() {
            m if m > 1e-2 * power => (mid, m),
            _ => {
                let there = spectra.clone().map(|spectrum| spectrum[bin]);
                let loudest = there.clone().map(|x| x.norm_sqr()).fold(0.0, f32::max);
                let mut loud = there.filter(|x| x.norm_sqr() >= 0.25 * loudest);
                loud.next().map_or((mid, 0.0), |x| (x, x.norm_sqr()))
            }
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

    fn joint(spectra: &[&[Complex32]]) -> Vec<Complex32> {
        let (mut y, mut power) = (vec![Complex32::ZERO; 481], vec![0.0; 481]);
        super::joint(spectra.iter().copied(), &mut y, &mut power);
        y
    }

    #[test]
    fn equal_channels_are_their_joint_spectrum() {
        let x = tone(481);
        assert_eq!(x, joint(&[&x, &x]));
        for (x, y) in x.iter().zip(joint(&[&x, &x, &x])) {
            assert!((x - y).norm() < 1e-6 * (1.0 + x.norm()), "{x} {y}");
        }
    }

    #[test]
    fn channels_that_cancel_do_not_vanish() {
        let (x, silence) = (tone(481), vec![Complex32::ZERO; 481]);
        let opposite: Vec<_> = x.iter().map(|x| -x).collect();
        for (x, y) in x.iter().zip(joint(&[&x, &opposite])) {
            assert!((x - y).norm() < 1e-6, "{x} {y}");
        }
        // The first channel does not affect the phase.
        for (x, y) in x.iter().zip(joint(&[&silence, &x, &opposite])) {
            assert!((x * (2f32 / 3.0).sqrt() - y).norm() < 1e-5, "{x} {y}");
        }
    }

    #[test]
    fn a_single_channel_keeps_its_power() {
        let (x, silence) = (tone(481), vec![Complex32::ZERO; 481]);
        for channels in [2, 6, 64] {
            let mut spectra = vec![&silence[..]; channels];
            spectra[channels / 2] = &x;
            for (x, y) in x.iter().zip(joint(&spectra)) {
                let expected = x / (channels as f32).sqrt();
                assert!((expected - y).norm() < 1e-5, "{channels} channels: {expected} {y}");
            }
        }
    }
}
