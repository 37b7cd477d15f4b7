//! The network against PyTorch, layer by layer, on golden vectors that `train/export.py` writes with the weights.
use std::collections::HashMap;

use safetensors::SafeTensors;
use wisp::nn::{Features, HIGH_BANDS, LOW_BINS, Layer};
use wisp::{Controls, Engine, Model, Quality};

const LIVE: &[u8] = include_bytes!("golden/live.safetensors");
const STUDIO: &[u8] = include_bytes!("golden/studio.safetensors");
const TOLERANCE: f32 = 1e-4;

struct Golden(SafeTensors<'static>);

impl Golden {
    fn open(quality: Quality) -> Self {
        let bytes = match quality {
            Quality::Live => LIVE,
            Quality::Studio => STUDIO,
        };
        Self(SafeTensors::deserialize(bytes).unwrap_or_else(|e| panic!("{quality:?}: {e}")))
    }

    /// A tensor's shape and data.
    fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let view = self.0.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (words, _) = view.data().as_chunks::<4>();
        (view.shape().to_vec(), words.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }

    /// Row `t` of a tensor whose first dimension is time in frames.
    fn frame(&self, name: &str, t: usize) -> Vec<f32> {
        let (shape, data) = self.get(name);
        let len: usize = shape[1..].iter().product();
        data[t * len..(t + 1) * len].to_vec()
    }
}

fn max_error(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Largest error of each layer over all frames, in the network's order.
#[derive(Default)]
struct Errors(Vec<(String, f32)>);

impl Errors {
    fn note(&mut self, name: String, error: f32) {
        assert!(!error.is_nan(), "{name}: NaN");
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, worst)) => *worst = worst.max(error),
            None => self.0.push((name, error)),
        }
    }

    fn check(self) {
        for (name, error) in &self.0 {
            println!("{name:12} {error:.2e}");
        }
        if let Some((name, error)) = self.0.iter().find(|(_, e)| *e > TOLERANCE) {
            panic!("first layer that differs: {name}, max abs error {error:.2e}");
        }
    }
}

#[test]
fn every_layer_equals_pytorch() {
    [Quality::Live, Quality::Studio].into_iter().for_each(layers_equal_pytorch);
}

fn layers_equal_pytorch(quality: Quality) {
    let golden = Golden::open(quality);
    let model = Model::bundled(quality);
    let network = model.network();
    let ahead = network.sizes().look_ahead;
    let (mut state, mut mask) = (network.new_state(), network.new_mask());
    let frames = golden.get("bands").0[0];
    assert!(frames >= 20, "{frames} frames");
    let mut errors = Errors::default();
    let mut done = HashMap::<String, usize>::new(); // frames, by layer
    for heard in 0..frames + ahead {
        let mut features = Features::default(); // of silence, after the end
        if heard < frames {
            let low = golden.frame("low", heard);
            for (x, pair) in features.low.iter_mut().zip(low.as_chunks::<2>().0) {
                (x.re, x.im) = (pair[0], pair[1]);
            }
            features.bands.copy_from_slice(&golden.frame("bands", heard));
        }
        network.forward_traced(&features, &mut state, &mut mask, |layer: Layer, y| {
            let t = done.entry(layer.to_string()).or_default();
            if *t < frames {
                let expected = golden.frame(&format!("layer.{layer}"), *t);
                errors.note(layer.to_string(), max_error(y, &expected));
            }
            *t += 1;
        });
        let Some(t) = heard.checked_sub(ahead) else { continue };
        let (heads, taps) = (network.sizes().heads, network.sizes().taps);
        let ours: Vec<f32> = (0..heads * taps * LOW_BINS)
            .map(|i| (i / LOW_BINS, i % LOW_BINS))
            .map(|(k, bin)| mask.coefficient(k / taps, k % taps, bin))
            .flat_map(|m| [m.re, m.im])
            .collect();
        errors.note("mask".into(), max_error(&ours, &golden.frame("mask", t)));
        let gains: Vec<f32> = (0..heads).flat_map(|head| *mask.gains(head)).collect();
        errors.note("gains".into(), max_error(&gains, &golden.frame("gains", t)));
        if network.sizes().full_hidden > 0 {
            let envelope: Vec<f32> = (0..heads).flat_map(|head| *mask.envelope(head)).collect();
            errors
                .note("envelope".into(), max_error(&envelope, &golden.frame("layer.envelope", t)));
        }
    }
    // The envelope is part of the mask, not a layer.
    let layer = |name: &&&str| name.starts_with("layer.") && **name != "layer.envelope";
    let exported = golden.0.names().iter().filter(layer).count();
    assert_eq!(done.len(), exported, "layers traced here and in the golden vectors");
    for (layer, done) in &done {
        assert!(*done >= frames, "{layer}: {done} frames of {frames}");
    }
    println!("{quality:?}:");
    errors.check();
}

#[test]
fn features_equal_pytorch() {
    let golden = Golden::open(Quality::Live);
    let model = Model::live();
    let network = model.network();
    let bands = wisp::dsp::Bands::new(481);
    let mut state = network.new_state();
    let mut errors = Errors::default();
    for t in 0..golden.get("bands").0[0] {
        let spectrum: Vec<_> = golden
            .frame("spectrum", t)
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&[re, im]| realfft::num_complex::Complex32::new(re, im))
            .collect();
        let (mut low, mut energies) = ([Default::default(); LOW_BINS], [0.0; HIGH_BANDS]);
        bands.low(&spectrum, &mut low);
        bands.energies(&spectrum, &mut energies);
        let mut features = Features::default();
        network.features(&low, &energies, &mut state, &mut features);
        let ours: Vec<f32> = features.low.iter().flat_map(|x| [x.re, x.im]).collect();
        errors.note("low".into(), max_error(&ours, &golden.frame("low", t)));
        errors.note("bands".into(), max_error(&features.bands, &golden.frame("bands", t)));
    }
    errors.check();
}

/// Audio in, audio out: streaming through the engine equals PyTorch's offline pass over the whole signal.
#[test]
fn streaming_equals_offline() {
    [Quality::Live, Quality::Studio].into_iter().for_each(streamed_equals_offline);
}

fn streamed_equals_offline(quality: Quality) {
    let golden = Golden::open(quality);
    let (_, input) = golden.get("input");
    let (_, expected) = golden.get("output");
    let full = Controls { reduction_db: f32::INFINITY, ..Controls::default() };
    let mut engine = Engine::new(&Model::bundled(quality), 48_000, 1).unwrap();
    let latency = engine.latency_samples();
    let mut audio = input.clone();
    audio.resize(input.len() + latency, 0.0);
    for block in audio.chunks_mut(480) {
        engine.process(&full, &mut [block]);
    }
    let error = max_error(&audio[latency..], &expected);
    let level = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    println!("{quality:?}: max abs error {error:.2e} of a signal with peak {level:.2}");
    assert!(level > 0.01, "the golden signal is silent: peak {level}");
    assert!(error <= TOLERANCE, "max abs error {error:.2e}");
}
