//! Live pipes, and memory over hours of audio.
use std::fs;
use std::process::{Command, Stdio};

use crate::lab::*;

/// Ctrl-C works while the program waits for input.
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
        // Before it handles signals, the signal ends it without a status.
        if let Some(status) = child.try_wait().expect("status") {
            break status;
        }
        assert!(started.elapsed().as_secs() < 30, "it waits on");
        std::thread::sleep(std::time::Duration::from_millis(200));
        Command::new("kill").args(["-TERM", &id]).status().expect("kill");
    };
    assert!(matches!(status.code(), Some(130) | None), "{status}");
}

/// Output appears as soon as its input has arrived.
#[test]
fn a_live_stream_does_not_wait_for_its_end() {
    use std::io::{Read, Write};
    let lab = Lab::new();
    let bytes = fs::read(lab.wav("in.wav", int(16_000, 1, 16), 2.0)).expect("WAV");
    for (quality, milliseconds) in [("studio", 60), ("live", 20)] {
        let mut child = lab
            .command(&["-", "-o", "-", "-q", "--quality", quality])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("wisp starts");
        let (mut into, mut out) =
            (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        into.write_all(&bytes[..44 + 32_000]).expect("a second");
        into.flush().expect("flushed");
        // The second that it has received, minus the latency.
        let mut first = vec![0; 44 + 32_000 - 32 * milliseconds];
        out.read_exact(&mut first).expect("while the stream is open");
        into.write_all(&bytes[44 + 32_000..]).expect("the rest");
        drop(into);
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).expect("the rest");
        assert_eq!(first.len() + rest.len(), bytes.len(), "{quality}");
        assert!(child.wait().expect("status").success());
    }
}

/// Hours of audio take no more memory than seconds.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_length() {
    let lab = Lab::new();
    // Ten minutes of silence in a sparse file.
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
