//! Proxies, as the usual variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) name them.
//!
//! This host and Unix sockets are never reached through one, whatever the variables say: a receiver beside the program
//! is the common case, and no proxy could reach it.

use super::address::is_loopback;
use super::{Address, Transport};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What may be reached through which proxy.
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// For which connections a tunnel through a proxy is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TunnelFor {
    /// Where TLS is spoken; plain HTTP/1.1 asks the proxy for the URL instead.
    Tls,
    /// Always: HTTP/2 without TLS knows no other way.
    Everything,
}

impl Proxies {
    /// No proxies at all.
    pub fn none() -> Self {
        Proxies(None)
    }

    /// Those that the environment names.
    pub fn from_environment() -> Self {
        Proxies(Some(Arc::new(Matcher::from_env())))
    }

    #[cfg(test)]
    pub fn all(url: &str) -> Self {
        Proxies(Some(Arc::new(Matcher::builder().all(url).build())))
    }

    /// The proxy that plain HTTP requests to this server go to.
    pub fn for_plain_http(&self, transport: &Transport) -> Option<Intercept> {
        self.find(transport).filter(|_| matches!(transport, Transport::Tcp { tls: false, .. }))
    }

    /// The proxy for a server, if there is one.
    pub fn find(&self, transport: &Transport) -> Option<Intercept> {
        let Transport::Tcp { host, .. } = transport else { return None };
        if is_loopback(host) {
            return None;
        }
        let url = Address { transport: transport.clone(), base_path: String::new() }.to_string();
        self.0.as_ref()?.intercept(&url.parse().ok()?)
    }
}

/// Asks a proxy on an open connection to pass everything on to a server.
///
/// # Errors
/// A message that quotes the proxy's answer.
pub async fn tunnel(stream: &mut TcpStream, proxy: &Intercept, host: &str, port: u16) -> Result<(), String> {
    /// More than any proxy's answer; one byte at a time is read so that nothing of the server's is.
    const LONGEST_ANSWER: usize = 8 * 1024;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(credentials) = proxy.basic_auth() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= LONGEST_ANSWER {
            return Err(String::from("it answers without end"));
        }
        answer.push(stream.read_u8().await.map_err(|error| error.to_string())?);
    }
    let status = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    match status.split(' ').nth(1) {
        Some(code) if status.starts_with("HTTP/1.") && code.len() == 3 && code.starts_with('2') => Ok(()),
        _ => Err(format!("it answered {status:?}")),
    }
}
