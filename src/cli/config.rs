//! `stagecraft config`.

use crate::config;
use crate::model::fault::Fault;
use crate::ui::Ui;

use super::args::{ConfigArgs, ConfigCommand, Globals};
use super::failure::Failure;
use super::session::{config_file, engines};

pub(crate) async fn run(args: &ConfigArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Schema => {
            let schema = config::schema();
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            ui.show(&text, &schema).await;
        }
        ConfigCommand::Show => {
            let file = config_file(globals)?;
            let Some(name) = &globals.env else {
                let mut fault = Fault::config(
                    "`stagecraft config show` shows one environment, and none was named",
                );
                for name in config::environments(&file).unwrap_or_default() {
                    fault = fault.hint(format!("`stagecraft config show --env {name}`"));
                }
                return Err(fault.into());
            };
            let shown = config::show(&file, name.as_str(), &engines()?).map_err(Fault::from)?;
            ui.show(shown.yaml.trim_end(), &shown.json).await;
        }
    }
    Ok(())
}
