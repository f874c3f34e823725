//! TLS as `sslmode` asks for it, always against the server's own name: the
//! connection may go through a host, the certificate is still the database's.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::model::fault::Fault;

use super::super::url::Server;

#[derive(Clone)]
pub(super) struct Tls {
    pub(super) mode: SslMode,
    pub(super) make: MakeRustlsConnect,
}

/// How much of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Anyone,
    Authority,
    AuthorityAndName,
}

/// # Errors
/// An unknown `sslmode`, an unreadable certificate file.
pub(super) fn tls(server: &Server) -> Result<Tls, Fault> {
    const NAMES: [&str; 2] = ["sslmode", "ssl-mode"];
    let roots = server.parameter(&["sslrootcert"]);
    let (mode, trust) = match server.parameter(&NAMES).unwrap_or("prefer") {
        _ if server.host.starts_with('/') => (SslMode::Disable, Trust::Anyone),
        "disable" => (SslMode::Disable, Trust::Anyone),
        "allow" | "prefer" => (SslMode::Prefer, Trust::Anyone),
        // libpq: a given root is meant to be used.
        "require" if roots.is_some() => (SslMode::Require, Trust::Authority),
        "require" => (SslMode::Require, Trust::Anyone),
        "verify-ca" => (SslMode::Require, Trust::Authority),
        "verify-full" => (SslMode::Require, Trust::AuthorityAndName),
        _ => {
            return Err(server.bad(
                &NAMES,
                "`disable`, `prefer`, `require`, `verify-ca`, `verify-full`",
            ));
        }
    };
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anyone => Arc::new(Unchecked(Arc::clone(&provider))),
        Trust::Authority | Trust::AuthorityAndName => {
            let known = Arc::new(authorities(roots)?);
            let full = WebPkiServerVerifier::builder_with_provider(known, Arc::clone(&provider))
                .build()
                .map_err(|error| Fault::config("no usable root certificate").caused_by(&error))?;
            if trust == Trust::Authority {
                Arc::new(AnyName(full))
            } else {
                full
            }
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::internal("cannot set up TLS").caused_by(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (
        server.parameter(&["sslcert"]),
        server.parameter(&["sslkey"]),
    ) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| unreadable("sslkey", key, &error))?;
            config
                .with_client_auth_cert(certificates("sslcert", certificate)?, key)
                .map_err(|error| Fault::config("`sslcert` does not fit").caused_by(&error))?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(Tls {
        mode,
        make: MakeRustlsConnect::new(config),
    })
}

fn authorities(file: Option<&str>) -> Result<RootCertStore, Fault> {
    let certificates = match file {
        Some(path) if path != "system" => certificates("sslrootcert", path)?,
        _ => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    Ok(store)
}

fn certificates(parameter: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(parameter, path, &error))
}

fn unreadable(parameter: &str, path: &str, error: &dyn std::error::Error) -> Fault {
    Fault::config(format!("cannot read `{parameter}` {path}")).caused_by(error)
}

/// `verify-ca`: a certificate of a known authority, for whatever name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `prefer` and `require`: encrypted, but with whom is not asked.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
