//! Presets in the plugin: [`crate::preset`] as values of the parameters, and the user's files.
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::params::{EngineParameter, WispParams};
use crate::preset::{self, VERSION, is_name};
pub use crate::preset::{FACTORY, Factory};

impl Factory {
    /// Normalized values of the parameters that it sets.
    pub fn values(&self, params: &WispParams) -> Vec<(EngineParameter, f32)> {
        let parse = |&(name, text)| {
            let parameter = parameter(name)?;
            Some((parameter, params.param(parameter).parse(text)?))
        };
        self.settings.iter().filter_map(parse).collect()
    }
}

/// The parameter with this name.
fn parameter(name: &str) -> Option<EngineParameter> {
    EngineParameter::SOUND.into_iter().find(|parameter| parameter.id() == name)
}

/// Why a preset was not loaded or saved; every message fits on a line.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// The system has no folder for a user's files.
    #[error("this system has no folder for presets")]
    NoFolder,
    /// A name that is not a valid file name on every system.
    #[error("use 1 to 60 characters, none of / \\ : * ? \" < > |, and no dot at either end")]
    Name,
    /// A preset of this name exists.
    #[error("“{0}” already exists")]
    Exists(String),
    /// The file cannot be read or written.
    #[error("{name}: {source}")]
    File {
        /// The preset's name.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file is invalid.
    #[error("{name}: {reason}")]
    Broken {
        /// The preset's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A folder of the user's presets.
#[derive(Clone, Debug)]
pub struct Presets {
    folder: PathBuf,
}

impl Presets {
    /// The platform's folder ([`preset::user_folder`]).
    pub fn of_user() -> Result<Self, PresetError> {
        let folder = preset::user_folder().ok_or(PresetError::NoFolder)?;
        Ok(Self { folder })
    }

    /// A given folder, which need not exist yet.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder's path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names in alphabetical order; none if there is no folder yet.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
                let name = path.file_stem()?.to_str()?.to_owned();
                (json && is_name(&name)).then_some(name)
            })
            .collect();
        names.sort_by_key(|name| name.to_lowercase());
        names
    }

    /// Normalized values of the parameters in a preset; all or none.
    pub fn load(
        &self,
        name: &str,
        params: &WispParams,
    ) -> Result<Vec<(EngineParameter, f32)>, PresetError> {
        read(&self.path(name)?, params)
    }

    /// Writes the values that shape the sound, atomically; replaces an existing preset only if requested.
    pub fn save(
        &self,
        name: &str,
        params: &WispParams,
        overwrite: bool,
    ) -> Result<(), PresetError> {
        let path = self.path(name)?;
        let file = |source| PresetError::File { name: name.to_owned(), source };
        fs::create_dir_all(&self.folder).map_err(file)?;
        let mut handle = tempfile::NamedTempFile::new_in(&self.folder).map_err(file)?;
        handle.write_all(text(name, params).as_bytes()).map_err(file)?;
        handle.as_file().sync_all().map_err(file)?;
        let kept = if overwrite { handle.persist(path) } else { handle.persist_noclobber(path) };
        kept.map(drop).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => PresetError::Exists(name.to_owned()),
            _ => file(error.error),
        })
    }

    fn path(&self, name: &str) -> Result<PathBuf, PresetError> {
        if is_name(name) {
            Ok(self.folder.join(format!("{name}.json")))
        } else {
            Err(PresetError::Name)
        }
    }
}

/// Normalized values of the parameters in a file; all or none.
pub fn read(path: &Path, params: &WispParams) -> Result<Vec<(EngineParameter, f32)>, PresetError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let file = |source| PresetError::File { name: name.clone().into_owned(), source };
    let text = preset::read(path).map_err(file)?;
    let text = text.ok_or_else(|| broken(&name, "too large for a preset"))?;
    parse(&text, params).map_err(|reason| broken(&name, reason))
}

fn broken(name: &str, reason: impl Into<String>) -> PresetError {
    PresetError::Broken { name: name.to_owned(), reason: reason.into() }
}

/// A file's text.
fn text(name: &str, params: &WispParams) -> String {
    let mut map = Map::new();
    map.insert("wisp".to_owned(), VERSION.into());
    map.insert("name".to_owned(), name.into());
    for parameter in EngineParameter::SOUND {
        let param = params.param(parameter);
        map.insert(parameter.id().to_owned(), param.text(param.normalized()).into());
    }
    format!("{:#}\n", Value::Object(map))
}

/// A file's values, or the reason why it is invalid.
fn parse(text: &str, params: &WispParams) -> Result<Vec<(EngineParameter, f32)>, String> {
    let mut values = Vec::new();
    for (name, text) in preset::parse(text)? {
        let Some(parameter) = parameter(name) else { continue };
        let value = params.param(parameter).parse(&text);
        values.push((parameter, value.ok_or(format!("{name}: “{text}” is not valid"))?));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presets() -> (tempfile::TempDir, Presets) {
        let folder = tempfile::tempdir().expect("a folder");
        let presets = Presets::in_folder(folder.path().join("not yet").join("presets"));
        (folder, presets)
    }

    #[test]
    fn factory_presets_are_all_understood() {
        let params = WispParams::default();
        for preset in &FACTORY {
            assert_eq!(preset.values(&params).len(), preset.settings.len(), "{}", preset.name);
            assert!(is_name(preset.name) && !preset.purpose.is_empty());
        }
    }

    #[test]
    fn every_control_that_makes_the_sound_has_its_name() {
        assert_eq!(EngineParameter::SOUND.map(EngineParameter::id), preset::CONTROLS);
    }

    #[test]
    fn a_saved_preset_comes_back_and_can_be_read_by_people() {
        let (_folder, presets) = presets();
        let params = WispParams::default();
        assert!(presets.names().is_empty());
        presets.save("Küche 2", &params, false).expect("saving");
        presets.save("attic", &params, false).expect("saving");
        assert_eq!(presets.names(), ["attic", "Küche 2"]);
        let loaded = presets.load("Küche 2", &params).expect("loading");
        let expected = EngineParameter::SOUND.map(|c| (c, params.param(c).normalized()));
        assert_eq!(loaded, expected);
        let text = fs::read_to_string(presets.folder().join("Küche 2.json")).expect("text");
        assert!(text.contains("\n  \"reduction\": \"24 dB\""), "{text}");
        let files = fs::read_dir(presets.folder()).expect("the folder").count();
        assert_eq!(files, 2, "nothing is left beside the presets");
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let (_folder, presets) = presets();
        let params = WispParams::default();
        presets.save("mine", &params, false).expect("saving");
        let path = presets.folder().join("mine.json");
        fs::write(&path, "{\"wisp\": 1, \"ambience\": 50}").expect("writing");
        let error = presets.save("mine", &params, false).expect_err("it exists");
        assert!(matches!(error, PresetError::Exists(_)), "{error}");
        assert_eq!(
            presets.load("mine", &params).expect("kept"),
            [(EngineParameter::Ambience, 0.5)]
        );
        presets.save("mine", &params, true).expect("asked for");
        assert_eq!(presets.load("mine", &params).expect("new").len(), EngineParameter::SOUND.len());
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        let (_folder, presets) = presets();
        let params = WispParams::default();
        fs::create_dir_all(presets.folder()).expect("a folder");
        let long = format!("{{\"wisp\": 1}}{}", " ".repeat(preset::LARGEST as usize));
        for (text, part) in [
            ("", "EOF"),
            ("{\"wisp\": 1, ", "EOF"),
            ("[1]", "not a JSON object"),
            ("{}", "not a Wisp preset"),
            ("{\"wisp\": 2}", "newer"),
            ("{\"wisp\": 1, \"ambience\": 20, \"reduction\": \"loud\"}", "reduction"),
            ("{\"wisp\": 1, \"stereo\": []}", "stereo"),
            (&long, "too large"),
        ] {
            fs::write(presets.folder().join("bad.json"), text).expect("writing");
            let error = presets.load("bad", &params).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text:?}: {error}");
        }
        fs::write(presets.folder().join("bad.json"), [0xff, 0xfe, 0]).expect("writing");
        assert!(presets.load("bad", &params).is_err());
        assert!(presets.load("missing", &params).is_err());
    }

    #[test]
    fn earlier_files_that_say_split_load_as_independent() {
        let params = WispParams::default();
        let values = |text: &str| parse(text, &params).expect("a preset");
        let earlier = values("{\"wisp\": 1, \"stereo\": \"Split\"}");
        assert_eq!(earlier, values("{\"wisp\": 1, \"stereo\": \"Independent\"}"));
        assert_eq!(earlier, [(EngineParameter::Stereo, 1.0)]);
    }

    #[test]
    fn unknown_fields_and_numbers_are_tolerated() {
        let params = WispParams::default();
        let text = "{\"wisp\": 1, \"colour\": {\"a\": 1}, \"reduction\": 0, \"output\": \"-24\"}";
        let values = parse(text, &params).expect("a preset");
        assert_eq!(values, [(EngineParameter::Reduction, 0.0), (EngineParameter::Output, 0.0)]);
    }

    #[test]
    fn names_are_files_of_this_folder_and_no_other() {
        for name in ["a", "My room", "Ä.b", "x".repeat(60).as_str()] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", " ", ".", "..", ".a", "a.", "a ", "a/b", "..\\b", "c:d", "nul", "COM1.x"] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(!is_name(&"x".repeat(61)) && !is_name("a\nb"));
        let (_folder, presets) = presets();
        let error = presets.save("../out", &WispParams::default(), true).expect_err("a path");
        assert!(matches!(error, PresetError::Name));
    }
}
