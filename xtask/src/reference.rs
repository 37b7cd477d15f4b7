//! The command line's output for a noisy voice, which everything else built on the engine must match.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bundle::bundle_wisp;
use crate::demo::{noisy_clip, read};
use crate::files;
use crate::paths::{command_line_program, target_dir};
use crate::tools::NOTE;

/// Largest difference to the command line, dB relative to its output.
const LARGEST_DB: f64 = -110.0;

/// Makes the command line use the real-time quality.
pub(crate) const LIVE: &str = "--quality=live";

/// Raw 32-bit float samples, interleaved.
pub(crate) struct Reference {
    folder: PathBuf,
    voice: Vec<f32>,
}

impl Reference {
    /// Makes the voice; builds the command line if needed.
    pub(crate) fn new() -> Result<Self> {
        if !command_line_program().exists() {
            bundle_wisp()?;
        }
        let folder = target_dir().join("reference");
        files::make(&folder)?;
        let (voice, _) = read(&noisy_clip(&folder)?)?;
        Ok(Self { folder, voice })
    }

    /// The noisy voice as a WAV file.
    pub(crate) fn clip(&self) -> PathBuf {
        self.folder.join("noisy.wav")
    }

    /// A file with the noisy voice; in stereo it is later and quieter on the right.
    pub(crate) fn input(&self, channels: u32) -> Result<PathBuf> {
        const LATER: usize = 30;
        let samples: Vec<f32> = match channels {
            1 => self.voice.clone(),
            _ => (0..self.voice.len())
                .flat_map(|n| [self.voice[n], 0.7 * self.voice[n.saturating_sub(LATER)]])
                .collect(),
        };
        let path = self.folder.join(format!("noisy-{channels}.f32"));
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        files::write(&path, bytes)?;
        Ok(path)
    }

    /// Compares the output of `name` for [`Self::input`] with the command line's, and reports the difference.
    pub(crate) fn hold(
        &self,
        name: &str,
        rate: u32,
        channels: u32,
        options: &[&str],
        output: &[u8],
    ) -> Result<()> {
        let mut wisp = Command::new(command_line_program());
        wisp.arg("-").args(["-o", "-", "--quiet", "--output-format", "raw", "--raw-input"]);
        wisp.arg(format!("{rate}:{channels}:f32")).args(options);
        let expected = samples(&pipe(&mut wisp, &self.input(channels)?)?);
        let db = difference_db(&samples(output), &expected).with_context(|| name.to_owned())?;
        println!(
            "{NOTE}{name}, {channels} channels at {rate} Hz: {db:.0} dB from the command line"
        );
        ensure!(
            db <= LARGEST_DB,
            "{name}: {db:.1} dB from the command line, expected {LARGEST_DB}"
        );
        Ok(())
    }
}

/// A program's output for a file on its standard input.
pub(crate) fn pipe(command: &mut Command, input: &Path) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = fs::File::open(input).with_context(|| format!("cannot read {}", input.display()))?;
    let output = command
        .stdin(file)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(output.status.success(), "{name} ended with {}", output.status);
    Ok(output.stdout)
}

/// Fails unless a binary contains exactly the weights of these qualities, as in `bundled`.
pub(crate) fn has_weights(binary: &Path, qualities: &[&str]) -> Result<()> {
    /// Bytes by which a file is recognised.
    const PART: usize = 64;
    let content = files::read(binary)?;
    for quality in ["live", "studio"] {
        let weights = files::read(&Path::new("bundled").join(format!("{quality}.safetensors")))?;
        let part = &weights[weights.len() / 2..][..PART];
        let found = content.windows(PART).any(|window| window == part);
        let (name, words) = (binary.display(), if found { "contains" } else { "lacks" });
        ensure!(found == qualities.contains(&quality), "{name} {words} the weights of {quality}");
    }
    Ok(())
}

pub(crate) fn samples(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// Power of the difference relative to `expected`.
pub(crate) fn difference_db(got: &[f32], expected: &[f32]) -> Result<f64> {
    ensure!(got.len() == expected.len(), "{} samples, expected {}", got.len(), expected.len());
    let power = |samples: &mut dyn Iterator<Item = f64>| samples.map(|x| x * x).sum::<f64>();
    let signal = power(&mut expected.iter().map(|&x| f64::from(x)));
    ensure!(signal > 0.0 && signal.is_finite(), "the command line's output is silent");
    let differences = got.iter().zip(expected).map(|(&a, &b)| f64::from(a) - f64::from(b));
    let ratio = power(&mut { differences }) / signal;
    Ok(if ratio == 0.0 { f64::NEG_INFINITY } else { 10.0 * ratio.log10() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_command_line() {
        let near = |x: Option<f64>, y: f64| x.is_some_and(|x| (x - y).abs() < 1e-3);
        assert_eq!(difference_db(&[0.5, -0.5], &[0.5, -0.5]).ok(), Some(f64::NEG_INFINITY));
        assert!(near(difference_db(&[0.55, 0.5], &[0.5, 0.5]).ok(), -23.0103));
        assert!(difference_db(&[f32::NAN], &[0.5]).is_ok_and(f64::is_nan));
        assert!(difference_db(&[0.5], &[0.5, 0.5]).is_err());
        assert!(difference_db(&[0.0], &[0.0]).is_err());
    }
}
