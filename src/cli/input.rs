//! Reads audio files of any format as planes of `f32`.
use std::path::Path;

use crate::cli::coded::Coded;
use crate::cli::container::{self, Container, Content};
use crate::cli::error::{Error, Warning};
use crate::cli::fault::unless_damaged;
use crate::cli::metadata::Metadata;
use crate::cli::pcm::{Coding, Order};
use crate::cli::source::Source;
use crate::cli::wav::{Depth, WavSpec};

/// Largest number of channels; more count as damage. It is the engine's limit, too.
pub(crate) const MAX_CHANNELS: usize = 64;
/// Maximum number of frames read at a time.
const BLOCK: usize = 4096;

/// The format of headerless samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawSpec {
    pub(crate) rate: u32,
    pub(crate) channels: u16,
    pub(crate) coding: Coding,
}

/// An open audio file.
pub(crate) struct Input {
    kind: Kind,
    spec: WavSpec,
}

enum Kind {
    Plain(Box<Plain>),
    Coded(Box<Coded>),
}

/// Samples as they are.
struct Plain {
    source: Source,
    container: Container,
    coding: Coding,
    /// Length in bytes.
    left: Option<u64>,
    frames: Option<u64>,
    position: u64,
    bytes: Vec<u8>,
    ended: bool,
}

impl Input {
    pub(crate) fn open(path: &Path, raw: Option<RawSpec>) -> Result<Self, Error> {
        unless_damaged(|| Self::open_unguarded(path, raw))
    }

    fn open_unguarded(path: &Path, raw: Option<RawSpec>) -> Result<Self, Error> {
        let mut source = Source::open(path)?;
        if let Some(raw) = raw {
            let container = Container::raw(&raw, source.left())?;
            return Self::plain(source, container, raw.coding);
        }
        pass_id3(&mut source)?;
        let is_plain = container::is_plain(source.peek(16).map_err(Error::Read)?);
        if !is_plain {
            return Ok(Self::coded(Coded::open(path, source)?, None));
        }
        let container = container::read(&mut source)?;
        if usize::from(container.channels) > MAX_CHANNELS {
            return Err(Error::Channels(container.channels.into()));
        }
        let header = match &container.content {
            Content::Plain(coding) => {
                let coding = *coding;
                return Self::plain(source, container, coding);
            }
            Content::Mpeg => Vec::new(),
            Content::Adpcm(format) => container::header(format, container.bytes),
        };
        let mut coded = Coded::inside_wav(header, source, container.bytes)?;
        coded.warnings.extend(container.warnings.iter().cloned());
        Ok(Self::coded(coded, Some(container)))
    }

    fn plain(source: Source, container: Container, coding: Coding) -> Result<Self, Error> {
        if usize::from(container.channels) > MAX_CHANNELS {
            return Err(Error::Channels(container.channels.into()));
        }
        let frames = container.bytes.map(|bytes| bytes / container.frame_bytes());
        if frames == Some(0) {
            return Err(Error::NoSamples);
        }
        let spec = WavSpec {
            rate: container.rate,
            channels: container.channels,
            depth: container.depth,
            mask: container.mask,
        };
        let plain = Plain {
            source,
            coding,
            left: container.bytes,
            frames,
            container,
            position: 0,
            bytes: Vec::new(),
            ended: false,
        };
        Ok(Self { kind: Kind::Plain(Box::new(plain)), spec })
    }

    fn coded(mut coded: Coded, container: Option<Container>) -> Self {
        if let Some(container) = container {
            coded.metadata = container.metadata;
        }
        let spec = coded.spec();
        Self { kind: Kind::Coded(Box::new(coded)), spec }
    }

    /// Rate, channels, and the sample format that preserves the input's precision.
    pub(crate) fn spec(&self) -> WavSpec {
        self.spec
    }

    /// Length in samples per channel, if the file states it.
    pub(crate) fn frames(&self) -> Option<u64> {
        match &self.kind {
            Kind::Plain(plain) => plain.frames,
            Kind::Coded(coded) => coded.frames(),
        }
    }

    /// Samples per channel read so far.
    pub(crate) fn position(&self) -> u64 {
        match &self.kind {
            Kind::Plain(plain) => plain.position,
            Kind::Coded(coded) => coded.position(),
        }
    }

    /// The file's metadata; for a stream only the part before the audio, until it has been read completely.
    pub(crate) fn metadata(&self) -> &Metadata {
        match &self.kind {
            Kind::Plain(plain) => &plain.container.metadata,
            Kind::Coded(coded) => &coded.metadata,
        }
    }

    /// Warnings so far.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        match &self.kind {
            Kind::Plain(plain) => plain.container.warnings.clone(),
            Kind::Coded(coded) => {
                let damaged = coded.damaged();
                let damaged = (damaged > 0).then_some(Warning::DamagedPlaces(damaged));
                coded.warnings.iter().cloned().chain(damaged).collect()
            }
        }
    }

    /// Damaged sections replaced by silence so far.
    pub(crate) fn damaged(&self) -> u64 {
        match &self.kind {
            Kind::Plain(_) => 0,
            Kind::Coded(coded) => coded.damaged(),
        }
    }

    /// Fills `planes` (one per channel) with the next samples; false at the end.
    pub(crate) fn read(&mut self, planes: &mut Vec<Vec<f32>>) -> Result<bool, Error> {
        match &mut self.kind {
            Kind::Plain(plain) => plain.read(planes),
            Kind::Coded(coded) => unless_damaged(|| coded.read(planes)),
        }
    }
}

impl Plain {
    fn read(&mut self, planes: &mut Vec<Vec<f32>>) -> Result<bool, Error> {
        planes.resize_with(usize::from(self.container.channels), Vec::new);
        planes.iter_mut().for_each(Vec::clear);
        if self.ended {
            return Ok(false);
        }
        let frame = self.container.frame_bytes() as usize;
        // Pass on what has arrived: a live stream must not wait for a whole block.
        while self.bytes.len() < frame {
            let have = self.bytes.len();
            let left =
                self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
            let wanted = (BLOCK * frame - have).min(left);
            self.bytes.resize(have + wanted, 0);
            let got = std::io::Read::read(&mut self.source, &mut self.bytes[have..])
                .map_err(Error::Read)?;
            self.bytes.truncate(have + got);
            self.left = self.left.map(|left| left - got as u64);
            if got == 0 {
                return self.end();
            }
        }
        let whole = self.bytes.len() / frame * frame;
        self.coding.decode(&self.bytes[..whole], planes);
        self.bytes.drain(..whole);
        self.position += (whole / frame) as u64;
        Ok(true)
    }

    /// At the end: checks that everything was read.
    fn end(&mut self) -> Result<bool, Error> {
        self.ended = true;
        if self.position == 0 {
            return Err(Error::NoSamples);
        }
        let warnings = &mut self.container.warnings;
        let cut = warnings.iter().any(|warning| matches!(warning, Warning::Cut { .. }));
        if let Some(expected) = self.frames.filter(|&expected| self.position < expected) {
            warnings.push(Warning::Cut { actual: self.position, expected });
        } else if !self.bytes.is_empty() && !cut {
            warnings.push(Warning::Partial(self.bytes.len() as u64));
        }
        self.bytes.clear();
        if self.container.chunks_follow && self.left == Some(0) {
            container::after_stream(&mut self.source, &mut self.container)?;
        }
        Ok(false)
    }
}

/// Skips an ID3v2 tag before one of the plain containers in a file.
fn pass_id3(source: &mut Source) -> Result<(), Error> {
    let &[b'I', b'D', b'3', _, _, _, a, b, c, d] = source.peek(10).map_err(Error::Read)? else {
        return Ok(());
    };
    if source.is_file() {
        let size = [a, b, c, d].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
        source.skip(10 + size).map_err(Error::Read)?;
        if !container::is_plain(source.peek(16).map_err(Error::Read)?) {
            source.seek_to(0).map_err(Error::Read)?;
        }
    }
    Ok(())
}

impl RawSpec {
    /// "48000:1:s16", with ffmpeg's names for the formats; little-endian by default.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected RATE:CHANNELS:FORMAT as in 48000:1:s16 (u8, s8, s16, s24, s32, f32, f64, alaw, mulaw)";
        let parts: Vec<&str> = text.split(':').collect();
        let [rate, channels, format] = parts[..] else { return Err(expected.into()) };
        let (name, order) = match format.strip_suffix("be") {
            Some(name) => (name, Order::Big),
            None => (format.strip_suffix("le").unwrap_or(format), Order::Little),
        };
        let coding = match name {
            "u8" => Coding::U8,
            "s8" => Coding::Int { bytes: 1, order },
            "s16" => Coding::Int { bytes: 2, order },
            "s24" => Coding::Int { bytes: 3, order },
            "s32" => Coding::Int { bytes: 4, order },
            "f32" => Coding::F32(order),
            "f64" => Coding::F64(order),
            "alaw" => Coding::ALaw,
            "mulaw" | "ulaw" => Coding::MuLaw,
            _ => return Err(expected.into()),
        };
        let channels = channels.parse().ok().filter(|n| (1..=MAX_CHANNELS as u16).contains(n));
        match (rate.parse().ok().filter(|&rate| rate > 0), channels) {
            (Some(rate), Some(channels)) => Ok(Self { rate, channels, coding }),
            _ => Err(expected.into()),
        }
    }

    pub(crate) fn depth(&self) -> Depth {
        match self.coding {
            Coding::U8 | Coding::Int { bytes: 1, .. } => Depth::U8,
            Coding::ALaw | Coding::MuLaw | Coding::Int { bytes: 2, .. } => Depth::I16,
            Coding::Int { bytes: 3, .. } => Depth::I24,
            Coding::Int { .. } => Depth::I32,
            Coding::F32(_) | Coding::F64(_) => Depth::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_formats_read_as_ffmpeg_writes_them() {
        for (text, rate, channels, coding) in [
            ("48000:1:s16", 48_000, 1, Coding::Int { bytes: 2, order: Order::Little }),
            ("44100:2:s24le", 44_100, 2, Coding::Int { bytes: 3, order: Order::Little }),
            ("8000:1:s16be", 8_000, 1, Coding::Int { bytes: 2, order: Order::Big }),
            ("48000:64:f32le", 48_000, 64, Coding::F32(Order::Little)),
            ("8000:1:mulaw", 8_000, 1, Coding::MuLaw),
        ] {
            assert_eq!(RawSpec::parse(text), Ok(RawSpec { rate, channels, coding }), "{text}");
        }
        for text in [
            "",
            "48000",
            "48000:1",
            "48000:0:s16",
            "0:1:s16",
            "48000:65:s16",
            "48000:1:s17",
            "1:2:3:4",
        ] {
            assert!(RawSpec::parse(text).is_err(), "{text}");
        }
    }
}
