//! Workaround for a bug in baseview 0.4.2 on Linux (`docs/upstream.md`): the window's thread outlives the window.
//!
//! Closing a window asks its thread to end and should wait for it, but does not if the thread ends too soon. The thread then
//! shuts its graphics driver down while the host continues, and a host that exits meanwhile crashes. So this window consists of
//! the framework's window and, dropped after it, a wait for the end of the thread.
use std::cell::Cell;
use std::error::Error;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, ThreadId};
use std::time::Duration;

use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::NativeSize;
use nice_plug::editor::{
    EditorHandle, HostMainThreadCaller, HostMethods, Modifiers, SpawnedEditor, VirtualKeyCode,
};
use nice_plug::prelude::{Editor, ParentWindowHandle};
use nice_plug_egui::{EguiEditor, EguiEditorHandle, NiceEguiApp, baseview};

/// Shutting a driver down takes some ten milliseconds; a thread that hangs must not hang the host.
const PATIENCE: Duration = Duration::from_secs(2);
/// Elsewhere windows have no thread of their own.
const AFFECTED: bool = cfg!(all(target_family = "unix", not(target_os = "macos")));

/// The handle of an open editor that the host's wrapper keeps.
pub struct ClosingHandle(EguiEditorHandle);

/// A window and the wait for its thread. Fields are dropped in this order.
pub struct ClosingWindow {
    window: baseview::Window,
    thread: WindowThread,
    closed: OnClose,
}

/// Runs after the window is gone, on the thread that closes it.
pub(super) struct OnClose(Option<Box<dyn FnOnce() + Send>>);

impl OnClose {
    pub(super) fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(work)))
    }
}

impl Drop for OnClose {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

/// The thread has ended when the channel's other side is dropped.
struct WindowThread(Option<Receiver<()>>);

impl Drop for WindowThread {
    fn drop(&mut self) {
        if let Some(end) = &self.0 {
            // Nothing is ever sent: either the other side is dropped, or the wait times out.
            let _ = end.recv_timeout(PATIENCE);
        }
    }
}

thread_local! {
    /// Dropped at the very end of a window's thread.
    static ALIVE: Cell<Option<Sender<()>>> = const { Cell::new(None) };
}

/// The framework's channel from the window's thread to the host's main thread. The window's thread owns it and drops it when
/// it starts to end: the only point at which we can run code in that thread.
struct Caller {
    caller: Box<dyn HostMainThreadCaller>,
    alive: Option<Sender<()>>,
    opener: ThreadId,
}

impl HostMainThreadCaller for Caller {
    fn call_main_thread(&mut self) {
        self.caller.call_main_thread();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // On any other thread than the window's, this would never end.
        if thread::current().id() != self.opener {
            let _ = ALIVE.try_with(|alive| alive.set(self.alive.take()));
        }
    }
}

/// Opens the framework's window, as [`Editor::spawn`] does, so that closing it waits for its thread.
pub(super) fn spawn(
    window: &EguiEditor<impl NiceEguiApp>,
    parent: Option<ParentWindowHandle>,
    wait_for_parent: bool,
    fallback_scale_factor: Option<f64>,
    gui_context: GuiContext,
    host: Option<HostMethods>,
    closed: OnClose,
) -> Result<SpawnedEditor<ClosingHandle>, Box<dyn Error>> {
    let mut end = None;
    let host = host.map(|host| {
        if !AFFECTED {
            return host;
        }
        let (alive, ended) = mpsc::channel();
        end = Some(ended);
        let caller = host.main_thread_caller;
        let caller = Caller { caller, alive: Some(alive), opener: thread::current().id() };
        HostMethods { main_thread_caller: Box::new(caller), ..host }
    });
    let SpawnedEditor { handle, window } =
        window.spawn(parent, wait_for_parent, fallback_scale_factor, gui_context, host)?;
    Ok(SpawnedEditor {
        handle: ClosingHandle(handle),
        window: ClosingWindow { window, thread: WindowThread(end), closed },
    })
}

impl EditorHandle for ClosingHandle {
    type Window = ClosingWindow;
    type Error = baseview::Error;

    fn run_until_closed(window: ClosingWindow) -> Result<(), Self::Error> {
        let ClosingWindow { window, thread, closed } = window;
        let result = EguiEditorHandle::run_until_closed(window);
        drop(thread);
        drop(closed);
        result
    }

    fn set_parent(
        &self,
        parent: ParentWindowHandle,
        window: &ClosingWindow,
    ) -> Result<(), Self::Error> {
        self.0.set_parent(parent, &window.window)
    }

    fn show(&self, window: &ClosingWindow) -> Result<(), Self::Error> {
        self.0.show(&window.window)
    }

    fn hide(&self, window: &ClosingWindow) -> Result<(), Self::Error> {
        self.0.hide(&window.window)
    }

    fn set_size(&self, size: NativeSize<u32>, window: &ClosingWindow) -> Result<(), Self::Error> {
        self.0.set_size(size, &window.window)
    }

    fn host_main_thread_callback(&self, window: &ClosingWindow) {
        self.0.host_main_thread_callback(&window.window);
    }

    fn adjust_size(
        &self,
        size: NativeSize<u32>,
        window: &ClosingWindow,
    ) -> Option<NativeSize<u32>> {
        self.0.adjust_size(size, &window.window)
    }

    fn set_fallback_scale_factor(
        &self,
        factor: f64,
        window: &ClosingWindow,
    ) -> Result<(), Self::Error> {
        self.0.set_fallback_scale_factor(factor, &window.window)
    }

    fn on_virtual_key_from_host(
        &self,
        key: VirtualKeyCode,
        is_down: bool,
        modifiers: Modifiers,
    ) -> bool {
        self.0.on_virtual_key_from_host(key, is_down, modifiers)
    }

    fn state_changed(&self) {
        self.0.state_changed();
    }

    fn param_value_changed(&self, id: &str, normalized: f32) {
        self.0.param_value_changed(id, normalized);
    }

    fn param_modulation_changed(&self, id: &str, offset: f32) {
        self.0.param_modulation_changed(id, offset);
    }
}
