//! Saved states.
use std::collections::BTreeMap;

use wisp_testing::clap::{Plugin, state};
use wisp_testing::versions;

use crate::entries;

#[test]
fn the_state_comes_back_and_nonsense_changes_nothing() {
    for entry in entries() {
        let settings = [
            ("Reduction", "18 dB"),
            ("Sensitivity", "-2.5 dB"),
            ("Ambience", "20 %"),
            ("Output", "-3 dB"),
            ("Listen", "Removed"),
            ("Stereo", "Independent"),
            ("Bypass", "on"),
            ("Quality", "Studio"),
        ];
        let mut first = Plugin::with(&entry, &settings);
        let names = settings.map(|(name, _)| name);
        let set: Vec<_> = names.iter().map(|name| first.value(name)).collect();
        let saved = first.save();

        let mut second = Plugin::new(&entry);
        assert!(second.load(&saved));
        let loaded: Vec<_> = names.iter().map(|name| second.value(name)).collect();
        assert_eq!(loaded, set);
        assert_eq!(second.save(), saved);

        let mut cut = saved.clone();
        cut.truncate(saved.len() / 2);
        for bad in [&[][..], b"\0\0\0\0", b"not a state at all, but long enough", &cut] {
            assert!(!second.load(bad), "{} bytes were taken for a state", bad.len());
            let kept: Vec<_> = names.iter().map(|name| second.value(name)).collect();
            assert_eq!(kept, set);
        }
    }
}

/// Every later version loads what a released version saved (`docs/versioning.md`).
#[test]
fn states_of_every_released_version_load() {
    /// In a state with B active.
    const OTHER: &str = r#"\"slot\":\"B\""#;
    for version in versions::folders() {
        let texts = std::fs::read(version.join("texts.json")).expect("texts");
        let texts: BTreeMap<String, String> = serde_json::from_slice(&texts).expect("JSON");
        let file = version.join("state.json");
        let json = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let state = state(&json);
        for entry in entries() {
            let mut plugin = Plugin::new(&entry);
            // A version without a choice was Live.
            let chosen = texts.get("Quality").map_or("Live", String::as_str);
            plugin.set("Quality", if chosen == "Live" { "Studio" } else { "Live" });
            assert!(plugin.load(&state), "{}", file.display());
            let quality = plugin.value("Quality");
            assert_eq!(plugin.text("Quality", quality), chosen, "{}", file.display());
            for (name, text) in &texts {
                let value = plugin.value(name);
                assert_eq!(&plugin.text(name, value), text, "{}: {name}", file.display());
            }
            // The A and B settings are kept as well, as far as the state has them.
            let saved = String::from_utf8_lossy(&plugin.save()).into_owned();
            let other = String::from_utf8_lossy(&state).contains(OTHER);
            assert_eq!(saved.contains(OTHER), other, "{}", file.display());
        }
    }
}

/// A saved state with its JSON edited.
fn edited(saved: &[u8], edit: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    // The framework writes the length in front of the JSON.
    let start = saved.iter().position(|&byte| byte == b'{').expect("JSON");
    let mut value = serde_json::from_slice(&saved[start..]).expect("JSON");
    edit(&mut value);
    assert_eq!(start, 8, "a length of eight bytes");
    state(&serde_json::to_vec(&value).expect("JSON"))
}

#[test]
fn old_new_and_broken_fields_of_a_state_are_tolerated() {
    for entry in entries() {
        let mut first = Plugin::with(&entry, &[("Reduction", "18 dB"), ("Ambience", "20 %")]);
        let saved = first.save();
        let reduction = first.value("Reduction");

        // A state from before Sensitivity, Ambience and A/B: those keep their values.
        let old = edited(&saved, |state| {
            let params = state["params"].as_object_mut().expect("params");
            params.remove("sensitivity");
            params.remove("ambience");
            let fields = state["fields"].as_object_mut().expect("fields");
            fields.remove("sound");
            fields.insert("editor".into(), "{\"width\": 900.0}".into());
        });
        let mut second = Plugin::new(&entry);
        assert!(second.load(&old));
        assert_eq!(second.value("Reduction"), reduction);
        assert_eq!(second.value("Ambience"), 0.0);

        // A state from a later version, with unknown fields and parameters.
        let new = edited(&saved, |state| {
            state["version"] = "9.0.0".into();
            state["params"]["colour"] = serde_json::json!({"f32": 1.0});
            state["fields"]["later"] = "[1, 2]".into();
        });
        let mut third = Plugin::new(&entry);
        assert!(third.load(&new));
        assert_eq!(third.save(), saved);

        // Invalid fields are ignored; the parameters still load.
        let broken = edited(&saved, |state| {
            state["fields"]["editor"] = "nonsense".into();
            state["fields"]["sound"] = "{\"slot\": 7}".into();
        });
        let mut fourth = Plugin::new(&entry);
        assert!(fourth.load(&broken));
        assert_eq!(fourth.save(), saved);
    }
}
