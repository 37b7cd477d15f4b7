//! Numbers too small to be normal.
// A register of the processor.
#![allow(unsafe_code)]

/// Makes the processor treat denormals as zero until this is dropped.
///
/// Denormals can make arithmetic a hundred times slower, and decaying states pass through them.
pub(super) struct FlushDenormals {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    saved: u64,
}

#[cfg(target_arch = "x86_64")]
mod control {
    const FLUSH: u64 = 0x8040; // FTZ, DAZ

    pub(super) fn read() -> u64 {
        let mut word = 0u32;
        // SAFETY: stores MXCSR in `word`; every x86-64 processor has the instruction.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack, preserves_flags))
        };
        word.into()
    }

    pub(super) fn write(word: u64) {
        let word = word as u32;
        // SAFETY: loads MXCSR with the result of `read`, except for the two bits for denormals.
        unsafe {
            std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, readonly, preserves_flags))
        };
    }

    pub(super) fn flushing(word: u64) -> u64 {
        word | FLUSH
    }
}

#[cfg(target_arch = "aarch64")]
mod control {
    const FLUSH: u64 = 1 << 24; // FZ

    pub(super) fn read() -> u64 {
        let word: u64;
        // SAFETY: reads a register that user code may read.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack)) };
        word
    }

    pub(super) fn write(word: u64) {
        // SAFETY: writes the result of `read`, except for the bit for denormals.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) word, options(nomem, nostack)) };
    }

    pub(super) fn flushing(word: u64) -> u64 {
        word | FLUSH
    }
}

impl FlushDenormals {
    pub(super) fn new() -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        {
            let saved = control::read();
            control::write(control::flushing(saved));
            Self { saved }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        Self {}
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        control::write(self.saved);
    }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;

    #[cfg_attr(miri, ignore = "Miri has no control word of the processor")]
    #[test]
    fn the_control_word_is_given_back() {
        let before = control::read();
        {
            let _outer = FlushDenormals::new();
            assert_eq!(control::read(), control::flushing(before));
            drop(FlushDenormals::new());
            assert_eq!(control::read(), control::flushing(before));
        }
        assert_eq!(control::read(), before);
        let panicked = std::panic::catch_unwind(|| {
            let _flush = FlushDenormals::new();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert_eq!(control::read(), before);
    }
}
