//! Options, standard input and output, messages.
use std::fs;

use crate::lab::*;

#[test]
fn standard_input_and_output_are_as_good_as_files() {
    let lab = Lab::new();
    let bytes = fs::read(lab.wav("in.wav", int(44_100, 2, 16), 1.0)).expect("WAV");
    lab.ok(&["in.wav", "-o", "file.wav"]);
    let file = fs::read(lab.path("file.wav")).expect("WAV");
    for name in ["-", "/dev/stdin"] {
        let piped = lab.pipe(&[name, "-o", "-"], &bytes);
        assert!(piped.status.success(), "{}", stderr(&piped));
        // A stream may end with chunks, so its RIFF size is left open.
        assert_eq!(piped.stdout[8..], file[8..], "{name}");
        assert!(stderr(&piped).contains("-> -: 1.0 s"), "{}", stderr(&piped));
    }
    let out = lab.run(&["in.wav", "-o", "-", "-q"]);
    assert!(out.status.success() && out.stderr.is_empty(), "{}", stderr(&out));
    assert_eq!(out.stdout, file, "from a file all is known");
    // An unknown length stays open, and all samples arrive.
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
    // Raw samples in and out.
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
    // Other options override the preset.
    assert_eq!(result(&["--preset", "Gentle", "-r", "0"]), ints(&lab.path("in.wav")));
    // A user preset by name.
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
        assert!(text.contains("studio"), "{shell}");
    }
    let page = String::from_utf8(lab.ok(&["--man"]).stdout).expect("UTF-8");
    for part in
        [".TH wisp 1", "Removes noise from voice recordings", "sensitivity", "quality", "ffmpeg"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    lab.fails(&["--man", "a.wav"], 2, &["error:"]);
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
        &["a.wav", "--quality", "best"],
        &["a.wav", "--quality", "live", "--weights", "b.wav"],
        &["a.wav", "--jobs", "0"],
        &["a.wav", "./a.wav", "--out-dir", "d"],
        &["a.wav", "--unknown"],
    ] {
        lab.fails(args, 2, &["error:"]);
        assert_eq!(lab.files(), before, "{args:?}");
    }
}

#[test]
fn quiet_is_quiet_and_json_alone_is_on_standard_output() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    let quiet = lab.ok(&["in.wav", "-o", "a.wav", "--quiet"]);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", stderr(&quiet));
    let plain = lab.ok(&["in.wav", "-o", "b.wav"]);
    assert!(plain.stdout.is_empty());
    assert!(stderr(&plain).contains("in.wav -> b.wav: 0.2 s, 48000 Hz, 1 ch, 16-bit, studio"));
    let json = lab.ok(&["in.wav", "-o", "c.wav", "--json"]);
    assert!(json.stderr.is_empty(), "{}", stderr(&json));
    assert_eq!(json_lines(&json).len(), 1);
}
