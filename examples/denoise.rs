//! Denoises raw 32-bit float samples from standard input to standard output, mono, at the rate given (48000 without).
//!
//! ```text
//! sox noisy.wav -t f32 -r 48000 -c 1 - | cargo run --release --no-default-features --example denoise \
//!     | sox -t f32 -r 48000 -c 1 - clean.wav
//! ```
use std::error::Error;
use std::io::{Read, Write};

use wisp::{Controls, Dccrn, Engine};

fn main() -> Result<(), Box<dyn Error>> {
    let rate = std::env::args().nth(1).map_or(Ok(48_000), |rate| rate.parse())?;
    let mut engine = Engine::new(Dccrn::bundled(), rate, 1)?;
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let mut audio: Vec<f32> =
        bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    // The result comes late by the latency: so much silence after the input brings all of it out.
    let latency = engine.latency_samples();
    audio.resize(audio.len() + latency, 0.0);
    engine.process(&Controls::default(), &mut [&mut audio]);
    for sample in &audio[latency..] {
        output.write_all(&sample.to_le_bytes())?;
    }
    Ok(())
}
