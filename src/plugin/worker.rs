//! A way round two faults of nice-plug 0.4.2's VST3 wrapper on Linux (`docs/upstream.md`).
//!
//! The wrapper's background worker may look at the editor while the host's main thread opens or
//! closes it, and may outlive or be outlived by an instance in the wrong order; either ends in a
//! panic that aborts the host. The worker does nothing that Wisp needs: all it is given are notices
//! of changed parameters, and the editor reads the parameters anyway. So the first instance of a
//! process gives it one task that never ends, and waits until that has begun: were the instance gone
//! by then, the worker would end instead. Later notices fill its bounded queue and are then
//! dropped, which the wrapper allows for.
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nice_plug::prelude::{AsyncExecutor, TaskExecutor};

use super::Wisp;

/// What the background worker is asked to do.
pub enum Task {
    /// Sleep for good.
    Park,
}

/// Once per process, whose instances share the worker; others wait meanwhile.
static PARK: Once = Once::new();
/// Whether the worker sleeps.
static PARKED: AtomicBool = AtomicBool::new(false);
/// The worker has nothing else to do then, so it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Parks the worker where the faults exist. Not for the audio thread.
pub(super) fn park(executor: &AsyncExecutor<Wisp>) {
    if !cfg!(all(target_family = "unix", not(target_os = "macos"))) {
        return;
    }
    PARK.call_once(|| {
        executor.execute_background(Task::Park);
        let start = Instant::now();
        while !PARKED.load(Ordering::Acquire) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(100));
        }
    });
}

/// Runs the tasks.
pub(super) fn task_executor() -> TaskExecutor<Wisp> {
    Box::new(|Task::Park| {
        PARKED.store(true, Ordering::Release);
        loop {
            thread::park();
        }
    })
}
