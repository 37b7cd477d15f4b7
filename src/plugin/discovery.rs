//! Presets for CLAP hosts: indexing and loading of factory and user presets.
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use clap_sys::ext::params::{CLAP_EXT_PARAMS, CLAP_PARAM_RESCAN_VALUES, clap_host_params};
use clap_sys::ext::preset_load::{
    CLAP_EXT_PRESET_LOAD, CLAP_EXT_PRESET_LOAD_COMPAT, clap_host_preset_load,
};
use clap_sys::factory::preset_discovery::*;
use clap_sys::host::clap_host;
use clap_sys::universal_plugin_id::clap_universal_plugin_id;
use clap_sys::version::CLAP_VERSION;
use nice_plug::prelude::ClapPlugin;

use super::Wisp;
use super::memory::LoadedPreset;
use super::params::{EngineParameter, WispParams};
use super::presets::{self, FACTORY, Factory};
use crate::preset;

const NAME: &CStr = c"Wisp";
const ABI: &CStr = c"clap";
const FILES: &CStr = c"Wisp presets";
const ENDING: &CStr = c"json";

/// The provider that a host holds while it builds its index.
///
/// One for each factory preset and one for the user's: with all of them in one container the validator hangs
/// (docs/upstream/clap-validator-preset-containers.md).
struct Provider {
    provider: clap_preset_discovery_provider,
    indexer: *const clap_preset_discovery_indexer,
    /// `None`: the user's presets.
    preset: Option<&'static Factory>,
}

/// A description and the texts that it points to.
struct Descriptor {
    descriptor: clap_preset_discovery_provider_descriptor,
    id: CString,
    _name: CString,
}

// SAFETY: the pointers refer to the texts beside them, which never change.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

/// In the order of [`FACTORY`], then the user's.
fn descriptors() -> &'static [Descriptor] {
    static DESCRIPTORS: OnceLock<Vec<Descriptor>> = OnceLock::new();
    DESCRIPTORS.get_or_init(|| {
        let describe = |id: &str, name: &str| {
            let (id, name) = (CString::new(id).ok()?, CString::new(name).ok()?);
            let descriptor = clap_preset_discovery_provider_descriptor {
                clap_version: CLAP_VERSION,
                id: id.as_ptr(),
                name: name.as_ptr(),
                vendor: NAME.as_ptr(),
            };
            Some(Descriptor { descriptor, id, _name: name })
        };
        let factory = FACTORY.iter().map(|preset| {
            let name = preset.name.to_lowercase().replace(' ', "-");
            describe(&format!("audio.wisp.presets.{name}"), &format!("Wisp: {}", preset.name))
        });
        factory.chain([describe("audio.wisp.presets", "Wisp")]).flatten().collect()
    })
}

pub(super) static PRESETS: clap_preset_discovery_factory = {
    unsafe extern "C" fn count(_: *const clap_preset_discovery_factory) -> u32 {
        descriptors().len() as u32
    }
    unsafe extern "C" fn describe(
        _: *const clap_preset_discovery_factory,
        index: u32,
    ) -> *const clap_preset_discovery_provider_descriptor {
        descriptors().get(index as usize).map_or(ptr::null(), |d| &d.descriptor)
    }
    clap_preset_discovery_factory {
        count: Some(count),
        get_descriptor: Some(describe),
        create: Some(create),
    }
};

unsafe extern "C" fn create(
    _: *const clap_preset_discovery_factory,
    indexer: *const clap_preset_discovery_indexer,
    id: *const c_char,
) -> *const clap_preset_discovery_provider {
    if indexer.is_null() || id.is_null() {
        return ptr::null();
    }
    // SAFETY: zero-terminated text.
    let id = unsafe { CStr::from_ptr(id) };
    let found = descriptors().iter().enumerate().find(|(_, descriptor)| *descriptor.id == *id);
    let Some((index, descriptor)) = found else { return ptr::null() };
    let provider = clap_preset_discovery_provider {
        desc: &descriptor.descriptor,
        provider_data: ptr::null_mut(),
        init: Some(init),
        destroy: Some(destroy),
        get_metadata: Some(get_metadata),
        get_extension: Some(get_extension),
    };
    let provider =
        Box::into_raw(Box::new(Provider { provider, indexer, preset: FACTORY.get(index) }));
    // SAFETY: just created, and not moved until `destroy`.
    unsafe {
        (*provider).provider.provider_data = provider.cast();
        &raw const (*provider).provider
    }
}

/// The provider behind the host's pointer.
///
/// # Safety
///
/// `provider` comes from [`create`] and is not destroyed.
unsafe fn own<'a>(provider: *const clap_preset_discovery_provider) -> Option<&'a Provider> {
    // SAFETY: guaranteed by the caller, or null.
    unsafe { provider.as_ref()?.provider_data.cast::<Provider>().as_ref() }
}

/// Declares the preset locations.
unsafe extern "C" fn init(provider: *const clap_preset_discovery_provider) -> bool {
    // SAFETY: guaranteed by the host; its indexer lives as long as the provider.
    unsafe {
        let Some(own) = own(provider) else { return false };
        let Some(indexer) = own.indexer.as_ref() else { return false };
        let Some(declare) = indexer.declare_location else { return false };
        if let Some(preset) = own.preset {
            let Ok(name) = CString::new(preset.name) else { return false };
            let location = clap_preset_discovery_location {
                flags: CLAP_PRESET_DISCOVERY_IS_FACTORY_CONTENT,
                name: name.as_ptr(),
                kind: CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN,
                location: ptr::null(),
            };
            return declare(indexer, &location);
        }
        let folder = preset::user_folder().filter(|folder| folder.is_dir());
        let folder = folder.and_then(|folder| CString::new(folder.to_str()?).ok());
        let (Some(folder), Some(declare_filetype)) = (folder, indexer.declare_filetype) else {
            return true;
        };
        let filetype = clap_preset_discovery_filetype {
            name: FILES.as_ptr(),
            description: ptr::null(),
            file_extension: ENDING.as_ptr(),
        };
        let location = clap_preset_discovery_location {
            flags: CLAP_PRESET_DISCOVERY_IS_USER_CONTENT,
            name: FILES.as_ptr(),
            kind: CLAP_PRESET_DISCOVERY_LOCATION_FILE,
            location: folder.as_ptr(),
        };
        declare_filetype(indexer, &filetype) && declare(indexer, &location)
    }
}

unsafe extern "C" fn destroy(provider: *const clap_preset_discovery_provider) {
    // SAFETY: the host's last call on the object that `create` made, or null.
    unsafe {
        if let Some(provider) = provider.as_ref() {
            drop(Box::from_raw(provider.provider_data.cast::<Provider>()));
        }
    }
}

unsafe extern "C" fn get_extension(
    _: *const clap_preset_discovery_provider,
    _: *const c_char,
) -> *const c_void {
    ptr::null()
}

unsafe extern "C" fn get_metadata(
    provider: *const clap_preset_discovery_provider,
    kind: clap_preset_discovery_location_kind,
    location: *const c_char,
    receiver: *const clap_preset_discovery_metadata_receiver,
) -> bool {
    // SAFETY: guaranteed by the host.
    let Some(receiver) = (unsafe { receiver.as_ref() }) else { return false };
    match kind {
        CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN => {
            // SAFETY: guaranteed by the host.
            let Some(preset) = (unsafe { own(provider) }).and_then(|own| own.preset) else {
                return false;
            };
            let flags = CLAP_PRESET_DISCOVERY_IS_FACTORY_CONTENT;
            // SAFETY: the host's own receiver.
            unsafe { tell(receiver, preset.name, true, flags, Some(preset.purpose)) }
        }
        CLAP_PRESET_DISCOVERY_LOCATION_FILE => {
            // SAFETY: zero-terminated text, or null.
            let Some(path) = (unsafe { path(location) }) else { return false };
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match presets::read(&path, &WispParams::default()) {
                // SAFETY: the host's own receiver.
                Ok(_) => unsafe {
                    tell(receiver, &name, false, CLAP_PRESET_DISCOVERY_IS_USER_CONTENT, None)
                },
                Err(error) => {
                    let message = CString::new(error.to_string()).unwrap_or_default();
                    // SAFETY: the host's own receiver.
                    unsafe {
                        if let Some(on_error) = receiver.on_error {
                            on_error(receiver, 0, message.as_ptr());
                        }
                    }
                    false
                }
            }
        }
        _ => false,
    }
}

/// Reports one preset; returns whether the host wants more.
///
/// # Safety
///
/// The receiver is the host's.
unsafe fn tell(
    receiver: &clap_preset_discovery_metadata_receiver,
    name: &str,
    keyed: bool,
    flags: u32,
    description: Option<&str>,
) -> bool {
    let (Ok(name), Ok(plugin)) = (CString::new(name), CString::new(Wisp::CLAP_ID)) else {
        return false;
    };
    let key = if keyed { name.as_ptr() } else { ptr::null() };
    let plugin = clap_universal_plugin_id { abi: ABI.as_ptr(), id: plugin.as_ptr() };
    let description = description.and_then(|text| CString::new(text).ok());
    // SAFETY: guaranteed by the caller; the texts outlive the calls.
    unsafe {
        if !receiver.begin_preset.is_some_and(|begin| begin(receiver, name.as_ptr(), key)) {
            return false;
        }
        if let Some(add_plugin_id) = receiver.add_plugin_id {
            add_plugin_id(receiver, &plugin);
        }
        if let Some(set_flags) = receiver.set_flags {
            set_flags(receiver, flags);
        }
        if let (Some(add_creator), true) = (receiver.add_creator, keyed) {
            add_creator(receiver, NAME.as_ptr());
        }
        if let (Some(set_description), Some(text)) = (receiver.set_description, &description) {
            set_description(receiver, text.as_ptr());
        }
    }
    true
}

/// A path given by a host.
///
/// # Safety
///
/// `location` is zero-terminated text, or null.
unsafe fn path(location: *const c_char) -> Option<PathBuf> {
    if location.is_null() {
        return None;
    }
    // SAFETY: guaranteed by the caller.
    let text = unsafe { CStr::from_ptr(location) }.to_str().ok()?;
    Some(Path::new(text).to_owned())
}

/// Sets the parameters to a preset chosen by a host, and notifies it; returns whether there is such a preset.
///
/// # Safety
///
/// The texts are zero-terminated or null, and the host is alive.
pub(super) unsafe fn load(
    params: &WispParams,
    host: *const clap_host,
    kind: clap_preset_discovery_location_kind,
    location: *const c_char,
    key: *const c_char,
) -> bool {
    // SAFETY: guaranteed by the caller.
    let found = unsafe { find(params, kind, location, key) };
    // SAFETY: guaranteed by the caller.
    let told = unsafe { extension::<clap_host_preset_load>(host, CLAP_EXT_PRESET_LOAD) }
        // SAFETY: guaranteed by the caller.
        .or_else(|| unsafe { extension(host, CLAP_EXT_PRESET_LOAD_COMPAT) });
    match found {
        Ok((name, values)) => {
            for &(parameter, value) in &values {
                params.param(parameter).put(value);
            }
            let values = values.iter().map(|&(c, value)| (c.id().to_owned(), value)).collect();
            let mut memory = params.sound_memory(Clone::clone);
            memory.preset = LoadedPreset { name, values };
            params.set_sound_memory(memory);
            // SAFETY: the host's own calls, on its main thread, like this one.
            unsafe {
                let rescan = extension::<clap_host_params>(host, CLAP_EXT_PARAMS);
                if let Some(rescan) = rescan.and_then(|host_params| host_params.rescan) {
                    rescan(host, CLAP_PARAM_RESCAN_VALUES);
                }
                if let Some(loaded) = told.and_then(|told| told.loaded) {
                    loaded(host, kind, location, key);
                }
            }
            true
        }
        Err(message) => {
            let message = CString::new(message).unwrap_or_default();
            // SAFETY: as above.
            unsafe {
                if let Some(on_error) = told.and_then(|told| told.on_error) {
                    on_error(host, kind, location, key, 0, message.as_ptr());
                }
            }
            false
        }
    }
}

/// A preset's name and values.
type Found = (String, Vec<(EngineParameter, f32)>);

/// # Safety
///
/// The texts are zero-terminated or null.
unsafe fn find(
    params: &WispParams,
    kind: clap_preset_discovery_location_kind,
    location: *const c_char,
    key: *const c_char,
) -> Result<Found, String> {
    match kind {
        CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN if !key.is_null() => {
            // SAFETY: guaranteed by the caller.
            let key = unsafe { CStr::from_ptr(key) }.to_string_lossy();
            let preset = FACTORY.iter().find(|preset| preset.name == key);
            let preset = preset.ok_or_else(|| format!("{key}: no such preset"))?;
            Ok((preset.name.to_owned(), preset.values(params)))
        }
        CLAP_PRESET_DISCOVERY_LOCATION_FILE => {
            // SAFETY: guaranteed by the caller.
            let path = unsafe { path(location) }.ok_or("no file named")?;
            let values = presets::read(&path, params).map_err(|error| error.to_string())?;
            Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), values))
        }
        _ => Err("no such place for presets".to_owned()),
    }
}

/// A host's extension, if it has one.
///
/// # Safety
///
/// The host is alive, and the id belongs to a `T`.
pub(super) unsafe fn extension<'a, T>(host: *const clap_host, id: &CStr) -> Option<&'a T> {
    // SAFETY: guaranteed by the caller.
    unsafe { host.as_ref()?.get_extension?(host, id.as_ptr()).cast::<T>().as_ref() }
}
