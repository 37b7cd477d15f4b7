//! Writes FLAC, block by block, with flacenc.
use std::io::{self, Seek, SeekFrom, Write};

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use crate::cli::error::Error;
use crate::cli::metadata::Metadata;
use crate::cli::wav::{Depth, Quantizer, WavSpec, Way, format_chunk};

/// Samples per channel in a block.
const BLOCK: usize = 4096;
/// Largest metadata block, bytes.
const LARGEST: usize = (1 << 24) - 1;
/// Highest rate that flacenc accepts; above it, blocks take the rate from the file's header.
const HIGHEST_RATE: u32 = 96_000;
const RATE_WITHOUT_FORM: usize = 65_537;

/// The nearest bit depth that FLAC supports.
pub(crate) fn depth(depth: Depth) -> Depth {
    match depth {
        Depth::U8 | Depth::I16 | Depth::I24 => depth,
        Depth::I32 | Depth::F32 => Depth::I24,
    }
}

/// Whether FLAC supports this number of channels and this rate.
pub(crate) fn check(spec: &WavSpec) -> Result<(), Error> {
    match *spec {
        WavSpec { channels, .. } if channels > 8 => Err(Error::FlacChannels { channels }),
        WavSpec { rate, .. } if rate > 655_350 => Err(Error::FlacRate { rate }),
        _ => Ok(()),
    }
}

/// Streams samples; [`FlacWriter::finish`] completes the header.
pub(crate) struct FlacWriter<W> {
    inner: W,
    way: Way,
    spec: WavSpec,
    config: Verified<config::Encoder>,
    info: StreamInfo,
    block: FrameBuf,
    sums: Context,
    samples: Quantizer,
    /// Interleaved, less than a block.
    pending: Vec<i32>,
    blocks: usize,
    /// Bytes of the smallest and the largest block.
    sizes: (u32, u32),
}

impl<W: Write + Seek> FlacWriter<W> {
    /// `frames` is the length if known; a stream must declare it at the start.
    pub(crate) fn new(
        mut inner: W,
        way: Way,
        spec: WavSpec,
        frames: Option<u64>,
        metadata: &Metadata,
    ) -> io::Result<Self> {
        let channels = usize::from(spec.channels);
        let bits = usize::from(spec.depth.bits());
        let rate = if spec.rate > HIGHEST_RATE { RATE_WITHOUT_FORM } else { spec.rate as usize };
        let mut blocks = vec![
            (0, stream_info(&spec, frames.unwrap_or(0), (0, 0), [0; 16])),
            (4, comments(&metadata.as_tags())),
        ];
        let sound = frames.unwrap_or(0).saturating_mul(spec.frame_bytes());
        for chunk in metadata.as_foreign(&format_chunk(&spec), sound) {
            blocks.push((2, [b"riff".to_vec(), chunk].concat()));
        }
        blocks.retain(|(_, data)| data.len() <= LARGEST);
        inner.write_all(b"fLaC")?;
        let last = blocks.len() - 1;
        for (i, (kind, data)) in blocks.into_iter().enumerate() {
            let [_, size @ ..] = (data.len() as u32).to_be_bytes();
            inner.write_all(&[kind | if i == last { 0x80 } else { 0 }])?;
            inner.write_all(&size)?;
            inner.write_all(&data)?;
        }
        Ok(Self {
            inner,
            way,
            spec,
            config: config::Encoder::default().into_verified().map_err(|(_, e)| other(e))?,
            info: StreamInfo::new(rate, channels, bits).map_err(other)?,
            block: FrameBuf::with_size(channels, BLOCK).map_err(other)?,
            sums: Context::new(bits, channels),
            samples: Quantizer::new(spec.depth),
            pending: Vec::with_capacity(2 * BLOCK * channels),
            blocks: 0,
            sizes: (u32::MAX, 0),
        })
    }

    /// Samples that did not fit so far.
    pub(crate) fn clipped(&self) -> u64 {
        self.samples.clipped()
    }

    /// One slice per channel, equal lengths.
    pub(crate) fn write(&mut self, planes: &[&[f32]]) -> io::Result<()> {
        for i in 0..planes.first().map_or(0, |plane| plane.len()) {
            for plane in planes {
                self.pending.push(self.samples.quantize(plane[i]));
            }
        }
        let whole = BLOCK * planes.len();
        while self.pending.len() >= whole {
            self.encode(whole)?;
        }
        Ok(())
    }

    fn encode(&mut self, count: usize) -> io::Result<()> {
        let samples = &self.pending[..count];
        self.block.fill_interleaved(samples).map_err(other)?;
        self.sums.fill_interleaved(samples).map_err(other)?;
        let frame =
            flacenc::encode_fixed_size_frame(&self.config, &self.block, self.blocks, &self.info);
        let mut bits = ByteSink::new();
        frame.map_err(other)?.write(&mut bits).map_err(other)?;
        let bytes = bits.as_slice();
        self.inner.write_all(bytes)?;
        let size = bytes.len() as u32;
        self.sizes = (self.sizes.0.min(size), self.sizes.1.max(size));
        self.blocks += 1;
        self.pending.drain(..count);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// Completes the header and returns the file.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.pending.is_empty() {
            self.encode(self.pending.len())?;
        }
        if self.way == Way::File {
            let frames = self.sums.total_samples() as u64;
            self.inner.seek(SeekFrom::Start(8))?;
            let sum = self.sums.md5_digest();
            self.inner.write_all(&stream_info(&self.spec, frames, self.sizes, sum))?;
        }
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// The first metadata block (RFC 9639, 8.2).
fn stream_info(spec: &WavSpec, frames: u64, sizes: (u32, u32), sum: [u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(34);
    out.extend((BLOCK as u16).to_be_bytes());
    out.extend((BLOCK as u16).to_be_bytes());
    for size in [sizes.0, sizes.1] {
        // Three bytes, 0 if unknown.
        let size = if size > LARGEST as u32 { 0 } else { size };
        out.extend(&size.to_be_bytes()[1..]);
    }
    // 36 bits, 0 if unknown.
    let frames = if frames >> 36 == 0 { frames } else { 0 };
    let packed = u64::from(spec.rate) << 44
        | u64::from(spec.channels - 1) << 41
        | u64::from(spec.depth.bits() - 1) << 36
        | frames;
    out.extend(packed.to_be_bytes());
    out.extend(sum);
    out
}

/// Vorbis comments.
fn comments(tags: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |text: &str| {
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    };
    put(concat!("Wisp ", env!("CARGO_PKG_VERSION")));
    let lines = tags.iter().map(|(name, value)| format!("{}={value}", name.replace('=', "_")));
    let lines: Vec<String> = lines.collect();
    let mut body = Vec::new();
    body.extend((lines.len() as u32).to_le_bytes());
    for line in &lines {
        body.extend((line.len() as u32).to_le_bytes());
        body.extend(line.as_bytes());
    }
    out.extend(body);
    out
}

fn other(error: impl std::error::Error) -> io::Error {
    io::Error::other(format!("FLAC: {error}"))
}
