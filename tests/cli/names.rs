//! Names of inputs and results.
use std::ffi::OsStr;
use std::fs;

use crate::lab::*;

#[test]
fn own_results_are_skipped_and_that_is_said() {
    let lab = Lab::new();
    lab.wav("a.wav", int(16_000, 1, 16), 0.1);
    lab.wav("b.wav", int(16_000, 1, 16), 0.1);
    lab.ok(&["a.wav", "b.wav"]);
    lab.ok(&["a.wav", "b.wav", "--removed"]);
    // As a shell expands `wisp --force *.wav`.
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
    // In a folder of their own, results keep their inputs' names.
    lab.ok(&["a.wav", "b.wav", "--out-dir", "clean"]);
    let output = lab.ok(&["a.wav", "b.wav", "clean/a.wav", "--out-dir", "clean", "--force"]);
    assert!(stderr(&output).contains("clean/a.wav: skipped"), "{}", stderr(&output));
    // A single one is meant; and a file is not a result just because of its name.
    lab.ok(&["a.clean.wav"]);
    assert!(lab.path("a.clean.clean.wav").exists());
    lab.wav("c.clean.wav", int(16_000, 1, 16), 0.1);
    lab.ok(&["b.wav", "c.clean.wav", "--force"]);
    assert!(lab.path("c.clean.clean.wav").exists());
}

#[test]
fn names_that_cannot_be_fail_at_once_and_are_named() {
    let lab = Lab::new();
    // An hour long: nobody would wait that long for an error about a name.
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
        // A symbolic link stays a link; its target is replaced.
        std::os::unix::fs::symlink("out.wav", lab.path("alias.wav")).expect("link");
        fs::write(lab.path("out.wav"), "old").expect("file");
        lab.ok(&["in.wav", "-o", "alias.wav", "--force"]);
        assert!(lab.path("alias.wav").is_symlink());
        assert_eq!(ints(&lab.path("out.wav")).len(), ints(&input).len());
    }
    assert_eq!(fs::read(&input).expect("WAV"), before);
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
