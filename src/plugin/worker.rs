//! A way round two faults of nice-plug 0.4.2's VST3 wrapper on Linux (`docs/upstream.md`).
//!
//! The wrapper's background worker may look at the editor while the host's main thread opens or
//! closes it, and may outlive or be outlived by an instance in the wrong order; either ends in a
//! panic that aborts the host. The worker does nothing that Wisp needs: all it is given are notices
//! of changed parameters, and the editor reads the parameters anyway. So the first instance of a
//! process gives it one task that never ends, and waits until that has begun: were the instance gone
//! by then, the worker would end instead. Later notices fill its bounded queue and are then
//! dropped, which the wrapper allows for.
//!
//! That task is of use: as long as any instance is active, it looks after what only the audio thread was told of and what that
//! thread must not do itself.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nice_plug::prelude::{AsyncExecutor, TaskExecutor};

use super::Wisp;

/// What the background worker is asked to do.
pub enum Task {
    /// Watch the instances for good.
    Watch,
}

/// An instance that the worker looks after.
pub(super) trait Watched: Send + Sync {
    /// Does what there is to do; whether there may be more soon.
    fn watch(&self) -> bool;
}

/// Those of this process, where there is a worker.
static INSTANCES: Mutex<Vec<Weak<dyn Watched>>> = Mutex::new(Vec::new());
static WORKER: OnceLock<Thread> = OnceLock::new();
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// From now on the worker looks after this instance.
pub(super) fn watch(instance: Weak<dyn Watched>) {
    let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    instances.retain(|instance| instance.strong_count() > 0);
    instances.push(instance);
}

/// An instance becomes active. Not for the audio thread.
pub(super) fn wake() {
    if let Some(worker) = WORKER.get() {
        worker.unpark();
    }
}

/// Once per process, whose instances share the worker; others wait meanwhile.
static PARK: Once = Once::new();
/// Whether the worker has its task.
static PARKED: AtomicBool = AtomicBool::new(false);
/// The worker has nothing else to do then, so it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether there is a worker: where the faults exist.
pub(super) const HERE: bool = cfg!(all(target_family = "unix", not(target_os = "macos")));

/// Parks the worker. Not for the audio thread.
pub(super) fn park(executor: &AsyncExecutor<Wisp>) {
    if !HERE {
        return;
    }
    PARK.call_once(|| {
        executor.execute_background(Task::Watch);
        let start = Instant::now();
        while !PARKED.load(Ordering::Acquire) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_micros(100));
        }
    });
}

/// Runs the tasks.
pub(super) fn task_executor() -> TaskExecutor<Wisp> {
    Box::new(|Task::Watch| {
        let _ = WORKER.set(thread::current());
        PARKED.store(true, Ordering::Release);
        loop {
            let instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let instances: Vec<Arc<dyn Watched>> =
                instances.iter().filter_map(Weak::upgrade).collect();
            let active = instances.iter().filter(|instance| instance.watch()).count() > 0;
            drop(instances);
            if active {
                thread::park_timeout(INTERVAL);
            } else {
                thread::park();
            }
        }
    })
}
