//! More contrast between the low band's gains, which the network makes too even.
use crate::dsp::bands::{between_centres, erb_edges, interpolate};
use crate::nn::{LOW_BANDS, LOW_BINS};

/// By how much a band's level moves away from the mean around it.
const SHARE: f32 = 0.4;
/// Bands on either side that count towards the mean; the outermost band stands in for those beyond it.
const AROUND: usize = 3;
/// Mean log gain of the bands from which on all of [`SHARE`] counts: -10 dB. At 0 dB, as in a clean voice, none of it does.
const NOISY: f32 = -std::f32::consts::LN_10;
/// Lowest power gain that counts: -40 dB.
const LEAST: f32 = 1e-4;
/// Power per bin that counts as silence.
const SILENCE: f32 = 1e-14;

/// Moves the log gains of 24 ERB bands up to 8 kHz away from their mean over seven bands, the less so the more of a frame is
/// kept. It never amplifies, and leaves equal gains alone.
///
/// A network trained on distances blurs what it is unsure of; in frequency, that can be undone in part. Smoothing the same
/// gains is judged worse.
pub(crate) struct Contrast {
    edges: Vec<usize>,
    between: Vec<(usize, f32)>, // per bin from 0 on
    bands: [f32; LOW_BANDS],    // gains
    bins: Vec<f32>,             // gains
}

impl Contrast {
    /// For spectra of `bins` bins, at least three; bands that do not fit whole are left out.
    pub(crate) fn new(bins: usize) -> Self {
        let edges: [usize; LOW_BANDS + 1] = erb_edges(1, LOW_BINS + 1);
        let edges: Vec<usize> = edges.into_iter().filter(|&edge| edge <= bins).collect();
        let end = edges.last().copied().unwrap_or_default();
        let between = between_centres(&edges, 0..end);
        Self { edges, between, bands: [1.0; LOW_BANDS], bins: vec![1.0; end] }
    }

    /// Gains for the first bins of the kept part, from the power of each bin before and after the mask, summed over the
    /// channels; empty if all are 1.
    pub(crate) fn gains(&mut self, before: &[f32], after: &[f32], channels: usize) -> &[f32] {
        let bands = self.edges.len() - 1;
        let mut padded = [0.0; LOW_BANDS + 2 * AROUND];
        for (level, edge) in padded[AROUND..].iter_mut().zip(self.edges.windows(2)) {
            let silence = SILENCE * ((edge[1] - edge[0]) * channels) as f32;
            let [before, after] =
                [before, after].map(|x| x[edge[0]..edge[1]].iter().sum::<f32>() + silence);
            // NaN passes `clamp`, but not `max`.
            *level = (after / before).clamp(LEAST, 2.0).max(LEAST).ln();
        }
        let levels = &padded[AROUND..AROUND + bands];
        let share = SHARE * (levels.iter().sum::<f32>() / bands as f32 / NOISY).clamp(0.0, 1.0);
        let (lowest, highest) = (levels[0], levels[bands - 1]);
        padded[..AROUND].fill(lowest);
        padded[AROUND + bands..].fill(highest);
        let mut even = true;
        for (gain, around) in self.bands.iter_mut().zip(padded.windows(2 * AROUND + 1)).take(bands)
        {
            let (level, mean) = (around[AROUND], around.iter().sum::<f32>() / around.len() as f32);
            let change = (share * (level - mean)).min((-level).max(0.0));
            even &= change.abs() < 1e-5;
            *gain = (0.5 * change).exp();
        }
        if even {
            return &[];
        }
        self.bins.iter_mut().zip(interpolate(&self.between, &self.bands)).for_each(|(y, x)| *y = x);
        &self.bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINS: usize = 481;

    fn db(gain: f32) -> f32 {
        20.0 * gain.log10()
    }

    #[test]
    fn a_band_above_its_surroundings_rises_and_they_fall() {
        let mut contrast = Contrast::new(BINS);
        let (band, beside) = (contrast.edges[12]..contrast.edges[13], contrast.edges[10]);
        let middle = (band.start + band.end) / 2;
        let kept = |bin| if band.contains(&bin) { 1e-1 } else { 1e-3 };
        let after: Vec<f32> = (0..BINS).map(kept).collect();
        let gains = contrast.gains(&[1.0; BINS], &after, 1);
        assert_eq!(gains.len(), 161);
        // 20 dB above six others of seven; below one of seven.
        assert!(
            (db(gains[middle]) - SHARE * 20.0 * 6.0 / 7.0).abs() < 0.5,
            "{}",
            db(gains[middle])
        );
        let beside = db(gains[beside]);
        assert!((beside + SHARE * 20.0 / 7.0).abs() < 0.05, "{beside}");
        assert!(db(gains[5]).abs() < 1e-4 && db(gains[155]).abs() < 1e-4);
    }

    #[test]
    fn the_more_is_kept_the_less_changes() {
        let mut contrast = Contrast::new(BINS);
        let mut change = |kept_db: f32| {
            let kept = |bin| 10f32.powf((kept_db - if bin == 1 { 0.5 } else { 0.0 }) / 10.0);
            let after: Vec<f32> = (0..BINS).map(kept).collect();
            contrast.gains(&[1.0; BINS], &after, 1).get(1).map_or(0.0, |&gain| db(gain))
        };
        let all = change(-20.0);
        assert!(all < -0.05, "{all}");
        assert!((change(-10.0) - all).abs() < 1e-3);
        assert!((change(-5.0) - 0.5 * all).abs() < 2e-3);
        assert!(change(0.0).abs() < 2e-3);
    }

    #[test]
    fn equal_gains_stay_and_nothing_is_amplified() {
        let mut contrast = Contrast::new(BINS);
        for kept in [0.0, 1e-9, 0.01, 1.0, 1.5, f32::MAX, f32::INFINITY, f32::NAN] {
            assert!(contrast.gains(&[1.0; BINS], &[kept; BINS], 1).is_empty(), "{kept}");
        }
        let after: Vec<f32> = (0..BINS).map(|bin| if bin < 47 { 1.0 } else { 1e-3 }).collect();
        let gains = contrast.gains(&[1.0; BINS], &after, 1);
        assert!(gains[..40].iter().all(|&gain| gain == 1.0), "{:?}", &gains[..40]);
        assert!(gains[51..60].iter().all(|&gain| gain < 0.9), "{:?}", &gains[51..60]);
    }

    #[test]
    fn any_powers_give_gains_within_bounds() {
        for bins in [81, 82, 111, 161, BINS] {
            let mut contrast = Contrast::new(bins);
            for power in [0.0, 1e-38, 1e30, f32::INFINITY, f32::NAN] {
                let after: Vec<f32> = (0..bins).map(|bin| power * (bin % 7) as f32 / 6.0).collect();
                let gains = contrast.gains(&vec![power; bins], &after, 2);
                assert!(gains.len() <= bins);
                assert!(
                    gains.iter().all(|gain| (0.05..=20.0).contains(gain)),
                    "{power}: {gains:?}"
                );
            }
        }
    }
}
