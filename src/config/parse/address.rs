//! Addresses of Datadog Agents and OTLP receivers.

use super::Read;
use super::url::{self, Url};
use crate::config::AgentUrl;
use crate::config::value::Value;
use std::format;
use std::path::PathBuf;
use std::string::String;

/// `http://`, `https://` or `unix:///path`.
pub(super) fn agent_url(text: &str) -> Read {
    let text = text.trim();
    let Some((scheme, rest)) = url::scheme_of(text) else {
        return Read::bad("has none of http://, https:// and unix:// before it");
    };
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        "unix" if rest.len() > 1 && rest.starts_with('/') => {
            return Read::good(Value::Agent(AgentUrl::Unix(PathBuf::from(rest))));
        }
        "unix" => return Read::bad("has no absolute path after unix://"),
        _ => return Read::bad("has none of http://, https:// and unix:// before it"),
    };
    let parts = match url::parse(scheme, rest) {
        Ok(parts) => parts,
        Err(complaint) => return Read::bad(complaint),
    };
    let agent = AgentUrl::Tcp {
        tls,
        host: parts.host.into(),
        port: parts.port.unwrap_or(if tls { 443 } else { 80 }),
        base_path: parts.path.trim_end_matches('/').into(),
    };
    if parts.credentials.is_some() || !parts.query.is_empty() {
        Read::doubtful(Value::Agent(agent), "has credentials or a query, which an Agent does not take")
    } else {
        Read::good(Value::Agent(agent))
    }
}

/// A name or address; an IPv6 address with or without brackets, and kept without.
pub(super) fn host(text: &str) -> Read {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if url::is_ipv6(bare) || (bare.len() == text.len() && url::host_is_plausible(bare)) {
        Read::good(Value::Text(bare.into()))
    } else {
        Read::bad("is not a host name or address")
    }
}

/// The Agent at a host and port, without TLS.
pub(crate) const fn agent_url_of(host: String, port: u16) -> AgentUrl {
    AgentUrl::Tcp { tls: false, host, port, base_path: String::new() }
}

/// Checks what can be checked before the protocol is known; the text itself is the value.
pub(super) fn endpoint(text: &str) -> Read {
    let text = text.trim();
    // What is accepted for either protocol; each is checked again when it is chosen.
    match http_traces_url(text, true) {
        Ok(_) => Read::good(Value::Text(text.into())),
        Err(_) if grpc_target(text, false).is_ok() => Read::good(Value::Text(text.into())),
        Err(complaint) => Read::bad(complaint),
    }
}

/// The URL to which traces are posted.
///
/// To a base address, `/v1/traces` is appended; the address of a signal is used as it is, with `/` for an empty path.
/// No port means 80 or 443. An address without a scheme is read as `http://`, and `bool` says so.
///
/// # Errors
/// What is wrong with the address, as the end of a sentence that begins with it.
pub(crate) fn http_traces_url(text: &str, is_base: bool) -> Result<(String, bool), &'static str> {
    let (scheme, rest) = url::scheme_of(text).unwrap_or(("http", text));
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err("has neither http:// nor https:// before it");
    }
    let parts = url::parse(scheme, rest)?;
    let path = if is_base {
        format!("{}/v1/traces", parts.path.trim_end_matches('/'))
    } else if parts.path.is_empty() {
        "/".into()
    } else {
        parts.path.into()
    };
    let port = parts.port.map_or_else(String::new, |port| format!(":{port}"));
    let url = format!(
        "{}://{}{}{port}{path}{}",
        scheme.to_ascii_lowercase(),
        credentials(&parts),
        bracketed(parts.host),
        parts.query
    );
    Ok((url, !text.contains("://")))
}

/// The `http(s)://host:port` to which gRPC connects: the scheme decides about TLS, and where there is none, `insecure`.
///
/// Besides URLs, gRPC's own `dns:`, `ipv4:` and `ipv6:` names are understood. No port means 80 or 443.
///
/// # Errors
/// What is wrong with the address, as the end of a sentence that begins with it.
pub(crate) fn grpc_target(text: &str, insecure: bool) -> Result<String, &'static str> {
    let by_switch = if insecure { "http" } else { "https" };
    let (scheme, host, port) = match url::scheme_of(text) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
            let parts = url::parse(scheme, rest)?;
            (if scheme.eq_ignore_ascii_case("http") { "http" } else { "https" }, parts.host, parts.port)
        }
        // dns://authority/host:port; which name server is asked stays the host's own choice.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("dns") => {
            let (_, name) = rest.split_once('/').ok_or("names no host after dns://")?;
            let (host, port) = url::host_and_port(name)?;
            (by_switch, host, port)
        }
        Some(_) => return Err("has a scheme that gRPC is not reached by here; http, https and dns are"),
        None => {
            let name = ["dns:", "ipv4:", "ipv6:"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
            let (host, port) = url::host_and_port(name)?;
            (by_switch, host, port)
        }
    };
    let port = port.unwrap_or(if scheme == "http" { 80 } else { 443 });
    Ok(format!("{scheme}://{}:{port}", bracketed(host)))
}

/// Host and port of an `http://` or `https://` URL.
pub(crate) fn host_and_port_of(text: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url::scheme_of(text)?;
    let parts = url::parse(scheme, rest).ok()?;
    let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    Some((parts.host.into(), parts.port.unwrap_or(default)))
}

fn credentials(parts: &Url<'_>) -> String {
    parts.credentials.map_or_else(String::new, |credentials| format!("{credentials}@"))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(tls: bool, host: &str, port: u16, base_path: &str) -> AgentUrl {
        AgentUrl::Tcp { tls, host: host.into(), port, base_path: base_path.into() }
    }

    #[test]
    fn agent_urls() {
        for (text, expected) in [
            ("http://localhost:8126", Some(tcp(false, "localhost", 8126, ""))),
            ("http://localhost:8126/", Some(tcp(false, "localhost", 8126, ""))),
            ("HTTP://agent", Some(tcp(false, "agent", 80, ""))),
            ("https://agent", Some(tcp(true, "agent", 443, ""))),
            ("https://agent:9/base/path/", Some(tcp(true, "agent", 9, "/base/path"))),
            ("http://[::1]:8126", Some(tcp(false, "::1", 8126, ""))),
            ("http://[fe80::1%eth0]:1", Some(tcp(false, "fe80::1%eth0", 1, ""))),
            ("unix:///var/run/datadog/apm.socket", Some(AgentUrl::Unix("/var/run/datadog/apm.socket".into()))),
            ("unix://relative", None),
            ("unix:///", None),
            ("unix://", None),
            ("garbage", None),
            ("localhost:8126", None),
            ("ftp://h:1", None),
            ("http://", None),
            ("http://:8126", None),
            ("http://h:port", None),
            ("http://h:0", None),
            ("http://h:99999", None),
            ("http://::1:8126", None),
            ("http://[::1", None),
            ("http://[nope]:1", None),
            ("http://a b:1", None),
            ("http://a/b c", None),
        ] {
            let read = agent_url(text);
            assert_eq!(read.value, expected.map(Value::Agent), "{text}");
            assert_eq!(read.complaint.is_some(), read.value.is_none(), "{text}");
        }
        let read = agent_url("http://user:secret@h:1/x?y");
        assert_eq!(read.value, Some(Value::Agent(tcp(false, "h", 1, "/x"))));
        assert!(read.complaint.is_some());
    }

    #[test]
    fn agent_urls_are_written_as_they_are_read() {
        for text in ["http://localhost:8126", "https://a:1/base", "http://[::1]:8126", "unix:///run/a.socket"] {
            let Some(Value::Agent(url)) = agent_url(text).value else { panic!("{text}") };
            assert_eq!(format!("{url}"), text);
        }
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("agent", Some("agent")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("my_host.svc-1", Some("my_host.svc-1")),
            ("a:1", None),
            ("http://a", None),
            ("a b", None),
            ("[a]", None),
        ] {
            assert_eq!(host(text).value, expected.map(|host| Value::Text(host.into())), "{text}");
        }
    }

    #[test]
    fn http_endpoints() {
        for (text, base, signal) in [
            ("http://h:4318", "http://h:4318/v1/traces", "http://h:4318/"),
            ("http://h:4318/", "http://h:4318/v1/traces", "http://h:4318/"),
            ("http://h:4318/mycollector/", "http://h:4318/mycollector/v1/traces", "http://h:4318/mycollector/"),
            ("http://h:4318/mycollector", "http://h:4318/mycollector/v1/traces", "http://h:4318/mycollector"),
            ("https://h", "https://h/v1/traces", "https://h/"),
            ("HTTPS://h/x?k=1", "https://h/x/v1/traces?k=1", "https://h/x?k=1"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces", "http://[::1]:4318/"),
            ("http://u:p@h", "http://u:p@h/v1/traces", "http://u:p@h/"),
        ] {
            assert_eq!(http_traces_url(text, true), Ok((base.into(), false)), "{text}");
            assert_eq!(http_traces_url(text, false), Ok((signal.into(), false)), "{text}");
        }
        assert_eq!(http_traces_url("h:4318", true), Ok(("http://h:4318/v1/traces".into(), true)));
        for text in ["", "ftp://h", "http://", "http://h:x", "unix:///x"] {
            assert!(http_traces_url(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn grpc_endpoints() {
        for (text, insecure, expected) in [
            ("http://h:4317", false, Some("http://h:4317")),
            ("https://h:4317", true, Some("https://h:4317")),
            ("http://h:4317/ignored/path", false, Some("http://h:4317")),
            ("http://h", false, Some("http://h:80")),
            ("https://h", false, Some("https://h:443")),
            ("h:4317", false, Some("https://h:4317")),
            ("h:4317", true, Some("http://h:4317")),
            ("[::1]:4317", true, Some("http://[::1]:4317")),
            ("dns:///h:4317", true, Some("http://h:4317")),
            ("dns://8.8.8.8/h:4317", true, Some("http://h:4317")),
            ("dns:h:4317", true, Some("http://h:4317")),
            ("ipv4:10.0.0.1:4317", true, Some("http://10.0.0.1:4317")),
            ("unix:///x.sock", true, None),
            ("dns://h", true, None),
            ("", true, None),
        ] {
            assert_eq!(grpc_target(text, insecure).ok().as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn addresses_never_panic(text in "(https?://|unix://|dns:)?[a-z\\[\\]:@/?#%0-9. ]{0,30}") {
            let _ = (agent_url(&text), host(&text), endpoint(&text));
            let _ = url::without_credentials(&text);
        }

        #[test]
        fn credentials_are_gone(user in "[a-z]{1,5}", password in "[A-Z]{3,8}") {
            let url = format!("https://{user}:{password}@host/path@{user}");
            prop_assert_eq!(url::without_credentials(&url), format!("https://host/path@{user}"));
        }
    }
}
