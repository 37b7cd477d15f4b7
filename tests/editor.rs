//! The real editor window, driven by a pointer and a keyboard under Xvfb: Linux only, `cargo xtask test editor`.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clack_extensions::gui::{
    GuiApiType, GuiConfiguration, GuiSize, HostGui, HostGuiImpl, PluginGui, Window,
};
use clack_extensions::params::{ParamInfoBuffer, PluginParams};
use clack_host::events::event_types::ParamValueEvent;
use clack_host::prelude::*;
use clack_host::process::audio_buffers::{
    AudioPortBuffer, AudioPortBufferType, AudioPorts, InputChannel,
};
use egui::{Pos2, Rect};
use wisp::plugin::editor::layout::Layout;
use wisp::plugin::memory::EditorMemory;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, ImageFormat, WindowClass};
use x11rb::rust_connection::RustConnection;

#[path = "signals/mod.rs"]
mod signals;

/// Longest wait for anything to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends a program when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The display that `cargo xtask test editor` made; one test at a time has its pointer.
struct Display {
    name: String,
    _turn: MutexGuard<'static, ()>,
}

impl Display {
    fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let name = std::env::var("WISP_DISPLAY");
        let name = name.expect("`cargo xtask test editor` runs this, on a display of its own");
        assert_eq!(std::env::var("DISPLAY"), Ok(name.clone()), "the display that was made");
        Self { name, _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.name).env("LIBGL_ALWAYS_SOFTWARE", "1");
        command.env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
        command
    }

    fn xdotool(&self, args: &[&str]) -> String {
        let output = self.command("xdotool").args(args).output().expect("xdotool");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// The standalone playing a noisy voice, and what it prints.
struct Editor<'a> {
    display: &'a Display,
    window: String,
    layout: Layout,
    lines: Arc<Mutex<Vec<String>>>,
    /// How many times slower than a quiet machine this one is.
    slowness: f32,
    program: Running,
}

impl<'a> Editor<'a> {
    fn open(display: &'a Display, home: &Path) -> Self {
        let mut program = display
            .command(env!("CARGO_BIN_EXE_wisp-standalone"))
            .arg("--play")
            .arg(home.join("noisy.wav"))
            .args(["--print", "--backend", "dummy"])
            .env("HOME", home)
            .env("XDG_DATA_HOME", home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the standalone");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stdout = BufReader::new(program.stdout.take().expect("a pipe"));
        let heard = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                heard.lock().expect("no panic").push(line);
            }
        });
        let start = Instant::now();
        let window = loop {
            let found = display.xdotool(&["search", "--onlyvisible", "--name", "^Wisp$"]);
            if let Some(id) = found.lines().next() {
                break id.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "no window");
            sleep(Duration::from_millis(50));
        };
        let size = EditorMemory::default();
        let layout = Layout::new(size.width, size.height);
        let program = Running(program);
        let mut editor = Self { display, window, layout, lines, slowness: 1.0, program };
        editor.expect("output", "0 dB");
        // A notch of the wheel until it shows, twice: the first waits for the first picture.
        for (button, text) in [("4", "+0.5 dB"), ("5", "0 dB")] {
            editor.point(layout.output.center());
            let start = Instant::now();
            editor.display.xdotool(&["click", button]);
            editor.expect("output", text);
            editor.slowness = (start.elapsed().as_secs_f32() / 0.15).clamp(1.0, 12.0);
        }
        editor
    }

    /// Pictures take a while on a busy machine without a graphics card.
    fn pause(&self, seconds: f32) {
        sleep(Duration::from_secs_f32(seconds * self.slowness));
    }

    /// The newest text of a parameter.
    fn value(&self, id: &str) -> Option<String> {
        let lines = self.lines.lock().expect("no panic");
        let find = |line: &String| line.strip_prefix(&format!("{id} = ")).map(str::to_owned);
        lines.iter().rev().find_map(find)
    }

    /// Waits until a parameter reads so.
    fn expect(&self, id: &str, text: &str) {
        self.wait_until(id, |value| value == text, text);
    }

    fn wait_until(&self, id: &str, good: impl Fn(&str) -> bool, wanted: &str) {
        let start = Instant::now();
        while !self.value(id).is_some_and(|value| good(&value)) {
            let now = self.value(id);
            assert!(start.elapsed() < PATIENCE, "{id} is {now:?}, expected {wanted}");
            sleep(Duration::from_millis(20));
        }
    }

    fn point(&self, place: Pos2) {
        let (x, y) = (place.x.round().to_string(), place.y.round().to_string());
        self.display.xdotool(&["mousemove", "--window", &self.window, &x, &y]);
        self.pause(0.1);
    }

    fn press(&self, place: Rect, button: &str) {
        self.point(place.center());
        self.display.xdotool(&["mousedown", button]);
        self.pause(0.1);
        self.display.xdotool(&["mouseup", button]);
        self.pause(0.25);
    }

    fn key(&self, keys: &[&str]) {
        for key in keys {
            self.display.xdotool(&["key", key]);
            self.pause(0.15);
        }
    }

    /// By the right button, as the tooltip says.
    fn type_value(&self, place: Rect, text: &str) {
        self.press(place, "3");
        self.key(&["ctrl+a"]);
        self.display.xdotool(&["type", "--delay", "40", text]);
        self.pause(0.2);
        self.key(&["Return"]);
    }

    fn size(&self) -> (f32, f32) {
        let said = self.display.xdotool(&["getwindowgeometry", "--shell", &self.window]);
        let number = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|n| n.parse().ok()).unwrap_or(0.0)
        };
        (number("WIDTH="), number("HEIGHT="))
    }
}

fn write_noisy_voice(file: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(file, spec).expect("a file");
    let noise = signals::noise(48_000, 3.0, 1);
    for (voice, noise) in signals::voice(48_000, 3.0).iter().zip(noise) {
        writer.write_sample(voice + 0.02 * noise).expect("a sample");
    }
    writer.finalize().expect("the file");
}

/// One window for all of it: opening takes longest.
#[test]
fn pointer_and_keyboard_reach_everything() {
    let home = tempfile::tempdir().expect("a folder");
    write_noisy_voice(&home.path().join("noisy.wav"));
    let display = Display::take();
    let mut editor = Editor::open(&display, home.path());
    let layout = editor.layout;

    // A drag upwards, a fifth of the travel of the whole range: from 24 dB.
    editor.point(layout.reduction.center());
    display.xdotool(&["mousedown", "1"]);
    for _ in 0..5 {
        display.xdotool(&["mousemove_relative", "--", "0", "-10"]);
        editor.pause(0.05);
    }
    editor.pause(0.2);
    display.xdotool(&["mouseup", "1"]);
    let between = |value: &str| {
        value
            .strip_suffix(" dB")
            .and_then(|n| n.parse().ok())
            .is_some_and(|n: f32| (28.0..45.0).contains(&n))
    };
    editor.wait_until("reduction", between, "about 36 dB");

    // Typed values, with and without unit; nonsense changes nothing.
    editor.type_value(layout.reduction, "18");
    editor.expect("reduction", "18 dB");
    editor.type_value(layout.ambience, "25 %");
    editor.expect("ambience", "25 %");
    editor.type_value(layout.sensitivity, "much");
    editor.key(&["Escape"]);
    editor.expect("sensitivity", "0 dB");

    // The wheel, a step per notch.
    editor.press(layout.output, "4");
    editor.expect("output", "+0.5 dB");
    // Two clicks: the default.
    editor.pause(0.5);
    editor.point(layout.ambience.center());
    display.xdotool(&["click", "--repeat", "2", "--delay", "80", "1"]);
    editor.expect("ambience", "0 %");
    editor.pause(0.5);
    // Arrow keys on what was clicked last.
    editor.key(&["Up"]);
    editor.expect("ambience", "1 %");
    editor.key(&["Up"]);
    editor.expect("ambience", "2 %");

    // Undo and redo, by keys and by button.
    editor.key(&["ctrl+z"]);
    editor.wait_until("ambience", |value| value != "2 %", "the value before");
    editor.press(layout.redo, "1");
    editor.expect("ambience", "2 %");

    // A preset, by the arrow: the first of the factory's.
    editor.press(layout.next_preset, "1");
    editor.expect("reduction", "18 dB");
    editor.expect("sensitivity", "0 dB");
    editor.expect("output", "+0.5 dB");

    // A and B.
    editor.press(layout.slot_b, "1");
    editor.type_value(layout.reduction, "6");
    editor.expect("reduction", "6 dB");
    editor.press(layout.slot_a, "1");
    editor.expect("reduction", "18 dB");
    editor.press(layout.slot_b, "1");
    editor.expect("reduction", "6 dB");

    // A preset of one's own, saved by keyboard alone after the click that opens the menu.
    editor.press(layout.preset, "1");
    editor.pause(0.5);
    // Heading, six presets, a rule, then the line.
    let save = Rect::from_center_size(
        Pos2::new(
            layout.preset.left() + 40.0,
            layout.preset.bottom() + 4.0 + 8.0 + 22.0 + 156.0 + 9.0 + 13.0,
        ),
        egui::vec2(2.0, 2.0),
    );
    editor.press(save, "1");
    display.xdotool(&["type", "--delay", "40", "Attic"]);
    editor.pause(0.3);
    editor.key(&["Return"]);
    let file = home.path().join("wisp/presets/Attic.json");
    let start = Instant::now();
    while !file.exists() {
        assert!(start.elapsed() < PATIENCE, "no file of the preset");
        sleep(Duration::from_millis(50));
    }
    let text = std::fs::read_to_string(&file).expect("the preset");
    assert!(text.contains("\"reduction\": \"6 dB\""), "{text}");

    // A broken file of one's own: the next preset cannot be loaded, nothing changes.
    std::fs::write(&file, "{\"wisp\": 1, \"reduction\": \"loud\"").expect("writing");
    editor.press(layout.previous_preset, "1");
    editor.expect("reduction", "12 dB");
    editor.press(layout.next_preset, "1");
    editor.pause(0.3);
    editor.expect("reduction", "12 dB");

    // Bypass.
    editor.press(layout.bypass, "1");
    editor.expect("bypass", "On");
    editor.press(layout.bypass, "1");
    editor.expect("bypass", "Off");

    // Another size; the parts follow, and are where the layout says.
    let (width, height) = (1100.0, 700.0);
    display.xdotool(&["windowsize", "--sync", &editor.window, "1100", "700"]);
    editor.pause(0.8);
    assert_eq!(editor.size(), (width, height));
    editor.layout = Layout::new(width, height);
    let removed = editor.layout.listen;
    let right = Rect::from_min_max(Pos2::new(removed.right() - 30.0, removed.top()), removed.max);
    editor.press(right, "1");
    editor.expect("listen", "Removed");

    let ended = editor.program.0.try_wait().expect("its state");
    assert!(ended.is_none(), "the program ended: {ended:?}");
}

struct Shared;
impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {}
}

impl HostGuiImpl for Shared {
    fn resize_hints_changed(&self) {}
    fn request_resize(&self, _size: GuiSize) -> Result<(), HostError> {
        Ok(())
    }
    fn request_show(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn request_hide(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn closed(&self, _was_destroyed: bool) {}
}

struct Host;
impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = ();
    type AudioProcessor<'a> = ();

    fn declare_extensions(builder: &mut HostExtensions<Self>, _shared: &Self::Shared<'_>) {
        builder.register::<HostGui>();
    }
}

/// Ends the sound when it goes out of scope, also by a failed assertion.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A window of the host's for the editor to live in, in a colour that the editor has nowhere.
fn host_window(display: &Display) -> (RustConnection, u32) {
    let (connection, screen) = x11rb::connect(Some(&display.name)).expect("the display");
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

/// The plugin in a host, with sound and automation on a thread of their own while `work` runs.
///
/// `work` gets the plugin, its editor, and a check that the sound has not ended.
fn while_sound_runs(work: impl FnOnce(&mut PluginInstance<Host>, &PluginGui, &dyn Fn())) {
    const BLOCK: usize = 480;
    // SAFETY: the entry is this crate's own.
    #[allow(unsafe_code)]
    let entry = unsafe { PluginEntry::load_from_raw(&wisp::plugin::clap_entry, c"linked") };
    let entry = entry.expect("the linked entry");
    let info = HostInfo::new("editor test", "wisp", "", "1").expect("host info");
    let mut plugin =
        PluginInstance::<Host>::new(|_| Shared, |_| (), &entry, c"audio.wisp.denoiser", &info)
            .expect("an instance");
    let params: PluginParams = plugin.plugin_handle().get_extension().expect("params");
    let handle = plugin.plugin_handle();
    let ids: Vec<_> = (0..params.count(&handle))
        .map(|i| params.get_info(&handle, i, &mut ParamInfoBuffer::new()).expect("info").id)
        .collect();
    let configuration = PluginAudioConfiguration {
        sample_rate: 48_000.0,
        min_frames_count: 1,
        max_frames_count: BLOCK as u32,
    };
    let processor = plugin.activate(|_, _| (), configuration).expect("activation");

    let ended = AtomicBool::new(false);
    let voice = signals::voice(48_000, 2.0);
    let (processor, blocks) = std::thread::scope(|scope| {
        let audio = scope.spawn(|| {
            let mut processor = processor.start_processing().expect("processing");
            let mut inputs = AudioPorts::with_capacity(2, 1);
            let mut outputs = AudioPorts::with_capacity(2, 1);
            let mut input = [[0.0f32; BLOCK]; 2];
            let mut output = [[0.0f32; BLOCK]; 2];
            let mut out = EventBuffer::with_capacity(64);
            let mut blocks = 0usize;
            while !ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                let at = blocks * BLOCK % (voice.len() - BLOCK);
                input.iter_mut().for_each(|c| c.copy_from_slice(&voice[at..at + BLOCK]));
                let value = (blocks % 100) as f64 / 100.0;
                // Every control but Listen and Bypass, so that there is always something to hear.
                let events: Vec<_> = ids[..4]
                    .iter()
                    .map(|&id| ParamValueEvent::new(7, id, Pckn::match_all(), value))
                    .collect();
                let input = inputs.with_input_buffers([AudioPortBuffer {
                    latency: 0,
                    channels: AudioPortBufferType::f32_input_only(
                        input.iter_mut().map(|c| InputChannel::variable(&mut c[..])),
                    ),
                }]);
                let mut buffers = outputs.with_output_buffers([AudioPortBuffer {
                    latency: 0,
                    channels: AudioPortBufferType::f32_output_only(
                        output.iter_mut().map(|c| &mut c[..]),
                    ),
                }]);
                out.clear();
                let events = InputEvents::from_buffer(&events);
                let mut out = out.as_output();
                processor
                    .process(&input, &mut buffers, &events, &mut out, None, None)
                    .expect("process");
                assert!(output.iter().flatten().all(|y| y.is_finite() && y.abs() < 64.0));
                blocks += 1;
                sleep(Duration::from_millis(10).saturating_sub(start.elapsed()));
            }
            (processor.stop_processing(), blocks)
        });
        let end = End(&ended);
        let gui: PluginGui = plugin.plugin_handle().get_extension().expect("an editor");
        work(&mut plugin, &gui, &|| assert!(!audio.is_finished(), "the sound ended"));
        drop(end);
        audio.join().expect("the audio thread")
    });
    plugin.deactivate(processor);
    assert!(blocks > 100, "{blocks} blocks");
}

/// Opens the editor in the host's window.
fn open(plugin: &mut PluginInstance<Host>, gui: &PluginGui, window: u32) {
    let configuration = GuiConfiguration { api_type: GuiApiType::X11, is_floating: false };
    let handle = plugin.plugin_handle();
    gui.create(&handle, configuration).expect("an editor");
    // SAFETY: the window outlives the editor, which is destroyed before it.
    #[allow(unsafe_code)]
    let parent = unsafe { gui.set_parent(&handle, Window::from_x11_handle(window.into())) };
    parent.expect("the parent");
    gui.show(&handle).expect("a visible editor");
}

#[test]
fn the_window_opens_twenty_times_while_sound_and_automation_run() {
    let display = Display::take();
    let (_connection, window) = host_window(&display);
    while_sound_runs(|plugin, gui, still_sounding| {
        for time in 0..20 {
            still_sounding();
            open(plugin, gui, window);
            // Some live for many frames, some for hardly one.
            sleep(Duration::from_millis(if time % 4 == 0 { 400 } else { 40 }));
            gui.destroy(&plugin.plugin_handle());
        }
    });
}

/// In a release build on a machine of its own both are far better than asked here: the figures are in
/// `docs/performance.md`.
#[test]
fn the_first_picture_comes_soon_and_others_follow() {
    const OPENINGS: usize = 8;
    const WATCHED: Duration = Duration::from_secs(2);
    /// Puts of one picture lie closer together than two pictures do.
    const APART: Duration = Duration::from_millis(4);
    let display = Display::take();
    let (connection, window) = host_window(&display);
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
            gui.destroy(&plugin.plugin_handle());
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

/// Ctrl-C, `kill` and a closed terminal end the standalone in order: its window closes, its status is that of success.
#[test]
fn signals_close_the_window() {
    let home = tempfile::tempdir().expect("a folder");
    write_noisy_voice(&home.path().join("noisy.wav"));
    let display = Display::take();
    for signal in ["INT", "TERM", "HUP"] {
        let mut editor = Editor::open(&display, home.path());
        let id = editor.program.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("kill");
        assert!(sent.success(), "{signal}");
        let start = Instant::now();
        let status = loop {
            if let Some(status) = editor.program.0.try_wait().expect("its state") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "SIG{signal} did not end it");
            sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "SIG{signal}: {status}");
    }
}
