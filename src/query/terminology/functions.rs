//! `in_valueset` and `subsumes` in a plan: what they ask for, and the relations that answer them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as Planned, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::prelude::Expr;

/// `in_valueset(system, code, 'canonical')`: whether a coding is a member; no coding with a null is.
pub(super) const IN_VALUESET: &str = "in_valueset";

/// `subsumes(system, ancestor, descendant)`: whether the first code is the second or above it.
pub(super) const SUBSUMES: &str = "subsumes";

/// A relation that a call needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// The members of the value set of this canonical.
    Members(String),
    /// Pairs of codes: those of one code system or of all, those below one code or all.
    Pairs { system: Option<String>, ancestor: Option<String> },
}

impl fmt::Display for Asked {
    /// As plans show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(canonical) => f.write_str(canonical),
            Self::Pairs { system, ancestor } => {
                let system = system.as_deref().unwrap_or("code systems");
                match ancestor {
                    Some(ancestor) => write!(f, "{system}: {ancestor} and below"),
                    None => write!(f, "{system}: closure"),
                }
            }
        }
    }
}

/// A call: what it asks for, and which column of the relation is to equal which argument.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) asked: Asked,
    pub(super) keys: Vec<(&'static str, Expr)>,
}

impl Call {
    /// The call that an expression is.
    ///
    /// Fails if it names no value set.
    pub(super) fn of(expr: &Expr) -> Planned<Option<Self>> {
        let Expr::ScalarFunction(function) = expr else { return Ok(None) };
        match (function.name(), &function.args[..]) {
            (IN_VALUESET, [system, code, canonical]) => {
                let Some(canonical) = literal(canonical) else {
                    return plan_err!(
                        "the third argument of {IN_VALUESET} is the canonical url of a value set, as in {IN_VALUESET}(system, code, 'http://…')"
                    );
                };
                let keys = vec![("system", system.clone()), ("code", code.clone())];
                Ok(Some(Self { asked: Asked::Members(canonical), keys }))
            }
            (SUBSUMES, [system, ancestor, descendant]) => {
                let asked = Asked::Pairs { system: literal(system), ancestor: literal(ancestor) };
                let mut keys =
                    vec![("ancestor", ancestor.clone()), ("descendant", descendant.clone())];
                // The relation is of the one code system that is named, be it with `|version`.
                if literal(system).is_none() {
                    keys.push(("system", system.clone()));
                }
                Ok(Some(Self { asked, keys }))
            }
            _ => Ok(None),
        }
    }

    /// Whether calls stand in an expression.
    pub(super) fn within(expr: &Expr) -> Planned<bool> {
        expr.exists(|expr| Ok(is_call(expr)))
    }
}

fn is_call(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if matches!(f.name(), IN_VALUESET | SUBSUMES))
}

/// What the calls of a plan ask for, those of its subqueries included.
pub(super) fn asked(plan: &LogicalPlan) -> Planned<BTreeSet<Asked>> {
    let mut asked = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                asked.extend(Call::of(expr)?.map(|call| call.asked));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(asked)
}

/// The text of a literal, whatever it was cast to.
pub(super) fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        Expr::Cast(cast) => literal(&cast.expr),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

/// A function that stands for a join: it is never called.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Placeholder {
    name: &'static str,
    signature: Signature,
}

/// The functions, to be registered.
pub(super) fn functions() -> [ScalarUDF; 2] {
    [IN_VALUESET, SUBSUMES].map(|name| {
        let signature = Signature::string(3, Volatility::Stable);
        ScalarUDF::new_from_shared_impl(Arc::new(Placeholder { name, signature }))
    })
}

impl ScalarUDFImpl for Placeholder {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Planned<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Planned<FieldRef> {
        Ok(Arc::new(Field::new(self.name, DataType::Boolean, false)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Planned<ColumnarValue> {
        exec_err!("{} cannot be used here: compute it in a subquery first", self.name)
    }
}
