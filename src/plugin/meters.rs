//! The only channel from the audio thread to the editor: plain atomics, no locks.
//!
//! The audio thread writes only while an editor is open. Levels are maxima that the editor resets by
//! swapping in zero; spectra pass through a queue with one writer and one reader. A late reader loses
//! frames; the writer never waits.
mod queue;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

use atomic_float::AtomicF32;

use self::queue::Queue;

use crate::Quality;
use crate::engine::{DISPLAY_BANDS, Telemetry};

/// Rows of a displayed spectrum, from low to high frequencies.
pub const ROWS: usize = DISPLAY_BANDS;
/// Quietest level a spectrum row can show, dB.
pub const FLOOR_DB: f32 = -120.0;
/// Indexed by their number in [`Meters`].
const QUALITIES: [Quality; 2] = [Quality::Live, Quality::Studio];
/// The number for none of them.
const PASSES: u8 = u8::MAX;
/// Spectrum frames kept for a slow reader: 1.28 s at 100 frames per second.
const SLOTS: usize = 128;

/// One displayed frame: levels in steps of half a decibel above [`FLOOR_DB`].
#[derive(Clone, Copy)]
pub struct SpectrumFrame {
    /// The input.
    pub input: [u8; ROWS],
    /// The output.
    pub output: [u8; ROWS],
}

impl SpectrumFrame {
    /// A silent frame.
    pub const SILENT: Self = Self { input: [0; ROWS], output: [0; ROWS] };
}

/// A level in dB as a byte of a [`SpectrumFrame`].
pub(super) fn level_to_byte(db: f32) -> u8 {
    // The cast turns NaN into 0.
    ((db - FLOOR_DB) * 2.0).clamp(0.0, 255.0) as u8
}

/// A power as a byte of a [`SpectrumFrame`].
fn power_to_byte(power: f32) -> u8 {
    level_to_byte(10.0 * power.max(1e-12).log10())
}

/// A byte of a [`SpectrumFrame`] as a level in dB.
pub(super) fn byte_to_level(byte: u8) -> f32 {
    FLOOR_DB + f32::from(byte) / 2.0
}

/// Peaks since the last reading, and the engine's figures for the newest frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// Input peak per channel, linear.
    pub input: [f32; 2],
    /// Output peak per channel, linear.
    pub output: [f32; 2],
    /// How much quieter the output is than the input, dB, 0 or more.
    pub reduction_db: f32,
    /// Likelihood of a voice, 0 to 1.
    pub voice: f32,
    /// Processing time relative to real time, smoothed, 0 to 1 and above.
    pub load: f32,
}

/// What the host set up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// Sample rate, Hz.
    pub sample_rate: u32,
    /// Delay, samples.
    pub latency: usize,
    /// Channels, 1 or 2.
    pub channels: usize,
    /// The active quality; `None` at rates at which the sound passes unchanged.
    pub quality: Option<Quality>,
}

/// Audio -> editor.
pub struct Meters {
    editors: AtomicUsize,
    sample_rate: AtomicU32,
    latency: AtomicU32,
    channels: AtomicU32,
    /// [`PASSES`], or the index in [`QUALITIES`].
    quality: AtomicU8,
    input: [AtomicF32; 2],
    output: [AtomicF32; 2],
    reduction_db: AtomicF32,
    voice: AtomicF32,
    load: AtomicF32,
    /// The input's rows, then the output's.
    spectra: Queue<SLOTS, { 2 * ROWS }>,
}

impl Default for Meters {
    fn default() -> Self {
        let zero = || AtomicF32::new(0.0);
        Self {
            editors: AtomicUsize::new(0),
            sample_rate: AtomicU32::new(0),
            latency: AtomicU32::new(0),
            channels: AtomicU32::new(2),
            quality: AtomicU8::new(0),
            input: [zero(), zero()],
            output: [zero(), zero()],
            reduction_db: zero(),
            voice: zero(),
            load: zero(),
            spectra: Queue::new(),
        }
    }
}

impl Meters {
    /// Whether an editor is open; otherwise nothing needs to be computed.
    pub fn wanted(&self) -> bool {
        self.editors.load(Ordering::Relaxed) > 0
    }

    /// Call when an editor opens: drops old frames and peaks.
    pub fn open(&self) {
        self.spectra.clear();
        self.take();
        self.editors.fetch_add(1, Ordering::Relaxed);
    }

    /// Call when an editor closes.
    pub fn close(&self) {
        self.editors.fetch_sub(1, Ordering::Relaxed);
    }

    /// What the host set up.
    pub fn set_setup(&self, setup: Setup) {
        let place = QUALITIES.iter().position(|&quality| Some(quality) == setup.quality);
        self.quality.store(place.map_or(PASSES, |place| place as u8), Ordering::Relaxed);
        self.sample_rate.store(setup.sample_rate, Ordering::Relaxed);
        self.latency.store(setup.latency as u32, Ordering::Relaxed);
        self.channels.store(setup.channels as u32, Ordering::Relaxed);
    }

    /// Sample rate in Hz, 0 before the host has set one.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate.load(Ordering::Relaxed)
    }

    /// Latency in milliseconds, if the host has set a rate.
    pub fn latency_ms(&self) -> Option<f32> {
        let rate = self.sample_rate();
        (rate > 0).then(|| self.latency.load(Ordering::Relaxed) as f32 * 1000.0 / rate as f32)
    }

    /// Channels in use, 1 or 2.
    pub fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed) as usize
    }

    /// The active quality; `None` at rates at which the sound passes unchanged.
    pub fn quality(&self) -> Option<Quality> {
        QUALITIES.get(usize::from(self.quality.load(Ordering::Relaxed))).copied()
    }

    /// Audio thread: the peaks of an input block.
    pub fn add_input(&self, channels: &[&mut [f32]]) {
        add_peaks(&self.input, channels);
    }

    /// Audio thread: the peaks of an output block.
    pub fn add_output(&self, channels: &[&mut [f32]]) {
        add_peaks(&self.output, channels);
    }

    /// Audio thread: the engine's figures for its newest frame.
    pub fn add_frame(&self, telemetry: &Telemetry) {
        self.reduction_db.store(-telemetry.gain_db, Ordering::Relaxed);
        self.voice.store(telemetry.voice, Ordering::Relaxed);
        let powers = telemetry.input.iter().chain(&telemetry.output);
        self.spectra.push(powers.map(|&power| power_to_byte(power)));
    }

    /// Audio thread: smoothed share of real time spent.
    pub fn set_load(&self, load: f32) {
        self.load.store(load, Ordering::Relaxed);
    }

    /// Editor: all readings; resets the peaks.
    pub fn take(&self) -> Readings {
        let take = |cells: &[AtomicF32; 2]| {
            [cells[0].swap(0.0, Ordering::Relaxed), cells[1].swap(0.0, Ordering::Relaxed)]
        };
        Readings {
            input: take(&self.input),
            output: take(&self.output),
            reduction_db: self.reduction_db.load(Ordering::Relaxed),
            voice: self.voice.load(Ordering::Relaxed),
            load: self.load.load(Ordering::Relaxed),
        }
    }

    /// Editor: the next spectrum frame, oldest first.
    pub fn next_spectrum(&self) -> Option<SpectrumFrame> {
        let bytes = self.spectra.pop()?;
        let mut frame = SpectrumFrame::SILENT;
        frame.input.copy_from_slice(&bytes[..ROWS]);
        frame.output.copy_from_slice(&bytes[ROWS..]);
        Some(frame)
    }
}

fn add_peaks(cells: &[AtomicF32; 2], channels: &[&mut [f32]]) {
    for (cell, channel) in cells.iter().zip(channels) {
        // `max` ignores NaN.
        let peak = channel.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        cell.fetch_max(peak, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Bytes derived from the frame's number, so that a torn frame is detected.
    fn numbered(n: usize) -> impl Iterator<Item = u8> {
        (0..2 * ROWS).map(move |row| (n.wrapping_mul(31) + row) as u8)
    }

    fn is_numbered(frame: &SpectrumFrame, n: usize) -> bool {
        frame.input.iter().chain(&frame.output).copied().eq(numbered(n))
    }

    #[test]
    fn frames_cross_threads_whole_and_in_order() {
        const FRAMES: usize = 20_000;
        let meters = Arc::new(Meters::default());
        let writer = {
            let meters = Arc::clone(&meters);
            std::thread::spawn(move || {
                let mut written = 0;
                for n in 0..FRAMES {
                    // The frame contains the number of earlier frames, which the reader checks.
                    written += usize::from(meters.spectra.push(numbered(written)));
                    if n % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
                written
            })
        };
        let mut seen = 0;
        let check = |seen: &mut usize| {
            while let Some(frame) = meters.next_spectrum() {
                assert!(is_numbered(&frame, *seen), "frame {seen}");
                *seen += 1;
            }
        };
        while !writer.is_finished() {
            check(&mut seen);
        }
        let written = writer.join().expect("writer");
        check(&mut seen);
        assert_eq!(seen, written);
        assert!(seen >= SLOTS);
    }

    #[test]
    fn a_full_queue_keeps_the_oldest_and_opening_empties_it() {
        let meters = Meters::default();
        for n in 0..SLOTS + 5 {
            meters.spectra.push(numbered(n));
        }
        assert!(is_numbered(&meters.next_spectrum().expect("a frame"), 0));
        meters.open();
        assert!(meters.next_spectrum().is_none());
        assert!(meters.wanted());
        meters.close();
        assert!(!meters.wanted());
    }

    #[test]
    fn peaks_are_held_until_taken_and_ignore_nan() {
        let meters = Meters::default();
        let mut left = [0.1, -0.7, f32::NAN];
        let mut right = [0.0, 0.25, 0.0];
        meters.add_input(&[&mut left, &mut right]);
        meters.add_input(&[&mut [0.2], &mut [0.2]]);
        assert_eq!(meters.take().input, [0.7, 0.25]);
        assert_eq!(meters.take().input, [0.0, 0.0]);
    }

    #[test]
    fn levels_survive_the_byte() {
        for db in [-120.0, -60.5, -0.5, 0.0, 7.5] {
            assert_eq!(byte_to_level(level_to_byte(db)), db);
        }
        assert_eq!(level_to_byte(f32::NAN), 0);
        assert_eq!(level_to_byte(f32::NEG_INFINITY), 0);
        assert_eq!(level_to_byte(100.0), 255);
    }
}
