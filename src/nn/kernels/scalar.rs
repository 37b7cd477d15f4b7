//! Any processor.
use super::simd::{SQRT_HALF_BITS, Simd};

/// Plain Rust: no fused multiply-add, which would be a library call without the instruction.
#[derive(Clone, Copy)]
pub(super) struct Scalar([f32; 4]);

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
    const PAIRS: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        Self(p.cast::<[f32; 4]>().read())
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const f32) -> (Self, Self) {
        let words = p.cast::<[u32; 4]>().read();
        let of = |widen: fn(u32) -> u32| Self(words.map(|word| f32::from_bits(widen(word))));
        (of(|word| word << 16), of(|word| word & 0xffff_0000))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        p.cast::<[f32; 4]>().write(self.0)
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, count: usize) -> Self {
        Self(std::array::from_fn(|i| if i < count { *p.add(i) } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store_some(self, p: *mut f32, count: usize) {
        for (i, x) in self.0.into_iter().enumerate().take(count) {
            *p.add(i) = x;
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
