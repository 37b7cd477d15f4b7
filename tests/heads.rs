//! A network with two heads: every hop is built from two frames, as in the formulas, also with look-ahead.
mod common;

use std::f64::consts::{PI, TAU};

use common::{File, full, noisy_voice, run};
use realfft::num_complex::{Complex32, Complex64};
use wisp::Engine;
use wisp::dsp::{Bands, Stft};
use wisp::nn::{Dccrn, Features, HIGH_BANDS, LOW_BINS, Mask, Sizes};

const HOP: usize = 480;
const BINS: usize = HOP + 1;

/// A head's output for its frame, given the frames that its filter goes over (newest last), and the expander's gain in it.
fn kept(
    mask: &Mask,
    head: usize,
    heard: &[Vec<Complex32>],
    frame: &[Complex32],
) -> (Vec<Complex64>, f64) {
    let wide = |x: Complex32| Complex64::new(f64::from(x.re), f64::from(x.im));
    let taps = heard.iter().rev().enumerate();
    let mut y: Vec<Complex64> = (0..BINS)
        .map(|bin| {
            // Bin 0 uses bin 1's filter, bin 160 uses bin 159's.
            let filter = bin.clamp(1, LOW_BINS - 1) - 1;
            let taps = taps.clone();
            taps.map(|(k, x)| wide(mask.coefficient(head, k, filter)) * wide(x[bin])).sum()
        })
        .collect();
    y[0].im = 0.0;
    let bands = Bands::new(BINS);
    let gains = bands.interpolate(mask.gains(head)).map(f64::from);
    for ((y, x), gain) in y.iter_mut().zip(frame).skip(1 + LOW_BINS).zip(gains) {
        *y = wide(*x) * gain;
    }
    let power = |x: &[Complex64]| x.iter().map(|x| x.norm_sqr()).sum::<f64>();
    let before: Vec<Complex64> = frame.iter().map(|x| wide(*x)).collect();
    let faint = 1e-4 * power(&before) + 1e-14;
    let bands = before[1..].chunks_exact(16).zip(y[1..].chunks_exact(16));
    let most = bands.map(|(x, y)| power(y) / power(x).max(faint)).fold(0.0, f64::max);
    let gain = (most / 5.012e-4).sqrt().clamp(0.1, 1.0);
    y.iter_mut().for_each(|y| *y *= gain);
    set_apart(&before, &mut y);
    (y, gain)
}

/// More contrast between 24 ERB bands up to 8 kHz: their log gains move away from the mean over seven bands, the less so the
/// more is kept.
fn set_apart(before: &[Complex64], kept: &mut [Complex64]) {
    let rate = |bin: f64| 21.4 * (1.0 + 0.00437 * 50.0 * (bin - 0.5)).log10();
    let mut edges = vec![1];
    for k in 1..24 {
        let at = rate(1.0) + (rate(161.0) - rate(1.0)) * f64::from(k) / 24.0;
        let bin = (10f64.powf(at / 21.4) - 1.0) / 0.00437 / 50.0;
        edges.push((bin.round() as usize).max(edges[edges.len() - 1] + 1));
    }
    edges.push(161);
    let levels: Vec<f64> = edges
        .windows(2)
        .map(|edge| {
            let mean = |x: &[Complex64]| {
                let bins = &x[edge[0]..edge[1]];
                bins.iter().map(|x| x.norm_sqr()).sum::<f64>() / bins.len() as f64 + 1e-14
            };
            10.0 * (mean(kept) / mean(before)).clamp(1e-4, 2.0).log10()
        })
        .collect();
    let share = 0.4 * (levels.iter().sum::<f64>() / 24.0 / -10.0).clamp(0.0, 1.0);
    let gains: Vec<f64> = (0..24isize)
        .map(|k| {
            let around = (k - 3..=k + 3).map(|j| levels[j.clamp(0, 23) as usize]);
            let level = levels[k as usize];
            let change = share * (level - around.sum::<f64>() / 7.0);
            10f64.powf(change.min((-level).max(0.0)) / 20.0)
        })
        .collect();
    let centre = |k: usize| (edges[k] + edges[k + 1] - 1) as f64 / 2.0;
    for (bin, y) in kept.iter_mut().enumerate().take(161) {
        let bin = (bin as f64).clamp(centre(0), centre(23));
        let k = (0..23).rfind(|&k| centre(k) <= bin).unwrap_or(0);
        let share = (bin - centre(k)) / (centre(k + 1) - centre(k));
        *y *= gains[k] + (gains[k + 1] - gains[k]) * share;
    }
}

/// Sample `n` of a frame, windowed.
fn sample(spectrum: &[Complex64], n: usize) -> f64 {
    let turn = |bin: usize| Complex64::cis(TAU * ((bin * n) % (2 * HOP)) as f64 / (2 * HOP) as f64);
    let twice: f64 = (1..HOP).map(|bin| (spectrum[bin] * turn(bin)).re).sum();
    let ends = spectrum[0].re + (spectrum[HOP] * turn(HOP)).re;
    (twice + 0.5 * ends) * (PI * n as f64 / (2 * HOP) as f64).sin()
}

/// The signal's hops, each from the frame that starts and the frame that ends with it, and the lowest expander gain.
fn offline(network: &Dccrn, signal: &[f32]) -> (Vec<f64>, f64) {
    let (mut stft, bands) = (Stft::new(HOP), Bands::new(BINS));
    let (mut state, mut mask) = (network.new_state(), network.new_mask());
    let &Sizes { taps, look_ahead, taps_ahead, .. } = network.sizes();
    let later = look_ahead - taps_ahead; // frames after those that the filter goes over
    let mut heard = vec![vec![Complex32::ZERO; BINS]; (taps + later).max(look_ahead + 2)];
    let (mut out, mut gain) = (Vec::new(), 1.0f64);
    let mut previous = vec![Complex64::ZERO; BINS];
    let silence = vec![0.0; HOP];
    for frame in [&silence[..], signal].concat().windows(2 * HOP).step_by(HOP) {
        let mut spectrum = vec![Complex32::ZERO; BINS];
        stft.analyze(frame, &mut spectrum);
        let (mut low, mut energies) = ([Complex32::ZERO; LOW_BINS], [0.0; HIGH_BANDS]);
        bands.low(&spectrum, &mut low);
        bands.energies(&spectrum, &mut energies);
        let mut features = Features::default();
        network.features(&low, &energies, &mut state, &mut features);
        network.forward(&features, &mut state, &mut mask);
        heard.remove(0);
        heard.push(spectrum);
        let [.., before, filtered] = &heard[..heard.len() - look_ahead] else {
            panic!("a frame before the filtered one")
        };
        let over = &heard[heard.len() - later - taps..heard.len() - later];
        let (first, gain_first) = kept(&mask, 0, over, filtered);
        let (second, gain_second) = kept(&mask, 1, over, before);
        gain = gain.min(gain_first).min(gain_second);
        // Crossfade from head 0's output for the previous frame to head 1's.
        let fade = |n: usize| (n as f64 / (HOP / 20) as f64).min(1.0);
        let overlap = |n: usize| {
            let (old, new) = (sample(&previous, HOP + n), sample(&second, HOP + n));
            old + fade(n) * (new - old)
        };
        out.extend((0..HOP).map(|n| sample(&first, n) + overlap(n)));
        previous = first;
    }
    (out.split_off((1 + look_ahead) * HOP), gain)
}

#[test]
fn streaming_equals_offline() {
    let mut signal = noisy_voice(48_000, 0.3, 8000.0);
    signal.truncate(signal.len() / HOP * HOP);
    let plain = File::random(2);
    // A network that detects no voice, so that the expander acts.
    let mut quiet = File::random(2);
    for name in ["decoder.1.weight", "decoder.1.bias", "low_memory.linear.weight"] {
        quiet.tensors.get_mut(name).unwrap().1.iter_mut().for_each(|x| *x *= 0.003);
    }
    quiet.tensors.get_mut("high_out.bias").unwrap().1.iter_mut().for_each(|x| *x -= 8.0);
    for (file, expands) in [(plain, false), (quiet, true), (File::looking_ahead(), true)] {
        let network = file.network();
        let (expected, gain) = offline(network.network(), &signal);
        assert_eq!(gain < 0.9, expands, "the expander's least gain is {gain:.2}");
        let mut engine = Engine::new(&network, 48_000, 1).unwrap();
        let out = run(&mut engine, &full(), std::slice::from_ref(&signal), || 480);
        let streamed = &out[0][engine.latency_samples()..];
        assert!(streamed.len() > signal.len() / 2 && streamed.len() <= expected.len());
        let worst = streamed.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs());
        let worst = worst.fold(0.0, f64::max);
        let peak = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        println!("max abs error {worst:.1e} of a signal with peak {peak:.1e}, gain {gain:.2}");
        assert!(peak > 1e-4 && worst < 1e-6, "{worst:.1e}");
    }
}

/// If the first head keeps everything and the second removes everything, the second half of every frame fades out.
#[test]
fn each_head_makes_its_half() {
    let mut file = File::random(2).removing();
    // The filter is bounded by tanh, which is 1 at 20.
    file.tensors.get_mut("decoder.1.bias").unwrap().1[0] = 20.0;
    let gains = &mut file.tensors.get_mut("full_memory.gains.bias").unwrap().1;
    gains[..24].fill(80.0);
    gains[24..48].fill(160.0); // outweighs the high positions' -80
    let mut engine = Engine::new(&file.network(), 48_000, 1).unwrap();
    let signal = vec![0.5; 4800];
    let out = run(&mut engine, &full(), &[signal], || 480);
    for (n, y) in out[0].iter().enumerate().skip(4 * HOP) {
        let rising = (PI * (n % HOP) as f64 / (2 * HOP) as f64).sin().powi(2);
        let fading = (1.0 - (n % HOP) as f64 / (HOP / 20) as f64).max(0.0) * (1.0 - rising);
        assert!((f64::from(*y) - 0.5 * (rising + fading)).abs() < 1e-5, "sample {n}: {y}");
    }
}
