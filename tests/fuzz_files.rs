//! A bounded run of the fuzzing target that reads files (`fuzz/`).
// The command line's own modules, where they expect each other; their parts for people are not called.
#![allow(dead_code)]
#[path = "../fuzz/targets/audio.rs"]
mod audio;
#[path = "../src/bin/wisp/clean.rs"]
mod clean;
#[path = "../src/bin/wisp/coded.rs"]
mod coded;
mod common;
#[path = "../src/bin/wisp/container.rs"]
mod container;
#[path = "../src/bin/wisp/edits.rs"]
mod edits;
#[path = "../src/bin/wisp/error.rs"]
mod error;
#[path = "../src/bin/wisp/flac.rs"]
mod flac;
#[path = "../src/bin/wisp/input.rs"]
mod input;
#[path = "../src/bin/wisp/metadata.rs"]
mod metadata;
#[path = "../src/bin/wisp/opus.rs"]
mod opus;
#[path = "../src/bin/wisp/output.rs"]
mod output;
#[path = "../src/bin/wisp/pcm.rs"]
mod pcm;
#[path = "../src/bin/wisp/report.rs"]
mod report;
#[path = "../src/bin/wisp/source.rs"]
mod source;
#[path = "../src/bin/wisp/wav.rs"]
mod wav;

use common::Random;
use common::corpus::run_changed;

#[test]
fn no_audio_file_breaks_the_command_line() {
    let words: Vec<&[u8]> = vec![
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\xff\xff\xff\x7f",
        b"\xff\xff",
        b"\0\0",
        b"\x01\0",
        b"fmt ",
        b"data",
        b"LIST",
        b"ds64",
        b"RF64",
        b"fLaC",
        b"OggS",
        b"FORM",
        b"ID3\x04",
        b"AIFC",
        b".snd",
        b"bext",
        b"cue ",
        b"ftyp",
        b"elst",
        b"moov",
        b"caff",
        b"pakt",
        b"OpusHead",
        b"TAG",
        b"APETAGEX",
        b"\x1aE\xdf\xa3",
        b"\xfe\xff",
        b"\x55\0",
        b"\0\0\0\x80",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    run_changed("audio", &words, &mut Random(3), 3_000, audio::run);
}
