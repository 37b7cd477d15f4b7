//! The bottom line: voice indicator, notices, latency and load.
use egui::{Align2, Rect, Ui, pos2, vec2};

use super::theme::{self, ALARM, LABEL, LINE, NOISE, TEXT, VOICE};
use super::{RESTART, Window};
use crate::plugin::meters::Meters;
use crate::plugin::params::WispParams;

impl Window {
    pub(super) fn footer(&self, ui: &mut Ui, rect: Rect, params: &WispParams, meters: &Meters) {
        let painter = ui.painter().clone();
        let cell = Rect::from_min_size(rect.min, vec2(62.0, rect.height()));
        let light = pos2(cell.left() + 10.0, cell.center().y);
        painter.circle_filled(light, 8.0, VOICE.gamma_multiply(0.25 * self.voice));
        painter.circle_filled(light, 4.5, theme::mix(LINE, VOICE, self.voice.clamp(0.0, 1.0)));
        let place = light + vec2(12.0, 0.0);
        painter.text(place, Align2::LEFT_CENTER, "Voice", theme::regular(12.0), LABEL);
        ui.interact(cell, ui.scope_id().with("voice"), egui::Sense::hover())
            .on_hover_text("Lights up while Wisp detects a voice.");

        // Right to left.
        let latency = meters.latency_ms().map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        let load = if meters.sample_rate() == 0 { "–" } else { &self.load_text };
        let mut right = rect.right() - 6.0;
        for (label, value, width, tooltip) in [
            ("CPU", load, 78.0, "Share of one processor core that this instance uses."),
            (
                "Latency",
                &*latency,
                106.0,
                "Delay through Wisp. It is reported to the host, which can compensate for it.",
            ),
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
            right -= width + 18.0;
        }

        let room =
            Rect::from_min_max(pos2(cell.right() + 8.0, rect.top()), pos2(right, rect.bottom()));
        let say = |text: &str, color| {
            let (place, font) = (room.left_center(), theme::regular(12.0));
            ui.painter_at(room).text(place, Align2::LEFT_CENTER, text, font, color)
        };
        if let Some((notice, _)) = &self.notice {
            say(&notice.text, if notice.alarm { ALARM } else { TEXT });
        } else if self.outdated > RESTART {
            let name = params.quality.to_string();
            let said = say(&format!("{name} starts when the host restarts the plugin."), NOISE);
            ui.interact(said, ui.scope_id().with("outdated"), egui::Sense::hover()).on_hover_text(
                "Most hosts do so at once. If yours does not, stop playback, or turn the plugin off and on.",
            );
        }
    }
}
