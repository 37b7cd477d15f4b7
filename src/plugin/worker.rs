//! Workaround for two bugs in nice-plug 0.4.2's VST3 wrapper on Linux (`docs/upstream.md`).
//!
//! The wrapper's background worker may access the editor while the host's main thread opens or closes
//! it, and the worker and an instance may end in the wrong order; either ends in a panic that aborts
//! the host. Wisp does not need the worker: it only receives notifications of changed parameters, and
//! the editor reads the parameters anyway. So the first instance of a process gives it one task that
//! never ends, and waits until the task has started: if the instance were gone by then, the worker
//! would end instead. Later notifications fill its bounded queue and are then dropped, which the
//! wrapper allows for.
//!
//! The task is also useful: as long as any instance is active, it does work that the audio thread has discovered but must not
//! do itself.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nice_plug::prelude::{AsyncExecutor, TaskExecutor};

use super::Wisp;

/// Tasks of the background worker.
pub enum Task {
    /// Watch the instances forever.
    Watch,
}

/// An instance that the worker serves.
pub(super) trait Watched: Send + Sync {
    /// Does any pending work; returns whether there may be more soon.
    fn watch(&self) -> bool;
}

/// The instances of this process, if there is a worker.
static INSTANCES: Mutex<Vec<Weak<dyn Watched>>> = Mutex::new(Vec::new());
static WORKER: OnceLock<Thread> = OnceLock::new();
/// Interval between checks.
const INTERVAL: Duration = Duration::from_millis(100);

/// From now on the worker serves this instance.
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

/// Once per process, because its instances share the worker; others wait meanwhile.
static PARK: Once = Once::new();
/// Whether the worker has its task.
static PARKED: AtomicBool = AtomicBool::new(false);
/// The worker is idle then, so this takes microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether there is a worker: only where the bugs exist.
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
