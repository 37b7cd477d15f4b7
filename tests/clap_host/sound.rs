//! The output.
use wisp_testing::clap::Plugin;
use wisp_testing::signals::{self, noisy};

use crate::entries;

#[test]
fn every_block_size_gives_the_same_sound_in_mono_and_stereo() {
    for entry in entries() {
        for channels in [1, 2] {
            let input = noisy(48_000, channels, 0.6);
            let mut plugin = Plugin::new(&entry);
            let whole = plugin.run(48_000, &input, &[480]);
            assert!(whole.iter().flatten().all(|sample| sample.is_finite()));
            assert!(signals::rms(&whole[0]) > 1e-3, "nothing comes out");
            for blocks in [&[1][..], &[64], &[512], &[4096], &[7, 333, 1000, 2]] {
                let other = plugin.run(48_000, &input, blocks);
                assert!(other == whole, "{channels} channels, blocks {blocks:?}");
            }
        }
    }
}

#[test]
fn a_mono_voice_is_treated_as_the_left_of_equal_channels() {
    for entry in entries() {
        let mono = noisy(48_000, 1, 0.8);
        let both = vec![mono[0].clone(), mono[0].clone()];
        let mut plugin = Plugin::new(&entry);
        let one = plugin.run(48_000, &mono, &[512]);
        let two = plugin.run(48_000, &both, &[512]);
        assert!(two[0] == two[1], "equal channels must stay equal");
        let difference = signals::level_of_difference(&two[0], &one[0]);
        assert!(difference < -80.0, "mono and linked stereo differ by {difference:.1} dB");
    }
}

#[test]
fn noisy_speech_is_cleaned() {
    for entry in entries() {
        for rate in [44_100, 48_000] {
            let seconds = 6.0;
            let input = noisy(rate, 2, seconds);
            let voice = signals::voice(rate, seconds);
            let mut plugin = Plugin::new(&entry);
            let output = plugin.run(rate, &input, &[512]);
            let latency = plugin.latency();
            let length = input[0].len() - latency;
            let output = &output[0][latency..];
            // The network settles during the first second.
            let report =
                signals::Report::new(&voice[..length], &input[0][..length], output, rate as usize);
            println!("{rate} Hz: {report:?}");
            assert!(report.pauses_fall_db > 12.0, "{report:?}");
            assert!(report.voice_changes_db.abs() < 4.0, "{report:?}");
            assert!(report.snr_gain_db > 2.0, "{report:?}");
        }
    }
}

#[test]
fn linked_stereo_keeps_the_place_of_a_voice() {
    for entry in entries() {
        let rate = 48_000;
        // A voice 6 dB louder on the left, with independent noise on each side.
        let voice = signals::voice(rate, 3.0);
        let side = |gain: f32, seed| -> Vec<f32> {
            let noise = signals::noise(rate, 3.0, seed);
            voice.iter().zip(noise).map(|(v, n)| gain * v + 0.01 * n).collect()
        };
        let input = [side(1.0, 1), side(0.5, 2)];
        let mut plugin = Plugin::new(&entry);
        let output = plugin.run(rate, &input, &[512]);
        let latency = plugin.latency();
        // Only where the voice is loud.
        let loud = 0.1 * voice.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
        let level = |channel: &[f32], delay: usize| -> f32 {
            let here = |n: &usize| voice[n - delay].abs() > loud;
            (rate as usize..channel.len()).filter(here).map(|n| channel[n] * channel[n]).sum()
        };
        let moved = 10.0 * (level(&output[0], latency) / level(&output[1], latency)).log10() - 6.02;
        assert!(moved.abs() < 0.5, "the voice moved by {moved:.2} dB");
    }
}

#[test]
fn reduction_0_nulls_whatever_the_other_controls_say() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 0.6);
        let settings = [("Reduction", "0 dB"), ("Sensitivity", "+12 dB"), ("Ambience", "60 %")];
        let mut plugin = Plugin::with(&entry, &settings);
        for stereo in ["Linked", "Independent"] {
            plugin.set("Stereo", stereo);
            let output = plugin.run(rate, &input, &[333]);
            let latency = plugin.latency();
            for (input, output) in input.iter().zip(&output) {
                assert!(output[latency..] == input[..input.len() - latency], "{stereo}");
            }
        }
    }
}

/// At both ends of every control, output and removed signal must add up to the input.
#[test]
fn every_edge_nulls() {
    for entry in entries() {
        let rate = 48_000;
        let input = noisy(rate, 2, 0.5);
        let run = |settings: &[(&str, &str)], input: &[Vec<f32>]| {
            let mut plugin = Plugin::with(&entry, settings);
            let mut output = plugin.run(rate, input, &[333]);
            let latency = plugin.latency();
            output.iter_mut().for_each(|channel| drop(channel.drain(..latency)));
            output
        };
        let nulls = |output: &[Vec<f32>], gain: f32, bound: f64, what: &str| {
            for (input, output) in input.iter().zip(output) {
                let expected: Vec<f32> = input[..output.len()].iter().map(|x| gain * x).collect();
                let left = signals::level_of_difference(output, &expected);
                assert!(left < bound, "{what} leaves {left:.1} dB");
            }
        };
        for edge in [
            ("Reduction", "0 dB"),
            ("Reduction", "60 dB"),
            ("Reduction", "Full"),
            ("Sensitivity", "-12 dB"),
            ("Sensitivity", "+12 dB"),
            ("Ambience", "0 %"),
            ("Ambience", "100 %"),
            ("Stereo", "Linked"),
            ("Stereo", "Independent"),
        ] {
            // Result plus removed is the input.
            let mut both = run(&[edge], &input);
            let removed = run(&[edge, ("Listen", "Removed")], &input);
            for (sum, removed) in both.iter_mut().flatten().zip(removed.iter().flatten()) {
                *sum += removed;
            }
            nulls(&both, 1.0, -110.0, &format!("{edge:?}"));
            // Bypassed, the output is the input, whatever the other settings.
            let others = [("Listen", "Removed"), ("Output", "+24 dB"), ("Bypass", "on")];
            let bypassed = run(&[&[edge][..], &others].concat(), &input);
            nulls(&bypassed, 1.0, -200.0, &format!("bypass with {edge:?}"));
        }
        let nothing = ("Reduction", "0 dB");
        for (text, gain) in [("-24 dB", 0.063_095_73), ("+24 dB", 15.848_932)] {
            let output = run(&[nothing, ("Output", text)], &input);
            nulls(&output, gain, -120.0, &format!("Output {text}"));
        }
        let removed = run(&[nothing, ("Listen", "Removed")], &input);
        assert!(removed.iter().flatten().all(|&y| y == 0.0), "0 dB removes something");
        // Independent channels sound as they would on separate tracks.
        let apart = run(&[("Stereo", "Independent")], &input);
        for (channel, apart) in input.iter().zip(&apart) {
            let alone = run(&[], std::slice::from_ref(channel));
            let left = signals::level_of_difference(apart, &alone[0]);
            assert!(left < -110.0, "a channel apart leaves {left:.1} dB");
        }
    }
}

/// At rates that Wisp does not support, sound passes unchanged and without delay.
#[test]
fn outside_its_rates_the_sound_passes_undelayed() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        for rate in [1_234.567_8, 7_999.0, 384_001.0, 768_000.0, 1_234_567.8] {
            for channels in [1, 2] {
                let input = noisy(8_000, channels, 0.3);
                let mut running = plugin.start_at(rate, channels, 512);
                assert_eq!(plugin.latency(), 0, "{rate} Hz");
                assert!(running.run(&input, &[512, 3], &[]) == input, "{rate} Hz");
                plugin.stop(running);
            }
        }
        let input = noisy(48_000, 2, 0.3);
        let expected = Plugin::new(&entry).run(48_000, &input, &[512]);
        assert!(plugin.run(48_000, &input, &[512]) == expected, "and it denoises again");
    }
}
