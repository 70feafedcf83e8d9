//! What settings of all kinds are made of: mistakes with their places, secrets, spans of time.

mod mistake;
mod secret;
mod span;

pub use mistake::Mistake;
pub(crate) use mistake::Mistakes;
pub use secret::Secret;
pub(crate) use secret::reveal;
pub use span::Span;
