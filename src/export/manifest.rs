//! The manifest, of any version of the guide, read tolerantly.
