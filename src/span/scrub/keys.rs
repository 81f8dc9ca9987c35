//! In which attributes what is looked for.

/// Attributes that hold an address, whole or from the path on: the conventions' names now, and before, and Datadog's.
#[cfg(test)]
pub(super) const ADDRESSES: [&str; 5] = ["http.referrer", "http.target", "http.url", "url.full", "url.original"];
/// Attributes that hold a query string: the conventions' name, and Datadog's.
pub(super) const QUERIES: [&str; 2] = ["url.query", "http.query.string"];
/// Attributes that hold a statement: the conventions' name now, and before, and Datadog's.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = ["db.query.text", "db.statement", "sql.query"];
/// What comes before a header's name: in the conventions, and in Datadog's tracers.
const HEADERS: [&str; 4] =
    ["http.request.header.", "http.request.headers.", "http.response.header.", "http.response.headers."];
/// Headers that grant access.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];
/// Headers that hold an address.
const ADDRESS_HEADERS: [&str; 2] = ["location", "referer"];

/// What an attribute holds that may be a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Address,
    Query,
    Statement,
    /// The resource or the operation's name, which say the same as a span's name where a program makes no difference between
    /// them.
    Title,
    /// How a database is reached.
    Connection,
    /// Nothing but a secret.
    Credential,
}

impl Content {
    /// What the attribute of this key holds; `None` if it is not looked at.
    pub(super) fn of(key: &str) -> Option<Content> {
        Some(match key {
            "http.referrer" | "http.target" | "http.url" | "url.full" | "url.original" => Content::Address,
            "url.query" | "http.query.string" => Content::Query,
            "db.query.text" | "db.statement" | "sql.query" => Content::Statement,
            "datadog.name" | "datadog.resource" | "operation.name" | "resource.name" => Content::Title,
            "db.connection_string" => Content::Connection,
            _ => return Content::of_header(HEADERS.iter().find_map(|prefix| key.strip_prefix(prefix))?),
        })
    }

    /// Header names have no letter case, and the conventions once wrote `_` for `-` in them.
    fn of_header(name: &str) -> Option<Content> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        if CREDENTIALS.contains(&name.as_str()) {
            return Some(Content::Credential);
        }
        ADDRESS_HEADERS.contains(&name.as_str()).then_some(Content::Address)
    }
}
