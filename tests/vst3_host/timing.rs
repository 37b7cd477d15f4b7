//! Latency, tail and silence flags.
use std::sync::atomic::Ordering;

use wisp_testing::signals::noisy;

use crate::host::*;

#[test]
fn the_latency_is_where_the_sound_is_at_every_rate() {
    let plugin = Plugin::new();
    for rate in [16_000, 22_050, 44_100, 48_000, 96_000] {
        plugin.set("Reduction", 0.0);
        let input = noisy(rate, 2, 0.3);
        plugin.start(rate, 2, 512);
        let latency = plugin.latency();
        assert!(latency > 0);
        // Every start is like the first, whatever ran before.
        for _ in 0..2 {
            let output = plugin.run(&input, &[512, 100], &[]);
            assert_eq!(output[1][latency..], input[1][..input[1].len() - latency], "{rate} Hz");
            plugin.stop();
            plugin.start(rate, 2, 4096);
            assert_eq!(plugin.latency(), latency);
        }
        plugin.stop();
    }
}

const RATES: [u32; 10] =
    [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 88_200, 96_000, 192_000, 384_000];

/// Some hosts read the latency before they activate the plugin, and some do so on a pool thread.
#[test]
fn the_latency_is_right_before_the_first_activation_at_every_rate_and_on_any_thread() {
    // Before a rate is set, the value for 48 kHz.
    assert_eq!(Plugin::new().latency(), 960);
    for pool in [false, true] {
        for rate in RATES {
            let plugin = Plugin::new();
            plugin.set("Reduction", 0.0);
            let first = || {
                plugin.set_up(f64::from(rate), 2, 512);
                let latency = plugin.latency();
                assert_eq!(com!(plugin.component.setActive(1)), kResultOk);
                com!(plugin.processor.setProcessing(1));
                let input = noisy(rate, 2, 0.15);
                let output = plugin.run(&input, &[512], &[]);
                assert_eq!(plugin.latency(), latency, "{rate} Hz");
                assert_eq!(output[0][latency..], input[0][..input[0].len() - latency], "{rate} Hz");
                plugin.stop();
            };
            if pool {
                std::thread::scope(|scope| scope.spawn(first).join().expect("the first sound"));
            } else {
                first();
            }
            // The host already has the right value, so it is not notified.
            assert_eq!(plugin.handler.latencies.load(Ordering::SeqCst), 0, "{rate} Hz");
        }
    }
}

#[test]
fn a_host_that_has_read_another_latency_is_told() {
    for pool in [false, true] {
        let plugin = Plugin::new();
        let mut told = 0;
        // Read once, early; right for the first rate only.
        assert_eq!(plugin.latency(), 960);
        for rate in [48_000, 44_100, 16_000, 22_050] {
            let start = || plugin.start(rate, 2, 512);
            if pool {
                std::thread::scope(|scope| scope.spawn(start).join().expect("a start"));
            } else {
                start();
            }
            told += usize::from(rate != 48_000);
            assert_eq!(plugin.handler.latencies.load(Ordering::SeqCst), told, "{rate} Hz");
            plugin.stop();
        }
    }
}

#[test]
fn the_tail_is_known_from_the_setup_on() {
    let plugin = Plugin::new();
    let taps = wisp::Model::live().network().sizes().taps as u32;
    for rate in [16_000, 44_100, 48_000, 96_000] {
        let expected = rate / 100 * (3 + taps);
        let tail = || com!(plugin.processor.getTailSamples());
        plugin.set_up(f64::from(rate), 2, 512);
        assert_eq!(tail(), expected, "set up for {rate} Hz");
        plugin.start(rate, 2, 512);
        assert_eq!(tail(), expected, "started at {rate} Hz");
        plugin.run(&noisy(rate, 2, 0.1), &[512], &[]);
        assert_eq!(tail(), expected, "playing at {rate} Hz");
        plugin.stop();
        assert_eq!(tail(), expected, "stopped at {rate} Hz");
    }
}

#[test]
fn silence_is_flagged_and_nothing_else() {
    for rate in [22_050, 48_000] {
        let plugin = Plugin::new();
        plugin.start(rate, 2, 480);
        let tail = com!(plugin.processor.getTailSamples()) as usize;
        // Sound on the left only, where linked stereo leaves it; then silence, then sound again.
        let mut input = noisy(rate, 1, 1.2);
        input[0][rate as usize / 2..rate as usize].fill(0.0);
        let mut flagged = 0;
        for (i, block) in input[0].chunks(480).enumerate() {
            let (mut left, mut right) = (block.to_vec(), vec![0.0; block.len()]);
            let flags = process(&plugin.processor, &mut [&mut left, &mut right], &[]);
            for (bit, channel) in [&left, &right].into_iter().enumerate() {
                let silent = channel.iter().all(|&y| y == 0.0);
                assert_eq!(flags >> bit & 1 == 1, silent, "{rate} Hz, block {i}, channel {bit}");
            }
            let quiet = rate as usize / 2 + tail..rate as usize - 480;
            if quiet.contains(&(i * 480)) {
                assert_eq!(flags, 3, "{rate} Hz, block {i}");
                flagged += 1;
            }
        }
        assert!(flagged > 3);
        plugin.stop();
    }
}
