//! The network, frame by frame. Layers are named as in `train/model.py`.
use std::path::Path;

use realfft::num_complex::Complex32;

use super::activation::{band_feature, compress};
use super::conv::{ComplexConv2d, ComplexConvTranspose2d, ConvState};
use super::ghost_gru::{
    FrequencyMix, FullBandMemory, FullScratch, GruScratch, LowMemory, LowScratch, MixScratch,
    TimeMemory,
};
use super::kernels::{Buffer, Kernels, padded};
use super::linear::Linear;
use super::weights::{HEARD, Sizes, Weights};
use super::{HIGH_BANDS, LOW_BANDS, LOW_BINS, LOWEST_BINS};
use crate::dsp::Ring;
use crate::dsp::bands::{between_centres, erb_edges, interpolate};
use crate::error::WeightsError;

/// Built into the binary; a file that does not load fails the tests, so [`crate::Model::bundled`] cannot fail.
pub(crate) static LIVE: &[u8] = include_bytes!("../../bundled/live.safetensors");
pub(crate) static STUDIO: &[u8] = include_bytes!("../../bundled/studio.safetensors");

/// The network's input for a frame.
#[derive(Clone, Debug)]
pub struct Features {
    /// Power-compressed spectrum, bins 1..=160.
    pub low: [Complex32; LOW_BINS],
    /// Log energies of the high bands.
    pub bands: [f32; HIGH_BANDS],
}

impl Default for Features {
    fn default() -> Self {
        Self { low: [Complex32::ZERO; LOW_BINS], bands: [band_feature(0.0); HIGH_BANDS] }
    }
}

/// The network's output for a frame: for each head, a filter of the low band and gains of the high bands.
///
/// Head 0 is for the filtered frame, which is the newest unless the network looks ahead; head 1, if present, is for the
/// previous frame. Both filters count back from the same frame, [`Sizes::taps_ahead`] after the filtered one.
#[derive(Clone, Debug)]
pub struct Mask {
    taps: usize,
    ahead: usize,                    // of the taps
    real: Buffer,                    // (heads, taps, 160)
    imag: Buffer,                    // (heads, taps, 160)
    envelope: Vec<[f32; LOW_BANDS]>, // per head
    gains: Vec<[f32; HIGH_BANDS]>,   // per head
}

impl Mask {
    /// The filter's coefficient of bin `1 + bin` for the frame that `tap` counts back to.
    pub fn coefficient(&self, head: usize, tap: usize, bin: usize) -> Complex32 {
        let (real, imag) = self.tap(head, tap);
        Complex32::new(real[bin], imag[bin])
    }

    /// Sets the mask to pass everything.
    pub(crate) fn pass(&mut self) {
        self.real.fill(0.0);
        self.imag.fill(0.0);
        for head in 0..self.gains.len() {
            let own = head * self.taps + self.ahead + head;
            self.real[own * LOW_BINS..][..LOW_BINS].fill(1.0);
        }
        self.envelope.as_flattened_mut().fill(1.0);
        self.gains.as_flattened_mut().fill(1.0);
    }

    /// Frames that each filter spans.
    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    /// Coefficients (real, imaginary) for the frame that `tap` counts back to, bins 1..=160.
    pub fn tap(&self, head: usize, tap: usize) -> (&[f32], &[f32]) {
        let at = (head * self.taps + tap) * LOW_BINS;
        (&self.real[at..at + LOW_BINS], &self.imag[at..at + LOW_BINS])
    }

    /// Gains of the low bands, 0..=1, already included in the coefficients; 1 if the network has none.
    pub fn envelope(&self, head: usize) -> &[f32; LOW_BANDS] {
        &self.envelope[head]
    }

    /// Gains of the high bands, 0..=1.
    pub fn gains(&self, head: usize) -> &[f32; HIGH_BANDS] {
        &self.gains[head]
    }
}

/// A layer of the network whose output can be traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Complex convolution.
    Encoder(usize),
    /// High band in.
    HighIn,
    /// Mix across frequency.
    Mix(usize),
    /// Memory over time.
    Memory(usize),
    /// Full-band memory.
    FullMemory,
    /// Memory of the lowest bins.
    LowMemory,
    /// Transposed complex convolution.
    Decoder(usize),
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encoder(i) => write!(f, "encoder.{i}"),
            Self::HighIn => write!(f, "high_in"),
            Self::Mix(i) => write!(f, "mix.{i}"),
            Self::Memory(i) => write!(f, "memory.{i}"),
            Self::FullMemory => write!(f, "full_memory"),
            Self::LowMemory => write!(f, "low_memory"),
            Self::Decoder(i) => write!(f, "decoder.{i}"),
        }
    }
}

/// The network's weights, immutable: one set serves any number of engines.
pub struct Dccrn {
    kernels: Kernels,
    sizes: Sizes,
    encoder: Vec<ComplexConv2d>,
    high_in: Linear,
    position: Vec<f32>, // (positions, C)
    mix: Vec<FrequencyMix>,
    memory: Vec<TimeMemory>,
    full_memory: Option<FullBandMemory>,
    low_memory: Option<LowMemory>,
    decoder: Vec<ComplexConvTranspose2d>,
    high_out: Linear,
    spread: Vec<(usize, f32)>, // of the envelope's gains over bins 1..=160
}

impl std::fmt::Debug for Dccrn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dccrn").field("kernels", &self.kernels).field("sizes", &self.sizes).finish()
    }
}

/// The data of a frame that is needed when it is filtered.
#[derive(Clone)]
struct Heard {
    lowest: [Complex32; LOWEST_BINS],
    energies: [f32; LOW_BANDS + HIGH_BANDS],
}

impl Heard {
    const NOTHING: Self =
        Self { lowest: [Complex32::ZERO; LOWEST_BINS], energies: [0.0; LOW_BANDS + HIGH_BANDS] };
}

/// The network's state for one stream, and its working memory.
pub struct DccrnState {
    count: usize,            // frames received, up to the look-ahead
    heard: Ring<Heard>,      // the filtered frame and those after it
    encoder: Vec<ConvState>, // their newest frames are not written yet
    memory: Vec<Buffer>,     // (positions, width)
    full_memory: Option<Buffer>,
    low_memory: Option<Buffer>,
    // Everything below can be recomputed from the above.
    prepared: usize,      // parts of the next frame
    encoded: Buffer,      // (low positions, C): the last encoder's output
    rows: Buffer,         // (positions, C)
    decoded: Vec<Buffer>, // inputs of the decoder, (F + 1, C_in), the last position zero
    output: Buffer,       // (160, 2 coefficients)
    high: Buffer,         // (high positions, heads, their bands)
    gains: Buffer,        // (heads, 24 + 24)
    compression: Buffer,  // (160)
    mix_scratch: Vec<MixScratch>,
    memory_scratch: Vec<GruScratch>,
    full_scratch: Option<FullScratch>,
    low_scratch: Option<LowScratch>,
}

impl Dccrn {
    /// Reads a weights file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        Self::from_bytes(&Weights::read(path)?)
            .map_err(|e| WeightsError::File { path: path.to_owned(), source: Box::new(e) })
    }

    /// Reads a weights file from memory.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        Self::with_kernels(bytes, Kernels::detect())
    }

    pub(crate) fn with_kernels(bytes: &[u8], kernels: Kernels) -> Result<Self, WeightsError> {
        let mut w = Weights::parse(bytes)?;
        let sizes = w.sizes().clone();
        let Sizes { time_kernel, mix_hidden, hidden, ratio, blocks, high_positions, .. } = sizes;
        let channels = sizes.width();

        let inputs = [2].into_iter().chain(sizes.channels.iter().copied());
        let encoder = inputs.zip(&sizes.channels).enumerate().map(|(i, (a, &b))| {
            let frames = time_kernel + sizes.frames_ahead(i);
            ComplexConv2d::load(&mut w, &format!("encoder.{i}"), (a, b), LOW_BINS >> i, frames)
        });
        let encoder = encoder.collect::<Result<_, _>>()?;
        let high_in = Linear::load(&mut w, "high_in", HIGH_BANDS / high_positions, channels)?;
        let position = w.take("position", &[sizes.positions(), channels])?.data().to_vec();
        let mix = (0..blocks)
            .map(|i| FrequencyMix::load(&mut w, &format!("mix.{i}"), channels, mix_hidden))
            .collect::<Result<_, _>>()?;
        let memory = (0..blocks)
            .map(|i| TimeMemory::load(&mut w, &format!("memory.{i}"), channels, hidden, ratio))
            .collect::<Result<_, _>>()?;
        let full_memory = match sizes.full_hidden {
            0 => None,
            _ => Some(FullBandMemory::load(&mut w, "full_memory", &sizes)?),
        };
        let low_memory = match sizes.low_hidden {
            0 => None,
            _ => Some(LowMemory::load(&mut w, "low_memory", &sizes)?),
        };
        let outputs =
            sizes.channels.iter().rev().skip(1).copied().chain([2 * sizes.coefficients()]);
        let layers = sizes.channels.len();
        let decoder = sizes.channels.iter().rev().zip(outputs).enumerate().map(|(i, (&a, b))| {
            let positions = LOW_BINS >> (layers - i);
            ComplexConvTranspose2d::load(
                &mut w,
                &format!("decoder.{i}"),
                (a, b),
                positions,
                i + 1 == layers,
            )
        });
        let decoder = decoder.collect::<Result<_, _>>()?;
        let outputs = sizes.heads * (HIGH_BANDS / high_positions);
        let high_out = Linear::load(&mut w, "high_out", channels, outputs)?;
        w.finish()?;
        Ok(Self {
            kernels,
            sizes,
            encoder,
            high_in,
            position,
            mix,
            memory,
            full_memory,
            low_memory,
            decoder,
            high_out,
            spread: between_centres(
                &erb_edges::<{ LOW_BANDS + 1 }>(1, LOW_BINS + 1),
                1..LOW_BINS + 1,
            ),
        })
    }

    /// The network's sizes.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The layers that [`Dccrn::forward_traced`] traces, in order.
    pub fn layers(&self) -> impl Iterator<Item = Layer> {
        let convolutions = self.encoder.len();
        let full = self.full_memory.is_some().then_some(Layer::FullMemory);
        let bottleneck = (0..self.sizes.blocks).flat_map(move |i| {
            let full = full.filter(|_| i == 0);
            [Layer::Mix(i), Layer::Memory(i)].into_iter().chain(full)
        });
        let encoder = (0..convolutions).map(Layer::Encoder).chain([Layer::HighIn]);
        let low = self.low_memory.is_some().then_some(Layer::LowMemory);
        encoder.chain(bottleneck).chain(low).chain((0..convolutions).map(Layer::Decoder))
    }

    /// Multiply-adds of a layer per frame, by the formulas: no padding, no zeros.
    pub fn multiply_adds(&self, layer: Layer) -> usize {
        let s = &self.sizes;
        let (c, k, h) = (s.width(), s.mix_hidden, s.hidden);
        let m = h / s.ratio;
        // Before each encoder layer and after the last; the decoder runs backwards and ends at the filter instead of bins.
        let channels = |i: usize| if i == 0 { 2 } else { s.channels[i - 1] };
        let encoder = |i: usize| (LOW_BINS >> (i + 1)) * channels(i) * channels(i + 1) * 3;
        match layer {
            Layer::Encoder(i) => encoder(i) * (s.time_kernel + s.frames_ahead(i)),
            Layer::HighIn => HIGH_BANDS * c,
            Layer::Mix(_) => s.positions() * (2 * 3 * k * (c + k) + 2 * k * c),
            Layer::Memory(_) => s.positions() * (3 * m * (c + h) + m * (h - m) + h * c),
            Layer::FullMemory => {
                let (h, m) = (s.full_hidden, s.full_hidden / s.ratio);
                let gru = 3 * m * (s.full_inputs() + h) + m * (h - m);
                let (gains, told) = (s.heads * (LOW_BANDS + HIGH_BANDS), s.positions() * HEARD);
                gru + h * (gains + told) + 2 * told * c
            }
            Layer::LowMemory => {
                let (h, m) = (s.low_hidden, s.low_hidden / s.ratio);
                let gru = 3 * m * (s.low_inputs() + h) + m * (h - m);
                gru + h * LOWEST_BINS * 2 * s.coefficients()
            }
            Layer::Decoder(i) if i + 1 == s.channels.len() => {
                LOW_BINS / 2 * channels(1) * 2 * s.coefficients() * 3
            }
            Layer::Decoder(i) => encoder(s.channels.len() - 1 - i),
        }
    }

    /// The state before the first frame.
    pub fn new_state(&self) -> DccrnState {
        let (positions, channels) = (self.sizes.positions(), self.sizes.width());
        DccrnState {
            count: 0,
            heard: Ring::new(1 + self.sizes.look_ahead, Heard::NOTHING),
            encoder: self
                .encoder
                .iter()
                .enumerate()
                .map(|(i, layer)| layer.new_state(1 + self.ahead(i)))
                .collect(),
            memory: self.memory.iter().map(|l| l.new_state(positions)).collect(),
            full_memory: self.full_memory.as_ref().map(FullBandMemory::new_state),
            low_memory: self.low_memory.as_ref().map(LowMemory::new_state),
            prepared: 0,
            encoded: Buffer::new(self.sizes.low_positions() * channels),
            rows: Buffer::new(positions * channels),
            decoded: self.decoder.iter().map(|l| l.new_input()).collect(),
            output: Buffer::new(LOW_BINS * 2 * self.sizes.coefficients()),
            high: Buffer::new(self.sizes.heads * HIGH_BANDS),
            gains: Buffer::new(self.sizes.heads * (LOW_BANDS + HIGH_BANDS)),
            compression: Buffer::new(padded(LOW_BINS)),
            mix_scratch: self.mix.iter().map(|l| l.new_scratch(positions)).collect(),
            memory_scratch: self.memory.iter().map(|l| l.new_scratch(positions)).collect(),
            full_scratch: self.full_memory.as_ref().map(FullBandMemory::new_scratch),
            low_scratch: self.low_memory.as_ref().map(LowMemory::new_scratch),
        }
    }

    /// A mask that [`Dccrn::forward`] can fill; it lets everything pass.
    pub fn new_mask(&self) -> Mask {
        let Sizes { taps, heads, taps_ahead, .. } = self.sizes;
        let coefficients = Buffer::new(heads * taps * LOW_BINS);
        let mut mask = Mask {
            taps,
            ahead: taps_ahead,
            real: coefficients.clone(),
            imag: coefficients,
            envelope: vec![[1.0; LOW_BANDS]; heads],
            gains: vec![[1.0; HIGH_BANDS]; heads],
        };
        mask.pass();
        mask
    }

    /// Total look-ahead, in frames, of encoder layer `layer` and those after it.
    fn ahead(&self, layer: usize) -> usize {
        (layer..self.encoder.len()).map(|i| self.sizes.frames_ahead(i)).sum()
    }

    /// The features of a frame, from its bins 1..=160 and the mean |X|^2 of each high band.
    pub fn features(
        &self,
        low: &[Complex32; LOW_BINS],
        energies: &[f32; HIGH_BANDS],
        state: &mut DccrnState,
        features: &mut Features,
    ) {
        features.low = *low;
        compress(self.kernels, &mut features.low, &mut state.compression);
        features.bands = energies.map(band_feature);
    }

    /// Number of parts into which [`Dccrn::prepare`] divides its work.
    pub fn parts(&self) -> usize {
        let others = [self.low_memory.is_some(), self.full_memory.is_some()];
        self.encoder.len() + self.memory.len() + others.into_iter().filter(|&there| there).count()
    }

    /// Does the work for the next frame that depends only on earlier ones, until `parts` of the [`Dccrn::parts`] are done.
    /// [`Dccrn::forward`] does the rest: only the timing changes, not the result.
    pub fn prepare(&self, state: &mut DccrnState, parts: usize) {
        let (kernels, positions, layers) =
            (self.kernels, self.sizes.positions(), self.encoder.len());
        let low = layers + self.memory.len();
        let s = state;
        for part in s.prepared..parts.min(self.parts()) {
            if let Some(layer) = self.encoder.get(part) {
                let (before, y) = encoder_output(&mut s.encoder, &mut s.encoded, &self.sizes, part);
                layer.prepare(kernels, before, y);
            } else if part < low {
                let i = part - layers;
                let scratch = &mut s.memory_scratch[i];
                self.memory[i].prepare(kernels, positions, &s.memory[i], scratch);
            } else if let (true, Some((memory, state, scratch))) =
                (part == low, there(&self.low_memory, &mut s.low_memory, &mut s.low_scratch))
            {
                memory.prepare(kernels, state, scratch);
            } else if let Some((memory, state, scratch)) =
                there(&self.full_memory, &mut s.full_memory, &mut s.full_scratch)
            {
                memory.prepare(kernels, state, scratch);
            }
            s.prepared = part + 1;
        }
    }

    /// Takes one frame and computes the mask for the one [`Sizes::look_ahead`] frames earlier. Until there is one, the mask
    /// passes everything.
    pub fn forward(&self, features: &Features, state: &mut DccrnState, mask: &mut Mask) {
        self.forward_traced(features, state, mask, |_, _| ());
    }

    /// Like [`Dccrn::forward`]; `trace` receives each layer's output, (positions, channels). For layers that look ahead, it is
    /// the output for the latest frame for which they have one.
    pub fn forward_traced(
        &self,
        features: &Features,
        state: &mut DccrnState,
        mask: &mut Mask,
        mut trace: impl FnMut(Layer, &[f32]),
    ) {
        self.prepare(state, self.parts());
        let kernels = self.kernels;
        let s = state;
        let (positions, low_positions) = (self.sizes.positions(), self.sizes.low_positions());
        let (channels, layers) = (self.sizes.width(), self.encoder.len());

        let heard = s.heard.turn();
        heard.lowest.copy_from_slice(&features.low[..LOWEST_BINS]);
        match &self.full_memory {
            Some(memory) => memory.energies(&features.low, &features.bands, &mut heard.energies),
            None => heard.energies[LOW_BANDS..].copy_from_slice(&features.bands),
        }
        let bins = s.encoder[0].newest_mut(2).as_chunks_mut::<2>().0;
        for (x, bin) in bins.iter_mut().zip(&features.low) {
            *x = [bin.re, bin.im];
        }
        let count = s.count;
        s.count = (count + 1).min(self.sizes.look_ahead);
        for (i, layer) in self.encoder.iter().enumerate() {
            // A layer has no output until the frames that it looks ahead to have arrived.
            if count + self.ahead(i + 1) < self.sizes.look_ahead {
                s.encoder[..=i].iter_mut().for_each(ConvState::advance);
                s.prepared = 0;
                mask.pass();
                return;
            }
            let (before, y) = encoder_output(&mut s.encoder, &mut s.encoded, &self.sizes, i);
            layer.forward(kernels, before, y);
            trace(Layer::Encoder(i), y);
        }
        let filtered = s.heard.ago(self.sizes.look_ahead);
        let high_bands = &filtered.energies[LOW_BANDS..];

        let (low, high) = s.rows.split_at_mut(low_positions * channels);
        low.copy_from_slice(&s.encoded);
        self.high_in.forward(kernels, self.sizes.high_positions, high_bands, high, false);
        trace(Layer::HighIn, high);
        for (x, p) in s.rows.iter_mut().zip(&self.position) {
            *x += p;
        }
        for i in 0..self.sizes.blocks {
            self.mix[i].forward(kernels, positions, &mut s.rows, &mut s.mix_scratch[i]);
            trace(Layer::Mix(i), &s.rows);
            let scratch = &mut s.memory_scratch[i];
            self.memory[i].forward(kernels, positions, &mut s.rows, &mut s.memory[i], scratch);
            trace(Layer::Memory(i), &s.rows);
            if let (0, Some((memory, state, scratch))) =
                (i, there(&self.full_memory, &mut s.full_memory, &mut s.full_scratch))
            {
                let frames = (0..=self.sizes.look_ahead).rev();
                let energies = frames.map(|ago| &s.heard.ago(ago).energies);
                memory.forward(kernels, &mut s.rows, energies, state, scratch);
                trace(Layer::FullMemory, &s.rows);
            }
        }
        if let Some((memory, state, scratch)) =
            there(&self.low_memory, &mut s.low_memory, &mut s.low_scratch)
        {
            memory.forward(kernels, &s.rows, &filtered.lowest, state, scratch);
            trace(Layer::LowMemory, &scratch.out);
        }
        let (low, high) = s.rows.split_at(low_positions * channels);
        self.high_out.forward(kernels, self.sizes.high_positions, high, &mut s.high, false);

        add(&mut s.decoded[0], low, &s.encoded);
        for (i, layer) in self.decoder.iter().enumerate() {
            let (before, after) = s.decoded.split_at_mut(i + 1);
            let Some(next) = after.first_mut() else {
                layer.forward(kernels, &before[i], &mut s.output);
                trace(Layer::Decoder(i), &s.output);
                break;
            };
            let y = &mut next[..layer.output_len()];
            layer.forward(kernels, &before[i], y);
            trace(Layer::Decoder(i), y);
            let skip = layers - 1 - i;
            let skip = s.encoder[skip].ago(self.ahead(skip), self.sizes.channels[skip - 1]);
            y.iter_mut().zip(skip).for_each(|(y, x)| *y += x);
        }

        if let Some(scratch) = &s.low_scratch {
            s.output.iter_mut().zip(scratch.out.iter()).for_each(|(y, x)| *y += x);
        }
        transpose(&s.output, &mut mask.real, &mut mask.imag);
        kernels.bound(&mut mask.real, &mut mask.imag);
        self.gains(s, mask);
        if self.full_memory.is_some() {
            self.shape(mask);
        }

        s.encoder.iter_mut().for_each(ConvState::advance);
        s.prepared = 0;
    }

    /// The gains of all bands, from the high positions (for their own bands) and the full-band memory (for all).
    fn gains(&self, s: &mut DccrnState, mask: &mut Mask) {
        let heads = self.sizes.heads;
        match &s.full_scratch {
            Some(scratch) => s.gains.copy_from_slice(scratch.gains()),
            None => s.gains.fill(0.0),
        }
        let per_position = HIGH_BANDS / self.sizes.high_positions;
        let all = s.gains.chunks_exact_mut(LOW_BANDS + HIGH_BANDS);
        for (head, gains) in all.enumerate() {
            for (i, gain) in gains[LOW_BANDS..].iter_mut().enumerate() {
                let (position, band) = (i / per_position, i % per_position);
                *gain += s.high[(position * heads + head) * per_position + band];
            }
        }
        self.kernels.sigmoid(&mut s.gains);
        let all = s.gains.chunks_exact(LOW_BANDS + HIGH_BANDS);
        for (gains, (low, high)) in all.zip(mask.envelope.iter_mut().zip(&mut mask.gains)) {
            if self.full_memory.is_some() {
                low.copy_from_slice(&gains[..LOW_BANDS]);
            }
            high.copy_from_slice(&gains[LOW_BANDS..]);
        }
    }

    /// Applies the envelope's gains to the coefficients.
    fn shape(&self, mask: &mut Mask) {
        let mut gains = [0.0; LOW_BINS];
        let coefficients = self.sizes.taps * LOW_BINS;
        let parts =
            mask.real.chunks_exact_mut(coefficients).zip(mask.imag.chunks_exact_mut(coefficients));
        for (envelope, (real, imag)) in mask.envelope.iter().zip(parts) {
            gains.iter_mut().zip(interpolate(&self.spread, envelope)).for_each(|(y, g)| *y = g);
            for tap in real.chunks_exact_mut(LOW_BINS).chain(imag.chunks_exact_mut(LOW_BINS)) {
                tap.iter_mut().zip(&gains).for_each(|(y, g)| *y *= g);
            }
        }
    }
}

/// A layer, its state and its working memory, if the network has it.
fn there<'a, Layer, Scratch>(
    memory: &'a Option<Layer>,
    state: &'a mut Option<Buffer>,
    scratch: &'a mut Option<Scratch>,
) -> Option<(&'a Layer, &'a mut Buffer, &'a mut Scratch)> {
    Some((memory.as_ref()?, state.as_mut()?, scratch.as_mut()?))
}

/// Input and output of encoder layer `i`: its frames, and the newest frame of the next layer.
fn encoder_output<'a>(
    frames: &'a mut [ConvState],
    encoded: &'a mut Buffer,
    sizes: &Sizes,
    i: usize,
) -> (&'a ConvState, &'a mut [f32]) {
    let (before, after) = frames.split_at_mut(i + 1);
    let y = match after.first_mut() {
        Some(next) => next.newest_mut(sizes.channels[i]),
        None => encoded,
    };
    (&before[i], y)
}

/// The last decoder's output, (160, real coefficients | imaginary ones) -> planes of 160 bins; four by four, which compiles to
/// shuffles of vectors.
fn transpose(x: &[f32], real: &mut [f32], imag: &mut [f32]) {
    const SIDE: usize = 4;
    let coefficients = x.len() / (2 * LOW_BINS);
    for (block, rows) in x.chunks_exact(SIDE * 2 * coefficients).enumerate() {
        let bins = block * SIDE..(block + 1) * SIDE;
        for (part, planes) in [&mut *real, &mut *imag].into_iter().enumerate() {
            let row = |bin: usize| &rows[(2 * bin + part) * coefficients..][..coefficients];
            let rows: [&[f32]; SIDE] = std::array::from_fn(row);
            let tiles = rows.map(|row| row.as_chunks::<SIDE>().0);
            let mut planes =
                planes.chunks_exact_mut(LOW_BINS).map(|plane| &mut plane[bins.clone()]);
            for tile in 0..coefficients / SIDE {
                let tile = tiles.map(|tiles| tiles[tile]);
                for (k, plane) in planes.by_ref().take(SIDE).enumerate() {
                    plane.copy_from_slice(&tile.map(|row| row[k]));
                }
            }
            for (k, plane) in (coefficients / SIDE * SIDE..).zip(planes) {
                plane.copy_from_slice(&rows.map(|row| row[k]));
            }
        }
    }
}

/// y = a + b; `y` may be longer.
fn add(y: &mut [f32], a: &[f32], b: &[f32]) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = a + b;
    }
}

impl DccrnState {
    /// Returns to the initial state, without allocating.
    pub fn reset(&mut self) {
        self.count = 0;
        self.encoder.iter_mut().for_each(ConvState::reset);
        let others = self.low_memory.iter_mut().chain(&mut self.full_memory);
        self.memory.iter_mut().chain(others).for_each(|m| m.fill(0.0));
        self.prepared = 0;
    }

    /// Copies another state of the same network, without allocating.
    pub fn copy_from(&mut self, other: &Self) {
        self.count = other.count;
        self.heard.copy_from(&other.heard, Heard::clone_from);
        for (a, b) in self.encoder.iter_mut().zip(&other.encoder) {
            a.copy_from(b);
        }
        let others = self.low_memory.iter_mut().chain(&mut self.full_memory);
        let theirs = other.low_memory.iter().chain(&other.full_memory);
        for (a, b) in self.memory.iter_mut().chain(others).zip(other.memory.iter().chain(theirs)) {
            a.copy_from_slice(b);
        }
        self.prepared = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features of frame `t` of a changing signal.
    fn features(t: usize) -> Features {
        let wave = |i: usize| ((t * 37 + i * 11) as f32 * 0.13).sin();
        Features {
            low: std::array::from_fn(|i| Complex32::new(wave(i), wave(i + 500))),
            bands: std::array::from_fn(|i| 0.5 + wave(i + 900)),
        }
    }

    /// All outputs of the network for `frames` frames; `parts` of each are prepared.
    fn outputs(network: &Dccrn, frames: usize, parts: impl Fn(usize) -> usize) -> Vec<f32> {
        let (mut state, mut mask) = (network.new_state(), network.new_mask());
        let mut all = Vec::new();
        for t in 0..frames {
            network.prepare(&mut state, parts(t));
            network.forward(&features(t), &mut state, &mut mask);
            all.extend(mask.real.iter().chain(mask.imag.iter()).chain(mask.gains.as_flattened()));
        }
        all
    }

    #[test]
    fn every_instruction_set_gives_the_plain_result() {
        let run = |kernels| {
            let network = Dccrn::with_kernels(LIVE, kernels).expect("the bundled weights");
            outputs(&network, 100, |_| 0)
        };
        let plain = run(Kernels::PLAIN);
        for kernels in Kernels::available() {
            let ours = run(kernels);
            let worst = ours.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{kernels:?}: max abs difference {worst:.1e}");
            assert!(worst < 1e-4, "{kernels:?}: max abs difference {worst:.1e}");
        }
    }

    #[test]
    fn what_is_prepared_when_changes_no_bit() {
        let network = Dccrn::from_bytes(LIVE).expect("the bundled weights");
        let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let expected = bits(outputs(&network, 20, |_| 0));
        assert!(bits(outputs(&network, 20, |_| usize::MAX)) == expected);
        assert!(bits(outputs(&network, 20, |t| t % (network.parts() + 2))) == expected);
    }

    #[test]
    fn multiply_adds_are_counted() {
        let network = Dccrn::from_bytes(LIVE).expect("the bundled weights");
        let (sizes, names) = (network.sizes(), network.layers().map(|l| l.to_string()));
        let others = usize::from(sizes.low_hidden > 0) + usize::from(sizes.full_hidden > 0);
        assert_eq!(names.count(), 2 * sizes.channels.len() + 1 + 2 * sizes.blocks + others);
        let first = 80 * 2 * sizes.channels[0] * 3;
        assert_eq!(network.multiply_adds(Layer::Encoder(0)), first * sizes.time_kernel);
        let last = Layer::Decoder(sizes.channels.len() - 1);
        assert_eq!(network.multiply_adds(last), first * sizes.coefficients());
    }
}
