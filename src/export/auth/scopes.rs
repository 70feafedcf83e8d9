//! Which scopes are asked for, and whether they were granted (SMART App Launch 2.2, "Scopes").

use super::discovery::SmartConfiguration;
use crate::export::request::Level;
use crate::export::settings::Settings;

/// The scopes an export needs: reading each of its types, and `Group` to find one; everything where no types are named.
/// The spelling of SMART 1 (`.read`) is what most servers take, so that of SMART 2 (`.rs`) is used only where nothing
/// else is offered.
pub(super) fn needed(settings: &Settings, configuration: &SmartConfiguration) -> Vec<String> {
    let offered = |version: &str| configuration.capabilities.iter().any(|c| c == version);
    let only_v2 = offered("permission-v2") && !offered("permission-v1");
    let may = if only_v2 { "rs" } else { "read" };
    types(settings).into_iter().map(|name| format!("system/{name}.{may}")).collect()
}

fn types(settings: &Settings) -> Vec<String> {
    let request = &settings.request;
    if request.types.is_empty() {
        return vec!["*".to_owned()];
    }
    let mut types = request.types.clone();
    if matches!(request.level, Level::Group(_) | Level::GroupNamed(_)) {
        types.push("Group".to_owned());
    }
    if request.associated_data.iter().any(|data| data.contains("Provenance")) {
        types.push("Provenance".to_owned());
    }
    if settings.attachments.is_some() {
        types.push("Binary".to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    types.retain(|name| seen.insert(name.clone()));
    types
}

/// The wanted scopes that `granted`, a list with spaces, does not give.
pub(super) fn not_granted<'w>(wanted: &'w [String], granted: &str) -> Vec<&'w str> {
    let granted: Vec<_> = granted.split_whitespace().collect();
    let given = |wanted: &str| granted.iter().any(|granted| covers(granted, wanted));
    wanted.iter().map(String::as_str).filter(|wanted| !given(wanted)).collect()
}

/// Whether one scope gives all that another does, in whichever spelling.
fn covers(granted: &str, wanted: &str) -> bool {
    if granted == wanted {
        return true;
    }
    let (Some(granted), Some(wanted)) = (parts(granted), parts(wanted)) else { return false };
    let same_type = granted.name == wanted.name || granted.name == "*";
    granted.context == wanted.context
        && same_type
        && wanted.permissions.chars().all(|may| granted.permissions.contains(may))
}

struct Scope<'s> {
    context: &'s str,
    name: &'s str,
    /// Of `cruds`.
    permissions: &'s str,
}

/// `context/Type.permissions`; `None` for others, and for one with a query, which gives only some of the type.
fn parts(scope: &str) -> Option<Scope<'_>> {
    let (context, rest) = scope.split_once('/')?;
    let (name, permissions) = rest.rsplit_once('.')?;
    let permissions = match permissions {
        "read" => "rs",
        "write" => "cud",
        "*" => "cruds",
        letters if letters.chars().all(|letter| "cruds".contains(letter)) => letters,
        _ => return None,
    };
    Some(Scope { context, name, permissions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_in_any_spelling() {
        for (granted, wanted, missing) in [
            ("system/Patient.read", "system/Patient.read", ""),
            ("system/Patient.rs", "system/Patient.read", ""),
            ("openid system/*.read", "system/Patient.read", ""),
            ("system/*.*", "system/Patient.rs", ""),
            ("system/*.cruds", "system/*.read", ""),
            ("system/Patient.read", "system/*.read", "system/*.read"),
            ("system/Patient.r", "system/Patient.rs", "system/Patient.rs"),
            ("user/*.read", "system/Patient.read", "system/Patient.read"),
            ("", "system/Patient.read", "system/Patient.read"),
            ("system/Observation.rs?category=x", "system/Observation.rs", "system/Observation.rs"),
            ("bulk", "bulk", ""),
            ("system/Patient.read", "system/Patient.read system/Group.read", "system/Group.read"),
        ] {
            let wanted: Vec<_> = wanted.split(' ').map(str::to_owned).collect();
            assert_eq!(not_granted(&wanted, granted).join(" "), missing, "{granted}");
        }
    }
}
