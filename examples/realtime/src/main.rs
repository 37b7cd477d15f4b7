//! Denoises the default microphone into the default output, live. Wear headphones.
//!
//! ```text
//! cargo run --release -p wisp-realtime
//! ```
//!
//! On Linux it needs ALSA's headers (`libasound2-dev`), so it is a package of its own.
use std::error::Error;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use wisp::{Controls, Engine, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let host = cpal::default_host();
    let microphone = host.default_input_device().ok_or("there is no microphone")?;
    let output = host.default_output_device().ok_or("there is no output")?;
    let config: cpal::StreamConfig = microphone.default_input_config()?.into();
    let (rate, channels) = (config.sample_rate, usize::from(config.channels));

    // Everything is allocated here, nothing in the callbacks.
    let mut engine = Engine::new(&Model::live(), rate, channels)?;
    let controls = Controls { reduction_db: 18.0, ..Controls::default() };
    let second = rate as usize * channels;
    let (mut to_output, mut from_input) = rtrb::RingBuffer::<f32>::new(second);
    let mut block = vec![0.0; 1024 * channels];
    // The devices have their own clocks and block sizes; 50 ms of buffer absorbs the difference.
    for _ in 0..second / 20 / channels * channels {
        to_output.push(0.0)?;
    }

    let denoise = move |input: &[f32], _: &cpal::InputCallbackInfo| {
        for input in input.chunks(block.len()) {
            let block = &mut block[..input.len()];
            block.copy_from_slice(input);
            engine.process_interleaved(&controls, block);
            // If the ring is full, the output has stalled: drop whole frames.
            if to_output.slots() >= block.len() {
                for &mut y in block {
                    let _ = to_output.push(y); // cannot fail: there is room
                }
            }
        }
    };
    let play = move |output: &mut [f32], _: &cpal::OutputCallbackInfo| {
        output.iter_mut().for_each(|y| *y = from_input.pop().unwrap_or(0.0));
    };
    let failed = |error| eprintln!("the stream failed: {error}");
    let input = microphone.build_input_stream(config, denoise, failed, None)?;
    let output = output.build_output_stream(config, play, failed, None)?;
    input.play()?;
    output.play()?;

    println!("{rate} Hz, {channels} channels. Enter ends.");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
