//! LV2 1.18: `lv2/core/lv2.h`'s types, and the plugins in them. Hosts read their description from [`crate::turtle`]'s files.
#![allow(unsafe_code)] // a C interface

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use crate::instance::{Instance, activate, cleanup};
use crate::port::Format;

/// The plugins' URIs, indexed by channel count minus one.
pub const URIS: [&CStr; 2] = [c"https://wisp.audio/lv2/mono", c"https://wisp.audio/lv2/stereo"];

/// `LV2_Descriptor`.
#[repr(C)]
pub struct Descriptor {
    /// The plugin's URI.
    pub uri: *const c_char,
    /// Creates an instance, or returns null.
    pub instantiate:
        unsafe extern "C" fn(*const Self, f64, *const c_char, *const *const c_void) -> *mut c_void,
    /// Connects a port to its buffer or value.
    pub connect_port: unsafe extern "C" fn(*mut c_void, u32, *mut c_void),
    /// Called before the first run after a pause.
    pub activate: Option<unsafe extern "C" fn(*mut c_void)>,
    /// Processes a block.
    pub run: unsafe extern "C" fn(*mut c_void, u32),
    deactivate: Option<unsafe extern "C" fn(*mut c_void)>,
    /// Frees the instance.
    pub cleanup: unsafe extern "C" fn(*mut c_void),
    /// Null for every extension.
    pub extension_data: Option<unsafe extern "C" fn(*const c_char) -> *const c_void>,
}

// SAFETY: it never changes.
unsafe impl Sync for Descriptor {}

const fn plugin<const CHANNELS: usize>() -> Descriptor {
    Descriptor {
        uri: URIS[CHANNELS - 1].as_ptr(),
        instantiate: instantiate::<CHANNELS>,
        connect_port,
        activate: Some(activate),
        run,
        deactivate: None,
        cleanup,
        extension_data: Some(extension_data),
    }
}

static PLUGINS: [Descriptor; 2] = [plugin::<1>(), plugin::<2>()];

/// The plugin with this number, or null.
#[unsafe(no_mangle)]
pub extern "C" fn lv2_descriptor(index: u32) -> *const Descriptor {
    PLUGINS.get(index as usize).map_or(ptr::null(), ptr::from_ref)
}

unsafe extern "C" fn instantiate<const CHANNELS: usize>(
    _: *const Descriptor,
    rate: f64,
    _bundle: *const c_char,
    _features: *const *const c_void,
) -> *mut c_void {
    // Out of range, this becomes a rate that the engine rejects.
    Instance::into_handle(Format::Lv2, rate.round() as u32, CHANNELS)
}

unsafe extern "C" fn connect_port(handle: *mut c_void, port: u32, place: *mut c_void) {
    // SAFETY: the host passes a handle from `instantiate`.
    if let Some(instance) = unsafe { Instance::of(handle) } {
        instance.connect(port as usize, place.cast());
    }
}

unsafe extern "C" fn run(handle: *mut c_void, samples: u32) {
    // SAFETY: as above, and it has connected every port.
    unsafe {
        if let Some(instance) = Instance::of(handle) {
            instance.run(samples as usize);
        }
    }
}

unsafe extern "C" fn extension_data(_: *const c_char) -> *const c_void {
    ptr::null()
}
