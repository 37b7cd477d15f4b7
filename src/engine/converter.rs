//! Rates that are not multiples of 100 Hz, by way of 48 kHz.
use std::collections::VecDeque;

use rubato::ResamplerConstructionError;

use crate::dsp::{Fixed, Framer, Resampler};

const RATE: u32 = 48_000;
/// A hop at 48 kHz.
pub(crate) const HOP: usize = RATE as usize / 100;

/// Collects hops at 48 kHz from blocks at the host's rate, and plays what is removed from them at the host's rate.
///
/// Only what is removed is resampled back; the dry signal never is.
pub(crate) struct Converter {
    framer: Framer,
    channels: Vec<Channel>,
    filled: usize,
    needed: usize,
    queued: usize, // zeros queued in the beginning, so that the queue never runs dry
    latency: usize,
    shift: f64,
}

struct Channel {
    up: Resampler,
    down: Resampler,
    input: Vec<f32>,
    hop: Vec<f32>,
    output: Vec<f32>,
    queue: VecDeque<f32>,
}

impl Converter {
    pub(crate) fn new(rate: u32, channels: usize) -> Result<Self, ResamplerConstructionError> {
        let ratio = f64::from(rate) / f64::from(RATE);
        // The input of a hop is complete after at most 480 ratio + 1 samples more than hops before; what it gives may
        // be short of that by 2 ratio + 1: see the sizes in rubato's `Async`. One more against rounding.
        let queued = ((HOP + 2) as f64 * ratio + 2.0).ceil() as usize + 1;
        let channels: Vec<Channel> = (0..channels)
            .map(|_| {
                let up = Resampler::new(rate, RATE, Fixed::Output, HOP)?;
                let down = Resampler::new(RATE, rate, Fixed::Input, HOP)?;
                Ok(Channel {
                    input: vec![0.0; up.input_max()],
                    hop: vec![0.0; HOP],
                    output: vec![0.0; down.output_max()],
                    queue: VecDeque::with_capacity(queued + down.output_max()),
                    up,
                    down,
                })
            })
            .collect::<Result<_, ResamplerConstructionError>>()?;
        // From a sample's arrival to its place in the stream of what is removed: both filters, and a hop between frame
        // and output. The remaining fraction is made up for in the spectrum.
        let mut exact = queued as f64;
        if let Some(c) = channels.first() {
            exact += c.up.delay() + (c.down.delay() + HOP as f64) * ratio;
        }
        let latency = exact.ceil();
        let mut converter = Self {
            framer: Framer::new(channels.len(), HOP),
            channels,
            filled: 0,
            needed: 0,
            queued,
            latency: latency as usize,
            shift: (latency - exact) / ratio,
        };
        converter.reset();
        Ok(converter)
    }

    pub(crate) fn latency(&self) -> usize {
        self.latency
    }

    /// How much later than it is what is removed must come, in samples at 48 kHz.
    pub(crate) fn shift(&self) -> f64 {
        self.shift
    }

    pub(crate) fn room(&self) -> usize {
        self.needed - self.filled
    }

    /// Samples of the hop that are there, and all of it.
    pub(crate) fn filled(&self) -> (usize, usize) {
        (self.filled, self.needed)
    }

    pub(crate) fn exchange(&mut self, channel: usize, input: &[f32], removed: &mut [f32]) {
        let c = &mut self.channels[channel];
        c.input[self.filled..self.filled + input.len()].copy_from_slice(input);
        debug_assert!(c.queue.len() >= removed.len(), "queue ran dry");
        removed.iter_mut().for_each(|y| *y = c.queue.pop_front().unwrap_or(0.0));
    }

    pub(crate) fn advance(&mut self, samples: usize) -> bool {
        self.filled += samples;
        self.filled == self.needed
    }

    /// A full hop: resampled, denoised, resampled back.
    pub(crate) fn convert(&mut self, denoise: impl FnOnce(&mut Framer)) {
        for (i, c) in self.channels.iter_mut().enumerate() {
            c.up.process(&c.input[..self.needed], &mut c.hop);
            self.framer.collect(i, &c.hop);
        }
        self.framer.advance(HOP);
        denoise(&mut self.framer);
        for (i, c) in self.channels.iter_mut().enumerate() {
            let made = c.down.output_len();
            c.down.process(self.framer.output(i), &mut c.output[..made]);
            c.queue.extend(&c.output[..made]);
        }
        self.framer.next();
        self.begin();
    }

    fn begin(&mut self) {
        self.filled = 0;
        self.needed = self.channels.first().map_or(1, |c| c.up.input_len());
    }

    pub(crate) fn reset(&mut self) {
        self.framer.reset();
        for c in &mut self.channels {
            c.up.reset();
            c.down.reset();
            c.queue.clear();
            c.queue.extend(std::iter::repeat_n(0.0, self.queued));
        }
        self.begin();
    }
}
