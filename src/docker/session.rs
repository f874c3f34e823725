//! A session: a connection to an engine that it turns around, so that it can
//! call us. It has an id, and an engine has one of each id at a time. It ends
//! when the connection does, or when we do not answer whether we are here.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use futures_util::stream::{self, BoxStream};
use hyper::header::{HeaderName, HeaderValue};
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::client::{Call, Engine};

const METHOD: HeaderName = HeaderName::from_static("x-docker-expose-session-grpc-method");

/// What every session offers; a build adds to it.
pub(super) fn routes() -> Routes {
    Routes::new(HealthServer::new(Here))
}

/// Opens the session; what is returned serves it until it ends, and ends it
/// when it is dropped. The engine asks for nothing that `methods` does not name.
pub(super) async fn open(
    engine: &Engine,
    id: &str,
    shared_key: Option<&str>,
    methods: &[&'static str],
    routes: Routes,
) -> Result<impl Future<Output = ()> + Send + use<>, Error> {
    let mut call = Call::post("/session").upgrading("h2c").header(
        METHOD,
        HeaderValue::from_static("/grpc.health.v1.Health/Check"),
    );
    for method in methods {
        call = call.header(METHOD, HeaderValue::from_static(method));
    }
    let named = [
        ("x-docker-expose-session-uuid", Some(id)),
        ("x-docker-expose-session-name", Some("stagecraft")),
        ("x-docker-expose-session-sharedkey", shared_key),
    ];
    for (name, value) in named {
        let Some(value) = value else { continue };
        let value = HeaderValue::from_str(value).map_err(|error| Error::IOError {
            err: std::io::Error::other(error),
        })?;
        call = call.header(HeaderName::from_static(name), value);
    }
    let connection = engine.upgrade(call).await?;
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(connection, TowerToHyperService::new(routes));
    Ok(async move {
        let _ = serving.await;
    })
}

/// The engine asks every few seconds, and drops a session that is silent.
struct Here;

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

#[tonic::async_trait]
impl Health for Here {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Ok(Response::new(HealthListResponse {
            statuses: HashMap::from([(String::new(), serving())]),
        }))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(stream::iter([Ok(serving())]))))
    }
}
