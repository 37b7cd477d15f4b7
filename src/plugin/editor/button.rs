//! Small buttons in the header: icons drawn with lines, and the letters of the two settings.
use std::f32::consts::{FRAC_PI_2, PI};

use egui::{
    Align2, Color32, CursorIcon, Painter, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui,
    Vec2, pos2, vec2,
};

use super::dial::button_info;
use super::theme::{self, BACKGROUND, LABEL, LINE, PANEL, TEXT, VOICE};

/// The icon on a button.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    /// A triangle to the left.
    Previous,
    /// A triangle to the right.
    Next,
    /// An arrow turning back.
    Undo,
    /// An arrow turning forward.
    Redo,
    /// Two sheets of paper.
    Copy,
}

/// A button with an icon; `true` when pressed.
pub(super) fn sign(ui: &mut Ui, rect: Rect, sign: Sign, enabled: bool, tooltip: &str) -> bool {
    let response = respond(ui, rect, tooltip, false);
    let painter = ui.painter();
    if enabled && response.hovered() {
        painter.rect_filled(rect, 6.0, PANEL);
    }
    focus(painter, &response);
    let color = match (enabled, response.hovered()) {
        (false, _) => LINE,
        (true, false) => LABEL,
        (true, true) => TEXT,
    };
    paint(painter, rect, sign, color);
    finish(response, tooltip) && enabled
}

/// A letter that is lit while its setting is active; `true` when pressed.
pub(super) fn letter(ui: &mut Ui, rect: Rect, text: &str, on: bool, tooltip: &str) -> bool {
    let response = respond(ui, rect, text, on);
    let painter = ui.painter();
    let (fill, color) = match (on, response.hovered()) {
        (true, _) => (VOICE, BACKGROUND),
        (false, true) => (LINE, TEXT),
        (false, false) => (PANEL, LABEL),
    };
    painter.rect_filled(rect.shrink2(vec2(1.0, 0.0)), 6.0, fill);
    focus(painter, &response);
    painter.text(rect.center(), Align2::CENTER_CENTER, text, theme::strong(12.5), color);
    finish(response, tooltip)
}

fn respond(ui: &Ui, rect: Rect, name: &str, on: bool) -> Response {
    let response = ui.interact(rect, ui.scope_id().with(("button", name)), Sense::click());
    response.widget_info(|| button_info(on, name));
    response
}

fn finish(response: Response, tooltip: &str) -> bool {
    let pressed = response.clicked();
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tooltip);
    pressed
}

/// The focus ring.
pub(super) fn focus(painter: &Painter, response: &Response) {
    if response.has_focus() {
        let stroke = Stroke::new(1.0, VOICE.gamma_multiply(0.6));
        painter.rect_stroke(response.rect, 6.0, stroke, StrokeKind::Inside);
    }
}

/// A triangle that points down and indicates a menu.
pub(super) fn menu_sign(painter: &Painter, center: egui::Pos2, color: Color32) {
    let points = [vec2(-4.0, -2.0), vec2(4.0, -2.0), vec2(0.0, 2.5)].map(|v| center + v);
    painter.add(Shape::convex_polygon(points.to_vec(), color, Stroke::NONE));
}

fn paint(painter: &Painter, rect: Rect, sign: Sign, color: Color32) {
    let center = rect.center();
    let stroke = Stroke::new(1.5, color);
    let triangle = |side: f32| {
        let points = [vec2(-2.0, -4.5), vec2(-2.0, 4.5), vec2(3.0, 0.0)];
        let points = points.map(|v| center + vec2(v.x * side, v.y));
        painter.add(Shape::convex_polygon(points.to_vec(), color, Stroke::NONE));
    };
    let turn = |side: f32| {
        // Most of a circle, with an arrowhead at its start.
        let middle = center + vec2(0.0, 1.0);
        let arc = (0..=20).map(|i| {
            let angle = -PI + 0.35 + (PI + FRAC_PI_2) * i as f32 / 20.0;
            let point = 5.0 * Vec2::angled(angle);
            middle + vec2(point.x * side, point.y)
        });
        let arc: Vec<_> = arc.collect();
        let start = arc[0];
        painter.line(arc, stroke);
        let head = [vec2(-3.6, -2.6), vec2(3.2, -1.6), vec2(-1.6, 3.4)];
        let head = head.map(|v| start + vec2(v.x * side, v.y));
        painter.add(Shape::convex_polygon(head.to_vec(), color, Stroke::NONE));
    };
    match sign {
        Sign::Previous => triangle(-1.0),
        Sign::Next => triangle(1.0),
        Sign::Undo => turn(1.0),
        Sign::Redo => turn(-1.0),
        Sign::Copy => {
            let sheet =
                |offset: f32| Rect::from_center_size(center + vec2(offset, offset), vec2(8.0, 9.0));
            let stroke = Stroke::new(1.3, color);
            painter.rect_stroke(sheet(-2.0), 1.5, stroke, StrokeKind::Middle);
            painter.rect_filled(sheet(2.0), 1.5, BACKGROUND);
            painter.rect_stroke(sheet(2.0), 1.5, stroke, StrokeKind::Middle);
            painter.circle_filled(pos2(sheet(2.0).center().x, sheet(2.0).center().y), 0.8, color);
        }
    }
}
