//! In which attributes what is looked for.

/// Attributes that hold an address, whole or from the path on: the conventions' names now, and before, and Datadog's.
pub(super) const ADDRESSES: [&str; 5] = ["http.referrer", "http.target", "http.url", "url.full", "url.original"];
/// Attributes that hold a query string: the conventions' name, and Datadog's.
pub(super) const QUERIES: [&str; 2] = ["url.query", "http.query.string"];
/// Attributes that hold a statement: the conventions' name now, and before, and Datadog's.
pub(super) const STATEMENTS: [&str; 3] = ["db.query.text", "db.statement", "sql.query"];
/// Attributes that hold the resource or the operation's name, which say the same as a span's name where a program makes no
/// difference between them.
const TITLES: [&str; 4] = ["datadog.name", "datadog.resource", "operation.name", "resource.name"];
/// Holds how a database is reached.
const CONNECTION: &str = "db.connection_string";
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
    /// A text as in a span's name.
    Title,
    Connection,
    /// Nothing but a secret.
    Credential,
}

impl Content {
    /// What the attribute of this key holds; `None` if it is not looked at.
    pub(super) fn of(key: &str) -> Option<Content> {
        if ADDRESSES.contains(&key) {
            Some(Content::Address)
        } else if QUERIES.contains(&key) {
            Some(Content::Query)
        } else if STATEMENTS.contains(&key) {
            Some(Content::Statement)
        } else if TITLES.contains(&key) {
            Some(Content::Title)
        } else if key == CONNECTION {
            Some(Content::Connection)
        } else {
            Content::of_header(HEADERS.iter().find_map(|prefix| key.strip_prefix(prefix))?)
        }
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
