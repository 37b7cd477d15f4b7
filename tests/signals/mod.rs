//! Sounds that tests make themselves, and measures of what came of them.
#![allow(dead_code)] // Each test takes what it needs.
use std::f32::consts::TAU;

/// A small generator of equally distributed numbers in -1..1, the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Noise of about unit power that falls by some 3 dB per octave above 500 Hz, with hum.
pub(crate) fn noise(rate: u32, seconds: f32, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let pole = (-TAU * 500.0 / rate as f32).exp();
    let mut low = 0.0;
    let scale = (rate as f32 / 48_000.0).sqrt();
    (0..(seconds * rate as f32) as usize)
        .map(|i| {
            let white = random.next() * 1.7 * scale;
            low = pole * low + (1.0 - pole) * white;
            0.6 * white + 4.0 * low + 0.3 * (i as f32 * 100.0 * TAU / rate as f32).sin()
        })
        .collect()
}

/// Whether the voice of [`voice`] sounds at a time: three syllables, then a pause.
fn syllable(time: f32) -> Option<(usize, f32)> {
    let place = time / 0.22;
    let n = place as usize;
    (n % 6 < 4 && time > 0.5).then_some((n, place.fract()))
}

/// A sung-and-spoken kind of voice: glottal pulses through moving formants, in syllables with a
/// gliding pitch, and with pauses.
pub(crate) fn voice(rate: u32, seconds: f32) -> Vec<f32> {
    const VOWELS: [[f32; 4]; 5] = [
        [730.0, 1090.0, 2440.0, 3400.0],
        [270.0, 2290.0, 3010.0, 3700.0],
        [530.0, 1840.0, 2480.0, 3500.0],
        [570.0, 840.0, 2410.0, 3300.0],
        [440.0, 1020.0, 2240.0, 3300.0],
    ];
    const WIDTHS: [f32; 4] = [70.0, 90.0, 130.0, 200.0];
    let rate_f = rate as f32;
    let mut resonators = [[0.0f32; 2]; 4];
    let (mut phase, mut previous) = (0.0f32, 0.0f32);
    let mut formants = VOWELS[0];
    let mut out: Vec<f32> = (0..(seconds * rate_f) as usize)
        .map(|i| {
            let time = i as f32 / rate_f;
            let (n, place) = syllable(time).unwrap_or((0, 0.0));
            let gate =
                syllable(time).map_or(0.0, |_| (place * std::f32::consts::PI).sin().powf(0.6));
            let pitch = 125.0 - 14.0 * place + 9.0 * (time * 2.1).sin() + 1.5 * (time * 33.0).sin();
            phase = (phase + pitch / rate_f).fract();
            // A rising slope and a fast fall, as vocal folds close; its change excites the throat.
            let flow = if phase < 0.6 {
                0.5 - 0.5 * (phase / 0.6 * std::f32::consts::PI).cos()
            } else if phase < 0.72 {
                ((phase - 0.6) / 0.12 * std::f32::consts::FRAC_PI_2).cos()
            } else {
                0.0
            };
            let excitation = (flow - previous) * rate_f / 48_000.0 * gate;
            previous = flow;
            let target = VOWELS[n * 7 % VOWELS.len()];
            let mut sound = excitation;
            for ((state, formant), (goal, width)) in
                resonators.iter_mut().zip(&mut formants).zip(target.iter().zip(WIDTHS))
            {
                *formant += (goal - *formant) * (40.0 / rate_f);
                let radius = (-std::f32::consts::PI * width / rate_f).exp();
                let (a, b) = (2.0 * radius * (TAU * *formant / rate_f).cos(), -radius * radius);
                let y = (1.0 - a - b) * sound + a * state[0] + b * state[1];
                *state = [y, state[0]];
                sound = y;
            }
            sound
        })
        .collect();
    let peak = out.iter().fold(1e-9f32, |peak, sample| peak.max(sample.abs()));
    out.iter_mut().for_each(|sample| *sample *= 0.4 / peak);
    out
}

pub(crate) fn rms(signal: &[f32]) -> f32 {
    let sum: f64 = signal.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (sum / signal.len().max(1) as f64).sqrt() as f32
}

pub(crate) fn db(ratio: f32) -> f32 {
    20.0 * ratio.max(1e-12).log10()
}

/// Level of `a - b` against `b`, dB.
pub(crate) fn level_of_difference(a: &[f32], b: &[f32]) -> f32 {
    let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    db(rms(&difference) / rms(b).max(1e-12))
}

/// The largest step from one sample to the next.
pub(crate) fn largest_step(signal: &[f32]) -> f32 {
    signal.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

/// What became of a noisy voice.
#[derive(Debug)]
pub(crate) struct Report {
    /// How much quieter the pauses are.
    pub(crate) pauses_fall_db: f32,
    /// Change of the level of the voice where it sounds.
    pub(crate) voice_changes_db: f32,
    /// Gain of the ratio of voice to everything else, scale-invariant.
    pub(crate) snr_gain_db: f32,
}

impl Report {
    /// Compares aligned signals, without their first `skip` samples.
    pub(crate) fn new(voice: &[f32], input: &[f32], output: &[f32], skip: usize) -> Self {
        let frame = 480;
        let (mut pauses, mut sounds) = ([0.0f64; 2], [0.0f64; 2]);
        let power = |x: &[f32]| f64::from(rms(x)).powi(2) * x.len() as f64;
        for at in (skip..voice.len() - frame).step_by(frame) {
            let range = at..at + frame;
            let level = rms(&voice[range.clone()]);
            if level < 1e-5 {
                pauses[0] += power(&input[range.clone()]);
                pauses[1] += power(&output[range]);
            } else if level > 0.02 {
                sounds[0] += power(&voice[range.clone()]);
                sounds[1] += power(&output[range]);
            }
        }
        let ratio = |pair: [f64; 2]| 10.0 * (pair[0] / pair[1].max(1e-20)).log10() as f32;
        let quality = |x: &[f32]| scale_invariant_db(&voice[skip..], &x[skip..]);
        Self {
            pauses_fall_db: ratio(pauses),
            voice_changes_db: -ratio(sounds),
            snr_gain_db: quality(output) - quality(input),
        }
    }
}

/// Scale-invariant signal-to-distortion ratio, dB.
fn scale_invariant_db(clean: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let scale = dot(clean, other) / dot(clean, clean).max(1e-20);
    let wanted = scale * scale * dot(clean, clean);
    let rest = (dot(other, other) - wanted).max(1e-20);
    10.0 * (wanted / rest).log10() as f32
}
