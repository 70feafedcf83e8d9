//! Exports against the faulty server.
