//! A bounded run of the fuzz targets that only need the engine (`fuzz/`).
use wisp_fuzz_targets::{engine, weights};
use wisp_testing::Random;
use wisp_testing::corpus::run_changed;

#[test]
fn no_host_breaks_the_engine() {
    let floats = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e30, -1e30, 1e-40, -0.0];
    let words = floats.map(f32::to_le_bytes);
    let mut random = Random(1);
    run_changed("engine", &words, &mut random, 150, engine::run);
    // Purely random bytes.
    for _ in 0..100 {
        let length = 40 + random.below(400);
        engine::run(&(0..length).map(|_| random.bits() as u8).collect::<Vec<u8>>());
    }
}

#[test]
fn no_file_of_weights_does_harm() {
    let words = [
        "0",
        "1",
        "18446744073709551615",
        "-1",
        "[]",
        "\"F16\"",
        "\"dtype\"",
        "data_offsets",
        "{}",
        "9007199254740993",
        "1e400",
        "null",
        "\\u0000",
        "\"",
        "taps",
        "low_hidden",
        "channels",
    ];
    run_changed("weights", &words, &mut Random(2), 20_000, weights::run);
}
