//! Recurrent layers: GhostGRUs over time (per position, for the lowest bins, for the full band) and two small GRUs across
//! frequency.
use realfft::num_complex::Complex32;

use super::activation::low_band_feature;
use super::kernels::{Buffer, Kernels, Packed, PackedScan, padded};
use super::linear::Linear;
use super::weights::{HEARD, Sizes, Tensor, Weights};
use super::{HIGH_BANDS, LOW_BANDS, LOW_BINS, LOWEST_BINS};
use crate::dsp::bands::erb_edges;
use crate::error::WeightsError;

/// GRU with m = hidden/ratio intrinsic units; the others are tanh(G h + bg) of them, and the whole state feeds back.
///
/// ```text
/// r, z = sigmoid(Wrz x + Urz s' + b)          s' is the previous state, all units
/// n    = tanh(Wn x + bn + r * (Un s' + cn))
/// h    = (1 - z) n + z h'                     h' is the intrinsic part of s'
/// s    = [h ; tanh(G h + bg)]
/// ```
///
/// The rows are independent and share the weights. In memory each gate, h and the ghosts are padded to whole panels; the
/// padding stays zero in the state.
pub(crate) struct GhostGru {
    input: Packed,     // (3 m, inputs): [n | r | z]
    recurrent: Packed, // (3 m, state): [r | z | n]
    ghost: Option<Packed>,
    shape: GruShape,
    inputs: usize,
}

/// Widths of a [`GhostGru`], as in the file and padded.
#[derive(Clone, Copy)]
struct GruShape {
    intrinsic: usize,
    hidden: usize,
    intrinsic_width: usize,
    ghost_width: usize,
}

impl GruShape {
    fn width(self) -> usize {
        self.intrinsic_width + self.ghost_width
    }

    /// The file's unit at `i` of a padded state.
    fn unit(self, i: usize) -> Option<usize> {
        if i < self.intrinsic_width {
            (i < self.intrinsic).then_some(i)
        } else {
            Some(i - self.intrinsic_width + self.intrinsic).filter(|&u| u < self.hidden)
        }
    }
}

/// The file's row for output `o` of gates padded to `width`.
fn gate_row(o: usize, width: usize, units: usize) -> Option<usize> {
    (o % width < units).then_some(o / width * units + o % width)
}

/// Working memory of [`GhostGru::forward`].
pub(crate) struct GruScratch {
    gates: Buffer, // (rows, 4 m): [n, input side | r | z | n, recurrent side]
    ghost: Buffer, // (rows, hidden - m)
}

impl GhostGru {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        inputs: usize,
        hidden: usize,
        ratio: usize,
    ) -> Result<Self, WeightsError> {
        let m = hidden / ratio;
        let w = weights.take(&format!("{name}.w"), &[3 * m, inputs])?;
        let b = weights.take(&format!("{name}.b"), &[3 * m])?;
        let u = weights.take(&format!("{name}.u"), &[3 * m, hidden])?;
        let cn = weights.take(&format!("{name}.cn"), &[m])?;
        let width = padded(m);
        let ghost_width = padded(hidden - m);
        let shape = GruShape { intrinsic: m, hidden, intrinsic_width: width, ghost_width };
        let row = |o| gate_row(o, width, m);
        let turned = |o| row((o + 2 * width) % (3 * width)); // n first
        let input = Packed::new(3 * width, inputs, |o, i| turned(o).map_or(0.0, |o| w.at(&[o, i])))
            .with_bias(|o| turned(o).map_or(0.0, |o| b.data()[o]));
        let recurrent = Packed::new(3 * width, shape.width(), |o, i| {
            row(o).zip(shape.unit(i)).map_or(0.0, |(o, i)| u.at(&[o, i]))
        })
        .with_bias(|o| row(o).and_then(|o| o.checked_sub(2 * m)).map_or(0.0, |o| cn.data()[o]));
        let ghost = if hidden > m {
            let g = weights.take(&format!("{name}.g"), &[hidden - m, m])?;
            let bg = weights.take(&format!("{name}.bg"), &[hidden - m])?;
            let weight = |o, i| if o < hidden - m && i < m { g.at(&[o, i]) } else { 0.0 };
            let bias = |o| bg.data().get(o).copied().unwrap_or(0.0);
            Some(Packed::new(ghost_width, width, weight).with_bias(bias))
        } else {
            None
        };
        Ok(Self { input, recurrent, ghost, shape, inputs })
    }

    /// For a single row, where loading the weights dominates.
    fn for_one_row(mut self) -> Self {
        self.input = self.input.for_one_row();
        self.recurrent = self.recurrent.for_one_row();
        self.ghost = self.ghost.map(Packed::for_one_row);
        self
    }

    /// (rows, width), zero.
    pub(crate) fn new_state(&self, rows: usize) -> Buffer {
        Buffer::new(rows * self.shape.width())
    }

    pub(crate) fn new_scratch(&self, rows: usize) -> GruScratch {
        GruScratch {
            gates: Buffer::new(rows * 4 * self.shape.intrinsic_width),
            ghost: Buffer::new(rows * self.shape.ghost_width),
        }
    }

    /// The gates' recurrent side, from state: (rows, width).
    pub(crate) fn prepare(
        &self,
        kernels: Kernels,
        rows: usize,
        state: &[f32],
        scratch: &mut GruScratch,
    ) {
        let (m, width) = (self.shape.intrinsic_width, self.shape.width());
        scratch.gates.chunks_exact_mut(4 * m).for_each(|row| row[..m].fill(0.0));
        let sides = &mut scratch.gates[m..];
        kernels.matmul(&self.recurrent, rows, state, width, sides, 4 * m, false);
    }

    /// x: (rows, inputs), state: (rows, width), as passed to [`GhostGru::prepare`]; it is replaced.
    pub(crate) fn forward(
        &self,
        kernels: Kernels,
        rows: usize,
        x: &[f32],
        state: &mut [f32],
        scratch: &mut GruScratch,
    ) {
        let GruScratch { gates, ghost } = scratch;
        let (m, width) = (self.shape.intrinsic_width, self.shape.width());
        kernels.matmul(&self.input, rows, x, self.inputs, gates, 4 * m, true);
        kernels.gru_cell(m, gates, state, width);
        if let Some(packed) = &self.ghost {
            let g = self.shape.ghost_width;
            kernels.matmul(packed, rows, state, width, ghost, g, false);
            kernels.tanh_rows(g, ghost, &mut state[m..], width);
        }
    }
}

/// One GhostGRU over time, shared by all frequency positions, projected and added.
pub(crate) struct TimeMemory {
    gru: GhostGru,
    linear: Linear,
}

impl TimeMemory {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        channels: usize,
        hidden: usize,
        ratio: usize,
    ) -> Result<Self, WeightsError> {
        let gru = GhostGru::load(weights, &format!("{name}.gru"), channels, hidden, ratio)?;
        let shape = gru.shape;
        let inputs = (shape.width(), hidden, |i| shape.unit(i));
        let linear = Linear::load_padded(weights, &format!("{name}.linear"), inputs, channels)?;
        Ok(Self { gru, linear })
    }

    pub(crate) fn new_state(&self, rows: usize) -> Buffer {
        self.gru.new_state(rows)
    }

    pub(crate) fn new_scratch(&self, rows: usize) -> GruScratch {
        self.gru.new_scratch(rows)
    }

    /// The part of [`TimeMemory::forward`] that depends only on the previous state.
    pub(crate) fn prepare(
        &self,
        kernels: Kernels,
        rows: usize,
        state: &[f32],
        scratch: &mut GruScratch,
    ) {
        self.gru.prepare(kernels, rows, state, scratch);
    }

    /// x: (positions, C), in place; after [`TimeMemory::prepare`].
    pub(crate) fn forward(
        &self,
        kernels: Kernels,
        rows: usize,
        x: &mut [f32],
        state: &mut [f32],
        scratch: &mut GruScratch,
    ) {
        self.gru.forward(kernels, rows, x, state, scratch);
        self.linear.forward(kernels, rows, state, x, true);
    }
}

/// Correction to the lowest bins' filter, from a dedicated GhostGRU over their positions.
pub(crate) struct LowMemory {
    gru: GhostGru,
    out: Packed, // (24 * 2 coefficients, state)
    heard: usize,
    outputs: usize,
}

/// Working memory of [`LowMemory::forward`].
pub(crate) struct LowScratch {
    gru: GruScratch,
    heard: Buffer, // (lowest positions * C | 24 real parts | 24 imaginary parts)
    pub(crate) out: Buffer, // (24, 2 coefficients)
}

impl LowMemory {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        sizes: &Sizes,
    ) -> Result<Self, WeightsError> {
        let (heard, hidden) = (sizes.low_inputs(), sizes.low_hidden);
        let outputs = LOWEST_BINS * 2 * sizes.coefficients();
        let gru = GhostGru::load(weights, &format!("{name}.gru"), heard, hidden, sizes.ratio)?
            .for_one_row();
        let shape = gru.shape;
        let w = weights.take(&format!("{name}.linear.weight"), &[outputs, hidden])?;
        let out = Packed::new(outputs, shape.width(), |o, i| {
            shape.unit(i).map_or(0.0, |i| w.at(&[o, i]))
        })
        .for_one_row();
        Ok(Self { gru, out, heard, outputs })
    }

    pub(crate) fn new_state(&self) -> Buffer {
        self.gru.new_state(1)
    }

    pub(crate) fn new_scratch(&self) -> LowScratch {
        LowScratch {
            gru: self.gru.new_scratch(1),
            heard: Buffer::new(self.heard),
            out: Buffer::new(self.outputs),
        }
    }

    /// The part of [`LowMemory::forward`] that depends only on the previous state.
    pub(crate) fn prepare(&self, kernels: Kernels, state: &[f32], scratch: &mut LowScratch) {
        self.gru.prepare(kernels, 1, state, &mut scratch.gru);
    }

    /// rows: (positions, C), bins: the compressed low band; after [`LowMemory::prepare`]. Leaves its result in the scratch.
    pub(crate) fn forward(
        &self,
        kernels: Kernels,
        rows: &[f32],
        bins: &[Complex32],
        state: &mut [f32],
        scratch: &mut LowScratch,
    ) {
        let LowScratch { gru, heard, out } = scratch;
        let (positions, parts) = heard.split_at_mut(self.heard - 2 * LOWEST_BINS);
        positions.copy_from_slice(&rows[..positions.len()]);
        let (real, imag) = parts.split_at_mut(LOWEST_BINS);
        for ((re, im), bin) in real.iter_mut().zip(imag).zip(bins) {
            (*re, *im) = (bin.re, bin.im);
        }
        self.gru.forward(kernels, 1, heard, state, gru);
        kernels.matmul(&self.out, 1, state, self.gru.shape.width(), out, self.outputs, false);
    }
}

/// A GhostGRU over all positions and the energies of both bands together. It sets the gains of the spectrum's envelope and
/// sends its result to every position.
pub(crate) struct FullBandMemory {
    hear: Packed, // (8, C)
    gru: GhostGru,
    out: Packed,    // (heads * (24 + 24) | positions * 8, state)
    spread: Packed, // (C, 8)
    edges: [usize; LOW_BANDS + 1],
    positions: usize,
    frames: usize, // whose band energies it receives
    gains: usize,
    channels: usize,
}

/// Working memory of [`FullBandMemory::forward`].
pub(crate) struct FullScratch {
    gru: GruScratch,
    heard: Buffer, // (positions * 8 | of each frame 24 low bands, 24 high bands)
    out: Buffer,   // (heads * (24 + 24) | positions * 8)
    gains: usize,
}

impl FullScratch {
    /// Logits of the gains: for each head the low bands, then the high ones.
    pub(crate) fn gains(&self) -> &[f32] {
        &self.out[..self.gains]
    }
}

impl FullBandMemory {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        sizes: &Sizes,
    ) -> Result<Self, WeightsError> {
        let (positions, channels) = (sizes.positions(), sizes.width());
        let (heard, hidden) = (sizes.full_inputs(), sizes.full_hidden);
        let (gains, told) = (sizes.heads * (LOW_BANDS + HIGH_BANDS), positions * HEARD);
        let mut take = |leaf: &str, shape: &[usize]| weights.take(&format!("{name}.{leaf}"), shape);
        let hear = take("hear.weight", &[HEARD, channels])?;
        let gains_weight = take("gains.weight", &[gains, hidden])?;
        let gains_bias = take("gains.bias", &[gains])?;
        let tell = take("tell.weight", &[told, hidden])?;
        let spread = take("spread.weight", &[channels, HEARD])?;
        let spread_bias = take("spread.bias", &[channels])?;
        let gru = GhostGru::load(weights, &format!("{name}.gru"), heard, hidden, sizes.ratio)?
            .for_one_row();
        let shape = gru.shape;
        let weight = |o: usize, i: usize| match o.checked_sub(gains) {
            None => gains_weight.at(&[o, i]),
            Some(o) => tell.at(&[o, i]),
        };
        let out = Packed::new(gains + told, shape.width(), |o, i| {
            shape.unit(i).map_or(0.0, |i| weight(o, i))
        })
        .with_bias(|o| gains_bias.data().get(o).copied().unwrap_or(0.0))
        .for_one_row();
        Ok(Self {
            hear: Packed::new(HEARD, channels, |o, i| hear.at(&[o, i])),
            gru,
            out,
            spread: Packed::new(channels, HEARD, |o, i| spread.at(&[o, i]))
                .with_bias(|o| spread_bias.data()[o]),
            edges: erb_edges(1, LOW_BINS + 1),
            positions,
            frames: 1 + sizes.look_ahead,
            gains,
            channels,
        })
    }

    pub(crate) fn new_state(&self) -> Buffer {
        self.gru.new_state(1)
    }

    pub(crate) fn new_scratch(&self) -> FullScratch {
        let told = self.positions * HEARD;
        FullScratch {
            gru: self.gru.new_scratch(1),
            heard: Buffer::new(told + self.frames * (LOW_BANDS + HIGH_BANDS)),
            out: Buffer::new(self.gains + told),
            gains: self.gains,
        }
    }

    /// The part of [`FullBandMemory::forward`] that depends only on the previous state.
    pub(crate) fn prepare(&self, kernels: Kernels, state: &[f32], scratch: &mut FullScratch) {
        self.gru.prepare(kernels, 1, state, &mut scratch.gru);
    }

    /// Its input from a frame's energies: the compressed low band's, then the features of the high bands.
    pub(crate) fn energies(
        &self,
        low: &[Complex32; LOW_BINS],
        high: &[f32; HIGH_BANDS],
        energies: &mut [f32; LOW_BANDS + HIGH_BANDS],
    ) {
        for (y, edge) in energies.iter_mut().zip(self.edges.windows(2)) {
            let bins = &low[edge[0] - 1..edge[1] - 1];
            let energy: f32 = bins.iter().map(|x| x.norm_sqr()).sum();
            *y = low_band_feature(energy / bins.len() as f32);
        }
        energies[LOW_BANDS..].copy_from_slice(high);
    }

    /// rows: (positions, C), in place, energies: of the filtered frame and those after it; after [`FullBandMemory::prepare`].
    /// Leaves the gains in the scratch.
    pub(crate) fn forward<'a>(
        &self,
        kernels: Kernels,
        rows: &mut [f32],
        energies: impl Iterator<Item = &'a [f32; LOW_BANDS + HIGH_BANDS]>,
        state: &mut [f32],
        scratch: &mut FullScratch,
    ) {
        let FullScratch { gru, heard, out, .. } = scratch;
        let (channels, told) = (self.channels, self.positions * HEARD);
        kernels.matmul(&self.hear, self.positions, rows, channels, heard, HEARD, false);
        let bands = heard[told..].chunks_exact_mut(LOW_BANDS + HIGH_BANDS);
        bands.zip(energies).for_each(|(y, x)| y.copy_from_slice(x));
        self.gru.forward(kernels, 1, heard, state, gru);
        kernels.matmul(&self.out, 1, state, self.gru.shape.width(), out, self.gains + told, false);
        let told = &out[self.gains..];
        kernels.matmul(&self.spread, self.positions, told, HEARD, rows, channels, true);
    }
}

/// A small GRU up and one down the frequency positions of each frame, projected and added.
pub(crate) struct FrequencyMix {
    input: Packed, // (2 * 3 hidden, C)
    scan: PackedScan,
    linear: Linear,
    channels: usize,
}

/// Working memory of [`FrequencyMix::forward`]; nothing in it outlives a frame.
pub(crate) struct MixScratch {
    gates: Buffer, // (positions, 2 * 3 hidden)
    out: Buffer,   // (positions, 2 hidden)
    zero: Buffer,  // (hidden), the state before the first position
}

impl FrequencyMix {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        channels: usize,
        hidden: usize,
    ) -> Result<Self, WeightsError> {
        let mut take = |direction: &str| -> Result<[Tensor; 4], WeightsError> {
            let mut take = |leaf: &str, shape: &[usize]| {
                weights.take(&format!("{name}.{direction}.{leaf}"), shape)
            };
            Ok([
                take("w", &[3 * hidden, channels])?,
                take("b", &[3 * hidden])?,
                take("u", &[3 * hidden, hidden])?,
                take("cn", &[hidden])?,
            ])
        };
        let gru = [take("up")?, take("down")?];
        let width = padded(hidden);
        let row = |o: usize| gate_row(o % (3 * width), width, hidden).map(|r| (o / (3 * width), r));
        let input = Packed::new(6 * width, channels, |o, i| {
            row(o).map_or(0.0, |(d, o)| gru[d][0].at(&[o, i]))
        })
        .with_bias(|o| row(o).map_or(0.0, |(d, o)| gru[d][1].data()[o]));
        let scan = PackedScan::new(
            hidden,
            |d, gate, o, i| gru[d][2].at(&[gate * hidden + o, i]),
            |d, o| gru[d][3].data()[o],
        );
        let unit = |i: usize| (i % width < hidden).then_some(i / width * hidden + i % width);
        let linear = Linear::load_padded(
            weights,
            &format!("{name}.linear"),
            (2 * width, 2 * hidden, unit),
            channels,
        )?;
        Ok(Self { input, scan, linear, channels })
    }

    pub(crate) fn new_scratch(&self, rows: usize) -> MixScratch {
        let width = self.scan.width();
        MixScratch {
            gates: Buffer::new(rows * 6 * width),
            out: Buffer::new(rows * 2 * width),
            zero: Buffer::new(width),
        }
    }

    /// x: (positions, C), in place.
    pub(crate) fn forward(
        &self,
        kernels: Kernels,
        rows: usize,
        x: &mut [f32],
        scratch: &mut MixScratch,
    ) {
        let MixScratch { gates, out, zero } = scratch;
        kernels.matmul(&self.input, rows, x, self.channels, gates, 6 * self.scan.width(), false);
        kernels.scan(&self.scan, rows, gates, out, zero);
        self.linear.forward(kernels, rows, out, x, true);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    /// Numbers about 0, other ones for each seed.
    fn numbers(count: usize, seed: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|i| scale * ((i * 37 + seed * 101) as f32 * 0.7).sin()).collect()
    }

    struct Given(HashMap<&'static str, (Vec<usize>, Vec<f32>)>);

    impl Given {
        fn bytes(&self, sizes: &str) -> Vec<u8> {
            let data: HashMap<_, Vec<u8>> = self
                .0
                .iter()
                .map(|(name, (_, x))| (*name, x.iter().flat_map(|x| x.to_le_bytes()).collect()))
                .collect();
            let views = self.0.iter().map(|(name, (shape, _))| {
                let view = TensorView::new(Dtype::F32, shape.clone(), &data[name]);
                (format!("full_memory.{name}"), view.expect("data of that shape"))
            });
            let metadata = format!(r#"{{"format": 1, "sizes": {sizes}}}"#);
            let metadata = HashMap::from([("wisp".to_owned(), metadata)]);
            safetensors::serialize(views, Some(metadata)).expect("a file")
        }

        /// W x + b; `bias` may be missing.
        fn linear(&self, weight: &str, bias: &str, x: &[f64]) -> Vec<f64> {
            let (shape, w) = &self.0[weight];
            let rows = w.chunks_exact(shape[1]).enumerate();
            rows.map(|(o, row)| {
                let bias = self.0.get(bias).map_or(0.0, |b| f64::from(b.1[o]));
                bias + row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>()
            })
            .collect()
        }
    }

    #[test]
    fn the_memory_of_the_whole_spectrum_equals_its_formulas() {
        let sizes = r#"{"channels": [4, 6], "time_kernel": 2, "mix_hidden": 3, "hidden": 6, "ratio": 3, "blocks": 1,
            "high_positions": 3, "taps": 2, "low_hidden": 0, "full_hidden": 15, "heads": 2}"#;
        let (positions, channels, hidden, m, heads) = (43, 6, 15, 5, 2);
        let inputs = positions * HEARD + LOW_BANDS + HIGH_BANDS;
        let shapes: [(&str, &[usize]); 12] = [
            ("hear.weight", &[HEARD, channels]),
            ("gru.w", &[3 * m, inputs]),
            ("gru.b", &[3 * m]),
            ("gru.u", &[3 * m, hidden]),
            ("gru.cn", &[m]),
            ("gru.g", &[hidden - m, m]),
            ("gru.bg", &[hidden - m]),
            ("gains.weight", &[heads * 48, hidden]),
            ("gains.bias", &[heads * 48]),
            ("tell.weight", &[positions * HEARD, hidden]),
            ("spread.weight", &[channels, HEARD]),
            ("spread.bias", &[channels]),
        ];
        let given = shapes.iter().enumerate().map(|(seed, (name, shape))| {
            let count = shape.iter().product();
            let inputs: usize = shape[1..].iter().product();
            (*name, (shape.to_vec(), numbers(count, seed, 1.5 / (inputs as f32).sqrt())))
        });
        let given = Given(given.collect());
        let bytes = given.bytes(sizes);
        let mut weights = Weights::parse(&bytes).unwrap();
        let sizes = weights.sizes().clone();
        let layer = FullBandMemory::load(&mut weights, "full_memory", &sizes).unwrap();
        weights.finish().unwrap();

        let kernels = Kernels::detect();
        let (mut state, mut scratch) = (layer.new_state(), layer.new_scratch());
        let mut before = vec![0.0f64; hidden];
        for t in 0..5 {
            let rows = numbers(positions * channels, 20 + t, 1.0);
            let parts = numbers(2 * LOW_BINS, 30 + t, 0.5);
            let low: [Complex32; LOW_BINS] =
                std::array::from_fn(|i| Complex32::new(parts[2 * i], parts[2 * i + 1]));
            let high: [f32; HIGH_BANDS] = std::array::from_fn(|i| parts[i] + 0.5);

            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let mut heard = Vec::new();
            for row in wide(&rows).chunks_exact(channels) {
                heard.extend(given.linear("hear.weight", "", row));
            }
            for edge in layer.edges.windows(2) {
                let bins = &low[edge[0] - 1..edge[1] - 1];
                let mean =
                    bins.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>() / bins.len() as f64;
                heard.push((mean + 1e-4).log10() + 2.0);
            }
            heard.extend(wide(&high));
            let (x, s) =
                (given.linear("gru.w", "gru.b", &heard), given.linear("gru.u", "", &before));
            let cn = wide(&given.0["gru.cn"].1);
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let h: Vec<f64> = (0..m)
                .map(|i| {
                    let (r, z) = (sigmoid(x[i] + s[i]), sigmoid(x[m + i] + s[m + i]));
                    let n = (x[2 * m + i] + r * (s[2 * m + i] + cn[i])).tanh();
                    (1.0 - z) * n + z * before[i]
                })
                .collect();
            let ghosts = given.linear("gru.g", "gru.bg", &h);
            before = h.into_iter().chain(ghosts.into_iter().map(f64::tanh)).collect();
            let gains = given.linear("gains.weight", "gains.bias", &before);
            let told = given.linear("tell.weight", "", &before);
            let mut expected = wide(&rows);
            for (row, told) in expected.chunks_exact_mut(channels).zip(told.chunks_exact(HEARD)) {
                let spread = given.linear("spread.weight", "spread.bias", told);
                row.iter_mut().zip(spread).for_each(|(y, x)| *y += x);
            }

            let mut actual = rows.clone();
            layer.prepare(kernels, &state, &mut scratch);
            let mut energies = [0.0; LOW_BANDS + HIGH_BANDS];
            layer.energies(&low, &high, &mut energies);
            let energies = std::iter::once(&energies);
            layer.forward(kernels, &mut actual, energies, &mut state, &mut scratch);
            let close = |a: &[f32], b: &[f64]| {
                a.iter().zip(b).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5)
            };
            assert!(close(&actual, &expected), "frame {t}: rows");
            assert!(close(scratch.gains(), &gains), "frame {t}: gains");
        }
    }
}
