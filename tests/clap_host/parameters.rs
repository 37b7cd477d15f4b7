//! The plugin's description of itself and its parameters.
use std::ffi::CStr;

use clack_extensions::params::{ParamInfoBuffer, ParamInfoFlags};
use clack_extensions::remote_controls::{PluginRemoteControls, RemoteControlsPageBuffer};
use clack_host::utils::ClapId;
use wisp_testing::clap::{ID, Parameter, Plugin};
use wisp_testing::texts::TEXTS;

use crate::entries;

#[test]
fn the_factory_lists_one_described_plugin() {
    for entry in entries() {
        let factory = entry.get_plugin_factory().expect("a factory");
        let all: Vec<_> = factory.plugin_descriptors().collect();
        assert_eq!(all.len(), 1);
        let text = |text: Option<&CStr>| text.map(CStr::to_bytes).map(<[u8]>::to_vec);
        assert_eq!(text(all[0].id()).as_deref(), Some(ID.to_bytes()));
        assert_eq!(text(all[0].name()).as_deref(), Some(&b"Wisp"[..]));
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        assert_eq!(text(all[0].version()).as_deref(), Some(version));
        let page = |text: Option<&CStr>| {
            let text = text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
            assert!(text.starts_with("https://wisp.audio"), "{text:?}");
        };
        page(all[0].url());
        page(all[0].manual_url());
        page(all[0].support_url());
        let features: Vec<_> = all[0].features().map(|f| f.to_bytes().to_vec()).collect();
        assert!(features.contains(&b"audio-effect".to_vec()), "{features:?}");
    }
}

#[test]
fn parameters_have_names_ranges_texts_and_stable_ids() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let all = plugin.parameters();
        let listed: Vec<_> =
            all.iter().map(|p| (p.name.as_str(), p.id.get(), p.range, p.default)).collect();
        // Hosts store automation by these numbers, so they never change.
        assert_eq!(
            listed,
            [
                ("Reduction", 2_039_460_467, (0.0, 1.0), f64::from(24.0f32 / 61.0)),
                ("Sensitivity", 564_403_871, (0.0, 1.0), 0.5),
                ("Ambience", 260_791_998, (0.0, 1.0), 0.0),
                ("Output", 1_141_971_201, (0.0, 1.0), 0.5),
                ("Listen", 1_044_975_047, (0.0, 1.0), 0.0),
                ("Stereo", 1_255_118_840, (0.0, 1.0), 0.0),
                ("Bypass", 773_352_680, (0.0, 1.0), 0.0),
                ("Quality", 651_215_103, (0.0, 1.0), 0.0),
            ]
        );
        for parameter in &all {
            let flags = parameter.flags;
            // A change of the quality changes the latency.
            let automatable = parameter.name != "Quality";
            assert_eq!(
                flags.contains(ParamInfoFlags::IS_AUTOMATABLE),
                automatable,
                "{parameter:?}"
            );
            let bypass = flags.contains(ParamInfoFlags::IS_BYPASS);
            assert_eq!(bypass, parameter.name == "Bypass");
        }
        assert_eq!(plugin.text("Reduction", 1.0), "Full");
        assert_eq!(plugin.text("Reduction", 24.0 / 61.0), "24 dB");
        assert_eq!(plugin.text("Sensitivity", 0.75), "+6 dB");
        assert_eq!(plugin.text("Ambience", 0.25), "25 %");
        assert_eq!(plugin.text("Output", 0.5), "0 dB");
        assert_eq!(plugin.text("Listen", 1.0), "Removed");
        assert_eq!(plugin.text("Stereo", 0.0), "Linked");
        assert_eq!(plugin.parsed("Reduction", "full"), Some(1.0));
        assert!((plugin.parsed("Reduction", "12").expect("a number") - 12.0 / 61.0).abs() < 1e-6);
        assert!((plugin.parsed("Output", "+12 dB").expect("a number") - 0.75).abs() < 1e-6);
        assert_eq!(plugin.parsed("Sensitivity", "-6"), Some(0.25));
        assert_eq!(plugin.parsed("Ambience", "50 %"), Some(0.5));
        assert_eq!(plugin.parsed("Output", "louder"), None);
        assert_eq!(plugin.text("Quality", 0.0), "Live");
        for Parameter { name, default, .. } in all {
            assert_eq!(plugin.value(&name), default, "{name}");
        }
    }
}

#[test]
fn lists_are_flagged_and_text_is_read_in_any_case() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        for parameter in plugin.parameters() {
            let list = ["Listen", "Stereo", "Quality"].contains(&&*parameter.name);
            assert_eq!(parameter.flags.contains(ParamInfoFlags::IS_ENUM), list, "{parameter:?}");
            let stepped = list || parameter.name == "Bypass";
            assert_eq!(parameter.flags.contains(ParamInfoFlags::IS_STEPPED), stepped);
            assert!(!plugin.text(&parameter.name, f64::NAN).to_lowercase().contains("nan"));
        }
        for &(name, text, value) in TEXTS {
            assert_eq!(plugin.parsed(name, text), value, "{name}: {text:?}");
        }
        // Indices past the end.
        let params = plugin.params();
        let handle = plugin.instance.plugin_handle();
        for index in [8, 9, u32::MAX] {
            assert!(params.get_info(&handle, index, &mut ParamInfoBuffer::new()).is_none());
        }
    }
}

#[test]
fn a_controller_gets_every_parameter_that_can_be_automated_on_one_page() {
    for entry in entries() {
        let mut plugin = Plugin::new(&entry);
        let all = plugin.parameters();
        let automatable = all.iter().filter(|p| p.flags.contains(ParamInfoFlags::IS_AUTOMATABLE));
        let ids: Vec<ClapId> = automatable.map(|parameter| parameter.id).collect();
        let handle = plugin.instance.plugin_handle();
        let pages: PluginRemoteControls = handle.get_extension().expect("remote controls");
        assert_eq!(pages.count(&handle), 1);
        let mut buffer = RemoteControlsPageBuffer::new();
        let page = pages.get(&handle, 0, &mut buffer).expect("a page");
        assert_eq!((page.section_name, page.page_name), (&b"Wisp"[..], &b"Denoise"[..]));
        let listed: Vec<ClapId> = page.param_ids.iter().copied().flatten().collect();
        assert_eq!(listed, ids);
        assert!(pages.get(&handle, 1, &mut buffer).is_none());
    }
}
