//! WebAssembly's 128-bit vectors. They have no fused multiply-add: not all browsers support that of relaxed SIMD.
use std::arch::wasm32::*;

use super::simd::{SQRT_HALF_BITS, Simd, forward, some_of_four};

#[derive(Clone, Copy)]
pub(super) struct V128(v128);

impl Simd for V128 {
    const WIDTH: usize = 4;
    const ACROSS: usize = 4;
    const ROWS: usize = 2;
    const PAIRS: bool = false;

    forward! {
        add(o) = f32x4_add;
        sub(o) = f32x4_sub;
        mul(o) = f32x4_mul;
        div(o) = f32x4_div;
        sqrt() = f32x4_sqrt;
    }
    #[inline(always)]
    unsafe fn mul_add(self, m: Self, a: Self) -> Self {
        self.mul(m).add(a)
    }
    // `pmin(a, b)` is `b < a ? b : a`.
    #[inline(always)]
    unsafe fn min(self, o: Self) -> Self {
        Self(f32x4_pmin(o.0, self.0))
    }
    #[inline(always)]
    unsafe fn max(self, o: Self) -> Self {
        Self(f32x4_pmax(o.0, self.0))
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(f32x4_splat(x))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Self(v128_load(p.cast()))
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const f32) -> (Self, Self) {
        let words = v128_load(p.cast());
        (Self(u32x4_shl(words, 16)), Self(v128_and(words, u32x4_splat(0xffff_0000))))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        v128_store(p.cast(), self.0)
    }
    some_of_four! {}
    #[inline(always)]
    unsafe fn exp2_shifted(self) -> Self {
        Self(i32x4_add(i32x4_shl(self.0, 23), i32x4_splat(0x3f80_0000)))
    }
    #[inline(always)]
    unsafe fn split(self) -> (Self, Self) {
        let e = i32x4_shr(i32x4_sub(self.0, i32x4_splat(SQRT_HALF_BITS)), 23);
        (Self(f32x4_convert_i32x4(e)), Self(i32x4_sub(self.0, i32x4_shl(e, 23))))
    }
}
