//! Two channels, and changes of the controls while sound runs.
mod common;

use common::{bits, db, noisy_voice, power, run, white};
use wisp::{Controls, Dccrn, Engine, Listen, Stereo};

const RATE: u32 = 48_000;

fn engine(channels: usize) -> Engine {
    Engine::new(Dccrn::bundled(), RATE, channels).unwrap()
}

#[test]
fn equal_channels_give_the_mono_result_to_the_bit() {
    let signal = noisy_voice(RATE, 0.5, 8000.0);
    let mono = run(&mut engine(1), &Controls::default(), std::slice::from_ref(&signal), || 480);
    for stereo in [Stereo::Linked, Stereo::Independent] {
        let controls = Controls { stereo, ..Controls::default() };
        let both = run(&mut engine(2), &controls, &[signal.clone(), signal.clone()], || 480);
        assert!(bits(&both[..1]) == bits(&mono) && bits(&both[1..]) == bits(&mono), "{stereo:?}");
    }
}

#[test]
fn opposite_channels_are_denoised_like_equal_ones() {
    let signal = noisy_voice(RATE, 1.0, 8000.0);
    let opposite: Vec<f32> = signal.iter().map(|x| -x).collect();
    let out = run(&mut engine(2), &Controls::default(), &[signal.clone(), opposite], || 480);
    let mono = run(&mut engine(1), &Controls::default(), &[signal], || 480);
    let difference: Vec<f32> = out[0].iter().zip(&mono[0]).map(|(a, b)| a - b).collect();
    assert!(db(power(&difference) / power(&mono[0])) < -80.0);
    assert!(out[0].iter().zip(&out[1]).all(|(a, b)| (a + b).abs() < 1e-6));
}

#[test]
fn independent_channels_are_two_mono_engines() {
    let left = noisy_voice(RATE, 0.5, 8000.0);
    let right = white(left.len(), 0.1);
    let controls = Controls { stereo: Stereo::Independent, ..Controls::default() };
    let both = run(&mut engine(2), &controls, &[left.clone(), right.clone()], || 480);
    for (channel, signal) in [left, right].into_iter().enumerate() {
        let mono = run(&mut engine(1), &controls, &[signal], || 480);
        assert!(bits(&both[channel..=channel]) == bits(&mono), "channel {channel}");
    }
}

/// The largest step from sample to sample, on a low tone that has none.
fn largest_step(signal: &[f32]) -> f32 {
    signal.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn changes_of_the_controls_do_not_click() {
    // A tone of 100 Hz moves by at most 0.0066 from sample to sample.
    let tone: Vec<f32> = (0..RATE as usize / 2)
        .map(|n| 0.5 * (std::f32::consts::TAU * 100.0 * n as f32 / RATE as f32).sin())
        .collect();
    let base = Controls::default();
    let others = [
        Controls { bypass: true, ..base },
        Controls { reduction_db: 0.0, ..base },
        Controls { listen: Listen::Removed, ..base },
        Controls { output_db: 6.0, ..base },
        Controls { stereo: Stereo::Independent, ..base },
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
fn reduction_is_limited_to_what_was_asked() {
    // Noise alone: nearly all of it goes at full reduction, and no more than the limit otherwise.
    let noise = white(3 * RATE as usize, 0.05);
    let level = |reduction_db| {
        let controls = Controls { reduction_db, ..Controls::default() };
        let out = run(&mut engine(1), &controls, std::slice::from_ref(&noise), || 480);
        db(power(&out[0][RATE as usize..]) / power(&noise))
    };
    let (full, twelve, six) = (level(f32::INFINITY), level(12.0), level(6.0));
    println!("white noise: full {full:.1} dB, limit 12 {twelve:.1} dB, limit 6 {six:.1} dB");
    assert!(full < twelve && twelve < six && six < -1.0);
    assert!(twelve > -12.1 && six > -6.1);
}

#[test]
fn telemetry_follows_the_sound() {
    let mut engine = engine(1);
    let controls = Controls::default();
    // One sample more: a frame is measured after its hop.
    run(&mut engine, &controls, &[white(RATE as usize + 1, 0.1)], || 480);
    let t = *engine.telemetry();
    assert_eq!(t.frame, 100);
    assert!(t.gain_db < -1.0 && t.input[50] > t.output[50], "{t:?}");
    run(&mut engine, &Controls { reduction_db: 0.0, ..controls }, &[white(4800, 0.1)], || 480);
    let t = engine.telemetry();
    assert!(t.gain_db.abs() < 1e-3, "{}", t.gain_db);
}
