//! The two qualities.
use std::path::Path;

use hound::WavWriter;
use wisp::{Controls, Engine, Model};
use wisp_testing::signals::rms;

use crate::lab::*;

/// What the library makes of a file: interleaved samples.
fn by_library(model: &Model, input: &Path) -> Vec<f32> {
    let (spec, samples) = (spec_of(input), floats(input));
    let count = usize::from(spec.channels);
    let mut planes: Vec<Vec<f32>> = (0..count).map(|c| channel(&samples, count, c)).collect();
    wisp::denoise(model, &Controls::default(), spec.sample_rate, &mut planes).expect("a recording");
    (0..planes[0].len()).flat_map(|n| planes.iter().map(move |plane| plane[n])).collect()
}

fn bits(samples: &[f32]) -> Vec<u32> {
    samples.iter().map(|x| x.to_bits()).collect()
}

/// A file that ends in silence, so that the end of the sound shows where it went.
fn take(lab: &Lab, name: &str, rate: u32, channels: u16) -> std::path::PathBuf {
    let path = lab.path(name);
    let frames = rate as usize;
    let planes: Vec<Vec<f32>> =
        (0..channels).map(|channel| sound(frames, rate, u64::from(channel) + 7)).collect();
    let mut writer = WavWriter::create(&path, float(rate, channels)).expect("WAV");
    for n in 0..frames {
        for plane in &planes {
            writer.write_sample(if n < frames * 4 / 5 { plane[n] } else { 0.0 }).expect("sample");
        }
    }
    writer.finalize().expect("WAV");
    path
}

#[test]
fn each_quality_is_that_of_the_library_to_the_bit() {
    let lab = Lab::new();
    for (rate, channels) in [(48_000, 2), (44_100, 1), (11_025, 2)] {
        let input = take(&lab, "in.wav", rate, channels);
        for (options, model, name) in [
            (&[][..], Model::studio(), "studio"),
            (&["--quality", "studio"], Model::studio(), "studio"),
            (&["--quality=live"], Model::live(), "live"),
        ] {
            let args = [&["in.wav", "-o", "out.wav", "--force", "--json"], options].concat();
            let line = &json_lines(&lab.ok(&args))[0];
            assert_eq!(line["quality"], name, "{line}");
            let engine = Engine::new(&model, rate, channels.into()).expect("an engine");
            assert_eq!(line["latency_samples"], engine.latency_samples(), "{line}");
            let expected = by_library(&model, &input);
            let same = bits(&floats(&lab.path("out.wav"))) == bits(&expected);
            assert!(same, "{options:?} at {rate} Hz");
        }
    }
}

#[test]
fn both_qualities_are_aligned_with_the_input_and_differ() {
    let lab = Lab::new();
    let input = floats(&take(&lab, "in.wav", 48_000, 1));
    let results = ["live", "studio"].map(|quality| {
        let run = |more: &[&str]| {
            let args = ["in.wav", "-o", "out.wav", "-f", "-q", "--quality", quality];
            lab.ok(&[&args, more].concat());
            floats(&lab.path("out.wav"))
        };
        // Nothing removed is the input, to the bit.
        assert!(bits(&run(&["-r", "0"])) == bits(&input), "{quality}");
        let result = run(&[]);
        assert_eq!(result.len(), input.len(), "{quality}");
        let product = |lag: usize| -> f64 {
            let late = result[lag..].iter().zip(&input);
            late.map(|(y, x)| f64::from(*y) * f64::from(*x)).sum()
        };
        let lag = (0..4_000).max_by(|&a, &b| product(a).total_cmp(&product(b)));
        assert_eq!(lag, Some(0), "{quality}");
        // Nor is it early: the sound ends where it ended.
        let end = input.len() * 4 / 5;
        assert!(rms(&result[end - 480..end]) > 10.0 * rms(&result[end + 480..]), "{quality}");
        result
    });
    assert!(bits(&results[0]) != bits(&results[1]));
}

#[test]
fn folders_and_streams_use_it_too() {
    let lab = Lab::new();
    let bytes = std::fs::read(lab.wav("a.wav", int(16_000, 1, 16), 0.5)).expect("WAV");
    lab.wav("b.wav", int(48_000, 2, 16), 0.3);
    let results = ["live", "studio"].map(|quality| {
        let args = ["a.wav", "b.wav", "--out-dir", quality, "--quality", quality, "--json"];
        let lines = json_lines(&lab.ok(&args));
        assert!(lines.len() == 2 && lines.iter().all(|line| line["quality"] == quality));
        let a = std::fs::read(lab.path(quality).join("a.wav")).expect("WAV");
        let piped = lab.pipe(&["-", "-o", "-", "-q", "--quality", quality], &bytes);
        // But for the size that a stream leaves open.
        assert!(piped.status.success() && piped.stdout[8..] == a[8..], "{quality}");
        a
    });
    assert!(results[0] != results[1]);
    let piped = lab.pipe(&["-", "-o", "-", "-q"], &bytes);
    assert!(piped.stdout[8..] == results[1][8..], "studio unless told");
}

#[test]
fn presets_and_channels_that_pass_are_the_same_in_both() {
    let lab = Lab::new();
    let input = floats(&take(&lab, "in.wav", 48_000, 6));
    for quality in ["live", "studio"] {
        let run = |more: &[&str]| {
            let args = ["in.wav", "-o", "out.wav", "-f", "-q", "--lfe=4", "--quality", quality];
            lab.ok(&[&args, more].concat());
            floats(&lab.path("out.wav"))
        };
        let preset = run(&["--preset", "Noisy room"]);
        assert!(bits(&channel(&preset, 6, 3)) == bits(&channel(&input, 6, 3)), "{quality}");
        let options = run(&["--reduction", "24", "--sensitivity", "6", "--ambience", "0"]);
        assert!(bits(&preset) == bits(&options), "{quality}");
    }
}

#[test]
fn own_weights_are_of_no_quality() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.5);
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/bundled/studio.safetensors");
    let output = lab.ok(&["in.wav", "-o", "own.wav", "--weights", weights, "--json"]);
    assert!(json_lines(&output)[0]["quality"].is_null());
    lab.ok(&["in.wav", "-o", "studio.wav"]);
    assert_eq!(ints(&lab.path("own.wav")), ints(&lab.path("studio.wav")));
    let summary = stderr(&lab.ok(&["in.wav", "-o", "b.wav", "--weights", weights]));
    assert!(summary.contains("16-bit, own weights, "), "{summary}");
}

#[test]
fn what_is_wrong_with_a_quality_is_said() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.1);
    let words = ["invalid value 'best' for '--quality <QUALITY>'", "live, studio"];
    lab.fails(&["in.wav", "--quality", "best"], 2, &words);
    let words = ["'--quality <QUALITY>' cannot be used with '--weights <FILE>'"];
    for quality in ["live", "studio"] {
        lab.fails(&["in.wav", "--quality", quality, "--weights", "w.safetensors"], 2, &words);
    }
}
