//! The compiled view and an evaluator by the book agree, cell by cell, on generated resources and views.
//!
//! The oracle works on JSON trees and expression trees of its own; it shares only the table of FHIR's elements with
//! Kiln. The cases are the same in every run; `KILN_CASES` asks for so many others.

mod choices;
mod decimals;
mod evaluate;
mod expressions;
mod found;
mod json;
mod paths;
mod resources;
mod selects;
mod values;
mod views;

use std::cell::RefCell;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::util::display::array_value_to_string;
use kiln::fhir::Type;
use kiln::flatten::{Column, View};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::flattened;
use choices::Choices;
use json::Json;
use views::{Row, Shown};

const CASES: u32 = 4000;

const TYPES: [&str; 4] =
    ["Patient", "Observation", "QuestionnaireResponse", "ExplanationOfBenefit"];

/// What the cases were like: agreement on nothing proves nothing.
#[derive(Debug, Default)]
struct Tally {
    views: usize,
    refused: usize,
    resources: usize,
    failed: usize,
    rows: usize,
    /// Columns of views with rows.
    columns: usize,
    /// Of these, those with a value somewhere.
    valued: usize,
}

#[test]
fn compiled_views_give_the_rows_of_the_oracle() {
    let more: Option<u32> = std::env::var("KILN_CASES").ok().map(|n| n.parse().unwrap());
    let cases = more.unwrap_or(CASES);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    let tally = RefCell::new(Tally::default());
    let tapes = (
        0..TYPES.len(),
        vec(any::<u16>(), 0..300),
        vec(any::<u16>(), 0..160),
        vec(any::<u8>(), 0..20),
    );
    // Always the same cases, so that no change fails for what another one broke; others where more are asked for.
    let mut runner = match more {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let outcome = runner.run(&tapes, |(of, resource, view, spelling)| {
        let of = Type::named(TYPES[of]).unwrap();
        compare(of, &resource, &view, &spelling, &mut tally.borrow_mut())
            .map_err(TestCaseError::fail)
    });
    match outcome {
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        other => other.unwrap(),
    }
    let tally = tally.into_inner();
    println!("{tally:?}");
    assert!(tally.refused * 10 <= tally.views, "most views are accepted: {tally:?}");
    assert!(tally.failed * 5 <= tally.resources, "most views have rows: {tally:?}");
    assert!(tally.valued * 2 >= tally.columns, "most columns have values: {tally:?}");
}

/// Columns of complex values need a type: it is the one that the refusal of the view names.
fn declare_complex(definition: &mut Value) {
    for problem in View::compile(definition).err().into_iter().flatten() {
        let of = problem.message.split_once("` gives `").and_then(|(_, rest)| rest.split_once('`'));
        let Some((of, ", which is no single value")) = of else {
            continue;
        };
        let column =
            problem.path.trim_end_matches(".path").replace(['.', '['], "/").replace(']', "");
        definition.pointer_mut(&format!("/{column}")).expect("a column")["type"] = json!(of);
    }
}

/// One view over two resources: the one it was made for, and another.
fn compare(
    of: Type,
    resource: &[u16],
    view: &[u16],
    spelling: &[u8],
    tally: &mut Tally,
) -> Result<(), String> {
    let mut choices = Choices::new(resource);
    let resources = [resources::resource(of, &mut choices), resources::resource(of, &mut choices)];
    let oracle = selects::view(of, &resources[0], &mut Choices::new(view));
    let mut definition = oracle.definition();
    tally.views += 1;
    declare_complex(&mut definition);
    let compiled = match View::compile(&definition) {
        Ok((compiled, _)) => compiled,
        Err(problems) => {
            tally.refused += 1;
            if std::env::var_os("KILN_REFUSED").is_some() {
                println!("{problems:?}");
            }
            return Ok(());
        }
    };
    let mut rows = Vec::new();
    for resource in &resources {
        tally.resources += 1;
        match agreed(&oracle, &compiled, resource, &resource.odd(spelling)) {
            Ok(Some(found)) => rows.extend(found),
            Ok(None) => tally.failed += 1,
            Err(why) => return Err(format!("{definition}\n{why}")),
        }
    }
    tally.rows += rows.len();
    for i in 0..rows.first().map_or(0, Vec::len) {
        tally.columns += 1;
        tally.valued += usize::from(rows.iter().any(|row| !is_empty(&row[i])));
    }
    Ok(())
}

fn is_empty(cell: &Shown) -> bool {
    *cell == Shown::Null || *cell == Shown::List(vec![])
}

/// The rows of a resource in which both agree; nothing where both fail.
fn agreed(
    oracle: &views::View,
    compiled: &View,
    resource: &Json,
    text: &str,
) -> Result<Option<Vec<Vec<Shown>>>, String> {
    let expected = oracle.rows(resource).map(|rows| shown(&rows, &compiled.columns));
    let found = flattened(compiled, [text.to_owned()]).map(|batch| cells(&batch));
    match (expected, found) {
        (Err(_), Err(_)) => Ok(None),
        (Ok(expected), Ok(found)) if expected == found => Ok(Some(found)),
        (expected, found) => Err(format!("{text}\n oracle: {expected:?}\n   kiln: {found:?}")),
    }
}

fn shown(rows: &[Row<'_>], columns: &[Column]) -> Vec<Vec<Shown>> {
    let row = |row: &Row<'_>| {
        let names: Vec<_> = row.iter().map(|(name, _)| name).collect();
        assert_eq!(names, columns.iter().map(|c| &c.name).collect::<Vec<_>>(), "order of columns");
        row.iter().zip(columns).map(|((_, cell), column)| cell.shown(column)).collect()
    };
    rows.iter().map(row).collect()
}

fn cells(batch: &RecordBatch) -> Vec<Vec<Shown>> {
    let row = |i| batch.columns().iter().map(|array| cell(array, i)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn cell(array: &ArrayRef, i: usize) -> Shown {
    let text =
        |array: &ArrayRef, i| array.is_valid(i).then(|| array_value_to_string(array, i).unwrap());
    match array.as_list_opt::<i32>() {
        Some(lists) if lists.is_valid(i) => {
            let values = lists.value(i);
            Shown::List((0..values.len()).map(|i| text(&values, i)).collect())
        }
        Some(_) => Shown::Null,
        None => text(array, i).map_or(Shown::Null, Shown::One),
    }
}
