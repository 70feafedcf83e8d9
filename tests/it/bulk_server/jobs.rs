//! Jobs: status, manifest with its pages, and DELETE.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, outcome};
use super::asked::Asked;
use super::setup::{Guide, Section};
use super::{Shared, files};

/// A job.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) parameters: Vec<(String, String)>,
    /// Whether its state is told apart from that of the request (`X-Export-Status`).
    pub(super) separate: bool,
    pub(super) began: Timestamp,
    pub(super) polled: usize,
    pub(super) deleted: bool,
}

impl Job {
    fn wants(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Shared {
    /// The status url: running, or the first page.
    pub(super) fn status(&self, asked: &Asked) -> Answer {
        if asked.header("accept") != "application/json" {
            self.breach(format!("`Accept` of a poll is `{}`", asked.header("accept")));
        }
        let mut running = false;
        let found = self.with_job(asked, |job| {
            job.polled += 1;
            running = job.polled <= self.setup.polls;
            job.separate
        });
        match found {
            Err(answer) => answer,
            Ok(separate) if running => {
                let answer = Answer::new(202)
                    .header("x-progress", "50% complete")
                    .header("retry-after", "10");
                separated(answer, separate)
            }
            Ok(_) => self.page(asked, 0),
        }
    }

    /// A page of the manifest.
    pub(super) fn page(&self, asked: &Asked, page: usize) -> Answer {
        let job_id = asked.path()[2].to_owned();
        let found = self.with_job(asked, |job| {
            let partial = job.wants("allowPartialManifests") == Some("true");
            let organized = job.wants("organizeOutputBy").map(str::to_owned);
            (partial, organized, job.separate, job.began)
        });
        let (partial, organized, separate, began) = match found {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        let pages = self.setup.files.iter().map(|file| file.page).max().unwrap_or_default();
        let last = !partial || page >= pages;
        let mut manifest = self.manifest(&job_id, partial.then_some(page), organized.as_deref());
        manifest["transactionTime"] = json!(began.to_string());
        if !last {
            let next = format!("{}/jobs/{job_id}/pages/{}", self.base(), page + 1);
            manifest["link"] = json!([{ "relation": "next", "url": next }]);
        }
        let answer = Answer::json(if last { 200 } else { 202 }, &manifest);
        separated(answer.header("expires", "Wed, 01 Jan 2031 00:00:00 GMT"), separate)
    }

    /// Cancels a job, or lets its files go.
    pub(super) fn delete(&self, asked: &Asked) -> Answer {
        match self.with_job(asked, |job| job.deleted = true) {
            Ok(()) => Answer::new(202),
            Err(answer) => answer,
        }
    }

    fn with_job<T>(&self, asked: &Asked, then: impl FnOnce(&mut Job) -> T) -> Result<T, Answer> {
        self.authorized(asked)?;
        let id: usize = asked.path()[2].parse().unwrap_or_default();
        let mut record = self.record();
        let job = id.checked_sub(1).and_then(|at| record.jobs.get_mut(at));
        let job = job.filter(|job| !job.deleted);
        let job = job.ok_or_else(|| outcome(404, "error", "not-found", "there is no such job"))?;
        Ok(then(job))
    }

    /// The manifest of a page, or of all.
    fn manifest(&self, job: &str, page: Option<usize>, organized: Option<&str>) -> Value {
        let section = |section| {
            let files = self.setup.files.iter().filter(|file| file.section == section);
            let files = files.filter(|file| page.is_none_or(|page| page == file.page));
            files.map(|file| files::entry(self, job, file)).collect::<Vec<_>>()
        };
        let mut manifest = json!({
            "requiresAccessToken": self.setup.files_need_token,
            "output": section(Section::Output),
        });
        let errors = section(Section::Error);
        if self.setup.guide == Guide::Stu4 {
            manifest["outcome"] = json!(errors);
        } else {
            manifest["request"] = json!(format!("{}/$export", self.base()));
            manifest["error"] = json!(errors);
        }
        let deleted = section(Section::Deleted);
        if !deleted.is_empty() {
            manifest["deleted"] = json!(deleted);
        }
        if let Some(organized) = organized {
            manifest["outputOrganizedBy"] = json!(organized);
        }
        manifest
    }
}

/// Under `separate-export-status` polls are 200, and the job's state is in a header.
fn separated(answer: Answer, separate: bool) -> Answer {
    if !separate {
        return answer;
    }
    let state = if answer.status == 202 { "202 Accepted" } else { "200 OK" };
    Answer { status: 200, ..answer.header("x-export-status", state) }
}
