//! Parameters of a SQLQuery: their types, and their values as literals of the statement, never as text of it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, TimezoneInfo, Value, visit_expressions_mut,
};

use super::annotation::{is_identifier, wrong};
use crate::error::{Error, ErrorKind, Result};
use crate::query::statement::{Parsed, sql_mut};
use crate::suggest;

/// `Library.parameter`; all are inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What the SQL calls it, after the colon.
    pub name: String,
    /// Of which type its value is.
    pub of: ParameterType,
    /// For people.
    pub description: Option<String>,
}

/// The types that SQLQuery has for parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ParameterType {
    String,
    Integer,
    Date,
    DateTime,
    Boolean,
    Decimal,
}

impl ParameterType {
    const ALL: [Self; 6] =
        [Self::String, Self::Integer, Self::Date, Self::DateTime, Self::Boolean, Self::Decimal];

    /// The FHIR type.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
        }
    }

    /// The type of that FHIR name.
    pub(super) fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|of| of.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            wrong(format!("`{name}` is no type of a parameter")).hint(format!("one of: {names}"))
        })
    }

    /// Any value of the type, to plan a statement with.
    pub(super) fn any(self) -> &'static str {
        match self {
            Self::String => "",
            Self::Integer | Self::Decimal => "1",
            Self::Date => "2000-01-01",
            Self::DateTime => "2000-01-01T00:00:00Z",
            Self::Boolean => "true",
        }
    }

    /// A value as the statement has it, or what it should have been.
    fn literal(self, text: &str) -> Result<Expr, &'static str> {
        let quoted = || Expr::value(Value::SingleQuotedString(text.to_owned()));
        let number = || Expr::value(Value::Number(text.to_owned(), false));
        match self {
            Self::String => Ok(quoted()),
            Self::Integer if text.parse::<i32>().is_ok() => {
                Ok(cast(number(), DataType::BigInt(None)))
            }
            Self::Integer => Err("a whole number of 32 bits"),
            Self::Date if text.parse::<jiff::civil::Date>().is_ok() => {
                Ok(cast(quoted(), DataType::Date))
            }
            Self::Date => Err("a day such as `2026-12-31`"),
            Self::DateTime if text.parse::<jiff::Timestamp>().is_ok() => {
                Ok(cast(quoted(), DataType::Timestamp(None, TimezoneInfo::WithTimeZone)))
            }
            Self::DateTime => Err("an instant with its zone such as `2026-12-31T10:00:00Z`"),
            Self::Boolean => match text {
                "true" | "false" => Ok(Expr::value(Value::Boolean(text == "true"))),
                _ => Err("`true` or `false`"),
            },
            Self::Decimal => decimal(text).ok_or("a decimal number such as `9.0`"),
        }
    }
}

/// The number with all digits that are written.
fn decimal(text: &str) -> Option<Expr> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let precision = whole.len() + fraction.len();
    if whole.is_empty() || !plain(whole) || !plain(fraction) || precision > 38 {
        return None;
    }
    let scale = i64::try_from(fraction.len()).ok()?;
    let of = ExactNumberInfo::PrecisionAndScale(precision as u64, scale);
    Some(cast(Expr::value(Value::SingleQuotedString(text.to_owned())), DataType::Decimal(of)))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

impl Parameter {
    /// Reads `name type [description]`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut words = text.splitn(3, char::is_whitespace);
        let (Some(name), Some(of)) = (words.next(), words.next()) else {
            return Err(wrong("a parameter is written `name type description`"));
        };
        if !is_identifier(name) {
            return Err(wrong(format!("`{name}` cannot be the name of a parameter")));
        }
        let description = words.next().map(|d| d.trim().to_owned()).filter(|d| !d.is_empty());
        Ok(Self { name: name.to_owned(), of: ParameterType::named(of)?, description })
    }
}

/// The literal of each parameter. All must have a value, and all values a parameter.
pub(super) fn values(
    parameters: &[Parameter],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Expr>> {
    let names = || parameters.iter().map(|p| p.name.as_str());
    if let Some(unknown) = given.keys().find(|name| !names().any(|n| n == name.as_str())) {
        let error = wrong(format!("the query has no parameter `{unknown}`"));
        return Err(match suggest::nearest(unknown, names()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => {
                error.hint(format!("its parameters: {}", names().collect::<Vec<_>>().join(", ")))
            }
        });
    }
    let value = |parameter: &Parameter| {
        let text = given.get(&parameter.name).ok_or_else(|| missing(parameter))?;
        let literal = parameter.of.literal(text).map_err(|wanted| {
            // Not the value: it may name a patient.
            let message =
                format!("the value of the parameter `{}` is not {wanted}", parameter.name);
            Error::new(ErrorKind::Definition, message)
        })?;
        Ok((parameter.name.clone(), literal))
    };
    parameters.iter().map(value).collect()
}

fn missing(parameter: &Parameter) -> Error {
    let Parameter { name, of, description } = parameter;
    let what = description.as_ref().map_or_else(String::new, |text| format!(": {text}"));
    wrong(format!("the parameter `{name}` has no value"))
        .hint(format!("`--param {name}={}`{what}", of.name().to_uppercase()))
}

/// Puts the values where the statement names their parameters.
pub(super) fn bind(statement: &mut Parsed, values: &BTreeMap<String, Expr>) {
    let Some(sql) = sql_mut(statement) else { return };
    let _ = visit_expressions_mut(sql, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
            && let Some(literal) = values.get(&name[1..])
        {
            *expr = literal.clone();
        }
        ControlFlow::<()>::Continue(())
    });
}
