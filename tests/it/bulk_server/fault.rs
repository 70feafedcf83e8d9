//! What can be made to go wrong, as data: a test says which request of which route, and what happens to it.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio::sync::{Barrier, Notify};

use super::answer::{Answer, Framing};
use super::asked::{Asked, Route};
use super::{Shared, files};

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This answer, and nothing else happens: no job begins, no token is given.
    Instead(Answer),
    /// The usual answer with this status.
    Status(u16),
    /// With this header.
    Header(&'static str, String),
    /// Without it.
    NoHeader(&'static str),
    /// With this body.
    Body(Vec<u8>),
    /// With a JSON body that is changed.
    Json(fn(&mut Value)),
    /// Chunked, with no length announced.
    Chunked,
    /// With the right length, but the connection breaks at this per cent.
    Cut(usize),
    /// In chunks whose last never comes: the connection breaks at this per cent.
    Unterminated(usize),
    /// A length announced that is larger by so much; the connection breaks.
    TooLong(usize),
    /// In chunks, with a clean end after so many bytes: as by a proxy that gave up.
    Ends(usize),
    /// This per cent, then nothing, with the connection open.
    Stalls(usize),
    /// Compressed.
    Packed(Packing),
    /// 307 to the presigned url of the same file at the other origin.
    RedirectElsewhere,
    /// 307 to another spelling of the url, at the own origin.
    RedirectAtHome,
    /// 307 to the url itself, for ever.
    RedirectToItself,
    /// No answer ever.
    Silent,
    /// Waits until the test says so; at most 5 seconds.
    Until(Arc<Notify>),
    /// Tells the test that the request came.
    Announce(Arc<Notify>),
    /// Waits until as many such requests are there as the barrier is for.
    Together(Arc<Barrier>),
    /// All tokens are void from now on.
    RevokeTokens,
    /// All links to files are dead from now on; manifests get new ones.
    ExpireLinks,
    /// Time goes by before the answer.
    Passes(Duration),
}

/// Ways to compress a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packing {
    /// As it should be.
    Gzip,
    /// Without saying so.
    Undeclared,
    /// Two members, cut in the middle of a line.
    TwoMembers,
    /// A second member with nothing in it.
    EmptyMember,
    /// Cut, but the connection ends well.
    Truncated,
    /// With other bytes behind it.
    Garbage,
}

impl Fault {
    /// What happens on arrival; an answer if it is the only one.
    pub(super) async fn strike(&self, shared: &Shared) -> Option<Answer> {
        match self {
            Self::Instead(answer) => return Some(answer.clone()),
            Self::Silent => std::future::pending().await,
            Self::Announce(notify) => notify.notify_one(),
            Self::Together(barrier) => {
                let all = tokio::time::timeout(Duration::from_secs(5), barrier.wait()).await;
                if all.is_err() {
                    shared.breach("requests that were to come together did not");
                }
            }
            Self::Until(notify) => {
                let said = tokio::time::timeout(Duration::from_secs(5), notify.notified()).await;
                if said.is_err() {
                    shared.breach("what was to happen meanwhile did not");
                }
            }
            Self::RevokeTokens => shared.record().tokens.iter_mut().for_each(|t| t.revoked = true),
            Self::ExpireLinks => shared.record().generation += 1,
            Self::Passes(time) => shared.setup.clock.wait(*time).await,
            _ => {}
        }
        None
    }

    /// What becomes of the usual answer.
    pub(super) fn bend(&self, answer: Answer, shared: &Shared, asked: &Asked) -> Answer {
        let framed = |framing| Answer { framing, ..answer.clone() };
        let length = answer.body.len();
        match self {
            Self::Status(status) => Answer { status: *status, ..answer },
            Self::Header(name, value) => answer.header(name, value),
            Self::NoHeader(name) => answer.without(name),
            Self::Body(body) => Answer { body: body.clone().into(), ..answer },
            Self::Json(change) => changed(answer, *change),
            Self::Chunked => framed(Framing::Chunked),
            Self::Cut(percent) => {
                framed(Framing::Short { sent: length * percent / 100, announced: length })
            }
            Self::Unterminated(percent) => framed(Framing::Unterminated(length * percent / 100)),
            Self::TooLong(more) => {
                framed(Framing::Short { sent: length, announced: length + more })
            }
            Self::Ends(after) => {
                let body = answer.body.slice(..*after);
                Answer { body, framing: Framing::Chunked, ..answer }
            }
            Self::Stalls(percent) => framed(Framing::Stalled(length * percent / 100)),
            Self::Packed(packing) => packing.pack(answer),
            Self::RedirectElsewhere => redirect(&elsewhere(shared, asked)),
            Self::RedirectAtHome => redirect(&format!("{}{}", shared.own, asked.url)),
            Self::RedirectToItself => redirect(&format!("{}{}", shared.own, &asked.url[1..])),
            _ => answer,
        }
    }
}

fn redirect(to: &str) -> Answer {
    Answer::new(307).header("location", to)
}

fn elsewhere(shared: &Shared, asked: &Asked) -> String {
    let Route::File(name) = &asked.route else { panic!("only files are elsewhere") };
    let path = asked.path();
    files::presigned(shared, path[1], path[2], name)
}

fn changed(answer: Answer, change: fn(&mut Value)) -> Answer {
    let Ok(mut json) = serde_json::from_slice(&answer.body) else { return answer };
    change(&mut json);
    Answer { body: json.to_string().into(), ..answer }
}

impl Packing {
    fn pack(self, answer: Answer) -> Answer {
        let whole = &answer.body;
        let body = match self {
            Self::Gzip | Self::Undeclared => gzip(whole),
            Self::TwoMembers => {
                let (a, b) = whole.split_at(whole.len() / 2 + 1);
                [gzip(a), gzip(b)].concat()
            }
            Self::EmptyMember => [gzip(whole), gzip(b"")].concat(),
            Self::Truncated => {
                let packed = gzip(whole);
                packed[..packed.len() * 2 / 3].to_vec()
            }
            Self::Garbage => [gzip(whole), b"<!-- cached -->".to_vec()].concat(),
        };
        let answer = Answer { body: Bytes::from(body), ..answer };
        match self {
            Self::Undeclared => answer,
            _ => answer.header("content-encoding", "gzip"),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}
