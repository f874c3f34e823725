//! `stagecraft exec`.

use std::time::Duration;

use serde_json::json;

use crate::deploy::Wanted;
use crate::model::command_line::CommandLine;
use crate::model::container::label;
use crate::ui::Ui;

use super::args::{ExecArgs, Globals};
use super::choice::found_nothing;
use super::failure::Failure;
use super::keeper::Access;
use super::session::on_environment;

/// Ends with the command's own code.
pub(crate) async fn run(args: &ExecArgs, globals: &Globals, ui: &Ui) -> Result<u8, Failure> {
    on_environment("stagecraft exec", globals, ui, None, async |session| {
        let facts = session
            .observe(&session.cx, Wanted::Hosts, Access::Read)
            .await?;
        let role = args
            .role
            .as_ref()
            .or_else(|| session.environment.roles.keys().next());
        let found = facts
            .hosts
            .iter()
            .filter(|host| {
                args.host
                    .as_ref()
                    .is_none_or(|wanted| host.address.as_str() == wanted)
            })
            .flat_map(|host| {
                host.containers
                    .iter()
                    .map(move |container| (host, container))
            })
            .find(|(_, container)| {
                container.running()
                    && role.is_some_and(|role| container.label(label::ROLE) == Some(role.as_str()))
            });
        let Some((host, container)) = found else {
            let host = args.host.as_deref();
            return Err(found_nothing(&session.environment, role, host).into());
        };
        let command = CommandLine::from_words(args.command.iter().cloned());
        let deadline = Duration::from_secs(args.timeout);
        let exit = session
            .house
            .runner
            .exec(
                &session.cx,
                &host.address,
                &container.name,
                &command,
                deadline,
            )
            .await
            .map_err(|fault| {
                fault.state(format!(
                    "the command may have begun in `{}` on {}",
                    container.name, host.address
                ))
            })?;
        let text = exit.tail.join("\n");
        ui.show(
            &text,
            &json!({ "host": host.address, "container": container.name, "exit": exit }),
        )
        .await;
        Ok(u8::try_from(exit.code.clamp(0, 255)).unwrap_or(1))
    })
    .await
}
