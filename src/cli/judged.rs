//! What the engines say of the databases that name them: options, paths and
//! files. Opens no connection.

use indexmap::IndexMap;

use crate::migrate::Registry;
use crate::model::fault::Fault;
use crate::model::names::DatabaseName;
use crate::model::project::Environment;
use crate::ui::words;

/// Asks each database's engine; every problem of all environments at once,
/// each said once. `databases`: only these; empty means all.
///
/// # Errors
/// `Config`, with all problems.
pub(crate) async fn by_engines(
    registry: &Registry,
    environments: &[&Environment],
    databases: &[DatabaseName],
) -> Result<(), Fault> {
    let mut problems: IndexMap<String, Vec<&str>> = IndexMap::new();
    for environment in environments {
        for (name, database) in &environment.databases {
            if !databases.is_empty() && !databases.contains(name) {
                continue;
            }
            let found = match registry.get(&database.migrations.engine) {
                Ok(engine) => engine.validate(database).await,
                Err(unknown) => vec![unknown.to_string()],
            };
            for problem in found {
                let line = format!("database `{name}`: {problem}");
                let places = problems.entry(line).or_default();
                places.push(environment.name.as_str());
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let count = words::plural(problems.len(), "problem");
    let mut fault = Fault::config(format!("{count} with the migrations"));
    for (line, places) in problems {
        fault = fault.because(if places.len() == environments.len() {
            line
        } else {
            format!("{line} (in {})", words::and_list(places))
        });
    }
    Err(fault.hint("mend the files or the configuration, then run `stagecraft check`"))
}
