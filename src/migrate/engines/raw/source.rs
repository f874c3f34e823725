//! The files of one database, read from the checkout or from the image that is
//! to run, and taken apart for its dialect. Imports `ports`, `model` and
//! `migrate`'s pure parts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::migrate::checksums;
use crate::migrate::compat;
use crate::migrate::drift::Candidate;
use crate::migrate::files::{self, Folder, Format, MigrationFile, Stamp, Way};
use crate::migrate::native::History;
use crate::migrate::sql::{self, Mode, Script, Wish};
use crate::model::compat::Compat;
use crate::model::fault::Fault;
use crate::model::image::{Digest, PinnedImage};
use crate::model::migration::Files;
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, MigrationSource, MigrationSpec, MigrationStrategy};
use crate::ports::{Cx, Dialect, FolderEntry, ImageCheck, Job};

use super::{Options, image};

pub(super) struct Source {
    pub(super) folder: Arc<Folder>,
    /// One for each file.
    pub(super) scripts: Vec<Script>,
    /// One for each file.
    pub(super) candidates: Vec<Candidate>,
    /// Why nothing may run, the folder's problems among them.
    pub(super) problems: Vec<String>,
    /// Whose table is kept beside Stagecraft's own.
    pub(super) native: Option<History>,
}

/// The folder as messages name it.
pub(super) fn shown(spec: &MigrationSpec) -> &str {
    spec.path_written
        .as_deref()
        .or_else(|| spec.path.as_deref().and_then(|path| path.to_str()))
        .unwrap_or("migrations")
        .trim_end_matches('/')
}

/// The files that are known, and whether they are those that will run.
pub(super) enum Read {
    Known(Arc<Source>, Files),
    /// Only an image that is not there yet has them.
    Awaited,
}

/// What was read and taken apart already: files are judged, planned and run in
/// one go. Those of the checkout are read again where they look different than
/// they did, those of an image once; all are taken apart again only where a
/// checksum is another one.
#[derive(Default)]
pub(super) struct Sources {
    folders: Mutex<Vec<Checkout>>,
    apart: Mutex<Vec<(DatabaseName, Dialect, Arc<Source>)>>,
    images: Mutex<Vec<(Digest, DatabaseName, Vec<FolderEntry>)>>,
}

/// A folder that was read in one way.
struct Checkout {
    spec: MigrationSpec,
    /// How its files looked before they were read.
    stamps: Vec<Stamp>,
    folder: Arc<Folder>,
}

impl Sources {
    pub(super) async fn read(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        dialect: Dialect,
    ) -> Result<Read, Fault> {
        let spec = &job.database.migrations;
        let (folder, files) = match (spec.source, job.files) {
            (MigrationSource::Checkout, _) => (self.checkout(job.database)?, Files::Final),
            (MigrationSource::Image, Some(image)) => {
                if job.runner.has_image(cx, job.host, image).await? == ImageCheck::Absent {
                    return Ok(Read::Awaited);
                }
                (Arc::new(self.image(cx, job, image).await?), Files::Final)
            }
            (MigrationSource::Image, None) => {
                if !spec.path.as_deref().is_some_and(Path::is_dir) {
                    return Ok(Read::Awaited);
                }
                (self.checkout(job.database)?, Files::Provisional)
            }
        };
        let source = self.apart(folder, job.database, dialect)?;
        Ok(Read::Known(source, files))
    }

    async fn image(&self, cx: &Cx, job: &Job<'_>, image: &PinnedImage) -> Result<Folder, Fault> {
        let entries = match self.fetched(image, &job.database.name) {
            Some(entries) => entries,
            None => {
                let read = image::read(cx, job, image).await?;
                let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
                images.push((
                    image.digest.clone(),
                    job.database.name.clone(),
                    read.clone(),
                ));
                read
            }
        };
        let spec = &job.database.migrations;
        let options = Options::of(job.database).map_err(Fault::config)?;
        Ok(files::of(entries, shown(spec), &options.way(spec)))
    }

    /// An image's digest never means other files.
    fn fetched(&self, image: &PinnedImage, database: &DatabaseName) -> Option<Vec<FolderEntry>> {
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images
            .iter()
            .find(|(digest, name, _)| *digest == image.digest && name == database)
            .map(|(.., entries)| entries.clone())
    }

    fn apart(
        &self,
        folder: Arc<Folder>,
        database: &DatabaseSpec,
        dialect: Dialect,
    ) -> Result<Arc<Source>, Fault> {
        let mut known = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |source: &Source| {
            let name = |file: &MigrationFile| (file.name.clone(), file.checksum.clone());
            let now = folder.files.iter().map(name);
            // Without a ledger the files are all that is read.
            database.migrations.ledger.is_none()
                && (Arc::ptr_eq(&folder, &source.folder)
                    || now.eq(source.folder.files.iter().map(name)))
        };
        let found = known
            .iter()
            .find(|(name, of, source)| *name == database.name && *of == dialect && same(source));
        if let Some((.., source)) = found {
            return Ok(Arc::clone(source));
        }
        let source = Arc::new(Source::of(folder, database, dialect)?);
        known.retain(|(name, ..)| *name != database.name);
        known.push((database.name.clone(), dialect, Arc::clone(&source)));
        Ok(source)
    }

    fn checkout(&self, database: &DatabaseSpec) -> Result<Arc<Folder>, Fault> {
        let options = Options::of(database).map_err(Fault::config)?;
        let Some(path) = &database.migrations.path else {
            return Err(Fault::config(format!(
                "`databases.{}.migrations` has no `path`",
                database.name
            )));
        };
        let spec = &database.migrations;
        self.folder(spec, path, &options.way(spec))
    }

    /// The checkout's folder, read again only where it looks different.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn folder(
        &self,
        spec: &MigrationSpec,
        path: &Path,
        way: &Way<'_>,
    ) -> Result<Arc<Folder>, Fault> {
        let stamps = files::stamps(path);
        let mut known = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stamps) = &stamps
            && let Some(read) = known.iter().find(|read| read.spec == *spec)
            && read.stamps == *stamps
        {
            return Ok(Arc::clone(&read.folder));
        }
        let folder = Arc::new(files::read(path, shown(spec), way)?);
        known.retain(|read| read.spec != *spec);
        if let Some(stamps) = stamps {
            known.push(Checkout {
                spec: spec.clone(),
                stamps,
                folder: Arc::clone(&folder),
            });
        }
        Ok(folder)
    }
}

impl Source {
    fn of(folder: Arc<Folder>, database: &DatabaseSpec, dialect: Dialect) -> Result<Self, Fault> {
        let spec = &database.migrations;
        let native = Options::of(database).map_err(Fault::config)?.native();
        let mut source = Self {
            folder: Arc::clone(&folder),
            scripts: vec![],
            candidates: vec![],
            problems: folder.problems.clone(),
            native,
        };
        if let Some(native) = native {
            source
                .problems
                .extend(native.objections(dialect, &folder.files));
        }
        for file in &folder.files {
            let script = sql::read(dialect, &file.text);
            let mode = judge(folder.format, file, &script, &mut source.problems);
            source.candidates.push(Candidate {
                id: file.name.clone(),
                version: file.version,
                checksum: file.checksum.clone(),
                prefixes: prefixes(&script),
                strategy: strategy(spec.strategy, file),
                mode,
                compat: Compat::Additive,
            });
            source.scripts.push(script);
        }
        let judged = compat::judge(&folder.files, &source.scripts);
        for (candidate, compat) in source.candidates.iter_mut().zip(judged) {
            candidate.compat = compat;
        }
        if let Some(ledger) = &spec.ledger {
            let problems = checksums::check(ledger, &source.candidates)?;
            source.problems.extend(problems);
        }
        Ok(source)
    }

    /// All ids in running order.
    pub(super) fn order(&self) -> Vec<&str> {
        let files = self.folder.files.iter();
        files.map(|file| file.name.as_str()).collect()
    }
}

fn judge(
    format: Format,
    file: &MigrationFile,
    script: &Script,
    problems: &mut Vec<String>,
) -> Mode {
    let mut say = |problem: &sql::Problem| {
        let place = script.place(problem.at);
        problems.push(format!("`{}:{place}`: {}", file.shown, problem.what));
    };
    script.problems.iter().for_each(&mut say);
    // Tools that add no transaction have files that bring their own.
    let own = format != Format::Raw && script.has_transaction();
    let (wish, said) = match (file.header.transaction, file.header.said) {
        (Some(Wish::Apart), Some(said)) => {
            (Some(Wish::Apart), Some(format!("the file says {said}")))
        }
        (None, _) if own => (
            Some(Wish::Apart),
            Some("the file has a transaction of its own".to_owned()),
        ),
        (wish, _) => (wish, None),
    };
    match (script.mode(wish), said) {
        (Ok(Mode::Apart(_)), Some(said)) => Mode::Apart(said),
        (Ok(mode), _) => mode,
        (Err(problem), _) => {
            say(&problem);
            Mode::Together
        }
    }
}

/// `phase=post` moves a file of a `pre_deploy` database behind the rollout;
/// what is `manual` never runs by itself.
fn strategy(base: MigrationStrategy, file: &MigrationFile) -> MigrationStrategy {
    match base {
        MigrationStrategy::PreDeploy if file.header.post => MigrationStrategy::PostDeploy,
        MigrationStrategy::PreDeploy
        | MigrationStrategy::PostDeploy
        | MigrationStrategy::Manual => base,
    }
}

fn prefixes(script: &Script) -> Vec<String> {
    (0..=script.statements.len())
        .map(|statements| script.prefix(statements))
        .collect()
}
