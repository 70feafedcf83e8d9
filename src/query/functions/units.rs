//! `ucum`: numbers in other units.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use rust_decimal::Decimal;

use super::argument::Argument;
use super::{Arguments, Function, Gives, Takes};
use crate::ucum::{Analyte, Conversion};

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "ucum",
    arguments: "value, from_unit, to_unit [, analyte]",
    meaning: "a number in another unit (UCUM codes), as a double: mass, volume, amount, length, pressure, time, counts, \
              temperature and what is made of them. Between mass and amount (`mg/dL`, `mmol/L`) the analyte has to be \
              known: a molar mass in g/mol, or a LOINC code of glucose, cholesterol, triglycerides, creatinine, \
              bilirubin, calcium, urea, urea nitrogen, urate, phosphate, magnesium or haemoglobin; so it has between \
              `mmol/mol` and `%`, which are two scales for HbA1c. Null for units that are unknown or do not fit",
    example: ("ucum(126, 'mg/dL', 'g/L')", "1.26"),
    takes: &[Takes::Number, Takes::Text, Takes::Text, Takes::TextOrNumber],
    optional: 1,
    gives: Gives::Double,
    run: converted,
}];

/// By the units of both sides and the analyte.
type Conversions<'a> = HashMap<(&'a str, &'a str, Option<Analyte>), Option<Conversion>>;

fn converted(arguments: &Arguments) -> ArrayRef {
    // Units are few, and reading one costs more than converting.
    let known: RefCell<Conversions<'_>> = RefCell::default();
    let array: Float64Array = (0..arguments.rows)
        .map(|row| {
            let columns = &arguments.columns;
            let (from, to) = (columns[1].text(row)?, columns[2].text(row)?);
            let analyte = columns.get(3).and_then(|column| analyte(column, row));
            let value = columns[0].number(row)?;
            let mut known = known.borrow_mut();
            let conversion = known
                .entry((from, to, analyte))
                .or_insert_with(|| Conversion::between(from, to, analyte));
            conversion.as_ref()?.apply(value)
        })
        .collect();
    Arc::new(array)
}

fn analyte(column: &Argument, row: usize) -> Option<Analyte> {
    match column.number(row) {
        Some(mass) => Analyte::of_mass(mass.to_string().parse::<Decimal>().ok()?),
        None => Analyte::of(column.text(row)?),
    }
}
