//! The plugin in a VST3 host, on the bindings that the plugin is built with.
#![allow(unsafe_code)] // COM objects are called through pointers.

/// Calls a COM object.
macro_rules! com {
    ($call:expr) => {{
        // SAFETY: the object is alive, and what the pointers point at is the caller's and live.
        unsafe { $call }
    }};
}

mod changes;
mod factory;
mod host;
mod parameters;
mod presets;
mod quality;
mod sound;
mod state;
mod threads;
mod timing;
#[cfg(target_os = "linux")]
mod windows;

// Links the factory.
use wisp as _;
