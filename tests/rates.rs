//! The same sound at different rates gives the same result.
mod common;

use common::{Random, full, noisy_voice, run, white};
use realfft::RealFftPlanner;
use std::f64::consts::TAU;
use wisp::{Controls, Engine, Model};
use wisp_testing::signals::{db, level_of_difference, power};

/// Denoised sound without latency, every `step`th sample.
fn denoise(rate: u32, step: usize, seconds: f64) -> Vec<f32> {
    let out = denoised(rate, &full(), noisy_voice(rate, seconds, 7000.0));
    out.iter().copied().step_by(step).collect()
}

/// A denoised signal without latency.
fn denoised(rate: u32, controls: &Controls, signal: Vec<f32>) -> Vec<f32> {
    let mut engine = Engine::new(&Model::live(), rate, 1).unwrap();
    let latency = engine.latency_samples();
    run(&mut engine, controls, &[signal], || 480)[0][latency..].to_vec()
}

/// Levels in dB of twenty equal bands from 0 to half the rate.
fn bands(signal: &[f32]) -> [f64; 20] {
    const WINDOW: usize = 1024;
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let (mut frame, mut spectrum) = (fft.make_input_vec(), fft.make_output_vec());
    let mut powers = [1e-30; 20];
    for chunk in signal.windows(WINDOW).step_by(WINDOW / 2) {
        for (n, (y, x)) in frame.iter_mut().zip(chunk).enumerate() {
            *y = x * (0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / WINDOW as f32).cos());
        }
        fft.process(&mut frame, &mut spectrum).unwrap();
        for (bin, x) in spectrum.iter().enumerate().skip(2).take(WINDOW / 2 - 2) {
            powers[bin * 20 / (WINDOW / 2)] += f64::from(x.norm_sqr());
        }
    }
    powers.map(db)
}

/// Pink noise by Voss's method: a sum of random values that change every sample, every second, every fourth, ...
fn pink(length: usize, level: f32) -> Vec<f32> {
    let mut random = Random(5);
    let mut rows = [0.0f32; 12];
    (0..length)
        .map(|n| {
            let row = ((n + 1).trailing_zeros() as usize).min(rows.len() - 1);
            rows[row] = level * random.sample();
            rows.iter().sum::<f32>() + level * random.sample()
        })
        .collect()
}

/// Rates that are not multiples of 100 Hz; the last are as far from one as possible.
const ODD: [u32; 16] = [
    8_001, 8_049, 11_025, 12_345, 22_050, 22_255, 44_056, 47_952, 48_048, 88_211, 96_010, 176_390,
    192_001, 383_999, 8_050, 9_950,
];
/// The bands of [`bands`] below 0.45 of the rate.
const BELOW: std::ops::Range<usize> = 0..18;

/// Level of the output in each band, and its attenuation there, dB.
fn left(rate: u32, controls: &Controls, signal: &[f32]) -> ([f64; 20], [f64; 20]) {
    let out = denoised(rate, controls, signal.to_vec());
    // Skip the network's start.
    let from = signal.len() / 4;
    let (before, after) = (bands(&signal[from..out.len()]), bands(&out[from..]));
    (after, std::array::from_fn(|band| before[band] - after[band]))
}

#[test]
fn noise_falls_at_every_rate_as_at_a_multiple_of_100_hz() {
    let even = [8_000, 37_800, 44_100, 48_000, 96_000, 176_400, 384_000];
    for rate in ODD.into_iter().chain(even) {
        let length = (3 * rate as usize).min(400_000);
        for (kind, noise) in [("white", white(length, 0.1)), ("pink", pink(length, 0.03))] {
            for (what, controls) in [("Full", full()), ("24 dB", Controls::default())] {
                let (levels, falls) = left(rate, &controls, &noise);
                let loudest = |levels: &[f64]| levels.iter().copied().fold(f64::MIN, f64::max);
                let least = -loudest(&falls[BELOW].iter().map(|db| -db).collect::<Vec<_>>());
                println!("{rate:6} Hz, {kind} noise, {what}: falls by {least:.1} dB or more");
                let (below, above) = (loudest(&levels[BELOW]), loudest(&levels[BELOW.end..]));
                assert!(
                    above < below + 1.0,
                    "{rate} Hz, {kind}, {what}: the top stays: {levels:.1?}"
                );
                if what == "Full" {
                    assert!(least > 30.0, "{rate} Hz, {kind}: {falls:.1?}");
                    continue;
                }
                for neighbour in [rate / 100 * 100, rate.next_multiple_of(100)] {
                    let (_, there) = left(neighbour, &controls, &noise);
                    let near = BELOW.into_iter().all(|i| (falls[i] - there[i]).abs() < 1.0);
                    assert!(near, "{rate} Hz, {kind}: {falls:.1?}, at {neighbour} Hz {there:.1?}");
                }
            }
            // Compare with the same samples at the nearest multiple.
            let nearest = (rate + 50) / 100 * 100;
            let there = denoised(nearest, &full(), noise.clone());
            assert!(
                denoised(rate, &full(), noise) == there,
                "{rate} Hz, {kind}: not as at {nearest} Hz"
            );
        }
    }
}

/// A voice in white noise, and the clean voice.
fn voice_in_noise(rate: u32) -> (Vec<f32>, Vec<f32>) {
    let length = 4 * rate as usize;
    let voice: Vec<f32> = (0..length)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            let phase = TAU * (140.0 * t + 3.0 * (TAU * 1.1 * t).sin());
            let syllable = (TAU * 2.0 * t).sin().max(0.0).sqrt();
            let sum: f64 = (1..=20).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum();
            (0.15 * syllable * sum) as f32
        })
        .collect();
    // The same power density at every rate.
    let noise = white(length, 0.0015 * (f64::from(rate) / 8000.0).sqrt() as f32);
    (voice.iter().zip(noise).map(|(v, n)| v + n).collect(), voice)
}

#[test]
fn a_voice_comes_out_at_every_rate_as_at_a_multiple_of_100_hz() {
    let controls = Controls::default();
    for rate in ODD.into_iter().filter(|&rate| rate < 100_000) {
        let at = |rate: u32| {
            let (noisy, voice) = voice_in_noise(rate);
            let out = denoised(rate, &controls, noisy);
            let from = rate as usize;
            let (voice, out) = (&voice[from..out.len()], &out[from..]);
            let (heard, wanted) = (bands(out), bands(voice));
            let loudest = wanted.into_iter().fold(f64::MIN, f64::max);
            // Only bands with voice.
            let there = (0..20).map(|i| (wanted[i] > loudest - 30.0).then(|| heard[i] - wanted[i]));
            let noise: Vec<f32> = out.iter().zip(voice).map(|(y, v)| y - v).collect();
            (there.collect::<Vec<_>>(), db(power(voice) / power(&noise)))
        };
        let (own, own_ratio) = at(rate);
        let (there, ratio) = at((rate + 50) / 100 * 100);
        let apart =
            own.iter().zip(&there).take(BELOW.end).filter_map(|(a, b)| Some(((*a)? - (*b)?).abs()));
        let apart = apart.fold(0.0, f64::max);
        println!(
            "{rate:6} Hz: levels {apart:.2} dB apart, SDR {own_ratio:.1} dB and {ratio:.1} dB"
        );
        assert!(apart < 1.0, "{rate} Hz: {own:.1?}, {there:.1?}");
        // The noise differs from that at the nearest multiple.
        assert!(own_ratio > ratio - 1.5, "{rate} Hz: {own_ratio:.1} dB, {ratio:.1} dB");
    }
}

#[test]
fn the_low_band_is_the_same_at_16_and_48_khz() {
    let (narrow, wide) = (denoise(16_000, 1, 3.0), denoise(48_000, 3, 3.0));
    let skip = 3200; // the networks' start
    let relative = level_of_difference(&wide[skip..], &narrow[skip..]);
    println!("16 against 48 kHz: {relative:.1} dB");
    assert!(relative < -40.0, "{relative:.1} dB");
}

#[test]
fn high_rates_agree_with_48_khz() {
    let reference = denoise(48_000, 1, 2.0);
    for (rate, step) in [(96_000, 2), (192_000, 4)] {
        let other = denoise(rate, step, 2.0);
        let relative = level_of_difference(&other, &reference);
        println!("{rate} against 48000 Hz: {relative:.1} dB");
        assert!(relative < -40.0, "{rate} Hz: {relative:.1} dB");
    }
}

#[test]
fn unsupported_rates_and_channels_are_refused() {
    for rate in [0, 7_999, 384_001, u32::MAX] {
        let error = Engine::new(&Model::live(), rate, 1).err().unwrap().to_string();
        assert!(error.contains(&rate.to_string()) && error.contains("8000..=384000"), "{error}");
    }
    for channels in [0, 65] {
        let error = Engine::new(&Model::live(), 48_000, channels).err().unwrap().to_string();
        assert!(error.contains(&format!("{channels} channels")), "{error}");
    }
    assert!(Engine::new(&Model::live(), 8_000, 2).is_ok());
    assert!(Engine::new(&Model::live(), 384_000, 2).is_ok());
}
