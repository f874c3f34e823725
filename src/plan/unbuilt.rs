//! What the configuration may ask for and this version cannot do yet: `check`
//! accepts the key, and whatever would need it is refused. Going on without it
//! would break a promise that the file makes.

use crate::model::fault::Fault;
use crate::model::project::{DatabaseSpec, Environment, OnFailure};

/// For everything that changes a database.
///
/// # Errors
/// `Config`, naming the key.
pub fn migrations(environment: &Environment) -> Result<(), Fault> {
    if environment.on_failure == OnFailure::Restore {
        return Err(refuse("on_failure: restore", "set `on_failure: stop`"));
    }
    environment.databases.values().try_for_each(database)
}

fn database(database: &DatabaseSpec) -> Result<(), Fault> {
    let name = &database.name;
    if database.backup_before_migrate {
        return Err(refuse(
            &format!("databases.{name}.backup.before_migrate"),
            "take the backup yourself, and set `before_migrate: false`",
        ));
    }
    Ok(())
}

fn refuse(key: &str, way_out: &str) -> Fault {
    Fault::config(format!("`{key}` is not built yet in this version"))
        .because("the configuration is valid, but this version cannot do what it asks for")
        .state("nothing was changed")
        .hint(way_out)
}
