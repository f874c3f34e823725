//! `stagecraft init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config;
use crate::model::fault::Fault;
use crate::ui::Ui;

use super::args::{Globals, InitArgs};
use super::failure::Failure;

pub(crate) async fn run(args: &InitArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let file = globals.config.clone().unwrap_or_else(|| PathBuf::from("stagecraft.yml"));
    let folder = std::path::absolute(&file).ok().and_then(|path| path.parent().map(Path::to_path_buf)).unwrap_or_default();
    let name = args.name.clone().unwrap_or_else(|| project_name(&folder));
    let text = config::template(&name, &folder);
    write_new(&file, &text)?;
    let shown = file.display().to_string();
    ui.show(&format!("created {shown}"), &json!({ "status": "created", "file": shown })).await;
    ui.note("next: read it, then `stagecraft check`").await;
    Ok(())
}

/// The folder's name, made fit for a project.
fn project_name(folder: &Path) -> String {
    let raw = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = raw.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).take(40).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "app".to_owned() } else { name }
}

fn write_new(file: &Path, text: &str) -> Result<(), Fault> {
    let mut opened = OpenOptions::new().write(true).create_new(true).open(file).map_err(|error| {
        let fault = Fault::config(format!("cannot create `{}`", file.display()));
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            fault.because("it is there already").state("the file was left as it is").hint("check it with `stagecraft check`, or name another with `--config FILE`")
        } else {
            fault.caused_by(&error).state("nothing was written")
        }
    })?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(|error| {
        Fault::internal(format!("cannot write `{}`", file.display())).caused_by(&error).state("the file may be incomplete")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_name_becomes_a_project_s_name() {
        assert_eq!(project_name(Path::new("/srv/My Shop!")), "my-shop");
        assert_eq!(project_name(Path::new("/")), "app");
    }

    #[test]
    fn a_file_that_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stagecraft.yml");
        std::fs::write(&file, "mine").expect("written");
        assert!(write_new(&file, "new").is_err());
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "mine");
    }
}
