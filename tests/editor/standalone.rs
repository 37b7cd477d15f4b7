//! The standalone's window.
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egui::{Pos2, Rect};
use wisp::plugin::editor::layout::Layout;
use wisp::plugin::memory::EditorMemory;
use wisp_testing::display::{Display, Process};
use wisp_testing::signals::noisy;
use wisp_testing::window::Window;

use crate::{PATIENCE, turn};

/// The standalone, playing a noisy voice, and the lines it prints.
struct Editor {
    program: Process,
    _display: Display,
    window: Window,
    layout: Layout,
    lines: Arc<Mutex<Vec<String>>>,
    /// How many times slower this machine is than an idle one.
    slowness: f32,
}

impl Editor {
    fn open(home: &Path, options: &[&str]) -> Self {
        let display = Display::new(1280, 1024).expect("Xvfb runs (Debian package xvfb)");
        let mut program = display
            .command(env!("CARGO_BIN_EXE_wisp-standalone"))
            .arg("--play")
            .arg(home.join("noisy.wav"))
            .args(["--print", "--backend", "dummy"])
            .args(options)
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
        let window = Window::find(&display, "Wisp", PATIENCE).expect("a window");
        let size = EditorMemory::default();
        let layout = Layout::new(size.width, size.height);
        let program = Process(program);
        let mut editor = Self { program, _display: display, window, layout, lines, slowness: 1.0 };
        editor.expect("output", "0 dB");
        // Time from a wheel notch to its effect, twice: the first waits for the first frame.
        for (button, text) in [(4, "+0.5 dB"), (5, "0 dB")] {
            editor.point(layout.output.center());
            let start = Instant::now();
            editor.window.click(button).expect("a notch");
            editor.expect("output", text);
            editor.slowness = (start.elapsed().as_secs_f32() / 0.15).clamp(1.0, 12.0);
        }
        editor
    }

    /// Frames take longer on a busy machine without a graphics card.
    fn pause(&self, seconds: f32) {
        sleep(Duration::from_secs_f32(seconds * self.slowness));
    }

    /// The text last printed for a parameter.
    fn value(&self, id: &str) -> Option<String> {
        let lines = self.lines.lock().expect("no panic");
        let find = |line: &String| line.strip_prefix(&format!("{id} = ")).map(str::to_owned);
        lines.iter().rev().find_map(find)
    }

    /// Waits until a parameter has this text.
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
        self.window.point(place.x, place.y).expect("the pointer");
        self.pause(0.1);
    }

    fn press(&self, place: Rect, button: u8) {
        self.point(place.center());
        self.window.press(button).expect("a button down");
        self.pause(0.1);
        self.window.release(button).expect("a button up");
        self.pause(0.25);
    }

    fn key(&self, keys: &[&str]) {
        for key in keys {
            self.window.key(key).expect("a key");
            self.pause(0.15);
        }
    }

    /// Right-clicks a dial and types a value.
    fn type_value(&self, place: Rect, text: &str) {
        self.press(place, 3);
        self.key(&["ctrl+a"]);
        self.window.write(text).expect("a text");
        self.pause(0.2);
        self.key(&["Return"]);
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
    for &sample in &noisy(48_000, 1, 3.0)[0] {
        writer.write_sample(sample).expect("a sample");
    }
    writer.finalize().expect("the file");
}

/// One test for everything, because opening the window takes longest.
#[test]
fn pointer_and_keyboard_reach_everything() {
    let home = tempfile::tempdir().expect("a folder");
    write_noisy_voice(&home.path().join("noisy.wav"));
    let _turn = turn();
    let mut editor = Editor::open(home.path(), &[]);
    let layout = editor.layout;

    // Drag up from 24 dB by a fifth of the range.
    editor.point(layout.reduction.center());
    editor.window.press(1).expect("a button down");
    for distance in [10.0, 20.0, 30.0, 40.0, 50.0] {
        editor.point(layout.reduction.center() - egui::vec2(0.0, distance));
    }
    editor.pause(0.2);
    editor.window.release(1).expect("a button up");
    let between = |value: &str| {
        value
            .strip_suffix(" dB")
            .and_then(|n| n.parse().ok())
            .is_some_and(|n: f32| (28.0..45.0).contains(&n))
    };
    editor.wait_until("reduction", between, "about 36 dB");

    // Typed values, with and without unit; invalid text changes nothing.
    editor.type_value(layout.reduction, "18");
    editor.expect("reduction", "18 dB");
    editor.type_value(layout.ambience, "25 %");
    editor.expect("ambience", "25 %");
    editor.type_value(layout.sensitivity, "much");
    editor.key(&["Escape"]);
    editor.expect("sensitivity", "0 dB");

    // The wheel: one step per notch.
    editor.press(layout.output, 4);
    editor.expect("output", "+0.5 dB");
    // A double click resets.
    editor.pause(0.5);
    editor.point(layout.ambience.center());
    editor.window.double_click().expect("a double click");
    editor.expect("ambience", "0 %");
    editor.pause(0.5);
    // Arrow keys change the control that was clicked last.
    editor.key(&["Up"]);
    editor.expect("ambience", "1 %");
    editor.key(&["Up"]);
    editor.expect("ambience", "2 %");

    // Undo and redo, by shortcut and by button.
    editor.key(&["ctrl+z"]);
    editor.wait_until("ambience", |value| value != "2 %", "the value before");
    editor.press(layout.redo, 1);
    editor.expect("ambience", "2 %");

    // The arrow loads the first factory preset.
    editor.press(layout.next_preset, 1);
    editor.expect("reduction", "18 dB");
    editor.expect("sensitivity", "0 dB");
    editor.expect("output", "+0.5 dB");

    editor.press(layout.slot_b, 1);
    editor.type_value(layout.reduction, "6");
    editor.expect("reduction", "6 dB");
    editor.press(layout.slot_a, 1);
    editor.expect("reduction", "18 dB");
    editor.press(layout.slot_b, 1);
    editor.expect("reduction", "6 dB");

    // Save a user preset: one click opens the menu, the rest is typed.
    editor.press(layout.preset, 1);
    editor.pause(0.5);
    // Below the heading, six presets and a separator.
    let save = Rect::from_center_size(
        Pos2::new(
            layout.preset.left() + 40.0,
            layout.preset.bottom() + 4.0 + 8.0 + 22.0 + 156.0 + 9.0 + 13.0,
        ),
        egui::vec2(2.0, 2.0),
    );
    editor.press(save, 1);
    editor.window.write("Attic").expect("a text");
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

    // A broken user preset cannot be loaded, and nothing changes.
    std::fs::write(&file, "{\"wisp\": 1, \"reduction\": \"loud\"").expect("writing");
    editor.press(layout.previous_preset, 1);
    editor.expect("reduction", "12 dB");
    editor.press(layout.next_preset, 1);
    editor.pause(0.3);
    editor.expect("reduction", "12 dB");

    // The program keeps the quality that it was started with.
    let studio = Rect::from_min_max(
        Pos2::new(layout.quality.right() - 30.0, layout.quality.top()),
        layout.quality.max,
    );
    editor.press(studio, 1);
    editor.expect("quality", "Live");

    editor.press(layout.bypass, 1);
    editor.expect("bypass", "On");
    editor.press(layout.bypass, 1);
    editor.expect("bypass", "Off");

    // After a resize, everything is where the layout puts it.
    let (width, height) = (1100.0, 700.0);
    editor.window.resize(width, height).expect("a size");
    editor.pause(0.8);
    assert_eq!(editor.window.size().expect("its size"), (width, height));
    editor.layout = Layout::new(width, height);
    let removed = editor.layout.listen;
    let right = Rect::from_min_max(Pos2::new(removed.right() - 30.0, removed.top()), removed.max);
    editor.press(right, 1);
    editor.expect("listen", "Removed");

    let ended = editor.program.0.try_wait().expect("its state");
    assert!(ended.is_none(), "the program ended: {ended:?}");
}

/// Ctrl-C, `kill` and closing the terminal all close the window and exit with success.
#[test]
fn signals_close_the_window() {
    let home = tempfile::tempdir().expect("a folder");
    write_noisy_voice(&home.path().join("noisy.wav"));
    let _turn = turn();
    for (signal, quality) in [("INT", "Live"), ("TERM", "Studio"), ("HUP", "Live")] {
        let mut editor = Editor::open(home.path(), &["--quality", &quality.to_lowercase()]);
        editor.expect("quality", quality);
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
