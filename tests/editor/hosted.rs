//! The plugin's editor in a host window.
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clack_extensions::gui::{GuiApiType, GuiConfiguration, PluginGui, Window};
use clack_host::events::event_types::ParamValueEvent;
use clack_host::prelude::*;
use egui::Pos2;
use wisp::plugin::editor::layout::Layout;
use wisp::plugin::memory::EditorMemory;
use wisp_testing::clap::{Plugin, Running};
use wisp_testing::display::in_child;
use wisp_testing::signals;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, ImageFormat, WindowClass};
use x11rb::rust_connection::RustConnection;

use crate::{PATIENCE, turn};

/// Ends the sound when dropped, also by a failed assertion.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A host window for the editor, filled with a colour that the editor does not use.
fn host_window() -> (RustConnection, u32) {
    let (connection, screen) = x11rb::connect(None).expect("the display");
    let root = connection.setup().roots[screen].root;
    let window = connection.generate_id().expect("an id");
    let size = EditorMemory::default();
    connection
        .create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            window,
            root,
            0,
            0,
            size.width as u16,
            size.height as u16,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &CreateWindowAux::new().background_pixel(0xff_00ff),
        )
        .expect("a window");
    connection.map_window(window).expect("mapping");
    connection.flush().expect("the server");
    (connection, window)
}

/// Runs `work` while an audio thread plays sound and automation through the plugin.
///
/// `work` gets the plugin, its editor, and a check that the audio thread is still running.
fn while_sound_runs(work: impl FnOnce(&mut Plugin, &PluginGui, &dyn Fn())) {
    const BLOCK: usize = 480;
    // SAFETY: the entry is Wisp's own.
    #[allow(unsafe_code)]
    let entry = unsafe { PluginEntry::load_from_raw(&wisp::plugin::clap_entry, c"linked") };
    let mut plugin = Plugin::new(&entry.expect("the linked entry"));
    let ids: Vec<_> = plugin.parameters().iter().map(|parameter| parameter.id).collect();
    let processor = plugin.activate(48_000.0, 2, BLOCK);

    let ended = AtomicBool::new(false);
    let voice = signals::voice(48_000, 2.0);
    let (processor, blocks) = std::thread::scope(|scope| {
        let audio = scope.spawn(|| {
            let mut running = Running::new(processor, 2, BLOCK);
            let mut out = EventBuffer::with_capacity(64);
            let mut blocks = 0usize;
            while !ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                let at = blocks * BLOCK % (voice.len() - BLOCK);
                running.input.iter_mut().for_each(|c| c.copy_from_slice(&voice[at..at + BLOCK]));
                let value = (blocks % 100) as f64 / 100.0;
                // Not Listen and Bypass, so that something is always audible.
                let events: Vec<_> = ids[..4]
                    .iter()
                    .map(|&id| ParamValueEvent::new(7, id, Pckn::match_all(), value))
                    .collect();
                out.clear();
                running.block(BLOCK, &events, &mut out);
                let sane = |y: &f32| y.is_finite() && y.abs() < 64.0;
                assert!(running.output.iter().flatten().all(sane));
                blocks += 1;
                sleep(Duration::from_millis(10).saturating_sub(start.elapsed()));
            }
            (running.processor.stop_processing(), blocks)
        });
        let end = End(&ended);
        let gui: PluginGui = plugin.instance.plugin_handle().get_extension().expect("an editor");
        work(&mut plugin, &gui, &|| assert!(!audio.is_finished(), "the sound ended"));
        drop(end);
        audio.join().expect("the audio thread")
    });
    plugin.instance.deactivate(processor);
    assert!(blocks > 100, "{blocks} blocks");
}

/// Opens the editor in the host's window.
fn open(plugin: &mut Plugin, gui: &PluginGui, window: u32) {
    let configuration = GuiConfiguration { api_type: GuiApiType::X11, is_floating: false };
    let handle = plugin.instance.plugin_handle();
    gui.create(&handle, configuration).expect("an editor");
    // SAFETY: the window outlives the editor, which is destroyed before it.
    #[allow(unsafe_code)]
    let parent = unsafe { gui.set_parent(&handle, Window::from_x11_handle(window.into())) };
    parent.expect("the parent");
    gui.show(&handle).expect("a visible editor");
}

#[test]
fn the_window_opens_twenty_times_while_sound_and_automation_run() {
    let _turn = turn();
    let name = "hosted::the_window_opens_twenty_times_while_sound_and_automation_run";
    in_child(name, 1, open_and_close);
}

fn open_and_close() {
    let (_connection, window) = host_window();
    while_sound_runs(|plugin, gui, still_sounding| {
        for time in 0..20 {
            still_sounding();
            open(plugin, gui, window);
            // Some stay open for many frames, some for hardly one.
            sleep(Duration::from_millis(if time % 4 == 0 { 400 } else { 40 }));
            gui.destroy(&plugin.instance.plugin_handle());
        }
    });
}

/// The limits are loose: a release build on an idle machine is far faster (figures in
/// `docs/performance.md`).
#[test]
fn the_first_picture_comes_soon_and_others_follow() {
    let _turn = turn();
    in_child("hosted::the_first_picture_comes_soon_and_others_follow", 1, watch_pictures);
}

fn watch_pictures() {
    const OPENINGS: usize = 8;
    const WATCHED: Duration = Duration::from_secs(2);
    /// Events closer together than this belong to the same frame.
    const APART: Duration = Duration::from_millis(4);
    let (connection, window) = host_window();
    let background = [0x17, 0x11, 0x0E]; // blue first
    connection.damage_query_version(1, 1).expect("damage").reply().expect("its version");
    let mut took = Vec::new();
    let (mut pictures, mut watched) = (0, Duration::ZERO);
    while_sound_runs(|plugin, gui, still_sounding| {
        for _ in 0..OPENINGS {
            let start = Instant::now();
            open(plugin, gui, window);
            loop {
                let image = connection.get_image(ImageFormat::Z_PIXMAP, window, 2, 2, 1, 1, !0);
                let image = image.expect("a request").reply().expect("the picture");
                if image.data[..3] == background {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "no picture, but {:?}", image.data);
                sleep(Duration::from_millis(1));
            }
            took.push(start.elapsed());
            if took.len() == OPENINGS {
                let damage = connection.generate_id().expect("an id");
                connection
                    .damage_create(damage, window, ReportLevel::NON_EMPTY)
                    .expect("a request")
                    .check()
                    .expect("damage");
                let start = Instant::now();
                let mut last = start;
                while start.elapsed() < WATCHED {
                    if let Some(Event::DamageNotify(_)) =
                        connection.poll_for_event().expect("events")
                    {
                        pictures += usize::from(last.elapsed() > APART);
                        last = Instant::now();
                        connection
                            .damage_subtract(damage, x11rb::NONE, x11rb::NONE)
                            .expect("a request");
                        connection.flush().expect("the server");
                    } else {
                        sleep(Duration::from_millis(1));
                    }
                }
                watched = start.elapsed();
            }
            still_sounding();
            gui.destroy(&plugin.instance.plugin_handle());
        }
    });
    let first = took[0];
    took.sort();
    let (fastest, median) = (took[0], took[OPENINGS / 2]);
    let rate = pictures as f32 / watched.as_secs_f32();
    println!(
        "first picture after {first:.0?}, then {fastest:.0?} to {:.0?}, median {median:.0?}; {rate:.0} per second",
        took[OPENINGS - 1]
    );
    assert!(median < Duration::from_secs(2), "{median:?}");
    assert!(rate > 8.0, "{rate} pictures per second");
}

#[test]
fn the_quality_is_switched_in_the_window() {
    let _turn = turn();
    in_child("hosted::the_quality_is_switched_in_the_window", 1, switch_quality);
}

/// The host that plays here restarts nothing, so the editor says what it waits for.
fn switch_quality() {
    let (connection, window) = host_window();
    let size = EditorMemory::default();
    let layout = Layout::new(size.width, size.height);
    let live = layout.quality.center();
    let studio = Pos2::new(layout.quality.right() - 20.0, live.y);
    let click = |place: Pos2| {
        let window = wisp_testing::Window::here(window);
        window.point(place.x, place.y).expect("the pointer");
        sleep(Duration::from_millis(200));
        window.click(1).expect("a click");
        sleep(Duration::from_millis(200));
    };
    // Blue first; the colour of what the editor warns of.
    let warns = || {
        let rect = layout.footer;
        let [x, y, width, height] =
            [rect.left() + 70.0, rect.top(), 300.0, rect.height()].map(|n| n as i16);
        let image = connection
            .get_image(ImageFormat::Z_PIXMAP, window, x, y, width as u16, height as u16, !0)
            .expect("a request")
            .reply()
            .expect("the picture");
        let near =
            |pixel: &[u8]| pixel.iter().zip([0x5B, 0x8A, 0xFF]).all(|(&a, b)| a.abs_diff(b) < 24);
        image.data.chunks_exact(4).filter(|pixel| near(&pixel[..3])).count() > 20
    };
    let wait = |what: &str, done: &mut dyn FnMut() -> bool| {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < PATIENCE, "{what}");
            sleep(Duration::from_millis(50));
        }
    };
    while_sound_runs(|plugin, gui, still_sounding| {
        open(plugin, gui, window);
        sleep(Duration::from_secs(1));
        assert!(!warns());
        click(studio);
        wait("it stays Live", &mut || plugin.value("Quality") == 1.0);
        wait("the host was not asked", &mut || plugin.requests().restarts == 1);
        wait("the editor does not say what it waits for", &mut || warns());
        // B starts as a copy of A; both keep their quality, and undo restores it.
        click(layout.slot_b.center());
        assert_eq!(plugin.value("Quality"), 1.0);
        click(live);
        wait("it stays Studio", &mut || plugin.value("Quality") == 0.0);
        wait("the editor still waits", &mut || !warns());
        click(layout.slot_a.center());
        wait("A is not Studio", &mut || plugin.value("Quality") == 1.0);
        click(layout.slot_b.center());
        wait("B is not Live", &mut || plugin.value("Quality") == 0.0);
        click(layout.undo.center());
        wait("it is not undone", &mut || plugin.value("Quality") == 1.0);
        still_sounding();
        gui.destroy(&plugin.instance.plugin_handle());
    });
}
