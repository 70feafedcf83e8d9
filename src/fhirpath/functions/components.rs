//! FHIRPath, section "Extract Date/DateTime/Time components".

use rust_decimal::Decimal;

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated};
use crate::fhirpath::expr::System;
use crate::fhirpath::value::Item;
use crate::temporal::{Precision, Temporal, TemporalKind};

/// A row: a function that takes a component of a date, dateTime or time.
macro_rules! component {
    ($name:literal, $system:ident, $take:expr) => {
        Function {
            name: $name,
            arity: 0..=0,
            scope: Scope::Outer,
            gives: Gives::System(System::$system),
            call: |call| call.component($take),
        }
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    component!("yearOf", Integer, |t| field(t, Precision::Year)),
    component!("monthOf", Integer, |t| field(t, Precision::Month)),
    component!("dayOf", Integer, |t| field(t, Precision::Day)),
    component!("hourOf", Integer, |t| field(t, Precision::Hour)),
    component!("minuteOf", Integer, |t| field(t, Precision::Minute)),
    component!("secondOf", Integer, |t| field(t, Precision::Second)),
    component!("millisecondOf", Integer, |t| {
        let written = t.precision == Precision::Second && t.fraction_digits > 0;
        written.then(|| Item::Integer(i64::from(t.nanos / 1_000_000)))
    }),
    component!("timezoneOffsetOf", Decimal, |t| {
        let hours = Decimal::from(t.offset?).checked_div(Decimal::from(60))?;
        Some(Item::Decimal(hours.normalize()))
    }),
    component!("dateOf", Date, |t| {
        (t.kind != TemporalKind::Time).then(|| Item::Temporal(t.date_part()))
    }),
    component!("timeOf", Time, |t| {
        if t.kind == TemporalKind::DateTime { t.time_part().map(Item::Temporal) } else { None }
    }),
];

impl<'a> Call<'a, '_> {
    fn component(&self, take: fn(&Temporal) -> Option<Item<'static>>) -> Evaluated<'a> {
        let found = match self.single_input()?.and_then(|i| i.system(self.cx.doc)) {
            Some(Item::Temporal(t)) => take(&t),
            _ => None,
        };
        Ok(found.map_or(&[], |item| self.cx.one(item)))
    }
}

/// A part that was written.
fn field(t: &Temporal, part: Precision) -> Option<Item<'static>> {
    let dated = t.kind != TemporalKind::Time || part >= Precision::Hour;
    (dated && part <= t.precision).then(|| Item::Integer(i64::from(t.fields[part as usize])))
}
