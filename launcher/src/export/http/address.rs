//! Where a server is.

use ddtrace::config::AgentUrl;
use hyper::Uri;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, with TLS or plain.
    Tcp {
        /// Whether TLS is spoken.
        tls: bool,
        /// Host name or address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// A server and the path below which its endpoints are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// How it is reached.
    pub transport: Transport,
    /// Put in front of every path, with the query if the URL has one; may be empty.
    pub base_path: String,
}

impl Address {
    /// The address of an Agent.
    pub fn of_agent(url: &AgentUrl) -> Self {
        match url {
            AgentUrl::Tcp { tls, host, port, base_path } => Address {
                transport: Transport::Tcp { tls: *tls, host: host.clone(), port: *port },
                base_path: base_path.clone(),
            },
            AgentUrl::Unix(path) => Address { transport: Transport::Unix(path.clone()), base_path: String::new() },
        }
    }

    /// Reads an `http://` or `https://` URL; without a port the scheme's own holds.
    ///
    /// # Errors
    /// A message that quotes the URL without its user name and password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let unusable = || format!("{:?} is not an http:// or https:// URL", without_credentials(url));
        let uri: Uri = url.trim().parse().map_err(|_| unusable())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unusable()),
        };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let place = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match place.rsplit_once(':') {
            // A colon inside the brackets is part of an IPv6 address.
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().map_err(|_| unusable())?)),
            _ => (place, None),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(unusable());
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let base_path = uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        Ok(Address { transport: Transport::Tcp { tls, host, port }, base_path })
    }

    /// Host and port as the header `Host` has them: without the port that the scheme implies.
    pub fn authority(&self) -> String {
        match &self.transport {
            Transport::Unix(_) => String::from("localhost"),
            Transport::Tcp { tls, host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                match (tls, port) {
                    (false, 80) | (true, 443) => host,
                    _ => format!("{host}:{port}"),
                }
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a key.
        let path = self.base_path.split('?').next().unwrap_or_default();
        match &self.transport {
            Transport::Unix(socket) => write!(f, "unix://{}{path}", socket.display()),
            Transport::Tcp { tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{}{path}", self.authority())
            }
        }
    }
}

/// Whether a host is this very machine by its name or address.
pub fn is_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => address.to_canonical().is_loopback(),
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost"),
    }
}

fn without_credentials(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}{}", &url[..scheme + 3], &url[at + 1..]),
        (None, Some(at)) => url[at + 1..].to_owned(),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_path_and_query_and_default_to_the_schemes_port() {
        for (url, shown, authority, base_path) in [
            ("http://h", "http://h/", "h", "/"),
            ("https://h:443/a", "https://h/a", "h", "/a"),
            ("http://h:4318/v1/traces", "http://h:4318/v1/traces", "h:4318", "/v1/traces"),
            ("http://[::1]:4318/x?key=secret", "http://[::1]:4318/x", "[::1]:4318", "/x?key=secret"),
            ("http://[::1]/x", "http://[::1]/x", "[::1]", "/x"),
            ("https://user:pw@h/", "https://h/", "h", "/"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.authority(), authority);
            assert_eq!(address.base_path, base_path);
        }
    }

    #[test]
    fn what_is_no_url_is_named_without_its_password() {
        for url in ["", "h:4318", "ftp://user:secret@h", "http://", "http://:80/", "http://h:99999/", "user:secret@h"] {
            let message = Address::parse(url).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
            assert!(message.contains("is not an http:// or https:// URL"), "{message}");
        }
    }

    #[test]
    fn an_agents_address_is_taken_as_it_is() {
        let url = AgentUrl::Tcp { tls: false, host: "::1".into(), port: 8126, base_path: "/base".into() };
        assert_eq!(Address::of_agent(&url).to_string(), "http://[::1]:8126/base");
        let socket = Address::of_agent(&AgentUrl::Unix(PathBuf::from("/run/apm.socket")));
        assert_eq!((socket.to_string().as_str(), socket.authority().as_str()), ("unix:///run/apm.socket", "localhost"));
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for host in ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.org", "10.0.0.1", "::2", "notlocalhost"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
