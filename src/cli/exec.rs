//! `stagecraft exec`.

use std::time::Duration;

use serde_json::json;

use crate::deploy::Wanted;
use crate::model::command_line::CommandLine;
use crate::model::container::label;
use crate::ui::Ui;

use super::args::{ExecArgs, Globals};
use super::choice::{found_nothing, in_use};
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
        let on = args.host.as_deref();
        let chosen = in_use(&session.environment, &facts, |host, container| {
            let of = container.label(label::ROLE);
            container.running()
                && on.is_none_or(|wanted| host.address.as_str() == wanted)
                && role.is_some_and(|role| of == Some(role.as_str()))
        });
        let Some((host, container)) = chosen.first() else {
            let host = args.host.as_deref();
            return Err(found_nothing(&session.environment, role, host).into());
        };
        let command = CommandLine::from_words(args.command.iter().cloned());
        let deadline = Duration::from_secs(args.timeout);
        let exit = session
            .house
            .runner
            .exec(&session.cx, host, &container.name, &command, deadline)
            .await
            .map_err(|fault| {
                fault.state(format!(
                    "the command may have begun in `{}` on {}",
                    container.name, host
                ))
            })?;
        let text = exit.tail.join("\n");
        ui.show(
            &text,
            &json!({ "host": host, "container": container.name, "exit": exit }),
        )
        .await;
        Ok(u8::try_from(exit.code.clamp(0, 255)).unwrap_or(1))
    })
    .await
}
