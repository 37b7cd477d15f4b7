//! Bytes as an audio file, through all of the command line: a result of the promised length, or a reason.
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;
use wisp::{Controls, Dccrn};

use crate::clean::{Settings, clean};
use crate::output::Format;

/// Seconds of audio after which a file is stopped, as by Ctrl-C: each second does the same.
const LONGEST: u64 = 20;

/// Cleans the file.
pub(crate) fn run(data: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let thread = format!("{:?}", std::thread::current().id());
    let input = folder.path().join(format!("{thread}.in"));
    let format = if data.len() % 4 == 3 { Format::Flac } else { Format::Wav };
    let output = folder.path().join(format!("{thread}.{}", format.extension()));
    fs::write(&input, data).expect("the input");
    let settings = Settings {
        network: Dccrn::bundled(),
        controls: Controls::default(),
        depth: None,
        format,
        raw: None,
        force: true,
    };
    let stop = AtomicBool::new(false);
    let result = clean(&settings, &input, &output, &stop, |audio| {
        let long = audio.position() > LONGEST * u64::from(audio.spec().rate);
        stop.store(long, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(result.is_ok(), output.exists(), "{:?}", result.err());
    if let Ok(report) = result {
        let frames = (report.seconds * f64::from(report.sample_rate)).round() as u64;
        let size = fs::metadata(&output).expect("the output").len();
        let least = if format == Format::Wav { frames * u64::from(report.channels) } else { 42 };
        assert!(size >= least, "{size} bytes for {frames} frames");
        fs::remove_file(&output).expect("removed");
    }
    let left = fs::read_dir(folder.path()).expect("the folder").filter(|entry| {
        let path = entry.as_ref().expect("an entry").path();
        path.extension().is_some_and(|extension| extension == "part")
    });
    assert_eq!(left.count(), 0, "half a file is left");
}
