//! Whatever comes in, what goes out is finite, and a reset forgets it all.
mod common;

use common::{File, bits, full, networks, noisy_voice, run, white};
use proptest::prelude::*;
use wisp::{Controls, Dccrn, Engine, Listen, Stereo};

/// Dry signal clamped to 64, and at most thrice that removed in each of the taps, with 36 dB of gain.
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

/// Blocks: controls, length, samples that are repeated, and whether the engine is reset after it.
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
        let mut engine = Engine::new(network.clone(), rate, channels).unwrap();
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
        let mut fresh = Engine::new(network.clone(), rate, channels).unwrap();
        let expected = run(&mut fresh, &full(), &signal, || 100);
        prop_assert!(bits(&used) == bits(&expected));
        prop_assert!(engine.telemetry() == fresh.telemetry());
    }
}

#[test]
fn bad_samples_leave_no_trace() {
    // NaN and infinity are as good as silence, to the bit; and what follows comes back, after a click of any loudness too.
    let mut engine = Engine::new(Dccrn::bundled(), 48_000, 1).unwrap();
    let clean_in = noisy_voice(48_000, 6.0, 8000.0);
    let mut out = |range: std::ops::RangeInclusive<usize>, value: f32, last: f32| {
        let mut signal = clean_in.clone();
        signal[*range.end()] = last;
        signal[*range.start()..*range.end()].fill(value);
        engine.reset();
        run(&mut engine, &full(), &[signal], || 480)
    };
    let clean = out(0..=0, 0.0, clean_in[0]);
    // Amid the voice, and while the network has heard nothing yet: which of this signal's steady tones are noise hangs on the first hops.
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
        let clean = &clean[0][second.clone()];
        let difference: Vec<f32> = other[0][second].iter().zip(clean).map(|(a, b)| a - b).collect();
        let relative = common::db(common::power(&difference) / common::power(clean));
        println!("{what}: {relative:.1} dB, after {seconds} seconds");
        assert!(relative < bar, "{what}: {relative:.1} dB, after {seconds} seconds");
    }
}

#[test]
fn silence_in_is_silence_out() {
    for (kind, network) in networks() {
        let reach = network.sizes().taps - 1; // frames that the filter reaches back
        for rate in [11_025, 16_000, 48_000] {
            let mut engine = Engine::new(network.clone(), rate, 2).unwrap();
            let mut signal = white(rate as usize, 0.5);
            let tail = engine.tail_samples();
            if rate % 100 == 0 {
                let hops = 4 + reach;
                assert_eq!(tail, rate as usize / 100 * hops, "delay and window, 20 ms each");
            } else {
                let reach = rate as usize * (10 * reach + 1) / 1000;
                assert!(tail <= 2 * engine.latency_samples() + reach, "{tail}");
            }
            let quiet = signal.len() / 2;
            signal[quiet..].fill(0.0);
            for listen in [Listen::Result, Listen::Removed] {
                let controls = Controls { listen, ..full() };
                engine.reset();
                let out = run(&mut engine, &controls, &[signal.clone(), signal.clone()], || 128);
                let silent = out.iter().all(|c| c[quiet + tail..].iter().all(|&y| y == 0.0));
                assert!(silent, "{kind}, {rate} Hz");
                assert!(common::power(&out[0][..quiet]) > 0.0);
            }
        }
    }
}

/// A file may hold finite weights of any size; the state must not blow up.
#[test]
fn silence_before_a_sound_is_as_good_as_none() {
    // A clip after digital silence of whole hops is, to the bit, the clip fresh; amid a recording the network waits, too.
    let clip = noisy_voice(48_000, 1.0, 8000.0);
    let (other, silence) = (noisy_voice(48_000, 1.0, 4000.0), vec![0.0; 40 * 48_000]);
    for (_, network) in networks() {
        let out = |signal: &[f32]| {
            let mut engine = Engine::new(network.clone(), 48_000, 1).unwrap();
            run(&mut engine, &full(), &[signal.to_vec()], || 480)
        };
        let fresh = out(&clip);
        for seconds in [2, 10, 40] {
            let silence = &silence[..seconds * 48_000];
            let late = out(&[silence, &clip].concat());
            assert!(bits(&late)[silence.len()..] == bits(&fresh)[..], "{seconds} s");
        }
        let [short, long] = [9_600, 40 * 48_000].map(|n| {
            let late = out(&[&other, &silence[..n], &clip].concat());
            bits(&late)[other.len() + n..].to_vec()
        });
        assert!(short == long, "what the network knew is kept");
    }
}

#[test]
fn absurd_weights_give_finite_sound() {
    for mut file in [File::bundled(), File::random(1), File::random(2)] {
        for (_, data) in file.tensors.values_mut() {
            data.iter_mut().for_each(|x| *x = (*x * 1e36).clamp(f32::MIN, f32::MAX));
        }
        let mut engine = Engine::new(file.network(), 48_000, 1).unwrap();
        let sound = noisy_voice(48_000, 0.5, 8000.0);
        let out = run(&mut engine, &full(), &[sound], || 480);
        assert!(out[0].iter().all(|y| y.is_finite()));
        // And once there is silence, all is well again.
        let out = run(&mut engine, &full(), &[vec![0.0; 9600]], || 480);
        assert!(out[0][4800..].iter().all(|&y| y == 0.0));
    }
}

#[test]
fn unequal_and_missing_channels_do_no_harm() {
    let mut engine = Engine::new(Dccrn::bundled(), 48_000, 2).unwrap();
    let (mut a, mut b, mut c) = (white(1000, 0.1), white(700, 0.1), white(900, 0.1));
    let (tail, extra) = (a[700..].to_vec(), c.clone());
    engine.process(&full(), &mut [&mut a, &mut b, &mut c]);
    assert_eq!((&a[700..], &c[..]), (&tail[..], &extra[..]), "what is not processed is left alone");
    engine.process(&full(), &mut [&mut a]);
    engine.process(&full(), &mut []);
    assert!(a.iter().chain(&b).all(|y| y.is_finite()));
}
