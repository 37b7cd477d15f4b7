//! The output is finite for any input, and a reset restores the initial state.
mod common;

use common::{File, Random, bits, full, networks, noisy_voice, run, white};
use proptest::prelude::*;
use wisp::nn::Sizes;
use wisp::{Controls, Engine, Listen, Model, Stereo};
use wisp_testing::signals::{db, level_of_difference, power};

/// The dry signal is clamped to 64; each tap removes at most three times that; 36 dB of gain.
const BOUND: f32 = 64.0 * 10.0 * 64.0;

fn sample() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -1.0f32..1.0,
        1 => Just(f32::NAN),
        1 => Just(-f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
        1 => Just(1e30f32),
        1 => Just(-1e30f32),
        1 => Just(f32::MAX),
        1 => Just(1e-40f32),
        1 => Just(-0.0f32),
        1 => any::<u32>().prop_map(f32::from_bits),
    ]
}

fn controls() -> impl Strategy<Value = Controls> {
    let db = || prop_oneof![-200.0f32..200.0, any::<u32>().prop_map(f32::from_bits)];
    ((db(), db(), db(), db()), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |((reduction_db, sensitivity_db, ambience, output_db), removed, independent, bypass)| {
            Controls {
                reduction_db,
                sensitivity_db,
                ambience,
                output_db,
                listen: if removed { Listen::Removed } else { Listen::Result },
                stereo: if independent { Stereo::Independent } else { Stereo::Linked },
                bypass,
            }
        },
    )
}

/// Blocks: controls, length, samples to repeat, and whether a reset follows.
fn blocks() -> impl Strategy<Value = Vec<(Controls, usize, Vec<f32>, bool)>> {
    let block = (
        controls(),
        0usize..3000,
        prop::collection::vec(sample(), 1..40),
        prop::bool::weighted(0.1),
    );
    prop::collection::vec(block, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn output_is_finite_and_reset_forgets(
        network in 0..networks().len(),
        rate in prop::sample::select(vec![8_000u32, 11_025, 16_000, 44_100, 48_000, 96_000]),
        channels in 1usize..=2,
        blocks in blocks(),
    ) {
        let (_, network) = &networks()[network];
        let mut engine = Engine::new(network, rate, channels).unwrap();
        for (controls, length, pattern, reset) in blocks {
            let mut audio: Vec<Vec<f32>> = (0..channels)
                .map(|c| (0..length).map(|n| pattern[(n + c) % pattern.len()]).collect())
                .collect();
            let mut slices: Vec<&mut [f32]> = audio.iter_mut().map(|c| &mut c[..]).collect();
            engine.process(&controls, &mut slices);
            for y in audio.iter().flatten() {
                prop_assert!(y.is_finite() && y.abs() <= BOUND, "{y}");
            }
            let t = engine.telemetry();
            prop_assert!(t.gain_db.is_finite() && (0.0..=1.0).contains(&t.voice), "{t:?}");
            prop_assert!(t.input.iter().chain(&t.output).all(|x| x.is_finite()), "{t:?}");
            if reset {
                engine.reset();
            }
        }
        engine.reset();
        let signal = vec![noisy_voice(rate, 0.1, 3500.0); channels];
        let used = run(&mut engine, &full(), &signal, || 100);
        let mut fresh = Engine::new(network, rate, channels).unwrap();
        let expected = run(&mut fresh, &full(), &signal, || 100);
        prop_assert!(bits(&used) == bits(&expected));
        prop_assert!(engine.telemetry() == fresh.telemetry());
    }
}

#[test]
fn bad_samples_leave_no_trace() {
    // NaN and infinity count as silence, bit for bit, and the sound after them recovers, as after a click of any level.
    let mut engine = Engine::new(&Model::live(), 48_000, 1).unwrap();
    let clean_in = noisy_voice(48_000, 6.0, 8000.0);
    let mut out = |range: std::ops::RangeInclusive<usize>, value: f32, last: f32| {
        let mut signal = clean_in.clone();
        signal[*range.end()] = last;
        signal[*range.start()..*range.end()].fill(value);
        engine.reset();
        run(&mut engine, &full(), &[signal], || 480)
    };
    let clean = out(0..=0, 0.0, clean_in[0]);
    // Within the voice, and at the start: the first hops decide which of this signal's steady tones count as noise.
    let bad = out(49_000..=51_000, f32::NAN, f32::INFINITY);
    assert!(bits(&bad) == bits(&out(49_000..=51_000, 0.0, 0.0)));
    let early = out(1000..=3000, f32::NAN, f32::INFINITY);
    assert!(bits(&early) == bits(&out(1000..=3000, 0.0, 0.0)));
    let click = out(3000..=3000, 0.0, f32::MAX);
    for (what, other, seconds, bar) in [
        ("bad samples", bad, 3, -20.0),
        ("bad samples at the start", early, 3, -20.0),
        ("a click", click, 5, -20.0),
    ] {
        let second = seconds * 48_000..(seconds + 1) * 48_000;
        let relative = level_of_difference(&other[0][second.clone()], &clean[0][second]);
        println!("{what}: {relative:.1} dB, after {seconds} seconds");
        assert!(relative < bar, "{what}: {relative:.1} dB, after {seconds} seconds");
    }
}

#[test]
fn silence_in_is_silence_out() {
    for (kind, network) in networks() {
        let Sizes { taps, look_ahead, taps_ahead, .. } = network.network().sizes();
        let reach = taps - 1 - taps_ahead; // frames the filter looks back
        for rate in [11_025, 16_000, 48_000] {
            let mut engine = Engine::new(&network, rate, 2).unwrap();
            let mut signal = white(rate as usize, 0.5);
            let tail = engine.tail_samples();
            let hop = engine.latency_samples() / (2 + look_ahead);
            assert_eq!(tail, hop * (4 + look_ahead + reach), "delay and window");
            let quiet = signal.len() / 2;
            signal[quiet..].fill(0.0);
            for listen in [Listen::Result, Listen::Removed] {
                let controls = Controls { listen, ..full() };
                engine.reset();
                let out = run(&mut engine, &controls, &[signal.clone(), signal.clone()], || 128);
                let silent = out.iter().all(|c| c[quiet + tail..].iter().all(|&y| y == 0.0));
                assert!(silent, "{kind}, {rate} Hz");
                assert!(power(&out[0][..quiet]) > 0.0);
            }
        }
    }
}

#[test]
fn silence_before_a_sound_is_as_good_as_none() {
    // After whole hops of digital silence, a clip's output is bit-identical to a fresh start; the network also pauses in
    // the middle of a recording.
    let mut random = Random(3);
    for (rate, channels, seconds) in [
        (48_000, 1, &[0.01, 0.05, 1.0, 2.0, 10.0, 40.0, 60.0][..]),
        (48_000, 2, &[0.06, 40.0]),
        (48_000, 6, &[5.0]),
        (8_000, 1, &[0.02, 60.0]),
        (11_025, 1, &[3.0, 40.0]),
        (22_050, 2, &[0.03, 7.0, 60.0]),
        (44_056, 1, &[20.0]),
        (88_211, 1, &[30.0]),
    ] {
        let hop = (rate as usize + 50) / 100;
        let clip: Vec<Vec<f32>> = (0..channels)
            .map(|c| noisy_voice(rate, 0.7, 3500.0).iter().map(|x| x / (1 + c) as f32).collect())
            .collect();
        let other = vec![noisy_voice(rate, 0.5, 3000.0); channels];
        let networks = networks();
        for (kind, network) in networks.iter().take(if rate == 48_000 { 5 } else { 2 }) {
            // The clip's output after this much silence, which may follow other sound.
            let mut heard = |before: &[Vec<f32>], silence: usize| {
                let mut engine = Engine::new(network, rate, channels).unwrap();
                let signals: Vec<Vec<f32>> = clip
                    .iter()
                    .enumerate()
                    .map(|(c, clip)| {
                        let before = before.get(c).map_or(&[][..], |b| b);
                        [before, &vec![0.0; silence], clip].concat()
                    })
                    .collect();
                let size = random.below(3 * hop) + 1;
                let out = run(&mut engine, &full(), &signals, || size);
                let from = signals[0].len() - clip[0].len();
                bits(&out.iter().map(|c| c[from..].to_vec()).collect::<Vec<_>>())
            };
            let fresh = heard(&[], 0);
            for seconds in seconds {
                let hops = (seconds * 100.0) as usize;
                let late = heard(&[], hops * hop);
                assert!(late == fresh, "{kind}, {rate} Hz, {channels} channels, {seconds} s");
            }
            let [short, long] = [20, 6000].map(|hops| heard(&other, hops * hop));
            assert!(short == long, "{kind}, {rate} Hz: what the network knew is kept");
        }
    }
}

#[test]
fn silence_that_ends_amid_a_hop_is_as_good_as_none() {
    // The frames fall differently, so the bits differ, but not the sound.
    for rate in [22_050, 48_000] {
        let clip = noisy_voice(rate, 4.0, 3500.0);
        let out = |silence: usize| {
            let mut engine = Engine::new(&Model::live(), rate, 1).unwrap();
            let signal = [&vec![0.0; silence], &clip[..]].concat();
            let out = run(&mut engine, &full(), &[signal], || 777);
            out[0][silence + engine.latency_samples()..].to_vec()
        };
        let fresh = out(0);
        for silence in [1, 137, 48_017, 40 * rate as usize + 91, 60 * rate as usize + 201] {
            let late = out(silence);
            let relative = level_of_difference(&late, &fresh);
            let louder = db(power(&late) / power(&fresh));
            println!(
                "{rate} Hz after {silence} samples: {relative:.1} dB differ, {louder:.2} dB louder"
            );
            assert!(louder.abs() < 1.0, "{rate} Hz after {silence} samples: {louder:.2} dB");
            assert!(relative < -15.0, "{rate} Hz after {silence} samples: {relative:.1} dB");
        }
    }
}

/// Weights may have any finite size; the state must stay finite.
#[test]
fn absurd_weights_give_finite_sound() {
    for mut file in [File::bundled(), File::random(1), File::random(2), File::looking_ahead()] {
        for (_, data) in file.tensors.values_mut() {
            data.iter_mut().for_each(|x| *x = (*x * 1e36).clamp(f32::MIN, f32::MAX));
        }
        let mut engine = Engine::new(&file.network(), 48_000, 1).unwrap();
        let sound = noisy_voice(48_000, 0.5, 8000.0);
        let out = run(&mut engine, &full(), &[sound], || 480);
        assert!(out[0].iter().all(|y| y.is_finite()));
        // Silence brings it back to normal.
        let out = run(&mut engine, &full(), &[vec![0.0; 9600]], || 480);
        assert!(out[0][engine.tail_samples()..].iter().all(|&y| y == 0.0));
    }
}

#[test]
fn unequal_and_missing_channels_do_no_harm() {
    let mut engine = Engine::new(&Model::live(), 48_000, 2).unwrap();
    let (mut a, mut b, mut c) = (white(1000, 0.1), white(700, 0.1), white(900, 0.1));
    let (tail, extra) = (a[700..].to_vec(), c.clone());
    engine.process(&full(), &mut [&mut a, &mut b, &mut c]);
    assert_eq!((&a[700..], &c[..]), (&tail[..], &extra[..]), "what is not processed is left alone");
    engine.process(&full(), &mut [&mut a]);
    engine.process(&full(), &mut []);
    assert!(a.iter().chain(&b).all(|y| y.is_finite()));
}
