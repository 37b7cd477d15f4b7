#![no_main]
#[path = "../targets/engine.rs"]
mod engine;

libfuzzer_sys::fuzz_target!(|data: &[u8]| engine::run(data));
