//! Packs the bundled weights.
use std::path::Path;

#[path = "src/pack.rs"]
mod pack;

fn main() {
    let from = "../../bundled/live.safetensors";
    println!("cargo::rerun-if-changed={from}");
    println!("cargo::rerun-if-changed=src/pack.rs");
    let bytes = std::fs::read(from).expect("the bundled weights");
    let packed = pack::pack(&bytes).expect("a safetensors file of float32 tensors");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("weights"), packed).expect("a file for the weights");
}
