//! TLS, set up only when a connection needs it: reading the system's certificates takes milliseconds and megabytes.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let builder = match &files.certificate {
        None => builder.with_root_certificates(roots_of_system()?),
        Some(file) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Configured::read(file, provider)?)),
    };
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

fn roots_of_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    match (roots.is_empty(), system.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => Err(format!("the system's certificates cannot be read: {error}")),
        (true, None) => Err(String::from(
            "the system has no certificates to verify a server by; \
             install them or set OTEL_EXPORTER_OTLP_CERTIFICATE",
        )),
    }
}

/// Verifies a server by the certificates of a file. As OpenSSL does, but unlike rustls, it takes a server that shows one of
/// them as its own even where that is marked as an authority's: `openssl req -x509` makes such ones.
///
/// That opens no door: whoever has the key of a certificate in the file could have issued another one to himself.
#[derive(Debug)]
struct Configured {
    usual: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Configured {
    fn read(file: &Path, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let certificates = certificates(file)?;
        let unusable = |error: &dyn std::fmt::Display| format!("certificate {}: {error}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| unusable(&error))?;
        }
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Configured { usual, certificates })
    }
}

/// Whether this alone is wrong with a certificate. What comes before it when certificates are verified is their time.
fn is_that_of_an_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else { return false };
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for Configured {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if is_that_of_an_authority(&error) && self.certificates.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use std::time::Duration;

    /// What `openssl req -x509` makes, for `localhost`.
    fn self_signed(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        params.self_signed(key).unwrap()
    }

    /// Whether a server of this name that shows `shown` is taken by one who has configured `configured`.
    fn verified(configured: &[&rcgen::Certificate], shown: &rcgen::Certificate, name: &str) -> Result<(), Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), configured.iter().map(|one| one.pem()).collect::<String>()).unwrap();
        let verifier = Configured::read(file.path(), Arc::new(rustls::crypto::ring::default_provider())).unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(shown.der(), &[], &name, &[], UnixTime::now()).map(|_| ())
    }

    #[test]
    fn a_certificate_that_is_configured_is_taken_though_it_is_an_authoritys() {
        let key = KeyPair::generate().unwrap();
        let (one, other) = (self_signed(&key, |_| ()), self_signed(&KeyPair::generate().unwrap(), |_| ()));
        verified(&[&one], &one, "localhost").unwrap();
        verified(&[&other, &one], &one, "localhost").unwrap();
        let plain = self_signed(&key, |params| params.is_ca = IsCa::NoCa);
        verified(&[&plain], &plain, "localhost").unwrap();
    }

    #[test]
    fn it_is_taken_for_its_own_name_only_in_its_time_and_byte_for_byte() {
        let key = KeyPair::generate().unwrap();
        let one = self_signed(&key, |_| ());
        let wrong_name = verified(&[&one], &one, "elsewhere").unwrap_err();
        assert!(wrong_name.to_string().contains("not valid for name"), "{wrong_name}");
        let day = Duration::from_secs(86_400);
        let now = std::time::SystemTime::now();
        let expired = self_signed(&key, |params| params.not_after = (now - day).into());
        let early = self_signed(&key, |params| params.not_before = (now + day).into());
        for (certificate, expected) in [(expired, "expired"), (early, "not valid yet")] {
            let error = verified(&[&certificate], &certificate, "localhost").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        // Of the same key, but nobody has configured it.
        let twin = self_signed(&key, |params| params.serial_number = Some(7.into()));
        assert!(is_that_of_an_authority(&verified(&[&one], &twin, "localhost").unwrap_err()));
    }
}
