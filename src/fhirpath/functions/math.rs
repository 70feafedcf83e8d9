//! FHIRPath, section "Math".

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Function, Gives, Scope};
use crate::fhirpath::eval::{Call, Evaluated, fail};
use crate::fhirpath::expr::System;
use crate::fhirpath::operators::value;
use crate::fhirpath::value::{Item, QuantityRef, as_decimal};

const DECIMAL: Gives = Gives::System(System::Decimal);
const WHOLE: Gives = Gives::Rounded(System::Integer);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "abs", arity: 0..=0, scope: Scope::Outer, gives: Gives::One, call: abs },
    Function {
        name: "ceiling",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: WHOLE,
        call: |c| c.whole(|d| d.ceil()),
    },
    Function {
        name: "floor",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: WHOLE,
        call: |c| c.whole(|d| d.floor()),
    },
    Function {
        name: "truncate",
        arity: 0..=0,
        scope: Scope::Outer,
        gives: WHOLE,
        call: |c| c.whole(|d| d.trunc()),
    },
    Function {
        name: "round",
        arity: 0..=1,
        scope: Scope::Outer,
        gives: Gives::Rounded(System::Decimal),
        call: round,
    },
    Function { name: "power", arity: 1..=1, scope: Scope::Outer, gives: DECIMAL, call: power },
    Function { name: "sqrt", arity: 0..=0, scope: Scope::Outer, gives: DECIMAL, call: sqrt },
    Function { name: "exp", arity: 0..=0, scope: Scope::Outer, gives: DECIMAL, call: exp },
    Function { name: "ln", arity: 0..=0, scope: Scope::Outer, gives: DECIMAL, call: ln },
    Function { name: "log", arity: 1..=1, scope: Scope::Outer, gives: DECIMAL, call: log },
];

impl<'a> Call<'a, '_> {
    /// The input as a number or quantity: nothing, or one.
    fn input_number(&self) -> Evaluated<'a, Option<Item<'a>>> {
        let Some(item) = self.single_input()? else { return Ok(None) };
        match value(item, self.cx, self.span)? {
            Some(Item::Integer(_) | Item::Decimal(_) | Item::Quantity(_)) | None => {
                value(item, self.cx, self.span)
            }
            Some(_) => fail(self.span, "only numbers can be used here"),
        }
    }

    fn input_decimal(&self) -> Evaluated<'a, Option<Decimal>> {
        match self.input_number()? {
            Some(Item::Quantity(_)) => fail(self.span, "only plain numbers can be used here"),
            number => Ok(number.and_then(as_decimal)),
        }
    }

    fn argument_decimal(&self) -> Evaluated<'a, Option<Decimal>> {
        let values = self.argument(0)?;
        let Some(item) = crate::fhirpath::operators::single(values, self.span)? else {
            return Ok(None);
        };
        match value(item, self.cx, self.span)? {
            None => Ok(None),
            Some(number) => match as_decimal(number) {
                Some(number) => Ok(Some(number)),
                None => fail(self.span, "a number is wanted here"),
            },
        }
    }

    /// Numbers become whole numbers; quantities keep their unit.
    fn whole(&self, map: fn(Decimal) -> Decimal) -> Evaluated<'a> {
        let whole = match self.input_number()? {
            Some(Item::Quantity(q)) => {
                Some(Item::Quantity(QuantityRef { value: map(q.value), ..q }))
            }
            number => number.and_then(as_decimal).and_then(|d| map(d).to_i64()).map(Item::Integer),
        };
        Ok(whole.map_or(&[], |item| self.cx.one(item)))
    }

    fn decimal(&self, number: Option<Decimal>) -> Evaluated<'a> {
        Ok(number.map_or(&[], |d| self.cx.one(Item::Decimal(d))))
    }
}

fn abs<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let positive = match call.input_number()? {
        Some(Item::Integer(n)) => n.checked_abs().map(Item::Integer),
        Some(Item::Decimal(d)) => Some(Item::Decimal(d.abs())),
        Some(Item::Quantity(q)) => Some(Item::Quantity(QuantityRef { value: q.value.abs(), ..q })),
        _ => None,
    };
    Ok(positive.map_or(&[], |item| call.cx.one(item)))
}

fn round<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let places = if call.arguments.is_empty() { Some(0) } else { call.argument_integer(0)? };
    let Some(places) = places else { return Ok(&[]) };
    let Ok(places) = u32::try_from(places) else {
        return fail(call.span, "`round()` takes a number of digits from 0");
    };
    let places = places.min(Decimal::MAX_SCALE);
    let round =
        |d: Decimal| d.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    match call.input_number()? {
        Some(Item::Quantity(q)) => {
            Ok(call.cx.one(Item::Quantity(QuantityRef { value: round(q.value), ..q })))
        }
        number => call.decimal(number.and_then(as_decimal).map(round)),
    }
}

/// Exact for whole exponents; what has no real result, or does not fit, is empty.
fn power<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let (Some(base), Some(exponent)) = (call.input_decimal()?, call.argument_decimal()?) else {
        return Ok(&[]);
    };
    call.decimal(match exponent.to_i64().filter(|_| exponent.fract().is_zero()) {
        Some(whole) => whole_power(base, whole),
        None => approximate(|[b, e]| b.powf(e), [base, exponent]),
    })
}

fn whole_power(base: Decimal, exponent: i64) -> Option<Decimal> {
    let (mut result, mut square, mut left) = (Decimal::ONE, base, exponent.unsigned_abs());
    while left > 0 {
        if left % 2 == 1 {
            result = result.checked_mul(square)?;
        }
        left /= 2;
        if left > 0 {
            square = square.checked_mul(square)?;
        }
    }
    if exponent < 0 {
        return Decimal::ONE.checked_div(result).map(|d| d.normalize());
    }
    Some(result)
}

fn sqrt<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let root = call.input_decimal()?.and_then(|d| approximate(|[x]| x.sqrt(), [d]));
    call.decimal(root)
}

fn exp<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let result = call.input_decimal()?.and_then(|d| approximate(|[x]| x.exp(), [d]));
    call.decimal(result)
}

fn ln<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let Some(number) = call.input_decimal()? else { return Ok(&[]) };
    if number <= Decimal::ZERO {
        return fail(call.span, NO_LOGARITHM);
    }
    call.decimal(approximate(|[x]| x.ln(), [number]))
}

fn log<'a>(call: &Call<'a, '_>) -> Evaluated<'a> {
    let (Some(number), Some(base)) = (call.input_decimal()?, call.argument_decimal()?) else {
        return Ok(&[]);
    };
    if number <= Decimal::ZERO || base <= Decimal::ZERO {
        return fail(call.span, NO_LOGARITHM);
    }
    call.decimal(approximate(|[x, b]| x.log(b), [number, base]))
}

const NO_LOGARITHM: &str = "only numbers above zero have a logarithm";

/// By binary floating point, rounded to the 15 digits that it is sure of.
fn approximate<const N: usize>(f: fn([f64; N]) -> f64, numbers: [Decimal; N]) -> Option<Decimal> {
    let mut floats = [0.0; N];
    for (float, number) in floats.iter_mut().zip(numbers) {
        *float = number.to_f64()?;
    }
    let result = f(floats);
    if !result.is_finite() {
        return None;
    }
    let digits = crate::fhirpath::value::decimal(&format!("{result:.14e}"))?;
    Some(digits.normalize())
}
