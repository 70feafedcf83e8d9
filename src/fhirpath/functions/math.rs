//! FHIRPath N1, section "Math".

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::System;
use crate::fhirpath::value::{Item, QuantityRef, as_decimal};

const INTEGER: Gives = Gives::System(System::Integer);
const DECIMAL: Gives = Gives::System(System::Decimal);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "abs", arity: 0..=0, scope: Scope::Outer, gives: Gives::One, call: abs },
    Function {
        name: "ceiling",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: INTEGER,
        call: |c| c.whole(Decimal::ceil_of),
    },
    Function {
        name: "floor",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: INTEGER,
        call: |c| c.whole(Decimal::floor_of),
    },
    Function {
        name: "truncate",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: INTEGER,
        call: |c| c.whole(Decimal::trunc_of),
    },
    Function { name: "round", arity: 0..=1, scope: Scope::Outer, gives: DECIMAL, call: round },
];

/// By-value forms, so that they fit a table.
trait Whole {
    fn ceil_of(self) -> Self;
    fn floor_of(self) -> Self;
    fn trunc_of(self) -> Self;
}

impl Whole for Decimal {
    fn ceil_of(self) -> Self {
        self.ceil()
    }
    fn floor_of(self) -> Self {
        self.floor()
    }
    fn trunc_of(self) -> Self {
        self.trunc()
    }
}

impl<'a> Call<'a, '_> {
    fn input_decimal(&self) -> Evaluated<'a, Option<Decimal>> {
        let Some(item) = self.single_input()? else { return Ok(None) };
        match item.system(self.cx.doc).and_then(as_decimal) {
            Some(number) => Ok(Some(number)),
            None => fail(self.span, "only numbers can be used here"),
        }
    }

    fn whole(&self, map: fn(Decimal) -> Decimal) -> Evaluated<'a> {
        let whole = self.input_decimal()?.and_then(|d| map(d).to_i64());
        Ok(whole.map_or(&[], |n| self.cx.one(Item::Integer(n))))
    }
}

fn abs<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(item) = call.single_input()? else { return Ok(&[]) };
    match item.system(call.cx.doc) {
        Some(Item::Integer(n)) => {
            Ok(n.checked_abs().map_or(&[], |n| call.cx.one(Item::Integer(n))))
        }
        Some(Item::Decimal(d)) => Ok(call.cx.one(Item::Decimal(d.abs()))),
        Some(Item::Quantity(q)) => {
            Ok(call.cx.one(Item::Quantity(QuantityRef { value: q.value.abs(), ..q })))
        }
        _ => fail(call.span, "only numbers have an absolute value"),
    }
}

fn round<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let places = if call.arguments.is_empty() {
        0
    } else {
        call.argument_integer(0)?.unwrap_or(0).clamp(0, 28)
    };
    let rounded = call
        .input_decimal()?
        .map(|d| d.round_dp_with_strategy(places as u32, RoundingStrategy::MidpointAwayFromZero));
    Ok(rounded.map_or(&[], |d| call.cx.one(Item::Decimal(d))))
}
