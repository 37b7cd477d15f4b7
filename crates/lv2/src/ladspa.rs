//! LADSPA 1.1: `ladspa.h`'s types, and the plugins in them.
#![allow(unsafe_code)] // a C interface

use std::ffi::{CString, c_char, c_int, c_ulong, c_void};
use std::panic::catch_unwind;
use std::ptr;
use std::sync::OnceLock;

use wisp::parameter::{EngineParameter, Values};

use crate::instance::{Instance, activate, cleanup};
use crate::port::{Format, Port, ports};

/// `LADSPA_PROPERTY_HARD_RT_CAPABLE`.
const HARD_RT_CAPABLE: c_int = 4;
const PORT_INPUT: c_int = 1;
const PORT_OUTPUT: c_int = 2;
const PORT_CONTROL: c_int = 4;
const PORT_AUDIO: c_int = 8;
const HINT_BOUNDED_BELOW: c_int = 1;
const HINT_BOUNDED_ABOVE: c_int = 2;
const HINT_TOGGLED: c_int = 4;
const HINT_INTEGER: c_int = 0x20;
/// A quarter of the way from the lower to the upper bound.
const HINT_DEFAULT_LOW: c_int = 0x80;
const HINT_DEFAULT_0: c_int = 0x200;

/// LADSPA only supports defaults at a quarter, a half and three quarters of the range: with this bound, a quarter is Wisp's
/// default. From 60.5 on, reduction is full.
const REDUCTION_BOUND: f32 = 4.0 * wisp::DEFAULT_REDUCTION_DB;
/// Id of the mono plugin; the stereo plugin's is the next number.
const UNIQUE_ID: c_ulong = 5_722_960;

/// `LADSPA_PortRangeHint`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PortRangeHint {
    hints: c_int,
    low: f32,
    high: f32,
}

/// `LADSPA_Descriptor`.
#[repr(C)]
pub struct Descriptor {
    /// This plugin's id.
    pub unique_id: c_ulong,
    /// Name for programs.
    pub label: *const c_char,
    properties: c_int,
    /// Name for people.
    pub name: *const c_char,
    maker: *const c_char,
    copyright: *const c_char,
    /// Number of ports.
    pub port_count: c_ulong,
    port_descriptors: *const c_int,
    port_names: *const *const c_char,
    port_range_hints: *const PortRangeHint,
    implementation_data: *mut c_void,
    /// Creates an instance, or returns null.
    pub instantiate: unsafe extern "C" fn(*const Descriptor, c_ulong) -> *mut c_void,
    /// Connects a port to its buffer or value.
    pub connect_port: unsafe extern "C" fn(*mut c_void, c_ulong, *mut f32),
    /// Called before the first run after a pause.
    pub activate: Option<unsafe extern "C" fn(*mut c_void)>,
    /// Processes a block.
    pub run: unsafe extern "C" fn(*mut c_void, c_ulong),
    run_adding: Option<unsafe extern "C" fn(*mut c_void, c_ulong)>,
    set_run_adding_gain: Option<unsafe extern "C" fn(*mut c_void, f32)>,
    deactivate: Option<unsafe extern "C" fn(*mut c_void)>,
    /// Frees the instance.
    pub cleanup: unsafe extern "C" fn(*mut c_void),
}

/// A descriptor and the data it points to.
struct Plugin {
    descriptor: Descriptor,
    _names: Vec<CString>,
    _pointers: Vec<*const c_char>,
    _descriptors: Vec<c_int>,
    _hints: Vec<PortRangeHint>,
}

// SAFETY: it never changes once it is created.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl Plugin {
    fn new<const CHANNELS: usize>() -> Self {
        let ports = ports(CHANNELS);
        let names: Vec<CString> =
            ports.iter().map(|&p| CString::new(name(p, CHANNELS)).unwrap_or_default()).collect();
        let pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let descriptors: Vec<c_int> = ports.iter().map(|&port| descriptor(port)).collect();
        let hints: Vec<PortRangeHint> = ports.iter().map(|&port| hints(port)).collect();
        let (label, title) = match CHANNELS {
            1 => (c"wisp_mono", c"Wisp voice denoiser (mono)"),
            _ => (c"wisp_stereo", c"Wisp voice denoiser (stereo)"),
        };
        let descriptor = Descriptor {
            unique_id: UNIQUE_ID + CHANNELS as c_ulong - 1,
            label: label.as_ptr(),
            properties: HARD_RT_CAPABLE,
            name: title.as_ptr(),
            maker: c"Wisp".as_ptr(),
            copyright: c"MIT OR Apache-2.0".as_ptr(),
            port_count: ports.len() as c_ulong,
            port_descriptors: descriptors.as_ptr(),
            port_names: pointers.as_ptr(),
            port_range_hints: hints.as_ptr(),
            implementation_data: ptr::null_mut(),
            instantiate: instantiate::<CHANNELS>,
            connect_port,
            activate: Some(activate),
            run,
            run_adding: None,
            set_run_adding_gain: None,
            deactivate: None,
            cleanup,
        };
        Self {
            descriptor,
            _names: names,
            _pointers: pointers,
            _descriptors: descriptors,
            _hints: hints,
        }
    }
}

/// The name with its unit, and for choices with the numbers, because hosts show nothing else.
fn name(port: Port, channels: usize) -> String {
    match port {
        Port::Control(parameter) => match parameter.values() {
            Values::Decibels(..) => format!("{} (dB)", parameter.name()),
            Values::Percent => format!("{} (%)", parameter.name()),
            Values::Choice([first, second]) => {
                format!("{} (0: {first}, 1: {second})", parameter.name())
            }
            Values::Switch => parameter.name().to_owned(),
        },
        // Hosts look up this name.
        Port::Latency => "latency".to_owned(),
        Port::Input(_) | Port::Output(_) => port.name(channels).to_owned(),
    }
}

fn descriptor(port: Port) -> c_int {
    match port {
        Port::Input(_) => PORT_INPUT | PORT_AUDIO,
        Port::Output(_) => PORT_OUTPUT | PORT_AUDIO,
        Port::Control(_) => PORT_INPUT | PORT_CONTROL,
        Port::Latency => PORT_OUTPUT | PORT_CONTROL,
    }
}

fn hints(port: Port) -> PortRangeHint {
    const BOUNDED: c_int = HINT_BOUNDED_BELOW | HINT_BOUNDED_ABOVE;
    let Port::Control(parameter) = port else {
        return PortRangeHint { hints: 0, low: 0.0, high: 0.0 };
    };
    let (low, high) = parameter.range();
    match parameter.values() {
        Values::Decibels(..) if parameter == EngineParameter::Reduction => {
            PortRangeHint { hints: BOUNDED | HINT_DEFAULT_LOW, low, high: REDUCTION_BOUND }
        }
        Values::Decibels(..) | Values::Percent => {
            PortRangeHint { hints: BOUNDED | HINT_DEFAULT_0, low, high }
        }
        Values::Choice(_) => {
            PortRangeHint { hints: BOUNDED | HINT_INTEGER | HINT_DEFAULT_0, low, high }
        }
        Values::Switch => PortRangeHint { hints: HINT_TOGGLED | HINT_DEFAULT_0, low, high },
    }
}

/// The plugin with this number, or null.
#[unsafe(no_mangle)]
pub extern "C" fn ladspa_descriptor(index: c_ulong) -> *const Descriptor {
    static PLUGINS: OnceLock<[Plugin; 2]> = OnceLock::new();
    let plugins = catch_unwind(|| PLUGINS.get_or_init(|| [Plugin::new::<1>(), Plugin::new::<2>()]));
    let plugin = plugins.ok().and_then(|plugins| plugins.get(index as usize));
    plugin.map_or(ptr::null(), |plugin| &raw const plugin.descriptor)
}

unsafe extern "C" fn instantiate<const CHANNELS: usize>(
    _: *const Descriptor,
    rate: c_ulong,
) -> *mut c_void {
    let rate = u32::try_from(rate).unwrap_or(u32::MAX);
    Instance::into_handle(Format::Ladspa, rate, CHANNELS)
}

unsafe extern "C" fn connect_port(handle: *mut c_void, port: c_ulong, place: *mut f32) {
    // SAFETY: the host passes a handle from `instantiate`.
    if let Some(instance) = unsafe { Instance::of(handle) } {
        instance.connect(port as usize, place);
    }
}

unsafe extern "C" fn run(handle: *mut c_void, samples: c_ulong) {
    // SAFETY: as above, and it has connected every port.
    unsafe {
        if let Some(instance) = Instance::of(handle) {
            instance.run(samples as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hinted_defaults_are_the_parameters() {
        for parameter in EngineParameter::ALL {
            let PortRangeHint { hints, low, high } = hints(Port::Control(parameter));
            let hinted = match hints & 0x3c0 {
                HINT_DEFAULT_0 => 0.0,
                HINT_DEFAULT_LOW => 0.75 * low + 0.25 * high,
                other => panic!("{parameter:?}: {other:#x}"),
            };
            assert_eq!(hinted, parameter.default(), "{parameter:?}");
        }
    }
}
