//! Functions of whole vectors.
use super::simd::Simd;

/// e^x, relative error below 2e-7 (Cephes' polynomial), of numbers clamped to -87..=87; NaN reads as 87.
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S) -> S {
    let shift = S::splat(12_582_912.0); // 1.5 * 2^23: adding it rounds to a whole number
    let x = x.min(S::splat(87.0)).max(S::splat(-87.0));
    let shifted = x.mul_add(S::splat(std::f32::consts::LOG2_E), shift);
    let n = shifted.sub(shift);
    let r = n.mul_add(S::splat(-0.693_359_4), x);
    let r = n.mul_add(S::splat(2.121_944_4e-4), r);
    let mut p = S::splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1] {
        p = p.mul_add(r, S::splat(c));
    }
    let y = p.mul_add(r.mul(r), r).add(S::splat(1.0));
    y.mul(shifted.exp2_shifted())
}

/// ln x of positive normal numbers, relative error below 2e-7 (Cephes' polynomial).
#[inline(always)]
pub(super) unsafe fn ln<S: Simd>(x: S) -> S {
    let (e, m) = x.split();
    let f = m.sub(S::splat(1.0));
    let f2 = f.mul(f);
    let mut p = S::splat(7.037_683_6e-2);
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(f, S::splat(c));
    }
    let y = p.mul(f).mul(f2);
    let y = e.mul_add(S::splat(-2.121_944_4e-4), y);
    let y = f2.mul_add(S::splat(-0.5), y);
    e.mul_add(S::splat(0.693_359_4), f.add(y))
}

/// An odd rational function, `x p(x^2) / q(x^2)` of x clamped to -limit..=limit.
struct Rational {
    p: [f32; 5], // the highest power first
    q: [f32; 5],
    limit: f32,
}

/// The best approximation of its degrees to tanh on 0..=7.9, by least squares reweighted to minimise the largest error.
const TANH: Rational = Rational {
    p: [1.525_968_9e-8, 2.190_342e-5, 3.571_696e-3, 0.134_444_52, 1.0],
    q: [8.530_55e-7, 3.411_742_4e-4, 2.616_441_4e-2, 0.467_777_73, 1.0],
    limit: 7.9,
};

/// tanh(x / 2) / 2: powers of two, so nothing is rounded.
const HALF_TANH: Rational = {
    let mut f = TANH;
    let (mut i, mut scale) = (5, 1.0);
    while i > 0 {
        i -= 1;
        f.p[i] *= 0.25 * scale;
        f.q[i] *= scale;
        scale *= 0.25;
    }
    f.limit *= 2.0;
    f
};

/// p(t) and q(t).
#[inline(always)]
unsafe fn polynomials<S: Simd>(f: &Rational, t: S) -> (S, S) {
    let (mut p, mut q) = (S::splat(f.p[0]), S::splat(f.q[0]));
    for i in 1..5 {
        p = p.mul_add(t, S::splat(f.p[i]));
        q = q.mul_add(t, S::splat(f.q[i]));
    }
    (p, q)
}

/// NaN reads as the limit.
#[inline(always)]
unsafe fn rational<S: Simd>(f: &Rational, x: S) -> S {
    let x = x.min(S::splat(f.limit)).max(S::splat(-f.limit));
    let (p, q) = polynomials(f, x.mul(x));
    x.mul(p).ratio(q)
}

/// Absolute error below 3e-7.
#[inline(always)]
pub(super) unsafe fn sigmoid<S: Simd>(x: S) -> S {
    rational(&HALF_TANH, x).add(S::splat(0.5))
}

/// Absolute error below 4e-7, never outside -1..=1.
#[inline(always)]
pub(super) unsafe fn tanh<S: Simd>(x: S) -> S {
    rational(&TANH, x)
}

/// tanh(sqrt(t)) / sqrt(t), relative error below 2e-6, of t in 0..=2e30.
#[inline(always)]
pub(super) unsafe fn tanh_ratio<S: Simd>(t: S) -> S {
    let most = S::splat(TANH.limit * TANH.limit);
    let (p, q) = polynomials(&TANH, t.min(most));
    // Beyond the limit the numerator stays, and the denominator still grows: min(1, limit / sqrt(t)).
    let beyond = S::splat(TANH.limit).mul(t.max(most).rsqrt());
    p.ratio(q).mul(beyond)
}
