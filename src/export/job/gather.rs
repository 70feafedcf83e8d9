//! Brings all pages and files in: polls and loads at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::gathering::Gathering;
use super::renew::renew;
use super::{Event, ExportJob};
use crate::error::{Error, ErrorKind, Result};
use crate::export::download::{Downloads, Wanted};
use crate::export::poll::{Ended, poll};
use crate::export::session::Session;
use crate::export::state::StoredFile;

/// Goes on until everything is stored, or nothing more can be.
pub(super) async fn gather(
    job: &mut ExportJob,
    arrived: impl FnMut(&StoredFile),
) -> Result<(), Ended> {
    let ExportJob { settings, store, transport, log, clock, observer } = job;
    let session = Session { transport, settings, clock, log, observer };
    let downloads = Downloads {
        transport: Arc::clone(transport),
        settings: Arc::clone(settings),
        folder: store.folder().to_owned(),
        clock: clock.clone(),
        log: Arc::clone(log),
        observer: Arc::clone(observer),
    };
    let (sender, receiver) = unbounded_channel();
    let means = (&**log, &*observer, &settings.request.server);
    let gathering = Mutex::new(Gathering::resume(store, means, sender, arrived)?);
    let polled = poll_and_load(session, &downloads, receiver, &gathering).await?;
    // What is listed so far is loaded even where polling was given up.
    polled?;
    load_renewed(session, &downloads, &gathering).await?;
    let mut gathering = held(&gathering);
    let gone = std::mem::take(&mut gathering.gone);
    let failed = std::mem::take(&mut gathering.failed);
    if let Some((_, error)) = gone.into_iter().next() {
        return Err(Ended::Lost(error));
    }
    if failed.is_empty() { Ok(()) } else { Err(Ended::Stopped(summary(failed))) }
}

/// Polls for pages while files of those that came are loaded. The inner result is that of polling where it was given
/// up for now; where it failed for good, or files cannot be written, all ends at once.
async fn poll_and_load<F: FnMut(&StoredFile)>(
    session: Session<'_>,
    downloads: &Downloads,
    receiver: UnboundedReceiver<Wanted>,
    gathering: &Mutex<Gathering<'_, F>>,
) -> Result<Result<(), Ended>, Ended> {
    let polling = async {
        let (next, known) = {
            let gathering = held(gathering);
            (gathering.next()?, gathering.known()?)
        };
        let polled = match next {
            Some(url) => poll(session, url, &known, |page| held(gathering).take(&page)).await,
            None => Ok(()),
        };
        held(gathering).close();
        match polled {
            Err(Ended::Stopped(error)) if error.kind() == ErrorKind::TryLater => {
                Ok(Err(Ended::Stopped(error)))
            }
            other => other.map(Ok),
        }
    };
    let loading = async {
        let loaded = downloads.run(receiver, |loaded| held(gathering).loaded(loaded)).await;
        loaded.map_err(Ended::Stopped)
    };
    let (polled, ()) = futures::future::try_join(polling, loading).await?;
    Ok(polled)
}

/// A file that is missing: the error, whether it is gone, and its place on its page.
struct Missing {
    file: Wanted,
    error: Error,
    is_gone: bool,
    at: usize,
}

/// Takes the files that are gone or refused out, by page.
fn take_missing<F: FnMut(&StoredFile)>(
    gathering: &mut Gathering<'_, F>,
) -> HashMap<usize, Vec<Missing>> {
    let failed = std::mem::take(&mut gathering.failed).into_iter();
    let (refused, others): (Vec<_>, Vec<_>) =
        failed.partition(|(_, error)| error.kind() == ErrorKind::Refused);
    gathering.failed = others;
    let gone = std::mem::take(&mut gathering.gone).into_iter();
    let gone = gone.map(|(file, error)| (file, error, true));
    let refused = refused.into_iter().map(|(file, error)| (file, error, false));
    let mut pages: HashMap<usize, Vec<Missing>> = HashMap::new();
    for (file, error, is_gone) in gone.chain(refused) {
        let (page, at) = gathering.place(&file);
        pages.entry(page).or_default().push(Missing { file, error, is_gone, at });
    }
    pages
}

/// Asks for the manifest again, once, where files are gone or refused: their urls may have been renewed (requirement
/// 47). Those that were are loaded.
async fn load_renewed<F: FnMut(&StoredFile)>(
    session: Session<'_>,
    downloads: &Downloads,
    gathering: &Mutex<Gathering<'_, F>>,
) -> Result<(), Ended> {
    let pages = take_missing(&mut held(gathering));
    if pages.is_empty() {
        return Ok(());
    }
    let why =
        "files are gone from the server or refused: the manifest is asked for again".to_owned();
    (session.observer)(&Event::Retrying { why, after: Duration::ZERO });
    let (sender, receiver) = unbounded_channel();
    for (number, missing) in pages {
        let url = held(gathering).asked_at(number)?;
        let page = match url {
            Some(url) => renew(session, &url).await?,
            None => None,
        };
        for Missing { file, error, is_gone, at } in missing {
            let listed = page.as_ref().filter(|page| at < page.section(file.section).len());
            let server = &session.settings.request.server;
            let renewed = listed.map(|page| page.wanted(file.section, at, file.index, server));
            match renewed.filter(|renewed| renewed.url != file.url) {
                // Fails only if the receiver is gone, which is ours.
                Some(renewed) => drop(sender.send(renewed)),
                None if is_gone => held(gathering).gone.push((file, error)),
                None => held(gathering).failed.push((file, error)),
            }
        }
    }
    drop(sender);
    let loaded = downloads.run(receiver, |loaded| held(gathering).loaded(loaded)).await;
    loaded.map_err(Ended::Stopped)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}

/// One error for all files that could not be loaded: later, if that may help for all of them.
fn summary(failed: Vec<(Wanted, Error)>) -> Error {
    let later = failed.iter().all(|(_, error)| error.kind() == ErrorKind::TryLater);
    let refused = failed.iter().any(|(_, error)| error.kind() == ErrorKind::Refused);
    let count = failed.len();
    let (_, first) = failed.into_iter().next().expect("some failed");
    if count == 1 {
        return first;
    }
    let kind = match (later, refused) {
        (true, _) => ErrorKind::TryLater,
        (_, true) => ErrorKind::Refused,
        _ => ErrorKind::Incomplete,
    };
    let message =
        format!("{count} files could not be loaded, the first because {}", first.message());
    let error =
        first.places().iter().fold(Error::new(kind, message), |e, (what, at)| e.at(what, at));
    let hint = "the other files are stored; the same command asks for these again";
    error.hint(first.remedy().unwrap_or(hint)).caused_by(first)
}
