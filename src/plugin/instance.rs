//! Data that an instance shares with the objects that hosts see.
//!
//! The framework creates the plugin and keeps it private; [`made`] gives access to the shared data.
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use nice_plug::prelude::AsyncExecutor;

use super::Wisp;
use super::params::WispParams;
use crate::engine::{Engine, Timing};
use crate::{Model, Quality};

/// The sample rate until the host sets one, Hz.
const ASSUMED_RATE: u32 = 48_000;

/// An instance, seen from outside.
#[derive(Clone, Default)]
pub(super) struct Shared {
    /// Its parameters.
    pub params: Arc<WispParams>,
    /// Status that hosts may query at any time.
    pub status: Arc<Status>,
    /// Access to the framework's background worker.
    pub executor: Arc<Mutex<Option<AsyncExecutor<Wisp>>>>,
}

impl Shared {
    /// Delay and tail of the active engine, or else of the engine after the next activation.
    pub(super) fn timing(&self) -> Timing {
        self.status.timing().unwrap_or_else(|| self.next_timing())
    }

    /// Delay and tail after the next activation. Not for the audio thread.
    pub(super) fn next_timing(&self) -> Timing {
        timing(self.params.quality(), self.status.rate.load(Ordering::Relaxed))
    }

    /// Whether the quality set differs from the active one, so that the host has to reactivate the plugin.
    pub(super) fn is_outdated(&self) -> bool {
        self.status.quality().is_some_and(|quality| quality != self.params.quality())
    }
}

/// Status that hosts may query at any time.
pub(super) struct Status {
    /// Hz, as last set by the host.
    rate: AtomicU32,
    /// One of the constants below.
    active: AtomicU8,
    latency: AtomicU32,
    tail: AtomicU32,
    quiet: AtomicBool,
}

/// Nothing is active,
const INACTIVE: u8 = 0;
/// the sound passes unchanged,
const PASSING: u8 = 1;
/// or an engine of one of the qualities runs.
const LIVE: u8 = 2;
const STUDIO: u8 = 3;

impl Default for Status {
    fn default() -> Self {
        Self {
            rate: AtomicU32::new(ASSUMED_RATE),
            active: AtomicU8::new(INACTIVE),
            latency: AtomicU32::new(0),
            tail: AtomicU32::new(0),
            quiet: AtomicBool::new(false),
        }
    }
}

impl Status {
    /// The host has set its rate.
    pub(super) fn set_rate(&self, rate: f32) {
        self.rate.store(whole(rate), Ordering::Relaxed);
    }

    /// From now on an engine of this quality runs; `None`: the sound passes unchanged.
    pub(super) fn activate(&self, quality: Option<Quality>, timing: Timing) {
        self.latency.store(timing.latency as u32, Ordering::Relaxed);
        self.tail.store(timing.tail as u32, Ordering::Relaxed);
        let active = match quality {
            None => PASSING,
            Some(Quality::Live) => LIVE,
            Some(Quality::Studio) => STUDIO,
        };
        self.active.store(active, Ordering::Release);
        self.set_quiet(false);
    }

    /// Nothing runs any more.
    pub(super) fn deactivate(&self) {
        self.active.store(INACTIVE, Ordering::Release);
    }

    /// Whether the plugin is active.
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire) != INACTIVE
    }

    /// The quality that is active.
    fn quality(&self) -> Option<Quality> {
        match self.active.load(Ordering::Acquire) {
            LIVE => Some(Quality::Live),
            STUDIO => Some(Quality::Studio),
            _ => None,
        }
    }

    /// Delay and tail of the active engine.
    fn timing(&self) -> Option<Timing> {
        if !self.is_active() {
            return None;
        }
        let samples = |number: &AtomicU32| number.load(Ordering::Relaxed) as usize;
        Some(Timing { latency: samples(&self.latency), tail: samples(&self.tail) })
    }

    /// Whether the output stays silent as long as the input is silent.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Audio thread: see [`Status::is_quiet`].
    pub(super) fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }
}

/// No delay and no tail if Wisp does not denoise.
fn timing(quality: Quality, rate: u32) -> Timing {
    Engine::timing(&Model::bundled(quality), rate).unwrap_or_default()
}

/// A host's rate as a whole number for the engine, Hz.
pub(super) fn whole(rate: f32) -> u32 {
    rate.round() as u32 // 0 for NaN
}

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static LATEST: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Runs a function that creates an instance on this thread, and returns its result and the instance.
pub(super) fn made<T>(make: impl FnOnce() -> T) -> (T, Shared) {
    WANTED.set(true);
    let thing = make();
    WANTED.set(false);
    (thing, LATEST.take().unwrap_or_default())
}

/// Called by the instance itself when it is created.
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
    fn times_are_those_of_the_rate_and_the_quality() {
        for (quality, hops) in [(Quality::Live, 2), (Quality::Studio, 6)] {
            let shared = Shared::default();
            shared.params.set_quality(quality);
            assert_eq!(shared.timing().latency, hops * 480, "before there is a rate");
            let tail = shared.timing().tail;
            for (rate, hop) in [(16_000.0, 160), (44_100.0, 441), (96_000.0, 960)] {
                shared.status.set_rate(rate);
                assert_eq!(shared.timing().latency, hops * hop, "{rate} Hz");
            }
            shared.status.set_rate(96_000.0);
            assert_eq!(shared.timing().tail, 2 * tail);
            for rate in [0.0, 7_000.0, 1_234_567.8, f32::NAN, f32::INFINITY, -48_000.0] {
                shared.status.set_rate(rate);
                assert_eq!(shared.timing(), Timing::default(), "{rate} Hz");
            }
            shared.status.set_rate(22_050.0);
            let engine = Engine::new(&Model::bundled(quality), 22_050, 2).expect("an engine");
            assert_eq!(shared.timing().latency, engine.latency_samples());
            assert_eq!(shared.timing().tail, engine.tail_samples());
        }
    }

    #[test]
    fn what_is_active_keeps_its_times_until_it_is_not() {
        let shared = Shared::default();
        let live = shared.timing();
        assert!(!shared.is_outdated(), "nothing is active");
        shared.status.activate(Some(Quality::Live), live);
        shared.params.set_quality(Quality::Studio);
        assert!(shared.is_outdated());
        assert_eq!((shared.timing(), shared.next_timing().latency), (live, 3 * live.latency));
        shared.status.deactivate();
        assert_eq!(shared.timing(), shared.next_timing());
        assert!(!shared.is_outdated());
        // If the sound passes unchanged, there is nothing to choose.
        shared.status.activate(None, Timing::default());
        assert!(!shared.is_outdated());
        assert_eq!(shared.timing(), Timing::default());
    }
}
