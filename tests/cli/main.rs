//! Runs the built `wisp` on synthetic files.
mod errors;
mod formats;
mod lab;
mod metadata;
mod names;
mod options;
mod quality;
mod sound;
#[cfg(unix)]
mod streams;
mod surround;
#[cfg(unix)]
mod system;
mod wav;
