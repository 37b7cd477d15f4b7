//! Bytes as a saved state of the plugin: loaded or refused, and every parameter stays in its range.
use std::ffi::CStr;

use clack_extensions::params::{ParamInfoBuffer, PluginParams};
use clack_extensions::state::PluginState;
use clack_host::prelude::*;

struct Shared;
impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {}
}

struct Host;
impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = ();
    type AudioProcessor<'a> = ();
}

const ID: &CStr = c"audio.wisp.denoiser";

thread_local! {
    static PLUGIN: std::cell::RefCell<PluginInstance<Host>> = std::cell::RefCell::new(plugin());
}

#[allow(unsafe_code)]
fn plugin() -> PluginInstance<Host> {
    // SAFETY: the entry is this project's own.
    let entry = unsafe { PluginEntry::load_from_raw(&wisp::plugin::clap_entry, c"linked") };
    let host = HostInfo::new("state", "wisp", "", "1").expect("host info");
    let entry = entry.expect("the linked entry");
    PluginInstance::<Host>::new(|_| Shared, |_| (), &entry, ID, &host).expect("an instance")
}

/// Loads the bytes as they are, and as the JSON that a state is, with its length before it.
pub fn run(data: &[u8]) {
    let mut framed = (data.len() as u64).to_le_bytes().to_vec();
    framed.extend(data);
    PLUGIN.with_borrow_mut(|plugin| {
        for bytes in [data, &framed] {
            load(plugin, bytes);
        }
    });
}

/// Whether the plugin took it.
fn load(plugin: &mut PluginInstance<Host>, mut bytes: &[u8]) -> bool {
    let handle = plugin.plugin_handle();
    let state: PluginState = handle.get_extension().expect("state");
    let params: PluginParams = handle.get_extension().expect("params");
    let taken = state.load(&handle, &mut bytes).is_ok();
    for index in 0..params.count(&handle) {
        let mut buffer = ParamInfoBuffer::new();
        let info = params.get_info(&handle, index, &mut buffer).expect("info");
        let value = params.get_value(&handle, info.id).expect("a value");
        assert!(
            (info.min_value..=info.max_value).contains(&value),
            "{}: {value}",
            String::from_utf8_lossy(info.name)
        );
    }
    // What was made of it is a state again, and stays what it is.
    let save = || {
        let mut bytes = Vec::new();
        state.save(&handle, &mut bytes).expect("saving");
        bytes
    };
    let saved = save();
    assert!(state.load(&handle, &mut &saved[..]).is_ok(), "its own state is refused");
    assert_eq!(saved, save());
    taken
}
