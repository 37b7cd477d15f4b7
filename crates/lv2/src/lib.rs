//! Wisp as LADSPA and LV2 plugins, mono and stereo, in one library.
//!
//! Both formats describe a plugin by numbered ports, which [`port`] lists; [`instance`] connects them to the engine.
pub mod instance;
pub mod ladspa;
pub mod lv2;
pub mod port;
pub mod turtle;
