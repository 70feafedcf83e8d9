//! What is known of vendors' servers: a table of settings with their sources.
