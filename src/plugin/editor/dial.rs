//! A rotary control for one float parameter.
use std::f32::consts::TAU;

use egui::{
    Align2, CursorIcon, Event, EventFilter, Id, Key, Painter, Pos2, Rect, Response, Role, Sense,
    Shape, Stroke, TextEdit, Ui, Vec2, WidgetInfo, pos2, vec2,
};
use nice_plug::prelude::{FloatParam, Param};

use super::gestures::Gestures;
use super::theme::{self, ALARM, BACKGROUND, LABEL, LINE, TEXT, VOICE};
use crate::plugin::params::EngineParameter;

/// The arc leaves a quarter open at the bottom.
const START: f32 = TAU * 0.375;
const SWEEP: f32 = TAU * 0.75;
/// Points of travel for the whole range.
const TRAVEL: f32 = 240.0;
/// Shift makes everything this much finer.
const FINE: f32 = 0.1;

/// Appearance and behaviour of a dial.
pub(super) struct Dial<'a> {
    pub parameter: EngineParameter,
    pub param: &'a FloatParam,
    pub tooltip: &'a str,
    /// The step of a wheel notch or an arrow key, in the parameter's unit.
    pub step: f32,
    /// The arc starts at this plain value.
    pub origin: f32,
    /// Whether the value is shown large inside the arc; a small dial shows it below.
    pub large: bool,
    /// Marks around the arc: plain value and text.
    pub ticks: &'a [(f32, &'a str)],
}

/// State of a dial between frames.
#[derive(Clone, Default)]
struct Memory {
    /// Text being typed.
    typing: Option<String>,
    /// The typed text was not understood.
    wrong: bool,
    /// Wheel movement that has not yet made a step.
    wheel: f32,
    /// A drag in progress.
    drag: Option<Drag>,
}

/// A drag in progress.
#[derive(Clone, Copy)]
struct Drag {
    /// Normalized value at its start.
    before: f32,
    /// The last normalized value that was set.
    after: f32,
    /// Plain value before it is clamped.
    plain: f32,
}

impl Dial<'_> {
    /// Draws the dial into `rect` and lets the pointer and the keyboard turn it.
    pub(super) fn show(&self, ui: &mut Ui, rect: Rect, gestures: &Gestures<'_>) -> Response {
        let id = ui.scope_id().with(("dial", self.param.name()));
        let mut memory: Memory = ui.data_mut(|data| data.get_temp(id).unwrap_or_default());
        let geometry = Geometry::new(rect, self.large);
        let response = ui.interact(rect, id, Sense::click_and_drag());
        response.widget_info(|| {
            WidgetInfo::slider(true, f64::from(self.param.value()), self.param.name())
        });

        if memory.typing.is_none() {
            self.turn(ui, &response, &mut memory, gestures);
        }
        self.paint(ui, &response, &geometry, memory.typing.is_some());
        if memory.typing.is_some() {
            self.type_in(ui, id.with("text"), &mut memory, gestures, geometry.value_rect);
            if memory.typing.is_none() {
                response.request_focus();
            }
        }
        ui.data_mut(|data| data.insert_temp(id, memory));
        response.on_hover_cursor(CursorIcon::ResizeVertical).on_hover_text(self.tooltip)
    }

    fn turn(&self, ui: &Ui, response: &Response, memory: &mut Memory, gestures: &Gestures<'_>) {
        let fine = if ui.input(|i| i.modifiers.shift) { FINE } else { 1.0 };
        let range = self.param.preview_plain(1.0) - self.param.preview_plain(0.0);

        if response.has_focus() {
            // Arrows turn the dial instead of moving the focus.
            ui.memory_mut(|m| {
                m.set_focus_lock_filter(
                    response.id,
                    EventFilter {
                        horizontal_arrows: true,
                        vertical_arrows: true,
                        tab: false,
                        escape: false,
                    },
                );
            });
        }
        if response.clicked() {
            response.request_focus();
        }
        if response.double_clicked() {
            self.set(gestures, self.param.default_plain_value());
        }
        if response.secondary_clicked() {
            memory.typing = Some(self.plain_text());
            return;
        }
        if response.drag_started() {
            response.request_focus();
            gestures.begin(self.parameter);
            let before = self.param.unmodulated_normalized_value();
            let plain = self.param.unmodulated_plain_value();
            memory.drag = Some(Drag { before, after: before, plain });
        }
        if let Some(drag) = &mut memory.drag {
            let delta = response.drag_delta();
            drag.plain += (delta.x - delta.y) / TRAVEL * range * fine;
            let target = self.param.preview_normalized(drag.plain);
            if target != drag.after {
                gestures.set(self.parameter, target);
                drag.after = target;
            }
            if response.drag_stopped() || !response.dragged() {
                gestures.end(self.parameter, drag.before, drag.after);
                memory.drag = None;
            }
            return;
        }
        if response.hovered() {
            // One notch is about 50 points, however the platform reports it; shift turns the
            // wheel sideways.
            let notches = ui.input(|i| {
                i.events
                    .iter()
                    .map(|event| match event {
                        Event::MouseWheel { unit, delta, .. } => {
                            let travel = delta.x + delta.y;
                            match unit {
                                egui::MouseWheelUnit::Point => travel / 50.0,
                                egui::MouseWheelUnit::Line => travel,
                                egui::MouseWheelUnit::Page => travel * 10.0,
                            }
                        }
                        _ => 0.0,
                    })
                    .sum::<f32>()
            });
            memory.wheel += notches;
            let whole = memory.wheel.trunc();
            if whole != 0.0 {
                memory.wheel -= whole;
                self.nudge(gestures, whole * fine);
            }
        } else {
            memory.wheel = 0.0;
        }
        if response.has_focus() {
            self.keys(ui, memory, gestures, fine);
        }
    }

    fn keys(&self, ui: &Ui, memory: &mut Memory, gestures: &Gestures<'_>, fine: f32) {
        // Accumulated, because a host may be slow to report the first step.
        let mut steps = 0.0;
        let events = ui.input(|i| i.events.clone());
        for event in events {
            match event {
                Event::Key { key, pressed: true, .. } => match key {
                    Key::ArrowUp | Key::ArrowRight => steps += fine,
                    Key::ArrowDown | Key::ArrowLeft => steps -= fine,
                    Key::PageUp => steps += 6.0,
                    Key::PageDown => steps -= 6.0,
                    Key::Home => self.set(gestures, self.param.preview_plain(0.0)),
                    Key::End => self.set(gestures, self.param.preview_plain(1.0)),
                    Key::Delete | Key::Backspace => {
                        self.set(gestures, self.param.default_plain_value());
                    }
                    Key::Enter => memory.typing = Some(self.plain_text()),
                    _ => {}
                },
                // Typing starts with the first character of a number or of "full".
                Event::Text(text)
                    if memory.typing.is_none()
                        && text.starts_with(|c: char| c.is_ascii_digit() || "-+fF".contains(c)) =>
                {
                    memory.typing = Some(text);
                }
                _ => {}
            }
        }
        if steps != 0.0 {
            self.nudge(gestures, steps);
        }
    }

    fn nudge(&self, gestures: &Gestures<'_>, steps: f32) {
        let value = self.param.unmodulated_plain_value() + steps * self.step;
        // On a grid of tenths, so that fine steps do not accumulate rounding errors.
        let value = (value * 10.0).round() / 10.0;
        self.set(gestures, value);
    }

    fn set(&self, gestures: &Gestures<'_>, plain: f32) {
        gestures.change(&[(self.parameter, self.param.preview_normalized(plain))]);
    }

    fn type_in(
        &self,
        ui: &mut Ui,
        id: Id,
        memory: &mut Memory,
        gestures: &Gestures<'_>,
        rect: Rect,
    ) {
        let Some(text) = &mut memory.typing else { return };
        let size = if self.large { 22.0 } else { 13.0 };
        let color = if memory.wrong { ALARM } else { TEXT };
        let field = Rect::from_center_size(rect.center(), vec2(rect.width(), size + 14.0));
        let edit = TextEdit::singleline(text)
            .id(id)
            .font(theme::strong(size))
            .text_color(color)
            .align(Align2::CENTER_CENTER)
            .desired_width(field.width());
        let fresh = !ui.memory(|m| m.had_focus_last_frame(id) || m.has_focus(id));
        let response = ui.put(field, edit);
        if fresh {
            response.request_focus();
            return;
        }
        if response.changed() {
            memory.wrong = false;
        }
        if response.lost_focus() {
            let escaped = ui.input(|i| i.key_pressed(Key::Escape));
            let value = self.param.string_to_normalized_value(text);
            match value {
                _ if escaped => memory.typing = None,
                Some(value) => {
                    gestures.change(&[(self.parameter, value)]);
                    memory.typing = None;
                }
                // Enter on invalid text keeps the field open and changes its colour.
                None if ui.input(|i| i.key_pressed(Key::Enter)) => {
                    memory.wrong = true;
                    response.request_focus();
                }
                None => memory.typing = None,
            }
            if memory.typing.is_none() {
                memory.wrong = false;
            }
        }
    }

    /// The value as a user would type it.
    fn plain_text(&self) -> String {
        let text =
            self.param.normalized_value_to_string(self.param.unmodulated_normalized_value(), true);
        text.trim_end_matches([' ', 'd', 'B', '%']).to_owned()
    }

    fn paint(&self, ui: &Ui, response: &Response, geometry: &Geometry, typing: bool) {
        let painter = ui.painter();
        let (center, radius, width) = (geometry.center, geometry.radius, geometry.width);
        let normalized = self.param.unmodulated_normalized_value();
        let origin = self.param.preview_normalized(self.origin);
        let lit = response.hovered() || response.dragged() || response.has_focus();

        arc(painter, center, radius, width, 0.0, 1.0, LINE);
        let (from, to) = (origin.min(normalized), origin.max(normalized));
        if to - from > 0.002 {
            // A wide faint stroke under the arc makes it glow.
            let glow = VOICE.gamma_multiply(if lit { 0.22 } else { 0.12 });
            arc(painter, center, radius, width * 2.4, from, to, glow);
            arc(painter, center, radius, width, from, to, VOICE);
        }
        let thumb = at(center, radius, normalized);
        painter.circle_filled(thumb, width * 1.15, BACKGROUND);
        painter.circle_filled(thumb, width * 0.85, if lit { TEXT } else { VOICE });

        for (value, text) in self.ticks {
            let place = self.param.preview_normalized(*value);
            let inner = at(center, radius - width * 1.6, place);
            let outer = at(center, radius - width * 1.6 - 4.0, place);
            painter.line_segment([inner, outer], Stroke::new(1.0, LABEL.gamma_multiply(0.6)));
            let label = at(center, radius + width + 11.0, place);
            painter.text(label, Align2::CENTER_CENTER, text, theme::regular(10.5), LABEL);
        }
        if !typing {
            let text = self
                .param
                .normalized_value_to_string(self.param.unmodulated_normalized_value(), true);
            let size = match (self.large, text.len()) {
                (true, ..=5) => radius * 0.42,
                (true, _) => radius * 0.36,
                (false, _) => 13.0,
            };
            painter.text(
                geometry.value_rect.center(),
                Align2::CENTER_CENTER,
                text,
                theme::strong(size),
                TEXT,
            );
        }
        let (label_at, size) = if self.large {
            (center + vec2(0.0, radius * 0.40), 12.0)
        } else {
            (pos2(center.x, geometry.value_rect.bottom() + 8.0), 11.0)
        };
        painter.text(
            label_at,
            Align2::CENTER_CENTER,
            self.param.name(),
            theme::regular(size),
            LABEL,
        );
        if response.has_focus() && !typing {
            painter.circle_stroke(
                center,
                radius - width * 1.6,
                Stroke::new(1.0, VOICE.gamma_multiply(0.35)),
            );
        }
    }
}

/// Positions of the parts of a dial.
struct Geometry {
    center: Pos2,
    radius: f32,
    width: f32,
    value_rect: Rect,
}

impl Geometry {
    fn new(rect: Rect, large: bool) -> Self {
        if large {
            let radius = (rect.width().min(rect.height()) / 2.0 - 24.0).max(30.0);
            let center = rect.center() + vec2(0.0, radius * 0.12);
            let value_rect = Rect::from_center_size(
                center - vec2(0.0, radius * 0.04),
                Vec2::new(radius * 1.5, radius * 0.5),
            );
            Self { center, radius, width: (radius * 0.085).max(5.0), value_rect }
        } else {
            let radius = (rect.height() * 0.26).min(rect.width() / 2.0 - 8.0).max(14.0);
            let center = pos2(rect.center().x, rect.top() + radius + 5.0);
            let value_rect =
                Rect::from_center_size(center + vec2(0.0, radius + 9.0), vec2(rect.width(), 16.0));
            Self { center, radius, width: 4.0, value_rect }
        }
    }
}

fn at(center: Pos2, radius: f32, normalized: f32) -> Pos2 {
    let angle = START + SWEEP * normalized;
    center + radius * Vec2::angled(angle)
}

fn arc(
    painter: &Painter,
    center: Pos2,
    radius: f32,
    width: f32,
    from: f32,
    to: f32,
    color: egui::Color32,
) {
    let steps = ((to - from) * 96.0).ceil().max(2.0) as usize;
    let points = (0..=steps)
        .map(|i| at(center, radius, from + (to - from) * i as f32 / steps as f32))
        .collect();
    painter.add(Shape::line(points, Stroke::new(width, color)));
    // Round ends.
    if color.is_opaque() {
        painter.circle_filled(at(center, radius, from), width / 2.0, color);
        painter.circle_filled(at(center, radius, to), width / 2.0, color);
    }
}

/// What the accessibility layer calls a button of this editor.
pub(super) fn button_info(on: bool, text: &str) -> WidgetInfo {
    WidgetInfo::selected(Role::Button, true, on, text)
}
