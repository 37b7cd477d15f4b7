//! The plugin in a CLAP host: linked into this test, and as a bundle if `WISP_CLAP` names one.
mod automation;
mod discovery;
mod lifecycle;
mod parameters;
mod quality;
mod sound;
mod state;
mod timing;

use clack_host::entry::PluginEntry;
use wisp_testing::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The plugin linked into this test, and the bundle that the environment names.
#[allow(unsafe_code)]
fn entries() -> Vec<PluginEntry> {
    // SAFETY: the entry is Wisp's own.
    let linked = unsafe { PluginEntry::load_from_raw(&wisp::plugin::clap_entry, c"linked") };
    let mut entries = vec![linked.expect("the linked entry")];
    if let Some(path) = std::env::var_os("WISP_CLAP") {
        // SAFETY: the file is Wisp's own, built by `cargo xtask bundle`.
        let bundle = unsafe { PluginEntry::load(&path) };
        entries.push(bundle.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    entries
}
