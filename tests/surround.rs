//! More than two channels, and passed channels.
mod common;

use common::{bits, full, noisy_voice, run, white};
use wisp::{Controls, Engine, Listen, Model, Role, Stereo};
use wisp_testing::signals::{db, level_of_difference, power};

const RATE: u32 = 48_000;

/// 4.0, 5.1 and 7.1 in WAV's order, and a layout whose first channel is passed.
fn layouts() -> [(&'static str, Vec<Role>); 4] {
    let with = |channels: usize, passed: Option<usize>| {
        let mut roles = vec![Role::Denoised; channels];
        passed.into_iter().for_each(|place| roles[place] = Role::Passed);
        roles
    };
    [
        ("4.0", with(4, None)),
        ("5.1", with(6, Some(3))),
        ("7.1", with(8, Some(3))),
        ("first", with(3, Some(0))),
    ]
}

fn engine(rate: u32, roles: &[Role]) -> Engine {
    Engine::with_roles(&Model::live(), rate, roles).unwrap()
}

/// A noisy voice with a different level and different noise in each channel.
fn sound(rate: u32, seconds: f64, channels: usize) -> Vec<Vec<f32>> {
    let voice = noisy_voice(rate, seconds, 3500.0);
    let noise = white(channels * voice.len(), 0.01);
    let channels = noise.chunks(voice.len()).enumerate().map(|(i, noise)| {
        let gain = 1.0 / (1.0 + i as f32 / 2.0);
        voice.iter().zip(noise).map(|(v, n)| gain * v + n).collect()
    });
    channels.collect()
}

#[test]
fn a_passed_channel_is_delayed_to_the_bit_and_the_others_do_not_hear_it() {
    for (name, roles) in layouts() {
        for rate in [22_050, RATE] {
            let input = sound(rate, 0.5, roles.len());
            let mut engine_of_all = engine(rate, &roles);
            let latency = engine_of_all.latency_samples();
            let out = run(&mut engine_of_all, &full(), &input, || 333);
            let (mut others, mut others_out) = (Vec::new(), Vec::new());
            for ((input, out), role) in input.iter().zip(&out).zip(&roles) {
                if *role == Role::Denoised {
                    others.push(input.clone());
                    others_out.push(out.clone());
                } else {
                    assert!(out[..latency].iter().all(|&y| y == 0.0), "{name}, {rate} Hz");
                    assert!(out[latency..] == input[..input.len() - latency], "{name}, {rate} Hz");
                }
            }
            let mut without = Engine::new(&Model::live(), rate, others.len()).unwrap();
            let alone = run(&mut without, &full(), &others, || 333);
            assert!(bits(&others_out) == bits(&alone), "{name}, {rate} Hz");
        }
    }
}

#[test]
fn a_passed_channel_follows_gain_and_bypass_and_has_nothing_removed() {
    let (_, roles) = &layouts()[1];
    let input = sound(RATE, 0.3, roles.len());
    let lfe = |controls| {
        let mut engine = engine(RATE, roles);
        let latency = engine.latency_samples();
        let out = run(&mut engine, &controls, &input, || 480);
        (out[3][latency..].to_vec(), input[3][..input[3].len() - latency].to_vec())
    };
    let (louder, dry) = lfe(Controls { output_db: 6.0, ..full() });
    let gain = 10f32.powf(6.0 / 20.0);
    assert!(louder.iter().zip(&dry).all(|(y, x)| (y - gain * x).abs() < 1e-6));
    let (removed, _) = lfe(Controls { listen: Listen::Removed, ..full() });
    assert!(removed.iter().all(|&y| y == 0.0));
    let (bypassed, dry) = lfe(Controls { bypass: true, output_db: 6.0, ..full() });
    assert!(bypassed == dry);
    for stereo in [Stereo::Linked, Stereo::Independent] {
        let (shaped, dry) = lfe(Controls { stereo, sensitivity_db: 9.0, ambience: 0.5, ..full() });
        assert!(shaped == dry, "{stereo:?}");
    }
}

#[test]
fn linked_channels_keep_the_place_of_a_voice() {
    for (name, roles) in layouts() {
        let input = sound(RATE, 3.0, roles.len());
        let out = run(&mut engine(RATE, &roles), &full(), &input, || 480);
        let denoised: Vec<usize> =
            (0..roles.len()).filter(|&i| roles[i] == Role::Denoised).collect();
        // Blocks of 50 ms with more than half of the highest level.
        let levels = |channels: &[Vec<f32>], i: usize| -> Vec<f64> {
            channels[i][RATE as usize..].chunks(2400).map(power).collect()
        };
        let first = levels(&out, denoised[0]);
        let loudest = first.iter().copied().fold(0.0, f64::max);
        let level = |channels: &[Vec<f32>], i: usize| {
            let loud =
                levels(channels, i).into_iter().zip(&first).filter(|(_, l)| **l > 0.5 * loudest);
            db(loud.map(|(power, _)| power).sum())
        };
        for &i in &denoised[1..] {
            let gains = 20.0 * ((2.0 + denoised[0] as f64) / (2.0 + i as f64)).log10();
            let moved = level(&out, i) - level(&out, denoised[0]) - gains;
            println!("{name}, channel {i}: moved by {moved:.2} dB");
            assert!(moved.abs() < 0.5, "{name}, channel {i}: moved by {moved:.2} dB");
        }
    }
}

#[test]
fn equal_channels_are_denoised_as_one() {
    let voice = noisy_voice(RATE, 1.0, 8000.0);
    let mono =
        run(&mut engine(RATE, &[Role::Denoised]), &full(), std::slice::from_ref(&voice), || 480);
    for channels in [3, 4, 5, 64] {
        let mut engine = Engine::new(&Model::live(), RATE, channels).unwrap();
        let out = run(&mut engine, &full(), &vec![voice.clone(); channels], || 480);
        for channel in &out {
            let relative = level_of_difference(channel, &mono[0]);
            assert!(relative < -60.0, "{channels} channels: {relative:.1} dB");
        }
    }
}

#[test]
fn independent_channels_are_mono_engines() {
    let (_, roles) = &layouts()[1];
    let input = sound(RATE, 0.5, roles.len());
    let controls = Controls { stereo: Stereo::Independent, ..full() };
    let out = run(&mut engine(RATE, roles), &controls, &input, || 480);
    for (i, role) in roles.iter().enumerate() {
        if *role == Role::Denoised {
            let mono = run(&mut engine(RATE, &[*role]), &controls, &input[i..=i], || 480);
            assert!(bits(&out[i..=i]) == bits(&mono), "channel {i}");
        }
    }
}

#[test]
fn blocks_of_any_size_give_the_same_bits() {
    let (_, roles) = &layouts()[1];
    for rate in [11_025, RATE] {
        let input = sound(rate, 0.3, roles.len());
        for stereo in [Stereo::Linked, Stereo::Independent] {
            let controls = Controls { stereo, ambience: 0.2, ..full() };
            let mut engine = engine(rate, roles);
            let whole = run(&mut engine, &controls, &input, || usize::MAX >> 1);
            for block in [1, 97, 480, 4096] {
                engine.reset();
                let cut = run(&mut engine, &controls, &input, || block);
                assert!(bits(&cut) == bits(&whole), "{rate} Hz, {stereo:?}, blocks of {block}");
            }
        }
    }
}

#[test]
fn where_all_is_passed_nothing_is_denoised() {
    let roles = [Role::Passed; 2];
    let input = sound(RATE, 0.2, 2);
    for stereo in [Stereo::Linked, Stereo::Independent] {
        let controls = Controls { stereo, ambience: 0.5, sensitivity_db: 3.0, ..full() };
        let mut engine = engine(RATE, &roles);
        let out = run(&mut engine, &controls, &input, || 100);
        for (input, out) in input.iter().zip(&out) {
            assert!(out[960..] == input[..input.len() - 960]);
        }
    }
}
