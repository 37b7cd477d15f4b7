//! VST3 and CLAP plugin.
