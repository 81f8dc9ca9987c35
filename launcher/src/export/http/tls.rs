//! TLS, set up only when a connection needs it: reading the system's certificates takes milliseconds and megabytes.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The PEM files that somebody configured.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Verifies the server, instead of the system's certificates.
    pub certificate: Option<PathBuf>,
    /// The client's key.
    pub client_key: Option<PathBuf>,
    /// The client's certificate chain.
    pub client_certificate: Option<PathBuf>,
}

/// Speaks TLS to one server.
pub struct Tls {
    files: TlsFiles,
    protocol: &'static [u8],
    connector: Option<TlsConnector>,
}

impl Tls {
    /// Nothing is read yet. `protocol` is the name that ALPN knows the application's protocol by.
    pub fn new(files: TlsFiles, protocol: &'static [u8]) -> Self {
        Tls { files, protocol, connector: None }
    }

    /// Makes an open connection a secure one.
    ///
    /// # Errors
    /// A message that names the file or the host at fault.
    pub async fn secure(&mut self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let connector = match &self.connector {
            Some(connector) => connector,
            None => self.connector.insert(TlsConnector::from(Arc::new(client_config(&self.files, self.protocol)?))),
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host:?} is neither a host name nor an address that TLS can verify"))?;
        connector.connect(name, stream).await.map_err(|error| format!("TLS with {host}: {error}"))
    }
}

fn client_config(files: &TlsFiles, protocol: &[u8]) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots(files.certificate.as_deref())?);
    let mut config = match (&files.client_certificate, &files.client_key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let private =
                PrivateKeyDer::from_pem_file(key).map_err(|error| format!("client key {}: {error}", key.display()))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| {
                format!("client certificate {} with key {}: {error}", certificate.display(), key.display())
            })?
        }
        (Some(certificate), None) => {
            return Err(format!("client certificate {} needs a client key, too", certificate.display()));
        }
        (None, Some(key)) => return Err(format!("client key {} needs a client certificate, too", key.display())),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        return match (roots.is_empty(), system.errors.first()) {
            (false, _) => Ok(roots),
            (true, Some(error)) => Err(format!("the system's certificates cannot be read: {error}")),
            (true, None) => Err(String::from(
                "the system has no certificates to verify a server by; \
                 install them or set OTEL_EXPORTER_OTLP_CERTIFICATE",
            )),
        };
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| format!("certificate {}: {error}", file.display()))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("certificate {}: {error}", file.display());
    let list: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(|error| unusable(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(&error))?;
    if list.is_empty() {
        return Err(unusable(&"no certificate in it"));
    }
    Ok(list)
}
