//! Reads and checks the weights file.
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;

use crate::error::WeightsError;

use super::{HIGH_BANDS, LOW_BANDS, LOW_BINS, LOWEST_BINS};

/// The format of the file that this version reads.
pub const FORMAT: u32 = 1;
/// Larger files are rejected unread.
const MAX_BYTES: usize = 64 << 20;
/// Numbers that the full-band memory and a position send each other.
pub(crate) const HEARD: usize = 8;

/// Everything that determines the shapes of the weights.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sizes {
    /// Real channels after each encoder layer.
    pub channels: Vec<usize>,
    /// Input frames of an encoder layer, without look-ahead.
    pub time_kernel: usize,
    /// Hidden units per direction of the mix across frequency.
    pub mix_hidden: usize,
    /// Units of the recurrence over time.
    pub hidden: usize,
    /// Hidden per intrinsic units; 1 is a plain GRU.
    pub ratio: usize,
    /// Dual-path blocks.
    pub blocks: usize,
    /// Frequency positions that carry the high band.
    pub high_positions: usize,
    /// Frames in the complex filter of the low band.
    pub taps: usize,
    /// Units of the memory for the lowest bins; 0, the default in files without it: none.
    #[serde(default)]
    pub low_hidden: usize,
    /// Units of the full-band memory, which sets the envelope; 0, the default in files without it: none.
    #[serde(default)]
    pub full_hidden: usize,
    /// Filters per frame; 1 by default in files without it. The second is for the previous frame, now that the newest has
    /// arrived.
    #[serde(default = "one")]
    pub heads: usize,
    /// Frames of look-ahead past the filtered one, each adding 10 ms of latency; 0 by default in files without it.
    #[serde(default)]
    pub look_ahead: usize,
    /// How many of the taps are for frames after the filtered one; 0 by default in files without it.
    #[serde(default)]
    pub taps_ahead: usize,
}

fn one() -> usize {
    1
}

impl Sizes {
    /// Positions that carry the low band.
    pub fn low_positions(&self) -> usize {
        LOW_BINS >> self.channels.len()
    }

    /// All positions.
    pub fn positions(&self) -> usize {
        self.low_positions() + self.high_positions
    }

    /// Positions that carry the lowest bins.
    pub(crate) fn lowest_positions(&self) -> usize {
        LOWEST_BINS >> self.channels.len()
    }

    /// Inputs of the memory for the lowest bins: their positions' channels, and the bins themselves.
    pub(crate) fn low_inputs(&self) -> usize {
        self.lowest_positions() * self.width() + 2 * LOWEST_BINS
    }

    /// Inputs of the full-band memory: [`HEARD`] numbers from each position, and the energies of all bands in the filtered
    /// frame and those after it.
    pub(crate) fn full_inputs(&self) -> usize {
        self.positions() * HEARD + (1 + self.look_ahead) * (LOW_BANDS + HIGH_BANDS)
    }

    /// How many frames ahead the kernel of an encoder layer reaches: the first layers take the larger shares.
    pub(crate) fn frames_ahead(&self, layer: usize) -> usize {
        let layers = self.channels.len();
        self.look_ahead / layers + usize::from(layer < self.look_ahead % layers)
    }

    /// Complex coefficients of each bin of the low band: the taps of every head.
    pub fn coefficients(&self) -> usize {
        self.heads * self.taps
    }

    /// Channels at the bottleneck.
    pub(crate) fn width(&self) -> usize {
        self.channels.last().copied().unwrap_or(2)
    }

    fn check(&self) -> Result<(), WeightsError> {
        let check = |ok: bool, name, actual, expected| {
            if ok { Ok(()) } else { Err(WeightsError::Size { name, expected, actual }) }
        };
        let layers = self.channels.len();
        check((1..=5).contains(&layers), "channels.len()", layers, "1 to 5")?;
        for &c in &self.channels {
            check((2..=512).contains(&c) && c % 2 == 0, "channels", c, "even, 2 to 512")?;
        }
        let within = |max, name, actual, expected| {
            check((1..=max).contains(&actual), name, actual, expected)
        };
        within(8, "time_kernel", self.time_kernel, "1 to 8")?;
        within(512, "mix_hidden", self.mix_hidden, "1 to 512")?;
        within(1024, "hidden", self.hidden, "1 to 1024")?;
        check(
            self.ratio >= 1 && self.hidden.is_multiple_of(self.ratio),
            "ratio",
            self.ratio,
            "a divisor of `hidden`",
        )?;
        within(8, "blocks", self.blocks, "1 to 8")?;
        check(
            self.high_positions >= 1 && HIGH_BANDS.is_multiple_of(self.high_positions),
            "high_positions",
            self.high_positions,
            "a divisor of 24",
        )?;
        within(16, "taps", self.taps, "1 to 16")?;
        check(
            self.low_hidden <= 1024 && self.low_hidden.is_multiple_of(self.ratio),
            "low_hidden",
            self.low_hidden,
            "a multiple of `ratio`, at most 1024",
        )?;
        check(
            self.full_hidden <= 1024 && self.full_hidden.is_multiple_of(self.ratio),
            "full_hidden",
            self.full_hidden,
            "a multiple of `ratio`, at most 1024",
        )?;
        check((1..=2).contains(&self.heads), "heads", self.heads, "1 or 2")?;
        check(self.look_ahead <= 8, "look_ahead", self.look_ahead, "at most 8")?;
        check(
            self.taps_ahead <= self.look_ahead,
            "taps_ahead",
            self.taps_ahead,
            "at most `look_ahead`",
        )?;
        let own = self.taps_ahead + self.heads;
        check(self.taps >= own, "taps", self.taps, "one or more for each head's own frame")
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Deserialize)]
struct Meta {
    sizes: Sizes,
}

/// A tensor taken from the file, row-major.
#[derive(Debug)]
pub(crate) struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// The element at `index`, one number per dimension.
    pub(crate) fn at(&self, index: &[usize]) -> f32 {
        debug_assert!(
            index.len() == self.shape.len() && index.iter().zip(&self.shape).all(|(i, n)| i < n)
        );
        self.data[index.iter().zip(&self.shape).fold(0, |at, (i, n)| at * n + i)]
    }

    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }
}

/// A parsed file from which each layer takes its tensors.
pub(crate) struct Weights<'a> {
    sizes: Sizes,
    tensors: SafeTensors<'a>,
    taken: HashSet<String>,
}

impl<'a> Weights<'a> {
    /// The bytes of a file that is not too large.
    pub(crate) fn read(path: &Path) -> Result<Vec<u8>, WeightsError> {
        let failed = |source| WeightsError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        // Reads one byte more than allowed, because the system's file length may be wrong.
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        if bytes.len() > MAX_BYTES {
            return Err(WeightsError::TooLarge { expected: MAX_BYTES, actual: bytes.len() });
        }
        check_offsets(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(WeightsError::format)?;
        let entry = header.metadata().as_ref().and_then(|m| m.get("wisp"));
        let entry = entry.ok_or(WeightsError::NoMetadata)?;
        let Version { format } = serde_json::from_str(entry).map_err(WeightsError::metadata)?;
        if format != FORMAT {
            return Err(WeightsError::Version { expected: FORMAT, actual: format });
        }
        let Meta { sizes } = serde_json::from_str(entry).map_err(WeightsError::metadata)?;
        sizes.check()?;
        let tensors = SafeTensors::deserialize(bytes).map_err(WeightsError::format)?;
        Ok(Self { sizes, tensors, taken: HashSet::new() })
    }

    pub(crate) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The tensor `name`, which must have this shape and be finite.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let view = match self.tensors.tensor(name) {
            Ok(view) => view,
            Err(SafeTensorError::TensorNotFound(_)) => {
                return Err(WeightsError::Missing(name.to_owned()));
            }
            Err(error) => return Err(WeightsError::format(error)),
        };
        if view.dtype() != Dtype::F32 {
            let actual = format!("{:?}", view.dtype());
            return Err(WeightsError::Type { name: name.to_owned(), actual });
        }
        if view.shape() != shape {
            let (expected, actual) = (shape.to_vec(), view.shape().to_vec());
            return Err(WeightsError::Shape { name: name.to_owned(), expected, actual });
        }
        let (words, _) = view.data().as_chunks::<4>();
        let data: Vec<f32> = words.iter().map(|&b| f32::from_le_bytes(b)).collect();
        if let Some(index) = data.iter().position(|x| !x.is_finite()) {
            return Err(WeightsError::NotFinite {
                name: name.to_owned(),
                index,
                value: data[index],
            });
        }
        self.taken.insert(name.to_owned());
        Ok(Tensor { shape: shape.to_vec(), data })
    }

    /// Checks that every tensor has been taken.
    pub(crate) fn finish(self) -> Result<(), WeightsError> {
        let mut left: Vec<String> = self
            .tensors
            .iter()
            .map(|(name, _)| name.to_owned())
            .filter(|n| !self.taken.contains(n))
            .collect();
        left.sort();
        if left.is_empty() { Ok(()) } else { Err(WeightsError::LeftOver(left)) }
    }
}

/// safetensors 0.8 adds the offsets of a header without an overflow check, so offsets outside the file are rejected here.
/// Unreadable headers are left to safetensors.
fn check_offsets(bytes: &[u8]) -> Result<(), WeightsError> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Ok(()) };
    let Some(header) =
        usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|n| rest.get(..n))
    else {
        return Ok(());
    };
    let Ok(entries) = serde_json::from_slice::<HashMap<String, serde_json::Value>>(header) else {
        return Ok(());
    };
    for (name, value) in entries {
        let offsets = value.get("data_offsets").and_then(|o| o.as_array());
        for end in offsets.into_iter().flatten().filter_map(|o| o.as_u64()) {
            if end > bytes.len() as u64 {
                return Err(WeightsError::Offsets { name, end, len: bytes.len() });
            }
        }
    }
    Ok(())
}
