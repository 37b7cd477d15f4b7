//! Converts results to another sample rate.
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use crate::cli::error::Error;

/// Approximate chunk size in samples, which is also the filter length: its slope is a few tens of Hz wide.
const CHUNK: usize = 4096;

/// Converts a stream of planes from one rate to another, aligned with the input and of the same duration.
pub(crate) struct RateConverter {
    inner: Fft<f32>,
    from: u32,
    to: u32,
    /// Input that does not fill a chunk yet.
    waiting: Vec<Vec<f32>>,
    chunk: Vec<Vec<f32>>,
    ready: Vec<Vec<f32>>,
    /// Samples of the filter's delay still to be dropped.
    skip: usize,
    taken: u64,
    made: u64,
}

impl RateConverter {
    /// From `from` to `to` Hz.
    pub(crate) fn new(from: u32, to: u32, channels: usize) -> Result<Self, Error> {
        let window = WindowFunction::BlackmanHarris2;
        let (input, output) = (from as usize, to as usize);
        // Chunks of even length, so that half of it, the filter's delay, is a whole number of samples at both rates.
        let chunk = CHUNK.next_multiple_of(2 * input / gcd(input, output));
        let inner = Fft::new_custom(input, output, chunk, 1, channels, window, FixedSync::Both)
            .map_err(|reason| Error::Rate { from, to, reason: reason.to_string() })?;
        let planes = |length| vec![vec![0.0; length]; channels];
        Ok(Self {
            skip: inner.output_delay(),
            chunk: planes(inner.output_frames_max()),
            inner,
            from,
            to,
            waiting: planes(0),
            ready: planes(0),
            taken: 0,
            made: 0,
        })
    }

    /// Length of the result for a number of input samples.
    pub(crate) fn frames(&self, input: u64) -> u64 {
        let (from, to) = (u128::from(self.from), u128::from(self.to));
        u64::try_from((u128::from(input) * to).div_ceil(from)).unwrap_or(u64::MAX)
    }

    /// The output completed by these samples.
    pub(crate) fn convert(&mut self, planes: &[&[f32]]) -> Result<&[Vec<f32>], Error> {
        self.ready.iter_mut().for_each(Vec::clear);
        self.waiting.iter_mut().zip(planes).for_each(|(waiting, plane)| waiting.extend(*plane));
        self.taken += planes.first().map_or(0, |plane| plane.len() as u64);
        self.run(u64::MAX)?;
        Ok(&self.ready)
    }

    /// The end of the output, which is still inside the filter.
    pub(crate) fn finish(&mut self) -> Result<&[Vec<f32>], Error> {
        let whole = self.frames(self.taken);
        self.ready.iter_mut().for_each(Vec::clear);
        while self.made < whole {
            let missing = self.inner.input_frames_next() - self.waiting.first().map_or(0, Vec::len);
            self.waiting.iter_mut().for_each(|plane| plane.resize(plane.len() + missing, 0.0));
            self.run(whole)?;
        }
        Ok(&self.ready)
    }

    /// Converts whole chunks until the result has `whole` samples.
    fn run(&mut self, whole: u64) -> Result<(), Error> {
        let channels = self.waiting.len();
        loop {
            let (frames, length) =
                (self.inner.input_frames_next(), self.inner.output_frames_next());
            if self.made >= whole || self.waiting.first().is_none_or(|plane| plane.len() < frames) {
                return Ok(());
            }
            let fail = |reason: String| Error::Rate { from: self.from, to: self.to, reason };
            let input = SequentialSliceOfVecs::new(&self.waiting, channels, frames)
                .map_err(|reason| fail(reason.to_string()))?;
            let mut output = SequentialSliceOfVecs::new_mut(&mut self.chunk, channels, length)
                .map_err(|reason| fail(reason.to_string()))?;
            self.inner
                .process_into_buffer(&input, &mut output, None)
                .map_err(|reason| fail(reason.to_string()))?;
            let skip = self.skip.min(length);
            self.skip -= skip;
            let fresh = usize::try_from(whole - self.made).unwrap_or(usize::MAX).min(length - skip);
            self.made += fresh as u64;
            for ((waiting, chunk), ready) in
                self.waiting.iter_mut().zip(&self.chunk).zip(&mut self.ready)
            {
                waiting.drain(..frames);
                ready.extend(&chunk[skip..skip + fresh]);
            }
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// Through a converter in blocks of uneven sizes.
    fn converted(from: u32, to: u32, input: &[f32]) -> Vec<f32> {
        let mut converter = RateConverter::new(from, to, 1).expect("converter");
        let mut output = Vec::new();
        let mut rest = input;
        for size in [1, 700, 4096, 37, 20_000].into_iter().cycle() {
            let (block, more) = rest.split_at(size.min(rest.len()));
            output.extend(&converter.convert(&[block]).expect("converted")[0]);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        output.extend(&converter.finish().expect("end")[0]);
        output
    }

    #[test]
    fn a_tone_comes_out_at_its_place_and_as_long_as_it_was() {
        for (from, to) in [
            (48_000, 44_100),
            (44_100, 48_000),
            (8_000, 384_000),
            (192_000, 16_000),
            (22_050, 48_000),
            (44_056, 48_000),
            (11_025, 8_001),
        ] {
            let tone = |rate: u32, n: usize| (TAU * 1000.0 * n as f64 / f64::from(rate)).sin();
            for length in [1, 999, from as usize + 17] {
                let input: Vec<f32> = (0..length).map(|n| 0.5 * tone(from, n) as f32).collect();
                let output = converted(from, to, &input);
                let whole = (length as u64 * u64::from(to)).div_ceil(u64::from(from));
                assert_eq!(output.len() as u64, whole, "{from} to {to} Hz");
                // Away from the ends, where the tone is cut off.
                let edge = output.len() / 4;
                for (n, &y) in output.iter().enumerate().take(output.len() - edge).skip(edge) {
                    if length > 1000 {
                        let error = (f64::from(y) - 0.5 * tone(to, n)).abs();
                        assert!(error < 1e-4, "{from} to {to} Hz, sample {n}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        let input: Vec<f32> =
            (0..96_000).map(|n| (TAU * 12_000.0 * f64::from(n) / 48_000.0).sin() as f32).collect();
        let output = converted(48_000, 16_000, &input);
        let inner = &output[4_000..28_000];
        let peak = inner.iter().fold(0.0f32, |peak, y| peak.max(y.abs()));
        assert!(peak < 1e-4, "{peak}");
    }
}
