//! The object that CLAP hosts see: the framework's, with some of its calls replaced (`docs/upstream/`).
//!
//! Hosts can query delay and tail at any time and are notified of changes; a change of quality requests a restart. Silence is
//! flagged and lets the host put the plugin to sleep, lists are flagged as lists, text is parsed in any case, and hosts see
//! the presets.
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use clap_sys::entry::clap_plugin_entry;
use clap_sys::events::{clap_input_events, clap_output_events};
use clap_sys::ext::latency::{CLAP_EXT_LATENCY, clap_host_latency, clap_plugin_latency};
use clap_sys::ext::params::{
    CLAP_EXT_PARAMS, CLAP_PARAM_IS_ENUM, clap_param_info, clap_plugin_params,
};
use clap_sys::ext::preset_load::{
    CLAP_EXT_PRESET_LOAD, CLAP_EXT_PRESET_LOAD_COMPAT, clap_plugin_preset_load,
};
use clap_sys::ext::state::{CLAP_EXT_STATE, clap_plugin_state};
use clap_sys::ext::tail::{CLAP_EXT_TAIL, clap_host_tail, clap_plugin_tail};
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
use clap_sys::stream::{clap_istream, clap_ostream};
use clap_sys::version::CLAP_VERSION;
use nice_plug::wrapper::clap::{PluginDescriptor, Wrapper};

use super::discovery::extension;
use super::instance::{Shared, made};
use super::params::{AnyParam, Parameter};
use super::{Wisp, discovery};

/// An instance: the framework's calls, except those that are replaced.
#[repr(C)]
struct Instance {
    /// First, so that a pointer to it is a pointer to the whole. Its data is the framework's, which finds itself through it.
    plugin: clap_plugin,
    inner: *const clap_plugin,
    /// The framework's calls about parameters.
    params: *const clap_plugin_params,
    /// The framework's calls about the state.
    state: *const clap_plugin_state,
    host: *const clap_host,
    /// What the host offers; null before `init`.
    host_tail: AtomicPtr<clap_host_tail>,
    shared: Shared,
    /// The delay and the tail last reported to the host.
    latency: AtomicU32,
    tail: AtomicU32,
    /// A restart has been requested from the host and is pending.
    asked: AtomicBool,
}

/// Nothing reported yet.
const UNREAD: u32 = u32::MAX;

impl Instance {
    /// Requests a restart from the host if the quality set differs from the active one. Any thread.
    fn attend(&self) {
        if !self.shared.is_outdated() {
            self.asked.store(false, Ordering::Relaxed);
        } else if !self.asked.swap(true, Ordering::Relaxed) {
            // SAFETY: the host outlives the plugin and accepts this call from any thread.
            unsafe {
                if let Some(request_restart) = (*self.host).request_restart {
                    request_restart(self.host);
                }
            }
        }
    }

    /// During activation: notifies the host if the delay has changed.
    fn tell_latency(&self) {
        let latency = self.shared.timing().latency as u32;
        let known = self.latency.swap(latency, Ordering::Relaxed);
        if known == UNREAD || known == latency {
            return;
        }
        // SAFETY: the host's own call, on its main thread, within `activate`.
        unsafe {
            let host = extension::<clap_host_latency>(self.host, CLAP_EXT_LATENCY);
            if let Some(changed) = host.and_then(|host| host.changed) {
                changed(self.host);
            }
        }
    }

    /// Audio thread: notifies the host if the tail has changed.
    fn tell_tail(&self) {
        let tail = self.shared.timing().tail as u32;
        let known = self.tail.swap(tail, Ordering::Relaxed);
        if known == UNREAD || known == tail {
            return;
        }
        // SAFETY: the host's own call, on its audio thread.
        unsafe {
            let host = self.host_tail.load(Ordering::Relaxed).as_ref();
            if let Some(changed) = host.and_then(|host| host.changed) {
                changed(self.host);
            }
        }
    }
}

/// The instance behind the host's pointer.
///
/// # Safety
///
/// `plugin` comes from [`create`] and is not destroyed.
unsafe fn instance<'a>(plugin: *const clap_plugin) -> Option<&'a Instance> {
    // SAFETY: guaranteed by the caller, or null.
    unsafe { plugin.cast::<Instance>().as_ref() }
}

unsafe extern "C" fn create(
    _: *const clap_plugin_factory,
    host: *const clap_host,
    id: *const c_char,
) -> *const clap_plugin {
    // SAFETY: zero-terminated text, or null.
    if host.is_null() || id.is_null() || unsafe { CStr::from_ptr(id) } != descriptor().clap_id() {
        return ptr::null();
    }
    // SAFETY: the host outlives the plugin.
    let (wrapper, shared) = made(|| unsafe { Wrapper::<Wisp>::new(host) });
    // The framework frees it in `destroy`.
    let inner: *const clap_plugin = wrapper.clap_plugin.as_ptr();
    let _ = Arc::into_raw(wrapper);
    // SAFETY: initialised, and not moved until it is destroyed.
    let mut plugin = unsafe { *inner };
    plugin.init = Some(init_instance);
    plugin.destroy = Some(destroy);
    plugin.activate = Some(activate);
    plugin.process = Some(process);
    plugin.get_extension = Some(get_extension);
    // SAFETY: the framework's own calls on its own object.
    let params = unsafe { extension_of(inner, CLAP_EXT_PARAMS) }.cast();
    // SAFETY: as above.
    let state = unsafe { extension_of(inner, CLAP_EXT_STATE) }.cast();
    let instance = Instance {
        plugin,
        inner,
        params,
        state,
        host,
        host_tail: AtomicPtr::default(),
        shared,
        latency: AtomicU32::new(UNREAD),
        tail: AtomicU32::new(UNREAD),
        asked: AtomicBool::new(false),
    };
    &Box::leak(Box::new(instance)).plugin
}

unsafe extern "C" fn init_instance(plugin: *const clap_plugin) -> bool {
    // SAFETY: guaranteed by the host.
    let Some(instance) = (unsafe { instance(plugin) }) else { return false };
    // SAFETY: a host call that is allowed from here on; the framework's own call on its own object.
    unsafe {
        let tail = extension::<clap_host_tail>(instance.host, CLAP_EXT_TAIL);
        let tail = tail.map_or(ptr::null_mut(), |tail| ptr::from_ref(tail).cast_mut());
        instance.host_tail.store(tail, Ordering::Relaxed);
        (*instance.inner).init.is_some_and(|init| init(instance.inner))
    }
}

unsafe extern "C" fn activate(
    plugin: *const clap_plugin,
    sample_rate: f64,
    least: u32,
    most: u32,
) -> bool {
    // SAFETY: guaranteed by the host.
    let Some(instance) = (unsafe { instance(plugin) }) else { return false };
    // SAFETY: the framework's own call on its own object.
    let active = unsafe {
        let call = (*instance.inner).activate;
        call.is_some_and(|activate| activate(instance.inner, sample_rate, least, most))
    };
    instance.asked.store(false, Ordering::Relaxed);
    if active {
        instance.tell_latency();
    }
    active
}

/// # Safety
///
/// `inner` is one of the framework's objects.
unsafe fn extension_of(inner: *const clap_plugin, id: &CStr) -> *const c_void {
    // SAFETY: guaranteed by the caller.
    unsafe { (*inner).get_extension.map_or(ptr::null(), |get| get(inner, id.as_ptr())) }
}

unsafe extern "C" fn destroy(plugin: *const clap_plugin) {
    if plugin.is_null() {
        return;
    }
    // SAFETY: the host's last call on the object that `create` leaked.
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
    // SAFETY: guaranteed by the host.
    let (instance, block) = unsafe { (instance(plugin), block.as_ref()) };
    let (Some(instance), Some(block)) = (instance, block) else { return CLAP_PROCESS_ERROR };
    // SAFETY: the framework's own call on its own object.
    let status = unsafe {
        match (*instance.inner).process {
            Some(process) => process(instance.inner, block),
            None => CLAP_PROCESS_ERROR,
        }
    };
    instance.attend();
    if status == CLAP_PROCESS_ERROR {
        return status;
    }
    instance.tell_tail();
    // SAFETY: the framework has just filled these buffers.
    let silent = unsafe { flag_silence(block) };
    if silent && instance.shared.status.is_quiet() { CLAP_PROCESS_SLEEP } else { status }
}

/// Flags silent channels for the host; returns whether all are silent.
///
/// # Safety
///
/// The block's buffers have the length that it states.
unsafe fn flag_silence(block: &clap_process) -> bool {
    let samples = block.frames_count as usize;
    if block.audio_outputs_count == 0 || block.audio_outputs.is_null() || samples == 0 {
        return false;
    }
    // SAFETY: there is a port with `channels` channels of `samples` samples.
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
    // SAFETY: guaranteed by the host.
    let Some(instance) = (unsafe { instance(plugin) }) else { return ptr::null() };
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: zero-terminated text.
    let id = unsafe { CStr::from_ptr(id) };
    if id == CLAP_EXT_TAIL {
        (&raw const TAIL).cast()
    } else if id == CLAP_EXT_LATENCY {
        (&raw const LATENCY).cast()
    } else if id == CLAP_EXT_PARAMS {
        (&raw const PARAMS).cast()
    } else if id == CLAP_EXT_STATE {
        (&raw const STATE).cast()
    } else if id == CLAP_EXT_PRESET_LOAD || id == CLAP_EXT_PRESET_LOAD_COMPAT {
        (&raw const PRESET_LOAD).cast()
    } else {
        // SAFETY: the framework's own object.
        unsafe { extension_of(instance.inner, id) }
    }
}

static TAIL: clap_plugin_tail = {
    unsafe extern "C" fn get(plugin: *const clap_plugin) -> u32 {
        // SAFETY: guaranteed by the host.
        unsafe { instance(plugin) }.map_or(0, |instance| {
            let tail = instance.shared.timing().tail as u32;
            instance.tail.store(tail, Ordering::Relaxed);
            tail
        })
    }
    clap_plugin_tail { get: Some(get) }
};

static LATENCY: clap_plugin_latency = {
    unsafe extern "C" fn get(plugin: *const clap_plugin) -> u32 {
        // SAFETY: guaranteed by the host.
        unsafe { instance(plugin) }.map_or(0, |instance| {
            let latency = instance.shared.timing().latency as u32;
            instance.latency.store(latency, Ordering::Relaxed);
            latency
        })
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
        // SAFETY: guaranteed by the host.
        unsafe {
            instance(plugin).is_some_and(|instance| {
                let (params, host) = (&instance.shared.params, instance.host);
                discovery::load(params, host, kind, location, key)
            })
        }
    }
    clap_plugin_preset_load { from_location: Some(load) }
};

/// The framework's calls about the state; a loaded state may set another quality.
static STATE: clap_plugin_state = {
    unsafe extern "C" fn save(plugin: *const clap_plugin, stream: *const clap_ostream) -> bool {
        // SAFETY: guaranteed by the host; the framework's own call on its own object.
        unsafe {
            instance(plugin).is_some_and(|instance| {
                let call = instance.state.as_ref().and_then(|state| state.save);
                call.is_some_and(|save| save(instance.inner, stream))
            })
        }
    }
    unsafe extern "C" fn load(plugin: *const clap_plugin, stream: *const clap_istream) -> bool {
        // SAFETY: as above.
        unsafe {
            instance(plugin).is_some_and(|instance| {
                let call = instance.state.as_ref().and_then(|state| state.load);
                let loaded = call.is_some_and(|load| load(instance.inner, stream));
                instance.attend();
                loaded
            })
        }
    }
    clap_plugin_state { save: Some(save), load: Some(load) }
};

/// The framework's calls about parameters, except some.
static PARAMS: clap_plugin_params = clap_plugin_params {
    count: Some(count),
    get_info: Some(get_info),
    get_value: Some(get_value),
    value_to_text: Some(value_to_text),
    text_to_value: Some(text_to_value),
    flush: Some(flush),
};

unsafe extern "C" fn count(_: *const clap_plugin) -> u32 {
    Parameter::ALL.len() as u32
}

/// Calls that the framework's object answers.
macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty, or $otherwise:expr;)*) => {
        $(unsafe extern "C" fn $name(plugin: *const clap_plugin, $($argument: $type),*) -> $output {
            // SAFETY: guaranteed by the host; the framework's own call on its own object.
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
}

unsafe extern "C" fn flush(
    plugin: *const clap_plugin,
    input: *const clap_input_events,
    output: *const clap_output_events,
) {
    // SAFETY: guaranteed by the host.
    let Some(instance) = (unsafe { instance(plugin) }) else { return };
    // SAFETY: the framework's own call on its own object.
    unsafe {
        if let Some(flush) = instance.params.as_ref().and_then(|params| params.flush) {
            flush(instance.inner, input, output);
        }
    }
    instance.attend();
}

unsafe extern "C" fn get_info(
    plugin: *const clap_plugin,
    index: u32,
    info: *mut clap_param_info,
) -> bool {
    // SAFETY: guaranteed by the host.
    let Some(instance) = (unsafe { instance(plugin) }) else { return false };
    let Some(parameter) = Parameter::ALL.get(index as usize) else { return false };
    // SAFETY: the framework's own call on its own object.
    let filled = unsafe {
        let call = instance.params.as_ref().and_then(|params| params.get_info);
        call.is_some_and(|get_info| get_info(instance.inner, index, info))
    };
    if filled && instance.shared.params.param(*parameter).is_list() {
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
    // SAFETY: guaranteed by the host.
    let Some(instance) = (unsafe { instance(plugin) }) else { return false };
    let index = (0..Parameter::ALL.len() as u32).find(|&index| {
        // SAFETY: plain numbers and characters, for which zero is valid, and then filled in.
        unsafe {
            let mut info: clap_param_info = std::mem::zeroed();
            get_info(plugin, index, &mut info) && info.id == id
        }
    });
    let Some(index) = index else { return false };
    if text.is_null() || value.is_null() {
        return false;
    }
    // SAFETY: zero-terminated text.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let param: &dyn AnyParam = instance.shared.params.param(Parameter::ALL[index as usize]);
    match param.parse(&text) {
        Some(parsed) => {
            // SAFETY: a valid pointer for the value. Lists and switches have two positions, so the host's value is the normalized
            // one.
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
    // SAFETY: zero-terminated text.
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

// The entry point of the Audio Unit, which goes through the one above.
#[cfg(all(feature = "au", target_os = "macos"))]
clap_wrapper::export_auv2!();
