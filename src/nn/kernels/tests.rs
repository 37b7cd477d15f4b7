//! Every instruction set against plain Rust and direct sums.
use wisp_testing::Random;

use super::packed::Buffer;
use super::{Kernels, PANEL, Packed, PackedScan};

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|_| random.sample()).collect()
}

/// The result of running on a copy of `data`, for every variant; the last is plain Rust.
fn variants(data: &[f32], run: impl Fn(Kernels, &mut [f32])) -> Vec<(Kernels, Vec<f32>)> {
    let of = |kernels| {
        let mut copy = Buffer::new(data.len());
        copy.copy_from_slice(data);
        run(kernels, &mut copy);
        (kernels, copy.to_vec())
    };
    Kernels::available().map(of).collect()
}

#[test]
fn weights_in_pairs_give_the_same_bits() {
    let outputs = 17 * PANEL;
    for inputs in [1, 2, 37] {
        let halves = |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000);
        let weights: Vec<f32> = numbers(outputs * inputs, 1).into_iter().map(halves).collect();
        let (a, bias) = (numbers(inputs, 2), numbers(outputs, 3));
        let packed =
            Packed::new(outputs, inputs, |o, i| weights[o * inputs + i]).with_bias(|o| bias[o]);
        let paired = packed.clone().for_one_row();
        assert!(packed.pairs.is_none() && paired.pairs.is_some());
        assert!(Packed::new(outputs, inputs, |_, _| 0.1).for_one_row().pairs.is_none());
        for kernels in Kernels::available() {
            for add in [false, true] {
                let [expected, got] = [&packed, &paired].map(|w| {
                    let mut y = numbers(outputs, 4);
                    kernels.matmul(w, 1, &a, inputs, &mut y, outputs, add);
                    y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                });
                assert!(expected == got, "{kernels:?}, {inputs} inputs");
            }
        }
    }
}

#[track_caller]
fn all_alike(data: &[f32], tolerance: f32, run: impl Fn(Kernels, &mut [f32])) {
    let results = variants(data, run);
    let (kernels, plain) = &results[results.len() - 1];
    assert_eq!(*kernels, Kernels::PLAIN);
    assert!(plain != data, "nothing was done");
    for (kernels, result) in &results {
        for (i, (a, b)) in result.iter().zip(plain).enumerate() {
            let near = (a - b).abs() <= tolerance * b.abs().max(1.0);
            assert!(near, "{kernels:?}, element {i}: {a}, plain {b}");
        }
    }
}

/// All cases; under Miri only a few of each kind, so that it finishes in minutes.
fn cases<T: Copy>(all: &[T], few: &[T]) -> Vec<T> {
    if cfg!(miri) { few.to_vec() } else { all.to_vec() }
}

#[test]
fn products_are_right_for_every_shape() {
    const GUARD: f32 = 7.0;
    for rows in cases(&[1, 2, 3, 5, 8, 13, 24], &[3, 13]) {
        for inputs in cases(&[1, 6, 48], &[3]) {
            for outputs in cases(&[1, 6, 12, 16, 24, 33, 48, 96], &[1, 33, 48]) {
                let (w, x) = (numbers(outputs * inputs, 1), numbers(rows * inputs, 2));
                let (bias, slope) = (numbers(outputs, 3), numbers(outputs, 4));
                let old = numbers(rows * outputs, 5);
                let stride = outputs + 3;
                let packed =
                    Packed::new(outputs, inputs, |o, i| w[o * inputs + i]).with_bias(|o| bias[o]);
                let sloped = packed.clone().with_slope(|o| slope[o]);
                for (packed, add) in
                    [(&packed, false), (&packed, true), (&sloped, false), (&sloped, true)]
                {
                    let mut start = vec![GUARD; (rows - 1) * stride + outputs];
                    for row in 0..rows {
                        start[row * stride..][..outputs]
                            .copy_from_slice(&old[row * outputs..][..outputs]);
                    }
                    let expected = |row: usize, o: usize| {
                        let terms = (0..inputs)
                            .map(|i| f64::from(w[o * inputs + i]) * f64::from(x[row * inputs + i]));
                        let before = if add { old[row * outputs + o] } else { 0.0 };
                        let y = terms.sum::<f64>() + f64::from(bias[o]) + f64::from(before);
                        let sloped = packed.slope.is_some() && y < 0.0;
                        if sloped { y * f64::from(slope[o]) } else { y }
                    };
                    let run = |kernels: Kernels, y: &mut [f32]| {
                        kernels.matmul(packed, rows, &x, inputs, y, stride, add);
                    };
                    for (kernels, y) in variants(&start, run) {
                        for (i, y) in y.iter().enumerate() {
                            let (row, o) = (i / stride, i % stride);
                            let case = || {
                                format!(
                                    "{kernels:?}: {rows} x {inputs} -> {outputs}, add {add}, {i}"
                                )
                            };
                            if o < outputs {
                                let error = (f64::from(*y) - expected(row, o)).abs();
                                assert!(error < 1e-5, "{}: {error:.1e}", case());
                            } else {
                                assert_eq!(*y, GUARD, "{}: written between rows", case());
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn variants_agree_with_the_plain_one() {
    for width in cases(&[16, 32, 48], &[16, 32]) {
        for rows in cases(&[1, 2, 7], &[1, 2]) {
            let gates: Vec<f32> = numbers(rows * 4 * width, 1).iter().map(|x| 8.0 * x).collect();
            let state = numbers(rows * (width + 16), 2);
            all_alike(&state, 2e-6, |k, y| k.gru_cell(width, &gates, y, width + 16));
            all_alike(&state, 2e-6, |k, y| {
                k.tanh_rows(width, &gates[..rows * width], y, width + 16);
            });
            let (u, cn) = (numbers(6 * width * width, 3), numbers(2 * width, 4));
            let w = PackedScan::new(
                width,
                |d, gate, o, i| u[((d * 3 + gate) * width + o) * width + i],
                |d, o| cn[d * width + o],
            );
            let gates = numbers(rows * 6 * width, 5);
            let zero = Buffer::new(width);
            let out = numbers(rows * 2 * width, 6);
            all_alike(&out, 2e-5, |k, y| k.scan(&w, rows, &gates, y, &zero));
        }
    }
    let x: Vec<f32> = numbers(160, 7).iter().map(|x| 20.0 * x).collect();
    all_alike(&x, 1e-6, |k, y| k.sigmoid(y));
    let x: Vec<f32> = numbers(160, 8).iter().map(|x| (40.0 * x).exp2()).collect();
    all_alike(&x, 2e-6, |k, y| k.power(y, -0.35));
    let imag: Vec<f32> = numbers(160, 9).iter().map(|x| 3.0 * x).collect();
    all_alike(&x, 2e-6, |k, y| k.bound(y, &mut imag.clone()));
}

/// In steps of 2^-12 over twice the clamped range.
#[test]
fn tanh_and_sigmoid_err_by_no_more_than_stated() {
    let step = cases(&[1], &[1001])[0];
    let x = (-32 << 12..32 << 12).step_by(step).map(|i| i as f32 / 4096.0);
    let x: Vec<f32> = x.chain([0.0; PANEL]).take((64 << 12) / step / PANEL * PANEL).collect();
    let odd = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, 1e-30, -0.0, 0.0, 0.0];
    let x: Vec<f32> = x.into_iter().chain(odd).chain([0.0; 8]).collect();
    let tanh = |k: Kernels, y: &mut [f32]| k.tanh_rows(PANEL, &x, y, PANEL);
    for (kernels, y) in variants(&x, tanh) {
        for (x, y) in x.iter().zip(&y) {
            let exact = if x.is_nan() { 1.0 } else { f64::from(*x).tanh() };
            let error = (f64::from(*y) - exact).abs();
            assert!(error < 4e-7 && y.abs() <= 1.0, "{kernels:?}: tanh {x} = {y}");
        }
    }
    for (kernels, y) in variants(&x, |k, y| k.sigmoid(y)) {
        for (x, y) in x.iter().zip(&y) {
            let exact = if x.is_nan() { 1.0 } else { 1.0 / (1.0 + (-f64::from(*x)).exp()) };
            let error = (f64::from(*y) - exact).abs();
            assert!(error < 3e-7 && (0.0..=1.0).contains(y), "{kernels:?}: sigmoid {x} = {y}");
        }
    }
}

#[test]
fn powers_err_by_no_more_than_stated() {
    let step = cases(&[1], &[100])[0];
    let x: Vec<f32> = (0..16_000).step_by(step).map(|i| (i as f32 / 100.0 - 80.0).exp2()).collect();
    for (kernels, y) in variants(&x, |k, y| k.power(y, -0.35)) {
        for (x, y) in x.iter().zip(&y) {
            let exact = f64::from(*x).powf(-0.35);
            let error = (f64::from(*y) / exact - 1.0).abs();
            assert!(error < 4e-6, "{kernels:?}: {x}^-0.35 = {y}, relative error {error:.1e}");
        }
    }
}

#[test]
fn bounds_err_by_no_more_than_stated() {
    let step = cases(&[1], &[100])[0];
    let sizes = (0..16_000).step_by(step).map(|i| (i as f32 / 200.0 - 40.0).exp2());
    let odd = [0.0, f32::MIN_POSITIVE, 7.8, 7.9, 8.0, 1e15, f32::MAX, f32::INFINITY];
    let sizes: Vec<f32> = sizes.chain(odd).chain([1.0; PANEL]).collect();
    let x = &sizes[..sizes.len() / PANEL * PANEL];
    let imag: Vec<f32> = x.iter().map(|x| -0.75 * x).collect();
    for (kernels, y) in variants(x, |k, y| k.bound(y, &mut imag.clone())) {
        for ((x, im), y) in x.iter().zip(&imag).zip(&y) {
            // Beyond 1e15, each part is limited alone.
            let (x, im) = (f64::from(x.min(1e15)), f64::from(im.max(-1e15)));
            let size = x.hypot(im);
            let exact = if size > 0.0 { x * size.tanh() / size } else { 0.0 };
            let error = (f64::from(*y) - exact).abs();
            assert!(error <= 2e-6 * exact.abs(), "{kernels:?}: {x} = {y}, expected {exact}");
        }
    }
}
