//! The parameters a host sees, and their way into [`Controls`].
//!
//! Ids never change: hosts store automation and sessions by them.
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;
use serde::{Deserialize, Serialize};

use crate::engine::{self, Controls};
use crate::parameter::reduction_db;
pub use crate::parameter::{
    Control, OUTPUT_RANGE_DB, REDUCTION_FULL, REDUCTION_LIMIT_DB, SENSITIVITY_RANGE_DB, is_full,
};
use crate::text::{decibels, percent};

/// The text of what is no number.
const NO_VALUE: &str = "–";

/// The output to listen to, as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Listen {
    /// The denoised voice.
    #[id = "result"]
    Result,
    /// What was removed.
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

/// A parameter of any type; values are normalized, 0 to 1.
pub trait Handle {
    /// The name that hosts show.
    fn title(&self) -> &str;
    /// The current value, without a host's modulation.
    fn normalized(&self) -> f32;
    /// The value of a new instance.
    fn default(&self) -> f32;
    /// A value as text, with its unit.
    fn text(&self, normalized: f32) -> String;
    /// Text as a value; a position of a list or a switch in any case.
    fn parse(&self, text: &str) -> Option<f32>;
    /// The nearest value that the parameter can have.
    fn snapped(&self, normalized: f32) -> f32;
    /// Sets the value from outside the framework's calls, on whichever thread.
    fn put(&self, normalized: f32);
    /// Whether it has positions with names, more than on and off.
    fn is_list(&self) -> bool;
    /// A gesture begins.
    fn begin(&self, setter: &ParamSetter<'_>);
    /// The value changes within a gesture.
    fn set(&self, setter: &ParamSetter<'_>, normalized: f32);
    /// The gesture ends.
    fn end(&self, setter: &ParamSetter<'_>);
}

impl<P: Param> Handle for P {
    fn title(&self) -> &str {
        self.name()
    }
    fn normalized(&self) -> f32 {
        self.unmodulated_normalized_value()
    }
    fn default(&self) -> f32 {
        self.default_normalized_value()
    }
    fn text(&self, normalized: f32) -> String {
        self.normalized_value_to_string(normalized, true)
    }
    fn parse(&self, text: &str) -> Option<f32> {
        let text = text.trim();
        self.string_to_normalized_value(text).or_else(|| {
            let last = self.step_count()?;
            let mut positions = (0..=last).map(|at| at as f32 / last as f32);
            positions.find(|&position| {
                let name = self.normalized_value_to_string(position, false);
                name.to_lowercase() == text.to_lowercase()
            })
        })
    }
    fn snapped(&self, normalized: f32) -> f32 {
        self.preview_normalized(self.preview_plain(normalized))
    }
    #[allow(unsafe_code)]
    fn put(&self, normalized: f32) {
        // SAFETY: the pointer is this parameter's own, which is alive, and all that is set in it is atomic.
        unsafe { self.as_ptr()._internal_set_normalized_value(normalized) };
    }
    fn is_list(&self) -> bool {
        matches!(self.as_ptr(), ParamPtr::EnumParam(_))
    }
    fn begin(&self, setter: &ParamSetter<'_>) {
        setter.begin_set_parameter(self);
    }
    fn set(&self, setter: &ParamSetter<'_>, normalized: f32) {
        setter.set_parameter_normalized(self, normalized);
    }
    fn end(&self, setter: &ParamSetter<'_>) {
        setter.end_set_parameter(self);
    }
}

/// Normalized values by the parameters' ids.
pub type Values = BTreeMap<String, f32>;

/// One of the two settings that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// The first.
    #[default]
    A,
    /// The second.
    B,
}

/// The preset that was last loaded or saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadedPreset {
    /// Its name.
    pub name: String,
    /// What it set.
    pub values: Values,
}

/// The inactive setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherSetting {
    /// The preset it came from.
    pub preset: LoadedPreset,
    /// Its values.
    pub values: Values,
}

/// State of the sound that is not a parameter, saved with the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SoundMemory {
    /// The preset of the active setting; no name: none.
    pub preset: LoadedPreset,
    /// The active setting.
    pub slot: Slot,
    /// The inactive setting, if it was ever used.
    pub other: Option<OtherSetting>,
}

/// Editor state saved with the session.
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
    pub const MIN: (f32, f32) = (700.0, 460.0);
    /// The largest editor, logical points.
    pub const MAX: (f32, f32) = (1920.0, 1200.0);

    /// The size clamped to the allowed range; the default if it is not finite.
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
        Self { width: 920.0, height: 580.0 }
    }
}

/// All parameters, and state stored with them.
#[derive(Params)]
pub struct WispParams {
    /// Largest reduction, dB; "Full" at the top.
    #[id = "reduction"]
    pub reduction: FloatParam,
    /// Bias on the noise estimate, dB.
    #[id = "sensitivity"]
    pub sensitivity: FloatParam,
    /// Share of the steady noise to keep, percent.
    #[id = "ambience"]
    pub ambience: FloatParam,
    /// Gain after denoising, dB.
    #[id = "output"]
    pub output: FloatParam,
    /// The output to listen to.
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
    /// Preset and comparison, kept with the session.
    #[persist = "sound"]
    pub sound: Arc<RwLock<SoundMemory>>,
}

/// A parameter whose values are numbers, by the table.
fn number(control: Control) -> FloatParam {
    let (min, max) = control.range();
    FloatParam::new(control.name(), control.default(), FloatRange::Linear { min, max })
}

impl Default for WispParams {
    fn default() -> Self {
        Self {
            reduction: number(Control::Reduction)
                .with_value_to_string(Arc::new(reduction_to_string))
                .with_string_to_value(Arc::new(reduction_from_string)),
            sensitivity: number(Control::Sensitivity)
                .with_value_to_string(Arc::new(signed_to_string))
                .with_string_to_value(Arc::new(|text| {
                    signed_from_string(text, SENSITIVITY_RANGE_DB)
                })),
            ambience: number(Control::Ambience)
                .with_value_to_string(Arc::new(ambience_to_string))
                .with_string_to_value(Arc::new(ambience_from_string)),
            output: number(Control::Output)
                .with_value_to_string(Arc::new(signed_to_string))
                .with_string_to_value(Arc::new(|text| signed_from_string(text, OUTPUT_RANGE_DB))),
            listen: EnumParam::new(Control::Listen.name(), Listen::Result),
            stereo: EnumParam::new(Control::Stereo.name(), Stereo::Linked),
            bypass: BoolParam::new(Control::Bypass.name(), false)
                .make_bypass()
                .with_string_to_value(Arc::new(switch_from_string)),
            editor: Arc::new(RwLock::new(EditorMemory::default())),
            sound: Arc::new(RwLock::new(SoundMemory::default())),
        }
    }
}

impl WispParams {
    /// The current parameters as engine controls.
    pub fn controls(&self) -> Controls {
        Controls {
            reduction_db: reduction_db(self.reduction.value()),
            sensitivity_db: self.sensitivity.value(),
            ambience: self.ambience.value() / 100.0,
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

    /// A parameter by its name.
    pub fn handle(&self, control: Control) -> &dyn Handle {
        match control {
            Control::Reduction => &self.reduction,
            Control::Sensitivity => &self.sensitivity,
            Control::Ambience => &self.ambience,
            Control::Output => &self.output,
            Control::Listen => &self.listen,
            Control::Stereo => &self.stereo,
            Control::Bypass => &self.bypass,
        }
    }

    /// A value as the saved state has it.
    pub fn saved(&self, control: Control, normalized: f32) -> ParamValue {
        let number = |param: &FloatParam| ParamValue::F32(param.preview_plain(normalized));
        let name = |ids: Option<&[&str]>, at: usize| {
            ParamValue::String(ids.and_then(|ids| ids.get(at)).copied().unwrap_or_default().into())
        };
        match control {
            Control::Reduction => number(&self.reduction),
            Control::Sensitivity => number(&self.sensitivity),
            Control::Ambience => number(&self.ambience),
            Control::Output => number(&self.output),
            Control::Listen => {
                name(Listen::ids(), self.listen.preview_plain(normalized).to_index())
            }
            Control::Stereo => {
                name(Stereo::ids(), self.stereo.preview_plain(normalized).to_index())
            }
            Control::Bypass => ParamValue::Bool(self.bypass.preview_plain(normalized)),
        }
    }

    /// The current values that shape the sound.
    pub fn values(&self) -> Values {
        Control::SOUND
            .iter()
            .map(|&control| (control.id().to_owned(), self.handle(control).normalized()))
            .collect()
    }

    /// The remembered preset and comparison.
    pub fn sound_memory(&self) -> SoundMemory {
        self.sound.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers preset and comparison.
    pub fn set_sound_memory(&self, memory: SoundMemory) {
        *self.sound.write().unwrap_or_else(PoisonError::into_inner) = memory;
    }

    /// The remembered editor size, always within its limits.
    pub fn editor_memory(&self) -> EditorMemory {
        // A poisoned lock still holds a plain size.
        self.editor.read().unwrap_or_else(PoisonError::into_inner).clamped()
    }

    /// Remembers the editor's size.
    pub fn set_editor_memory(&self, memory: EditorMemory) {
        *self.editor.write().unwrap_or_else(PoisonError::into_inner) = memory.clamped();
    }
}

/// A Reduction value as text.
pub fn reduction_to_string(plain: f32) -> String {
    if plain.is_nan() {
        return NO_VALUE.to_owned();
    }
    if is_full(plain) {
        return "Full".to_owned();
    }
    format!("{} dB", one_decimal(plain.min(REDUCTION_LIMIT_DB)))
}

/// Text as a Reduction value: "24", "24 dB", "-24 dB" (a reduction either way) or "full".
pub fn reduction_from_string(text: &str) -> Option<f32> {
    let lower = text.trim().to_lowercase();
    let bare = lower.strip_suffix("db").unwrap_or(&lower).trim();
    if ["full", "max", "inf", "-inf", "∞", "-∞"].contains(&bare) {
        return Some(REDUCTION_FULL);
    }
    let db = decibels(text)?.abs();
    Some(if is_full(db) { REDUCTION_FULL } else { db.min(REDUCTION_LIMIT_DB) })
}

/// A Sensitivity or Output value as text.
pub fn signed_to_string(plain: f32) -> String {
    if plain.is_nan() {
        return NO_VALUE.to_owned();
    }
    let text = one_decimal(plain);
    if text.starts_with('-') || text == "0" { format!("{text} dB") } else { format!("+{text} dB") }
}

/// Text as a Sensitivity or Output value within a range either way: "-3", "+3 dB".
pub fn signed_from_string(text: &str, range: f32) -> Option<f32> {
    Some(decibels(text)?.clamp(-range, range))
}

/// An Ambience value as text.
pub fn ambience_to_string(plain: f32) -> String {
    if plain.is_nan() {
        return NO_VALUE.to_owned();
    }
    format!("{} %", one_decimal(plain))
}

/// Text as an Ambience value: "25", "25 %", or the level of the noise that stays: "-12 dB".
pub fn ambience_from_string(text: &str) -> Option<f32> {
    Some(percent(text)?.clamp(0.0, 100.0))
}

/// Text as a switch.
fn switch_from_string(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "bypassed" => Some(true),
        "off" | "false" | "no" | "0" | "active" => Some(false),
        _ => None,
    }
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
    fn signed_text_goes_both_ways() {
        for (value, text) in
            [(0.0, "0 dB"), (-0.01, "0 dB"), (3.0, "+3 dB"), (-3.25, "-3.3 dB"), (24.0, "+24 dB")]
        {
            assert_eq!(signed_to_string(value), text);
        }
        for tenths in -240..=240 {
            let value = tenths as f32 / 10.0;
            let text = signed_to_string(value);
            let back = signed_from_string(&text, OUTPUT_RANGE_DB).expect("own text");
            assert!((back - value).abs() < 1e-4, "{value} -> {back}");
        }
        assert_eq!(signed_from_string("99", OUTPUT_RANGE_DB), Some(OUTPUT_RANGE_DB));
        assert_eq!(signed_from_string("-99 dB", 12.0), Some(-12.0));
        assert_eq!(signed_from_string("x", 12.0), None);
    }

    #[test]
    fn ambience_text_goes_both_ways() {
        for tenths in 0..=1000 {
            let value = tenths as f32 / 10.0;
            let back = ambience_from_string(&ambience_to_string(value)).expect("own text");
            assert!((back - value).abs() < 1e-4, "{value} -> {back}");
        }
        assert_eq!(ambience_from_string(" 25%"), Some(25.0));
        assert_eq!(ambience_from_string("-20 dB"), Some(10.0));
        assert_eq!(ambience_from_string("300"), Some(100.0));
        for text in ["", "%", "much", "nan %", "inf"] {
            assert_eq!(ambience_from_string(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_parameter_has_its_handle() {
        let params = WispParams::default();
        let listed: Vec<String> = params.param_map().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(listed, Control::ALL.map(Control::id));
        for control in Control::ALL {
            let handle = params.handle(control);
            assert_eq!(handle.normalized(), handle.default());
            assert!(handle.title().eq_ignore_ascii_case(control.id()));
            assert_eq!(handle.parse(&handle.text(0.0)), Some(0.0), "{}", control.id());
        }
    }

    #[test]
    fn a_remembered_sound_tolerates_other_fields_and_refuses_nonsense() {
        let memory: SoundMemory =
            serde_json::from_str(r#"{"slot": "B", "new": [1]}"#).expect("json");
        assert_eq!(memory, SoundMemory { slot: Slot::B, ..SoundMemory::default() });
        assert!(serde_json::from_str::<SoundMemory>(r#"{"slot": "C"}"#).is_err());
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
