//! The low band's bins and the high band's ERB-spaced bands. Bins are 50 Hz apart at every rate.
use realfft::num_complex::Complex32;

/// Bins of the low band, 1..=160.
const LOW: usize = 160;
/// Bands of the high band.
const BANDS: usize = 24;
/// Distance of bins in Hz.
const BIN_HZ: f64 = 50.0;

/// First bin of each high band and one past the last: equal steps on the ERB-rate scale (Glasberg and Moore 1990)
/// from 8 025 to 20 025 Hz.
fn edges() -> [usize; BANDS + 1] {
    let erb = |f: f64| 21.4 * (1.0 + 0.00437 * f).log10();
    let (low, high) = (erb(8025.0), erb(20025.0));
    let mut edges = std::array::from_fn(|k| {
        let e = low + (high - low) * k as f64 / BANDS as f64;
        ((10f64.powf(e / 21.4) - 1.0) / 0.00437 / BIN_HZ).round() as usize
    });
    (edges[0], edges[BANDS]) = (LOW + 1, 401);
    edges
}

/// The bands of spectra with a given number of bins.
pub struct Bands {
    edges: [usize; BANDS + 1],
    weights: Vec<(usize, f32)>, // per bin from 161 on: a band, and the share of the one above it
}

impl Bands {
    /// For spectra of so many bins, DC and Nyquist included.
    pub fn new(bins: usize) -> Self {
        let edges = edges();
        let centre = |k: usize| (edges[k] + edges[k + 1] - 1) as f32 / 2.0;
        let weights = (LOW + 1..bins).map(|bin| {
            let bin = bin as f32;
            match (0..BANDS).rev().find(|&k| centre(k) <= bin) {
                None => (0, 0.0),
                Some(k) if k + 1 == BANDS => (BANDS - 2, 1.0),
                Some(k) => (k, (bin - centre(k)) / (centre(k + 1) - centre(k))),
            }
        });
        Self { edges, weights: weights.collect() }
    }

    /// Bins 1..=160; zero where the spectrum has fewer.
    pub fn low(&self, spectrum: &[Complex32], low: &mut [Complex32; LOW]) {
        let count = LOW.min(spectrum.len().saturating_sub(1));
        low[..count].copy_from_slice(&spectrum[1..=count]);
        low[count..].fill(Complex32::ZERO);
    }

    /// Mean |X|^2 of each high band; bins that the spectrum lacks count as zero.
    pub fn energies(&self, spectrum: &[Complex32], energies: &mut [f32; BANDS]) {
        for (energy, edge) in energies.iter_mut().zip(self.edges.windows(2)) {
            let bins = spectrum.iter().take(edge[1]).skip(edge[0]);
            *energy = bins.map(|x| x.norm_sqr()).sum::<f32>() / (edge[1] - edge[0]) as f32;
        }
    }

    /// Gains of the bands -> gains of the bins from 161 on: interpolated between the bands' centres, held beyond the
    /// first and the last.
    pub fn interpolate<'a>(&'a self, gains: &'a [f32; BANDS]) -> impl Iterator<Item = f32> + 'a {
        self.weights.iter().map(|&(k, share)| gains[k] + (gains[k + 1] - gains[k]) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_bins_161_to_400_without_a_gap() {
        let edges = edges();
        assert_eq!((edges[0], edges[BANDS]), (161, 401));
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
