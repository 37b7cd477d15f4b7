//! The reported latency is the measured one.
mod common;

use common::{File, RATES, full, networks, noisy_voice, run};
use std::f64::consts::TAU;
use wisp::{Controls, Engine, Listen, Model};
use wisp_testing::signals::{db, power};

/// More rates that are not multiples of 100 Hz.
const ODD: [u32; 5] = [8_001, 44_056, 47_952, 88_211, 383_999];

#[test]
fn an_impulse_comes_out_after_exactly_the_latency() {
    let nothing = Controls { reduction_db: 0.0, ..full() };
    let kinds = [(Model::live(), 2), (Model::studio(), 6)];
    for (rate, (model, hops)) in
        RATES.into_iter().chain(ODD).flat_map(|rate| kinds.iter().map(move |kind| (rate, kind)))
    {
        let mut engine = Engine::new(model, rate, 1).unwrap();
        let latency = engine.latency_samples();
        let mut signal = vec![0.0; 3 * latency + 100];
        signal[37] = 0.8;
        let out = run(&mut engine, &nothing, &[signal], || 64);
        let found: Vec<(usize, f32)> =
            out[0].iter().copied().enumerate().filter(|(_, y)| *y != 0.0).collect();
        println!(
            "{rate:6} Hz: {latency} samples, {:.2} ms",
            1e3 * latency as f64 / f64::from(rate)
        );
        assert_eq!(found, [(37 + latency, 0.8)], "{rate} Hz");
        // Hops of 10 ms, rounded to whole samples.
        assert_eq!(latency, hops * (f64::from(rate) / 100.0).round() as usize, "{rate} Hz");
    }
}

#[test]
fn no_reduction_and_bypass_give_the_input_to_the_bit() {
    let kinds = networks();
    for (rate, (kind, network)) in RATES.into_iter().flat_map(|r| kinds.iter().map(move |k| (r, k)))
    {
        let signal = noisy_voice(rate, 0.3, 3900.0);
        for controls in [
            Controls { reduction_db: 0.0, ..full() },
            Controls { bypass: true, output_db: 7.0, ..full() },
        ] {
            let mut engine = Engine::new(network, rate, 1).unwrap();
            let latency = engine.latency_samples();
            let out = run(&mut engine, &controls, std::slice::from_ref(&signal), || 333);
            assert!(out[0][..latency].iter().all(|&y| y == 0.0), "{kind}, {rate} Hz");
            assert!(out[0][latency..] == signal[..signal.len() - latency], "{kind}, {rate} Hz");
        }
    }
}

/// With weights that remove everything, the output is silent only if the removed signal is aligned with the dry one.
#[test]
fn what_is_removed_lines_up_with_the_dry_signal() {
    let files = [File::random(1), File::random(2), File::looking_ahead()];
    let networks = files.map(|file| file.removing().network());
    for (rate, network) in
        RATES.into_iter().chain(ODD).flat_map(|rate| networks.iter().map(move |n| (rate, n)))
    {
        let top = f64::from(rate.min(48_000)) / 2.0;
        for share in [0.05, 0.3, 0.7] {
            let wave = |n: usize| (TAU * share * top * n as f64 / f64::from(rate)).sin() as f32;
            let signal: Vec<f32> = (0..rate as usize / 2).map(wave).collect();
            let mut engine = Engine::new(network, rate, 1).unwrap();
            let out = run(&mut engine, &full(), &[signal], || 480);
            let rest = db(power(&out[0][rate as usize / 5..]) / 0.5);
            println!("{rate:6} Hz, {:7.0} Hz sine: {rest:.0} dB", share * top);
            assert!(rest < -110.0, "{rate} Hz: a sine of {} Hz leaves {rest:.1} dB", share * top);
        }
    }
}

#[test]
fn result_and_removed_add_up_to_the_delayed_input() {
    for (rate, model) in
        [(22_050, Model::live()), (48_000, Model::live()), (48_000, Model::studio())]
    {
        let signal = noisy_voice(rate, 0.5, 8000.0);
        let listen = |listen| {
            let mut engine = Engine::new(&model, rate, 1).unwrap();
            let controls = Controls { listen, reduction_db: 24.0, ..full() };
            let out = run(&mut engine, &controls, std::slice::from_ref(&signal), || 256);
            (engine.latency_samples(), out)
        };
        let (latency, result) = listen(Listen::Result);
        let (_, removed) = listen(Listen::Removed);
        for (n, (a, b)) in result[0].iter().zip(&removed[0]).enumerate().skip(latency) {
            let input = signal[n - latency];
            assert!((a + b - input).abs() < 1e-6, "{rate} Hz, sample {n}: {a} + {b} for {input}");
        }
        assert!(power(&removed[0]) > 1e-3 * power(&signal), "{rate} Hz: nothing was removed");
    }
}
