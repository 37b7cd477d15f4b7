#![no_main]
// The command line's own modules, where they expect each other; their parts for people are not called.
#![allow(dead_code)]
#[path = "../targets/audio.rs"]
mod audio;
#[path = "../../src/bin/wisp/clean.rs"]
mod clean;
#[path = "../../src/bin/wisp/coded.rs"]
mod coded;
#[path = "../../src/bin/wisp/container.rs"]
mod container;
#[path = "../../src/bin/wisp/edits.rs"]
mod edits;
#[path = "../../src/bin/wisp/error.rs"]
mod error;
#[path = "../../src/bin/wisp/flac.rs"]
mod flac;
#[path = "../../src/bin/wisp/input.rs"]
mod input;
#[path = "../../src/bin/wisp/metadata.rs"]
mod metadata;
#[path = "../../src/bin/wisp/opus.rs"]
mod opus;
#[path = "../../src/bin/wisp/output.rs"]
mod output;
#[path = "../../src/bin/wisp/pcm.rs"]
mod pcm;
#[path = "../../src/bin/wisp/report.rs"]
mod report;
#[path = "../../src/bin/wisp/source.rs"]
mod source;
#[path = "../../src/bin/wisp/wav.rs"]
mod wav;

libfuzzer_sys::fuzz_target!(
    init: {
        // The command line makes a panic of a decoder the error of its file (docs/upstream.md); the fuzzer would end at it.
        let end = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let decoder = |file: &str| file.contains("/symphonia-") || file.contains("/ruopus-");
            if !panic.location().is_some_and(|place| decoder(place.file())) {
                end(panic);
            }
        }));
    },
    |data: &[u8]| audio::run(data)
);
