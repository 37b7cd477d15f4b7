//! Bytes as a weights file: refused, or accepted and harmless.
use wisp::{Controls, Engine, Model};

/// Larger files are only loaded: running them takes long and tests nothing new.
const LARGEST: usize = 1 << 20;

/// Loads the file and runs its network.
pub fn run(data: &[u8]) {
    let Ok(model) = Model::from_bytes(data) else { return };
    if data.len() > LARGEST {
        return;
    }
    let mut engine = Engine::new(&model, 16_000, 1).expect("a rate it takes");
    for silent in [false, true] {
        let mut sound: Vec<f32> =
            (0..960).map(|i| if silent { 0.0 } else { 0.5 * (i as f32 * 0.3).sin() }).collect();
        engine.process(&Controls::default(), &mut [&mut sound]);
        assert!(sound.iter().all(|y| y.is_finite()));
    }
}
