//! Making connections to one MySQL or MariaDB server.
//!
//! The driver dials by itself. Where the way goes through a host, it is given
//! a relay on the loopback that carries a single connection. (It would take a
//! unix socket too, but over those it sends passwords in clear and no TLS.)

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, SslOpts};
use tokio::net::TcpListener;

use crate::model::fault::Fault;
use crate::model::secret::Secret;
use crate::ports::Target;

use super::super::dial::Dialer;
use super::super::url::Server;
use super::error;

const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(super) struct Connector {
    pub(super) dialer: Dialer,
    application_name: String,
    tls: Tls,
}

#[derive(Clone)]
enum Tls {
    Never,
    IfOffered(SslOpts),
    Always(SslOpts),
}

impl Connector {
    /// # Errors
    /// A URL parameter that is not understood.
    pub(super) fn new(dialer: Dialer, application_name: &str) -> Result<Self, Fault> {
        Ok(Self {
            tls: tls(&dialer.server)?,
            dialer,
            application_name: application_name.to_owned(),
        })
    }

    /// # Errors
    /// Unreachable or refusing server.
    pub(super) async fn connect(&self) -> Result<Conn, Fault> {
        match &self.tls {
            Tls::Never => self.attempt(None).await?,
            Tls::Always(tls) => self.attempt(Some(tls)).await?,
            Tls::IfOffered(tls) => match self.attempt(Some(tls)).await? {
                Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) => {
                    self.attempt(None).await?
                }
                other => other,
            },
        }
        .map_err(|error| error::because(self.dialer.unreachable(), &error))
    }

    async fn attempt(&self, tls: Option<&SslOpts>) -> Result<Result<Conn, Error>, Fault> {
        let options = self.options(tls);
        let connecting = async {
            match (&self.dialer.target, &self.dialer.through) {
                (Target::Tcp(host, port), None) => {
                    let options = options.ip_or_hostname(host.clone()).tcp_port(*port);
                    Ok(Conn::new(Opts::from(options)).await)
                }
                (Target::Unix(path), None) => {
                    Ok(Conn::new(Opts::from(options.socket(Some(path.clone())))).await)
                }
                (_, Some(_)) | (Target::Engine, None) => self.relayed(options).await,
            }
        };
        tokio::time::timeout(PATIENCE, connecting)
            .await
            .unwrap_or_else(|_| {
                Err(self
                    .dialer
                    .unreachable()
                    .because(format!("no answer in {} s", PATIENCE.as_secs())))
            })
    }

    async fn relayed(&self, options: OptsBuilder) -> Result<Result<Conn, Error>, Fault> {
        let relay = |error: std::io::Error| {
            Fault::internal("cannot open a port of the loopback").caused_by(&error)
        };
        let mut far = self.dialer.dial().await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(relay)?;
        let port = listener.local_addr().map_err(relay)?.port();
        let carrier = tokio::spawn(async move {
            if let Ok((mut near, _)) = listener.accept().await {
                drop(listener);
                // Either end learns of the other's by its own connection.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
        let options = options.ip_or_hostname("127.0.0.1").tcp_port(port);
        let connected = Conn::new(Opts::from(options)).await;
        if connected.is_err() {
            carrier.abort();
        }
        Ok(connected)
    }

    fn options(&self, tls: Option<&SslOpts>) -> OptsBuilder {
        let server = &self.dialer.server;
        let password = server.password.as_ref().map(Secret::reveal);
        let attributes =
            HashMap::from([("program_name".to_owned(), self.application_name.clone())]);
        OptsBuilder::default()
            .user((!server.user.is_empty()).then_some(server.user.clone()))
            .pass(password)
            .db_name(Some(server.database.clone()))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .connect_attributes(attributes)
            // The certificate is the database's, whatever was dialled.
            .ssl_opts(
                tls.cloned()
                    .map(|tls| tls.with_danger_tls_hostname_override(Some(server.host.clone()))),
            )
    }
}

fn tls(server: &Server) -> Result<Tls, Fault> {
    const NAMES: [&str; 4] = ["ssl-mode", "ssl_mode", "sslmode", "sslaccept"];
    let on = |name: &str| matches!(server.parameter(&[name]), Some("true" | "1"));
    let roots = server
        .parameter(&["ssl-ca", "ssl_ca", "sslrootcert"])
        .map(|path| vec![PathBuf::from(path).into()])
        .unwrap_or_default();
    let checked = SslOpts::default().with_root_certs(roots);
    let any_name = checked.clone().with_danger_skip_domain_validation(true);
    let anyone = any_name.clone().with_danger_accept_invalid_certs(true);
    let mode = server.parameter(&NAMES).map(str::to_ascii_lowercase);
    let mode = mode.unwrap_or_else(|| {
        let mode = if !on("require_ssl") {
            "preferred"
        } else if server.parameter(&["verify_ca"]) == Some("false") {
            "required"
        } else if server.parameter(&["verify_identity"]) == Some("false") {
            "verify_ca"
        } else {
            "verify_identity"
        };
        mode.to_owned()
    });
    Ok(match mode.replace('-', "_").as_str() {
        _ if server.host.starts_with('/') => Tls::Never,
        "disabled" | "disable" => Tls::Never,
        "preferred" | "prefer" | "accept_invalid_certs" => Tls::IfOffered(anyone),
        "required" | "require" => Tls::Always(anyone),
        "verify_ca" => Tls::Always(any_name),
        "verify_identity" | "verify_full" | "strict" => Tls::Always(checked),
        _ => {
            return Err(server.bad(
                &NAMES,
                "`disabled`, `preferred`, `required`, `verify_ca`, `verify_identity`",
            ));
        }
    })
}
