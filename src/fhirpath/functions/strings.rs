//! FHIRPath N1, section "String Manipulation", and `join` of SQL on FHIR.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

use super::{Function, Gives, Scope};
use crate::fhirpath::compare::lacks_value;
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::System;
use crate::fhirpath::value::Item;

const STRING: Gives = Gives::System(System::String);
const BOOLEAN: Gives = Gives::System(System::Boolean);
const INTEGER: Gives = Gives::System(System::Integer);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "join", arity: 0..=1, scope: Scope::Outer, gives: STRING, call: join },
    Function {
        name: "contains",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: |c| c.test(|s, t| s.contains(t)),
    },
    Function {
        name: "startsWith",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: |c| c.test(|s, t| s.starts_with(t)),
    },
    Function {
        name: "endsWith",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: |c| c.test(|s, t| s.ends_with(t)),
    },
    Function {
        name: "indexOf",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: INTEGER,
        call: |c| c.position(|s, t| s.find(t)),
    },
    Function {
        name: "lastIndexOf",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: INTEGER,
        call: |c| c.position(|s, t| s.rfind(t)),
    },
    Function {
        name: "substring",
        arity: 1..=2,
        scope: Scope::Outer,
        gives: STRING,
        call: substring,
    },
    Function {
        name: "upper",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: STRING,
        call: |c| c.mapped(str::to_uppercase),
    },
    Function {
        name: "lower",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: STRING,
        call: |c| c.mapped(str::to_lowercase),
    },
    Function {
        name: "trim",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: STRING,
        call: |c| c.mapped(|s| s.trim_matches([' ', '\t', '\n', '\r']).to_owned()),
    },
    Function { name: "length", arity: 0..=0, scope: Scope::Outer, gives: INTEGER, call: length },
    Function {
        name: "split",
        arity: 1..=1,
        scope: Scope::Outer,
        gives: Gives::Strings,
        call: split,
    },
    Function { name: "replace", arity: 2..=2, scope: Scope::Outer, gives: STRING, call: replace },
    Function {
        name: "matches",
        arity: 1..=2,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: |c| matches(c, false),
    },
    Function {
        name: "matchesFull",
        arity: 1..=2,
        scope: Scope::Outer,
        gives: BOOLEAN,
        call: |c| matches(c, true),
    },
    Function {
        name: "replaceMatches",
        arity: 2..=3,
        scope: Scope::Outer,
        gives: STRING,
        call: replace_matches,
    },
    Function {
        name: "toChars",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: Gives::Strings,
        call: to_chars,
    },
];

impl<'a> Call<'a, '_> {
    /// The input as text: nothing, or one text.
    fn input_text(&self) -> Evaluated<'a, Option<&'a str>> {
        let Some(item) = self.single_input()? else { return Ok(None) };
        match item.text(self.cx.doc) {
            Some(text) => Ok(Some(text)),
            None if lacks_value(item, self.cx.doc) => Ok(None),
            None => fail(self.span, "only texts can be used here; `toString()` makes one"),
        }
    }

    /// The input and the first argument, if both are there.
    pub(super) fn pair(&self) -> Evaluated<'a, Option<(&'a str, &'a str)>> {
        let (Some(text), Some(other)) = (self.input_text()?, self.argument_text(0)?) else {
            return Ok(None);
        };
        Ok(Some((text, other)))
    }

    fn test(&self, test: fn(&str, &str) -> bool) -> Evaluated<'a> {
        Ok(self.cx.boolean(self.pair()?.map(|(text, other)| test(text, other))))
    }

    /// In characters; -1 where it is not found.
    fn position(&self, find: fn(&str, &str) -> Option<usize>) -> Evaluated<'a> {
        let Some((text, other)) = self.pair()? else { return Ok(&[]) };
        let place = find(text, other).map_or(-1, |at| text[..at].chars().count() as i64);
        Ok(self.cx.one(Item::Integer(place)))
    }

    fn mapped(&self, map: fn(&str) -> String) -> Evaluated<'a> {
        Ok(self.input_text()?.map_or(&[], |text| self.cx.one(self.cx.string(&map(text)))))
    }
}

/// Nothing joins to nothing (SQL on FHIR, test suite since June 2026), not to the empty text.
fn join<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let separator =
        if call.arguments.is_empty() { "" } else { call.argument_text(0)?.unwrap_or_default() };
    let mut joined = String::new();
    let mut any = false;
    for item in call.input {
        let Some(text) = item.text(call.cx.doc) else {
            if matches!(item, Item::Element(e) if !call.cx.doc.present(e.at)) {
                continue; // a primitive with extensions and no value
            }
            return fail(call.span, "only texts can be joined; `select(toString())` makes them");
        };
        call.cx.room(joined.len() + separator.len() + text.len(), call.span)?;
        if any {
            joined.push_str(separator);
        }
        any = true;
        joined.push_str(text);
    }
    Ok(if any { call.cx.one(call.cx.string(&joined)) } else { &[] })
}

/// Positions count characters, from 0; outside of the text there is nothing.
fn substring<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let (Some(text), Some(start)) = (call.input_text()?, call.argument_integer(0)?) else {
        return Ok(&[]);
    };
    let length = if call.arguments.len() > 1 { call.argument_integer(1)? } else { None };
    let Some((from, _)) =
        usize::try_from(start).ok().and_then(|start| text.char_indices().nth(start))
    else {
        return Ok(&[]);
    };
    let rest = &text[from..];
    let kept = match length {
        None => rest,
        Some(length) => {
            let end =
                rest.char_indices().nth(length.max(0) as usize).map_or(rest.len(), |(at, _)| at);
            &rest[..end]
        }
    };
    Ok(call.cx.one(Item::String(kept)))
}

fn length<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    Ok(call.input_text()?.map_or(&[], |t| call.cx.one(Item::Integer(t.chars().count() as i64))))
}

fn split<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some((text, separator)) = call.pair()? else { return Ok(&[]) };
    if separator.is_empty() {
        return to_chars(call);
    }
    let mut parts = call.cx.list();
    parts.extend(text.split(separator).map(Item::String));
    Ok(parts.into_bump_slice())
}

fn to_chars<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(text) = call.input_text()? else { return Ok(&[]) };
    let mut parts = call.cx.list();
    parts.extend(text.char_indices().map(|(at, c)| Item::String(&text[at..at + c.len_utf8()])));
    Ok(parts.into_bump_slice())
}

fn replace<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let (Some((text, pattern)), Some(by)) = (call.pair()?, call.argument_text(1)?) else {
        return Ok(&[]);
    };
    let most = (text.len() / pattern.len().max(1) + 1).saturating_mul(by.len());
    call.cx.room(most.saturating_add(text.len()), call.span)?;
    Ok(call.cx.one(call.cx.string(&text.replace(pattern, by))))
}

fn matches<'a>(call: &Call<'a, '_>, full: bool) -> Evaluated<'a> {
    let Some((text, pattern)) = call.pair()? else { return Ok(&[]) };
    let whole = if full { format!(r"\A(?:{pattern})\z") } else { String::new() };
    let regex = compiled(if full { &whole } else { pattern }, flags(call, 1)?, call)?;
    Ok(call.cx.boolean(Some(regex.is_match(text))))
}

/// The groups of the pattern are `$1` or `${name}` in the substitution.
fn replace_matches<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let (Some((text, pattern)), Some(by)) = (call.pair()?, call.argument_text(1)?) else {
        return Ok(&[]);
    };
    if pattern.is_empty() {
        return Ok(call.cx.one(Item::String(text)));
    }
    let regex = compiled(pattern, flags(call, 2)?, call)?;
    // Each match may be empty, and a group that is named again and again is as long as the text.
    call.cx.room((text.len() + 1).saturating_mul(by.len() + 1), call.span)?;
    let replaced = regex.replace_all(text, closed_groups(by));
    Ok(call.cx.one(call.cx.string(&replaced)))
}

/// `$1_x` as `${1}_x`: after a `$`, this regex engine would take letters into the name of the group.
fn closed_groups(by: &str) -> String {
    let mut closed = String::with_capacity(by.len());
    let mut rest = by;
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        closed.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            closed.push_str("${");
            closed.push_str(&after[..digits]);
            closed.push('}');
        } else {
            closed.push('$');
            if after.starts_with('$') {
                closed.push('$');
            }
        }
        rest = after
            .get(if digits == 0 && after.starts_with('$') { 1 } else { digits }..)
            .unwrap_or_default();
    }
    closed + rest
}

/// The optional flags of a pattern: `i` ignores letter case, `m` lets `^` and `$` match at each line.
fn flags<'a>(call: &Call<'a, '_>, at: usize) -> Evaluated<'a, &'a str> {
    let flags = if call.arguments.len() > at { call.argument_text(at)? } else { None };
    match flags {
        Some(flags) if !flags.chars().all(|c| matches!(c, 'i' | 'm')) => {
            fail(call.span, "the flags of a pattern are `i` and `m`")
        }
        flags => Ok(flags.unwrap_or_default()),
    }
}

thread_local! {
    /// Patterns are nearly always literals: each is compiled once a thread.
    static COMPILED: RefCell<HashMap<String, Result<Regex, regex::Error>>> = RefCell::default();
}

/// More patterns than this are not from literals; keeping them all would grow without bound.
const KEPT: usize = 256;

fn compiled<'a>(text: &str, flags: &str, call: &Call<'a, '_>) -> Evaluated<'a, Regex> {
    let flagged = format!("(?{flags}){text}");
    let text = if flags.is_empty() { text } else { &flagged };
    let found = COMPILED.with_borrow_mut(|kept| {
        if kept.len() > KEPT {
            kept.clear();
        }
        kept.entry(text.to_owned()).or_insert_with(|| pattern(text)).clone()
    });
    found.or_else(|_| fail(call.span, NOT_A_PATTERN))
}

pub(in crate::fhirpath) const NOT_A_PATTERN: &str = "the pattern is no valid regular expression";

/// A regular expression in single-line mode, as the specification asks: `.` takes line ends too.
pub(in crate::fhirpath) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("(?s){text}"))
}
