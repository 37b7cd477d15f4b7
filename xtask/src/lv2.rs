//! The LADSPA and LV2 plugins.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::files::{self, copy};
use crate::paths::{Profile, absolute, target_dir};
use crate::reference::{LIVE, Reference, has_weights, pipe};
use crate::tools::{NOTE, cargo, output_of, run};

const PACKAGE: &str = "wisp-lv2";
/// The bundle's files besides the library.
const BUNDLE: &str = "crates/lv2/bundle";
/// Where Debian puts LV2's own descriptions, against which ours is validated.
const SPECIFICATIONS: &str = "/usr/lib/lv2";
const PLUGINS: [(u32, &str); 2] = [(1, "mono"), (2, "stereo")];

/// The LV2 bundle.
pub(crate) fn lv2_bundle(profile: Profile) -> PathBuf {
    profile.home().join("lv2").join("wisp.lv2")
}

/// The same library under a name of its own, for a folder with other LADSPA plugins.
pub(crate) fn ladspa_library(profile: Profile) -> PathBuf {
    profile.home().join("ladspa").join(format!("wisp_ladspa{}", std::env::consts::DLL_SUFFIX))
}

/// Builds [`lv2_bundle`] and [`ladspa_library`].
pub(crate) fn build(profile: Profile) -> Result<()> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    run(&mut cargo(&["build", "--profile", profile.name(), "-p", PACKAGE]))?;
    let home = profile.home().join("lv2");
    let other = profile.home().join("ladspa");
    for folder in [&home, &other] {
        files::make_empty(folder)?;
    }
    copy(Path::new(BUNDLE), &lv2_bundle(profile))?;
    let built = profile.built().join(format!("{DLL_PREFIX}wisp_lv2{DLL_SUFFIX}"));
    let binary = format!("wisp{DLL_SUFFIX}");
    copy(&built, &lv2_bundle(profile).join(&binary))?;
    copy(&built, &ladspa_library(profile))?;
    let manifest = lv2_bundle(profile).join("manifest.ttl");
    let name = || format!("cannot write {}", manifest.display());
    let text = fs::read_to_string(&manifest).with_context(name)?;
    fs::write(&manifest, text.replace("<wisp.so>", &format!("<{binary}>"))).with_context(name)?;
    println!("{}\n{}", lv2_bundle(profile).display(), ladspa_library(profile).display());
    Ok(())
}

/// Runs the formats' own tools on the plugins, and compares ffmpeg's output through them with the command line's.
pub(crate) fn test(reference: &Reference) -> Result<()> {
    build(Profile::Dev)?;
    has_weights(&ladspa_library(Profile::Dev), &["live"])?;
    if cfg!(not(target_os = "linux")) {
        println!("{NOTE}LADSPA and LV2 were not tried: their hosts are on Linux");
        return Ok(());
    }
    ladspa(reference)?;
    lv2(reference)
}

fn ladspa(reference: &Reference) -> Result<()> {
    let library = absolute(ladspa_library(Profile::Dev))?;
    let text = output_of(Command::new("analyseplugin").arg(&library))?;
    for words in [
        "\"wisp_mono\"",
        "\"wisp_stereo\"",
        "Environment: Normal or Hard Real-Time",
        "\"Reduction (dB)\" input, control, 0 to 96, default 24",
        "\"Bypass\" input, control, toggled, default 0",
        "\"latency\" output, control",
    ] {
        ensure!(text.contains(words), "analyseplugin does not say {words} but:\n{text}");
    }
    let folder = library.parent().unwrap_or(Path::new("."));
    for (channels, name) in PLUGINS {
        // The defaults, then every control: reduction, sensitivity, ambience, output, listen.
        for (rate, controls, options) in [
            (48_000, "", &[LIVE][..]),
            (
                44_100,
                ":c=18|6|5|0|0",
                &[LIVE, "--reduction", "18", "--sensitivity", "6", "--ambience", "5%"][..],
            ),
        ] {
            let filter = format!("ladspa=file=wisp_ladspa:plugin=wisp_{name}{controls}:latency=1");
            let mut ffmpeg = ffmpeg(rate, channels, &filter);
            ffmpeg.env("LADSPA_PATH", folder);
            let output = pipe(&mut ffmpeg, &reference.input(channels)?)?;
            reference.hold("LADSPA in ffmpeg", rate, channels, options, &output)?;
        }
    }
    applied(&library)
}

/// `applyplugin`, another host: 16 bits, and no compensation for the latency.
fn applied(library: &Path) -> Result<()> {
    let folder = target_dir().join("reference");
    let (noisy, out) = (folder.join("noisy.wav"), folder.join("applied.wav"));
    let mut apply = Command::new("applyplugin");
    apply.arg(&noisy).arg(&out).arg(library).args(["wisp_mono", "0", "0", "0", "0", "0", "0"]);
    run(&mut apply)?;
    // At reduction 0 the output is the delayed input.
    let (before, rate) = crate::demo::read(&noisy)?;
    let (after, _) = crate::demo::read(&out)?;
    let latency = rate as usize / 50;
    let kept = before.len().min(after.len());
    ensure!(kept > latency, "applyplugin made {} samples of {}", after.len(), before.len());
    let same = before.iter().zip(&after[latency..kept]);
    let apart = same.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    ensure!(apart < 1.5 / 32_768.0, "applyplugin at a reduction of 0 dB: {apart} from the input");
    Ok(())
}

fn lv2(reference: &Reference) -> Result<()> {
    let bundle = absolute(lv2_bundle(Profile::Dev))?;
    let home = bundle.parent().unwrap_or(Path::new("."));
    let mut validate = Command::new("sord_validate");
    for folder in ["core", "port-groups", "port-props", "presets", "schemas", "units"] {
        let folder = Path::new(SPECIFICATIONS).join(format!("{folder}.lv2"));
        validate.args(turtle_files(&folder)?);
    }
    validate.args(turtle_files(&bundle)?);
    run(&mut validate)?;
    for (channels, name) in PLUGINS {
        let uri = format!("https://wisp.audio/lv2/{name}");
        let mut info = Command::new("lv2info");
        let path = format!("{}:{SPECIFICATIONS}", home.display());
        let text = output_of(info.arg(&uri).env("LV2_PATH", &path))?;
        for words in ["Has latency:       yes, reported by port", "Podcast", "Full", "enabled"] {
            ensure!(text.contains(words), "lv2info {uri} does not say {words:?} but:\n{text}");
        }
        let uri = uri.replace(':', "\\:");
        for (rate, latency, controls, options) in [
            (48_000, 960, "", &[LIVE][..]),
            (
                44_100,
                882,
                ":c=reduction=61|listen=1",
                &[LIVE, "--reduction", "full", "--removed"][..],
            ),
        ] {
            // ffmpeg does not compensate here.
            let filter = format!(
                "apad=pad_len={latency},lv2=p='{uri}'{controls},atrim=start_sample={latency}"
            );
            let mut ffmpeg = ffmpeg(rate, channels, &filter);
            let output = pipe(ffmpeg.env("LV2_PATH", &path), &reference.input(channels)?)?;
            reference.hold("LV2 in ffmpeg", rate, channels, options, &output)?;
        }
    }
    Ok(())
}

fn turtle_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(name)? {
        let path = entry.with_context(name)?.path();
        if path.extension().is_some_and(|extension| extension == "ttl") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Raw samples through a filter.
fn ffmpeg(rate: u32, channels: u32, filter: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "f32le", "-ar", &rate.to_string()]);
    command.args(["-ac", &channels.to_string(), "-i", "-", "-af", filter, "-f", "f32le", "-"]);
    command
}
