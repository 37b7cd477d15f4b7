//! Makes a noisy clip, cleans it and draws it before and after.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wisp_testing::signals::{rms, si_sdr};

use crate::bundle::bundle_wisp;
use crate::files;
use crate::image::draw_spectrograms;
use crate::paths::{clap_bundle, command_line_program, release_program, target_dir, vst3_bundle};
use crate::synth::{resample, room};
use crate::tools::{cargo, install_packages, run, works};

pub(crate) const RATE: u32 = 48_000;
/// Level of the voice above the noise.
const SNR_DB: f64 = 4.0;
/// Package of the example that denoises a file.
const FILE_EXAMPLE: &str = "wisp-file";
const SENTENCES: [(&str, &str); 2] = [
    ("en-us", "This voice was recorded next to a loud fan, while somebody was typing."),
    ("en-gb+f3", "Wisp removes the noise, and keeps the voice."),
];

pub(crate) fn demo() -> Result<()> {
    install_speech()?;
    // The library alone comes first: the command line takes three times as long to build, the plugin longer still.
    println!("Building the denoiser …");
    run(&mut cargo(&["build", "--quiet", "--release", "-p", FILE_EXAMPLE]))?;
    println!("{}", make_clips(Denoiser::Example)?);
    println!("\nBuilding the command line and the plugin …");
    bundle_wisp()?;
    println!(
        "\nThe plugin for your DAW (README.md says where to put it):\n  {}\n  {}\n\
         The command-line program:\n  {}",
        vst3_bundle().display(),
        clap_bundle().display(),
        command_line_program().display()
    );
    Ok(())
}

/// Installs the speech synthesizer if it is missing.
fn install_speech() -> Result<()> {
    if works("espeak-ng", "--version") { Ok(()) } else { install_packages(&["espeak-ng"]) }
}

/// The program that cleans the clip. Both must have been built.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Denoiser {
    /// The library, through its example.
    Example,
    CommandLine,
}

/// Describes the files it makes.
pub(crate) fn make_clips(denoiser: Denoiser) -> Result<String> {
    install_speech()?;
    let folder = target_dir().join("demo");
    files::make(&folder)?;
    let at = |name: &str| folder.join(name);

    let voice = speak(&folder)?;
    let noisy = with_noise(&voice, SNR_DB);
    write(&at("voice.wav"), &voice)?;
    write(&at("noisy.wav"), &noisy)?;

    let mut command = match denoiser {
        Denoiser::Example => {
            let mut command = Command::new(release_program(FILE_EXAMPLE));
            command.arg(at("noisy.wav")).arg(at("clean.wav"));
            command
        }
        Denoiser::CommandLine => {
            let mut command = Command::new(command_line_program());
            command
                .arg(at("noisy.wav"))
                .arg("-o")
                .arg(at("clean.wav"))
                .args(["--force", "--quiet"]);
            command
        }
    };
    run(&mut command)?;
    let (cleaned, rate) = read(&at("clean.wav"))?;
    ensure!(
        rate == RATE && cleaned.len() == noisy.len(),
        "clean.wav has {} samples at {rate} Hz, expected {} at {RATE} Hz",
        cleaned.len(),
        noisy.len()
    );
    let removed: Vec<f32> = noisy.iter().zip(&cleaned).map(|(n, c)| n - c).collect();
    write(&at("removed.wav"), &removed)?;

    let picture = at("spectrogram.png");
    draw_spectrograms(&picture, &[("Before", &noisy), ("After", &cleaned)], RATE)?;
    let before = si_sdr(&voice, &noisy);
    let after = si_sdr(&voice, &cleaned);
    Ok(format!(
        "\nSI-SDR of the voice: {before:.1} dB before, {after:.1} dB after\n\n\
         Listen:\n  {}   as recorded\n  {}   cleaned, in Studio quality\n  {}   what was removed\n\
         Look:\n  {}",
        at("noisy.wav").display(),
        at("clean.wav").display(),
        at("removed.wav").display(),
        picture.display()
    ))
}

/// Makes a file in `folder` with some seconds of a voice near a fan.
pub(crate) fn noisy_clip(folder: &Path) -> Result<PathBuf> {
    install_speech()?;
    let file = folder.join("noisy.wav");
    write(&file, &with_noise(&speak(folder)?, 14.0))?;
    Ok(file)
}

/// The clean voice, and the same voice near a fan, also written to `noisy.wav` in `folder`.
pub(crate) fn noisy_voice(folder: &Path) -> Result<(Vec<f32>, Vec<f32>)> {
    install_speech()?;
    let voice = speak(folder)?;
    let file = folder.join("noisy.wav");
    write(&file, &with_noise(&voice, SNR_DB))?;
    Ok((voice, first_channel(&file)?))
}

fn with_noise(voice: &[f32], snr_db: f64) -> Vec<f32> {
    let noise = room(voice.len(), RATE);
    let gain = rms(voice) / rms(&noise) * 10f64.powf(-snr_db / 20.0);
    voice.iter().zip(noise).map(|(v, n)| v + gain as f32 * n).collect()
}

/// Two synthetic speakers, one after the other.
fn speak(folder: &Path) -> Result<Vec<f32>> {
    let pause = vec![0.0; RATE as usize / 2];
    let mut voice = pause.clone();
    for (speaker, sentence) in SENTENCES {
        let file = folder.join(format!("{speaker}.wav"));
        run(Command::new("espeak-ng")
            .args(["-v", speaker, "-s", "155", "-w"])
            .arg(&file)
            .arg(sentence))?;
        let (spoken, rate) = read(&file)?;
        let spoken = resample(&spoken, rate, RATE);
        let gain = 0.08 / rms(&spoken).max(1e-6) as f32;
        voice.extend(spoken.iter().map(|x| x * gain));
        voice.extend(&pause);
    }
    Ok(voice)
}

/// The first channel of a file at [`RATE`].
pub(crate) fn first_channel(path: &Path) -> Result<Vec<f32>> {
    let (samples, rate) = read(path)?;
    ensure!(rate == RATE, "{}: {rate} Hz, expected {RATE}", path.display());
    Ok(samples)
}

/// The first channel and the rate.
pub(crate) fn read(path: &Path) -> Result<(Vec<f32>, u32)> {
    let name = || format!("cannot read {}", path.display());
    let mut reader = hound::WavReader::open(path).with_context(name)?;
    let spec = reader.spec();
    let samples = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<Vec<_>, _>>(),
        hound::SampleFormat::Int => {
            let scale = 1.0 / (1u32 << (spec.bits_per_sample - 1)) as f32;
            reader.samples::<i32>().map(|x| x.map(|x| x as f32 * scale)).collect()
        }
    };
    let samples = samples.with_context(name)?;
    Ok((samples.into_iter().step_by(usize::from(spec.channels)).collect(), spec.sample_rate))
}

fn write(path: &Path, clip: &[f32]) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> hound::Result<()> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for &x in clip {
            writer.write_sample((32_767.0 * x.clamp(-1.0, 1.0)).round() as i16)?;
        }
        writer.finalize()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
