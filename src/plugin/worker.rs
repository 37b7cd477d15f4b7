//! A way round two faults of nice-plug 0.4.2's VST3 wrapper on Linux (`docs/upstream.md`).
//!
//! The wrapper's background worker may look at the editor while the host's main thread opens or
//! closes it, and may outlive or be outlived by an instance in the wrong order; either ends in a
//! panic that aborts the host. The worker does nothing that Wisp needs: all it is given are notices
//! of changed parameters, and the editor reads the parameters anyway. So the first instance of a
//! process gives it one task that never ends. Later notices fill its bounded queue and are then
//! dropped, which the wrapper allows for.
use std::sync::atomic::{AtomicBool, Ordering};

use nice_plug::prelude::{AsyncExecutor, PluginApi, TaskExecutor};

use super::Wisp;

/// What the background worker is asked to do.
pub enum Task {
    /// Sleep for good.
    Park,
}

/// Whether this process's worker has been parked; the worker is shared by all instances.
static PARKED: AtomicBool = AtomicBool::new(false);

/// Parks the worker once per process where the faults exist.
pub(super) fn park(api: PluginApi, executor: &AsyncExecutor<Wisp>) {
    let affected = cfg!(all(target_family = "unix", not(target_os = "macos")));
    if affected && api == PluginApi::Vst3 && !PARKED.swap(true, Ordering::Relaxed) {
        executor.execute_background(Task::Park);
    }
}

/// Runs the tasks.
pub(super) fn task_executor() -> TaskExecutor<Wisp> {
    Box::new(|Task::Park| {
        loop {
            std::thread::park();
        }
    })
}
