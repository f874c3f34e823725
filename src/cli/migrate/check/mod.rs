//! `stagecraft migrate check`: what can be proven of the migrations before
//! anybody deploys. Touches no database that it did not make itself.
//!
//! Without `--env` every environment is checked, and what several of them
//! share once.

mod apply;
mod base;
mod git;
mod ledger;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config;
use crate::config::values::Values;
use crate::migrate::Tools;
use crate::migrate::engines::raw;
use crate::migrate::files;
use crate::migrate::policy::{self, Dialects, Read};
use crate::migrate::scratch;
use crate::model::complaint::{Checked, Complaint, Rule, Weight};
use crate::model::fault::Fault;
use crate::model::names::EnvironmentName;
use crate::model::project::{DatabaseSpec, Environment, MigrationSource, MigrationSpec, Via};
use crate::ui::{self, Ui};

use super::super::args::{Globals, MigrateCheckArgs};
use super::super::deploy::style;
use super::super::failure::Failure;
use super::super::secrets::Hidden;
use super::super::session::{Session, on_environment};
use super::super::target;
use super::known;
use ledger::Written;

const COMMAND: &str = "stagecraft migrate check";
/// What a check that found something ends with.
const FOUND: u8 = 12;

pub(super) async fn check(
    args: &MigrateCheckArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<u8, Failure> {
    let names = environments(args, globals)?;
    let mut look = Look {
        args,
        checked: vec![],
        marked: 0,
        seen: vec![],
        written: Written::new(&args.accept),
    };
    let mut text = String::new();
    for name in names {
        let mut globals = globals.clone();
        globals.env = Some(name);
        let look = &mut look;
        let text = &mut text;
        on_environment(COMMAND, &globals, ui, None, async |session| {
            let done = look.at(session).await;
            *text = ui::complaints::text(&look.checked, style(session));
            ui.annotate(&in_workspace(&session.environment.root), look.unmarked())
                .await;
            look.marked = look.checked.len();
            if done.is_err() {
                ui.data(text).await;
            }
            done
        })
        .await?;
    }
    look.written.all_known()?;
    for line in look.written.lines() {
        ui.note(&line).await;
    }
    let failed = look.failed();
    let document = json!({
        "status": if failed { "violations" } else { "clean" },
        "databases": look.checked,
        "ledger": look.written,
    });
    ui.show(&text, &document).await;
    Ok(if failed { FOUND } else { 0 })
}

/// The one that was named, or all: a check of files needs none.
fn environments(args: &MigrateCheckArgs, globals: &Globals) -> Result<Vec<EnvironmentName>, Fault> {
    let file = target::config_file(globals)?;
    if globals.env.is_some() || (args.apply && args.scratch_env.is_none()) {
        let command = if args.apply {
            "stagecraft migrate check --apply"
        } else {
            COMMAND
        };
        let name = target::environment(command, globals, &file).map_err(|fault| {
            match args.apply && globals.env.is_none() {
                true => fault.hint(
                    "or name the variable of a server's URL: `stagecraft migrate check --apply --scratch-env VARIABLE`",
                ),
                false => fault,
            }
        })?;
        return Ok(vec![name.clone()]);
    }
    let names = config::environments(&file).map_err(target::mended)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The folder of the configuration as a CI job's workspace sees it.
fn in_workspace(root: &Path) -> PathBuf {
    let workspace = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let inside = workspace.and_then(|workspace| {
        let inside = real(root);
        Some(inside.strip_prefix(real(&workspace)).ok()?.to_owned())
    });
    inside.unwrap_or_default()
}

/// What two environments may share: the same files, judged in the same way.
type Subject = (String, MigrationSpec, Dialects);

struct Look<'a> {
    args: &'a MigrateCheckArgs,
    checked: Vec<Checked>,
    /// How many of them are annotated.
    marked: usize,
    seen: Vec<Subject>,
    written: Written,
}

impl Look<'_> {
    async fn at(&mut self, session: &Session<'_>) -> Result<(), Failure> {
        known(&session.environment, &self.args.database)?;
        let environment = for_check(&session.environment, self.args);
        let named = |database: &&DatabaseSpec| {
            self.args.database.is_empty() || self.args.database.contains(&database.name)
        };
        let databases: Vec<&DatabaseSpec> = environment.databases.values().filter(named).collect();
        for database in databases {
            self.one(session, &environment, database).await?;
        }
        Ok(())
    }

    async fn one(
        &mut self,
        session: &Session<'_>,
        environment: &Environment,
        database: &DatabaseSpec,
    ) -> Result<(), Failure> {
        let spec = &database.migrations;
        let tools = tools(session);
        let (dialects, why) = dialects(session, &tools, environment, database).await;
        let subject = (database.name.to_string(), judged(spec), dialects);
        if self.seen.contains(&subject) {
            return Ok(());
        }
        self.seen.push(subject);
        let mut checked = Checked {
            database: database.name.to_string(),
            folder: spec.path_written.clone().unwrap_or_default(),
            files: 0,
            base: None,
            complaints: vec![],
            proof: None,
        };
        if let Some(unchecked) = unchecked(spec, &database.name.to_string()) {
            checked.complaints.push(unchecked);
            self.checked.push(checked);
            return Ok(());
        }
        let mut read = policy::read(spec, dialects)?;
        checked.folder.clone_from(&read.folder.shown);
        checked.files = read.folder.files.len();
        let folder = spec.path.as_deref().unwrap_or(&environment.root);
        let base = base::find(folder, &read.folder.shown, self.args.base.as_deref()).await?;
        if self.args.write_ledger {
            let base = base.as_ref().ok();
            self.written.write(spec, &read, base, dialects)?;
            read = policy::read(spec, dialects)?;
        }
        checked.complaints = policy::alone(&read, spec, &dialects);
        match base {
            Ok(base) => {
                checked
                    .complaints
                    .extend(policy::beside(&read, &base, &dialects));
                checked.base = Some(base.name);
            }
            Err(complaint) => checked.complaints.push(complaint),
        }
        policy::without_false_ways_out(&mut checked.complaints);
        checked
            .complaints
            .extend(why.map(|why| without_dialect(&read, &why)));
        let proven = self
            .proven(session, environment, database, &mut checked)
            .await;
        checked.sort();
        self.checked.push(checked);
        proven
    }

    async fn proven(
        &self,
        session: &Session<'_>,
        environment: &Environment,
        database: &DatabaseSpec,
        checked: &mut Checked,
    ) -> Result<(), Failure> {
        if !self.args.apply {
            return Ok(());
        }
        if checked.count(Weight::Violation) > 0 {
            checked.complaints.push(Complaint::new(
                Weight::Note,
                Rule::Unchecked,
                &checked.folder,
                "nothing was applied: violations come first",
            ));
            return Ok(());
        }
        match apply::prove(session, &tools(session), environment, database).await {
            Ok(proof) => checked.proof = Some(proof),
            Err(fault) => {
                checked.complaints.extend(apply::placed(&fault));
                return Err(fault.into());
            }
        }
        Ok(())
    }

    fn failed(&self) -> bool {
        let has = |weight| self.checked.iter().any(|checked| checked.count(weight) > 0);
        has(Weight::Violation) || (self.args.strict && has(Weight::Warning))
    }

    /// The complaints that are not annotated yet.
    fn unmarked(&self) -> impl Iterator<Item = &Complaint> {
        let new = self.checked.iter().skip(self.marked);
        new.flat_map(|checked| &checked.complaints)
    }
}

/// The environment as a check reads it: the files of the checkout, and the
/// server that was named in the place of the database's own.
fn for_check(environment: &Environment, args: &MigrateCheckArgs) -> Environment {
    let mut environment = environment.clone();
    for database in environment.databases.values_mut() {
        let spec = &mut database.migrations;
        if spec.path.as_deref().is_some_and(Path::is_dir) {
            spec.source = MigrationSource::Checkout;
        }
        if let Some(variable) = &args.scratch_env {
            database.connection_env = Some(variable.clone());
            database.direct_connection_env = None;
            database.via = Via::Direct;
        }
    }
    environment
}

/// What decides how files are judged.
fn judged(spec: &MigrationSpec) -> MigrationSpec {
    let mut judged = spec.clone();
    let same = std::time::Duration::ZERO;
    judged.lock_wait = same;
    judged.lock_timeout = same;
    judged.statement_timeout = same;
    judged.timeout = same;
    judged.lock_retries = 0;
    judged
}

/// What a check of files does not reach.
fn unchecked(spec: &MigrationSpec, database: &str) -> Option<Complaint> {
    let (place, what) = if spec.engine != raw::ID {
        let place = spec.path_written.as_deref().unwrap_or(database);
        let what = format!("engine `{}` checks its files itself", spec.engine);
        (place, what)
    } else if spec.source == MigrationSource::Image {
        let what = "the migrations are read out of the image, and there is no such folder here";
        (files::shown(spec), what.to_owned())
    } else {
        return None;
    };
    Some(Complaint::new(Weight::Note, Rule::Unchecked, place, what))
}

pub(super) fn tools(session: &Session<'_>) -> Tools {
    let house = &session.house;
    Tools {
        databases: house.databases.clone(),
        registry: house.registry.clone(),
        values: house.values.clone(),
        runner: house.runner.clone(),
        link: house.link.clone(),
        safeguard: None,
    }
}

/// What the URL says, where it is at hand: no command is run for a secret.
async fn dialects(
    session: &Session<'_>,
    tools: &Tools,
    environment: &Environment,
    database: &DatabaseSpec,
) -> (Dialects, Option<Fault>) {
    let mut quiet = environment.clone();
    quiet.secrets_command = None;
    let mut tools = tools.clone();
    tools.values = std::sync::Arc::new(Hidden::new(Values::of(&quiet), session.ui));
    match scratch::dialect(&tools, environment, database).await {
        Ok(dialect) => (Dialects::Known(dialect), None),
        Err(fault) => (Dialects::Unknown, Some(fault)),
    }
}

fn without_dialect(read: &Read, why: &Fault) -> Complaint {
    Complaint::new(
        Weight::Note,
        Rule::Unchecked,
        &read.folder.shown,
        format!(
            "which kind of database it is for is not known ({}): only what no kind allows is a violation",
            why.what
        ),
    )
}
