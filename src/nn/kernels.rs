//! The inner loops, once per instruction set, and the only file with `unsafe` code.
//!
//! Each loop is written once over the trait [`Simd`] and compiled for AVX-512, AVX2 with FMA, NEON and plain
//! Rust; [`Kernels::detect`] picks one at run time. Two rules make it sound:
//!
//! 1. A variant other than [`Kernels::Plain`] comes only from [`Kernels::available`], which asks the processor first.
//!    Nothing else calls a function with `#[target_feature]`.
//! 2. Every safe entry point checks the lengths of its slices with `assert!` before it makes a pointer of them.
//!
//! Matrices are packed in panels of 16 output columns, `[panel][input][16]`, whatever the vector's width. Vectors run
//! across outputs; several rows (frequency positions) share each loaded weight.
//!
//! An `unsafe fn` here hands its contract (the instructions exist, the pointers are valid for what is said) to those it calls.
#![allow(unsafe_code)]
// Registers are indexed by row and vector in step: iterators over one array hide the other.
#![allow(clippy::needless_range_loop)]

use std::ops::{Deref, DerefMut};

/// Output columns in a packed panel, and the multiple to which rows of activations are padded.
pub(crate) const PANEL: usize = 16;

/// `n` rounded up to whole panels.
pub(crate) const fn padded(n: usize) -> usize {
    n.div_ceil(PANEL) * PANEL
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Lanes([f32; PANEL]);

/// Zeroed `f32`s on a cache line's boundary; derefs to a slice of the length asked for.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    lanes: Vec<Lanes>,
    len: usize,
}

impl Buffer {
    pub(crate) fn new(len: usize) -> Self {
        Self { lanes: vec![Lanes([0.0; PANEL]); len.div_ceil(PANEL)], len }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lanes` holds at least `len` initialised, contiguous f32 (Lanes is repr(C), without padding).
        unsafe { std::slice::from_raw_parts(self.lanes.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lanes.as_mut_ptr().cast(), self.len) }
    }
}

/// A matrix packed for [`Kernels::matmul`], with a bias and, if there is one, a PReLU after it.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    data: Buffer,
    halves: Option<Vec<u16>>, // panels as in `data`: the upper halves of the weights, whose lower halves are zero
    bias: Buffer,
    slope: Option<Buffer>,
    inputs: usize,
    outputs: usize,
}

impl Packed {
    /// From `weight(output, input)`.
    pub(crate) fn new(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let width = padded(outputs);
        let mut data = Buffer::new(width * inputs);
        for output in 0..outputs {
            for input in 0..inputs {
                data[output / PANEL * inputs * PANEL + input * PANEL + output % PANEL] =
                    weight(output, input);
            }
        }
        Self { data, halves: None, bias: Buffer::new(width), slope: None, inputs, outputs }
    }

    /// For products with one row, which wait for the weights: where all are bfloat16 numbers only their upper halves
    /// are read, by instruction sets to which that is worth the widening. The result is the same to the bit.
    pub(crate) fn for_one_row(mut self) -> Self {
        let whole = self.outputs.is_multiple_of(PANEL) && self.slope.is_none();
        if whole && self.data.iter().all(|w| w.to_bits() & 0xffff == 0) {
            self.halves = Some(self.data.iter().map(|w| (w.to_bits() >> 16) as u16).collect());
        }
        self
    }

    pub(crate) fn with_bias(mut self, bias: impl Fn(usize) -> f32) -> Self {
        for output in 0..self.outputs {
            self.bias[output] = bias(output);
        }
        self
    }

    /// PReLU on what [`Kernels::matmul`] leaves.
    pub(crate) fn with_slope(mut self, slope: impl Fn(usize) -> f32) -> Self {
        let mut all = Buffer::new(self.bias.len());
        for output in 0..self.outputs {
            all[output] = slope(output);
        }
        self.slope = Some(all);
        self
    }
}

/// The recurrent side of two GRUs that run over the same rows, one up and one down: `[direction][panel][input][gate][16]`.
#[derive(Clone, Debug)]
pub(crate) struct PackedScan {
    data: Buffer,
    cn: Buffer, // [direction][width]
    width: usize,
}

impl PackedScan {
    /// From `u(direction, gate, output, input)` and `cn(direction, output)` of `hidden` units.
    pub(crate) fn new(
        hidden: usize,
        u: impl Fn(usize, usize, usize, usize) -> f32,
        cn: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let width = padded(hidden);
        let mut data = Buffer::new(2 * 3 * width * width);
        let mut all_cn = Buffer::new(2 * width);
        for direction in 0..2 {
            for output in 0..hidden {
                for input in 0..hidden {
                    for gate in 0..3 {
                        let panel = direction * (width / PANEL) + output / PANEL;
                        let at = ((panel * width + input) * 3 + gate) * PANEL + output % PANEL;
                        data[at] = u(direction, gate, output, input);
                    }
                }
                all_cn[direction * width + output] = cn(direction, output);
            }
        }
        Self { data, cn: all_cn, width }
    }

    /// Units per direction, padded to whole panels.
    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

/// The instruction set in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernels {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

/// Calls the loop for the instruction set of `$self`.
macro_rules! dispatch {
    ($self:expr, $name:ident($($arg:expr),* $(,)?)) => {
        // SAFETY: the variant says that the processor has these instructions; the caller has checked the lengths.
        unsafe {
            match $self {
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx512 => avx512::$name($($arg),*),
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx2 => avx2::$name($($arg),*),
                #[cfg(target_arch = "aarch64")]
                Kernels::Neon => neon::$name($($arg),*),
                Kernels::Plain => plain::$name($($arg),*),
            }
        }
    };
}

impl Kernels {
    /// The fastest that this processor has.
    pub(crate) fn detect() -> Self {
        Self::available().next().unwrap_or(Self::Plain)
    }

    /// All that this processor has, fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let native = [
            is_x86_feature_detected!("avx512f").then_some(Self::Avx512),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
                .then_some(Self::Avx2),
        ];
        #[cfg(target_arch = "aarch64")]
        let native = [std::arch::is_aarch64_feature_detected!("neon").then_some(Self::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let native: [Option<Self>; 0] = [];
        native.into_iter().flatten().chain([Self::Plain])
    }

    /// `y[r] = prelu(bias + w a[r])` for `rows` rows; with `add`, what `y` held is added before the PReLU.
    ///
    /// Row r of `a` starts at `r * a_stride`, row r of `y` at `r * y_stride`; rows of `a` may overlap.
    #[allow(clippy::too_many_arguments)]
    #[inline]
    pub(crate) fn matmul(
        self,
        w: &Packed,
        rows: usize,
        a: &[f32],
        a_stride: usize,
        y: &mut [f32],
        y_stride: usize,
        add: bool,
    ) {
        if rows == 0 {
            return;
        }
        assert!(a.len() >= (rows - 1) * a_stride + w.inputs);
        assert!(y.len() >= (rows - 1) * y_stride + w.outputs && y_stride >= w.outputs);
        let job = MatMul {
            rows,
            a: a.as_ptr(),
            a_stride,
            y: y.as_mut_ptr(),
            y_stride,
            add,
            w: w.data.as_ptr(),
            halves: w
                .halves
                .as_ref()
                .filter(|_| rows == 1)
                .map_or(std::ptr::null(), |h| h.as_ptr()),
            bias: w.bias.as_ptr(),
            slope: w.slope.as_ref().map_or(std::ptr::null(), |s| s.as_ptr()),
            inputs: w.inputs,
            outputs: w.outputs,
        };
        dispatch!(self, matmul(&job));
    }

    /// A GRU's last step for each row: `h = n + z (h - n)`, `n = tanh(xn + r an)`, with r and z the sigmoids of
    /// their gates. Rows of `gates` are `[xn | r | z | an]`, each `width` long; rows of `state` begin with h.
    pub(crate) fn gru_cell(
        self,
        width: usize,
        gates: &[f32],
        state: &mut [f32],
        state_stride: usize,
    ) {
        let rows = gates.len() / (4 * width);
        assert!(width.is_multiple_of(PANEL) && gates.len() == 4 * width * rows);
        assert!(state_stride >= width && state.len() == rows * state_stride);
        dispatch!(self, gru_cell(width, rows, gates.as_ptr(), state.as_mut_ptr(), state_stride));
    }

    /// Rows of tanh: `y[r][..width] = tanh(x[r])`, with a row of `y` every `y_stride`.
    pub(crate) fn tanh_rows(self, width: usize, x: &[f32], y: &mut [f32], y_stride: usize) {
        if x.is_empty() {
            return;
        }
        let rows = x.len() / width;
        assert!(width.is_multiple_of(PANEL) && x.len() == rows * width);
        assert!(y_stride >= width && y.len() >= (rows - 1) * y_stride + width);
        dispatch!(self, tanh_rows(width, rows, x.as_ptr(), y.as_mut_ptr(), y_stride));
    }

    /// Two GRUs over the rows, one from the first to the last and one back. Rows of `gates` are the input side
    /// `[up r z n | down r z n]`, rows of `out` get `[up | down]`.
    pub(crate) fn scan(
        self,
        w: &PackedScan,
        rows: usize,
        gates: &[f32],
        out: &mut [f32],
        zero: &[f32],
    ) {
        assert!(gates.len() == rows * 6 * w.width && out.len() == rows * 2 * w.width);
        assert!(zero.len() >= w.width);
        dispatch!(
            self,
            scan(
                w.width,
                rows,
                w.data.as_ptr(),
                w.cn.as_ptr(),
                gates.as_ptr(),
                out.as_mut_ptr(),
                zero.as_ptr()
            )
        );
    }

    /// Sigmoid in place, of whole panels.
    pub(crate) fn sigmoid(self, x: &mut [f32]) {
        assert!(x.len().is_multiple_of(PANEL));
        dispatch!(self, sigmoid(x.as_mut_ptr(), x.len()));
    }

    /// Positive, normal numbers to a power, in place, of whole panels.
    pub(crate) fn power(self, x: &mut [f32], exponent: f32) {
        assert!(x.len().is_multiple_of(PANEL));
        dispatch!(self, power(x.as_mut_ptr(), x.len(), exponent));
    }

    /// Complex numbers bounded to magnitude tanh(|m|), phase kept, in place, of whole panels.
    pub(crate) fn bound(self, real: &mut [f32], imag: &mut [f32]) {
        assert!(real.len().is_multiple_of(PANEL) && real.len() == imag.len());
        dispatch!(self, bound(real.as_mut_ptr(), imag.as_mut_ptr(), real.len()));
    }
}

struct MatMul {
    rows: usize,
    a: *const f32,
    a_stride: usize,
    y: *mut f32,
    y_stride: usize,
    add: bool,
    w: *const f32,
    halves: *const u16, // null: `w` holds the weights
    bias: *const f32,
    slope: *const f32, // null: no PReLU
    inputs: usize,
    outputs: usize,
}

/// One vector of an instruction set.
///
/// # Safety
/// All functions but those of [`Scalar`] may run only where their instructions exist; pointers must be valid for
/// `WIDTH` floats.
trait Simd: Copy {
    /// Floats per vector; divides [`PANEL`].
    const WIDTH: usize;
    /// Vectors per row in a block of [`matmul`], whole panels.
    const ACROSS: usize;
    /// Rows in a block of [`matmul`].
    const ROWS: usize;
    /// Whether a product with one row reads halved weights: widening them takes two instructions a vector.
    const HALVES: bool;

    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    /// From the upper halves of floats.
    unsafe fn load_halves(p: *const u16) -> Self;
    unsafe fn store(self, p: *mut f32);
    unsafe fn add(self, o: Self) -> Self;
    unsafe fn sub(self, o: Self) -> Self;
    unsafe fn mul(self, o: Self) -> Self;
    unsafe fn div(self, o: Self) -> Self;
    /// `self / o` within 2^-22 of it, of a finite `self` and `o` in 1..=1e30.
    #[inline(always)]
    unsafe fn ratio(self, o: Self) -> Self {
        // SAFETY: the caller's contract, passed on.
        unsafe { self.div(o) }
    }
    /// `self * m + a`
    unsafe fn mul_add(self, m: Self, a: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// The smaller; `o` where `self` is NaN.
    unsafe fn min(self, o: Self) -> Self;
    /// The larger; `o` where `self` is NaN.
    unsafe fn max(self, o: Self) -> Self;
    /// The first `count` floats at `p`, of which no more need be valid, then zeros; `count` may be larger than `WIDTH`.
    unsafe fn load_some(p: *const f32, count: usize) -> Self;
    /// Stores the first `count` floats only, which is all that need be valid; `count` may be larger than `WIDTH`.
    unsafe fn store_some(self, p: *mut f32, count: usize);
    /// 2^n, where `self` is n + 1.5 * 2^23 and n a whole number in -126..=127.
    unsafe fn exp2_shifted(self) -> Self;
    /// (e, m) with `self = m 2^e` and m in [sqrt(1/2), sqrt(2)), of positive normal numbers.
    unsafe fn split(self) -> (Self, Self);
}

const SQRT_HALF_BITS: i32 = 0x3f35_04f3;

/// e^x, relative error below 2e-7 (Cephes' polynomial), of numbers clamped to -87..=87; NaN reads as 87.
#[inline(always)]
unsafe fn exp<S: Simd>(x: S) -> S {
    // SAFETY: the caller's contract, passed on.
    unsafe {
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
}

/// ln x of positive normal numbers, relative error below 2e-7 (Cephes' polynomial).
#[inline(always)]
unsafe fn ln<S: Simd>(x: S) -> S {
    // SAFETY: the caller's contract, passed on.
    unsafe {
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
}

/// An odd rational function, `x p(x^2) / q(x^2)` of x clamped to -limit..=limit.
struct Rational {
    p: [f32; 5], // the highest power first
    q: [f32; 5],
    limit: f32,
}

/// The best of its degrees for tanh on 0..=7.9, by least squares reweighted until the largest error is least.
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

/// NaN reads as the limit.
#[inline(always)]
unsafe fn rational<S: Simd>(f: &Rational, x: S) -> S {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let x = x.min(S::splat(f.limit)).max(S::splat(-f.limit));
        let t = x.mul(x);
        let (mut p, mut q) = (S::splat(f.p[0]), S::splat(f.q[0]));
        for i in 1..5 {
            p = p.mul_add(t, S::splat(f.p[i]));
            q = q.mul_add(t, S::splat(f.q[i]));
        }
        x.mul(p).ratio(q)
    }
}

/// Absolute error below 3e-7.
#[inline(always)]
unsafe fn sigmoid_v<S: Simd>(x: S) -> S {
    // SAFETY: the caller's contract, passed on.
    unsafe { rational(&HALF_TANH, x).add(S::splat(0.5)) }
}

/// Absolute error below 4e-7, and never beyond -1..=1.
#[inline(always)]
unsafe fn tanh_v<S: Simd>(x: S) -> S {
    // SAFETY: the caller's contract, passed on.
    unsafe { rational(&TANH, x) }
}

/// R rows by V vectors of [`Kernels::matmul`], from column `first` on.
#[inline(always)]
unsafe fn block<S: Simd, const R: usize, const V: usize>(job: &MatMul, row: usize, first: usize) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let at = |v: usize| {
            let column = first + v * S::WIDTH;
            column / PANEL * job.inputs * PANEL + column % PANEL
        };
        // Pointers that the compiler cannot derive from one another: else it does so, at every input anew.
        let a: [*const f32; R] = std::array::from_fn(|r| job.a.add((row + r) * job.a_stride));
        let a = std::hint::black_box(a);
        // Of the columns past the last, pointers are made, though nothing is read or written there.
        let y = job.y.wrapping_add(row * job.y_stride + first);
        let whole = first + V * S::WIDTH <= job.outputs;
        let mut acc = [[S::splat(0.0); V]; R];
        for v in 0..V {
            let bias = S::load(job.bias.add(first + v * S::WIDTH));
            for r in 0..R {
                acc[r][v] = bias;
            }
        }
        if job.add {
            for r in 0..R {
                for v in 0..V {
                    let p = y.wrapping_add(r * job.y_stride + v * S::WIDTH);
                    let old = if whole {
                        S::load(p)
                    } else {
                        S::load_some(p, job.outputs.saturating_sub(first + v * S::WIDTH))
                    };
                    acc[r][v] = acc[r][v].add(old);
                }
            }
        }
        for k in 0..job.inputs {
            let mut w = [S::splat(0.0); V];
            for v in 0..V {
                w[v] = S::load(job.w.add(at(v) + k * PANEL));
            }
            for r in 0..R {
                let x = S::splat(*a[r].add(k));
                for v in 0..V {
                    acc[r][v] = x.mul_add(w[v], acc[r][v]);
                }
            }
        }
        if !job.slope.is_null() {
            let zero = S::splat(0.0);
            for v in 0..V {
                let slope = S::load(job.slope.add(first + v * S::WIDTH));
                for r in 0..R {
                    let x = acc[r][v];
                    acc[r][v] = slope.mul_add(x.min(zero), x.max(zero));
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                let p = y.wrapping_add(r * job.y_stride + v * S::WIDTH);
                if whole {
                    acc[r][v].store(p);
                } else {
                    acc[r][v].store_some(p, job.outputs.saturating_sub(first + v * S::WIDTH));
                }
            }
        }
    }
}

/// V vectors of the one row of [`Kernels::matmul`] with halved weights, from column `first` on; whole panels, no PReLU.
#[inline(always)]
unsafe fn halved<S: Simd, const V: usize>(job: &MatMul, first: usize) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let at = |v: usize| {
            let column = first + v * S::WIDTH;
            column / PANEL * job.inputs * PANEL + column % PANEL
        };
        let w: [*const u16; V] = std::array::from_fn(|v| job.halves.add(at(v)));
        let y = job.y.add(first);
        let mut acc = [S::splat(0.0); V];
        for v in 0..V {
            acc[v] = S::load(job.bias.add(first + v * S::WIDTH));
            if job.add {
                acc[v] = acc[v].add(S::load(y.add(v * S::WIDTH)));
            }
        }
        for k in 0..job.inputs {
            let x = S::splat(*job.a.add(k));
            for v in 0..V {
                acc[v] = x.mul_add(S::load_halves(w[v].add(k * PANEL)), acc[v]);
            }
        }
        for v in 0..V {
            acc[v].store(y.add(v * S::WIDTH));
        }
    }
}

#[inline(always)]
unsafe fn columns<S: Simd, const V: usize>(job: &MatMul, first: usize) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let mut row = 0;
        // Constants: each instruction set compiles only one of these two.
        if S::ROWS == 8 {
            while job.rows - row >= 8 {
                block::<S, 8, V>(job, row, first);
                row += 8;
            }
        }
        if S::ROWS == 6 {
            while job.rows - row >= 6 {
                block::<S, 6, V>(job, row, first);
                row += 6;
            }
        }
        if S::ROWS >= 4 {
            while job.rows - row >= 4 {
                block::<S, 4, V>(job, row, first);
                row += 4;
            }
        }
        while job.rows - row >= 2 {
            block::<S, 2, V>(job, row, first);
            row += 2;
        }
        if row < job.rows {
            block::<S, 1, V>(job, row, first);
        }
    }
}

#[inline(always)]
unsafe fn matmul<S: Simd>(job: &MatMul) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let vectors = padded(job.outputs) / S::WIDTH;
        let mut v = 0;
        if S::HALVES && !job.halves.is_null() {
            while vectors - v >= 8 {
                halved::<S, 8>(job, v * S::WIDTH);
                v += 8;
            }
            while v < vectors {
                halved::<S, 1>(job, v * S::WIDTH);
                v += 1;
            }
        }
        while v < vectors {
            let first = v * S::WIDTH;
            let count = S::ACROSS.min(vectors - v);
            // Constants: no instruction set compiles a block that is wider than it takes.
            match count {
                1 => columns::<S, 1>(job, first),
                2 => columns::<S, 2>(job, first),
                3 if S::ACROSS >= 3 => columns::<S, 3>(job, first),
                _ if S::ACROSS >= 4 => columns::<S, 4>(job, first),
                _ => (),
            }
            v += count;
        }
    }
}

#[inline(always)]
unsafe fn gru_cell<S: Simd>(
    width: usize,
    rows: usize,
    gates: *const f32,
    state: *mut f32,
    state_stride: usize,
) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        for row in 0..rows {
            let (g, h) = (gates.add(row * 4 * width), state.add(row * state_stride));
            let mut i = 0;
            while i < width {
                let r = sigmoid_v(S::load(g.add(width + i)));
                let z = sigmoid_v(S::load(g.add(2 * width + i)));
                let n = tanh_v(r.mul_add(S::load(g.add(3 * width + i)), S::load(g.add(i))));
                z.mul_add(S::load(h.add(i)).sub(n), n).store(h.add(i));
                i += S::WIDTH;
            }
        }
    }
}

#[inline(always)]
unsafe fn tanh_rows<S: Simd>(
    width: usize,
    rows: usize,
    x: *const f32,
    y: *mut f32,
    y_stride: usize,
) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        for row in 0..rows {
            let mut i = 0;
            while i < width {
                tanh_v(S::load(x.add(row * width + i))).store(y.add(row * y_stride + i));
                i += S::WIDTH;
            }
        }
    }
}

#[inline(always)]
unsafe fn scan<S: Simd>(
    width: usize,
    rows: usize,
    u: *const f32,
    cn: *const f32,
    gates: *const f32,
    out: *mut f32,
    zero: *const f32,
) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        for step in 0..rows {
            let row = [step, rows - 1 - step];
            let (first, mut before) = (step == 0, [zero; 2]);
            if !first {
                before =
                    [out.add((row[0] - 1) * 2 * width), out.add((row[1] + 1) * 2 * width + width)];
            }
            let mut i = 0;
            while i < width {
                // Twelve independent chains: three gates, up and down, of even and odd inputs.
                let mut acc = [[S::splat(0.0); 3]; 2];
                let mut odd = [[S::splat(0.0); 3]; 2];
                let mut w = [zero; 2];
                let mut gate_n = [S::splat(0.0); 2];
                for d in 0..2 {
                    let g = gates.add(row[d] * 6 * width + d * 3 * width + i);
                    acc[d] = [S::load(g), S::load(g.add(width)), S::load(cn.add(d * width + i))];
                    gate_n[d] = S::load(g.add(2 * width));
                    w[d] = u.add((d * (width / PANEL) + i / PANEL) * width * 3 * PANEL + i % PANEL);
                }
                for k in (0..width).step_by(2) {
                    for (k, acc) in [(k, &mut acc), (k + 1, &mut odd)] {
                        for d in 0..2 {
                            let h = S::splat(*before[d].add(k));
                            for (gate, acc) in acc[d].iter_mut().enumerate() {
                                *acc = h.mul_add(S::load(w[d].add((k * 3 + gate) * PANEL)), *acc);
                            }
                        }
                    }
                }
                for d in 0..2 {
                    let [r, z, an] = std::array::from_fn(|gate| acc[d][gate].add(odd[d][gate]));
                    let (r, z) = (sigmoid_v(r), sigmoid_v(z));
                    let n = tanh_v(r.mul_add(an, gate_n[d]));
                    let h = S::load(before[d].add(i));
                    z.mul_add(h.sub(n), n).store(out.add(row[d] * 2 * width + d * width + i));
                }
                i += S::WIDTH;
            }
        }
    }
}

#[inline(always)]
unsafe fn sigmoid<S: Simd>(x: *mut f32, len: usize) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let mut i = 0;
        while i < len {
            sigmoid_v(S::load(x.add(i))).store(x.add(i));
            i += S::WIDTH;
        }
    }
}

#[inline(always)]
unsafe fn power<S: Simd>(x: *mut f32, len: usize, exponent: f32) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let mut i = 0;
        while i < len {
            exp(ln(S::load(x.add(i))).mul(S::splat(exponent))).store(x.add(i));
            i += S::WIDTH;
        }
    }
}

#[inline(always)]
unsafe fn bound<S: Simd>(real: *mut f32, imag: *mut f32, len: usize) {
    // SAFETY: the caller's contract, passed on.
    unsafe {
        let mut i = 0;
        while i < len {
            // Also where weights are so large that something overflowed.
            let tame = |x: S| x.min(S::splat(1e15)).max(S::splat(-1e15));
            let (re, im) = (tame(S::load(real.add(i))), tame(S::load(imag.add(i))));
            let size = re.mul_add(re, im.mul_add(im, S::splat(1e-12))).sqrt();
            let scale = tanh_v(size).div(size);
            re.mul(scale).store(real.add(i));
            im.mul(scale).store(imag.add(i));
            i += S::WIDTH;
        }
    }
}

/// The generic loops compiled for one instruction set.
macro_rules! compile {
    ($module:ident, $vector:ty $(, $feature:literal)?) => {
        mod $module {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn matmul(job: &MatMul) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::matmul::<$vector>(job) }
            }
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn gru_cell(
                width: usize,
                rows: usize,
                gates: *const f32,
                state: *mut f32,
                state_stride: usize,
            ) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::gru_cell::<$vector>(width, rows, gates, state, state_stride) }
            }
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn tanh_rows(width: usize, rows: usize, x: *const f32, y: *mut f32, y_stride: usize) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::tanh_rows::<$vector>(width, rows, x, y, y_stride) }
            }
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn scan(
                width: usize,
                rows: usize,
                u: *const f32,
                cn: *const f32,
                gates: *const f32,
                out: *mut f32,
                zero: *const f32,
            ) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::scan::<$vector>(width, rows, u, cn, gates, out, zero) }
            }
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn sigmoid(x: *mut f32, len: usize) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::sigmoid::<$vector>(x, len) }
            }
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn power(x: *mut f32, len: usize, exponent: f32) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::power::<$vector>(x, len, exponent) }
            }
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn bound(real: *mut f32, imag: *mut f32, len: usize) {
                // SAFETY: the caller's contract, passed on.
                unsafe { super::bound::<$vector>(real, imag, len) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compile!(avx512, x86::V512, "avx512f");
#[cfg(target_arch = "x86_64")]
compile!(avx2, x86::V256, "avx2,fma");
#[cfg(target_arch = "aarch64")]
compile!(neon, arm::V128, "neon");
compile!(plain, Scalar);

/// Plain Rust: no fused multiply-add, which would be a library call without the instruction.
#[derive(Clone, Copy)]
struct Scalar([f32; 4]);

impl Scalar {
    #[inline(always)]
    fn zip(self, o: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], o.0[i])))
    }
}

impl Simd for Scalar {
    const WIDTH: usize = 4;
    const ACROSS: usize = 4;
    const ROWS: usize = 2;
    const HALVES: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: valid for WIDTH floats by the trait's contract.
        Self(unsafe { p.cast::<[f32; 4]>().read() })
    }
    #[inline(always)]
    unsafe fn load_halves(p: *const u16) -> Self {
        // SAFETY: valid for WIDTH halves by the trait's contract.
        let halves = unsafe { p.cast::<[u16; 4]>().read() };
        Self(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: valid for WIDTH floats by the trait's contract.
        unsafe { p.cast::<[f32; 4]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, count: usize) -> Self {
        // SAFETY: reads `count` floats at most.
        Self(std::array::from_fn(|i| if i < count { unsafe { *p.add(i) } } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store_some(self, p: *mut f32, count: usize) {
        for (i, x) in self.0.into_iter().enumerate().take(count) {
            // SAFETY: writes `count` floats at most.
            unsafe { *p.add(i) = x };
        }
    }
    #[inline(always)]
    unsafe fn add(self, o: Self) -> Self {
        self.zip(o, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, o: Self) -> Self {
        self.zip(o, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, o: Self) -> Self {
        self.zip(o, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, o: Self) -> Self {
        self.zip(o, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn mul_add(self, m: Self, a: Self) -> Self {
        self.zip(m, |a, b| a * b).zip(a, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        self.zip(o, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        self.zip(o, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn exp2_shifted(self) -> Self {
        Self(self.0.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(0x3f80_0000))))
    }
    #[inline(always)]
    unsafe fn split(self) -> (Self, Self) {
        let e = self.0.map(|x| (x.to_bits() as i32).wrapping_sub(SQRT_HALF_BITS) >> 23);
        let m = std::array::from_fn(|i| {
            f32::from_bits(self.0[i].to_bits().wrapping_sub((e[i] << 23) as u32))
        });
        (Self(e.map(|e| e as f32)), Self(m))
    }
}

/// Forwards the trait's functions to intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! forward {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {
        $(
            #[inline(always)]
            unsafe fn $name(self $(, $arg: Self)*) -> Self {
                let s = self.0;
                $(let $arg = $arg.0;)*
                // SAFETY: the instructions exist by the trait's contract.
                Self(unsafe { $body(s $(, $arg)*) })
            }
        )*
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{SQRT_HALF_BITS, Simd};
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub(super) struct V512(__m512);

    impl Simd for V512 {
        const WIDTH: usize = 16;
        const ACROSS: usize = 3;
        const ROWS: usize = 8;
        const HALVES: bool = true;

        forward! {
            add(o) = _mm512_add_ps;
            sub(o) = _mm512_sub_ps;
            mul(o) = _mm512_mul_ps;
            div(o) = _mm512_div_ps;
            mul_add(m, a) = _mm512_fmadd_ps;
            sqrt() = _mm512_sqrt_ps;
            min(o) = _mm512_min_ps;
            max(o) = _mm512_max_ps;
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { _mm512_loadu_ps(p) })
        }
        #[inline(always)]
        unsafe fn load_halves(p: *const u16) -> Self {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
                Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)))
            }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller's contract, passed on.
            unsafe { _mm512_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn load_some(p: *const f32, count: usize) -> Self {
            let mask = u16::MAX.checked_shr(16 - count.min(16) as u32).unwrap_or(0);
            // SAFETY: reads the masked floats only; else the caller's contract, passed on.
            Self(unsafe { _mm512_maskz_loadu_ps(mask, p) })
        }
        #[inline(always)]
        unsafe fn store_some(self, p: *mut f32, count: usize) {
            let mask = u16::MAX.checked_shr(16 - count.min(16) as u32).unwrap_or(0);
            // SAFETY: writes the masked floats only; else the caller's contract, passed on.
            unsafe { _mm512_mask_storeu_ps(p, mask, self.0) }
        }
        /// One of Newton's steps from a guess of 14 bits: a division takes the divider for as long as five of these.
        #[inline(always)]
        unsafe fn ratio(self, o: Self) -> Self {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let guess = _mm512_rcp14_ps(o.0);
                let error = _mm512_fnmadd_ps(o.0, guess, _mm512_set1_ps(1.0));
                Self(_mm512_mul_ps(self.0, _mm512_fmadd_ps(guess, error, guess)))
            }
        }
        #[inline(always)]
        unsafe fn exp2_shifted(self) -> Self {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let n = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
                Self(_mm512_castsi512_ps(_mm512_add_epi32(n, _mm512_set1_epi32(0x3f80_0000))))
            }
        }
        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let bits = _mm512_castps_si512(self.0);
                let e = _mm512_srai_epi32::<23>(_mm512_sub_epi32(
                    bits,
                    _mm512_set1_epi32(SQRT_HALF_BITS),
                ));
                let m = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(e));
                (Self(_mm512_cvtepi32_ps(e)), Self(_mm512_castsi512_ps(m)))
            }
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct V256(__m256);

    /// All ones in the first `count` lanes.
    #[inline(always)]
    unsafe fn mask256(count: usize) -> __m256i {
        // SAFETY: the caller's contract, passed on.
        unsafe {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lane)
        }
    }

    impl Simd for V256 {
        const WIDTH: usize = 8;
        const ACROSS: usize = 2;
        const ROWS: usize = 6;
        const HALVES: bool = false;

        forward! {
            add(o) = _mm256_add_ps;
            sub(o) = _mm256_sub_ps;
            mul(o) = _mm256_mul_ps;
            div(o) = _mm256_div_ps;
            mul_add(m, a) = _mm256_fmadd_ps;
            sqrt() = _mm256_sqrt_ps;
            min(o) = _mm256_min_ps;
            max(o) = _mm256_max_ps;
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { _mm256_loadu_ps(p) })
        }
        #[inline(always)]
        unsafe fn load_halves(p: *const u16) -> Self {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
                Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
            }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller's contract, passed on.
            unsafe { _mm256_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn load_some(p: *const f32, count: usize) -> Self {
            // SAFETY: reads the masked floats only; else the caller's contract, passed on.
            Self(unsafe { _mm256_maskload_ps(p, mask256(count)) })
        }
        #[inline(always)]
        unsafe fn store_some(self, p: *mut f32, count: usize) {
            // SAFETY: writes the masked floats only; else the caller's contract, passed on.
            unsafe { _mm256_maskstore_ps(p, mask256(count), self.0) }
        }
        #[inline(always)]
        unsafe fn exp2_shifted(self) -> Self {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let n = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
                Self(_mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(0x3f80_0000))))
            }
        }
        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let bits = _mm256_castps_si256(self.0);
                let e = _mm256_srai_epi32::<23>(_mm256_sub_epi32(
                    bits,
                    _mm256_set1_epi32(SQRT_HALF_BITS),
                ));
                let m = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(e));
                (Self(_mm256_cvtepi32_ps(e)), Self(_mm256_castsi256_ps(m)))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{SQRT_HALF_BITS, Simd};
    use std::arch::aarch64::*;

    #[derive(Clone, Copy)]
    pub(super) struct V128(float32x4_t);

    impl Simd for V128 {
        const WIDTH: usize = 4;
        const ACROSS: usize = 4;
        const ROWS: usize = 4;
        const HALVES: bool = true;

        forward! {
            add(o) = vaddq_f32;
            sub(o) = vsubq_f32;
            mul(o) = vmulq_f32;
            div(o) = vdivq_f32;
            sqrt() = vsqrtq_f32;
            // The variants that give the number where one side is NaN.
            min(o) = vminnmq_f32;
            max(o) = vmaxnmq_f32;
        }
        #[inline(always)]
        unsafe fn mul_add(self, m: Self, a: Self) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { vfmaq_f32(a.0, self.0, m.0) })
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { vdupq_n_f32(x) })
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { vld1q_f32(p) })
        }
        #[inline(always)]
        unsafe fn load_halves(p: *const u16) -> Self {
            // SAFETY: the caller's contract, passed on.
            Self(unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p))) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller's contract, passed on.
            unsafe { vst1q_f32(p, self.0) }
        }
        #[inline(always)]
        unsafe fn load_some(p: *const f32, count: usize) -> Self {
            // SAFETY: reads `count` floats at most; the array has as many as the vector.
            unsafe {
                let lanes: [f32; 4] =
                    std::array::from_fn(|i| if i < count { *p.add(i) } else { 0.0 });
                Self::load(lanes.as_ptr())
            }
        }
        #[inline(always)]
        unsafe fn store_some(self, p: *mut f32, count: usize) {
            let mut lanes = [0.0; 4];
            // SAFETY: the array has as many floats as the vector; writes `count` of them at most.
            unsafe {
                self.store(lanes.as_mut_ptr());
                for (i, x) in lanes.into_iter().enumerate().take(count) {
                    *p.add(i) = x;
                }
            }
        }
        #[inline(always)]
        unsafe fn exp2_shifted(self) -> Self {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let n = vshlq_n_s32::<23>(vreinterpretq_s32_f32(self.0));
                Self(vreinterpretq_f32_s32(vaddq_s32(n, vdupq_n_s32(0x3f80_0000))))
            }
        }
        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller's contract, passed on.
            unsafe {
                let bits = vreinterpretq_s32_f32(self.0);
                let e = vshrq_n_s32::<23>(vsubq_s32(bits, vdupq_n_s32(SQRT_HALF_BITS)));
                let m = vsubq_s32(bits, vshlq_n_s32::<23>(e));
                (Self(vcvtq_f32_s32(e)), Self(vreinterpretq_f32_s32(m)))
            }
        }
    }
}

/// Sets the processor to read and write denormals as zero until it is dropped.
///
/// Denormals can make arithmetic a hundred times slower, and the decay of a state passes through them.
pub(crate) struct FlushDenormals {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    saved: u64,
}

#[cfg(target_arch = "x86_64")]
mod control {
    const FLUSH: u64 = 0x8040; // FTZ, DAZ

    pub(super) fn read() -> u64 {
        let mut word = 0u32;
        // SAFETY: stores MXCSR in `word`; every x86-64 processor has the instruction.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack, preserves_flags))
        };
        word.into()
    }

    pub(super) fn write(word: u64) {
        let word = word as u32;
        // SAFETY: loads MXCSR with what `read` gave, but for the two bits that concern denormals.
        unsafe {
            std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, readonly, preserves_flags))
        };
    }

    pub(super) fn flushing(word: u64) -> u64 {
        word | FLUSH
    }
}

#[cfg(target_arch = "aarch64")]
mod control {
    const FLUSH: u64 = 1 << 24; // FZ

    pub(super) fn read() -> u64 {
        let word: u64;
        // SAFETY: reads a register that user code may read.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack)) };
        word
    }

    pub(super) fn write(word: u64) {
        // SAFETY: writes what `read` gave, but for the bit that concerns denormals.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) word, options(nomem, nostack)) };
    }

    pub(super) fn flushing(word: u64) -> u64 {
        word | FLUSH
    }
}

impl FlushDenormals {
    pub(crate) fn new() -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        {
            let saved = control::read();
            control::write(control::flushing(saved));
            Self { saved }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        Self {}
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        control::write(self.saved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in -1..1, the same in every run.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }

    /// What a kernel leaves in a copy of `data`, for every variant; the last is the plain one.
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
    fn halved_weights_give_the_same_bits() {
        let (outputs, inputs) = (9 * PANEL, 37);
        let halves = |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000);
        let weights: Vec<f32> = numbers(outputs * inputs, 1).into_iter().map(halves).collect();
        let (a, bias) = (numbers(inputs, 2), numbers(outputs, 3));
        let packed =
            Packed::new(outputs, inputs, |o, i| weights[o * inputs + i]).with_bias(|o| bias[o]);
        let halved = packed.clone().for_one_row();
        assert!(packed.halves.is_none() && halved.halves.is_some());
        assert!(Packed::new(outputs, inputs, |_, _| 0.1).for_one_row().halves.is_none());
        for kernels in Kernels::available() {
            for add in [false, true] {
                let [expected, got] = [&packed, &halved].map(|w| {
                    let mut y = numbers(outputs, 4);
                    kernels.matmul(w, 1, &a, inputs, &mut y, outputs, add);
                    y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                });
                assert!(expected == got, "{kernels:?}");
            }
        }
    }

    #[track_caller]
    fn all_alike(data: &[f32], tolerance: f32, run: impl Fn(Kernels, &mut [f32])) {
        let results = variants(data, run);
        let (kernels, plain) = &results[results.len() - 1];
        assert_eq!(*kernels, Kernels::Plain);
        assert!(plain != data, "nothing was done");
        for (kernels, result) in &results {
            for (i, (a, b)) in result.iter().zip(plain).enumerate() {
                let near = (a - b).abs() <= tolerance * b.abs().max(1.0);
                assert!(near, "{kernels:?}, element {i}: {a}, plain {b}");
            }
        }
    }

    /// Every case, or what an interpreter of the memory model (Miri) finishes in minutes: few, but of every kind.
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
                    let packed = Packed::new(outputs, inputs, |o, i| w[o * inputs + i])
                        .with_bias(|o| bias[o]);
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
                            let terms = (0..inputs).map(|i| {
                                f64::from(w[o * inputs + i]) * f64::from(x[row * inputs + i])
                            });
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
                let gates: Vec<f32> =
                    numbers(rows * 4 * width, 1).iter().map(|x| 8.0 * x).collect();
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

    /// Every step of 2^-12 over twice what the functions are clamped to.
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
        let x: Vec<f32> =
            (0..16_000).step_by(step).map(|i| (i as f32 / 100.0 - 80.0).exp2()).collect();
        for (kernels, y) in variants(&x, |k, y| k.power(y, -0.35)) {
            for (x, y) in x.iter().zip(&y) {
                let exact = f64::from(*x).powf(-0.35);
                let error = (f64::from(*y) / exact - 1.0).abs();
                assert!(error < 4e-6, "{kernels:?}: {x}^-0.35 = {y}, relative error {error:.1e}");
            }
        }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[cfg_attr(miri, ignore = "Miri has no control word of the processor")]
    #[test]
    fn the_control_word_is_given_back() {
        let before = control::read();
        {
            let _outer = FlushDenormals::new();
            assert_eq!(control::read(), control::flushing(before));
            drop(FlushDenormals::new());
            assert_eq!(control::read(), control::flushing(before));
        }
        assert_eq!(control::read(), before);
        let panicked = std::panic::catch_unwind(|| {
            let _flush = FlushDenormals::new();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_eq!(control::read(), before);
    }
}
