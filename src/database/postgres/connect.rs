//! Making connections to one PostgreSQL server, and cancelling their work.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::AbortHandle;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::error::DbError;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config};

use crate::model::fault::Fault;
use crate::model::secret::Secret;

use super::super::dial::{Bytes, Dialer};
use super::error;
use super::tls::{Tls, tls};

/// For the handshake, after the server was reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// Knows the way to one database and how to log in there.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) dialer: Dialer,
    config: Config,
    tls: Tls,
}

/// One connection. Its messages that answer nothing come by `notices`.
pub(super) struct Wire {
    pub(super) client: Client,
    pub(super) notices: UnboundedReceiver<DbError>,
    driver: AbortHandle,
}

impl Wire {
    /// Ends the connection without a farewell: for one whose protocol is stuck.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }
}

type Connect = <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<Bytes>>::TlsConnect;

impl Connector {
    /// # Errors
    /// A URL parameter that is not understood.
    pub(super) fn new(dialer: Dialer, application_name: &str) -> Result<Self, Fault> {
        let server = &dialer.server;
        let tls = tls(server)?;
        let mut config = Config::new();
        config
            .dbname(&server.database)
            .application_name(application_name)
            .ssl_mode(tls.mode);
        if !server.user.is_empty() {
            config.user(&server.user);
        }
        if let Some(password) = &server.password {
            config.password(Secret::reveal(password));
        }
        if server.parameter(&["sslnegotiation"]) == Some("direct") {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        let mut options = server.parameter(&["options"]).unwrap_or("").to_owned();
        // Some application frameworks name the schema in the URL.
        if let Some(schema) = server.parameter(&["schema"]) {
            let schema = schema.replace('\\', r"\\").replace(' ', r"\ ");
            options.push_str(&format!(" -c search_path={schema}"));
        }
        if !options.is_empty() {
            config.options(options.trim());
        }
        Ok(Self {
            dialer,
            config,
            tls,
        })
    }

    /// # Errors
    /// Unreachable or refusing server.
    pub(super) async fn connect(&self) -> Result<Wire, Fault> {
        let stream = self.dialer.dial().await?;
        let handshake = self.config.connect_raw(stream, self.handshake()?);
        let (client, mut connection) = tokio::time::timeout(PATIENCE, handshake)
            .await
            .map_err(|_| {
                self.dialer
                    .unreachable()
                    .because("it was reached, but did not answer")
            })?
            .map_err(|error| error::because(self.dialer.unreachable(), &error))?;
        let (sender, notices) = mpsc::unbounded_channel();
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    // Nobody listens any more when the session ends.
                    let _ = sender.send(notice);
                }
            }
        });
        Ok(Wire {
            client,
            notices,
            driver: driver.abort_handle(),
        })
    }

    /// Asks the server to stop what the token's connection is doing. Whether
    /// it did shows there.
    ///
    /// # Errors
    /// Unreachable server.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), Fault> {
        let stream = self.dialer.dial().await?;
        token
            .cancel_query_raw(stream, self.handshake()?)
            .await
            .map_err(|error| error::because(self.dialer.unreachable(), &error))
    }

    fn handshake(&self) -> Result<Connect, Fault> {
        let mut make = self.tls.make.clone();
        MakeTlsConnect::<Bytes>::make_tls_connect(&mut make, &self.dialer.server.host)
            .map_err(|error| self.dialer.unreachable().caused_by(&error))
    }
}
