//! One core's peak in multiply-adds per microsecond, with the kernels' vector width.
#![allow(unsafe_code)] // calls functions compiled for detected instruction sets

use std::hint::black_box;

use crate::clock::time;

const ROUNDS: usize = 20_000;
/// Enough independent chains to hide the latency of two units.
const CHAINS: usize = 12;

/// Name, lanes, and a function that runs rounds of multiply-adds in registers.
type Best = Option<(&'static str, usize, fn(usize))>;

/// Independent chains of fused multiply-adds.
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
            // SAFETY: the instructions were detected.
            return Some(("AVX-512", 16, |rounds| unsafe { avx512(rounds) }));
        }
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        // SAFETY: the instructions were detected.
        avx2.then_some(("AVX2", 8, |rounds| unsafe { self::avx2(rounds) }))
    }
}

#[cfg(target_arch = "aarch64")]
mod native {
    use super::*;
    use std::arch::aarch64::*;

    chains!(neon, "neon", vdupq_n_f32, |s, a| vfmaq_f32(a, *s, a));

    pub(super) fn best() -> super::Best {
        // SAFETY: NEON is part of this architecture's baseline.
        Some(("NEON", 4, |rounds| unsafe { neon(rounds) }))
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod native {
    pub(super) fn best() -> super::Best {
        None
    }
}

/// Name of the instruction set and the best of many runs; `None` without one.
pub(crate) fn measure() -> Option<(&'static str, f64)> {
    let (name, lanes, run) = native::best()?;
    let fastest = (0..300).map(|_| time(|| run(ROUNDS))).fold(f64::MAX, f64::min);
    Some((name, (ROUNDS * CHAINS * lanes) as f64 / fastest))
}

/// Constant work in registers that takes about `us` microseconds.
pub(crate) fn work(us: f64) -> Option<impl Fn()> {
    let (_, _, run) = native::best()?;
    let fastest = (0..300).map(|_| time(|| run(ROUNDS))).fold(f64::MAX, f64::min);
    let rounds = (ROUNDS as f64 * us / fastest) as usize;
    Some(move || run(rounds))
}
