//! What a saved state may say.
//!
//! nice-plug takes numbers as they stand in the file. One out of its range would play so, and one that is not finite would
//! be saved as `null`, which no version loads again.
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::{Param, PluginState};

use super::params::WispParams;

/// Brings numbers into the range of their parameter, and leaves out those that are not finite.
pub(super) fn filter(state: &mut PluginState) {
    state.params.retain(|_, value| !matches!(value, ParamValue::F32(x) if !x.is_finite()));
    let params = WispParams::default();
    for (id, param) in [("reduction", &params.reduction), ("output", &params.output)] {
        if let Some(ParamValue::F32(plain)) = state.params.get_mut(id) {
            *plain = plain.clamp(param.preview_plain(0.0), param.preview_plain(1.0));
        }
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
            ("output", -24.0, Some(-24.0)),
            ("output", 300.0, Some(24.0)),
            ("output", f32::INFINITY, None),
            ("later", f32::NAN, None),
            ("later", 1e9, Some(1e9)),
        ] {
            assert_eq!(filtered(id, value), kept, "{id} {value}");
        }
    }
}
