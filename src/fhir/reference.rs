//! What the text of a Reference says: which resource of the export it points at, or why it points at none.

/// The text of `Reference.reference`, understood (FHIR R4, "Literal References").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'r> {
    /// A resource of the same server, by its type (not looked up) and id; a version is not part of its identity.
    Resource {
        /// What stands before the id, such as `Patient`.
        of: &'r str,
        /// The id.
        id: &'r str,
    },
    /// Nothing that an export could hold under a key.
    Unresolvable(Unresolvable),
}

/// Why a reference has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unresolvable {
    /// An absolute url that is not below the base of the export.
    Elsewhere,
    /// `urn:uuid:…` or `urn:oid:…`: a name within a Bundle.
    Urn,
    /// `#id`: a resource within this one, which has no row of its own (SQL on FHIR, "Contained Resources").
    Contained,
    /// `Organization?identifier=…`: a search.
    Conditional,
    /// No `reference` at all: only an identifier, a display or an extension.
    NotLiteral,
    /// None of these.
    Malformed,
}

impl Unresolvable {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Elsewhere,
        Self::Urn,
        Self::Contained,
        Self::Conditional,
        Self::NotLiteral,
        Self::Malformed,
    ];

    /// For reports: one or two words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Elsewhere => "on another server",
            Self::Urn => "urn",
            Self::Contained => "contained",
            Self::Conditional => "conditional",
            Self::NotLiteral => "no literal reference",
            Self::Malformed => "malformed",
        }
    }
}

/// The id in the commonest form of a reference to a resource of this type: `Type/id`.
pub fn relative_id<'r>(reference: &'r str, of: &str) -> Option<&'r str> {
    let id = reference.strip_prefix(of)?.strip_prefix('/')?;
    is_id(id).then_some(id)
}

impl<'r> Target<'r> {
    /// Understands a reference; `bases` are the urls under which the export's resources live on their server.
    pub fn of(reference: &'r str, bases: &[String]) -> Self {
        if reference.contains(':') {
            return Self::absolute(reference, bases);
        }
        if reference.starts_with('#') {
            return Self::Unresolvable(Unresolvable::Contained);
        }
        Self::relative(reference)
    }

    fn absolute(reference: &'r str, bases: &[String]) -> Self {
        if reference.starts_with("urn:") {
            return Self::Unresolvable(Unresolvable::Urn);
        }
        let below = |base: &String| reference.strip_prefix(base.as_str())?.strip_prefix('/');
        match bases.iter().find_map(below) {
            Some(rest) => Self::relative(rest),
            None if is_url(reference) => Self::Unresolvable(Unresolvable::Elsewhere),
            // The colon of `Patient?identifier=urn:x|1` is no scheme's.
            None => Self::relative(reference),
        }
    }

    /// `Type/id`, with or without `/_history/version`.
    fn relative(reference: &'r str) -> Self {
        let reason = |reason| Self::Unresolvable(reason);
        let Some((of, rest)) = reference.split_once('/') else {
            let search = reference.contains('?');
            return reason(if search {
                Unresolvable::Conditional
            } else {
                Unresolvable::Malformed
            });
        };
        if of.contains('?') {
            return reason(Unresolvable::Conditional);
        }
        let id = match rest.split_once('/') {
            None => rest,
            Some((id, version)) if version.starts_with("_history/") => id,
            Some(_) => return reason(Unresolvable::Malformed),
        };
        if is_id(id) && of.starts_with(|c: char| c.is_ascii_uppercase()) {
            Self::Resource { of, id }
        } else {
            reason(Unresolvable::Malformed)
        }
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The characters of an `id` (FHIR R4, "Primitive Types"), and the underscore that servers use all the same. Longer
/// ids than the 64 that R4 allows exist, too.
fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    // Without a way out of the loop it looks at many bytes at once.
    !text.is_empty() && text.bytes().fold(true, |all, b| all & plain(b))
}

/// A base url as it is compared: without the slash at its end.
pub fn base(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_form() {
        use Unresolvable as U;
        let bases = [base("https://x.org/fhir/"), base("http://y.org:8080/r4")];
        let to = |of, id| Target::Resource { of, id };
        for (reference, expected) in [
            ("Organization/o1", to("Organization", "o1")),
            ("Organization/o1/_history/3", to("Organization", "o1")),
            ("https://x.org/fhir/Organization/o1", to("Organization", "o1")),
            ("https://x.org/fhir/Organization/o1/_history/3", to("Organization", "o1")),
            ("http://y.org:8080/r4/Patient/a_b.c-1", to("Patient", "a_b.c-1")),
            ("http://x.org/fhir/Organization/o1", Target::Unresolvable(U::Elsewhere)),
            ("https://x.org/fhir2/Organization/o1", Target::Unresolvable(U::Elsewhere)),
            ("https://x.org/Organization/o1", Target::Unresolvable(U::Elsewhere)),
            ("https://x.org/fhir/deep/Organization/o1", Target::Unresolvable(U::Malformed)),
            ("https://x.org/fhir/Patient?identifier=1", Target::Unresolvable(U::Conditional)),
            ("urn:uuid:7e1a8c1e-2f6b-4d6c-9a6a-0f1e2d3c4b5a", Target::Unresolvable(U::Urn)),
            ("urn:oid:1.2.3", Target::Unresolvable(U::Urn)),
            ("#o1", Target::Unresolvable(U::Contained)),
            ("#", Target::Unresolvable(U::Contained)),
            ("Organization?identifier=1", Target::Unresolvable(U::Conditional)),
            ("Organization?identifier=http://x/y|1", Target::Unresolvable(U::Conditional)),
            ("Organization?identifier=urn:x|1/2", Target::Unresolvable(U::Conditional)),
            ("o1", Target::Unresolvable(U::Malformed)),
            ("", Target::Unresolvable(U::Malformed)),
            ("Organization/", Target::Unresolvable(U::Malformed)),
            ("/o1", Target::Unresolvable(U::Malformed)),
            ("fhir/Organization/o1", Target::Unresolvable(U::Malformed)),
            ("Organization/a b", Target::Unresolvable(U::Malformed)),
            ("mailto:a@b.org", Target::Unresolvable(U::Malformed)),
        ] {
            assert_eq!(Target::of(reference, &bases), expected, "{reference}");
        }
    }
}
