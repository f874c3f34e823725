//! PostgreSQL's catalogue.

use crate::migrate::lint::{Facts, Named};
use crate::model::fault::Fault;
use crate::ports::Database;

use super::{facts, literal, rows, sessions};

pub(super) const VERSION: &str = "SELECT current_setting('server_version')";

/// Sizes as they are now, and rows as the planner counts them: those of the
/// last ANALYZE, stretched to today's size. A table that somebody has locked
/// exclusively is not touched: its size is the catalogue's. Partitions count
/// for their parents.
const SIZES: &str = "WITH RECURSIVE \
 wanted(name, nsp, rel) AS (VALUES {values}), \
 locked AS (SELECT relation FROM pg_catalog.pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL), \
 found AS (SELECT w.name, c.oid, c.relkind FROM wanted w \
   JOIN pg_catalog.pg_class c ON c.relname = w.rel \
   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
   WHERE CASE WHEN w.nsp = '' THEN pg_catalog.pg_table_is_visible(c.oid) OR n.nspname = 'public' ELSE n.nspname = w.nsp END), \
 indexed AS (SELECT f.name, i.indrelid, t.relname AS rel, \
   CASE WHEN n.nspname = 'public' OR pg_catalog.pg_table_is_visible(t.oid) THEN t.relname::text ELSE n.nspname || '.' || t.relname END AS tab \
   FROM found f JOIN pg_catalog.pg_index i ON i.indexrelid = f.oid \
   JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
   WHERE f.relkind IN ('i', 'I')), \
 roots AS (SELECT name, oid FROM found WHERE relkind IN ('r', 'p', 'm') UNION SELECT tab, indrelid FROM indexed), \
 parts(name, oid) AS (SELECT name, oid FROM roots UNION ALL \
   SELECT p.name, h.inhrelid FROM parts p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.oid), \
 sized AS (SELECT p.name, c.relkind, c.reltuples, c.relpages::bigint * current_setting('block_size')::bigint AS known, \
   CASE WHEN c.relkind IN ('r', 'm') AND c.oid NOT IN (SELECT relation FROM locked) THEN pg_catalog.pg_relation_size(c.oid) \
   ELSE c.relpages::bigint * current_setting('block_size')::bigint END AS bytes \
   FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.oid WHERE c.relkind IN ('r', 'm')), \
 counted AS (SELECT name, bytes, CASE WHEN bytes = 0 THEN 0 WHEN reltuples < 0 OR known = 0 THEN NULL \
   ELSE round(reltuples::numeric * bytes / known) END AS rows FROM sized) \
 SELECT json_build_object('name', r.name, \
   'rows', CASE WHEN bool_or(c.rows IS NULL AND c.name IS NOT NULL) THEN NULL ELSE coalesce(sum(c.rows), 0)::bigint END, \
   'bytes', coalesce(sum(c.bytes), 0)::bigint)::text \
 FROM roots r LEFT JOIN counted c ON c.name = r.name GROUP BY r.name \
 UNION ALL SELECT json_build_object('name', name, 'of', tab)::text FROM indexed";

/// Whoever began this long ago is not done soon.
const OPEN: &str = "SELECT json_build_object(\
 'who', format('%s of %s, in a transaction since %s UTC', coalesce(nullif(a.application_name, ''), 'a session'), a.usename, \
   to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')), \
 'tables', (SELECT json_agg(DISTINCT CASE WHEN n.nspname = 'public' OR pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text ELSE n.nspname || '.' || c.relname END) \
   FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm') \
   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = a.pid AND l.granted))::text \
 FROM pg_catalog.pg_stat_activity a \
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend' \
 AND a.xact_start < now() - interval '5 seconds' ORDER BY a.xact_start, a.pid LIMIT 10";

pub(super) async fn read(database: &mut dyn Database, named: &Named) -> Result<Facts, Fault> {
    let names = named.tables.iter().chain(&named.indexes);
    let values: Vec<String> = names.map(|name| value(name)).collect();
    let found = match values.is_empty() {
        true => vec![],
        false => {
            let sql = SIZES.replace("{values}", &values.join(", "));
            rows(database.query(&sql).await?)
        }
    };
    let open = sessions(database.query(OPEN).await?);
    Ok(Facts {
        open,
        ..facts(named, found)
    })
}

fn value(name: &str) -> String {
    let (schema, relation) = name.rsplit_once('.').unwrap_or(("", name));
    format!(
        "({}, {}, {})",
        literal(name),
        literal(schema),
        literal(relation)
    )
}
