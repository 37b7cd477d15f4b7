//! Denoises a WAV file, in Studio quality. The result is as long as the input and aligned with it.
//!
//! ```text
//! cargo run --release -p wisp-file -- noisy.wav clean.wav
//! ```
use std::error::Error;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use wisp::{Controls, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: wisp-file INPUT.wav OUTPUT.wav".into());
    };
    let mut reader = WavReader::open(input)?;
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>()?,
        SampleFormat::Int => {
            let scale = 0.5f32.powi(i32::from(spec.bits_per_sample) - 1);
            let samples = reader.samples::<i32>().map(|x| x.map(|x| x as f32 * scale));
            samples.collect::<Result<_, _>>()?
        }
    };
    let count = usize::from(spec.channels);
    let mut channels: Vec<Vec<f32>> =
        (0..count).map(|c| samples.iter().skip(c).step_by(count).copied().collect()).collect();

    wisp::denoise(&Model::studio(), &Controls::default(), spec.sample_rate, &mut channels)?;

    let float = WavSpec { bits_per_sample: 32, sample_format: SampleFormat::Float, ..spec };
    let mut writer = WavWriter::create(output, float)?;
    for i in 0..channels.first().map_or(0, Vec::len) {
        for channel in &channels {
            writer.write_sample(channel[i])?;
        }
    }
    Ok(writer.finalize()?)
}
