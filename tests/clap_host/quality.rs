//! Live and Studio: what the host is told, and that the sound stays where it was told to be.
use clack_extensions::tail::{PluginTail, TailLength};
use wisp_testing::clap::{Plugin, Requests, state};
use wisp_testing::signals::noisy;

use crate::entries;

/// The input this many samples later, as a plugin gives it back that removes nothing.
fn is_delayed(output: &[Vec<f32>], input: &[Vec<f32>], from: usize, latency: usize) -> bool {
    input.iter().zip(output).all(|(input, output)| {
        let from = from.max(latency);
        output[from..] == input[from - latency..output.len() - latency]
    })
}

/// Hops of latency by quality.
const HOPS: [(&str, usize); 2] = [("Live", 2), ("Studio", 6)];

#[test]
fn a_new_instance_is_live_and_what_is_set_before_the_activation_runs_from_then_on() {
    for entry in entries() {
        assert_eq!(Plugin::new(&entry).latency(), 960);
        for (quality, hops) in HOPS {
            for rate in [16_000, 22_050, 44_100, 48_000, 96_000] {
                let settings = [("Reduction", "0 dB"), ("Quality", quality)];
                let mut plugin = Plugin::with(&entry, &settings);
                let input = noisy(rate, 2, 0.3);
                let mut running = plugin.start(rate, 2, 512);
                let latency = plugin.latency();
                assert_eq!(latency, hops * ((rate as usize + 50) / 100), "{quality}, {rate} Hz");
                let output = running.run(&input, &[512, 100], &[]);
                assert!(is_delayed(&output, &input, 0, latency), "{quality}, {rate} Hz");
                plugin.stop(running);
                // Nothing has changed that the host knew.
                assert_eq!(plugin.requests(), Requests::default(), "{quality}, {rate} Hz");
            }
        }
    }
}

/// In mid-sound, there and back: the sound keeps its place until the host reactivates the plugin.
#[test]
fn a_change_while_running_waits_for_the_host() {
    for entry in entries() {
        for (rate, channels) in [(48_000, 2), (44_100, 1), (22_050, 2)] {
            let hop = (rate as usize + 50) / 100;
            let mut plugin = Plugin::new(&entry);
            let tail: PluginTail = plugin.instance.plugin_handle().get_extension().expect("tail");
            plugin.set("Reduction", "0 dB");
            let id = plugin.parameter("Quality").id;
            let input = noisy(rate, channels, 0.4);
            let half = input[0].len() / 2;
            let mut expected = Requests::default();
            let mut tails = Vec::new();
            for (now, next) in [(0, 1), (1, 0), (0, 1)] {
                let latency = HOPS[now].1 * hop;
                let mut running = plugin.start(rate, channels, 480);
                assert_eq!(plugin.latency(), latency, "{rate} Hz");
                // Twice the same is asked for once.
                let changes = [(half, id, next as f64), (half + 700, id, next as f64)];
                let output = running.run(&input, &[480, 7], &changes);
                assert!(is_delayed(&output, &input, 0, latency), "{rate} Hz, to {next}");
                assert_eq!((plugin.latency(), plugin.value("Quality")), (latency, next as f64));
                let told = tail.get(&running.processor.plugin_handle());
                tails.push(told);
                expected.restarts += 1;
                assert_eq!(plugin.requests(), expected, "{rate} Hz");
                plugin.stop(running);
                // The next activation tells of the latency, and its first block of the tail.
                assert_eq!(plugin.latency(), HOPS[next].1 * hop, "{rate} Hz");
                expected.tails += 1;
            }
            let TailLength::Finite(live) = tails[0] else { panic!("{tails:?}") };
            // The latency is in the tail, and the look-ahead lets the filter reach back less.
            let TailLength::Finite(studio) = tails[1] else { panic!("{tails:?}") };
            assert!(studio > live, "{live} {studio}");
            assert_eq!(tails[2], tails[0]);
        }
    }
}

/// A host that reads the latency while the plugin is active only.
#[test]
fn the_host_is_told_of_the_new_latency_within_the_activation() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let running = plugin.start(48_000, 2, 512);
        assert_eq!(plugin.latency(), 960);
        plugin.stop(running);
        for (told, quality) in ["Studio", "Live", "Studio"].into_iter().enumerate() {
            plugin.set("Quality", quality);
            let running = plugin.start(48_000, 2, 512);
            assert_eq!(plugin.requests().latencies, told + 1, "{quality}");
            plugin.stop(running);
            // Not again for the same.
            let running = plugin.start(48_000, 2, 512);
            assert_eq!(plugin.requests().latencies, told + 1, "{quality}");
            plugin.stop(running);
        }
        assert_eq!(plugin.requests().misplaced, 0);
    }
}

#[test]
fn one_that_changes_its_mind_is_asked_again() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let id = plugin.parameter("Quality").id;
        let input = noisy(48_000, 2, 0.2);
        let mut running = plugin.start(48_000, 2, 480);
        running.run(&input, &[480], &[(0, id, 1.0), (4_800, id, 0.0)]);
        assert_eq!(plugin.requests().restarts, 1);
        running.run(&input, &[480], &[(0, id, 1.0)]);
        assert_eq!(plugin.requests().restarts, 2);
        plugin.stop(running);
    }
}

#[test]
fn a_loaded_state_brings_its_quality() {
    for entry in entries() {
        let settings = [("Reduction", "0 dB"), ("Quality", "studio")];
        let saved = Plugin::with(&entry, &settings).save();
        assert!(String::from_utf8_lossy(&saved).contains(r#""quality":{"string":"studio"}"#));

        // Before the first activation, the sound on another thread.
        let mut plugin = Plugin::new(&entry);
        assert!(plugin.load(&saved));
        assert_eq!(plugin.latency(), 2_880);
        let input = noisy(48_000, 2, 0.3);
        let processor = plugin.activate(48_000.0, 2, 512);
        assert_eq!(plugin.latency(), 2_880);
        let stopped = std::thread::scope(|scope| {
            let sound = scope.spawn(|| {
                let mut running = wisp_testing::clap::Running::new(processor, 2, 512);
                let output = running.run(&input, &[512], &[]);
                assert!(is_delayed(&output, &input, 0, 2_880));
                running.processor.stop_processing()
            });
            sound.join().expect("the sound")
        });
        plugin.instance.deactivate(stopped);
        assert_eq!(plugin.requests(), Requests::default());

        // While another quality runs.
        let mut plugin = Plugin::new(&entry);
        let running = plugin.start(48_000, 2, 512);
        assert!(plugin.load(&saved));
        assert_eq!((plugin.latency(), plugin.requests().restarts), (960, 1));
        plugin.stop(running);
        assert_eq!(plugin.latency(), 2_880);
    }
}

#[test]
fn it_cannot_be_automated_and_presets_leave_it() {
    use clack_extensions::params::ParamInfoFlags;
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let quality = plugin.parameter("Quality");
        assert!(!quality.flags.contains(ParamInfoFlags::IS_AUTOMATABLE));
        plugin.set("Quality", "STUDIO");
        // As `.vstpreset` files and an edited session name it: not at all, and wrongly.
        for json in [
            r#"{"version":"0.1.0","params":{"reduction":{"f32":18.0}},"fields":{}}"#,
            r#"{"version":"9.0.0","params":{"bypass":{"bool":false},"quality":{"string":"cinema"}},"fields":{}}"#,
        ] {
            assert!(plugin.load(&state(json.as_bytes())), "{json}");
            assert_eq!(plugin.value("Quality"), 1.0, "{json}");
        }
    }
}
