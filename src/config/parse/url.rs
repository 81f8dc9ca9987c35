//! As much of URLs (RFC 3986) as addresses of receivers need.

use std::format;
use std::net::Ipv6Addr;
use std::string::String;

/// A URL with an authority, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// As it is written.
    pub scheme: &'a str,
    /// What is before the `@`, if anything.
    pub credentials: Option<&'a str>,
    /// Without brackets.
    pub host: &'a str,
    pub port: Option<u16>,
    /// From the first `/`, or empty.
    pub path: &'a str,
    /// From the `?`, or empty. A fragment is dropped.
    pub query: &'a str,
}

/// Splits `scheme://[credentials@]host[:port][/path][?query]`; `None` if there is no `://`.
pub(super) fn scheme_of(text: &str) -> Option<(&str, &str)> {
    text.split_once("://")
}

pub(super) fn parse<'a>(scheme: &'a str, rest: &'a str) -> Result<Url<'a>, &'static str> {
    let rest = rest.split('#').next().unwrap_or("");
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = tail.split_at(tail.find('?').unwrap_or(tail.len()));
    if tail.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has blanks in its path");
    }
    let (credentials, authority) = match authority.rsplit_once('@') {
        Some((credentials, authority)) => (Some(credentials), authority),
        None => (None, authority),
    };
    let (host, port) = host_and_port(authority)?;
    Ok(Url { scheme, credentials, host, port, path, query })
}

/// Splits `host[:port]`, where an IPv6 address stands in brackets.
pub(super) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("has a bracket that is not closed")?;
            if !is_ipv6(host) {
                return Err("has no IPv6 address in its brackets");
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err("has something other than a port after the address"),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("has an IPv6 address without brackets"),
            Some((host, port)) => (check_name(host)?, Some(port)),
            None => (check_name(authority)?, None),
        },
    };
    match port {
        // RFC 3986 3.2.3: an empty port is the default one.
        None | Some("") => Ok((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(1..=u16::MAX) => Ok((host, port.parse().ok())),
            _ => Err("has a port that is not between 1 and 65535"),
        },
        Some(_) => Err("has a port that is not a number"),
    }
}

fn check_name(host: &str) -> Result<&str, &'static str> {
    if host.is_empty() {
        Err("names no host")
    } else if host_is_plausible(host) {
        Ok(host)
    } else {
        Err("has characters in its host that no host name has")
    }
}

/// Letters, digits, `-`, `.` and `_`, or anything beyond ASCII that is not blank: what a resolver may know.
pub(super) fn host_is_plausible(host: &str) -> bool {
    !host.is_empty()
        && host.chars().all(|c| {
            c.is_ascii_alphanumeric() || "-._".contains(c) || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
        })
}

/// Whether this is an IPv6 address, with or without a zone.
pub(super) fn is_ipv6(host: &str) -> bool {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, zone),
        None => (host, "0"),
    };
    address.parse::<Ipv6Addr>().is_ok() && host_is_plausible(zone)
}

/// The URL without what is before the `@` of its authority.
pub(super) fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = scheme_of(text) else { return text.into() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..authority_end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://{}", rest.get(at + 1..).unwrap_or("")),
        None => text.into(),
    }
}
