//! What has been listed and stored so far, as pages and files come in.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use url::Url;

use super::order::{Order, SECTIONS};
use super::{Event, Observer, stored_url};
use crate::error::{Error, ErrorKind, Result};
use crate::export::download::{Loaded, Section, Wanted};
use crate::export::log::Log;
use crate::export::manifest::Page;
use crate::export::poll::NewPage;
use crate::export::state::{Store, StoredFile};

/// Pages and files, brought together.
pub(super) struct Gathering<'a, F> {
    store: &'a mut Store,
    log: &'a Log,
    observer: &'a Observer,
    server: &'a Url,
    /// Gets files in the manifest's order.
    arrived: F,
    order: Order,
    /// Where in the state each stored file is, by section and place: there may be 100,000.
    stored_at: HashMap<(&'static str, usize), usize>,
    /// What is listed, to tell what is listed again.
    urls: HashSet<(usize, Url)>,
    /// Where each page's files begin, by section.
    pages: Vec<[usize; 3]>,
    /// To the downloads; none when nothing more is to come.
    sender: Option<UnboundedSender<Wanted>>,
    /// Files the server no longer has.
    pub(super) gone: Vec<(Wanted, Error)>,
    /// Files that could not be loaded.
    pub(super) failed: Vec<(Wanted, Error)>,
}

impl<'a, F: FnMut(&StoredFile)> Gathering<'a, F> {
    /// Begins with what is remembered: hands over what is stored, and asks for what is not.
    pub(super) fn resume(
        store: &'a mut Store,
        (log, observer, server): (&'a Log, &'a Observer, &'a Url),
        sender: UnboundedSender<Wanted>,
        arrived: F,
    ) -> Result<Self> {
        let mut gathering = Self {
            store,
            log,
            observer,
            server,
            arrived,
            order: Order::default(),
            stored_at: HashMap::new(),
            urls: HashSet::new(),
            pages: Vec::new(),
            sender: Some(sender),
            gone: Vec::new(),
            failed: Vec::new(),
        };
        for at in 0..gathering.store.state.stored.len() {
            gathering.remember(at);
        }
        for index in 0..gathering.store.state.pages.len() {
            let page = gathering.page(index)?;
            gathering.begin_page();
            gathering.list(&page, [0; 3]);
        }
        if gathering.store.state.pages_complete {
            gathering.order.all_listed();
        }
        gathering.hand_over();
        Ok(gathering)
    }

    /// A page that is remembered.
    pub(super) fn page(&self, index: usize) -> Result<Page> {
        let state = &self.store.state;
        let url = state.page_urls.get(index).or(state.status_url.as_ref());
        Page::read(&state.pages[index], &stored_url(url.map_or("", String::as_str))?)
    }

    /// A page came, or the last one came again.
    pub(super) fn take(&mut self, new: &NewPage) -> Result<()> {
        let again = self.is_last(new)?;
        let mut from = [0; 3];
        if again {
            let index = self.pages.len() - 1;
            from = lengths(&self.page(index)?);
            let state = &mut self.store.state;
            if SECTIONS.iter().any(|s| new.page.section(*s).len() < from[*s as usize]) {
                return Err(Error::new(ErrorKind::Incomplete, "a page of the manifest lost files")
                    .hint("the server does not keep to the protocol: export without partial manifests"));
            }
            state.pages[index] = new.value.clone();
            state.page_urls[index] = new.at.to_string();
        } else {
            let state = &mut self.store.state;
            state.pages.push(new.value.clone());
            state.page_urls.push(new.at.to_string());
            self.begin_page();
        }
        self.store.state.pages_complete = new.last;
        // On disk before any of its files is loaded.
        self.store.save()?;
        if !again || new.last {
            self.log_page(new)?;
        }
        let files = self.list(&new.page, from);
        if new.last {
            self.order.all_listed();
        }
        (self.observer)(&Event::Listed { files });
        self.hand_over();
        Ok(())
    }

    /// What became of a file.
    pub(super) fn loaded(&mut self, loaded: Loaded) -> Result<()> {
        match loaded {
            Loaded::Stored(file) => {
                self.store.stored(file.clone())?;
                if let Some(section) = self.remember(self.store.state.stored.len() - 1) {
                    self.order.arrived(section, file.index);
                }
                (self.observer)(&Event::Stored(file));
                self.hand_over();
            }
            Loaded::Gone(file, error) => self.gone.push((file, error)),
            Loaded::Failed(file, error) => self.failed.push((file, error)),
        }
        Ok(())
    }

    /// No more files will be listed: downloads end with the last of them.
    pub(super) fn close(&mut self) {
        self.sender = None;
    }

    /// The page that lists a file, and the file's place there.
    pub(super) fn place(&self, file: &Wanted) -> (usize, usize) {
        let section = file.section as usize;
        let page = self.pages.iter().rposition(|begins| begins[section] <= file.index);
        let page = page.unwrap_or_default();
        (page, file.index - self.pages.get(page).map_or(0, |begins| begins[section]))
    }

    /// Where a page is asked for: the first at the status url, each other where the one before says.
    pub(super) fn asked_at(&self, index: usize) -> Result<Option<Url>> {
        match index.checked_sub(1) {
            None => self.store.state.status_url.as_deref().map(stored_url).transpose(),
            Some(before) => Ok(self.page(before)?.next),
        }
    }

    /// Where all pages that are known are asked for.
    pub(super) fn known(&self) -> Result<Vec<Url>> {
        let urls = (0..self.pages.len()).map(|index| self.asked_at(index));
        urls.filter_map(Result::transpose).collect()
    }

    /// Where polling goes on; none if all pages are there.
    pub(super) fn next(&self) -> Result<Option<Url>> {
        if self.store.state.pages_complete {
            return Ok(None);
        }
        // The last page says where the next is, or is asked for again until it does.
        match self.asked_at(self.pages.len())? {
            None if !self.pages.is_empty() => self.asked_at(self.pages.len() - 1),
            next => Ok(next),
        }
    }

    /// Whether a page is the last one again.
    fn is_last(&self, new: &NewPage) -> Result<bool> {
        match self.pages.len().checked_sub(1) {
            Some(last) => Ok(self.asked_at(last)?.as_ref() == Some(&new.url)),
            None => Ok(false),
        }
    }

    fn begin_page(&mut self) {
        self.pages.push(SECTIONS.map(|section| self.order.listed(section)));
    }

    /// Asks for the files of a page, but for the first of each section. Says how many are new.
    fn list(&mut self, page: &Page, from: [usize; 3]) -> usize {
        let mut files = 0;
        for section in SECTIONS {
            let number = section as usize;
            for (at, entry) in page.section(section).iter().enumerate().skip(from[number]) {
                if !self.urls.insert((number, entry.url.clone())) {
                    self.order.repeat(section);
                    continue;
                }
                let index = self.order.listed(section);
                self.order.expect(section);
                files += 1;
                if self.stored(section, index).is_some() {
                    self.order.arrived(section, index);
                } else if let Some(sender) = &self.sender {
                    // Fails only when downloads ended, which ends all.
                    let _ = sender.send(page.wanted(section, at, index, self.server));
                }
            }
        }
        files
    }

    /// Notes where a stored file is; says of which section it is.
    fn remember(&mut self, at: usize) -> Option<Section> {
        let file = &self.store.state.stored[at];
        let section = SECTIONS.into_iter().find(|s| s.name() == file.section)?;
        self.stored_at.insert((section.name(), file.index), at);
        Some(section)
    }

    fn stored(&self, section: Section, index: usize) -> Option<&StoredFile> {
        self.stored_at.get(&(section.name(), index)).map(|at| &self.store.state.stored[*at])
    }

    fn hand_over(&mut self) {
        for (section, index) in self.order.ready() {
            if let Some(at) = self.stored_at.get(&(section.name(), index)) {
                (self.arrived)(&self.store.state.stored[*at]);
            }
        }
    }

    fn log_page(&self, new: &NewPage) -> Result<()> {
        let time = &new.page.transaction_time;
        let counts = lengths(&new.page);
        if new.last {
            self.log.event("status_complete", json!({ "transactionTime": time }))?;
        }
        self.log.event(
            "status_page_complete",
            json!({
                "transactionTime": time,
                "outputFileCount": counts[0],
                "deletedFileCount": counts[1],
                "errorFileCount": counts[2],
            }),
        )?;
        if new.last {
            self.log.event("manifest_complete", self.totals(time.as_deref())?)
        } else {
            Ok(())
        }
    }

    fn totals(&self, time: Option<&str>) -> Result<Value> {
        let mut totals = [0; 3];
        for index in 0..self.store.state.pages.len() {
            let counts = lengths(&self.page(index)?);
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        Ok(json!({
            "transactionTime": time,
            "totalOutputFileCount": totals[0],
            "totalDeletedFileCount": totals[1],
            "totalErrorFileCount": totals[2],
            "totalManifests": self.store.state.pages.len(),
        }))
    }
}

fn lengths(page: &Page) -> [usize; 3] {
    SECTIONS.map(|section| page.section(section).len())
}
