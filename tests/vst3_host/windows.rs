//! The editor in a host's window, on a virtual display.
use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nice_plug::wrapper::vst3::vst3::ComRef;
use nice_plug::wrapper::vst3::vst3::Steinberg::Linux::*;
use wisp::plugin::editor::layout::Layout;
use wisp::plugin::memory::EditorMemory;
use wisp_testing::display::in_child;
use wisp_testing::{Random, Window};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, CreateWindowAux, ImageFormat, WindowClass};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::host::*;
use crate::threads::automate;

const OPENINGS: u32 = 100;
const EXITS: u32 = 10;

/// The host's frame around the editor, with its event loop.
struct Frame {
    handlers: Mutex<Vec<(Handle, FileDescriptor)>>,
}

#[derive(PartialEq, Clone, Copy)]
struct Handle(*mut IEventHandler);
// SAFETY: only the main thread uses the handler.
unsafe impl Send for Handle {}

impl Class for Frame {
    type Interfaces = (IPlugFrame, IRunLoop);
}

#[allow(non_snake_case)]
impl IPlugFrameTrait for Frame {
    unsafe fn resizeView(&self, _: *mut IPlugView, _: *mut ViewRect) -> tresult {
        kResultOk
    }
}

#[allow(non_snake_case)]
impl IRunLoopTrait for Frame {
    unsafe fn registerEventHandler(
        &self,
        handler: *mut IEventHandler,
        fd: FileDescriptor,
    ) -> tresult {
        self.handlers.lock().expect("handlers").push((Handle(handler), fd));
        kResultOk
    }

    unsafe fn unregisterEventHandler(&self, handler: *mut IEventHandler) -> tresult {
        self.handlers.lock().expect("handlers").retain(|(h, _)| *h != Handle(handler));
        kResultOk
    }

    unsafe fn registerTimer(&self, _: *mut ITimerHandler, _: TimerInterval) -> tresult {
        kResultFalse
    }

    unsafe fn unregisterTimer(&self, _: *mut ITimerHandler) -> tresult {
        kResultFalse
    }
}

impl Frame {
    /// One turn of the event loop: calls every handler, as if all descriptors were readable.
    fn turn(&self) {
        let handlers = self.handlers.lock().expect("handlers").clone();
        for (Handle(handler), fd) in handlers {
            // SAFETY: registered and not yet unregistered.
            let handler = unsafe { ComRef::from_raw(handler) }.expect("a handler");
            com!(handler.onFDIsSet(fd));
        }
    }
}

/// A frame without an event loop.
struct BareFrame;

impl Class for BareFrame {
    type Interfaces = (IPlugFrame,);
}

#[allow(non_snake_case)]
impl IPlugFrameTrait for BareFrame {
    unsafe fn resizeView(&self, _: *mut IPlugView, _: *mut ViewRect) -> tresult {
        kResultOk
    }
}

/// The host's connection to the display.
struct Screen {
    connection: RustConnection,
    root: u32,
}

/// An open editor in a host window.
struct Opened {
    view: ComPtr<IPlugView>,
    frame: Option<ComWrapper<Frame>>,
    window: u32,
}

impl Screen {
    fn new() -> Self {
        let (connection, screen) = x11rb::connect(None).expect("the display");
        let root = connection.setup().roots[screen].root;
        Self { connection, root }
    }

    /// Opens the editor, with or without the host's event loop.
    fn open(&self, plugin: &Plugin, event_loop: bool) -> Opened {
        let window = self.connection.generate_id().expect("an id");
        let (aux, class) = (CreateWindowAux::new(), WindowClass::INPUT_OUTPUT);
        self.connection
            .create_window(0, window, self.root, 0, 0, 860, 520, 0, class, 0, &aux)
            .expect("a window");
        self.connection.map_window(window).expect("mapped");
        // The plugin has its own connection, so the window must exist on the server by now.
        self.connection.sync().expect("an answer");
        let view = com!(plugin.controller.createView(ViewType::kEditor));
        // SAFETY: a view with one reference for us, or null.
        let view = unsafe { ComPtr::from_raw(view) }.expect("a view");
        let frame = event_loop.then(|| ComWrapper::new(Frame { handlers: Mutex::default() }));
        let pointer: ComPtr<IPlugFrame> = match &frame {
            Some(frame) => frame.to_com_ptr().expect("a frame"),
            None => ComWrapper::new(BareFrame).to_com_ptr().expect("a frame"),
        };
        com!(view.setFrame(pointer.as_ptr()));
        let parent = window as usize as *mut c_void;
        let attached = com!(view.attached(parent, kPlatformTypeX11EmbedWindowID));
        assert_eq!(attached, kResultOk);
        Opened { view, frame, window }
    }

    /// Whether the editor has drawn a picture: its window has more than one colour.
    fn is_drawn(&self, opened: &Opened) -> bool {
        let tree = self.connection.query_tree(opened.window).expect("sent").reply();
        let Some(&editor) = tree.expect("the editor's window").children.first() else {
            return false;
        };
        let size = self.connection.get_geometry(editor).expect("sent").reply().expect("a size");
        let image = self.connection.get_image(
            ImageFormat::Z_PIXMAP,
            editor,
            0,
            0,
            size.width,
            size.height,
            u32::MAX,
        );
        // An error if the window is not visible yet.
        image.expect("sent").reply().is_ok_and(|image| {
            let (pixels, _) = image.data.as_chunks::<4>();
            pixels.iter().any(|pixel| *pixel != pixels[0])
        })
    }

    fn close(&self, opened: Opened) {
        assert_eq!(com!(opened.view.removed()), kResultOk);
        com!(opened.view.setFrame(null_mut()));
        drop(opened.view);
        self.connection.destroy_window(opened.window).expect("destroyed");
        self.connection.flush().expect("sent");
    }
}

impl Opened {
    /// Moves the pointer to a place, which then does something.
    fn point(&self, place: egui::Pos2, act: impl Fn(&Window) -> io::Result<()>) {
        let window = Window::here(self.window);
        window.point(place.x, place.y).expect("the pointer");
        self.wait(60);
        act(&window).expect("a button");
        self.wait(60);
    }

    /// Waits up to ten seconds for a condition.
    fn wait_until(&self, what: &str, so: impl Fn() -> bool) {
        for _ in 0..200 {
            if so() {
                return;
            }
            self.wait(50);
        }
        panic!("never: {what}");
    }

    /// Runs the host's event loop for a while.
    fn wait(&self, milliseconds: u64) {
        for _ in 0..milliseconds / 5 {
            std::thread::sleep(Duration::from_millis(5));
            if let Some(frame) = &self.frame {
                frame.turn();
            }
        }
    }
}

/// Without `src/plugin/worker.rs`, nice-plug 0.4.2 aborts the host here (docs/upstream.md).
#[test]
fn the_editor_opens_and_closes_a_hundred_times_while_automation_runs() {
    in_child(
        "windows::the_editor_opens_and_closes_a_hundred_times_while_automation_runs",
        1,
        open_and_close,
    );
}

fn open_and_close() {
    let screen = Screen::new();
    let plugin = Plugin::new();
    plugin.start(48_000, 2, 128);
    let ids: Vec<ParamID> = plugin.parameters().into_iter().map(|(_, id)| id).collect();
    let processing = automate(&plugin, &ids);
    let mut random = Random(3);
    for opening in 0..OPENINGS {
        let editor = screen.open(&plugin, opening % 2 == 0);
        // Some close at once, some after a few frames.
        editor.wait(random.below(60) as u64);
        screen.close(editor);
    }
    processing.stop();
    plugin.stop();
}

/// If a host exits while the window's thread is still unloading the graphics driver, it crashes. Without
/// `src/plugin/window.rs`, baseview 0.4.2 does not wait for that thread (docs/upstream.md).
#[test]
fn a_host_may_exit_as_soon_as_the_editor_is_closed() {
    in_child(
        "windows::a_host_may_exit_as_soon_as_the_editor_is_closed",
        EXITS,
        open_close_and_exit,
    );
}

fn open_close_and_exit() {
    let screen = Screen::new();
    let plugin = Plugin::new();
    let before = threads();
    for _ in 0..3 {
        let editor = screen.open(&plugin, true);
        editor.wait(60);
        screen.close(editor);
        // Crashes are rare, so count threads too. The window's own thread may still be exiting; the driver's threads must
        // be gone.
        let left = threads().saturating_sub(before);
        assert!(left <= 1, "{left} threads are left of a closed window");
    }
    std::process::exit(0);
}

fn layout() -> Layout {
    let size = EditorMemory::default();
    Layout::new(size.width, size.height)
}

#[test]
fn closing_the_editor_in_the_middle_of_a_drag_ends_it() {
    in_child("windows::closing_the_editor_in_the_middle_of_a_drag_ends_it", 1, drag_and_close);
}

fn drag_and_close() {
    let screen = Screen::new();
    let plugin = Plugin::new();
    let (begun, ended) = (&plugin.handler.begun, &plugin.handler.ended);
    let layout = layout();
    for (i, (name, dial)) in
        [("Reduction", layout.reduction), ("Output", layout.output)].into_iter().enumerate()
    {
        let before = plugin.value(name);
        let editor = screen.open(&plugin, i == 0);
        editor.wait_until("a picture", || screen.is_drawn(&editor));
        editor.point(dial.center(), |window| window.press(1));
        for distance in [10.0, 20.0, 30.0, 40.0] {
            editor.point(dial.center() - egui::vec2(0.0, distance), |_| Ok(()));
        }
        editor.wait_until("a drag", || plugin.value(name) != before);
        assert_eq!(begun.load(Ordering::SeqCst), i + 1, "{name}");
        assert_eq!(ended.load(Ordering::SeqCst), i, "{name}");
        let window = Window::here(editor.window);
        screen.close(editor);
        assert_eq!(ended.load(Ordering::SeqCst), i + 1, "{name}: a gesture is left open");
        window.release(1).expect("a button up");
    }
}

#[test]
fn undo_goes_back_one_window_at_a_time() {
    in_child("windows::undo_goes_back_one_window_at_a_time", 1, undo_across_windows);
}

fn undo_across_windows() {
    let screen = Screen::new();
    let plugin = Plugin::new();
    let layout = layout();
    let mut values = vec![plugin.value("Reduction")];
    let notch = |editor: &Opened, values: &mut Vec<f64>| {
        let before = plugin.value("Reduction");
        editor.point(layout.reduction.center(), |window| window.click(5));
        editor.wait_until("a notch", || plugin.value("Reduction") != before);
        values.push(plugin.value("Reduction"));
    };
    // Both at the same time on their window's clock.
    for _ in 0..2 {
        let editor = screen.open(&plugin, true);
        editor.wait_until("a picture", || screen.is_drawn(&editor));
        notch(&editor, &mut values);
        screen.close(editor);
    }
    let editor = screen.open(&plugin, true);
    editor.wait_until("a picture", || screen.is_drawn(&editor));
    for value in values.iter().rev().skip(1) {
        let before = plugin.value("Reduction");
        editor.point(layout.undo.center(), |window| window.click(1));
        editor.wait_until("undoing", || plugin.value("Reduction") != before);
        assert!((plugin.value("Reduction") - value).abs() < 1e-6, "undone too much");
    }
    screen.close(editor);
}

/// nice-plug 0.4.2 leaks two descriptors here; `cargo xtask` patches it (docs/upstream.md).
#[test]
fn a_closed_editor_leaves_no_descriptor() {
    if std::env::var_os("WISP_PATCHED").is_none() {
        println!("not run: the unpatched nice-plug leaks two; `cargo xtask test hosts` patches it");
        return;
    }
    in_child("windows::a_closed_editor_leaves_no_descriptor", 1, open_and_count);
}

fn open_and_count() {
    let screen = Screen::new();
    let plugin = Plugin::new();
    let mut before = 0;
    for opening in 0..12 {
        let editor = screen.open(&plugin, opening != 0);
        editor.wait(30);
        if let Some(frame) = &editor.frame {
            assert_eq!(frame.handlers.lock().expect("handlers").len(), 1);
        }
        let frame = editor.frame.clone();
        screen.close(editor);
        if let Some(frame) = frame {
            assert!(frame.handlers.lock().expect("handlers").is_empty());
        }
        // The graphics driver keeps what it opens the first time.
        match opening {
            0 => before = descriptors(),
            _ => assert!(settles_at(before), "{} after {opening}", descriptors()),
        }
    }
}

/// Waits up to two seconds, because the window's own thread may still be exiting.
fn settles_at(count: usize) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        descriptors() == count
    })
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("this process's descriptors").count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("this process's threads").count()
}
