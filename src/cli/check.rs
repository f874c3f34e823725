//! `stagecraft check`: the configuration alone, every environment.

use serde_json::json;

use crate::config;
use crate::ui::{Ui, words};

use super::args::Globals;
use super::failure::Failure;
use super::judged;
use super::target::{config_file, mended};
use super::wiring;

pub(crate) async fn run(globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let file = config_file(globals)?;
    let registry = wiring::registry()?;
    let engines = config::Engines::new(registry.known());
    let summary = config::check_all(&file, &engines).map_err(mended)?;
    for warning in summary.warnings.warnings() {
        ui.warn(&warning).await;
    }
    let environments: Vec<_> = summary.environments.iter().collect();
    judged::by_engines(&registry, &environments, &[]).await?;
    let names: Vec<&str> = summary
        .environments
        .iter()
        .map(|environment| environment.name.as_str())
        .collect();
    let text = format!(
        "{} is valid: {}",
        file.display(),
        words::plural(summary.environments.len(), "environment")
    );
    ui.show(&text, &json!({ "status": "valid", "file": file, "environments": names, "warnings": summary.warnings })).await;
    Ok(())
}
