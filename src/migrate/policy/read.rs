//! Reading what the policy judges: the only part of it that opens files.

use crate::migrate::checksums;
use crate::migrate::files::{self, Options};
use crate::migrate::parallel;
use crate::model::fault::Fault;
use crate::model::project::MigrationSpec;

use super::{Dialects, Read};

/// Reads the folder and the ledger of a checkout.
///
/// # Errors
/// There is no such folder, or something in it cannot be read.
pub fn read(spec: &MigrationSpec, dialects: Dialects) -> Result<Read, Fault> {
    let Some(path) = &spec.path else {
        return Err(Fault::config(format!(
            "engine `{}` has no folder of migration files",
            spec.engine
        )));
    };
    let options = Options::of(spec).map_err(Fault::config)?;
    let folder = options.way(spec).read(path, files::shown(spec))?;
    let texts = parallel::map(&folder.files, |file| dialects.read(file));
    let ledger =
        checksums::path(spec).map(|path| checksums::read(&path, &checksums::shown(spec, &path)));
    Ok(Read {
        folder,
        texts,
        ledger,
    })
}
