//! The archive that people download, for this system.
use std::env::consts::{ARCH, EXE_SUFFIX, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bundle::{bundle, describe_module, version};
use crate::licences;
use crate::paths::{NAME, PACKAGE, bundled_dir, clap_bundle, target_dir, vst3_bundle};
use crate::tools::{run, works};
use crate::validate;

/// What goes beside the programs.
const PAPERS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// The two halves of a universal program.
const APPLE_TARGETS: [&str; 2] = ["x86_64-apple-darwin", "aarch64-apple-darwin"];

/// Builds everything, makes the archive and tries it; where it is.
///
/// On macOS `CODESIGN_IDENTITY` signs all of it.
pub(crate) fn package(universal: bool, cargo_args: &[String]) -> Result<PathBuf> {
    let mut args = vec!["--release".to_owned()];
    args.extend_from_slice(cargo_args);
    let mut programs = vec![NAME];
    if args.iter().any(|arg| arg.contains("standalone")) {
        programs.push("wisp-standalone");
    }
    let name = format!("wisp-{}-{OS}-{}", version()?, if universal { "universal" } else { ARCH });
    let home = target_dir().join("package");
    let folder = home.join(&name);
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot empty {}", home.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    if universal {
        build_universal(&args, &programs, &folder)?;
    } else {
        bundle(&args)?;
        for program in &programs {
            let file = format!("{program}{EXE_SUFFIX}");
            copy(&target_dir().join("release").join(&file), &folder.join(&file))?;
        }
    }
    copy(&vst3_bundle(), &folder.join("wisp.vst3"))?;
    copy(&clap_bundle(), &folder.join("wisp.clap"))?;
    copy(Path::new("packaging/presets"), &folder.join("presets"))?;
    sign(&folder, &programs)?;
    for paper in PAPERS {
        copy(Path::new(paper), &folder.join(paper))?;
    }
    let (licences, count) = licences::third_party(cargo_args)?;
    let file = folder.join("THIRD-PARTY-LICENSES.md");
    fs::write(&file, licences).with_context(|| format!("cannot write {}", file.display()))?;
    let ending = if cfg!(windows) { "ps1" } else { "sh" };
    for script in ["install", "uninstall"] {
        let script = format!("{script}.{ending}");
        copy(&Path::new("packaging").join(&script), &folder.join(&script))?;
    }

    let archive = pack(&home, &name)?;
    let size = fs::metadata(&archive).map_or(0, |metadata| metadata.len());
    println!("{}: {:.1} MB, licences of {count} packages", archive.display(), size as f64 / 1e6);
    if cfg!(unix) {
        try_archive(&archive, &name, &programs)?;
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

fn sign(folder: &Path, programs: &[&str]) -> Result<()> {
    let Some(identity) = std::env::var_os("CODESIGN_IDENTITY").filter(|_| OS == "macos") else {
        return Ok(());
    };
    for item in programs.iter().chain(&["wisp.vst3", "wisp.clap"]) {
        let mut codesign = Command::new("codesign");
        codesign.args(["--force", "--timestamp", "--options", "runtime", "--sign"]);
        run(codesign.arg(&identity).arg(folder.join(item)))?;
    }
    Ok(())
}

/// A zip where people expect one, else a compressed tar.
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

/// Unpacks, installs for an imaginary user, looks, and uninstalls.
fn try_archive(archive: &Path, name: &str, programs: &[&str]) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("wisp package {}", std::process::id()));
    let result = try_in(&scratch, archive, name, programs);
    let removed = fs::remove_dir_all(&scratch);
    result?;
    removed.with_context(|| format!("cannot remove {}", scratch.display()))
}

fn try_in(scratch: &Path, archive: &Path, name: &str, programs: &[&str]) -> Result<()> {
    // Names with blanks are where scripts fail first.
    let home = scratch.join("a home");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let mut unpack = Command::new(if OS == "macos" { "ditto" } else { "tar" });
    match OS {
        "macos" => unpack.args(["-x", "-k"]).arg(archive).arg(scratch),
        _ => unpack.arg("-xzf").arg(archive).arg("-C").arg(scratch),
    };
    run(&mut unpack)?;
    let script =
        |script: &str| run(Command::new(scratch.join(name).join(script)).env("HOME", &home));
    let (vst3, clap) = match OS {
        "macos" => ("Library/Audio/Plug-Ins/VST3", "Library/Audio/Plug-Ins/CLAP"),
        _ => (".vst3", ".clap"),
    };
    let mut installed = vec![
        (home.join(vst3).join("wisp.vst3"), bundled_dir().join("wisp.vst3")),
        (home.join(clap).join("wisp.clap"), bundled_dir().join("wisp.clap")),
    ];
    let presets = match OS {
        "macos" => "Library/Audio/Presets/Wisp/Wisp",
        _ => ".vst3/presets/Wisp/Wisp",
    };
    for preset in fs::read_dir("packaging/presets").context("cannot list the presets")? {
        let preset = preset.context("cannot list the presets")?;
        installed.push((home.join(presets).join(preset.file_name()), preset.path()));
    }
    for program in programs {
        let unpacked = scratch.join(name).join(program);
        installed.push((home.join(".local/bin").join(program), unpacked));
    }
    // The second time over what is there.
    for _ in 0..2 {
        script("install.sh")?;
        for (there, original) in &installed {
            // Signed ones differ from what was built.
            let signed = std::env::var_os("CODESIGN_IDENTITY").is_some();
            ensure!(there.exists(), "{} is missing after install.sh", there.display());
            ensure!(signed || same(there, original)?, "{} is not what was built", there.display());
        }
    }
    let wisp = home.join(".local/bin/wisp");
    ensure!(works(&wisp, "--version"), "{} does not start", wisp.display());
    let scanned = validate::scan(&home.join(vst3).join("wisp.vst3"), &home)?;
    println!("{}", scanned.unwrap_or_else(|| "not scanned: Ardour is not installed".into()));
    let mut keep = home.join(vst3);
    keep.push("another.vst3");
    fs::write(&keep, "another").with_context(|| format!("cannot write {}", keep.display()))?;
    script("uninstall.sh")?;
    for (there, _) in &installed {
        ensure!(!there.exists(), "{} is there after uninstall.sh", there.display());
    }
    ensure!(keep.exists(), "uninstall.sh removed {}", keep.display());
    println!("installed, started, uninstalled in a scratch home: {} items", installed.len());
    Ok(())
}

/// A file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let name = || format!("cannot copy {} to {}", from.display(), to.display());
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).with_context(name);
    }
    fs::create_dir_all(to).with_context(name)?;
    for entry in fs::read_dir(from).with_context(name)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Whether two files, or two folders, hold the same.
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
        crate::go_to_workspace().expect("workspace");
        let version = version().expect("a version");
        assert_eq!(version.split('.').count(), 3, "{version}");
    }
}
