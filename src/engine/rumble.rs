//! Rumble that a good recording holds: it stays.

/// Bins 0, 50 and 100 Hz: what lies below 125 Hz.
pub(crate) const BINS: usize = 3;
/// The bins that tell whether there is any other noise: to 8 kHz.
const LAST: usize = 160;
/// Rumble softer than the voice by this power ratio (-22 dB) may stay: beside a voice of 65 dB SPL it lies at the threshold of
/// hearing (ISO 226: 44 dB at 50 Hz, 60 dB at 31.5 Hz).
const FAINT: f32 = 6.31e-3;
/// A recording of which so little else is removed (-28 dB) is a good one.
const GOOD: f32 = 1.585e-3;
/// The voice's power before any was heard, -26 dBFS: a recording's first pause already keeps what its next one will.
const EXPECTED: f32 = 2.512e-3;
/// Shares of the distance per frame of 10 ms: of the voice's power when louder, of what is removed.
const RISE: f32 = 0.1;
const FOLLOW: f32 = 0.02;
/// The voice's power falls by 10 dB per second while a softer one is heard, by 5 in a pause.
const FALL: f32 = 0.9772;
const FORGET: f32 = 0.9886;
/// The share that stays goes from none to all in 100 ms.
const STEP: f32 = 0.1;
/// Powers are held within these, whatever comes in.
const LEAST: f32 = 1e-10;
const MOST: f32 = 1e6;

/// Tells how much of what is removed below 125 Hz is to stay.
///
/// Nobody can tell the rumble of a good microphone's room from that of a noise, and a few frames are too short to try: the
/// network takes both away. Where it removes nothing else worth mentioning, all is the recording's own.
#[derive(Clone, Debug)]
pub(crate) struct Rumble {
    voice: f32,  // power of what is heard while most of it is kept
    noise: f32,  // power removed above
    rumble: f32, // power removed below
    share: f32,
}

impl Rumble {
    pub(crate) fn new() -> Self {
        Self { voice: EXPECTED, noise: 0.0, rumble: 0.0, share: 0.0 }
    }

    /// The share of what is removed of the lowest [`BINS`] that stays, 0..=1, from each bin's power in a frame, of it what
    /// is kept, and what is removed.
    pub(crate) fn share(&mut self, before: &[f32], after: &[f32], removed: &[f32]) -> f32 {
        let above = BINS.min(before.len())..before.len().min(LAST + 1);
        let power = |bins: &[f32]| bins.iter().sum::<f32>().min(MOST); // NaN: the most
        let (heard, kept) = (power(&before[above.clone()]), power(&after[above.clone()]));
        self.voice = match kept > 0.5 * heard {
            true if heard > self.voice => self.voice + RISE * (heard - self.voice),
            true => self.voice * FALL,
            false => self.voice * FORGET,
        };
        self.voice = self.voice.max(LEAST);
        self.noise += FOLLOW * (power(&removed[above.clone()]) - self.noise);
        self.rumble += FOLLOW * (power(&removed[..above.start]) - self.rumble);
        let good = self.noise < GOOD * self.voice && self.rumble < FAINT * self.voice;
        self.share = (self.share + if good { STEP } else { -STEP }).clamp(0.0, 1.0);
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 161;

    /// The shares over `frames` frames of equally loud bins that hold `voice` in all, of which `noise` is removed, and
    /// `rumble` below, all as powers.
    fn shares(
        state: &mut Rumble,
        frames: usize,
        (voice, noise, rumble): (f32, f32, f32),
    ) -> Vec<f32> {
        let bins = (N - BINS) as f32;
        let bin = |low: f32, power: f32| {
            let mut all = vec![power / bins; N];
            all[..BINS].fill(low / BINS as f32);
            all
        };
        let (before, after) = (bin(rumble, voice + noise), bin(0.0, voice));
        let removed = bin(rumble, noise);
        (0..frames).map(|_| state.share(&before, &after, &removed)).collect()
    }

    #[test]
    fn faint_rumble_of_a_good_recording_stays() {
        let shares = shares(&mut Rumble::new(), 50, (1e-2, 1e-6, 3e-5));
        assert!(
            (shares[0] - STEP).abs() < 1e-6 && shares[12..].iter().all(|&s| s == 1.0),
            "{shares:?}"
        );
    }

    #[test]
    fn loud_rumble_and_that_beside_other_noise_goes() {
        for (noise, rumble) in [(1e-6, 2e-4), (1e-4, 3e-5), (1e-3, 1e-3)] {
            let shares = shares(&mut Rumble::new(), 200, (1e-2, noise, rumble));
            assert!(
                shares[100..].iter().all(|&s| s == 0.0),
                "noise {noise}, rumble {rumble}: {shares:?}"
            );
        }
    }

    #[test]
    fn the_first_pause_keeps_what_the_next_one_does_and_a_new_noise_ends_it() {
        let mut state = Rumble::new();
        let pause = (1e-9, 1e-7, 3e-6); // more is removed than kept
        assert_eq!(shares(&mut state, 60, pause)[59], 1.0);
        shares(&mut state, 100, (1e-2, 1e-6, 3e-6));
        assert_eq!(shares(&mut state, 100, pause)[99], 1.0);
        assert_eq!(shares(&mut state, 40, (1e-9, 1e-4, 3e-6))[39], 0.0);
    }

    #[test]
    fn level_does_not_matter_once_a_voice_was_heard() {
        for level in [1e-4f32, 1.0, 1e2] {
            let of = |noise: f32| {
                let mut state = Rumble::new();
                *shares(&mut state, 1000, (1e-3 * level, noise * level, 1e-6 * level))
                    .last()
                    .expect("1000 shares")
            };
            assert_eq!((of(1e-7), of(1e-5)), (1.0, 0.0), "level {level}");
        }
    }

    #[test]
    fn whatever_comes_in_its_state_stays_finite() {
        let mut state = Rumble::new();
        for power in [0.0, 1e-38, f32::MAX, f32::INFINITY, f32::NAN, 0.0] {
            for frame in [[power; N], [0.0; N]] {
                let share = state.share(&frame, &frame, &frame);
                assert!((0.0..=1.0).contains(&share), "{power}: {share}");
                assert!(
                    [state.voice, state.noise, state.rumble].iter().all(|x| x.is_finite()),
                    "{power}: {state:?}"
                );
            }
        }
        for bins in 0..5 {
            state.share(&vec![1.0; bins], &vec![1.0; bins], &vec![0.0; bins]);
        }
    }
}
