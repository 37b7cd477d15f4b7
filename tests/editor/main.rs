//! The real editor window under Xvfb, driven by a pointer and a keyboard.
#![cfg(target_os = "linux")]

mod hosted;
mod standalone;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for anything to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One test at a time: they measure time, and software rendering takes a whole core.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
