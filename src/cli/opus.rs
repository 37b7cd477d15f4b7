//! Opus packets as planes of `f32`.
use ruopus::{MultistreamDecoder, OpusDecoder};

use crate::cli::error::Error;

/// Opus always decodes to this rate.
const RATE: u32 = 48_000;

enum Decoder {
    Single(Box<OpusDecoder>),
    Several(MultistreamDecoder),
}

/// A decoder for one stream.
pub(crate) struct Opus {
    decoder: Decoder,
    /// The channels in WAV order, by their index in the stream.
    order: Vec<usize>,
    gain: f32,
    /// Encoder delay at the start, in samples.
    skip: usize,
}

impl Opus {
    /// Takes the identification header, "OpusHead" (RFC 7845).
    pub(crate) fn new(head: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Damaged("its Opus header is invalid".into());
        let fixed =
            head.get(..19).filter(|head| head.starts_with(b"OpusHead")).ok_or_else(damaged)?;
        let channels = usize::from(fixed[9]);
        let decoder = match (fixed[18], channels) {
            (0, 1..=2) => Decoder::Single(Box::new(OpusDecoder::with_rate(RATE, channels))),
            (1, 1..=8) => {
                let table = head.get(19..21 + channels).ok_or_else(damaged)?;
                let (streams, coupled) = (usize::from(table[0]), usize::from(table[1]));
                let (mapping, decoded) = (&table[2..], streams + coupled);
                let fits = |&at: &u8| at == 255 || usize::from(at) < decoded;
                if streams == 0 || coupled > streams || decoded > 255 || !mapping.iter().all(fits) {
                    return Err(damaged());
                }
                Decoder::Several(MultistreamDecoder::with_rate(RATE, streams, coupled, mapping))
            }
            (family @ 2.., _) => {
                return Err(Error::Codec(format!("Opus with channel mapping {family}")));
            }
            _ => return Err(damaged()),
        };
        // Vorbis channel order.
        let order = match (fixed[18], channels) {
            (1, 3) => vec![0, 2, 1],
            (1, 5) => vec![0, 2, 1, 3, 4],
            (1, 6) => vec![0, 2, 1, 5, 3, 4],
            (1, 7) => vec![0, 2, 1, 6, 5, 3, 4],
            (1, 8) => vec![0, 2, 1, 7, 5, 6, 3, 4],
            _ => (0..channels).collect(),
        };
        let gain = f32::from(i16::from_le_bytes([fixed[16], fixed[17]])) / 256.0;
        Ok(Self {
            decoder,
            order,
            gain: 10f32.powf(gain / 20.0),
            skip: usize::from(u16::from_le_bytes([fixed[10], fixed[11]])),
        })
    }

    pub(crate) fn channels(&self) -> usize {
        self.order.len()
    }

    /// Samples at the start still to be dropped.
    pub(crate) fn skip(&self) -> usize {
        self.skip
    }

    /// Disables the drop at the start and returns its length.
    pub(crate) fn keep_start(&mut self) -> usize {
        std::mem::take(&mut self.skip)
    }

    /// The samples of a packet, without the skipped start and `trim` at its end; also the length including them.
    pub(crate) fn decode(
        &mut self,
        packet: &[u8],
        trim: usize,
        planes: &mut Vec<Vec<f32>>,
    ) -> Option<usize> {
        let pcm = match &mut self.decoder {
            Decoder::Single(decoder) => decoder.decode_packet(packet),
            Decoder::Several(decoder) => decoder.decode_packet(packet),
        };
        let (pcm, channels) = (pcm.ok()?, self.order.len());
        let frames = pcm.len() / channels;
        let skip = self.skip.min(frames);
        self.skip -= skip;
        let end = frames.saturating_sub(trim).max(skip);
        planes.resize_with(channels, Vec::new);
        for (plane, &channel) in planes.iter_mut().zip(&self.order) {
            plane.clear();
            let samples = pcm[skip * channels..end * channels].iter();
            plane.extend(samples.skip(channel).step_by(channels).map(|x| x * self.gain));
        }
        Some(frames)
    }
}
