//! Errors, and many files at once.
use std::fs;

use crate::lab::*;

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
    // In the system's own words.
    let absent = std::io::Error::from_raw_os_error(2).to_string();
    for (weights, reason) in [("text.wav", "safetensors"), ("absent.safetensors", &absent)] {
        let output = lab.run(&["in.wav", "--weights", weights]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(message.matches(weights).count(), 1, "{message}");
        assert!(message.contains(reason), "{message}");
    }
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
    // In parallel or one at a time makes no difference.
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
        // Unusual but valid: wrong sizes, unfinished, streamed, with trailing chunks.
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
    // A hundred errors, and a hundred warnings about unfinished recordings.
    assert_eq!(stderr(&output).lines().count(), 200, "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("unfinished").count(), 100);
}
