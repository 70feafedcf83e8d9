//! Loads the attachments that resources point at.
