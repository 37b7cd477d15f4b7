//! Ends the standalone when the system asks for it.
//!
//! nice-plug 0.4.2 takes note of Ctrl-C, but looks at its note only where there is no window
//! (`docs/upstream.md`). So the window looks here, each time it is drawn.
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the window is to close.
pub(super) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// From now on SIGINT, SIGTERM and SIGHUP close the window. For the first thread, before there is a second.
#[cfg(unix)]
pub fn on_signals() -> nix::Result<()> {
    use nix::sys::signal::{SigSet, Signal, kill, raise};
    use nix::unistd::Pid;
    use std::time::Duration;

    /// A window that is not drawn, being hidden, does not close itself.
    const PATIENCE: Duration = Duration::from_secs(3);

    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    // Every thread made later blocks them too, so that they come to the one that waits.
    signals.thread_block()?;
    std::thread::spawn(move || {
        // None of these can fail with signals that exist.
        let _ = signals.wait();
        ASKED.store(true, Ordering::Relaxed);
        // Without a window it is nice-plug that waits, for this.
        let _ = signals.thread_unblock();
        let _ = raise(Signal::SIGINT);
        std::thread::sleep(PATIENCE);
        let _ = kill(Pid::this(), Signal::SIGKILL);
    });
    Ok(())
}
