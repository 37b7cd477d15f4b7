//! Controls with few positions: a row of choices, and the bypass button.
use egui::{Align2, CursorIcon, Key, Rect, Sense, Stroke, StrokeKind, Ui, Vec2, pos2, vec2};
use nice_plug::prelude::{BoolParam, Enum, EnumParam, Param};

use super::dial::button_info;
use super::gestures::Gestures;
use super::theme::{self, BACKGROUND, LABEL, LINE, NOISE, PANEL, TEXT, VOICE, WELL};
use crate::plugin::params::{EngineParameter, Parameter};

/// One position of a [`row`].
pub(super) struct Position<'a, T> {
    /// The parameter's value.
    pub value: T,
    /// Its label.
    pub text: &'static str,
    /// Its tooltip.
    pub tooltip: &'a str,
}

/// A row of choices beside a label.
pub(super) fn row<T: Enum + PartialEq + Copy + 'static>(
    ui: &mut Ui,
    rect: Rect,
    (parameter, param): (impl Into<Parameter> + Copy, &EnumParam<T>),
    positions: &[Position<'_, T>],
    gestures: &Gestures<'_>,
    enabled: bool,
) {
    let painter = ui.painter().clone();
    let label = rect.left_center();
    painter.text(label, Align2::LEFT_CENTER, param.name(), theme::regular(12.0), LABEL);
    let well = Rect::from_min_max(pos2(rect.left() + 56.0, rect.top()), rect.max);
    painter.rect_filled(well, 6.0, WELL);
    let width = well.width() / positions.len() as f32;
    let now = param.unmodulated_plain_value();
    for (i, position) in positions.iter().enumerate() {
        let cell = Rect::from_min_size(
            pos2(well.left() + width * i as f32, well.top()),
            vec2(width, well.height()),
        )
        .shrink(2.0);
        let id = ui.scope_id().with((param.name(), i));
        let response = ui.interact(cell, id, Sense::click());
        response.widget_info(|| button_info(now == position.value, position.text));
        let on = now == position.value;
        let text_color = match (enabled, on, response.hovered()) {
            (false, true, _) => LABEL,
            (false, false, _) => LABEL.gamma_multiply(0.6),
            (true, true, _) => TEXT,
            (true, false, true) => TEXT,
            (true, false, false) => LABEL,
        };
        if on {
            let strength = if enabled { 1.0 } else { 0.5 };
            painter.rect_filled(cell, 5.0, LINE.gamma_multiply(strength));
        }
        if response.has_focus() {
            let stroke = Stroke::new(1.0, VOICE.gamma_multiply(0.6));
            painter.rect_stroke(cell, 5.0, stroke, StrokeKind::Inside);
        }
        let font = if on { theme::strong(12.5) } else { theme::regular(12.5) };
        painter.text(cell.center(), Align2::CENTER_CENTER, position.text, font, text_color);
        let chosen = response.clicked()
            || (response.has_focus() && ui.input(|input| input.key_pressed(Key::Enter)));
        if chosen && enabled {
            gestures.change(&[(parameter, param.preview_normalized(position.value))]);
        }
        response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(position.tooltip);
    }
}

/// The bypass button; lit while the sound passes unchanged.
pub(super) fn bypass(ui: &mut Ui, rect: Rect, param: &BoolParam, gestures: &Gestures<'_>) {
    let painter = ui.painter().clone();
    let on = param.unmodulated_plain_value();
    let response = ui.interact(rect, ui.scope_id().with("bypass"), Sense::click());
    response.widget_info(|| button_info(on, "Bypass"));
    let hovered = response.hovered();
    let (fill, text) = match (on, hovered) {
        (true, _) => (NOISE, BACKGROUND),
        (false, true) => (LINE, TEXT),
        (false, false) => (PANEL, LABEL),
    };
    painter.rect_filled(rect, rect.height() / 2.0, fill);
    let edge = if response.has_focus() { VOICE } else { LINE };
    painter.rect_stroke(rect, rect.height() / 2.0, Stroke::new(1.0, edge), StrokeKind::Inside);

    // A power symbol: an open ring with a bar.
    let sign = pos2(rect.left() + 17.0, rect.center().y);
    let ring = (0..=20)
        .map(|i| {
            let angle = -std::f32::consts::FRAC_PI_2
                + 0.7
                + (std::f32::consts::TAU - 1.4) * i as f32 / 20.0;
            sign + 4.5 * Vec2::angled(angle)
        })
        .collect();
    painter.line(ring, Stroke::new(1.5, text));
    painter.line_segment([sign - vec2(0.0, 6.0), sign - vec2(0.0, 1.0)], Stroke::new(1.5, text));
    painter.text(
        pos2(sign.x + 12.0, rect.center().y),
        Align2::LEFT_CENTER,
        "Bypass",
        theme::strong(12.0),
        text,
    );
    let pressed = response.clicked()
        || (response.has_focus() && ui.input(|input| input.key_pressed(Key::Enter)));
    if pressed {
        gestures.change(&[(EngineParameter::Bypass, param.preview_normalized(!on))]);
    }
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(
        "Passes the input through unchanged, with the same latency, for comparison.",
    );
}
