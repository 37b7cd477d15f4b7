//! Denoises a stream: raw 32-bit float samples, mono, from standard input to standard output, in pieces of any size.
//!
//! ```text
//! ffmpeg -i noisy.wav -f f32le -ac 1 -ar 48000 - | cargo run --release --no-default-features --example streaming \
//!     | ffplay -f f32le -ar 48000 -
//! ```
//!
//! The sample rate is the first argument (default 48000). The output is delayed by the engine's latency, as in a call; see
//! `examples/file/src/main.rs` for an aligned result.
use std::error::Error;
use std::io::{Read, Write};

use wisp::{Controls, Engine, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let rate = std::env::args().nth(1).map_or(Ok(48_000), |rate| rate.parse())?;
    let mut engine = Engine::new(&Model::live(), rate, 1)?;
    eprintln!("{} samples late", engine.latency_samples());
    let controls = Controls { reduction_db: 18.0, ..Controls::default() };

    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut bytes = vec![0; 4096];
    let mut held = 0; // bytes of an incomplete sample
    loop {
        let read = input.read(&mut bytes[held..])?;
        if read == 0 {
            return Ok(());
        }
        let (samples, rest) = bytes[..held + read].as_chunks_mut::<4>();
        // Any number of samples: the engine collects its own frames.
        let mut block: Vec<f32> = samples.iter().map(|&b| f32::from_le_bytes(b)).collect();
        engine.process(&controls, &mut [&mut block]);
        samples.iter_mut().zip(&block).for_each(|(bytes, y)| *bytes = y.to_le_bytes());
        output.write_all(samples.as_flattened())?;
        output.flush()?;
        held = rest.len();
        let whole = 4 * block.len();
        bytes.copy_within(whole..whole + held, 0);
    }
}
