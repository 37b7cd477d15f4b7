//! The object that CLAP hosts see: the framework's, with some of its calls answered here (`docs/upstream/`).
//!
//! The tail is known whenever a host may ask, silence is flagged and lets the host put the plugin to sleep, lists are flagged as
//! such, text is read in any case, and hosts see the presets.
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::{Arc, OnceLock};

use clap_sys::entry::clap_plugin_entry;
use clap_sys::ext::latency::{CLAP_EXT_LATENCY, clap_plugin_latency};
use clap_sys::ext::params::{
    CLAP_EXT_PARAMS, CLAP_PARAM_IS_ENUM, clap_param_info, clap_plugin_params,
};
use clap_sys::ext::preset_load::{
    CLAP_EXT_PRESET_LOAD, CLAP_EXT_PRESET_LOAD_COMPAT, clap_plugin_preset_load,
};
use clap_sys::ext::tail::{CLAP_EXT_TAIL, clap_plugin_tail};
use clap_sys::factory::plugin_factory::{CLAP_PLUGIN_FACTORY_ID, clap_plugin_factory};
use clap_sys::factory::preset_discovery::{
    CLAP_PRESET_DISCOVERY_FACTORY_ID, CLAP_PRESET_DISCOVERY_FACTORY_ID_COMPAT,
    clap_preset_discovery_location_kind,
};
use clap_sys::host::clap_host;
use clap_sys::id::clap_id;
use clap_sys::plugin::{clap_plugin, clap_plugin_descriptor};
use clap_sys::process::{
    CLAP_PROCESS_ERROR, CLAP_PROCESS_SLEEP, clap_process, clap_process_status,
};
use clap_sys::version::CLAP_VERSION;
use nice_plug::wrapper::clap::{PluginDescriptor, Wrapper};

use super::instance::{Shared, made};
use super::params::{Control, Handle};
use super::{Wisp, discovery};

/// An instance: the framework's calls, but for those that are replaced.
#[repr(C)]
struct Instance {
    /// First, so that a pointer to it is one to the whole. Its data are the framework's, which go by it.
    plugin: clap_plugin,
    inner: *const clap_plugin,
    /// The framework's calls about parameters.
    params: *const clap_plugin_params,
    host: *const clap_host,
    shared: Shared,
}

/// An instance by the host's pointer to it.
///
/// # Safety
///
/// `plugin` comes from [`create`] and is not destroyed.
unsafe fn instance<'a>(plugin: *const clap_plugin) -> Option<&'a Instance> {
    // SAFETY: as promised, or null.
    unsafe { plugin.cast::<Instance>().as_ref() }
}

unsafe extern "C" fn create(
    _: *const clap_plugin_factory,
    host: *const clap_host,
    id: *const c_char,
) -> *const clap_plugin {
    // SAFETY: text with its zero, or null.
    if host.is_null() || id.is_null() || unsafe { CStr::from_ptr(id) } != descriptor().clap_id() {
        return ptr::null();
    }
    // SAFETY: the host is alive for as long as the plugin.
    let (wrapper, shared) = made(|| unsafe { Wrapper::<Wisp>::new(host) });
    // The framework frees it in `destroy`.
    let inner: *const clap_plugin = wrapper.clap_plugin.as_ptr();
    let _ = Arc::into_raw(wrapper);
    // SAFETY: filled, and in its place until it is destroyed.
    let mut plugin = unsafe { *inner };
    plugin.destroy = Some(destroy);
    plugin.process = Some(process);
    plugin.get_extension = Some(get_extension);
    // SAFETY: the framework's own calls with its own object.
    let params = unsafe { extension_of(inner, CLAP_EXT_PARAMS) }.cast();
    &Box::leak(Box::new(Instance { plugin, inner, params, host, shared })).plugin
}

/// # Safety
///
/// `inner` is an object of the framework's.
unsafe fn extension_of(inner: *const clap_plugin, id: &CStr) -> *const c_void {
    // SAFETY: as promised.
    unsafe { (*inner).get_extension.map_or(ptr::null(), |get| get(inner, id.as_ptr())) }
}

unsafe extern "C" fn destroy(plugin: *const clap_plugin) {
    if plugin.is_null() {
        return;
    }
    // SAFETY: the host's last call of what `create` leaked.
    let instance = unsafe { Box::from_raw(plugin.cast_mut().cast::<Instance>()) };
    // SAFETY: the framework's own object, for the last time.
    unsafe {
        if let Some(destroy) = (*instance.inner).destroy {
            destroy(instance.inner);
        }
    }
}

unsafe extern "C" fn process(
    plugin: *const clap_plugin,
    block: *const clap_process,
) -> clap_process_status {
    // SAFETY: as the host has promised.
    let (instance, block) = unsafe { (instance(plugin), block.as_ref()) };
    let (Some(instance), Some(block)) = (instance, block) else { return CLAP_PROCESS_ERROR };
    // SAFETY: the framework's own call with its own object.
    let status = unsafe {
        match (*instance.inner).process {
            Some(process) => process(instance.inner, block),
            None => CLAP_PROCESS_ERROR,
        }
    };
    if status == CLAP_PROCESS_ERROR {
        return status;
    }
    // SAFETY: the framework has just filled these buffers.
    let silent = unsafe { flag_silence(block) };
    if silent && instance.shared.status.is_quiet() { CLAP_PROCESS_SLEEP } else { status }
}

/// Tells the host which channels are silent; whether all are.
///
/// # Safety
///
/// The block's buffers are as long as it says.
unsafe fn flag_silence(block: &clap_process) -> bool {
    let samples = block.frames_count as usize;
    if block.audio_outputs_count == 0 || block.audio_outputs.is_null() || samples == 0 {
        return false;
    }
    // SAFETY: there is a port, with so many channels of so many samples.
    unsafe {
        let port = &mut *block.audio_outputs;
        let channels = port.channel_count.min(64);
        if port.data32.is_null() || channels == 0 {
            return false;
        }
        let silent = |channel: &u32| super::is_silent(*port.data32.add(*channel as usize), samples);
        let silent = (0..channels).filter(silent).fold(0u64, |mask, channel| mask | 1 << channel);
        port.constant_mask = silent;
        silent.count_ones() == channels
    }
}

unsafe extern "C" fn get_extension(plugin: *const clap_plugin, id: *const c_char) -> *const c_void {
    // SAFETY: as the host has promised.
    let Some(instance) = (unsafe { instance(plugin) }) else { return ptr::null() };
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: text with its zero.
    let id = unsafe { CStr::from_ptr(id) };
    if id == CLAP_EXT_TAIL {
        (&raw const TAIL).cast()
    } else if id == CLAP_EXT_LATENCY {
        (&raw const LATENCY).cast()
    } else if id == CLAP_EXT_PARAMS {
        (&raw const PARAMS).cast()
    } else if id == CLAP_EXT_PRESET_LOAD || id == CLAP_EXT_PRESET_LOAD_COMPAT {
        (&raw const PRESET_LOAD).cast()
    } else {
        // SAFETY: the framework's own object.
        unsafe { extension_of(instance.inner, id) }
    }
}

static TAIL: clap_plugin_tail = {
    unsafe extern "C" fn get(plugin: *const clap_plugin) -> u32 {
        // SAFETY: as the host has promised.
        unsafe { instance(plugin) }.map_or(0, |instance| instance.shared.status.tail())
    }
    clap_plugin_tail { get: Some(get) }
};

static LATENCY: clap_plugin_latency = {
    unsafe extern "C" fn get(plugin: *const clap_plugin) -> u32 {
        // SAFETY: as the host has promised.
        unsafe { instance(plugin) }.map_or(0, |instance| instance.shared.status.latency())
    }
    clap_plugin_latency { get: Some(get) }
};

static PRESET_LOAD: clap_plugin_preset_load = {
    unsafe extern "C" fn load(
        plugin: *const clap_plugin,
        kind: clap_preset_discovery_location_kind,
        location: *const c_char,
        key: *const c_char,
    ) -> bool {
        // SAFETY: as the host has promised.
        unsafe {
            instance(plugin).is_some_and(|instance| {
                let (params, host) = (&instance.shared.params, instance.host);
                discovery::load(params, host, kind, location, key)
            })
        }
    }
    clap_plugin_preset_load { from_location: Some(load) }
};

/// The framework's calls about parameters, but for two.
static PARAMS: clap_plugin_params = clap_plugin_params {
    count: Some(count),
    get_info: Some(get_info),
    get_value: Some(get_value),
    value_to_text: Some(value_to_text),
    text_to_value: Some(text_to_value),
    flush: Some(flush),
};

unsafe extern "C" fn count(_: *const clap_plugin) -> u32 {
    Control::ALL.len() as u32
}

/// Calls that the framework's object answers.
macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty, or $otherwise:expr;)*) => {
        $(unsafe extern "C" fn $name(plugin: *const clap_plugin, $($argument: $type),*) -> $output {
            // SAFETY: as the host has promised; the framework's own call with its own object.
            unsafe {
                match instance(plugin).and_then(|i| Some((i.inner, i.params.as_ref()?.$name?))) {
                    Some((inner, call)) => call(inner, $($argument),*),
                    None => $otherwise,
                }
            }
        })*
    };
}

pass_on! {
    fn get_value(id: clap_id, value: *mut f64) -> bool, or false;
    fn value_to_text(id: clap_id, value: f64, text: *mut c_char, length: u32) -> bool, or false;
    fn flush(input: *const clap_sys::events::clap_input_events, output: *const clap_sys::events::clap_output_events) -> (), or ();
}

unsafe extern "C" fn get_info(
    plugin: *const clap_plugin,
    index: u32,
    info: *mut clap_param_info,
) -> bool {
    // SAFETY: as the host has promised.
    let Some(instance) = (unsafe { instance(plugin) }) else { return false };
    let Some(control) = Control::ALL.get(index as usize) else { return false };
    // SAFETY: the framework's own call with its own object.
    let filled = unsafe {
        let call = instance.params.as_ref().and_then(|params| params.get_info);
        call.is_some_and(|get_info| get_info(instance.inner, index, info))
    };
    if filled && instance.shared.params.handle(*control).is_list() {
        // SAFETY: the framework has filled it.
        unsafe { (*info).flags |= CLAP_PARAM_IS_ENUM };
    }
    filled
}

unsafe extern "C" fn text_to_value(
    plugin: *const clap_plugin,
    id: clap_id,
    text: *const c_char,
    value: *mut f64,
) -> bool {
    // SAFETY: as the host has promised.
    let Some(instance) = (unsafe { instance(plugin) }) else { return false };
    let index = (0..Control::ALL.len() as u32).find(|&index| {
        // SAFETY: plain numbers and characters, all of which may be zero, and then filled.
        unsafe {
            let mut info: clap_param_info = std::mem::zeroed();
            get_info(plugin, index, &mut info) && info.id == id
        }
    });
    let Some(index) = index else { return false };
    if text.is_null() || value.is_null() {
        return false;
    }
    // SAFETY: text with its zero.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let handle: &dyn Handle = instance.shared.params.handle(Control::ALL[index as usize]);
    match handle.parse(&text) {
        Some(parsed) => {
            // SAFETY: a place for the value. Lists and switches have two positions, so that the host's value is the normalized one.
            unsafe { *value = parsed.into() };
            true
        }
        None => false,
    }
}

fn descriptor() -> &'static PluginDescriptor {
    static DESCRIPTOR: OnceLock<PluginDescriptor> = OnceLock::new();
    DESCRIPTOR.get_or_init(PluginDescriptor::for_plugin::<Wisp>)
}

static FACTORY: clap_plugin_factory = {
    unsafe extern "C" fn count(_: *const clap_plugin_factory) -> u32 {
        1
    }
    unsafe extern "C" fn describe(
        _: *const clap_plugin_factory,
        index: u32,
    ) -> *const clap_plugin_descriptor {
        if index == 0 { descriptor().clap_plugin_descriptor() } else { ptr::null() }
    }
    clap_plugin_factory {
        get_plugin_count: Some(count),
        get_plugin_descriptor: Some(describe),
        create_plugin: Some(create),
    }
};

unsafe extern "C" fn init(_: *const c_char) -> bool {
    nice_plug::wrapper::setup_logger::<Wisp>();
    true
}

unsafe extern "C" fn deinit() {}

unsafe extern "C" fn get_factory(id: *const c_char) -> *const c_void {
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: text with its zero.
    let id = unsafe { CStr::from_ptr(id) };
    if id == CLAP_PLUGIN_FACTORY_ID {
        (&raw const FACTORY).cast()
    } else if id == CLAP_PRESET_DISCOVERY_FACTORY_ID
        || id == CLAP_PRESET_DISCOVERY_FACTORY_ID_COMPAT
    {
        (&raw const discovery::PRESETS).cast()
    } else {
        ptr::null()
    }
}

/// The library's entry point.
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
#[used]
pub static clap_entry: clap_plugin_entry = clap_plugin_entry {
    clap_version: CLAP_VERSION,
    init: Some(init),
    deinit: Some(deinit),
    get_factory: Some(get_factory),
};
