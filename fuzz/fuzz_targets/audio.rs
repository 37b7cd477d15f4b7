#![no_main]
// The command line's own modules, where they expect each other.
#[path = "../targets/audio.rs"]
mod audio;
#[path = "../../src/bin/wisp/clean.rs"]
mod clean;
#[path = "../../src/bin/wisp/error.rs"]
mod error;
#[path = "../../src/bin/wisp/input.rs"]
mod input;
#[path = "../../src/bin/wisp/report.rs"]
mod report;
#[path = "../../src/bin/wisp/wav.rs"]
mod wav;

libfuzzer_sys::fuzz_target!(|data: &[u8]| audio::run(data));
