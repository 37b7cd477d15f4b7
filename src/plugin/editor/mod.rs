//! The editor window.
mod button;
mod choice;
mod dial;
mod footer;
mod gestures;
mod header;
pub mod layout;
mod level;
mod menu;
mod spectrogram;
mod theme;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egui::{Key, Modifiers, Rect, Ui, ViewportCommand, pos2, vec2};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize};
use nice_plug::editor::{HostMethods, SpawnedEditor};
use nice_plug::plugin::TrackInfo;
use nice_plug::prelude::{Editor, Param, ParentWindowHandle, PluginApi, ResizeHint};
use nice_plug_egui::baseview::{HandlerError, WindowSize};
use nice_plug_egui::{
    EguiEditor, EguiEditorState, EguiNiceSettings, Frame, KeyCapture, NiceEguiApp, RepaintNotifier,
    create_egui_editor,
};

use self::choice::Position;
use self::dial::Dial;
use self::gestures::{Gestures, Histories};
use self::layout::Layout;
use self::level::{LevelMeter, ReductionMeter};
use self::menu::{Notice, PresetMenu};
use self::spectrogram::Spectrogram;
use self::theme::{BACKGROUND, CORNER, LABEL, LINE, NOISE, PANEL};
use super::memory::EditorMemory;
use super::meters::Meters;
use super::params::{
    EngineParameter, Listen, Parameter, Quality, REDUCTION_FULL, Stereo, WispParams,
};
use super::window::{self, ClosingHandle, OnClose};

/// Seconds between frames.
const FRAME: Duration = Duration::from_micros(16_667);
/// How long a notice stays, seconds.
const NOTICE: f32 = 6.0;
/// How long a host may take to change the quality before the editor shows what it is waiting for, seconds.
const RESTART: f32 = 0.5;

/// Opens the editor, each time at the stored size.
pub struct WispEditor {
    params: Arc<WispParams>,
    meters: Arc<Meters>,
    histories: Arc<Mutex<Histories>>,
    /// The window that was opened last, if any; it has the scale factor.
    last: Mutex<Option<EguiEditor<App>>>,
    /// Lives as long as the instance.
    alive: Arc<()>,
}

impl WispEditor {
    /// An editor for these parameters and meters.
    pub fn new(params: Arc<WispParams>, meters: Arc<Meters>) -> Self {
        Self {
            params,
            meters,
            histories: Arc::default(),
            last: Mutex::new(None),
            alive: Arc::new(()),
        }
    }

    /// A window description at the stored size.
    fn window(&self) -> Option<EguiEditor<App>> {
        let size = self.params.editor_memory();
        let settings = EguiNiceSettings::new()
            .with_tile("Wisp")
            .with_resize_hint(self.resize_hint())
            .with_repaint_poll_interval(FRAME);
        create_egui_editor(
            EguiEditorState::from_size(LogicalSize::new(size.width, size.height), 1.0),
            RepaintNotifier::new(),
            settings,
            App::new(self.params.clone(), self.meters.clone(), self.histories.clone()),
        )
    }
}

impl Editor for WispEditor {
    type Handle = ClosingHandle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<Self::Handle>, Box<dyn Error>> {
        let window = self.window().ok_or("cannot get the window handle")?;
        let (params, histories) = (self.params.clone(), self.histories.clone());
        let (context, alive) = (gui_context.clone(), Arc::downgrade(&self.alive));
        let closed = OnClose::new(move || {
            // If the instance is gone, so is the host's side of the editor.
            if alive.upgrade().is_some() {
                Gestures::new(&params, context.param_setter(), &histories).let_go();
            }
        });
        let spawned = window::spawn(
            &window,
            parent,
            wait_for_parent,
            fallback_scale_factor,
            gui_context,
            host,
            closed,
        )?;
        *self.last.lock().unwrap_or_else(|e| e.into_inner()) = Some(window);
        Ok(spawned)
    }

    fn size(&self) -> NativeSize<u32> {
        match &*self.last.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(window) => window.size(),
            None => {
                let size = self.params.editor_memory();
                NativeSize::from_size(LogicalSize::new(size.width, size.height).into(), 1.0)
            }
        }
    }

    fn resize_hint(&self) -> ResizeHint {
        let size = |(width, height)| LogicalSize::new(width, height);
        ResizeHint::resizable()
            .with_min_max_logical_size(Some(size(EditorMemory::MIN)), Some(size(EditorMemory::MAX)))
    }

    fn track_info_updated(&self, _info: TrackInfo) {}
}

/// State of one window.
struct App {
    params: Arc<WispParams>,
    meters: Arc<Meters>,
    histories: Arc<Mutex<Histories>>,
    window: Option<Window>,
}

/// State that needs the window's egui context.
struct Window {
    gui_context: GuiContext,
    spectrogram: Spectrogram,
    input: LevelMeter,
    output: LevelMeter,
    reduction: ReductionMeter,
    voice: f32,
    load: f32,
    /// The displayed figure, updated slowly enough to be readable.
    load_text: String,
    load_age: f32,
    presets: PresetMenu,
    /// The notice, and its remaining time in seconds.
    notice: Option<(Notice, f32)>,
    /// How long the quality set has differed from the active one, seconds.
    outdated: f32,
}

impl App {
    fn new(params: Arc<WispParams>, meters: Arc<Meters>, histories: Arc<Mutex<Histories>>) -> Self {
        Self { params, meters, histories, window: None }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.editor_closed();
    }
}

impl NiceEguiApp for App {
    fn build(
        &mut self,
        ctx: egui::Context,
        gui_context: GuiContext,
        frame: &mut Frame,
    ) -> Result<(), HandlerError> {
        theme::install(&ctx);
        frame.set_clear_color(BACKGROUND.into());
        frame.set_key_capture(KeyCapture::CaptureAll);
        let (input, output) = level::level_meters();
        let previous = self.window.replace(Window {
            gui_context,
            spectrogram: Spectrogram::new(&ctx),
            input,
            output,
            reduction: ReductionMeter::new(),
            voice: 0.0,
            load: 0.0,
            load_text: String::new(),
            load_age: f32::INFINITY,
            presets: PresetMenu::new(),
            notice: None,
            outdated: 0.0,
        });
        if previous.is_none() {
            self.meters.open();
        }
        Ok(())
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut Frame) {
        let Some(window) = &mut self.window else { return };
        let seconds = ui.input(|i| i.stable_dt).min(0.1);
        let waited = window.outdated;
        window.advance(&self.params, &self.meters, seconds);
        // Once a second, in case nothing else has asked the host.
        let api = window.gui_context.plugin_api();
        if api == PluginApi::Vst3 && window.outdated.floor() > waited.floor() {
            window.gui_context.request_restart();
        }
        let area = ui.ctx().content_rect();
        ui.painter().rect_filled(area, 0.0, BACKGROUND);
        let gui_context = window.gui_context.clone();
        let gestures = Gestures::new(&self.params, gui_context.param_setter(), &self.histories);
        window.show(ui, area, &gestures, &self.meters);
        resize_corner(ui, area);
        // Early, because the window layer is up to 15 ms late (X11 without Present).
        ui.ctx().request_repaint_after(FRAME / 2);
        #[cfg(feature = "standalone")]
        if super::quit::asked() {
            ui.ctx().send_viewport_cmd(ViewportCommand::Close);
        }
    }

    fn resized(&mut self, size: WindowSize) {
        self.params.set_editor_memory(EditorMemory {
            width: size.logical.width as f32,
            height: size.logical.height as f32,
        });
    }

    fn editor_closed(&mut self) {
        if self.window.take().is_some() {
            self.meters.close();
        }
    }
}

impl Window {
    fn advance(&mut self, params: &WispParams, meters: &Meters, seconds: f32) {
        self.spectrogram.advance(meters, seconds);
        let mut readings = meters.take();
        if !self.spectrogram.live() {
            (readings.voice, readings.reduction_db) = (0.0, 0.0);
        }
        self.input.advance(readings.input, seconds);
        self.output.advance(readings.output, seconds);
        self.reduction.advance(readings.reduction_db, seconds);
        let rate = if readings.voice > self.voice { 20.0 } else { 6.0 };
        self.voice += (readings.voice - self.voice) * (rate * seconds).min(1.0);
        self.load += (readings.load - self.load) * (2.0 * seconds).min(1.0);
        if let Some((_, left)) = &mut self.notice {
            *left -= seconds;
        }
        self.notice.take_if(|(_, left)| *left <= 0.0);
        let outdated = meters.sample_rate() > 0
            && meters.quality().is_some_and(|quality| quality != params.quality());
        self.outdated = if outdated { self.outdated + seconds } else { 0.0 };
        self.load_age += seconds;
        if self.load_age > 0.5 {
            self.load_age = 0.0;
            self.load_text = format!("{:.1} %", self.load * 100.0);
        }
    }

    fn show(&mut self, ui: &mut Ui, area: Rect, gestures: &Gestures<'_>, meters: &Meters) {
        let layout = Layout::new(area.width(), area.height());
        shortcuts(ui, gestures);
        self.header(ui, &layout, gestures);
        self.controls(ui, &layout, gestures, meters.channels() == 2);
        panel(ui, layout.picture);
        let picture = layout.picture.shrink(6.0);
        self.spectrogram.show(&ui.painter_at(layout.picture), picture, meters.sample_rate());
        if let Some(text) = heard(gestures.params, meters) {
            pill(ui, picture, text);
        }
        self.levels(ui, layout.levels, meters.channels());
        self.footer(ui, layout.footer, gestures.params, meters);
    }

    fn controls(&self, ui: &mut Ui, layout: &Layout, gestures: &Gestures<'_>, stereo: bool) {
        panel(ui, layout.controls);
        let params = gestures.params;
        Dial {
            parameter: EngineParameter::Reduction,
            param: &params.reduction,
            tooltip: "Limits how far noise is turned down. Drag, scroll or type a number. Shift: \
                      fine steps. Double-click: reset. Right-click: type a value.",
            step: 1.0,
            origin: 0.0,
            large: true,
            ticks: &[(0.0, "0"), (20.0, "20"), (40.0, "40"), (REDUCTION_FULL, "Full")],
        }
        .show(ui, layout.reduction, gestures);
        let small = |parameter, param, tooltip, step| Dial {
            parameter,
            param,
            tooltip,
            step,
            origin: 0.0,
            large: false,
            ticks: &[],
        };
        small(
            EngineParameter::Sensitivity,
            &params.sensitivity,
            "Decides doubtful sounds. Up: treat them as noise. Down: keep them.",
            0.5,
        )
        .show(ui, layout.sensitivity, gestures);
        small(
            EngineParameter::Ambience,
            &params.ambience,
            "Keeps some of the room's steady noise at a constant level. Keyboards, doors and other \
             sudden noises are still removed.",
            1.0,
        )
        .show(ui, layout.ambience, gestures);
        small(EngineParameter::Output, &params.output, "Output level, after noise reduction.", 0.5)
            .show(ui, layout.output, gestures);
        choice::row(
            ui,
            layout.listen,
            (EngineParameter::Listen, &params.listen),
            &[
                Position {
                    value: Listen::Result,
                    text: "Result",
                    tooltip: "Listen to the cleaned sound.",
                },
                Position {
                    value: Listen::Removed,
                    text: "Removed",
                    tooltip: "Listen to what is removed. If you hear the voice in it, remove less.",
                },
            ],
            gestures,
            true,
        );
        choice::row(
            ui,
            layout.stereo,
            (EngineParameter::Stereo, &params.stereo),
            &[
                Position {
                    value: Stereo::Linked,
                    text: "Linked",
                    tooltip: "One mask for both channels. Keeps the stereo image.",
                },
                Position {
                    value: Stereo::Independent,
                    text: "Independent",
                    tooltip: "Cleans each channel separately, for two voices on two channels.",
                },
            ],
            gestures,
            stereo,
        );
        // The standalone program cannot restart its engine.
        let switches = self.gui_context.plugin_api() != PluginApi::Standalone;
        let position = |value, text| Position { value, text, tooltip: purpose(value, switches) };
        choice::row(
            ui,
            layout.quality,
            (Parameter::Quality, &params.quality),
            &[position(Quality::Live, "Live"), position(Quality::Studio, "Studio")],
            gestures,
            switches,
        );
    }

    fn levels(&mut self, ui: &mut Ui, rect: Rect, channels: usize) {
        panel(ui, rect);
        let inner = rect.shrink2(vec2(8.0, 8.0));
        let width = inner.width() / 3.0;
        let cell = |i: f32| {
            Rect::from_min_size(
                pos2(inner.left() + width * i, inner.top()),
                vec2(width, inner.height()),
            )
        };
        self.input.show(ui, cell(0.0), channels);
        self.reduction.show(ui, cell(1.0));
        self.output.show(ui, cell(2.0), channels);
    }
}

/// Keyboard shortcuts for undo and redo, except while typing text.
fn shortcuts(ui: &Ui, gestures: &Gestures<'_>) {
    if ui.ctx().text_edit_focused() {
        return;
    }
    let pressed = |modifiers, key| ui.input_mut(|i| i.consume_key(modifiers, key));
    let shifted = Modifiers::COMMAND | Modifiers::SHIFT;
    if pressed(shifted, Key::Z) || pressed(Modifiers::COMMAND, Key::Y) {
        gestures.redo();
    } else if pressed(Modifiers::COMMAND, Key::Z) {
        gestures.undo();
    }
}

/// The purpose of a quality, or how to select it if the editor cannot switch.
fn purpose(quality: Quality, switches: bool) -> &'static str {
    match (quality, switches) {
        (Quality::Live, true) => "20 ms of latency. For talking, streaming and monitoring.",
        (Quality::Studio, true) => {
            "60 ms of latency. Looks further ahead to clean a little better, and takes more processor time. For \
             recordings and mixes, where the host compensates for latency. Switching interrupts playback."
        }
        (Quality::Live, false) => {
            "20 ms of latency. To use it here, start the program with --quality live."
        }
        (Quality::Studio, false) => {
            "60 ms of latency. To use it here, start the program with --quality studio."
        }
    }
}

/// A label for the picture while the output is not the result.
fn heard(params: &WispParams, meters: &Meters) -> Option<&'static str> {
    if meters.quality().is_none() {
        Some("SOUND PASSES UNCHANGED: THE SAMPLE RATE IS NOT 8 TO 384 KHZ")
    } else if params.bypass.unmodulated_plain_value() {
        Some("BYPASSED")
    } else if params.listen.unmodulated_plain_value() == Listen::Removed {
        Some("LISTENING TO REMOVED SOUND")
    } else {
        None
    }
}

/// Text on a rounded background in the picture's corner.
fn pill(ui: &Ui, picture: Rect, text: &str) {
    let painter = ui.painter_at(picture);
    let galley = painter.layout_no_wrap(text.to_owned(), theme::strong(10.5), BACKGROUND);
    let size = galley.size() + vec2(20.0, 10.0);
    let corner = picture.right_top() + vec2(-14.0, 14.0);
    let pill = Rect::from_min_size(corner - vec2(size.x, 0.0), size);
    painter.rect_filled(pill, size.y / 2.0, NOISE);
    painter.galley(pill.center() - galley.size() / 2.0, galley, BACKGROUND);
}

fn panel(ui: &Ui, rect: Rect) {
    ui.painter().rect_filled(rect, CORNER, PANEL);
}

/// A corner to drag the window by, for hosts that offer no border.
fn resize_corner(ui: &mut Ui, area: Rect) {
    let corner = Rect::from_min_max(area.max - vec2(14.0, 14.0), area.max);
    let id = ui.scope_id().with("resize");
    let response = ui
        .interact(corner, id, egui::Sense::drag())
        .on_hover_and_drag_cursor(egui::CursorIcon::ResizeNwSe);
    let color = if response.hovered() || response.dragged() { LABEL } else { LINE };
    for inset in [4.0, 8.0] {
        ui.painter().line_segment(
            [area.max - vec2(inset, 2.0), area.max - vec2(2.0, inset)],
            egui::Stroke::new(1.0, color),
        );
    }
    if response.dragged()
        && let Some(pointer) = response.interact_pointer_pos()
    {
        let wanted = EditorMemory { width: pointer.x + 4.0, height: pointer.y + 4.0 }.clamped();
        let wanted = vec2(wanted.width.round(), wanted.height.round());
        if wanted != area.size() {
            ui.ctx().send_viewport_cmd(ViewportCommand::InnerSize(wanted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::meters::Setup;

    #[test]
    fn tooltips_name_the_latency() {
        for quality in [Quality::Live, Quality::Studio] {
            let model = crate::Model::bundled(quality.into());
            let timing = crate::Engine::timing(&model, 48_000).expect("a rate");
            for switches in [true, false] {
                let expected = format!("{} ms of latency. ", timing.latency / 48);
                assert!(purpose(quality, switches).starts_with(&expected), "{quality:?}");
            }
        }
    }

    #[test]
    fn a_label_shows_while_the_output_is_not_the_result() {
        let (params, meters) = (WispParams::default(), Meters::default());
        assert_eq!(heard(&params, &meters), None);
        params.param(EngineParameter::Listen).put(1.0);
        assert!(heard(&params, &meters).is_some_and(|text| text.contains("REMOVED")));
        params.param(EngineParameter::Bypass).put(1.0);
        assert_eq!(heard(&params, &meters), Some("BYPASSED"));
        // At such a rate the sound passes unchanged with any settings.
        let setup = |sample_rate, quality| Setup { sample_rate, latency: 0, channels: 2, quality };
        meters.set_setup(setup(7_000, None));
        assert!(heard(&params, &meters).is_some_and(|text| text.contains("UNCHANGED")));
        meters.set_setup(setup(48_000, Some(crate::Quality::Studio)));
        assert_eq!(heard(&params, &meters), Some("BYPASSED"));
    }
}
