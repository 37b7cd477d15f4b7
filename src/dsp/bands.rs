//! The low band's bins and the high band's ERB-spaced bands. Bins are 50 Hz apart at every rate.
use std::ops::Range;

use realfft::num_complex::Complex32;

/// Bins of the low band, 1..=160.
const LOW: usize = 160;
/// Bands of the high band.
const BANDS: usize = 24;
/// One past the last bin of the high band, 20 kHz.
const HIGH_END: usize = 401;
/// Whole bands below the end of a spectrum that ends within the high band, beside which the network leaves more noise.
const EDGE: usize = 3;
/// Bin spacing, Hz.
pub(crate) const BIN_HZ: f64 = 50.0;

/// ERB-rate of a frequency in Hz (Glasberg and Moore 1990).
pub(crate) fn erb_rate(hz: f64) -> f64 {
    21.4 * (1.0 + 0.00437 * hz).log10()
}

/// The frequency in Hz of an ERB-rate.
pub(crate) fn erb_hz(erb_rate: f64) -> f64 {
    (10f64.powf(erb_rate / 21.4) - 1.0) / 0.00437
}

/// First bin of each band and one past the last, of `N - 1` bands from bin `first` to before bin `end`: equal steps on the
/// ERB-rate scale, and no band without a bin.
pub(crate) fn erb_edges<const N: usize>(first: usize, end: usize) -> [usize; N] {
    let [low, high] = [first, end].map(|bin| erb_rate(BIN_HZ * bin as f64 - BIN_HZ / 2.0));
    let mut edges = [first; N];
    for k in 1..N {
        let e = low + (high - low) * k as f64 / (N - 1) as f64;
        let bin = (erb_hz(e) / BIN_HZ).round() as usize;
        edges[k] = bin.max(edges[k - 1] + 1);
    }
    edges[N - 1] = end;
    edges
}

/// For each of `bins` a band and the share of the next one: interpolated between the bands' centres, constant beyond the
/// first and last.
pub(crate) fn between_centres(edges: &[usize], bins: Range<usize>) -> Vec<(usize, f32)> {
    let bands = edges.len() - 1;
    let centre = |k: usize| (edges[k] + edges[k + 1] - 1) as f32 / 2.0;
    let weights = bins.map(|bin| {
        let bin = bin as f32;
        match (0..bands).rev().find(|&k| centre(k) <= bin) {
            None => (0, 0.0),
            Some(k) if k + 1 == bands => (bands - 2, 1.0),
            Some(k) => (k, (bin - centre(k)) / (centre(k + 1) - centre(k))),
        }
    });
    weights.collect()
}

/// Gains of the bands -> gains of the bins of [`between_centres`].
pub(crate) fn interpolate<'a>(
    weights: &'a [(usize, f32)],
    gains: &'a [f32],
) -> impl Iterator<Item = f32> + 'a {
    weights.iter().map(|&(k, share)| gains[k] + (gains[k + 1] - gains[k]) * share)
}

/// The bands of spectra with a given number of bins.
pub struct Bands {
    edges: [usize; BANDS + 1],
    weights: Vec<(usize, f32)>, // per bin from 161 on: a band, and the share of the one above it
    edge: usize,                // the first band that `at_the_edge` limits
}

impl Bands {
    /// For spectra of `bins` bins, including DC and Nyquist.
    pub fn new(bins: usize) -> Self {
        let edges: [usize; BANDS + 1] = erb_edges(LOW + 1, HIGH_END);
        let whole = edges[1..].iter().filter(|&&edge| edge <= bins).count();
        let edge = if (2 * EDGE..BANDS).contains(&whole) { whole - EDGE } else { BANDS };
        Self { weights: between_centres(&edges, LOW + 1..bins), edges, edge }
    }

    /// Bins 1..=160; zero where the spectrum has fewer.
    pub fn low(&self, spectrum: &[Complex32], low: &mut [Complex32; LOW]) {
        let count = LOW.min(spectrum.len().saturating_sub(1));
        low[..count].copy_from_slice(&spectrum[1..=count]);
        low[count..].fill(Complex32::ZERO);
    }

    /// Mean |X|^2 of each high band; missing bins count as zero.
    pub fn energies(&self, spectrum: &[Complex32], energies: &mut [f32; BANDS]) {
        for (energy, edge) in energies.iter_mut().zip(self.edges.windows(2)) {
            let bins = spectrum.iter().take(edge[1]).skip(edge[0]);
            *energy = bins.map(|x| x.norm_sqr()).sum::<f32>() / (edge[1] - edge[0]) as f32;
        }
    }

    /// Gains for a spectrum that ends within the high band: from three whole bands below its end on, none is above the
    /// largest of those before. The network sees nothing past the end, and beside it leaves more noise than elsewhere.
    pub fn at_the_edge(&self, gains: &[f32; BANDS]) -> [f32; BANDS] {
        let mut limited = *gains;
        let (below, top) = limited.split_at_mut(self.edge);
        let most = below.iter().copied().fold(0.0, f32::max);
        top.iter_mut().for_each(|gain| *gain = gain.min(most));
        limited
    }

    /// Gains of the bands -> gains of the bins from 161 on: interpolated between the bands' centres, constant beyond the
    /// first and last.
    pub fn interpolate<'a>(&'a self, gains: &'a [f32; BANDS]) -> impl Iterator<Item = f32> + 'a {
        interpolate(&self.weights, gains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_bins_161_to_400_without_a_gap() {
        let edges: [usize; BANDS + 1] = erb_edges(LOW + 1, HIGH_END);
        assert_eq!((edges[0], edges[BANDS]), (161, 401));
        assert!(edges.windows(2).all(|e| e[0] < e[1]), "{edges:?}");
    }

    #[test]
    fn low_bands_have_a_bin_each_at_the_bottom() {
        let edges: [usize; BANDS + 1] = erb_edges(1, LOW + 1);
        assert_eq!((edges[0], edges[1], edges[BANDS]), (1, 2, 161));
        assert!(edges.windows(2).all(|e| e[0] < e[1]), "{edges:?}");
    }

    #[test]
    fn gains_are_interpolated_and_held() {
        let bands = Bands::new(961);
        let gains: [f32; BANDS] = std::array::from_fn(|k| k as f32);
        let bins: Vec<f32> = bands.interpolate(&gains).collect();
        assert_eq!(bins.len(), 961 - 161);
        assert_eq!(bins[0], 0.0);
        assert!(bins.windows(2).all(|g| g[0] <= g[1]), "gains rise with the bands");
        assert!(bins[400 - 161..].iter().all(|&g| (g - 23.0).abs() < 1e-5));
        let centre = (bands.edges[5] + bands.edges[6] - 1) as f32 / 2.0;
        let around = &bins[centre.floor() as usize - 161..=centre.ceil() as usize - 161];
        assert!(
            (around.iter().sum::<f32>() / around.len() as f32 - 5.0).abs() < 0.02,
            "{around:?}"
        );
    }

    #[test]
    fn the_top_of_a_spectrum_that_ends_within_the_bands_has_no_gain_above_the_others() {
        let gains: [f32; BANDS] = std::array::from_fn(|k| k as f32 / 100.0);
        let highest = |bins: usize| {
            let limited = Bands::new(bins).at_the_edge(&gains);
            assert!(limited.iter().zip(&gains).all(|(a, b)| a <= b));
            limited.iter().copied().fold(0.0, f32::max)
        };
        // 22 kHz: eight whole bands, of which the lower five count.
        assert_eq!(highest(221), 0.04);
        for bins in [961, 401, 161, 171] {
            assert_eq!(highest(bins), 0.23, "{bins}");
        }
    }

    #[test]
    fn bands_above_nyquist_are_silent() {
        let bands = Bands::new(221); // 22 kHz
        let mut energies = [1.0; BANDS];
        bands.energies(&[Complex32::new(1.0, 0.0); 221], &mut energies);
        assert_eq!(energies[0], 1.0);
        assert_eq!(energies[BANDS - 1], 0.0);
        let mut low = [Complex32::ZERO; LOW];
        Bands::new(81).low(&[Complex32::new(1.0, 0.0); 81], &mut low); // 8 kHz
        assert_eq!((low[79].re, low[80].re), (1.0, 0.0));
    }
}
