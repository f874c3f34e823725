//! What BuildKit may ask of the session beside files: secrets by name,
//! and credentials of registries.

use std::collections::HashMap;
use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use tonic::{Request, Response, Status};

use crate::docker::auth::{self as registry, Credentials};
use crate::model::secret::Secret;

/// The secrets of one build, by the names that the Dockerfile mounts.
pub(super) struct BuildSecrets(pub(super) HashMap<String, Secret>);

#[tonic::async_trait]
impl Secrets for BuildSecrets {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        match self.0.get(&id) {
            Some(secret) => Ok(Response::new(GetSecretResponse {
                data: secret.reveal().as_bytes().to_vec(),
            })),
            None => Err(Status::not_found(format!(
                "`{id}` is not among `build.secrets`"
            ))),
        }
    }
}

/// Credentials for base images.
pub(super) struct BaseImages(pub(super) Arc<registry::Auth>);

#[tonic::async_trait]
impl Auth for BaseImages {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let registry = request.into_inner().host;
        let login = self.0.of(&format!("{registry}/image")).await;
        let login = login.map_err(|fault| Status::internal(fault.to_string()))?;
        Ok(Response::new(match login {
            Some(Credentials::Password { username, password }) => CredentialsResponse {
                username,
                secret: password.reveal().to_owned(),
            },
            Some(Credentials::Token(token)) => CredentialsResponse {
                username: String::new(),
                secret: token.reveal().to_owned(),
            },
            // The engine asks without a name.
            None => CredentialsResponse::default(),
        }))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(not_offered())
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(not_offered())
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(not_offered())
    }
}

/// The engine fetches tokens itself, with the credentials: these methods are
/// not among those that the session names.
fn not_offered() -> Status {
    Status::unimplemented("only credentials are offered")
}
