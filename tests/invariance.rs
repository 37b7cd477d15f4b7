//! The output does not depend on how the host cuts the signal into blocks, to the bit.
mod common;

use std::sync::Arc;

use common::{RATES, Random, bits, full, networks, noisy_voice, run};
use wisp::{Controls, Dccrn, Engine, Stereo};

const BLOCKS: [usize; 7] = [1, 7, 64, 333, 480, 512, 4096];

fn check(network: &Arc<Dccrn>, rate: u32, channels: &[Vec<f32>], stereo: Stereo) {
    let controls = Controls {
        reduction_db: 30.0,
        sensitivity_db: -3.0,
        ambience: 0.2,
        output_db: -1.0,
        stereo,
        ..full()
    };
    let mut engine = Engine::new(network.clone(), rate, channels.len()).unwrap();
    let whole = run(&mut engine, &controls, channels, || usize::MAX >> 1);
    let changed = whole[0].iter().zip(&channels[0]).filter(|(a, b)| a != b).count();
    assert!(changed > whole[0].len() / 2, "{rate} Hz: the engine did nothing");
    for block in BLOCKS {
        engine.reset();
        let cut = run(&mut engine, &controls, channels, || block);
        assert!(bits(&cut) == bits(&whole), "{rate} Hz, {stereo:?}, blocks of {block}");
    }
    let mut random = Random(u64::from(rate));
    engine.reset();
    let cut = run(&mut engine, &controls, channels, || random.below(1500));
    assert!(bits(&cut) == bits(&whole), "{rate} Hz, {stereo:?}, blocks of random sizes");
}

#[test]
fn mono_at_every_rate() {
    for rate in RATES {
        check(&Dccrn::bundled(), rate, &[noisy_voice(rate, 0.3, 3500.0)], Stereo::Linked);
    }
}

#[test]
fn stereo() {
    for rate in [22_050, 48_000] {
        let left = noisy_voice(rate, 0.3, 3500.0);
        let right: Vec<f32> = left.iter().rev().map(|x| 0.7 * x).collect();
        for (_, network) in networks() {
            for stereo in [Stereo::Linked, Stereo::Independent] {
                check(&network, rate, &[left.clone(), right.clone()], stereo);
            }
        }
    }
}

#[test]
fn a_block_of_zero_samples_changes_nothing() {
    let mut engine = Engine::new(Dccrn::bundled(), 48_000, 1).unwrap();
    let signal = [noisy_voice(48_000, 0.2, 8000.0)];
    let controls = full();
    let expected = run(&mut engine, &controls, &signal, || 100);
    engine.reset();
    let mut empty = false;
    let got = run(&mut engine, &controls, &signal, || {
        empty = !empty;
        if empty { 0 } else { 100 }
    });
    assert!(bits(&got) == bits(&expected));
}
