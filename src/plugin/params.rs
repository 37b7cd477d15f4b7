//! The parameters a host sees, and their way into [`Controls`].
//!
//! Ids never change: hosts store automation and sessions by them.
use std::sync::{Arc, RwLock};

use nice_plug::prelude::*;
use serde::{Deserialize, Serialize};

use crate::engine::{self, Controls};

/// The largest reduction with a number, dB; what lies above is "Full".
pub const REDUCTION_LIMIT_DB: f32 = 60.0;
/// Plain value of the Reduction parameter at "Full".
pub const REDUCTION_FULL: f32 = REDUCTION_LIMIT_DB + 1.0;
/// Range of the Output parameter, dB either way.
pub const OUTPUT_RANGE_DB: f32 = 24.0;

/// What is heard, as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Listen {
    /// The denoised voice.
    #[id = "result"]
    Result,
    /// What was taken out.
    #[id = "removed"]
    Removed,
}

/// How two channels share the network, as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Stereo {
    /// One mask from both channels.
    #[id = "linked"]
    Linked,
    /// One network per channel.
    #[id = "independent"]
    Independent,
}

/// What the editor wants remembered with the session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EditorMemory {
    /// Width in logical points.
    pub width: f32,
    /// Height in logical points.
    pub height: f32,
}

impl EditorMemory {
    /// The smallest editor, logical points.
    pub const MIN: (f32, f32) = (640.0, 400.0);
    /// The largest editor, logical points.
    pub const MAX: (f32, f32) = (1920.0, 1200.0);

    /// The same size brought into the allowed range; nonsense becomes the default.
    pub fn clamped(self) -> Self {
        if !(self.width.is_finite() && self.height.is_finite()) {
            return Self::default();
        }
        Self {
            width: self.width.clamp(Self::MIN.0, Self::MAX.0),
            height: self.height.clamp(Self::MIN.1, Self::MAX.1),
        }
    }
}

impl Default for EditorMemory {
    fn default() -> Self {
        Self { width: 860.0, height: 520.0 }
    }
}

/// All parameters and what is stored beside them.
#[derive(Params)]
pub struct WispParams {
    /// Largest reduction, dB; "Full" at the top.
    #[id = "reduction"]
    pub reduction: FloatParam,
    /// Gain after denoising, dB.
    #[id = "output"]
    pub output: FloatParam,
    /// What is heard.
    #[id = "listen"]
    pub listen: EnumParam<Listen>,
    /// Link of two channels.
    #[id = "stereo"]
    pub stereo: EnumParam<Stereo>,
    /// The host's bypass.
    #[id = "bypass"]
    pub bypass: BoolParam,
    /// Editor size, kept with the session.
    #[persist = "editor"]
    pub editor: Arc<RwLock<EditorMemory>>,
}

impl Default for WispParams {
    fn default() -> Self {
        Self {
            reduction: FloatParam::new(
                "Reduction",
                REDUCTION_FULL,
                FloatRange::Linear { min: 0.0, max: REDUCTION_FULL },
            )
            .with_value_to_string(Arc::new(reduction_to_string))
            .with_string_to_value(Arc::new(reduction_from_string)),
            output: FloatParam::new(
                "Output",
                0.0,
                FloatRange::Linear { min: -OUTPUT_RANGE_DB, max: OUTPUT_RANGE_DB },
            )
            .with_value_to_string(Arc::new(output_to_string))
            .with_string_to_value(Arc::new(output_from_string)),
            listen: EnumParam::new("Listen", Listen::Result),
            stereo: EnumParam::new("Stereo", Stereo::Linked),
            bypass: BoolParam::new("Bypass", false).make_bypass(),
            editor: Arc::new(RwLock::new(EditorMemory::default())),
        }
    }
}

impl WispParams {
    /// The engine's view of the parameters now.
    pub fn controls(&self) -> Controls {
        Controls {
            reduction_db: reduction_db(self.reduction.value()),
            output_db: self.output.value(),
            listen: match self.listen.value() {
                Listen::Result => engine::Listen::Result,
                Listen::Removed => engine::Listen::Removed,
            },
            stereo: match self.stereo.value() {
                Stereo::Linked => engine::Stereo::Linked,
                Stereo::Independent => engine::Stereo::Independent,
            },
            bypass: self.bypass.value(),
        }
    }

    /// The remembered editor size, always within its limits.
    pub fn editor_memory(&self) -> EditorMemory {
        // A poisoned lock still holds a plain size.
        self.editor.read().unwrap_or_else(|e| e.into_inner()).clamped()
    }

    /// Remembers the editor's size.
    pub fn set_editor_memory(&self, memory: EditorMemory) {
        *self.editor.write().unwrap_or_else(|e| e.into_inner()) = memory.clamped();
    }
}

/// Decibels for the engine: the top of the range stands for no limit.
fn reduction_db(plain: f32) -> f32 {
    if is_full(plain) { f32::INFINITY } else { plain.min(REDUCTION_LIMIT_DB) }
}

/// Whether a plain Reduction value reads as "Full".
pub fn is_full(plain: f32) -> bool {
    plain > REDUCTION_LIMIT_DB + 0.5
}

/// A Reduction value as text.
pub fn reduction_to_string(plain: f32) -> String {
    if is_full(plain) {
        return "Full".to_owned();
    }
    format!("{} dB", one_decimal(plain.min(REDUCTION_LIMIT_DB)))
}

/// Text as a Reduction value: "24", "24 dB", "-24 dB" (a reduction either way) or "full".
pub fn reduction_from_string(text: &str) -> Option<f32> {
    let text = text.trim().to_lowercase();
    if ["full", "max", "inf", "-inf", "∞", "-∞"].contains(&strip_db(&text)) {
        return Some(REDUCTION_FULL);
    }
    let db = strip_db(&text).parse::<f32>().ok().filter(|db| db.is_finite())?.abs();
    Some(if is_full(db) { REDUCTION_FULL } else { db.min(REDUCTION_LIMIT_DB) })
}

/// An Output value as text.
pub fn output_to_string(plain: f32) -> String {
    let text = one_decimal(plain);
    if text.starts_with('-') || text == "0" { format!("{text} dB") } else { format!("+{text} dB") }
}

/// Text as an Output value: "-3", "+3 dB".
pub fn output_from_string(text: &str) -> Option<f32> {
    let text = text.trim().to_lowercase();
    let db = strip_db(&text).parse::<f32>().ok().filter(|db| db.is_finite())?;
    Some(db.clamp(-OUTPUT_RANGE_DB, OUTPUT_RANGE_DB))
}

fn strip_db(text: &str) -> &str {
    text.strip_suffix("db").unwrap_or(text).trim()
}

/// At most one decimal, none for whole numbers, never "-0".
fn one_decimal(value: f32) -> String {
    let tenths = (value * 10.0).round();
    if tenths == 0.0 {
        "0".to_owned()
    } else if tenths % 10.0 == 0.0 {
        format!("{:.0}", tenths / 10.0)
    } else {
        format!("{:.1}", tenths / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduction_text_goes_both_ways() {
        for (text, value) in [
            ("full", REDUCTION_FULL),
            (" Full ", REDUCTION_FULL),
            ("inf dB", REDUCTION_FULL),
            ("24", 24.0),
            ("24 dB", 24.0),
            ("24.5dB", 24.5),
            ("-12 db", 12.0),
            ("0", 0.0),
            ("60", 60.0),
            ("1000", REDUCTION_FULL),
        ] {
            assert_eq!(reduction_from_string(text), Some(value), "{text:?}");
        }
        for text in ["", "dB", "loud", "nan", "12 dB dB"] {
            assert_eq!(reduction_from_string(text), None, "{text:?}");
        }
        for tenths in 0..=600 {
            let value = tenths as f32 / 10.0;
            let text = reduction_to_string(value);
            let back = reduction_from_string(&text).expect("own text is understood");
            assert!((back - value).abs() < 1e-4, "{value} -> {text} -> {back}");
        }
        assert_eq!(reduction_to_string(REDUCTION_FULL), "Full");
        assert_eq!(reduction_to_string(60.2), "60 dB");
    }

    #[test]
    fn output_text_goes_both_ways() {
        for (value, text) in
            [(0.0, "0 dB"), (-0.01, "0 dB"), (3.0, "+3 dB"), (-3.25, "-3.3 dB"), (24.0, "+24 dB")]
        {
            assert_eq!(output_to_string(value), text);
        }
        for tenths in -240..=240 {
            let value = tenths as f32 / 10.0;
            let back = output_from_string(&output_to_string(value)).expect("own text");
            assert!((back - value).abs() < 1e-4, "{value} -> {back}");
        }
        assert_eq!(output_from_string("99"), Some(OUTPUT_RANGE_DB));
        assert_eq!(output_from_string("x"), None);
    }

    #[test]
    fn full_reaches_the_engine_as_no_limit() {
        let params = WispParams::default();
        assert_eq!(params.controls(), Controls::default());
        assert_eq!(reduction_db(60.4), 60.0);
        assert_eq!(reduction_db(REDUCTION_FULL), f32::INFINITY);
    }

    #[test]
    fn a_remembered_size_is_always_usable() {
        let memory = EditorMemory { width: f32::NAN, height: 1e9 };
        assert_eq!(memory.clamped(), EditorMemory::default());
        let memory: EditorMemory = serde_json::from_str(r#"{"width": 5, "new": 1}"#).expect("json");
        assert_eq!(memory.clamped().width, EditorMemory::MIN.0);
        assert_eq!(memory.clamped().height, EditorMemory::default().height);
    }
}
