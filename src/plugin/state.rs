//! Checks saved states.
//!
//! nice-plug uses the numbers in the file as they are. A number out of range would take effect, one that is not finite would
//! be saved as `null`, which no version can load, and a choice by an invalid number would crash the host at the next save.
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::{Param, ParamPtr, Params, PluginState};

use super::params::{EngineParameter, Parameter, WispParams};

/// Clamps numbers to the range of their parameter, and drops those that are not finite and choices by number: Wisp saves
/// the names of choices. A session without a quality, from an older version, is Live; a preset, which lists only what it
/// sets, leaves the quality unchanged.
pub(super) fn filter(state: &mut PluginState) {
    state.params.retain(|_, value| !matches!(value, ParamValue::F32(x) if !x.is_finite()));
    let params = WispParams::default();
    for (id, param, _) in params.param_map() {
        let numbered = matches!(state.params.get(&id), Some(ParamValue::I32(_)));
        if numbered && matches!(param, ParamPtr::EnumParam(_)) {
            state.params.remove(&id);
        }
    }
    let numbers = [
        ("reduction", &params.reduction),
        ("sensitivity", &params.sensitivity),
        ("ambience", &params.ambience),
        ("output", &params.output),
    ];
    for (id, param) in numbers {
        if let Some(ParamValue::F32(plain)) = state.params.get_mut(id) {
            *plain = plain.clamp(param.preview_plain(0.0), param.preview_plain(1.0));
        }
    }
    // Sessions contain all parameters; presets never contain this one.
    if state.params.contains_key(EngineParameter::Bypass.id()) {
        let quality = params.saved(Parameter::Quality, params.param(Parameter::Quality).default());
        state.params.entry(Parameter::Quality.id().to_owned()).or_insert(quality);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(id: &str, value: f32) -> Option<f32> {
        let params = [(id.to_owned(), ParamValue::F32(value))].into();
        let mut state = PluginState { version: String::new(), params, fields: [].into() };
        filter(&mut state);
        match state.params.get(id) {
            Some(ParamValue::F32(value)) => Some(*value),
            _ => None,
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        for (id, value, kept) in [
            ("reduction", 18.3, Some(18.3)),
            ("reduction", 1e38, Some(61.0)),
            ("reduction", -1.0, Some(0.0)),
            ("sensitivity", -300.0, Some(-12.0)),
            ("ambience", 101.0, Some(100.0)),
            ("output", -24.0, Some(-24.0)),
            ("output", 300.0, Some(24.0)),
            ("output", f32::INFINITY, None),
            ("later", f32::NAN, None),
            ("later", 1e9, Some(1e9)),
        ] {
            assert_eq!(filtered(id, value), kept, "{id} {value}");
        }
    }

    #[test]
    fn a_session_without_a_quality_is_live_and_a_preset_leaves_it() {
        let quality = |params: &[(&str, ParamValue)]| {
            let params =
                params.iter().map(|(id, value)| ((*id).to_owned(), value.clone())).collect();
            let mut state = PluginState { version: String::new(), params, fields: [].into() };
            filter(&mut state);
            match state.params.get("quality") {
                Some(ParamValue::String(name)) => Some(name.clone()),
                None => None,
                other => panic!("{other:?}"),
            }
        };
        let (bypass, name) = (("bypass", ParamValue::Bool(false)), |name: &str| {
            ("quality", ParamValue::String(name.to_owned()))
        });
        let live = Some("live".to_owned());
        assert_eq!(quality(std::slice::from_ref(&bypass)), live);
        assert_eq!(quality(&[bypass.clone(), ("quality", ParamValue::I32(7))]), live);
        assert_eq!(quality(&[bypass.clone(), name("studio")]), Some("studio".to_owned()));
        assert_eq!(quality(&[bypass, name("later")]), Some("later".to_owned()));
        assert_eq!(quality(&[("reduction", ParamValue::F32(18.0))]), None);
    }

    #[test]
    fn choices_go_by_name() {
        let values = [
            ("listen".to_owned(), ParamValue::I32(-1)),
            ("stereo".to_owned(), ParamValue::String("independent".to_owned())),
        ];
        let mut state =
            PluginState { version: String::new(), params: values.into(), fields: [].into() };
        filter(&mut state);
        assert!(!state.params.contains_key("listen"));
        assert!(state.params.contains_key("stereo"));
    }
}
