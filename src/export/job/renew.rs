//! Asks for a page of the manifest again, for urls that are still good.

use reqwest::Method;
use url::Url;

use crate::error::ErrorKind;
use crate::export::manifest::{Page, is_manifest};
use crate::export::poll::{Ended, status_request};
use crate::export::session::Session;

/// The page as it is now; none if the server sends something else in its place.
pub(super) async fn renew(session: Session<'_>, url: &Url) -> Result<Option<Page>, Ended> {
    let request = status_request(url, &session.settings.request.server, Method::GET);
    let reply = session.ask_again(&request).await?;
    if matches!(reply.status.as_u16(), 404 | 410) {
        let message = "files are gone from the server, and the export is no longer known there";
        return Err(Ended::Lost(reply.error(ErrorKind::Refused, message, &request)));
    }
    if !reply.status.is_success() {
        return Err(Ended::Stopped(reply.refusal(&request)));
    }
    let value = serde_json::from_slice(&reply.body).ok().filter(is_manifest);
    Ok(value.map(|value| Page::read(&value, &reply.url)).transpose()?)
}
