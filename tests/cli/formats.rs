//! Formats other than WAV, checked against ffmpeg.
use std::fs;

use crate::lab::*;

#[test]
fn every_format_comes_out_as_ffmpeg_reads_it() {
    let lab = Lab::new();
    lab.wav("in.wav", int(44_100, 2, 16), 1.3);
    // A tolerance where decoders differ in the last bits.
    for (name, options, tolerance, spare) in [
        ("a.m4a", &["-c:a", "aac"][..], 1e-4, 1024),
        ("b.m4a", &["-c:a", "alac"], 0.0, 0),
        ("a.mov", &["-c:a", "aac"], 1e-4, 1024),
        ("a.aac", &[], 1e-4, 0),
        ("a.caf", &["-c:a", "pcm_s24be"], 0.0, 0),
        ("b.caf", &["-c:a", "alac"], 0.0, 0),
        ("a.au", &[], 0.0, 0),
        ("b.au", &["-c:a", "pcm_mulaw"], 0.0, 0),
        ("a.w64", &[], 0.0, 0),
        ("a.mka", &["-c:a", "flac"], 0.0, 0),
        ("a.mp2", &[], 1e-3, 0),
        ("mp3.wav", &["-c:a", "libmp3lame"], 1e-3, 0),
        ("ms.wav", &["-c:a", "adpcm_ms"], 0.0, 0),
        ("ima.wav", &["-c:a", "adpcm_ima_wav"], 0.0, 0),
        ("alaw.wav", &["-c:a", "pcm_alaw"], 0.0, 0),
        ("f64.wav", &["-c:a", "pcm_f64le"], 0.0, 0),
        ("sowt.aifc", &["-c:a", "pcm_s16le", "-f", "aiff"], 0.0, 0),
        ("fl32.aifc", &["-c:a", "pcm_f32be", "-f", "aiff"], 0.0, 0),
        ("s24.aiff", &["-c:a", "pcm_s24be"], 0.0, 0),
    ] {
        if !ffmpeg(&lab, &[&["-i", "in.wav"], options, &[name]].concat())
            || !ffmpeg(&lab, &["-i", name, "-c:a", "pcm_f32le", "decoded.wav"])
        {
            return;
        }
        let output = lab.ok(&[name, "-o", "out.wav", "-r", "0", "--depth", "float", "-f"]);
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
        let (expected, actual) = (floats(&lab.path("decoded.wav")), floats(&lab.path("out.wav")));
        // ffmpeg keeps the encoder's padding at the end.
        assert!(
            actual.len() <= expected.len() && expected.len() <= actual.len() + 2 * spare,
            "{name}: {} {}",
            actual.len(),
            expected.len()
        );
        let worst = expected.iter().zip(&actual).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{name}: off by {worst}");
    }
    // Each of Opus's modes, compared with libopus, which would clip loud input.
    for (name, rate, options) in [
        ("silk.opus", "8k", &["-ac", "1"][..]),
        ("hybrid.opus", "24k", &["-ac", "1", "-application", "voip"]),
        ("celt.opus", "96k", &["-ac", "2"]),
        ("narrow.opus", "16k", &["-ac", "2"]),
        ("five.opus", "300k", &["-ac", "6"]),
        ("opus.mka", "64k", &[]),
        ("opus.mp4", "64k", &[]),
    ] {
        if !ffmpeg(
            &lab,
            &[
                &["-i", "in.wav", "-c:a", "libopus", "-af", "volume=0.5", "-b:a", rate],
                options,
                &[name],
            ]
            .concat(),
        ) || !ffmpeg(&lab, &["-c:a", "libopus", "-i", name, "-c:a", "pcm_f32le", "decoded.wav"])
        {
            return;
        }
        lab.ok(&[name, "-o", "out.wav", "-r", "0", "--depth", "float", "-f"]);
        let (expected, actual) = (floats(&lab.path("decoded.wav")), floats(&lab.path("out.wav")));
        let channels = usize::from(spec_of(&lab.path("out.wav")).channels);
        assert!(
            expected.len().abs_diff(actual.len()) <= 960 * channels,
            "{name}: {} {}",
            actual.len(),
            expected.len()
        );
        let worst = expected.iter().zip(&actual).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{name}: off by {worst}");
    }
}

#[test]
fn lossless_and_lossy_formats_keep_length_and_place() {
    let lab = Lab::new();
    lab.wav("in.wav", int(44_100, 2, 16), 1.3);
    for (name, tolerance) in
        [("in.flac", 0.0), ("in.aiff", 0.0), ("in.mp3", 1e-3), ("in.ogg", 1e-3), ("rf.wav", 0.0)]
    {
        let mut args = vec!["-i", "in.wav"];
        if name == "rf.wav" {
            args.extend(["-rf64", "always"]);
        }
        args.push(name);
        if !ffmpeg(&lab, &args) || !ffmpeg(&lab, &["-i", name, "-c:a", "pcm_f32le", "decoded.wav"])
        {
            return;
        }
        lab.ok(&[name, "-o", "out.wav", "--reduction", "0", "--depth", "float", "-f"]);
        let (expected, actual) = (floats(&lab.path("decoded.wav")), floats(&lab.path("out.wav")));
        assert_eq!(expected.len(), actual.len(), "{name}");
        let worst = expected.iter().zip(&actual).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{name}: off by {worst}");
        lab.ok(&[name, "-o", "out.wav", "-f"]);
        let expected = if tolerance > 0.0 { float(44_100, 2) } else { int(44_100, 2, 16) };
        assert_eq!(spec_of(&lab.path("out.wav")), expected, "{name}");
    }
}

#[test]
fn mp3_without_a_length_in_its_header_is_read_to_its_end() {
    let lab = Lab::new();
    lab.wav("in.wav", int(44_100, 1, 16), 2.0);
    // With a variable bit rate, a length estimated from the file size is wrong.
    if ffmpeg(&lab, &["-i", "in.wav", "-q:a", "4", "-write_xing", "0", "in.mp3"])
        && ffmpeg(&lab, &["-i", "in.mp3", "-c:a", "pcm_f32le", "decoded.wav"])
    {
        lab.ok(&["in.mp3", "-o", "out.wav"]);
        let (expected, actual) = (floats(&lab.path("decoded.wav")), floats(&lab.path("out.wav")));
        assert!(actual.len() >= 2 * 44_100 && actual.len() >= expected.len());
    }
}

#[test]
fn chained_ogg_is_read_to_its_last_stream() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 1.0);
    for (codec, first, second, other) in [
        ("libvorbis", "a.ogg", "b.ogg", "c.ogg"),
        ("libopus", "a.opus", "b.opus", "c.opus"),
        ("flac", "a.oga", "b.oga", "c.oga"),
    ] {
        let make = |options: &[&str], name| {
            ffmpeg(
                &lab,
                &[&["-i", "in.wav", "-c:a", codec], options, &["-f", "ogg", name]].concat(),
            )
        };
        if !make(&["-t", "0.7"], first)
            || !make(&["-af", "volume=0.5"], second)
            || !make(&["-ac", "2"], other)
        {
            return;
        }
        let alone = |name: &str| {
            lab.ok(&[name, "-o", "out.wav", "-r", "0", "-f", "--depth", "float"]);
            floats(&lab.path("out.wav"))
        };
        let expected = [alone(first), alone(second)].concat();
        let read = |name| fs::read(lab.path(name)).expect("Ogg");
        fs::write(lab.path("two.ogg"), [read(first), read(second)].concat()).expect("file");
        let chained = alone("two.ogg");
        assert_eq!(chained.len(), expected.len(), "{codec}");
        let worst = chained.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{codec}: off by {worst}");
        // Also from a pipe.
        let piped = lab
            .pipe(&["-", "-o", "piped.wav", "-r", "0", "-f", "--depth", "float"], &read("two.ogg"));
        assert!(piped.status.success(), "{}", stderr(&piped));
        assert_eq!(floats(&lab.path("piped.wav")).len(), expected.len());
        fs::write(lab.path("two.ogg"), [read(first), read(other)].concat()).expect("file");
        lab.fails(
            &["two.ogg", "-o", "none.wav"],
            1,
            &["two.ogg", "1 ch to 48000 Hz, 2 ch", "split it"],
        );
        assert!(!lab.path("none.wav").exists());
    }
}

#[test]
fn tags_behind_flac_are_no_damage() {
    let lab = Lab::new();
    let expected = ints(&lab.wav("in.wav", int(48_000, 1, 16), 0.5));
    if !ffmpeg(&lab, &["-i", "in.wav", "in.flac"]) {
        return;
    }
    let flac = fs::read(lab.path("in.flac")).expect("FLAC");
    let mut id3 = b"TAG".to_vec();
    id3.resize(128, 0);
    let mut ape = b"APETAGEX\xd0\x07\0\0\x34\0\0\0\x01\0\0\0\0\0\0\xa0".to_vec();
    ape.resize(32, 0);
    ape.extend([1; 20]);
    let mut footer = ape[..32].to_vec();
    footer[23] = 0x80;
    ape.extend(footer);
    for tail in [&id3[..], &ape[..], &[&ape[..], &id3].concat()] {
        let bytes = [&flac[..], tail].concat();
        let (samples, said) = passed(&lab, "tagged.flac", &bytes);
        assert_eq!(samples, expected);
        assert!(!said.contains("warning"), "{said}");
    }
    let bytes = [&flac[..], &id3].concat();
    let piped = lab.pipe(&["-", "-o", "piped.wav", "-r", "0"], &bytes);
    assert!(piped.status.success(), "{}", stderr(&piped));
    assert_eq!(ints(&lab.path("piped.wav")), expected);
}

#[test]
fn damaged_places_become_silence_and_nothing_moves() {
    let lab = Lab::new();
    let input = lab.wav("in.wav", int(44_100, 1, 16), 4.0);
    if !ffmpeg(&lab, &["-i", "in.wav", "in.flac"]) {
        return;
    }
    let mut bytes = fs::read(lab.path("in.flac")).expect("FLAC");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x55);
    fs::write(lab.path("hurt.flac"), bytes).expect("file");
    let output = lab.ok(&["hurt.flac", "-o", "out.wav", "--reduction", "0", "--json"]);
    assert!(stderr(&output).contains("damaged sections"), "{}", stderr(&output));
    assert!(json_lines(&output)[0]["damaged_places"].as_u64() >= Some(1));
    let (before, after) = (ints(&input), ints(&lab.path("out.wav")));
    assert_eq!(before.len(), after.len());
    let quarter = before.len() / 4;
    assert_eq!(before[..quarter], after[..quarter]);
    assert_eq!(before[3 * quarter..], after[3 * quarter..]);
    let silent = after.iter().zip(&before).filter(|(a, b)| a != b).collect::<Vec<_>>();
    assert!(!silent.is_empty() && silent.iter().all(|(after, _)| **after == 0));
}

#[test]
fn codecs_it_does_not_know_are_named() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.5);
    let block = |code: u16| {
        let format = [&format(code, 1, 8000, 0, 65)[..], &[2, 0, 0x40, 1]].concat();
        riff(&[(b"fmt ", &format), (b"data", &[0xd0; 650])])
    };
    let mut speex = b"OggS\0\x02".to_vec();
    speex.resize(28, 0);
    speex.extend(b"Speex   1.2");
    speex.resize(200, 0);
    for (name, bytes, word) in [
        ("gsm.wav", block(0x31), "GSM 6.10"),
        ("odd.wav", block(0x1234), "0x1234"),
        ("wma.wav", block(0x161), "Windows Media"),
        ("a.spx", speex, "Speex"),
        ("a.wma", [&b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"[..], &[0; 99]].concat(), "Windows Media"),
        ("a.wv", [&b"wvpk"[..], &[0; 99]].concat(), "WavPack"),
        ("a.amr", [&b"#!AMR\n"[..], &[0; 99]].concat(), "AMR"),
    ] {
        fs::write(lab.path(name), bytes).expect("file");
        lab.fails(&[name], 1, &[name, word, "is not supported", "convert it to WAV"]);
    }
    for (name, options) in [
        ("a.ac3", &["-ar", "48000"][..]),
        ("he.wma", &["-c:a", "wmav2"]),
        ("b.wv", &["-c:a", "wavpack"]),
    ] {
        if ffmpeg(&lab, &[&["-i", "in.wav"], options, &[name]].concat()) {
            lab.fails(&[name], 1, &[name, "is not supported", "convert it to WAV"]);
        }
    }
}

#[test]
fn flac_comes_out_bit_for_bit() {
    let lab = Lab::new();
    for (rate, channels, bits, seconds) in [
        (48_000, 1, 16, 0.5),
        (44_100, 2, 24, 0.3),
        (192_000, 1, 24, 0.2),
        (11_025, 1, 8, 0.3),
        (16_000, 6, 16, 0.2),
        (48_000, 1, 16, 0.0001),
        (48_000, 2, 16, 4097.0 / 48_000.0),
    ] {
        let input = lab.wav("in.wav", int(rate, channels, bits), seconds);
        lab.ok(&["in.wav", "-o", "out.flac", "-r", "0", "-f"]);
        lab.ok(&["out.flac", "-o", "back.wav", "-r", "0", "-f"]);
        let what = format!("{rate} Hz, {channels} ch, {bits} bits, {seconds} s");
        assert_eq!(spec_of(&lab.path("back.wav")), spec_of(&input), "{what}");
        assert_eq!(ints(&lab.path("back.wav")), ints(&input), "{what}");
        // ffmpeg also checks FLAC's MD5 sum.
        ffmpeg(
            &lab,
            &["-xerror", "-err_detect", "crccheck+explode", "-i", "out.flac", "-f", "null", "-"],
        );
    }
    lab.wav("in.wav", float(48_000, 1), 0.3);
    let output = lab.ok(&["in.wav", "--output-format", "flac", "--json"]);
    assert_eq!(json_lines(&output)[0]["depth"], "24-bit");
    assert!(lab.path("in.clean.flac").exists());
    lab.wav("many.wav", int(16_000, 9, 16), 0.1);
    lab.fails(&["many.wav", "-o", "many.flac"], 1, &["9 channels", "FLAC has at most 8"]);
    for args in [
        &["in.wav", "-o", "a.flac", "--output-format", "wav"][..],
        &["in.wav", "-o", "a.b", "--output-format", "flac"],
    ] {
        lab.fails(args, 2, &["error:", "use a name"]);
    }
}
