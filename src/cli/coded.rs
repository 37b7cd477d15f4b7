//! Reads compressed formats through symphonia and ruopus, packet by packet.
use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::path::Path;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::errors::Error as MediaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MP1, FORMAT_ID_MP2, FORMAT_ID_MP3, FORMAT_ID_OGG,
};
use symphonia::core::formats::{Attachment, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::{StandardTag, Tag};
use symphonia::core::packet::Packet;

use crate::cli::edits;
use crate::cli::error::{Error, Warning};
use crate::cli::input::MAX_CHANNELS;
use crate::cli::metadata::{Metadata, Place};
use crate::cli::opus::Opus;
use crate::cli::source::Source;
use crate::cli::wav::{Depth, WavSpec};

/// Longest silence inserted for one damaged section, seconds; beyond it the file is rejected.
const LONGEST_GAP: u64 = 10;

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<Opus>),
}

/// An open file of packets.
pub(crate) struct Coded {
    format: Box<dyn FormatReader>,
    decoder: Decoder,
    track_id: u32,
    spec: WavSpec,
    frames: Option<u64>,
    position: u64,
    damaged: u64,
    /// Samples of encoder delay still to be dropped.
    skip: u64,
    /// Start of the current stream, since Ogg can chain several.
    link: u64,
    /// Its length.
    link_frames: Option<u64>,
    /// Its samples according to its own clock.
    clock: u64,
    /// Its first packet's time, in samples.
    origin: Option<i64>,
    /// Packet times come from the file and are not counted by the reader.
    has_timestamps: bool,
    ended: bool,
    /// The file ended unexpectedly.
    torn: bool,
    /// Samples of the longest packet.
    packet: u64,
    pub(crate) metadata: Metadata,
    pub(crate) warnings: Vec<Warning>,
}

impl Coded {
    /// Opens a file that is not embedded in another.
    pub(crate) fn open(path: &Path, source: Source) -> Result<Self, Error> {
        let is_file = source.is_file();
        let format = probe(path, source.without_tag())?;
        let id = format.format_info().format;
        if is_file && [FORMAT_ID_MP1, FORMAT_ID_MP2, FORMAT_ID_MP3].contains(&id) {
            // The reader guesses a missing length from the file's size and would cut the audio there;
            // from a source that cannot seek it takes a written length or none.
            return Self::new(probe(path, Source::open(path)?.unseekable())?);
        }
        let mut coded = Self::new(format)?;
        if is_file && id == FORMAT_ID_ISOMP4 {
            let mut source = Source::open(path)?;
            if let Ok(Some(edit)) = edits::edit(&mut source, coded.track_id) {
                coded.skip = edit.skip;
                if let Decoder::Opus(opus) = &mut coded.decoder {
                    // The edit list contains the same delay.
                    let start = opus.keep_start() as u64;
                    coded.frames = coded.frames.map(|frames| frames + start);
                }
                let frames = coded.frames.map(|frames| frames.saturating_sub(edit.skip));
                coded.frames = match (edit.frames, frames) {
                    (Some(edited), Some(frames)) => Some(edited.min(frames)),
                    (edited, frames) => frames.or(edited),
                };
                coded.link_frames = coded.frames;
            }
        }
        Ok(coded)
    }

    /// Opens the contents of a WAV file, with a header that symphonia understands or without one.
    pub(crate) fn inside_wav(
        header: Vec<u8>,
        source: Source,
        bytes: Option<u64>,
    ) -> Result<Self, Error> {
        let mpeg = header.is_empty();
        let name = Path::new(if mpeg { "a.mp3" } else { "a.wav" });
        let source = Cursor::new(header).chain(source.limited(bytes));
        let format = probe_media(name, Box::new(ReadOnlySource::new(source)), !mpeg);
        Self::new(format.map_err(|error| match error {
            // Too short, or something else with that name.
            Error::NotAudio => Error::Codec("this kind of MP3 in WAV".into()),
            error => error,
        })?)
    }

    fn new(mut format: Box<dyn FormatReader>) -> Result<Self, Error> {
        let metadata = metadata_of(format.as_mut());
        let track = format.default_track(TrackType::Audio).ok_or(Error::NotAudio)?;
        let (decoder, spec, frames) = decoder_of(track)?;
        let mut warnings = Vec::new();
        let sounds = format.tracks().iter().filter(|track| audio(track).is_some()).count();
        if sounds > 1 {
            warnings.push(Warning::Tracks(sounds));
        }
        if audio(track).is_some_and(|params| params.codec == CODEC_ID_AAC) && spec.rate <= 24_000 {
            warnings.push(Warning::PerhapsHeAac(spec.rate));
        }
        if frames == Some(0) {
            return Err(Error::NoSamples);
        }
        let id = format.format_info().format;
        Ok(Self {
            track_id: track.id,
            format,
            decoder,
            spec,
            frames,
            position: 0,
            damaged: 0,
            skip: 0,
            link: 0,
            link_frames: frames,
            clock: 0,
            origin: None,
            has_timestamps: [FORMAT_ID_FLAC, FORMAT_ID_OGG].contains(&id),
            ended: false,
            torn: false,
            packet: 0,
            metadata,
            warnings,
        })
    }

    pub(crate) fn spec(&self) -> WavSpec {
        self.spec
    }

    pub(crate) fn frames(&self) -> Option<u64> {
        self.frames
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Fills `planes` (one per channel) with the next samples; false at the end.
    pub(crate) fn read(&mut self, planes: &mut Vec<Vec<f32>>) -> Result<bool, Error> {
        loop {
            let done = self.position - self.link;
            let left = self.link_frames.map_or(u64::MAX, |frames| frames.saturating_sub(done));
            let may_chain = self.format.format_info().format == FORMAT_ID_OGG;
            if self.ended || (left == 0 && !may_chain) {
                return self.end();
            }
            let Some(packet) = self.next_packet()? else {
                self.ended = true;
                continue;
            };
            let done = self.position - self.link;
            let left = self.link_frames.map_or(u64::MAX, |frames| frames.saturating_sub(done));
            if left > 0 {
                self.decode(&packet, left, planes)?;
                let frames = planes.first().map_or(0, Vec::len) as u64;
                self.position += frames;
                if frames > 0 {
                    return Ok(true);
                }
            }
        }
    }

    fn decode(
        &mut self,
        packet: &Packet,
        left: u64,
        planes: &mut Vec<Vec<f32>>,
    ) -> Result<(), Error> {
        // Anything the reader skipped because of damage is a gap between these times. Before zero is
        // the encoder delay; a stream cut from a longer one may start at any time.
        let origin = *self.origin.get_or_insert(packet.pts.get().max(0));
        let gap = match u64::try_from(packet.pts.get().saturating_sub(origin)) {
            Ok(at) if self.has_timestamps => at.saturating_sub(self.clock),
            _ => 0,
        };
        let rate = u64::from(self.spec.rate);
        if gap > LONGEST_GAP * rate {
            return Err(Error::Damaged(format!("{:.1} s are missing", gap as f64 / rate as f64)));
        }
        let silence = packet.dur.get().min(LONGEST_GAP * rate);
        // How far the clock advances.
        let decoded = match &mut self.decoder {
            Decoder::Opus(opus) => {
                let trim = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
                opus.decode(&packet.data, trim, planes).map(|frames| frames as u64)
            }
            Decoder::Symphonia(decoder) => match decoder.decode(packet) {
                Ok(audio) => {
                    let spec = audio.spec();
                    let (new_rate, new_channels) = (spec.rate(), audio.num_planes());
                    if new_channels != usize::from(self.spec.channels) || new_rate != self.spec.rate
                    {
                        return Err(self.changes(new_rate, new_channels));
                    }
                    audio.copy_to_vecs_planar(planes);
                    Some(planes.first().map_or(0, Vec::len) as u64)
                }
                Err(MediaError::DecodeError(_)) => None,
                Err(MediaError::Unsupported(_)) => {
                    return Err(Error::Codec(codec_name(decoder.codec_params().codec)));
                }
                Err(MediaError::IoError(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    return Err(Error::Read(error));
                }
                Err(_) => None,
            },
        };
        self.damaged += u64::from(decoded.is_none() || gap > 0);
        self.packet = self.packet.max(decoded.unwrap_or(0));
        self.clock += gap + decoded.unwrap_or(silence);
        planes.resize_with(usize::from(self.spec.channels), Vec::new);
        let frames = planes.first().map_or(0, Vec::len);
        let mut dropped = 0;
        for plane in planes.iter_mut() {
            if decoded.is_none() {
                plane.clear();
                plane.resize(silence as usize, 0.0);
            } else {
                plane.truncate(frames);
            }
            plane.splice(0..0, std::iter::repeat_n(0.0, gap as usize));
            dropped = self.skip.min(plane.len() as u64);
            plane.drain(..dropped as usize);
            plane.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.skip -= dropped;
        Ok(())
    }

    fn changes(&self, new_rate: u32, new_channels: usize) -> Error {
        let WavSpec { rate, channels, .. } = self.spec;
        let seconds = self.position as f64 / f64::from(rate);
        Error::Changes { seconds, rate, channels, new_rate, new_channels }
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track_id => {}
                Ok(packet) => return Ok(packet),
                Err(MediaError::ResetRequired) => self.next_link()?,
                Err(MediaError::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    // Some readers end like this, and some files end within a packet.
                    self.torn = true;
                    if self.link_frames.is_none() {
                        self.warnings.push(Warning::EndsEarly { actual: self.position });
                    }
                    return Ok(None);
                }
                Err(MediaError::IoError(error)) => return Err(Error::Read(error)),
                Err(error) => return Err(Error::Damaged(error.to_string())),
            }
        }
    }

    /// Another stream follows the last one.
    fn next_link(&mut self) -> Result<(), Error> {
        self.check_link();
        let track = self.format.default_track(TrackType::Audio).ok_or(Error::NotAudio)?;
        let (decoder, spec, frames) = decoder_of(track)?;
        let id = track.id;
        if (spec.rate, spec.channels) != (self.spec.rate, self.spec.channels) {
            return Err(self.changes(spec.rate, usize::from(spec.channels)));
        }
        (self.decoder, self.track_id) = (decoder, id);
        (self.link, self.link_frames) = (self.position, frames);
        (self.clock, self.origin) = (0, None);
        self.frames = self.frames.zip(frames).map(|_| self.position + frames.unwrap_or(0));
        // With several titles, none applies to the whole file.
        let second = metadata_of(self.format.as_mut());
        self.metadata.tags.retain(|tag| second.tags.contains(tag));
        Ok(())
    }

    /// Reports a stream with fewer samples than declared.
    fn check_link(&mut self) {
        let actual = self.position - self.link;
        // Packet tables count the last packet in full.
        let spare = if self.torn || self.has_timestamps { 0 } else { self.packet };
        if let Some(expected) = self.link_frames.filter(|&expected| actual + spare < expected) {
            self.warnings.push(Warning::Cut { actual, expected });
        }
    }

    /// At the end: checks that everything was read.
    fn end(&mut self) -> Result<bool, Error> {
        if self.position == 0 {
            return Err(Error::NoSamples);
        }
        self.check_link();
        self.link_frames = None;
        self.ended = true;
        Ok(false)
    }
}

fn audio(track: &Track) -> Option<&AudioCodecParameters> {
    track.codec_params.as_ref().and_then(CodecParameters::audio)
}

/// A decoder for a track, its output format and its length.
fn decoder_of(track: &Track) -> Result<(Decoder, WavSpec, Option<u64>), Error> {
    let params = audio(track).ok_or(Error::NotAudio)?;
    if params.codec == CODEC_ID_OPUS {
        let opus = Opus::new(params.extra_data.as_deref().unwrap_or_default())?;
        let mask = params.channels.as_ref().map_or(0, mask);
        let channels = opus.channels() as u16;
        let spec = WavSpec { rate: 48_000, channels, depth: Depth::F32, mask };
        let frames = track.num_frames.map(|frames| frames.saturating_sub(opus.skip() as u64));
        return Ok((Decoder::Opus(Box::new(opus)), spec, frames));
    }
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| match error {
            MediaError::Unsupported(_) => Error::Codec(codec_name(params.codec)),
            error => Error::Damaged(error.to_string()),
        })?;
    // Decoders can have more information than containers: FLAC's fills in values from its header.
    let known = decoder.codec_params();
    let rate = known.sample_rate.or(params.sample_rate);
    let layout = known.channels.as_ref().or(params.channels.as_ref());
    let (Some(rate), Some(layout)) = (rate, layout) else {
        return Err(Error::Damaged("its header has no sample rate or channel count".into()));
    };
    let channels = match layout.count() {
        0 => return Err(Error::Damaged("its header says 0 channels".into())),
        1..=MAX_CHANNELS => layout.count() as u16,
        count => return Err(Error::Channels(count)),
    };
    let spec = WavSpec { rate, channels, depth: depth(params, known), mask: mask(layout) };
    Ok((Decoder::Symphonia(decoder), spec, track.num_frames))
}

fn probe(path: &Path, source: Source) -> Result<Box<dyn FormatReader>, Error> {
    let mut source = source;
    let head = source.peek(36).map_err(Error::Read)?;
    if let Some(name) = foreign(head) {
        return Err(Error::Codec(name.into()));
    }
    // Starts like a format that Wisp reads.
    let mpeg4 = head.get(4..8) == Some(b"ftyp");
    let known = [&b"fLaC"[..], b"OggS", b"caff", b"\x1aE\xdf\xa3"]
        .iter()
        .any(|magic| head.starts_with(magic))
        || mpeg4;
    let from_pipe = mpeg4 && !source.is_file();
    probe_media(path, Box::new(source), known).map_err(|error| match error {
        Error::Damaged(what) if from_pipe && what.contains("moov") => Error::NeedsFile,
        error => error,
    })
}

fn probe_media(
    path: &Path,
    source: Box<dyn MediaSource>,
    known: bool,
) -> Result<Box<dyn FormatReader>, Error> {
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(source, Default::default());
    symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .map_err(|error| match error {
            MediaError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if known {
                    Error::EndsEarly { place: "its header" }
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

/// Formats that are recognised by their first bytes but not supported.
fn foreign(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"OggS") && head.get(28..) == Some(b"Speex   ") {
        return Some("Speex");
    }
    let magics: [(&[u8], &str); 12] = [
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMA, ASF)"),
        (b"wvpk", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"TTA1", "True Audio"),
        (b"MPCK", "Musepack"),
        (b"MP+", "Musepack"),
        (b"#!AMR", "AMR"),
        (b"\x0b\x77", "AC-3"),
        (b"DSD ", "DSD"),
        (b"FRM8", "DSD"),
        (b".RMF", "RealAudio"),
        (b"MThd", "MIDI, which contains notes but no audio,"),
    ];
    magics.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}

fn depth(params: &AudioCodecParameters, known: &AudioCodecParameters) -> Depth {
    let bits = known.bits_per_sample.or(params.bits_per_sample);
    match params.codec {
        CODEC_ID_PCM_F32LE | CODEC_ID_PCM_F32BE | CODEC_ID_PCM_F64LE | CODEC_ID_PCM_F64BE => {
            Depth::F32
        }
        // Lossy decoders exceed full scale and have no bit depth.
        CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3 | CODEC_ID_VORBIS | CODEC_ID_AAC => Depth::F32,
        _ => match bits {
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
        // The lowest 18 have the same numbers as in WAV.
        Channels::Positioned(positions) => u32::try_from(positions.bits()).unwrap_or(0) & 0x3ffff,
        _ => 0,
    };
    match layout.count() {
        1 => 4,
        count if mask.count_ones() as usize == count => mask,
        _ => 0,
    }
}

fn codec_name(codec: AudioCodecId) -> String {
    match codec {
        CODEC_ID_AAC => "AAC other than Low Complexity in mono or stereo",
        CODEC_ID_SPEEX => "Speex",
        CODEC_ID_AC3 | CODEC_ID_EAC3 => "AC-3",
        CODEC_ID_WAVPACK => "WavPack",
        _ => "its codec",
    }
    .into()
}

/// Tags, and chunks of the WAV file from which a FLAC file was made.
fn metadata_of(format: &mut dyn FormatReader) -> Metadata {
    let mut metadata = Metadata::default();
    let mut place = Place::First;
    for attachment in format.attachments() {
        match attachment {
            Attachment::VendorData(vendor) => {
                let whole =
                    vendor.ident == "riff" && metadata.take_foreign(&vendor.data, &mut place);
                if !whole {
                    metadata.lost.push(format!("{} block", vendor.ident));
                }
            }
            Attachment::File(file) => metadata.lost.push(format!("attached {}", file.name)),
        }
    }
    if format.chapters().is_some() {
        metadata.lost.push("chapters".into());
    }
    if format
        .tracks()
        .iter()
        .any(|track| track.codec_params.as_ref().is_some_and(CodecParameters::is_video))
    {
        metadata.lost.push("the video track".into());
    }
    let mut log = format.metadata();
    let mut pictures = 0;
    let mut revisions = VecDeque::from_iter(log.current().cloned());
    while log.pop().is_some() {
        revisions.extend(log.current().cloned());
    }
    for revision in revisions {
        let tracks = revision.per_track.into_iter().map(|track| track.metadata);
        for container in std::iter::once(revision.media).chain(tracks) {
            pictures += container.visuals.len();
            container.tags.iter().for_each(|tag| add_tag(&mut metadata, tag));
        }
    }
    if pictures > 0 {
        metadata.lost.push(if pictures == 1 {
            "a picture".into()
        } else {
            format!("{pictures} pictures")
        });
    }
    metadata
}

fn add_tag(metadata: &mut Metadata, tag: &Tag) {
    let name = match &tag.std {
        Some(StandardTag::TrackTitle(_)) => "TITLE",
        Some(StandardTag::Artist(_)) => "ARTIST",
        Some(StandardTag::Album(_)) => "ALBUM",
        Some(StandardTag::RecordingDate(_) | StandardTag::ReleaseDate(_)) => "DATE",
        Some(StandardTag::Comment(_)) => "COMMENT",
        Some(StandardTag::Description(_)) => "DESCRIPTION",
        Some(StandardTag::Genre(_)) => "GENRE",
        Some(StandardTag::Copyright(_)) => "COPYRIGHT",
        Some(StandardTag::TrackNumber(_)) => "TRACKNUMBER",
        Some(
            StandardTag::Encoder(_) | StandardTag::EncodedBy(_) | StandardTag::EncoderSettings(_),
        ) => return,
        // A user-defined name accompanies ID3's own.
        _ => match tag.raw.sub_fields.as_deref().and_then(|fields| fields.first()) {
            Some(field) if tag.raw.key == "TXXX" => {
                return metadata.tag(&field.value.to_string(), tag.raw.value.to_string());
            }
            _ => &tag.raw.key,
        },
    };
    metadata.tag(name, tag.raw.value.to_string());
}
