//! Session state besides the parameters: the preset, the A and B settings, the editor's size.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Normalized values by the parameters' ids.
pub type Values = BTreeMap<String, f32>;

/// One of the two settings to compare.
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
    /// Its values.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_sound_tolerates_other_fields_and_refuses_nonsense() {
        let memory: SoundMemory =
            serde_json::from_str(r#"{"slot": "B", "new": [1]}"#).expect("json");
        assert_eq!(memory, SoundMemory { slot: Slot::B, ..SoundMemory::default() });
        assert!(serde_json::from_str::<SoundMemory>(r#"{"slot": "C"}"#).is_err());
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
