//! Containers of plain samples: WAV with RF64 and BW64, Wave64, AIFF and AIFF-C, AU.
//!
//! Headers are often wrong: unfinished, from a pipe, beyond 4 GiB, or from a truncated file. The actual data counts.
use std::io;

use crate::cli::error::{Error, Warning};
use crate::cli::input::RawSpec;
use crate::cli::metadata::{Chunk, Metadata, id_text, is_own, is_stale};
use crate::cli::pcm::{Coding, Order};
use crate::cli::source::Source;
use crate::cli::wav::Depth;

/// Largest amount of metadata kept per file, bytes.
const KEPT: u64 = 64 << 20;
/// After a consistent header, fewer bytes than this do not count as audio.
const RUBBISH: u64 = 4096;
/// Longest `fmt ` chunk; anything beyond is ignored.
const LONGEST_FORMAT: u64 = 1 << 16;

/// The sample format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Plain(Coding),
    /// ADPCM, with its `fmt ` chunk.
    Adpcm(Vec<u8>),
    /// A stream of MPEG audio.
    Mpeg,
}

/// The contents of a header, corrected.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) content: Content,
    pub(crate) rate: u32,
    pub(crate) channels: u16,
    pub(crate) mask: u32,
    pub(crate) depth: Depth,
    /// Bytes of audio from here; none: up to the end.
    pub(crate) bytes: Option<u64>,
    /// In a stream, chunks may follow the audio.
    pub(crate) chunks_follow: bool,
    pub(crate) metadata: Metadata,
    pub(crate) warnings: Vec<Warning>,
}

/// Whether a file starts like one of these.
pub(crate) fn is_plain(head: &[u8]) -> bool {
    let form = head.get(8..12);
    (matches!(head.get(..4), Some(b"RIFF" | b"RF64" | b"BW64" | b"RIFX")) && form == Some(b"WAVE"))
        || (head.starts_with(b"FORM") && matches!(form, Some(b"AIFF" | b"AIFC")))
        || head.starts_with(&W64_RIFF)
        || head.starts_with(b".snd")
}

/// Reads up to the first sample.
pub(crate) fn read(source: &mut Source) -> Result<Container, Error> {
    match source.peek(4).map_err(Error::Read)? {
        b"FORM" => aiff(source),
        b".snd" => au(source),
        b"riff" => wave64(source),
        _ => wave(source),
    }
}

// ---- WAV ------------------------------------------------------------------------------------------------------------

fn wave(source: &mut Source) -> Result<Container, Error> {
    let head = take(source, 12, "its header")?;
    if head.starts_with(b"RIFX") {
        return Err(Error::Codec("big-endian WAV (RIFX)".into()));
    }
    let riff_end = 8 + u64::from(u32_le(&head, 4));
    let mut metadata = Metadata::default();
    let mut warnings = Vec::new();
    let (mut format, mut wide): (Option<Vec<u8>>, _) = (None, None);
    loop {
        let Some((id, size)) = next_chunk(source)? else {
            return Err(match format {
                None => Error::EndsEarly { place: "its header" },
                Some(_) => Error::EndsEarly { place: "its header, before any audio" },
            });
        };
        let size = u64::from(size);
        match &id {
            b"data" => {
                let Some(format) = format else {
                    return Err(Error::Damaged("its audio comes before its format".into()));
                };
                let stated = match wide {
                    Some(wide) if size == u64::from(u32::MAX) => wide,
                    _ => size,
                };
                let mut container = wave_format(&format)?;
                metadata.lost.append(&mut container.metadata.lost);
                container.metadata = metadata;
                container.warnings = warnings;
                extent(source, &mut container, stated, riff_end, wide.is_some())?;
                return Ok(container);
            }
            b"fmt " if format.is_none() => {
                if let Some(left) = source.left().filter(|left| size > LONGEST_FORMAT.max(*left)) {
                    return Err(too_long(&id, size, left));
                }
                format = Some(take(source, size.min(LONGEST_FORMAT), "its format")?);
                source.skip(size.saturating_sub(LONGEST_FORMAT)).map_err(Error::Read)?;
            }
            b"ds64" => {
                let table = take(source, size.min(28), "its 64-bit sizes")?;
                source.skip(size.saturating_sub(28)).map_err(Error::Read)?;
                wide = table.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
            }
            _ => {
                if let Some(left) = source.left().filter(|&left| left < size) {
                    return Err(too_long(&id, size, left));
                }
                let list =
                    if format.is_none() { &mut metadata.first } else { &mut metadata.before };
                keep(source, &id, size, list, &mut warnings)?;
            }
        }
        pad(source, size)?;
    }
}

/// The next chunk header, none at the end.
fn next_chunk(source: &mut Source) -> Result<Option<([u8; 4], u32)>, Error> {
    let head = source.read_up_to(8).map_err(Error::Read)?;
    let Some(&[a, b, c, d, ..]) = head.first_chunk::<8>() else { return Ok(None) };
    let id = [a, b, c, d];
    if !is_id(&id) {
        let at = source.at() - 8;
        return Err(Error::Damaged(format!("byte {at} is not the start of a WAV chunk")));
    }
    Ok(Some((id, u32_le(&head, 4))))
}

fn too_long(id: &[u8; 4], size: u64, left: u64) -> Error {
    let id = id_text(id);
    Error::Damaged(format!(
        "its {id} chunk claims {size} bytes but only {left} follow; no audio found"
    ))
}

/// Keeps a chunk's data, or warns why not.
fn keep(
    source: &mut Source,
    id: &[u8; 4],
    size: u64,
    list: &mut Vec<Chunk>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    if is_own(id) {
        source.skip(size).map_err(Error::Read)?;
    } else if is_stale(id) {
        source.skip(size).map_err(Error::Read)?;
        warnings.push(Warning::Stale(id_text(id)));
    } else if size + list.iter().map(|chunk| chunk.data.len() as u64).sum::<u64>() > KEPT {
        source.skip(size).map_err(Error::Read)?;
        warnings.push(Warning::TooLarge { id: id_text(id), bytes: size });
    } else {
        let data = source.read_up_to(size).map_err(Error::Read)?;
        if (data.len() as u64) < size {
            warnings.push(Warning::CutChunk(id_text(id)));
        } else {
            list.push(Chunk::new(id, data));
        }
    }
    Ok(())
}

/// Skips the padding byte after an odd length, which some programs omit.
fn pad(source: &mut Source, size: u64) -> Result<(), Error> {
    if !size.is_multiple_of(2) {
        let next = source.peek(5).map_err(Error::Read)?;
        let left_out = next.len() >= 4
            && next[0] != 0
            && is_id(&next[..4])
            && !next.get(1..5).is_some_and(is_known);
        if !left_out {
            source.skip(1).map_err(Error::Read)?;
        }
    }
    Ok(())
}

fn is_id(id: &[u8]) -> bool {
    id.iter().all(|byte| (0x20..0x7f).contains(byte)) && id.iter().any(u8::is_ascii_alphanumeric)
}

fn is_known(id: &[u8]) -> bool {
    let known: [&[u8]; 28] = [
        b"LIST", b"bext", b"iXML", b"cue ", b"smpl", b"inst", b"id3 ", b"ID3 ", b"axml", b"chna",
        b"_PMX", b"umid", b"plst", b"labl", b"note", b"acid", b"strc", b"cart", b"afsp", b"DISP",
        b"minf", b"elm1", b"regn", b"aXML", b"data", b"fmt ", b"link", b"UMID",
    ];
    known.contains(&id) || id.try_into().is_ok_and(is_stale)
}

/// The actual number of bytes of audio, and the chunks after them.
fn extent(
    source: &mut Source,
    container: &mut Container,
    stated: u64,
    riff_end: u64,
    wide: bool,
) -> Result<(), Error> {
    let frame = container.frame_bytes();
    let Some(left) = source.left() else {
        // The end of a stream is known only when it comes.
        let unknown = is_placeholder(stated, wide) || {
            let next = source.peek(4).map_err(Error::Read)?;
            stated == 0 && !next.is_empty() && !is_known(next)
        };
        container.bytes = (!unknown).then_some(stated);
        container.chunks_follow = !unknown;
        return Ok(());
    };
    let start = source.at();
    let chunks = |at: u64| -> Result<bool, Error> { are_chunks(source, start + at) };
    let riff_left = riff_end.saturating_sub(start);
    let (bytes, warning) = judge(stated, left, riff_left, wide, frame, chunks)?;
    source.seek_to(start).map_err(Error::Read)?;
    container.bytes = Some(bytes);
    // For a codec, the number of bytes is known, but not of samples.
    let in_bytes = !matches!(container.content, Content::Plain(_));
    container.warnings.extend(warning.map(|warning| match warning {
        Warning::Cut { actual, expected } | Warning::Longer { actual, expected } if in_bytes => {
            Warning::Bytes { actual, expected }
        }
        Warning::Unfinished { actual } if in_bytes => Warning::Bytes { actual, expected: 0 },
        warning => warning,
    }));
    if bytes < left {
        source.seek_to(start + bytes).map_err(Error::Read)?;
        pad(source, bytes)?;
        trailing(source, container)?;
        source.seek_to(start).map_err(Error::Read)?;
    }
    Ok(())
}

/// Bytes of audio among the `left` that follow, and a warning.
fn judge(
    stated: u64,
    left: u64,
    riff_left: u64,
    wide: bool,
    frame: u64,
    mut chunks: impl FnMut(u64) -> Result<bool, Error>,
) -> Result<(u64, Option<Warning>), Error> {
    let frames = |bytes: u64| bytes / frame.max(1);
    if stated > left {
        let warning = (!is_placeholder(stated, wide))
            .then_some(Warning::Cut { actual: frames(left), expected: frames(stated) });
        return Ok((left, warning));
    }
    let rest = left - stated;
    if rest == 0 || (rest == 1 && stated % 2 == 1) {
        return Ok((stated, None));
    }
    let mut followed = |at: u64| -> Result<bool, Error> {
        Ok(at == left || chunks(at + at % 2)? || (at % 2 == 1 && chunks(at)?))
    };
    if followed(stated)? {
        return Ok((stated, None));
    }
    if is_placeholder(stated, wide) {
        return Ok((left, None));
    }
    if stated == 0 {
        return Ok((left, Some(Warning::Unfinished { actual: frames(left) })));
    }
    let longer = |bytes: u64| Warning::Longer { actual: frames(bytes), expected: frames(stated) };
    // Lengths truncated to 32 bits.
    let wraps = rest >> 32;
    if !wide && wraps > 0 {
        let whole = stated + (wraps << 32);
        let bytes = if followed(whole)? || left - whole < RUBBISH { whole } else { left };
        return Ok((bytes, Some(longer(bytes))));
    }
    // The header matches the audio, and a few bytes follow: not audio.
    let agrees = (stated..=stated + 1).contains(&riff_left);
    if rest < RUBBISH && agrees {
        return Ok((stated, Some(Warning::Rubbish(rest))));
    }
    Ok((left, Some(longer(left))))
}

/// Whether the rest of the file consists of chunks.
fn are_chunks(source: &mut Source, at: u64) -> Result<bool, Error> {
    source.seek_to(at).map_err(Error::Read)?;
    let mut known = false;
    for count in 0..1024 {
        let head = source.read_up_to(8).map_err(Error::Read)?;
        if head.len() < 8 || !is_id(&head[..4]) {
            return Ok(count > 0 && (known || head.len() < 8));
        }
        known |= is_known(&head[..4]);
        let size = u64::from(u32_le(&head, 4));
        if source.left().is_some_and(|left| left < size) {
            return Ok(known);
        }
        source.skip(size).map_err(Error::Read)?;
        pad(source, size)?;
    }
    Ok(known)
}

/// The chunks after the audio of a stream.
pub(crate) fn after_stream(source: &mut Source, container: &mut Container) -> Result<(), Error> {
    pad(source, container.bytes.unwrap_or(0))?;
    trailing(source, container)
}

/// A header that symphonia understands for the rest of a file: correct sizes, only format and audio.
pub(crate) fn header(format: &[u8], bytes: Option<u64>) -> Vec<u8> {
    let size = bytes.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(u32::MAX);
    let mut header = b"RIFF".to_vec();
    header.extend(size.saturating_add(20 + format.len() as u32).to_le_bytes());
    header.extend(b"WAVE");
    Chunk::new(b"fmt ", format.to_vec()).put(&mut header);
    header.extend(b"data");
    header.extend(size.to_le_bytes());
    header
}

/// The chunks from here to the end.
fn trailing(source: &mut Source, container: &mut Container) -> Result<(), Error> {
    let Container { metadata, warnings, .. } = container;
    loop {
        let head = source.peek(8).map_err(Error::Read)?;
        if head.len() < 8 || !is_id(&head[..4]) {
            let rubbish = source.skip(u64::MAX).map_err(Error::Read)?;
            let said = warnings.iter().any(|warning| matches!(warning, Warning::Rubbish(_)));
            if rubbish > 1 && !said {
                warnings.push(Warning::Rubbish(rubbish));
            }
            return Ok(());
        }
        let (id, size) = ([head[0], head[1], head[2], head[3]], u64::from(u32_le(head, 4)));
        source.skip(8).map_err(Error::Read)?;
        keep(source, &id, size, &mut metadata.after, warnings)?;
        pad(source, size)?;
    }
}

/// Lengths that programs write if they cannot go back and fill in the true one (a pipe).
fn is_placeholder(bytes: u64, wide: bool) -> bool {
    (0x7fff_0000..=0x8000_1000).contains(&bytes)
        || (!wide && bytes >= 0xffff_0000)
        || bytes == u64::from(u32::MAX)
        || bytes >= i64::MAX as u64 - 0xffff
}

/// The last 14 bytes of the format GUIDs: Microsoft's, and Ambisonic B-format.
const GUID_TAILS: [[u8; 14]; 2] = [
    [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71],
    [0x00, 0x00, 0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0x00, 0x00, 0x00],
];

fn wave_format(bytes: &[u8]) -> Result<Container, Error> {
    if bytes.len() < 16 {
        let size = bytes.len();
        return Err(Error::Damaged(format!("its fmt chunk has {size} bytes, expected 16 or more")));
    }
    let [code, channels, block, bits] = [0, 2, 12, 14].map(|at| u16_le(bytes, at));
    let rate = u32_le(bytes, 4);
    let extended = code == 0xfffe && bytes.len() >= 40;
    let (code, valid, mask) = if extended {
        if !GUID_TAILS.iter().any(|tail| bytes[26..40] == *tail) {
            return Err(Error::Codec("WAV with an unknown format GUID".into()));
        }
        (u16_le(bytes, 24), u16_le(bytes, 18), u32_le(bytes, 20))
    } else {
        // A short form of the extensible format can only be PCM.
        (if code == 0xfffe { 1 } else { code }, bits, 0)
    };
    let (content, depth) = match code {
        1 => plain(bits, valid, block, channels)?,
        3 => float(bits, Order::Little)?,
        6 => (Content::Plain(Coding::ALaw), Depth::I16),
        7 => (Content::Plain(Coding::MuLaw), Depth::I16),
        2 | 0x11 => (Content::Adpcm(bytes.to_vec()), Depth::I16),
        0x50 | 0x55 => (Content::Mpeg, Depth::F32),
        code => return Err(Error::Codec(wave_codec(code))),
    };
    Container::new(content, depth, rate, channels, mask)
}

/// Integers; if they use fewer bits than their bytes, those are the top bits.
fn plain(bits: u16, valid: u16, block: u16, channels: u16) -> Result<(Content, Depth), Error> {
    let bytes = match bits {
        1..=8 => return Ok((Content::Plain(Coding::U8), Depth::U8)),
        // 24 bits or fewer in 4 bytes, as written by old programs.
        17..=31 if u32::from(block) == 4 * u32::from(channels) => 4,
        9..=32 => bits.div_ceil(8) as u8,
        bits => return Err(bits_of(bits, "1 to 32")),
    };
    let depth = match (bytes, valid) {
        (2, _) => Depth::I16,
        (3, _) | (4, 17..=24) => Depth::I24,
        _ => Depth::I32,
    };
    Ok((Content::Plain(Coding::Int { bytes, order: Order::Little }), depth))
}

fn float(bits: u16, order: Order) -> Result<(Content, Depth), Error> {
    match bits {
        32 => Ok((Content::Plain(Coding::F32(order)), Depth::F32)),
        64 => Ok((Content::Plain(Coding::F64(order)), Depth::F32)),
        bits => Err(bits_of(bits, "32 or 64 for floating point")),
    }
}

fn bits_of(bits: u16, expected: &str) -> Error {
    Error::Damaged(format!("its header says {bits} bits per sample, expected {expected}"))
}

fn wave_codec(code: u16) -> String {
    let name = match code {
        0x0010 => "OKI ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 | 0x0032 => "GSM 6.10",
        0x0014 | 0x0040 => "G.721 or G.723 ADPCM",
        0x0045 | 0x0064 => "G.726 ADPCM",
        0x0065 => "G.722",
        0x0083 | 0x0123 => "G.729",
        0x00ff | 0x1600 | 0x1602 | 0x1610 | 0x706d => "AAC",
        0x0092 | 0x2000 => "AC-3",
        0x0160..=0x0163 => "Windows Media Audio",
        0x674f..=0x6771 => "Vorbis",
        0x704f => "Opus",
        0xa109 => "Speex",
        0xf1ac => "FLAC",
        _ => return format!("WAV with the unknown codec {code:#06x}"),
    };
    format!("{name} in WAV")
}

impl Container {
    fn new(
        content: Content,
        depth: Depth,
        rate: u32,
        channels: u16,
        mask: u32,
    ) -> Result<Self, Error> {
        if channels == 0 || rate == 0 {
            let what = format!("its header says {channels} channels, {rate} Hz");
            return Err(Error::Damaged(what));
        }
        Ok(Self {
            content,
            rate,
            channels,
            mask: match channels {
                1 => 4,
                count if mask.count_ones() == u32::from(count) => mask,
                _ => 0,
            },
            depth,
            bytes: None,
            chunks_follow: false,
            metadata: Metadata::default(),
            warnings: Vec::new(),
        })
    }

    /// Headerless samples.
    pub(crate) fn raw(raw: &RawSpec, bytes: Option<u64>) -> Result<Self, Error> {
        let content = Content::Plain(raw.coding);
        let container = Self::new(content, raw.depth(), raw.rate, raw.channels, 0)?;
        Ok(Self { bytes, ..container })
    }

    /// Bytes per frame, for uncompressed formats.
    pub(crate) fn frame_bytes(&self) -> u64 {
        match &self.content {
            Content::Plain(coding) => coding.bytes() as u64 * u64::from(self.channels),
            _ => 1,
        }
    }

    /// Sets the bytes of audio for formats with nothing after it.
    fn with_bytes(mut self, source: &Source, stated: Option<u64>) -> Self {
        let frame = self.frame_bytes();
        self.bytes = match (stated, source.left()) {
            (Some(0), Some(left)) if left > 0 => {
                self.warnings.push(Warning::Unfinished { actual: left / frame });
                Some(left)
            }
            (Some(stated), Some(left)) if stated > left => {
                let warning = Warning::Cut { actual: left / frame, expected: stated / frame };
                self.warnings.extend((!is_placeholder(stated, false)).then_some(warning));
                Some(left)
            }
            (stated, left) => stated.or(left),
        };
        self
    }
}

// ---- Wave64 ---------------------------------------------------------------------------------------------------------

const W64_RIFF: [u8; 16] = [
    0x72, 0x69, 0x66, 0x66, 0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0x00, 0x00,
];
/// The rest of the GUIDs of its other chunks, after their four letters.
const W64_TAIL: [u8; 12] = [0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a];

fn wave64(source: &mut Source) -> Result<Container, Error> {
    take(source, 40, "its header")?;
    let mut format: Option<Vec<u8>> = None;
    let mut lost = Vec::new();
    loop {
        let head = take(source, 24, "its header, before any audio")?;
        let size = head[16..24].try_into().map_or(0, u64::from_le_bytes);
        let Some(size) = size.checked_sub(24).filter(|_| is_id(&head[..4])) else {
            let at = source.at() - 24;
            return Err(Error::Damaged(format!("byte {at} is not the start of a Wave64 chunk")));
        };
        match (&head[..4], format.take()) {
            (b"data", Some(bytes)) => {
                let mut container = wave_format(&bytes)?;
                container.metadata.lost = lost;
                // Some programs count the padding as audio.
                let padding = size % container.frame_bytes();
                let size = if padding < 8 { size - padding } else { size };
                return Ok(container.with_bytes(source, Some(size)));
            }
            (b"fmt ", None) => format = Some(take(source, size.min(LONGEST_FORMAT), "its format")?),
            (id, kept) => {
                format = kept;
                if head[4..16] == W64_TAIL && ![&b"fact"[..], b"junk"].contains(&id) {
                    lost.push(format!("{} chunk", id_text(id)));
                }
                source.skip(size).map_err(Error::Read)?;
            }
        }
        source.skip(size.wrapping_neg() % 8).map_err(Error::Read)?;
    }
}

// ---- AIFF -----------------------------------------------------------------------------------------------------------

fn aiff(source: &mut Source) -> Result<Container, Error> {
    let compressed = take(source, 12, "its header")?.ends_with(b"AIFC");
    let mut common: Option<Vec<u8>> = None;
    let mut sound = None;
    let mut metadata = Metadata::default();
    let mut warnings = Vec::new();
    loop {
        let head = source.read_up_to(8).map_err(Error::Read)?;
        if head.len() < 8 || !is_id(&head[..4]) {
            break;
        }
        let size = u64::from(u32_be(&head, 4));
        match &head[..4] {
            b"SSND" => {
                let offset = u64::from(u32_be(&take(source, 8, "its header")?, 0));
                source.skip(offset).map_err(Error::Read)?;
                // A length of 0 comes from an interrupted recorder.
                let stated = size.saturating_sub(8 + offset);
                if common.is_some() && (!source.is_file() || stated == 0) {
                    sound = Some((source.at(), stated));
                    break;
                }
                sound = Some((source.at(), stated));
                source.skip(stated).map_err(Error::Read)?;
            }
            b"COMM" => common = Some(take(source, size.min(LONGEST_FORMAT), "its format")?),
            id @ (b"NAME" | b"AUTH" | b"ANNO" | b"(c) ") => {
                let text = source.read_up_to(size.min(KEPT)).map_err(Error::Read)?;
                let name = match id {
                    b"NAME" => "TITLE",
                    b"AUTH" => "ARTIST",
                    b"ANNO" => "COMMENT",
                    _ => "COPYRIGHT",
                };
                metadata.tag(name, String::from_utf8_lossy(&text));
            }
            b"MARK" => {
                markers(&source.read_up_to(size.min(KEPT)).map_err(Error::Read)?, &mut metadata)
            }
            b"ID3 " => keep(source, b"id3 ", size, &mut metadata.after, &mut warnings)?,
            id => {
                if ![&b"FVER"[..], b"FLLR", b"COMM"].contains(&id) {
                    metadata.lost.push(format!("{} chunk", id_text(id)));
                }
                source.skip(size).map_err(Error::Read)?;
            }
        }
        pad(source, size)?;
    }
    let Some(common) = common.filter(|bytes| bytes.len() >= 18) else {
        return Err(Error::EndsEarly { place: "its header" });
    };
    let Some((start, stated)) = sound else {
        return Err(Error::EndsEarly { place: "its header, before any audio" });
    };
    if source.at() != start {
        source.seek_to(start).map_err(Error::Read)?;
    }
    let bits = u16_be(&common, 6);
    let code = if compressed { common.get(18..22).unwrap_or_default() } else { b"NONE" };
    let int = |bits: u16, order| match bits.div_ceil(8) {
        bytes @ 1..=4 => {
            let depth = [Depth::U8, Depth::I16, Depth::I24, Depth::I32][usize::from(bytes) - 1];
            Ok((Content::Plain(Coding::Int { bytes: bytes as u8, order }), depth))
        }
        _ => Err(bits_of(bits, "1 to 32")),
    };
    let (content, depth) = match code {
        b"NONE" | b"twos" => int(bits, Order::Big)?,
        b"sowt" => int(bits, Order::Little)?,
        b"in24" => int(24, Order::Big)?,
        b"in32" => int(32, Order::Big)?,
        b"raw " => (Content::Plain(Coding::U8), Depth::U8),
        b"fl32" | b"FL32" => float(32, Order::Big)?,
        b"fl64" | b"FL64" => float(64, Order::Big)?,
        b"alaw" | b"ALAW" => (Content::Plain(Coding::ALaw), Depth::I16),
        b"ulaw" | b"ULAW" => (Content::Plain(Coding::MuLaw), Depth::I16),
        code => return Err(Error::Codec(format!("“{}” in AIFF", id_text(code)))),
    };
    let rate = extended(&common[8..18])
        .ok_or_else(|| Error::Damaged("its sample rate is not a whole number of Hz".into()))?;
    let mut container = Container::new(content, depth, rate, u16_be(&common, 0), 0)?;
    container.metadata = metadata;
    container.warnings = warnings;
    // Some programs leave room after the last sample.
    let frames = u64::from(u32_be(&common, 2)) * container.frame_bytes();
    let stated = if (1..stated).contains(&frames) { frames } else { stated };
    Ok(container.with_bytes(source, Some(stated)))
}

/// 80-bit floating point, for whole numbers.
fn extended(bytes: &[u8]) -> Option<u32> {
    let exponent = i32::from(u16_be(bytes, 0)) - 16_383;
    let mantissa = bytes[2..10].try_into().map(u64::from_be_bytes).ok()?;
    u32::try_from(mantissa.checked_shr(u32::try_from(63 - exponent).ok()?)?).ok()
}

/// Markers as a `cue ` chunk and its labels.
fn markers(bytes: &[u8], metadata: &mut Metadata) {
    let (mut points, mut labels) = (Vec::new(), b"adtl".to_vec());
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [a, b, p, q, r, s, length, ref text @ ..] = *rest {
        let id = u32::from(u16::from_be_bytes([a, b]));
        let at = u32::from_be_bytes([p, q, r, s]);
        let Some(name) = text.get(..usize::from(length)) else { break };
        points.push((id, at));
        let mut label = id.to_le_bytes().to_vec();
        label.extend(name);
        label.push(0);
        Chunk::new(b"labl", label).put(&mut labels);
        rest = text.get(usize::from(length) + usize::from(length % 2 == 0)..).unwrap_or_default();
    }
    if points.is_empty() {
        return;
    }
    let mut cue = (points.len() as u32).to_le_bytes().to_vec();
    for (id, at) in points {
        cue.extend(id.to_le_bytes());
        cue.extend(at.to_le_bytes());
        cue.extend(b"data\0\0\0\0\0\0\0\0");
        cue.extend(at.to_le_bytes());
    }
    metadata.after.push(Chunk::new(b"cue ", cue));
    metadata.after.push(Chunk::new(b"LIST", labels));
}

// ---- AU -------------------------------------------------------------------------------------------------------------

fn au(source: &mut Source) -> Result<Container, Error> {
    let head = take(source, 24, "its header")?;
    let [offset, size, code, rate, channels] = [4, 8, 12, 16, 20].map(|at| u32_be(&head, at));
    let int = |bytes| Content::Plain(Coding::Int { bytes, order: Order::Big });
    let (content, depth) = match code {
        1 => (Content::Plain(Coding::MuLaw), Depth::I16),
        2 => (int(1), Depth::U8),
        3 => (int(2), Depth::I16),
        4 => (int(3), Depth::I24),
        5 => (int(4), Depth::I32),
        6 => float(32, Order::Big)?,
        7 => float(64, Order::Big)?,
        27 => (Content::Plain(Coding::ALaw), Depth::I16),
        code => return Err(Error::Codec(format!("AU with codec {code}"))),
    };
    let channels = u16::try_from(channels).map_err(|_| Error::Channels(channels as usize))?;
    let mut container = Container::new(content, depth, rate, channels, 0)?;
    let length = u64::from(offset.saturating_sub(24));
    let text = source.read_up_to(length.min(KEPT)).map_err(Error::Read)?;
    source.skip(length.saturating_sub(KEPT)).map_err(Error::Read)?;
    let text = String::from_utf8_lossy(&text);
    container.metadata.tag("COMMENT", text.split('\0').next().unwrap_or_default());
    let stated = (size != u32::MAX).then_some(u64::from(size));
    Ok(container.with_bytes(source, stated))
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

/// Reads the given number of bytes, or fails where the file ends.
fn take(source: &mut Source, count: u64, place: &'static str) -> Result<Vec<u8>, Error> {
    match source.read_up_to(count) {
        Ok(bytes) if bytes.len() as u64 == count => Ok(bytes),
        Ok(_) => Err(Error::EndsEarly { place }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Error::EndsEarly { place })
        }
        Err(error) => Err(Error::Read(error)),
    }
}

fn u16_le(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_le(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u16_be(bytes: &[u8], at: usize) -> u16 {
    u16_le(bytes, at).swap_bytes()
}

fn u32_be(bytes: &[u8], at: usize) -> u32 {
    u32_le(bytes, at).swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 16-bit mono file.
    fn judged(
        stated: u64,
        left: u64,
        riff_left: u64,
        chunks_at: Option<u64>,
    ) -> (u64, Option<Warning>) {
        judge(stated, left, riff_left, false, 2, |at| Ok(chunks_at == Some(at))).expect("bytes")
    }

    #[test]
    fn what_is_there_counts_not_what_the_header_says() {
        let cut = |actual, expected| Some(Warning::Cut { actual, expected });
        let longer = |actual, expected| Some(Warning::Longer { actual, expected });
        let g = 1u64 << 32;
        for (name, stated, left, riff_left, chunks_at, expected) in [
            ("right", 1000, 1000, 1000, None, (1000, None)),
            ("padded", 999, 1000, 1000, None, (999, None)),
            ("chunks behind", 1000, 1050, 1050, Some(1000), (1000, None)),
            ("chunks behind the padding", 999, 1050, 1050, Some(1000), (999, None)),
            ("chunks behind no padding", 999, 1050, 1050, Some(999), (999, None)),
            ("cut", 1000, 900, 1000, None, (900, cut(450, 500))),
            ("cut by a byte", 1000, 999, 1000, None, (999, cut(499, 500))),
            ("a pipe", 0xffff_ffff, 1000, 0, None, (1000, None)),
            ("NAudio's", 0xffff_ffdb, 1000, 0, None, (1000, None)),
            ("SoX's", 0x7fff_f000, 1000, 0, None, (1000, None)),
            ("arecord's", 0x8000_0000, 1000, 0, None, (1000, None)),
            ("arecord's past 2 GiB", 0x8000_0000, 0x9000_0000, 0, None, (0x9000_0000, None)),
            ("crashed", 0, 1000, 0, None, (1000, Some(Warning::Unfinished { actual: 500 }))),
            ("empty, with chunks", 0, 50, 50, Some(0), (0, None)),
            ("written half", 500, 1000, 1000, None, (1000, longer(500, 250))),
            ("written half in both", 5000, 10_000, 5000, None, (10_000, longer(5000, 2500))),
            ("a little behind", 1000, 1100, 1000, None, (1000, Some(Warning::Rubbish(100)))),
            ("past 4 GiB", 1000, g + 1000, 1000, None, (g + 1000, longer((g + 1000) / 2, 500))),
            (
                "past 8 GiB and chunks",
                1000,
                2 * g + 1050,
                0,
                Some(2 * g + 1000),
                (2 * g + 1000, longer(g + 500, 500)),
            ),
        ] {
            assert_eq!(judged(stated, left, riff_left, chunks_at), expected, "{name}");
        }
    }

    fn format(code: u16, channels: u16, bits: u16, block: u16, more: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in [code, channels] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(48_000u32.to_le_bytes());
        bytes.extend((48_000 * u32::from(block)).to_le_bytes());
        bytes.extend(block.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(more);
        bytes
    }

    fn extensible(valid: u16, code: u16, tail: usize) -> Vec<u8> {
        let mut bytes = 22u16.to_le_bytes().to_vec();
        bytes.extend(valid.to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        bytes.extend(code.to_le_bytes());
        bytes.extend(GUID_TAILS[tail]);
        bytes
    }

    #[test]
    fn odd_formats_are_what_their_writers_meant() {
        let int = |bytes| Coding::Int { bytes, order: Order::Little };
        for (name, bytes, coding, depth) in [
            ("plain", format(1, 1, 16, 2, &[]), int(2), Depth::I16),
            ("18 bytes", format(1, 1, 16, 2, &[0; 2]), int(2), Depth::I16),
            ("40 bytes", format(1, 1, 24, 3, &[0; 24]), int(3), Depth::I24),
            ("20 bits", format(1, 1, 20, 3, &[]), int(3), Depth::I24),
            ("12 bits", format(1, 1, 12, 2, &[]), int(2), Depth::I16),
            ("24 bits in 4 bytes", format(1, 2, 24, 8, &[]), int(4), Depth::I24),
            ("wrong block", format(1, 1, 16, 16, &[]), int(2), Depth::I16),
            ("no block", format(1, 1, 16, 0, &[]), int(2), Depth::I16),
            ("no valid bits", format(0xfffe, 1, 24, 3, &extensible(0, 1, 0)), int(3), Depth::I24),
            ("16 valid of 24", format(0xfffe, 1, 24, 3, &extensible(16, 1, 0)), int(3), Depth::I24),
            ("24 valid of 32", format(0xfffe, 1, 32, 4, &extensible(24, 1, 0)), int(4), Depth::I24),
            ("32 valid of 32", format(0xfffe, 1, 32, 4, &extensible(32, 1, 0)), int(4), Depth::I32),
            ("B-format", format(0xfffe, 1, 16, 2, &extensible(16, 1, 1)), int(2), Depth::I16),
            ("long name, short form", format(0xfffe, 1, 16, 2, &[0; 2]), int(2), Depth::I16),
            ("float", format(3, 1, 32, 4, &[0; 2]), Coding::F32(Order::Little), Depth::F32),
            ("double", format(3, 1, 64, 8, &[]), Coding::F64(Order::Little), Depth::F32),
        ] {
            let container = wave_format(&bytes).expect(name);
            assert_eq!(
                (container.content, container.depth),
                (Content::Plain(coding), depth),
                "{name}"
            );
        }
        for (name, bytes, words) in [
            ("short", format(1, 1, 16, 2, &[])[..15].to_vec(), "15 bytes"),
            ("no bits", format(1, 1, 0, 2, &[]), "0 bits"),
            ("many bits", format(1, 1, 65_535, 2, &[]), "65535 bits"),
            ("half floats", format(3, 1, 16, 2, &[]), "16 bits"),
            ("no channels", format(1, 0, 16, 2, &[]), "0 channels"),
            ("GSM", format(0x31, 1, 0, 65, &[]), "GSM 6.10"),
            ("a codec nobody knows", format(0x1234, 1, 16, 2, &[]), "0x1234"),
        ] {
            let error = wave_format(&bytes).expect_err(name).to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn rates_of_aiff_are_whole_numbers() {
        let bytes = |exponent: u16, mantissa: u64| {
            [&exponent.to_be_bytes()[..], &mantissa.to_be_bytes()].concat()
        };
        assert_eq!(extended(&bytes(0x400e, 0xac44 << 48)), Some(44_100));
        assert_eq!(extended(&bytes(0x400e, 0xbb80 << 48)), Some(48_000));
        assert_eq!(extended(&bytes(0x4010, 0xbb80 << 48)), Some(192_000));
        assert_eq!(extended(&bytes(0x7fff, 1 << 63)), None);
        assert_eq!(extended(&bytes(0, 0)), None);
    }
}
