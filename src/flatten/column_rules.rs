//! What a column's `type`, its tag and its path must have to do with one another, and which columns are hardly meant.

use super::cell_type::{CellType, Family, family, fhir_type_name};
use super::problem::Problem;
use super::view_definition::ColumnDefinition;
use crate::fhir::{self, Type};
use crate::fhirpath::{Kind, Static};
use crate::suggest;

/// The type that a column declares, by its FHIR name. One that does not exist is noted, and counts as not declared.
pub(super) fn declared(
    definition: &ColumnDefinition,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let written = definition.of.as_deref()?;
    let at = format!("{}.type", definition.at);
    let Some(name) = type_name(written) else {
        problems.push(unknown_type(written, at));
        return None;
    };
    if name != written && name.eq_ignore_ascii_case(written) {
        let message = format!("`{written}` is a type of FHIRPath; that of FHIR is `{name}`");
        problems.push(Problem::warning(at, message));
    }
    Some(name)
}

/// What `type` names: a type of FHIR by its name, URL, or the id of an element; a type of FHIRPath by its own.
fn type_name(written: &str) -> Option<String> {
    let written = written.split('|').next().unwrap_or_default();
    let of_fhirpath = written.strip_prefix("http://hl7.org/fhirpath/");
    let name = of_fhirpath.unwrap_or(written);
    if let Some(system) = name.strip_prefix("System.").or(of_fhirpath) {
        return is_system(system).then(|| fhir_type_name(system).to_owned());
    }
    let name = written.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or(written);
    let name = name.split_once('#').map_or(name, |(_, element)| element);
    if is_system(name) {
        return Some(fhir_type_name(name).to_owned());
    }
    Type::named(name).or_else(|| element_type(name)).map(|of| of.name().to_owned())
}

fn is_system(name: &str) -> bool {
    name == "Quantity" || fhir_type_name(name) != name
}

/// The type of the element with an id such as `Observation.component.referenceRange`.
fn element_type(id: &str) -> Option<Type> {
    let mut names = id.split('.');
    let first = Type::named(names.next()?)?;
    names.try_fold(first, |of, name| match of.element(name)?.types.as_slice() {
        [one] => Some(*one),
        _ => None,
    })
}

fn unknown_type(written: &str, at: String) -> Problem {
    let problem = Problem::error(at, format!("there is no type `{written}` in FHIR R4"));
    let near = suggest::nearest(written, fhir::types().map(Type::name));
    match near {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// Checks a column against what its path gives.
pub(super) fn check(
    definition: &ColumnDefinition,
    declared: Option<&str>,
    gives: &Static,
    problems: &mut Vec<Problem>,
) {
    if gives.kinds.is_empty() {
        return;
    }
    match declared {
        Some(declared) => check_declared(definition, declared, gives, problems),
        // A type that does not exist was refused already.
        None if definition.of.is_none() => check_untyped(definition, gives, problems),
        None => {}
    }
    check_tag(definition, gives, problems);
    check_choice(definition, declared, gives, problems);
    check_many(definition, gives, problems);
}

/// How the values of a path get on with a declared type, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// No value can be of the type.
    Never,
    /// Values are held as text, whatever their type.
    AsWritten,
    /// Only values that happen to be whole numbers are held.
    IfWhole,
    /// Values are of the type.
    Well,
}

fn fit(declared: &str, given: Kind) -> Fit {
    let name = fhir_type_name(given.name());
    let (wanted, found) = (family(declared), family(name));
    if wanted == Family::Complex || found == Family::Complex {
        return if related(declared, name) { Fit::Well } else { Fit::Never };
    }
    if !CellType::of_fhir(declared).can_hold(name) {
        return Fit::Never;
    }
    match (declared, name) {
        _ if wanted != found => Fit::AsWritten,
        ("integer" | "positiveInt" | "unsignedInt" | "integer64", "decimal") => Fit::IfWhole,
        ("dateTime", "date" | "instant") => Fit::Well,
        _ if wanted == Family::Temporal && declared != name => Fit::AsWritten,
        _ => Fit::Well,
    }
}

/// Whether values of the one type can be of the other: `Age` and `Quantity`, `Patient` and `Resource`.
fn related(a: &str, b: &str) -> bool {
    match (Type::named(a), Type::named(b)) {
        (Some(a), Some(b)) => a.is_a(b) || b.is_a(a),
        _ => false,
    }
}

/// Whether values of two types of one family can share a column: primitives, or JSON of one type.
pub(super) fn share_json(a: &str, b: &str) -> bool {
    family(a) != Family::Complex || related(a, b)
}

/// "should report an error if the returned type does not match" (SQL on FHIR, `column.type`).
fn check_declared(
    definition: &ColumnDefinition,
    declared: &str,
    gives: &Static,
    problems: &mut Vec<Problem>,
) {
    let best = gives.kinds.iter().map(|kind| fit(declared, *kind)).max().unwrap_or(Fit::Well);
    let at = format!("{}.type", definition.at);
    let message = format!(
        "column `{}` is declared `{declared}`, but its path gives {}",
        definition.name,
        names(gives)
    );
    problems.push(match best {
        Fit::Well => return,
        Fit::Never => Problem::error(at, message),
        Fit::AsWritten => Problem::warning(at, message).hint("its values are kept as written"),
        Fit::IfWhole => Problem::warning(at, message)
            .hint("numbers that are not whole become null and are counted; declare `decimal`"),
    });
}

/// "type … MUST be set if the value is not primitive": without it we cannot know that JSON is wanted.
fn check_untyped(definition: &ColumnDefinition, gives: &Static, problems: &mut Vec<Problem>) {
    let is_complex = |kind: &Kind| matches!(kind, Kind::Fhir(of) if !of.is_primitive());
    if !gives.kinds.iter().all(is_complex) {
        return;
    }
    let message =
        format!("column `{}` gives {}, which is no single value", definition.name, names(gives));
    let problem = Problem::error(&definition.path.at, message)
        .within(&definition.path.text, 0..definition.path.text.len());
    problems.push(
        problem.hint("name one of its elements in the path, or declare the `type` to get its JSON"),
    );
}

fn check_tag(definition: &ColumnDefinition, gives: &Static, problems: &mut Vec<Problem>) {
    let Some((tag, at)) = &definition.ansi_type else { return };
    let Some(cell) = CellType::of_ansi(tag) else { return };
    if !gives.kinds.iter().any(|kind| cell.can_hold(kind.name())) {
        let message = format!(
            "column `{}` is tagged `{tag}`, which cannot hold the {} of its path",
            definition.name,
            names(gives)
        );
        problems.push(Problem::error(at, message));
    }
}

/// A column of several types is text of several forms.
fn check_choice(
    definition: &ColumnDefinition,
    declared: Option<&str>,
    gives: &Static,
    problems: &mut Vec<Problem>,
) {
    let form = |kind: &Kind| (family(kind.name()), CellType::of_fhir(kind.name()));
    let Some((first, others)) = gives.kinds.split_first() else { return };
    let is_alike = |kind: &Kind| {
        kind == first || (form(kind) == form(first) && form(kind).0 != Family::Complex)
    };
    if others.iter().all(is_alike) {
        return;
    }
    let is_given = |name: &&str| gives.kinds.iter().any(|k| k.name() == *name);
    let hint = if gives.kinds.iter().any(|k| matches!(k, Kind::System(_))) {
        "let all parts give one type, for example by `toString()`".to_owned()
    } else {
        let likely = declared.into_iter().chain(["Quantity", "string"]).find(is_given);
        format!("choose one: `ofType({})`", likely.unwrap_or_else(|| first.name()))
    };
    let message = format!("column `{}` can be {}", definition.name, names(gives));
    let problem = Problem::warning(&definition.path.at, message)
        .within(&definition.path.text, 0..definition.path.text.len());
    problems.push(problem.hint(hint));
}

/// Names alone may lead through elements that repeat; a function or an index says that this was thought of.
fn check_many(definition: &ColumnDefinition, gives: &Static, problems: &mut Vec<Problem>) {
    let path = &definition.path;
    let is_plain =
        path.text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$' | '%'));
    if gives.many && is_plain && !definition.collection {
        let message =
            format!("column `{}` takes one value, and its path can give several", definition.name);
        let hint =
            "a resource with several is rejected; use `first()`, a `forEach`, or `collection`";
        let problem = Problem::warning(&path.at, message).within(&path.text, 0..path.text.len());
        problems.push(problem.hint(hint));
    }
}

/// Notes a list that never has a second value. A path of `repeat()` has more than its parts let see.
pub(super) fn check_collection(
    definition: &ColumnDefinition,
    gives: &Static,
    problems: &mut Vec<Problem>,
) {
    let known = !gives.kinds.is_empty() && !definition.path.text.contains("repeat(");
    if definition.collection && known && !gives.many {
        let message = format!(
            "column `{}` is a list, but its path never gives more than one value",
            definition.name
        );
        let problem = Problem::warning(format!("{}.collection", definition.at), message);
        problems.push(problem.hint("leave `collection` out, unless a list is what you want"));
    }
}

/// The types, the first few of many by name.
fn names(gives: &Static) -> String {
    const SHOWN: usize = 6;
    let mut names: Vec<String> = Vec::new();
    for kind in &gives.kinds {
        let name = format!("`{}`", kind.name());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() <= SHOWN {
        return names.join(" or ");
    }
    let more = names.len() - SHOWN;
    format!("{} or one of {more} more types", names[..SHOWN].join(", "))
}
