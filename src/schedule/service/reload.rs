//! Pipeline files that change, appear or vanish while the service is there. One with mistakes keeps its last good version.

use std::path::{Path, PathBuf};

use super::{Entry, Event, Level, Planned, Service};
use crate::schedule::between;
use crate::schedule::files::Change;

impl Service {
    /// Looks at the files, if the last look is some time ago.
    pub(super) fn reload(&mut self) {
        let now = self.clock.now();
        if self
            .looked
            .is_some_and(|looked| looked <= now && between(looked, now) < self.options.poll)
        {
            return;
        }
        self.looked = Some(now);
        // What a file refers to may be mended without a change of the file.
        let mistaken: Vec<PathBuf> = self.mistakes.keys().cloned().collect();
        let changes = match self.files.changes() {
            Ok(changes) => changes,
            Err((folder, error)) => {
                return self.mistaken(&folder, vec![format!("cannot be read: {error}")]);
            }
        };
        for file in mistaken {
            if !changes.contains(&Change::Written(file.clone())) {
                self.load(&file);
            }
        }
        for change in changes {
            match change {
                Change::Written(file) => self.load(&file),
                Change::Gone(file) => self.gone(&file),
            }
        }
    }

    fn load(&mut self, file: &Path) {
        if file.is_dir() {
            // It could not be listed, and can be now.
            self.mistakes.remove(file);
            return;
        }
        match (self.options.load)(file) {
            Ok(Some(planned)) => match self.namesake(&planned) {
                Some(other) => {
                    let mistake =
                        format!("`{}` has the name `{}` too", other.display(), planned.name);
                    self.mistaken(file, vec![mistake]);
                }
                None => self.plan(planned),
            },
            Ok(None) => {
                self.mistakes.remove(file);
                self.drop_entry(file, "pipeline_without_schedule");
            }
            Err(mistakes) => self.mistaken(file, mistakes),
        }
    }

    /// Another file whose pipeline has the same name: they would take each other's slots.
    fn namesake(&self, planned: &Planned) -> Option<PathBuf> {
        let others =
            self.entries.iter().filter(|(file, entry)| **file != planned.file && !entry.gone);
        others
            .into_iter()
            .find(|(_, o)| o.planned.name == planned.name)
            .map(|(file, _)| file.clone())
    }

    fn plan(&mut self, planned: Planned) {
        let now = self.clock.now();
        let file = planned.file.clone();
        self.mistakes.remove(&file);
        let (name, failed) = match self.entries.get_mut(&file) {
            Some(entry) => {
                let (old, new) = (&entry.planned, &planned);
                let same = old.name == new.name && old.schedule.rule == new.schedule.rule;
                if !same || entry.gone {
                    entry.agenda.settle(now);
                }
                (entry.planned, entry.gone) = (planned, false);
                ("pipeline_changed", Ok(()))
            }
            None => {
                let (entry, failed) = Entry::open(planned, now, self.begin);
                self.entries.insert(file.clone(), entry);
                ("pipeline_loaded", failed)
            }
        };
        let entry = &self.entries[&file];
        let event = Event::new(now, Level::Info, name)
            .with("pipeline", entry.planned.name.as_str())
            .with("file", file.display().to_string())
            .at("next_slot", entry.agenda.next_slot(&entry.planned.schedule));
        let failed = failed.err().map(|error| {
            Event::new(now, Level::Error, "history_failed")
                .with("pipeline", entry.planned.name.as_str())
                .with("message", error.to_string())
        });
        self.tell(event);
        failed.into_iter().for_each(|event| self.tell(event));
    }

    /// Tells mistakes, once.
    fn mistaken(&mut self, file: &Path, mistakes: Vec<String>) {
        if self.mistakes.get(file) == Some(&mistakes) {
            return;
        }
        let kept = self.entries.contains_key(file);
        let event = Event::new(self.clock.now(), Level::Error, "mistakes")
            .with("file", file.display().to_string())
            .with("mistakes", mistakes.clone())
            .with("last_good_version_stays", kept);
        self.mistakes.insert(file.to_owned(), mistakes);
        self.tell(event);
    }

    fn gone(&mut self, file: &Path) {
        self.mistakes.remove(file);
        self.drop_entry(file, "pipeline_removed");
    }

    /// A run that goes on may end.
    fn drop_entry(&mut self, file: &Path, why: &'static str) {
        let Some(entry) = self.entries.get_mut(file).filter(|entry| !entry.gone) else { return };
        let name = entry.planned.name.clone();
        entry.gone = true;
        if entry.run.is_none() {
            self.entries.remove(file);
        }
        let event = self.info(why).with("pipeline", name);
        self.tell(event.with("file", file.display().to_string()));
    }
}
