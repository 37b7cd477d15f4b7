//! Factory presets as files for VST3 hosts.
use crate::host::*;

/// A `.vstpreset` file: header, class, component state, chunk list.
fn preset_file(state: &[u8]) -> Vec<u8> {
    const HEADER: usize = 48;
    let class: String = "WispVoiceDenoise".bytes().map(|b| format!("{b:02X}")).collect();
    let mut file = b"VST3".to_vec();
    file.extend(1u32.to_le_bytes());
    file.extend(class.as_bytes());
    file.extend(((HEADER + state.len()) as u64).to_le_bytes());
    assert_eq!(file.len(), HEADER);
    file.extend(state);
    file.extend(b"List");
    file.extend(1u32.to_le_bytes());
    file.extend(b"Comp");
    file.extend((HEADER as u64).to_le_bytes());
    file.extend((state.len() as u64).to_le_bytes());
    file
}

/// The files in `packaging/presets`, which the install scripts copy to where VST3 hosts look. `WISP_WRITE_PRESETS=1`
/// rewrites them.
#[test]
fn the_factory_presets_are_files_that_hosts_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/presets");
    let params = wisp::plugin::params::WispParams::default();
    for preset in &wisp::preset::FACTORY {
        let file = folder.join(format!("{}.vstpreset", preset.name));
        // Loading leaves parameters alone that the preset does not set.
        let values: serde_json::Map<String, serde_json::Value> = preset
            .values(&params)
            .into_iter()
            .map(|(parameter, value)| {
                let value = serde_json::to_value(params.saved(parameter, value)).expect("JSON");
                (parameter.id().to_owned(), value)
            })
            .collect();
        let state = serde_json::json!({"version": "0.1.0", "params": values, "fields": {}});
        let expected = preset_file(format!("{state:#}\n").as_bytes());
        if std::env::var_os("WISP_WRITE_PRESETS").is_some() {
            std::fs::write(&file, &expected).expect("written");
        }
        let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(bytes == expected, "{}: WISP_WRITE_PRESETS=1 regenerates it", file.display());
        let number = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
        };
        let list = number(40);
        assert_eq!(&bytes[list + 8..list + 12], b"Comp");
        let state = &bytes[number(list + 12)..][..number(list + 20)];
        let plugin = Plugin::new();
        plugin.set("Output", 0.7);
        plugin.set("Quality", 1.0);
        assert!(plugin.load(state), "{}", preset.name);
        for (parameter, value) in preset.values(&params) {
            let name = params.param(parameter).title();
            assert!(
                (plugin.value(name) - f64::from(value)).abs() < 1e-6,
                "{}: {name}",
                preset.name
            );
        }
        assert!((plugin.value("Output") - 0.7).abs() < 1e-6, "{}", preset.name);
        assert_eq!(plugin.value("Quality"), 1.0, "{}", preset.name);
    }
    let files = std::fs::read_dir(&folder).expect("the folder").count();
    assert_eq!(files, wisp::preset::FACTORY.len(), "no other files");
}
