//! The files of one database, read from the checkout or from the image that is
//! to run, and taken apart for its dialect. Imports `ports`, `model` and
//! `migrate`'s pure parts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::migrate::drift::{Candidate, Gaps};
use crate::migrate::files::{self, Folder, MigrationFile, Options, Stamp, Table, Way};
use crate::migrate::native::History;
use crate::migrate::policy::{ledger, texts};
use crate::migrate::sql::Script;
use crate::migrate::{checksums, compat, parallel};
use crate::model::compat::Compat;
use crate::model::complaint::Complaint;
use crate::model::fault::Fault;
use crate::model::image::{Digest, PinnedImage};
use crate::model::migration::Files;
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, MigrationSource, MigrationSpec, MigrationStrategy};
use crate::ports::{Cx, Dialect, FolderEntry, ImageCheck, Job};

use crate::migrate::engines::{forecast, image};

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
        let source = self.apart(folder, job.database, dialect);
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
        let options = Options::of(spec).map_err(Fault::config)?;
        Ok(options.way(spec).of(entries, files::shown(spec)))
    }

    /// An image's digest never means other files.
    fn fetched(&self, image: &PinnedImage, database: &DatabaseName) -> Option<Vec<FolderEntry>> {
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images
            .iter()
            .find(|(digest, name, _)| *digest == image.digest && name == database)
            .map(|(.., entries)| entries.clone())
    }

    fn apart(&self, folder: Arc<Folder>, database: &DatabaseSpec, dialect: Dialect) -> Arc<Source> {
        let mut known = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |source: &Source| {
            let name = |file: &MigrationFile| (file.name.clone(), file.checksum.clone());
            let now = folder.files.iter().map(name);
            // Without a ledger the files are all that is read.
            checksums::path(&database.migrations).is_none()
                && (Arc::ptr_eq(&folder, &source.folder)
                    || now.eq(source.folder.files.iter().map(name)))
        };
        let found = known
            .iter()
            .find(|(name, of, source)| *name == database.name && *of == dialect && same(source));
        if let Some((.., source)) = found {
            return Arc::clone(source);
        }
        let source = Arc::new(Source::of(folder, database, dialect));
        known.retain(|(name, ..)| *name != database.name);
        known.push((database.name.clone(), dialect, Arc::clone(&source)));
        source
    }

    fn checkout(&self, database: &DatabaseSpec) -> Result<Arc<Folder>, Fault> {
        let options = Options::of(&database.migrations).map_err(Fault::config)?;
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
        let folder = Arc::new(way.read(path, files::shown(spec))?);
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
    fn of(folder: Arc<Folder>, database: &DatabaseSpec, dialect: Dialect) -> Self {
        let spec = &database.migrations;
        let mut problems = folder.problems.clone();
        let apart = parallel::map(&folder.files, |file| {
            let script = file.script(dialect);
            let (mode, problems) = texts::judge(file, &script);
            let candidate = Candidate {
                id: file.name.clone(),
                version: file.version,
                checksum: file.checksum.clone(),
                prefixes: prefixes(&script),
                strategy: strategy(spec.strategy, file),
                mode,
                compat: Compat::Additive,
                gaps: match folder.format.runs_late(&file.name) {
                    true => Gaps::Allow,
                    false => Gaps::Refuse,
                },
            };
            (script, candidate, problems)
        });
        let (mut scripts, mut candidates) = (vec![], vec![]);
        for (script, candidate, found) in apart {
            scripts.push(script);
            candidates.push(candidate);
            problems.extend(found);
        }
        let judged = compat::judge(&folder.files, &scripts);
        for (candidate, compat) in candidates.iter_mut().zip(judged) {
            candidate.compat = compat;
        }
        problems.extend(against_ledger(spec, &folder, &candidates));
        // What stands in nobody's way is a check's to say.
        let stopping = problems.iter().filter(|problem| problem.is_violation());
        let mut problems: Vec<String> = stopping.map(ToString::to_string).collect();
        // Options that cannot be read stopped everything before.
        let native = Options::of(spec)
            .ok()
            .filter(|options| options.table == Table::Native);
        let native = native.and_then(|_| History::of(folder.format));
        if let Some(native) = native {
            problems.extend(native.objections(dialect, &folder.files));
        }
        Self {
            native,
            folder,
            scripts,
            candidates,
            problems,
        }
    }

    /// As a forecast looks at them.
    pub(super) fn forecast(&self) -> Vec<forecast::File<'_>> {
        let files = self.candidates.iter().zip(&self.scripts);
        let files = files.zip(&self.folder.files);
        let each = files.map(|((candidate, script), file)| forecast::File {
            id: &candidate.id,
            shown: &file.shown,
            script,
            mode: &candidate.mode,
        });
        each.collect()
    }

    /// All ids in running order.
    pub(super) fn order(&self) -> Vec<&str> {
        let files = self.folder.files.iter();
        files.map(|file| file.name.as_str()).collect()
    }
}

fn against_ledger(
    spec: &MigrationSpec,
    folder: &Folder,
    candidates: &[Candidate],
) -> Vec<Complaint> {
    let Some(path) = checksums::path(spec) else {
        return vec![];
    };
    match checksums::read(&path, &checksums::shown(spec, &path)) {
        Ok(stored) => ledger::compare(&stored, &folder.files, |index| {
            vec![candidates[index].normalised().to_owned()]
        }),
        Err(unreadable) => vec![unreadable],
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
