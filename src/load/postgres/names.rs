//! Names in the target: quoted always, never longer than PostgreSQL's 63 bytes.

use super::ledger::LEDGER;
use crate::error::{Error, ErrorKind, Result};
use crate::load::{TableVersion, quoted, rows};

/// PostgreSQL cuts longer names, so that two could become one (NAMEDATALEN - 1).
const MAX_BYTES: usize = 63;

/// Names below one schema.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The schema, not quoted.
    pub(super) schema: String,
}

impl Names {
    /// The schema.
    pub(super) fn quoted_schema(&self) -> String {
        quoted(&self.schema)
    }

    /// A table, or another object, with its schema.
    pub(super) fn table(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(table))
    }

    /// The name of a table's staging table.
    pub(super) fn staging(table: &str) -> String {
        format!("kiln_staging_{}", &rows::fingerprint([table.to_owned()])[..16])
    }

    /// The name of an index of the staging table.
    pub(super) fn staging_index(table: &str, column: &str) -> String {
        let of = rows::fingerprint([table.to_owned(), "\0".to_owned(), column.to_owned()]);
        format!("kiln_staging_{}_idx", &of[..16])
    }

    /// The name of an index once its table is swapped in.
    pub(super) fn index(table: &str, column: &str) -> String {
        let of = rows::fingerprint([table.to_owned(), "\0".to_owned(), column.to_owned()]);
        let readable: String = format!("{table}_{column}").chars().take(40).collect();
        format!("{readable}_{}_idx", &of[..8])
    }
}

/// Refuses tables whose names the target cannot have.
pub(super) fn check(table: &TableVersion) -> Result<()> {
    let refuse = |message: String| Error::new(ErrorKind::Definition, message);
    if table.name == LEDGER || table.name.starts_with("kiln_staging_") {
        return Err(refuse(format!("`{}` is a name that Kiln needs in the target", table.name)));
    }
    let columns = table.schema.fields().iter().map(|field| ("column", field.name()));
    for (what, name) in std::iter::once(("table", &table.name)).chain(columns) {
        if name.len() > MAX_BYTES || name.contains('\0') {
            let message = format!(
                "the {what} name `{name}` has {} bytes; names in PostgreSQL have at most {MAX_BYTES}",
                name.len()
            );
            return Err(refuse(message).at("table", &table.name).hint("choose a shorter name"));
        }
    }
    Ok(())
}
