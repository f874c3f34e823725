//! The session: a connection that the engine turns around, so that BuildKit
//! calls us. It ends when dropped, and with it the build.

use std::path::Path;

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use hyper::header::{HeaderName, HeaderValue};
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use sha2::{Digest as _, Sha256};
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use super::filesync::Folders;
use super::services::{BaseImages, BuildSecrets, Here};
use crate::docker::client::{Call, Engine, fault};
use crate::model::fault::Fault;

/// The methods that BuildKit may call; it asks for nothing that is not named.
const METHODS: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
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
        let mut call = Call::post("/session").upgrading("h2c");
        for (name, value) in [
            ("x-docker-expose-session-uuid", id.as_str()),
            ("x-docker-expose-session-name", "stagecraft"),
            ("x-docker-expose-session-sharedkey", &shared_key(context)),
        ] {
            let value = HeaderValue::from_str(value)
                .map_err(|error| Fault::internal("a header of the session").caused_by(&error))?;
            call = call.header(HeaderName::from_static(name), value);
        }
        for method in METHODS {
            call = call.header(
                HeaderName::from_static("x-docker-expose-session-grpc-method"),
                HeaderValue::from_static(method),
            );
        }
        let connection = engine
            .upgrade(call)
            .await
            .map_err(|error| fault(engine.host(), "cannot open a build session", error))?;
        let routes = Routes::new(HealthServer::new(Here))
            .add_service(FileSyncServer::new(offers.folders))
            .add_service(SecretsServer::new(offers.secrets))
            .add_service(AuthServer::new(offers.base_images));
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(connection, TowerToHyperService::new(routes));
        let serving = tokio::spawn(async move {
            // The engine closes the connection as it likes; a build that
            // suffers from it says so itself.
            let _ = serving.await;
        });
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
