//! The inner loops, once per instruction set; the only folder of the network with `unsafe` code.
//!
//! Each loop ([`loops`]) is written once over the trait [`simd::Simd`] and compiled for AVX-512, AVX2 with FMA, NEON,
//! WebAssembly's vectors and plain Rust; [`Kernels::detect`] picks one at run time. Two rules make it sound:
//!
//! 1. A [`Kernels`] exists only for instructions that the processor has: both the choice and the functions with
//!    `#[target_feature]` are private to [`dispatch`].
//! 2. Every safe entry point, all of them below, checks the lengths of its slices with `assert!` before it turns them into
//!    pointers.
//!
//! Matrices are packed in panels of 16 output columns, `[panel][input][16]`, whatever the vector's width. Vectors run
//! across outputs; several rows (frequency positions) share each loaded weight.
//!
//! An `unsafe fn` here passes its contract (the instructions exist, the pointers are valid as documented) on to the
//! functions it calls; the contract covers its whole body.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

#[cfg(target_arch = "aarch64")]
mod arm;
mod dispatch;
mod loops;
mod math;
mod packed;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod scalar;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use dispatch::Kernels;
use loops::MatMul;
pub(crate) use packed::{Buffer, PANEL, Packed, PackedScan, padded};

impl Kernels {
    /// `y[r] = prelu(bias + w a[r])` for `rows` rows; with `add`, the previous `y` is added before the PReLU.
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
            pairs: w
                .pairs
                .as_ref()
                .filter(|_| rows == 1)
                .map_or(std::ptr::null(), |pairs| pairs.as_ptr()),
            bias: w.bias.as_ptr(),
            slope: w.slope.as_ref().map_or(std::ptr::null(), |s| s.as_ptr()),
            inputs: w.inputs,
            outputs: w.outputs,
        };
        // SAFETY: the lengths are checked above.
        unsafe { dispatch::matmul(self, &job) };
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
        // SAFETY: the lengths are checked above.
        unsafe {
            dispatch::gru_cell(self, width, rows, gates.as_ptr(), state.as_mut_ptr(), state_stride)
        };
    }

    /// Rows of tanh: `y[r][..width] = tanh(x[r])`, with a row of `y` every `y_stride`.
    pub(crate) fn tanh_rows(self, width: usize, x: &[f32], y: &mut [f32], y_stride: usize) {
        if x.is_empty() {
            return;
        }
        let rows = x.len() / width;
        assert!(width.is_multiple_of(PANEL) && x.len() == rows * width);
        assert!(y_stride >= width && y.len() >= (rows - 1) * y_stride + width);
        // SAFETY: the lengths are checked above.
        unsafe { dispatch::tanh_rows(self, width, rows, x.as_ptr(), y.as_mut_ptr(), y_stride) };
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
        // SAFETY: the lengths are checked above.
        unsafe {
            dispatch::scan(
                self,
                w.width,
                rows,
                w.data.as_ptr(),
                w.cn.as_ptr(),
                gates.as_ptr(),
                out.as_mut_ptr(),
                zero.as_ptr(),
            )
        };
    }

    /// Sigmoid in place, of whole panels.
    pub(crate) fn sigmoid(self, x: &mut [f32]) {
        assert!(x.len().is_multiple_of(PANEL));
        // SAFETY: the lengths are checked above.
        unsafe { dispatch::sigmoid(self, x.as_mut_ptr(), x.len()) };
    }

    /// Positive, normal numbers to a power, in place, of whole panels.
    pub(crate) fn power(self, x: &mut [f32], exponent: f32) {
        assert!(x.len().is_multiple_of(PANEL));
        // SAFETY: the lengths are checked above.
        unsafe { dispatch::power(self, x.as_mut_ptr(), x.len(), exponent) };
    }

    /// Complex numbers bounded to magnitude tanh(|m|), phase kept, in place, of whole panels.
    pub(crate) fn bound(self, real: &mut [f32], imag: &mut [f32]) {
        assert!(real.len().is_multiple_of(PANEL) && real.len() == imag.len());
        // SAFETY: the lengths are checked above.
        unsafe { dispatch::bound(self, real.as_mut_ptr(), imag.as_mut_ptr(), real.len()) };
    }
}
