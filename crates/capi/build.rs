//! Names the shared library as programs that link to it will look for it.
use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    match var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libwisp.so.{major}"),
        Ok("macos") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libwisp.{major}.dylib");
        }
        _ => {}
    }
}
