//! Synthetic sounds, and measures of a denoiser's output for them.
use std::f32::consts::{FRAC_PI_2, PI, TAU};

use crate::Random;

/// A hum with bursts of noise, for tests that only compare two outputs.
pub fn hum(length: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let sample = |n: usize| {
        let burst = if n % 9_000 < 3_000 { 0.2 } else { 0.01 };
        0.2 * (n as f64 * 0.02).sin() + burst * (random.unit() - 0.5)
    };
    (0..length).map(sample).map(|x| x as f32).collect()
}

/// Noise of about unit power with hum; the level falls by about 3 dB per octave above 500 Hz.
pub fn noise(rate: u32, seconds: f32, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let pole = (-TAU * 500.0 / rate as f32).exp();
    let mut low = 0.0;
    let scale = (rate as f32 / 48_000.0).sqrt();
    (0..(seconds * rate as f32) as usize)
        .map(|i| {
            let white = random.sample() * 1.7 * scale;
            low = pole * low + (1.0 - pole) * white;
            0.6 * white + 4.0 * low + 0.3 * (i as f32 * 100.0 * TAU / rate as f32).sin()
        })
        .collect()
}

/// Index and phase (0..1) of the syllable that [`voice`] has at a time, in seconds; none in a pause.
fn syllable(time: f32) -> Option<(usize, f32)> {
    let place = time / 0.22;
    let n = place as usize;
    (n % 6 < 4 && time > 0.5).then_some((n, place.fract()))
}

/// A synthetic voice, peak 0.4: glottal pulses through moving formants, in syllables with a gliding pitch, and pauses.
pub fn voice(rate: u32, seconds: f32) -> Vec<f32> {
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
            let gate = syllable(time).map_or(0.0, |_| (place * PI).sin().powf(0.6));
            let pitch = 125.0 - 14.0 * place + 9.0 * (time * 2.1).sin() + 1.5 * (time * 33.0).sin();
            phase = (phase + pitch / rate_f).fract();
            // Glottal flow: a slow rise and a fast fall. Its derivative excites the vocal tract.
            let flow = if phase < 0.6 {
                0.5 - 0.5 * (phase / 0.6 * PI).cos()
            } else if phase < 0.72 {
                ((phase - 0.6) / 0.12 * FRAC_PI_2).cos()
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
                let radius = (-PI * width / rate_f).exp();
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

/// [`voice`] with a little [`noise`], different in each channel.
pub fn noisy(rate: u32, channels: usize, seconds: f32) -> Vec<Vec<f32>> {
    let voice = voice(rate, seconds);
    (0..channels)
        .map(|channel| {
            let noise = noise(rate, seconds, channel as u64 + 1);
            voice.iter().zip(noise).map(|(v, n)| v + 0.02 * n).collect()
        })
        .collect()
}

/// Mean of the squares.
pub fn power(signal: &[f32]) -> f64 {
    signal.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / signal.len().max(1) as f64
}

/// Root mean square.
pub fn rms(signal: &[f32]) -> f64 {
    power(signal).sqrt()
}

/// A ratio of powers in dB.
pub fn db(ratio: f64) -> f64 {
    10.0 * ratio.max(1e-30).log10()
}

/// Level of `a - b` relative to `b`, dB.
pub fn level_of_difference(a: &[f32], b: &[f32]) -> f64 {
    let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    db(power(&difference) / power(b).max(1e-24))
}

/// The largest step from one sample to the next.
pub fn largest_step(signal: &[f32]) -> f32 {
    signal.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

/// How a denoiser changed a noisy voice.
#[derive(Debug)]
pub struct Report {
    /// Attenuation in the pauses.
    pub pauses_fall_db: f64,
    /// Change in level where the voice is loud.
    pub voice_changes_db: f64,
    /// Improvement in scale-invariant SDR.
    pub snr_gain_db: f64,
}

impl Report {
    /// Compares aligned signals, leaving out their first `skip` samples.
    pub fn new(voice: &[f32], input: &[f32], output: &[f32], skip: usize) -> Self {
        let frame = 480;
        let (mut pauses, mut sounds) = ([0.0f64; 2], [0.0f64; 2]);
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
        let ratio = |pair: [f64; 2]| db(pair[0] / pair[1].max(1e-20));
        let quality = |x: &[f32]| si_sdr(&voice[skip..], &x[skip..]);
        Self {
            pauses_fall_db: ratio(pauses),
            voice_changes_db: -ratio(sounds),
            snr_gain_db: quality(output) - quality(input),
        }
    }
}

/// Scale-invariant ratio of signal to distortion, dB.
pub fn si_sdr(clean: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let scale = dot(clean, other) / dot(clean, clean).max(1e-20);
    let (mut wanted, mut rest) = (0.0, 0.0);
    for (&clean, &other) in clean.iter().zip(other) {
        let part = scale * f64::from(clean);
        wanted += part.powi(2);
        rest += (f64::from(other) - part).powi(2);
    }
    db(wanted / rest.max(1e-20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_energies() {
        let mut random = Random(1);
        let voice: Vec<f32> = (0..48_000).map(|_| random.sample()).collect();
        let noisy: Vec<f32> = voice.iter().map(|&x| 0.5 * x + 0.05 * random.sample()).collect();
        assert!((si_sdr(&voice, &noisy) - 20.0).abs() < 0.2);
    }
}
