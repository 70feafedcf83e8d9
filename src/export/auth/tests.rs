//! Tokens: asked for, renewed, refused; against a token endpoint on loopback.
