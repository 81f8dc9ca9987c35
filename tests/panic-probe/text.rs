//! Ids, identity, handshake messages, scrubbing and names.

use crate::{any, bytes, probes, used};
use core::fmt::{self, Write};
use ddtrace::denylist::is_denied;
use ddtrace::handshake::{Hello, socket_name};
use ddtrace::identity::{Holder, Identity};
use ddtrace::ids::{SpanId, TraceId, parse_hex_u64};
use ddtrace::random::Random;
use ddtrace::scrub::ArgScrubber;
use ddtrace::scrub::query::next_secret;
use ddtrace::scrub::redis::{mark, shows_argument};
use ddtrace::scrub::sql::{Dialect, SqlPieces, Summary};
use ddtrace::scrub::url::UrlPieces;
use ddtrace::semconv::{Key, is_field, is_request, kind_name, kind_number};

/// Takes text, and may fail.
struct Sink;

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        used(text);
        any(Ok(()))
    }
}

probes! {
    ids {
        let trace = any(TraceId::new(any(0), any(0)));
        used((trace.low(), trace.high(), trace.is_valid(), trace.to_hex()));
        used(TraceId::from_hex(bytes()));
        let span = any(SpanId(0));
        used((span.is_valid(), span.to_hex()));
        used(SpanId::from_hex(bytes()));
        used(parse_hex_u64(bytes()));
        used(write!(any(Sink), "{trace} {span}"));
    }

    identity {
        if let Some(identity) = any(Identity::parse(bytes())) {
            used(identity.format());
            used(identity.is_of(any(0), any(0)));
            used(identity.is_parent());
        }
        let identity = Identity {
            run: any(0),
            flags: any(0),
            holder: any(Holder::ChildOf(0)),
            trace_flags: any(0),
            trace_id: any(TraceId(0)),
            span_id: any(SpanId(0)),
            parent_id: any(SpanId(0)),
            start_ns: any(0),
        };
        used(identity.format());
    }

    handshake {
        used(socket_name(any(0)));
        used(Hello::parse(bytes()));
        let hello = Hello { pid: any(0), ppid: any(0), speaker: any(0), span_id: any(SpanId(0)), ring_size: any(0) };
        used(hello.format());
        used(ddtrace::handshake::open_ring(any(0), &hello, any(0)).is_ok());
        used(ddtrace::handshake::tell_lost(any(0), any(0)));
    }

    random {
        let random = any(Random::new());
        random.seed(any(0));
        random.reseed();
        used(random.next());
        used(random.has_drawn(any(0)));
    }

    scrub {
        let mut scrubber = any(ArgScrubber::new());
        for _ in 0..any(2) {
            let scrubbed = any(scrubber.scrub(bytes()));
            used((scrubbed.is_unchanged(), scrubbed.len()));
            for piece in scrubbed.pieces() {
                used(piece);
            }
        }
    }

    commands {
        used((shows_argument(bytes(), any(0)), mark(any(0))));
    }

    addresses {
        used(next_secret(bytes(), any(0)));
        for pieces in [UrlPieces::of_url(bytes(), any(true)), UrlPieces::of_query(bytes(), any(true))] {
            used(pieces.is_unchanged());
            for piece in pieces {
                used(piece);
            }
        }
    }

    sql {
        let system = core::str::from_utf8(bytes()).unwrap_or_default();
        if let Some(dialect) = any(Dialect::of_system(system)) {
            for piece in SqlPieces::new(bytes(), dialect) {
                used(piece);
            }
            for word in Summary::new(bytes(), dialect) {
                used(word);
            }
        }
    }

    denylist {
        used(is_denied(bytes(), bytes()));
    }

    semconv {
        used((is_field(bytes()), kind_number(bytes())));
        used((kind_name(any(0)), is_request(any(0))));
        if let Some(key) = any(Key::from_number(any(0))) {
            used(key.name());
        }
    }
}
