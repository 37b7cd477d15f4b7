//! Writes WAV, streamed; becomes RF64 (EBU Tech 3306) beyond 4 GiB. hound has neither RF64 nor channel masks.
use std::io::{self, Seek, SeekFrom, Write};

use clap::ValueEnum;

use crate::cli::metadata::{Chunk, Metadata};

/// Sample formats of a WAV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Depth {
    #[value(name = "8")]
    U8,
    #[value(name = "16")]
    I16,
    #[value(name = "24")]
    I24,
    #[value(name = "32")]
    I32,
    #[value(name = "float")]
    F32,
}

impl Depth {
    pub(crate) fn bits(self) -> u16 {
        match self {
            Self::U8 => 8,
            Self::I16 => 16,
            Self::I24 => 24,
            Self::I32 | Self::F32 => 32,
        }
    }

    fn bytes(self) -> usize {
        usize::from(self.bits() / 8)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U8 => "8-bit",
            Self::I16 => "16-bit",
            Self::I24 => "24-bit",
            Self::I32 => "32-bit",
            Self::F32 => "float",
        }
    }
}

/// The contents of a WAV header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WavSpec {
    pub(crate) rate: u32,
    pub(crate) channels: u16,
    pub(crate) depth: Depth,
    /// WAV speaker positions, 0 if unknown.
    pub(crate) mask: u32,
}

impl WavSpec {
    /// Bytes per frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.depth.bytes() as u64 * u64::from(self.channels)
    }
}

/// The largest 32-bit length, with room for chunks after the audio of a stream.
const PLAIN_LIMIT: u64 = u32::MAX as u64 - 4096;
const ROOM_BEHIND: u64 = 128 << 20;
const GUID_TAIL: [u8; 14] =
    [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71];

/// Samples as bytes, interleaved.
pub(crate) struct Quantizer {
    depth: Depth,
    clipped: u64,
    bytes: Vec<u8>,
}

impl Quantizer {
    pub(crate) fn new(depth: Depth) -> Self {
        Self { depth, clipped: 0, bytes: Vec::new() }
    }

    /// Samples that did not fit an integer format so far.
    pub(crate) fn clipped(&self) -> u64 {
        self.clipped
    }

    /// One slice per channel, equal lengths.
    pub(crate) fn bytes(&mut self, planes: &[&[f32]]) -> &[u8] {
        self.bytes.clear();
        let frames = planes.first().map_or(0, |plane| plane.len());
        for i in 0..frames {
            for plane in planes {
                self.push(plane[i]);
            }
        }
        &self.bytes
    }

    fn push(&mut self, x: f32) {
        match self.depth {
            Depth::U8 => {
                let byte = (self.quantize(x) + 128) as u8;
                self.bytes.push(byte);
            }
            Depth::I16 => {
                let sample = self.quantize(x) as i16;
                self.bytes.extend(sample.to_le_bytes());
            }
            Depth::I24 => {
                let sample = self.quantize(x);
                self.bytes.extend(&sample.to_le_bytes()[..3]);
            }
            Depth::I32 => {
                let sample = self.quantize(x);
                self.bytes.extend(sample.to_le_bytes());
            }
            Depth::F32 => self.bytes.extend(x.to_le_bytes()),
        }
    }

    /// Rounded, not dithered: silence stays silence, and an unchanged sample is restored exactly.
    pub(crate) fn quantize(&mut self, x: f32) -> i32 {
        let scale = (1u64 << (self.depth.bits() - 1)) as f64;
        let y = (f64::from(x) * scale).round();
        // Full scale is one step too high; this alone is not worth a warning.
        self.clipped += u64::from(y > scale || y < -scale);
        y.clamp(-scale, scale - 1.0) as i32
    }
}

/// The output, and whether it can seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    File,
    Stream {
        /// Chunks may still follow.
        more: bool,
    },
}

/// Streams interleaved samples; [`WavWriter::finish`] completes the header.
pub(crate) struct WavWriter<W> {
    inner: W,
    way: Way,
    spec: WavSpec,
    samples: Quantizer,
    /// Position of the data chunk's size.
    size_at: u64,
    /// Position of the length in frames, which all formats except integers have.
    fact_at: Option<u64>,
    /// A chunk is reserved for RF64's 64-bit sizes.
    room_for_rf64: bool,
    /// A stream declared its length.
    length_told: bool,
    data_bytes: u64,
}

impl<W: Write + Seek> WavWriter<W> {
    /// `frames` is the expected length; if it is unknown or long, room is left for RF64.
    pub(crate) fn new(
        mut inner: W,
        way: Way,
        spec: WavSpec,
        frames: Option<u64>,
        metadata: &Metadata,
    ) -> io::Result<Self> {
        let frame_bytes = spec.frame_bytes();
        let behind = Chunk::put_all(&metadata.after).len() as u64;
        let data = frames.map(|frames| frames.saturating_mul(frame_bytes));
        let room_for_rf64 = data.is_none_or(|data| data > PLAIN_LIMIT - ROOM_BEHIND);
        let mut header = Vec::with_capacity(128);
        header.extend(b"RIFF\0\0\0\0WAVE");
        if room_for_rf64 {
            header.extend(b"JUNK");
            header.extend(28u32.to_le_bytes());
            header.extend([0; 28]);
        }
        header.extend(Chunk::put_all(&metadata.first));
        header.extend(format_chunk(&spec));
        let fact_at = (spec.depth == Depth::F32).then(|| {
            header.extend(b"fact");
            header.extend(4u32.to_le_bytes());
            header.extend([0; 4]);
            header.len() as u64 - 4
        });
        header.extend(Chunk::put_all(&metadata.before));
        header.extend(b"data");
        let size_at = header.len() as u64;
        header.extend([0; 4]);
        if let Way::Stream { more } = way {
            // Values that cannot be filled in later are written now, as far as known.
            let known = data.map(|data| (data, size_at + 4 + data + data % 2 + behind));
            let mut head = io::Cursor::new(&mut header);
            let sizes = Sizes { size_at, fact_at, frame_bytes, room_for_rf64 };
            match known {
                Some((data, end)) if !more || data > PLAIN_LIMIT => {
                    sizes.put(&mut head, data, end)?
                }
                Some((data, _)) => sizes.put(&mut head, data, u64::from(u32::MAX) + 8)?,
                None => {
                    sizes.put(&mut head, 0, u64::from(u32::MAX) + 8)?;
                    head.set_position(size_at);
                    head.write_all(&[0xff; 4])?;
                }
            }
        }
        inner.write_all(&header)?;
        Ok(Self {
            inner,
            way,
            spec,
            samples: Quantizer::new(spec.depth),
            size_at,
            fact_at,
            room_for_rf64,
            length_told: data.is_some(),
            data_bytes: 0,
        })
    }

    /// Samples that did not fit an integer format so far.
    pub(crate) fn clipped(&self) -> u64 {
        self.samples.clipped()
    }

    /// One slice per channel, equal lengths.
    pub(crate) fn write(&mut self, planes: &[&[f32]]) -> io::Result<()> {
        let bytes = self.samples.bytes(planes);
        self.data_bytes += bytes.len() as u64;
        if self.data_bytes > PLAIN_LIMIT && !self.room_for_rf64 {
            return Err(io::Error::other(
                "the audio is longer than its header said, and over 4 GiB",
            ));
        }
        self.inner.write_all(bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// Whether chunks can follow the audio: not in a stream of unknown length.
    pub(crate) fn takes_chunks(&self) -> bool {
        self.way == Way::File || self.length_told
    }

    /// Appends the chunks, completes the header and returns the file.
    pub(crate) fn finish(mut self, after: &[Chunk]) -> io::Result<W> {
        if !self.data_bytes.is_multiple_of(2) && self.takes_chunks() {
            self.inner.write_all(&[0])?;
        }
        if self.takes_chunks() {
            self.inner.write_all(&Chunk::put_all(after))?;
        }
        if self.way == Way::File {
            let end = self.inner.stream_position()?;
            let sizes = Sizes {
                size_at: self.size_at,
                fact_at: self.fact_at,
                frame_bytes: self.spec.frame_bytes(),
                room_for_rf64: self.room_for_rf64,
            };
            sizes.put(&mut self.inner, self.data_bytes, end)?;
        }
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// Positions of lengths in a header.
struct Sizes {
    size_at: u64,
    fact_at: Option<u64>,
    frame_bytes: u64,
    room_for_rf64: bool,
}

impl Sizes {
    /// Fills in the sizes of a file that ends at `end`.
    fn put<W: Write + Seek>(&self, out: &mut W, data: u64, end: u64) -> io::Result<()> {
        out.seek(SeekFrom::Start(0))?;
        if self.room_for_rf64 && (data > PLAIN_LIMIT || end > u64::from(u32::MAX) + 8) {
            out.write_all(b"RF64\xff\xff\xff\xffWAVEds64")?;
            out.write_all(&28u32.to_le_bytes())?;
            out.write_all(&(end - 8).to_le_bytes())?;
            out.write_all(&data.to_le_bytes())?;
            out.write_all(&(data / self.frame_bytes).to_le_bytes())?;
            out.write_all(&[0; 4])?;
            out.seek(SeekFrom::Start(self.size_at))?;
            out.write_all(&[0xff; 4])?;
        } else {
            out.write_all(b"RIFF")?;
            out.write_all(&u32::try_from(end - 8).unwrap_or(u32::MAX).to_le_bytes())?;
            out.seek(SeekFrom::Start(self.size_at))?;
            out.write_all(&(data as u32).to_le_bytes())?;
        }
        if let Some(fact_at) = self.fact_at {
            let frames = u32::try_from(data / self.frame_bytes).unwrap_or(u32::MAX);
            out.seek(SeekFrom::Start(fact_at))?;
            out.write_all(&frames.to_le_bytes())?;
        }
        Ok(())
    }
}

/// The `fmt ` chunk, including its header.
pub(crate) fn format_chunk(spec: &WavSpec) -> Vec<u8> {
    let code: u16 = if spec.depth == Depth::F32 { 3 } else { 1 };
    // As Microsoft requires; the oldest readers only know the short form.
    let extensible = spec.channels > 2 || matches!(spec.depth, Depth::I24 | Depth::I32);
    let frame_bytes = spec.depth.bytes() as u16 * spec.channels;
    let mut chunk = Vec::with_capacity(48);
    chunk.extend(b"fmt ");
    let size: u32 = match (extensible, spec.depth) {
        (true, _) => 40,
        (false, Depth::F32) => 18,
        (false, _) => 16,
    };
    chunk.extend(size.to_le_bytes());
    chunk.extend((if extensible { 0xfffe } else { code }).to_le_bytes());
    chunk.extend(spec.channels.to_le_bytes());
    chunk.extend(spec.rate.to_le_bytes());
    chunk.extend(spec.rate.wrapping_mul(u32::from(frame_bytes)).to_le_bytes());
    chunk.extend(frame_bytes.to_le_bytes());
    chunk.extend(spec.depth.bits().to_le_bytes());
    if extensible {
        chunk.extend(22u16.to_le_bytes());
        chunk.extend(spec.depth.bits().to_le_bytes());
        chunk.extend(spec.mask.to_le_bytes());
        chunk.extend(code.to_le_bytes());
        chunk.extend(GUID_TAIL);
    } else if spec.depth == Depth::F32 {
        chunk.extend([0; 2]);
    }
    chunk
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn spec(depth: Depth, channels: u16) -> WavSpec {
        WavSpec { rate: 48_000, channels, depth, mask: 0 }
    }

    fn writer<W: Write + Seek>(inner: W, spec: WavSpec, frames: Option<u64>) -> WavWriter<W> {
        WavWriter::new(inner, Way::File, spec, frames, &Metadata::default()).expect("header")
    }

    /// Counts and discards the output, except for the first KiB.
    struct Sink {
        head: Vec<u8>,
        at: u64,
        end: u64,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for (i, &byte) in bytes.iter().enumerate().take(1024) {
                if let Some(slot) = self.head.get_mut(self.at as usize + i) {
                    *slot = byte;
                }
            }
            self.at += bytes.len() as u64;
            self.end = self.end.max(self.at);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Sink {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.at = match to {
                SeekFrom::Start(at) => at,
                SeekFrom::Current(by) => self.at.saturating_add_signed(by),
                SeekFrom::End(by) => self.end.saturating_add_signed(by),
            };
            Ok(self.at)
        }
    }

    #[test]
    fn past_4_gib_the_header_becomes_rf64() {
        let sink = Sink { head: vec![0; 1024], at: 0, end: 0 };
        let mut writer = writer(sink, spec(Depth::I32, 2), None);
        let plane = vec![0.0; 1 << 20];
        let blocks = 520; // of 8 MiB
        let bytes = vec![0; 8 << 20];
        // Only the count matters here; the conversion is tested below.
        for _ in 0..blocks {
            writer.data_bytes += bytes.len() as u64;
            writer.inner.write_all(&bytes).expect("sink");
        }
        writer.write(&[&plane, &plane]).expect("sink");
        let data = (blocks + 1) * (8u64 << 20);
        let sink = writer.finish(&[]).expect("finish");
        let head = &sink.head;
        let u64_at = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
        assert_eq!(&head[..4], b"RF64");
        assert_eq!(&head[8..16], b"WAVEds64");
        assert_eq!(u64_at(20), sink.end - 8, "size of the whole");
        assert_eq!(u64_at(28), data);
        assert_eq!(u64_at(36), data / 8, "frames");
        assert_eq!(&head[48..52], b"fmt ");
        assert_eq!(&head[96..104], b"data\xff\xff\xff\xff");
    }

    #[test]
    fn unexpectedly_long_audio_is_an_error_not_a_wrong_header() {
        let sink = Sink { head: vec![0; 1024], at: 0, end: 0 };
        let mut writer = writer(sink, spec(Depth::I16, 1), Some(1));
        writer.data_bytes = PLAIN_LIMIT;
        assert!(writer.write(&[&[0.0]]).is_err());
    }

    #[test]
    fn odd_data_is_padded_and_sizes_agree() {
        let mut writer = writer(Cursor::new(Vec::new()), spec(Depth::U8, 1), Some(3));
        writer.write(&[&[0.0, -1.0, 1.0]]).expect("write");
        assert_eq!(writer.clipped(), 0);
        let bytes = writer.finish(&[]).expect("finish").into_inner();
        assert_eq!(bytes.len(), 44 + 4);
        assert_eq!(&bytes[4..8], &40u32.to_le_bytes());
        assert_eq!(&bytes[40..], [3, 0, 0, 0, 128, 0, 255, 0]);
    }

    #[test]
    fn a_stream_says_at_once_what_it_knows() {
        let metadata = Metadata {
            first: vec![Chunk::new(b"bext", vec![1; 4])],
            after: vec![Chunk::new(b"LIST", vec![2; 3])],
            ..Metadata::default()
        };
        for (frames, more, riff, data, behind) in [
            (Some(3), false, 36 + 12 + 6 + 12, 6, true),
            (Some(3), true, u32::MAX, 6, true),
            (None, true, u32::MAX, u32::MAX, false),
        ] {
            let spec = spec(Depth::I16, 1);
            let out = Cursor::new(Vec::new());
            let mut writer =
                WavWriter::new(out, Way::Stream { more }, spec, frames, &metadata).expect("header");
            writer.write(&[&[0.0; 3]]).expect("write");
            assert_eq!(writer.takes_chunks(), behind);
            let bytes = writer.finish(&metadata.after).expect("finish").into_inner();
            let junk = if frames.is_none() { 36 } else { 0 };
            let word =
                |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a word"));
            assert_eq!(word(4), riff);
            assert_eq!(&bytes[12 + junk..16 + junk], b"bext");
            assert_eq!(word(52 + junk), data);
            assert_eq!(bytes.len(), 56 + junk + 6 + if behind { 12 } else { 0 });
        }
    }

    #[test]
    fn what_does_not_fit_is_clipped_and_counted() {
        let mut writer = writer(Cursor::new(Vec::new()), spec(Depth::I16, 1), Some(3));
        writer.write(&[&[1.5, -2.0, 0.5]]).expect("write");
        assert_eq!(writer.clipped(), 2);
        let bytes = writer.finish(&[]).expect("finish").into_inner();
        assert_eq!(&bytes[44..], [0xff, 0x7f, 0x00, 0x80, 0x00, 0x40]);
    }
}
