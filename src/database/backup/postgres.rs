//! PostgreSQL: `pg_dump`'s custom format, and databases that change places by
//! rename.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::fault::Fault;
use crate::ports::{Cx, Database, Job, Which};

use super::{APPLICATION, Use, Vault, quoted};

pub(super) const FORMAT: &str = "custom";
pub(super) const EXTENSION: &str = "dump";

pub(super) const TABLES: &str = "SELECT count(*) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' \
     AND n.nspname NOT LIKE 'pg\\_%'";
pub(super) const SIZE: &str = "SELECT pg_database_size(current_database())";
pub(super) const NAME: &str = "SELECT current_database()";

/// Tables whose rows a dump holds, as SQL writes them.
pub(super) const ROWS_OF: &str = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1";

/// `view`: the name of the view of the database that is copied.
pub(super) fn dump(view: Option<&str>) -> String {
    let view = view.map_or_else(String::new, |view| format!("--snapshot={} ", quoted(view)));
    format!(
        "command -v pg_dump >/dev/null || exit 127\n\
         pg_dump --no-password --format=custom --compress=6 --lock-wait-timeout=60s {view}--file=\"$f\" & w=$!"
    )
}
/// All of it, not the table of contents alone.
pub(super) const READ_BACK: &str = "command -v pg_restore >/dev/null || exit 127\n\
     pg_restore --file=/dev/null \"$f\" & w=$!";

/// One who is not allowed to give objects away owns what it restores.
pub(super) fn load(owners: Owners) -> String {
    let owners = match owners {
        Owners::AsTheyWere => "",
        Owners::This => "--no-owner ",
    };
    format!(
        "command -v pg_restore >/dev/null || exit 127\n\
         pg_restore --no-password --exit-on-error {owners}--dbname=\"$PGDATABASE\" \"$f\" & w=$!"
    )
}

/// Empties the database and fills it again, in one transaction. Without its
/// last line, `COMMIT`, nothing happens, wherever the rest was cut off; what
/// stands there instead fails inside a table's rows and outside.
pub(super) fn overwrite(owners: Owners) -> String {
    let owners = match owners {
        Owners::AsTheyWere => "",
        Owners::This => "--no-owner ",
    };
    format!(
        r#"command -v pg_restore >/dev/null && command -v psql >/dev/null || exit 127
{{ printf '%s\n' 'BEGIN;' "SET LOCAL lock_timeout = '60s';" {empty}
if pg_restore --list "$f" | grep -v ' COMMENT - EXTENSION ' | pg_restore --use-list=/dev/stdin {owners}--file=- "$f"
then printf '\n%s\n' 'COMMIT;'
else printf '\n%s\n' '\.' 'SELECT 1 / 0;'
fi; }} | psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --dbname="$PGDATABASE" >/dev/null & w=$!"#,
        empty = quoted(EMPTY),
    )
}

/// Extensions stay, with what is theirs: a login need not own them, and a dump
/// makes them only where they are not there.
const EMPTY: &str = include_str!("empty.sql");

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owners {
    AsTheyWere,
    This,
}

/// How long sessions that were ended may take to go.
const GOING: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

impl Vault {
    /// A session beside the database: one that is connected to cannot be
    /// renamed.
    pub(super) async fn beside(&self, cx: &Cx, job: &Job<'_>) -> Result<Box<dyn Database>, Fault> {
        let usual = Which::Other("postgres".to_owned());
        match self.session(cx, job, usual, Use::Change).await {
            Ok(session) => Ok(session),
            Err(_) => {
                cx.check()?;
                let other = Which::Other("template1".to_owned());
                self.session(cx, job, other, Use::Change).await
            }
        }
    }
}

pub(super) async fn owners(session: &mut dyn Database) -> Result<Owners, Fault> {
    let sql = "SELECT rolsuper::text FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let answer = session.query(sql).await?;
    Ok(match answer.first() {
        Some(Some(text)) if text == "true" => Owners::AsTheyWere,
        _ => Owners::This,
    })
}

/// Makes an empty database like `source`.
pub(super) async fn make(
    cx: &Cx,
    admin: &mut dyn Database,
    source: &str,
    name: &str,
) -> Result<(), Fault> {
    // Columns came and went with the versions: a row as JSON has what it has.
    let sql = format!(
        "SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L%s', \
         {new}, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, \
         CASE to_jsonb(d)->>'datlocprovider' WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', \
         coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale')) ELSE '' END) \
         FROM pg_catalog.pg_database d WHERE d.datname = {source}",
        new = literal(name),
        source = literal(source),
    );
    let statements = admin.query(&sql).await?;
    let Some(Some(statement)) = statements.into_iter().next() else {
        return Err(Fault::failed(format!("there is no database `{source}`")));
    };
    run(cx, admin, &statement, "make a new database")
        .await
        .map_err(|fault| fault.hint("let the user make databases: `ALTER ROLE … CREATEDB`"))
}

/// Settings and rights of a database itself, which no dump of one holds.
async fn dress(cx: &Cx, admin: &mut dyn Database, like: &str, name: &str) -> Result<(), Fault> {
    let settings = format!(
        "SELECT format('ALTER DATABASE %I SET %I TO %s', {new}, s.name, \
         CASE WHEN s.name IN ('search_path', 'local_preload_libraries', 'session_preload_libraries', 'temp_tablespaces') \
         THEN s.value ELSE quote_literal(s.value) END) \
         FROM (SELECT split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value \
         FROM pg_catalog.pg_db_role_setting r JOIN pg_catalog.pg_database d ON d.oid = r.setdatabase, \
         unnest(r.setconfig) c WHERE d.datname = {like} AND r.setrole = 0) s",
        new = literal(name),
        like = literal(like),
    );
    let rights = format!(
        "SELECT s FROM (SELECT 0 AS at, format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {new}) AS s \
         FROM pg_catalog.pg_database WHERE datname = {like} AND datacl IS NOT NULL \
         UNION ALL SELECT 1, format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, {new}, \
         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
         CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
         FROM pg_catalog.pg_database d, aclexplode(d.datacl) a WHERE d.datname = {like}) t ORDER BY at",
        new = literal(name),
        like = literal(like),
    );
    for sql in [settings, rights] {
        for statement in admin.query(&sql).await?.into_iter().flatten() {
            run(cx, admin, &statement, "give the new database its settings").await?;
        }
    }
    Ok(())
}

pub(super) async fn discard(cx: &Cx, admin: &mut dyn Database, name: &str) -> Result<(), Fault> {
    let sql = format!("DROP DATABASE {}", identifier(name));
    run(cx, admin, &sql, "remove the new database").await
}

/// `new` becomes `live`, and `live` becomes `keep`. Whoever is connected is
/// disconnected, and nobody gets in between the two renames.
///
/// # Errors
/// `live` is as it was, unless the fault says otherwise.
pub(super) async fn swap(
    cx: &Cx,
    admin: &mut dyn Database,
    live: &str,
    new: &str,
    keep: &str,
) -> Result<(), Fault> {
    dress(cx, admin, live, new).await?;
    let allow = |name: &str, word: &str| {
        format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS {word}",
            identifier(name)
        )
    };
    let rename = |from: &str, to: &str| {
        format!(
            "ALTER DATABASE {} RENAME TO {}",
            identifier(from),
            identifier(to)
        )
    };
    // From here on nothing may stop half-way.
    let cx = &cx.uncancellable();
    run(cx, admin, &allow(live, "false"), "close the database").await?;
    let moved = async {
        emptied(cx, admin, live).await?;
        run(cx, admin, &rename(live, keep), "rename the database").await?;
        match run(
            cx,
            admin,
            &rename(new, live),
            "rename the restored database",
        )
        .await
        {
            Ok(()) => Ok(()),
            Err(fault) => {
                let back = run(cx, admin, &rename(keep, live), "rename the database back").await;
                Err(match back {
                    Ok(()) => fault,
                    Err(worse) => Fault {
                        kind: crate::model::fault::FaultKind::UndoFailed,
                        ..fault.because(worse.to_string()).state(format!(
                            "there is no `{live}` now: the database that was it is `{keep}`"
                        ))
                    },
                })
            }
        }
    };
    match moved.await {
        Ok(()) => run(cx, admin, &allow(keep, "true"), "open the kept database").await,
        Err(fault) => {
            // Where it was renamed after all, this finds nothing to open.
            let _ = run(cx, admin, &allow(live, "true"), "open the database").await;
            Err(fault)
        }
    }
}

/// Ends every session of a database that lets in no more.
async fn emptied(cx: &Cx, admin: &mut dyn Database, name: &str) -> Result<(), Fault> {
    let others = format!(
        "SELECT coalesce(nullif(application_name, ''), usename, 'unknown') FROM pg_catalog.pg_stat_activity \
         WHERE datname = {}",
        literal(name)
    );
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = {}",
        literal(name)
    );
    let mut names: Vec<String> = admin.query(&others).await?.into_iter().flatten().collect();
    if !names.is_empty() {
        let count = names.len();
        names.sort();
        names.dedup();
        cx.step(format!(
            "ended {count} session(s) on `{name}`, because a database that is in use cannot be renamed: {}",
            names.join(", ")
        ));
    }
    let deadline = Instant::now() + GOING;
    loop {
        admin.query(&end).await?;
        let left: Vec<String> = admin.query(&others).await?.into_iter().flatten().collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(
                Fault::failed(format!("sessions on `{name}` do not end")).because(left.join(", "))
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sessions that the database has seen, where nobody else is connected now.
/// Our own are not told apart by name alone: whoever asks twice expects one
/// more each time.
pub(super) fn alone() -> String {
    format!(
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_activity \
         WHERE datname = current_database() AND backend_type = 'client backend' \
         AND pid <> pg_backend_pid() AND application_name <> '{APPLICATION}' \
         AND application_name NOT LIKE 'stagecraft/%') \
         OR current_setting('server_version_num')::int < 150000 THEN NULL ELSE to_jsonb(s)->>'sessions' END \
         FROM pg_catalog.pg_stat_database s WHERE s.datname = current_database()"
    )
}

async fn run(cx: &Cx, admin: &mut dyn Database, sql: &str, what: &str) -> Result<(), Fault> {
    admin.execute(cx, sql).await.map_err(|error| {
        let fault = Fault::failed(format!("cannot {what}")).because(error.message);
        match error.detail {
            Some(detail) => fault.because(detail),
            None => fault,
        }
    })
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
