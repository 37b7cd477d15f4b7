//! What Wisp's tests share.
pub mod corpus;
pub mod hum;
pub mod random;

pub use hum::hum;
pub use random::Random;
