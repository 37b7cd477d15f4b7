//! A downward expander for frames in which the network finds no voice.

/// Bins per band: 800 Hz.
const BAND: usize = 16;
/// A frame holds no voice if the mask keeps less than this share of the power (-33 dB) in every band.
const THRESHOLD: f32 = 5.012e-4;
/// A band's power counts as at least this share of the frame's (-40 dB).
const FAINT: f32 = 1e-4;
/// Largest additional reduction: 20 dB.
const FLOOR: f32 = 0.1;
/// Power that counts as silence.
const SILENCE: f32 = 1e-14;

/// Gain for the kept part of a frame, from the power of each bin before and after the mask: 1 dB down for each dB below the
/// threshold.
///
/// The band of which most is kept decides for all, so a voice in any band gives exactly 1. There is no memory, so a voice's
/// first frame passes unchanged.
pub(crate) fn gain(before: &[f32], after: &[f32]) -> f32 {
    // By parts: one long sum would wait for each addition.
    let parts = before.chunks(BAND).map(|part| part.iter().sum::<f32>());
    let faint = FAINT * parts.sum::<f32>() + SILENCE;
    // Bin 0 only counts towards the frame's power.
    let (heard, left) = (before.get(1..).unwrap_or_default(), after.get(1..).unwrap_or_default());
    let bands = heard.chunks_exact(BAND).zip(left.chunks_exact(BAND));
    let kept =
        bands.map(|(heard, left)| left.iter().sum::<f32>() / heard.iter().sum::<f32>().max(faint));
    (kept.fold(0.0, f32::max) / THRESHOLD).sqrt().clamp(FLOOR, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINS: usize = 481;

    /// The gain in dB for a frame of equally loud bins, each kept at `kept_db(bin)`.
    fn gain_db(power: f32, kept_db: impl Fn(usize) -> f32) -> f32 {
        let after: Vec<f32> =
            (0..BINS).map(|bin| power * 10f32.powf(kept_db(bin) / 10.0)).collect();
        20.0 * gain(&[power; BINS], &after).log10()
    }

    #[test]
    fn frames_without_voice_fall_by_as_much_again_as_they_lie_below_the_threshold() {
        for (kept, expected) in [(-20.0, 0.0), (-32.9, 0.0), (-43.0, -10.0), (-60.0, -20.0)] {
            let gain = gain_db(1e-4, |_| kept);
            assert!((gain - expected).abs() < 0.1, "{kept} dB: {gain} dB more");
        }
    }

    #[test]
    fn a_voice_in_one_band_is_left_to_the_bit() {
        let kept = |bin| if (100..116).contains(&bin) { -10.0 } else { -60.0 };
        assert_eq!(gain_db(4e-4, kept), 0.0);
    }

    #[test]
    fn silence_and_excess_give_a_gain() {
        for power in [0.0, 1e-38, 1e38, f32::INFINITY, f32::NAN] {
            let gain = gain(&[power; BINS], &[power; BINS]);
            assert!((FLOOR..=1.0).contains(&gain), "{power}: {gain}");
        }
    }
}
