//! Bytes as a saved state of the plugin: accepted or refused, and every parameter stays in its range.
use std::cell::RefCell;

use clack_host::entry::PluginEntry;
use wisp_testing::clap::{Plugin, state};

thread_local! {
    static PLUGIN: RefCell<Plugin> = RefCell::new(plugin());
}

#[allow(unsafe_code)]
fn plugin() -> Plugin {
    // SAFETY: the entry is Wisp's own.
    let entry = unsafe { PluginEntry::load_from_raw(&wisp::plugin::clap_entry, c"linked") };
    Plugin::new(&entry.expect("the linked entry"))
}

/// Loads the bytes as they are, and with their length in front, as the framework stores its JSON.
pub fn run(data: &[u8]) {
    PLUGIN.with_borrow_mut(|plugin| {
        for bytes in [data, &state(data)] {
            load(plugin, bytes);
        }
    });
}

fn load(plugin: &mut Plugin, bytes: &[u8]) {
    plugin.load(bytes);
    for parameter in plugin.parameters() {
        let (value, (least, greatest)) = (plugin.value_of(parameter.id), parameter.range);
        assert!((least..=greatest).contains(&value), "{}: {value}", parameter.name);
    }
    // What it saves now is a state too, and loading that changes nothing.
    let saved = plugin.save();
    assert!(plugin.load(&saved), "its own state is refused");
    assert_eq!(saved, plugin.save());
}
