//! The network.
pub mod dccrn;
