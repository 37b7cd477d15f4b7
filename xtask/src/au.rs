//! The Audio Unit, a bundle that only macOS has.
//!
//! Its library is the plugin's with the feature `au`, built on its own: the C++ in it runs code as soon as it is loaded, and a host
//! that loads two libraries with the same Objective-C classes gets the view of either.
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::bundle::{profile_dir, sign_locally, version};
use crate::files::{self, copy};
use crate::paths::{NAME, PACKAGE, component};
use crate::tools::{cargo, run};

/// Asks for it, among the arguments for cargo.
const OPTION: &str = "--au";
/// The feature that adds the entry point.
pub(crate) const FEATURES: [&str; 2] = ["--features", "au"];
/// The crate clap-wrapper compiles its C++ with assertions, and one of them would end a host for a flag that it may set.
const NO_ASSERTIONS: &str = "-DNDEBUG";
/// The entry point that clap-wrapper exports.
const FACTORY: &str = "GetPluginFactoryAUV2";

/// By these three codes hosts know an Audio Unit, and sessions find it again: an effect, which one, and from whom.
const TYPE: &str = "aufx";
const SUBTYPE: &str = "Deno";
const MANUFACTURER: &str = "Wisp";

/// Whether the Audio Unit is asked for, and the other arguments.
pub(crate) fn asked(args: &[String]) -> Result<(bool, Vec<String>)> {
    let others: Vec<String> = args.iter().filter(|arg| *arg != OPTION).cloned().collect();
    let asked = others.len() < args.len();
    ensure!(!asked || cfg!(target_os = "macos"), "Audio Units can only be built on macOS");
    Ok((asked, others))
}

/// Builds it for some targets, or for this system if there are none, and bundles it.
pub(crate) fn bundle(cargo_args: &[String], targets: &[&str]) -> Result<()> {
    let mut args = cargo_args.to_vec();
    args.push("--lib".to_owned());
    args.extend(FEATURES.map(str::to_owned));
    let with = |target: &&str| [&args[..], &["--target".to_owned(), (*target).to_owned()]].concat();
    let mut builds: Vec<Vec<String>> = targets.iter().map(with).collect();
    if builds.is_empty() {
        builds.push(args);
    }
    for args in &builds {
        let mut build = cargo(&["build", "-p", PACKAGE]);
        run(build.args(args).env("CXXFLAGS", NO_ASSERTIONS))?;
    }
    files::make_empty(&component())?;
    let contents = component().join("Contents");
    let programs = contents.join("MacOS");
    files::make(&programs)?;
    let built = |args: &Vec<String>| profile_dir(args).join(format!("lib{NAME}.dylib"));
    let library = programs.join(NAME);
    match &builds[..] {
        [args] => copy(&built(args), &library)?,
        _ => {
            let mut lipo = Command::new("lipo");
            lipo.arg("-create").args(builds.iter().map(built));
            run(lipo.arg("-output").arg(&library))?;
        }
    }
    for (name, text) in [("Info.plist", description(&version()?)?), ("PkgInfo", "BNDL????".into())]
    {
        files::write(&contents.join(name), &text)?;
    }
    sign_locally(&component())?;
    eprintln!("Created an Audio Unit at '{}'", component().display());
    Ok(())
}

/// The bundle's Info.plist, by which macOS finds the Audio Unit without loading it.
fn description(version: &str) -> Result<String> {
    let number = number(version)?;
    Ok(format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
    <key>CFBundleDevelopmentRegion</key>
    <string>en</string>
    <key>CFBundleExecutable</key>
    <string>{NAME}</string>
    <key>CFBundleIdentifier</key>
    <string>audio.wisp.denoiser.component</string>
    <key>CFBundleInfoDictionaryVersion</key>
    <string>6.0</string>
    <key>CFBundleName</key>
    <string>Wisp</string>
    <key>CFBundlePackageType</key>
    <string>BNDL</string>
    <key>CFBundleShortVersionString</key>
    <string>{version}</string>
    <key>CFBundleSignature</key>
    <string>????</string>
    <key>CFBundleVersion</key>
    <string>{version}</string>
    <key>NSHighResolutionCapable</key>
    <true/>
    <key>AudioComponents</key>
    <array>
        <dict>
            <key>type</key>
            <string>{TYPE}</string>
            <key>subtype</key>
            <string>{SUBTYPE}</string>
            <key>manufacturer</key>
            <string>{MANUFACTURER}</string>
            <key>name</key>
            <string>Wisp: Wisp</string>
            <key>description</key>
            <string>Removes noise from a voice in real time</string>
            <key>version</key>
            <integer>{number}</integer>
            <key>factoryFunction</key>
            <string>{FACTORY}</string>
            <key>sandboxSafe</key>
            <true/>
        </dict>
    </array>
</dict>
</plist>
"#
    ))
}

/// A version as Audio Units number theirs: 16 bits, then twice 8.
fn number(version: &str) -> Result<u32> {
    let whole = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = whole.split('.').collect();
    let [major, minor, patch] = parts[..] else {
        bail!("{version} is not a version of three numbers");
    };
    let name = || format!("{version} does not fit into the number of an Audio Unit");
    let major: u16 = major.parse().with_context(name)?;
    let minor: u8 = minor.parse().with_context(name)?;
    let patch: u8 = patch.parse().with_context(name)?;
    Ok(u32::from(major) << 16 | u32::from(minor) << 8 | u32::from(patch))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The texts of a plist by their keys, empty for true and false; fails if it is not well formed.
    fn entries(plist: &str) -> Vec<(String, String)> {
        let (mut open, mut entries, mut key) = (Vec::new(), Vec::new(), "");
        let mut pieces = plist.split('<');
        assert_eq!(pieces.next(), Some(""), "text before the first tag");
        for piece in pieces {
            let (tag, text) = piece.split_once('>').expect("a tag that ends");
            assert!(!text.contains('>') && !text.contains('&'), "{text}");
            let name = tag.split(' ').next().unwrap_or_default();
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.starts_with(['?', '!']) && !tag.ends_with('/') {
                open.push(name);
            }
            match name {
                "key" => key = text,
                "string" | "integer" | "true/" => entries.push((key.into(), text.trim().into())),
                _ => assert_eq!(text.trim(), "", "text that belongs to no key"),
            }
        }
        assert_eq!(open, [""; 0], "tags that do not end");
        entries
    }

    #[test]
    fn the_description_names_what_hosts_look_for() {
        let entries = entries(&description("1.2.3").expect("a description"));
        let value = |key: &str| {
            let mut found = entries.iter().filter(|(name, _)| name == key);
            let value = found.next().unwrap_or_else(|| panic!("no {key}")).1.as_str();
            assert_eq!(found.next(), None, "{key} twice");
            value
        };
        for code in [TYPE, SUBTYPE, MANUFACTURER] {
            assert!(code.len() == 4 && code.is_ascii(), "{code}");
        }
        // Apple keeps codes without a capital to itself.
        assert!(MANUFACTURER.contains(|letter: char| letter.is_ascii_uppercase()));
        for (key, expected) in [
            ("CFBundleExecutable", NAME),
            ("CFBundlePackageType", "BNDL"),
            ("CFBundleVersion", "1.2.3"),
            ("CFBundleShortVersionString", "1.2.3"),
            ("type", TYPE),
            ("subtype", SUBTYPE),
            ("manufacturer", MANUFACTURER),
            ("name", "Wisp: Wisp"),
            ("version", "66051"), // 0x010203
            ("factoryFunction", FACTORY),
            ("sandboxSafe", ""),
        ] {
            assert_eq!(value(key), expected, "{key}");
        }
    }

    #[test]
    fn versions_become_numbers() {
        for (version, expected) in
            [("0.1.0", 0x100), ("1.0.0-rc.1", 0x1_0000), ("2.10.255", 0x2_0aff)]
        {
            assert_eq!(number(version).expect("a number"), expected, "{version}");
        }
        for version in ["", "1", "1.2", "1.2.3.4", "1.256.0", "1.2.x"] {
            assert!(number(version).is_err(), "{version}");
        }
        crate::paths::go_to_workspace().expect("the workspace");
        assert!(number(&version().expect("a version")).is_ok());
    }

    #[test]
    fn it_is_asked_for_among_other_arguments() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            asked(&args("wisp --release")).expect("no question"),
            (false, args("wisp --release"))
        );
        let expected = match cfg!(target_os = "macos") {
            true => Ok((true, args("wisp --release"))),
            false => Err("Audio Units can only be built on macOS".to_owned()),
        };
        let found = asked(&args("wisp --au --release")).map_err(|error| error.to_string());
        assert_eq!(found, expected);
    }

    #[test]
    fn the_workflow_validates_this_audio_unit() {
        crate::paths::go_to_workspace().expect("the workspace");
        let workflow =
            files::read_text(Path::new(".github/workflows/ci.yml")).expect("the workflow");
        let validate = format!("auval -v {TYPE} {SUBTYPE} {MANUFACTURER}");
        assert!(workflow.lines().any(|line| line.ends_with(&validate)), "no {validate}");
    }
}
