//! Latency, tail and sleep.
use clack_extensions::tail::{PluginTail, TailLength};
use clack_host::prelude::{EventBuffer, ProcessStatus};
use wisp_testing::clap::Plugin;
use wisp_testing::signals::{self, noisy};

use crate::entries;

#[test]
fn the_reported_latency_is_where_the_sound_is() {
    for entry in entries() {
        for rate in [16_000, 22_050, 44_100, 48_000, 96_000] {
            let mut plugin = Plugin::new(&entry);
            plugin.set("Reduction", "0 dB");
            let input = noisy(rate, 2, 0.4);
            let output = plugin.run(rate, &input, &[512]);
            let running = plugin.start(rate, 2, 512);
            let latency = plugin.latency();
            plugin.stop(running);
            if rate % 100 == 0 {
                assert!(latency <= rate as usize / 50 + 1, "{latency} samples at {rate} Hz");
            }
            for (input, output) in input.iter().zip(&output) {
                let aligned = &output[latency..];
                let difference = signals::level_of_difference(aligned, &input[..aligned.len()]);
                assert!(difference < -120.0, "{rate} Hz: reduction 0 leaves {difference:.1} dB");
            }
        }
    }
}

/// The sound ends no later than the tail that the plugin reports during playback.
#[test]
fn the_reported_tail_is_where_the_sound_ends() {
    for entry in entries() {
        let rate = 48_000;
        let mut plugin = Plugin::new(&entry);
        let tail: PluginTail = plugin.instance.plugin_handle().get_extension().expect("tail");
        let mut input = noisy(rate, 2, 0.6);
        let quiet = rate as usize * 4 / 10;
        input.iter_mut().for_each(|channel| channel[quiet..].fill(0.0));
        let mut running = plugin.start(rate, 2, 512);
        let output = running.run(&input, &[512], &[]);
        let told = tail.get(&running.processor.plugin_handle());
        plugin.stop(running);
        // Latency and window are 20 ms each; the filter reaches back some frames more.
        let hops = 3 + wisp::Model::live().network().sizes().taps;
        let expected = rate as usize / 100 * hops;
        assert_eq!(told, TailLength::Finite(expected as u32));
        let end = quiet + expected;
        assert!(output.iter().all(|channel| channel[end..].iter().all(|&y| y == 0.0)));
        assert!(output.iter().all(|channel| channel[..quiet].iter().any(|&y| y != 0.0)));
    }
}

/// Hosts may ask before the first block, after the last, and at another rate.
#[test]
fn the_tail_and_the_latency_are_known_from_the_activation_on() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let tail: PluginTail = plugin.instance.plugin_handle().get_extension().expect("tail");
        let taps = wisp::Model::live().network().sizes().taps as u32;
        assert_eq!(plugin.latency(), 960, "before there is a rate");
        for rate in [16_000, 44_100, 48_000, 96_000] {
            let expected = TailLength::Finite(rate / 100 * (3 + taps));
            let mut running = plugin.start(rate, 2, 512);
            assert_eq!(plugin.latency() as u32, rate / 50);
            assert_eq!(tail.get(&running.processor.plugin_handle()), expected, "{rate} Hz");
            running.run(&noisy(rate, 2, 0.1), &[512], &[]);
            assert_eq!(tail.get(&running.processor.plugin_handle()), expected, "{rate} Hz");
            plugin.stop(running);
            assert_eq!(plugin.latency() as u32, rate / 50);
        }
    }
}

/// The plugin lets the host put it to sleep in silence and wakes with the next sound.
#[test]
fn it_sleeps_in_silence_and_wakes() {
    for entry in entries() {
        for (rate, channels) in [(48_000, 2), (48_000, 1), (22_050, 2)] {
            let mut plugin = Plugin::new(&entry);
            let mut running = plugin.start(rate, channels, 480);
            let all = (1 << channels) - 1;
            let mut out = EventBuffer::with_capacity(64);
            let mut slept = 0;
            let mut input = noisy(rate, channels, 1.2);
            let silence = rate as usize / 2..rate as usize;
            input.iter_mut().for_each(|channel| channel[silence.clone()].fill(0.0));
            for at in (0..input[0].len() - 480).step_by(480) {
                for (buffer, channel) in running.input.iter_mut().zip(&input) {
                    buffer.copy_from_slice(&channel[at..at + 480]);
                }
                running.block(480, &[], &mut out);
                let zeros = |channel: &Vec<f32>| channel[..480].iter().all(|&y| y == 0.0);
                for (bit, channel) in running.output.iter().enumerate() {
                    assert_eq!(running.constant >> bit & 1 == 1, zeros(channel), "at {at}");
                }
                if running.status == ProcessStatus::Sleep {
                    assert!(silence.contains(&at) && running.constant == all, "asleep at {at}");
                    slept += 1;
                } else {
                    // It sleeps until sound arrives.
                    assert!(slept == 0 || at + 480 > silence.end, "awake at {at}");
                }
            }
            assert!(slept > 3, "{rate} Hz, {channels} channels: asleep for {slept} blocks");
            plugin.stop(running);
        }
    }
}
