//! Figures that an editor shows.
use realfft::num_complex::Complex32;

use crate::dsp::bands::{BIN_HZ, erb_hz, erb_rate};

/// Bands of the display, up to 20 kHz.
pub const DISPLAY_BANDS: usize = 96;
const LAST_BIN: usize = 400;

/// Figures for the latest frame; plain values, cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Telemetry {
    /// Frames since the engine was created or reset.
    pub frame: u64,
    /// Mean |X|^2 per display band before denoising; a sine of amplitude 1 has |X| = 0.64 at its bin.
    pub input: [f32; DISPLAY_BANDS],
    /// The same after denoising with the attenuation limit, before the output gain.
    pub output: [f32; DISPLAY_BANDS],
    /// Power after over power before in dB, at most about 0.
    pub gain_db: f32,
    /// Share of the signal classified as voice, 0..=1.
    pub voice: f32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            frame: 0,
            input: [0.0; DISPLAY_BANDS],
            output: [0.0; DISPLAY_BANDS],
            gain_db: 0.0,
            voice: 0.0,
        }
    }
}

impl Telemetry {
    /// Lower edges of the display bands in Hz, and the upper edge of the last. The bands are a bin wide at the bottom,
    /// then equally spaced on the ERB-rate scale.
    pub fn edges_hz() -> [f32; DISPLAY_BANDS + 1] {
        edges().map(|bin| ((bin as f64 - 0.5) * BIN_HZ) as f32)
    }
}

fn edges() -> [usize; DISPLAY_BANDS + 1] {
    let mut edges = [1; DISPLAY_BANDS + 1];
    for k in 1..=DISPLAY_BANDS {
        // The rest of the scale in equal steps, but at least one bin each.
        let [from, to] = [edges[k - 1], LAST_BIN + 1].map(|bin| erb_rate(BIN_HZ * bin as f64));
        let e = from + (to - from) / (DISPLAY_BANDS + 1 - k) as f64;
        let bin = (erb_hz(e) / BIN_HZ).round() as usize;
        edges[k] = bin.max(edges[k - 1] + 1);
    }
    edges
}

/// Fills [`Telemetry`] from spectra.
pub(crate) struct Meter {
    edges: [usize; DISPLAY_BANDS + 1],
    latest: Telemetry,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { edges: edges(), latest: Telemetry::default() }
    }

    pub(crate) fn latest(&self) -> &Telemetry {
        &self.latest
    }

    /// Call first for each frame: the share of the signal that the network classifies as voice, whatever the controls.
    pub(crate) fn listen<'a>(
        &mut self,
        channels: impl Iterator<Item = (&'a [Complex32], &'a [Complex32])>,
    ) {
        let (mut kept, mut all) = (0.0, 1e-8);
        for (spectrum, removed) in channels {
            // 150 Hz to 4 kHz: voices, but no rumble.
            for (x, r) in spectrum.iter().zip(removed).take(81).skip(3) {
                all += x.norm_sqr();
                kept += (x - r).norm_sqr();
            }
        }
        let voice = (kept / all).min(1.0);
        self.latest.voice += 0.4 * (voice - self.latest.voice);
    }

    /// From each channel's spectrum and its removed signal, `amount` of which is actually removed.
    pub(crate) fn measure<'a>(
        &mut self,
        channels: impl Iterator<Item = (&'a [Complex32], &'a [Complex32])>,
        amount: f32,
    ) {
        let t = &mut self.latest;
        t.frame += 1;
        t.input.fill(0.0);
        t.output.fill(0.0);
        let (mut before, mut after) = (0.0, 0.0);
        let mut count = 0.0f32;
        for (spectrum, removed) in channels {
            count += 1.0;
            let powers = |from: usize, to: usize| {
                let bins = spectrum.iter().zip(removed).take(to).skip(from);
                bins.fold((0.0, 0.0), |(input, output), (x, r)| {
                    (input + x.norm_sqr(), output + (x - r * amount).norm_sqr())
                })
            };
            let mut add = |(input, output)| {
                before += input;
                after += output;
            };
            add(powers(0, self.edges[0]));
            for (band, edge) in self.edges.windows(2).enumerate() {
                let (input, output) = powers(edge[0], edge[1]);
                t.input[band] += input;
                t.output[band] += output;
                add((input, output));
            }
            add(powers(LAST_BIN + 1, spectrum.len()));
        }
        for (band, edge) in self.edges.windows(2).enumerate() {
            let scale = 1.0 / (count.max(1.0) * (edge[1] - edge[0]) as f32);
            t.input[band] *= scale;
            t.output[band] *= scale;
        }
        t.gain_db = if before > 1e-12 {
            (10.0 * (after.max(1e-15f32) / before).log10()).max(-100.0)
        } else {
            0.0
        };
    }

    pub(crate) fn reset(&mut self) {
        self.latest = Telemetry::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_bands_cover_bins_1_to_400() {
        let edges = edges();
        assert_eq!((edges[0], edges[DISPLAY_BANDS]), (1, LAST_BIN + 1));
        assert!(edges.windows(2).all(|e| e[0] < e[1]), "{edges:?}");
    }

    #[test]
    fn a_halved_spectrum_reads_as_6_db_less() {
        let mut meter = Meter::new();
        let spectrum = vec![Complex32::new(0.1, 0.0); 481];
        let removed = vec![Complex32::new(0.1, 0.0); 481];
        meter.listen([(&spectrum[..], &removed[..])].into_iter());
        meter.measure([(&spectrum[..], &removed[..])].into_iter(), 0.5);
        let t = meter.latest();
        assert!((t.gain_db + 6.02).abs() < 0.01, "{}", t.gain_db);
        assert!((t.input[40] - 0.01).abs() < 1e-6 && (t.output[40] - 0.0025).abs() < 1e-6);
        assert!(t.voice < 0.1, "all is removed: {}", t.voice);
    }
}
