//! Sounds for the demo: synthetic noise, and mixing a voice into it.
use std::f64::consts::{PI, TAU};

use wisp_testing::Random;

/// A fan with hum, broadband hiss, and typing.
pub(crate) fn room(frames: usize, rate: u32) -> Vec<f32> {
    let mut random = Random(7);
    let rate = f64::from(rate);
    let (mut rumble, mut body, mut click) = (0.0, 0.0, 0.0);
    let mut next_key = 0.3;
    (0..frames)
        .map(|i| {
            let t = i as f64 / rate;
            let white = f64::from(random.sample());
            rumble += (white - rumble) * (TAU * 150.0 / rate);
            body += (white - body) * (TAU * 1_200.0 / rate);
            let blades = 1.0 + 0.3 * (TAU * 11.0 * t).sin();
            let hum: f64 =
                (1..=5).map(|k| (TAU * 100.0 * f64::from(k) * t).sin() / f64::from(k)).sum();
            if t >= next_key {
                click = 0.5 + 0.3 * f64::from(random.sample());
                next_key += 0.17 + 0.12 * f64::from(random.sample());
            }
            click *= 1.0 - 350.0 / rate;
            let sound =
                blades * (1.4 * rumble + 0.7 * body) + 0.05 * hum + 0.16 * white + click * white;
            sound as f32
        })
        .collect()
}

/// Resamples a clip with a windowed sinc.
pub(crate) fn resample(input: &[f32], from: u32, to: u32) -> Vec<f32> {
    const HALF: isize = 32;
    let step = f64::from(from) / f64::from(to);
    let cutoff = 0.97 * (1.0 / step).min(1.0);
    let reach = HALF as f64 / cutoff;
    let frames = (input.len() as f64 / step) as usize;
    (0..frames)
        .map(|i| {
            let centre = i as f64 * step;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor() as usize).min(input.len().saturating_sub(1));
            let sum: f64 = (first..=last)
                .map(|k| {
                    let x = k as f64 - centre;
                    let window = (PI * x / (2.0 * reach)).cos().powi(2);
                    f64::from(input[k]) * cutoff * sinc(cutoff * x) * window
                })
                .sum();
            sum as f32
        })
        .collect()
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

pub(crate) fn rms(x: &[f32]) -> f64 {
    (x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

/// Scale-invariant ratio of signal to distortion, dB.
pub(crate) fn si_sdr(reference: &[f32], estimate: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let scale = dot(reference, estimate) / dot(reference, reference);
    let (mut signal, mut rest) = (0.0, 0.0);
    for (&r, &e) in reference.iter().zip(estimate) {
        let target = scale * f64::from(r);
        signal += target.powi(2);
        rest += (f64::from(e) - target).powi(2);
    }
    10.0 * (signal / rest).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_a_tone() {
        let tone = |rate: u32| -> Vec<f32> {
            let step = TAU * 1_000.0 / f64::from(rate);
            (0..rate / 4).map(|i| (f64::from(i) * step).sin() as f32).collect()
        };
        let (expected, actual) = (tone(48_000), resample(&tone(22_050), 22_050, 48_000));
        for i in 1_000..actual.len() - 1_000 {
            assert!((expected[i] - actual[i]).abs() < 1e-3, "{i}");
        }
    }

    #[test]
    fn the_ratio_is_that_of_the_energies() {
        let mut random = Random(1);
        let voice: Vec<f32> = (0..48_000).map(|_| random.sample()).collect();
        let noisy: Vec<f32> = voice.iter().map(|&x| 0.5 * x + 0.05 * random.sample()).collect();
        assert!((si_sdr(&voice, &noisy) - 20.0).abs() < 0.2);
    }

    #[test]
    fn the_room_is_noise_over_the_whole_clip() {
        let room = room(48_000, 48_000);
        for second in room.chunks(12_000) {
            assert!(rms(second) > 0.05);
        }
        assert!(room.iter().all(|x| x.is_finite()));
    }
}
