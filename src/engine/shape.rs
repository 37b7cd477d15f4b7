//! Adjusts the removed signal: an expander, contrast, and the user's Sensitivity and Ambience.
use realfft::num_complex::Complex32;

use super::contrast::Contrast;
use super::controls::Controls;
use super::expander;

/// Bins of the narrowest band in which steady noise is tracked: 200 Hz.
const NARROWEST: usize = 4;
/// Per-frame smoothing of the log noise floor (natural logarithm, frames of 10 ms), rising and falling.
const RISE: f32 = 0.01;
const FALL: f32 = 0.02;
/// Anything louder than the steady noise by this power ratio (6 dB) does not count as part of it.
const MARGIN: f32 = 4.0;
/// Power that counts as silence, so that its logarithm is finite.
const SILENCE: f32 = 1e-14;
/// Largest changes per frame: 12 dB in 120 ms, the full range of the ambience in 100 ms.
const SENSITIVITY_STEP: f32 = 1.0;
const AMBIENCE_STEP: f32 = 0.1;

/// A channel whose frames are shaped.
pub(crate) trait Shaped {
    /// The spectrum of a head's frame, and the signal removed from it, which is changed in place.
    fn pair(&mut self, head: usize) -> (&[Complex32], &mut [Complex32]);
}

/// Adjusts the removed signal frame by frame.
///
/// In frames without a voice, the [`expander`] removes more; then [`Contrast`] sets bands further apart.
///
/// Sensitivity: with G = |X - R| / |X| read as a Wiener gain, the noise is assumed to be louder by a factor s, which makes
/// the gain G / (G + s (1 - G)). Clear voice and clear noise (G near 1 or 0) hardly change; doubtful sounds do.
///
/// Ambience: a share of the removed signal is put back, but in each band no more than the level of the steady noise there
/// in the last few seconds. This floor moves slowly, and only while the band holds no voice, so it does not pump. Keyboards
/// and doors, louder than the floor, stay removed.
pub(crate) struct Shape {
    contrast: Contrast,
    edges: Vec<usize>,
    sensitivity_db: Option<f32>, // none before the first frame, which starts without a ramp
    ambience: f32,
    /// Per group of channels and band: natural logarithm of the steady noise's power; none: not measured yet.
    floors: Vec<Vec<Option<f32>>>,
    before: Vec<f32>, // power of each bin, all channels of the group
    after: Vec<f32>,  // of the kept part
}

impl Shape {
    /// For spectra of `bins` bins and at most `groups` groups of channels.
    pub(crate) fn new(bins: usize, groups: usize) -> Self {
        let mut edges = vec![0];
        let mut edge = 0;
        while edge < bins {
            edge = bins.min(edge + NARROWEST.max(edge / 8));
            edges.push(edge);
        }
        Self {
            contrast: Contrast::new(bins),
            floors: vec![vec![None; edges.len() - 1]; groups],
            edges,
            sensitivity_db: None,
            ambience: 0.0,
            before: vec![0.0; bins],
            after: vec![0.0; bins],
        }
    }

    /// Call before each frame: a step towards the target values.
    pub(crate) fn set(&mut self, controls: &Controls) {
        let (sensitivity, ambience) = (controls.sensitivity(), controls.ambience());
        match &mut self.sensitivity_db {
            Some(now) => {
                *now += (sensitivity - *now).clamp(-SENSITIVITY_STEP, SENSITIVITY_STEP);
                self.ambience += (ambience - self.ambience).clamp(-AMBIENCE_STEP, AMBIENCE_STEP);
            }
            None => (self.sensitivity_db, self.ambience) = (Some(sensitivity), ambience),
        }
    }

    /// Linked channels get the same gains, which preserves the stereo image.
    ///
    /// Heads other than the first process frames that have been measured already, so they leave the ambience's floors alone.
    pub(crate) fn apply(&mut self, group: usize, channels: &mut [impl Shaped], head: usize) {
        self.measure(channels, head);
        self.expand(channels, head);
        self.set_apart(channels, head);
        let sensitivity_db = self.sensitivity_db.unwrap_or(0.0);
        if sensitivity_db != 0.0 {
            self.weigh_noise(10f32.powf(sensitivity_db / 20.0), channels, head);
        }
        if self.ambience > 0.0 {
            self.put_back(group, channels, head);
        }
    }

    fn measure(&mut self, channels: &mut [impl Shaped], head: usize) {
        self.before.fill(0.0);
        self.after.fill(0.0);
        for (spectrum, removed) in channels.iter_mut().map(|c| c.pair(head)) {
            let powers = self.before.iter_mut().zip(&mut self.after);
            for ((before, after), (x, r)) in powers.zip(spectrum.iter().zip(removed.iter())) {
                *before += x.norm_sqr();
                *after += (x - r).norm_sqr();
            }
        }
    }

    /// Turns frames without a voice down further.
    fn expand(&mut self, channels: &mut [impl Shaped], head: usize) {
        let gain = expander::gain(&self.before, &self.after);
        if gain < 1.0 {
            for (spectrum, removed) in channels.iter_mut().map(|c| c.pair(head)) {
                removed.iter_mut().zip(spectrum).for_each(|(r, x)| *r = x - (x - *r) * gain);
            }
            self.after.iter_mut().for_each(|after| *after *= gain * gain);
        }
    }

    /// Adds contrast between bands.
    fn set_apart(&mut self, channels: &mut [impl Shaped], head: usize) {
        let gains = self.contrast.gains(&self.before, &self.after, channels.len());
        if gains.is_empty() {
            return;
        }
        for (spectrum, removed) in channels.iter_mut().map(|c| c.pair(head)) {
            for ((r, x), gain) in removed.iter_mut().zip(spectrum).zip(gains) {
                *r = x - (x - *r) * gain;
            }
        }
        self.after.iter_mut().zip(gains).for_each(|(after, gain)| *after *= gain * gain);
    }

    /// Sensitivity: assumes that the noise is louder by a factor.
    fn weigh_noise(&mut self, factor: f32, channels: &mut [impl Shaped], head: usize) {
        for bin in 0..self.before.len() {
            // Over three bins, so that no single bin rings.
            let around = bin.saturating_sub(1)..(bin + 2).min(self.before.len());
            let before: f32 = self.before[around.clone()].iter().sum();
            let after: f32 = self.after[around].iter().sum();
            if before <= SILENCE * channels.len() as f32 {
                continue;
            }
            let gain = (after / before).sqrt().min(1.0);
            let keep = 1.0 / (gain + factor * (1.0 - gain));
            for (spectrum, removed) in channels.iter_mut().map(|c| c.pair(head)) {
                removed[bin] = spectrum[bin] - (spectrum[bin] - removed[bin]) * keep;
            }
        }
    }

    /// Ambience: keeps a share of the steady noise.
    fn put_back(&mut self, group: usize, channels: &mut [impl Shaped], head: usize) {
        for (floor, edge) in self.floors[group].iter_mut().zip(self.edges.windows(2)) {
            let (mut all, mut gone) = (0.0, 0.0);
            for (spectrum, removed) in channels.iter_mut().map(|c| c.pair(head)) {
                all += power(&spectrum[edge[0]..edge[1]]);
                gone += power(&removed[edge[0]..edge[1]]);
            }
            let bins = ((edge[1] - edge[0]) * channels.len()) as f32;
            let (all, gone) = ((all / bins).max(SILENCE), (gone / bins).max(SILENCE));
            let level = gone.ln();
            let floor = floor.get_or_insert(level);
            if head == 0 {
                // A voice in the band freezes the floor.
                let noise = (gone / all).min(1.0).powi(2);
                *floor += noise * (level - *floor) * if level > *floor { RISE } else { FALL };
            }
            let steady = (floor.exp() * MARGIN / gone).min(1.0).sqrt();
            let rest = 1.0 - self.ambience * steady;
            for (_, removed) in channels.iter_mut().map(|c| c.pair(head)) {
                removed[edge[0]..edge[1]].iter_mut().for_each(|r| *r *= rest);
            }
        }
    }

    /// Each group continues with the floors of the first.
    pub(crate) fn split_groups(&mut self) {
        if let [first, others @ ..] = &mut self.floors[..] {
            others.iter_mut().for_each(|floors| floors.copy_from_slice(first));
        }
    }

    pub(crate) fn reset(&mut self) {
        self.floors.iter_mut().for_each(|floors| floors.fill(None));
        (self.sensitivity_db, self.ambience) = (None, 0.0);
    }
}

fn power(bins: &[Complex32]) -> f32 {
    bins.iter().map(|x| x.norm_sqr()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINS: usize = 481;

    /// A channel of one frame, the same for every head.
    struct Frame(Vec<Complex32>, Vec<Complex32>);

    impl Shaped for Frame {
        fn pair(&mut self, _: usize) -> (&[Complex32], &mut [Complex32]) {
            (&self.0, &mut self.1)
        }
    }

    fn shaped(shape: &mut Shape, controls: &Controls, x: f32, removed: f32) -> f32 {
        let bins = |x| vec![Complex32::new(x, 0.0); BINS];
        let mut frame = [Frame(bins(x), bins(removed))];
        shape.set(controls);
        shape.apply(0, &mut frame, 0);
        let [Frame(_, removed)] = frame;
        assert!(removed.iter().all(|r| (r - removed[100]).norm() < 1e-6));
        removed[100].re
    }

    #[test]
    fn neutral_touches_nothing() {
        let mut shape = Shape::new(BINS, 1);
        assert_eq!(shaped(&mut shape, &Controls::default(), 0.3, 0.1), 0.1);
    }

    #[test]
    fn a_frame_without_voice_falls_further_by_one_gain_for_all_its_channels() {
        let all_but = 1.0 - 10f32.powf(-43.0 / 20.0);
        let mut frames = [(0.01, 0.0), (0.0, 0.02), (0.0, -0.001)].map(|(re, im)| {
            let x = Complex32::new(re, im);
            Frame(vec![x; BINS], vec![x * all_but; BINS])
        });
        Shape::new(BINS, 3).apply(0, &mut frames, 0);
        for Frame(x, r) in &frames {
            let kept = x.iter().zip(r).map(|(x, r)| 20.0 * ((x - r).norm() / x.norm()).log10());
            kept.for_each(|db| assert!((db + 53.0).abs() < 0.1, "{db} dB"));
        }
    }

    #[test]
    fn sensitivity_moves_the_doubtful_and_leaves_the_sure() {
        let kept = |sensitivity_db, gain: f32| {
            let controls = Controls { sensitivity_db, ..Controls::default() };
            1.0 - shaped(&mut Shape::new(BINS, 1), &controls, 1.0, 1.0 - gain)
        };
        for db in [-12.0, -6.0, 6.0, 12.0] {
            assert!((kept(db, 1.0) - 1.0).abs() < 1e-6 && kept(db, 0.0).abs() < 1e-6);
            let factor = 10f32.powf(db / 20.0);
            assert!((kept(db, 0.5) - 1.0 / (1.0 + factor)).abs() < 1e-5, "{db} dB");
        }
    }

    #[test]
    fn ambience_leaves_a_share_of_steady_noise_and_none_of_a_bang() {
        let controls = Controls { ambience: 0.25, ..Controls::default() };
        let mut shape = Shape::new(BINS, 1);
        for _ in 0..300 {
            let removed = shaped(&mut shape, &controls, 0.01, 0.01);
            assert!((removed / 0.01 - 0.75).abs() < 1e-4, "{removed}");
        }
        // 40 dB above it: at most twice a quarter of the floor stays.
        let stays = 1.0 - shaped(&mut shape, &controls, 1.0, 1.0);
        assert!(stays < 0.0055, "{stays}");
        let after = shaped(&mut shape, &controls, 0.01, 0.01);
        assert!((after / 0.01 - 0.75).abs() < 1e-4, "{after}");
    }

    #[test]
    fn a_frame_heard_again_does_not_move_the_floor() {
        let controls = Controls { ambience: 0.5, ..Controls::default() };
        let mut shape = Shape::new(BINS, 1);
        shaped(&mut shape, &controls, 0.01, 0.01);
        let floors = shape.floors.clone();
        let spectrum = vec![Complex32::new(0.015, 0.0); BINS];
        let mut frame = [Frame(spectrum.clone(), spectrum)];
        shape.apply(0, &mut frame, 1);
        assert_eq!(shape.floors, floors);
        let removed = frame[0].1[100];
        assert!((removed.re / 0.015 - 0.5).abs() < 1e-4, "{removed}");
    }

    #[test]
    fn a_voice_does_not_move_the_floor() {
        let controls = Controls { ambience: 0.5, ..Controls::default() };
        let mut shape = Shape::new(BINS, 1);
        shaped(&mut shape, &controls, 0.01, 0.01);
        // Ten seconds of voice, almost nothing of which is removed.
        for _ in 0..1000 {
            shaped(&mut shape, &controls, 0.5, 0.002);
        }
        let removed = shaped(&mut shape, &controls, 0.01, 0.01);
        assert!((removed / 0.01 - 0.5).abs() < 1e-3, "{removed}");
    }

    #[test]
    fn settings_move_a_step_per_frame_and_arrive() {
        let mut shape = Shape::new(BINS, 1);
        shape.set(&Controls::default());
        let far = Controls { sensitivity_db: 12.0, ambience: 1.0, ..Controls::default() };
        for frame in 1..=12 {
            shape.set(&far);
            assert_eq!(shape.sensitivity_db, Some(frame as f32));
            assert!((shape.ambience - (0.1 * frame as f32).min(1.0)).abs() < 1e-6);
        }
        for _ in 0..12 {
            shape.set(&Controls::default());
        }
        assert_eq!((shape.sensitivity_db, shape.ambience), (Some(0.0), 0.0));
    }
}
