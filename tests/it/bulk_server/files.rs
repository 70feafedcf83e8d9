//! Files and attachments, at the own origin or presigned at the other.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::answer::{Answer, outcome};
use super::asked::Asked;
use super::setup::{File, Section};
use super::{SIGNATURE, Shared};

/// The entry of a manifest.
pub(super) fn entry(shared: &Shared, job: &str, file: &File) -> Value {
    let generation = shared.record().generation.to_string();
    let url = if file.elsewhere {
        presigned(shared, job, &generation, &file.name)
    } else {
        format!("{}files/{job}/{generation}/{}", shared.own, file.name)
    };
    let mut entry = json!({ "url": url });
    if let Some(kind) = file.kind {
        entry["type"] = json!(kind);
    }
    for (key, value) in file.entry.as_object().unwrap() {
        entry[key] = value.clone();
    }
    entry
}

/// The url of a file at the other origin.
pub(super) fn presigned(shared: &Shared, job: &str, generation: &str, name: &str) -> String {
    format!(
        "{}bucket/{job}/{generation}/{name}?X-Amz-Signature={SIGNATURE}&X-Amz-Expires=3600",
        shared.other
    )
}

impl Shared {
    pub(super) async fn file(&self, asked: &Asked, name: &str) -> Answer {
        // Others get their turn, as they would with files of a size.
        tokio::task::yield_now().await;
        if let Err(answer) = self.may_have(asked) {
            return answer;
        }
        if let Some(answer) = self.too_fast() {
            return answer;
        }
        let gone = || outcome(410, "error", "deleted", "the link has expired");
        match self.names.get(name).map(|at| &self.setup.files[*at]) {
            None => outcome(404, "error", "not-found", "there is no such file"),
            Some(file) if file.section != Section::Attachment && self.expired(asked) => gone(),
            Some(file) => Answer::text(200, file.content_type, self.placed(&file.body)),
        }
    }

    /// The body, with the origins where it names them: `__OWN__`, `__OTHER__`.
    fn placed(&self, body: &Bytes) -> Bytes {
        match std::str::from_utf8(body) {
            Ok(text) if text.contains("__O") => {
                let text = text.replace("__OWN__", self.own.as_str());
                text.replace("__OTHER__", self.other.as_str()).into()
            }
            _ => body.clone(),
        }
    }

    /// The rule of tokens: sent where they are required, and nowhere else (`requiresAccessToken`).
    fn may_have(&self, asked: &Asked) -> Result<(), Answer> {
        if asked.elsewhere {
            self.foreign_headers(asked);
            let signed = asked.query().contains(SIGNATURE);
            if asked.signed_in() || !signed {
                let text = "<Error><Code>InvalidArgument</Code></Error>";
                return Err(Answer::text(400, "application/xml", text));
            }
            return Ok(());
        }
        if self.setup.files_need_token {
            return self.authorized(asked);
        }
        if asked.signed_in() {
            self.breach(format!("a token came to {}, which needs none", asked.url));
        }
        Ok(())
    }

    fn expired(&self, asked: &Asked) -> bool {
        asked.path().get(2) != Some(&self.record().generation.to_string().as_str())
    }

    /// 429 for what exceeds the rate.
    fn too_fast(&self) -> Option<Answer> {
        let (most, window) = self.setup.rate?;
        let now = self.now();
        let mut record = self.record();
        record.served.retain(|at| *at + window > now);
        if record.served.len() >= most {
            let seconds = window.as_secs().to_string();
            let answer = outcome(429, "error", "throttled", "too many requests");
            return Some(answer.header("retry-after", &seconds));
        }
        record.served.push_back(now);
        None
    }
}
