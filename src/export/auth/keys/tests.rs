//! Keys in all forms, signing, and keys that are refused.
