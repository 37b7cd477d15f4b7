//! Presets as a host's browser sees them, through the C interface.
#![allow(unsafe_code)]
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use clap_sys::ext::preset_load::{CLAP_EXT_PRESET_LOAD, clap_plugin_preset_load};
use clap_sys::factory::plugin_factory::{CLAP_PLUGIN_FACTORY_ID, clap_plugin_factory};
use clap_sys::factory::preset_discovery::*;
use clap_sys::host::clap_host;
use clap_sys::plugin::clap_plugin;
use clap_sys::universal_plugin_id::clap_universal_plugin_id;
use clap_sys::version::CLAP_VERSION;
use wisp_testing::clap::ID;

/// What the plugin declares: locations, presets with their keys, plugin ids, errors.
#[derive(Default)]
struct Index {
    places: Vec<(u32, Option<String>)>,
    presets: Vec<(String, Option<String>)>,
    plugins: Vec<String>,
    errors: usize,
}

fn text(text: *const c_char) -> Option<String> {
    // SAFETY: null or null-terminated.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// # Safety
///
/// `data` points to an [`Index`].
unsafe fn index<'a>(data: *mut c_void) -> &'a mut Index {
    // SAFETY: the caller's promise.
    unsafe { &mut *data.cast() }
}

unsafe extern "C" fn declare_filetype(
    _: *const clap_preset_discovery_indexer,
    filetype: *const clap_preset_discovery_filetype,
) -> bool {
    // SAFETY: the plugin passes a live object.
    text(unsafe { (*filetype).file_extension }).as_deref() == Some("json")
}

unsafe extern "C" fn declare_location(
    indexer: *const clap_preset_discovery_indexer,
    location: *const clap_preset_discovery_location,
) -> bool {
    // SAFETY: the test's and the plugin's live objects.
    unsafe {
        let place = ((*location).kind, text((*location).location));
        index((*indexer).indexer_data).places.push(place);
    }
    true
}

unsafe extern "C" fn nothing(
    _: *const clap_preset_discovery_indexer,
    _: *const c_char,
) -> *const c_void {
    null()
}

unsafe extern "C" fn begin(
    receiver: *const clap_preset_discovery_metadata_receiver,
    name: *const c_char,
    key: *const c_char,
) -> bool {
    // SAFETY: the test's own receiver.
    let index = unsafe { index((*receiver).receiver_data) };
    index.presets.push((text(name).expect("a name"), text(key)));
    true
}

unsafe extern "C" fn add_plugin(
    receiver: *const clap_preset_discovery_metadata_receiver,
    id: *const clap_universal_plugin_id,
) {
    // SAFETY: the test's and the plugin's live objects.
    unsafe {
        assert_eq!(text((*id).abi).as_deref(), Some("clap"));
        index((*receiver).receiver_data).plugins.push(text((*id).id).expect("an id"));
    }
}

unsafe extern "C" fn on_error(
    receiver: *const clap_preset_discovery_metadata_receiver,
    _: i32,
    message: *const c_char,
) {
    assert!(text(message).is_some_and(|message| !message.is_empty()));
    // SAFETY: the test's own receiver.
    unsafe { index((*receiver).receiver_data).errors += 1 };
}

fn receiver(index: &mut Index) -> clap_preset_discovery_metadata_receiver {
    clap_preset_discovery_metadata_receiver {
        receiver_data: (index as *mut Index).cast(),
        on_error: Some(on_error),
        begin_preset: Some(begin),
        add_plugin_id: Some(add_plugin),
        set_soundpack_id: None,
        set_flags: None,
        add_creator: None,
        set_description: None,
        set_timestamps: None,
        add_feature: None,
        add_extra_info: None,
    }
}

unsafe extern "C" fn no_extension(_: *const clap_host, _: *const c_char) -> *const c_void {
    null()
}

unsafe extern "C" fn ignore(_: *const clap_host) {}

#[test]
fn hosts_see_the_presets_and_load_them() {
    let entry = &wisp::plugin::clap_entry;
    let get_factory = entry.get_factory.expect("a factory");
    // SAFETY: follows the C interface; the test's objects outlive the calls.
    unsafe {
        let factory = get_factory(CLAP_PRESET_DISCOVERY_FACTORY_ID.as_ptr());
        let factory = &*factory.cast::<clap_preset_discovery_factory>();
        let presets = &wisp::preset::FACTORY;
        let count = factory.count.expect("count")(factory) as usize;
        assert_eq!(count, presets.len() + 1);
        let described = factory.get_descriptor.expect("a description");
        assert!(described(factory, count as u32).is_null());
        let mut found = Index::default();
        let indexer = clap_preset_discovery_indexer {
            clap_version: CLAP_VERSION,
            name: c"test".as_ptr(),
            vendor: null(),
            url: null(),
            version: c"1".as_ptr(),
            indexer_data: (&raw mut found).cast(),
            declare_filetype: Some(declare_filetype),
            declare_location: Some(declare_location),
            declare_soundpack: None,
            get_extension: Some(nothing),
        };
        let create = factory.create.expect("a provider");
        assert!(create(factory, &indexer, c"another".as_ptr()).is_null());
        let plugin_kind = CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN;
        let provide = |index: u32| {
            let provider = create(factory, &indexer, (*described(factory, index)).id);
            assert!((*provider).init.expect("init")(provider));
            provider
        };
        let to = receiver(&mut found);
        for index in 0..presets.len() as u32 {
            let provider = provide(index);
            let get_metadata = (*provider).get_metadata.expect("metadata");
            assert!(get_metadata(provider, plugin_kind, null(), &to));
            (*provider).destroy.expect("destroy")(provider);
        }
        assert_eq!(found.places, vec![(plugin_kind, None); presets.len()]);
        let names: Vec<&str> = presets.iter().map(|p| p.name).collect();
        let listed: Vec<&str> = found.presets.iter().map(|(name, _)| &**name).collect();
        assert_eq!(listed, names);
        assert!(found.presets.iter().all(|(name, key)| key.as_ref() == Some(name)));
        assert!(found.plugins.iter().all(|id| id.as_bytes() == ID.to_bytes()));
        let provider = provide(presets.len() as u32);
        let get_metadata = (*provider).get_metadata.expect("metadata");
        assert!(!get_metadata(provider, plugin_kind, null(), &to));

        // A user preset, and a file that is not a preset.
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            CString::new(path.to_str().expect("text")).expect("no zero")
        };
        let good = path("Attic.json", "{\"wisp\": 1, \"reduction\": \"30 dB\"}");
        let bad = path("bad.json", "{}");
        let file_kind = CLAP_PRESET_DISCOVERY_LOCATION_FILE;
        assert!(get_metadata(provider, file_kind, good.as_ptr(), &to));
        assert_eq!(found.presets.last(), Some(&("Attic".to_owned(), None)));
        assert!(!get_metadata(provider, file_kind, bad.as_ptr(), &to));
        assert_eq!(found.errors, 1);
        (*provider).destroy.expect("destroy")(provider);

        // Loading one changes the parameters.
        let host = clap_host {
            clap_version: CLAP_VERSION,
            host_data: null_mut(),
            name: c"test".as_ptr(),
            vendor: c"test".as_ptr(),
            url: c"".as_ptr(),
            version: c"1".as_ptr(),
            get_extension: Some(no_extension),
            request_restart: Some(ignore),
            request_process: Some(ignore),
            request_callback: Some(ignore),
        };
        let factory = get_factory(CLAP_PLUGIN_FACTORY_ID.as_ptr());
        let factory = &*factory.cast::<clap_plugin_factory>();
        let plugin: *const clap_plugin =
            factory.create_plugin.expect("create")(factory, &host, ID.as_ptr());
        assert!((*plugin).init.expect("init")(plugin));
        let get = |id: &CStr| (*plugin).get_extension.expect("extensions")(plugin, id.as_ptr());
        let load = get(CLAP_EXT_PRESET_LOAD).cast::<clap_plugin_preset_load>();
        let load = (*load).from_location.expect("loading");
        let params = get(clap_sys::ext::params::CLAP_EXT_PARAMS);
        let params = &*params.cast::<clap_sys::ext::params::clap_plugin_params>();
        let reduction = || {
            let mut value = 0.0;
            assert!(params.get_value.expect("a value")(plugin, 2_039_460_467, &mut value));
            value * 61.0
        };
        let near = |db: f64| (reduction() - db).abs() < 1e-4;
        for preset in &wisp::preset::FACTORY {
            let key = CString::new(preset.name).expect("no zero");
            assert!(load(plugin, plugin_kind, null(), key.as_ptr()), "{}", preset.name);
            let text = preset.settings[0].1.trim_end_matches(" dB");
            assert!(near(text.parse().expect("decibels")), "{}: {}", preset.name, reduction());
        }
        assert!(load(plugin, file_kind, good.as_ptr(), null()) && near(30.0));
        for (kind, location, key) in [
            (file_kind, bad.as_ptr(), null()),
            (file_kind, null(), null()),
            (plugin_kind, null(), null()),
            (plugin_kind, null(), c"No such".as_ptr()),
            (7, null(), null()),
        ] {
            assert!(!load(plugin, kind, location, key) && near(30.0));
        }
        (*plugin).destroy.expect("destroy")(plugin);
    }
}
