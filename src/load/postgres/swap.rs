//! Staging tables become the tables: all of a load in one transaction, so that no reader sees versions mixed.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::{GenericClient, Transaction};

use super::connect::failed;
use super::ledger::{self, Entry, State};
use super::names::Names;
use super::staging::{comments, indexed};
use super::{Postgres, ledger::LEDGER};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::load::{TableVersion, quoted, rows};

/// A table whose staging table is whole.
pub(super) struct Ready<'t> {
    pub(super) table: &'t TableVersion,
    pub(super) entry: Entry,
}

/// How long a table that others read is waited for at a time: shorter than PostgreSQL's `deadlock_timeout`, so that none
/// of them is ended for it, and all that come after it are held up for no longer.
const LOCK_WAIT: Duration = Duration::from_millis(300);

/// How long they are left alone between two tries, of which there are so many: eight minutes.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 600;

/// Puts the new content in place, and notes it.
pub(super) async fn swap(
    transaction: &Transaction<'_>,
    postgres: &Postgres,
    ready: &[Ready<'_>],
    run: &str,
) -> Result<()> {
    let names = postgres.names();
    let mut renamed = Vec::new();
    for ready in ready {
        let name = names.table(&ready.table.name);
        match oid(transaction, &name).await? {
            Some(old) if !attached(transaction, old, &ready.table.name).await?.is_empty() => {
                replace_content(transaction, &names, ready, old).await?;
            }
            old => renamed.push((ready, old)),
        }
    }
    let old = renamed.iter().filter(|(_, old)| old.is_some());
    let old: Vec<_> = old.map(|(ready, _)| names.table(&ready.table.name)).collect();
    lock(transaction, &old).await?;
    for (ready, old) in renamed {
        rename(transaction, postgres, ready, old).await?;
    }
    for ready in ready {
        let table = &ready.table.name;
        let about = comments(&names, table, ready.table, run);
        transaction.batch_execute(&about).await.map_err(|e| failed("describe the table", &e))?;
        ledger::forget_staged(transaction, &names, table).await?;
        ledger::note(transaction, &names, table, State::Loaded, &ready.entry, run).await?;
    }
    Ok(())
}

/// Refuses a table of the target that Kiln did not load.
pub(super) async fn check_owned(
    client: &impl GenericClient,
    names: &Names,
    table: &str,
) -> Result<()> {
    if ledger::entry(client, names, table, State::Loaded).await?.is_some()
        || oid(client, &names.table(table)).await?.is_none()
    {
        return Ok(());
    }
    let message =
        format!("the target has a table `{}`.`{table}` that Kiln did not load", names.schema);
    Err(Error::new(ErrorKind::Refused, message).hint(format!(
        "load to another `schema`, or rename that table; if Kiln may replace it, drop it (`{LEDGER}` lists what Kiln loaded)"
    )))
}

/// The number of a table, if it exists.
pub(super) async fn oid(client: &impl GenericClient, name: &str) -> Result<Option<u32>> {
    let row = client.query_one("SELECT to_regclass($1)::oid", &[&name]).await;
    Ok(row.map_err(|e| failed("look for a table", &e))?.get(0))
}

/// What hangs on a table and would be lost with it, or forbid to drop it.
async fn attached(client: &impl GenericClient, old: u32, table: &str) -> Result<Vec<String>> {
    let query = "\
        SELECT DISTINCT 'view ' || r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid \
          WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND r.ev_class <> $1 \
        UNION ALL SELECT DISTINCT 'function ' || d.objid::regprocedure::text FROM pg_depend d \
          WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 \
        UNION ALL SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass::text FROM pg_constraint \
          WHERE contype = 'f' AND confrelid = $1 \
        UNION ALL SELECT 'policy ' || polname FROM pg_policy WHERE polrelid = $1 \
        UNION ALL SELECT 'row security' FROM pg_class WHERE oid = $1 AND relrowsecurity \
        UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal \
        UNION ALL SELECT 'publication' FROM pg_publication_rel WHERE prrelid = $1 \
        UNION ALL SELECT 'grants on column ' || attname FROM pg_attribute WHERE attrelid = $1 AND attacl IS NOT NULL";
    let found = client.query(query, &[&old]).await;
    let found = found.map_err(|e| failed("see what depends on a table", &e))?;
    let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    if let Some(key) = found.iter().find(|what| what.starts_with("foreign key")) {
        // Its rows could be deleted with ours.
        let message = format!("`{table}` cannot be replaced: the {key} refers to it");
        return Err(Error::new(ErrorKind::Refused, message)
            .hint("drop the foreign key; rows of a table that is replaced come and go"));
    }
    Ok(found)
}

/// Keeps the table, with all that hangs on it, and replaces its rows; readers see the old ones until the commit.
async fn replace_content(
    transaction: &Transaction<'_>,
    names: &Names,
    ready: &Ready<'_>,
    old: u32,
) -> Result<()> {
    let table = &ready.table.name;
    let before = ledger::entry(transaction, names, table, State::Loaded).await?;
    if before.is_none_or(|before| !before.has_columns_of(ready.table)) {
        let hanging = attached(transaction, old, table).await?.join(", ");
        let message = format!("the columns of `{table}` changed, but other objects depend on it");
        return Err(Error::new(ErrorKind::Refused, message).at("they are", hanging).hint(
            "drop them (and the table, if they belong to it), load again, and make them anew; nothing was changed",
        ));
    }
    let (target, staging) = (names.table(table), names.table(&Names::staging(table)));
    let columns = rows::plain(&ready.table.schema);
    let columns: Vec<_> = columns.fields().iter().map(|field| quoted(field.name())).collect();
    let columns = columns.join(", ");
    // TRUNCATE would show an empty table to transactions that began earlier, such as a dump.
    let replace = format!(
        "LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE; DELETE FROM {target}; \
         INSERT INTO {target} ({columns}) SELECT {columns} FROM {staging}; DROP TABLE {staging}; ANALYZE {target}"
    );
    transaction.batch_execute(&replace).await.map_err(|e| failed("replace the rows", &e))
}

/// Locks the tables that go, all at once.
async fn lock(transaction: &Transaction<'_>, tables: &[String]) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let lock = format!(
        "SAVEPOINT kiln_lock; SET LOCAL lock_timeout = {}; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; \
         SET LOCAL lock_timeout = 0; RELEASE SAVEPOINT kiln_lock",
        LOCK_WAIT.as_millis(),
        tables.join(", ")
    );
    for _ in 0..TRIES {
        let Err(error) = transaction.batch_execute(&lock).await else { return Ok(()) };
        let busy = error.code().is_some_and(|code| matches!(code.code(), "55P03" | "40P01"));
        if !busy {
            return Err(failed("lock the tables", &error));
        }
        let back = transaction.batch_execute("ROLLBACK TO SAVEPOINT kiln_lock").await;
        back.map_err(|e| failed("lock the tables", &e))?;
        Clock::System.wait(PAUSE).await;
    }
    Err(Error::new(ErrorKind::TryLater, "others read the tables without a pause")
        .hint("end long queries on them and load again: what was copied is kept, and only swapped in then"))
}

/// The staging table takes the place of the old one, with its owner and privileges.
async fn rename(
    transaction: &Transaction<'_>,
    postgres: &Postgres,
    ready: &Ready<'_>,
    old: Option<u32>,
) -> Result<()> {
    let (names, table) = (postgres.names(), &ready.table.name);
    let (target, staging) = (names.table(table), names.table(&Names::staging(table)));
    let mut sql = String::new();
    if let Some(old) = old {
        sql += &privileges(transaction, &staging, old).await?;
        let _ = writeln!(sql, "DROP TABLE {target};");
    }
    let _ = writeln!(sql, "ALTER TABLE {staging} RENAME TO {};", quoted(table));
    for column in indexed(postgres, ready.table) {
        let index = names.table(&Names::staging_index(table, column));
        let _ = writeln!(
            sql,
            "ALTER INDEX {index} RENAME TO {};",
            quoted(&Names::index(table, column))
        );
    }
    transaction
        .batch_execute(&sql)
        .await
        .map_err(|e| failed("swap the tables", &e).at("table", table))
}

/// Statements that give the staging table the owner and exactly the privileges of the old one.
async fn privileges(transaction: &Transaction<'_>, staging: &str, old: u32) -> Result<String> {
    let doing = |e| failed("read the privileges", &e);
    let granted = "SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END, a.privilege_type, a.is_grantable, a.grantee = c.relowner \
        FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE c.oid = $1";
    let new = oid(transaction, staging).await?.unwrap_or_default();
    let mut sql = String::new();
    // What default privileges gave to the new table was not necessarily given on the old one.
    for row in transaction.query(granted, &[&new]).await.map_err(doing)? {
        if !row.get::<_, bool>(3) {
            let _ = writeln!(sql, "REVOKE ALL ON {staging} FROM {};", row.get::<_, &str>(0));
        }
    }
    for row in transaction.query(granted, &[&old]).await.map_err(doing)? {
        let option = if row.get::<_, bool>(2) { " WITH GRANT OPTION" } else { "" };
        let (to, privilege) = (row.get::<_, &str>(0), row.get::<_, &str>(1));
        let _ = writeln!(sql, "GRANT {privilege} ON {staging} TO {to}{option};");
    }
    let owner = "SELECT quote_ident(pg_get_userbyid(relowner)), pg_get_userbyid(relowner) = current_user FROM pg_class WHERE oid = $1";
    let owner = transaction.query_one(owner, &[&old]).await.map_err(doing)?;
    if !owner.get::<_, bool>(1) {
        let _ = writeln!(sql, "ALTER TABLE {staging} OWNER TO {};", owner.get::<_, &str>(0));
    }
    Ok(sql)
}
