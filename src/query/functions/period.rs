//! Periods as FHIR means them: both ends belong to them, and a bound that is missing is open.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array};

use super::argument::{Argument, Moment, Read};
use super::{Arguments, Function, Gives, Takes};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "period_overlaps",
        arguments: "start1, end1, start2, end2",
        meaning: "whether two periods have an instant in common. Both ends belong to a period: a date or partial text \
                  starts with its first instant and ends with its last. A bound that is null is open; a period without \
                  any bound, with its end before its start, or with malformed text is unknown: null",
        example: ("period_overlaps(date '2026-01-01', null, '2025-06', '2026-01')", "true"),
        takes: &[Takes::Moment; 4],
        optional: 0,
        gives: Gives::Boolean,
        run: |a| {
            compared(a, |row| {
                let (one, other) = (row.period(0)?, row.period(2)?);
                Some(one.0 <= other.1 && other.0 <= one.1)
            })
        },
    },
    Function {
        name: "period_during",
        arguments: "start1, end1, start2, end2",
        meaning: "whether the first period lies within the second",
        example: ("period_during('2026-03-01', null, '2026', '2026')", "false"),
        takes: &[Takes::Moment; 4],
        optional: 0,
        gives: Gives::Boolean,
        run: |a| {
            compared(a, |row| {
                let (inner, outer) = (row.period(0)?, row.period(2)?);
                Some(outer.0 <= inner.0 && inner.1 <= outer.1)
            })
        },
    },
    Function {
        name: "period_contains",
        arguments: "start, end, at",
        meaning: "whether a date, a timestamp or text lies within a period; null where that depends on what `at` \
                  leaves open",
        example: (
            "period_contains(date '2026-01-01', date '2026-12-31', '2026-12-31T23:59:59Z')",
            "true",
        ),
        takes: &[Takes::Moment; 3],
        optional: 0,
        gives: Gives::Boolean,
        run: |a| {
            compared(a, |row| {
                let (period, at) = (row.period(0)?, row.moment(2).value()?.micros);
                let within = period.0 <= at.0 && at.1 <= period.1;
                let apart = at.1 < period.0 || period.1 < at.0;
                (within || apart).then_some(within)
            })
        },
    },
    Function {
        name: "period_days",
        arguments: "start, end",
        meaning: "how many calendar days a period touches, the first and the last included (the length of a stay is one \
                  less); null if a bound is open",
        example: ("period_days('2026-01-30', '2026-02-02')", "4"),
        takes: &[Takes::Moment; 2],
        optional: 0,
        gives: Gives::Integer,
        run: days,
    },
];

fn days(arguments: &Arguments) -> ArrayRef {
    let touched = |columns: &[Argument], row| {
        let (start, end) = (columns[0].moment(row).value()?, columns[1].moment(row).value()?);
        (start.micros.0 <= end.micros.1).then(|| end.days.1 - start.days.0 + 1)
    };
    Arc::new(arguments.map::<_, Int32Array>(touched))
}

fn compared(arguments: &Arguments, answer: fn(&Row) -> Option<bool>) -> ArrayRef {
    let array: BooleanArray = arguments.map(|columns, row| answer(&Row { columns, row }));
    Arc::new(array)
}

struct Row<'a> {
    columns: &'a [Argument],
    row: usize,
}

impl Row<'_> {
    fn moment(&self, argument: usize) -> Read<Moment> {
        self.columns[argument].moment(self.row)
    }

    /// First and last microsecond of the period in two arguments, from `start`; `None` if it is unknown.
    fn period(&self, start: usize) -> Option<(i64, i64)> {
        let (first, last) = match (self.moment(start), self.moment(start + 1)) {
            (Read::Value(start), Read::Value(end)) => (start.micros.0, end.micros.1),
            (Read::Value(start), Read::Missing) => (start.micros.0, i64::MAX),
            (Read::Missing, Read::Value(end)) => (i64::MIN, end.micros.1),
            _ => return None,
        };
        (first <= last).then_some((first, last))
    }
}
