//! The program in an empty folder, and input files for it.
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use serde_json::Value;
use tempfile::TempDir;
use wisp_testing::Random;

/// An empty folder in which the program runs.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary folder") }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wisp"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs with these bytes on standard input.
    pub(crate) fn pipe<S: AsRef<OsStr>>(&self, args: &[S], bytes: &[u8]) -> Output {
        use std::io::Write;
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("wisp starts");
        let mut into = child.stdin.take().expect("standard input");
        let bytes = bytes.to_vec();
        // The program may exit before it has read everything.
        let writer = std::thread::spawn(move || drop(into.write_all(&bytes)));
        let output = child.wait_with_output().expect("wisp ends");
        writer.join().expect("the writer");
        output
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.command(args).output().expect("wisp starts")
    }

    /// Runs and expects success.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    /// Runs and expects this exit status, and all of these words in the messages.
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, args: &[S], status: i32, words: &[&str]) {
        let output = self.run(args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{message}");
        for word in words {
            assert!(message.contains(word), "expected {word:?} in: {message}");
        }
        assert!(self.leftovers().is_empty(), "{:?}", self.leftovers());
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.dir.path())
            .expect("folder")
            .map(|entry| entry.expect("entry").path())
            .collect();
        files.sort();
        files
    }

    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        self.files().into_iter().filter(|path| path.to_string_lossy().ends_with(".part")).collect()
    }

    /// Writes `seconds` of [`sound`], a different one in each channel.
    pub(crate) fn wav(&self, name: &str, spec: WavSpec, seconds: f64) -> PathBuf {
        let path = self.path(name);
        let mut writer = WavWriter::create(&path, spec).expect("WAV");
        let frames = (seconds * f64::from(spec.sample_rate)) as usize;
        let planes: Vec<Vec<f32>> = (0..spec.channels)
            .map(|channel| sound(frames, spec.sample_rate, u64::from(channel) + 1))
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

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A gliding voice-like tone in noise, peaking near full scale.
pub(crate) fn sound(frames: usize, rate: u32, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..frames)
        .map(|i| {
            let noise = 0.5 * random.sample();
            let t = i as f32 / rate as f32;
            let phase = std::f32::consts::TAU * (140.0 * t + 20.0 * (3.0 * t).sin());
            let voice: f32 = (1..8).map(|k| (phase * k as f32).sin() / k as f32).sum();
            0.45 * voice * (2.0 * t).sin().abs() + 0.1 * noise
        })
        .collect()
}

pub(crate) fn int(rate: u32, channels: u16, bits: u16) -> WavSpec {
    WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int }
}

pub(crate) fn float(rate: u32, channels: u16) -> WavSpec {
    WavSpec { bits_per_sample: 32, sample_format: SampleFormat::Float, ..int(rate, channels, 32) }
}

pub(crate) fn spec_of(path: &Path) -> WavSpec {
    WavReader::open(path).expect("WAV").spec()
}

pub(crate) fn ints(path: &Path) -> Vec<i32> {
    let mut reader = WavReader::open(path).expect("WAV");
    reader.samples::<i32>().map(|sample| sample.expect("sample")).collect()
}

pub(crate) fn floats(path: &Path) -> Vec<f32> {
    let mut reader = WavReader::open(path).expect("WAV");
    reader.samples::<f32>().map(|sample| sample.expect("sample")).collect()
}

pub(crate) fn json_lines(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone())
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Runs ffmpeg; prints what is skipped if it is missing, and returns false.
pub(crate) fn ffmpeg(lab: &Lab, args: &[&str]) -> bool {
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

/// One channel of interleaved samples.
pub(crate) fn channel<T: Copy>(samples: &[T], channels: usize, channel: usize) -> Vec<T> {
    samples.iter().skip(channel).step_by(channels).copied().collect()
}

/// `in.wav` with half a second of 16-bit mono at 48 kHz, as bytes and as samples.
pub(crate) fn speech(lab: &Lab) -> (Vec<u8>, Vec<i32>) {
    let path = lab.wav("in.wav", int(48_000, 1, 16), 0.5);
    (fs::read(&path).expect("WAV")[44..].to_vec(), ints(&path))
}

/// Runs a file through the program at reduction 0; returns the samples and the messages.
pub(crate) fn passed(lab: &Lab, name: &str, bytes: &[u8]) -> (Vec<i32>, String) {
    fs::write(lab.path(name), bytes).expect("file");
    let output = lab.ok(&[name, "-o", "out.wav", "-r", "0", "-f"]);
    (ints(&lab.path("out.wav")), stderr(&output))
}

pub(crate) fn format(code: u16, channels: u16, rate: u32, bits: u16, block: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(code.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes
}

/// RIFF chunks with headers and padding.
pub(crate) fn chunks(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, data) in chunks {
        bytes.extend(*id);
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(*data);
        bytes.extend(vec![0; data.len() % 2]);
    }
    bytes
}

pub(crate) fn riff(parts: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let body = [b"WAVE".to_vec(), chunks(parts)].concat();
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// The chunks of a WAV file, in order.
pub(crate) fn chunks_of(path: &Path) -> Vec<([u8; 4], Vec<u8>)> {
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

/// `in.wav` as plain 16-bit mono with this size in its `data` header.
pub(crate) fn wav_bytes(lab: &Lab, data_size: u32) -> Vec<u8> {
    let mut bytes = fs::read(lab.wav("in.wav", int(48_000, 1, 16), 0.5)).expect("WAV");
    bytes[4..8].copy_from_slice(&data_size.saturating_add(36).to_le_bytes());
    bytes[40..44].copy_from_slice(&data_size.to_le_bytes());
    bytes
}
