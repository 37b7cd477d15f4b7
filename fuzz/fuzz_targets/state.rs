#![no_main]
#[path = "../targets/state.rs"]
mod state;

libfuzzer_sys::fuzz_target!(|data: &[u8]| state::run(data));
