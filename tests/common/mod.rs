//! What several tests share: signals, blocks, weights made to order.
// Each test binary compiles this for itself and uses its part.
#![allow(dead_code, unreachable_pub)]

pub mod corpus;

use std::collections::HashMap;
use std::f64::consts::TAU;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use wisp::{Controls, Engine};

/// Rates of the matrix: native ones and those that are resampled.
pub const RATES: [u32; 10] =
    [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000];

pub const BUNDLED: &[u8] = include_bytes!("../../bundled/wisp.safetensors");

/// A small generator, so that every run sees the same numbers.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0..1
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

/// A voice of harmonics with a moving pitch and syllables, and noise, the same sound at every rate: all of it below
/// `limit` Hz.
pub fn noisy_voice(rate: u32, seconds: f64, limit: f64) -> Vec<f32> {
    let mut random = Random(7);
    let noise: Vec<(f64, f64)> =
        (0..400).map(|_| (40.0 + random.unit() * (limit - 40.0), random.unit() * TAU)).collect();
    let length = (f64::from(rate) * seconds) as usize;
    (0..length)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            let phase = TAU * (140.0 * t + 3.0 * (TAU * 1.1 * t).sin());
            let syllable = (TAU * 2.0 * t).sin().max(0.0);
            let voice: f64 = (1..=20)
                .filter(|&k| f64::from(k) * 170.0 < limit)
                .map(|k| (phase * f64::from(k)).sin() / f64::from(k))
                .sum();
            let noise: f64 = noise.iter().map(|(f, p)| (TAU * f * t + p).sin()).sum();
            (0.15 * syllable * voice + 0.002 * noise) as f32
        })
        .collect()
}

/// White noise.
pub fn white(length: usize, level: f32) -> Vec<f32> {
    let mut random = Random(11);
    (0..length).map(|_| level * (2.0 * random.unit() - 1.0) as f32).collect()
}

/// The signal through an engine, every channel alike in length, in blocks of the sizes that `size` tells.
pub fn run(
    engine: &mut Engine,
    controls: &Controls,
    channels: &[Vec<f32>],
    mut size: impl FnMut() -> usize,
) -> Vec<Vec<f32>> {
    let mut out = channels.to_vec();
    let length = out[0].len();
    let mut at = 0;
    while at < length {
        let to = length.min(at + size());
        let mut blocks: Vec<&mut [f32]> = out.iter_mut().map(|c| &mut c[at..to]).collect();
        engine.process(controls, &mut blocks);
        at = to;
    }
    out
}

pub fn bits(channels: &[Vec<f32>]) -> Vec<u32> {
    channels.iter().flatten().map(|x| x.to_bits()).collect()
}

pub fn power(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len().max(1) as f64
}

pub fn db(power: f64) -> f64 {
    10.0 * power.max(1e-30).log10()
}

/// A weights' file taken apart, to be changed and put together again.
pub struct File {
    pub tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    pub metadata: String,
}

impl File {
    pub fn bundled() -> Self {
        let (_, header) = SafeTensors::read_metadata(BUNDLED).unwrap();
        let metadata = header.metadata().as_ref().unwrap()["wisp"].clone();
        let tensors = SafeTensors::deserialize(BUNDLED).unwrap();
        let tensors = tensors.iter().map(|(name, view)| {
            let words = view.data().as_chunks::<4>().0;
            let data = words.iter().map(|&b| f32::from_le_bytes(b)).collect();
            (name.to_owned(), (view.shape().to_vec(), data))
        });
        Self { tensors: tensors.collect(), metadata }
    }

    /// Weights that remove everything at once: all zero, the high band's gains held down by their bias.
    pub fn removing() -> Self {
        let mut file = Self::bundled();
        file.tensors.values_mut().for_each(|(_, data)| data.fill(0.0));
        file.tensors.get_mut("high_out.bias").unwrap().1.fill(-80.0);
        file
    }

    pub fn bytes(&self) -> Vec<u8> {
        let data: HashMap<&String, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, (_, data))| (name, data.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let views = self.tensors.iter().map(|(name, (shape, _))| {
            (name, TensorView::new(Dtype::F32, shape.clone(), &data[name]).unwrap())
        });
        let metadata = HashMap::from([("wisp".to_owned(), self.metadata.clone())]);
        safetensors::serialize(views, Some(metadata)).unwrap()
    }
}
