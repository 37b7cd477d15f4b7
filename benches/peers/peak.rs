//! How many multiply-adds per microsecond one core can do with the vectors that the kernels use.
#![allow(unsafe_code)] // calls a function compiled for instructions that the processor was asked for

use std::hint::black_box;

use crate::clock::time;

const ROUNDS: usize = 20_000;
/// Enough of them to keep two units busy over the instruction's latency.
const CHAINS: usize = 12;

/// A name, lanes, and rounds of multiply-adds in registers.
type Best = Option<(&'static str, usize, fn(usize))>;

/// Chains of fused multiply-adds that do not wait for each other.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! chains {
    ($name:ident, $feature:literal, $splat:ident, |$sum:ident, $a:ident| $step:expr) => {
        #[target_feature(enable = $feature)]
        fn $name(rounds: usize) {
            let $a = $splat(black_box(0.5));
            let mut sums = [$splat(black_box(1.0)); CHAINS];
            for _ in 0..rounds {
                for $sum in &mut sums {
                    *$sum = $step;
                }
            }
            black_box(sums);
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod native {
    use super::*;
    use std::arch::x86_64::*;

    chains!(avx512, "avx512f", _mm512_set1_ps, |s, a| _mm512_fmadd_ps(*s, a, a));
    chains!(avx2, "avx2,fma", _mm256_set1_ps, |s, a| _mm256_fmadd_ps(*s, a, a));

    pub(super) fn best() -> super::Best {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            return Some(("AVX-512", 16, |rounds| unsafe { avx512(rounds) }));
        }
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        // SAFETY: the processor has the instructions.
        avx2.then_some(("AVX2", 8, |rounds| unsafe { self::avx2(rounds) }))
    }
}

#[cfg(target_arch = "aarch64")]
mod native {
    use super::*;
    use std::arch::aarch64::*;

    chains!(neon, "neon", vdupq_n_f32, |s, a| vfmaq_f32(a, *s, a));

    pub(super) fn best() -> super::Best {
        // SAFETY: every processor of this architecture that Rust's standard library runs on has the instructions.
        Some(("NEON", 4, |rounds| unsafe { neon(rounds) }))
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod native {
    pub(super) fn best() -> super::Best {
        None
    }
}

/// Best of many runs, with the name of the instructions; none for plain Rust, whose peak is the compiler's.
pub(crate) fn measure() -> Option<(&'static str, f64)> {
    let (name, lanes, run) = native::best()?;
    let fastest = (0..300).map(|_| time(|| run(ROUNDS))).fold(f64::MAX, f64::min);
    Some((name, (ROUNDS * CHAINS * lanes) as f64 / fastest))
}

/// Work in registers alone that takes about so many microseconds, each time the same.
pub(crate) fn work(us: f64) -> Option<impl Fn()> {
    let (_, _, run) = native::best()?;
    let fastest = (0..300).map(|_| time(|| run(ROUNDS))).fold(f64::MAX, f64::min);
    let rounds = (ROUNDS as f64 * us / fastest) as usize;
    Some(move || run(rounds))
}
