//! How long to wait: Retry-After in all its spellings, and back-off.
