//! Texts and messages of fixed form: what is read must be what was written, byte for byte.
#![no_main]

use ddtrace::handshake::Hello;
use ddtrace::identity::Identity;
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::tracecontext::TraceParent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(identity) = Identity::parse(data) {
        assert_eq!(identity.format(), data);
    }
    if let Some(hello) = Hello::parse(data) {
        // Four bytes are reserved.
        let written = hello.format();
        assert!(written[..12] == data[..12] && written[16..] == data[16..]);
    }
    if let Some(parent) = TraceParent::parse(data) {
        let text = data.trim_ascii();
        assert!(parent.trace_id.is_valid() && parent.span_id.is_valid());
        // The version and the flags that it does not know are not kept.
        assert_eq!(parent.format()[2..53], text[2..53]);
        let again = TraceParent::parse(&parent.format()).expect("what is written can be read");
        assert_eq!((again.trace_id, again.span_id, again.flags), (parent.trace_id, parent.span_id, parent.flags & 3));
    }
    if let Some(id) = TraceId::from_hex(data) {
        assert_eq!(id.to_hex(), data);
    }
    if let Some(id) = SpanId::from_hex(data) {
        assert_eq!(id.to_hex(), data);
    }
});
