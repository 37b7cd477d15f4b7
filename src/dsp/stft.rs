//! Window and transform of one frame.
use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Short-time Fourier transform: sqrt-Hann windows of 20 ms, every 10 ms, at any rate.
///
/// Bins are scaled by 2 / window so that the same sound gives the same numbers at every rate.
pub struct Stft {
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    frame: Vec<f32>,
    scratch: Vec<Complex32>,
}

impl Stft {
    /// For frames of two hops.
    pub fn new(hop: usize) -> Self {
        let length = 2 * hop;
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(length);
        let inverse = planner.plan_fft_inverse(length);
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            window: (0..length).map(|n| (PI * n as f64 / length as f64).sin() as f32).collect(),
            forward,
            inverse,
            frame: vec![0.0; length],
            scratch: vec![Complex32::ZERO; scratch],
        }
    }

    /// Bins of a spectrum, DC and Nyquist included.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// frame: two hops -> spectrum.
    pub fn analyze(&mut self, frame: &[f32], spectrum: &mut [Complex32]) {
        for ((y, x), w) in self.frame.iter_mut().zip(frame).zip(&self.window) {
            *y = x * w;
        }
        let done = self.forward.process_with_scratch(&mut self.frame, spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        if done.is_err() {
            spectrum.fill(Complex32::ZERO); // wrong length: output silence rather than stale data
        }
        let scale = 2.0 / self.window.len() as f32;
        spectrum.iter_mut().for_each(|x| *x *= scale);
    }

    /// spectrum, used up -> hop; `overlap` is the half frame carried from hop to hop.
    pub fn synthesize(&mut self, spectrum: &mut [Complex32], overlap: &mut [f32], hop: &mut [f32]) {
        self.invert(spectrum);
        // realfft omits 1/window; with the 2/window of the analysis, a half remains.
        for (y, w) in self.frame.iter_mut().zip(&self.window) {
            *y *= 0.5 * w;
        }
        let (first, second) = self.frame.split_at(hop.len());
        for ((y, x), before) in hop.iter_mut().zip(first).zip(overlap.iter()) {
            *y = x + before;
        }
        overlap.copy_from_slice(second);
    }

    /// spectrum, used up, of the same frame as `overlap` -> `overlap`, recomputed from it.
    ///
    /// The output so far came from the other spectrum, so it is crossfaded into this one over a twentieth of the hop: a step
    /// would be audible as a buzz at the hop rate.
    pub fn amend(&mut self, spectrum: &mut [Complex32], overlap: &mut [f32]) {
        self.invert(spectrum);
        let (hop, fade) = (overlap.len(), seam(overlap.len()));
        let mut windowed =
            self.frame[hop..].iter().zip(&self.window[hop..]).map(|(x, w)| x * (0.5 * w));
        let (faded, rest) = overlap.split_at_mut(fade);
        for (i, (y, x)) in faded.iter_mut().zip(windowed.by_ref()).enumerate() {
            *y += (x - *y) * (i as f32 / fade as f32);
        }
        rest.iter_mut().zip(windowed).for_each(|(y, x)| *y = x);
    }

    /// spectrum, used up -> frame, not windowed.
    fn invert(&mut self, spectrum: &mut [Complex32]) {
        // The transform of a real signal is real at both ends.
        if let [first, .., last] = spectrum {
            (first.im, last.im) = (0.0, 0.0);
        }
        let done = self.inverse.process_with_scratch(spectrum, &mut self.frame, &mut self.scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        if done.is_err() {
            self.frame.fill(0.0);
        }
    }
}

/// Samples over which [`Stft::amend`] fades.
fn seam(hop: usize) -> usize {
    hop / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analysis_then_synthesis_is_a_delay_of_one_hop() {
        for hop in [80, 110, 441, 480, 1920] {
            let mut stft = Stft::new(hop);
            let signal: Vec<f32> = (0..hop * 6).map(|n| (n as f32 * 0.37).sin()).collect();
            let mut spectrum = vec![Complex32::ZERO; stft.bins()];
            let (mut overlap, mut out) = (vec![0.0; hop], vec![0.0; hop]);
            for t in 0..5 {
                stft.analyze(&signal[t * hop..(t + 2) * hop], &mut spectrum);
                stft.synthesize(&mut spectrum, &mut overlap, &mut out);
                if t > 0 {
                    for (y, x) in out.iter().zip(&signal[t * hop..]) {
                        assert!((y - x).abs() < 1e-6, "hop {hop}: {y} for {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_amended_frame_is_the_new_one_without_a_step() {
        let hop = 480;
        let mut stft = Stft::new(hop);
        let signal: Vec<f32> = (0..hop * 2).map(|n| (n as f32 * 0.37).sin()).collect();
        let mut spectrum = vec![Complex32::ZERO; stft.bins()];
        stft.analyze(&signal, &mut spectrum);
        let doubled: Vec<Complex32> = spectrum.iter().map(|x| 2.0 * x).collect();
        let (mut overlap, mut out) = (vec![0.0; hop], vec![0.0; hop]);
        stft.synthesize(&mut spectrum.clone(), &mut overlap, &mut out);
        let old = overlap.clone();
        stft.amend(&mut spectrum, &mut overlap);
        for (y, x) in overlap.iter().zip(&old) {
            assert!((y - x).abs() < 1e-6, "the same spectrum: {y} for {x}");
        }
        stft.amend(&mut doubled.clone(), &mut overlap);
        assert!((overlap[0] - old[0]).abs() < 1e-6, "no step: {} after {}", overlap[0], old[0]);
        for (i, (y, x)) in overlap.iter().zip(&old).enumerate().skip(hop / 20) {
            assert!((y - 2.0 * x).abs() < 1e-5, "sample {i}: {y} for {}", 2.0 * x);
        }
    }

    #[test]
    fn the_same_sine_gives_the_same_bin_at_every_rate() {
        let level = |rate: usize| {
            let mut stft = Stft::new(rate / 100);
            let frame: Vec<f32> = (0..rate / 50)
                .map(|n| (2.0 * PI * 1000.0 * n as f64 / rate as f64).sin() as f32)
                .collect();
            let mut spectrum = vec![Complex32::ZERO; stft.bins()];
            stft.analyze(&frame, &mut spectrum);
            spectrum[20] // 1 kHz
        };
        let expected = level(48_000);
        assert!((expected.norm() - 2.0 / PI as f32).abs() < 1e-3, "{expected}");
        for rate in [8_000, 16_000, 44_100, 96_000, 192_000] {
            assert!(
                (level(rate) - expected).norm() < 2e-3,
                "{rate} Hz: {} for {expected}",
                level(rate)
            );
        }
    }
}
