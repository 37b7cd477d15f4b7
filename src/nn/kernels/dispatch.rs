//! Detects the processor's instruction sets and calls the loops compiled for them.
//!
//! Only this file creates a [`Kernels`], after checking the processor, and only this file can call a function with
//! `#[target_feature]`: other code cannot name an instruction set that the processor lacks.
use std::fmt;

#[cfg(target_arch = "aarch64")]
use super::arm::V128;
use super::loops::{self, MatMul};
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use super::scalar::Scalar as Base;
// Browsers without vectors reject such a module as a whole, so there is nothing to detect at run time.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use super::wasm::V128 as Base;
#[cfg(target_arch = "x86_64")]
use super::x86::{V256, V512};

/// An instruction set that this processor has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernels(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

impl Kernels {
    /// Plain Rust, or WebAssembly's vectors if they are compiled in: for any processor of the target.
    pub(crate) const PLAIN: Self = Self(Set::Plain);

    /// The fastest on this processor.
    pub(crate) fn detect() -> Self {
        Self::available().next().unwrap_or(Self::PLAIN)
    }

    /// All on this processor, fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let native = [
            is_x86_feature_detected!("avx512f").then_some(Set::Avx512),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
                .then_some(Set::Avx2),
        ];
        #[cfg(target_arch = "aarch64")]
        let native = [std::arch::is_aarch64_feature_detected!("neon").then_some(Set::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let native: [Option<Set>; 0] = [];
        native.into_iter().flatten().chain([Set::Plain]).map(Self)
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A module with the loops for vectors of one kind.
macro_rules! compile {
    ($module:ident, $vector:ty, $attribute:meta: $($name:ident($($arg:ident: $kind:ty),*);)*) => {
        mod $module {
            use super::*;

            $(
                #[$attribute]
                pub(super) unsafe fn $name($($arg: $kind),*) {
                    loops::$name::<$vector>($($arg),*)
                }
            )*
        }
    };
}

/// The loops for every instruction set, and for each loop a function that dispatches on a [`Kernels`].
macro_rules! dispatch {
    ($($loops:tt)*) => {
        #[cfg(target_arch = "x86_64")]
        compile!(avx512, V512, target_feature(enable = "avx512f"): $($loops)*);
        #[cfg(target_arch = "x86_64")]
        compile!(avx2, V256, target_feature(enable = "avx2,fma"): $($loops)*);
        #[cfg(target_arch = "aarch64")]
        compile!(neon, V128, target_feature(enable = "neon"): $($loops)*);
        compile!(plain, Base, inline: $($loops)*);
        call!($($loops)*);
    };
}

macro_rules! call {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {
        $(
            /// # Safety
            ///
            /// Pointers must be valid for everything that the loop of that name reads and writes.
            // A loop's own arguments, and the kernels.
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            pub(super) unsafe fn $name(kernels: Kernels, $($arg: $kind),*) {
                // The instructions exist: `kernels` proves it.
                match kernels.0 {
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx512 => avx512::$name($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx2 => avx2::$name($($arg),*),
                    #[cfg(target_arch = "aarch64")]
                    Set::Neon => neon::$name($($arg),*),
                    Set::Plain => plain::$name($($arg),*),
                }
            }
        )*
    };
}

dispatch! {
    matmul(job: &MatMul);
    gru_cell(width: usize, rows: usize, gates: *const f32, state: *mut f32, state_stride: usize);
    tanh_rows(width: usize, rows: usize, x: *const f32, y: *mut f32, y_stride: usize);
    scan(
        width: usize, rows: usize, u: *const f32, cn: *const f32, gates: *const f32, out: *mut f32, zero: *const f32
    );
    sigmoid(x: *mut f32, len: usize);
    power(x: *mut f32, len: usize, exponent: f32);
    bound(real: *mut f32, imag: *mut f32, len: usize);
}
