//! Level meters with peak hold and clip, and the gain-reduction meter.
use egui::{Align2, Color32, CursorIcon, Mesh, Painter, Rect, Sense, Shape, Ui, pos2, vec2};

use super::theme::{self, ALARM, LABEL, LINE, NOISE, TEXT, VOICE, WELL};

/// Bottom of the level scale, dBFS.
const FLOOR: f32 = -60.0;
/// Bars fall this fast, dB per second.
const FALL: f32 = 26.0;
/// A held peak stays this long, seconds.
const HOLD: f32 = 1.5;
/// Bottom of the reduction scale, dB.
const DEEPEST: f32 = 40.0;

/// One channel's moving parts.
#[derive(Clone, Copy)]
struct Channel {
    bar: f32,
    peak: f32,
    age: f32,
    clipped: bool,
}

impl Channel {
    const SILENT: Self = Self { bar: FLOOR, peak: FLOOR, age: 0.0, clipped: false };

    fn advance(&mut self, linear: f32, seconds: f32) {
        let db = 20.0 * linear.max(1e-9).log10();
        self.bar = db.max(self.bar - FALL * seconds).clamp(FLOOR, 6.0);
        self.clipped |= linear > 1.0;
        self.age += seconds;
        if db >= self.peak {
            (self.peak, self.age) = (db.clamp(FLOOR, 6.0), 0.0);
        } else if self.age > HOLD {
            self.peak = (self.peak - FALL * seconds).max(self.bar);
        }
    }
}

/// A level meter of one or two channels.
pub(super) struct LevelMeter {
    label: &'static str,
    tooltip: &'static str,
    color: Color32,
    channels: [Channel; 2],
}

impl LevelMeter {
    pub(super) fn new(label: &'static str, tooltip: &'static str, color: Color32) -> Self {
        Self { label, tooltip, color, channels: [Channel::SILENT; 2] }
    }

    /// Takes the peaks of the last `seconds`.
    pub(super) fn advance(&mut self, peaks: [f32; 2], seconds: f32) {
        for (channel, peak) in self.channels.iter_mut().zip(peaks) {
            channel.advance(peak, seconds);
        }
    }

    pub(super) fn show(&mut self, ui: &mut Ui, rect: Rect, channels: usize) {
        let painter = ui.painter().clone();
        let response = ui.interact(rect, ui.scope_id().with(self.label), Sense::click());
        if response.clicked() {
            for channel in &mut self.channels {
                (channel.clipped, channel.peak) = (false, channel.bar);
            }
        }
        let bars = column(&painter, rect, self.label);
        let clipped = self.channels[..channels].iter().any(|c| c.clipped);
        let lamp = Rect::from_min_max(
            pos2(bars.left(), bars.top() - 8.0),
            pos2(bars.right(), bars.top() - 3.0),
        );
        painter.rect_filled(lamp, 2.0, if clipped { ALARM } else { LINE });

        let gap = 2.0;
        let width = (bars.width() - gap * (channels as f32 - 1.0)) / channels as f32;
        for (i, channel) in self.channels[..channels].iter().enumerate() {
            let left = bars.left() + (width + gap) * i as f32;
            let bar = Rect::from_min_size(pos2(left, bars.top()), vec2(width, bars.height()));
            painter.rect_filled(bar, 2.0, WELL);
            let height =
                |db: f32| bar.bottom() - bar.height() * ((db - FLOOR) / -FLOOR).clamp(0.0, 1.0);
            if channel.bar > FLOOR {
                let fill = Rect::from_min_max(pos2(bar.left(), height(channel.bar)), bar.max);
                gradient(&painter, fill, self.color, self.color.gamma_multiply(0.35));
            }
            if channel.peak > FLOOR + 1.0 {
                let y = height(channel.peak).max(bar.top() + 1.0);
                let line =
                    Rect::from_min_max(pos2(bar.left(), y - 1.0), pos2(bar.right(), y + 0.5));
                painter.rect_filled(line, 0.0, if channel.peak >= 0.0 { ALARM } else { TEXT });
            }
        }
        for db in [-6.0, -12.0, -24.0, -36.0, -48.0] {
            scale(&painter, bars, -db / -FLOOR, db);
        }
        let peak = self.channels[..channels].iter().map(|c| c.peak).fold(FLOOR, f32::max);
        let text = if peak <= FLOOR { "–".to_owned() } else { format!("{} dB", whole(peak)) };
        let color = if clipped { ALARM } else { LABEL };
        footer(&painter, rect, &text, color);
        response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(self.tooltip);
    }
}

/// The gain-reduction meter.
pub(super) struct ReductionMeter {
    shown: f32,
}

impl ReductionMeter {
    pub(super) fn new() -> Self {
        Self { shown: 0.0 }
    }

    pub(super) fn advance(&mut self, reduction_db: f32, seconds: f32) {
        let target = if reduction_db.is_finite() { reduction_db.clamp(0.0, 120.0) } else { 0.0 };
        // Fast enough to follow words, slow enough to read.
        let rate = (seconds * if target > self.shown { 14.0 } else { 7.0 }).min(1.0);
        self.shown += (target - self.shown) * rate;
    }

    pub(super) fn show(&self, ui: &mut Ui, rect: Rect) {
        let painter = ui.painter().clone();
        let response = ui.interact(rect, ui.scope_id().with("reduction meter"), Sense::hover());
        let bars = column(&painter, rect, "REDUCED");
        painter.rect_filled(bars, 2.0, WELL);
        let depth = bars.height() * (self.shown / DEEPEST).clamp(0.0, 1.0);
        if depth > 0.5 {
            let fill = Rect::from_min_size(bars.min, vec2(bars.width(), depth));
            gradient(&painter, fill, NOISE.gamma_multiply(0.45), NOISE);
        }
        for db in [10.0, 20.0, 30.0] {
            scale(&painter, bars, db / DEEPEST, db);
        }
        footer(&painter, rect, &format!("{:.0} dB", self.shown), LABEL);
        response.on_hover_text("How much quieter the output is than the input right now.");
    }
}

/// Label above, figure below; returns the area for the bars.
fn column(painter: &Painter, rect: Rect, label: &str) -> Rect {
    painter.text(
        pos2(rect.center().x + 5.0, rect.top() + 8.0),
        Align2::CENTER_CENTER,
        label,
        theme::strong(9.5),
        LABEL,
    );
    let width = rect.width().min(22.0);
    let center = rect.center().x + 5.0;
    Rect::from_min_max(
        pos2(center - width / 2.0, rect.top() + 27.0),
        pos2(center + width / 2.0, rect.bottom() - 20.0),
    )
}

/// A mark beside the bars, a share of their height from the top.
fn scale(painter: &Painter, bars: Rect, share: f32, db: f32) {
    let y = bars.top() + bars.height() * share;
    painter.hline(bars.left() - 4.0..=bars.left() - 1.0, y, (1.0, LINE));
    let place = pos2(bars.left() - 6.0, y);
    let text = format!("{:.0}", db.abs());
    painter.text(place, Align2::RIGHT_CENTER, text, theme::regular(9.5), LABEL);
}

fn footer(painter: &Painter, rect: Rect, text: &str, color: Color32) {
    let place = pos2(rect.center().x + 5.0, rect.bottom() - 8.0);
    painter.text(place, Align2::CENTER_CENTER, text, theme::regular(10.5), color);
}

/// A whole number with a minus sign as wide as a digit, never "−0".
fn whole(db: f32) -> String {
    let rounded = db.round();
    if rounded < 0.0 { format!("−{:.0}", -rounded) } else { format!("{:.0}", rounded.abs()) }
}

/// A rectangle shaded from top to bottom.
fn gradient(painter: &Painter, rect: Rect, top: Color32, bottom: Color32) {
    let mut mesh = Mesh::default();
    for (pos, color) in [
        (rect.left_top(), top),
        (rect.right_top(), top),
        (rect.right_bottom(), bottom),
        (rect.left_bottom(), bottom),
    ] {
        mesh.colored_vertex(pos, color);
    }
    mesh.add_triangle(0, 1, 2);
    mesh.add_triangle(0, 2, 3);
    painter.add(Shape::mesh(mesh));
}

/// The colours of the two level meters.
pub(super) fn level_meters() -> (LevelMeter, LevelMeter) {
    (
        LevelMeter::new(
            "IN",
            "Input level. The lamp lights on clipping. Click to clear it.",
            theme::mix(LABEL, TEXT, 0.3),
        ),
        LevelMeter::new(
            "OUT",
            "Output level. The lamp lights on clipping. Click to clear it.",
            VOICE,
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_true_minus_and_no_signed_zero() {
        for (db, text) in [(-12.4, "−12"), (-0.6, "−1"), (-0.3, "0"), (0.0, "0"), (5.5, "6")] {
            assert_eq!(whole(db), text);
        }
    }
}
