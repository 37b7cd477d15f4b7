//! The sound of the results.
use hound::{SampleFormat, WavWriter};
use serde_json::Value;
use wisp_testing::Random;
use wisp_testing::signals::rms;

use crate::lab::*;

#[test]
fn reduction_0_gives_back_every_sample_in_every_format() {
    let lab = Lab::new();
    for (rate, channels) in [(48_000, 1), (44_100, 2), (11_025, 1), (16_000, 6)] {
        for spec in [
            int(rate, channels, 8),
            int(rate, channels, 16),
            int(rate, channels, 24),
            int(rate, channels, 32),
            float(rate, channels),
        ] {
            let input = lab.wav("in.wav", spec, 0.35);
            lab.ok(&["in.wav", "-o", "out.wav", "--reduction", "0", "--force", "-q"]);
            let output = lab.path("out.wav");
            assert_eq!(spec_of(&output), spec);
            if spec.sample_format == SampleFormat::Float {
                let (a, b) = (floats(&input), floats(&output));
                assert_eq!(a.len(), b.len());
                let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-6, "{spec:?}: off by {worst}");
                continue;
            }
            let (a, b) = (ints(&input), ints(&output));
            assert_eq!(a.len(), b.len(), "{spec:?}");
            // 32-bit integers pass through a 24-bit mantissa.
            let allowed = if spec.bits_per_sample == 32 { 512 } else { 0 };
            let worst = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(allowed), "{spec:?}: off by {worst:?}");
        }
    }
}

#[test]
fn noise_is_taken_out_and_the_parts_add_up() {
    let lab = Lab::new();
    let input = lab.path("noise.wav");
    let mut writer = WavWriter::create(&input, float(48_000, 2)).expect("WAV");
    for (left, right) in sound(96_000, 48_000, 3).iter().zip(sound(96_000, 48_000, 4)) {
        writer.write_sample(*left).expect("sample");
        writer.write_sample(right).expect("sample");
    }
    writer.finalize().expect("WAV");
    lab.ok(&["noise.wav"]);
    let output = lab.ok(&["noise.wav", "--removed", "--json"]);
    let [dry, voice, removed] =
        ["noise.wav", "noise.clean.wav", "noise.removed.wav"].map(|name| floats(&lab.path(name)));
    assert_eq!(dry.len(), voice.len());
    assert_eq!(dry.len(), removed.len());
    let worst = dry
        .iter()
        .zip(&voice)
        .zip(&removed)
        .map(|((d, v), r)| (d - v - r).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-5, "input = voice + removed, off by {worst}");
    assert!(rms(&removed) > 0.01 * rms(&dry), "something is removed");

    let lines = json_lines(&output);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let expected = 20.0 * (rms(&dry) / rms(&voice)).log10();
    let reduction = line["reduction_db"].as_f64().expect("number");
    assert!((reduction - expected).abs() < 0.05, "{reduction} dB, expected {expected}");
}

#[test]
fn noise_alone_is_much_quieter() {
    let lab = Lab::new();
    let mut writer = WavWriter::create(lab.path("hiss.wav"), int(48_000, 1, 16)).expect("WAV");
    let mut random = Random(1);
    for _ in 0..3 * 48_000 {
        writer.write_sample(random.below(4096) as i16 - 2048).expect("sample");
    }
    writer.finalize().expect("WAV");
    lab.ok(&["hiss.wav", "-r", "full", "-o", "full.wav"]);
    lab.ok(&["hiss.wav", "-o", "default.wav"]);
    lab.ok(&["hiss.wav", "-o", "limited.wav", "--reduction", "6 dB"]);
    lab.ok(&["hiss.wav", "-r", "full", "-o", "eager.wav", "--sensitivity", "12"]);
    lab.ok(&["hiss.wav", "-r", "full", "-o", "shy.wav", "--sensitivity", "-12 dB"]);
    lab.ok(&["hiss.wav", "-r", "full", "-o", "room.wav", "--ambience", "25 %"]);
    let level = |name: &str| {
        let samples: Vec<f32> = ints(&lab.path(name)).iter().map(|&x| x as f32).collect();
        20.0 * rms(&samples[48_000..]).max(1e-3).log10()
    };
    let (before, full, limited) = (level("hiss.wav"), level("full.wav"), level("limited.wav"));
    assert!(before - full > 40.0, "{before} dB became {full} dB");
    let usual = before - level("default.wav");
    assert!((usual - 24.0).abs() < 1.0, "by default, hiss falls by {usual} dB");
    let limited = before - limited;
    assert!((2.0..6.5).contains(&limited), "a limit of 6 dB took {limited} dB");
    let (eager, shy) = (level("eager.wav"), level("shy.wav"));
    assert!(eager + 2.0 < full && full + 2.0 < shy, "{eager}, {full} and {shy} dB");
    // Ambience 25 % is -12 dB, once the noise floor has settled.
    let room = before - level("room.wav");
    assert!((9.0..18.0).contains(&room), "a quarter of the hiss took {room} dB");
}

#[test]
fn silence_stays_exact_silence() {
    let lab = Lab::new();
    for (spec, silence) in
        [(int(44_100, 2, 16), 0), (int(44_100, 1, 8), 0), (int(48_000, 1, 24), 0)]
    {
        let mut writer = WavWriter::create(lab.path("in.wav"), spec).expect("WAV");
        for _ in 0..44_100 {
            writer.write_sample(silence).expect("sample");
        }
        writer.finalize().expect("WAV");
        let output = lab.ok(&["in.wav", "-o", "out.wav", "-f", "--json"]);
        assert!(ints(&lab.path("out.wav")).iter().all(|&sample| sample == silence));
        let line = &json_lines(&output)[0];
        assert_eq!((&line["peak_dbfs"], &line["reduction_db"]), (&Value::Null, &Value::Null));
    }
}

#[test]
fn a_result_at_another_rate_is_as_long_and_in_its_place() {
    let lab = Lab::new();
    let input = lab.path("tone.wav");
    let mut writer = WavWriter::create(&input, float(48_000, 2)).expect("WAV");
    let tone = |rate: f32, n: usize| (std::f32::consts::TAU * 440.0 * n as f32 / rate).sin();
    for n in 0..48_000 {
        writer.write_sample(0.5 * tone(48_000.0, n)).expect("sample");
        writer.write_sample(-0.25 * tone(48_000.0, n)).expect("sample");
    }
    writer.finalize().expect("WAV");
    for (rate, format) in [(44_100u32, "wav"), (16_000, "flac"), (96_000, "wav"), (44_056, "wav")] {
        let name = format!("out.{format}");
        let text = rate.to_string();
        lab.ok(&["tone.wav", "-o", &name, "--reduction", "0", "--rate", &text, "--force", "-q"]);
        // The program itself decodes the FLAC.
        lab.ok(&[&name, "-o", "back.wav", "--reduction", "0", "--depth", "float", "--force", "-q"]);
        let back = lab.path("back.wav");
        assert_eq!(spec_of(&back).sample_rate, rate);
        let samples = floats(&back);
        assert_eq!(samples.len(), 2 * rate as usize, "{rate} Hz");
        for n in rate as usize / 4..rate as usize * 3 / 4 {
            let (left, right) = (samples[2 * n], samples[2 * n + 1]);
            let expected = 0.5 * tone(rate as f32, n);
            assert!((left - expected).abs() < 2e-3, "{rate} Hz, sample {n}: {left}, {expected}");
            assert!((right + expected / 2.0).abs() < 2e-3, "{rate} Hz, sample {n}: {right}");
        }
    }
    lab.fails(&["tone.wav", "--rate", "7999"], 2, &["7999", "8000"]);
}

#[test]
fn what_exceeds_an_integer_format_is_clipped_and_said() {
    let lab = Lab::new();
    let mut writer = WavWriter::create(lab.path("hot.wav"), float(48_000, 1)).expect("WAV");
    for sample in sound(9_600, 48_000, 1) {
        writer.write_sample(4.0 * sample).expect("sample");
    }
    writer.finalize().expect("WAV");
    let output = lab.ok(&["hot.wav", "-o", "out.wav", "-r", "0", "--depth", "16", "--json"]);
    let line = &json_lines(&output)[0];
    assert!(line["clipped_samples"].as_u64() > Some(0));
    assert!(line["peak_dbfs"].as_f64() > Some(0.0));
    assert!(stderr(&output).contains("clipped"));
    assert_eq!(ints(&lab.path("out.wav")).iter().max(), Some(&32_767));
}
