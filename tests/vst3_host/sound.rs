//! The output.
use wisp_testing::signals::{self, noisy};

use crate::host::*;

#[test]
fn every_block_size_gives_the_same_sound() {
    for channels in [1, 2] {
        let input = noisy(48_000, channels, 0.8);
        let plugin = Plugin::new();
        let whole = plugin.play(48_000, &input, &[1024]);
        assert!(signals::rms(&whole[0]) > 1e-3, "nothing comes out");
        let rising: Vec<usize> = (1..=300).collect();
        for sizes in [&[1][..], &rising, &[4096], &[16, 32, 64, 128, 256, 512, 1024, 2048]] {
            assert!(plugin.play(48_000, &input, sizes) == whole, "{channels} channels");
        }
    }
}

#[test]
fn a_pause_is_a_fresh_start() {
    let plugin = Plugin::new();
    let input = noisy(48_000, 2, 0.4);
    let fresh = plugin.play(48_000, &input, &[256]);
    plugin.start(48_000, 2, 256);
    plugin.run(&input, &[100], &[]);
    // Within a hop.
    com!(plugin.processor.setProcessing(0));
    com!(plugin.processor.setProcessing(1));
    assert!(plugin.run(&input, &[256], &[]) == fresh, "after setProcessing");
    plugin.stop();
    plugin.start(48_000, 2, 256);
    assert!(plugin.run(&input, &[256], &[]) == fresh, "after setActive");
    plugin.stop();
}

/// At rates that Wisp does not support, sound passes unchanged and without delay.
#[test]
fn outside_its_rates_the_sound_passes_undelayed() {
    let plugin = Plugin::new();
    for rate in [1_234.567_8, 7_000.0, 7_999.0, 384_001.0, 768_000.0, 1_234_567.8] {
        for channels in [1, 2] {
            for bypass in [0.0, 1.0] {
                plugin.set("Bypass", bypass);
                plugin.set_up(rate, channels, 512);
                assert_eq!(plugin.latency(), 0, "{rate} Hz");
                assert_eq!(com!(plugin.component.setActive(1)), kResultOk, "{rate} Hz");
                com!(plugin.processor.setProcessing(1));
                let input = noisy(8_000, channels, 0.3);
                assert!(plugin.run(&input, &[512, 3], &[]) == input, "{rate} Hz");
                assert_eq!(com!(plugin.processor.getTailSamples()), 0);
                plugin.stop();
            }
        }
    }
    // At the next rate it denoises again.
    plugin.set("Bypass", 0.0);
    let input = noisy(48_000, 2, 0.3);
    let expected = Plugin::new().play(48_000, &input, &[512]);
    assert!(plugin.play(48_000, &input, &[512]) == expected);
}
