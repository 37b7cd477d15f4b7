//! Reads audio files as planes of `f32`, packet by packet.
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::errors::Error as MediaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_FLAC, FORMAT_ID_MP3, FORMAT_ID_OGG, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;

use crate::error::Error;
use crate::wav::{Depth, WavSpec};

/// Longest stretch of silence put in for one damaged place, seconds: beyond it the file is given up.
const LONGEST_GAP: u64 = 10;

/// More channels are taken for damage: each has an engine of its own.
pub(crate) const MAX_CHANNELS: usize = 64;

/// An open audio file.
pub(crate) struct Input {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    spec: WavSpec,
    frames: Option<u64>,
    position: u64,
    damaged: u64,
    /// The first packet's time, in samples.
    origin: Option<i64>,
    /// Packets bear a number from the file, not one counted by the reader.
    has_timestamps: bool,
}

impl Input {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        guarded(|| Self::open_unguarded(path))
    }

    fn open_unguarded(path: &Path) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let rf64 = source.rf64_bytes;
        let mut format = probe(path, source)?;
        if format.format_info().format == FORMAT_ID_MP3 {
            // The reader guesses a missing length from the file's size and would cut the audio there;
            // from a source that cannot seek it takes a written length or none.
            let mut source = Source::open(path)?;
            source.seekable = false;
            format = probe(path, source)?;
        }
        let track = format.default_track(TrackType::Audio).ok_or(Error::NotAudio)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio());
        let params = params.ok_or(Error::NotAudio)?;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default())
            .map_err(|error| match error {
                MediaError::Unsupported(_) => Error::Codec(codec_name(params.codec)),
                error => Error::Damaged(error.to_string()),
            })?;
        // Decoders know better than containers: FLAC's fills in what its header says.
        let known = decoder.codec_params();
        let rate = params.sample_rate.or(known.sample_rate);
        let layout = params.channels.as_ref().or(known.channels.as_ref());
        let (Some(rate), Some(layout)) = (rate, layout) else {
            return Err(Error::Damaged("its header has no sample rate or channel count".into()));
        };
        let channels = match layout.count() {
            0 => return Err(Error::Damaged("its header says 0 channels".into())),
            1..=MAX_CHANNELS => layout.count() as u16,
            count => return Err(Error::Channels(count)),
        };
        let spec = WavSpec { rate, channels, depth: depth(params), mask: mask(layout) };
        let frame_bytes = params.bits_per_coded_sample.map(|bits| u64::from(bits.div_ceil(8)));
        let frames = match (rf64, frame_bytes) {
            (Some(bytes), _) => {
                let sample =
                    if spec.depth == Depth::F32 { 4 } else { u64::from(spec.depth.bits() / 8) };
                Some(bytes / (sample * u64::from(channels)))
            }
            (None, Some(sample)) => track.num_frames.filter(|frames| {
                !is_placeholder(frames.saturating_mul(sample * u64::from(channels)))
            }),
            (None, None) => track.num_frames,
        };
        if frames == Some(0) {
            return Err(Error::NoSamples);
        }
        Ok(Self {
            origin: None,
            has_timestamps: matches!(format.format_info().format, FORMAT_ID_FLAC | FORMAT_ID_OGG),
            track_id: track.id,
            format,
            decoder,
            spec,
            frames,
            position: 0,
            damaged: 0,
        })
    }

    /// Rate, channels, and the sample format that keeps all the input has.
    pub(crate) fn spec(&self) -> WavSpec {
        self.spec
    }

    /// Length in samples per channel, where the file says it.
    pub(crate) fn frames(&self) -> Option<u64> {
        self.frames
    }

    /// Samples per channel read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Damaged places replaced by silence so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Fills `planes` (one per channel) with what comes next; false at the end.
    pub(crate) fn read(&mut self, planes: &mut Vec<Vec<f32>>) -> Result<bool, Error> {
        guarded(|| self.read_unguarded(planes))
    }

    fn read_unguarded(&mut self, planes: &mut Vec<Vec<f32>>) -> Result<bool, Error> {
        let left = self.frames.map_or(u64::MAX, |frames| frames - self.position.min(frames));
        if left == 0 {
            return Ok(false);
        }
        let Some(packet) = self.next_packet()? else {
            return self.end();
        };
        // What the reader had to skip for damage is a gap between these numbers. Before zero lies
        // what encoders put in front; a cut-out piece of a stream may start at any number.
        let origin = *self.origin.get_or_insert(packet.pts.get().max(0));
        let gap = match u64::try_from(packet.pts.get().saturating_sub(origin)) {
            Ok(at) if self.has_timestamps => at.saturating_sub(self.position),
            _ => 0,
        };
        let rate = u64::from(self.spec.rate);
        if gap > LONGEST_GAP * rate {
            return Err(Error::Damaged(format!("{:.1} s are missing", gap as f64 / rate as f64)));
        }
        let decoded = match self.decoder.decode(&packet) {
            Ok(audio) => {
                if audio.num_planes() != usize::from(self.spec.channels)
                    || audio.spec().rate() != self.spec.rate
                {
                    let at = self.position as f64 / rate as f64;
                    return Err(Error::Damaged(format!("rate or channels change at {at:.3} s")));
                }
                audio.copy_to_vecs_planar(planes);
                true
            }
            Err(MediaError::DecodeError(_)) => false,
            Err(error) => return Err(self.fault(error)),
        };
        self.damaged += u64::from(!decoded || gap > 0);
        planes.resize_with(usize::from(self.spec.channels), Vec::new);
        let silence = packet.dur.get().min(LONGEST_GAP * rate) as usize;
        for plane in planes.iter_mut() {
            if !decoded {
                plane.clear();
                plane.resize(silence, 0.0);
            }
            plane.splice(0..0, std::iter::repeat_n(0.0, gap as usize));
            plane.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.position += planes.first().map_or(0, |plane| plane.len()) as u64;
        Ok(true)
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track_id => {}
                Ok(packet) => return Ok(packet),
                Err(MediaError::ResetRequired) => {
                    return Err(Error::Codec("a file of several streams, one after the other,"));
                }
                // A WAV of unknown length ends where the file does.
                Err(MediaError::IoError(error))
                    if error.kind() == io::ErrorKind::UnexpectedEof
                        && self.frames.is_none()
                        && self.format.format_info().format == FORMAT_ID_WAVE =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(self.fault(error)),
            }
        }
    }

    /// Nothing more comes: was that all?
    fn end(&self) -> Result<bool, Error> {
        match self.frames {
            Some(frames) if self.position < frames => Err(self.truncated()),
            _ if self.position == 0 => Err(Error::NoSamples),
            _ => Ok(false),
        }
    }

    fn fault(&self, error: MediaError) -> Error {
        match error {
            MediaError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.truncated()
            }
            MediaError::IoError(error) => Error::Read(error),
            error => Error::Damaged(error.to_string()),
        }
    }

    fn truncated(&self) -> Error {
        let rate = f64::from(self.spec.rate);
        let actual = self.position as f64 / rate;
        match self.frames {
            Some(frames) if frames > self.position => {
                Error::Truncated { actual, expected: frames as f64 / rate }
            }
            _ => Error::EndsEarly(actual),
        }
    }
}

/// Some damage makes the readers of formats panic (symphonia 0.6). What was being read is given up then.
fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Damaged("its header or data make no sense".into())))
}

/// Lengths that programs write where they cannot come back to fill in the true one (a pipe).
fn is_placeholder(bytes: u64) -> bool {
    (0x7fff_e000..=0x7fff_ffff).contains(&bytes) || bytes >= 0xffff_e000
}

fn probe(path: &Path, source: Source) -> Result<Box<dyn FormatReader>, Error> {
    let known = source.known;
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .map_err(|error| match error {
            MediaError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if known {
                    Error::EndsEarly(0.0)
                } else {
                    Error::NotAudio
                }
            }
            MediaError::IoError(error) => Error::Read(error),
            MediaError::DecodeError(what) if known => Error::Damaged(what.into()),
            MediaError::Unsupported(what) if known => Error::Damaged(what.into()),
            _ => Error::NotAudio,
        })
}

fn depth(params: &AudioCodecParameters) -> Depth {
    match params.codec {
        CODEC_ID_PCM_F32LE | CODEC_ID_PCM_F32BE | CODEC_ID_PCM_F64LE | CODEC_ID_PCM_F64BE => {
            Depth::F32
        }
        // Decoders of lossy codecs go above full scale, and have no bit depth.
        CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3 | CODEC_ID_VORBIS => Depth::F32,
        _ => match params.bits_per_sample {
            // Telephone codecs and ADPCM decode to 16 bits.
            None | Some(0) => Depth::I16,
            Some(1..=8) => Depth::U8,
            Some(9..=16) => Depth::I16,
            Some(17..=24) => Depth::I24,
            Some(_) => Depth::I32,
        },
    }
}

fn mask(layout: &Channels) -> u32 {
    let mask = match layout {
        // The lowest 18 are numbered as WAV numbers them.
        Channels::Positioned(positions) => u32::try_from(positions.bits()).unwrap_or(0) & 0x3ffff,
        _ => 0,
    };
    match layout.count() {
        1 => 4,
        count if mask.count_ones() as usize == count => mask,
        _ => 0,
    }
}

fn codec_name(codec: AudioCodecId) -> &'static str {
    match codec {
        CODEC_ID_OPUS => "Opus",
        CODEC_ID_AAC => "AAC",
        CODEC_ID_SPEEX => "Speex",
        _ => "its codec",
    }
}

/// A file, with the two RF64 markers put as the reader of plain WAV knows them.
struct Source {
    file: File,
    bytes: u64,
    at: u64,
    seekable: bool,
    /// Begins like a format that Wisp reads.
    known: bool,
    /// Size of RF64's data chunk.
    rf64_bytes: Option<u64>,
}

impl Source {
    fn open(path: &Path) -> Result<Self, Error> {
        // Before it is opened: opening a pipe waits for somebody to write into it.
        let metadata = std::fs::metadata(path).map_err(Error::Read)?;
        if metadata.is_dir() {
            return Err(Error::IsDirectory);
        }
        if !metadata.is_file() {
            return Err(Error::NotAFile);
        }
        let mut file = File::open(path).map_err(Error::Read)?;
        let mut head = Vec::with_capacity(36);
        file.by_ref().take(36).read_to_end(&mut head).map_err(Error::Read)?;
        if head.is_empty() {
            return Err(Error::Empty);
        }
        file.rewind().map_err(Error::Read)?;
        let rf64 = head.len() == 36
            && (head.starts_with(b"RF64") || head.starts_with(b"BW64"))
            && &head[8..16] == b"WAVEds64";
        let rf64_bytes = rf64.then(|| head[28..36].try_into().map_or(0, u64::from_le_bytes));
        let known = rf64
            || [&b"RIFF"[..], b"FORM", b"fLaC", b"OggS"]
                .iter()
                .any(|magic| head.starts_with(magic));
        Ok(Self { file, bytes: metadata.len(), at: 0, seekable: true, known, rf64_bytes })
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        if self.rf64_bytes.is_some() && self.at < 4 {
            for (i, byte) in out[..count].iter_mut().enumerate() {
                if let Some(&marker) = b"RIFF".get(self.at as usize + i) {
                    *byte = marker;
                }
            }
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes)
    }
}
