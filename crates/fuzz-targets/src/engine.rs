//! Bytes as calls of a hostile host: blocks of any size, any samples, controls and resets at any time.
use wisp::{Controls, Engine, Listen, Model, Stereo};

const RATES: [u32; 9] = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 88_211, 96_000, 192_000];
/// The dry signal is clamped to 64; each tap removes at most three times that; 36 dB of gain.
const BOUND: f32 = 64.0 * 10.0 * 64.0;
/// Total samples, so that no input takes long.
const LONGEST: usize = 40_000;

/// Reads values from bytes; `None` at their end ends the run.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn below(&mut self, n: usize) -> Option<usize> {
        Some((usize::from(self.next()?) << 8 | usize::from(self.next()?)) % n)
    }

    fn float(&mut self) -> Option<f32> {
        let (bits, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(f32::from_le_bytes(*bits))
    }
}

/// Runs the calls.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    play(&mut bytes);
}

fn play(bytes: &mut Bytes) -> Option<()> {
    let rate = RATES[bytes.below(RATES.len())?];
    let kind = bytes.below(4)?;
    let channels = 1 + kind % 2;
    let model = if kind < 2 { Model::live() } else { Model::studio() };
    let new = || Engine::new(&model, rate, channels).expect("a rate and count it takes");
    let mut engine = new();
    let latency = engine.latency_samples();
    let mut controls = Controls::default();
    let mut left = LONGEST;
    while let Some(what) = bytes.next() {
        match what % 10 {
            0 => controls.reduction_db = bytes.float()?,
            1 => controls.output_db = bytes.float()?,
            2 => {
                let flags = bytes.next()?;
                controls.listen = if flags & 1 == 0 { Listen::Result } else { Listen::Removed };
                controls.stereo = if flags & 2 == 0 { Stereo::Linked } else { Stereo::Independent };
                controls.bypass = flags & 4 != 0;
            }
            3 => {
                engine.reset();
                like_new(&mut engine, &new, channels);
            }
            // New controls every few samples.
            4 => {
                let count = bytes.below(64)?.min(left);
                let (sample, db) = (bytes.float()?, bytes.float()?);
                for i in 0..count {
                    let storm = Controls {
                        reduction_db: if i % 2 == 0 { db } else { 0.0 },
                        sensitivity_db: if i % 4 == 0 { db } else { -db },
                        ambience: if i % 7 == 0 { sample } else { 0.5 },
                        output_db: if i % 3 == 0 { db } else { -db },
                        bypass: i % 5 == 0,
                        ..controls
                    };
                    block(&mut engine, &storm, channels, 1 + i % 3, |_, _| sample);
                    left = left.saturating_sub(3);
                }
            }
            8 => controls.sensitivity_db = bytes.float()?,
            9 => controls.ambience = bytes.float()?,
            kind => {
                let length = bytes.below(5000)?.min(left);
                let (a, b) = (bytes.float()?, bytes.float()?);
                let period = 1 + bytes.below(400)?;
                block(&mut engine, &controls, channels, length, |channel, i| match kind {
                    5 => a, // DC, NaN, infinity, a denormal, …
                    6 => {
                        if (i / period) % 2 == channel % 2 {
                            a
                        } else {
                            b
                        }
                    }
                    _ => {
                        if i % period == 0 {
                            a
                        } else {
                            b * (i as f32 * 0.1).sin()
                        }
                    }
                });
                left -= length;
            }
        }
        assert_eq!(engine.latency_samples(), latency);
    }
    engine.reset();
    like_new(&mut engine, &new, channels);
    Some(())
}

fn block(
    engine: &mut Engine,
    controls: &Controls,
    channels: usize,
    length: usize,
    sample: impl Fn(usize, usize) -> f32,
) {
    let mut audio: Vec<Vec<f32>> =
        (0..channels).map(|c| (0..length).map(|i| sample(c, i)).collect()).collect();
    let mut slices: Vec<&mut [f32]> = audio.iter_mut().map(|c| &mut c[..]).collect();
    engine.process(controls, &mut slices);
    for y in audio.iter().flatten() {
        assert!(y.is_finite() && y.abs() <= BOUND, "{y}");
    }
    let t = engine.telemetry();
    assert!(t.gain_db.is_finite() && (0.0..=1.0).contains(&t.voice), "{t:?}");
    assert!(t.input.iter().chain(&t.output).all(|x| x.is_finite()), "{t:?}");
}

/// After a reset, the latency and a bit sound bit-identical to a new engine; then resets again.
fn like_new(engine: &mut Engine, new: &dyn Fn() -> Engine, channels: usize) {
    let length = engine.latency_samples() + 37;
    let signal: Vec<f32> = (0..length).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
    let sound = |engine: &mut Engine| {
        let mut audio = vec![signal.clone(); channels];
        let mut slices: Vec<&mut [f32]> = audio.iter_mut().map(|c| &mut c[..]).collect();
        engine.process(&Controls::default(), &mut slices);
        audio.into_iter().flatten().map(f32::to_bits).collect::<Vec<u32>>()
    };
    let mut fresh = new();
    assert!(sound(engine) == sound(&mut fresh), "a reset left something behind");
    assert!(engine.telemetry() == fresh.telemetry());
    engine.reset();
}
