//! A downward expander on frames in which the network heard no voice.
use super::shape::Pair;

/// Bins of a band: 800 Hz.
const BAND: usize = 16;
/// A frame of which every band keeps less than this power ratio (-28 dB) holds no voice.
const THRESHOLD: f32 = 1.585e-3;
/// A band softer than the frame by this power ratio (-40 dB) counts as if it were as loud.
const FAINT: f32 = 1e-4;
/// Most that is taken away on top: 20 dB.
const FLOOR: f32 = 0.1;
/// Power that reads as silence.
const SILENCE: f32 = 1e-14;

/// Of a frame that is all but removed already, more is removed: 1 dB for each dB below the threshold.
///
/// The band that keeps most decides for all, so a voice in any of them leaves the frame as it is; and nothing is remembered, so
/// its first frame passes whole. Channels that go together get the same gain.
pub(crate) fn expand(channels: &mut [Pair<'_>]) {
    let gain = (most_kept(channels) / THRESHOLD).sqrt();
    if gain >= 1.0 {
        return;
    }
    let gain = gain.max(FLOOR);
    for (spectrum, removed) in channels {
        for (r, x) in removed.iter_mut().zip(spectrum.iter()) {
            *r = x - (x - *r) * gain;
        }
    }
}

/// Largest ratio of |X - R|^2 to |X|^2 in any band.
fn most_kept(channels: &[Pair<'_>]) -> f32 {
    let bins = channels.first().map_or(0, |(spectrum, _)| spectrum.len());
    // Bin 0 counts for the faintness alone.
    let bands = || (1..bins.saturating_sub(BAND - 1)).step_by(BAND).map(|at| at..at + BAND);
    let heard = |band: std::ops::Range<usize>| -> f32 {
        channels.iter().flat_map(|(x, _)| &x[band.clone()]).map(|x| x.norm_sqr()).sum()
    };
    let faint = FAINT * heard(0..bins) + SILENCE;
    let kept = |band: std::ops::Range<usize>| -> f32 {
        let all = channels.iter().flat_map(|(x, r)| x[band.clone()].iter().zip(&r[band.clone()]));
        all.map(|(x, r)| (x - r).norm_sqr()).sum()
    };
    bands().map(|band| kept(band.clone()) / heard(band).max(faint)).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use realfft::num_complex::Complex32;

    use super::*;

    /// What is kept of a frame whose bins are `x` and of which `gain(bin)` is kept.
    fn kept(x: f32, gain: impl Fn(usize) -> f32) -> Vec<f32> {
        let spectrum = vec![Complex32::new(0.0, x); 481];
        let mut removed: Vec<_> = (0..481).map(|bin| spectrum[bin] * (1.0 - gain(bin))).collect();
        expand(&mut [(&spectrum, &mut removed)]);
        spectrum.iter().zip(&removed).map(|(x, r)| (x - r).norm()).collect()
    }

    fn db(ratio: f32) -> f32 {
        20.0 * ratio.log10()
    }

    #[test]
    fn frames_without_voice_fall_by_as_much_again_as_they_lie_below_the_threshold() {
        for (gain, expected) in [(-20.0, -20.0), (-28.0, -28.0), (-38.0, -48.0), (-60.0, -80.0)] {
            for y in kept(0.01, |_| 10f32.powf(gain / 20.0)) {
                assert!(
                    (db(y / 0.01) - expected).abs() < 0.1,
                    "{gain} dB became {} dB",
                    db(y / 0.01)
                );
            }
        }
    }

    #[test]
    fn a_voice_in_one_band_leaves_the_frame_to_the_bit() {
        let gain = |bin: usize| if (100..116).contains(&bin) { 0.3 } else { 0.001 };
        let spectrum = vec![Complex32::new(0.0, 0.02); 481];
        let before: Vec<_> = (0..481).map(|bin| spectrum[bin] * (1.0 - gain(bin))).collect();
        let mut after = before.clone();
        expand(&mut [(&spectrum, &mut after)]);
        assert!(before == after);
    }

    #[test]
    fn silence_and_excess_stay_finite() {
        for x in [0.0, 1e-30, 1e25] {
            assert!(kept(x, |_| 0.01).iter().all(|y| y.is_finite()), "{x}");
        }
    }
}
