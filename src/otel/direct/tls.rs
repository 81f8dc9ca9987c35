//! TLS to the receiver: the certificates of the system, or the PEM files that were configured.

use crate::config::OtlpConfig;
use crate::otel::InitError;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::format;
use std::path::Path;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

const SERVER: &str = "certificate of the OTLP receiver";
const CERTIFICATE: &str = "client certificate for OTLP";
const KEY: &str = "client key for OTLP";

/// For HTTP. Certificates are looked for only where a connection needs them: reading the system's takes milliseconds.
pub(super) fn client_config(config: &OtlpConfig, secure: bool) -> Result<ClientConfig, InitError> {
    let roots = if secure { roots(config.certificate.as_deref())? } else { RootCertStore::empty() };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    // The configuration has both or neither.
    Ok(match (&config.client_certificate, &config.client_key) {
        (Some(certificate), Some(key)) if secure => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(KEY, key, &error))?;
            builder.with_client_auth_cert(certificates(CERTIFICATE, certificate)?, key)?
        }
        _ => builder.with_no_client_auth(),
    })
}

/// For gRPC. The files are read here, so that a wrong one is told about at once and by its name.
pub(super) fn for_grpc(config: &OtlpConfig) -> Result<ClientTlsConfig, InitError> {
    let tls = match &config.certificate {
        Some(path) => {
            certificates(SERVER, path)?;
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(SERVER, path)?))
        }
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match (&config.client_certificate, &config.client_key) {
        (Some(certificate), Some(key)) => {
            certificates(CERTIFICATE, certificate)?;
            PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(KEY, key, &error))?;
            tls.identity(Identity::from_pem(read(CERTIFICATE, certificate)?, read(KEY, key)?))
        }
        _ => tls,
    })
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, InitError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let reason = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(InitError::NoRoots { reason });
        }
        return Ok(roots);
    };
    for certificate in certificates(SERVER, file)? {
        roots.add(certificate).map_err(|error| unusable(SERVER, file, &error))?;
    }
    Ok(roots)
}

fn certificates(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, InitError> {
    let list: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(what, file, &error))?;
    if list.is_empty() {
        return Err(unusable(what, file, &"no certificate in it"));
    }
    Ok(list)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, InitError> {
    std::fs::read(path).map_err(|error| unusable(what, path, &error))
}

fn unusable(what: &'static str, path: &Path, reason: &dyn ToString) -> InitError {
    let reason: String = reason.to_string();
    InitError::File { what, path: path.into(), reason }
}
