//! The bundle's files match the library.
use std::path::Path;

use wisp_lv2::turtle;

/// If set, the test rewrites the files.
const WRITE: &str = "WISP_WRITE_BUNDLE";

#[test]
fn the_bundle_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundle");
    for (name, text) in turtle::files() {
        let path = folder.join(name);
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &text).expect("written");
        }
        let there = std::fs::read_to_string(&path).expect("readable").replace("\r\n", "\n");
        assert!(
            there == text,
            "bundle/{name} is not what src/turtle.rs makes; write it with \
             {WRITE}=1 cargo test -p wisp-lv2 --test bundle"
        );
    }
}
