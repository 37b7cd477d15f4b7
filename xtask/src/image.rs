//! Spectrograms as a PNG.
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::{Context, Result};
use realfft::RealFftPlanner;

const WINDOW: usize = 1_024;
const HOP: usize = 256;
/// Level of a full-scale sine is 0 dB.
const DARKEST_DB: f32 = -110.0;
const BRIGHTEST_DB: f32 = -30.0;

const WIDTH: usize = 1_400;
const PANEL: Area = Area { left: 90, top: 70, width: 1_170, height: 400 };
const PANEL_STEP: usize = 480;
const BAR: Area = Area { left: 1_290, top: 70, width: 22, height: 400 };
const PAPER: Colour = [250, 250, 248];
const INK: Colour = [38, 40, 48];
/// From silent to loud, with increasing lightness.
const STOPS: [Colour; 6] =
    [[8, 9, 20], [44, 24, 82], [118, 34, 112], [204, 66, 84], [248, 146, 64], [252, 246, 190]];

type Colour = [u8; 3];

#[derive(Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// Horizontal anchor of a text.
enum Align {
    Left,
    Centre,
    Right,
}

/// Draws each clip's spectrogram below the last, on the same axes.
pub(crate) fn draw_spectrograms(path: &Path, clips: &[(&str, &[f32])], rate: u32) -> Result<()> {
    let height = PANEL.top + clips.len() * PANEL_STEP;
    let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT)
        .context("the built-in font cannot be read")?;
    let mut canvas = Canvas { width: WIDTH, height, pixels: PAPER.repeat(WIDTH * height), font };
    for (i, (title, clip)) in clips.iter().enumerate() {
        let area = Area { top: PANEL.top + i * PANEL_STEP, ..PANEL };
        let levels = levels_db(clip);
        canvas.image(area, |x, y| {
            // Several frames share a column; the loudest is drawn, so that clicks remain visible.
            let first = x * levels.len() / area.width;
            let last = ((x + 1) * levels.len() / area.width).max(first + 1).min(levels.len());
            let bin = (area.height - 1 - y) * (WINDOW / 2) / (area.height - 1);
            let db = levels[first..last].iter().map(|frame| frame[bin]).fold(f32::MIN, f32::max);
            colour((db - DARKEST_DB) / (BRIGHTEST_DB - DARKEST_DB))
        });
        canvas.axes(area, title, clip.len() as f64 / f64::from(rate), f64::from(rate) / 2_000.0);
    }
    canvas.colour_bar();
    canvas.save(path)
}

/// Frames of bins.
fn levels_db(clip: &[f32]) -> Vec<Vec<f32>> {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let (mut frame, mut spectrum) = (fft.make_input_vec(), fft.make_output_vec());
    let frames = (clip.len().saturating_sub(WINDOW) / HOP).max(1);
    (0..frames)
        .map(|t| {
            for (i, x) in frame.iter_mut().enumerate() {
                let hann = 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / WINDOW as f32).cos();
                *x = hann * clip.get(t * HOP + i).copied().unwrap_or(0.0);
            }
            // Fails only for wrong lengths; these come from the plan.
            let done = fft.process(&mut frame, &mut spectrum);
            debug_assert!(done.is_ok());
            let scale = 4.0 / WINDOW as f32;
            spectrum.iter().map(|bin| 20.0 * (bin.norm() * scale).max(1e-9).log10()).collect()
        })
        .collect()
}

/// Colour of a level between 0 and 1.
fn colour(level: f32) -> Colour {
    let at = level.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let below = (at as usize).min(STOPS.len() - 2);
    let part = at - below as f32;
    std::array::from_fn(|i| {
        let (a, b) = (f32::from(STOPS[below][i]), f32::from(STOPS[below + 1][i]));
        (a + part * (b - a)).round() as u8
    })
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    font: FontRef<'static>,
}

impl Canvas {
    fn blend(&mut self, x: usize, y: usize, colour: Colour, cover: f32) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        for (old, new) in self.pixels[at..at + 3].iter_mut().zip(colour) {
            *old = (f32::from(*old) + cover * (f32::from(new) - f32::from(*old))).round() as u8;
        }
    }

    fn image(&mut self, area: Area, pixel: impl Fn(usize, usize) -> Colour) {
        for y in 0..area.height {
            for x in 0..area.width {
                self.blend(area.left + x, area.top + y, pixel(x, y), 1.0);
            }
        }
    }

    fn fill(&mut self, area: Area) {
        self.image(area, |_, _| INK);
    }

    /// `y` is the middle of a digit's height.
    fn text(&mut self, text: &str, size: f32, align: Align, x: usize, y: usize) {
        let font = self.font.clone();
        let font = font.as_scaled(PxScale::from(size));
        let width: f32 = text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum();
        let mut at = x as f32
            - match align {
                Align::Left => 0.0,
                Align::Centre => width / 2.0,
                Align::Right => width,
            };
        for c in text.chars() {
            let mut glyph = font.scaled_glyph(c);
            glyph.position = point(at, y as f32 + 0.31 * size);
            at += font.h_advance(glyph.id);
            if let Some(outline) = font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                outline.draw(|dx, dy, cover| {
                    let (x, y) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                    if x >= 0.0 && y >= 0.0 {
                        self.blend(x as usize, y as usize, INK, cover.min(1.0));
                    }
                });
            }
        }
    }

    fn axes(&mut self, area: Area, title: &str, seconds: f64, top_khz: f64) {
        let Area { left, top, width, height } = area;
        let bottom = top + height;
        self.text(title, 26.0, Align::Left, left, top - 26);
        self.text("kHz", 20.0, Align::Right, left - 16, top - 26);
        for khz in (0..=top_khz as usize).step_by(4) {
            let y = bottom - 1 - (khz as f64 / top_khz * (height - 1) as f64).round() as usize;
            self.fill(Area { left: left - 8, top: y, width: 8, height: 1 });
            self.text(&khz.to_string(), 20.0, Align::Right, left - 16, y);
        }
        for second in 0..=seconds as usize {
            let x = left + (second as f64 / seconds * (width - 1) as f64).round() as usize;
            self.fill(Area { left: x, top: bottom, width: 1, height: 8 });
            self.text(&second.to_string(), 20.0, Align::Centre, x, bottom + 22);
        }
        self.text("s", 20.0, Align::Right, left + width, bottom + 22);
    }

    fn colour_bar(&mut self) {
        let Area { left, top, width, height } = BAR;
        self.image(BAR, |_, y| colour(1.0 - y as f32 / (height - 1) as f32));
        self.text("dB", 20.0, Align::Left, left, top - 26);
        let range = BRIGHTEST_DB - DARKEST_DB;
        let (mut db, right) = (BRIGHTEST_DB, left + width);
        while db >= DARKEST_DB {
            let y = top + ((BRIGHTEST_DB - db) / range * (height - 1) as f32).round() as usize;
            self.fill(Area { left: right, top: y, width: 8, height: 1 });
            self.text(&format!("{db:.0}"), 20.0, Align::Left, right + 14, y);
            db -= 20.0;
        }
    }

    fn save(&self, path: &Path) -> Result<()> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish().with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_sine_reads_0_db_at_its_bin() {
        let step = std::f32::consts::TAU * 100.0 / WINDOW as f32;
        let clip: Vec<f32> = (0..4 * WINDOW).map(|i| (i as f32 * step).sin()).collect();
        for frame in levels_db(&clip) {
            assert!(frame[100].abs() < 0.1, "{} dB", frame[100]);
            assert!(frame[200] < -80.0);
        }
    }

    #[test]
    fn louder_is_lighter() {
        let light = |level: f32| colour(level).iter().map(|&c| u32::from(c)).sum::<u32>();
        for i in 0..100 {
            let level = i as f32 / 100.0;
            assert!(light(level) < light(level + 0.05), "{level}");
        }
    }
}
