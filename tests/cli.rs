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

    /// Runs with these bytes on standard input.
    fn pipe<S: AsRef<OsStr>>(&self, args: &[S], bytes: &[u8]) -> Output {
        use std::io::Write;
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("wisp starts");
        let mut into = child.stdin.take().expect("standard input");
        let bytes = bytes.to_vec();
        // It may end before it has read all.
        let writer = std::thread::spawn(move || drop(into.write_all(&bytes)));
        let output = child.wait_with_output().expect("wisp ends");
        writer.join().expect("the writer");
        output
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
        // FLAC through the program itself, which reads it.
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
    assert!((usual - 24.0).abs() < 1.0, "as it comes, hiss falls by {usual} dB");
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

fn format(code: u16, channels: u16, rate: u32, bits: u16, block: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(code.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes
}

/// Chunks with their heads and padding.
fn chunks(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, data) in chunks {
        bytes.extend(*id);
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(*data);
        bytes.extend(vec![0; data.len() % 2]);
    }
    bytes
}

fn riff(parts: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let body = [b"WAVE".to_vec(), chunks(parts)].concat();
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// The chunks of a WAV file, in their order.
fn chunks_of(path: &Path) -> Vec<([u8; 4], Vec<u8>)> {
    let bytes = fs::read(path).expect("WAV");
    assert_eq!(&bytes[8..12], b"WAVE");
    assert_eq!(bytes.len() as u32 - 8, u32::from_le_bytes(bytes[4..8].try_into().expect("size")));
    let (mut at, mut found) = (12, Vec::new());
    while at + 8 <= bytes.len() {
        let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("size")) as usize;
        let id = bytes[at..at + 4].try_into().expect("id");
        found.push((id, bytes[at + 8..at + 8 + size].to_vec()));
        at += 8 + size + size % 2;
    }
    found
}

/// Half a second of 16 bits, mono, 48 kHz, as bytes.
fn speech(lab: &Lab) -> Vec<u8> {
    fs::read(lab.wav("in.wav", int(48_000, 1, 16), 0.5)).expect("WAV")[44..].to_vec()
}

/// Cleans without reduction, and gives what came out beside the messages.
fn passed(lab: &Lab, name: &str, bytes: &[u8]) -> (Vec<i32>, String) {
    fs::write(lab.path(name), bytes).expect("file");
    let output = lab.ok(&[name, "-o", "out.wav", "-r", "0", "-f"]);
    (ints(&lab.path("out.wav")), stderr(&output))
}

#[test]
fn wrong_sizes_in_headers_hide_no_sound() {
    let lab = Lab::new();
    let data = speech(&lab);
    let expected = ints(&lab.path("in.wav"));
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
    // An odd chunk without the byte that makes it even.
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
    let data = speech(&lab);
    let expected = ints(&lab.path("in.wav"));
    let form = format(1, 1, 48_000, 16, 2);
    let plain = riff(&[(b"fmt ", &form), (b"data", &data)]);
    let apple =
        riff(&[(b"JUNK", &[0; 28]), (b"fmt ", &form), (b"FLLR", &[0; 4008]), (b"data", &data)]);
    let half = data.len() as u32 / 2;
    for (bytes, riff_size, data_size, words) in [
        (&plain, 0, 0, ["unfinished", "24000"]),
        (&plain, 36, 0, ["unfinished", "24000"]),
        (&apple, 4088, 0, ["unfinished", "24000"]),
        // The last time that the header was written is a while ago; a size that lost its highest bits looks the same.
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
    // Chunks behind an empty sound are no sound.
    let empty = riff(&[(b"fmt ", &form), (b"data", &[]), (b"LIST", b"INFOINAM\x02\0\0\0a\0")]);
    fs::write(lab.path("empty.wav"), empty).expect("file");
    lab.fails(&["empty.wav"], 1, &["empty.wav", "no audio"]);
}

#[test]
fn cut_files_keep_what_is_there_and_say_how_much() {
    let lab = Lab::new();
    let data = speech(&lab);
    let expected = ints(&lab.path("in.wav"));
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
        // A bit stream may end between two packets; what has a length must miss the rest.
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
    // 24 bits in 4 bytes, and a block size that is wrong.
    let wide: Vec<u8> = data.chunks(3).flat_map(|x| [0, x[0], x[1], x[2]]).collect();
    let form = format(1, 1, 48_000, 24, 4);
    let (samples, _) = passed(&lab, "odd.wav", &riff(&[(b"fmt ", &form), (b"data", &wide)]));
    assert_eq!(samples, expected);
    let data = speech(&lab);
    let form = format(1, 1, 48_000, 16, 16);
    let (samples, _) = passed(&lab, "odd.wav", &riff(&[(b"fmt ", &form), (b"data", &data)]));
    assert_eq!(samples, ints(&lab.path("in.wav")));
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
        // From a pipe too.
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

/// The parts of a Broadcast WAV file.
fn bext(time: u64) -> Vec<u8> {
    let mut bytes = b"SCENE=12A".to_vec();
    bytes.resize(338, 0);
    bytes.extend(time.to_le_bytes());
    bytes.resize(602, 0);
    bytes.extend(b"A=PCM,F=48000\r\n");
    bytes
}

#[test]
fn chunks_stay_as_they_are_and_in_their_order() {
    let lab = Lab::new();
    let data = speech(&lab);
    let (form, bext) = (format(1, 1, 48_000, 16, 2), bext(171_050_880));
    let cue = [
        &1u32.to_le_bytes()[..],
        &7u32.to_le_bytes(),
        &4800u32.to_le_bytes(),
        b"data",
        &[0; 8],
        &4800u32.to_le_bytes(),
    ]
    .concat();
    let before: [(&[u8; 4], &[u8]); 2] =
        [(b"bext", &bext), (b"iXML", b"<BWFXML><SCENE>12A</SCENE></BWFXML>")];
    let between: [(&[u8; 4], &[u8]); 1] = [(b"own ", b"anything")];
    let behind: [(&[u8; 4], &[u8]); 5] = [
        (b"cue ", &cue),
        (b"LIST", b"adtllabl\x0a\0\0\0\x07\0\0\0start\0"),
        (b"LIST", b"INFOINAM\x06\0\0\0Take3\0"),
        (b"id3 ", b"ID3\x03\0\0\0\0\0\0"),
        (b"odd!", b"abc"),
    ];
    let sound: [(&[u8; 4], &[u8]); 1] = [(b"data", &data)];
    let format: [(&[u8; 4], &[u8]); 1] = [(b"fmt ", &form)];
    let junk: [(&[u8; 4], &[u8]); 1] = [(b"JUNK", &[0; 28])];
    let all = [&junk[..], &before, &format, &between, &sound, &behind].concat();
    let bytes = riff(&all);
    fs::write(lab.path("field.wav"), &bytes).expect("file");
    let kept = |name: &str, without: &[&[u8; 4]]| {
        let kept = chunks_of(&lab.path(name));
        let expected: Vec<_> =
            all.iter().filter(|(id, _)| **id != *b"JUNK" && !without.contains(id)).collect();
        let ids = |found: &[&[u8; 4]]| {
            found.iter().map(|id| String::from_utf8_lossy(*id).into_owned()).collect::<Vec<_>>()
        };
        let found: Vec<_> = kept
            .iter()
            .filter(|(id, _)| id != b"JUNK" && id != b"fact" && !without.contains(&id))
            .collect();
        assert_eq!(
            ids(&found.iter().map(|(id, _)| id).collect::<Vec<_>>()),
            ids(&expected.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
            "{name}"
        );
        for ((id, data), (_, original)) in found.iter().zip(expected) {
            assert!(id == b"data" || id == b"fmt " || data == original, "{name}: {id:?}");
        }
    };
    let output = lab.ok(&["field.wav"]);
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    kept("field.clean.wav", &[]);
    // Another depth, a pipe, FLAC and back: the same.
    lab.ok(&["field.wav", "-o", "float.wav", "--depth", "float"]);
    kept("float.wav", &[]);
    let piped = lab.pipe(&["-", "-o", "piped.wav"], &bytes);
    assert!(piped.status.success(), "{}", stderr(&piped));
    kept("piped.wav", &[]);
    lab.ok(&["field.wav", "-o", "field.flac"]);
    lab.ok(&["field.flac", "-o", "back.wav"]);
    kept("back.wav", &[]);
    // What is of the old samples is left out, and said.
    let mut stale = all.clone();
    stale.insert(3, (b"PEAK", &[1; 16]));
    fs::write(lab.path("stale.wav"), riff(&stale)).expect("file");
    let output = lab.ok(&["stale.wav"]);
    assert!(stderr(&output).contains("PEAK chunk"), "{}", stderr(&output));
    kept("stale.clean.wav", &[]);
    // A stream that tells its length has room behind it.
    let piped = lab.pipe(&["-", "-o", "-", "-q"], &bytes);
    let at = piped.stdout.windows(4).position(|id| id == b"cue ").expect("chunks behind");
    assert_eq!(piped.stdout[at..], chunks(&behind));
}

#[test]
fn other_containers_hand_on_time_and_title() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.3);
    let tags = [
        "-metadata",
        "title=Take 3",
        "-metadata",
        "artist=Ann",
        "-metadata",
        "time_reference=171050880",
    ];
    for name in ["a.flac", "a.ogg", "a.opus", "a.mp3", "a.m4a"] {
        if !ffmpeg(&lab, &[&["-i", "in.wav"], &tags[..], &[name]].concat()) {
            return;
        }
        lab.ok(&[name, "-o", "out.wav", "-f"]);
        let found = chunks_of(&lab.path("out.wav"));
        let list = found.iter().find(|(id, _)| id == b"LIST").map(|(_, data)| data.as_slice());
        let text = String::from_utf8_lossy(list.unwrap_or_default()).into_owned();
        assert!(
            text.contains("INAM") && text.contains("Take 3") && text.contains("Ann"),
            "{name}: {text}"
        );
        // MPEG-4 has no tag for the time.
        if name != "a.m4a" {
            let bext = found.iter().find(|(id, _)| id == b"bext").map(|(_, data)| data.as_slice());
            assert_eq!(
                bext.map(|bext| &bext[338..346]),
                Some(&171_050_880u64.to_le_bytes()[..]),
                "{name}"
            );
        }
    }
    // And FLAC takes them from WAV.
    fs::write(
        lab.path("field.wav"),
        riff(&[
            (b"bext", &bext(4711)),
            (b"fmt ", &format(1, 1, 48_000, 16, 2)),
            (b"data", &[1; 9600]),
        ]),
    )
    .expect("file");
    lab.ok(&["field.wav", "-o", "field.flac"]);
    let flac = fs::read(lab.path("field.flac")).expect("FLAC");
    assert!(String::from_utf8_lossy(&flac).contains("TIME_REFERENCE=4711"));
    // AIFF: its name, its markers, its ID3 tag; what has no place is said.
    let big = |id: &[u8; 4], data: &[u8]| {
        [&id[..], &(data.len() as u32).to_be_bytes(), data, &vec![0; data.len() % 2]].concat()
    };
    let rate = [0x40, 0x0e, 0xbb, 0x80, 0, 0, 0, 0, 0, 0];
    let common = [&[0, 1, 0, 0, 0x12, 0xc0, 0, 16][..], &rate].concat();
    let parts = [
        big(b"COMM", &common),
        big(b"NAME", b"Take 9"),
        big(b"MARK", b"\0\x01\0\x01\0\0\x03\xe8\x05start"),
        big(b"APPL", b"wispdata"),
        big(b"SSND", &[[0; 8].to_vec(), vec![1; 9600]].concat()),
        big(b"ID3 ", b"ID3\x03\0\0\0\0\0\0"),
    ];
    let body = [b"AIFF".to_vec(), parts.concat()].concat();
    fs::write(lab.path("a.aiff"), big(b"FORM", &body)).expect("file");
    let output = lab.ok(&["a.aiff", "-o", "aiff.wav"]);
    assert!(stderr(&output).contains("APPL chunk"), "{}", stderr(&output));
    let bytes = fs::read(lab.path("aiff.wav")).expect("WAV");
    for word in [&b"Take 9"[..], b"cue ", b"start", b"id3 "] {
        assert!(bytes.windows(word.len()).any(|part| part == word), "{word:?}");
    }
}

#[test]
fn every_format_comes_out_as_ffmpeg_reads_it() {
    let lab = Lab::new();
    lab.wav("in.wav", int(44_100, 2, 16), 1.3);
    // Where decoders differ in their last bits the tolerance says so.
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
        // ffmpeg keeps what an encoder put behind the end.
        assert!(
            actual.len() <= expected.len() && expected.len() <= actual.len() + 2 * spare,
            "{name}: {} {}",
            actual.len(),
            expected.len()
        );
        let worst = expected.iter().zip(&actual).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{name}: off by {worst}");
    }
    // Opus in each of its modes, beside libopus itself, which would clip where it is loud.
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

/// One channel of interleaved samples.
fn channel<T: Copy>(samples: &[T], channels: usize, channel: usize) -> Vec<T> {
    samples.iter().skip(channel).step_by(channels).copied().collect()
}

#[test]
fn low_frequency_effects_pass_through_and_the_other_channels_do_not() {
    let lab = Lab::new();
    // Which channels come out as they went in, counted from 1.
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
        // The masks of these name the lowest positions, of which the fourth is the LFE.
        let name = format!("{channels}.wav");
        lab.wav(&name, int(22_050, channels, 16), 0.6);
        assert_eq!(passed(&name, &[]), (expected, false), "{channels} channels");
        assert_eq!(passed(&name, &["--lfe", "none"]), (vec![], false), "{channels} channels");
        assert_eq!(passed(&name, &["--lfe", "1"]), (vec![1], false), "{channels} channels");
    }
    lab.fails(&["6.wav", "-o", "no.wav", "--lfe", "7"], 1, &["--lfe", "channel 7", "6 channels"]);
    lab.fails(&["6.wav", "-o", "no.wav", "--lfe", "0"], 2, &["--lfe", "none"]);

    // Quadraphonic: four channels, and none for low-frequency effects. And files that do not say which is which.
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

#[test]
fn standard_input_and_output_are_as_good_as_files() {
    let lab = Lab::new();
    let bytes = fs::read(lab.wav("in.wav", int(44_100, 2, 16), 1.0)).expect("WAV");
    lab.ok(&["in.wav", "-o", "file.wav"]);
    let file = fs::read(lab.path("file.wav")).expect("WAV");
    for name in ["-", "/dev/stdin"] {
        let piped = lab.pipe(&[name, "-o", "-"], &bytes);
        assert!(piped.status.success(), "{}", stderr(&piped));
        // Of a stream nobody knows whether chunks follow: the size of the whole is open.
        assert_eq!(piped.stdout[8..], file[8..], "{name}");
        assert!(stderr(&piped).contains("-> -: 1.0 s"), "{}", stderr(&piped));
    }
    let out = lab.run(&["in.wav", "-o", "-", "-q"]);
    assert!(out.status.success() && out.stderr.is_empty(), "{}", stderr(&out));
    assert_eq!(out.stdout, file, "from a file all is known");
    // A length that nobody knows stays open, and all samples are there.
    let mut endless = bytes.clone();
    endless[4..8].fill(0xff);
    endless[40..44].fill(0xff);
    let piped = lab.pipe(&["-", "-o", "-", "-q"], &endless);
    let at = piped.stdout.windows(4).position(|id| id == b"data").expect("data");
    assert_eq!(piped.stdout[at + 4..at + 8], [0xff; 4]);
    assert_eq!(piped.stdout[at + 8..], file[44..]);
    fs::write(lab.path("piped.wav"), &piped.stdout).expect("file");
    lab.ok(&["piped.wav", "-o", "again.wav", "-r", "0"]);
    assert_eq!(ints(&lab.path("again.wav")), ints(&lab.path("file.wav")));
    // Samples alone, in and out.
    let raw = ["-", "--raw-input", "44100:2:s16", "-o", "-", "--output-format", "raw", "-q"];
    let piped = lab.pipe(&raw, &bytes[44..]);
    assert!(piped.status.success(), "{}", stderr(&piped));
    assert_eq!(piped.stdout, file[44..]);
    // Wrong usage.
    for args in [
        &["-"][..],
        &["-", "--out-dir", "d"],
        &["in.wav", "-o", "-", "--json"],
        &["-", "-o", "-", "--raw-input", "44100:2"],
    ] {
        lab.fails(args, 2, &["error:"]);
    }
    assert!(stderr(&lab.pipe(&["-", "-o", "-"], b"")).contains("is empty"));
    if ffmpeg(&lab, &["-i", "in.wav", "late.m4a"])
        && ffmpeg(&lab, &["-i", "late.m4a", "-c", "copy", "-movflags", "faststart", "early.m4a"])
    {
        let read = |name| fs::read(lab.path(name)).expect("MPEG-4");
        let late = lab.pipe(&["-", "-o", "-"], &read("late.m4a"));
        assert!(stderr(&late).contains("name the file"), "{}", stderr(&late));
        let early = lab.pipe(&["-", "-o", "-", "-q"], &read("early.m4a"));
        assert!(early.status.success(), "{}", stderr(&early));
    }
    let nobody = lab.pipe(&["-", "-o", "-"], b"no sound in here, words alone");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        nobody.stdout.is_empty() && stderr(&nobody).contains("not audio"),
        "{}",
        stderr(&nobody)
    );
}

/// While it waits for its input too.
#[cfg(unix)]
#[test]
fn a_pipe_that_stays_silent_can_be_interrupted() {
    let lab = Lab::new();
    let mut child = lab
        .command(&["-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("wisp starts");
    let id = child.id().to_string();
    let started = std::time::Instant::now();
    let status = loop {
        // Before it catches signals it ends by this one: then there is no status.
        if let Some(status) = child.try_wait().expect("status") {
            break status;
        }
        assert!(started.elapsed().as_secs() < 30, "it waits on");
        std::thread::sleep(std::time::Duration::from_millis(200));
        Command::new("kill").args(["-TERM", &id]).status().expect("kill");
    };
    assert!(matches!(status.code(), Some(130) | None), "{status}");
}

/// What has come in goes out, whatever comes later.
#[cfg(unix)]
#[test]
fn a_live_stream_does_not_wait_for_its_end() {
    use std::io::{Read, Write};
    let lab = Lab::new();
    let bytes = fs::read(lab.wav("in.wav", int(16_000, 1, 16), 2.0)).expect("WAV");
    let mut child = lab
        .command(&["-", "-o", "-", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("wisp starts");
    let (mut into, mut out) =
        (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
    into.write_all(&bytes[..44 + 32_000]).expect("a second");
    into.flush().expect("flushed");
    // All but the latency, 20 ms, of the second that it has.
    let mut first = vec![0; 44 + 32_000 - 640];
    out.read_exact(&mut first).expect("while the stream is open");
    into.write_all(&bytes[44 + 32_000..]).expect("the rest");
    drop(into);
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).expect("the rest");
    assert_eq!(first.len() + rest.len(), bytes.len());
    assert!(child.wait().expect("status").success());
}

#[test]
fn own_results_are_skipped_and_that_is_said() {
    let lab = Lab::new();
    lab.wav("a.wav", int(16_000, 1, 16), 0.1);
    lab.wav("b.wav", int(16_000, 1, 16), 0.1);
    lab.ok(&["a.wav", "b.wav"]);
    lab.ok(&["a.wav", "b.wav", "--removed"]);
    // As a shell would: `wisp --force *.wav`.
    let mut names: Vec<String> = lab
        .files()
        .iter()
        .map(|path| path.file_name().expect("name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 6);
    names.extend(["--force".into(), "--json".into()]);
    let output = lab.ok(&names);
    assert_eq!(lab.files().len(), 6, "{:?}", lab.files());
    let said = stderr(&output);
    assert!(said.contains("a.clean.wav: skipped: was made by Wisp from a.wav"), "{said}");
    assert_eq!(said.matches("skipped").count(), 4, "{said}");
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 6);
    assert_eq!(lines.iter().filter(|line| line["skipped"].is_string()).count(), 4);
    // In a folder of their own they have the names of their inputs.
    lab.ok(&["a.wav", "b.wav", "--out-dir", "clean"]);
    let output = lab.ok(&["a.wav", "b.wav", "clean/a.wav", "--out-dir", "clean", "--force"]);
    assert!(stderr(&output).contains("clean/a.wav: skipped"), "{}", stderr(&output));
    // Whoever names one alone means it; a name alone makes no result.
    lab.ok(&["a.clean.wav"]);
    assert!(lab.path("a.clean.clean.wav").exists());
    lab.wav("c.clean.wav", int(16_000, 1, 16), 0.1);
    lab.ok(&["b.wav", "c.clean.wav", "--force"]);
    assert!(lab.path("c.clean.clean.wav").exists());
}

#[test]
fn names_that_cannot_be_fail_at_once_and_are_named() {
    let lab = Lab::new();
    // An hour: nobody would wait for it to hear of a name.
    let mut bytes = fs::read(lab.wav("in.wav", int(8_000, 1, 8), 0.0)).expect("WAV");
    bytes[40..44].copy_from_slice(&28_800_000u32.to_le_bytes());
    let long = format!("{}.wav", "x".repeat(246));
    for name in ["in.wav", &long] {
        fs::write(lab.path(name), &bytes).expect("file");
        let file = fs::OpenOptions::new().write(true).open(lab.path(name)).expect("file");
        file.set_len(28_800_044).expect("length");
    }
    let started = std::time::Instant::now();
    let stem = "x".repeat(246);
    lab.fails(&[long.as_str()], 1, &[&format!("cannot write {stem}.clean.wav"), "too long"]);
    for output in ["nowhere/out.wav", "no/where/out.wav"] {
        let run = lab.run(&["in.wav", "-o", output]);
        let said = stderr(&run);
        let folder = output.strip_suffix("/out.wav").expect("folder");
        assert_eq!(run.status.code(), Some(1));
        assert!(
            said.contains(&format!("cannot write {output}: folder {folder} does not exist")),
            "{said}"
        );
        assert!(!said.contains(".part"), "{said}");
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
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
        // The check sum over all samples too.
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

#[test]
fn presets_are_those_of_the_plugin() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 1.0);
    let result = |args: &[&str]| {
        lab.ok(&[&["in.wav", "-o", "out.wav", "-f", "-q"], args].concat());
        ints(&lab.path("out.wav"))
    };
    let room = result(&["--reduction", "24", "--sensitivity", "6", "--ambience", "0"]);
    assert!(result(&["--preset", "noisy room"]) == room);
    let gentle = result(&["--reduction", "12", "--sensitivity", "-4", "--ambience", "0"]);
    fs::write(
        lab.path("mine.json"),
        r#"{"wisp": 1, "reduction": "12 dB", "sensitivity": -4, "stereo": "Linked"}"#,
    )
    .expect("file");
    assert_eq!(result(&["--preset", "mine.json"]), gentle);
    // What is named beside it counts.
    assert_eq!(result(&["--preset", "Gentle", "-r", "0"]), ints(&lab.path("in.wav")));
    // A user's own by its name.
    let folder = lab.path("data/wisp/presets");
    fs::create_dir_all(&folder).expect("folder");
    fs::copy(lab.path("mine.json"), folder.join("My attic.json")).expect("copy");
    if cfg!(target_os = "linux") {
        let mut command = lab.command(&["in.wav", "-o", "own.wav", "-p", "My attic"]);
        let run = command.env("XDG_DATA_HOME", lab.path("data")).output().expect("wisp starts");
        assert!(run.status.success(), "{}", stderr(&run));
        assert_eq!(ints(&lab.path("own.wav")), gentle);
    }
    fs::write(lab.path("bad.json"), r#"{"wisp": 1, "reduction": "loud"}"#).expect("file");
    for (preset, words) in [
        ("bad.json", ["bad.json", "reduction", "loud"]),
        ("absent.json", ["absent.json", "no such file", "Podcast"]),
        ("Nobody", ["Nobody", "no such file", "Voice-over"]),
        ("in.wav", ["in.wav", "preset", "error"]),
    ] {
        lab.fails(&["in.wav", "-o", "x.wav", "--preset", preset], 2, &words);
    }
}

#[test]
fn completions_and_a_manual_page_are_printed() {
    let lab = Lab::new();
    for (shell, word) in [
        ("bash", "_wisp"),
        ("zsh", "#compdef wisp"),
        ("fish", "complete -c wisp"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let text = lab.ok(&["--completions", shell]).stdout;
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.contains(word) && text.contains("output-format"), "{shell}");
    }
    let page = String::from_utf8(lab.ok(&["--man"]).stdout).expect("UTF-8");
    for part in [".TH wisp 1", "Removes noise from voice recordings", "sensitivity", "ffmpeg"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    lab.fails(&["--man", "a.wav"], 2, &["error:"]);
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
    // ffmpeg, SoX, arecord, NAudio, Kaldi.
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
fn what_is_wrong_is_said() {
    let lab = Lab::new();
    let good = fs::read(lab.wav("in.wav", int(48_000, 1, 16), 1.0)).expect("WAV");
    lab.fails(&["missing.wav"], 1, &["missing.wav", "cannot read"]);
    fs::write(lab.path("empty.wav"), []).expect("file");
    lab.fails(&["empty.wav"], 1, &["empty.wav", "is empty"]);
    fs::write(lab.path("text.wav"), "no audio here, only words\n".repeat(99)).expect("file");
    lab.fails(&["text.wav"], 1, &["text.wav", "not audio"]);
    fs::write(lab.path("header.wav"), &good[..30]).expect("file");
    lab.fails(&["header.wav"], 1, &["header.wav", "truncated"]);
    fs::write(lab.path("nothing.wav"), &wav_bytes(&lab, 0)[..44]).expect("file");
    lab.fails(&["nothing.wav"], 1, &["nothing.wav", "no audio"]);
    fs::create_dir(lab.path("folder.wav")).expect("folder");
    lab.fails(&["folder.wav"], 1, &["folder.wav", "is a folder"]);
    for rate in [7_999, 384_001] {
        lab.wav("rate.wav", int(rate, 1, 16), 0.1);
        lab.fails(&["rate.wav"], 1, &["rate.wav", &rate.to_string(), "8000", "384000"]);
    }
    for (weights, reason) in [("text.wav", "safetensors"), ("absent.safetensors", "No such file")] {
        let output = lab.run(&["in.wav", "--weights", weights]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(message.matches(weights).count(), 1, "{message}");
        assert!(message.contains(reason), "{message}");
    }
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
    lab.fails(&["in.wav", "-o", "out.wav"], 1, &["out.wav", "already exists", "--force"]);
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
        lab.fails(&["in.wav", "-o", "dangling.wav"], 1, &["already exists"]);
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
                0 => bytes.truncate(20 + i / 50),
                1 => bytes = b"no sound".repeat(9),
                2 => bytes.clear(),
                3 => bytes[20..24].fill(0xff),
                _ => bytes[22..24].copy_from_slice(&[0xff, 0xff]),
            }
        }
        // Odd, but whole: wrong sizes, unfinished, from a pipe, with chunks behind.
        match i % 10 {
            1 => bytes[4..8].copy_from_slice(&(i as u32).to_le_bytes()),
            3 => bytes[40..44].fill(0),
            5 => bytes[40..44].fill(0xff),
            9 => bytes.extend(chunks(&[(b"LIST", b"INFOINAM\x02\0\0\0a\0"), (b"odd!", b"abc")])),
            _ => {}
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
    // A hundred reasons, and a hundred warnings of recordings that were unfinished.
    assert_eq!(stderr(&output).lines().count(), 200, "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("unfinished").count(), 100);
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
    lab.fails(&["in.wav", "--out-dir", "/proc/wisp"], 1, &["cannot create folder", "/proc/wisp"]);
    fs::write(lab.path("file"), "").expect("file");
    lab.fails(&["in.wav", "--out-dir", "file"], 1, &["cannot create folder", "file"]);
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
        // A test beside this one may have started a program while the copy was being written.
        for _ in 0..100 {
            match command.output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                output => return output.expect("wisp starts"),
            }
        }
        panic!("the program stays busy")
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

    let peak = |args: &[&str], input: Option<&str>| -> u64 {
        let mut command = lab.command(&[args, &["--force", "-q", "-j", "1"]].concat());
        if let Some(input) = input {
            command.stdin(fs::File::open(lab.path(input)).expect("file"));
        }
        let mut child = command.stdout(Stdio::null()).spawn().expect("wisp");
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
    let short = peak(&["short.wav"], None);
    for long in [
        peak(&["long.wav"], None),
        peak(&["-", "-o", "-"], Some("long.wav")),
        peak(&["long.wav", "-o", "long.flac"], None),
    ] {
        assert!(
            long > 0 && long < short + 4096,
            "{short} KiB for a second, {long} KiB for ten minutes"
        );
    }
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
