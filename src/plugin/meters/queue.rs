//! A queue of frames from one writer to one reader, built on plain atomics.
//!
//! The atomics are the parent module's: the plugin's are those of the standard library, and `tests/queue.rs` compiles this file
//! with loom's, which tries every order that the memory model allows.
use super::{AtomicU8, AtomicUsize, Ordering};

/// Frames of `WIDTH` bytes, `SLOTS` of them at most.
pub(super) struct Queue<const SLOTS: usize, const WIDTH: usize> {
    bytes: Box<[AtomicU8]>,
    /// Frames ever written; only the writer stores it.
    written: AtomicUsize,
    /// Frames ever read; only the reader stores it.
    read: AtomicUsize,
}

impl<const SLOTS: usize, const WIDTH: usize> Queue<SLOTS, WIDTH> {
    pub(super) fn new() -> Self {
        Self {
            bytes: (0..SLOTS * WIDTH).map(|_| AtomicU8::new(0)).collect(),
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        }
    }

    fn slot(&self, frame: usize) -> &[AtomicU8] {
        let start = (frame % SLOTS) * WIDTH;
        &self.bytes[start..start + WIDTH]
    }

    /// Writer: false if the frame is dropped because the reader is too far behind.
    pub(super) fn push(&self, frame: impl IntoIterator<Item = u8>) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        // Acquire: the reader has finished with the slot before it is written again.
        if written.wrapping_sub(self.read.load(Ordering::Acquire)) >= SLOTS {
            return false;
        }
        for (cell, byte) in self.slot(written).iter().zip(frame) {
            cell.store(byte, Ordering::Relaxed);
        }
        // Release: the bytes are written before the count.
        self.written.store(written.wrapping_add(1), Ordering::Release);
        true
    }

    /// Reader: the oldest frame.
    pub(super) fn pop(&self) -> Option<[u8; WIDTH]> {
        let read = self.read.load(Ordering::Relaxed);
        // Acquire: the bytes up to that count.
        if read == self.written.load(Ordering::Acquire) {
            return None;
        }
        let mut frame = [0; WIDTH];
        for (byte, cell) in frame.iter_mut().zip(self.slot(read)) {
            *byte = cell.load(Ordering::Relaxed);
        }
        // Release: the slot has been read before the writer gets it back.
        self.read.store(read.wrapping_add(1), Ordering::Release);
        Some(frame)
    }

    /// Reader: skips all frames.
    pub(super) fn clear(&self) {
        self.read.store(self.written.load(Ordering::Acquire), Ordering::Release);
    }
}
