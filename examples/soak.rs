//! Runs hours of audio through an engine of each quality, faster than real time, with randomly changing settings.
//!
//! ```text
//! cargo xtask soak --hours 24
//! ```
//!
//! Fails if the output is not finite or too loud, if the sound drifts against the input, if memory grows, or if the end
//! takes much longer than the beginning.
use std::error::Error;
use std::time::Instant;

use cpu_time::ThreadTime;
use wisp::{Controls, Engine, Listen, Model, Quality, Stereo};
use wisp_testing::Random;

const RATE: u32 = 48_000;
/// Samples between measurements: one minute.
const STRETCH: usize = 60 * RATE as usize;
/// Twelve times the loudest possible output with the gains used here.
const BOUND: f32 = 64.0 * 10.0 * 64.0;
/// Allowed memory growth after the first stretch, KiB.
const GROWTH: u64 = 2048;
/// How much more processor time the last quarter may take than the first, as other programs share the caches.
const SLOWER: f64 = 3.0;

fn main() -> Result<(), Box<dyn Error>> {
    let hours: f64 = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|_| "give a number of hours")?,
        None => 0.1,
    };
    // Minutes of each quality, in turn.
    let stretches = ((hours * 30.0).ceil() as usize).max(4);
    let start = Instant::now();
    let mut soaks = [Soak::new(Quality::Live)?, Soak::new(Quality::Studio)?];
    let mut memory = Vec::with_capacity(stretches);
    for _ in 0..stretches {
        for soak in &mut soaks {
            soak.stretch()?;
        }
        memory.push(resident());
        for soak in &mut soaks {
            soak.side_engine()?;
        }
    }
    println!(
        "{:.2} h of audio in {:.0} s",
        (soaks.len() * stretches) as f64 / 60.0,
        start.elapsed().as_secs_f64()
    );
    let quarter = (stretches / 4).max(1);
    for soak in &soaks {
        let times = &soak.times;
        let (first, last) = (median(&times[..quarter]), median(&times[stretches - quarter..]));
        println!(
            "{:?}: {} blocks, {} changes, {} samples checked to the bit, {} side engines; per hop, stereo: {first:.1} µs in \
             the first quarter, {last:.1} µs in the last",
            soak.quality, soak.blocks, soak.changes, soak.checked, soak.side_engines,
        );
        if last > SLOWER * first {
            let (quality, end) = (soak.quality, "at the end");
            return Err(
                format!("{quality:?}: {last:.1} µs per hop {end}, {first:.1} before").into()
            );
        }
    }
    if let (Some(Some(begin)), Some(Some(end))) = (memory.get(1), memory.last()) {
        println!("memory: {begin} KiB after four minutes, {end} KiB at the end");
        if *end > begin + GROWTH {
            return Err(format!("memory grew by {} KiB", end - begin).into());
        }
    }
    Ok(())
}

struct Soak {
    quality: Quality,
    engine: Engine,
    random: Random,
    controls: Controls,
    /// Loops of different lengths, so that their sum does not repeat.
    loops: [Vec<f32>; 2],
    at: usize,
    /// The latest input, as long as the latency, to compare with the output.
    history: [Vec<f32>; 2],
    /// Samples since the settings last became transparent.
    untouched: usize,
    blocks: u64,
    changes: u64,
    checked: u64,
    side_engines: u64,
    /// Of each stretch, µs per hop.
    times: Vec<f64>,
}

impl Soak {
    fn new(quality: Quality) -> Result<Self, Box<dyn Error>> {
        let engine = Engine::new(&Model::bundled(quality), RATE, 2)?;
        let mut random = Random(1 + quality as u64);
        let loops = [7.3f32, 11.1].map(|seconds| {
            let length = (seconds * RATE as f32) as usize;
            (0..length)
                .map(|i| {
                    let t = i as f32 / RATE as f32;
                    let phase = 900.0 * t + 3.0 * (4.0 * t).sin();
                    let voice: f32 = (1..6).map(|k| (phase * k as f32).sin() / k as f32).sum();
                    0.1 * voice * (3.0 * t).sin().max(0.0) + 0.03 * random.sample()
                })
                .collect()
        });
        let history = [(); 2].map(|()| vec![0.0; engine.latency_samples()]);
        Ok(Self {
            quality,
            engine,
            random,
            controls: Controls::default(),
            loops,
            at: 0,
            history,
            untouched: 0,
            blocks: 0,
            changes: 0,
            checked: 0,
            side_engines: 0,
            times: Vec::new(),
        })
    }

    fn stretch(&mut self) -> Result<(), Box<dyn Error>> {
        let start = ThreadTime::now();
        let mut left = STRETCH;
        let mut input = [vec![0.0f32; 4096], vec![0.0f32; 4096]];
        let mut output = input.clone();
        while left > 0 {
            let samples = (1 + self.random.below(4096)).min(left);
            left -= samples;
            if self.random.below(20) == 0 {
                self.change();
            }
            // Now and then a value that no microphone produces.
            let odd = match self.random.below(2000) {
                0 => Some(f32::NAN),
                1 => Some(f32::INFINITY),
                2 => Some(1e30),
                3 => Some(1e-40),
                4 => Some(0.0),
                _ => None,
            };
            for (c, channel) in input.iter_mut().enumerate() {
                for (i, x) in channel[..samples].iter_mut().enumerate() {
                    let n = self.at + i;
                    let other = &self.loops[1 - c];
                    let sum = self.loops[c][n % self.loops[c].len()] + 0.3 * other[n % other.len()];
                    *x = odd.unwrap_or(sum);
                }
            }
            self.at += samples;
            for (to, from) in output.iter_mut().zip(&input) {
                to[..samples].copy_from_slice(&from[..samples]);
            }
            let [left_out, right_out] = &mut output;
            self.engine.process(
                &self.controls,
                &mut [&mut left_out[..samples], &mut right_out[..samples]],
            );
            self.blocks += 1;
            self.check(&input, &output, samples)?;
        }
        self.times.push(start.elapsed().as_secs_f64() * 1e6 / (STRETCH / 480) as f64);
        Ok(())
    }

    fn change(&mut self) {
        self.changes += 1;
        let r = &mut self.random;
        self.controls = Controls {
            reduction_db: [0.0, 6.0, 24.0, f32::INFINITY][r.below(4)],
            sensitivity_db: [0.0, -12.0, 12.0][r.below(3)],
            ambience: [0.0, 0.2, 1.0][r.below(3)],
            output_db: [0.0, -6.0, 12.0][r.below(3)],
            listen: if r.below(4) == 0 { Listen::Removed } else { Listen::Result },
            stereo: if r.below(2) == 0 { Stereo::Linked } else { Stereo::Independent },
            bypass: r.below(6) == 0,
        };
        if self.random.below(50) == 0 {
            self.engine.reset();
            self.history.iter_mut().for_each(|history| history.fill(0.0));
        }
        self.untouched = 0;
    }

    /// The output is finite, and with transparent settings it is the input, delayed by the reported latency.
    fn check(
        &mut self,
        input: &[Vec<f32>; 2],
        output: &[Vec<f32>; 2],
        samples: usize,
    ) -> Result<(), Box<dyn Error>> {
        let c = &self.controls;
        let alone =
            c.bypass || (c.reduction_db == 0.0 && c.output_db == 0.0 && c.listen == Listen::Result);
        let settled = alone && self.untouched >= RATE as usize / 100;
        for ((history, input), output) in self.history.iter_mut().zip(input).zip(output) {
            let output = &output[..samples];
            if let Some(y) = output.iter().find(|y| !y.is_finite() || y.abs() > BOUND) {
                return Err(format!("{y} after {} samples", self.at).into());
            }
            let latency = history.len();
            history.extend_from_slice(&input[..samples]);
            if settled {
                let expected = &history[..samples];
                // The engine reads non-finite samples as 0 and clamps extreme ones.
                let same =
                    |x: f32, y: f32| y == if x.is_finite() { x.clamp(-64.0, 64.0) } else { 0.0 };
                let moved =
                    expected.iter().zip(output).any(|(&x, &y)| !same(x, y) && x.abs() > 1e-30);
                if moved {
                    return Err(format!("the sound has moved after {} samples", self.at).into());
                }
                self.checked += samples as u64;
            }
            history.drain(..history.len() - latency);
        }
        self.untouched += samples;
        Ok(())
    }

    /// A short-lived engine at another rate.
    fn side_engine(&mut self) -> Result<(), Box<dyn Error>> {
        let rates = [8_000, 11_025, 16_000, 22_050, 44_100, 88_200, 96_000, 192_000];
        let rate = rates[self.random.below(rates.len())];
        let mut engine = Engine::new(&Model::bundled(self.quality), rate, 1)?;
        for _ in 0..100 {
            let samples = 1 + self.random.below(2000);
            let from = self.random.below(self.loops[0].len() - 2000);
            let mut sound = self.loops[0][from..from + samples].to_vec();
            engine.process(&self.controls, &mut [&mut sound]);
            if sound.iter().any(|y| !y.is_finite()) {
                return Err(format!("not finite at {rate} Hz").into());
            }
        }
        self.side_engines += 1;
        Ok(())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Memory of this process in KiB, if the system reports it.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
