//! The C library: header, shared and static library, pkg-config file.
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bundle::version;
use crate::files;
use crate::paths::{Profile, absolute};
use crate::reference::{Reference, pipe};
use crate::tools::{NOTE, cargo, run};

const PACKAGE: &str = "wisp-capi";
/// The package's folder.
const SOURCE: &str = "crates/capi";
/// System libraries that a program needs if it links the static library.
const SYSTEM: &str = if cfg!(target_os = "macos") { "-liconv -lm" } else { "-lpthread -ldl -lm" };

/// Builds the library into a folder that can be copied anywhere; returns the folder.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    run(&mut cargo(&["build", "--profile", profile.name(), "-p", PACKAGE]))?;
    let home = profile.home().join("capi");
    files::make_empty(&home)?;
    let put = |from: PathBuf, folder: &str, name: &str| -> Result<()> {
        let folder = home.join(folder);
        files::make(&folder)?;
        files::copy(&from, &folder.join(name))
    };
    let built = profile.built();
    put(Path::new(SOURCE).join("include/wisp.h"), "include", "wisp.h")?;
    put(Path::new(SOURCE).join("examples/denoise.c"), "share/doc/wisp", "denoise.c")?;
    put(Path::new(SOURCE).join("README.md"), "share/doc/wisp", "README.md")?;
    let version = version()?;
    let major = version.split('.').next().unwrap_or_default();
    if cfg!(windows) {
        put(built.join("wisp_capi.dll"), "bin", "wisp_capi.dll")?;
        put(built.join("wisp_capi.dll.lib"), "lib", "wisp.lib")?;
        put(built.join("wisp_capi.lib"), "lib", "wisp_static.lib")?;
    } else {
        let (name, plain) = if cfg!(target_os = "macos") {
            (format!("libwisp.{major}.dylib"), "libwisp.dylib")
        } else {
            (format!("libwisp.so.{major}"), "libwisp.so")
        };
        let extension = Path::new(plain).extension().unwrap_or(OsStr::new("so"));
        put(built.join("libwisp_capi").with_extension(extension), "lib", &name)?;
        link(&name, &home.join("lib").join(plain))?;
        put(built.join("libwisp_capi.a"), "lib", "libwisp.a")?;
    }
    let file = home.join("lib/pkgconfig/wisp.pc");
    fs::create_dir_all(home.join("lib/pkgconfig")).context("cannot make lib/pkgconfig")?;
    let text = format!(
        "prefix=${{pcfiledir}}/../..\nincludedir=${{prefix}}/include\nlibdir=${{prefix}}/lib\n\n\
         Name: wisp\nDescription: Real-time voice denoiser\nVersion: {version}\n\
         Cflags: -I${{includedir}}\nLibs: -L${{libdir}} -lwisp\nLibs.private: {SYSTEM}\n"
    );
    files::write(&file, text)?;
    println!("{}", home.display());
    Ok(home)
}

#[cfg(unix)]
fn link(name: &str, at: &Path) -> Result<()> {
    std::os::unix::fs::symlink(name, at).with_context(|| format!("cannot make {}", at.display()))
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> Result<()> {
    Ok(())
}

/// Compares the C example, linked to the shared and the static library, with the command line.
pub(crate) fn test(reference: &Reference) -> Result<()> {
    let home = absolute(build(Profile::Dev)?)?;
    if !cfg!(unix) {
        println!("{NOTE}the example in C was not run: it is built by cc and pkg-config");
        return Ok(());
    }
    let header = home.join("include/wisp.h");
    for (compiler, language) in [("cc", ["-std=c99", "-xc"]), ("c++", ["-std=c++11", "-xc++"])] {
        let strict = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"];
        run(Command::new(compiler).args(strict).args(language).arg(&header))?;
    }
    let flags = |args: &[&str]| -> Result<Vec<String>> {
        let output = Command::new("pkg-config")
            .args(args)
            .arg("wisp")
            .env("PKG_CONFIG_PATH", home.join("lib/pkgconfig"))
            .output()
            .context("cannot run pkg-config")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pkg-config ended with {}: {error}", output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.split_whitespace().map(str::to_owned).collect())
    };
    let shared = flags(&["--cflags", "--libs"])?;
    // By file name, because the linker prefers the shared library.
    let mut whole = flags(&["--static", "--cflags", "--libs"])?;
    let archive = home.join("lib/libwisp.a").to_string_lossy().into_owned();
    whole.iter_mut().filter(|flag| *flag == "-lwisp").for_each(|flag| *flag = archive.clone());
    for (name, flags) in [("shared", shared), ("static", whole)] {
        let program = home.join(format!("denoise-{name}"));
        let mut compile = Command::new("cc");
        compile.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2"]);
        run(compile
            .arg(Path::new(SOURCE).join("examples/denoise.c"))
            .arg("-o")
            .arg(&program)
            .args(flags))?;
        for (rate, channels, more, options) in [
            (48_000_u32, 1, &[][..], &[][..]),
            (44_100, 2, &["18", "live"], &["--reduction=18", "--quality=live"]),
            (11_025, 2, &["24", "studio"], &["--quality=studio"]),
        ] {
            let mut example = Command::new(&program);
            example.args([rate.to_string(), channels.to_string()]).args(more);
            example
                .env("LD_LIBRARY_PATH", home.join("lib"))
                .env("DYLD_LIBRARY_PATH", home.join("lib"));
            let output = pipe(&mut example, &reference.input(channels)?)?;
            reference.hold(&format!("C, {name} library"), rate, channels, options, &output)?;
        }
        fs::remove_file(&program)
            .with_context(|| format!("cannot remove {}", program.display()))?;
    }
    let text = fs::read_to_string(home.join("lib/pkgconfig/wisp.pc"))?;
    ensure!(text.contains(&format!("Version: {}", version()?)), "wisp.pc has another version");
    Ok(())
}
