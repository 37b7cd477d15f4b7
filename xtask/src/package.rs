//! The archive that people download, for this system.
use std::env::consts::{ARCH, EXE_SUFFIX, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bundle::{bundle, describe_module, version};
use crate::files::{self, copy};
use crate::lv2::{ladspa_library, lv2_bundle};
use crate::paths::{COMPONENT, NAME, PACKAGE, Profile, bundled_dir, target_dir};
use crate::tools::{run, works};
use crate::validate;
use crate::{au, licences};

/// Other files in the archive.
const PAPERS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// A virtual microphone for PipeWire, in the folder `packaging`.
const MICROPHONE: &str = "wisp-microphone.conf";
/// The same for as long as it runs.
const MICROPHONE_PROGRAM: &str = "wisp-mic";
/// The two halves of a universal program.
const APPLE_TARGETS: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];

/// Builds everything, makes the archive and tests it; returns its path.
///
/// On macOS `CODESIGN_IDENTITY` signs all of it.
pub(crate) fn package(universal: bool, cargo_args: &[String]) -> Result<PathBuf> {
    let (with_au, mut cargo_args) = au::asked(cargo_args)?;
    let mut args = vec!["--release".to_owned()];
    args.extend_from_slice(&cargo_args);
    let mut programs = vec![NAME];
    if args.iter().any(|arg| arg.contains("standalone")) {
        programs.push("wisp-standalone");
    }
    let name = format!("wisp-{}-{OS}-{}", version()?, if universal { "universal" } else { ARCH });
    let home = target_dir().join("package");
    let folder = home.join(&name);
    files::make_empty(&home)?;
    files::make(&folder)?;

    if universal {
        build_universal(&args, &programs, &folder)?;
    } else {
        bundle(&args)?;
        for program in &programs {
            let file = format!("{program}{EXE_SUFFIX}");
            copy(&target_dir().join("release").join(&file), &folder.join(&file))?;
        }
    }
    let mut bundles = vec!["wisp.vst3", "wisp.clap"];
    if with_au {
        au::bundle(&args, if universal { &APPLE_TARGETS } else { &[] })?;
        bundles.push(COMPONENT);
        cargo_args.extend(au::FEATURES.map(str::to_owned));
    }
    for bundle in &bundles {
        copy(&bundled_dir().join(bundle), &folder.join(bundle))?;
    }
    copy(Path::new("packaging/presets"), &folder.join("presets"))?;
    if !universal {
        copy(&crate::capi::build(Profile::Release)?, &folder.join("capi"))?;
        if OS == "linux" {
            crate::lv2::build(Profile::Release)?;
            copy(&lv2_bundle(Profile::Release), &folder.join("wisp.lv2"))?;
            copy(&ladspa_library(Profile::Release), &folder.join("wisp_ladspa.so"))?;
            for file in [MICROPHONE, MICROPHONE_PROGRAM] {
                copy(&Path::new("packaging").join(file), &folder.join(file))?;
            }
        }
    }
    let items = [&programs[..], &bundles].concat();
    sign(&folder, &items)?;
    for paper in PAPERS {
        copy(Path::new(paper), &folder.join(paper))?;
    }
    let (licences, count) = licences::third_party(&cargo_args)?;
    let file = folder.join("THIRD-PARTY-LICENSES.md");
    files::write(&file, licences)?;
    let ending = if cfg!(windows) { "ps1" } else { "sh" };
    for script in ["install", "uninstall"] {
        let script = format!("{script}.{ending}");
        copy(&Path::new("packaging").join(&script), &folder.join(&script))?;
    }

    let archive = pack(&home, &name)?;
    let size = fs::metadata(&archive).map_or(0, |metadata| metadata.len());
    println!("{}: {:.1} MB, licences of {count} packages", archive.display(), size as f64 / 1e6);
    if cfg!(unix) {
        try_archive(&archive, &name, &programs, with_au)?;
    }
    Ok(archive)
}

fn build_universal(args: &[String], programs: &[&str], folder: &Path) -> Result<()> {
    for target in APPLE_TARGETS {
        let mut args = args.to_vec();
        args.push(format!("--target={target}"));
        nice_plug_xtask::build(&[PACKAGE.to_owned()], &args)?;
    }
    nice_plug_xtask::bundle(&target_dir(), NAME, args, true)?;
    describe_module()?;
    for program in programs {
        let mut lipo = Command::new("lipo");
        lipo.arg("-create").arg("-output").arg(folder.join(program));
        run(lipo.args(APPLE_TARGETS.map(|t| target_dir().join(t).join("release").join(program))))?;
    }
    Ok(())
}

fn sign(folder: &Path, items: &[&str]) -> Result<()> {
    let Some(identity) = std::env::var_os("CODESIGN_IDENTITY").filter(|_| OS == "macos") else {
        return Ok(());
    };
    for item in items {
        let mut codesign = Command::new("codesign");
        codesign.args(["--force", "--timestamp", "--options", "runtime", "--sign"]);
        run(codesign.arg(&identity).arg(folder.join(item)))?;
    }
    Ok(())
}

/// A zip on systems where people expect one, otherwise a compressed tar.
fn pack(home: &Path, name: &str) -> Result<PathBuf> {
    let (ending, program, args): (_, _, &[&str]) = match OS {
        "macos" => ("zip", "ditto", &["-c", "-k", "--keepParent", name]),
        "windows" => ("zip", "tar", &["-a", "-c", "-f"]),
        _ => ("tar.gz", "tar", &["--owner=0", "--group=0", "-czf"]),
    };
    let archive = format!("{name}.{ending}");
    let mut command = Command::new(program);
    command.current_dir(home).args(args).arg(&archive);
    if program == "tar" {
        command.arg(name);
    }
    run(&mut command)?;
    Ok(home.join(archive))
}

/// Unpacks, installs for a made-up user, checks, and uninstalls.
fn try_archive(archive: &Path, name: &str, programs: &[&str], with_au: bool) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("wisp package {}", std::process::id()));
    let result = try_in(&scratch, archive, name, programs, with_au);
    let removed = fs::remove_dir_all(&scratch);
    result?;
    removed.with_context(|| format!("cannot remove {}", scratch.display()))
}

fn try_in(
    scratch: &Path,
    archive: &Path,
    name: &str,
    programs: &[&str],
    with_au: bool,
) -> Result<()> {
    // Spaces in names, because scripts often fail on them.
    let home = scratch.join("a home");
    files::make(&home)?;
    let mut unpack = Command::new(if OS == "macos" { "ditto" } else { "tar" });
    match OS {
        "macos" => unpack.args(["-x", "-k"]).arg(archive).arg(scratch),
        _ => unpack.arg("-xzf").arg(archive).arg("-C").arg(scratch),
    };
    run(&mut unpack)?;
    let script = |script: &str| {
        let mut command = Command::new(scratch.join(name).join(script));
        run(command.env("HOME", &home).env_remove("XDG_CONFIG_HOME"))
    };
    let (vst3, clap) = match OS {
        "macos" => ("Library/Audio/Plug-Ins/VST3", "Library/Audio/Plug-Ins/CLAP"),
        _ => (".vst3", ".clap"),
    };
    let mut installed = vec![
        (home.join(vst3).join("wisp.vst3"), bundled_dir().join("wisp.vst3")),
        (home.join(clap).join("wisp.clap"), bundled_dir().join("wisp.clap")),
    ];
    if with_au {
        let there = home.join("Library/Audio/Plug-Ins/Components").join(COMPONENT);
        installed.push((there, bundled_dir().join(COMPONENT)));
    }
    let presets = match OS {
        "macos" => "Library/Audio/Presets/Wisp/Wisp",
        _ => ".vst3/presets/Wisp/Wisp",
    };
    for preset in fs::read_dir("packaging/presets").context("cannot list the presets")? {
        let preset = preset.context("cannot list the presets")?;
        installed.push((home.join(presets).join(preset.file_name()), preset.path()));
    }
    if OS == "linux" {
        installed.push((home.join(".lv2/wisp.lv2"), lv2_bundle(Profile::Release)));
        installed.push((home.join(".ladspa/wisp_ladspa.so"), ladspa_library(Profile::Release)));
        let program = Path::new("packaging").join(MICROPHONE_PROGRAM);
        installed.push((home.join(".local/bin").join(MICROPHONE_PROGRAM), program));
    }
    for program in programs {
        let unpacked = scratch.join(name).join(program);
        installed.push((home.join(".local/bin").join(program), unpacked));
    }
    // The second time over the first installation.
    for _ in 0..2 {
        script("install.sh")?;
        for (there, original) in &installed {
            // Signed ones differ from what was built.
            let signed = std::env::var_os("CODESIGN_IDENTITY").is_some();
            ensure!(there.exists(), "{} is missing after install.sh", there.display());
            ensure!(signed || same(there, original)?, "{} is not what was built", there.display());
        }
    }
    let microphone = home.join(".config/pipewire/pipewire.conf.d").join(MICROPHONE);
    if OS == "linux" {
        let text = fs::read_to_string(&microphone).context("the microphone for PipeWire")?;
        let plugin = home.join(".ladspa/wisp_ladspa.so");
        let place = format!("plugin = \"{}\"", plugin.display());
        ensure!(text.contains(&place), "{} does not say {place}", microphone.display());
    }
    let wisp = home.join(".local/bin/wisp");
    ensure!(works(&wisp, "--version"), "{} does not start", wisp.display());
    let scanned = validate::scan(&home.join(vst3).join("wisp.vst3"), &home)?;
    println!("{}", scanned.unwrap_or_else(|| "not scanned: Ardour is not installed".into()));
    let mut keep = home.join(vst3);
    keep.push("another.vst3");
    files::write(&keep, "another")?;
    script("uninstall.sh")?;
    for (there, _) in &installed {
        ensure!(!there.exists(), "{} is there after uninstall.sh", there.display());
    }
    ensure!(!microphone.exists(), "{} is there after uninstall.sh", microphone.display());
    ensure!(keep.exists(), "uninstall.sh removed {}", keep.display());
    println!("installed, started, uninstalled in a scratch home: {} items", installed.len());
    Ok(())
}

/// Whether two files or folders have the same contents.
fn same(a: &Path, b: &Path) -> Result<bool> {
    if a.is_dir() != b.is_dir() {
        return Ok(false);
    }
    if !a.is_dir() {
        return Ok(fs::read(a)? == fs::read(b)?);
    }
    let names = |path: &Path| -> Result<Vec<_>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    };
    let inside = names(a)?;
    if inside != names(b)? {
        return Ok(false);
    }
    for name in inside {
        if !same(&a.join(&name), &b.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::go_to_workspace;

    #[test]
    fn folders_are_compared_to_the_last_byte() {
        let scratch = std::env::temp_dir().join(format!("wisp-same-{}", std::process::id()));
        let (a, b) = (scratch.join("a"), scratch.join("b"));
        fs::create_dir_all(a.join("in")).expect("folder");
        fs::write(a.join("in/file"), "content").expect("file");
        copy(&a, &b).expect("a copy");
        assert!(same(&a, &b).expect("readable"));
        fs::write(b.join("in/file"), "CONTENT").expect("file");
        assert!(!same(&a, &b).expect("readable"));
        fs::write(b.join("in/file"), "content").expect("file");
        fs::write(b.join("more"), "").expect("file");
        assert!(!same(&a, &b).expect("readable"));
        fs::remove_dir_all(scratch).expect("removed");
    }

    #[test]
    fn the_version_is_that_of_the_package() {
        go_to_workspace().expect("workspace");
        let version = version().expect("a version");
        assert_eq!(version.split('.').count(), 3, "{version}");
    }

    /// A scratch folder with install.sh, a plugin to install, and one that is already installed.
    #[cfg(unix)]
    fn installation(name: &str) -> (PathBuf, PathBuf) {
        let scratch = std::env::temp_dir().join(format!("wisp {name} {}", std::process::id()));
        // Left over from an earlier run with the same number.
        let _ = fs::remove_dir_all(&scratch);
        let home = scratch.join("a home");
        go_to_workspace().expect("workspace");
        for (folder, content) in [
            (scratch.join("new/wisp.vst3/Contents"), "new"),
            (home.join(".vst3/wisp.vst3/Contents"), "old"),
        ] {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("wisp.so"), content).expect("a file");
        }
        for (file, content) in [("new/wisp", "new"), ("a home/.local/bin/wisp", "old")] {
            let file = scratch.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, content).expect("a file");
        }
        for script in ["install.sh", "uninstall.sh"] {
            let to = scratch.join("new").join(script);
            fs::copy(Path::new("packaging").join(script), to).expect("a script");
        }
        (scratch, home)
    }

    /// Runs install.sh with a script that shadows a system program; whether it succeeded.
    #[cfg(unix)]
    fn install(scratch: &Path, home: &Path, instead: Option<(&str, &str)>) -> bool {
        use std::os::unix::fs::PermissionsExt;
        let programs = scratch.join("programs");
        fs::create_dir_all(&programs).expect("a folder");
        if let Some((program, text)) = instead {
            let program = programs.join(program);
            fs::write(&program, format!("#!/bin/sh\n{text}\n")).expect("a program");
            let all = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&program, all).expect("permissions");
        }
        let path = std::env::var_os("PATH").expect("a PATH");
        let paths = [programs.clone()].into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(paths).expect("a PATH");
        let script = scratch.join("new/install.sh");
        let output = Command::new("sh").arg(script).env("HOME", home).env("PATH", path).output();
        fs::remove_dir_all(&programs).expect("removed");
        output.expect("sh").status.success()
    }

    /// The installed version, and whether there are leftovers.
    #[cfg(unix)]
    fn installed(home: &Path) -> (Option<String>, Option<String>, bool) {
        let read = |file: &str| fs::read_to_string(home.join(file)).ok();
        let alone = [".vst3", ".local/bin"].iter().all(|folder| {
            fs::read_dir(home.join(folder)).map_or(0, |entries| entries.count()) <= 1
        });
        (read(".vst3/wisp.vst3/Contents/wisp.so"), read(".local/bin/wisp"), alone)
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_installed_leaves_the_old_one_whole() {
        let (old, new) = (Some("old".to_owned()), Some("new".to_owned()));
        // Each replaces a system program; the last argument is the destination.
        let real = |program: &str| format!("for to; do :; done\nexec /bin/{program} \"$@\"");
        let last = "for to; do :; done";
        for (name, program, text) in [
            ("no room", "cp", "mkdir \"$3\"; echo half > \"$3/half\"; exit 1".to_owned()),
            (
                "no move",
                "mv",
                format!("{last}\ncase \"$*\" in *vst3.new*) exit 1 ;; esac\nexec /bin/mv \"$@\""),
            ),
            (
                "ended",
                "mv",
                format!("{last}\n/bin/mv \"$@\"\ncase $to in *.old) kill -TERM $PPID ;; esac"),
            ),
        ] {
            let (scratch, home) = installation(name);
            assert!(!install(&scratch, &home, Some((program, &text))), "{name}");
            assert_eq!(installed(&home), (old.clone(), old.clone(), true), "{name}");
            assert!(install(&scratch, &home, Some((program, &real(program)))), "{name}");
            assert_eq!(installed(&home), (new.clone(), new.clone(), true), "{name}");
            fs::remove_dir_all(scratch).expect("removed");
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_installation_that_was_killed_is_repaired_by_the_next_or_removed() {
        let kill =
            "for to; do :; done\n/bin/mv \"$@\"\ncase $to in *.old) kill -KILL $PPID ;; esac";
        for next in ["install.sh", "uninstall.sh"] {
            let (scratch, home) = installation(&format!("killed {next}"));
            assert!(!install(&scratch, &home, Some(("mv", kill))));
            assert_eq!(installed(&home).0, None, "between its two moves");
            if next == "install.sh" {
                // The old version is restored first.
                assert!(!install(&scratch, &home, Some(("cp", "exit 1"))));
                assert_eq!(installed(&home), (Some("old".into()), Some("old".into()), true));
                assert!(install(&scratch, &home, None));
                assert_eq!(installed(&home), (Some("new".into()), Some("new".into()), true));
            } else {
                let script = scratch.join("new").join(next);
                run(Command::new("sh").arg(script).env("HOME", &home)).expect("uninstalled");
                let left = fs::read_dir(home.join(".vst3")).expect("a folder").count();
                assert_eq!((left, installed(&home).1), (0, None));
            }
            fs::remove_dir_all(scratch).expect("removed");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_plugin_that_is_a_link_is_replaced_and_not_followed() {
        let (scratch, home) = installation("link");
        let built = scratch.join("built.vst3");
        fs::rename(home.join(".vst3/wisp.vst3"), &built).expect("moved");
        std::os::unix::fs::symlink(&built, home.join(".vst3/wisp.vst3")).expect("a link");
        assert!(install(&scratch, &home, None));
        assert_eq!(installed(&home), (Some("new".into()), Some("new".into()), true));
        assert_eq!(fs::read_to_string(built.join("Contents/wisp.so")).expect("a file"), "old");
        fs::remove_dir_all(scratch).expect("removed");
    }
}
