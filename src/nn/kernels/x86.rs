//! AVX-512, and AVX2 with FMA.
use std::arch::x86_64::*;

use super::simd::{SQRT_HALF_BITS, Simd, forward};

/// Names of the intrinsics without their width, so that [`vector`] is written once.
macro_rules! intrinsics {
    ($($name:ident: $wide:ident, $narrow:ident;)*) => {
        mod wide {
            $(pub(super) use std::arch::x86_64::$wide as $name;)*
        }
        mod narrow {
            $(pub(super) use std::arch::x86_64::$narrow as $name;)*
        }
    };
}

intrinsics! {
    add: _mm512_add_ps, _mm256_add_ps;
    sub: _mm512_sub_ps, _mm256_sub_ps;
    mul: _mm512_mul_ps, _mm256_mul_ps;
    div: _mm512_div_ps, _mm256_div_ps;
    mul_add: _mm512_fmadd_ps, _mm256_fmadd_ps;
    sqrt: _mm512_sqrt_ps, _mm256_sqrt_ps;
    min: _mm512_min_ps, _mm256_min_ps;
    max: _mm512_max_ps, _mm256_max_ps;
    splat: _mm512_set1_ps, _mm256_set1_ps;
    load: _mm512_loadu_ps, _mm256_loadu_ps;
    store: _mm512_storeu_ps, _mm256_storeu_ps;
    to_float: _mm512_cvtepi32_ps, _mm256_cvtepi32_ps;
    bits: _mm512_castps_si512, _mm256_castps_si256;
    from_bits: _mm512_castsi512_ps, _mm256_castsi256_ps;
    add_whole: _mm512_add_epi32, _mm256_add_epi32;
    sub_whole: _mm512_sub_epi32, _mm256_sub_epi32;
    and: _mm512_and_si512, _mm256_and_si256;
    splat_whole: _mm512_set1_epi32, _mm256_set1_epi32;
    shift_left: _mm512_slli_epi32, _mm256_slli_epi32;
    shift_right: _mm512_srai_epi32, _mm256_srai_epi32;
}

/// A vector in `$register` with the intrinsics of `$set`; `$own` is what differs.
macro_rules! vector {
    ($name:ident($register:ty), $set:ident, { $($own:tt)* }) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name($register);

        impl Simd for $name {
            $($own)*

            forward! {
                add(o) = $set::add;
                sub(o) = $set::sub;
                mul(o) = $set::mul;
                div(o) = $set::div;
                mul_add(m, a) = $set::mul_add;
                sqrt() = $set::sqrt;
                min(o) = $set::min;
                max(o) = $set::max;
            }
            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                Self($set::splat(x))
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self {
                Self($set::load(p))
            }
            #[inline(always)]
            unsafe fn load_pairs(p: *const f32) -> (Self, Self) {
                let words = $set::bits($set::load(p));
                let upper = $set::and($set::splat_whole(0xffff_0000_u32 as i32), words);
                (Self($set::from_bits($set::shift_left::<16>(words))), Self($set::from_bits(upper)))
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut f32) {
                $set::store(p, self.0)
            }
            #[inline(always)]
            unsafe fn exp2_shifted(self) -> Self {
                let n = $set::shift_left::<23>($set::bits(self.0));
                Self($set::from_bits($set::add_whole(n, $set::splat_whole(0x3f80_0000))))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                let bits = $set::bits(self.0);
                let above = $set::sub_whole(bits, $set::splat_whole(SQRT_HALF_BITS));
                let e = $set::shift_right::<23>(above);
                let m = $set::sub_whole(bits, $set::shift_left::<23>(e));
                (Self($set::to_float(e)), Self($set::from_bits(m)))
            }
        }
    };
}

vector!(V512(__m512), wide, {
    const WIDTH: usize = 16;
    const ACROSS: usize = 3;
    const ROWS: usize = 8;
    const PAIRS: bool = true;

    #[inline(always)]
    unsafe fn load_some(p: *const f32, count: usize) -> Self {
        Self(_mm512_maskz_loadu_ps(mask512(count), p))
    }
    #[inline(always)]
    unsafe fn store_some(self, p: *mut f32, count: usize) {
        _mm512_mask_storeu_ps(p, mask512(count), self.0)
    }
    /// One Newton step from a 14-bit estimate: a division occupies the divider for as long as five of these.
    #[inline(always)]
    unsafe fn ratio(self, o: Self) -> Self {
        let guess = _mm512_rcp14_ps(o.0);
        let error = _mm512_fnmadd_ps(o.0, guess, _mm512_set1_ps(1.0));
        Self(_mm512_mul_ps(self.0, _mm512_fmadd_ps(guess, error, guess)))
    }
    /// The same: y + y (1 - x y^2) / 2.
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        let guess = _mm512_rsqrt14_ps(self.0);
        let part = _mm512_mul_ps(self.0, guess);
        let error = _mm512_fnmadd_ps(part, guess, _mm512_set1_ps(1.0));
        let half = _mm512_mul_ps(guess, _mm512_set1_ps(0.5));
        Self(_mm512_fmadd_ps(half, error, guess))
    }
});

/// Ones for the first `count` lanes.
#[inline(always)]
fn mask512(count: usize) -> u16 {
    u16::MAX.checked_shr(16 - count.min(16) as u32).unwrap_or(0)
}

vector!(V256(__m256), narrow, {
    const WIDTH: usize = 8;
    const ACROSS: usize = 2;
    const ROWS: usize = 6;
    const PAIRS: bool = false;

    #[inline(always)]
    unsafe fn load_some(p: *const f32, count: usize) -> Self {
        Self(_mm256_maskload_ps(p, mask256(count)))
    }
    #[inline(always)]
    unsafe fn store_some(self, p: *mut f32, count: usize) {
        _mm256_maskstore_ps(p, mask256(count), self.0)
    }
});

/// All ones in the first `count` lanes.
#[inline(always)]
unsafe fn mask256(count: usize) -> __m256i {
    let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lane)
}
