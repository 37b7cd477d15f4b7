//! The output is bit-identical for any division of the signal into blocks.
mod common;

use common::{RATES, Random, bits, full, networks, noisy_voice, run};
use wisp::{Controls, Engine, Model, Stereo};

const BLOCKS: [usize; 7] = [1, 7, 64, 333, 480, 512, 4096];

fn check(network: &Model, rate: u32, channels: &[Vec<f32>], stereo: Stereo) {
    let controls = Controls {
        reduction_db: 30.0,
        sensitivity_db: -3.0,
        ambience: 0.2,
        output_db: -1.0,
        stereo,
        ..full()
    };
    let mut engine = Engine::new(network, rate, channels.len()).unwrap();
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
        for model in [Model::live(), Model::studio()] {
            check(&model, rate, &[noisy_voice(rate, 0.3, 3500.0)], Stereo::Linked);
        }
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
    let mut engine = Engine::new(&Model::live(), 48_000, 1).unwrap();
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

#[test]
fn other_layouts_give_the_same_bits() {
    for channels in [1, 2, 6] {
        let rate = 48_000;
        let mut input = vec![noisy_voice(rate, 0.3, 3500.0); channels];
        for (i, channel) in input.iter_mut().enumerate() {
            channel.iter_mut().for_each(|x| *x *= 1.0 - 0.1 * i as f32);
        }
        let mut engine = Engine::new(&Model::live(), rate, channels).unwrap();
        assert_eq!((engine.sample_rate(), engine.channels()), (rate, channels));
        let expected = run(&mut engine, &full(), &input, || 480);

        engine.reset();
        let mut output = vec![vec![7.0; input[0].len()]; channels];
        {
            let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
            let mut output: Vec<&mut [f32]> = output.iter_mut().map(Vec::as_mut_slice).collect();
            engine.process_to(&full(), &input, &mut output);
        }
        assert!(bits(&output) == bits(&expected), "{channels} channels, out of place");

        engine.reset();
        let length = input[0].len();
        let mut audio: Vec<f32> =
            (0..length * channels).map(|i| input[i % channels][i / channels]).collect();
        audio.resize(audio.len() + channels - 1, 7.0); // an incomplete frame
        for block in audio.chunks_mut(700 * channels) {
            engine.process_interleaved(&full(), block);
        }
        let (whole, rest) = audio.split_at(length * channels);
        let apart = |c: usize| whole.iter().skip(c).step_by(channels).copied().collect();
        let output: Vec<Vec<f32>> = (0..channels).map(apart).collect();
        assert!(bits(&output) == bits(&expected), "{channels} channels, interleaved");
        assert!(rest.iter().all(|&x| x == 7.0), "an incomplete frame was changed");
    }
}

#[test]
fn the_shortest_side_counts_out_of_place() {
    let mut engine = Engine::new(&Model::live(), 48_000, 2).unwrap();
    let (long, short, mut a, mut b) = ([0.5; 40], [0.5; 30], [7.0; 20], [7.0; 50]);
    engine.process_to(&full(), &[&long, &short], &mut [&mut a, &mut b]);
    assert!(a.iter().chain(&b[..20]).all(|&y| y == 0.0), "the first samples are the delay's");
    assert!(b[20..].iter().all(|&y| y == 7.0));
}
