//! `include/wisp.h` matches the library.
use std::path::Path;

/// If set, the test rewrites the header.
const WRITE: &str = "WISP_WRITE_HEADER";

#[test]
fn the_header_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(folder.join("src/lib.rs"))
        .generate()
        .expect("src/lib.rs");
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    let path = folder.join("include/wisp.h");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let there = std::fs::read_to_string(&path).expect("readable").replace("\r\n", "\n");
    assert!(
        there == made,
        "include/wisp.h is not what cbindgen makes of src/lib.rs; write it with \
         {WRITE}=1 cargo test -p wisp-capi --test header"
    );
}
