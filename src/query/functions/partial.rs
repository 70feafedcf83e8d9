//! What a date or dateTime of low precision may mean: its first and last instant, its first and last day.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, TimestampMicrosecondArray};

use super::argument::Moment;
use super::{Arguments, Function, Gives, Takes};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "fhir_low",
        arguments: "text",
        meaning: "the first instant that a date or dateTime of any precision may mean, as a timestamp in UTC. Text \
                  without a zone is taken as UTC; text that is no date or dateTime is null",
        example: ("fhir_low('2026-02')", "2026-02-01T00:00:00Z"),
        takes: &[Takes::Moment],
        optional: 0,
        gives: Gives::Timestamp,
        run: |a| instants(a, |m| m.micros.0),
    },
    Function {
        name: "fhir_high",
        arguments: "text",
        meaning: "the last instant that it may mean. What is written to the second or finer is one instant",
        example: ("fhir_high('2026-02-28T10:30+01:00')", "2026-02-28T09:30:59.999999Z"),
        takes: &[Takes::Moment],
        optional: 0,
        gives: Gives::Timestamp,
        run: |a| instants(a, |m| m.micros.1),
    },
    Function {
        name: "fhir_low_date",
        arguments: "text",
        meaning: "the first calendar day that it may mean, as written: no zone shifts it (a timestamp has its day in UTC)",
        example: ("fhir_low_date('2026-02')", "2026-02-01"),
        takes: &[Takes::Moment],
        optional: 0,
        gives: Gives::Date,
        run: |a| days(a, |m| m.days.0),
    },
    Function {
        name: "fhir_high_date",
        arguments: "text",
        meaning: "the last calendar day that it may mean",
        example: ("fhir_high_date('2024-02')", "2024-02-29"),
        takes: &[Takes::Moment],
        optional: 0,
        gives: Gives::Date,
        run: |a| days(a, |m| m.days.1),
    },
];

fn instants(arguments: &Arguments, edge: fn(&Moment) -> i64) -> ArrayRef {
    let array: TimestampMicrosecondArray =
        arguments.map(|columns, row| columns[0].moment(row).value().map(|m| edge(&m)));
    Arc::new(array.with_timezone("UTC"))
}

fn days(arguments: &Arguments, edge: fn(&Moment) -> i32) -> ArrayRef {
    let array: Date32Array =
        arguments.map(|columns, row| columns[0].moment(row).value().map(|m| edge(&m)));
    Arc::new(array)
}
