//! The layout, computed from the size of the window.
use egui::{Pos2, Rect, pos2, vec2};

/// Space between panels and around them, logical points.
const GAP: f32 = 10.0;
const HEADER: f32 = 32.0;
const FOOTER: f32 = 18.0;
/// Space inside a panel.
const PADDING: f32 = 14.0;

/// Positions in logical points.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Logo and name.
    pub logo: Rect,
    /// Previous preset.
    pub previous_preset: Rect,
    /// The preset's name, which opens the menu.
    pub preset: Rect,
    /// Next preset.
    pub next_preset: Rect,
    /// Undo.
    pub undo: Rect,
    /// Redo.
    pub redo: Rect,
    /// The first of the two settings.
    pub slot_a: Rect,
    /// The second.
    pub slot_b: Rect,
    /// Copies the active setting to the other one.
    pub copy: Rect,
    /// Bypass.
    pub bypass: Rect,
    /// Panel of the controls.
    pub controls: Rect,
    /// The large dial.
    pub reduction: Rect,
    /// The small dials.
    pub sensitivity: Rect,
    /// The second.
    pub ambience: Rect,
    /// The third.
    pub output: Rect,
    /// The output to listen to.
    pub listen: Rect,
    /// Channel linking.
    pub stereo: Rect,
    /// Live or Studio.
    pub quality: Rect,
    /// Panel of the spectrogram.
    pub picture: Rect,
    /// Panel of the meters.
    pub levels: Rect,
    /// Voice indicator, messages, latency, load.
    pub footer: Rect,
}

impl Layout {
    /// For a window of `width` x `height` logical points.
    pub fn new(width: f32, height: f32) -> Self {
        let area = Rect::from_min_size(Pos2::ZERO, vec2(width, height));
        let inner = area.shrink(GAP);
        let top = inner.top();
        let strip = |left: f32, width: f32| {
            Rect::from_min_size(pos2(left, top + 2.0), vec2(width, HEADER - 4.0))
        };

        let logo = Rect::from_min_size(inner.min, vec2(98.0, HEADER));
        let bypass = strip(inner.right() - 92.0, 92.0);
        // From the right: copy, B, A, redo, undo. The preset gets the remaining width, up to a limit.
        let copy = strip(bypass.left() - 14.0 - 26.0, 26.0);
        let slot_b = strip(copy.left() - 6.0 - 30.0, 30.0);
        let slot_a = strip(slot_b.left() - 30.0, 30.0);
        let redo = strip(slot_a.left() - 14.0 - 28.0, 28.0);
        let undo = strip(redo.left() - 28.0, 28.0);
        let room = undo.left() - 14.0 - logo.right() - 14.0;
        let preset_width = room.min(300.0);
        let preset_left = logo.right() + 14.0 + (room - preset_width) / 2.0;
        let arrow = 24.0;
        let previous_preset = strip(preset_left, arrow);
        let preset = strip(preset_left + arrow, preset_width - 2.0 * arrow);
        let next_preset = strip(preset.right(), arrow);

        let footer =
            Rect::from_min_max(pos2(inner.left(), inner.bottom() - FOOTER + 4.0), inner.max);
        let body = Rect::from_min_max(
            pos2(inner.left(), top + HEADER + GAP),
            pos2(inner.right(), footer.top() - GAP + 2.0),
        );
        let controls_width = (body.width() * 0.29).clamp(232.0, 400.0);
        let levels_width = 172.0;
        let controls = Rect::from_min_size(body.min, vec2(controls_width, body.height()));
        let levels = Rect::from_min_max(pos2(body.right() - levels_width, body.top()), body.max);
        let picture = Rect::from_min_max(
            pos2(controls.right() + GAP, body.top()),
            pos2(levels.left() - GAP, body.bottom()),
        );

        let panel = controls.shrink(PADDING);
        let row = |bottom: f32| {
            Rect::from_min_max(pos2(panel.left(), bottom - 28.0), pos2(panel.right(), bottom))
        };
        let quality = row(panel.bottom());
        let stereo = row(quality.top() - 8.0);
        let listen = row(stereo.top() - 8.0);
        let dials_height = (panel.height() * 0.214).clamp(86.0, 140.0);
        let dials = Rect::from_min_max(
            pos2(panel.left(), listen.top() - 14.0 - dials_height),
            pos2(panel.right(), listen.top() - 14.0),
        );
        let third = dials.width() / 3.0;
        let dial = |i: f32| {
            Rect::from_min_size(
                pos2(dials.left() + third * i, dials.top()),
                vec2(third, dials.height()),
            )
        };
        Self {
            logo,
            previous_preset,
            preset,
            next_preset,
            undo,
            redo,
            slot_a,
            slot_b,
            copy,
            bypass,
            controls,
            reduction: Rect::from_min_max(
                panel.min - vec2(0.0, 4.0),
                pos2(panel.right(), dials.top() - 8.0),
            ),
            sensitivity: dial(0.0),
            ambience: dial(1.0),
            output: dial(2.0),
            listen,
            stereo,
            quality,
            picture,
            levels,
            footer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::memory::EditorMemory;

    #[test]
    fn nothing_overlaps_or_sticks_out_at_any_size() {
        let default = EditorMemory::default();
        for (width, height) in
            [EditorMemory::MIN, (default.width, default.height), EditorMemory::MAX, (700.0, 1200.0)]
        {
            let l = Layout::new(width, height);
            let area = Rect::from_min_size(Pos2::ZERO, vec2(width, height));
            let header = [
                l.logo,
                l.previous_preset,
                l.preset,
                l.next_preset,
                l.undo,
                l.redo,
                l.slot_a,
                l.slot_b,
                l.copy,
                l.bypass,
            ];
            let body = [l.controls, l.picture, l.levels, l.footer];
            let controls =
                [l.reduction, l.sensitivity, l.ambience, l.output, l.listen, l.stereo, l.quality];
            let together: Vec<Rect> = header.into_iter().chain(body).collect();
            for rects in [&together[..], &controls] {
                for (i, a) in rects.iter().enumerate() {
                    assert!(area.contains_rect(*a) && a.is_positive(), "{width} x {height}: {a}");
                    for b in &rects[i + 1..] {
                        let common = a.intersect(*b);
                        let apart = common.width() < 0.01 || common.height() < 0.01;
                        assert!(apart, "{width} x {height}: {a} and {b}");
                    }
                }
            }
            assert!(controls.iter().all(|r| l.controls.contains_rect(*r)));
            assert!(l.reduction.height() > 120.0 && l.preset.width() > 120.0);
        }
    }
}
