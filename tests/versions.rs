//! Weights of every released version load and give the same output (docs/versioning.md).
use std::fs;

use serde_json::Value;
use wisp::nn::{Features, HIGH_BANDS, LOW_BINS};
use wisp::{Controls, Engine, Model};
use wisp_testing::versions;

#[test]
fn weights_of_every_version_load_and_give_the_same_mask() {
    for version in versions::folders() {
        let model = Model::from_file(version.join("weights.safetensors")).unwrap();
        let network = model.network();
        let text = fs::read_to_string(version.join("mask.json")).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let (mut state, mut mask) = (network.new_state(), network.new_mask());
        let mut features = Features::default();
        for t in 0..12 {
            for k in 0..LOW_BINS {
                let (k, t) = (k as f32, t as f32);
                features.low[k as usize].re = 0.5 * (0.1 * k * (t + 1.0)).sin();
                features.low[k as usize].im = 0.5 * (0.07 * k + t).cos();
            }
            for k in 0..HIGH_BANDS {
                features.bands[k] = 0.5 * (0.3 * k as f32 + t as f32).sin();
            }
            network.forward(&features, &mut state, &mut mask);
        }
        let close = |actual: f32, expected: &Value, what: &str| {
            let expected = expected.as_f64().unwrap();
            assert!((f64::from(actual) - expected).abs() < 1e-4, "{what}: {actual}, {expected}");
        };
        let (heads, taps) = (network.sizes().heads, network.sizes().taps);
        for (head, tap) in (0..heads).flat_map(|head| (0..taps).map(move |tap| (head, tap))) {
            for (i, bin) in [0, 40, 80, 159].into_iter().enumerate() {
                let coefficient = mask.coefficient(head, tap, bin);
                close(coefficient.re, &expected["real"][head * taps + tap][i], "real");
                close(coefficient.im, &expected["imag"][head * taps + tap][i], "imaginary");
            }
        }
        for head in 0..heads {
            for (i, band) in [0, 8, 16, 23].into_iter().enumerate() {
                close(mask.gains(head)[band], &expected["gains"][4 * head + i], "gain");
            }
        }
        let mut engine = Engine::new(&model, 48_000, 1).unwrap();
        let mut sound = vec![0.1; 4800];
        engine.process(&Controls::default(), &mut [&mut sound]);
        assert!(sound.iter().all(|y| y.is_finite()));
    }
}
