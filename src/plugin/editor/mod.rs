//! The editor window.
mod choice;
mod dial;
mod level;
mod spectrogram;
mod theme;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egui::{Align2, Rect, Ui, Vec2, ViewportCommand, pos2, vec2};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize};
use nice_plug::editor::{HostMethods, SpawnedEditor};
use nice_plug::plugin::TrackInfo;
use nice_plug::prelude::{Editor, ParentWindowHandle, ResizeHint};
use nice_plug_egui::baseview::{HandlerError, WindowSize};
use nice_plug_egui::{
    EguiEditor, EguiEditorHandle, EguiEditorState, EguiNiceSettings, Frame, KeyCapture,
    NiceEguiApp, RepaintNotifier, create_egui_editor,
};

use self::choice::Position;
use self::dial::Dial;
use self::level::{LevelMeter, ReductionMeter};
use self::spectrogram::Spectrogram;
use self::theme::{BACKGROUND, CORNER, GAP, LABEL, LINE, NOISE, PANEL, TEXT, VOICE};
use super::meters::Meters;
use super::params::{EditorMemory, Listen, REDUCTION_FULL, Stereo, WispParams};

/// Seconds between pictures.
const FRAME: Duration = Duration::from_micros(16_667);

/// Opens the editor, each time at the remembered size.
pub struct WispEditor {
    params: Arc<WispParams>,
    meters: Arc<Meters>,
    /// The window that was opened last, if any; it knows the scale factor.
    last: Mutex<Option<EguiEditor<App>>>,
}

impl WispEditor {
    /// An editor of these parameters, showing these meters.
    pub fn new(params: Arc<WispParams>, meters: Arc<Meters>) -> Self {
        Self { params, meters, last: Mutex::new(None) }
    }

    /// A window description at the remembered size.
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
            App::new(self.params.clone(), self.meters.clone()),
        )
    }
}

impl Editor for WispEditor {
    type Handle = EguiEditorHandle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<Self::Handle>, Box<dyn Error>> {
        let window = self.window().ok_or("the window could not be described")?;
        let spawned =
            window.spawn(parent, wait_for_parent, fallback_scale_factor, gui_context, host)?;
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

/// What lives as long as one window.
struct App {
    params: Arc<WispParams>,
    meters: Arc<Meters>,
    window: Option<Window>,
}

/// What needs the window's egui context.
struct Window {
    gui_context: GuiContext,
    spectrogram: Spectrogram,
    input: LevelMeter,
    output: LevelMeter,
    reduction: ReductionMeter,
    voice: f32,
    load: f32,
    /// The figure shown; the eye cannot follow one that changes with every frame.
    load_text: String,
    load_age: f32,
}

impl App {
    fn new(params: Arc<WispParams>, meters: Arc<Meters>) -> Self {
        Self { params, meters, window: None }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.window.is_some() {
            self.meters.close();
        }
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
        });
        if previous.is_none() {
            self.meters.open();
        }
        Ok(())
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut Frame) {
        let Some(window) = &mut self.window else { return };
        let seconds = ui.input(|i| i.stable_dt).min(0.1);
        window.advance(&self.meters, seconds);
        let area = ui.ctx().content_rect();
        ui.painter().rect_filled(area, 0.0, BACKGROUND);
        window.layout(ui, area, &self.params, &self.meters);
        resize_corner(ui, area);
        ui.ctx().request_repaint_after(FRAME);
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
    fn advance(&mut self, meters: &Meters, seconds: f32) {
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
        self.load_age += seconds;
        if self.load_age > 0.5 {
            self.load_age = 0.0;
            self.load_text = format!("{:.1} %", self.load * 100.0);
        }
    }

    fn layout(&mut self, ui: &mut Ui, area: Rect, params: &WispParams, meters: &Meters) {
        let inner = area.shrink(GAP);
        let header = Rect::from_min_size(inner.min, vec2(inner.width(), 34.0));
        self.header(ui, header, params, meters);

        let body = Rect::from_min_max(pos2(inner.left(), header.bottom() + GAP), inner.max);
        let controls_width = (body.width() * 0.30).clamp(216.0, 320.0);
        let meters_width = 156.0;
        let controls = Rect::from_min_size(body.min, vec2(controls_width, body.height()));
        let levels = Rect::from_min_max(pos2(body.right() - meters_width, body.top()), body.max);
        let picture = Rect::from_min_max(
            pos2(controls.right() + GAP, body.top()),
            pos2(levels.left() - GAP, body.bottom()),
        );
        self.controls(ui, controls, params, meters);
        panel(ui, picture);
        self.spectrogram.show(&ui.painter_at(picture), picture.shrink(6.0), meters.sample_rate());
        self.levels(ui, levels, meters.channels());
    }

    fn header(&self, ui: &mut Ui, rect: Rect, params: &WispParams, meters: &Meters) {
        let painter = ui.painter().clone();
        logo(&painter, rect);
        let setter = self.gui_context.param_setter();
        let button = Rect::from_min_max(
            pos2(rect.right() - 92.0, rect.top() + 3.0),
            rect.max - vec2(0.0, 3.0),
        );
        choice::bypass(ui, button, &params.bypass, &setter);

        // Right to left: load, latency, voice.
        let latency = meters.latency_ms().map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        let load = if meters.sample_rate() == 0 { "–" } else { &self.load_text };
        let mut right = button.left() - 18.0;
        for (label, value, width, tooltip) in [
            ("CPU", load, 74.0, "Share of one core's time that this instance takes."),
            ("Latency", &*latency, 106.0, "Delay of the sound, which the host is told of."),
        ] {
            let cell =
                Rect::from_min_max(pos2(right - width, rect.top()), pos2(right, rect.bottom()));
            let middle = cell.center().y;
            let place = pos2(cell.right(), middle);
            let value = painter.text(place, Align2::RIGHT_CENTER, value, theme::strong(12.0), TEXT);
            let place = pos2(value.left() - 6.0, middle);
            painter.text(place, Align2::RIGHT_CENTER, label, theme::regular(12.0), LABEL);
            ui.interact(cell, ui.scope_id().with(label), egui::Sense::hover())
                .on_hover_text(tooltip);
            right -= width + 10.0;
        }
        let cell = Rect::from_min_max(pos2(right - 66.0, rect.top()), pos2(right, rect.bottom()));
        let light = pos2(cell.left() + 12.0, cell.center().y);
        painter.circle_filled(light, 9.0, VOICE.gamma_multiply(0.25 * self.voice));
        painter.circle_filled(light, 4.5, theme::mix(LINE, VOICE, self.voice.clamp(0.0, 1.0)));
        let place = light + vec2(13.0, 0.0);
        painter.text(place, Align2::LEFT_CENTER, "Voice", theme::regular(12.0), LABEL);
        ui.interact(cell, ui.scope_id().with("voice"), egui::Sense::hover())
            .on_hover_text("Lights while a voice is heard.");
    }

    fn controls(&self, ui: &mut Ui, rect: Rect, params: &WispParams, meters: &Meters) {
        panel(ui, rect);
        let setter = self.gui_context.param_setter();
        let inner = rect.shrink(14.0);
        let lower_height = 158.0;
        let upper =
            Rect::from_min_max(inner.min, pos2(inner.right(), inner.bottom() - lower_height));
        let lower = Rect::from_min_max(pos2(inner.left(), upper.bottom()), inner.max);
        Dial {
            param: &params.reduction,
            tooltip: "How far noise may be turned down. Drag, scroll or type; shift is finer, \
                      double-click resets.",
            step: 1.0,
            origin: 0.0,
            large: true,
            ticks: &[(0.0, "0"), (20.0, "20"), (40.0, "40"), (REDUCTION_FULL, "Full")],
        }
        .show(ui, upper, &setter);

        let output_width = 76.0;
        let output = Rect::from_min_max(
            pos2(lower.right() - output_width, lower.top() + 22.0),
            pos2(lower.right(), lower.bottom()),
        );
        Dial {
            param: &params.output,
            tooltip: "Level after the noise is gone. Drag, scroll or type; double-click resets.",
            step: 0.5,
            origin: 0.0,
            large: false,
            ticks: &[],
        }
        .show(ui, output, &setter);

        let rows_width = lower.width() - output_width - GAP;
        let row = |i: f32| {
            Rect::from_min_size(
                pos2(lower.left(), lower.top() + 22.0 + i * 70.0),
                Vec2::new(rows_width, 52.0),
            )
        };
        choice::row(
            ui,
            row(0.0),
            &params.listen,
            &[
                Position {
                    value: Listen::Result,
                    text: "Result",
                    tooltip: "Hear the cleaned sound.",
                },
                Position {
                    value: Listen::Removed,
                    text: "Removed",
                    tooltip: "Hear only what is taken out: a voice in it means too much is.",
                },
            ],
            &setter,
            true,
        );
        choice::row(
            ui,
            row(1.0),
            &params.stereo,
            &[
                Position {
                    value: Stereo::Linked,
                    text: "Linked",
                    tooltip: "Both channels are treated alike, so the voice stays in its place.",
                },
                Position {
                    value: Stereo::Independent,
                    text: "Split",
                    tooltip: "Each channel by itself: for two voices on two channels.",
                },
            ],
            &setter,
            meters.channels() == 2,
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

fn panel(ui: &Ui, rect: Rect) {
    ui.painter().rect_filled(rect, CORNER, PANEL);
}

/// Three strands, the noisy one fading away, and the name.
fn logo(painter: &egui::Painter, rect: Rect) {
    let left = rect.left() + 4.0;
    let middle = rect.center().y;
    for (offset, color, sway) in [(-5.0, VOICE, 1.0), (0.0, TEXT, 0.6), (5.0, NOISE, 1.4)] {
        let points: Vec<_> = (0..=24)
            .map(|i| {
                let t = i as f32 / 24.0;
                let swing = (t * 7.0 + offset * 0.3).sin() * 3.0 * sway * (1.0 - t);
                pos2(left + t * 26.0, middle + offset * (1.0 - t) + swing)
            })
            .collect();
        painter.line(points, egui::Stroke::new(1.6, color));
    }
    let place = pos2(left + 36.0, middle);
    painter.text(place, Align2::LEFT_CENTER, "wisp", theme::strong(20.0), TEXT);
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
