//! Parameters on standard output, for scripts and tests around the standalone.
use std::io::{Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::params::{Parameter, WispParams};

/// Seconds between checks.
const INTERVAL: Duration = Duration::from_millis(20);

static WANTED: AtomicBool = AtomicBool::new(false);

/// Prints the next instance's parameters from now on: each as `id = text`, once and whenever it changes.
pub fn print_parameters() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Starts printing, if requested.
pub(super) fn instance(params: &Arc<WispParams>) {
    if !WANTED.swap(false, Ordering::Relaxed) {
        return;
    }
    let params = Arc::clone(params);
    std::thread::spawn(move || {
        let mut shown = Parameter::ALL.map(|_| String::new());
        loop {
            for (parameter, shown) in Parameter::ALL.into_iter().zip(&mut shown) {
                let param = params.param(parameter);
                let text = param.text(param.normalized());
                // A closed pipe: there is no reader any more.
                if *shown != text && writeln!(stdout(), "{} = {text}", parameter.id()).is_err() {
                    return;
                }
                *shown = text;
            }
            std::thread::sleep(INTERVAL);
        }
    });
}
