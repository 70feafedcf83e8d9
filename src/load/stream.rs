//! Bytes that a thread makes while another sends them: encoding does not wait for the network, nor the other way round.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, spawn_blocking};

use super::broken;
use crate::error::Result;

/// What is made, chunk by chunk, and what its maker says in the end.
pub(super) struct Stream<T> {
    chunks: Receiver<Bytes>,
    work: JoinHandle<Result<T>>,
}

/// Where the maker writes; bytes go on in chunks of a size.
pub(super) struct Chunks {
    buffer: BytesMut,
    size: usize,
    to: Sender<Bytes>,
}

/// Begins the work on a thread of its own.
pub(super) fn stream<T: Send + 'static>(
    size: usize,
    work: impl FnOnce(Chunks) -> Result<T> + Send + 'static,
) -> Stream<T> {
    let (to, chunks) = channel(4);
    let sink = Chunks { buffer: BytesMut::with_capacity(size), size, to };
    Stream { chunks, work: spawn_blocking(|| work(sink)) }
}

impl<T> Stream<T> {
    /// The next chunk; none at the end, also where the work failed: [`Stream::end`] says it.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.chunks.recv().await
    }

    /// How the work ended.
    pub(super) async fn end(self) -> Result<T> {
        drop(self.chunks);
        self.work.await.map_err(|e| broken("encode the rows", e))?
    }
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        let chunk = self.buffer.split().freeze();
        self.buffer.reserve(self.size);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the receiver has gone");
        if chunk.is_empty() { Ok(()) } else { self.to.blocking_send(chunk).map_err(gone) }
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.size {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Sends also what is no whole chunk; called once, at the end.
    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
