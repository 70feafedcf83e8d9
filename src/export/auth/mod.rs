//! Signs in and keeps the token fresh (SMART App Launch 2.2, "Backend Services").

pub(super) mod keygen;
mod keys;

use secrecy::SecretString;

use crate::error::Result;

/// Gives the `Authorization` of requests. One for an export: parallel requests share a token and one renewal.
pub(super) struct Authorizer {}

impl Authorizer {
    /// The value of the header; `None` where nobody signs in. Gets or renews the token if there is none or it ends
    /// within 30 s.
    pub(super) async fn authorization(
        &self,
    ) -> Result<Option<SecretString>, super::transport::Failure> {
        todo!()
    }

    /// The server answered 401 to `used`: the next [`Self::authorization`] is another one.
    pub(super) fn rejected(&self, used: &SecretString) {
        todo!()
    }
}
