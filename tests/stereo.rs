//! Two channels, and control changes during processing.
mod common;

use common::{bits, full, networks, noisy_voice, run, white};
use wisp::{Controls, Engine, Listen, Model, Stereo};
use wisp_testing::signals::{db, level_of_difference, power};

const RATE: u32 = 48_000;

fn engine(channels: usize) -> Engine {
    Engine::new(&Model::live(), RATE, channels).unwrap()
}

#[test]
fn equal_channels_give_the_mono_result_to_the_bit() {
    let signal = noisy_voice(RATE, 0.5, 8000.0);
    let shaped = Controls { sensitivity_db: 5.0, ambience: 0.3, ..full() };
    for (kind, network) in networks() {
        let engine = |channels| Engine::new(&network, RATE, channels).unwrap();
        for controls in [full(), shaped] {
            let mono = run(&mut engine(1), &controls, std::slice::from_ref(&signal), || 480);
            for stereo in [Stereo::Linked, Stereo::Independent] {
                let controls = Controls { stereo, ..controls };
                let signals = [signal.clone(), signal.clone()];
                let both = run(&mut engine(2), &controls, &signals, || 480);
                let equal = bits(&both[..1]) == bits(&mono) && bits(&both[1..]) == bits(&mono);
                assert!(equal, "{kind}, {controls:?}");
            }
        }
    }
}

#[test]
fn opposite_channels_are_denoised_like_equal_ones() {
    let signal = noisy_voice(RATE, 1.0, 8000.0);
    let opposite: Vec<f32> = signal.iter().map(|x| -x).collect();
    let out = run(&mut engine(2), &full(), &[signal.clone(), opposite], || 480);
    let mono = run(&mut engine(1), &full(), &[signal], || 480);
    assert!(level_of_difference(&out[0], &mono[0]) < -80.0);
    assert!(out[0].iter().zip(&out[1]).all(|(a, b)| (a + b).abs() < 1e-6));
}

#[test]
fn independent_channels_are_two_mono_engines() {
    let left = noisy_voice(RATE, 0.5, 8000.0);
    let right = white(left.len(), 0.1);
    let controls = Controls { stereo: Stereo::Independent, ..full() };
    for (kind, network) in networks() {
        let engine = |channels| Engine::new(&network, RATE, channels).unwrap();
        let both = run(&mut engine(2), &controls, &[left.clone(), right.clone()], || 480);
        for (channel, signal) in [&left, &right].into_iter().enumerate() {
            let mono = run(&mut engine(1), &controls, std::slice::from_ref(signal), || 480);
            assert!(bits(&both[channel..=channel]) == bits(&mono), "{kind}, channel {channel}");
        }
    }
}

/// The largest step from one sample to the next.
fn largest_step(signal: &[f32]) -> f32 {
    signal.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn changes_of_the_controls_do_not_click() {
    // A 100 Hz tone changes by at most 0.0066 per sample.
    let tone: Vec<f32> = (0..RATE as usize / 2)
        .map(|n| 0.5 * (std::f32::consts::TAU * 100.0 * n as f32 / RATE as f32).sin())
        .collect();
    let base = full();
    let others = [
        Controls { bypass: true, ..base },
        Controls { reduction_db: 0.0, ..base },
        Controls { listen: Listen::Removed, ..base },
        Controls { output_db: 6.0, ..base },
        Controls { stereo: Stereo::Independent, ..base },
        Controls { sensitivity_db: 12.0, ..base },
        Controls { sensitivity_db: -12.0, ambience: 1.0, ..base },
        Controls { ambience: 0.5, ..base },
    ];
    for other in others {
        let mut engine = engine(2);
        let mut out = [tone.clone(), tone.iter().map(|x| 0.3 * x).collect()];
        let [left, right] = &mut out;
        let blocks = left.chunks_mut(480).zip(right.chunks_mut(480));
        for (i, (left, right)) in blocks.enumerate() {
            // Back and forth, every 50 ms.
            let controls = if i / 5 % 2 == 0 { &base } else { &other };
            engine.process(controls, &mut [left, right]);
        }
        let step = largest_step(&out[0][2000..]);
        assert!(step < 0.02, "{other:?}: a step of {step}");
    }
}

#[test]
fn linked_channels_keep_the_place_of_a_voice() {
    // A voice 6 dB louder on the left, with independent noise on each side.
    let voice = common::noisy_voice(RATE, 3.0, 8000.0);
    let noise = white(2 * voice.len(), 0.01);
    let side = |gain: f32, noise: &[f32]| -> Vec<f32> {
        voice.iter().zip(noise).map(|(v, n)| gain * v + n).collect()
    };
    let channels = [side(1.0, &noise[..voice.len()]), side(0.5, &noise[voice.len()..])];
    for (sensitivity_db, ambience) in [(0.0, 0.0), (6.0, 0.0), (-6.0, 0.3), (12.0, 0.0)] {
        let controls = Controls { sensitivity_db, ambience, ..full() };
        let out = run(&mut engine(2), &controls, &channels, || 480);
        // Blocks of 50 ms with more than half of the highest level.
        let difference = |channels: &[Vec<f32>]| {
            let blocks = |i: usize| channels[i][RATE as usize..].chunks(2400).map(power);
            let loudest = blocks(0).fold(0.0, f64::max);
            let (mut left, mut right) = (0.0, 0.0);
            for (l, r) in blocks(0).zip(blocks(1)).filter(|(l, _)| *l > 0.5 * loudest) {
                (left, right) = (left + l, right + r);
            }
            db(left / right)
        };
        let moved = difference(&out) - 20.0 * 2f64.log10();
        println!("sensitivity {sensitivity_db}, ambience {ambience}: moved by {moved:.2} dB");
        assert!(moved.abs() < 0.5, "{controls:?}: the voice moved by {moved:.2} dB");
    }
}

#[test]
fn ambience_keeps_a_steady_share_of_the_room() {
    // Noise throughout, a voice in the middle: the pauses before and after keep the same share of noise.
    let length = 6 * RATE as usize;
    let noise = white(length, 0.03);
    let mut signal = noise.clone();
    let voice = noisy_voice(RATE, 2.0, 8000.0);
    signal[2 * RATE as usize..].iter_mut().zip(&voice).for_each(|(s, v)| *s += v);
    for (ambience, expected) in [(0.5, -6.0), (0.25, -12.0), (0.1, -20.0)] {
        let controls = Controls { ambience, ..full() };
        let out = run(&mut engine(1), &controls, std::slice::from_ref(&signal), || 480);
        let pauses = (RATE as usize..2 * RATE as usize).chain(4 * RATE as usize + 9600..length);
        let pauses: Vec<usize> = pauses.collect();
        for block in pauses.chunks(9600).filter(|block| block.len() == 9600) {
            let level = |x: &[f32], shift: usize| {
                let block: Vec<f32> = block.iter().map(|&n| x[n - shift]).collect();
                db(power(&block))
            };
            let share = level(&out[0], 0) - level(&noise, 960);
            assert!((share - expected).abs() < 1.5, "{ambience}: {share:.1} dB at {}", block[0]);
        }
    }
}

/// How much of white noise is left, dB.
fn level_of_noise(controls: &Controls) -> f64 {
    let noise = white(3 * RATE as usize, 0.05);
    let out = run(&mut engine(1), controls, std::slice::from_ref(&noise), || 480);
    db(power(&out[0][RATE as usize..]) / power(&noise))
}

#[test]
fn an_eager_network_takes_more() {
    let levels = [-12.0, -6.0, 0.0, 6.0, 12.0]
        .map(|sensitivity_db| level_of_noise(&Controls { sensitivity_db, ..full() }));
    println!("white noise left at sensitivity -12, -6, 0, 6, 12 dB: {levels:.1?} dB");
    assert!(levels.windows(2).all(|pair| pair[0] > pair[1] + 2.0), "{levels:?}");
}

#[test]
fn reduction_is_limited_to_what_was_asked() {
    // Noise only: full reduction removes nearly all of it, a limit no more than the limit.
    let [full, twelve, six] = [f32::INFINITY, 12.0, 6.0]
        .map(|reduction_db| level_of_noise(&Controls { reduction_db, ..full() }));
    println!("white noise: full {full:.1} dB, limit 12 {twelve:.1} dB, limit 6 {six:.1} dB");
    assert!(full < twelve && twelve < six && six < -1.0);
    assert!(twelve > -12.1 && six > -6.1);
}

#[test]
fn telemetry_follows_the_sound() {
    let mut engine = engine(1);
    let controls = full();
    // One more sample, because a frame is measured after its hop.
    run(&mut engine, &controls, &[white(RATE as usize + 1, 0.1)], || 480);
    let t = *engine.telemetry();
    assert_eq!(t.frame, 100);
    assert!(t.gain_db < -1.0 && t.input[50] > t.output[50], "{t:?}");
    run(&mut engine, &Controls { reduction_db: 0.0, ..controls }, &[white(4800, 0.1)], || 480);
    let t = engine.telemetry();
    assert!(t.gain_db.abs() < 1e-3, "{}", t.gain_db);
}
