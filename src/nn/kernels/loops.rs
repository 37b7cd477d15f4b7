//! The inner loops, once for all instruction sets.
// Registers are indexed by row and vector together; iterating over one array would hide the other.
#![allow(clippy::needless_range_loop)]
use super::math;
use super::packed::{BLOCK, PANEL, padded};
use super::simd::Simd;

/// Arguments of [`matmul`]: those of [`super::Kernels::matmul`], as pointers.
pub(super) struct MatMul {
    pub(super) rows: usize,
    pub(super) a: *const f32,
    pub(super) a_stride: usize,
    pub(super) y: *mut f32,
    pub(super) y_stride: usize,
    pub(super) add: bool,
    pub(super) w: *const f32,
    pub(super) pairs: *const f32, // of weights; null: only `w` holds them
    pub(super) bias: *const f32,
    pub(super) slope: *const f32, // null: no PReLU
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// R rows by V vectors of [`matmul`], from column `first` on.
#[inline(always)]
unsafe fn block<S: Simd, const R: usize, const V: usize>(job: &MatMul, row: usize, first: usize) {
    let at = |v: usize| {
        let column = first + v * S::WIDTH;
        column / PANEL * job.inputs * PANEL + column % PANEL
    };
    // Separate pointers, so that the compiler does not recompute one from another at every input.
    let a: [*const f32; R] = std::array::from_fn(|r| job.a.add((row + r) * job.a_stride));
    let a = std::hint::black_box(a);
    // Pointers past the last column are formed but never dereferenced.
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

/// V vectors of a single-row [`matmul`] with weights in pairs, from column `first` on; whole panels, no PReLU. Returns V.
#[inline(always)]
unsafe fn paired<S: Simd, const V: usize>(job: &MatMul, first: usize) -> usize {
    let pairs = job.inputs.div_ceil(2);
    let block = first / (BLOCK * PANEL) * BLOCK * PANEL;
    let width = (padded(job.outputs) - block).min(BLOCK * PANEL);
    let w = job.pairs.add(block * pairs + first - block);
    let y = job.y.add(first);
    let mut acc = [S::splat(0.0); V];
    for v in 0..V {
        acc[v] = S::load(job.bias.add(first + v * S::WIDTH));
        if job.add {
            acc[v] = acc[v].add(S::load(y.add(v * S::WIDTH)));
        }
    }
    for pair in 0..job.inputs / 2 {
        let [even, odd] = [0, 1].map(|k| S::splat(*job.a.add(2 * pair + k)));
        for v in 0..V {
            let (w_even, w_odd) = S::load_pairs(w.add(pair * width + v * S::WIDTH));
            acc[v] = even.mul_add(w_even, acc[v]);
            acc[v] = odd.mul_add(w_odd, acc[v]);
        }
    }
    if job.inputs % 2 == 1 {
        let last = S::splat(*job.a.add(job.inputs - 1));
        for v in 0..V {
            acc[v] =
                last.mul_add(S::load_pairs(w.add((pairs - 1) * width + v * S::WIDTH)).0, acc[v]);
        }
    }
    for v in 0..V {
        acc[v].store(y.add(v * S::WIDTH));
    }
    V
}

#[inline(always)]
unsafe fn columns<S: Simd, const V: usize>(job: &MatMul, first: usize) {
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

#[inline(always)]
pub(super) unsafe fn matmul<S: Simd>(job: &MatMul) {
    let vectors = padded(job.outputs) / S::WIDTH;
    let mut v = 0;
    if S::PAIRS && !job.pairs.is_null() {
        while v < vectors {
            // Blocks are whole numbers of vectors, so no step ends in the next block.
            let block = BLOCK * PANEL / S::WIDTH;
            let first = v * S::WIDTH;
            v += match (vectors - v).min(block - v % block) {
                9.. => paired::<S, 9>(job, first),
                8 => paired::<S, 8>(job, first),
                6..8 => paired::<S, 6>(job, first),
                4..6 => paired::<S, 4>(job, first),
                2..4 => paired::<S, 2>(job, first),
                _ => paired::<S, 1>(job, first),
            };
        }
    }
    while v < vectors {
        let first = v * S::WIDTH;
        let count = S::ACROSS.min(vectors - v);
        // Constants: no instruction set compiles a block wider than its own.
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

#[inline(always)]
pub(super) unsafe fn gru_cell<S: Simd>(
    width: usize,
    rows: usize,
    gates: *const f32,
    state: *mut f32,
    state_stride: usize,
) {
    for row in 0..rows {
        let (g, h) = (gates.add(row * 4 * width), state.add(row * state_stride));
        let mut i = 0;
        while i < width {
            let r = math::sigmoid(S::load(g.add(width + i)));
            let z = math::sigmoid(S::load(g.add(2 * width + i)));
            let n = math::tanh(r.mul_add(S::load(g.add(3 * width + i)), S::load(g.add(i))));
            z.mul_add(S::load(h.add(i)).sub(n), n).store(h.add(i));
            i += S::WIDTH;
        }
    }
}

#[inline(always)]
pub(super) unsafe fn tanh_rows<S: Simd>(
    width: usize,
    rows: usize,
    x: *const f32,
    y: *mut f32,
    y_stride: usize,
) {
    for row in 0..rows {
        let mut i = 0;
        while i < width {
            math::tanh(S::load(x.add(row * width + i))).store(y.add(row * y_stride + i));
            i += S::WIDTH;
        }
    }
}

#[inline(always)]
pub(super) unsafe fn scan<S: Simd>(
    width: usize,
    rows: usize,
    u: *const f32,
    cn: *const f32,
    gates: *const f32,
    out: *mut f32,
    zero: *const f32,
) {
    for step in 0..rows {
        // One direction after the other: while one waits for its sigmoids, the processor multiplies for the other.
        for (d, row) in [step, rows - 1 - step].into_iter().enumerate() {
            let out = out.add(d * width);
            let before = match (step, d) {
                (0, _) => zero,
                (_, 0) => out.add((row - 1) * 2 * width),
                _ => out.add((row + 1) * 2 * width),
            };
            let mut i = 0;
            while i < width {
                let g = gates.add(row * 6 * width + d * 3 * width + i);
                let w = u.add((d * (width / PANEL) + i / PANEL) * width * 3 * PANEL + i % PANEL);
                // Six independent chains: three gates, even and odd inputs.
                let mut acc = [S::load(g), S::load(g.add(width)), S::load(cn.add(d * width + i))];
                let mut odd = [S::splat(0.0); 3];
                for k in (0..width).step_by(2) {
                    for (k, acc) in [(k, &mut acc), (k + 1, &mut odd)] {
                        let h = S::splat(*before.add(k));
                        for (gate, acc) in acc.iter_mut().enumerate() {
                            *acc = h.mul_add(S::load(w.add((k * 3 + gate) * PANEL)), *acc);
                        }
                    }
                }
                let [r, z, an] = std::array::from_fn(|gate| acc[gate].add(odd[gate]));
                let (r, z) = (math::sigmoid(r), math::sigmoid(z));
                let n = math::tanh(r.mul_add(an, S::load(g.add(2 * width))));
                let h = S::load(before.add(i));
                z.mul_add(h.sub(n), n).store(out.add(row * 2 * width + i));
                i += S::WIDTH;
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn sigmoid<S: Simd>(x: *mut f32, len: usize) {
    let mut i = 0;
    while i < len {
        math::sigmoid(S::load(x.add(i))).store(x.add(i));
        i += S::WIDTH;
    }
}

#[inline(always)]
pub(super) unsafe fn power<S: Simd>(x: *mut f32, len: usize, exponent: f32) {
    let mut i = 0;
    while i < len {
        math::exp(math::ln(S::load(x.add(i))).mul(S::splat(exponent))).store(x.add(i));
        i += S::WIDTH;
    }
}

#[inline(always)]
pub(super) unsafe fn bound<S: Simd>(real: *mut f32, imag: *mut f32, len: usize) {
    let mut i = 0;
    while i < len {
        // Also if weights are so large that something overflowed.
        let tame = |x: S| x.min(S::splat(1e15)).max(S::splat(-1e15));
        let (re, im) = (tame(S::load(real.add(i))), tame(S::load(imag.add(i))));
        let scale = math::tanh_ratio(re.mul_add(re, im.mul(im)));
        re.mul(scale).store(real.add(i));
        im.mul(scale).store(imag.add(i));
        i += S::WIDTH;
    }
}
