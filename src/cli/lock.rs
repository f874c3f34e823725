//! `stagecraft lock`.

use serde_json::json;

use crate::ui::{Table, Ui, words};

use super::args::{Globals, LockArgs, LockCommand};
use super::failure::Failure;
use super::session::on_environment;

pub(crate) async fn run(args: &LockArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    match args.command {
        LockCommand::Show => {}
    }
    on_environment("stagecraft lock show", globals, ui, None, async |session| {
        let held = session.house.lock.show(&session.cx).await?;
        let text = if held.is_empty() {
            format!("nobody holds the lock of `{}`", session.environment.name)
        } else {
            let mut table = Table::new(["WHERE", "WHO", "MACHINE", "SINCE", "COMMAND"]);
            for (place, holder) in &held {
                table.row([
                    place.clone(),
                    holder.who.clone(),
                    holder.machine.clone(),
                    words::time(holder.since),
                    holder.command.clone(),
                ]);
            }
            table.render(ui.options().stdout_style, "")
        };
        let documents: Vec<_> = held
            .iter()
            .map(|(place, holder)| json!({ "where": place, "holder": holder }))
            .collect();
        ui.show(&text, &json!({ "locks": documents })).await;
        Ok(())
    })
    .await
}
