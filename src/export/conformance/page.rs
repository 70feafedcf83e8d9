//! The report as a page for people.

use std::fmt;

use super::{Conformance, TokenRequestShown};

impl fmt::Display for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server          {}", self.server)?;
        if !self.reachable {
            writeln!(f, "                does not answer")?;
        }
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not said".to_owned());
        writeln!(f, "FHIR version    {}", known(&self.fhir_version))?;
        writeln!(f, "software        {}", known(&self.software))?;
        let declared = if self.declares_bulk_data { "declared" } else { "not declared" };
        writeln!(f, "bulk data       {declared}")?;
        writeln!(f, "exports         {}", listed(&self.operations))?;
        writeln!(f, "token endpoint  {}", known(&self.token_endpoint))?;
        writeln!(f, "auth methods    {}", listed(&self.auth_methods))?;
        writeln!(f, "algorithms      {}", listed(&self.algorithms))?;
        writeln!(f, "scopes          {}", listed(&self.scopes))?;
        writeln!(f, "capabilities    {}", listed(&self.capabilities))?;
        self.write_types(f)?;
        if let Some(request) = &self.token_request {
            write!(f, "\n{request}")?;
        }
        self.write_kick_off(f)?;
        if !self.warnings.is_empty() {
            writeln!(f, "\nwarnings")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  {warning}"))
    }
}

impl Conformance {
    fn write_types(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.types.is_empty() {
            return writeln!(f, "types           not said");
        }
        writeln!(f, "types, and what `_typeFilter` may use")?;
        let width = self.types.iter().map(|offered| offered.name.len()).max().unwrap_or_default();
        for offered in &self.types {
            writeln!(f, "  {:width$}  {}", offered.name, listed(&offered.search_params))?;
        }
        Ok(())
    }

    fn write_kick_off(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.kick_off;
        writeln!(f, "\nkick-off\n  {} {}", request.method, request.url)?;
        for (name, value) in &request.headers {
            writeln!(f, "  {name}: {value}")?;
        }
        if let Some(body) = &request.body {
            writeln!(f, "{}", indented(&format!("{body:#}")))?;
        }
        match request.patients {
            0 => Ok(()),
            patients => writeln!(f, "  and {patients} patients, not shown"),
        }
    }
}

impl fmt::Display for TokenRequestShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.0;
        writeln!(f, "token\n  POST {}", request.url)?;
        if let Some(authorization) = &request.authorization {
            writeln!(f, "  authorization: {authorization}")?;
        }
        writeln!(f, "  grant_type: client_credentials")?;
        if !request.scope.is_empty() {
            writeln!(f, "  scope: {}", request.scope)?;
        }
        let Some((header, claims)) = &request.assertion else { return Ok(()) };
        let json = |part: serde_json::Result<String>| part.unwrap_or_default();
        writeln!(f, "  client_assertion, signed, with another `jti` each time:")?;
        writeln!(f, "    {}", json(serde_json::to_string(header)))?;
        writeln!(f, "    {}", json(serde_json::to_string(claims)))
    }
}

fn listed<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "not said".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
