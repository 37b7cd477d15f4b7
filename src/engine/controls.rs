//! The user's settings, and how they are smoothed.

/// Which signal is output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// The denoised voice.
    #[default]
    Result,
    /// What was removed.
    Removed,
}

/// Channel linking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stereo {
    /// One mask from all channels: preserves the stereo image.
    #[default]
    Linked,
    /// One network per channel.
    Independent,
}

/// The largest reduction unless one is chosen, dB.
///
/// Several quality measures rate 24 dB above full reduction (docs/manual.md): residual noise masks artefacts and is barely
/// audible.
pub const DEFAULT_REDUCTION_DB: f32 = 24.0;

/// Control values, read once per block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Controls {
    /// Largest reduction in dB, from 0 (none); infinity and NaN mean full reduction.
    pub reduction_db: f32,
    /// Bias on the noise estimate in dB, limited to -12..=12; positive removes more, negative keeps more. NaN is 0.
    pub sensitivity_db: f32,
    /// Share of the steady noise to keep, 0 (none) to 1 (all of it); NaN is 0.
    pub ambience: f32,
    /// Gain after denoising in dB, within -96..=36; NaN is 0.
    pub output_db: f32,
    /// Which signal is output.
    pub listen: Listen,
    /// Channel linking.
    pub stereo: Stereo,
    /// Outputs the delayed dry signal; changes are crossfaded.
    pub bypass: bool,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            reduction_db: DEFAULT_REDUCTION_DB,
            sensitivity_db: 0.0,
            ambience: 0.0,
            output_db: 0.0,
            listen: Listen::Result,
            stereo: Stereo::Linked,
            bypass: false,
        }
    }
}

impl Controls {
    /// Share of the network's removed signal that is actually removed, 0..=1.
    fn amount(&self) -> f32 {
        if self.reduction_db.is_nan() {
            return 1.0;
        }
        1.0 - 10f32.powf(-self.reduction_db.max(0.0) / 20.0)
    }

    /// Sensitivity clamped to its range, dB.
    pub(crate) fn sensitivity(&self) -> f32 {
        if self.sensitivity_db.is_nan() { 0.0 } else { self.sensitivity_db.clamp(-12.0, 12.0) }
    }

    /// Ambience clamped to its range.
    pub(crate) fn ambience(&self) -> f32 {
        if self.ambience.is_nan() { 0.0 } else { self.ambience.clamp(0.0, 1.0) }
    }

    fn gain(&self) -> f32 {
        if self.output_db.is_nan() {
            return 1.0;
        }
        10f32.powf(self.output_db.clamp(-96.0, 36.0) / 20.0)
    }
}

/// A linear ramp to a target value, sample by sample.
#[derive(Clone, Copy, Default)]
struct Ramp {
    value: f32,
    target: f32,
    step: f32,
    left: u32,
}

impl Ramp {
    fn set(&mut self, target: f32, samples: u32) {
        if target == self.target {
            return;
        }
        self.target = target;
        self.left = samples;
        if samples == 0 {
            self.value = target;
        } else {
            self.step = (target - self.value) / samples as f32;
        }
    }

    fn moves(&self) -> bool {
        self.left > 0
    }

    fn next(&mut self) -> f32 {
        if self.left > 0 {
            self.left -= 1;
            self.value = if self.left == 0 { self.target } else { self.value + self.step };
        }
        self.value
    }
}

/// Turns controls into two gains per sample: `output = dry_gain * dry + removed_gain * removed`.
///
/// The denoised signal is y = dry - amount * removed, so these gains cover everything outside the network: attenuation
/// limit, output gain, listening to the removed signal, bypass.
pub(crate) struct Mixer {
    samples: u32,
    controls: Option<Controls>, // none before the first block, which starts without a ramp
    amount: Ramp,
    gain: Ramp,
    removed: Ramp,
    bypass: Ramp,
}

impl Mixer {
    /// Ramps take `samples` samples.
    pub(crate) fn new(samples: u32) -> Self {
        Self {
            samples,
            controls: None,
            amount: Ramp::default(),
            gain: Ramp::default(),
            removed: Ramp::default(),
            bypass: Ramp::default(),
        }
    }

    pub(crate) fn set(&mut self, controls: &Controls) {
        if self.controls == Some(*controls) {
            return;
        }
        let samples = if self.controls.is_some() { self.samples } else { 0 };
        self.controls = Some(*controls);
        self.amount.set(controls.amount(), samples);
        self.gain.set(controls.gain(), samples);
        self.removed.set(f32::from(controls.listen == Listen::Removed), samples);
        self.bypass.set(f32::from(controls.bypass), samples);
    }

    /// The amount currently removed, 0..=1.
    pub(crate) fn amount(&self) -> f32 {
        self.amount.value
    }

    pub(crate) fn fill(&mut self, dry_gain: &mut [f32], removed_gain: &mut [f32]) {
        if ![&self.amount, &self.gain, &self.removed, &self.bypass].iter().any(|r| r.moves()) {
            let (dry, removed) = self.next();
            dry_gain.fill(dry);
            removed_gain.fill(removed);
            return;
        }
        for (dry, removed) in dry_gain.iter_mut().zip(removed_gain) {
            (*dry, *removed) = self.next();
        }
    }

    fn next(&mut self) -> (f32, f32) {
        let (amount, listen) = (self.amount.next(), self.removed.next());
        let (bypass, gain) = (self.bypass.next(), self.gain.next());
        let gain = (1.0 - bypass) * gain;
        (gain * (1.0 - listen) + bypass, gain * (2.0 * listen - 1.0) * amount)
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(mixer: &mut Mixer, controls: Controls, samples: usize) -> (f32, f32) {
        let (mut dry, mut removed) = (vec![0.0; samples], vec![0.0; samples]);
        mixer.set(&controls);
        mixer.fill(&mut dry, &mut removed);
        (dry[samples - 1], removed[samples - 1])
    }

    #[test]
    fn gains_are_exact_once_settled() {
        let mut mixer = Mixer::new(480);
        let full = Controls { reduction_db: f32::INFINITY, ..Controls::default() };
        assert_eq!(settle(&mut mixer, full, 1), (1.0, -1.0));
        assert_eq!(settle(&mut mixer, Controls { reduction_db: 0.0, ..full }, 480), (1.0, 0.0));
        assert_eq!(
            settle(&mut mixer, Controls { listen: Listen::Removed, ..full }, 480),
            (0.0, 1.0)
        );
        let bypassed = Controls { bypass: true, output_db: 12.0, ..full };
        assert_eq!(settle(&mut mixer, bypassed, 480), (1.0, 0.0));
        let (dry, removed) = settle(&mut mixer, Controls { reduction_db: 20.0, ..full }, 480);
        assert!(dry == 1.0 && (removed + 0.9).abs() < 1e-6, "{removed}");
    }

    #[test]
    fn nonsense_reads_as_something_sensible() {
        let nan = Controls { reduction_db: f32::NAN, output_db: f32::NAN, ..Controls::default() };
        assert_eq!(settle(&mut Mixer::new(480), nan, 1), (1.0, -1.0));
        let loud = Controls { reduction_db: -5.0, output_db: f32::INFINITY, ..Controls::default() };
        let (dry, removed) = settle(&mut Mixer::new(480), loud, 1);
        assert!(dry < 64.0 && removed == 0.0, "{dry} {removed}");
    }

    #[test]
    fn no_step_between_samples() {
        let mut mixer = Mixer::new(480);
        let mut gains = ([0.0; 2000], [0.0; 2000]);
        let off = Controls { reduction_db: 0.0, ..Controls::default() };
        mixer.set(&off);
        mixer.fill(&mut gains.0[..100], &mut gains.1[..100]);
        mixer.set(&Controls { output_db: 6.0, bypass: true, ..Controls::default() });
        mixer.fill(&mut gains.0[100..400], &mut gains.1[100..400]);
        mixer.set(&Controls { listen: Listen::Removed, ..Controls::default() });
        mixer.fill(&mut gains.0[400..], &mut gains.1[400..]);
        for gains in [gains.0, gains.1] {
            let step = gains.windows(2).map(|g| (g[1] - g[0]).abs()).fold(0.0, f32::max);
            assert!(step < 0.02, "{step}");
        }
    }
}
