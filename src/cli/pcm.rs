//! Samples without a codec, or with a telephone codec.

/// The encoding of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// 8 bits around 128.
    U8,
    /// Two's complement in 1 to 4 bytes, left-justified.
    Int {
        bytes: u8,
        order: Order,
    },
    F32(Order),
    F64(Order),
    /// G.711.
    ALaw,
    /// G.711.
    MuLaw,
}

/// Byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Coding {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::ALaw | Self::MuLaw => 1,
            Self::Int { bytes, .. } => usize::from(bytes),
            Self::F32(_) => 4,
            Self::F64(_) => 8,
        }
    }

    /// Appends whole frames to the planes, one per channel.
    pub(crate) fn decode(self, frames: &[u8], planes: &mut [Vec<f32>]) {
        match self {
            Self::U8 => fill(frames, planes, |[x]: [u8; 1]| (f32::from(x) - 128.0) / 128.0),
            Self::ALaw => fill(frames, planes, |[x]: [u8; 1]| f32::from(a_law(x)) / 32_768.0),
            Self::MuLaw => fill(frames, planes, |[x]: [u8; 1]| f32::from(mu_law(x)) / 32_768.0),
            Self::Int { bytes: 1, .. } => {
                fill(frames, planes, |[x]: [u8; 1]| f32::from(x as i8) / 128.0)
            }
            Self::Int { bytes: 2, order: Order::Little } => {
                fill(frames, planes, |x| f32::from(i16::from_le_bytes(x)) / 32_768.0)
            }
            Self::Int { bytes: 2, order: Order::Big } => {
                fill(frames, planes, |x| f32::from(i16::from_be_bytes(x)) / 32_768.0)
            }
            Self::Int { bytes: 3, order: Order::Little } => {
                fill(frames, planes, |[a, b, c]: [u8; 3]| full(i32::from_le_bytes([0, a, b, c])))
            }
            Self::Int { bytes: 3, order: Order::Big } => {
                fill(frames, planes, |[a, b, c]: [u8; 3]| full(i32::from_be_bytes([a, b, c, 0])))
            }
            Self::Int { order: Order::Little, .. } => {
                fill(frames, planes, |x| full(i32::from_le_bytes(x)))
            }
            Self::Int { order: Order::Big, .. } => {
                fill(frames, planes, |x| full(i32::from_be_bytes(x)))
            }
            Self::F32(Order::Little) => fill(frames, planes, f32::from_le_bytes),
            Self::F32(Order::Big) => fill(frames, planes, f32::from_be_bytes),
            Self::F64(Order::Little) => fill(frames, planes, |x| f64::from_le_bytes(x) as f32),
            Self::F64(Order::Big) => fill(frames, planes, |x| f64::from_be_bytes(x) as f32),
        }
    }
}

fn fill<const N: usize>(frames: &[u8], planes: &mut [Vec<f32>], sample: impl Fn([u8; N]) -> f32) {
    let (samples, _) = frames.as_chunks::<N>();
    let channels = planes.len();
    for (channel, plane) in planes.iter_mut().enumerate() {
        plane.extend(samples.iter().skip(channel).step_by(channels).map(|&bytes| sample(bytes)));
    }
}

/// 32 bits around 0.
fn full(x: i32) -> f32 {
    (f64::from(x) / 2_147_483_648.0) as f32
}

fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let level = ((i16::from(byte & 0x0f) << 3) + 0x84) << ((byte >> 4) & 7);
    if byte & 0x80 == 0 { level - 0x84 } else { 0x84 - level }
}

fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let step = i16::from(byte & 0x0f) << 4;
    let level = match (byte >> 4) & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if byte & 0x80 == 0 { -level } else { level }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coding: Coding, bytes: &[u8], channels: usize) -> Vec<Vec<f32>> {
        let mut planes = vec![Vec::new(); channels];
        coding.decode(bytes, &mut planes);
        planes
    }

    #[test]
    fn every_format_reads_a_half_and_minus_a_whole() {
        let int = |bytes, order| Coding::Int { bytes, order };
        let (half, whole) = (0.5f32, -1.0f32);
        let floats = |big: bool| {
            let bytes = |x: f32| if big { x.to_be_bytes() } else { x.to_le_bytes() };
            [bytes(half), bytes(whole)].concat()
        };
        let doubles = |big: bool| {
            let bytes =
                |x: f32| if big { f64::from(x).to_be_bytes() } else { f64::from(x).to_le_bytes() };
            [bytes(half), bytes(whole)].concat()
        };
        for (coding, bytes) in [
            (Coding::U8, vec![192, 0]),
            (int(1, Order::Big), vec![0x40, 0x80]),
            (int(2, Order::Little), vec![0, 0x40, 0, 0x80]),
            (int(2, Order::Big), vec![0x40, 0, 0x80, 0]),
            (int(3, Order::Little), vec![0, 0, 0x40, 0, 0, 0x80]),
            (int(3, Order::Big), vec![0x40, 0, 0, 0x80, 0, 0]),
            (int(4, Order::Little), vec![0, 0, 0, 0x40, 0, 0, 0, 0x80]),
            (int(4, Order::Big), vec![0x40, 0, 0, 0, 0x80, 0, 0, 0]),
            (Coding::F32(Order::Little), floats(false)),
            (Coding::F32(Order::Big), floats(true)),
            (Coding::F64(Order::Little), doubles(false)),
            (Coding::F64(Order::Big), doubles(true)),
        ] {
            assert_eq!(decoded(coding, &bytes, 1), [[half, whole]], "{coding:?}");
            assert_eq!(decoded(coding, &bytes, 2), [[half], [whole]], "{coding:?}");
            assert_eq!(bytes.len(), 2 * coding.bytes());
        }
    }

    #[test]
    fn telephone_codes_have_their_ends_and_their_middle() {
        // ITU-T G.711: the largest values and those around zero.
        for (byte, value) in [(0x80, 32_124), (0x00, -32_124), (0xff, 0), (0x7f, 0), (0xfe, 8)] {
            assert_eq!(mu_law(byte), value, "{byte:#x}");
        }
        for (byte, value) in [(0xaa, 32_256), (0x2a, -32_256), (0xd5, 8), (0x55, -8)] {
            assert_eq!(a_law(byte), value, "{byte:#x}");
        }
    }
}
