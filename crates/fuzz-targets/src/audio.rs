//! Bytes as an audio file, through the whole command line: a result of the right length, or an error.
use std::fs;
use std::sync::OnceLock;

use tempfile::TempDir;
use wisp::cli::clean_at_most;

/// Processing stops after this many seconds of audio, as if by Ctrl-C; more would test nothing new.
const LONGEST: u64 = 20;

/// Denoises the file.
pub fn run(data: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let thread = format!("{:?}", std::thread::current().id());
    let input = folder.path().join(format!("{thread}.in"));
    let flac = data.len() % 4 == 3;
    let output = folder.path().join(format!("{thread}.{}", if flac { "flac" } else { "wav" }));
    fs::write(&input, data).expect("the input");
    let result = clean_at_most(LONGEST, &input, &output);
    assert_eq!(result.is_ok(), output.exists(), "{:?}", result.err());
    if let Ok(cleaned) = result {
        let frames = cleaned.frames;
        let size = fs::metadata(&output).expect("the output").len();
        let least = if flac { 42 } else { frames * u64::from(cleaned.channels) };
        assert!(size >= least, "{size} bytes for {frames} frames");
        fs::remove_file(&output).expect("removed");
    }
    let left = fs::read_dir(folder.path()).expect("the folder").filter(|entry| {
        let path = entry.as_ref().expect("an entry").path();
        path.extension().is_some_and(|extension| extension == "part")
    });
    assert_eq!(left.count(), 0, "half a file is left");
}
