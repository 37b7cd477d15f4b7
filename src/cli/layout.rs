//! Channel layouts, and how each channel is treated.
use crate::Role;
use crate::cli::error::{Error, Warning};
use crate::cli::wav::WavSpec;

/// The bit of low-frequency effects in a WAV file's channel mask.
const LFE: u32 = 8;
/// Its position in 5.1, 6.1 and 7.1 in WAV's order, counted from 1.
const USUAL: u16 = 4;

/// The channel of low-frequency effects as specified by the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lfe {
    None,
    /// Counted from 1.
    Channel(u16),
}

impl Lfe {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        match text.parse() {
            Ok(channel) if channel > 0 => Ok(Self::Channel(channel)),
            _ => Err("expected a channel, counted from 1, or none".into()),
        }
    }
}

/// Every channel is denoised except low-frequency effects: the channel given by the user, else the one in the file's channel
/// mask. Without a mask, six to eight channels are assumed to be 5.1, 6.1 or 7.1, as players do, with a warning.
pub(crate) fn roles(
    spec: &WavSpec,
    told: Option<Lfe>,
) -> Result<(Vec<Role>, Option<Warning>), Error> {
    let mut roles = vec![Role::Denoised; usize::from(spec.channels)];
    let (lfe, warning) = match told {
        Some(Lfe::None) => (None, None),
        Some(Lfe::Channel(channel)) if channel > spec.channels => {
            return Err(Error::Lfe { channel, channels: spec.channels });
        }
        Some(Lfe::Channel(channel)) => (Some(channel), None),
        None if spec.mask & LFE != 0 => {
            (Some((spec.mask & (LFE - 1)).count_ones() as u16 + 1), None)
        }
        None if spec.mask == 0 && (6..=8).contains(&spec.channels) => {
            let layout = spec.channels - 1;
            (Some(USUAL), Some(Warning::TakenForLfe { channel: USUAL, layout }))
        }
        None => (None, None),
    };
    if let Some(role) = lfe.and_then(|channel| roles.get_mut(usize::from(channel) - 1)) {
        *role = Role::Passed;
    }
    Ok((roles, warning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::wav::Depth;

    /// The passed-through channel, counted from 1, and whether there is a warning.
    fn passed(channels: u16, mask: u32, told: Option<Lfe>) -> (Option<usize>, bool) {
        let spec = WavSpec { rate: 48_000, channels, depth: Depth::I16, mask };
        let (roles, warning) = roles(&spec, told).expect("a layout");
        assert_eq!(roles.len(), usize::from(channels));
        assert!(roles.iter().filter(|role| **role == Role::Passed).count() <= 1);
        let place = roles.iter().position(|role| *role == Role::Passed);
        (place.map(|place| place + 1), warning.is_some())
    }

    #[test]
    fn the_mask_tells_where_low_frequency_effects_are() {
        for (channels, mask, expected) in [
            (1, 0x4, None),
            (2, 0x3, None),
            (4, 0x33, None),    // quadraphonic
            (5, 0x37, None),    // 5.0
            (3, 0xb, Some(3)),  // 2.1
            (6, 0x3f, Some(4)), // 5.1
            (6, 0x60f, Some(4)),
            (8, 0x63f, Some(4)), // 7.1
            (6, 0x707, None),    // 6.0
            (2, 0xc, Some(2)),
        ] {
            assert_eq!(passed(channels, mask, None), (expected, false), "{channels}, {mask:#x}");
        }
    }

    #[test]
    fn without_a_mask_the_usual_order_counts_and_is_said() {
        for channels in [6, 7, 8] {
            assert_eq!(passed(channels, 0, None), (Some(4), true), "{channels}");
        }
        for channels in [1, 2, 3, 4, 5, 9, 16, 64] {
            assert_eq!(passed(channels, 0, None), (None, false), "{channels}");
        }
    }

    #[test]
    fn what_the_user_says_counts() {
        assert_eq!(passed(6, 0x3f, Lfe::parse("none").ok()), (None, false));
        assert_eq!(passed(6, 0, Lfe::parse("None").ok()), (None, false));
        assert_eq!(passed(6, 0x3f, Lfe::parse("6").ok()), (Some(6), false));
        assert_eq!(passed(3, 0, Lfe::parse("1").ok()), (Some(1), false));
        for text in ["", "0", "-1", "LFE", "1.5", "65536"] {
            assert!(Lfe::parse(text).is_err(), "{text}");
        }
        let spec = WavSpec { rate: 48_000, channels: 2, depth: Depth::I16, mask: 3 };
        let error = roles(&spec, Some(Lfe::Channel(3))).expect_err("two channels");
        assert!(error.to_string().contains("3") && error.to_string().contains("2"), "{error}");
    }
}
