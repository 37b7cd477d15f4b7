//! Creating, changing and dropping instances.
use std::collections::HashMap;

use clack_host::events::event_types::ParamValueEvent;
use clack_host::prelude::{EventBuffer, Pckn};
use wisp_testing::Random;
use wisp_testing::allocations::count;
use wisp_testing::clap::{Plugin, Running};
use wisp_testing::signals::noisy;

use crate::entries;

/// Threads that used the plugin may end after the host has unloaded it, and then run destructors in its code.
#[cfg(target_os = "linux")]
#[test]
fn the_library_stays_mapped() {
    let Some(path) = std::env::var_os("WISP_CLAP") else {
        println!("skipped: WISP_CLAP names no built plugin");
        return;
    };
    std::thread::spawn(|| drop(entries())).join().expect("the thread ends");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let path = std::fs::canonicalize(path).expect("the built plugin");
    assert!(maps.contains(&*path.to_string_lossy()), "{} was unloaded", path.display());
}

#[test]
fn nothing_is_allocated_once_active() {
    for entry in entries() {
        for (rate, channels, quality) in
            [(48_000, 2, "Live"), (44_100, 1, "Studio"), (22_050, 2, "Live"), (48_000, 2, "Studio")]
        {
            let mut plugin = Plugin::new(&entry);
            plugin.set("Quality", quality);
            let ids: Vec<_> = plugin.parameters().iter().map(|p| p.id).collect();
            let mut running = plugin.start(rate, channels, 4096);
            let signal = noisy(rate, channels, 0.5);
            let mut out = EventBuffer::with_capacity(64);
            // The host's own buffers may still grow during the first block.
            let events: Vec<_> = ids
                .iter()
                .map(|&id| ParamValueEvent::new(10, id, Pckn::match_all(), 0.6))
                .collect();
            let quiet: Vec<_> = ids
                .iter()
                .map(|&id| ParamValueEvent::new(77, id, Pckn::match_all(), 0.0))
                .collect();
            running.block(64, &events, &mut out);
            let ((), calls, _) = count(|| {
                let mut at = 0;
                for (i, &samples) in [1, 64, 480, 512, 4096, 333, 7].iter().cycle().enumerate() {
                    if at + samples > signal[0].len() {
                        break;
                    }
                    for (buffer, channel) in running.input.iter_mut().zip(&signal) {
                        buffer[..samples].copy_from_slice(&channel[at..at + samples]);
                    }
                    at += samples;
                    let now = match (samples > 100, i % 2) {
                        (true, 0) => &events[..],
                        (true, _) => &quiet[..],
                        _ => &[],
                    };
                    out.clear();
                    running.block(samples, now, &mut out);
                }
                running.processor.reset();
            });
            assert_eq!(calls, 0, "{rate} Hz, {channels} channels, {quality}");
            assert!(plugin.requests().restarts > 0, "no change of the quality was heard");
            plugin.stop(running);
        }
    }
}

#[test]
fn a_reset_plugin_sounds_like_a_new_one() {
    for entry in entries() {
        let input = noisy(48_000, 2, 0.5);
        let mut plugin = Plugin::new(&entry);
        let mut running = plugin.start(48_000, 2, 512);
        let first = running.run(&input, &[512], &[]);
        running.processor.reset();
        let second = running.run(&input, &[512], &[]);
        plugin.stop(running);
        assert!(first == second);
    }
}

/// As when the user switches audio devices during playback.
#[test]
fn rate_layout_and_block_size_change_in_mid_stream() {
    const RATES: [u32; 6] = [16_000, 22_050, 44_100, 48_000, 96_000, 192_000];
    for entry in entries() {
        let mut random = Random(11);
        let mut plugin = Plugin::new(&entry);
        // A new instance's output, by rate and channels.
        let mut expected = HashMap::new();
        for _ in 0..60 {
            let (rate, channels) = (RATES[random.below(RATES.len())], 1 + random.below(2));
            let (input, latency, output) = expected.entry((rate, channels)).or_insert_with(|| {
                let input = noisy(rate, channels, 0.25);
                let mut plugin = Plugin::new(&entry);
                let output = plugin.run(rate, &input, &[512]);
                (input, plugin.latency(), output)
            });
            let sizes: Vec<usize> = (0..3).map(|_| 1 + random.below(2048)).collect();
            // Anywhere, also within a hop.
            let length = 1 + random.below(input[0].len());
            let cut = |channels: &[Vec<f32>]| -> Vec<Vec<f32>> {
                channels.iter().map(|channel| channel[..length].to_vec()).collect()
            };
            let mut running = plugin.start(rate, channels, *sizes.iter().max().expect("a size"));
            assert_eq!(plugin.latency(), *latency);
            let heard = running.run(&cut(input), &sizes, &[]);
            plugin.stop(running);
            assert!(heard == cut(output), "{rate} Hz, {channels} channels, blocks of {sizes:?}");
        }
    }
}

#[test]
fn a_hundred_instances_come_and_go_on_several_threads() {
    const EACH: usize = 25;
    let input = noisy(48_000, 2, 0.3);
    for entry in entries() {
        let expected = Plugin::new(&entry).run(48_000, &input, &[512]);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (entry, input, expected) = (entry.clone(), &input, &expected);
                scope.spawn(move || {
                    let mut random = Random(thread);
                    let mut alive: Vec<(Plugin, Running, usize)> = Vec::new();
                    let mut made = 0;
                    while made < EACH || !alive.is_empty() {
                        match random.below(8) {
                            0 | 1 if made < EACH => {
                                let mut plugin = Plugin::new(&entry);
                                let running = plugin.start(48_000, 2, 512);
                                alive.push((plugin, running, 0));
                                made += 1;
                            }
                            // Any of them, during playback.
                            2 if !alive.is_empty() => {
                                let at = random.below(alive.len());
                                let (mut plugin, running, _) = alive.swap_remove(at);
                                plugin.stop(running);
                            }
                            _ if !alive.is_empty() => {
                                let which = random.below(alive.len());
                                let (_, running, at) = &mut alive[which];
                                let to = input[0].len().min(*at + 1 + random.below(512));
                                let part = |sound: &[Vec<f32>]| -> Vec<Vec<f32>> {
                                    sound.iter().map(|channel| channel[*at..to].to_vec()).collect()
                                };
                                let heard = running.run(&part(input), &[512], &[]);
                                assert!(heard == part(expected), "samples {at} to {to}");
                                *at = to;
                            }
                            _ => {}
                        }
                    }
                });
            }
        });
    }
}
