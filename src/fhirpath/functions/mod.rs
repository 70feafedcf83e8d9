//! The functions: one table row each, in the file of their section of the specification.
#![allow(clippy::unnecessary_wraps)] // a table has one signature; most functions can fail

mod aggregates;
mod boundary;
mod combining;
mod components;
mod conversion;
mod encoding;
mod existence;
mod fhir;
mod filtering;
mod math;
mod strings;
mod subsetting;
mod tree;
mod utility;

use std::ops::RangeInclusive;

use super::eval::{Call, Evaluated};
use super::expr::System;
pub(super) use strings::{NOT_A_PATTERN, pattern};

/// A function of the language. To add one: write its `fn` and its row in the table of its section.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How many arguments it takes.
    pub(super) arity: RangeInclusive<usize>,
    /// What its arguments see.
    pub(super) scope: Scope,
    /// What it yields.
    pub(super) gives: Gives,
    /// Runs it.
    pub(super) call: for<'a, 'c> fn(&Call<'a, 'c>) -> Evaluated<'a>,
}

/// What an argument's names and `$this` refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The focus that the call stands in.
    Outer,
    /// Each item of the input in turn.
    Each,
    /// Each item of the input, and of what comes out (`repeat`).
    Descent,
    /// The first: each item of the input in turn; the others: the focus that the call stands in (`aggregate`).
    Total,
}

/// The static type of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// One value of a system type.
    System(System),
    /// Any number of texts.
    Strings,
    /// What comes in.
    Input,
    /// One of what comes in.
    One,
    /// The least or greatest that what comes in can mean, or its mean.
    Edge,
    /// One number of a system type, or a quantity where one comes in.
    Rounded(System),
    /// What the first argument gives, for each item.
    Each,
    /// What the first argument gives, any number of times (`repeat`).
    Descent,
    /// What any of the arguments gives (`coalesce`).
    Any,
    /// What the arguments after the first give (`iif`).
    Branches,
    /// What comes in and what the arguments give (`union`).
    Both,
    /// Extensions.
    Extensions,
    /// Not known before a resource is seen.
    Unknown,
}

static SECTIONS: [&[Function]; 15] = [
    existence::FUNCTIONS,
    filtering::FUNCTIONS,
    subsetting::FUNCTIONS,
    combining::FUNCTIONS,
    conversion::FUNCTIONS,
    conversion::TO_QUANTITY,
    strings::FUNCTIONS,
    encoding::FUNCTIONS,
    math::FUNCTIONS,
    aggregates::FUNCTIONS,
    tree::FUNCTIONS,
    utility::FUNCTIONS,
    components::FUNCTIONS,
    boundary::FUNCTIONS,
    fhir::FUNCTIONS,
];

/// Every function.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    SECTIONS.iter().flat_map(|section| section.iter())
}

/// The function of that name.
pub(super) fn named(name: &str) -> Option<&'static Function> {
    all().find(|f| f.name == name)
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_function() {
        let readme = include_str!("../../../README.md");
        let table: Vec<_> = readme.lines().filter(|l| l.starts_with("| ")).collect();
        let listed = |name: &str| {
            let mut words = table.iter().flat_map(|l| l.split(|c: char| !c.is_alphanumeric()));
            words.any(|word| word == name)
        };
        for function in all().filter(|f| !f.name.starts_with("convertsTo")) {
            assert!(listed(function.name), "{}", function.name);
        }
    }
}
