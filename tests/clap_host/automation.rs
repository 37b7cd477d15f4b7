//! Parameter changes during processing.
use wisp_testing::clap::Plugin;
use wisp_testing::signals::{self, noisy};

use crate::entries;

#[test]
fn bypass_passes_the_delayed_input_and_fades() {
    for (entry, quality) in entries().iter().flat_map(|entry| [(entry, "Live"), (entry, "Studio")])
    {
        let rate = 48_000;
        let input = noisy(rate, 2, 1.5);
        let mut plugin = Plugin::new(entry);
        plugin.set("Quality", quality);
        let bypass = plugin.parameter("Bypass").id;

        plugin.set("Bypass", "on");
        let bypassed = plugin.run(rate, &input, &[256]);
        let mut running = plugin.start(rate, 2, 256);
        let latency = plugin.latency();
        for (input, output) in input.iter().zip(&bypassed) {
            let aligned = &output[latency..];
            let difference = signals::level_of_difference(aligned, &input[..aligned.len()]);
            assert!(difference < -120.0, "{quality}: bypass leaves {difference:.1} dB");
        }
        plugin.stop(running);

        // Switched during processing: once the fade has ended, the output is the delayed input.
        plugin.set("Bypass", "off");
        let on_at = rate as usize / 2;
        running = plugin.start(rate, 2, 256);
        let switched = running.run(&input, &[256], &[(on_at, bypass, 1.0)]);
        plugin.stop(running);
        let settled = on_at + rate as usize / 5;
        let aligned = &switched[0][settled..];
        let expected = &input[0][settled - latency..][..aligned.len()];
        let difference = signals::level_of_difference(aligned, expected);
        assert!(difference < -120.0, "{quality}: bypass in mid-sound leaves {difference:.1} dB");
    }
}

#[test]
fn automation_does_not_click() {
    for entry in entries() {
        let rate = 48_000;
        // The steepest slope of the tone, per sample.
        let tone: Vec<f32> = (0..rate)
            .map(|i| 0.25 * (i as f32 * 110.0 * std::f32::consts::TAU / rate as f32).sin())
            .collect();
        let steepest = 0.25 * 110.0 * std::f32::consts::TAU / rate as f32;
        let input = vec![tone.clone(), tone];
        for (name, values) in [
            ("Reduction", [0.0, 1.0]),
            ("Sensitivity", [0.0, 1.0]),
            ("Ambience", [0.0, 1.0]),
            ("Output", [0.25, 0.75]),
            ("Listen", [0.0, 1.0]),
            ("Stereo", [0.0, 1.0]),
            ("Bypass", [0.0, 1.0]),
        ] {
            let mut plugin = Plugin::new(&entry);
            if name == "Output" || name == "Bypass" {
                plugin.set("Reduction", "0");
            }
            let id = plugin.parameter(name).id;
            let mut running = plugin.start(rate, 2, 512);
            // Jumps, then a ramp as hosts send it: a value every 64 samples.
            let jumps = (1..6).map(|i| (i * 4_801, id, values[i % 2]));
            let ramp = (24_064..rate as usize).step_by(64).map(|time| {
                let place = (time as f64 / 4_800.0).fract();
                (time, id, values[0] + (values[1] - values[0]) * place)
            });
            let events: Vec<_> = jumps.chain(ramp).collect();
            let output = running.run(&input, &[512], &events);
            plugin.stop(running);
            // Output can add 12 dB; a click would be far steeper than that.
            let largest = signals::largest_step(&output[0]);
            let bound = if name == "Output" { 6.0 * steepest } else { 3.0 * steepest };
            assert!(largest < bound, "{name}: a step of {largest:.4}, bound {bound:.4}");
        }
    }
}

#[test]
fn automation_is_accurate_to_the_sample() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 0.5);
        let mut plugin = Plugin::new(&entry);
        let id = plugin.parameter("Output").id;
        let events = [(5_001, id, 0.25), (5_002, id, 0.9), (12_345, id, 0.5)];
        let mut run = |blocks: &[usize]| {
            let mut running = plugin.start(rate, 2, 4096);
            let output = running.run(&input, blocks, &events);
            plugin.stop(running);
            plugin.set("Output", "0 dB");
            output
        };
        let fine = run(&[1]);
        for blocks in [&[512][..], &[4096], &[100, 7]] {
            assert!(run(blocks) == fine, "events move with blocks of {blocks:?}");
        }
    }
}
