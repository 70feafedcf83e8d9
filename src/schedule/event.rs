//! What the service tells: one event a line, as JSON or text; never with PHI or secrets.

use std::fmt::{self, Write};

use jiff::Timestamp;
use serde_json::Value;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Info,
    /// Something was left out or will be tried again.
    Warning,
    /// Something failed.
    Error,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    time: Timestamp,
    level: Level,
    name: &'static str,
    /// In the order in which they are told.
    fields: Vec<(&'static str, Value)>,
}

impl Event {
    pub(super) fn new(time: Timestamp, level: Level, name: &'static str) -> Self {
        Self { time, level, name, fields: Vec::new() }
    }

    /// Adds what it is about; nothing is added for null.
    #[must_use]
    pub(super) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.fields.push((key, value));
        }
        self
    }

    /// Adds an instant.
    #[must_use]
    pub(super) fn at(self, key: &'static str, instant: impl Into<Option<Timestamp>>) -> Self {
        self.with(key, instant.into().map(|instant| instant.to_string()))
    }

    fn level_name(&self) -> &'static str {
        match self.level {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// As one line of JSON.
    pub fn json(&self) -> String {
        let mut line = String::from("{");
        let head = [
            ("time", Value::from(self.time.to_string())),
            ("level", self.level_name().into()),
            ("event", self.name.into()),
        ];
        for (key, value) in head.iter().chain(&self.fields) {
            let comma = if line.len() == 1 { "" } else { "," };
            let _ = write!(line, "{comma}\"{key}\":{value}");
        }
        line.push('}');
        line
    }
}

impl fmt::Display for Event {
    /// As one line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:7} {}", self.time, self.level_name(), self.name)?;
        for (key, value) in &self.fields {
            match value {
                Value::String(text) if !text.contains(char::is_whitespace) => {
                    write!(f, " {key}={text}")?;
                }
                value => write!(f, " {key}={value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines() {
        let time = "2026-11-23T02:00:00Z".parse().unwrap();
        let event = Event::new(time, Level::Warning, "run_ended")
            .with("pipeline", "a \"b\"\n")
            .at("slot", time)
            .with("exit_code", None::<i32>)
            .with("said", vec!["x", "y"]);
        assert_eq!(
            event.json(),
            r#"{"time":"2026-11-23T02:00:00Z","level":"warning","event":"run_ended","pipeline":"a \"b\"\n","slot":"2026-11-23T02:00:00Z","said":["x","y"]}"#
        );
        assert_eq!(
            event.to_string(),
            r#"2026-11-23T02:00:00Z warning run_ended pipeline="a \"b\"\n" slot=2026-11-23T02:00:00Z said=["x","y"]"#
        );
    }
}
