//! Weights and activations in the loops' memory layout.
use std::ops::{Deref, DerefMut};

/// Output columns in a packed panel, and the multiple to which rows of activations are padded.
pub(crate) const PANEL: usize = 16;

/// Panels in a block of paired weights: their sums and what they need fit into 32 registers.
pub(super) const BLOCK: usize = 9;

/// `n` rounded up to whole panels.
pub(crate) const fn padded(n: usize) -> usize {
    n.div_ceil(PANEL) * PANEL
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Lanes([f32; PANEL]);

/// Zeroed `f32`s aligned to a cache line; derefs to a slice of the requested length.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    lanes: Vec<Lanes>,
    len: usize,
}

impl Buffer {
    pub(crate) fn new(len: usize) -> Self {
        Self { lanes: vec![Lanes([0.0; PANEL]); len.div_ceil(PANEL)], len }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lanes` holds at least `len` initialised, contiguous f32 (Lanes is repr(C), without padding).
        unsafe { std::slice::from_raw_parts(self.lanes.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lanes.as_mut_ptr().cast(), self.len) }
    }
}

/// A matrix packed for [`super::Kernels::matmul`], with a bias and, if there is one, a PReLU after it.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(super) data: Buffer,
    pub(super) pairs: Option<Buffer>, // see `for_one_row`
    pub(super) bias: Buffer,
    pub(super) slope: Option<Buffer>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Packed {
    /// From `weight(output, input)`.
    pub(crate) fn new(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let width = padded(outputs);
        let mut data = Buffer::new(width * inputs);
        for output in 0..outputs {
            for input in 0..inputs {
                data[output / PANEL * inputs * PANEL + input * PANEL + output % PANEL] =
                    weight(output, input);
            }
        }
        Self { data, pairs: None, bias: Buffer::new(width), slope: None, inputs, outputs }
    }

    /// For single-row products, where loading the weights dominates: if all weights are bfloat16 numbers, two of them are
    /// kept in each word, the even input's in its lower half. The words are in the order in which they are read, `[block][input / 2]
    /// [panel][16]` with [`BLOCK`] panels in a block, fewer in the last. The result is bit-identical.
    pub(crate) fn for_one_row(mut self) -> Self {
        let whole = self.outputs.is_multiple_of(PANEL) && self.slope.is_none();
        if whole && self.data.iter().all(|w| w.to_bits() & 0xffff == 0) {
            let rows = self.inputs.div_ceil(2);
            let mut pairs = Buffer::new(self.bias.len() * rows);
            let blocks = pairs.chunks_mut(BLOCK * PANEL * rows);
            for (block, panels) in blocks.zip(self.data.chunks(BLOCK * PANEL * self.inputs)) {
                let width = block.len() / rows;
                for (k, y) in block.iter_mut().enumerate() {
                    let (input, output) = (k / width * 2, k % width);
                    let panel = &panels[output / PANEL * self.inputs * PANEL..];
                    let weight = |input: usize| panel[input * PANEL + output % PANEL].to_bits();
                    let odd = if input + 1 < self.inputs { weight(input + 1) } else { 0 };
                    *y = f32::from_bits(odd | weight(input) >> 16);
                }
            }
            self.pairs = Some(pairs);
        }
        self
    }

    pub(crate) fn with_bias(mut self, bias: impl Fn(usize) -> f32) -> Self {
        for output in 0..self.outputs {
            self.bias[output] = bias(output);
        }
        self
    }

    /// PReLU on the result of [`super::Kernels::matmul`].
    pub(crate) fn with_slope(mut self, slope: impl Fn(usize) -> f32) -> Self {
        let mut all = Buffer::new(self.bias.len());
        for output in 0..self.outputs {
            all[output] = slope(output);
        }
        self.slope = Some(all);
        self
    }
}

/// The recurrent weights of two GRUs over the same rows, one up and one down: `[direction][panel][input][gate][16]`.
#[derive(Clone, Debug)]
pub(crate) struct PackedScan {
    pub(super) data: Buffer,
    pub(super) cn: Buffer, // [direction][width]
    pub(super) width: usize,
}

impl PackedScan {
    /// From `u(direction, gate, output, input)` and `cn(direction, output)` of `hidden` units.
    pub(crate) fn new(
        hidden: usize,
        u: impl Fn(usize, usize, usize, usize) -> f32,
        cn: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let width = padded(hidden);
        let mut data = Buffer::new(2 * 3 * width * width);
        let mut all_cn = Buffer::new(2 * width);
        for direction in 0..2 {
            for output in 0..hidden {
                for input in 0..hidden {
                    for gate in 0..3 {
                        let panel = direction * (width / PANEL) + output / PANEL;
                        let at = ((panel * width + input) * 3 + gate) * PANEL + output % PANEL;
                        data[at] = u(direction, gate, output, input);
                    }
                }
                all_cn[direction * width + output] = cn(direction, output);
            }
        }
        Self { data, cn: all_cn, width }
    }

    /// Units per direction, padded to whole panels.
    pub(crate) fn width(&self) -> usize {
        self.width
    }
}
