//! The functions that every session knows besides DataFusion's: ages, partial dates, periods and units of FHIR.

mod age;
mod argument;
mod partial;
mod period;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod tests;
mod units;

use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::prelude::SessionContext;

use argument::Argument;
pub(super) use argument::Takes;

/// Makes all functions known to a session.
pub(super) fn register(context: &SessionContext) {
    for function in all() {
        context.register_udf(ScalarUDF::from(Registered::new(function)));
    }
}

/// All functions, in the order of the documentation.
fn all() -> impl Iterator<Item = &'static Function> {
    [age::FUNCTIONS, partial::FUNCTIONS, period::FUNCTIONS, units::FUNCTIONS].into_iter().flatten()
}

/// A function and what its users read; the example is a test.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The names of its arguments, as in a call.
    pub(super) arguments: &'static str,
    pub(super) meaning: &'static str,
    /// An expression, and its value as text.
    pub(super) example: (&'static str, &'static str),
    /// What each argument may be.
    pub(super) takes: &'static [Takes],
    /// How many of the last arguments may be left out.
    pub(super) optional: usize,
    pub(super) gives: Gives,
    pub(super) run: fn(&Arguments) -> ArrayRef,
}

/// The type of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    Integer,
    Boolean,
    Date,
    Timestamp,
    Double,
}

impl Gives {
    fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int32,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Double => DataType::Float64,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// The arguments of one call for a batch of rows.
pub(super) struct Arguments {
    columns: Vec<Argument>,
    rows: usize,
}

impl Arguments {
    /// What `value` makes of each row; it is given the arguments and the number of the row.
    fn map<T, A: FromIterator<Option<T>>>(
        &self,
        value: impl Fn(&[Argument], usize) -> Option<T>,
    ) -> A {
        (0..self.rows).map(|row| value(&self.columns, row)).collect()
    }
}

/// A [`Function`] as DataFusion calls it.
#[derive(Debug)]
struct Registered {
    function: &'static Function,
    signature: Signature,
    documentation: Documentation,
}

/// Where DataFusion lists the functions.
const SECTION: DocSection =
    DocSection { include: true, label: "FHIR functions", description: None };

impl Registered {
    fn new(function: &'static Function) -> Self {
        let Function { name, arguments, meaning, example, .. } = function;
        let documentation =
            Documentation::builder(SECTION, *meaning, format!("{name}({arguments})"))
                .with_sql_example(format!("{} -- {}", example.0, example.1))
                .build();
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { function, signature, documentation }
    }
}

impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Registered {}

impl Hash for Registered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Registered {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Function { name, arguments, takes, optional, .. } = self.function;
        if given.len() > takes.len() || given.len() + optional < takes.len() {
            return plan_err!("`{name}({arguments})` was given {} arguments", given.len());
        }
        let coerced = takes.iter().zip(given).map(|(takes, given)| {
            let wrong = || plan_err!("`{name}` takes {} where it was given {given}", takes.words());
            takes.coerced(given).map_or_else(wrong, Ok)
        });
        coerced.collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.gives.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let columns = args.args.into_iter().map(Argument::new).collect::<Result<_>>()?;
        let rows = if constant { 1 } else { args.number_rows };
        let array = (self.function.run)(&Arguments { columns, rows });
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}
