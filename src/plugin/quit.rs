//! Ends the standalone when the system asks for it.
//!
//! nice-plug 0.4.2 handles Ctrl-C, but checks for it only if there is no window (`docs/upstream.md`). So the window checks
//! here each time it is drawn.
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the window should close.
pub(super) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// From now on SIGINT, SIGTERM and SIGHUP close the window. Call this in the first thread, before there is a second.
#[cfg(unix)]
pub fn on_signals() -> nix::Result<()> {
    use nix::sys::signal::{SigSet, Signal, kill, raise};
    use nix::unistd::Pid;
    use std::time::Duration;

    /// A hidden window is not drawn and does not close itself.
    const PATIENCE: Duration = Duration::from_secs(3);

    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    // Threads created later block them too, so that the waiting thread gets them.
    signals.thread_block()?;
    std::thread::spawn(move || {
        // None of these calls can fail for existing signals.
        let _ = signals.wait();
        ASKED.store(true, Ordering::Relaxed);
        // Without a window, nice-plug waits for this.
        let _ = signals.thread_unblock();
        let _ = raise(Signal::SIGINT);
        std::thread::sleep(PATIENCE);
        let _ = kill(Pid::this(), Signal::SIGKILL);
    });
    Ok(())
}
