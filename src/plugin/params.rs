//! The parameters a host sees, and their conversion to [`Controls`].
//!
//! Ids never change: hosts store automation and sessions by them.
use std::sync::{Arc, PoisonError, RwLock};

use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;

use super::memory::{EditorMemory, SoundMemory, Values};
use crate::engine::{self, Controls};
use crate::parameter::reduction_db;
pub use crate::parameter::{
    EngineParameter, OUTPUT_RANGE_DB, REDUCTION_FULL, REDUCTION_LIMIT_DB, SENSITIVITY_RANGE_DB,
};
use crate::text::{
    ambience_from_string, ambience_to_string, reduction_from_string, reduction_to_string,
    signed_from_string, signed_to_string, switch_from_string,
};

/// [`Controls::listen`] as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Listen {
    /// The denoised voice.
    #[id = "result"]
    Result,
    /// What was removed.
    #[id = "removed"]
    Removed,
}

/// [`Controls::stereo`] as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Stereo {
    /// One mask from both channels.
    #[id = "linked"]
    Linked,
    /// One network per channel.
    #[id = "independent"]
    Independent,
}

/// The bundled model in use, as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Quality {
    /// For talking and monitoring.
    #[id = "live"]
    Live,
    /// For recordings and mixes.
    #[id = "studio"]
    Studio,
}

impl From<Quality> for crate::Quality {
    fn from(quality: Quality) -> Self {
        match quality {
            Quality::Live => Self::Live,
            Quality::Studio => Self::Studio,
        }
    }
}

impl From<crate::Quality> for Quality {
    fn from(quality: crate::Quality) -> Self {
        match quality {
            crate::Quality::Live => Self::Live,
            crate::Quality::Studio => Self::Studio,
        }
    }
}

/// A parameter of the plugin: the engine's controls, which can change with any block, and the choice of the engine itself,
/// which needs a new activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// One of the engine's controls.
    Engine(EngineParameter),
    /// The model in use.
    Quality,
}

impl Parameter {
    /// All of them, in the hosts' order.
    pub const ALL: [Self; EngineParameter::ALL.len() + 1] =
        Self::with_quality(&EngineParameter::ALL);
    /// Those that A and B compare: what presets set, and the quality.
    pub const COMPARED: [Self; EngineParameter::SOUND.len() + 1] =
        Self::with_quality(&EngineParameter::SOUND);

    /// The controls, then the quality: `N` in all.
    const fn with_quality<const N: usize>(controls: &[EngineParameter]) -> [Self; N] {
        let mut all = [Self::Quality; N];
        let mut i = 0;
        while i < controls.len() {
            all[i] = Self::Engine(controls[i]);
            i += 1;
        }
        all
    }

    /// The parameter's id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Engine(parameter) => parameter.id(),
            Self::Quality => "quality",
        }
    }
}

impl From<EngineParameter> for Parameter {
    fn from(parameter: EngineParameter) -> Self {
        Self::Engine(parameter)
    }
}

/// A parameter of any type; values are normalized, 0 to 1.
pub trait AnyParam {
    /// The name that hosts show.
    fn title(&self) -> &str;
    /// The current value, without a host's modulation.
    fn normalized(&self) -> f32;
    /// The value of a new instance.
    fn default(&self) -> f32;
    /// A value as text, with its unit.
    fn text(&self, normalized: f32) -> String;
    /// Text as a value; positions of lists and switches are matched in any case.
    fn parse(&self, text: &str) -> Option<f32>;
    /// The nearest valid value.
    fn snapped(&self, normalized: f32) -> f32;
    /// Sets the value from outside the framework's calls, on any thread.
    fn put(&self, normalized: f32);
    /// Whether it has named positions other than on and off.
    fn is_list(&self) -> bool;
    /// A gesture begins.
    fn begin(&self, setter: &ParamSetter<'_>);
    /// The value changes within a gesture.
    fn set(&self, setter: &ParamSetter<'_>, normalized: f32);
    /// The gesture ends.
    fn end(&self, setter: &ParamSetter<'_>);
}

impl<P: Param> AnyParam for P {
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
        // SAFETY: the pointer belongs to this parameter, which is alive, and everything set in it is atomic.
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
    /// Channel linking.
    #[id = "stereo"]
    pub stereo: EnumParam<Stereo>,
    /// The host's bypass.
    #[id = "bypass"]
    pub bypass: BoolParam,
    /// The model in use from the next activation on.
    #[id = "quality"]
    pub quality: EnumParam<Quality>,
    /// Editor size, kept with the session.
    #[persist = "editor"]
    pub editor: Arc<RwLock<EditorMemory>>,
    /// Preset and comparison, kept with the session.
    #[persist = "sound"]
    pub sound: Arc<RwLock<SoundMemory>>,
}

/// A numeric parameter from the table.
fn number(parameter: EngineParameter) -> FloatParam {
    let (min, max) = parameter.range();
    FloatParam::new(parameter.name(), parameter.default(), FloatRange::Linear { min, max })
}

impl Default for WispParams {
    fn default() -> Self {
        Self {
            reduction: number(EngineParameter::Reduction)
                .with_value_to_string(Arc::new(reduction_to_string))
                .with_string_to_value(Arc::new(reduction_from_string)),
            sensitivity: number(EngineParameter::Sensitivity)
                .with_value_to_string(Arc::new(signed_to_string))
                .with_string_to_value(Arc::new(|text| {
                    signed_from_string(text, SENSITIVITY_RANGE_DB)
                })),
            ambience: number(EngineParameter::Ambience)
                .with_value_to_string(Arc::new(ambience_to_string))
                .with_string_to_value(Arc::new(ambience_from_string)),
            output: number(EngineParameter::Output)
                .with_value_to_string(Arc::new(signed_to_string))
                .with_string_to_value(Arc::new(|text| signed_from_string(text, OUTPUT_RANGE_DB))),
            listen: EnumParam::new(EngineParameter::Listen.name(), Listen::Result),
            stereo: EnumParam::new(EngineParameter::Stereo.name(), Stereo::Linked),
            bypass: BoolParam::new(EngineParameter::Bypass.name(), false)
                .make_bypass()
                .with_string_to_value(Arc::new(switch_from_string)),
            // A change of latency stops the sound, so it cannot be automated.
            quality: EnumParam::new("Quality", Quality::Live).non_automatable(),
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

    /// The quality set, which takes effect with the next activation.
    pub fn quality(&self) -> crate::Quality {
        self.quality.unmodulated_plain_value().into()
    }

    /// Sets the quality, from outside the framework's calls.
    pub fn set_quality(&self, quality: crate::Quality) {
        self.quality.put(self.quality.preview_normalized(quality.into()));
    }

    /// A parameter by its name.
    pub fn param(&self, parameter: impl Into<Parameter>) -> &dyn AnyParam {
        match parameter.into() {
            Parameter::Engine(EngineParameter::Reduction) => &self.reduction,
            Parameter::Engine(EngineParameter::Sensitivity) => &self.sensitivity,
            Parameter::Engine(EngineParameter::Ambience) => &self.ambience,
            Parameter::Engine(EngineParameter::Output) => &self.output,
            Parameter::Engine(EngineParameter::Listen) => &self.listen,
            Parameter::Engine(EngineParameter::Stereo) => &self.stereo,
            Parameter::Engine(EngineParameter::Bypass) => &self.bypass,
            Parameter::Quality => &self.quality,
        }
    }

    /// A value in the form of the saved state.
    pub fn saved(&self, parameter: impl Into<Parameter>, normalized: f32) -> ParamValue {
        let number = |param: &FloatParam| ParamValue::F32(param.preview_plain(normalized));
        let name = |ids: Option<&[&str]>, at: usize| {
            ParamValue::String(ids.and_then(|ids| ids.get(at)).copied().unwrap_or_default().into())
        };
        match parameter.into() {
            Parameter::Engine(EngineParameter::Reduction) => number(&self.reduction),
            Parameter::Engine(EngineParameter::Sensitivity) => number(&self.sensitivity),
            Parameter::Engine(EngineParameter::Ambience) => number(&self.ambience),
            Parameter::Engine(EngineParameter::Output) => number(&self.output),
            Parameter::Engine(EngineParameter::Listen) => {
                name(Listen::ids(), self.listen.preview_plain(normalized).to_index())
            }
            Parameter::Engine(EngineParameter::Stereo) => {
                name(Stereo::ids(), self.stereo.preview_plain(normalized).to_index())
            }
            Parameter::Engine(EngineParameter::Bypass) => {
                ParamValue::Bool(self.bypass.preview_plain(normalized))
            }
            Parameter::Quality => {
                name(Quality::ids(), self.quality.preview_plain(normalized).to_index())
            }
        }
    }

    /// The current values of some parameters.
    pub fn values<P: Into<Parameter> + Copy>(&self, parameters: &[P]) -> Values {
        let value = |&parameter: &P| {
            let parameter = parameter.into();
            (parameter.id().to_owned(), self.param(parameter).normalized())
        };
        parameters.iter().map(value).collect()
    }

    /// Reads the stored preset and comparison.
    pub fn sound_memory<T>(&self, look: impl FnOnce(&SoundMemory) -> T) -> T {
        look(&self.sound.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores preset and comparison.
    pub fn set_sound_memory(&self, memory: SoundMemory) {
        *self.sound.write().unwrap_or_else(PoisonError::into_inner) = memory;
    }

    /// The stored editor size, always within its limits.
    pub fn editor_memory(&self) -> EditorMemory {
        // A poisoned lock still holds a valid size.
        self.editor.read().unwrap_or_else(PoisonError::into_inner).clamped()
    }

    /// Stores the editor's size.
    pub fn set_editor_memory(&self, memory: EditorMemory) {
        *self.editor.write().unwrap_or_else(PoisonError::into_inner) = memory.clamped();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_found() {
        let params = WispParams::default();
        let listed: Vec<String> = params.param_map().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(listed, Parameter::ALL.map(Parameter::id));
        for parameter in Parameter::ALL {
            let param = params.param(parameter);
            assert_eq!(param.normalized(), param.default());
            assert!(param.title().eq_ignore_ascii_case(parameter.id()));
            assert_eq!(param.parse(&param.text(0.0)), Some(0.0), "{}", parameter.id());
        }
    }

    #[test]
    fn a_new_instance_is_live_until_it_is_told() {
        let params = WispParams::default();
        assert_eq!(params.quality(), crate::Quality::default());
        assert_eq!(params.quality(), crate::Quality::Live);
        params.set_quality(crate::Quality::Studio);
        assert_eq!(params.quality(), crate::Quality::Studio);
        assert_eq!(params.param(Parameter::Quality).normalized(), 1.0);
        assert_eq!(params.controls(), Controls::default());
    }

    #[test]
    fn full_reaches_the_engine_as_no_limit() {
        let params = WispParams::default();
        assert_eq!(params.controls(), Controls::default());
        assert_eq!(reduction_db(60.4), 60.0);
        assert_eq!(reduction_db(REDUCTION_FULL), f32::INFINITY);
    }
}
