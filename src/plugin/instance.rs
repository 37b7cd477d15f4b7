//! What an instance shares with the objects that hosts see.
//!
//! The framework makes the plugin and keeps it to itself; [`made`] gets hold of what both need.
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use nice_plug::prelude::AsyncExecutor;

use super::Wisp;
use super::params::WispParams;
use crate::Model;
use crate::engine::{Engine, Timing};

/// The sample rate until the host sets one, Hz.
const ASSUMED_RATE: u32 = 48_000;
/// No number of samples.
const UNKNOWN: u32 = u32::MAX;

/// An instance, from outside.
#[derive(Clone, Default)]
pub(super) struct Shared {
    /// Its parameters.
    pub params: Arc<WispParams>,
    /// What hosts may ask at any time.
    pub status: Arc<Status>,
    /// The framework's way to its background worker.
    pub executor: Arc<Mutex<Option<AsyncExecutor<Wisp>>>>,
}

/// What hosts may ask at any time.
pub(super) struct Status {
    latency: AtomicU32,
    tail: AtomicU32,
    quiet: AtomicBool,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            latency: AtomicU32::new(UNKNOWN),
            tail: AtomicU32::new(UNKNOWN),
            quiet: AtomicBool::new(false),
        }
    }
}

impl Status {
    /// The host has named its rate. Not for the audio thread.
    pub(super) fn set_rate(&self, rate: f32) {
        self.set_timing(timing(whole(rate)).unwrap_or_default());
    }

    /// Delay and tail from now on.
    pub(super) fn set_timing(&self, timing: Timing) {
        self.latency.store(timing.latency as u32, Ordering::Relaxed);
        self.tail.store(timing.tail as u32, Ordering::Relaxed);
    }

    /// Samples from input to output; before there is a rate, those of 48 kHz.
    pub(super) fn latency(&self) -> u32 {
        self.known(&self.latency)
    }

    /// Samples of sound after the input's end; before there is a rate, those of 48 kHz.
    pub(super) fn tail(&self) -> u32 {
        self.known(&self.tail)
    }

    fn known(&self, samples: &AtomicU32) -> u32 {
        if samples.load(Ordering::Relaxed) == UNKNOWN {
            self.set_timing(timing(ASSUMED_RATE).unwrap_or_default());
        }
        samples.load(Ordering::Relaxed)
    }

    /// Whether nothing but silence comes until the input is something else.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Audio thread: see [`Status::is_quiet`].
    pub(super) fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }
}

/// None where Wisp does not denoise.
fn timing(rate: u32) -> Option<Timing> {
    Engine::timing(&Model::live(), rate).ok()
}

/// A host's rate as the engine takes it, Hz.
pub(super) fn whole(rate: f32) -> u32 {
    rate.round() as u32 // 0 for NaN
}

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static LATEST: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Runs a function that makes an instance on this thread, and returns both.
pub(super) fn made<T>(make: impl FnOnce() -> T) -> (T, Shared) {
    WANTED.set(true);
    let thing = make();
    WANTED.set(false);
    (thing, LATEST.take().unwrap_or_default())
}

/// For the instance itself, when it is made.
pub(super) fn shared() -> Shared {
    let shared = Shared::default();
    if WANTED.get() {
        LATEST.set(Some(shared.clone()));
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maker_gets_what_the_instance_has() {
        let (inside, outside) = made(shared);
        assert!(Arc::ptr_eq(&inside.params, &outside.params));
        let (_, other) = made(|| ());
        assert!(!Arc::ptr_eq(&inside.params, &other.params));
    }

    #[test]
    fn times_are_those_of_the_rate() {
        let status = Status::default();
        assert_eq!(status.latency(), 960);
        let tail = status.tail();
        for (rate, latency) in [(16_000.0, 320), (44_100.0, 882), (96_000.0, 1_920)] {
            status.set_rate(rate);
            assert_eq!(status.latency(), latency, "{rate} Hz");
        }
        status.set_rate(96_000.0);
        assert_eq!(status.tail(), 2 * tail);
        for rate in [0.0, 7_000.0, 1_234_567.8, f32::NAN, f32::INFINITY, -48_000.0] {
            status.set_rate(rate);
            assert_eq!((status.latency(), status.tail()), (0, 0), "{rate} Hz");
        }
        status.set_rate(22_050.0);
        let engine = Engine::new(&Model::live(), 22_050, 2).expect("an engine");
        assert_eq!(status.latency() as usize, engine.latency_samples());
        assert_eq!(status.tail() as usize, engine.tail_samples());
    }
}
