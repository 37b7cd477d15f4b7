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

#[cfg(test)]
mod tests {
    use wisp_testing::signals::rms;

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
    fn the_room_is_noise_over_the_whole_clip() {
        let room = room(48_000, 48_000);
        for second in room.chunks(12_000) {
            assert!(rms(second) > 0.05);
        }
        assert!(room.iter().all(|x| x.is_finite()));
    }
}
