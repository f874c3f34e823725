//! `stagecraft man`: manual pages, made of the very types that read the
//! command line.

use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use serde_json::json;

use crate::model::fault::Fault;
use crate::ui::{Ui, words};

use super::args::{Cli, ManArgs};
use super::failure::Failure;

pub(crate) async fn run(args: &ManArgs, ui: &Ui) -> Result<(), Failure> {
    match &args.folder {
        None => {
            let page = render(&Man::new(Cli::command()))?;
            ui.show(page.trim_end(), &json!({ "man": page })).await;
        }
        Some(folder) => {
            let files = write(folder)?;
            let text = format!(
                "wrote {} into {}; read one with `man {}`",
                words::plural(files.len(), "page"),
                folder.display(),
                folder.join(&files[0]).display()
            );
            ui.show(&text, &json!({ "folder": folder, "files": files }))
                .await;
        }
    }
    Ok(())
}

/// The names of the files, the program's own first.
fn write(folder: &Path) -> Result<Vec<String>, Fault> {
    let cannot = |error: &std::io::Error| {
        Fault::internal(format!(
            "the manual pages cannot be written into `{}`",
            folder.display()
        ))
        .caused_by(error)
        .hint("name a folder that you may write to: `stagecraft man DIR`")
    };
    std::fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    let mut root = Cli::command();
    // Gives every command its full name and the global options.
    root.build();
    let mut commands = vec![root];
    let mut files = vec![];
    while let Some(command) = commands.pop() {
        let below = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set());
        let below: Vec<_> = below.cloned().collect();
        commands.extend(below.into_iter().rev());
        let man = Man::new(command);
        let name = man.get_filename();
        std::fs::write(folder.join(&name), render(&man)?).map_err(|error| cannot(&error))?;
        files.push(name);
    }
    Ok(files)
}

fn render(man: &Man) -> Result<String, Fault> {
    let mut page = vec![];
    man.render(&mut page)
        .map_err(|error| Fault::internal("the manual page cannot be rendered").caused_by(&error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
