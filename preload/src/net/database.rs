//! What is said of statements to databases: attributes by the semantic conventions for database spans (1.44).

use super::address::Address;
use crate::protocol::{postgres, redis};
use crate::tracer::Told;
use ddtrace::scrub::sql::{Dialect, Summary};
use ddtrace::semconv::ERROR_TYPE;
use ddtrace::semconv::network::*;

/// The longest summary, and the longest text of a statement, in bytes.
const MAX_SUMMARY: usize = 255;
const MAX_STATEMENT: usize = 2048;

/// A statement for PostgreSQL. Its literals are hidden where spans are sent, as those of all statements.
pub(super) fn describe_postgres(told: &mut Told<'_>, statement: &postgres::Statement<'_>, peer: &Address) {
    let mut words: [&[u8]; 24] = [b""; 24];
    let (mut count, mut length) = (0usize, 0usize);
    for word in Summary::new(statement.text.get(..MAX_STATEMENT).unwrap_or(statement.text), Dialect::PostgreSql) {
        length = length.saturating_add(word.len()).saturating_add(1);
        let Some(places) = words.get_mut(count..count.wrapping_add(2)).filter(|_| length <= MAX_SUMMARY) else { break };
        if let [blank, place] = places {
            (*blank, *place) = (if count == 0 { &b""[..] } else { b" " }, word);
        }
        count = count.wrapping_add(2);
    }
    let words = words.get(..count).unwrap_or_default();
    told.name_of_pieces(words, b"postgresql", b"postgresql.query");
    told.text(DB_SYSTEM_NAME, b"postgresql");
    told.text(DB_NAMESPACE, statement.database);
    if count > 0 {
        told.pieces(DB_QUERY_SUMMARY, words);
    }
    told.text(DB_QUERY_TEXT, statement.text);
    describe_server(told, peer, 5432);
}

/// A command for Redis.
pub(super) fn describe_redis(told: &mut Told<'_>, command: &redis::Command<'_>, peer: &Address) {
    told.name(command.name, b"redis.query");
    told.text(DB_SYSTEM_NAME, b"redis");
    told.text(DB_OPERATION_NAME, command.name);
    told.text(DB_QUERY_TEXT, command.text);
    describe_server(told, peer, 6379);
}

fn describe_server(told: &mut Told<'_>, peer: &Address, default_port: u16) {
    let address = peer.text();
    told.text(SERVER_ADDRESS, address.as_bytes());
    told.text(NETWORK_PEER_ADDRESS, address.as_bytes());
    if let Some(port) = peer.port() {
        if port != default_port {
            told.integer(SERVER_PORT, i64::from(port));
        }
        told.integer(NETWORK_PEER_PORT, i64::from(port));
    }
    if peer.is_unix() {
        told.text(NETWORK_TRANSPORT, b"unix");
    }
}

/// `error.type` of what was not done, as something before it in the same pipeline had failed: as libpq calls it.
pub(super) const SKIPPED: &[u8] = b"pipeline_aborted";

/// What has failed, and the code if the database has answered so; both empty where nothing has.
pub(super) fn describe_error(told: &mut Told<'_>, code: &[u8], error: &[u8]) {
    told.text(DB_RESPONSE_STATUS_CODE, code);
    told.text(ERROR_TYPE.as_bytes(), error);
}
