//! Permissions, full disks, devices and signals.
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::lab::*;

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

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let lab = Lab::new();
    lab.wav("in.wav", int(48_000, 1, 16), 2.0);
    let before = lab.files();
    // With a file size limit, writes fail as on a full disk.
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

/// Where no file can be created, the error comes before any work.
#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_be_made_nothing_is_lost() {
    let lab = Lab::new();
    let input = lab.wav("in.wav", int(48_000, 1, 16), 0.2);
    // Not even root can create files here.
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

/// The program would wait for a pipe, and replace a device by a file.
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

/// Root ignores permissions, so another user tries.
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
            // The user "nobody", who must be able to start the program wherever it is.
            use std::os::unix::process::CommandExt;
            let program = lab.path("wisp");
            if !program.exists() {
                fs::copy(env!("CARGO_BIN_EXE_wisp"), &program).expect("a copy");
            }
            command = Command::new(program);
            command.current_dir(lab.dir.path()).args(args).stdin(Stdio::null()).uid(65_534);
        }
        // ETXTBSY: another test may have forked while the copy was open for writing.
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

#[test]
fn interrupted_it_leaves_no_half_file() {
    use std::time::{Duration, Instant};
    let lab = Lab::new();
    // An hour, so that the signal arrives before the end on any machine.
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
