//! Bytes as a preset file, and short ones as a preset's name: values in range or an error, and no file elsewhere.
use std::fs;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tempfile::TempDir;
use wisp::plugin::params::{EngineParameter, WispParams};
use wisp::plugin::presets::Presets;

/// Longer input is only used as a file, because saving is slow.
const LONGEST_NAME: usize = 64;

/// Loads the bytes as a file, and saves a preset with them as its name.
pub fn run(data: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let thread = format!("{:?}", std::thread::current().id());
    let place = folder.path().join(thread);
    let presets = Presets::in_folder(place.join("presets"));
    fs::create_dir_all(presets.folder()).expect("the folder");
    let params = WispParams::default();
    if let Some(values) = load(&presets, data, &params) {
        // The values written as text load as the same values.
        let texts = |values: &[(EngineParameter, f32)]| -> Map<String, Value> {
            let text = |&(parameter, value): &(EngineParameter, f32)| {
                (parameter.id().to_owned(), params.param(parameter).text(value).into())
            };
            values.iter().map(text).collect()
        };
        let mut file = texts(&values);
        file.insert("wisp".to_owned(), 1.into());
        let again = load(&presets, Value::Object(file).to_string().as_bytes(), &params);
        let again = again.expect("its own texts are refused");
        assert_eq!(texts(&again), texts(&values));
    }
    if let (..=LONGEST_NAME, Ok(name)) = (data.len(), std::str::from_utf8(data)) {
        save(&presets, name, &params);
        let beside = fs::read_dir(&place).expect("the place").count();
        assert_eq!(beside, 1, "{name:?} is a file outside the folder");
    }
}

fn load(
    presets: &Presets,
    data: &[u8],
    params: &WispParams,
) -> Option<Vec<(EngineParameter, f32)>> {
    let file = presets.folder().join("file.json");
    fs::write(&file, data).expect("the file");
    let loaded = presets.load("file", params);
    fs::remove_file(file).expect("the file");
    match loaded {
        Ok(values) => {
            for (parameter, value) in &values {
                assert!((0.0..=1.0).contains(value), "{}: {value}", parameter.id());
            }
            Some(values)
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
            None
        }
    }
}

/// A saved preset is listed and loads; a refused one leaves nothing.
fn save(presets: &Presets, name: &str, params: &WispParams) {
    let saved = presets.save(name, params, true).is_ok();
    assert_eq!(presets.names().iter().any(|other| other == name), saved, "{name:?}");
    if saved {
        let values = presets.load(name, params).expect("its own file is refused");
        assert_eq!(values.len(), EngineParameter::SOUND.len());
        let file = presets.folder().join(format!("{name}.json"));
        fs::remove_file(file).expect("a file of the name");
    }
}
