//! The top bar: logo, presets, undo, A/B, bypass.
use egui::{Align2, Rect, Ui, pos2};

use super::button::{self, Sign};
use super::choice;
use super::gestures::Gestures;
use super::layout::Layout;
use super::menu::Notice;
use super::theme::{self, NOISE, TEXT, VOICE};
use super::{NOTICE, Window};
use crate::plugin::memory::Slot;

impl Window {
    pub(super) fn header(&mut self, ui: &mut Ui, layout: &Layout, gestures: &Gestures<'_>) {
        logo(ui.painter(), layout.logo);
        if let Some(notice) = self.presets.show(ui, layout, gestures) {
            self.notice = Some((notice, NOTICE));
        }
        let can = (gestures.can_undo(), gestures.can_redo());
        if button::sign(ui, layout.undo, Sign::Undo, can.0, "Undo (Ctrl+Z)") {
            gestures.undo();
        }
        if button::sign(ui, layout.redo, Sign::Redo, can.1, "Redo (Ctrl+Shift+Z)") {
            gestures.redo();
        }
        let slot = gestures.params.sound_memory(|memory| memory.slot);
        for (rect, text, this) in [(layout.slot_a, "A", Slot::A), (layout.slot_b, "B", Slot::B)] {
            let tooltip = "A and B hold two settings. Switch between them to compare.";
            if button::letter(ui, rect, text, slot == this, tooltip) {
                gestures.switch(this);
            }
        }
        let (tooltip, copied) = match slot {
            Slot::A => ("Copy A to B", "Copied A to B"),
            Slot::B => ("Copy B to A", "Copied B to A"),
        };
        if button::sign(ui, layout.copy, Sign::Copy, true, tooltip) {
            gestures.copy_to_other();
            self.notice = Some((Notice { text: copied.to_owned(), alarm: false }, NOTICE));
        }
        choice::bypass(ui, layout.bypass, &gestures.params.bypass, gestures);
    }
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
