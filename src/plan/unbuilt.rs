//! What the configuration may ask for and this version cannot do yet: `check`
//! accepts the key, and whatever would need it is refused. Going on without it
//! would break a promise that the file makes.

use crate::model::fault::Fault;
use crate::model::project::{DatabaseSpec, Environment, Safety};

/// For everything that changes a database.
///
/// # Errors
/// `Config`, naming the key.
pub fn migrations(environment: &Environment) -> Result<(), Fault> {
    environment.databases.values().try_for_each(database)
}

fn database(database: &DatabaseSpec) -> Result<(), Fault> {
    let name = &database.name;
    match database.safety_blocking {
        Safety::Off | Safety::Warn => Ok(()),
        Safety::Approve | Safety::Block => Err(refuse(
            &format!("databases.{name}.safety.blocking"),
            "set it to `warn` or `off`, and read the migrations before they run",
        )),
    }
}

fn refuse(key: &str, way_out: &str) -> Fault {
    Fault::config(format!("`{key}` is not built yet in this version"))
        .because("the configuration is valid, but this version cannot do what it asks for")
        .state("nothing was changed")
        .hint(way_out)
}
