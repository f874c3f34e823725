//! What MySQL and MariaDB say of a schema. Their `information_schema` differs
//! in a few columns, which are asked for first. Imports `ports`.
//!
//! The name of the database itself is taken out of the texts of views and
//! checks, so that a copy under another name looks the same.

use crate::model::fault::Fault;
use crate::ports::Database;

/// Columns that not every server has.
const ASKED: [&str; 4] = [
    "STATISTICS.EXPRESSION",
    "STATISTICS.IS_VISIBLE",
    "STATISTICS.IGNORED",
    "CHECK_CONSTRAINTS.TABLE_NAME",
];

const OURS: &str = "('stagecraft_migrations', 'stagecraft_schema')";

const TABLES: &str = "SELECT CONCAT(CASE table_type WHEN 'SEQUENCE' THEN 'sequence ' ELSE 'table ' END, table_name, CHAR(31), \
     CONCAT_WS(' ', CONCAT('engine ', engine), CONCAT('collate ', table_collation), NULLIF(create_options, ''))) \
     FROM information_schema.tables \
     WHERE table_schema = DATABASE() AND table_type <> 'VIEW' AND table_name NOT IN OURS";

const COLUMNS: &str = "SELECT CONCAT('table ', c.table_name, ' column ', c.column_name, CHAR(31), CONCAT_WS(' ', c.column_type, \
     CASE WHEN c.collation_name <> t.table_collation THEN CONCAT('collate ', c.collation_name) END, \
     CASE c.is_nullable WHEN 'NO' THEN 'not null' END, CONCAT('default ', c.column_default), \
     NULLIF(c.extra, ''), CONCAT('as (', NULLIF(c.generation_expression, ''), ')'))) \
     FROM information_schema.columns c JOIN information_schema.tables t \
     ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
     WHERE c.table_schema = DATABASE() AND t.table_type NOT IN ('VIEW', 'SEQUENCE') AND t.table_name NOT IN OURS";

/// A row a column: those of one key are joined in this order.
const INDEXES: &str = "SELECT CONCAT('table ', table_name, ' index ', index_name, CHAR(31), \
     CASE WHEN seq_in_index > 1 THEN '' WHEN non_unique = 1 THEN CONCAT(lower(index_type), ' on ') \
     ELSE CONCAT('unique ', lower(index_type), ' on ') END, \
     EXPRESSION, \
     CASE WHEN sub_part IS NULL THEN '' ELSE CONCAT('(', sub_part, ')') END, CASE collation WHEN 'D' THEN ' desc' ELSE '' END, HIDDEN) \
     FROM information_schema.statistics \
     WHERE table_schema = DATABASE() AND table_name NOT IN OURS \
     ORDER BY table_name, index_name, seq_in_index";

const FOREIGN: &str = "SELECT CONCAT('table ', k.table_name, ' foreign key ', k.constraint_name, CHAR(31), k.column_name, ' references ', \
     CASE WHEN k.referenced_table_schema = DATABASE() THEN '' ELSE CONCAT(k.referenced_table_schema, '.') END, \
     k.referenced_table_name, '(', k.referenced_column_name, ')', \
     CASE WHEN k.ordinal_position > 1 THEN '' ELSE CONCAT(' on update ', lower(r.update_rule), ' on delete ', lower(r.delete_rule)) END) \
     FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r \
     ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name \
     WHERE k.table_schema = DATABASE() AND k.referenced_table_name IS NOT NULL \
     ORDER BY k.table_name, k.constraint_name, k.ordinal_position";

const CHECKS: &str = "SELECT CONCAT('table ', t.table_name, ' check ', c.constraint_name, CHAR(31), HOME(c.check_clause)) \
     FROM information_schema.check_constraints c JOIN information_schema.table_constraints t \
     ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name \
     WHERE t.table_schema = DATABASE() AND t.constraint_type = 'CHECK'";

/// MariaDB names the table; a check of one column has that column's name, and
/// two tables may have one of the same name.
const CHECKS_BY_TABLE: &str = "SELECT CONCAT('table ', c.table_name, ' check ', c.constraint_name, CHAR(31), HOME(c.check_clause)) \
     FROM information_schema.check_constraints c WHERE c.constraint_schema = DATABASE()";

const PARTITIONS: &str = "SELECT CONCAT('table ', table_name, ' partition ', partition_name, \
     CASE WHEN subpartition_name IS NULL THEN '' ELSE CONCAT('.', subpartition_name) END, CHAR(31), \
     CONCAT_WS(' ', lower(partition_method), partition_expression, partition_description, \
     lower(subpartition_method), subpartition_expression)) \
     FROM information_schema.partitions WHERE table_schema = DATABASE() AND partition_name IS NOT NULL";

const VIEWS: &str = "SELECT CONCAT('view ', table_name, CHAR(31), HOME(view_definition), \
     CASE check_option WHEN 'NONE' THEN '' ELSE CONCAT(' with ', lower(check_option), ' check option') END, \
     CASE security_type WHEN 'INVOKER' THEN ' as invoker' ELSE '' END) \
     FROM information_schema.views WHERE table_schema = DATABASE()";

const TRIGGERS: &str = "SELECT CONCAT('table ', event_object_table, ' trigger ', trigger_name, CHAR(31), \
     lower(action_timing), ' ', lower(event_manipulation), ' ', action_order, '\\n', action_statement) \
     FROM information_schema.triggers WHERE trigger_schema = DATABASE()";

/// The server shows the body of a routine only to whoever may see it.
const ROUTINES: &str = "SELECT CONCAT(lower(routine_type), ' ', routine_name, CHAR(31), CONCAT_WS(' ', \
     CASE routine_type WHEN 'FUNCTION' THEN CONCAT('returns ', dtd_identifier) END, \
     CASE is_deterministic WHEN 'YES' THEN 'deterministic' END, lower(sql_data_access), \
     CASE security_type WHEN 'INVOKER' THEN 'as invoker' END), '\\n', \
     COALESCE(routine_definition, '(not shown to this user)')) \
     FROM information_schema.routines WHERE routine_schema = DATABASE()";

const PARAMETERS: &str = "SELECT CONCAT(lower(routine_type), ' ', specific_name, ' parameter ', \
     LPAD(ordinal_position, 2, '0'), CHAR(31), CONCAT_WS(' ', lower(parameter_mode), parameter_name, dtd_identifier)) \
     FROM information_schema.parameters WHERE specific_schema = DATABASE() AND ordinal_position > 0";

const EVENTS: &str = "SELECT CONCAT('event ', event_name, CHAR(31), CONCAT_WS(' ', \
     CASE WHEN interval_value IS NULL THEN CONCAT('at ', execute_at) ELSE CONCAT('every ', interval_value, ' ', lower(interval_field)) END, \
     lower(status)), '\\n', event_definition) \
     FROM information_schema.events WHERE event_schema = DATABASE()";

pub(super) async fn rows(database: &mut dyn Database) -> Result<Vec<String>, Fault> {
    let names: Vec<String> = ASKED.iter().map(|name| format!("'{name}'")).collect();
    let there = database
        .query(&format!(
            "SELECT DISTINCT CONCAT(upper(table_name), '.', upper(column_name)) FROM information_schema.columns \
             WHERE table_schema = 'information_schema' \
             AND CONCAT(upper(table_name), '.', upper(column_name)) IN ({})",
            names.join(", ")
        ))
        .await?;
    let there: Vec<String> = there.into_iter().flatten().collect();
    let has = |name: &str| there.iter().any(|known| known == name);
    let expression = match has("STATISTICS.EXPRESSION") {
        true => "COALESCE(column_name, CONCAT('(', expression, ')'))",
        false => "column_name",
    };
    let hidden = match (has("STATISTICS.IS_VISIBLE"), has("STATISTICS.IGNORED")) {
        (true, _) => "CASE is_visible WHEN 'NO' THEN ' invisible' ELSE '' END",
        (false, true) => "CASE ignored WHEN 'YES' THEN ' ignored' ELSE '' END",
        (false, false) => "''",
    };
    let checks = match has("CHECK_CONSTRAINTS.TABLE_NAME") {
        true => CHECKS_BY_TABLE,
        false => CHECKS,
    };
    let mut rows = vec![];
    for query in [
        TABLES, COLUMNS, INDEXES, FOREIGN, checks, PARTITIONS, VIEWS, TRIGGERS, ROUTINES,
        PARAMETERS, EVENTS,
    ] {
        let query = home(query)
            .replace("OURS", OURS)
            .replace("EXPRESSION,", &format!("{expression},"))
            .replace("HIDDEN", hidden);
        rows.extend(database.query(&query).await?.into_iter().flatten());
    }
    Ok(rows)
}

/// `HOME(x)`: x without the name of this database.
fn home(query: &str) -> String {
    let Some((before, rest)) = query.split_once("HOME(") else {
        return query.to_owned();
    };
    match rest.split_once(')') {
        Some((inner, after)) => {
            format!("{before}REPLACE({inner}, CONCAT('`', DATABASE(), '`.'), ''){after}")
        }
        None => query.to_owned(),
    }
}
