//! What Wisp's tests share.
pub mod corpus;
pub mod random;

pub use random::Random;
