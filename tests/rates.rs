//! The same sound at different rates gives the same result.
mod common;

use common::{db, full, noisy_voice, power, run};
use wisp::{Dccrn, Engine};

/// The denoised sound without its latency, at the times of `step` input samples.
fn denoise(rate: u32, step: usize, seconds: f64) -> Vec<f32> {
    let mut engine = Engine::new(Dccrn::bundled(), rate, 1).unwrap();
    let latency = engine.latency_samples();
    let out = run(&mut engine, &full(), &[noisy_voice(rate, seconds, 7000.0)], || 480);
    out[0][latency..].iter().copied().step_by(step).collect()
}

#[test]
fn the_low_band_is_the_same_at_16_and_48_khz() {
    let (narrow, wide) = (denoise(16_000, 1, 3.0), denoise(48_000, 3, 3.0));
    let skip = 3200; // the networks' start
    let difference: Vec<f32> = narrow.iter().zip(&wide).skip(skip).map(|(a, b)| a - b).collect();
    let relative = db(power(&difference) / power(&narrow[skip..]));
    println!("16 against 48 kHz: {relative:.1} dB");
    assert!(relative < -40.0, "{relative:.1} dB");
}

#[test]
fn high_rates_agree_with_48_khz() {
    let reference = denoise(48_000, 1, 2.0);
    for (rate, step) in [(96_000, 2), (192_000, 4)] {
        let other = denoise(rate, step, 2.0);
        let difference: Vec<f32> = reference.iter().zip(&other).map(|(a, b)| a - b).collect();
        let relative = db(power(&difference) / power(&reference));
        println!("{rate} against 48000 Hz: {relative:.1} dB");
        assert!(relative < -40.0, "{rate} Hz: {relative:.1} dB");
    }
}

#[test]
fn unsupported_rates_and_channels_are_refused() {
    for rate in [0, 7_999, 384_001, u32::MAX] {
        let error = Engine::new(Dccrn::bundled(), rate, 1).err().unwrap().to_string();
        assert!(error.contains(&rate.to_string()) && error.contains("8000..=384000"), "{error}");
    }
    for channels in [0, 3] {
        let error = Engine::new(Dccrn::bundled(), 48_000, channels).err().unwrap().to_string();
        assert!(error.contains(&format!("{channels} channels")), "{error}");
    }
    assert!(Engine::new(Dccrn::bundled(), 8_000, 2).is_ok());
    assert!(Engine::new(Dccrn::bundled(), 384_000, 2).is_ok());
}
