//! `stagecraft check`: the configuration alone, every environment.

use serde_json::json;

use crate::config;
use crate::ui::{Ui, words};

use super::args::Globals;
use super::failure::Failure;
use super::session::{config_file, engines};

pub(crate) async fn run(globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let file = config_file(globals)?;
    let summary = config::check_all(&file, &engines()?)
        .map_err(|problems| problems.into_fault(ui.options().style.is_color(), ui.options().width))?;
    for warning in &summary.warnings {
        ui.warn(warning).await;
    }
    let text = format!("{} is valid: {}", file.display(), words::plural(summary.environments.len(), "environment"));
    ui.show(&text, &json!({ "status": "valid", "file": file, "environments": summary.environments, "warnings": summary.warnings })).await;
    Ok(())
}
