//! More than two channels.
use std::fs;

use crate::lab::*;

#[test]
fn low_frequency_effects_pass_through_and_the_other_channels_do_not() {
    let lab = Lab::new();
    // The channels that come out unchanged, counted from 1.
    let passed = |input: &str, options: &[&str]| {
        let output = lab.ok(&[&[input, "-o", "out.wav", "-r", "full", "-f"], options].concat());
        let (before, after) = (ints(&lab.path(input)), ints(&lab.path("out.wav")));
        assert_eq!(before.len(), after.len(), "{input}");
        let channels = usize::from(spec_of(&lab.path("out.wav")).channels);
        let same = |i: &usize| channel(&before, channels, *i) == channel(&after, channels, *i);
        let passed: Vec<usize> = (0..channels).filter(same).map(|i| i + 1).collect();
        (passed, stderr(&output).contains("warning"))
    };
    for (channels, expected) in [(1, vec![]), (2, vec![]), (4, vec![4]), (6, vec![4]), (8, vec![4])]
    {
        // Their channel masks name the first positions; the fourth is LFE.
        let name = format!("{channels}.wav");
        lab.wav(&name, int(22_050, channels, 16), 0.6);
        assert_eq!(passed(&name, &[]), (expected, false), "{channels} channels");
        assert_eq!(passed(&name, &["--lfe", "none"]), (vec![], false), "{channels} channels");
        assert_eq!(passed(&name, &["--lfe", "1"]), (vec![1], false), "{channels} channels");
    }
    lab.fails(&["6.wav", "-o", "no.wav", "--lfe", "7"], 1, &["--lfe", "channel 7", "6 channels"]);
    lab.fails(&["6.wav", "-o", "no.wav", "--lfe", "0"], 2, &["--lfe", "none"]);

    // Quadraphonic has four channels but no LFE. Then files without a channel mask.
    let samples = fs::read(lab.path("6.wav")).expect("WAV");
    let samples = &samples[samples.len() - 22_050 * 12 / 2..];
    let mut quad = format(0xfffe, 4, 22_050, 16, 8);
    quad.extend([
        22, 0, 16, 0, 0x33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b,
        0x71,
    ]);
    fs::write(lab.path("quad.wav"), riff(&[(b"fmt ", &quad), (b"data", &samples[..8 * 16_000])]))
        .expect("file");
    assert_eq!(passed("quad.wav", &[]), (vec![], false));
    for (channels, expected) in [
        (3, (vec![], false)),
        (4, (vec![], false)),
        (6, (vec![4], true)),
        (7, (vec![4], true)),
        (8, (vec![4], true)),
        (9, (vec![], false)),
    ] {
        let name = format!("plain{channels}.wav");
        let format = format(1, channels, 22_050, 16, 2 * channels);
        let whole = samples.len() / usize::from(2 * channels) * usize::from(2 * channels);
        let file = riff(&[(b"fmt ", &format), (b"data", &samples[..whole])]);
        fs::write(lab.path(&name), file).expect("file");
        assert_eq!(passed(&name, &[]), expected, "{channels} channels without a mask");
        assert_eq!(
            passed(&name, &["--lfe", "none"]),
            (vec![], false),
            "{channels} channels without a mask"
        );
    }
    let said = stderr(&lab.ok(&["plain6.wav", "-o", "out.wav", "-f"]));
    assert!(
        said.contains("5.1") && said.contains("channel 4") && said.contains("--lfe none"),
        "{said}"
    );
}

#[test]
fn every_format_tells_where_low_frequency_effects_are() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 6, 16), 1.0);
    for (name, options, tolerance) in [
        ("a.flac", &[][..], 1e-6),
        ("a.caf", &["-c:a", "pcm_s16be"], 1e-6),
        ("a.w64", &[], 1e-6),
        ("a.mka", &["-c:a", "pcm_s16le"], 1e-6),
        ("b.mka", &["-c:a", "flac"], 1e-6),
        ("a.opus", &["-c:a", "libopus", "-mapping_family", "1"], 1e-3),
    ] {
        let encode = [&["-i", "in.wav"], options, &[name]].concat();
        if !ffmpeg(&lab, &encode)
            || !ffmpeg(&lab, &["-i", name, "-c:a", "pcm_f32le", "decoded.wav"])
        {
            return;
        }
        lab.ok(&[name, "-o", "out.wav", "-r", "full", "--depth", "float", "-f"]);
        let (before, after) = (floats(&lab.path("decoded.wav")), floats(&lab.path("out.wav")));
        for i in 0..6 {
            let (before, after) = (channel(&before, 6, i), channel(&after, 6, i));
            let apart = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!(apart <= tolerance, i == 3, "{name}, channel {}: {apart} apart", i + 1);
        }
    }
}
