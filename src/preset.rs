//! Presets as text: the factory presets, the file format, and how settings apply to the controls.
//!
//! A file is a JSON object: `"wisp": 1`, and for each control its name and its value as a user would type it, such as
//! `"reduction": "24 dB"`. Controls that a file does not list keep their values; unknown entries are ignored.
use std::fs;
use std::io::{self, Read};
use std::path::Path;
#[cfg(any(feature = "cli", feature = "plugin"))]
use std::path::PathBuf;

#[cfg(any(feature = "cli", feature = "plugin"))]
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use serde_json::Value;

use crate::engine::{Controls, Stereo};
use crate::parameter::{OUTPUT_RANGE_DB, SENSITIVITY_RANGE_DB, reduction_db};
use crate::text::{decibels, percent};

/// Version of the file format, under the key `"wisp"`.
pub const VERSION: u64 = 1;
/// Largest preset file, bytes.
pub const LARGEST: u64 = 64 * 1024;
/// Longest name, characters.
const LONGEST_NAME: usize = 60;
/// The controls that shape the sound, by the names that files use.
pub const CONTROLS: [&str; 5] = ["reduction", "sensitivity", "ambience", "output", "stereo"];

/// A control's name and its value as a user would type it.
pub type Setting<T> = (&'static str, T);

/// A factory preset.
#[derive(Debug)]
pub struct Factory {
    /// Its name.
    pub name: &'static str,
    /// Its purpose.
    pub purpose: &'static str,
    /// Its settings.
    pub settings: &'static [Setting<&'static str>],
}

const fn factory(
    name: &'static str,
    purpose: &'static str,
    settings: &'static [Setting<&'static str>],
) -> Factory {
    Factory { name, purpose, settings }
}

/// The factory presets. Output and Stereo depend on the recording, so no preset sets them.
pub const FACTORY: [Factory; 6] = [
    factory(
        "Voice-over",
        "For a quiet booth: 18 dB less noise, and every detail of the voice.",
        &[("reduction", "18 dB"), ("sensitivity", "0 dB"), ("ambience", "0 %")],
    ),
    factory(
        "Podcast",
        "For a living room: clean pauses, with a trace of the room.",
        &[("reduction", "24 dB"), ("sensitivity", "+3 dB"), ("ambience", "3 %")],
    ),
    factory(
        "Streaming mic",
        "For a fan and a keyboard near the microphone: silent between words.",
        &[("reduction", "36 dB"), ("sensitivity", "+6 dB"), ("ambience", "0 %")],
    ),
    factory(
        "Phone call",
        "Clear words, with a little noise left so that the line does not sound dead.",
        &[("reduction", "20 dB"), ("sensitivity", "+3 dB"), ("ambience", "3 %")],
    ),
    factory(
        "Noisy room",
        "For noise as loud as the voice: removes anything doubtful.",
        &[("reduction", "24 dB"), ("sensitivity", "+6 dB"), ("ambience", "0 %")],
    ),
    factory(
        "Gentle",
        "For a good recording: 12 dB less noise, and almost no change to the voice.",
        &[("reduction", "12 dB"), ("sensitivity", "0 dB"), ("ambience", "0 %")],
    ),
];

/// The folder of a user's presets: `~/.local/share/wisp/presets`, `~/Library/Application Support/Wisp/presets`,
/// `%APPDATA%\Wisp\presets`.
#[cfg(any(feature = "cli", feature = "plugin"))]
pub fn user_folder() -> Option<PathBuf> {
    let place = choose_native_strategy().ok()?;
    let wisp = if cfg!(any(windows, target_os = "macos")) { "Wisp" } else { "wisp" };
    Some(place.data_dir().join(wisp).join("presets"))
}

/// Whether a name is a valid file name on every system.
pub fn is_name(name: &str) -> bool {
    let ends = |c: char| c == '.' || c.is_whitespace();
    let stem = name.split('.').next().unwrap_or_default().to_uppercase();
    let device = ["CON", "PRN", "AUX", "NUL"].contains(&&*stem)
        || ["COM", "LPT"].iter().any(|d| {
            stem.strip_prefix(d).is_some_and(|n| n.len() == 1 && n.starts_with(char::is_numeric))
        });
    (1..=LONGEST_NAME).contains(&name.chars().count())
        && !name.starts_with(ends)
        && !name.ends_with(ends)
        && !name.contains(|c: char| c.is_control() || "/\\:*?\"<>|".contains(c))
        && !device
}

/// A file's text, unless it is too long for a preset.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    let length = fs::File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    Ok((length as u64 <= LARGEST).then_some(text))
}

/// A file's settings, or what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Setting<String>>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let map = value.as_object().ok_or("not a JSON object")?;
    match map.get("wisp").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(version) if version > VERSION => {
            return Err("made by a newer version of Wisp".to_owned());
        }
        _ => return Err("not a Wisp preset".to_owned()),
    }
    let setting = |name| match map.get(name)? {
        // An earlier name of the same choice.
        Value::String(text) if name == "stereo" && text.trim().eq_ignore_ascii_case("split") => {
            Some((name, "Independent".to_owned()))
        }
        Value::String(text) => Some((name, text.clone())),
        other => Some((name, other.to_string())),
    };
    Ok(CONTROLS.into_iter().filter_map(setting).collect())
}

/// Sets a control from text, clamped to its range; `None` if the text is not a value.
pub fn apply(controls: &mut Controls, name: &str, text: &str) -> Option<()> {
    match name {
        "reduction" => {
            let lower = text.trim().to_lowercase();
            let bare = lower.strip_suffix("db").unwrap_or(&lower).trim();
            let full = ["full", "max", "inf", "-inf", "∞", "-∞"].contains(&bare);
            let db = if full { f32::INFINITY } else { decibels(text)?.abs() };
            // Above the plugin's largest number its knob shows "Full".
            controls.reduction_db = reduction_db(db);
        }
        "sensitivity" => {
            let range = SENSITIVITY_RANGE_DB;
            controls.sensitivity_db = decibels(text)?.clamp(-range, range);
        }
        "ambience" => controls.ambience = percent(text)?.clamp(0.0, 100.0) / 100.0,
        "output" => {
            controls.output_db = decibels(text)?.clamp(-OUTPUT_RANGE_DB, OUTPUT_RANGE_DB);
        }
        "stereo" => {
            controls.stereo = match text.trim().to_lowercase().as_str() {
                "linked" => Stereo::Linked,
                "independent" | "split" => Stereo::Independent,
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factory_presets_mean_something_for_the_sound() {
        for preset in &FACTORY {
            let mut controls = Controls { ambience: 0.5, ..Controls::default() };
            for (name, text) in preset.settings {
                assert!(CONTROLS.contains(name));
                assert_eq!(apply(&mut controls, name, text), Some(()), "{}: {name}", preset.name);
            }
            assert_ne!(controls, Controls::default(), "{}", preset.name);
            assert!(is_name(preset.name) && !preset.purpose.is_empty());
        }
    }

    #[test]
    fn values_mean_what_they_mean_in_the_plugin() {
        let set = |name, text| {
            let mut controls = Controls::default();
            apply(&mut controls, name, text).map(|()| controls)
        };
        let plain = Controls::default();
        for (name, text, expected) in [
            ("reduction", "24 dB", Controls { reduction_db: 24.0, ..plain }),
            ("reduction", "-24", Controls { reduction_db: 24.0, ..plain }),
            ("reduction", "60.2", Controls { reduction_db: 60.0, ..plain }),
            ("reduction", "Full", Controls { reduction_db: f32::INFINITY, ..plain }),
            ("reduction", "1000", Controls { reduction_db: f32::INFINITY, ..plain }),
            ("sensitivity", "+99 dB", Controls { sensitivity_db: 12.0, ..plain }),
            ("ambience", "-20 dB", Controls { ambience: 0.1, ..plain }),
            ("output", "-6", Controls { output_db: -6.0, ..plain }),
            ("stereo", "Independent", Controls { stereo: Stereo::Independent, ..plain }),
            ("stereo", "split", Controls { stereo: Stereo::Independent, ..plain }),
        ] {
            assert_eq!(set(name, text), Some(expected), "{name} {text}");
        }
        for (name, text) in
            [("reduction", "loud"), ("ambience", "nan"), ("stereo", "1"), ("bypass", "on")]
        {
            assert_eq!(set(name, text), None, "{name} {text}");
        }
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        for (text, part) in [
            ("", "EOF"),
            ("[1]", "not a JSON object"),
            ("{}", "not a Wisp preset"),
            ("{\"wisp\": 2}", "newer"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let settings = parse("{\"wisp\": 1, \"colour\": [], \"output\": -3, \"reduction\": \"9\"}");
        let expected = [("reduction", "9".to_owned()), ("output", "-3".to_owned())];
        assert_eq!(settings.as_deref(), Ok(&expected[..]));
        let earlier = parse("{\"wisp\": 1, \"stereo\": \"Split\"}");
        assert_eq!(earlier.as_deref(), Ok(&[("stereo", "Independent".to_owned())][..]));
    }
}
