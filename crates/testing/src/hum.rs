//! A sound for tests that only ask whether two ways give the same.
use crate::Random;

/// A hum with bursts of noise: `length` samples, the same for the same `seed`.
pub fn hum(length: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let sample = |n: usize| {
        let burst = if n % 9_000 < 3_000 { 0.2 } else { 0.01 };
        0.2 * (n as f64 * 0.02).sin() + burst * (random.unit() - 0.5)
    };
    (0..length).map(sample).map(|x| x as f32).collect()
}
