//! Saved states.
use std::collections::BTreeMap;

use wisp_testing::versions;

use crate::host::*;

#[test]
fn the_state_comes_back_and_nonsense_changes_nothing() {
    let first = Plugin::new();
    let settings = [("Reduction", 18.0 / 61.0), ("Output", 0.75), ("Listen", 1.0), ("Bypass", 1.0)];
    for (name, value) in settings {
        first.set(name, value);
    }
    let saved = first.save();
    let second = Plugin::new();
    assert!(second.load(&saved));
    let check = |plugin: &Plugin| {
        for (name, value) in settings {
            assert!((plugin.value(name) - value).abs() < 1e-6, "{name}");
        }
    };
    check(&second);
    for bad in [&b""[..], b"{", b"\0\0\0\0\0\0\0\0\0", b"not a state", &saved[..saved.len() / 2]] {
        assert!(!second.load(bad), "{} bytes were taken for a state", bad.len());
        check(&second);
    }
    assert_eq!(second.save(), saved);
}

/// Every later version loads what a released version saved (`docs/versioning.md`).
#[test]
fn states_of_every_released_version_load() {
    for version in versions::folders() {
        let file = version.join("state.json");
        let plugin = Plugin::new();
        assert!(plugin.load(&std::fs::read(&file).expect("a state")), "{}", file.display());
        let texts = std::fs::read(version.join("texts.json")).expect("texts");
        let texts: BTreeMap<String, String> = serde_json::from_slice(&texts).expect("JSON");
        for (name, text) in &texts {
            let value = plugin.value(name);
            assert_eq!(&plugin.text(name, value), text, "{}: {name}", file.display());
        }
    }
}
