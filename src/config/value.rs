//! The value of a setting and how it is written down.

use super::AgentUrl;
use std::fmt::{self, Write};
use std::path::PathBuf;
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

/// A checked value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Also hosts, endpoints, rates and JSON.
    Text(String),
    Bool(bool),
    /// Also ports.
    Number(u64),
    /// Limits, below 0 for none.
    Integer(i64),
    Bytes(u64),
    Duration(Duration),
    Name(&'static str),
    Names(Vec<&'static str>),
    List(Vec<String>),
    Path(PathBuf),
    /// Keys unique, in order.
    Pairs(Vec<(String, String)>),
    Agent(AgentUrl),
}

impl fmt::Display for Value {
    /// As it is written in `ddtrace.toml`, without quotes; lists and pairs as in `DD_TAGS`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Bool(truth) => write!(out, "{truth}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Integer(number) => write!(out, "{number}"),
            Self::Bytes(bytes) => write_bytes(out, *bytes),
            Self::Duration(duration) => write_duration(out, *duration),
            Self::Name(name) => out.write_str(name),
            Self::Names(names) => write_joined(out, names.iter().copied()),
            Self::List(items) => write_joined(out, items.iter().map(String::as_str)),
            Self::Path(path) => write!(out, "{}", path.display()),
            Self::Pairs(pairs) => {
                for (position, (key, value)) in pairs.iter().enumerate() {
                    write!(out, "{}{key}:{value}", if position == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::Agent(url) => write!(out, "{url}"),
        }
    }
}

fn write_joined<'a>(out: &mut fmt::Formatter<'_>, items: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.write_char(',')?;
        }
        out.write_str(item)?;
    }
    Ok(())
}

fn write_bytes(out: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return write!(out, "{}{unit}", bytes >> shift);
        }
    }
    write!(out, "{bytes}")
}

fn write_duration(out: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    if duration.subsec_nanos() == 0 {
        write!(out, "{}s", duration.as_secs())
    } else {
        write!(out, "{}ms", duration.as_millis())
    }
}

impl fmt::Display for AgentUrl {
    /// The URL, with brackets around an IPv6 address.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { tls, host, port, base_path } => {
                let scheme = if *tls { "https" } else { "http" };
                if host.contains(':') {
                    write!(out, "{scheme}://[{host}]:{port}{base_path}")
                } else {
                    write!(out, "{scheme}://{host}:{port}{base_path}")
                }
            }
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
        }
    }
}
