//! The operations that the loops need from an instruction set.

/// The bits of sqrt(1/2), the boundary between two exponents in [`Simd::split`].
pub(super) const SQRT_HALF_BITS: i32 = 0x3f35_04f3;

/// One vector of an instruction set.
///
/// # Safety
/// All functions but those of [`super::scalar::Scalar`] may run only where their instructions exist; pointers must be valid for
/// `WIDTH` floats.
pub(super) trait Simd: Copy {
    /// Floats per vector; divides [`super::PANEL`].
    const WIDTH: usize;
    /// Vectors per row in a block of [`super::loops::matmul`], whole panels.
    const ACROSS: usize;
    /// Rows in a block of [`super::loops::matmul`].
    const ROWS: usize;
    /// Whether a product with one row reads its weights in pairs: widening them takes an instruction a vector.
    const PAIRS: bool;

    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    /// Two vectors of bfloat16 numbers, from the lower and the upper halves of words.
    unsafe fn load_pairs(p: *const f32) -> (Self, Self);
    unsafe fn store(self, p: *mut f32);
    unsafe fn add(self, o: Self) -> Self;
    unsafe fn sub(self, o: Self) -> Self;
    unsafe fn mul(self, o: Self) -> Self;
    unsafe fn div(self, o: Self) -> Self;
    /// `self / o` with an error below 2^-22, for finite `self` and `o` in 1..=1e30.
    #[inline(always)]
    unsafe fn ratio(self, o: Self) -> Self {
        self.div(o)
    }
    /// `self * m + a`
    unsafe fn mul_add(self, m: Self, a: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// 1 / sqrt(self) with a relative error below 2^-22, of positive normal numbers.
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        Self::splat(1.0).div(self.sqrt())
    }
    /// The smaller; `o` where `self` is NaN.
    unsafe fn min(self, o: Self) -> Self;
    /// The larger; `o` where `self` is NaN.
    unsafe fn max(self, o: Self) -> Self;
    /// The first `count` floats at `p`, then zeros; only those floats need be valid. `count` may be larger than `WIDTH`.
    unsafe fn load_some(p: *const f32, count: usize) -> Self;
    /// Stores only the first `count` floats; only those need be valid. `count` may be larger than `WIDTH`.
    unsafe fn store_some(self, p: *mut f32, count: usize);
    /// 2^n, where `self` is n + 1.5 * 2^23 and n a whole number in -126..=127.
    unsafe fn exp2_shifted(self) -> Self;
    /// (e, m) with `self = m 2^e` and m in [sqrt(1/2), sqrt(2)), of positive normal numbers.
    unsafe fn split(self) -> (Self, Self);
}

/// Forwards the trait's functions to intrinsics.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
macro_rules! forward {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {
        $(
            #[inline(always)]
            unsafe fn $name(self $(, $arg: Self)*) -> Self {
                let s = self.0;
                $(let $arg = $arg.0;)*
                Self($body(s $(, $arg)*))
            }
        )*
    };
}
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
pub(super) use forward;

/// Four lanes one by one, where no instruction leaves out some.
#[cfg(any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))]
macro_rules! some_of_four {
    () => {
        #[inline(always)]
        unsafe fn load_some(p: *const f32, count: usize) -> Self {
            let lanes: [f32; 4] = std::array::from_fn(|i| if i < count { *p.add(i) } else { 0.0 });
            Self::load(lanes.as_ptr())
        }
        #[inline(always)]
        unsafe fn store_some(self, p: *mut f32, count: usize) {
            let mut lanes = [0.0; 4];
            self.store(lanes.as_mut_ptr());
            for (i, x) in lanes.into_iter().enumerate().take(count) {
                *p.add(i) = x;
            }
        }
    };
}
#[cfg(any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use some_of_four;
