//! A linear layer over rows.
use super::kernels::{Kernels, Packed};
use super::weights::Weights;
use crate::error::WeightsError;

/// `y = W x + b`, for each row.
pub(crate) struct Linear {
    packed: Packed,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// From `name.weight` (outputs, inputs) and `name.bias` (outputs).
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, WeightsError> {
        Self::load_padded(weights, name, (inputs, inputs, Some), outputs)
    }

    /// Like `load`, for rows of `width` inputs, where input i is the file's input `map(i)`, if any.
    pub(crate) fn load_padded(
        weights: &mut Weights,
        name: &str,
        (width, inputs, map): (usize, usize, impl Fn(usize) -> Option<usize>),
        outputs: usize,
    ) -> Result<Self, WeightsError> {
        let w = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let b = weights.take(&format!("{name}.bias"), &[outputs])?;
        let packed = Packed::new(outputs, width, |o, i| map(i).map_or(0.0, |i| w.at(&[o, i])))
            .with_bias(|o| b.data()[o]);
        Ok(Self { packed, inputs: width, outputs })
    }

    /// x: (rows, inputs) -> y: (rows, outputs); with `add`, adds to y.
    pub(crate) fn forward(
        &self,
        kernels: Kernels,
        rows: usize,
        x: &[f32],
        y: &mut [f32],
        add: bool,
    ) {
        kernels.matmul(&self.packed, rows, x, self.inputs, y, self.outputs, add);
    }
}
