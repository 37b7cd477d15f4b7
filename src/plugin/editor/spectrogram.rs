//! The scrolling spectrogram of the input, with the removed part tinted.
use egui::{
    Align2, Color32, ColorImage, Context, Painter, Rect, Shape, TextureHandle, TextureOptions,
    pos2, vec2,
};

use super::theme::{self, LABEL, LINE, NOISE, TEXT, VOICE, WELL, mix};
use crate::engine::Telemetry;
use crate::plugin::meters::{Meters, ROWS, SpectrumFrame, byte_to_level};

/// Frames across the picture: 5.12 s.
const COLUMNS: usize = 512;
/// Levels from black to full colour, dB.
const DARK: f32 = -100.0;
const BRIGHT: f32 = -28.0;
/// A bin reduced by this much counts as fully removed, dB.
const GONE: f32 = 15.0;
/// Time without a frame after which the picture shows a message, seconds.
const IDLE: f32 = 0.6;

/// The picture and the ring of columns behind it.
pub(super) struct Spectrogram {
    texture: TextureHandle,
    /// Frequencies between the rows, Hz.
    edges: [f32; ROWS + 1],
    /// Column that is written next; also the oldest.
    head: usize,
    /// Seconds since the last frame.
    idle: f32,
    seen: usize,
}

impl Spectrogram {
    pub(super) fn new(ctx: &Context) -> Self {
        let blank = ColorImage::filled([COLUMNS, ROWS], WELL);
        let texture = ctx.load_texture("spectrogram", blank, TextureOptions::LINEAR);
        Self { texture, edges: Telemetry::edges_hz(), head: 0, idle: IDLE, seen: 0 }
    }

    /// Takes every frame that has arrived.
    pub(super) fn advance(&mut self, meters: &Meters, seconds: f32) {
        self.idle += seconds;
        while let Some(frame) = meters.next_spectrum() {
            let column = ColorImage::new([1, ROWS], column(&frame));
            self.texture.set_partial([self.head, 0], column, TextureOptions::LINEAR);
            self.head = (self.head + 1) % COLUMNS;
            self.seen += 1;
            self.idle = 0.0;
        }
    }

    /// Whether frames are arriving.
    pub(super) fn live(&self) -> bool {
        self.idle < IDLE
    }

    pub(super) fn show(&self, painter: &Painter, rect: Rect, sample_rate: u32) {
        painter.rect_filled(rect, 6.0, WELL);
        let axis = 30.0;
        let picture = Rect::from_min_max(rect.min + vec2(axis, 6.0), rect.max - vec2(6.0, 20.0));
        self.paint_columns(painter, picture);
        self.paint_axes(painter, picture, sample_rate);
        legend(painter, picture);
        if !self.live() {
            let text = if self.seen == 0 { "Waiting for sound" } else { "Paused" };
            let place = picture.center();
            painter.text(place, Align2::CENTER_CENTER, text, theme::regular(14.0), LABEL);
        }
    }

    /// Two pieces: from the oldest column to the ring's end, then from its start to the newest.
    fn paint_columns(&self, painter: &Painter, picture: Rect) {
        let columns = COLUMNS as f32;
        let split = picture.left() + picture.width() * (COLUMNS - self.head) as f32 / columns;
        let half_row = 0.5 / ROWS as f32;
        let half_column = 0.5 / columns;
        let head = self.head as f32 / columns;
        let pieces = [
            (picture.left(), split, head + half_column, 1.0 - half_column),
            (split, picture.right(), half_column, head - half_column),
        ];
        for (left, right, u0, u1) in pieces {
            if right - left < 0.25 || u1 <= u0 {
                continue;
            }
            // Row 0 is the lowest frequency, at the bottom.
            let place =
                Rect::from_min_max(pos2(left, picture.top()), pos2(right, picture.bottom()));
            let uv = Rect::from_min_max(pos2(u0, 1.0 - half_row), pos2(u1, half_row));
            painter.image(self.texture.id(), place, uv, Color32::WHITE);
        }
    }

    fn paint_axes(&self, painter: &Painter, picture: Rect, sample_rate: u32) {
        let nyquist = if sample_rate == 0 { 24_000.0 } else { sample_rate as f32 / 2.0 };
        let mut last = f32::INFINITY;
        for (hz, text) in [
            (100.0, "100"),
            (200.0, "200"),
            (500.0, "500"),
            (1_000.0, "1k"),
            (2_000.0, "2k"),
            (4_000.0, "4k"),
            (8_000.0, "8k"),
            (16_000.0, "16k"),
        ] {
            let Some(row) = row_of(&self.edges, hz) else { continue };
            let y = picture.bottom() - picture.height() * row / ROWS as f32;
            if last - y < 15.0 || hz > nyquist {
                continue;
            }
            last = y;
            painter.hline(picture.x_range(), y, (1.0, LINE.gamma_multiply(0.45)));
            let place = pos2(picture.left() - 6.0, y);
            painter.text(place, Align2::RIGHT_CENTER, text, theme::regular(10.0), LABEL);
        }
        let seconds = COLUMNS as f32 / 100.0;
        for second in 0..=seconds as usize {
            let x = picture.right() - picture.width() * second as f32 / seconds;
            let text = if second == 0 { "now".to_owned() } else { format!("−{second} s") };
            let align = if second == 0 { Align2::RIGHT_TOP } else { Align2::CENTER_TOP };
            painter.text(pos2(x, picture.bottom() + 4.0), align, text, theme::regular(10.0), LABEL);
        }
    }
}

/// The legend, on its own background, because the picture can have either colour there.
fn legend(painter: &Painter, picture: Rect) {
    let ground = painter.add(Shape::Noop);
    let left = picture.left() + 8.0;
    let (mut x, y) = (left + 8.0, picture.top() + 19.0);
    for (color, text) in [(VOICE, "kept"), (NOISE, "removed")] {
        painter.circle_filled(pos2(x + 4.0, y), 4.0, color);
        let place = pos2(x + 13.0, y);
        let place = painter.text(place, Align2::LEFT_CENTER, text, theme::regular(11.0), TEXT);
        x = place.right() + 14.0;
    }
    let area = Rect::from_min_max(pos2(left, y - 11.0), pos2(x - 4.0, y + 11.0));
    painter.set(ground, Shape::rect_filled(area, 11.0, WELL.gamma_multiply(0.8)));
}

/// The row of a frequency, counted from the lowest row's lower edge, if it is shown.
fn row_of(edges: &[f32; ROWS + 1], hz: f32) -> Option<f32> {
    let row = edges.windows(2).position(|edge| (edge[0]..edge[1]).contains(&hz))?;
    Some(row as f32 + (hz - edges[row]) / (edges[row + 1] - edges[row]))
}

/// The pixels of one frame, lowest frequency first.
fn column(frame: &SpectrumFrame) -> Vec<Color32> {
    frame.input.iter().zip(&frame.output).map(|(&i, &o)| pixel(i, o)).collect()
}

/// Brightness shows the input level, colour how much of it is kept.
fn pixel(input: u8, output: u8) -> Color32 {
    let (level, left) = (byte_to_level(input), byte_to_level(output));
    let bright = ((level - DARK) / (BRIGHT - DARK)).clamp(0.0, 1.0);
    let kept = (1.0 - (level - left) / GONE).clamp(0.0, 1.0);
    let ramp = |color: Color32| {
        if bright < 0.75 {
            mix(WELL, color, (bright / 0.75).powf(1.4))
        } else {
            mix(color, TEXT, (bright - 0.75) / 0.25 * 0.8)
        }
    };
    mix(ramp(NOISE), ramp(VOICE), kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::meters::level_to_byte;

    #[test]
    fn kept_and_removed_have_their_colours_and_silence_none() {
        let loud = level_to_byte(-45.0);
        let kept = pixel(loud, loud);
        let removed = pixel(loud, level_to_byte(-90.0));
        assert!(kept.g() > kept.r(), "{kept:?}");
        assert!(removed.r() > removed.g(), "{removed:?}");
        assert_eq!(pixel(0, 0), WELL);
    }

    #[test]
    fn the_axis_finds_its_frequencies() {
        let edges = Telemetry::edges_hz();
        let mut last = 0.0;
        for hz in [100.0, 1_000.0, 8_000.0, 16_000.0] {
            let row = row_of(&edges, hz).expect("shown");
            assert!(row > last && row < ROWS as f32, "{hz} Hz at {row}");
            last = row;
        }
        assert_eq!(row_of(&edges, 30_000.0), None);
        assert!((row_of(&edges, edges[10]).expect("an edge") - 10.0).abs() < 1e-3);
    }
}
