//! Why tracing could not be started.

#[cfg(feature = "direct")]
use crate::config::Origin;
#[cfg(feature = "direct")]
use std::path::PathBuf;
#[cfg(feature = "direct")]
use std::string::String;

/// Why tracing could not be started. No message has a secret in it.
///
/// Recording through the launcher's shared memory has no reason to fail; all of these are of programs that send by
/// themselves (feature `direct`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Exporters are named, and OTLP is not among them.
    #[cfg(feature = "direct")]
    #[error(
        "exporter {named} ({origin}) cannot be reached from within this program, which sends by OTLP only: name otlp, \
         or start the program with ddtrace-run; it runs untraced"
    )]
    NotOtlp {
        /// The exporters, as they were named.
        named: String,
        /// Who named them.
        origin: Origin,
    },
    /// The address of the receiver is none.
    #[cfg(feature = "direct")]
    #[error("OTLP endpoint {endpoint}: {reason}; the program runs untraced")]
    Endpoint {
        /// The address, without credentials.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file with certificates or a key cannot be used.
    #[cfg(feature = "direct")]
    #[error("{what} {}: {reason}; the program runs untraced", path.display())]
    File {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to verify the receiver by.
    #[cfg(feature = "direct")]
    #[error("the system has no certificates to verify the OTLP receiver by{reason}; the program runs untraced")]
    NoRoots {
        /// What reading them said, after a colon, or nothing.
        reason: String,
    },
    /// TLS cannot be set up.
    #[cfg(feature = "direct")]
    #[error("TLS for the OTLP receiver: {0}; the program runs untraced")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be made.
    #[cfg(feature = "direct")]
    #[error("HTTP client for the OTLP receiver: {0}; the program runs untraced")]
    Client(#[source] reqwest::Error),
    /// The SDK refuses the exporter.
    #[cfg(feature = "direct")]
    #[error("OTLP exporter: {0}; the program runs untraced")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// No runtime: threads or descriptors have run out.
    #[cfg(feature = "direct")]
    #[error("runtime for the OTLP exporter: {0}; the program runs untraced")]
    Runtime(#[source] std::io::Error),
}

/// Spans could not be delivered, and are lost. Only where a program sends by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The receiver did not take them.
    #[cfg(feature = "direct")]
    #[error("{spans} spans are lost: {reason}")]
    Lost {
        /// How many, since this was last told.
        spans: usize,
        /// Why the last of them were not taken.
        reason: String,
    },
    /// The SDK says why.
    #[cfg(feature = "direct")]
    #[error("{0}")]
    Sdk(#[from] opentelemetry_sdk::error::OTelSdkError),
}
