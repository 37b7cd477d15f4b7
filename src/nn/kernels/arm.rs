//! NEON.
use std::arch::aarch64::*;

use super::simd::{SQRT_HALF_BITS, Simd, forward, some_of_four};

#[derive(Clone, Copy)]
pub(super) struct V128(float32x4_t);

impl Simd for V128 {
    const WIDTH: usize = 4;
    const ACROSS: usize = 4;
    const ROWS: usize = 4;
    const PAIRS: bool = true;

    forward! {
        add(o) = vaddq_f32;
        sub(o) = vsubq_f32;
        mul(o) = vmulq_f32;
        div(o) = vdivq_f32;
        sqrt() = vsqrtq_f32;
        // The variants that return the number if one side is NaN.
        min(o) = vminnmq_f32;
        max(o) = vmaxnmq_f32;
    }
    #[inline(always)]
    unsafe fn mul_add(self, m: Self, a: Self) -> Self {
        Self(vfmaq_f32(a.0, self.0, m.0))
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(vdupq_n_f32(x))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Self(vld1q_f32(p))
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const f32) -> (Self, Self) {
        let words = vld1q_u32(p.cast());
        let upper = vandq_u32(words, vdupq_n_u32(0xffff_0000));
        (Self(vreinterpretq_f32_u32(vshlq_n_u32::<16>(words))), Self(vreinterpretq_f32_u32(upper)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        vst1q_f32(p, self.0)
    }
    some_of_four! {}
    #[inline(always)]
    unsafe fn exp2_shifted(self) -> Self {
        let n = vshlq_n_s32::<23>(vreinterpretq_s32_f32(self.0));
        Self(vreinterpretq_f32_s32(vaddq_s32(n, vdupq_n_s32(0x3f80_0000))))
    }
    #[inline(always)]
    unsafe fn split(self) -> (Self, Self) {
        let bits = vreinterpretq_s32_f32(self.0);
        let e = vshrq_n_s32::<23>(vsubq_s32(bits, vdupq_n_s32(SQRT_HALF_BITS)));
        let m = vsubq_s32(bits, vshlq_n_s32::<23>(e));
        (Self(vcvtq_f32_s32(e)), Self(vreinterpretq_f32_s32(m)))
    }
}
