//! What differs between databases in how texts, names and comments are written.

/// The rules of a database, or of databases that have the same ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// Not known: of several possible meanings the one that hides more.
    #[default]
    Unknown,
    /// Standard SQL: double quotes are around names.
    Standard,
    /// Names are between double quotes, as in the standard; texts may be written in more ways than that has: between
    /// dollars, with backslashes, with quotes of one's choice. No database has all of them.
    Extended,
    /// PostgreSQL, and what reads as it does.
    PostgreSql,
    /// MySQL and MariaDB.
    MySql,
    /// Microsoft SQL Server.
    SqlServer,
    /// Oracle.
    Oracle,
    /// SQLite.
    Sqlite,
}

/// What a backslash does inside of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backslash {
    /// It takes the next character's meaning away.
    Escapes,
    /// Nothing.
    Stands,
    /// One of the two.
    Unknown,
}

impl Dialect {
    /// The dialect of a database by its name in `db.system.name` or `db.system`; `None` where statements are no SQL.
    #[must_use]
    pub fn of_system(system: &str) -> Option<Dialect> {
        Some(match system {
            "edb" | "postgresql" => Dialect::PostgreSql,
            "mariadb" | "mysql" => Dialect::MySql,
            "microsoft.sql_server" | "mssql" => Dialect::SqlServer,
            "oracle" | "oracle.db" => Dialect::Oracle,
            "sqlite" => Dialect::Sqlite,
            "db2" | "derby" | "hanadb" | "hsqldb" | "ibm.db2" | "sap.hana" | "trino" => Dialect::Standard,
            "cassandra" | "cockroachdb" | "firebird" | "firebirdsql" | "h2" | "h2database" | "redshift" | "vertica" => {
                Dialect::Extended
            }
            "couchdb" | "elasticsearch" | "geode" | "hbase" | "memcached" | "mongodb"
            | "neo4j" | "opensearch" | "redis" => return None,
            _ => Dialect::Unknown,
        })
    }

    /// Whether double quotes are, or may be, around strings: SQLite takes a name that names nothing for one.
    pub(super) fn has_double_quoted_strings(self) -> bool {
        matches!(self, Dialect::MySql | Dialect::Sqlite | Dialect::Unknown)
    }

    pub(super) fn backslash(self) -> Backslash {
        match self {
            Dialect::MySql => Backslash::Escapes,
            Dialect::Unknown | Dialect::Extended => Backslash::Unknown,
            _ => Backslash::Stands,
        }
    }

    /// Strings such as `$tag$…$tag$`.
    pub(super) fn has_dollar_quotes(self) -> bool {
        matches!(self, Dialect::PostgreSql | Dialect::Extended | Dialect::Unknown)
    }

    /// Strings such as `E'it\'s'`, in which backslashes escape.
    pub(super) fn has_escape_strings(self) -> bool {
        matches!(self, Dialect::PostgreSql | Dialect::Extended)
    }

    /// Whether three quotes may begin a string that ends with three.
    pub(super) fn has_triple_quotes(self) -> bool {
        self == Dialect::Unknown
    }

    /// Strings such as `q'[…]'`.
    pub(super) fn has_chosen_quotes(self) -> bool {
        matches!(self, Dialect::Oracle | Dialect::Extended | Dialect::Unknown)
    }

    /// Comments that begin with `#`.
    pub(super) fn has_hash_comments(self) -> bool {
        matches!(self, Dialect::MySql | Dialect::Unknown)
    }

    /// Whether `#` may be part of a name.
    pub(super) fn has_hash_in_names(self) -> bool {
        matches!(self, Dialect::SqlServer | Dialect::Oracle)
    }

    /// Whether `$` may be part of a name. Where it may also begin a string, it is taken for that.
    pub(super) fn has_dollar_in_names(self) -> bool {
        self != Dialect::Unknown
    }

    /// Whether `$`, or the sign of another currency, may stand before an amount of money.
    pub(super) fn has_money(self) -> bool {
        self == Dialect::SqlServer
    }

    /// Whether two dashes are a comment only before a blank.
    pub(super) fn dash_comment_needs_blank(self) -> bool {
        self == Dialect::MySql
    }

    /// Whether a comment may stand within another.
    pub(super) fn nests_comments(self) -> bool {
        !matches!(self, Dialect::MySql | Dialect::Oracle | Dialect::Sqlite)
    }

    /// Names such as `` `name` ``.
    pub(super) fn has_backtick_names(self) -> bool {
        matches!(self, Dialect::MySql | Dialect::Sqlite | Dialect::Unknown)
    }

    /// Names such as `[name]`.
    pub(super) fn has_bracket_names(self) -> bool {
        matches!(self, Dialect::SqlServer | Dialect::Sqlite)
    }

    /// Placeholders such as `?1`.
    pub(super) fn has_numbered_marks(self) -> bool {
        matches!(self, Dialect::Sqlite | Dialect::Unknown)
    }

    /// Placeholders such as `:1`.
    pub(super) fn has_numbered_colons(self) -> bool {
        self == Dialect::Oracle
    }
}
