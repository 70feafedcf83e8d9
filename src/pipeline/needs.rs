//! The variables of the environment that a pipeline needs when it runs, and where it says so.

use serde::Serialize;

use super::Pipeline;
use super::notify::Notification;
use super::schemas::Finding;
use super::source::Source;
use crate::export::AuthSettings;
use crate::flatten::Problem;
use crate::load::LoadTable;
use crate::objects::StoreSettings;
use crate::settings::Secret;

/// A variable that holds a secret of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Its name.
    pub variable: String,
    /// The setting that it stands for.
    pub path: String,
}

impl Needed {
    /// Whether it has a value.
    pub fn is_set(&self) -> bool {
        std::env::var_os(&self.variable).is_some_and(|value| !value.is_empty())
    }
}

impl Pipeline {
    /// A warning for each variable that is needed and not set; `file` is the pipeline's.
    pub fn unset_variables(&self, file: &str) -> Vec<Finding> {
        let unset = self.needs.iter().filter(|needed| !needed.is_set());
        let finding = |Needed { variable, path }: &Needed| {
            let message = format!("the environment variable `{variable}` is not set");
            let hint = format!("a run needs it: `export {variable}=…` where Kiln is started");
            Finding::new(file, Problem::warning(path.as_str(), message).hint(hint))
        };
        unset.map(finding).collect()
    }
}

/// Gathers what is needed.
#[derive(Debug, Default)]
pub(super) struct Needs(pub(super) Vec<Needed>);

impl Needs {
    fn secret(&mut self, path: String, secret: Option<&Secret>) {
        if let Some(Secret::Env { env }) = secret {
            self.0.push(Needed { variable: env.clone(), path });
        }
    }

    pub(super) fn store(&mut self, path: &str, store: &StoreSettings) {
        self.secret(format!("{path}.access_key_id"), store.access_key_id.as_ref());
        self.secret(format!("{path}.secret_access_key"), store.secret_access_key.as_ref());
        self.secret(format!("{path}.session_token"), store.session_token.as_ref());
    }

    pub(super) fn source(&mut self, source: Option<&Source>) {
        let Some(Source::Export(export)) = source else { return };
        let (key, secret) = match &export.settings.auth {
            AuthSettings::None => ("", None),
            AuthSettings::Smart { key, .. } => ("key", Some(key)),
            AuthSettings::Basic { client_secret, .. } => ("client_secret", Some(client_secret)),
            AuthSettings::Bearer { token } => ("token", Some(token)),
        };
        self.secret(format!("source.export.auth.{key}"), secret);
        for (name, value) in &export.settings.headers {
            self.secret(format!("source.export.headers.{name}"), Some(value));
        }
    }

    pub(super) fn loads(&mut self, loads: &[LoadTable]) {
        for (i, load) in loads.iter().enumerate() {
            self.secret(format!("load[{i}].url"), load.url.as_ref());
            if let Some(store) = &load.store {
                self.store(&format!("load[{i}].store"), store);
            }
        }
    }

    pub(super) fn notifications(&mut self, notifications: &[Notification]) {
        for (i, notification) in notifications.iter().enumerate() {
            self.secret(format!("notify[{i}].webhook"), notification.secret());
        }
    }
}
