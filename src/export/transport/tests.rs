//! Token rule, redirects and bodies, against servers on loopback.
