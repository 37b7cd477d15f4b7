//! Link options of the plugin's library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // A host thread that ran the plugin keeps destructors of thread-local values, and the framework's worker runs code in this
    // library: if it were unloaded before those threads end, the host would crash.
    if ["linux", "freebsd", "netbsd", "openbsd"].contains(&system.as_str()) {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    }
}
