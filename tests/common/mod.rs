//! Signals, block-wise processing, and custom weights for tests.
// Every test binary compiles this and uses part of it.
#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::f64::consts::TAU;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use wisp::{Controls, Engine, Model};
pub use wisp_testing::Random;

/// Common rates: multiples of 100 Hz, where a hop is exactly 10 ms, and others.
pub const RATES: [u32; 10] =
    [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000];

pub const BUNDLED: &[u8] = include_bytes!("../../bundled/live.safetensors");

/// Full reduction.
pub fn full() -> Controls {
    Controls { reduction_db: f32::INFINITY, ..Controls::default() }
}

/// A harmonic voice with moving pitch and syllables, in noise; the same sound at every rate, all of it below
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
    (0..length).map(|_| level * random.sample()).collect()
}

/// Runs channels of equal length through an engine, in blocks of the sizes that `size` returns.
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

/// The bundled networks, and small random ones: with one head, with two, and with look-ahead.
pub fn networks() -> [(&'static str, Model); 5] {
    [
        ("live", Model::live()),
        ("studio", Model::studio()),
        ("one head", File::random(1).network()),
        ("two heads", File::random(2).network()),
        ("look-ahead", File::looking_ahead().network()),
    ]
}

/// A weights file, unpacked for editing.
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

    /// A small network with random weights. With two heads it has a full-band memory; with one, the file mentions neither
    /// heads nor full-band memory.
    pub fn random(heads: usize) -> Self {
        Self::small(heads, 3, 0, 0)
    }

    /// A small network that looks three frames ahead, with weights for all of them.
    pub fn looking_ahead() -> Self {
        Self::small(2, 4, 3, 2)
    }

    fn small(heads: usize, taps: usize, look_ahead: usize, taps_ahead: usize) -> Self {
        let (channels, time_kernel, mix_hidden, hidden, ratio, blocks) = ([8, 16], 2, 8, 12, 2, 2);
        let (high_positions, low_hidden) = (4, 10);
        let full_hidden = if heads == 2 { 36 } else { 0 };
        let (width, low_positions, coefficients) = (16, 160 / 4, heads * taps);
        let positions = low_positions + high_positions;
        let per_position = 24 / high_positions;

        let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
        let mut add = |name: &str, leaf: &str, shape: &[usize]| {
            shapes.push((format!("{name}.{leaf}"), shape.to_vec()));
        };
        for (i, (a, b)) in [(2, channels[0]), (channels[0], channels[1])].into_iter().enumerate() {
            let name = format!("encoder.{i}");
            // The first layer takes the larger half.
            let frames = time_kernel + (look_ahead + 1 - i) / 2;
            add(&name, "weight", &[b, a, frames, 3]);
            add(&name, "bias", &[b]);
            add(&name, "slope", &[b]);
        }
        for (i, (a, b)) in [(16, 8), (8, 2 * coefficients)].into_iter().enumerate() {
            let name = format!("decoder.{i}");
            add(&name, "weight", &[b, a, 3]);
            add(&name, "bias", &[b]);
            if i == 0 {
                add(&name, "slope", &[b]);
            }
        }
        let mut gru = |name: String, inputs: usize, hidden: usize, ratio: usize| {
            let m = hidden / ratio;
            add(&name, "w", &[3 * m, inputs]);
            add(&name, "b", &[3 * m]);
            add(&name, "u", &[3 * m, hidden]);
            add(&name, "cn", &[m]);
            if ratio > 1 {
                add(&name, "g", &[hidden - m, m]);
                add(&name, "bg", &[hidden - m]);
            }
        };
        for i in 0..blocks {
            gru(format!("mix.{i}.up"), width, mix_hidden, 1);
            gru(format!("mix.{i}.down"), width, mix_hidden, 1);
            gru(format!("memory.{i}.gru"), width, hidden, ratio);
        }
        gru("low_memory.gru".into(), 6 * width + 48, low_hidden, ratio);
        if full_hidden > 0 {
            gru(
                "full_memory.gru".into(),
                positions * 8 + (1 + look_ahead) * 48,
                full_hidden,
                ratio,
            );
            add("full_memory", "hear.weight", &[8, width]);
            add("full_memory", "gains.weight", &[heads * 48, full_hidden]);
            add("full_memory", "gains.bias", &[heads * 48]);
            add("full_memory", "tell.weight", &[positions * 8, full_hidden]);
            add("full_memory", "spread.weight", &[width, 8]);
            add("full_memory", "spread.bias", &[width]);
        }
        add("low_memory", "linear.weight", &[24 * 2 * coefficients, low_hidden]);
        for i in 0..blocks {
            for (name, inputs) in [("mix", 2 * mix_hidden), ("memory", hidden)] {
                add(&format!("{name}.{i}.linear"), "weight", &[width, inputs]);
                add(&format!("{name}.{i}.linear"), "bias", &[width]);
            }
        }
        add("high_in", "weight", &[width, per_position]);
        add("high_in", "bias", &[width]);
        add("high_out", "weight", &[heads * per_position, width]);
        add("high_out", "bias", &[heads * per_position]);
        shapes.push(("position".into(), vec![positions, width]));

        let mut random = Random(heads as u64);
        let tensors = shapes.into_iter().map(|(name, shape)| {
            let inputs: usize = shape[1..].iter().product();
            let scale = 1.7 / (inputs as f64).sqrt();
            let data = (0..shape.iter().product())
                .map(|_| (scale * (2.0 * random.unit() - 1.0)) as f32)
                .collect();
            (name, (shape, data))
        });
        let tensors = tensors.collect();
        let mut sizes = serde_json::json!({
            "channels": channels, "time_kernel": time_kernel, "mix_hidden": mix_hidden, "hidden": hidden,
            "ratio": ratio, "blocks": blocks, "high_positions": high_positions, "taps": taps,
            "low_hidden": low_hidden,
        });
        if heads == 2 {
            sizes["full_hidden"] = full_hidden.into();
            sizes["heads"] = heads.into();
        }
        if look_ahead > 0 {
            sizes["look_ahead"] = look_ahead.into();
            sizes["taps_ahead"] = taps_ahead.into();
        }
        let metadata = serde_json::json!({ "format": 1, "sizes": sizes }).to_string();
        Self { tensors, metadata }
    }

    /// The same network with weights that remove everything: all zero, with a bias that mutes the high band.
    pub fn removing(mut self) -> Self {
        self.tensors.values_mut().for_each(|(_, data)| data.fill(0.0));
        self.tensors.get_mut("high_out.bias").unwrap().1.fill(-80.0);
        self
    }

    pub fn network(&self) -> Model {
        Model::from_bytes(&self.bytes()).unwrap()
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
