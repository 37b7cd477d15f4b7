//! The parameters that hosts see: names, ranges and defaults, shared by all plugin formats.
//!
//! Ids never change: hosts store automation and sessions by them.
use crate::engine::{Controls, DEFAULT_REDUCTION_DB, Listen, Stereo};

/// The largest reduction shown as a number, dB; anything above is "Full".
pub const REDUCTION_LIMIT_DB: f32 = 60.0;
/// Plain value of the Reduction parameter at "Full".
pub const REDUCTION_FULL: f32 = REDUCTION_LIMIT_DB + 1.0;
/// Range of the Sensitivity parameter, dB either way.
pub const SENSITIVITY_RANGE_DB: f32 = 12.0;
/// Range of the Output parameter, dB either way.
pub const OUTPUT_RANGE_DB: f32 = 24.0;

/// Every parameter, in the order in which the editor shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineParameter {
    /// Largest reduction.
    Reduction,
    /// Bias on the noise estimate.
    Sensitivity,
    /// Share of the steady noise to keep.
    Ambience,
    /// Gain after denoising.
    Output,
    /// Which signal is output.
    Listen,
    /// Channel linking.
    Stereo,
    /// The host's bypass.
    Bypass,
}

/// The plain values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// Any number from the first to the second, in dB.
    Decibels(f32, f32),
    /// Any number from 0 to 100.
    Percent,
    /// 0 or 1, by these names.
    Choice([&'static str; 2]),
    /// Off (0) or on (1).
    Switch,
}

impl EngineParameter {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Reduction,
        Self::Sensitivity,
        Self::Ambience,
        Self::Output,
        Self::Listen,
        Self::Stereo,
        Self::Bypass,
    ];
    /// Those that shape the sound. Presets and A/B leave the others alone: they only affect how one listens.
    pub const SOUND: [Self; 5] =
        [Self::Reduction, Self::Sensitivity, Self::Ambience, Self::Output, Self::Stereo];

    /// The parameter's id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Reduction => "reduction",
            Self::Sensitivity => "sensitivity",
            Self::Ambience => "ambience",
            Self::Output => "output",
            Self::Listen => "listen",
            Self::Stereo => "stereo",
            Self::Bypass => "bypass",
        }
    }

    /// The name shown to users.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reduction => "Reduction",
            Self::Sensitivity => "Sensitivity",
            Self::Ambience => "Ambience",
            Self::Output => "Output",
            Self::Listen => "Listen",
            Self::Stereo => "Stereo",
            Self::Bypass => "Bypass",
        }
    }

    /// What it does, in a sentence.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Reduction => "The most by which noise is turned down; Full removes all it can.",
            Self::Sensitivity => "Up treats doubtful sounds as noise, down keeps them.",
            Self::Ambience => "How much of the room's steady noise stays.",
            Self::Output => "Level of the output.",
            Self::Listen => "The result, or what was removed.",
            Self::Stereo => {
                "One mask for both channels preserves the stereo image; or one for each."
            }
            Self::Bypass => "The input, delayed by the latency.",
        }
    }

    /// Its plain values.
    pub const fn values(self) -> Values {
        match self {
            Self::Reduction => Values::Decibels(0.0, REDUCTION_FULL),
            Self::Sensitivity => Values::Decibels(-SENSITIVITY_RANGE_DB, SENSITIVITY_RANGE_DB),
            Self::Ambience => Values::Percent,
            Self::Output => Values::Decibels(-OUTPUT_RANGE_DB, OUTPUT_RANGE_DB),
            Self::Listen => Values::Choice(["Result", "Removed"]),
            Self::Stereo => Values::Choice(["Linked", "Independent"]),
            Self::Bypass => Values::Switch,
        }
    }

    /// The smallest and the largest plain value.
    pub const fn range(self) -> (f32, f32) {
        match self.values() {
            Values::Decibels(low, high) => (low, high),
            Values::Percent => (0.0, 100.0),
            Values::Choice(_) | Values::Switch => (0.0, 1.0),
        }
    }

    /// The plain value of a new instance.
    pub const fn default(self) -> f32 {
        match self {
            Self::Reduction => DEFAULT_REDUCTION_DB,
            _ => 0.0,
        }
    }

    /// Sets the engine's control to a plain value, clamped to its range; NaN is ignored.
    pub fn set(self, controls: &mut Controls, plain: f32) {
        if plain.is_nan() {
            return;
        }
        let (low, high) = self.range();
        let plain = plain.clamp(low, high);
        let on = plain > 0.5;
        match self {
            Self::Reduction => controls.reduction_db = reduction_db(plain),
            Self::Sensitivity => controls.sensitivity_db = plain,
            Self::Ambience => controls.ambience = plain / 100.0,
            Self::Output => controls.output_db = plain,
            Self::Listen => controls.listen = if on { Listen::Removed } else { Listen::Result },
            Self::Stereo => controls.stereo = if on { Stereo::Independent } else { Stereo::Linked },
            Self::Bypass => controls.bypass = on,
        }
    }

    /// The plain value of the engine's control.
    pub fn plain(self, controls: &Controls) -> f32 {
        match self {
            Self::Reduction => controls.reduction_db.min(REDUCTION_FULL),
            Self::Sensitivity => controls.sensitivity_db,
            Self::Ambience => controls.ambience * 100.0,
            Self::Output => controls.output_db,
            Self::Listen => f32::from(controls.listen == Listen::Removed),
            Self::Stereo => f32::from(controls.stereo == Stereo::Independent),
            Self::Bypass => f32::from(controls.bypass),
        }
    }
}

/// Decibels for the engine: the top of the range means no limit.
pub fn reduction_db(plain: f32) -> f32 {
    if is_full(plain) { f32::INFINITY } else { plain.min(REDUCTION_LIMIT_DB) }
}

/// Whether a plain Reduction value is shown as "Full".
pub fn is_full(plain: f32) -> bool {
    plain > REDUCTION_LIMIT_DB + 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_engines() {
        for parameter in EngineParameter::ALL {
            let mut controls = Controls { bypass: true, output_db: 3.0, ..Controls::default() };
            assert_eq!(parameter.plain(&Controls::default()), parameter.default(), "{parameter:?}");
            parameter.set(&mut controls, parameter.range().1);
            assert_eq!(parameter.plain(&controls), parameter.range().1, "{parameter:?}");
            parameter.set(&mut controls, f32::NAN);
            assert_eq!(parameter.plain(&controls), parameter.range().1, "{parameter:?}");
            parameter.set(&mut controls, f32::NEG_INFINITY);
            assert_eq!(parameter.plain(&controls), parameter.range().0, "{parameter:?}");
        }
    }

    #[test]
    fn full_is_no_limit() {
        let mut controls = Controls::default();
        for (plain, db) in
            [(24.0, 24.0), (60.4, 60.0), (61.0, f32::INFINITY), (96.0, f32::INFINITY)]
        {
            EngineParameter::Reduction.set(&mut controls, plain);
            assert_eq!(controls.reduction_db, db, "{plain}");
        }
    }
}
