//! Which configuration file and which environment a command acts on. Neither
//! an environment nor a near name is ever chosen for the user.

use std::path::{Path, PathBuf};

use crate::config::{self, Loaded};
use crate::model::fault::Fault;
use crate::model::names::EnvironmentName;
use crate::ui::words;

use super::args::Globals;
use super::wiring;

/// The configuration file that the options name, or the nearest one.
///
/// # Errors
/// There is none.
pub(crate) fn config_file(globals: &Globals) -> Result<PathBuf, Fault> {
    config::find(globals.config.as_deref())
}

/// The engine ids that the configuration may name.
///
/// # Errors
/// A defect in the registry.
pub(crate) fn engines() -> Result<config::Engines, Fault> {
    Ok(config::Engines::new(wiring::registry()?.known()))
}

/// The environment that was named, loaded.
///
/// # Errors
/// None was named, or one that the file does not have; everything that is
/// wrong with the configuration.
pub(crate) fn load(command: &str, globals: &Globals) -> Result<Loaded, Fault> {
    let file = config_file(globals)?;
    let name = environment(command, globals, &file)?;
    config::load(&file, Some(name.as_str()), &engines()?).map_err(mended)
}

/// Everything that is wrong with a configuration, and what comes after.
pub(crate) fn mended(problems: config::Problems) -> Fault {
    Fault::from(problems).hint("mend it, then run `stagecraft check`")
}

/// The environment that was named, which the file has.
///
/// # Errors
/// None was named, or the file has no such environment: with the commands to
/// type instead. The file cannot be read.
pub(crate) fn environment<'a>(
    command: &str,
    globals: &'a Globals,
    file: &Path,
) -> Result<&'a EnvironmentName, Fault> {
    let known = config::environments(file).map_err(mended)?;
    let fault =
        match &globals.env {
            Some(name) if known.iter().any(|known| known == name.as_str()) => return Ok(name),
            // A file without any is wrong as a whole, and says so itself.
            Some(name) if known.is_empty() => return Ok(name),
            Some(name) => Fault::config(format!("there is no environment `{name}`"))
                .because(format!("`{}` has {}", shown(file), words::and_list(&known))),
            None => Fault::config(format!(
                "`{command}` acts on an environment, and none was named"
            )),
        };
    Err(nearest_first(known, globals.env.as_ref())
        .iter()
        .fold(fault, |fault, name| {
            fault.hint(format!("`{command} --env {name}`"))
        }))
}

fn nearest_first(mut known: Vec<String>, wanted: Option<&EnvironmentName>) -> Vec<String> {
    if let Some(wanted) = wanted {
        let near = |name: &str| strsim::jaro_winkler(name, wanted.as_str());
        known.sort_by(|a, b| near(b).total_cmp(&near(a)));
    }
    known
}

fn shown(file: &Path) -> String {
    file.file_name().unwrap_or_default().display().to_string()
}
