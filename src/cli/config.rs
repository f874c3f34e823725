//! `stagecraft config`.

use crate::config;
use crate::ui::Ui;

use super::args::{ConfigArgs, ConfigCommand, Globals};
use super::failure::Failure;
use super::target;

pub(crate) async fn run(args: &ConfigArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Schema => {
            let schema = config::schema();
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            ui.show(&text, &schema).await;
        }
        ConfigCommand::Show => {
            let file = target::config_file(globals)?;
            let name = target::environment("stagecraft config show", globals, &file)?;
            let shown =
                config::show(&file, name.as_str(), &target::engines()?).map_err(target::mended)?;
            ui.show(shown.yaml.trim_end(), &shown.json).await;
        }
    }
    Ok(())
}
