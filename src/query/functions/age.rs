//! Ages: completed years, months and days from a birth to a day, as far as partial dates allow an answer.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};

use super::argument::Argument;
use super::{Arguments, Function, Gives, Takes};
use crate::temporal::civil;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "age_at",
        arguments: "birth, day",
        meaning: "completed years from a birth to a day. A partial date (`1960`, `1960-05`) has an answer where it is \
                  the same for all days it may mean; else, and for a birth after the day, null. Who was born on 29 \
                  February has birthday on 1 March in other years",
        example: ("age_at('1960-05', date '2026-12-31')", "66"),
        takes: &[Takes::Moment, Takes::Moment],
        optional: 0,
        gives: Gives::Integer,
        run: |a| ages(a, |from, to| months(from, to) / 12),
    },
    Function {
        name: "age_in_months_at",
        arguments: "birth, day",
        meaning: "completed months, in the same way",
        example: ("age_in_months_at(date '2024-01-31', '2024-03-01')", "1"),
        takes: &[Takes::Moment, Takes::Moment],
        optional: 0,
        gives: Gives::Integer,
        run: |a| ages(a, months),
    },
    Function {
        name: "age_in_days_at",
        arguments: "birth, day",
        meaning: "days, in the same way",
        example: ("age_in_days_at('2024-02-28', '2024-03-01')", "2"),
        takes: &[Takes::Moment, Takes::Moment],
        optional: 0,
        gives: Gives::Integer,
        run: |a| ages(a, |from, to| to - from),
    },
];

fn ages(arguments: &Arguments, between: fn(i32, i32) -> i32) -> ArrayRef {
    let age = |columns: &[Argument], row| {
        let (birth, day) = (columns[0].moment(row).value()?, columns[1].moment(row).value()?);
        let (latest_birth, first_day) = (birth.days.1, day.days.0);
        let least = (latest_birth <= first_day).then(|| between(latest_birth, first_day))?;
        (least == between(birth.days.0, day.days.1)).then_some(least)
    };
    Arc::new(arguments.map::<_, Int32Array>(age))
}

/// Completed months: the day of the month must have come again.
fn months(from: i32, to: i32) -> i32 {
    let ((y1, m1, d1), (y2, m2, d2)) = (civil(from.into()), civil(to.into()));
    (y2 - y1) * 12 + m2 - m1 - i32::from(d2 < d1)
}
