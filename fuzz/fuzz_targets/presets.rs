#![no_main]
#[path = "../targets/presets.rs"]
mod presets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| presets::run(data));
