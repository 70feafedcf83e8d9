//! Decodes gzip bodies as a whole, all members of them.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use super::{Failure, too_large};
use crate::error::{Error, ErrorKind};

/// How every gzip member begins (RFC 1952); no JSON and no HTML does.
pub(in crate::export) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// `body` without its `Content-Encoding`. Gzip is also found where the header is missing. Members after the first
/// count: the decoding of HTTP clients stops there and calls the body whole.
pub(super) fn decoded(
    headers: &HeaderMap,
    body: Bytes,
    limit: usize,
    request: &str,
) -> Result<Bytes, Failure> {
    let encoding = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
    if body.starts_with(&MAGIC) {
        return gunzipped(&body, limit, request);
    }
    match encoding.as_str() {
        // A gateway may have decoded the body and left the header.
        "" | "identity" | "gzip" | "x-gzip" => Ok(body),
        _ => Err(Failure::Lasting(
            Error::new(
                ErrorKind::Incomplete,
                "the server encodes its answer as nobody asked it to",
            )
            .at("request", request)
            .hint("the server may send `identity` or `gzip`; see what a proxy before it does"),
        )),
    }
}

fn gunzipped(body: &[u8], limit: usize, request: &str) -> Result<Bytes, Failure> {
    let mut whole = Vec::new();
    // One byte more than the limit tells that it is passed.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match MultiGzDecoder::new(body).take(most).read_to_end(&mut whole) {
        Ok(_) if whole.len() > limit => Err(too_large(limit, request)),
        Ok(_) => Ok(whole.into()),
        Err(error) => {
            let message = format!("the gzip body is not whole: {error}");
            Err(Failure::Passing(Error::new(ErrorKind::TryLater, message).at("request", request)))
        }
    }
}
