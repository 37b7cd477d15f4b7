//! A bounded run of the fuzz target that reads audio files (`fuzz/`).
use wisp_fuzz_targets::audio;
use wisp_testing::Random;
use wisp_testing::corpus::run_changed;

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
