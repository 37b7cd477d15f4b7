//! Complex convolutions, exported as real ones with batch norm folded in; channels last.
use super::kernels::{Buffer, Kernels, PANEL, Packed};
use super::weights::Weights;
use crate::dsp::Ring;
use crate::error::WeightsError;

/// (F, C_in) of the latest frames -> (F/2, C_out): kernel 3 and stride 2 in frequency.
pub(crate) struct ComplexConv2d {
    taps: Vec<Packed>, // oldest frame first; each (C_out, 3 C_in)
    inputs: usize,
    outputs: usize,
    positions: usize, // F
}

/// The input frames of a [`ComplexConv2d`], and those needed again later: each (1 + F, C_in), with the first position zero.
pub(crate) struct ConvState {
    frames: Ring<Buffer>,
}

impl ComplexConv2d {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, outputs): (usize, usize),
        positions: usize,
        frames: usize,
    ) -> Result<Self, WeightsError> {
        let w = weights.take(&format!("{name}.weight"), &[outputs, inputs, frames, 3])?;
        let b = weights.take(&format!("{name}.bias"), &[outputs])?;
        let slope = weights.take(&format!("{name}.slope"), &[outputs])?;
        let taps = (0..frames).map(|t| {
            let packed =
                Packed::new(outputs, 3 * inputs, |o, k| w.at(&[o, k % inputs, t, k / inputs]));
            if t + 1 == frames {
                packed.with_bias(|o| b.data()[o]).with_slope(|o| slope.data()[o])
            } else {
                packed
            }
        });
        Ok(Self { taps: taps.collect(), inputs, outputs, positions })
    }

    /// `kept`: the minimum number of frames to keep.
    pub(crate) fn new_state(&self, kept: usize) -> ConvState {
        let frame = Buffer::new((1 + self.positions) * self.inputs);
        ConvState { frames: Ring::new(self.taps.len().max(kept), frame) }
    }

    /// Computes the contribution of the frames before the newest in `state` to y: (F/2, C_out).
    pub(crate) fn prepare(&self, kernels: Kernels, state: &ConvState, y: &mut [f32]) {
        for t in 0..self.taps.len() - 1 {
            self.tap(kernels, t, state, y);
        }
    }

    /// Adds the newest frame in `state` to the result of [`ComplexConv2d::prepare`] -> y: (F/2, C_out).
    pub(crate) fn forward(&self, kernels: Kernels, state: &ConvState, y: &mut [f32]) {
        self.tap(kernels, self.taps.len() - 1, state, y);
    }

    fn tap(&self, kernels: Kernels, t: usize, state: &ConvState, y: &mut [f32]) {
        let (w, rows) = (&self.taps[t], self.positions / 2);
        let frame = state.frames.ago(self.taps.len() - 1 - t);
        kernels.matmul(w, rows, frame, 2 * self.inputs, y, self.outputs, t > 0);
    }
}

impl ConvState {
    /// Drops the oldest frame and reuses its memory for the newest.
    pub(crate) fn advance(&mut self) {
        self.frames.turn();
    }

    /// The frame `count` before the newest, (F, C_in).
    pub(crate) fn ago(&self, count: usize, inputs: usize) -> &[f32] {
        &self.frames.ago(count)[inputs..]
    }

    /// The newest frame, (F, C_in), for writing.
    pub(crate) fn newest_mut(&mut self, inputs: usize) -> &mut [f32] {
        &mut self.frames.newest_mut()[inputs..]
    }

    pub(crate) fn reset(&mut self) {
        self.frames.iter_mut().for_each(|f| f.fill(0.0));
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.frames.copy_from(&other.frames, |a, b| a.copy_from_slice(b));
    }
}

/// (F, C_in) -> (2F, C_out): kernel 3, stride 2 in frequency, one frame in time.
///
/// Output 2i is W1 x_i, output 2i+1 is W2 x_i + W0 x_{i+1}. With few channels, one matrix maps two neighbours to two
/// neighbours, a quarter of it zeros; with more, there are two matrices.
pub(crate) struct ComplexConvTranspose2d {
    parts: Vec<(usize, Packed)>, // with the first of the 2 C_out outputs
    inputs: usize,
    outputs: usize,
    positions: usize, // F
}

impl ComplexConvTranspose2d {
    /// The last layer has no PReLU.
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, outputs): (usize, usize),
        positions: usize,
        last: bool,
    ) -> Result<Self, WeightsError> {
        let w = weights.take(&format!("{name}.weight"), &[outputs, inputs, 3])?;
        let b = weights.take(&format!("{name}.bias"), &[outputs])?;
        let weight = |o: usize, i: usize| match (o / outputs, i / inputs) {
            (0, 0) => w.at(&[o, i, 1]),
            (0, _) => 0.0,
            (_, 0) => w.at(&[o - outputs, i, 2]),
            (_, _) => w.at(&[o - outputs, i - inputs, 0]),
        };
        let slope = (!last).then(|| weights.take(&format!("{name}.slope"), &[outputs]));
        let slope = slope.transpose()?;
        let part = |first: usize, count: usize, inputs: usize| {
            let packed = Packed::new(count, inputs, |o, i| weight(first + o, i))
                .with_bias(|o| b.data()[o % outputs]);
            let packed = match &slope {
                Some(slope) => packed.with_slope(|o| slope.data()[o % outputs]),
                None => packed,
            };
            (first, packed)
        };
        let parts = if 2 * outputs <= PANEL {
            vec![part(0, 2 * outputs, 2 * inputs)]
        } else {
            vec![part(0, outputs, inputs), part(outputs, outputs, 2 * inputs)]
        };
        Ok(Self { parts, inputs, outputs, positions })
    }

    /// (F + 1, C_in), the last position zero.
    pub(crate) fn new_input(&self) -> Buffer {
        Buffer::new((self.positions + 1) * self.inputs)
    }

    /// x: (F + 1, C_in), the last position zero -> y: (2F, C_out).
    pub(crate) fn forward(&self, kernels: Kernels, x: &[f32], y: &mut [f32]) {
        for (first, w) in &self.parts {
            let (y, stride) = (&mut y[*first..], 2 * self.outputs);
            kernels.matmul(w, self.positions, x, self.inputs, y, stride, false);
        }
    }

    /// Length of an output frame.
    pub(crate) fn output_len(&self) -> usize {
        2 * self.positions * self.outputs
    }
}
