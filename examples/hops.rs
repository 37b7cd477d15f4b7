//! Time per hop of networks from weights files: one thread, mono, medians of interleaved rounds.
//!
//! ```text
//! cargo run --release --no-default-features --example hops -- 48000 bundled/live.safetensors other.safetensors
//! ```
//!
//! Prints one JSON object per file, in order.
use std::error::Error;

use cpu_time::ThreadTime;
use wisp::{Controls, Engine, Model};
use wisp_testing::Random;

const ROUNDS: usize = 31;
const HOPS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rate: u32 = arguments.next().ok_or("usage: hops RATE FILE...")?.parse()?;
    let files: Vec<String> = arguments.collect();
    let mut engines = Vec::new();
    for file in &files {
        engines.push(Engine::new(&Model::from_file(file)?, rate, 1)?);
    }
    let hop = (rate / 100) as usize;
    let mut random = Random(1);
    let noise: Vec<f32> = (0..HOPS * hop).map(|_| 0.1 * random.sample()).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); files.len()];
    for _ in 0..ROUNDS {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            let mut audio = noise.clone();
            let start = ThreadTime::now();
            for block in audio.chunks_mut(hop) {
                engine.process(&Controls::default(), &mut [block]);
            }
            times.push(start.elapsed().as_secs_f64() * 1e6 / HOPS as f64);
        }
    }
    for (file, mut times) in files.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        println!("{}", serde_json::json!({ "weights": file, "microseconds": times[ROUNDS / 2] }));
    }
    Ok(())
}
