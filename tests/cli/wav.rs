//! WAV files as other programs write them.
use std::fs;

use crate::lab::*;

#[test]
fn wrong_sizes_in_headers_hide_no_sound() {
    let lab = Lab::new();
    let (data, expected) = speech(&lab);
    let form = format(1, 1, 48_000, 16, 2);
    let whole = riff(&[(b"fmt ", &form), (b"data", &data)]);
    let right = whole.len() as u32 - 8;
    for (riff_size, data_size) in [
        (right - 8, data.len() as u32),
        (36, data.len() as u32),
        (0, data.len() as u32),
        (0x7fff_ffff, data.len() as u32),
        (right, u32::MAX),
        (0x23, u32::MAX),
    ] {
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&riff_size.to_le_bytes());
        bytes[40..44].copy_from_slice(&data_size.to_le_bytes());
        let (samples, said) = passed(&lab, "odd.wav", &bytes);
        assert_eq!(samples, expected, "{riff_size:#x} {data_size:#x}");
        assert!(!said.contains("warning"), "{said}");
    }
    // An odd-sized chunk without its padding byte.
    let mut bytes = whole[..36].to_vec();
    bytes.extend(b"note\x05\0\0\0hello");
    bytes.extend(&whole[36..]);
    fs::write(lab.path("odd.wav"), &bytes).expect("file");
    let output = lab.ok(&["odd.wav", "-o", "out.wav", "-r", "0", "-f"]);
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    let tagged = [b"ID3\x03\0\0\0\0\0\x14".to_vec(), vec![0; 20], whole.clone()].concat();
    assert_eq!(passed(&lab, "tagged.wav", &tagged).0, expected);
    lab.ok(&["odd.wav", "-o", "out.wav", "-r", "0", "-f"]);
    let kept = chunks_of(&lab.path("out.wav"));
    assert_eq!(kept[1], (*b"note", b"hello".to_vec()));
    assert_eq!(kept[2], (*b"data", data));
}

#[test]
fn unfinished_recordings_are_read_as_far_as_they_go_and_said() {
    let lab = Lab::new();
    let (data, expected) = speech(&lab);
    let form = format(1, 1, 48_000, 16, 2);
    let plain = riff(&[(b"fmt ", &form), (b"data", &data)]);
    let apple =
        riff(&[(b"JUNK", &[0; 28]), (b"fmt ", &form), (b"FLLR", &[0; 4008]), (b"data", &data)]);
    let half = data.len() as u32 / 2;
    for (bytes, riff_size, data_size, words) in [
        (&plain, 0, 0, ["unfinished", "24000"]),
        (&plain, 36, 0, ["unfinished", "24000"]),
        (&apple, 4088, 0, ["unfinished", "24000"]),
        // The header was last updated some time ago. A size that overflowed 32 bits looks the same.
        (&plain, plain.len() as u32 - 8, half, ["says 12000 samples", "kept 24000"]),
        (&plain, 36 + half, half, ["says 12000 samples", "kept 24000"]),
    ] {
        let mut bytes = bytes.clone();
        let at = bytes.len() - data.len() - 4;
        bytes[4..8].copy_from_slice(&riff_size.to_le_bytes());
        bytes[at..at + 4].copy_from_slice(&data_size.to_le_bytes());
        let (samples, said) = passed(&lab, "crashed.wav", &bytes);
        assert_eq!(samples, expected, "{riff_size} {data_size}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    // Chunks after empty audio are not audio.
    let empty = riff(&[(b"fmt ", &form), (b"data", &[]), (b"LIST", b"INFOINAM\x02\0\0\0a\0")]);
    fs::write(lab.path("empty.wav"), empty).expect("file");
    lab.fails(&["empty.wav"], 1, &["empty.wav", "no audio"]);
}

#[test]
fn cut_files_keep_what_is_there_and_say_how_much() {
    let lab = Lab::new();
    let (data, expected) = speech(&lab);
    let whole = riff(&[(b"fmt ", &format(1, 1, 48_000, 16, 2)), (b"data", &data)]);
    for (missing, left) in [(1, 23_999), (2, 23_999), (4_800, 21_600), (47_990, 5)] {
        let (samples, said) = passed(&lab, "cut.wav", &whole[..whole.len() - missing]);
        assert_eq!(samples, expected[..left]);
        assert!(said.contains(&format!("{left} of 24000 samples")), "{said}");
    }
    fs::write(lab.path("cut.wav"), &whole[..whole.len() - 4_800]).expect("file");
    let output = lab.ok(&["cut.wav", "-o", "out.wav", "-f", "--json"]);
    let line = &json_lines(&output)[0];
    assert!(
        line["warnings"][0].as_str().is_some_and(|text| text.contains("21600 of 24000")),
        "{line}"
    );
    lab.wav("in.wav", int(48_000, 1, 16), 3.0);
    for name in ["cut.flac", "cut.ogg", "cut.mp3", "cut.aiff", "cut.au", "cut.w64"] {
        if !ffmpeg(&lab, &["-i", "in.wav", name]) {
            return;
        }
        let bytes = fs::read(lab.path(name)).expect("file");
        fs::write(lab.path(name), &bytes[..bytes.len() * 3 / 4]).expect("file");
        let output = lab.ok(&[name, "-o", "out.wav", "-r", "0", "-f", "--depth", "16"]);
        let kept = ints(&lab.path("out.wav")).len();
        // A bit stream may end between packets; formats with a length notice the cut.
        let knows = !name.ends_with("mp3") && !name.ends_with("ogg");
        assert!((48_000..144_000).contains(&kept), "{name}: {kept}");
        assert!(
            !knows || stderr(&output).contains("of 144000 samples"),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn odd_formats_keep_their_bits() {
    let lab = Lab::new();
    let data = fs::read(lab.wav("in.wav", int(48_000, 1, 24), 0.3)).expect("WAV");
    let data = &data[data.len() - 14_400 * 3..];
    let expected = ints(&lab.path("in.wav"));
    let extensible = |valid: u16| {
        let guid = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
        let head = format(0xfffe, 1, 48_000, 24, 3);
        [&head[..], &22u16.to_le_bytes(), &valid.to_le_bytes(), &4u32.to_le_bytes(), guid].concat()
    };
    for form in [
        extensible(24),
        extensible(0),
        extensible(16),
        format(1, 1, 48_000, 20, 3),
        [&format(1, 1, 48_000, 24, 3)[..], &[0; 24]].concat(),
    ] {
        let (samples, _) = passed(&lab, "odd.wav", &riff(&[(b"fmt ", &form), (b"data", data)]));
        assert_eq!(samples, expected, "{form:?}");
        assert_eq!(spec_of(&lab.path("out.wav")).bits_per_sample, 24);
    }
    // 24 bits in 4 bytes, and a wrong block size.
    let wide: Vec<u8> = data.chunks(3).flat_map(|x| [0, x[0], x[1], x[2]]).collect();
    let form = format(1, 1, 48_000, 24, 4);
    let (samples, _) = passed(&lab, "odd.wav", &riff(&[(b"fmt ", &form), (b"data", &wide)]));
    assert_eq!(samples, expected);
    let (data, expected) = speech(&lab);
    let form = format(1, 1, 48_000, 16, 16);
    let (samples, _) = passed(&lab, "odd.wav", &riff(&[(b"fmt ", &form), (b"data", &data)]));
    assert_eq!(samples, expected);
}

#[test]
fn streamed_wav_of_unknown_length_is_read_to_its_end() {
    let lab = Lab::new();
    // As written by ffmpeg, SoX, arecord, NAudio and Kaldi.
    for size in [u32::MAX, 0x7fff_f000, 0x8000_0000, 0xffff_ffdb, 0x7fff_ffff] {
        fs::write(lab.path("stream.wav"), wav_bytes(&lab, size)).expect("file");
        let output = lab.ok(&["stream.wav", "-o", "out.wav", "-r", "0", "-f"]);
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
        assert_eq!(ints(&lab.path("in.wav")), ints(&lab.path("out.wav")), "{size:#x}");
    }
}

#[test]
fn rf64_is_read_and_what_follows_the_audio_is_not_taken_for_it() {
    let lab = Lab::new();
    let plain = fs::read(lab.wav("in.wav", int(48_000, 1, 16), 0.5)).expect("WAV");
    let data = &plain[44..];
    let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend((data.len() as u64).to_le_bytes());
    bytes.extend((data.len() as u64 / 2).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(&plain[12..40]);
    bytes.extend([0xff; 4]);
    bytes.extend(data);
    bytes.extend(b"LIST\x08\0\0\0INFO\x01\x02\x03\x04");
    fs::write(lab.path("rf64.wav"), bytes).expect("file");
    lab.ok(&["rf64.wav", "-o", "out.wav", "-r", "0"]);
    assert_eq!(ints(&lab.path("in.wav")), ints(&lab.path("out.wav")));
}

#[test]
fn headers_that_promise_absurd_things_are_refused() {
    let lab = Lab::new();
    let plain = wav_bytes(&lab, 48_000);
    let with = |at: usize, value: &[u8]| {
        let mut bytes = plain.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        fs::write(lab.path("odd.wav"), bytes).expect("file");
    };
    // Each channel would need an engine.
    for channels in [65u16, 255, 4096, 65_535] {
        let mut bytes = channels.to_le_bytes().to_vec();
        let frame = channels.wrapping_mul(2);
        bytes.extend(48_000u32.to_le_bytes());
        bytes.extend(48_000u32.wrapping_mul(u32::from(frame)).to_le_bytes());
        bytes.extend(frame.to_le_bytes());
        with(22, &bytes);
        lab.fails(&["odd.wav"], 1, &["odd.wav"]);
    }
    for (at, value) in [
        (22, &[0u8, 0][..]),             // no channels
        (24, &[0, 0, 0, 0]),             // no rate
        (24, &[0xff, 0xff, 0xff, 0xff]), // 4 GHz
        (34, &[0, 0]),                   // no bits
        (34, &[0xff, 0xff]),             // 65535 bits
        (16, &[0, 0, 0, 0]),             // an empty format
        (16, &[0xff, 0xff, 0xff, 0x7f]), // one of 2 GiB
        (20, &[0x34, 0x12]),             // an unknown codec
    ] {
        with(at, value);
        let output = lab.run(&["odd.wav", "--force"]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{at} {value:?}: {message}");
        assert!(message.contains("odd.wav") && !message.contains("panicked"), "{message}");
        assert!(lab.leftovers().is_empty());
    }
}
