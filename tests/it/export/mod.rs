//! Exports against the faulty server: F1 to F30 of the failure cases, each with the outcome it must have.

mod attachments;
mod bench;
mod conformance;
mod content;
mod downloads;
mod finish;
mod folder;
mod gzip;
mod interrupted;
mod kick_off;
mod killed;
mod log;
mod manifest;
mod pages;
mod polling;
mod secrets;
mod sign_in;
mod streaming;
mod token_rule;
mod unreachable;
