//! What is hidden in spans before they are sent.

use super::{HandOn, Id, Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::ObfuscateQueryString,
        key: "obfuscation.query_string",
        kind: Kind::Text,
        unset: "the rule that all Datadog tracers share",
        dd: &["DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP"],
        hand_on: HandOn::Datadog,
        help: "Regular expression of what is hidden in query strings; empty hides nothing",
        example: "\"(?i)(?:session|token)=[^&]+\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ObfuscateSql,
        key: "obfuscation.sql",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_OBFUSCATION_SQL_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether literals in SQL are replaced by `?`",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ServerQueryString,
        key: "query_string.server",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_HTTP_SERVER_TAG_QUERY_STRING"],
        hand_on: HandOn::Datadog,
        help: "Whether spans of requests that were answered show query strings",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ClientQueryString,
        key: "query_string.client",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_HTTP_CLIENT_TAG_QUERY_STRING"],
        hand_on: HandOn::Datadog,
        help: "Whether spans of requests that were sent show query strings",
        example: "false",
        ..Setting::BLANK
    },
];
