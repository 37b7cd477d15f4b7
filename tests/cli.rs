//! Drives the built `wisp` over files made here.
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use serde_json::Value;
use tempfile::TempDir;

/// An empty folder and the program that is run in it.
struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary folder") }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wisp"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        command
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.command(args).output().expect("wisp starts")
    }

    /// Runs to the end without an error.
    fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    /// Fails with this status, and all of these words in its messages.
    fn fails<S: AsRef<OsStr>>(&self, args: &[S], status: i32, words: &[&str]) {
        let output = self.run(args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{message}");
        for word in words {
            assert!(message.contains(word), "expected {word:?} in: {message}");
        }
        assert!(self.leftovers().is_empty(), "{:?}", self.leftovers());
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.dir.path())
            .expect("folder")
            .map(|entry| entry.expect("entry").path())
            .collect();
        files.sort();
        files
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        self.files().into_iter().filter(|path| path.to_string_lossy().ends_with(".part")).collect()
    }

    /// Writes `seconds` of [`sound`].
    fn wav(&self, name: &str, spec: WavSpec, seconds: f64) -> PathBuf {
        let path = self.path(name);
        let mut writer = WavWriter::create(&path, spec).expect("WAV");
        let frames = (seconds * f64::from(spec.sample_rate)) as usize;
        let planes: Vec<Vec<f32>> = (0..spec.channels)
            .map(|channel| sound(frames, spec.sample_rate, u32::from(channel) + 1))
            .collect();
        let scale = (1u64 << (spec.bits_per_sample - 1)) as f64;
        for i in 0..frames {
            for plane in &planes {
                match spec.sample_format {
                    SampleFormat::Float => writer.write_sample(plane[i]),
                    SampleFormat::Int => {
                        let full = (f64::from(plane[i]) * scale).round();
                        writer.write_sample(full.clamp(-scale, scale - 1.0) as i32)
                    }
                }
                .expect("sample");
            }
        }
        writer.finalize().expect("WAV");
        path
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A gliding voice-like tone in noise, peaking near full scale.
fn sound(frames: usize, rate: u32, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..frames)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let noise = state as f32 / u32::MAX as f32 - 0.5;
            let t = i as f32 / rate as f32;
            let phase = std::f32::consts::TAU * (140.0 * t + 20.0 * (3.0 * t).sin());
            let voice: f32 = (1..8).map(|k| (phase * k as f32).sin() / k as f32).sum();
            0.45 * voice * (2.0 * t).sin().abs() + 0.1 * noise
        })
        .collect()
}

fn int(rate: u32, channels: u16, bits: u16) -> WavSpec {
    WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int }
}

fn float(rate: u32, channels: u16) -> WavSpec {
    WavSpec { bits_per_sample: 32, sample_format: SampleFormat::Float, ..int(rate, channels, 32) }
}

fn spec_of(path: &Path) -> WavSpec {
    WavReader::open(path).expect("WAV").spec()
}

fn ints(path: &Path) -> Vec<i32> {
    let mut reader = WavReader::open(path).expect("WAV");
    reader.samples::<i32>().map(|sample| sample.expect("sample")).collect()
}

fn floats(path: &Path) -> Vec<f32> {
    let mut reader = WavReader::open(path).expect("WAV");
    reader.samples::<f32>().map(|sample| sample.expect("sample")).collect()
}

fn rms(x: &[f32]) -> f64 {
    (x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
}

fn json_lines(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone())
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Runs a converter, or says what is skipped without it.
fn ffmpeg(lab: &Lab, args: &[&str]) -> bool {
    let run = Command::new("ffmpeg")
        .current_dir(lab.dir.path())
        .args(["-nostdin", "-v", "error", "-y"])
        .args(args)
        .status();
    match run {
        Ok(status) => {
            assert!(status.success(), "ffmpeg {args:?}");
            true
        }
        Err(_) => {
            eprintln!("skipped without ffmpeg: {args:?}");
            false
        }
    }
}

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
            // 32-bit integers pass through 24 bits of mantissa.
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
    let mut state = 1u32;
    for _ in 0..3 * 48_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writer.write_sample((state >> 20) as i16 - 2048).expect("sample");
    }
    writer.finalize().expect("WAV");
    lab.ok(&["hiss.wav", "-o", "full.wav"]);
    lab.ok(&["hiss.wav", "-o", "limited.wav", "--reduction", "6 dB"]);
    lab.ok(&["hiss.wav", "-o", "eager.wav", "--sensitivity", "12"]);
    lab.ok(&["hiss.wav", "-o", "shy.wav", "--sensitivity", "-12 dB"]);
    lab.ok(&["hiss.wav", "-o", "room.wav", "--ambience", "25 %"]);
    let level = |name: &str| {
        let samples: Vec<f32> = ints(&lab.path(name)).iter().map(|&x| x as f32).collect();
        20.0 * rms(&samples[48_000..]).max(1e-3).log10()
    };
    let (before, full, limited) = (level("hiss.wav"), level("full.wav"), level("limited.wav"));
    assert!(before - full > 10.0, "{before} dB became {full} dB");
    let limited = before - limited;
    assert!((2.0..6.5).contains(&limited), "a limit of 6 dB took {limited} dB");
    let (eager, shy) = (level("eager.wav"), level("shy.wav"));
    assert!(eager + 2.0 < full && full + 2.0 < shy, "{eager}, {full} and {shy} dB");
    // A quarter is 12 dB down, once the floor is known.
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
    // A variable bit rate makes a length guessed from the size wrong.
    if ffmpeg(&lab, &["-i", "in.wav", "-q:a", "4", "-write_xing", "0", "in.mp3"])
        && ffmpeg(&lab, &["-i", "in.mp3", "-c:a", "pcm_f32le", "decoded.wav"])
    {
        lab.ok(&["in.mp3", "-o", "out.wav"]);
        let (expected, actual) = (floats(&lab.path("decoded.wav")), floats(&lab.path("out.wav")));
        assert!(actual.len() >= 2 * 44_100 && actual.len() >= expected.len());
    }
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
    assert!(stderr(&output).contains("damaged places"), "{}", stderr(&output));
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
    if ffmpeg(&lab, &["-i", "in.wav", "-c:a", "libopus", "in.opus"]) {
        lab.fails(&["in.opus"], 1, &["in.opus", "Opus is not supported", "WAV"]);
    }
}

/// The header of `in.wav` by hand: its length as given, the rest as plain 16-bit mono.
fn wav_bytes(lab: &Lab, data_size: u32) -> Vec<u8> {
    let mut bytes = fs::read(lab.wav("in.wav", int(48_000, 1, 16), 0.5)).expect("WAV");
    bytes[4..8].copy_from_slice(&data_size.saturating_add(36).to_le_bytes());
    bytes[40..44].copy_from_slice(&data_size.to_le_bytes());
    bytes
}

#[test]
fn streamed_wav_of_unknown_length_is_read_to_its_end() {
    let lab = Lab::new();
    for size in [u32::MAX, 0x7fff_f000] {
        fs::write(lab.path("stream.wav"), wav_bytes(&lab, size)).expect("file");
        lab.ok(&["stream.wav", "-o", "out.wav", "-r", "0", "-f"]);
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
fn what_is_wrong_is_said() {
    let lab = Lab::new();
    let good = fs::read(lab.wav("in.wav", int(48_000, 1, 16), 1.0)).expect("WAV");
    lab.fails(&["missing.wav"], 1, &["missing.wav", "cannot read"]);
    fs::write(lab.path("empty.wav"), []).expect("file");
    lab.fails(&["empty.wav"], 1, &["empty.wav", "is empty"]);
    fs::write(lab.path("text.wav"), "no audio here, only words\n".repeat(99)).expect("file");
    lab.fails(&["text.wav"], 1, &["text.wav", "not audio"]);
    fs::write(lab.path("short.wav"), &good[..good.len() / 2]).expect("file");
    lab.fails(&["short.wav"], 1, &["short.wav", "truncated", "0.5", "expected 1.000 s"]);
    fs::write(lab.path("header.wav"), &good[..30]).expect("file");
    lab.fails(&["header.wav"], 1, &["header.wav", "truncated"]);
    fs::write(lab.path("nothing.wav"), wav_bytes(&lab, 0)).expect("file");
    lab.fails(&["nothing.wav"], 1, &["nothing.wav", "no audio"]);
    fs::create_dir(lab.path("folder.wav")).expect("folder");
    lab.fails(&["folder.wav"], 1, &["folder.wav", "is a folder"]);
    for rate in [7_999, 384_001] {
        lab.wav("rate.wav", int(rate, 1, 16), 0.1);
        lab.fails(&["rate.wav"], 1, &["rate.wav", &rate.to_string(), "8000", "384000"]);
    }
    lab.fails(&["in.wav", "-o", "nowhere/out.wav"], 1, &["cannot write", "nowhere"]);
    lab.fails(&["in.wav", "--weights", "text.wav"], 1, &["weights text.wav"]);
}

#[test]
fn wrong_usage_ends_with_status_2_before_any_work() {
    let lab = Lab::new();
    lab.wav("a.wav", int(48_000, 1, 16), 0.1);
    lab.wav("b.wav", int(48_000, 1, 16), 0.1);
    let before = lab.files();
    for args in [
        &[][..],
        &["a.wav", "b.wav", "-o", "c.wav"],
        &["a.wav", "-o", "c.wav", "--out-dir", "d"],
        &["a.wav", "-o", "c.mp3"],
        &["a.wav", "--reduction", "-3"],
        &["a.wav", "--reduction", "lots"],
        &["a.wav", "--sensitivity", "13"],
        &["a.wav", "--ambience", "101"],
        &["a.wav", "--jobs", "0"],
        &["a.wav", "./a.wav", "--out-dir", "d"],
        &["a.wav", "--unknown"],
    ] {
        lab.fails(args, 2, &["error:"]);
        assert_eq!(lab.files(), before, "{args:?}");
    }
}

#[test]
fn results_are_overwritten_only_when_told() {
    let lab = Lab::new();
    let input = lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    fs::write(lab.path("out.wav"), "precious").expect("file");
    lab.fails(&["in.wav", "-o", "out.wav"], 1, &["out.wav", "exists already", "--force"]);
    assert_eq!(fs::read(lab.path("out.wav")).expect("file"), b"precious");
    lab.ok(&["in.wav", "-o", "out.wav", "--force"]);
    assert_eq!(ints(&lab.path("out.wav")).len(), ints(&input).len());

    let before = fs::read(&input).expect("WAV");
    lab.fails(&["in.wav", "-o", "in.wav", "--force"], 1, &["is the input itself"]);
    lab.fails(&["in.wav", "--out-dir", ".", "--force"], 1, &["is the input itself"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("in.wav", lab.path("link.wav")).expect("link");
        lab.fails(&["in.wav", "-o", "link.wav", "--force"], 1, &["is the input itself"]);
        fs::hard_link(&input, lab.path("hard.wav")).expect("link");
        lab.fails(&["in.wav", "-o", "hard.wav", "--force"], 1, &["is the input itself"]);
        std::os::unix::fs::symlink("nowhere.wav", lab.path("dangling.wav")).expect("link");
        lab.fails(&["in.wav", "-o", "dangling.wav"], 1, &["exists already"]);
        // A link to another file stays a link; the file behind it is replaced.
        std::os::unix::fs::symlink("out.wav", lab.path("alias.wav")).expect("link");
        fs::write(lab.path("out.wav"), "old").expect("file");
        lab.ok(&["in.wav", "-o", "alias.wav", "--force"]);
        assert!(lab.path("alias.wav").is_symlink());
        assert_eq!(ints(&lab.path("out.wav")).len(), ints(&input).len());
    }
    assert_eq!(fs::read(&input).expect("WAV"), before);
}

#[test]
fn one_broken_file_does_not_stop_the_others() {
    let lab = Lab::new();
    let mut names = Vec::new();
    for i in 0..12 {
        let name = format!("{i:02}.wav");
        lab.wav(&name, int(16_000, 1 + i % 2, 16), 0.2);
        if i % 4 == 3 {
            fs::write(lab.path(&name), "broken").expect("file");
        }
        names.push(name);
    }
    names.push("absent.wav".into());
    let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
    args.extend(["--out-dir", "clean/deep", "--jobs", "3", "--json"]);
    let output = lab.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));

    let lines = json_lines(&output);
    assert_eq!(lines.len(), 13);
    for line in &lines {
        let input = line["input"].as_str().expect("path");
        let result = lab.path("clean/deep").join(input);
        let broken = ["03.wav", "07.wav", "11.wav", "absent.wav"].contains(&input);
        assert_eq!(line["error"].is_string(), broken, "{line}");
        assert_eq!(result.exists(), !broken, "{line}");
        if broken {
            assert!(stderr(&output).contains(input));
            continue;
        }
        assert_eq!(line["output"].as_str().map(|path| lab.path(path)), Some(result));
        assert_eq!(line["sample_rate"], 16_000);
        assert_eq!(line["seconds"], 0.2);
        assert_eq!(line["depth"], "16-bit");
        assert_eq!(line["clipped_samples"], 0);
        for key in ["channels", "latency_samples", "real_time_factor", "reduction_db", "peak_dbfs"]
        {
            assert!(line[key].is_number(), "{key}: {line}");
        }
    }
    // Together or one after the other makes no difference.
    let mut args: Vec<&str> = names.iter().map(String::as_str).collect();
    args.extend(["--out-dir", "alone", "--jobs", "1", "-q"]);
    lab.run(&args);
    for name in ["00.wav", "05.wav", "10.wav"] {
        let [a, b] =
            ["clean/deep", "alone"].map(|dir| fs::read(lab.path(dir).join(name)).expect("WAV"));
        assert_eq!(a, b, "{name}");
    }
}

#[test]
fn a_thousand_files_of_which_a_hundred_are_broken() {
    let lab = Lab::new();
    let good = fs::read(lab.wav("good.wav", int(8_000, 1, 8), 0.05)).expect("WAV");
    let mut args: Vec<String> =
        ["--out-dir", "clean", "-j", "4", "--json"].map(str::to_owned).into();
    for i in 0..1000 {
        let name = format!("take {i:03}.wav");
        let mut bytes = good.clone();
        if i % 10 == 7 {
            match i / 10 % 5 {
                0 => bytes.truncate(20 + i / 20),
                1 => bytes = b"no sound".repeat(9),
                2 => bytes.clear(),
                3 => bytes[20..24].fill(0xff),
                _ => bytes[22..24].copy_from_slice(&[0xff, 0xff]),
            }
        }
        fs::write(lab.path(&name), bytes).expect("file");
        args.push(name);
    }
    let output = lab.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 1000);
    assert_eq!(lines.iter().filter(|line| line["error"].is_string()).count(), 100);
    let results: Vec<_> = fs::read_dir(lab.path("clean"))
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .collect();
    assert_eq!(results.len(), 900, "no half files");
    assert!(results.iter().all(|path| ints(path).len() == 400));
    assert_eq!(stderr(&output).lines().count(), 100, "{}", stderr(&output));
}

#[test]
fn quiet_is_quiet_and_json_alone_is_on_standard_output() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    let quiet = lab.ok(&["in.wav", "-o", "a.wav", "--quiet"]);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", stderr(&quiet));
    let plain = lab.ok(&["in.wav", "-o", "b.wav"]);
    assert!(plain.stdout.is_empty());
    assert!(stderr(&plain).contains("in.wav -> b.wav: 0.2 s, 48000 Hz, 1 ch, 16-bit"));
    let json = lab.ok(&["in.wav", "-o", "c.wav", "--json"]);
    assert!(json.stderr.is_empty(), "{}", stderr(&json));
    assert_eq!(json_lines(&json).len(), 1);
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

#[test]
fn names_with_spaces_and_dots_are_taken_as_they_are() {
    let lab = Lab::new();
    lab.wav("a take, no. 2 .final.wav", int(48_000, 1, 16), 0.1);
    lab.wav("-dash.wav", int(48_000, 1, 16), 0.1);
    lab.ok(&["a take, no. 2 .final.wav"]);
    assert!(lab.path("a take, no. 2 .final.clean.wav").exists());
    lab.ok(&["--", "-dash.wav"]);
    assert!(lab.path("-dash.clean.wav").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let lab = Lab::new();
    let input = lab.wav("in.wav", int(48_000, 1, 16), 0.1);
    let name = OsStr::from_bytes(b"caf\xe9.wav");
    fs::rename(input, lab.path(name)).expect("rename");
    let output = lab.ok(&[name, OsStr::new("--json")]);
    assert!(lab.path(OsStr::from_bytes(b"caf\xe9.clean.wav")).exists());
    assert_eq!(json_lines(&output)[0]["input"], "caf\u{fffd}.wav");
}

#[cfg(unix)]
#[test]
fn results_have_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.1);
    fs::write(lab.path("any"), "").expect("file");
    lab.ok(&["in.wav", "-o", "out.wav"]);
    let mode = |name: &str| fs::metadata(lab.path(name)).expect("file").permissions().mode();
    assert_eq!(mode("out.wav"), mode("any"));
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 2.0);
    let before = lab.files();
    // A limit on the size of files fails writes as a full disk does.
    let output = Command::new("sh")
        .current_dir(lab.dir.path())
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" in.wav -o out.wav"])
        .arg(env!("CARGO_BIN_EXE_wisp"))
        .output()
        .expect("sh");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    assert_eq!(lab.files(), before);
}

/// A file system with no room left, or a user without rights, fail where the file is made.
#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_be_made_nothing_is_lost() {
    let lab = Lab::new();
    let input = lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    // Folders in which not even root can make a file.
    for folder in ["/proc", "/sys"] {
        let output = format!("{folder}/out.wav");
        lab.fails(&["in.wav", "-o", &output], 1, &["cannot write", &output]);
    }
    lab.fails(&["in.wav", "--out-dir", "/proc/wisp"], 1, &["cannot make the folder", "/proc/wisp"]);
    fs::write(lab.path("file"), "").expect("file");
    lab.fails(&["in.wav", "--out-dir", "file"], 1, &["cannot make the folder", "file"]);
    lab.fails(&["in.wav", "-o", "file/out.wav"], 1, &["cannot write", "file/out.wav"]);
    assert!(input.exists());
}

/// A pipe would be waited for, and a device, behind a link, replaced by a file.
#[cfg(unix)]
#[test]
fn pipes_devices_and_folders_are_let_be() {
    use std::os::unix::fs::FileTypeExt;
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    let made = Command::new("mkfifo").arg(lab.path("pipe.wav")).status().expect("mkfifo");
    assert!(made.success());
    fs::create_dir(lab.path("folder.wav")).expect("folder");
    std::os::unix::fs::symlink("pipe.wav", lab.path("link.wav")).expect("link");
    lab.fails(&["/dev/null"], 1, &["/dev/null", "a pipe or a device"]);
    lab.fails(&["pipe.wav"], 1, &["pipe.wav", "a pipe or a device"]);
    for output in ["pipe.wav", "link.wav", "folder.wav"] {
        let words = ["output", "is a folder, a pipe or a device"];
        lab.fails(&["in.wav", "-o", output, "--force"], 1, &words);
    }
    assert!(fs::metadata(lab.path("pipe.wav")).expect("pipe").file_type().is_fifo());
    assert!(lab.path("link.wav").is_symlink() && lab.path("folder.wav").is_dir());
}

/// Rights that are taken away: root has them still, so it is another user who tries.
#[cfg(unix)]
#[test]
fn without_permission_the_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let secret = lab.wav("secret.wav", int(48_000, 1, 16), 0.2);
    lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    fs::create_dir(lab.path("closed")).expect("folder");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    };
    mode(&secret, 0o000);
    mode(&lab.path("closed"), 0o555);
    mode(lab.dir.path(), 0o777);
    let me = Command::new("id").arg("-u").output().expect("id");
    let root = me.stdout.trim_ascii() == b"0";
    let run = |args: &[&str]| {
        let mut command = lab.command(args);
        if root {
            // "nobody", who must be able to start the program, wherever it lies.
            use std::os::unix::process::CommandExt;
            let program = lab.path("wisp");
            if !program.exists() {
                fs::copy(env!("CARGO_BIN_EXE_wisp"), &program).expect("a copy");
            }
            command = Command::new(program);
            command.current_dir(lab.dir.path()).args(args).stdin(Stdio::null()).uid(65_534);
        }
        command.output().expect("wisp starts")
    };
    for (args, words) in [
        (["secret.wav", "-o", "out.wav"], ["secret.wav", "cannot read", "denied"]),
        (["in.wav", "-o", "closed/out.wav"], ["in.wav", "cannot write closed/out.wav", "denied"]),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        for word in words {
            assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
        }
    }
    assert!(!lab.path("out.wav").exists() && lab.leftovers().is_empty());
    mode(&lab.path("closed"), 0o755);
}

/// Hours of audio take no more memory than seconds do.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_length() {
    let lab = Lab::new();
    // Ten minutes of silence that takes no room on the disk.
    let long = lab.wav("long.wav", int(16_000, 1, 16), 0.0);
    let size: u32 = 600 * 16_000 * 2;
    let mut bytes = fs::read(&long).expect("WAV");
    bytes[4..8].copy_from_slice(&(size + 36).to_le_bytes());
    bytes[40..44].copy_from_slice(&size.to_le_bytes());
    fs::write(&long, bytes).expect("file");
    let file = fs::OpenOptions::new().write(true).open(&long).expect("file");
    file.set_len(u64::from(size) + 44).expect("length");
    lab.wav("short.wav", int(16_000, 1, 16), 1.0);

    let peak = |name: &str| -> u64 {
        let mut child = lab.command(&[name, "--force", "-q", "-j", "1"]).spawn().expect("wisp");
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().expect("status").is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(child.wait().expect("status").success());
        peak
    };
    let (short, long) = (peak("short.wav"), peak("long.wav"));
    assert!(
        long > 0 && long < short + 4096,
        "{short} KiB for a second, {long} KiB for ten minutes"
    );
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
    // More channels than anybody has microphones; each would be an engine.
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

#[cfg(unix)]
#[test]
fn interrupted_it_leaves_no_half_file() {
    use std::time::{Duration, Instant};
    let lab = Lab::new();
    // An hour, to be caught in the middle on any machine.
    let second: Vec<u8> =
        sound(8_000, 8_000, 1).iter().map(|x| (128.0 + 100.0 * x) as u8).collect();
    let size = 3_600 * second.len() as u32;
    let mut bytes = fs::read(lab.wav("long.wav", int(8_000, 1, 8), 0.0)).expect("WAV");
    bytes[4..8].copy_from_slice(&(size + 36).to_le_bytes());
    bytes[40..44].copy_from_slice(&size.to_le_bytes());
    bytes.extend(second.repeat(3_600));
    fs::write(lab.path("long.wav"), bytes).expect("file");
    fs::write(lab.path("old.wav"), "old").expect("file");
    for (signal, output) in [("-INT", "new.wav"), ("-TERM", "old.wav")] {
        let mut child = lab
            .command(&["long.wav", "-o", output, "--force"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("wisp starts");
        let patience = Instant::now();
        while lab.leftovers().is_empty() && patience.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(lab.leftovers().len(), 1, "it is at work");
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
        let status = child.wait().expect("status");
        assert_eq!(status.code(), Some(130), "{signal}");
        assert!(lab.leftovers().is_empty(), "{:?}", lab.files());
    }
    assert!(!lab.path("new.wav").exists());
    assert_eq!(fs::read(lab.path("old.wav")).expect("file"), b"old");
}
