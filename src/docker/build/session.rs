//! The session: a connection that the engine turns around, so that BuildKit
//! calls us. It ends when dropped, and with it the build.

use std::path::Path;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use sha2::{Digest as _, Sha256};
use tokio_util::task::AbortOnDropHandle;

use super::filesync::Folders;
use super::services::{BaseImages, BuildSecrets};
use crate::docker::client::{Engine, fault};
use crate::docker::session;
use crate::model::fault::Fault;

/// The methods that BuildKit may call beside the health check.
const METHODS: [&str; 3] = [
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
];

/// What a session offers.
pub(super) struct Offers {
    pub(super) folders: Folders,
    pub(super) secrets: BuildSecrets,
    pub(super) base_images: BaseImages,
}

/// An open session. Dropping it closes the connection.
pub(super) struct Session {
    pub(super) id: String,
    _serving: AbortOnDropHandle<()>,
}

impl Session {
    /// `context` gives the session the key by which the engine finds what it
    /// was sent for the same folder before.
    pub(super) async fn open(
        engine: &Engine,
        context: &Path,
        offers: Offers,
    ) -> Result<Self, Fault> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let routes = session::routes()
            .add_service(FileSyncServer::new(offers.folders))
            .add_service(SecretsServer::new(offers.secrets))
            .add_service(AuthServer::new(offers.base_images));
        let key = shared_key(context);
        let serving = session::open(engine, &id, Some(&key), &METHODS, routes)
            .await
            .map_err(|error| fault(engine.host(), "cannot open a build session", error))?;
        // The engine closes the connection as it likes; a build that suffers
        // from it says so itself.
        let serving = tokio::spawn(serving);
        Ok(Self {
            id,
            _serving: AbortOnDropHandle::new(serving),
        })
    }
}

fn shared_key(context: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = Sha256::digest(context.as_os_str().as_bytes());
    format!("stagecraft-{hash:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_has_one_key_and_another_has_another() {
        assert_eq!(shared_key(Path::new("/a")), shared_key(Path::new("/a")));
        assert_ne!(shared_key(Path::new("/a")), shared_key(Path::new("/b")));
    }
}
